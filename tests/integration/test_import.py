#!/usr/bin/env python3
"""`fluidhook import`: installations of another program, by the rules of installs and uninstalls."""

import contextlib
import json
import secrets

from harness import fluid, tap
from harness.command_site import CommandSite
from harness.fluid import Company, Droplet
from harness.fronts import Cgi
from harness.tap import equal
from harness.web import Request

ZERO = {"added": 0, "updated": 0, "unchanged": 0, "skipped": 0}
THEN = "2024-03-01T10:20:30Z"


@contextlib.contextmanager
def place(*droplets, **settings):
    """A site and its front. No command prints a credential."""
    site, front = CommandSite(list(droplets) or None, **settings), Cgi()
    front.start(site)
    try:
        yield site, front
        assert not site.leaks(), site.leaks()
        site.check_modes()
    finally:
        front.stop()
        site.close()


def deliver(front, secret, body, status=200, shop=None, timestamp=None):
    answer = front.send(Request(headers=fluid.signed(secret, body, timestamp, shop), body=body))
    assert answer.status == status, answer.describe()


def row(company, **fields):
    """A line as Fluid names its fields."""
    return {**company.company_v1(), "installed_at": THEN, **fields}


def lines_of(*rows):
    return b"".join((r if isinstance(r, bytes) else fluid.encode(r)) + b"\n" for r in rows)


def run(site, *rows, **wanted):
    """Import these from standard input. Its reasons."""
    done = site.run("import", "--json", "-", stdin=lines_of(*rows))
    assert done.err == b"" and done.status == (1 if wanted.get("skipped") else 0), done
    got = json.loads(done.out)
    reasons = got.pop("reasons")
    equal(got, {**ZERO, **wanted})
    equal(len(reasons), got["skipped"])
    return reasons


def forms():
    """Lines at the root and in `company`, from a file with a byte order mark; events under their keys are accepted then."""
    with place() as (site, front):
        one, two, three = (Company(site.droplets[0]) for _ in range(3))
        rows = [row(one), {"company": two.company_v1(), "created_at": "2024-03-01 10:20:30.5 UTC", "active": True},
                {"id": 7, "payload": {"company": three.company_v1(droplet_uuid=None)}}]
        path = site.dir / "rows.jsonl"
        path.write_bytes(b"\xef\xbb\xbf" + lines_of(*rows[:2]) + b"\n  \r\n" + fluid.encode(rows[2]))
        path.chmod(0o644)
        equal(site.ok("import", path).split(), b"added 3 updated 0 unchanged 0 skipped 0".split())
        for company, at in ((one, THEN), (two, THEN), (three, None)):
            record = site.record(company.dri)
            equal((record["status"], record["installed_at"], record["delivery"]), ("active", at, None))
            equal((record["authentication_token"], record["webhook_verification_token"], record["name"]),
                  (company.dit, company.wvt, company.name))
            equal((record["droplet_uuid"], record["fluid_company_id"]), (company.droplet.uuid, company.id))
            assert (site.state / "shops" / company.shop / company.dri).is_symlink()
            deliver(front, company.wvt, company.order(), shop=company.shop)
        # A second time, nothing changes, not a byte.
        before = {p: (p.read_bytes(), p.stat().st_ino) for p in (site.state / "installations").glob("*.json")}
        run(site, *rows, unchanged=3)
        equal({p: (p.read_bytes(), p.stat().st_ino) for p in (site.state / "installations").glob("*.json")}, before)
        # Nothing of it is a delivery: only the orders are, so no hook can run for an import.
        equal({entry["event"] for entry in site.journal()}, {"order.created"})


def order():
    """What is newer here stays; what is older here changes, and an uninstall elsewhere ends the installation."""
    with place() as (site, front):
        droplet = site.droplets[0]
        newer, older, gone, ended = (Company(droplet) for _ in range(4))
        deliver(front, droplet.secret, newer.install())
        deliver(front, droplet.secret, gone.install())
        deliver(front, gone.wvt, gone.uninstall(), shop=gone.shop)
        stale = dict(authentication_token=fluid.credential("dit_"))
        run(site, row(newer, **stale), row(older), row(gone), row(ended), unchanged=2, added=2)
        equal(site.record(newer.dri)["authentication_token"], newer.dit)
        equal(site.record(gone.dri)["status"], "uninstalled")
        older.dit = fluid.credential("dit_")
        run(site, row(older, installed_at="2024-05-01T00:00:00Z"), updated=1)
        equal(site.record(older.dri)["authentication_token"], older.dit)
        run(site, row(older, **stale), unchanged=1)
        equal(site.record(older.dri)["authentication_token"], older.dit)
        # An end, which is newer than what is here; and one that is older than it.
        over = row(ended, uninstalled_at="2024-04-01T00:00:00Z")
        run(site, over, row(newer, uninstalled_at="2024-04-01T00:00:00Z"), updated=1, unchanged=1)
        equal(site.record(newer.dri)["status"], "active")
        record = site.record(ended.dri)
        equal((record["status"], record["uninstalled_at"], record["authentication_token"]),
              ("uninstalled", "2024-04-01T00:00:00Z", None))
        assert not (site.state / "shops" / ended.shop / ended.dri).exists()
        deliver(front, ended.wvt, ended.order(), 401, ended.shop)
        run(site, over, row(ended), unchanged=2)
        # One that was over when it came is never active, and is never waiting for the worker.
        past = Company(droplet)
        run(site, row(past, active=False), added=1)
        equal((site.record(past.dri)["status"], site.record(past.dri)["name"]), ("uninstalled", past.name))
        assert not list((site.state / "queue/pending").iterdir())
        other = Company(droplet)
        run(site, row(other, active=0), added=1)
        equal(site.record(other.dri)["status"], "uninstalled")
        # Fluid's own install, which is newer, revives it.
        deliver(front, droplet.secret, past.install())
        equal(site.record(past.dri)["status"], "active")


