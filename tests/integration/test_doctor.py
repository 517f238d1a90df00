#!/usr/bin/env python3
"""doctor: one line for each step of the way, and for everything that can be wrong on it the hint."""

import contextlib
import functools
import http.server
import json
import ssl
import subprocess
import threading
import time
from email.utils import formatdate
from pathlib import Path

from harness import fluid, process, tap, web
from harness.command import Command
from harness.fluid import Droplet
from harness.site import Site
from harness.webservers import Apache, ApacheCgid, ApacheFcgid, Nginx, NginxSite, find

STEPS = ["name", "tls", "routing", "health", "probe", "headers", "body size", "clock", "time"]


class PlainNginx(Nginx):
    """As somebody has it who has not read all of the README. lines: of the server block; changes: in the
    snippet, pairs of old and new."""
    lines = "underscores_in_headers on;"
    changes = []

    def snippet(self):
        text = super().snippet()
        for old, new in self.changes:
            assert old in text
            text = text.replace(old, new)
        return text

    def http(self):
        return super().http().replace("underscores_in_headers on;", self.lines)


class ApacheWithoutFix(ApacheCgid):
    """apache/cgi-bin.conf without the lines for AUTH_TOKEN."""

    def own_files(self):
        super().own_files()
        path = self.prefix / "fluidhook.conf"
        lines = path.read_text().splitlines()
        self.site.write(path, "\n".join(line for line in lines if "auth_token" not in line) + "\n")


@contextlib.contextmanager
def behind(front, site=None):
    """A site behind this web server, and a function that runs doctor on it."""
    site = site or Site()
    if not find(*(("apache2", "httpd") if isinstance(front, Apache) else ("nginx",))):
        raise tap.Skip(f"{front.name} is missing")
    front.start(site)
    command = Command(site)
    try:
        yield site, command, Doctor(front, command)
    finally:
        front.stop()
        said = "".join(command.said) + site.log_text()
        site.close()
        for secret in fluid.CREDENTIALS:
            assert secret not in said, f"{secret} was shown"


class Doctor:
    """What doctor says, by step; its exit status is checked against that."""

    def __init__(self, front, command):
        self.front = front
        self.command = command

    def __call__(self, url=None, **more):
        url = url or f"http://127.0.0.1:{self.front.port}{self.front.path}"
        done = self.command.run("doctor", url, "--json", **more)
        steps = {}
        for line in done.stdout.splitlines():
            step = json.loads(line)
            steps[step["check"]] = step
        assert done.stderr == "" and steps, (done.stdout, done.stderr)
        assert done.returncode == (0 if all(s["ok"] for s in steps.values()) else 1), done
        for step in steps.values():
            assert step["ok"] == (step["hint"] is None), step
        return steps


def wrong(steps):
    return [name for name, step in steps.items() if not step["ok"]]


def all_well():
    """Behind nginx as the README has it nothing is wrong, and nothing is stored."""
    with behind(Nginx()) as (site, command, doctor):
        steps = doctor()
        assert list(steps) == STEPS and wrong(steps) == [], steps
        lines = command.ok("doctor", f"http://127.0.0.1:{doctor.front.port}/webhook").splitlines()
        assert len(lines) == len(STEPS) and all(line.startswith("\u2713 ") for line in lines), lines
        assert site.journal_files() == []


def dropped_header():
    """AUTH_TOKEN dropped: the line that mends it, of the web server that dropped it."""
    front = PlainNginx()
    front.lines = ""
    with behind(front) as (_, command, doctor):
        steps = doctor()
        assert wrong(steps) == ["headers"], steps
        assert "underscores_in_headers on;" in steps["headers"]["hint"]
        assert "SetEnvIf" not in steps["headers"]["hint"]
        out, _ = command.fails(1, "doctor", f"http://127.0.0.1:{front.port}/webhook")
        assert "\u2717 headers       AUTH_TOKEN does not arrive" in out, out
    with behind(ApacheWithoutFix()) as (_, _, doctor):
        steps = doctor()
        assert wrong(steps) == ["headers"], steps
        hint = steps["headers"]["hint"]
        assert "SetEnvIfNoCase ^AUTH.TOKEN$ ^(.+)$ fix_auth_token=$1" in hint
        assert "underscores_in_headers" not in hint


