#!/usr/bin/env python3
"""`send` posts a delivery as Fluid does, byte for byte, and the receiver takes it."""

import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import re
import socket
import ssl
import threading
import time

from harness import fluid, process, tap, web
from harness.command_site import CommandSite
from harness.fluid import Company, Droplet
from harness.fronts import Cgi
from harness.site import COMMAND, SOURCE
from harness.tap import equal
from harness.web import Request
from harness.webservers import Nginx, find
from standin import certificates

LIFECYCLE = ["Host", "User-Agent", "Accept", "Content-Type", "X-Fluid-Shop", "X-Fluid-Timestamp",
             "X-Fluid-Signature", "Content-Length"]
BUSINESS = LIFECYCLE[:7] + ["AUTH_TOKEN", "X-Fluid-Token", "Content-Length"]
FILES = SOURCE / "examples/deliveries"
SITES = []


def new_site(*args, **fields):
    site = CommandSite(*args, **fields)
    SITES.append(site)
    return site


def answer_of(status=200, body=b'{"status":"accepted"}\n', headers=()):
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Recorder:
    """A server that keeps the very bytes of each request and answers with `answer`: bytes, or None for
    nothing at all until it stops. Without listening: see silent()."""

    def __init__(self, answer=answer_of(), context=None):
        self.answer = answer
        self.context = context
        self.requests = []
        self.stopping = threading.Event()
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.sock.getsockname()[1]}/hook?a=b"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.sock.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError):
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            data = b""
            while b"\r\n\r\n" not in data:
                data += connection.recv(65536) or self._gone()
            head, _, body = data.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
            length = int(dict(headers).get("Content-Length", 0))
            while len(body) < length:
                body += connection.recv(65536) or self._gone()
            self.requests.append((lines[0], headers, body))
            if self.answer is None:
                self.stopping.wait()
            else:
                connection.sendall(self.answer)
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    @staticmethod
    def _gone():
        raise ConnectionError("the request is not whole")

    def only(self):
        """The one request since the last time: line, headers, body."""
        (request,) = self.requests
        self.requests = []
        return request


def check_signed(headers, body, secret):
    """Signed under this secret, now."""
    values = dict(headers)
    equal(values["X-Fluid-Signature"], fluid.signature(secret, values["X-Fluid-Timestamp"], body))
    assert abs(int(values["X-Fluid-Timestamp"]) - time.time()) < 60, values


def as_fluid_does():
    """The headers, their order and names, and the signature are Fluid's."""
    site = new_site()
    secret = site.droplets[0].secret
    version = site.ok("--version").decode().split()[1]
    with Recorder() as server:
        for event, names in (("droplet.installed", LIFECYCLE), ("droplet.uninstalled", LIFECYCLE),
                             ("order.created", BUSINESS)):
            out = site.ok("send", server.url, "--event", event).decode()
            line, headers, body = server.only()
            equal((event, line), (event, "POST /hook?a=b HTTP/1.1"))
            equal([name for name, _ in headers], names)
            values = dict(headers)
            equal([values[name] for name in ("Host", "User-Agent", "Content-Type", "X-Fluid-Shop")],
                  [server.url[7:-9], "fluidhook/" + version, "application/json", "example.fluid.app"])
            equal([values.get(name) for name in ("AUTH_TOKEN", "X-Fluid-Token")],
                  [secret, secret] if names is BUSINESS else [None, None])
            check_signed(headers, body, secret)
            status, _, ms, unit = out.splitlines()[0].split()
            equal((status, unit, out.splitlines()[1:]), ("200", "ms", ['{"status":"accepted"}']))
            assert 0 < float(ms) < 60000, out
        site.ok("send", server.url, "--shop", "acme")
        _, headers, body = server.only()
        equal((dict(headers)["X-Fluid-Shop"], json.loads(body)["company"]["fluid_shop"]),
              ("acme", "acme"))


def members(value, path=""):
    """Every scalar of a body by its place."""
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in members(inner, f"{path}/{key}").items()}
    return {path: value}


