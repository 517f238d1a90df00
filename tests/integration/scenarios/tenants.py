"""One tenant's key is of no use against another; X-Fluid-Shop says nothing about who sent it."""

import json
from concurrent.futures import ThreadPoolExecutor

from harness import fluid
from harness.tap import equal
from harness.web import Request

from .trial import scenario


def two(t):
    """My installation and another tenant's, both active."""
    mine, theirs = t.company(), t.company()
    t.install(mine)
    t.install(theirs)
    return mine, theirs


@scenario()
def foreign_key_on_lifecycle(t):
    """Another tenant's key does not sign installs or uninstalls of my installation"""
    mine, theirs = two(t)
    before = t.site.record_path(mine.dri).read_bytes()
    # Without my own token in the body, which nobody else knows.
    for body in (mine.install(webhook_verification_token=None), mine.uninstall(),
                 mine.install(authentication_token=theirs.dit,
                              webhook_verification_token=theirs.wvt),
                 mine.uninstall(fluid_company_id=theirs.id, fluid_shop=theirs.shop),
                 mine.uninstall(webhook_verification_token=theirs.wvt),
                 fluid.flat("uninstalled", {"droplet_installation_uuid": mine.dri})):
        for shop in (mine.shop, theirs.shop, None):
            t.unauthorized(body, fluid.signed(theirs.wvt, body, fluid.now() + 1, shop))
            t.unauthorized(body, fluid.token("X-Fluid-Token", theirs.wvt, shop))
            t.unauthorized(body, fluid.token("AUTH_TOKEN", theirs.wvt, shop))
    equal(t.site.record_path(mine.dri).read_bytes(), before, "my record")


@scenario()
def foreign_key_on_business(t):
    """A business event belongs to the key that signed it, whatever X-Fluid-Shop says"""
    mine, theirs = two(t)
    body = mine.order()
    t.unauthorized(body, fluid.signed(theirs.wvt, body, shop=mine.shop))
    body = theirs.order(company={"fluid_company_id": theirs.id})
    t.taken(t.deliver(body, theirs.wvt, shop=mine.shop), body, event="order.created",
            installation=theirs.dri, key="installation", fluid_shop=theirs.shop + ".fluid.app")
    for company in ({"droplet_installation_uuid": mine.dri}, {"fluid_company_id": mine.id},
                    {"droplet_installation_uuid": mine.dri, "fluid_company_id": theirs.id}):
        body = theirs.order(company=company)
        t.unauthorized(body, fluid.signed(theirs.wvt, body, shop=theirs.shop))
        t.unauthorized(body, fluid.token("X-Fluid-Token", theirs.wvt, theirs.shop))


@scenario()
def shop_header_is_no_proof(t):
    """X-Fluid-Shop of a known shop without a key, or with the droplet's, attributes nothing"""
    mine, _ = two(t)
    body = mine.order()
    t.unauthorized(body, [("X-Fluid-Shop", mine.shop)])
    t.taken(t.deliver(body, t.droplet.secret, shop=mine.shop), body, event="order.created",
            installation=None, fluid_shop=None, key="droplet")
    for shop in (mine.shop, mine.shop + ".fluid.app"):
        t.unauthorized(mine.uninstall(), [("X-Fluid-Shop", shop)])
    t.has(mine, status="active")


@scenario()
def droplet_key_attribution(t):
    """Under a droplet's key a business event belongs to the installation its body names"""
    mine, _ = two(t)
    for company in ({"droplet_installation_uuid": mine.dri}, {"fluid_company_id": mine.id}):
        body = mine.order(company=company)
        t.taken(t.deliver(body, t.droplet.secret), body, event="order.created",
                installation=mine.dri, key="droplet")
    for fields in ({"company_id": mine.id}, {"company": {"fluid_shop": mine.shop}}, {},
                   {"company": {"droplet_installation_uuid": fluid.opaque("dri_")}}):
        body = mine.order(**fields)
        t.taken(t.deliver(body, t.droplet.secret), body, event="order.created", installation=None)


@scenario()
def installation_key_creates_nothing(t):
    """An installation's key never creates another record"""
    mine, _ = two(t)
    for body in (mine.again().install(), t.company().install(),
                 mine.install(droplet_installation_uuid=fluid.opaque("dri_")),
                 mine.install(droplet_installation_uuid=None),
                 mine.install(droplet_uuid=t.other.uuid), mine.install(fluid_company_id=1),
                 fluid.flat("uninstalled", {"droplet_installation_uuid": fluid.opaque("dri_"),
                                            "fluid_company_id": mine.id})):
        before = set(t.site.state.rglob("*"))
        for shop in (mine.shop, None):
            t.unauthorized(body, fluid.signed(mine.wvt, body, shop=shop))
        equal(set(t.site.state.rglob("*")) - before, set(), "new files")
    t.has(mine, status="active", authentication_token=mine.dit)


