#!/usr/bin/env python3
"""How the receiver starts: options, usage, configuration errors, and which mode it finds."""

import os
import re
import resource
import socket
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor

from harness import fcgi, fluid, process, tap
from harness.fluid import Droplet
from harness.fronts import Cgi, FastCgi, Listen
from harness.site import RECEIVER, Site
from harness.web import Request


def run(arguments, site=None, **env):
    """Run the receiver to its end with nothing on standard input."""
    program = site.receiver if site else RECEIVER
    identity = process.identity() if site else {}
    return subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=600, env=process.environment(**env), check=False,
                          **identity)


def version_and_help():
    done = run(["--version"])
    assert done.returncode == 0 and done.stderr == "", done
    assert re.fullmatch(r"fluidhook(\.fcgi)? \d+\.\d+(\.\d+)?\S*\n", done.stdout), done.stdout
    done = run(["--help"])
    assert done.returncode == 0 and done.stderr == "", done
    for option in ("--config", "-c", "--threads", "--listen", "--socket-mode", "--socket-group",
                   "--version"):
        assert option in done.stdout, f"--help says nothing of {option}"


def usage():
    """Nothing that tells how to serve, or a wrong option: usage on stderr, exit status 2."""
    site = Site()
    conf = ["-c", str(site.conf)]
    for arguments in ([], conf, ["--nonsense"], ["--listen"], conf + ["word"],
                      conf + ["--listen", "nonsense"], conf + ["--listen", "unix:"],
                      conf + ["--listen", f"unix:{site.dir}/s", "--threads", "0"],
                      conf + ["--listen", f"unix:{site.dir}/s", "--threads", "x"],
                      conf + ["--listen", f"unix:{site.dir}/s", "--threads", "-1"],
                      conf + ["--listen", f"unix:{site.dir}/s", "--socket-mode", "9"],
                      conf + ["--listen", f"unix:{site.dir}/s", "word"]):
        done = run(arguments, site)
        assert done.returncode in ((1, 2) if "nonsense" in arguments or "unix:" in arguments
                                   else (2,)), (arguments, done)
        assert done.stdout == "" and done.stderr, (arguments, done)
    assert not (site.dir / "s").exists()


BROKEN = """state_dir = state
max_body = huge
nonsense = 1
tolerance = -5
legacy_tokens = perhaps
unsigned_installs = always
seal_key = "seal.key"
log_level = loud

[droplet one]
secrets = absent.secrets
colour = blue

[fluid]
api = http://api.fluid.app

[strange]
a = b
"""


def configuration_errors():
    """All mistakes at once, each with file and line; nothing starts half-configured."""
    site = Site()
    site.write_conf(BROKEN)
    done = run(["-c", str(site.conf), "--listen", f"unix:{site.dir}/s"], site)
    assert done.returncode == 2, done
    for number, line in enumerate(BROKEN.splitlines(), 1):
        wrong = line.split(" ")[0] in ("max_body", "nonsense", "tolerance", "legacy_tokens", "a",
                                       "unsigned_installs", "seal_key", "log_level", "colour",
                                       "api")
        said = f"{site.conf}:{number}:" in done.stderr
        assert wrong == said or line.startswith(("[strange]", "secrets")), \
            f"line {number} {line!r}: {done.stderr}"
    assert not (site.dir / "s").exists(), "it listened all the same"


def configuration_files():
    """No configuration, an unreadable one, missing or public secrets: exit status 2, and why."""
    site = Site()
    listen = ["--listen", f"unix:{site.dir}/s"]
    done = run(["-c", str(site.dir / "none.conf"), *listen], site)
    assert done.returncode == 2 and "none.conf" in done.stderr, done
    done = run(listen, site, FLUIDHOOK_CONF=str(site.dir / "none.conf"))
    assert done.returncode == 2 and "none.conf" in done.stderr, done
    done = run(["-c", str(site.dir), *listen], site)
    assert done.returncode == 2 and str(site.dir) in done.stderr, done
    secrets = site.secrets_file(site.droplets[0])
    line = site.conf_text().splitlines().index(f"secrets = {secrets.name}") + 1
    secrets.chmod(0o644)
    done = run(["-c", str(site.conf), *listen], site)
    assert done.returncode == 2 and f"{site.conf}:{line}: secrets:" in done.stderr, done
    secrets.unlink()
    done = run(["-c", str(site.conf), *listen], site)
    assert done.returncode == 2 and f"{site.conf}:{line}: secrets:" in done.stderr, done
    site.conf.chmod(0)
    done = run(["-c", str(site.conf), *listen], site)
    assert done.returncode == 2 and str(site.conf) in done.stderr, done


