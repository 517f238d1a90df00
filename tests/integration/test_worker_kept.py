#!/usr/bin/env python3
"""Business events that arrive before the key of their installation: kept, and accepted once it is there."""

import json
import os
import signal
import stat

from harness import fluid, process, tap
from harness.web import Request
from harness.process import wait_until
from harness.site import RECEIVER
from harness.tap import equal
from harness.worker import (COMMAND, has_credentials, install_v2, no_credentials_in_logs, world)


def kept(w):
    """The kept requests: what their first lines say, with the body, the oldest first."""
    found = []
    for path in (w.site.state / "refused").iterdir():
        head, _, body = path.read_bytes().partition(b"\n")
        found.append({**json.loads(head), "body": body, "path": path})
    return sorted(found, key=lambda one: one["received_at"])


def event(w, company, body, key=None, status=503, timestamp=None, headers=None):
    """Send a business event signed with the installation's key. Returns the answer."""
    headers = headers or fluid.signed(key or company.wvt, body, timestamp, shop=company.shop)
    answer = w.front.send(Request(headers=headers + [("X-Fluid-Token", company.wvt)], body=body))
    equal(answer.status, status, answer)
    return answer


def orders(w):
    return [line for line in w.site.journal() if line["event"] == "order.created"]


def early():
    """An event between an install and its exchange gets 503, and runs once the key is there"""
    with world() as w:
        w.site.hook("order.created", f"cat >>{w.site.dir}/bodies; echo >>{w.site.dir}/bodies\n")
        company = w.company()
        w.deliver(company, install_v2(company))
        bodies = [company.order() for _ in range(3)]
        headers = fluid.signed(company.wvt, bodies[0], shop=company.shop)
        for _ in range(2):
            answer = event(w, company, bodies[0], headers=headers)
            equal(json.loads(answer.body), {"error": "unavailable"})
            equal(answer.headers.get("retry-after"), "30")
        event(w, company, bodies[1])
        event(w, company, bodies[2])
        event(w, company, company.order(), key="another key")
        equal([one["body"] for one in kept(w)][:3], bodies)
        first = kept(w)[0]
        equal((first["count"], first["method"], first["status"], first["reason"], first["x_fluid_shop"]),
              (2, "POST", 503, "no_key_yet", company.shop))
        for one in kept(w):
            equal(stat.S_IMODE(one["path"].stat().st_mode), 0o600)
            assert company.wvt.encode() not in one["path"].read_bytes(), "a raw key was stored"
        equal(orders(w), [])
        w.fluid.offer(company)
        w.work()
        has_credentials(w, company)
        out = w.site.dir / "bodies"
        wait_until(lambda: out.exists() and out.read_bytes().count(b"\n") == 3, "the hooks")
        equal(out.read_bytes().splitlines(), bodies)
        lines = orders(w)
        equal([line["body"] for line in lines], bodies)
        for line in lines:
            equal((line["installation"], line["verified_by"], line["key"], line["fluid_shop"]),
                  (company.dri, "signature", "installation", company.shop + ".fluid.app"))
            assert line["received_at"] > line["refused_at"]
        equal((lines[0]["refused"], lines[0]["refused_at"]), (first["refused"], first["received_at"]))
        # What no key verifies stays.
        equal(len(kept(w)), 1)
        # From now on the key is there, and what it does not verify is refused for good.
        event(w, company, company.order(), status=200)
        event(w, company, company.order(), key="another key", status=401)
        equal(len(kept(w)), 1)


def refused_for_good():
    """401, and nothing kept: no record waits, a stale or malformed signature, none at all"""
    with world() as w:
        active, ended, waits = w.company(), w.company(), w.company()
        for company in (active, ended):
            w.deliver(company, company.install(), fluid.now() - 10)
        w.deliver(ended, ended.uninstall())
        for company in (active, ended, w.company()):
            event(w, company, company.order(), key="another key", status=401)
        w.deliver(waits, install_v2(waits))
        body = waits.order()
        event(w, waits, body, timestamp=fluid.now() - 400, status=401)
        event(w, waits, body, timestamp=fluid.now() + 400, status=401)
        right = fluid.signed(waits.wvt, body, shop=waits.shop)
        event(w, waits, body, headers=right[:-1] + [("X-Fluid-Signature", "0" * 63)], status=401)
        event(w, waits, body, headers=right + [right[-1]], status=401)
        event(w, waits, body, headers=[h for h in right if h[0] != "X-Fluid-Signature"], status=401)
        equal(kept(w), [])
        event(w, waits, body)
        equal(len(kept(w)), 1)