@scenario()
def another_droplet(t):
    """403: a droplet's secret has no authority over an installation of another, whatever the body says"""
    company = t.company(t.other)

    def no_authority(*bodies):
        for body in bodies:
            for secret in t.droplet.secrets:
                t.refused(403, "unknown_droplet", body, fluid.signed(secret, body))
                t.refused(403, "unknown_droplet", body, fluid.token("X-Fluid-Token", secret))
            t.unauthorized(body, fluid.signed(fluid.credential("dws_"), body))

    no_authority(company.install(), company.uninstall())
    equal(t.record(company), None, "record")
    t.install(company)
    before = t.site.record_path(company.dri).read_bytes()
    thief = {"authentication_token": fluid.credential("dit_"),
             "webhook_verification_token": fluid.credential("wvt_")}
    for uuid in (None, "", t.droplet.uuid, t.other.uuid, 7, "drp_of_nobody"):
        fields = {"droplet_uuid": uuid}
        no_authority(company.uninstall(**fields), company.install(**fields, **thief),
                     company.install_v2(**fields),
                     company.order(company={"droplet_installation_uuid": company.dri, **fields}))
    null = fluid.flat("uninstalled", {"droplet_installation_uuid": company.dri, "droplet_uuid": None})
    no_authority(null, null.replace(b":null", b':""'))
    equal(t.site.record_path(company.dri).read_bytes(), before, "the other droplet's record")
    body = company.uninstall()
    t.taken(t.deliver(body, t.other.secret, fluid.now() + 1), body, event="droplet.uninstalled",
            droplet=t.other.uuid)
    no_authority(company.install(droplet_uuid=None), company.uninstall(droplet_uuid=None))
    t.has(company, status="uninstalled", droplet_uuid=t.other.uuid)


@scenario()
def record_without_a_droplet(t):
    """A record that names no droplet belongs to the first one of the configuration"""
    company = t.company()
    t.install(company)
    path = t.site.record_path(company.dri)
    record = t.record(company)
    record["droplet_uuid"] = None
    t.site.write(path, json.dumps(record))
    body = company.uninstall(droplet_uuid=None)
    t.refused(403, "unknown_droplet", body, fluid.signed(t.other.secret, body))
    body = company.order(company={"fluid_company_id": company.id})
    t.taken(t.deliver(body, t.other.secret), body, event="order.created", installation=None)
    t.taken(t.deliver(body, t.droplet.secret), body, event="order.created",
            installation=company.dri, droplet=t.droplet.uuid)
    t.has(company, status="active")


@scenario()
def installs_at_once_of_two_droplets(t):
    """Two droplets that install one unknown dri at once: one gets it, and only it is in the journal"""
    for _ in range(5):
        company = t.company()
        theirs = t.company(t.other, dri=company.dri)
        bodies = [company.install(), theirs.install()]
        requests = [Request(headers=fluid.signed(c.droplet.secret, body), body=body)
                    for c, body in zip((company, theirs), bodies)]
        with ThreadPoolExecutor(2) as pool:
            statuses = [response.status for response in pool.map(t.front.send, requests)]
        equal(sorted(statuses), [200, 403], "statuses")
        winner = (t.droplet, t.other)[statuses.index(200)]
        t.has(company, droplet_uuid=winner.uuid, status="active")
        lines = [line for line in t.site.journal() if line["installation"] == company.dri]
        equal([line["body"] for line in lines], [bodies[statuses.index(200)]], "journal")


@scenario()
def shop_in_the_journal(t):
    """The journal's shop is the record's; a tenant's body, or X-Fluid-Shop, cannot choose it"""
    mine, theirs = two(t)
    for shop in (theirs.shop, "x" * 1000, "x" * 300000, "../..", 5, ["a"], {"a": 1}, ""):
        body = mine.order(company={"fluid_shop": shop})
        line = t.taken(t.deliver(body, mine.wvt, shop=mine.shop), body, event="order.created",
                       installation=mine.dri, fluid_shop=mine.shop + ".fluid.app")
        body = mine.order(company={"droplet_installation_uuid": mine.dri, "fluid_shop": shop})
        t.taken(t.deliver(body, t.droplet.secret, shop=theirs.shop), body, event="order.created",
                installation=mine.dri, fluid_shop=line["fluid_shop"])
        body = mine.order(company={"fluid_shop": shop})
        t.taken(t.deliver(body, t.droplet.secret, shop=theirs.shop), body, event="order.created",
                installation=None, fluid_shop=None)
    body = mine.uninstall(fluid_shop=theirs.shop)
    t.taken(t.deliver(body, mine.wvt, fluid.now() + 1), body, event="droplet.uninstalled",
            fluid_shop=mine.shop + ".fluid.app")
    body = theirs.uninstall(fluid_shop="new-name")
    t.taken(t.deliver(body, t.droplet.secret, fluid.now() + 1), body, event="droplet.uninstalled",
            fluid_shop="new-name")


@scenario()
def identity_stays(t):
    """An install under an installation's own key changes nothing in its record"""
    mine, _ = two(t)
    body = mine.install(fluid_shop="elsewhere.fluid.app", name="New name")
    t.unauthorized(body, fluid.signed(mine.wvt, body, fluid.now() + 1))
    t.has(mine, name=mine.name, fluid_shop=mine.shop + ".fluid.app", fluid_company_id=mine.id,
          droplet_uuid=t.droplet.uuid, droplet_installation_uuid=mine.dri)
    assert not (t.site.state / "shops" / "elsewhere").exists()
