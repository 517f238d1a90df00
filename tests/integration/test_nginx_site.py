#!/usr/bin/env python3
"""nginx/site.conf.example, the whole site: TLS, the way from http, limits, the request's id."""

import re
import socket
import ssl

from harness import fluid, tap, web
from harness.fluid import Company
from harness.process import wait_until
from harness.site import RECEIVER, Site
from harness.web import NoAnswer, Request
from harness.webservers import NginxSite, find


class World:
    """The site, started by the first test."""
    front = None
    site = None

    @classmethod
    def start(cls):
        if cls.front is None:
            cls.front, cls.site = NginxSite(), Site()
            cls.front.tls = ssl.create_default_context()
            cls.front.tls.check_hostname = False
            cls.front.tls.verify_mode = ssl.CERT_NONE
            cls.front.start(cls.site)
            trusted = ssl.create_default_context(cafile=str(cls.front.prefix / "certificate.pem"))
            cls.front.tls = trusted
        return cls.front, cls.site


def over_tls():
    """A delivery over TLS, with the certificate checked, becomes a record."""
    front, site = World.start()
    company = Company(site.droplets[0])
    body = company.install()
    response = front.send(Request(headers=fluid.signed(company.droplet.secret, body), body=body))
    assert response.status == 200, response
    assert site.record(company.dri)["status"] == "active"
    order = company.order()
    response = front.send(Request(headers=fluid.token("AUTH_TOKEN", company.wvt, company.shop),
                                  body=order))
    assert response.status == 200, f"AUTH_TOKEN did not arrive: {response}"
    large = fluid.padded(Company(site.droplets[0]).install(), 2 ** 20)
    headers = fluid.signed(company.droplet.secret, large)
    assert front.send(Request(headers=headers, body=large)).status == 200
    response = front.send(Request(headers=headers, body=large + b" "))
    assert (response.status, response.body) == (413, b'{"error":"too_large"}\n'), response


def from_http():
    """Plain http is sent to https."""
    front, _ = World.start()
    response = web.exchange(front.plain_port, Request("GET"))
    assert response.status == 301, response
    assert response.headers["location"] == "https://localhost/webhook", response.headers


def other_paths():
    """Nothing but the one path reaches the receiver."""
    front, _ = World.start()
    for path in ("/", "/webhook/", "/webhook/x", "/webhooks", "/fluidhook.fcgi", "/.env"):
        response = web.exchange(front.port, Request("GET"), path, front.tls)
        assert response.status == 404, (path, response.status)
        assert b'"status"' not in response.body, path


def tls_versions():
    """TLS older than 1.2 is refused."""
    front, _ = World.start()
    old = ssl.create_default_context()
    old.check_hostname = False
    old.verify_mode = ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    try:
        web.exchange(front.port, Request("GET"), tls=old)
    except NoAnswer:
        pass
    else:
        raise AssertionError("TLS 1.1 was accepted")
    assert front.send(Request("GET")).status == 200


def same_id():
    """The access log and the receiver's log name a request by the same id."""
    front, site = World.start()
    body = Company(site.droplets[0]).install()
    headers = fluid.signed(site.droplets[0].secret, body)
    assert front.send(Request(headers=headers, body=body)).status == 200
    receiver = (site.logs / "receiver.log").read_text().splitlines()
    ids = re.findall(r"request=([0-9a-f]{32})\b", receiver[-1])
    assert len(ids) == 1, receiver[-1]
    wait_until(lambda: f"request={ids[0]}" in (site.logs / "access.log").read_text(),
               f"{ids[0]} is not in the access log")


def slow_sender():
    """A sender that stops in the middle of its headers is cut off, and keeps nobody out."""
    front, _ = World.start()
    socks = [socket.create_connection(("127.0.0.1", front.port)) for _ in range(50)]
    assert front.send(Request("GET")).status == 200
    for sock in socks:
        sock.close()


def connection_limit():
    """limit_conn: more connections than that from one address get 503, and only those."""
    front, _ = World.start()
    text = (front.prefix / "nginx.conf").read_text()
    limit = int(re.search(r"^\s*limit_conn fluidhook_conn (\d+);", text, re.M)[1])
    assert limit >= 64, f"{limit} is too few for Fluid's bursts"
    head = b"POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
    held = []
    try:
        for _ in range(limit):
            sock = web.connect(front.port, front.tls)
            sock.sendall(head)
            held.append(sock)
        wait_until(lambda: front.send(Request("GET")).status == 503, "no limit")
    finally:
        for sock in held:
            sock.close()
    wait_until(lambda: front.send(Request("GET")).status == 200, "not open again")


def no_secrets_in_logs():
    """No log has a credential or a signature in it."""
    front, site = World.start()
    front.stop()
    text = site.log_text()
    assert "msg=answer" in text
    assert [word for word in fluid.CREDENTIALS if word in text] == []


if not RECEIVER.is_file():
    tap.bail(f"there is no {RECEIVER}: build first")
for program in ("nginx", "openssl"):
    if not find(program):
        tap.skip_all(f"{program} is not installed")
tap.run([
    tap.Test("a delivery over TLS", over_tls),
    tap.Test("http leads to https", from_http),
    tap.Test("other paths are 404", other_paths),
    tap.Test("old TLS is refused", tls_versions),
    tap.Test("one id in both logs", same_id),
    tap.Test("slow senders keep nobody out", slow_sender),
    tap.Test("the limit of connections", connection_limit),
    tap.Test("no secrets in the logs", no_secrets_in_logs),
])