def small_bodies():
    """A web server that takes only small bodies."""
    front = PlainNginx()
    front.changes = [("client_max_body_size 2m;", "client_max_body_size 100k;")]
    with behind(front) as (site, _, doctor):
        steps = doctor()
        assert wrong(steps) == ["body size"] and "413" in steps["body size"]["text"], steps
        assert "client_max_body_size" in steps["body size"]["hint"]
        assert "the largest that arrives has 99 kB" in steps["body size"]["text"], steps


def cut_off():
    """Something on the way cuts large bodies off, and the receiver refuses them: the size is named."""
    def cut(headers, body):
        return Answering.probe(headers, body) if len(body) <= 300 * 1024 else b'{"error":"unauthorized"}'

    with Answering(cut) as server, over_plain(server) as doctor:
        steps = doctor(server.url)
        assert wrong(steps) == ["body size"], steps
        assert "the largest that arrives has 299 kB" in steps["body size"]["text"], steps
        assert "cuts bodies off" in steps["body size"]["hint"], steps


def small_max_body():
    """A receiver whose max_body is smaller than that of the configuration here."""
    with behind(Nginx(), Site(max_body="100K")) as (site, _, doctor):
        assert wrong(doctor()) == []
        # Here it is larger than there.
        site.write(site.dir / "other.conf", site.conf_text().replace("100K", "1M"))
        site.conf = site.dir / "other.conf"
        steps = doctor()
        assert "the largest that arrives has 99 kB" in steps["body size"]["text"], steps
        assert wrong(steps) == ["body size"] and "max_body in" in steps["body size"]["hint"], steps


def no_route():
    """Paths that lead elsewhere: nowhere, to a redirect, to a password, to no receiver."""
    front = PlainNginx()
    front.changes = [("location = /webhook {", """
        location = /moved { return 308 /webhook; }
        location = /closed { deny all; }
        location = /other { return 200 'hello'; }
        location = /down { return 502; }
        location = /webhook {""")]
    with behind(front) as (_, _, doctor):
        base = f"http://127.0.0.1:{front.port}"
        for path, says, hint in (
                ("/nothing", "404", "knows no such path"), ("/moved", "308", "redirects"),
                ("/closed", "403", "lets nobody in"), ("/other", "200", "Something else"),
                ("/down", "502", "does not reach the receiver")):
            steps = doctor(base + path)
            assert wrong(steps) == ["routing"], (path, steps)
            assert says in steps["routing"]["text"] and hint in steps["routing"]["hint"], steps
        assert "/webhook" in doctor(base + "/moved")["routing"]["text"]


def receiver_down():
    """The web server answers, the receiver does not."""
    with behind(Nginx()) as (_, _, doctor):
        doctor.front.behind.stop()
        steps = doctor()
        assert wrong(steps) == ["routing"] and "502" in steps["routing"]["text"], steps


def nobody_listens():
    """No web server at all, and a name that does not exist."""
    with behind(Nginx()) as (_, _, doctor):
        steps = doctor(f"http://127.0.0.1:{web.free_port()}/webhook")
        assert wrong(steps) == ["connection"] and "firewall" in steps["connection"]["hint"], steps
        steps = doctor("https://fluidhook.invalid/webhook")
        assert wrong(steps) == ["name"] and list(steps) == ["name"], steps


def unknown_secret():
    """A receiver with other secrets: its answer does not tell, but what to look at is said."""
    with behind(Nginx()) as (site, command, doctor):
        other = Droplet()
        site.write(site.dir / "other.secrets", other.secret + "\n")
        site.write(site.dir / "other.conf",
                   site.conf_text().replace("droplet.secrets", "other.secrets"))
        steps = doctor(FLUIDHOOK_CONF="")
        assert wrong(steps) == [], steps
        site.conf = site.dir / "other.conf"
        steps = doctor()
        assert wrong(steps) == ["probe"] and "401" in steps["probe"]["text"], steps
        assert "does not know this secret" in steps["probe"]["hint"], steps


def not_healthy():
    """The receiver cannot store anything."""
    with behind(Nginx(), Site(min_free="900000G")) as (_, _, doctor):
        steps = doctor()
        assert wrong(steps) == ["health"], steps
        assert "fluidhook check" in steps["health"]["hint"]