def check_option():
    """--check: 0 where deliveries can be taken; else 2, and the fault is named"""
    site = Site()
    words = ["-c", str(site.conf), "--check"]
    done = run(words, site)
    assert done.returncode == 0 and "is valid" in done.stderr and done.stdout == "", done
    # A listening socket or a CGI's environment beside it do not start a server.
    assert run([*words, "--listen", f"unix:{site.dir}/s"], site).returncode == 0
    assert not (site.dir / "s").exists()
    good = site.conf.read_text()

    def spoiled(spoil, *named):
        spoil()
        done = run(words, site)
        assert done.returncode == 2 and all(str(name) in done.stderr for name in named), (named, done)

    spoiled(lambda: site.write_conf("nonsense = 1\n" + good), f"{site.conf}:1: unknown key")
    spoiled(lambda: site.write_conf("log = none/x.log\n" + good), "none/x.log", "No such file")
    spoiled(lambda: site.write_conf("min_free = 8000000G\n" + good.replace("min_free", ";")),
            site.state, "min_free")
    site.write_conf(good)
    secrets = site.secrets_file(site.droplets[0])
    text = secrets.read_text()
    spoiled(lambda: secrets.write_text("\n"), secrets, "no secret")
    spoiled(lambda: secrets.write_text("a\x01b\n"), secrets, "a line of it is no secret")
    secrets.write_text(text)
    moved = site.state / "elsewhere"
    spoiled(lambda: (site.state / "journal").rename(moved), site.state, "journal")
    moved.rename(site.state / "journal")
    spoiled(lambda: site.state.rename(site.dir / "elsewhere"), site.state, "No such file")
    (site.dir / "elsewhere").rename(site.state)
    assert run(words, site).returncode == 0


def as_root():
    """Started as root: what it writes belongs to the owner of the state directory"""
    if os.geteuid() != 0:
        raise tap.Skip("needs root")

    def all_owned(site, company):
        owner = site.state.stat().st_uid
        assert owner != 0
        for directory, _, names in os.walk(site.state):
            for name in names:
                path = os.path.join(directory, name)
                assert os.lstat(path).st_uid == owner, path
        assert site.record(company.dri)["status"] == "active"

    def request_of(company):
        body = company.install()
        return Request(headers=fluid.signed(company.droplet.secret, body), body=body)

    site = Site()
    company = fluid.Company(site.droplets[0])
    request = request_of(company)
    env = Cgi()
    env.site = site
    done = subprocess.run([site.receiver], input=request.body, env=env.environment(request),
                          capture_output=True, timeout=30, check=True)
    assert fcgi.parse_cgi(done.stdout).status == 200, done
    all_owned(site, company)

    company = fluid.Company(site.droplets[0])
    address = str(site.dir / "root.sock")
    with site.log("receiver.log") as log:
        proc = subprocess.Popen([site.receiver, "-c", site.conf, "--listen", f"unix:{address}"],
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                env=process.environment())
    try:
        process.wait_until(lambda: "msg=serving" in site.log_text(), "it does not serve")
        assert fcgi.exchange(address, request_of(company)).status == 200
        all_owned(site, company)
        child = process.children(proc.pid)[-1]
        status = open(f"/proc/{child}/status", encoding="ascii").read()
        assert re.search(r"^Uid:\t(\d+)\t\1\t\1\t\1$", status, re.MULTILINE).group(1) != "0", status
    finally:
        proc.terminate()
        assert proc.wait(30) == 0

    site.state.rename(site.dir / "elsewhere")
    done = subprocess.run([site.receiver], input=request.body, env=env.environment(request),
                          capture_output=True, timeout=30, check=True)
    assert fcgi.parse_cgi(done.stdout).status == 503 and b"No such file" in done.stderr, done
    assert not site.state.exists()


