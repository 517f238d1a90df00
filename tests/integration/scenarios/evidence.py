"""The table "Evidence, and what it allows" of the contract: each row allowed, each row refused."""

import json

from harness import fluid
from harness.tap import equal

from .trial import scenario


@scenario()
def droplet_signature(t):
    """A droplet's secret signs installs, business events and uninstalls of that droplet"""
    for droplet in t.site.droplets:
        for secret in droplet.secrets:
            company = t.company(droplet)
            body = company.install()
            t.taken(t.deliver(body, secret), body, verified_by="signature", key="droplet",
                    installation=company.dri, droplet=droplet.uuid,
                    fingerprint=fluid.fingerprint(secret))
            t.has(company, status="active", authentication_token=company.dit,
                  webhook_verification_token=company.wvt, fluid_company_id=company.id)
            body = company.order()
            t.taken(t.deliver(body, secret), body, event="order.created", verified_by="signature",
                    key="droplet")
            body = company.uninstall()
            t.taken(t.deliver(body, secret), body, event="droplet.uninstalled", key="droplet")
            t.has(company, status="uninstalled", authentication_token=None,
                  webhook_verification_token=None)


@scenario()
def signature_must_be_whole_and_right(t):
    """A signature that is wrong anywhere is refused"""
    body = t.company().install()
    stamp = str(fluid.now())
    right = fluid.signature(t.droplet.secret, stamp, body)
    wrong = [right[:-1], right + "0", right[:16], right[:16] + "0" * 48, right[:63] + "g",
             right[:-1] + ("0" if right[-1] != "0" else "1"),
             ("0" if right[0] != "0" else "1") + right[1:], "0" * 64, "", "sha256=" + right,
             fluid.signature(fluid.credential("dws_"), stamp, body),
             fluid.signature("", stamp, body), fluid.signature(t.droplet.secret[:8], stamp, body),
             fluid.signature(t.droplet.secret, "", body),
             fluid.signature(t.droplet.secret, stamp, body + b" ")]
    for signature in wrong:
        t.unauthorized(body, [("X-Fluid-Timestamp", stamp), ("X-Fluid-Signature", signature)])
    t.taken(t.send(body, [("X-Fluid-Timestamp", stamp), ("X-Fluid-Signature", right)]), body)


@scenario()
def body_is_covered(t):
    """A body changed by one byte after signing is refused"""
    company = t.company()
    body = company.install()
    headers = fluid.signed(t.droplet.secret, body)
    for changed in (body.replace(b'"Acme Inc"', b'"Acme Ino"'), body + b"\n", b" " + body,
                    body.replace(b":", b": ", 1), body[:-1]):
        assert changed != body
        t.unauthorized(changed, headers)
    equal(t.record(company), None, "record")


@scenario()
def timestamp_form(t):
    """A timestamp that is not plain decimal digits is refused, though rightly signed"""
    body = t.company().install()
    now = str(fluid.now())
    for stamp in ("", "+" + now, "-" + now, now + ".0", "0x" + now, now + "Z", "1e9", now + "a",
                  now[:5] + " " + now[5:], "twelve"):
        signature = fluid.signature(t.droplet.secret, stamp, body)
        t.unauthorized(body, [("X-Fluid-Timestamp", stamp), ("X-Fluid-Signature", signature)])
    t.unauthorized(body, [("X-Fluid-Signature", fluid.signature(t.droplet.secret, now, body))])


@scenario()
def timestamp_is_signed(t):
    """A fresh timestamp put in place of the signed one is refused"""
    body = t.company().install()
    old = fluid.now() - 1000
    signature = fluid.signature(t.droplet.secret, old, body)
    t.unauthorized(body, [("X-Fluid-Timestamp", str(fluid.now())),
                          ("X-Fluid-Signature", signature)])


@scenario()
def clocks_apart(t):
    """A right signature of another time is 503, as our clock may be wrong; a wrong one is 401"""
    company = t.company()
    body = company.install()
    for away in (-10 ** 6, -330, 330, 10 ** 6):
        stamp = fluid.now() + away
        t.refused(503, "unavailable", body, fluid.signed(t.droplet.secret, body, stamp))
        t.unauthorized(body, fluid.signed(fluid.credential("dws_"), body, stamp))
    equal(t.record(company), None, "record")
    for away in (-270, 270):
        body = company.install(name=f"Acme {away}")
        t.taken(t.deliver(body, t.droplet.secret, fluid.now() + away), body)


@scenario("strict")
def tolerance_is_configured(t):
    """The tolerance of the configuration counts"""
    body = t.company().install()
    t.refused(503, "unavailable", body, fluid.signed(t.droplet.secret, body, fluid.now() - 90))
    t.taken(t.deliver(body, t.droplet.secret, fluid.now() - 30), body)