def fresh_bodies():
    """The bodies built in have the shape of the sample deliveries, and fresh ids each time."""
    site = new_site()
    same = {"event_name", "resource_name", "resource", "event", "contract_version", "fluid_shop", "name",
            "schema_version", "status", "total", "droplet_uuid", "exchange_endpoint", "timestamp",
            "exchange_token_expires_at"}
    with Recorder() as server:
        for words, sample in (((), "droplet_installed-flat-v1"),
                              (("--contract", "v2"), "droplet_installed-flat-v2"),
                              (("--event", "droplet.uninstalled"), "droplet_uninstalled-flat"),
                              (("--event", "order.created"), "order_created")):
            bodies = []
            for _ in range(2):
                site.ok("send", server.url, *words)
                bodies.append(members(json.loads(server.only()[2])))
            want = members(json.loads((FILES / f"{sample}.json").read_text()))
            equal((sample, want.keys() - bodies[0].keys() - {"/payload/schema_hash"}), (sample, set()))
            for path, value in bodies[0].items():
                if path in want:
                    equal((path, type(value)), (path, type(want[path])))
                name = path.split("/")[-1]
                assert value != bodies[1][path] or name in same, f"{sample}: {path} is not fresh"
                if name.endswith("_token") or name == "exchange_token":
                    fluid.CREDENTIALS.update((value, bodies[1][path]))
            for body in bodies:
                equal(body.get("/company/droplet_uuid", site.droplets[0].uuid),
                      site.droplets[0].uuid)
        assert 500 < fluid.seconds(bodies_expiry(site, server)) - time.time() < 700


def bodies_expiry(site, server):
    site.ok("send", server.url, "--contract", "v2")
    credentials = json.loads(server.only()[2])["company"]["credentials"]
    fluid.CREDENTIALS.add(credentials["exchange_token"])
    return credentials["exchange_token_expires_at"]


def behind(front):
    """The receiver behind nginx takes every body built in, and the records say so."""
    def test():
        site = new_site()
        front.start(site)
        url = f"http://127.0.0.1:{front.port}/webhook"

        def send(*words):
            out = json.loads(site.ok("send", url, "--json", *words))
            equal(out["error"], None)
            return out["status"], json.loads(out["answer"])

        status, one = send()
        equal((status, one["status"], one["event"]), (200, "accepted", "droplet.installed"))
        _, two = send("--shop", "Acme.Fluid.App")
        assert one["installation"] != two["installation"] and one["delivery"] != two["delivery"]
        for answer, shop in ((one, "example.fluid.app"), (two, "Acme.Fluid.App")):
            record = site.record(answer["installation"])
            equal((record["status"], record["fluid_shop"], record["droplet_uuid"]),
                  ("active", shop, site.droplets[0].uuid))
            fluid.CREDENTIALS.update((record["authentication_token"],
                                      record["webhook_verification_token"]))
        status, answer = send("--contract", "v2")
        equal((status, answer["status"]), (202, "pending"))
        record = site.record(answer["installation"])
        equal(record["status"], "pending")
        fluid.CREDENTIALS.add(record["exchange_token"])
        equal(send("--event", "droplet.uninstalled")[1]["event"], "droplet.uninstalled")
        status, answer = send("--event", "order.created")
        equal((status, answer["event"]), (200, "order.created"))
        # As an installation's own: signed with its key, and its shop says whose it is.
        key = site.record(two["installation"])["webhook_verification_token"]
        site.write(site.dir / "key", key + "\n")
        words = ("--event", "order.created", "--secret-file", site.dir / "key", "--shop", "acme")
        equal(send(*words)[1]["installation"], two["installation"])
        equal([(entry["event"], entry["verified_by"], entry["key"]) for entry in site.journal()][-2:],
              [("order.created", "signature", "droplet"), ("order.created", "signature", "installation")])
        site.write(site.dir / "key", fluid.credential("dws_"))
        # Not for a shop whose installation waits for its key: that gets 503.
        done = site.run("send", url, "--secret-file", site.dir / "key", "--shop", "other").fails(
            "fluidhook: answered 401: the receiver does not know this secret, or its clock is wrong, or a header was "
            'dropped; "fluidhook doctor URL" finds out')
        assert done.out.endswith(b'{"error":"unauthorized"}\n'), done
        front.stop()
        assert "msg=answer" in site.log_text()
    test.__doc__ = behind.__doc__
    return test


def through_cgi():
    """What was sent, handed to the receiver as a CGI byte for byte, is accepted."""
    site = new_site()
    front = Cgi()
    front.start(site)
    # A copy: the clone may lie where the user that everything runs as cannot go.
    enveloped = site.dir / "enveloped.json"
    site.write(enveloped, (FILES / "droplet_installed-enveloped-v2.json").read_text(encoding="utf-8"))
    with Recorder() as server:
        for words, status in (((), 200), (("--contract", "v2"), 202),
                              (("--event", "droplet.uninstalled"), 200),
                              (("--event", "order.created"), 200),
                              (("--body", enveloped), 403)):
            site.ok("send", server.url, *words)
            _, headers, body = server.only()
            headers = [pair for pair in headers if pair[0] not in ("Host", "Content-Length")]
            answer = front.send(Request(headers=headers, body=body))
            equal((words, answer.status), (words, status))


