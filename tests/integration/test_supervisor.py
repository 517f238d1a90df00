#!/usr/bin/env python3
"""--listen: the supervisor, its socket, and stopping and reloading without losing a request."""

import grp
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time

from harness import fcgi, fluid, process, tap
from harness.fluid import Company, Droplet
from harness.fronts import Listen, ListenTcp, SpawnFcgi
from harness.process import wait_until
from harness.site import RECEIVER, Site
from harness.web import NoAnswer, Request
from harness.webservers import find


def started(front=None, site=None, arguments=()):
    """A receiver that answers, and its site."""
    front = front or Listen()
    front.arguments = list(arguments)
    front.start(site or Site())
    return front, front.site


def install(site):
    body = Company(site.droplets[0]).install()
    return Request(headers=fluid.signed(site.droplets[0].secret, body), body=body)


def once(site, address):
    """Run a receiver that should end by itself. Returns what it said."""
    return subprocess.run([site.receiver, "-c", site.conf, "--listen", address],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600,
                          env=process.environment(), check=False, **process.identity())


def socket_modes():
    """The socket has mode 0660 or what --socket-mode says, and is gone after SIGTERM."""
    for mode, arguments in ((0o660, []), (0o600, ["--socket-mode", "0600"]),
                            (0o666, ["--socket-mode=666"])):
        front, site = started(arguments=arguments)
        found = stat.S_IMODE(os.stat(front.address).st_mode)
        assert found == mode, f"{found:04o} instead of {mode:04o}"
        assert front.stop() == 0
        assert not os.path.exists(front.address), "the socket stayed"
        site.close()


def socket_groups():
    """--socket-group: one we have is set; an unknown one is an error"""
    site = Site()
    done = subprocess.run([site.receiver, "-c", site.conf, "--listen", f"unix:{site.dir}/s",
                           "--socket-group", "no-such-group-here"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=600, check=False,
                          env=process.environment(), **process.identity())
    assert done.returncode in (1, 2) and "no-such-group-here" in done.stderr, done
    assert not (site.dir / "s").exists()
    gid = process.USER.pw_gid if process.USER else os.getegid()
    front, site = started(site=site, arguments=["--socket-group", grp.getgrgid(gid).gr_name])
    assert os.stat(front.address).st_gid == gid
    front.stop()


def stale_socket():
    """A socket that a crash left behind is replaced."""
    front, site = started()
    children = process.children(front.proc.pid)
    os.kill(front.proc.pid, signal.SIGKILL)
    front.proc.wait()
    wait_until(lambda: not process.session_members(front.proc.pid),
               f"the children {children} outlive the supervisor")
    assert os.path.exists(front.address), "no stale socket to begin with"
    front, site = started(site=site)
    assert front.send(Request("GET")).status == 200
    front.stop()


def live_socket():
    """A socket that somebody listens on is refused, and so is a file that is no socket."""
    front, site = started()
    done = once(site, "unix:" + front.address)
    assert done.returncode in (1, 2) and "in use" in done.stderr, done
    assert front.send(Request("GET")).status == 200, "the first one does not answer any more"
    plain = site.dir / "plain"
    plain.write_text("precious")
    done = once(site, f"unix:{plain}")
    assert done.returncode in (1, 2) and done.stderr, done
    assert plain.read_text() == "precious"
    front.stop()
    front, site = started(ListenTcp())
    done = once(site, f"127.0.0.1:{front.address[1]}")
    assert done.returncode in (1, 2) and done.stderr, done
    assert front.send(Request("GET")).status == 200
    front.stop()


def child_restarted():
    """A serving process that dies is replaced, and says so in the log."""
    front = Listen()
    # What a careless parent leaves ignored.
    front.prepare = lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    front, site = started(front)
    for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGKILL):
        old = front.serving()
        os.kill(old, number)
        new = wait_until(lambda: [pid for pid in process.children(front.proc.pid) if pid != old],
                         "no new serving process")
        assert new
        front.wait_ready()
    assert front.send(install(site)).status == 200
    assert "died" in site.log_text() or "signal" in site.log_text(), site.log_text()
    front.stop()


def half_sent(front, request):
    """A connection with a request of which the last byte of the body is missing."""
    sock = fcgi.connect(front.address)
    fcgi.begin(sock, fcgi.params_of(request))
    sock.sendall(fcgi.record(fcgi.STDIN, request.body[:-1]))
    return sock


