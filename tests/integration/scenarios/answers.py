"""Each status of the contract's section 3."""

import json

from harness import fluid
from harness.process import wait_until
from harness.tap import equal
from harness.web import Request

from .trial import scenario

# The web server's own: differ with the moment.
FRAMING = ("date", "connection", "content-length", "transfer-encoding")


@scenario()
def accepted(t):
    """200 accepted: the answer, the journal line and the log line say the same"""
    company = t.company()
    body = company.install()
    stamp = fluid.now()
    response = t.deliver(body, t.droplet.secret, stamp, shop=company.shop)
    line = t.taken(response, body, installation=company.dri, timestamp=stamp,
                   signature=fluid.signature(t.droplet.secret, stamp, body), id=None,
                   identifier=None)
    equal(list(json.loads(response.body)), ["status", "event", "delivery", "installation"],
          "order of the members")
    logged = dict(word.split("=", 1) for word in t.log_line(line["delivery"]).split())
    equal({k: logged[k] for k in ("status", "event", "installation", "delivery", "msg")},
          {"status": "200", "event": "droplet.installed", "installation": company.dri,
           "delivery": line["delivery"], "msg": "answer"}, "log line")
    assert 0 <= float(logged["ms"]) < 60000, logged["ms"]
    assert "reason" not in logged, logged


@scenario()
def accepted_by_put(t):
    """PUT delivers as POST does"""
    company = t.company()
    body = company.install()
    t.taken(t.deliver(body, t.droplet.secret, method="PUT"), body, installation=company.dri)
    t.has(company, status="active")


@scenario()
def pending(t):
    """202 pending: a v2 install that waits for its exchange, flat and enveloped"""
    for enveloped in (False, True):
        company = t.company()
        body = company.install_v2()
        if enveloped:
            body = fluid.enveloped("installed", company.company_v2())
        t.pending(t.deliver(body, t.droplet.secret), body, installation=company.dri)
        t.has(company, status="pending", exchange_token=company.dex, authentication_token=None)
        order = company.order()
        # Its key is not there yet: not refused for good.
        t.says(t.send(order, fluid.signed(company.dex, order, shop=company.shop)), 503,
               error="unavailable")


@scenario()
def probe(t):
    """200 probe: a verified probe tells which of Fluid's headers arrived, and stores nothing"""
    body = fluid.encode({"resource": "fluidhook", "event": "probe"})
    before = t.site.journal_size()
    headers = fluid.signed(t.droplet.secret, body, shop="acme") + [("AUTH_TOKEN", "x")]
    answer = json.loads(t.send(body, headers).body)
    equal(answer["status"], "probe", "status")
    equal(set(answer), {"status", "headers"}, "members")
    equal({name.lower() for name in answer["headers"]},
          {"x-fluid-shop", "x-fluid-timestamp", "x-fluid-signature", "auth_token"}, "headers")
    response = t.send(body, fluid.token("X-Fluid-Token", t.droplet.secret))
    equal((response.status, [h.lower() for h in json.loads(response.body)["headers"]]),
          (200, ["x-fluid-token"]), "probe with a token")
    equal(t.site.journal_size(), before, "journal")
    t.unauthorized(body, [("X-Fluid-Shop", "acme")])
    t.unauthorized(body, fluid.signed(fluid.credential("dws_"), body))


@scenario()
def malformed(t):
    """400 malformed: authenticated, but not one JSON object in valid UTF-8"""
    whole = b'{"resource":"order","event":"created"}'
    for body in (b"", b"null", b"[]", b'"text"', b"17", b"{", b"}", whole + whole, whole + b"x",
                 b"[" + whole + b"]", whole[:-1] + b",}", whole.replace(b'"', b"'"),
                 b"\xef\xbb\xbf" + whole, b'{"resource":"order","event":"created","a":"\xff"}',
                 b'{"resource":"order","event":"created","a":"\xc0\xaf"}',
                 b'{"resource":"order","event":"created","a":"\xed\xa0\x80"}',
                 b'{"resource":"order","event":"created","a":"\xf4\x90\x80\x80"}',
                 b'{"resource":"order","event":"created","a":"\xe2\x82"}',
                 b'{"resource":"order","event":"created","a":"tab\tinside"}',
                 whole.replace(b"}", b',"a":NaN}'), b"resource=order&event=created", b"\0" * 20):
        t.refused_signed(400, "malformed", body)
        t.unauthorized(body)
        t.unauthorized(body, fluid.signed(fluid.credential("dws_"), body))


@scenario()
def nesting(t):
    """400 malformed: nested deeper than 64; 64 itself is fine"""
    def nested(depth, opening=b"[", closing=b"]"):
        inside = opening * (depth - 1) + closing * (depth - 1)
        return b'{"resource":"order","event":"created","a":' + inside + b"}"

    body = nested(64)
    t.taken(t.deliver(body, t.droplet.secret), body, event="order.created")
    t.refused_signed(400, "malformed", nested(65))
    t.refused_signed(400, "malformed", nested(100000))
    t.refused_signed(400, "malformed", b'{"a":' * 70 + b"1" + b"}" * 70)