def by_company_and_installation():
    """The record that waits is also found by the company or the installation that the body names"""
    with world() as w:
        company = w.company()
        w.deliver(company, install_v2(company))
        for fields in ({"company": {"droplet_installation_uuid": company.dri}},
                       {"company_id": company.id}):
            body = company.order(**fields)
            event(w, company, body, headers=fluid.signed(company.wvt, body))
        equal(len(kept(w)), 2)
        w.fluid.offer(company)
        w.site.ok("work", "--once")
        equal(len(orders(w)), 2)
        equal(kept(w), [])


def failed_and_repaired():
    """Events of an installation that failed wait for the install that brings its key"""
    with world() as w:
        company = w.company()
        w.deliver(company, install_v2(company))         # Fluid knows nothing of its token
        w.work()
        w.site.wait_for(company, status="failed")
        body = company.order()
        event(w, company, body)
        w.deliver(company, company.install(), fluid.now() + 2)
        wait_until(lambda: len(orders(w)) == 1, "it was not accepted")
        equal(orders(w)[0]["body"], body)
        wait_until(lambda: not kept(w), "it is still kept")


def newer_key():
    """An installation that works: events under the key of a newer install wait for its exchange"""
    with world() as w:
        old = w.company()
        new = w.company(dri=old.dri, id=old.id, shop=old.shop)
        w.deliver(old, old.install(), fluid.now() - 10)
        w.deliver(new, install_v2(new))
        event(w, old, old.order(), status=200)
        body = new.order()
        event(w, new, body)
        w.fluid.offer(new)
        w.site.ok("work", "--once")
        has_credentials(w, new)
        equal([line["body"] for line in orders(w)][1:], [body])
        equal(kept(w), [])
        event(w, new, new.order(), key="another key", status=401)


def bounded():
    """keep_refused bounds the space, the oldest go first, and 0 keeps none"""
    with world(keep_refused="64K") as w:
        company = w.company()
        w.deliver(company, install_v2(company))
        bodies = [fluid.padded(company.order(), 5000) for _ in range(30)]
        for body in bodies:
            event(w, company, body)
            assert sum(one["path"].stat().st_size for one in kept(w)) <= 64 * 1024
        left = [one["body"] for one in kept(w)]
        assert len(left) > 3
        equal(left, bodies[-len(left):])
        w.fluid.offer(company)
        w.site.ok("work", "--once")
        equal([line["body"] for line in orders(w)], left)
    with world(keep_refused="0") as w:
        company = w.company()
        w.deliver(company, install_v2(company))
        event(w, company, company.order())
        equal(kept(w), [])


def killed():
    """A worker that is killed while it accepts neither loses an event nor repeats one"""
    with world() as w:
        company = w.company()
        w.deliver(company, install_v2(company))
        bodies = [company.order() for _ in range(40)]
        for body in bodies:
            event(w, company, body)
        copies = [(one["path"], one["path"].read_bytes()) for one in kept(w)]
        w.fluid.offer(company)
        w.work()
        wait_until(lambda: orders(w), "nothing is accepted")
        os.kill(w.proc.pid, signal.SIGKILL)
        w.proc.wait()
        w.proc = None
        # As a kill leaves it that came after the journal and before the removal.
        for path, text in copies[:10]:
            w.site.write(path, text.decode())
        w.site.ok("work", "--once")
        equal(sorted(line["body"] for line in orders(w)), sorted(bodies))
        equal(kept(w), [])


if not RECEIVER.is_file() or not COMMAND.is_file():
    tap.bail(f"there is no {RECEIVER} or {COMMAND}: build first")
tap.run([tap.Test(function.__doc__, function) for function in (
    early, refused_for_good, by_company_and_installation, newer_key, failed_and_repaired, bounded, killed,
    no_credentials_in_logs)])