def own_bodies():
    """--body is sent unchanged, whatever is in it."""
    site = new_site()
    secret = site.droplets[0].secret
    file = site.dir / "body"
    order = fluid.encode({"name": "order_created", "payload": {
        "resource": "order", "event": "created", "company": {"fluid_shop": "acme.fluid.app"}}})
    install = b' {"resource":"droplet","event":"installed",\r\n"company":{"fluid_shop":"a b\\n"}}\n\n'
    with Recorder() as server:
        for body, names, shop in ((order, BUSINESS, "acme.fluid.app"),
                                  (install, LIFECYCLE, "example.fluid.app"),
                                  (b"", LIFECYCLE, "example.fluid.app"),
                                  (b"\0\xff\xfe no JSON\r\n", LIFECYCLE, "example.fluid.app"),
                                  (fluid.padded(order, 3 << 20), BUSINESS, "acme.fluid.app")):
            file.write_bytes(body)
            file.chmod(0o644)
            for where, stdin in ((file, b""), ("-", body)):
                site.ok("send", server.url, "--body", where, stdin=stdin)
                _, headers, got = server.only()
                assert got == body, (body[:80], got[:80])
                equal([name for name, _ in headers], names)
                equal(dict(headers)["X-Fluid-Shop"], shop)
                check_signed(headers, got, secret)
        site.ok("send", server.url, "--body", "-", "--event", "droplet.uninstalled", "--shop", "b",
                stdin=order)
        _, headers, _ = server.only()
        equal(([name for name, _ in headers], dict(headers)["X-Fluid-Shop"]), (LIFECYCLE, "b"))
        site.ok("send", server.url, "--body", "-", "--event", "cart.updated", stdin=b"{}")
        equal([name for name, _ in server.only()[1]], BUSINESS)
        site.run("send", server.url, "--body", "-", stdin=b"x" * (16 * 2 ** 20 + 1)).fails(
            "fluidhook: standard input: File too large")
        site.run("send", server.url, "--body", site.dir / "nowhere").fails(
            f"fluidhook: {site.dir}/nowhere: No such file or directory")
        equal(server.requests, [])


def secrets():
    """Which secret signs, and whose droplet it is."""
    site = new_site([Droplet("one"), Droplet("two")])
    one, two = site.droplets
    with Recorder() as server:
        for droplet in (one, two):
            site.ok("send", server.url, "--droplet", droplet.name)
            _, headers, body = server.only()
            check_signed(headers, body, droplet.secret)
            equal(json.loads(body)["company"]["droplet_uuid"], droplet.uuid)
        site.run("send", server.url).fails(
            f"fluidhook: {site.conf} has several droplets: say which with --droplet NAME")
        site.run("send", server.url, "--droplet", "three").fails(
            f"fluidhook: {site.conf}: no [droplet three]")
        key, file = fluid.credential("dws_"), site.dir / "key"
        site.write(file, f"# a remark\n\n{key}\n{one.secret}\n")
        site.ok("send", server.url, "--secret-file", file)
        check_signed(*server.only()[1:], key)
        site.ok("send", server.url, "--secret-file", file, "--droplet", "two")
        _, headers, body = server.only()
        check_signed(headers, body, key)
        equal(json.loads(body)["company"]["droplet_uuid"], two.uuid)
        for text, mode, why in ((key, 0o604, "open to other users: chmod o= it"),
                                (key, 0o000, "Permission denied"),
                                ("\n", 0o600, "there is no secret in it")):
            site.write(file, text, mode)
            site.run("send", server.url, "--secret-file", file).fails(f"fluidhook: {file}: {why}")
        site.secrets_file(one).chmod(0o644)
        site.run("send", server.url, "--droplet", "one").fails(
            f"fluidhook: {site.secrets_file(one)}: open to other users: chmod o= it")
        site.write(site.secrets_file(one), "# none\n")
        site.run("send", server.url, "--droplet", "one").fails(
            f'fluidhook: {site.secrets_file(one)}: no secret in it; "fluidhook register URL" or '
            '"fluidhook secret add" puts one there')
        equal(server.requests, [])