@scenario()
def duplicate_keys(t):
    """400 malformed: a key twice where it decides something; elsewhere it does not matter"""
    company = t.company()
    body = company.install()
    mine = fluid.encode(company.company_v1())
    theirs = fluid.encode(t.company().company_v1())
    for twice in (body[:-1] + b',"company":' + theirs + b"}",
                  body[:-1] + b',"company":' + mine + b"}",
                  body.replace(b'"event":"installed"',
                               b'"event":"installed","event":"uninstalled"'),
                  body.replace(b'"event":"installed"', b'"event":"installed","ev\\u0065nt":"x"'),
                  body.replace(b'"resource"', b'"resource":"order","resource"'),
                  body.replace(b'"droplet_uuid"', b'"droplet_uuid":"drp_x","droplet_uuid"'),
                  body.replace(b'"webhook_verification_token"',
                               b'"webhook_verification_token":"x","webhook_verification_token"')):
        assert twice != body
        t.refused_signed(400, "malformed", twice)
    equal(t.record(company), None, "record")
    harmless = b'{"resource":"order","event":"created","order":{"a":1,"a":2}}'
    t.taken(t.deliver(harmless, t.droplet.secret), harmless, event="order.created")


@scenario()
def reserved(t):
    """400 reserved: events of fluidhook's own do not come from outside, whoever signs them"""
    company = t.company()
    t.install(company)
    for value in ({"resource": "fluidhook", "event": "given_up"},
                  {"resource": "FluidHook", "event": "refusing"},
                  {"name": "fluidhook_silent"}, {"event_name": "fluidhook.probe_it"},
                  {"name": "fluidhook_given_up", "payload": {"order": {}}},
                  {"payload": {"resource": "fluidhook", "event": "install_failed"}}):
        body = fluid.encode(value)
        t.refused_signed(400, "reserved", body)
        t.refused(400, "reserved", body, fluid.signed(company.wvt, body, shop=company.shop))
        t.refused(400, "reserved", body, fluid.token("X-Fluid-Token", t.droplet.secret))
        t.unauthorized(body)


@scenario()
def content_encoding(t):
    """415: a body with a Content-Encoding, before anything is told about it"""
    body = t.company().install()
    for coding in ("gzip", "br", "identity"):
        headers = fluid.signed(t.droplet.secret, body) + [("Content-Encoding", coding)]
        t.refused(415, "unsupported_media_type", body, headers)
        t.refused(415, "unsupported_media_type", body, [("Content-Encoding", coding)])


@scenario()
def no_event(t):
    """400 no_event: nothing says which event it is"""
    for body in (b"{}", b'{"company":{}}', b'{"resource":"order"}', b'{"event":"created"}',
                 b'{"payload":{"order":{}}}', b'{"resource":null,"event":null}',
                 b'{"resource":{},"event":[]}', b'{"resource":"","event":""}', b'{"name":""}'):
        t.refused_signed(400, "no_event", body)
        t.unauthorized(body)


@scenario()
def unauthorized_tells_nothing(t):
    """401 is the same whatever the body is like, and whichever way it is not authenticated"""
    company = t.company()
    t.install(company)
    strange = fluid.credential("dws_")
    bodies = [t.company().install(), company.uninstall(), company.order(), b"{}", b"not json", b"",
              b"[" * 1000,
              company.install(droplet_installation_uuid="../../etc/passwd"),
              fluid.flat("installed", {}), fluid.flat("installed", {"droplet_uuid": "drp_unknown"}),
              fluid.encode({"resource": "fluidhook", "event": "probe"})]
    answers = set()
    for body in bodies:
        for headers in (fluid.signed(strange, body), fluid.signed(strange, body, shop=company.shop),
                        fluid.token("X-Fluid-Token", strange)):
            before = t.site.journal_size()
            response = t.send(body, headers)
            answers.add((response.status, response.body, tuple(sorted(
                (k, v) for k, v in response.headers.items() if k not in FRAMING))))
            equal(t.site.journal_size(), before, "journal")
    equal(len(answers), 1, f"different answers: {answers}")
    equal(next(iter(answers))[:2], (401, b'{"error":"unauthorized"}\n'), "the answer")


@scenario()
def unknown_droplet(t):
    """403 unknown_droplet: authenticated, but a droplet that is not configured"""
    company = t.company()
    for body in (company.install(droplet_uuid="drp_of_somebody_else"),
                 company.uninstall(droplet_uuid="drp_of_somebody_else")):
        t.refused_signed(403, "unknown_droplet", body)
        t.unauthorized(body)
    equal(t.record(company), None, "record")


