#!/usr/bin/env python3
"""`fluidhook subscribe`: an installation has its subscriptions, or the command says why not."""

import contextlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import fluid, tap  # noqa: E402
from harness.command import Command  # noqa: E402
from harness.fronts import Cgi  # noqa: E402
from harness.site import Site  # noqa: E402
from harness.web import Request  # noqa: E402
from standin import Fault, StandIn  # noqa: E402

WANTED = {"order.created", "subscription.started"}
URL = "https://hooks.example.com/webhook"


@contextlib.contextmanager
def active(n=1):
    """A stand-in, the command, and active installations that Fluid knows."""
    with StandIn() as standin:
        site = Site()
        try:
            site.write_conf(site.conf_text() + f"[fluid]\napi = {standin.url}\n"
                            f"webhooks = {standin.url}/api/webhooks\n[worker]\npublic_url = {URL}\n"
                            f"subscribe = {' '.join(WANTED)}\n")
            cgi = Cgi()
            cgi.start(site)
            companies = [fluid.Company(site.droplets[0]) for _ in range(n)]
            for company in companies:
                body = company.install()
                cgi.send(Request(headers=fluid.signed(site.droplets[0].secret, body), body=body))
                standin.company.install(company.dri, dit=company.dit)
            yield standin, Command(site), companies
        finally:
            site.close()


def subscribed(standin, company):
    """The events that Fluid delivers for an installation; a list, as one can be there twice."""
    return sorted(w["event_identifier"].replace("_", ".", 1) for w in standin.company.webhooks
                  if w["droplet_installation_uuid"] == company.dri and w["url"] == URL)


def has_all():
    """All active installations get what is missing, however often it is asked for"""
    with active(3) as (standin, command, companies):
        for _ in range(2):
            said = command.ok("subscribe", "--all").split()
            assert sorted(said) == sorted(c.dri for c in companies), said
            for company in companies:
                assert subscribed(standin, company) == sorted(WANTED), standin.company.webhooks


def by_shop():
    """An installation can be named by its shop, as with every command"""
    with active(2) as (standin, command, (one, other)):
        assert command.ok("subscribe", one.shop) == one.dri + "\n"
        assert subscribed(standin, one) == sorted(WANTED) and subscribed(standin, other) == []


def refused():
    """An installation that Fluid refuses is not said to be subscribed; the others still are"""
    for shape in ("401_message", "403_scope", "422_object", "503_empty"):
        with active(2) as (standin, command, companies):
            standin.faults.append(Fault(method="POST", shape=shape))
            out, err = command.fails(1, "subscribe", "--all")
            (done,) = out.split()
            (other,) = {company.dri for company in companies} - {done}
            assert err.startswith(f"fluidhook: {other}: subscriptions not made: fluid: {shape[:3]}"), err
            assert any(f"fluidhook: {other}: {event}: {shape[:3]}" in err for event in WANTED), err
            for company in companies:
                assert (subscribed(standin, company) == sorted(WANTED)) == (company.dri == done)
            assert command.fails(1, "subscribe", "dri_nobody")[0] == ""


if __name__ == "__main__":
    tap.run([tap.Test(function.__doc__, function) for function in (has_all, by_shop, refused)])
