"""One tenant's key is of no use against another; X-Fluid-Shop says nothing about who sent it."""

from harness import fluid

from .trial import equal, scenario


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
    """A droplet's secret says nothing about another configured droplet"""
    company = t.company(t.other)
    for body in (company.install(), company.uninstall()):
        for secret in t.droplet.secrets:
            t.unauthorized(body, fluid.signed(secret, body))
            t.unauthorized(body, fluid.token("X-Fluid-Token", secret))
    equal(t.record(company), None, "record")
    t.install(company)
    t.has(company, droplet_uuid=t.other.uuid)


@scenario()
def identity_stays(t):
    """An install under an installation's own key changes nothing in its record"""
    mine, _ = two(t)
    body = mine.install(fluid_shop="elsewhere.fluid.app", name="New name")
    response = t.deliver(body, mine.wvt, fluid.now() + 1)
    if response.status == 200:
        t.taken(response, body)
    else:
        t.says(response, 401, error="unauthorized")
    t.has(mine, name=mine.name, fluid_shop=mine.shop + ".fluid.app", fluid_company_id=mine.id,
          droplet_uuid=t.droplet.uuid, droplet_installation_uuid=mine.dri)
    assert not (t.site.state / "shops" / "elsewhere").exists()