def cgi_ignores_words():
    """In CGI mode no word of the command line counts, whatever it looks like."""
    site = Site()
    front = Cgi()
    front.start(site)
    for words in (["--version"], ["--help"], ["-c", "/nonexistent"], ["--nonsense"], ["a", "b"],
                  ["--listen", f"unix:{site.dir}/s"], [f"--listen=unix:{site.dir}/s"]):
        response = front.send(Request("GET"), words)
        assert response.status == 200, (words, response)
    assert not (site.dir / "s").exists()


def cgi_misconfigured():
    """A CGI without a good configuration answers 503, says why on stderr, and exits with 0."""
    site = Site()
    front = Cgi()
    front.start(site)
    body = fluid.Company(site.droplets[0]).install()
    for spoil in (lambda: site.write_conf(BROKEN), site.conf.unlink):
        spoil()
        for request in (Request("GET"), Request(body=body)):
            response = front.send(request)
            assert response.status == 503 and b"unavailable" in response.body, response
            assert response.headers["content-type"] == "application/json", response
    assert f"{site.conf.name}:2:" in site.log_text(), site.log_text()


def cgi_like_the_issue():
    """env FLUIDHOOK_CONF=... fluidhook.fcgi < file works, from any working directory"""
    site = Site([Droplet(uuid=False)])
    company = fluid.Company(site.droplets[0])
    body = company.install()
    path = site.dir / "body.json"
    path.write_bytes(body)
    process.give(path)
    env = {"HTTP_" + name.upper().replace("-", "_"): value
           for name, value in fluid.signed(site.droplets[0].secret, body)[1:]}
    with open(path, "rb") as stdin:
        done = subprocess.run([site.receiver], stdin=stdin, capture_output=True, cwd="/usr",
                              timeout=600, check=True, **process.identity(),
                              env=process.environment(FLUIDHOOK_CONF=str(site.conf),
                                                      GATEWAY_INTERFACE="CGI/1.1",
                                                      REQUEST_METHOD="POST",
                                                      CONTENT_LENGTH=str(len(body)), **env))
    response = fcgi.parse_cgi(done.stdout)
    assert response.status == 200, response
    assert site.record(company.dri)["status"] == "active"


def cgi_default_configuration():
    """Without FLUIDHOOK_CONF it is looked for in the user's home, then in the system's place."""
    site = Site()
    done = run([], site, GATEWAY_INTERFACE="CGI/1.1", REQUEST_METHOD="GET", HOME=str(site.dir))
    assert done.returncode == 0 and done.stdout.startswith("Status: "), done
    if "Status: 503" in done.stdout:
        assert re.search(r"/fluidhook/fluidhook\.conf", done.stderr), done.stderr
    assert str(site.dir) not in done.stderr, "HOME was believed instead of the user database"


def listen_fds_of_another():
    """LISTEN_FDS that is meant for another process, or is no socket, is not used"""
    site = Site()
    done = run(["-c", str(site.conf)], site, LISTEN_FDS="1", LISTEN_PID="1")
    assert done.returncode == 2 and "sage" in done.stderr, done


def on_stdin(site, arguments=(), **env):
    """A receiver with a listening socket as its standard input."""
    front = FastCgi()
    front.site, front.arguments = site, arguments
    front.address = str(site.dir / "zero.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(front.address)
        sock.listen(64)
        process.give(front.address)
        with site.log("receiver.log") as log:
            front.proc = process.start(front.command(site), stdin=sock, stdout=log, stderr=log,
                                       env=process.environment(**env))
    front.wait_ready()
    return front


def socket_on_stdin_wins():
    """A listening socket on descriptor 0 decides, also where GATEWAY_INTERFACE is set"""
    front = on_stdin(Site(), GATEWAY_INTERFACE="CGI/1.1")
    assert front.stop() == 0, "exit status after SIGTERM"


def threads():
    """--threads and FLUIDHOOK_THREADS say how many serve, beside the main one; the option wins."""
    default = min(max(16 * len(os.sched_getaffinity(0)), 16), 128)
    for number, arguments, env in ((1, ["--threads", "1"], {}), (default, [], {}),
                                   (5, ["--threads", "5"], {}), (7, [], {"FLUIDHOOK_THREADS": "7"}),
                                   (5, ["--threads=5"], {"FLUIDHOOK_THREADS": "7"})):
        front = on_stdin(Site(), arguments, **env)
        process.wait_until(lambda: len(os.listdir(f"/proc/{front.proc.pid}/task")) == number + 1,
                           f"not {number} threads with {arguments} {env}", 5)
        front.stop()


def on_descriptors(limit, *arguments):
    """A receiver that may open so many files; the hard limit, the soft one is 16."""
    front = Listen()
    front.arguments = list(arguments)
    front.prepare = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, limit))
    return front


