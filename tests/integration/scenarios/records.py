"""Records: duplicates, order of arrival, reinstalls, files on disk."""

import re

from harness import fluid
from harness.tap import equal

from .trial import scenario


@scenario()
def duplicates(t):
    """The same delivery again changes nothing, but has a line of its own in the journal"""
    company = t.company()
    body = company.install()
    headers = fluid.signed(t.droplet.secret, body)
    first = t.taken(t.send(body, headers), body)
    record = t.site.record_path(company.dri).read_bytes()
    second = t.taken(t.send(body, headers), body)
    assert first["delivery"] != second["delivery"]
    later = t.taken(t.deliver(body, t.droplet.secret, fluid.now() + 5), body)
    assert later["delivery"] != first["delivery"]
    equal(t.site.record_path(company.dri).read_bytes(), record, "record")
    equal(t.has(company)["delivery"], first["delivery"], "delivery applied last")


@scenario()
def older_never_undoes(t):
    """An install signed before the uninstall does not bring the installation back"""
    company = t.company()
    now = fluid.now()
    body, away = company.install(), company.uninstall()
    t.taken(t.deliver(body, t.droplet.secret, now - 20), body)
    t.taken(t.deliver(away, t.droplet.secret, now - 10), away, event="droplet.uninstalled")
    for stamp in (now - 20, now - 15, now - 10):
        t.taken(t.deliver(body, t.droplet.secret, stamp), body)
        t.has(company, status="uninstalled", authentication_token=None)
    different = company.install(name="Other")
    t.taken(t.deliver(different, t.droplet.secret, now - 15), different)
    t.has(company, status="uninstalled", authentication_token=None)
    order = company.order()
    t.unauthorized(order, fluid.signed(company.wvt, order, shop=company.shop))


@scenario()
def uninstall_first(t):
    """An uninstall that arrives before its install wins over it"""
    company = t.company()
    now = fluid.now()
    away, body = company.uninstall(), company.install()
    t.taken(t.deliver(away, t.droplet.secret, now), away, event="droplet.uninstalled",
            installation=company.dri)
    t.has(company, status="uninstalled")
    t.taken(t.deliver(body, t.droplet.secret, now - 5), body)
    t.has(company, status="uninstalled", authentication_token=None)
    other = t.company()
    minimal = fluid.flat("uninstalled", {"droplet_installation_uuid": other.dri})
    t.taken(t.deliver(minimal, t.droplet.secret), minimal, event="droplet.uninstalled",
            installation=other.dri)
    t.has(other, status="uninstalled")


@scenario()
def older_uninstall(t):
    """An uninstall signed before the install leaves it active"""
    company = t.company()
    now = fluid.now()
    body, away = company.install(), company.uninstall()
    t.taken(t.deliver(body, t.droplet.secret, now), body)
    t.taken(t.deliver(away, t.droplet.secret, now - 5), away, event="droplet.uninstalled")
    t.has(company, status="active", authentication_token=company.dit)


@scenario()
def reinstall_supersedes(t):
    """A newer installation of the same droplet for the same company supersedes the older one"""
    now = fluid.now()
    company = t.company()
    body = company.install()
    t.taken(t.deliver(body, t.droplet.secret, now - 20), body)
    elsewhere = t.company(t.other, id=company.id, shop=company.shop)
    body = elsewhere.install()
    t.taken(t.deliver(body, t.other.secret, now - 15), body)
    later = company.again()
    body = later.install()
    t.taken(t.deliver(body, t.droplet.secret, now - 10), body)
    t.has(company, status="superseded", authentication_token=None, webhook_verification_token=None)
    t.has(later, status="active", authentication_token=later.dit)
    t.has(elsewhere, status="active", authentication_token=elsewhere.dit)
    order = company.order()
    t.unauthorized(order, fluid.signed(company.wvt, order, shop=company.shop))
    order = later.order()
    t.taken(t.deliver(order, later.wvt, shop=company.shop), order, event="order.created",
            installation=later.dri)
    late = company.again()
    body = late.install()
    t.taken(t.deliver(body, t.droplet.secret, now - 12), body)
    t.has(late, status="superseded", authentication_token=None)
    t.has(later, status="active")


@scenario()
def pending_does_not_supersede(t):
    """A reinstall that still waits for its exchange leaves the older installation active"""
    now = fluid.now()
    company = t.company()
    body = company.install()
    t.taken(t.deliver(body, t.droplet.secret, now - 20), body)
    later = company.again()
    body = later.install_v2()
    t.pending(t.deliver(body, t.droplet.secret, now - 10), body)
    t.has(company, status="active", authentication_token=company.dit)
    t.has(later, status="pending")


