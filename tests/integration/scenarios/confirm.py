"""unsigned_installs = confirm: installs that nothing vouches for wait until Fluid confirms them."""

from concurrent.futures import ThreadPoolExecutor

from harness import fluid
from harness.tap import equal
from harness.web import Request

from .trial import scenario


@scenario("confirming")
def unsigned_install(t):
    """An unsigned install of a configured droplet waits as unconfirmed, and opens nothing"""
    for body_of in (fluid.Company.install, fluid.Company.install_v2):
        company = t.company()
        body = body_of(company)
        headers = [("X-Fluid-Shop", company.shop)]
        line = t.pending(t.send(body, headers), body, verified_by="none", key=None, signature=None,
                         installation=company.dri, fluid_shop=None, droplet=None, fingerprint=None)
        t.has(company, status="unconfirmed")
        order = company.order()
        t.unauthorized(order, fluid.signed(company.wvt, order, shop=company.shop))
        t.unauthorized(order, fluid.token("X-Fluid-Token", company.wvt, company.shop))
        t.unauthorized(company.uninstall(webhook_verification_token=company.wvt))
        assert not (t.site.state / "shops" / company.shop).exists(), "found by its shop"
        before = t.site.journal_size()
        again = t.send(body)
        t.pending(again, body, delivery=line["delivery"])
        equal(t.site.journal_size(), before, "journal after the same bytes")
        t.has(company, status="unconfirmed", delivery=line["delivery"])


@scenario("confirming")
def only_installs(t):
    """Nothing else is taken unsigned, nor with a wrong signature or token"""
    company = t.company()
    body = company.install()
    for headers in (fluid.signed(fluid.credential("dws_"), body),
                    fluid.token("X-Fluid-Token", fluid.credential("dws_")),
                    fluid.token("AUTH_TOKEN", company.wvt), [("X-Fluid-Signature", "")]):
        t.unauthorized(body, headers)
    for other in (company.uninstall(), company.order(), b"{}", b"", body[:-1],
                  company.install(droplet_uuid="drp_of_somebody_else"),
                  company.install(droplet_uuid=None), company.install(authentication_token=None),
                  company.install(droplet_installation_uuid="../x"),
                  fluid.encode({"resource": "fluidhook", "event": "probe"})):
        t.unauthorized(other)
    equal(t.record(company), None, "record")


@scenario("confirming")
def known_is_known(t):
    """An unsigned install never touches an installation that is known, nor one already waiting"""
    company = t.company()
    t.install(company)
    theirs = t.company(dri=company.dri)
    t.unauthorized(theirs.install())
    t.has(company, status="active", authentication_token=company.dit)
    body = company.uninstall()
    t.taken(t.deliver(body, t.droplet.secret, fluid.now() + 1), body, event="droplet.uninstalled")
    t.unauthorized(theirs.install())
    t.has(company, status="uninstalled")
    waiting = t.company()
    body = waiting.install()
    t.pending(t.send(body), body)
    t.refused(503, "unavailable", t.company(dri=waiting.dri).install())
    t.has(waiting, status="unconfirmed", authentication_token=waiting.dit)


@scenario("confirming")
def signed_word_wins(t):
    """A signed install takes the place of one that waits for confirmation"""
    company = t.company()
    impostor = t.company(dri=company.dri)
    body = impostor.install()
    t.pending(t.send(body), body)
    t.install(company)
    t.has(company, status="active", authentication_token=company.dit,
          webhook_verification_token=company.wvt, fluid_company_id=company.id)
    order = company.order()
    t.unauthorized(order, fluid.signed(impostor.wvt, order, shop=impostor.shop))


@scenario("confirming")
def written_once(t):
    """The same unsigned install from many clients at once is written once"""
    company = t.company()
    body = company.install()
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: t.front.send(Request(headers=[], body=body)).status,
                                 range(24)))
    equal(set(statuses), {202}, "statuses")
    lines = [line for line in t.site.journal() if line["installation"] == company.dri]
    equal(len(lines), 1, "journal lines")


@scenario("confirming")
def unsigned_size(t):
    """An unsigned body has at most 64 KiB; a signed one may have more"""
    company = t.company()
    body = fluid.padded(company.install(), 64 * 1024 + 1)
    t.unauthorized(body)
    equal(t.record(company), None, "record")
    t.taken(t.deliver(body, t.droplet.secret), body)
    company = t.company()
    body = fluid.padded(company.install(), 64 * 1024)
    t.pending(t.send(body), body)


@scenario("confirming")
def unverified_droplet(t):
    """An unsigned install does not decide whose an installation is"""
    for first, second in ((t.droplet, t.other), (t.other, t.droplet)):
        company = t.company(second)
        body = t.company(first, dri=company.dri).install()
        t.pending(t.send(body), body)
        t.install(company)
        t.has(company, status="active", droplet_uuid=second.uuid)


@scenario("confirming")
def never_supersedes(t):
    """An unsigned install by the same company leaves the active installation as it is"""
    company = t.company()
    t.install(company)
    later = company.again()
    body = later.install()
    t.pending(t.send(body), body)
    t.has(company, status="active", authentication_token=company.dit)
    t.has(later, status="unconfirmed")


@scenario("confirming")
def hundred_at_most(t):
    """At most 100 wait at once, then 503; signed installs go on"""
    def one(_):
        body = t.company().install()
        return t.front.send(Request(headers=[], body=body)).status

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(one, range(120)))
    equal(set(statuses), {202, 503}, "statuses")
    waiting = [path for path in (t.site.state / "installations").glob("*.json")
               if t.site.record(path.stem)["status"] == "unconfirmed"]
    equal(len(waiting), 100, "records that wait")
    t.refused(503, "unavailable", t.company().install())
    t.install(t.company())
    equal(t.send(method="GET").status, 200, "health")
    # Room again as soon as one of them is vouched for.
    first = t.site.record(waiting[0].stem)
    vouched = t.company(dri=first["droplet_installation_uuid"])
    t.install(vouched)
    body = t.company().install()
    t.pending(t.send(body), body)