@scenario()
def two_signature_headers(t):
    """Two signature or timestamp headers are refused, though one or both be right"""
    body = t.company().install()
    headers = fluid.signed(t.droplet.secret, body)
    right = headers[-1][1]
    for first, second in ((right, "0" * 64), ("0" * 64, right), (right, right)):
        t.unauthorized(body, headers[:-1] + [("X-Fluid-Signature", first),
                                             ("X-Fluid-Signature", second)])
    t.unauthorized(body, headers + [headers[-2]])
    t.unauthorized(body, headers + [("X-Fluid-Timestamp", "1")])
    token = t.droplet.secret
    t.unauthorized(body, [("X-Fluid-Token", token), ("X-Fluid-Token", "other")])
    t.unauthorized(body, [("X-Fluid-Token", "other"), ("X-Fluid-Token", token)])


@scenario()
def installation_signature(t):
    """An installation's own key signs its business events and its own uninstall"""
    company = t.company()
    t.install(company)
    body = company.order()
    t.taken(t.deliver(body, company.wvt, shop=company.shop), body, event="order.created",
            installation=company.dri, verified_by="signature", key="installation",
            fluid_shop=company.shop + ".fluid.app", droplet=t.droplet.uuid,
            fingerprint=fluid.fingerprint(company.wvt))
    body = company.uninstall()
    t.taken(t.deliver(body, company.wvt, fluid.now() + 2), body, event="droplet.uninstalled",
            key="installation", installation=company.dri)
    t.has(company, status="uninstalled")
    body = company.order()
    t.unauthorized(body, fluid.signed(company.wvt, body, shop=company.shop))


@scenario()
def own_install(t):
    """An installation's own key or body token installs nothing; bytes that were applied get 200"""
    company = t.company()
    # One of several installs: all of the last ones are remembered.
    bodies = [company.install(name=f"Acme {n}") for n in range(3)]
    for n, body in enumerate(bodies):
        t.taken(t.deliver(body, t.droplet.secret, fluid.now() + n), body)
    before = t.site.record_path(company.dri).read_bytes()
    journal = t.site.journal_size()
    record = t.record(company)
    for body in bodies:
        for headers in (fluid.signed(company.wvt, body, fluid.now() + 5),
                        fluid.token("X-Fluid-Token", company.wvt), fluid.token("AUTH_TOKEN", company.wvt),
                        []):
            t.says(t.send(body, headers), 200, status="accepted", event="droplet.installed",
                   delivery=record["delivery"], installation=company.dri)
    for body in (company.install(name="Renamed"), bodies[0] + b" ",
                 company.install(authentication_token=fluid.credential("dit_")), company.install_v2(),
                 company.install_v2(webhook_verification_token=company.wvt)):
        for headers in (fluid.signed(company.wvt, body, fluid.now() + 5),
                        fluid.token("X-Fluid-Token", company.wvt), fluid.token("AUTH_TOKEN", company.wvt),
                        []):
            t.unauthorized(body, headers)
    equal(t.site.record_path(company.dri).read_bytes(), before, "record")
    equal(t.site.journal_size(), journal, "journal")
    body = company.uninstall()
    t.taken(t.deliver(body, company.wvt, fluid.now() + 9), body, event="droplet.uninstalled")
    for body in bodies:
        t.unauthorized(body, fluid.signed(company.wvt, body, fluid.now() + 9))
        t.unauthorized(body)


@scenario()
def subscription_key(t):
    """The key that an installation's subscriptions were created with counts like its other key"""
    company = t.company()
    t.install(company, webhook_verification_token=None)
    record, key = t.record(company), fluid.credential("sub_")
    record["subscription_auth_token"] = key
    t.site.write(t.site.record_path(company.dri), json.dumps(record))
    body = company.order()
    t.taken(t.deliver(body, key, shop=company.shop), body, event="order.created",
            installation=company.dri, key="installation", fingerprint=fluid.fingerprint(key))
    body = company.order()
    t.taken(t.send(body, fluid.token("AUTH_TOKEN", key, company.shop)), body, event="order.created",
            installation=company.dri, key="installation", verified_by="token")
    t.unauthorized(company.uninstall(webhook_verification_token=key))
    body = company.uninstall()
    t.taken(t.deliver(body, key, fluid.now() + 1), body, event="droplet.uninstalled",
            key="installation")
    equal(t.record(company).get("subscription_auth_token"), None, "key after the uninstall")