@scenario()
def methods(t):
    """405: any other method, with Allow; without a word about the rest of the request"""
    body = t.company().install()
    for method in ("DELETE", "PATCH", "OPTIONS", "PURGE"):
        response = t.send(b"", method=method)
        equal(response.status, 405, method)
        t.says(response, 405, error="method_not_allowed")
        equal(t.send(body, fluid.signed(t.droplet.secret, body), method=method).status, 405, method)


@scenario()
def too_large(t):
    """413: one byte more than max_body, said or not; 1 MiB exactly is taken"""
    for size in (2 ** 20, 2 ** 20 - 1):
        company = t.company()
        body = fluid.padded(company.install(), size)
        t.taken(t.deliver(body, t.droplet.secret), body, installation=company.dri)
    body = fluid.padded(t.company().install(), 2 ** 20 + 1)
    t.refused_signed(413, "too_large", body)
    t.refused(413, "too_large", body)
    t.refused_signed(413, "too_large", body, length="chunked")
    body = fluid.padded(t.company().install(), 2 ** 20)
    t.taken(t.deliver(body, t.droplet.secret, length="chunked"), body)


@scenario()
def media_types(t):
    """415: a Content-Type that is not JSON; JSON in any spelling, or none at all, is fine"""
    def headers(body, kind):
        given = fluid.signed(t.droplet.secret, body)[1:]
        return given if kind is None else [("Content-Type", kind)] + given

    for kind in (None, "application/json", "application/json; charset=utf-8", "Application/JSON",
                 "application/json;charset=utf-8", "application/vnd.fluid+json"):
        body = t.company().install()
        t.taken(t.send(body, headers(body, kind)), body)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json",
                 "text/html; application/json", "multipart/form-data; boundary=x", "application/"):
        body = t.company().install()
        t.refused(415, "unsupported_media_type", body, headers(body, kind))
        t.refused(415, "unsupported_media_type", body, [("Content-Type", kind)])


@scenario()
def incomplete(t):
    """422: an authenticated install that lacks what a record needs says which field"""
    company = t.company()
    flat = fluid.flat
    cases = [("company", flat("installed", None)), ("company", flat("installed", "Acme")),
             ("company", flat("installed", [])), ("company", flat("uninstalled", None)),
             ("company", fluid.encode({"resource": "droplet", "event": "installed"})),
             ("droplet_installation_uuid", flat("installed", {"authentication_token": "dit_x"})),
             ("droplet_installation_uuid", flat("uninstalled", {})),
             ("authentication_token", company.install(authentication_token=None)),
             ("authentication_token", company.install(authentication_token="x" * 513)),
             ("authentication_token", company.install(authentication_token=17)),
             ("authentication_token", company.install(authentication_token="a\r\nb")),
             ("exchange_token", company.install_v2(credentials={})),
             ("exchange_token", company.install_v2(credentials={"exchange_token": "x" * 513}))]
    for field, body in cases:
        t.refused_signed(422, "incomplete", body, more={"field": field})
        t.unauthorized(body)
    equal(t.record(company), None, "record")
    body = company.install(authentication_token="x" * 512)
    t.taken(t.deliver(body, t.droplet.secret), body)


@scenario()
def refusals_are_logged(t):
    """A refusal's log line says why, and escapes what the sender chose"""
    body = t.company().order()
    cases = [("no_signature", []), ("bad_signature", fluid.signed(fluid.credential("dws_"), body)),
             ("stale", fluid.signed(t.droplet.secret, body, 1000000000)),
             ("bad_token", fluid.token("X-Fluid-Token", "nope"))]
    for reason, headers in cases:
        new = logged_by(t, Request(headers=headers, body=body))
        if reason == "bad_signature":
            assert "reason=bad_signature" in new or "reason=unknown_shop" in new, new
        else:
            assert f"reason={reason}" in new, f"{reason}: {new}"
    evil = {"resource": "order\n\x1b[31mlevel=error msg=answer status=200", "event": "x"}
    new = logged_by(t, Request(body=fluid.encode(evil)))
    assert "\x1b" not in new and "status=200" not in new, new


def logged_by(t, request):
    """What the receiver logs for a request. A web server can be late in passing it on."""
    before = len(t.site.log_text())

    def new():
        text = t.site.log_text()[before:]
        return text if "msg=answer" in text and text.endswith("\n") else None

    t.front.send(request)
    return wait_until(new, "no log line for an answer")


@scenario()
def request_id(t):
    """The log line has the web server's id of the request"""
    if t.front.direct:
        body = t.company().install()
        headers = fluid.signed(t.droplet.secret, body) + [("X-Request-Id", "id-of-the-server-1")]
        line = t.taken(t.send(body, headers), body)
        assert "request=id-of-the-server-1" in t.log_line(line["delivery"])
        return
    body = t.company().install()
    headers = fluid.signed(t.droplet.secret, body) + [("X-Request-Id", "forged-by-the-sender")]
    line = t.taken(t.send(body, headers), body)
    logged = t.log_line(line["delivery"])
    assert "request=" in logged and "forged-by-the-sender" not in logged, logged