def certificates():
    """TLS: unknown to us; known; for another name; nearly over."""
    front = NginxSite()
    front.tls = ssl._create_unverified_context()    # doctor's trust is what is looked at here
    with behind(front) as (site, _, doctor):
        url = f"https://localhost:{front.port}/webhook"
        steps = doctor(url)
        assert wrong(steps) == ["tls"] and list(steps) == ["name", "tls"], steps
        # Without the system's authorities it cannot tell.
        assert ("authority that everybody trusts" in steps["tls"]["hint"] or
                "error setting certificate" in steps["tls"]["text"] and
                "ca-certificates" in steps["tls"]["hint"]), steps
        # What is trusted for Fluid's API does not count: Fluid does not trust it for this site.
        site.write_conf(site.conf_text() + f"[fluid]\nca_file = {front.prefix}/certificate.pem\n")
        assert wrong(doctor(url)) == ["tls"]
        trusted = {"SSL_CERT_FILE": f"{front.prefix}/certificate.pem"}
        steps = doctor(url, **trusted)
        assert wrong(steps) == [] and list(steps) == STEPS, steps
        # Made for two days: whole ones are counted, and a second of them may be over.
        assert any(f", {n} more days" in steps["tls"]["text"] for n in (1, 2)), steps
        steps = doctor(url, SSL_CERT_FILE=str(site.dir / "droplet.secrets"))
        assert wrong(steps) == ["tls"] and "$SSL_CERT_FILE" in steps["tls"]["hint"], steps
        steps = doctor(f"https://127.0.0.1:{front.port}/webhook", **trusted)
        assert wrong(steps) == ["tls"] and "name in the URL" in steps["tls"]["hint"], steps


def nearly_over():
    """A certificate in the last tenth of its life, and one that is over it."""
    for days, says in ((2, "48 more hours"), (-1, "expired")):
        with Answering(days=days) as server, over_plain(server) as doctor:
            steps = doctor(server.url)
            assert wrong(steps) == ["tls"] and "Renew" in steps["tls"]["hint"], steps
            assert says in steps["tls"]["text"], steps


CA = """
[ca]
default_ca = x
[x]
database = {directory}/index
serial = {directory}/serial
new_certs_dir = {directory}
default_md = sha256
policy = p
x509_extensions = e
[p]
commonName = supplied
[e]
subjectAltName = DNS:localhost
basicConstraints = CA:true
"""


def make_certificate(directory, days):
    """A certificate of 90 days that ends in so many days (openssl req knows no times). Returns its path."""
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, cwd=directory)

    def when(seconds):
        return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(fluid.now() + seconds))

    path = Path(directory)
    (path / "ca.conf").write_text(CA.format(directory=directory))
    (path / "index").touch()
    (path / "serial").write_text("01\n")
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout",
            "key.pem", "-out", "request.pem")
    openssl("ca", "-config", "ca.conf", "-batch", "-notext", "-selfsign", "-keyfile", "key.pem", "-in",
            "request.pem", "-out", "certificate.pem", "-startdate", when((days - 90) * 86400),
            "-enddate", when(days * 86400 + 60))
    process.give(path / "certificate.pem")
    return path / "certificate.pem"


class Answering:
    """A site of a few lines, for what no real web server does on demand."""

    def __init__(self, answer=None, date=None, days=None, server=None):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def date_time_string(self, timestamp=None):
                return date or formatdate(usegmt=True)

            def version_string(self):
                return server or "a few lines"

            def do_CONNECT(self):
                self.send_error(407)

            def do_GET(self):
                outer.reply(self, b'{"status":"ok"}\n')

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.reply(self, (answer or outer.probe)(self.headers, body))

        self.directory = process.temporary_directory()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        self.ca = None
        if days is not None:
            self.ca = make_certificate(self.directory, days)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.ca, f"{self.directory}/key.pem")
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.server.handle_error = lambda *_: None
            self.url = self.url.replace("http://127.0.0.1", "https://localhost")

    @staticmethod
    def reply(handler, body):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    @staticmethod
    def probe(headers, _body):
        names = [name for name in headers if name.lower().startswith("x-fluid-") or
                 name == "AUTH_TOKEN"]
        return json.dumps({"status": "probe", "headers": names}).encode()

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def over_plain(server):
    """A doctor for whom this server's authority is one of the system's."""
    site = Site()
    doctor = Doctor(None, Command(site))
    try:
        yield functools.partial(doctor, SSL_CERT_FILE=str(server.ca)) if server.ca else doctor
    finally:
        site.close()


