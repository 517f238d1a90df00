"""Many clients at once."""

import collections
import random
from concurrent.futures import ThreadPoolExecutor

from harness import fluid
from harness.tap import equal
from harness.web import Request

from .trial import scenario

CLIENTS = 64


def send_all(t, requests):
    """Send all requests at once, in any order; all are accepted. Those that waited too long for a
    lock, on a slow machine, are sent again. Returns how many were."""
    random.shuffle(requests)
    again = 0
    while requests:
        with ThreadPoolExecutor(len(requests)) as pool:
            statuses = [response.status for response in pool.map(t.front.send, requests)]
        requests = [request for request, status in zip(requests, statuses) if status == 503]
        equal({status for status in statuses if status != 503} - {200}, set(), "statuses")
        assert len(requests) < len(statuses), "not one was accepted"
        assert not requests or "holds the lock" in t.site.log_text(), "503 for another reason"
        again += len(requests)
    return again


def check_bodies(lines, want, again):
    """The bodies in the journal: each as often as it was accepted; what was sent again may be there
    once more."""
    more = collections.Counter(lines)
    missing = collections.Counter(want) - more
    more.subtract(want)
    equal((missing, set(lines) - set(want)), (collections.Counter(), set()), "bodies in the journal")
    assert sum(more.values()) <= again, f"{sum(more.values())} lines too many"


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
    again = send_all(t, requests)
    t.has(company, status="uninstalled", authentication_token=None,
          webhook_verification_token=None)
    lines = [line for line in t.site.journal() if line["installation"] == company.dri]
    check_bodies([line["body"] for line in lines], [install, uninstall] * (CLIENTS // 2), again)
    equal(len({line["delivery"] for line in lines}), len(lines), "different deliveries")


@scenario()
def different_installs(t):
    """64 companies install at once, with bodies of all sizes: every one has its record and line"""
    companies = [t.company() for _ in range(CLIENTS)]
    bodies = [fluid.padded(c.install(), 1000 + 700 * n) for n, c in enumerate(companies)]
    requests = [Request(headers=fluid.signed(t.droplet.secret, body), body=body) for body in bodies]
    again = send_all(t, requests)
    for company in companies:
        t.has(company, status="active", authentication_token=company.dit)
    mine = {company.dri for company in companies}
    lines = [line["body"] for line in t.site.journal() if line["installation"] in mine]
    check_bodies(lines, bodies, again)


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
    send_all(t, requests)
    equal([t.status(c) for c in companies], ["superseded"] * 7 + ["active"], "statuses of records")
