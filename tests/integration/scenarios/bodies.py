"""How a body arrives: in pieces, without a length, with a wrong one, not at all."""

import json

from harness import fluid, process
from harness.process import wait_until
from harness.tap import equal
from harness.web import NoAnswer, Request

from .trial import scenario


@scenario()
def chunked(t):
    """A chunked body without Content-Length, small and large"""
    for size in (0, 20000, 300000):
        company = t.company()
        body = company.install()
        if size:
            body = fluid.padded(body, size)
        t.taken(t.deliver(body, t.droplet.secret, length="chunked", pieces=7777), body,
                installation=company.dri)
        t.has(company, status="active")


@scenario()
def one_byte_writes(t):
    """A body in one-byte writes"""
    company = t.company()
    body = company.install(name="Ünï\U0001F600 \\\" \u2028 end")
    t.taken(t.deliver(body, t.droplet.secret, pieces=1), body, installation=company.dri)
    t.has(company, name="Ünï\U0001F600 \\\" \u2028 end")


@scenario()
def piece_sizes(t):
    """Pieces of any size give the same record"""
    for pieces in (2, 3, 5, 63, 64, 65):
        company = t.company()
        body = fluid.enveloped("installed", company.company_v1(name="\u00e9\u20ac\U0001F600" * 5))
        t.taken(t.deliver(body, t.droplet.secret, pieces=pieces), body, installation=company.dri)
        t.has(company, name="\u00e9\u20ac\U0001F600" * 5, authentication_token=company.dit)


@scenario(direct_only=True)
def shorter_than_said(t):
    """503: fewer bytes than Content-Length said, whoever sent them"""
    company = t.company()
    body = company.install()
    for missing in (1, 100, len(body)):
        headers = fluid.signed(t.droplet.secret, body)
        t.refused(503, "unavailable", body[missing:], headers, length=len(body), half_close=True)
    t.refused(503, "unavailable", body, fluid.signed(t.droplet.secret, body), length=len(body) + 1,
              half_close=True)
    t.refused(503, "unavailable", body, [], length=len(body) + 5, half_close=True)
    t.refused(503, "unavailable", body, [("X-Fluid-Signature", "short")], length=len(body) + 5,
              half_close=True)
    equal(t.record(company), None, "record")


@scenario(direct_only=True)
def longer_than_said(t):
    """400 malformed: more bytes than Content-Length said, whoever sent them"""
    company = t.company()
    body = company.install()
    for more in (b" ", b"x" * 1000):
        for headers in (fluid.signed(t.droplet.secret, body + more),
                        fluid.signed(t.droplet.secret, body), []):
            t.refused(400, "malformed", body + more, headers, length=len(body))
    equal(t.record(company), None, "record")


@scenario(direct_only=True)
def odd_lengths(t):
    """A Content-Length that is no number, or does not fit into one, is never read as absent"""
    company = t.company()
    body = company.install()
    headers = fluid.signed(t.droplet.secret, body)
    for length in ("abc", "-1", "+1", f"{len(body)}x", f" {len(body)}", "0x10", "1e3"):
        t.refused(400, "malformed", body, headers, length=length, half_close=True)
    for length in ("1048577", "9" * 18, "9" * 30, str(2 ** 64 - 3), str(2 ** 64 - 2),
                   str(2 ** 64 - 1), str(2 ** 64), str(2 ** 64 + len(body))):
        t.refused(413, "too_large", body, headers, length=length, half_close=True)
    equal(t.record(company), None, "record")


@scenario()
def cut_short(t):
    """A body that ends early behind a web server, or in one, stores nothing"""
    company = t.company()
    body = company.install()
    before = t.site.journal_size()
    request = Request(headers=fluid.signed(t.droplet.secret, body), body=body,
                      length=len(body) + 10, half_close=True)
    try:
        response = t.front.send(request)
        assert response.status >= 400, response.describe()
    except NoAnswer:
        pass
    equal(t.site.journal_size(), before, "journal")
    equal(t.record(company), None, "record")


@scenario()
def aborted(t):
    """Clients that go away in the middle of a body store nothing and harm nobody"""
    company = t.company()
    body = fluid.padded(company.install(), 200000)
    before = t.site.journal_size()
    for at in (0, 1, 100, 70000, len(body) - 1):
        try:
            t.front.send(Request(headers=fluid.signed(t.droplet.secret, body), body=body, abort=at))
        except NoAnswer:
            pass
    equal(t.send(method="GET").status, 200, "health afterwards")
    equal(t.site.journal_size(), before, "journal")
    equal(t.record(company), None, "record")
    t.taken(t.deliver(body, t.droplet.secret), body)


@scenario()
def gone_before_the_answer(t):
    """A client that sent everything and did not wait: the delivery is stored all the same"""
    if t.front.name == "CGI":
        proc_gone(t)
        return
    company = t.company()
    body = company.install()
    request = Request(headers=fluid.signed(t.droplet.secret, body), body=body)
    t.front.send_and_leave(request)
    wait_until(lambda: t.status(company) == "active", "the record of a sender that has gone")
    order = company.order()
    t.taken(t.deliver(order, company.wvt, shop=company.shop), order, event="order.created")


def proc_gone(t):
    """The same for a CGI: nobody reads its standard output any more."""
    company = t.company()
    body = company.install()
    proc = t.front.spawn(Request(headers=fluid.signed(t.droplet.secret, body), body=body))
    proc.stdout.close()
    proc.stdin.write(body)
    proc.stdin.close()
    equal(proc.wait(process.DEADLINE), 0, "exit status")
    t.has(company, status="active")


@scenario()
def query_strings(t):
    """A query string, also one that looks like options, changes nothing"""
    for query in ("?--version", "?--help", "?-c+/nonexistent", "?--listen+unix:/tmp/x", "?a=b&c",
                  "?"):
        response = t.send(method="GET", query=query)
        equal((response.status, json.loads(response.body)), (200, {"status": "ok"}), query)
    body = t.company().install()
    t.taken(t.deliver(body, t.droplet.secret, query="?-c+/nonexistent"), body)
