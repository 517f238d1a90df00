"""Many clients at once."""

import random
from concurrent.futures import ThreadPoolExecutor

from harness import fluid
from harness.web import Request

from .trial import equal, scenario

CLIENTS = 64


def send_all(t, requests):
    """Send all requests at once, in any order. Returns their statuses."""
    random.shuffle(requests)
    with ThreadPoolExecutor(len(requests)) as pool:
        return [response.status for response in pool.map(t.front.send, requests)]


@scenario()
def install_and_uninstall(t):
    """64 clients post the same install and its uninstall in any order: it ends uninstalled"""
    company = t.company()
    now = fluid.now()
    install, uninstall = company.install(), company.uninstall()
    requests = [Request(headers=fluid.signed(t.droplet.secret, install, now - 1), body=install)
                for _ in range(CLIENTS // 2)]
    requests += [Request(headers=fluid.signed(t.droplet.secret, uninstall, now), body=uninstall)
                 for _ in range(CLIENTS // 2)]
    equal(set(send_all(t, requests)), {200}, "statuses")
    t.has(company, status="uninstalled", authentication_token=None,
          webhook_verification_token=None)
    lines = [line for line in t.site.journal() if line["installation"] == company.dri]
    equal(sorted(line["body"] for line in lines),
          sorted([install, uninstall] * (CLIENTS // 2)), "bodies in the journal")
    equal(len({line["delivery"] for line in lines}), CLIENTS, "different deliveries")


@scenario()
def different_installs(t):
    """64 companies install at once, with bodies of all sizes: every one has its record and line"""
    companies = [t.company() for _ in range(CLIENTS)]
    bodies = [fluid.padded(c.install(), 1000 + 700 * n) for n, c in enumerate(companies)]
    requests = [Request(headers=fluid.signed(t.droplet.secret, body), body=body) for body in bodies]
    equal(set(send_all(t, requests)), {200}, "statuses")
    for company in companies:
        t.has(company, status="active", authentication_token=company.dit)
    mine = {company.dri for company in companies}
    lines = [line["body"] for line in t.site.journal() if line["installation"] in mine]
    equal(len(lines), CLIENTS, "journal lines")
    equal(set(lines), set(bodies), "bodies in the journal")


@scenario()
def reinstalls_at_once(t):
    """Installs by one company at once: exactly one is active in the end, the newest"""
    first = t.company()
    now = fluid.now()
    companies = [first] + [first.again() for _ in range(7)]
    requests = []
    for n, company in enumerate(companies):
        body = company.install()
        requests += [Request(headers=fluid.signed(t.droplet.secret, body, now - 50 + n), body=body)
                     for _ in range(3)]
    equal(set(send_all(t, requests)), {200}, "statuses")
    equal([t.status(c) for c in companies], ["superseded"] * 7 + ["active"], "statuses of records")