@scenario()
def installation_key_found(t):
    """The installation's key is found by shop (slug or host, any case), company or dri"""
    company = t.company()
    t.install(company)
    slug = company.shop
    for shop in (slug, slug + ".fluid.app", slug.upper(), slug.title() + ".FLUID.APP"):
        body = company.order()
        t.taken(t.deliver(body, company.wvt, shop=shop), body, event="order.created",
                installation=company.dri, key="installation")
    for fields in ({"company": {"droplet_installation_uuid": company.dri}},
                   {"company": {"fluid_company_id": company.id}},
                   {"company": {"fluid_shop": slug}}, {"company_id": company.id}):
        body = company.order(**fields)
        t.taken(t.deliver(body, company.wvt), body, event="order.created",
                installation=company.dri, key="installation")
    for shop in ("", slug + ".fluid.app.fluid.app", slug + ".example.com", "../" + slug,
                 slug + "x"):
        body = company.order()
        t.unauthorized(body, fluid.signed(company.wvt, body, shop=shop))


@scenario()
def bare_tokens(t):
    """Without a signature, X-Fluid-Token or AUTH_TOKEN equal to a key count as much"""
    for name in ("X-Fluid-Token", "AUTH_TOKEN"):
        for secret in t.droplet.secrets:
            company = t.company()
            body = company.install()
            t.taken(t.send(body, fluid.token(name, secret)), body, verified_by="token",
                    key="droplet", signature=None)
            t.has(company, status="active")
        body = company.order()
        t.taken(t.send(body, fluid.token(name, company.wvt, company.shop)), body,
                event="order.created", verified_by="token", key="installation",
                installation=company.dri)
        body = company.uninstall()
        t.taken(t.send(body, fluid.token(name, company.wvt)), body, event="droplet.uninstalled",
                verified_by="token", key="installation")
        t.has(company, status="uninstalled")


@scenario()
def wrong_tokens(t):
    """Tokens are compared over their whole length"""
    body = t.company().install()
    secret = t.droplet.secret
    for wrong in ("", secret[:8], secret[:-1], secret + "x", secret[:8] + "x" * (len(secret) - 8),
                  secret.lower() + ".", fluid.credential("dws_"), "dws_", "x" * 5000):
        for name in ("X-Fluid-Token", "AUTH_TOKEN"):
            t.unauthorized(body, fluid.token(name, wrong))
    t.unauthorized(body)
    t.unauthorized(body, [("Authorization", "Bearer " + secret)])
    t.unauthorized(body, [("X-Fluid-Shop", "acme"), ("X-Fluid-Timestamp", str(fluid.now()))])


@scenario()
def no_falling_back(t):
    """A wrong signature is not made good by a right token, nor an empty one"""
    company = t.company()
    t.install(company)
    body = company.uninstall(webhook_verification_token=company.wvt)
    for signature in ("0" * 64, ""):
        headers = [("X-Fluid-Signature", signature), ("X-Fluid-Timestamp", str(fluid.now())),
                   ("X-Fluid-Token", t.droplet.secret), ("AUTH_TOKEN", t.droplet.secret)]
        t.unauthorized(body, headers)
    t.has(company, status="active")


@scenario("strict")
def tokens_switched_off(t):
    """With legacy_tokens = no neither a token in a header nor one in the body counts"""
    company = t.company()
    t.install(company)
    body = company.uninstall(webhook_verification_token=company.wvt)
    t.unauthorized(body)
    for name in ("X-Fluid-Token", "AUTH_TOKEN"):
        t.unauthorized(body, fluid.token(name, t.droplet.secret))
        t.unauthorized(body, fluid.token(name, company.wvt, company.shop))
    t.has(company, status="active")


@scenario()
def body_token(t):
    """The installation's token in the body uninstalls it, and does nothing else"""
    company = t.company()
    t.install(company)
    order = company.order(company={"droplet_installation_uuid": company.dri,
                                   "webhook_verification_token": company.wvt})
    t.unauthorized(order)
    for wrong in (company.wvt[:-1], company.wvt[:8], fluid.credential("wvt_"), "", None):
        t.unauthorized(company.uninstall(webhook_verification_token=wrong))
    unknown = t.company()
    t.unauthorized(unknown.install())
    t.unauthorized(unknown.uninstall(webhook_verification_token=company.wvt))
    t.has(company, status="active")
    body = company.uninstall(webhook_verification_token=company.wvt)
    t.taken(t.send(body), body, event="droplet.uninstalled", verified_by="body_token",
            key="installation", installation=company.dri, signature=None,
            fingerprint=fluid.fingerprint(company.wvt), droplet=t.droplet.uuid)
    t.has(company, status="uninstalled")