def without_configuration():
    """With --secret-file none is needed: not where there is none, nor where it has no secrets."""
    site = new_site()
    key, file = fluid.credential("dws_"), site.dir / "key"
    site.write(file, key)
    uuid = fluid.opaque("drp_")
    with Recorder() as server:
        site.write_conf(f"[droplet]\nuuid = {uuid}\n")
        site.ok("send", server.url, "--secret-file", file)
        _, headers, body = server.only()
        check_signed(headers, body, key)
        equal(json.loads(body)["company"]["droplet_uuid"], uuid)
        site.write_conf("state_dir = state\n")
        site.ok("send", server.url, "--secret-file", file)
        check_signed(*server.only()[1:], key)
        for mode in (0o000, None):
            if mode is None:
                site.conf.unlink()
            else:
                site.conf.chmod(mode)
            argv = [site.command, "send", server.url, "--secret-file", file]
            done = process.subprocess.run(argv, env=site.environment(FLUIDHOOK_CONF=str(site.conf)),
                                          capture_output=True, check=False, timeout=600,
                                          **process.identity())
            equal((mode, done.returncode, done.stderr), (mode, 0, b""))
            check_signed(*server.only()[1:], key)
            equal(site.run("send", server.url, "--secret-file", file).status, 2)
            equal(site.run("send", server.url).status, 2)
        equal(server.requests, [])


def answers():
    """What was answered is printed; anything but 2xx is status 1 and one line that says what it means."""
    site = new_site()
    with Recorder() as server:
        for status in (200, 202, 299):
            server.answer = answer_of(status, b"")
            equal(site.ok("send", server.url).split()[0], str(status).encode())
        for status, more in ((400, ""), (503, ""), (401, ": the receiver does not know this secret, or "
                             'its clock is wrong, or a header was dropped; "fluidhook doctor URL" finds out')):
            server.answer = answer_of(status, b'{"error":"x"}\n')
            done = site.run("send", server.url).fails(f"fluidhook: answered {status}{more}")
            equal(done.out.splitlines()[1], b'{"error":"x"}')
        server.requests.clear()
        server.answer = answer_of(301, b"", ["Location: /else\x9b\x1bwhere?\xc2\x9b2J"])
        (line,) = site.run("send", server.url).lines()
        assert line.startswith("fluidhook: answered 301, a redirect, which Fluid does not follow"), line
        assert "\x1b" not in line and "\x9b" not in line, line
        equal(len(server.requests), 1)
        server.answer = answer_of(200, b"\x1b[2J\xc2\x9b\n\xff\n")
        equal(site.ok("send", server.url).split(b"\n", 1)[1], b"\\x1b[2J\\x9b\\x0a\\xff\n")
        equal(json.loads(site.ok("send", server.url, "--json")),
              {"status": 200, "ms": JustNumber(), "answer": None, "error": None})
        server.answer = answer_of(500, '{"a":"\u00e4"}\n'.encode())
        done = site.run("send", server.url, "--json").fails("fluidhook: answered 500")
        equal(json.loads(done.out), {"status": 500, "ms": JustNumber(), "answer": '{"a":"\u00e4"}\n',
                                     "error": None})


class JustNumber:
    """Equal to every number that is not negative."""

    def __eq__(self, other):
        return isinstance(other, (int, float)) and other >= 0


def no_answers():
    """No answer, half of one, none of HTTP, too large a one: one line, and status 1."""
    site = new_site()
    with Recorder() as server:
        # What curl says differs from version to version.
        for answer, why in ((b"", "the connection was closed without an answer"),
                            (b"SSH-2.0-OpenSSH\r\n", "HTTP/0.9"),
                            (answer_of(200, b"x" * 9).replace(b": 9", b": 99"),
                             "the answer is not whole"),
                            (answer_of(200, b"x" * 300000), "the answer is larger than 256 KiB")):
            server.answer = answer
            done = site.run("send", server.url)
            equal((answer[:20], done.status, done.out), (answer[:20], 1, b""))
            (line,) = done.lines()
            head, said = line[:len(server.url) + 13], line[len(server.url) + 13:]
            equal(head, f"fluidhook: {server.url}: ")
            assert re.search(why, said), said
            done = site.run("send", server.url, "--json")
            equal(json.loads(done.out), {"status": None, "ms": JustNumber(), "answer": None,
                                         "error": said})
    done = site.run("send", server.url)
    assert done.status == 1 and len(done.lines()) == 1 and "onnect" in done.lines()[0], done