def finish(sock, request):
    sock.sendall(fcgi.record(fcgi.STDIN, request.body[-1:]) + fcgi.record(fcgi.STDIN))
    try:
        return fcgi.parse_cgi(fcgi.read_answer(sock)[0])
    finally:
        sock.close()


def sigterm_drains(front_class):
    """SIGTERM: what is in flight is finished and answered, then the exit status is 0."""
    front, site = started(front_class())
    requests = [install(site) for _ in range(8)]
    socks = [half_sent(front, r) for r in requests]
    # Each of these was accepted after those, which stand before it in the queue.
    assert front.send(Request("GET")).status == 200
    os.kill(front.proc.pid, signal.SIGTERM)
    wait_until(lambda: stopped_accepting(front), "it goes on accepting after SIGTERM")
    assert front.proc.poll() is None, "it ended with requests in flight"
    for sock, request in zip(socks, requests):
        response = finish(sock, request)
        assert response.status == 200, response
    assert front.proc.wait(process.DEADLINE) == 0, front.proc.returncode
    front.stop()
    assert sorted(e["body"] for e in site.journal()) == sorted(r.body for r in requests)


def stopped_accepting(front):
    """Nobody answers a new connection any more."""
    try:
        sock = fcgi.connect(front.address)
    except NoAnswer:
        return True
    sock.settimeout(0.3)
    try:
        fcgi.begin(sock, fcgi.params_of(Request("GET")))
        sock.sendall(fcgi.record(fcgi.STDIN))
        sock.recv(1)
        return False
    except (TimeoutError, socket.timeout, OSError):
        return True
    finally:
        sock.close()


def sighup_drains():
    """SIGHUP: requests in flight are finished by the old process, new ones see the new settings"""
    front, site = started()
    request = install(site)
    sock = half_sent(front, request)
    assert front.send(Request("GET")).status == 200
    old = front.serving()
    site.settings["max_body"] = "2048"
    site.write_conf()
    os.kill(front.proc.pid, signal.SIGHUP)
    large = Request(body=b"x" * 3000)
    wait_until(lambda: front.send(large).status == 413, "the new max_body does not count")
    assert finish(sock, request).status == 200
    wait_until(lambda: process.children(front.proc.pid) != [] and
               old not in process.children(front.proc.pid), "the old process does not end")
    assert front.stop() == 0


def broken_reload(front_class):
    """SIGHUP with a broken configuration: an error in the log, and the old one stays"""
    front, site = started(front_class())
    good = site.conf_text()
    site.write_conf(good + "\n[nonsense]\nx = y\n")
    os.kill(front.proc.pid, signal.SIGHUP)
    wait_until(lambda: re.search(r"level=error .*fluidhook\.conf:\d+:", site.log_text()),
               "the mistake is not logged with file and line")
    assert front.send(install(site)).status == 200
    site.conf.unlink()
    os.kill(front.proc.pid, signal.SIGHUP)
    wait_until(lambda: "No such file" in site.log_text(), "the missing file is not logged")
    assert front.send(install(site)).status == 200
    site.write_conf(good.replace("log_level", "max_body = 1K\nlog_level"))
    os.kill(front.proc.pid, signal.SIGHUP)
    wait_until(lambda: front.send(Request(body=b"x" * 2000)).status == 413,
               "a good configuration is not taken afterwards")
    assert front.stop() == 0


def replace_program(site, script):
    """Put a script in the program's place in one step, as an upgrade puts a new program there."""
    new = site.dir / "new"
    new.write_text(script)
    new.chmod(0o755)
    os.rename(new, site.receiver)


def new_program_by_sighup():
    """SIGHUP takes a new program as well. One that does not start leaves the old one in service, and
    without a program the one that runs is started again."""
    front, site = started()

    def program():
        """The program that serves."""
        children = process.children(front.proc.pid)
        try:
            return os.readlink(f"/proc/{children[0]}/exe") if len(children) == 1 else None
        except OSError:
            return None

    assert front.send(install(site)).status == 200
    wait_until(lambda: program() == str(site.receiver), "it does not execute its program")
    replace_program(site, f'#!/bin/sh\nexec {RECEIVER} "$@"\n')
    os.kill(front.proc.pid, signal.SIGHUP)
    wait_until(lambda: program() == str(RECEIVER), "the new program does not serve")
    assert front.send(install(site)).status == 200
    serving = process.children(front.proc.pid)
    replace_program(site, "#!/bin/sh\nexit 3\n")
    os.kill(front.proc.pid, signal.SIGHUP)
    wait_until(lambda: "status 3" in site.log_text(), "the broken program is not started")
    assert front.send(install(site)).status == 200
    assert process.children(front.proc.pid) == serving, "a program that does not start replaces one that serves"
    os.unlink(site.receiver)
    os.kill(serving[0], signal.SIGKILL)
    wait_until(lambda: program() == f"{site.receiver} (deleted)", "the running program is not started again")
    assert front.send(install(site)).status == 200
    assert "program cannot be executed" in site.log_text()
    assert front.stop() == 0


