"""Hostile and unusual names: what becomes a path is safe, and text is kept as it is."""

import json

from harness import fluid
from harness.tap import equal

from .trial import scenario

HOSTILE = ["../../etc/passwd", "..", ".", ".hidden", "a/b", "/etc/passwd", "a\0b", "\0", "a b",
           "a\nb", "dri_" + "x" * 297, "x" * 201, "dri_\u00e9", "dri_\u202egnp", "\U0001F600",
           "a\\b", "a;b", "~", "%2e%2e%2f", "a:b", "$(id)", " ", "a*"]


@scenario()
def hostile_ids(t):
    """422: ids that make the record's own name unsafe"""
    before = set(t.site.dir.rglob("*"))
    for name in HOSTILE:
        for fields, field in (({"droplet_installation_uuid": name}, "droplet_installation_uuid"),
                              ({"droplet_installation_uuid": None, "fluid_company_id": name},
                               "fluid_company_id")):
            for body in (t.company().install(**fields), t.company().uninstall(**fields)):
                t.refused_signed(422, "incomplete", body, more={"field": field})
    for value in ({}, [], True, 5, ""):
        body = t.company().install(droplet_installation_uuid=value, fluid_company_id=None)
        t.refused_signed(422, "incomplete", body, more={"field": "droplet_installation_uuid"})
    new = {path for path in set(t.site.dir.rglob("*")) - before if "logs" not in path.parts}
    equal(new, set(), "files that came to be")
    equal(list(t.site.dir.parent.glob("passwd*")), [], "files beside the directory")


@scenario()
def unsafe_shop_or_company(t):
    """An unsafe shop or company id refuses nothing; it gets no index entry, and is found by its dri"""
    def index():
        return {path for path in (*t.site.state.glob("shops/**/*"),
                                  *t.site.state.glob("companies/**/*"))}

    for name in HOSTILE:
        before = index()
        company = t.company()
        body = company.install(fluid_shop=name, fluid_company_id=name)
        t.taken(t.deliver(body, t.droplet.secret), body, installation=company.dri)
        kept = None if "\0" in name else name
        t.has(company, status="active", fluid_shop=kept, fluid_company_id=kept)
        equal(index(), before, "index entries")
        order = company.order(company={"droplet_installation_uuid": company.dri})
        t.taken(t.deliver(order, company.wvt, shop=None), order, event="order.created",
                installation=company.dri, fluid_shop=kept)
        body = company.uninstall(fluid_shop=name, fluid_company_id=name)
        t.taken(t.deliver(body, t.droplet.secret, fluid.now() + 1), body,
                event="droplet.uninstalled")
        equal(index(), before, "index entries")
    equal(list(t.site.dir.parent.glob("passwd*")), [], "files beside the directory")


@scenario()
def unusable_values(t):
    """An optional field that cannot be used counts as absent, and refuses nothing"""
    for field, value, stored in (("fluid_shop", 5, "fluid_shop"), ("fluid_shop", ["a"], "fluid_shop"),
                                 ("fluid_shop", "s" * 1025, "fluid_shop"),
                                 ("fluid_company_id", True, "fluid_company_id"),
                                 ("fluid_company_id", "c" * 1025, "fluid_company_id"),
                                 ("name", 5, "name"), ("name", {"a": 1}, "name"),
                                 ("webhook_verification_token", 7, "webhook_verification_token"),
                                 ("webhook_verification_token", "w" * 513,
                                  "webhook_verification_token")):
        company = t.company()
        body = company.install(**{field: value})
        t.taken(t.deliver(body, t.droplet.secret), body, installation=company.dri)
        t.has(company, status="active", authentication_token=company.dit, **{stored: None})
    for company_of in (lambda c: {"exchange_token": c.dex, "exchange_token_expires_at": 1789000000},
                       lambda c: {"exchange_token": c.dex, "exchange_endpoint": ["/x"]}):
        company = t.company()
        body = company.install_v2(credentials=company_of(company))
        t.pending(t.deliver(body, t.droplet.secret), body, installation=company.dri)
        equal(t.record(company).get("exchange_token_expires_at"), None, "expiry in the record")
        equal(t.record(company).get("exchange_endpoint"), None, "endpoint in the record")


@scenario()
def hostile_shop_header(t):
    """A hostile X-Fluid-Shop finds nothing and harms nothing"""
    company = t.company()
    t.install(company)
    for shop in ("../companies/" + str(company.id), "..", "../../installations", ".", "x" * 300,
                 "a/../" + company.shop, ".fluid.app", "./" + company.shop, "shops"):
        body = company.order()
        t.unauthorized(body, fluid.signed(company.wvt, body, shop=shop))
        body = company.order()
        t.taken(t.deliver(body, t.droplet.secret, shop=shop), body, event="order.created",
                key="droplet")