def addresses():
    """Only https, and http to this machine; no password in it. Nothing is sent otherwise."""
    site = new_site()
    for url in ("http://example.com/webhook", "ftp://127.0.0.1/", "127.0.0.1/webhook", "", "https://",
                "https://user:pw@example.com/", "https://example.com/a b", "https://example.com/#x",
                "http://127.0.0.1.example.com/"):
        done = site.run("send", url)
        equal((url, done.status, len(done.lines())), (url, 2, 1))
        assert "pw" not in done.err.decode(), done
    for words in ((), ("http://127.0.0.1/", "http://127.0.0.1/"), ("http://127.0.0.1/", "--event", "x.y"),
                  ("http://127.0.0.1/", "--contract", "v3"), ("http://127.0.0.1/", "--shop", "a b"),
                  ("http://127.0.0.1/", "--shop", "a\r\nX: y"),
                  ("http://127.0.0.1/", "--body", "/dev/null", "--contract", "v2")):
        equal((words, site.run("send", *words).status), (words, 2))


def tls():
    """The site's certificate is verified before anything is sent."""
    site = new_site()
    directory = pathlib.Path(process.temporary_directory())
    ca = certificates.authority(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate(directory))
    with Recorder(context=context) as server:
        done = site.run("send", server.url)
        assert done.status == 1 and len(done.lines()) == 1 and "certificate" in done.lines()[0], done
        equal(server.requests, [])
        site.write(site.dir / "ca.pem", ca.read_text(), 0o644)
        site.fluid["ca_file"] = "ca.pem"
        site.write_conf()
        assert site.run("send", server.url).status == 1, "ca_file is for Fluid's API"
        site.ok("send", server.url, SSL_CERT_FILE=str(site.dir / "ca.pem"))
        check_signed(*server.only()[1:], site.droplets[0].secret)


class Waiting:
    """Calls that take as long as Fluid waits: begun first, looked at in the end."""
    site = None
    calls = {}

    @classmethod
    def start(cls):
        cls.site = new_site()
        cls.server = Recorder(answer=None)
        cls.silent = socket.create_server(("127.0.0.1", 0))
        cls.begun = time.monotonic()
        for name, words in (("business", (cls.server.url, "--event", "order.created")),
                            ("lifecycle", (cls.server.url,)),
                            ("handshake", (f"https://127.0.0.1:{cls.silent.getsockname()[1]}/",))):
            cls.calls[name] = cls.site.start("send", *words)


def begin_waiting():
    """While a delivery is being sent, no secret is in the arguments of any process."""
    Waiting.start()
    process.wait_until(lambda: len(Waiting.server.requests) == 2, "nothing arrives")
    seen = b""
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit():
                seen += pathlib.Path(f"/proc/{entry}/cmdline").read_bytes() + b"\0"
    assert seen.count(os.fsencode(Waiting.site.command)) >= 3
    equal([word for word in fluid.CREDENTIALS if word.encode() in seen], [])


def end_waiting():
    """5 seconds for a connection, 15 for the answer to a business event, more for a lifecycle event."""
    site, calls = Waiting.site, Waiting.calls
    try:
        done = site.finish(calls["handshake"])
        (line,) = done.lines()
        assert done.status == 1 and "within 30" not in line, line
        done = site.finish(calls["business"])
        took = time.monotonic() - Waiting.begun
        done.fails(f"fluidhook: {Waiting.server.url}: no answer within 15 s")
        assert took > 14.5, took
        assert calls["lifecycle"].poll() is None
    finally:
        for proc in calls.values():
            proc.kill()
        site.finish(calls["lifecycle"])
        Waiting.server.__exit__()
        Waiting.silent.close()


def no_leaks():
    """Of all that was printed and logged, nothing is a token, a secret or a signature."""
    assert sum(len(text) for site in SITES for text in site.said) > 5000
    equal([word for site in SITES for word in site.leaks()], [])


if not COMMAND.is_file():
    tap.bail(f"there is no {COMMAND}: build first")
TESTS = [begin_waiting, as_fluid_does, fresh_bodies, through_cgi, own_bodies, secrets,
         without_configuration, answers, no_answers, addresses, tls]
if find("nginx"):
    TESTS.append(behind(Nginx()))
tap.run([tap.Test(function.__doc__.split("\n")[0].rstrip("."), function)
         for function in TESTS + [end_waiting, no_leaks]])