def new_droplet_by_sighup():
    """A droplet added to the configuration counts after SIGHUP."""
    front, site = started(site=Site([Droplet("one")]))
    new = Droplet("two")
    body = Company(new).install()
    request = Request(headers=fluid.signed(new.secret, body), body=body)
    assert front.send(request).status == 401
    site.droplets.append(new)
    site.write_secrets(new)
    site.write_conf()
    os.kill(front.proc.pid, signal.SIGHUP)
    wait_until(lambda: front.send(request).status == 200, "the new droplet is not known")
    front.stop()


def idle_reloads():
    """SIGHUP on an idle server, again and again: a single request then is always answered."""
    front, site = started()
    for number in range(60):
        os.kill(front.proc.pid, signal.SIGHUP)
        end = time.monotonic() + 0.02
        while time.monotonic() < end:
            assert front.send(Request("GET")).status == 200, f"reload {number}"
    assert front.stop() == 0


def settled_files():
    """Secrets and records that lay unchanged for seconds, so that they are kept in mind, count as
    they are now soon after they are replaced, and new keys at once."""
    front, site = started()
    droplet = site.droplets[0]
    company = Company(droplet)
    body = company.install()
    assert front.send(Request(headers=fluid.signed(droplet.secret, body), body=body)).status == 200
    secrets, record = site.secrets_file(droplet), site.record_path(company.dri)

    def statuses(secret, key):
        order = company.order()
        return [front.send(Request(headers=fluid.signed(k, order, shop=company.shop),
                                   body=order)).status for k in (secret, key)]

    def settle():
        wait_until(lambda: time.time() - max(secrets.stat().st_ctime, record.stat().st_ctime) > 3.5,
                   "time does not pass")

    for after in (lambda: None, settle):
        settle()
        for _ in range(3):
            assert statuses(droplet.secret, company.wvt) == [200, 200]
        old = droplet.secret, company.wvt
        droplet.secrets = [fluid.credential("dws_") for _ in droplet.secrets]
        company.wvt = fluid.credential("wvt_")
        site.write_secrets(droplet)
        site.write(record, record.read_text().replace(old[1], company.wvt))
        after()
        assert statuses(droplet.secret, company.wvt) == [200, 200], "new keys do not count at once"
        # Retired keys may count for 10 ms more.
        wait_until(lambda: statuses(*old) == [401, 401], "retired keys still count")
    front.stop()


def slow_clients():
    """Clients that hold connections open and send nothing do not keep others out for ever"""
    front, site = started(arguments=["--threads", "4"])
    idle = [fcgi.connect(front.address) for _ in range(3)]
    answers = []

    def one():
        answers.append(front.send(install(site)).status)

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == [200] * 20, answers
    for sock in idle:
        sock.close()
    front.stop()


def odd_records():
    """Bytes that are no FastCGI, an aborted request, other roles: the next request is answered"""
    front, site = started()
    request = install(site)
    for data in (b"GET / HTTP/1.0\r\n\r\n", b"\0" * 100, b"\1", b"\1\1\0\1\xff\xff\0\0abc",
                 fcgi.record(fcgi.ABORT_REQUEST), fcgi.record(99, b"?"),
                 fcgi.record(fcgi.BEGIN_REQUEST, b"\0\3\0\0\0\0\0\0") + fcgi.parameters([]),
                 fcgi.record(fcgi.BEGIN_REQUEST, b"\0\1\0\0\0\0\0\0")
                 + fcgi.record(fcgi.PARAMS, b"\xff\xff\xff\xff\xff\xff\xff\xff")
                 + fcgi.record(fcgi.PARAMS) + fcgi.record(fcgi.STDIN)):
        sock = fcgi.connect(front.address)
        try:
            sock.sendall(data)
        except OSError:
            pass
        sock.close()
    sock = half_sent(front, request)
    sock.sendall(fcgi.record(fcgi.ABORT_REQUEST))
    sock.close()
    assert front.send(Request("GET")).status == 200
    assert site.journal() == []
    assert front.send(request).status == 200
    assert front.stop() == 0