def wrong_clock():
    """The web server's clock is wrong."""
    for seconds, says in ((-400, "behind"), (400, "ahead")):
        with Answering(date=formatdate(fluid.now() + seconds, usegmt=True)) as server, \
                over_plain(server) as doctor:
            steps = doctor(server.url)
            assert wrong(steps) == ["clock"] and says in steps["clock"]["text"], steps
            assert "NTP" in steps["clock"]["hint"]


def taken_out():
    """A proxy takes the signature out, or somebody else answers to a POST."""
    def without(headers, body):
        return Answering.probe([n for n in headers if n != "X-Fluid-Signature"], body)

    with Answering(without) as server, over_plain(server) as doctor:
        steps = doctor(server.url)
        assert wrong(steps) == ["headers"], steps
        assert "X-Fluid-Signature does not arrive" in steps["headers"]["text"]
    for other in (b"thank you", b'{"status":"probe"', b'{"status":"accepted"}'):
        with Answering(lambda *_, other=other: other) as server, over_plain(server) as doctor:
            steps = doctor(server.url)
            assert wrong(steps) == ["probe"], (other, steps)


def hostile_names():
    """What a site calls itself does nothing to a terminal, whatever that speaks, and breaks no JSON."""
    with Answering(server="ng\x1b[31minx \x9b31m\xe9") as server, over_plain(server) as doctor:
        out = doctor.command.ok("doctor", server.url)
        assert "behind ng\\x1b[31minx \\x9b31m\\xe9\n" in out and "\x1b" not in out, out
        steps = doctor(server.url)
        assert "ng\x1b[31minx ?31m?" in steps["routing"]["text"], steps


def behind_a_proxy():
    """A proxy in the environment that does not let us through is what is told of, not the site."""
    with Answering() as server, over_plain(server) as doctor:
        for proxy, says in ((server.url, "the proxy answered 407"), ("http://fluidhook.invalid", "proxy"),
                            (f"http://127.0.0.1:{web.free_port()}", "connect")):
            steps = doctor("https://192.0.2.1/webhook", https_proxy=proxy)
            assert wrong(steps) == ["proxy"] and says in steps["proxy"]["text"], (proxy, steps)
            assert "$https_proxy" in steps["proxy"]["hint"], steps
        steps = doctor(f"https://127.0.0.2:{web.free_port()}/", https_proxy=proxy, no_proxy="*")
        assert wrong(steps) == ["connection"], steps


def large_probe():
    """The large probe is just below max_body, signed as Fluid signs."""
    sizes = []

    def note(headers, body):
        sizes.append(len(body))
        assert json.loads(body)["event"] == "probe" and len(headers["X-Fluid-Signature"]) == 64
        return Answering.probe(headers, body)

    with Answering(note) as server, over_plain(server) as doctor:
        assert wrong(doctor(server.url)) == []
    assert len(sizes) == 2 and sizes[0] < 200 and sizes[1] == 1024 * 1023, sizes


def usage():
    """What is not an address, or no configuration, is exit status 2."""
    site = Site()
    command = Command(site)
    for words in ([], ["ftp://x/"], ["http://hooks.example.com/webhook"], ["a", "b"]):
        _, err = command.fails(2, "doctor", *words)
        assert err
    site.write_secrets(Droplet(n_secrets=0))
    _, err = command.fails(1, "doctor", "http://127.0.0.1/")
    assert "no secret" in err, err
    site.close()


tap.run([tap.Test(function.__doc__, function) for function in (
    all_well, dropped_header, small_bodies, cut_off, small_max_body, no_route, receiver_down, nobody_listens, unknown_secret,
    not_healthy, certificates, nearly_over, wrong_clock, taken_out, hostile_names,
    behind_a_proxy, large_probe, usage)])