def few_descriptors():
    """More threads than descriptors: as many as fit serve, and say so; or it says why it cannot"""
    for limit in (64, 100, 1024):
        site = Site()
        front = on_descriptors(limit, "--threads", "1024")
        front.start(site)
        company = fluid.Company(site.droplets[0])
        body = company.install()
        request = Request(headers=fluid.signed(site.droplets[0].secret, body), body=body)
        silent = [fcgi.connect(front.address) for _ in range(2 * limit)]
        with ThreadPoolExecutor(8) as pool:
            answers = {response.status for response in pool.map(front.send, [request] * 64)}
        assert answers == {200}, answers
        threads = len(os.listdir(f"/proc/{front.serving()}/task")) - 1
        assert f'limit={limit} wanted=1024 threads={threads}' in site.log_text(), site.log_tail()
        assert 1 <= threads < limit / 8, threads
        for sock in silent:
            sock.close()
        assert front.stop() == 0
    site = Site()
    front = on_descriptors(20)
    try:
        front.start(site)
        raise RuntimeError("it serves with 20 descriptors")
    except AssertionError:
        assert front.proc.returncode == 1, front.proc.returncode
    assert "ulimit -n" in site.log_text(), site.log_tail()
    front.stop()


def tells_the_service_manager():
    """READY=1 reaches NOTIFY_SOCKET once the receiver serves: from it, or from its supervisor"""
    for front in (None, Listen()):
        site = Site()
        path = str(site.dir / "notify.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(path)
            process.give(path)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            sock.settimeout(20)
            if front:
                front.environment = lambda path=path: process.environment(NOTIFY_SOCKET=path)
                front.start(site)
            else:
                front = on_stdin(site, NOTIFY_SOCKET=path)
            text, ancillary, _, _ = sock.recvmsg(64, socket.CMSG_SPACE(12))
            pid = struct.unpack("iii", ancillary[0][2])[0]
            assert text == b"READY=1", text
            assert pid == front.proc.pid, (pid, front.proc.pid)
        front.stop()


def not_linked():
    """The receiver is not linked with libcurl, nor with a TLS library."""
    done = subprocess.run(["ldd", RECEIVER], capture_output=True, text=True, check=True)
    libraries = done.stdout.lower()
    assert "libfcgi" in libraries and "libyajl" in libraries, libraries
    for word in ("curl", "libssl", "gnutls", "libcrypto"):
        assert word not in libraries, libraries


if not RECEIVER.is_file():
    tap.bail(f"there is no {RECEIVER}: build first")
tap.run([
    tap.Test("--version and --help", version_and_help),
    tap.Test("wrong usage: stderr and exit status 2", usage),
    tap.Test("a broken configuration: every mistake with file and line", configuration_errors),
    tap.Test("missing, unreadable and public files", configuration_files),
    tap.Test("--check", check_option),
    tap.Test("started as root", as_root),
    tap.Test("CGI: command-line words are ignored", cgi_ignores_words),
    tap.Test("CGI: 503 where the configuration cannot be read", cgi_misconfigured),
    tap.Test("CGI: environment and a file on standard input", cgi_like_the_issue),
    tap.Test("CGI: where the configuration is looked for", cgi_default_configuration),
    tap.Test("LISTEN_FDS for another process is not ours", listen_fds_of_another),
    tap.Test("a socket on standard input decides the mode", socket_on_stdin_wins),
    tap.Test("--threads and FLUIDHOOK_THREADS", threads),
    tap.Test("more threads than descriptors", few_descriptors),
    tap.Test("READY=1 for the service manager", tells_the_service_manager),
    tap.Test("not linked with libcurl", not_linked),
])