def relative_path():
    """A relative path is made absolute, so that the log and the end name the right file."""
    front = Listen()
    front.site = site = Site()
    front.address = str(site.dir / "relative.sock")
    with site.log("receiver.log") as log:
        front.proc = process.start([*front.command(site), "--listen", "unix:relative.sock"],
                                   prepare=lambda: os.chdir(site.dir), stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, env=process.environment())
    front.wait_ready()
    assert f"msg=listening address={front.address}\n" in site.log_text(), site.log_tail()
    assert front.stop() == 0
    assert not os.path.exists(front.address)


def addresses_refused():
    """An address that would listen somewhere else than it says is an error, and names the hint."""
    site = Site()
    cases = [("127.0.0.1:99999", "65535"), ("127.0.0.1:0", "65535"), ("127.0.0.1:http", "65535"),
             ("127.0.0.1:", "65535"), ("127.0.0.1:+80", "65535"), ("*:9000", "127.0.0.1"),
             ("unix:@name", "./@"), ("::1:9000", "[::1]"), ("x" * 300 + ":9000", "too long")]
    families = {info[0] for info in socket.getaddrinfo("localhost", 9000, type=socket.SOCK_STREAM)}
    if len(families) > 1:
        cases.append(("localhost:9000", "several addresses"))
    for address, word in cases:
        done = once(site, address)
        assert done.returncode == 1 and word in done.stderr, (address, done)
    assert sorted(path.name for path in site.dir.iterdir() if path.is_socket()) == []


def successor_keeps_its_socket():
    """A receiver that stops does not remove the socket that another one has put into its place."""
    first, site = started()
    os.kill(first.proc.pid, signal.SIGSTOP)
    os.unlink(first.address)
    second, _ = started(Listen(), site)
    os.kill(first.proc.pid, signal.SIGCONT)
    assert first.stop() == 0
    assert os.path.exists(second.address), "the other receiver's socket is gone"
    assert second.send(install(site)).status == 200
    assert second.stop() == 0
    assert not os.path.exists(second.address)


def removed_socket():
    """A socket that was removed is made again; a request on its way is answered."""
    front, site = started()
    request = install(site)
    sock = fcgi.connect(front.address)
    fcgi.begin(sock, fcgi.params_of(request))
    assert front.send(Request("GET")).status == 200
    os.unlink(front.address)
    wait_until(lambda: os.path.exists(front.address), "no new socket")
    front.wait_ready()
    assert stat.S_IMODE(os.stat(front.address).st_mode) == 0o660
    assert front.send(install(site)).status == 200
    sock.sendall(fcgi.record(fcgi.STDIN, request.body) + fcgi.record(fcgi.STDIN))
    assert fcgi.parse_cgi(fcgi.read_answer(sock)[0]).status == 200
    sock.close()
    assert "the socket was removed" in site.log_text()
    assert front.stop() == 0
    assert not os.path.exists(front.address)


if not RECEIVER.is_file():
    tap.bail(f"there is no {RECEIVER}: build first")
TESTS = [
    tap.Test("the socket's mode, and its end", socket_modes),
    tap.Test("the socket's group", socket_groups),
    tap.Test("a stale socket is replaced, no process outlives a killed supervisor", stale_socket),
    tap.Test("a live socket is refused", live_socket),
    tap.Test("a serving process that dies is replaced", child_restarted),
    tap.Test("SIGTERM drains: --listen", lambda: sigterm_drains(Listen)),
    tap.Test("SIGHUP drains and swaps", sighup_drains),
    tap.Test("SIGHUP with a broken configuration: --listen", lambda: broken_reload(Listen)),
    tap.Test("SIGHUP takes a new program", new_program_by_sighup),
    tap.Test("SIGHUP on an idle server", idle_reloads),
    tap.Test("SIGHUP brings a new droplet", new_droplet_by_sighup),
    tap.Test("files that have settled and are replaced", settled_files),
    tap.Test("idle connections keep nobody out", slow_clients),
    tap.Test("odd records harm nobody", odd_records),
    tap.Test("a relative path of a socket", relative_path),
    tap.Test("addresses that are refused", addresses_refused),
    tap.Test("a successor's socket stays", successor_keeps_its_socket),
    tap.Test("a removed socket is made again", removed_socket),
]
if find("spawn-fcgi"):
    TESTS += [
        tap.Test("SIGTERM drains: spawn-fcgi", lambda: sigterm_drains(SpawnFcgi)),
        tap.Test("SIGHUP with a broken configuration: spawn-fcgi",
                 lambda: broken_reload(SpawnFcgi)),
    ]
tap.run(TESTS)