@scenario()
def longest_names(t):
    """Names of 200 characters are fine; a dri decides the file's name as it is"""
    for dri in ("d" * 200, "A.b_c-9", "9", "-x", "_", "company-1"):
        company = t.company(dri=dri)
        body = company.install()
        t.taken(t.deliver(body, t.droplet.secret), body, installation=dri)
        t.has(company, status="active")
    company = t.company(shop="s" * 200)
    body = company.install(fluid_shop=company.shop)
    t.taken(t.deliver(body, t.droplet.secret), body)
    assert (t.site.state / "shops" / company.shop / company.dri).is_symlink()


@scenario()
def company_names(t):
    """Company names are kept as they are: any script, direction, emoji, control, escaped or raw"""
    for name in ("\u05d0\u05d1\u05d2 \u0645\u0631\u062d\u0628\u0627", "\u202eevil\u202c",
                 "\U0001F469\u200d\U0001F680 GmbH",
                 "a\0b", "\x01\x1f\x7f", "quote \" back \\ slash / tab \t line \n", "", "../../x",
                 "\uffff\ufffd", "x" * 1024, "\u20ac" * 341, "<script>alert(1)</script>", "level=error msg=x"):
        for escaped in (False, True):
            company = t.company(name=name)
            value = {"resource": "droplet", "event": "installed", "company": company.company_v1()}
            body = json.dumps(value, ensure_ascii=escaped).encode()
            t.taken(t.deliver(body, t.droplet.secret), body, installation=company.dri)
            t.has(company, name=name, status="active")


@scenario()
def unpaired_surrogates(t):
    """Half a character in a text (an escape alone) leaves a record and a line that can be read"""
    company = t.company()
    body = company.install(name="@").replace(b'"@"', b'"Acme \\udc00"')
    t.taken(t.deliver(body, t.droplet.secret), body, installation=company.dri)
    t.has(company, name="Acme \ufffd", status="active")
    body = company.order().replace(b'"identifier":"', b'"identifier":"\\udfff')
    t.taken(t.deliver(body, company.wvt, shop=company.shop), body, event="order.created",
            installation=company.dri, key="installation")


@scenario()
def long_company_names(t):
    """A company's name is kept up to 1,024 bytes, cut at a whole character; the record stays readable"""
    for name, kept in (("x" * 1025, 1024), ("x" * 900000, 1024), ("\u20ac" * 400, 341),
                       ("x\U0001F600" * 300, 409), ("\0" * 150000, 1024), ("\x01" * 5000, 1024)):
        company = t.company(name=name)
        body = company.install()
        t.taken(t.deliver(body, t.droplet.secret), body, installation=company.dri)
        t.has(company, name=name[:kept], status="active")
        body = company.order()
        t.taken(t.deliver(body, company.wvt, shop=company.shop), body, event="order.created",
                installation=company.dri)
        assert t.site.record_path(company.dri).stat().st_size < 16384, name[:10]


@scenario()
def without_a_dri(t):
    """An installation without a dri is named by company and droplet"""
    company = t.company()
    body = company.install(droplet_installation_uuid=None)
    name = f"company-{company.id}-{t.droplet.uuid}"
    t.taken(t.deliver(body, t.droplet.secret), body, installation=name)
    record = t.site.record(name)
    equal((record["droplet_installation_uuid"], record["status"]), (None, "active"), "record")
    company = t.company()
    body = company.install(droplet_installation_uuid=None, droplet_uuid=None)
    response = t.deliver(body, t.droplet.secret)
    t.taken(response, body, installation=f"company-{company.id}")
    body = company.uninstall(droplet_installation_uuid=None, droplet_uuid=None)
    t.taken(t.deliver(body, t.droplet.secret, fluid.now() + 1), body, event="droplet.uninstalled")
    equal(t.site.record(f"company-{company.id}")["status"], "uninstalled", "status")


@scenario()
def types_of_ids(t):
    """fluid_company_id keeps the type and the digits that Fluid sent"""
    for raw in ("17", '"17"', "123456789012345678901234567890", "9223372036854775808"):
        company = t.company()
        body = company.install().replace(b'"fluid_company_id":' + str(company.id).encode(),
                                         b'"fluid_company_id":' + raw.encode())
        t.taken(t.deliver(body, t.droplet.secret), body)
        text = t.site.record_path(company.dri).read_text()
        assert f'"fluid_company_id": {raw},' in text, text
    body = t.company().order().replace(b'"id":', b'"id":98765432109876543210,"was":', 1)
    line = t.taken(t.deliver(body, t.droplet.secret), body, event="order.created")
    equal(line["id"], 98765432109876543210, "id")