@scenario()
def both_styles(t):
    """Permanent tokens beside an exchange token: active at once, nothing left to exchange"""
    company = t.company()
    body = fluid.flat("installed", {**company.company_v2(), "authentication_token": company.dit,
                                    "webhook_verification_token": company.wvt},
                      contract_version="v2")
    t.taken(t.deliver(body, t.droplet.secret), body)
    record = t.has(company, status="active", authentication_token=company.dit)
    equal(record.get("exchange_token"), None, "exchange token")
    assert not (t.site.state / "queue" / "pending" / company.dri).exists()


@scenario()
def shapes(t):
    """Event and company are taken from the same object, in every shape Fluid sends"""
    def company_and(block):
        company = t.company()
        return company, block(company.company_v1())

    for block in (
            lambda c: {"resource": "droplet", "event": "installed", "company": c},
            lambda c: {"event_name": "droplet_installed", "company": c},
            lambda c: {"name": "droplet_installed", "payload": {"company": c}},
            lambda c: {"event_identifier": "droplet.installed", "company": c},
            lambda c: {"payload": {"event_name": "droplet_installed", "company": c}},
            lambda c: {"payload": {"resource": "droplet", "event": "installed", "company": c}},
            lambda c: {"resource": "droplet", "event": "installed", "payload": {"company": c}},
            lambda c: {"payload": {"company": {"droplet_installation_uuid": "dri_inner"}},
                       "company": c, "resource": "droplet", "event": "installed"},
            lambda c: {"payload": "text", "company": c, "name": "droplet_installed"},
            lambda c: {"payload": {}, "company": c, "resource": "droplet", "event": "installed"}):
        company, value = company_and(block)
        body = fluid.encode(value)
        t.taken(t.deliver(body, t.droplet.secret), body, installation=company.dri)
        t.has(company, status="active")


@scenario()
def event_names(t):
    """Event names come out as resource.event, underscores where they belong"""
    for name, event in (("bot_message_created", "bot_message.created"),
                        ("order_external_id_synced", "order.external_id_synced"),
                        ("subscription_resumed_after_payment_fix",
                         "subscription.resumed_after_payment_fix"),
                        ("cart_update_cart_email", "cart.update_cart_email"),
                        ("order.created", "order.created"),
                        ("thing_of_tomorrow", "thing.of_tomorrow"),
                        ("mfa_missing_email", "mfa.missing_email")):
        for key in ("name", "event_name", "event_identifier"):
            body = fluid.encode({key: name, "id": 1})
            t.taken(t.deliver(body, t.droplet.secret), body, event=event, id=1)


@scenario()
def files(t):
    """Records and links lie where the contract says, with exact times, for the owner alone"""
    company = t.company()
    stamp = fluid.now() - 30
    body = company.install()
    line = t.taken(t.deliver(body, t.droplet.secret, stamp), body)
    record = t.has(company, status="active", delivery=line["delivery"], droplet_uuid=t.droplet.uuid,
                   fluid_shop=company.shop + ".fluid.app", uninstalled_at=None)
    when = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
    assert re.fullmatch(when + "Z", record["installed_at"]), record["installed_at"]
    assert re.fullmatch(when + r"\.\d{6}Z", record["updated_at"]), record["updated_at"]
    equal(fluid.seconds(record["installed_at"]), stamp, "installed_at")
    for directory, name in (("shops", company.shop), ("companies", str(company.id))):
        link = t.site.state / directory / name / company.dri
        equal(str(link.readlink()), f"../../installations/{company.dri}.json", "link")
        assert link.resolve().is_file(), link
    day = line["received_at"][:10]
    assert any(path.name == f"{day}.jsonl" for path in t.site.journal_files()), day
    t.site.check_modes()


@scenario()
def planted_links(t):
    """Symbolic links that fluidhook did not make are not followed"""
    target = t.site.dir / "target.json"
    company = t.company()
    t.site.write(target, "{}")
    t.site.record_path(company.dri).symlink_to(target)
    body = company.install()
    response = t.deliver(body, t.droplet.secret)
    equal(target.read_text(), "{}", "the file that the link points to")
    assert response.status in (200, 503), response.describe()
    if t.site.record_path(company.dri).is_symlink():
        t.site.record_path(company.dri).unlink()
    t.taken(t.deliver(body, t.droplet.secret), body)
    t.has(company, status="active")
