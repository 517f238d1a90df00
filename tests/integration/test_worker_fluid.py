#!/usr/bin/env python3
"""The worker and Fluid's API: exchanges, confirmations, subscriptions, and all the ways Fluid can fail."""

import contextlib
import json
import time

from harness import fluid, process, tap
from harness.fluid import Company
from harness.fronts import Cgi
from harness.process import wait_until
from harness.site import RECEIVER
from harness.worker import COMMAND, EXCHANGE, Fluid, WorkerSite, deliver
from harness.webservers import Nginx, find

ALL = []            # the sites of all tests, to look for credentials at the end


class World:
    """A receiver, a worker and Fluid."""

    def __init__(self, front=None, worker=None, api=None, **settings):
        self.fluid = Fluid()
        self.site = WorkerSite(self.fluid.url, worker, api, **settings)
        self.front = front or Cgi()
        self.front.start(self.site)
        self.proc = None

    def company(self, **fields):
        return Company(self.site.droplets[0], **fields)

    def work(self):
        self.proc = self.site.start_worker()

    def stop(self):
        """End the worker as systemd does."""
        status = process.stop(self.proc)
        assert status == 0, f"the worker ended with {status}\n{self.site.log_tail()}"
        self.proc = None

    def close(self):
        if self.proc:
            self.stop()
        self.front.stop()
        self.fluid.__exit__()

    def deliver(self, company, body=None, timestamp=None, **more):
        return deliver(self.front, company, company.install_v2() if body is None else body,
                       timestamp, **more)

    def install(self, company=None, lives=600.0, **offer):
        """A v2 install whose token Fluid knows."""
        company = company or self.company()
        self.fluid.offer(company, lives, **offer)
        self.deliver(company, install_v2(company, lives))
        return company

    def logged(self, *words):
        """Whether a line of the worker's log has all these words."""
        return any(all(word in line for word in words) for line in self.site.log_text().splitlines())

    def wait_logged(self, *words):
        wait_until(lambda: self.logged(*words), f"not logged: {words}\n{self.site.log_tail()}")


@contextlib.contextmanager
def world(front=None, worker=None, api=None, **settings):
    made = World(front, worker, api, **settings)
    ALL.append(made.site)
    try:
        yield made
    except AssertionError as error:
        raise AssertionError(f"{error}\n{made.site.log_tail()}") from error
    finally:
        made.close()


def install_v2(company, lives=600.0, at=None, **credentials):
    """A v2 install whose token lives so many seconds from now."""
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime((at or time.time()) + lives))
    block = company.company_v2()
    block["credentials"].update(exchange_token_expires_at=expires, **credentials)
    return fluid.flat("installed", {k: v for k, v in block.items() if v is not None})


def equal(got, want, what=""):
    assert got == want, f"{what}: got {got!r}, want {want!r}"


def has_credentials(w, company):
    """The record is whole: permanent credentials are there, one-time ones are not."""
    record = w.site.wait_for(company, status="active")
    equal(record["authentication_token"], company.dit, "authentication_token")
    equal(record["webhook_verification_token"], company.wvt, "webhook_verification_token")
    for name in ("exchange_token", "exchange_endpoint", "exchange_tried_at", "reason"):
        equal(record.get(name), None, name)
    return record


def has_no_credentials(w, company, **fields):
    record = w.site.wait_for(company, **fields)
    for name in ("authentication_token", "webhook_verification_token", "exchange_token"):
        equal(record.get(name), None, name)
    return record


def nothing_waits(w):
    """No marker is left in the queue."""
    def left():
        return [str(p) for folder in ("pending", "unconfirmed", "subscribe")
                for p in (w.site.state / "queue" / folder).glob("*")]
    wait_until(lambda: not left(), "markers are left")


def exchange_behind_nginx():
    """Behind nginx an install is active within a second of its 202; then its hook runs, with a token that works"""
    if not find("nginx"):
        raise tap.Skip("nginx is not installed")
    with world(Nginx()) as w:
        w.site.hook("droplet.installed", f"""
cat >/dev/null
exec "{w.site.command}" -c "$FLUIDHOOK_CONF" token "$FLUIDHOOK_INSTALLATION" >>{w.site.dir}/tokens
""")
        w.work()
        w.wait_logged("msg=working")
        slowest = 0
        companies = [w.company() for _ in range(10)]
        for company in companies:
            w.fluid.offer(company)
            answer = w.deliver(company)
            begun = time.monotonic()
            equal((answer.status, json.loads(answer.body)["status"]), (202, "pending"))
            has_credentials(w, company)
            slowest = max(slowest, time.monotonic() - begun)
        assert slowest < 1, f"the slowest took {slowest:.3f} s"
        tap.note(f"the slowest exchange: {slowest:.3f} s after the 202")
        tokens = w.site.dir / "tokens"
        wait_until(lambda: tokens.exists() and len(tokens.read_text().split()) == 10, "hooks")
        equal(tokens.read_text().split(), [c.dit for c in companies], "the hooks' tokens")
        for company in companies:
            said = json.loads(w.site.ok("api", "GET", "/api/anything", "--installation", company.dri))
            equal(said["as"], company.dri)
            equal(len(w.fluid.exchanges(company)), 1, "exchanges")
        nothing_waits(w)
        w.site.check_modes()


if not RECEIVER.is_file() or not COMMAND.is_file():
    tap.bail(f"there is no {RECEIVER} or {COMMAND}: build first")
tap.run([tap.Test(function.__doc__, function) for function in (
    exchange_behind_nginx,
)])