def superseding():
    """Of several of one company, the newest is active, in whatever order they come."""
    with place() as (site, front):
        droplet = site.droplets[0]
        first = Company(droplet)
        second = first.again()
        last = first.again()
        run(site, row(second, installed_at="2024-04-01T00:00:00Z"), row(first), added=2)
        equal([site.record(c.dri)["status"] for c in (first, second)], ["superseded", "active"])
        deliver(front, droplet.secret, last.install())
        equal([site.record(c.dri)["status"] for c in (second, last)], ["superseded", "active"])
        # Imported again, it does not come back.
        run(site, row(second, installed_at="2024-04-01T00:00:00Z"), unchanged=1)
        equal([site.record(c.dri)["status"] for c in (second, last)], ["superseded", "active"])


def skipped():
    """What cannot be imported is named with its line and the reason, and the rest is imported."""
    with place(Droplet("reports"), Droplet("shipping")) as (site, front):
        reports, shipping = site.droplets
        good, owned = Company(reports), Company(shipping)
        deliver(front, shipping.secret, owned.install())
        bad = [(b"{", "not one JSON object"), (b"[]", "not one JSON object"), (b'{"a":"\xff"}', "not one JSON object"),
               (fluid.encode(row(good)) + b"x", "not one JSON object"), ({}, "droplet_installation_uuid"),
               ({"company": 1, **row(good, droplet_installation_uuid=None, fluid_company_id=None)},
                "droplet_installation_uuid"),
               (row(good, droplet_installation_uuid="../../etc/x"), "no safe name"),
               (row(good, droplet_installation_uuid=".hidden"), "no safe name"),
               (row(good, droplet_uuid="drp_other"), "no droplet of the configuration"),
               (row(good, authentication_token=None), "authentication_token is missing"),
               (row(good, authentication_token="x\ny"), "no credential"),
               ({**good.company_v2()}, "exchange token"), (row(good, status="unconfirmed"), "does not work"),
               (row(good, installed_at="yesterday"), "cannot be read"),
               (row(good, installed_at="2999-01-01T00:00:00Z"), "future"),
               (row(good, authentication_token="sealed:0123abcd:AAAA"), "sealed"),
               (row(owned, droplet_uuid=reports.uuid, installed_at=fluid.now()), "another droplet"),
               (row(good, name="x" * (1 << 20)), "longer than 1 MiB")]
        reasons = run(site, *[line for line, _ in bad], row(good, fluid_shop="../x"), added=1, skipped=len(bad))
        for number, ((_, want), got) in enumerate(zip(bad, reasons), 1):
            equal(got["line"], number)
            assert want in got["why"], (want, got)
        equal(site.record(good.dri)["status"], "active")
        equal(sorted(p.name for p in (site.state / "shops").iterdir()), ["+complete", owned.shop])
        equal(site.record(owned.dri)["droplet_uuid"], shipping.uuid)
        done = site.run("import", "-", stdin=lines_of(row(good, droplet_uuid="drp_other")))
        done.fails(f"fluidhook: standard input, line 1, {good.dri}: skipped: its droplet_uuid is no droplet of the "
                   "configuration")
        equal(site.run("import", site.dir / "missing").status, 1)
        equal(site.run("import").status, 2)


def unreadable():
    """A record that cannot be read is not replaced."""
    with place() as (site, _front):
        company = Company(site.droplets[0])
        site.write(site.record_path(company.dri), "{")
        (reason,) = run(site, row(company), skipped=1)
        assert "damaged" in reason["why"], reason
        equal(site.record_path(company.dri).read_text(), "{")


def sealed():
    """With a seal key, the credentials are sealed in the records; without it, nothing is imported."""
    with place(seal_key="seal.key") as (site, front):
        company, other = Company(site.droplets[0]), Company(site.droplets[0])
        site.write(site.dir / "seal.key", secrets.token_hex(32) + "\n")
        run(site, row(company), added=1)
        text = site.record_path(company.dri).read_text()
        assert company.dit not in text and company.wvt not in text and "sealed:" in text, text
        deliver(front, company.wvt, company.order(), shop=company.shop)
        run(site, row(company), unchanged=1)
        (site.dir / "seal.key").unlink()
        assert site.run("import", "-", stdin=lines_of(row(other))).status != 0
        equal(site.record(other.dri), None)


tap.run([tap.Test(test.__doc__.splitlines()[0], test) for test in (forms, order, superseding, skipped, unreadable, sealed)])
