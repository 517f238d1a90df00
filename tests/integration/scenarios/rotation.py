"""Secrets that change while the receiver runs: no restart, no signal."""

from harness import fluid

from .trial import scenario


def fresh(t, droplet, secret):
    """An install of this droplet signed with this secret is taken."""
    body = t.company(droplet).install()
    t.taken(t.deliver(body, secret), body)


def useless(t, droplet, secret, status=401, error="unauthorized"):
    body = t.company(droplet).install()
    t.refused(status, error, body, fluid.signed(secret, body))


@scenario()
def replaced_file(t):
    """A secrets file replaced by rename: the new secrets count at once, retired ones no more"""
    droplet = t.site.droplets[0]
    for _ in range(3):
        old = list(droplet.secrets)
        droplet.secrets = [fluid.credential("dws_"), old[0]]
        t.site.write_secrets(droplet)
        fresh(t, droplet, droplet.secrets[0])
        fresh(t, droplet, old[0])
        useless(t, droplet, old[1])


@scenario()
def rewritten_in_place(t):
    """A secrets file rewritten in place, with the same length, counts at once as well"""
    droplet = t.site.droplets[0]
    path = t.site.secrets_file(droplet)
    for _ in range(3):
        old = list(droplet.secrets)
        droplet.secrets = [fluid.credential("dws_") for _ in old]
        path.write_text(path.read_text().replace(old[0], droplet.secrets[0])
                        .replace(old[1], droplet.secrets[1]))
        fresh(t, droplet, droplet.secrets[0])
        fresh(t, droplet, droplet.secrets[1])
        useless(t, droplet, old[0])


@scenario()
def record_replaced(t):
    """A record that another process replaced counts as it is now"""
    company = t.company()
    t.install(company)
    path = t.site.record_path(company.dri)
    for _ in range(3):
        order = company.order()
        t.taken(t.deliver(order, company.wvt, shop=company.shop), order, event="order.created",
                installation=company.dri)
        old, company.wvt = company.wvt, fluid.credential("wvt_")
        t.site.write(path, path.read_text().replace(old, company.wvt))
        order = company.order()
        # A key that was replaced less than 10 ms ago may still count.
        while t.send(order, fluid.signed(old, order, shop=company.shop)).status == 200:
            pass
        t.unauthorized(order, fluid.signed(old, order, shop=company.shop))
        t.taken(t.deliver(order, company.wvt, shop=company.shop), order, event="order.created")


@scenario()
def many_secrets(t):
    """Eight live secrets, in a file with comments, blank lines, spaces and CRLF"""
    droplet = t.site.droplets[0]
    droplet.secrets = [fluid.credential("dws_") for _ in range(8)]
    text = "# newest first\r\n\r\n" + "".join(f"  {s} \t\r\n\n" for s in droplet.secrets)
    t.site.write(t.site.secrets_file(droplet), text.rstrip())
    for secret in droplet.secrets:
        fresh(t, droplet, secret)
    useless(t, droplet, "# newest first")
    useless(t, droplet, "")
    t.site.write_secrets(droplet)


@scenario()
def unreadable_file(t):
    """A secrets file that is gone, empty or open to others: 503, and it heals"""
    droplet = t.site.droplets[0]
    path = t.site.secrets_file(droplet)
    company = t.company(droplet)
    t.install(company)
    for spoil in (path.unlink, lambda: t.site.write(path, "# nothing\n\n"),
                  lambda: t.site.write(path, droplet.secret + "\n", 0o644)):
        spoil()
        try:
            useless(t, droplet, droplet.secret, 503, "unavailable")
            if not t.front.per_request:
                still_good(t, company)
        finally:
            t.site.write_secrets(droplet)
        fresh(t, droplet, droplet.secret)


def still_good(t, company):
    """Other keys count as always, where the receiver runs already."""
    order = company.order()
    t.taken(t.deliver(order, company.wvt, shop=company.shop), order, event="order.created",
            installation=company.dri)
    body = t.company(t.other).install()
    t.taken(t.deliver(body, t.other.secret), body)


@scenario("confirming")
def installation_key_changes(t):
    """A newer install brings a new key: the old one is of no use from then on"""
    company = t.company()
    now = fluid.now()
    body = company.install()
    t.taken(t.deliver(body, t.droplet.secret, now - 5), body)
    old, company.wvt = company.wvt, fluid.credential("wvt_")
    body = company.install()
    t.taken(t.deliver(body, t.droplet.secret, now), body)
    t.has(company, status="active", webhook_verification_token=company.wvt)
    order = company.order()
    t.unauthorized(order, fluid.signed(old, order, shop=company.shop))
    t.taken(t.deliver(order, company.wvt, shop=company.shop), order, event="order.created")
