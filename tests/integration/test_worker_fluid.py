#!/usr/bin/env python3
"""The worker exchanges one-time tokens, whatever Fluid's API and the disk do meanwhile."""

import json
import os
import signal
import subprocess
import time

from harness import fluid, process, tap
from harness.process import wait_until
from harness.site import RECEIVER
from harness.tap import equal
from harness.worker import (COMMAND, EXCHANGE, has_credentials, has_no_credentials, install_v2,
                            no_credentials_in_logs, nothing_waits, waiting, world)
from harness.webservers import Nginx, find

def tracing_works():
    """Whether strace can trace and inject here."""
    strace = find("strace")
    if not strace:
        return False
    done = subprocess.run([strace, "-e", "trace=fsync", "-e", "inject=fsync:error=EIO", "true"],
                          capture_output=True, env=process.environment(), check=False, timeout=30,
                          cwd="/", **process.identity())
    return done.returncode == 0


INSTALL_AGAIN = "install it again"


def behind_nginx():
    """Behind nginx an install is active within a second; then its hook runs, with a token that works"""
    if not find("nginx"):
        raise tap.Skip("nginx is not installed")
    with world(Nginx()) as w:
        w.site.hook("droplet.installed", f"""
cat >/dev/null
exec "{w.site.command}" -c "$FLUIDHOOK_CONF" token "$FLUIDHOOK_INSTALLATION" >>{w.site.dir}/tokens
""")
        w.work()
        waited = []
        companies = [w.company() for _ in range(10)]
        for company in companies:
            w.fluid.offer(company)
            answer = w.deliver(company)
            begun = time.monotonic()
            equal((answer.status, json.loads(answer.body)["status"]), (202, "pending"))
            has_credentials(w, company)
            waited.append(time.monotonic() - begun)
        # How long it takes is the machine's affair; a worker that looks only now and then would never
        # be quick.
        assert min(waited) < 5, f"seconds after the 202: {waited}"
        tap.note(f"the slowest exchange: {max(waited):.3f} s after the 202")
        tokens = w.site.dir / "tokens"
        wait_until(lambda: tokens.exists() and len(tokens.read_text().split()) == 10, "hooks")
        # Hooks of different installations run side by side.
        equal(sorted(tokens.read_text().split()), sorted(c.dit for c in companies), "the hooks' tokens")
        for company in companies:
            said = json.loads(w.site.ok("api", "GET", "/api/anything", "--installation", company.dri))
            equal(said["as"], company.dri)
            (request,) = w.fluid.exchanges(company)
            equal(request.json(), {"exchange_token": company.dex}, "the request")
            equal(request.header("Authorization"), None, "Authorization")
        nothing_waits(w)
        w.site.check_modes()


def never_again():
    """What Fluid refuses, or answers for somebody else, has failed, with a reason, after one call"""
    with world() as w:
        w.site.hook("fluidhook.install_failed", f"""
cat >>{w.site.dir}/bodies
echo >>{w.site.dir}/bodies
echo "$FLUIDHOOK_EVENT $FLUIDHOOK_INSTALLATION $FLUIDHOOK_ATTEMPT" >>{w.site.dir}/failed
""")
        w.site.hook("droplet.installed", "exit 1\n")
        wanted = []

        def failing(reason, calls=1, **offer):
            company = w.company()
            if offer:
                w.fluid.offer(company, **offer)
            wanted.append((company, reason, calls))
            return company

        w.deliver(failing("exchange_refused"))                          # 404: Fluid does not know it
        w.deliver(failing("exchange_refused", lives=-1))                # 410: it is dead
        spent = failing("exchange_refused", lives=600)                  # 410: it is spent
        w.fluid.company.offers[spent.dex].spent = True
        w.deliver(spent)
        w.deliver(failing("exchange_contradicts", company_id=1))
        w.deliver(failing("exchange_contradicts", droplet_uuid="drp_other"))
        other = failing("exchange_contradicts")
        w.fluid.company.offer(other.dex, "dri_other", droplet_uuid=other.droplet.uuid,
                              company_id=other.id, dit=other.dit, wvt=other.wvt)
        w.deliver(other)
        for endpoint in ("https://evil.example/x", "//evil.example/x", "api/exchange", "/../api",
                         f"{EXCHANGE}?x=1", "@evil.example/", "/a b"):
            company = failing("exchange_refused", 0, lives=600)
            w.deliver(company, install_v2(company, exchange_endpoint=endpoint))
        company = failing("exchange_expired", lives=-1)                 # 410, and dead by our clock, too
        w.deliver(company, install_v2(company, -2))
        w.work()
        for company, reason, calls in wanted:
            has_no_credentials(w, company, status="failed", reason=reason)
            equal(len(w.fluid.exchanges(company)), calls, f"calls for {reason}")
            assert w.logged("level=error", "installation failed", company.dri, reason, INSTALL_AGAIN)
        nothing_waits(w)
        failed = w.site.dir / "failed"
        wait_until(lambda: failed.exists() and len(failed.read_text().splitlines()) == len(wanted),
                   "the hooks for what failed")
        equal(sorted(failed.read_text().split("\n")[:-1]),
              sorted(f"fluidhook.install_failed {c.dri} 1" for c, _, _ in wanted))
        # An alert says which one, and why; it has no credential, and nothing else of the install's body.
        bodies = (w.site.dir / "bodies").read_text(encoding="utf-8")
        # Hooks run side by side: their newlines may come late.
        alerts = json.loads("[" + bodies.replace("\n", "").replace("}{", "},{") + "]")
        assert all(set(alert) == {"event", "at", "detail"} and alert["event"] == "fluidhook.install_failed"
                   for alert in alerts), alerts
        equal(sorted((d["installation"], d["fluid_shop"], d["droplet_uuid"], d["reason"], INSTALL_AGAIN in d["todo"])
                     for d in (alert["detail"] for alert in alerts)),
              sorted((c.dri, c.shop + ".fluid.app", c.droplet.uuid, reason, True) for c, reason, _ in wanted))
        assert all(set(a["detail"]) == {"installation", "fluid_shop", "droplet_uuid", "reason", "why", "todo"} and
                   a["detail"]["why"] != "its record says no more" for a in alerts), alerts
        equal(w.fluid.standin.broken, [])


def tried_again():
    """What can pass is tried again, and is no try: 5xx, 429, a redirect, what is not Fluid's own answer"""
    with world() as w:
        faults = [{"shape": "503_empty"}, {"shape": "500_html"}, {"status": 408}, {"status": 429},
                  {"shape": "404_html"}, {"shape": "403_html"}, {"status": 410}, {"shape": "422_object"},
                  {"shape": "401_message"}, {"shape": "403_scope"}, {"status": 400},
                  {"status": 502}, {"kind": "redirect", "location": "https://evil.example/"},
                  {"shape": "503_empty"}]
        for fault in faults:
            w.fluid.fail(**fault)
        companies = [w.install() for _ in faults]
        w.work()
        for company in companies:
            has_credentials(w, company)
            equal(len(w.fluid.exchanges(company)), 2, "calls")
            assert w.logged("level=warn", "exchange to be tried again", company.dri)
        assert not w.logged("about to die")
        # In between the record says that nothing is spent.
        away = w.fluid.fail(shape="503_empty", times=1000)
        company = w.install()
        w.wait_logged("exchange to be tried again", company.dri)
        equal(w.site.wait_for(company, status="pending", exchange_tried_at=None)["exchange_token"],
              company.dex)
        away.times = 0
        has_credentials(w, company)
        nothing_waits(w)


def outage():
    """Every install that arrives while Fluid is away becomes active when it is back"""
    with world() as w:
        w.work()
        w.fluid.down()
        companies = [w.company() for _ in range(40)]
        for company in companies:
            w.fluid.offer(company)
            w.deliver(company, install_v2(company))
        for company in companies:
            w.wait_logged("exchange to be tried again", company.dri, "could not connect")
        w.fluid.up()
        for company in companies:
            has_credentials(w, company)
            equal(len(w.fluid.exchanges(company)), 1, "calls")
        nothing_waits(w)


def answer_lost():
    """When Fluid has exchanged but the answer was lost, that is said; when it has not, it is tried again"""
    faults = [("reset", {}), ("close", {}), ("half", {}), ("invalid", {}), ("huge", {}),
              ("slow", {"seconds": 3}), ("answer", {"status": 504}), ("answer", {"status": 502})]
    with world(api={"timeout": 1}) as w:
        w.site.hook("fluidhook.install_failed", f'echo "$FLUIDHOOK_INSTALLATION" >>{w.site.dir}/failed\n')
        lost = [w.company() for _ in faults]
        for company, (kind, more) in zip(lost, faults):
            w.fluid.fail(kind, done=True, **more)
            w.install(company)
            w.site.ok("work", "--once")
            assert w.site.has(company, status="pending"), kind
            assert w.site.record(company.dri)["exchange_tried_at"], kind
            w.site.ok("work", "--once")
        unspent = [w.company() for _ in range(3)]
        for company, (kind, more) in zip(unspent, [faults[0], faults[1], faults[6]]):
            w.fluid.fail(kind, done=False, **more)
            w.install(company)
            w.site.ok("work", "--once")
            assert w.site.has(company, status="pending"), kind
            w.site.ok("work", "--once")
        w.work()
        for company in lost:
            has_no_credentials(w, company, status="failed", reason="exchange_outcome_unknown")
            equal(len(w.fluid.exchanges(company)), 2, "calls")
            assert "answer was lost" in w.site.all_output() and INSTALL_AGAIN in w.site.all_output()
        for company in unspent:
            has_credentials(w, company)
            equal(len(w.fluid.exchanges(company)), 2, "calls")
        nothing_waits(w)
        wait_until(lambda: (w.site.dir / "failed").exists() and
                   len((w.site.dir / "failed").read_text().split()) == len(lost), "install_failed hooks")


def never_beyond_its_life():
    """A token is tried until it dies, loudly, and once more then, as our clock can be wrong"""
    with world() as w, world() as lost:
        w.fluid.fail(shape="503_empty", times=1000)
        lost.fluid.fail("reset", times=1000)
        refused, unknown = w.install(lives=6.0), lost.install(lives=3.0)
        lost.work()
        w.work()
        # One whose outcome nobody knows: all that can be said is that.
        has_no_credentials(lost, unknown, status="failed", reason="exchange_outcome_unknown")
        assert lost.logged("level=error", "installation failed", unknown.dri, INSTALL_AGAIN)
        has_no_credentials(w, refused, status="failed", reason="exchange_expired")
        body = json.loads(w.site.journal()[0]["body"])
        dies = fluid.seconds(body["company"]["credentials"]["exchange_token_expires_at"])
        tries = [r.at for r in w.fluid.exchanges(refused)]
        assert 4 <= len(tries) <= 8, tries
        # One that was on its way when it died can arrive late.
        late = [at for at in tries if at >= dies]
        assert 1 <= len(late) <= 2, "one try with a dead token"
        assert dies - tries[-2] < 1.5, f"the last try was {dies - tries[-2]:.1f} s before its death"
        assert w.logged("level=error", "exchange token is about to die unexchanged", refused.dri,
                        "seconds_left=")
        assert w.logged("level=error", "installation failed", "exchange_expired", INSTALL_AGAIN)
        nothing_waits(w)
        nothing_waits(lost)


def noted_before():
    """The record says that a try was made before Fluid is called; a kill in between loses nothing more"""
    with world() as w:
        w.work()
        for done in (False, True):
            w.fluid.fail("slow", done=done)
            company = w.install()
            wait_until(lambda: w.fluid.exchanges(company), "no call")
            record = w.site.record(company.dri)
            equal((record["status"], record["exchange_token"]), ("pending", company.dex))
            # And a marker, for what comes after the answer.
            wait_until(lambda: waiting(w) == [f"pending/{company.dri}", f"subscribe/{company.dri}"],
                       f"not {waiting(w)}")
            assert abs(fluid.seconds(record["exchange_tried_at"]) - time.time()) < 5, record
            process.stop(w.proc, number=signal.SIGKILL)
            w.work()
            if done:
                has_no_credentials(w, company, status="failed", reason="exchange_outcome_unknown")
            else:
                has_credentials(w, company)
            equal(len(w.fluid.exchanges(company)), 2, "calls")


def side_by_side():
    """Exchanges that hang do not delay others, by the thread and by --once; each is called once"""
    with world(api={"timeout": 60}) as w:
        hang = w.fluid.fail("slow", seconds=60, times=8)
        hanging = [w.install() for _ in range(8)]
        w.work()
        wait_until(lambda: hang.times == 0, "no calls")
        begun = time.monotonic()
        others = [w.install() for _ in range(20)]
        for company in others:
            has_credentials(w, company)
        took = time.monotonic() - begun
        assert took < 15, f"{took:.1f} s"
        assert all(w.site.has(c, status="pending") for c in hanging)
        wait_until(lambda: len(list((w.site.state / "queue/reserves").iterdir())) == len(hanging),
                   "what is set aside")
        for company in hanging + others:
            equal(len(w.fluid.exchanges(company)), 1, "calls")
        process.stop(w.proc, number=signal.SIGKILL)
        w.proc = None
        equal(sorted(p.name for p in (w.site.state / "queue/reserves").iterdir()),
              sorted(c.dri for c in hanging), "what is set aside")
        hang.times = 8
        with w.site.log("once.log") as log:
            once_run = process.start([w.site.command, "-c", w.site.conf, "work", "--once"], stdout=log,
                                     stderr=log, stdin=subprocess.DEVNULL, cwd="/",
                                     env=process.environment(HOME=str(w.site.dir)))
        wait_until(lambda: hang.times == 0, "no calls")
        has_credentials(w, w.install())
        process.stop(once_run, number=signal.SIGKILL)
        w.fluid.standin.stopping.set()
        w.site.ok("work", "--once")
        equal(list((w.site.state / "queue/reserves").iterdir()), [], "what is set aside")


def clock_is_wrong():
    """A token that was never tried is tried, however long ago our clock says that it died"""
    with world() as w:
        w.work()
        company = w.company()
        w.fluid.offer(company)
        w.deliver(company, install_v2(company, -3 * 86400))
        has_credentials(w, company)
        equal(len(w.fluid.exchanges(company)), 1, "calls")


class Full:
    """A worker whose disk is full for one record, from some call on: by strace."""

    def __init__(self, w, company, call, skip):
        self.w = w
        self.trace = w.site.dir / "trace"
        self.command = [find("strace"), "-f", "-o", self.trace, "-P", f".{company.dri}.json.new", "-P",
                        w.site.state / "queue/reserves" / company.dri, "-e", f"trace={call}",
                        "-e", f"inject={call}:error=ENOSPC:when={skip + 1}+",
                        w.site.command, "-c", w.site.conf, "work"]

    def start(self, *words):
        env = process.environment(HOME=str(self.w.site.dir))
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        with self.w.site.log("full.log") as log:
            self.proc = process.start([*self.command, *words], stdout=log, stderr=log,
                                      stdin=subprocess.DEVNULL, cwd="/", env=env)
        return self

    def stop(self):
        """SIGTERM, for the program and not for strace. Returns the status, and how long it took."""
        begun = time.monotonic()
        for pid in process.children(self.proc.pid):
            process.signal_quietly(pid, signal.SIGTERM)
        return self.proc.wait(process.DEADLINE), time.monotonic() - begun


def full_disk():
    """Credentials that arrive while the disk is full are written in space that was set aside before"""
    if not tracing_works():
        raise tap.Skip("strace is missing or may not trace here")
    for words in ((), ("--once",)):
        with world() as w:
            # The first file is the note that a try begins; from the second one on there is no room.
            company = w.company()
            w.fluid.offer(company)
            w.deliver(company, install_v2(company))
            full = Full(w, company, "openat", 1).start(*words)
            has_credentials(w, company)
            assert "ENOSPC" in full.trace.read_text(), full.trace.read_text()
            if not words:
                status, took = full.stop()
                assert took < 5, f"{took:.1f} s"
                equal(status, 0)
            else:
                equal(full.proc.wait(process.DEADLINE), 0)
            equal(len(w.fluid.exchanges(company)), 1, "calls")
            equal(list((w.site.state / "queue/reserves").iterdir()), [], "what is set aside")
            nothing_waits(w) if words else None


def no_room_before():
    """Where nothing can be set aside, no token is spent; the worker says so, and ends when told to"""
    if not tracing_works():
        raise tap.Skip("strace is missing or may not trace here")
    for words in ((), ("--once",)):
        with world() as w:
            company = w.install()
            full = Full(w, company, "fallocate", 0).start(*words)
            if words:
                equal(full.proc.wait(process.DEADLINE), 0)
            else:
                w.wait_logged("no room for credentials: not exchanged yet", company.dri)
                status, took = full.stop()
                assert status == 0 and took < 5, (status, took)
            assert "ENOSPC" in full.trace.read_text()
            equal(w.fluid.requests(EXCHANGE), [], "calls")
            equal(w.site.has(company, status="pending"), True)
            w.site.ok("work", "--once")
            has_credentials(w, company)


def stopped_in_a_call():
    """SIGTERM in the middle of a call: the answer is still taken, then the worker ends"""
    with world() as w:
        w.work()
        w.fluid.fail("slow", seconds=1)
        company = w.install()
        wait_until(lambda: w.fluid.exchanges(company), "no call")
        w.stop()
        assert w.site.has(company, status="active", authentication_token=company.dit)
        equal(len(w.fluid.exchanges(company)), 1, "calls")
        equal(waiting(w), [f"subscribe/{company.dri}"] if waiting(w) else [])


def once_stopped():
    """work --once is stopped between two calls, however many there are to make"""
    with world(api={"timeout": 2}) as w:
        for _ in range(80):
            w.install()
        w.fluid.fail("slow", seconds=2, times=100)
        with w.site.log("once.log") as log:
            once_run = process.start([w.site.command, "-c", w.site.conf, "work", "--once"], stdout=log,
                                     stderr=log, stdin=subprocess.DEVNULL, cwd="/",
                                     env=process.environment(HOME=str(w.site.dir)))
        wait_until(lambda: w.fluid.requests(EXCHANGE), "no call")
        equal(process.stop(once_run), 0, "status")
        assert len(w.fluid.requests(EXCHANGE)) <= 32, len(w.fluid.requests(EXCHANGE))
        w.fluid.standin.faults.clear()


def overtaken():
    """What arrives while Fluid is asked counts: a newer token, credentials, an uninstall"""
    with world() as w:
        w.work()

        def asked(body=None, **offer):
            w.fluid.fail("slow", seconds=0.6)
            company = w.company()
            if offer:
                w.fluid.offer(company, **offer)
            w.deliver(company, body)
            wait_until(lambda: w.fluid.exchanges(company), "no call")
            return company

        # Fluid does not know the first token, and the second arrives before it says so.
        company = asked()
        second = w.company(dri=company.dri, id=company.id, shop=company.shop)
        w.install(second)
        has_credentials(w, second)
        # The first is exchanged, and then the second, too.
        company = asked(lives=600)
        third = w.company(dri=company.dri, id=company.id, shop=company.shop)
        w.install(third)
        w.site.wait_for(company, authentication_token=third.dit)
        has_credentials(w, third)
        # Permanent credentials come meanwhile, and the token is refused.
        company = asked()
        w.deliver(company, company.install())
        w.site.wait_for(company, exchange_token=None)
        nothing_waits(w)
        has_credentials(w, company)
        # They come meanwhile, and the token is exchanged: those of the newer install stay.
        company = asked(lives=600)
        newer = w.company(dri=company.dri, id=company.id, shop=company.shop)
        w.deliver(newer, newer.install(), fluid.now() + 1)
        w.wait_logged("credentials of an older install are not taken", company.dri)
        nothing_waits(w)
        has_credentials(w, newer)
        # The droplet is uninstalled meanwhile.
        company = asked(lives=600)
        w.deliver(company, company.uninstall(), fluid.now() + 1)
        w.wait_logged("installation ended while Fluid was asked", company.dri)
        has_no_credentials(w, company, status="uninstalled")
        nothing_waits(w)


def active_stays_active():
    """An installation that works keeps its credentials when a further token comes to nothing"""
    with world() as w:
        companies = []

        def active(body_of, **offer):
            company = w.company()
            w.deliver(company, company.install())
            if offer:
                w.fluid.offer(company, **offer)
            w.deliver(company, body_of(company))
            companies.append(company)

        active(install_v2)                                              # 404
        active(lambda company: install_v2(company, -2), lives=-1)       # dead
        active(install_v2, company_id=1)                                # contradicting
        active(lambda company: install_v2(company, exchange_endpoint="x"), lives=600)
        w.work()
        for company in companies:
            w.wait_logged("exchange token given up, the credentials at hand stay", company.dri)
            has_credentials(w, company)
        nothing_waits(w)
        fresh = w.company(dri=company.dri, id=company.id, shop=company.shop)
        w.install(fresh)
        w.site.wait_for(fresh, authentication_token=fresh.dit)
        has_credentials(w, fresh)
        # Fluid sends the install again, in other bytes, and its token is spent: by us.
        w.deliver(fresh, fluid.enveloped("installed", fresh.company_v2()))
        w.wait_logged("exchange token given up, the credentials at hand stay", fresh.dri, "410")
        has_credentials(w, fresh)
        # Fluid can leave the key out: then the one at hand goes on.
        keyless = w.company(dri=company.dri, id=company.id, shop=company.shop)
        w.fluid.offer(keyless).wvt = None
        w.deliver(keyless)
        record = w.site.wait_for(keyless, authentication_token=keyless.dit)
        equal(record["webhook_verification_token"], fresh.wvt)


def superseded():
    """A newer installation takes the place of the older one, also after a crash in between"""
    with world() as w:
        w.work()
        old = w.company()
        w.deliver(old, old.install(), fluid.now() - 5)
        new = w.install(old.again())
        has_credentials(w, new)
        has_no_credentials(w, old, status="superseded")
        nothing_waits(w)
        w.stop()
        # As a crash leaves it that came after the record and before the older one's.
        record = json.loads(w.site.record_path(old.dri).read_text())
        record.update(status="active", authentication_token=old.dit)
        w.site.write(w.site.record_path(old.dri), json.dumps(record))
        os.symlink(f"../../installations/{old.dri}.json",
                   w.site.state / "companies" / str(old.id) / old.dri)
        marker = w.site.state / "queue/subscribe" / new.dri
        w.site.write(marker, "")
        w.work()
        has_no_credentials(w, old, status="superseded")
        has_credentials(w, new)
        nothing_waits(w)


def limit_files(pid, number):
    """How many descriptors the process may have; set by its own user, as root's powers can be cut."""
    subprocess.run([find("prlimit"), "--pid", str(pid), f"--nofile={number}:"], check=True, timeout=600,
                   **process.identity())


def no_room():
    """Credentials that cannot be written at once are not lost"""
    if not find("prlimit"):
        raise tap.Skip("prlimit is not installed")
    with world() as w:
        w.work()
        w.fluid.fail("slow", seconds=0.5)
        company = w.install()
        wait_until(lambda: w.fluid.exchanges(company), "no call")
        limit_files(w.proc.pid, 4)
        w.wait_logged("record cannot be read", company.dri)
        limit_files(w.proc.pid, 1024)
        has_credentials(w, company)
        equal(len(w.fluid.exchanges(company)), 1, "calls")


def stale_markers():
    """Markers that no record bears out are removed; a damaged record is named, and the rest goes on"""
    with world() as w:
        active = w.company()
        w.deliver(active, active.install())
        company = w.install()
        broken = w.company()
        w.site.write(w.site.record_path(broken.dri), '{"status":')
        for directory in ("pending", "unconfirmed"):
            for name in ("dri_nobody", active.dri, broken.dri):
                w.site.write(w.site.state / "queue" / directory / name, "")
        w.work()
        has_credentials(w, company)
        w.wait_logged("record cannot be read", broken.dri)
        wait_until(lambda: waiting(w) == [f"pending/{broken.dri}", f"unconfirmed/{broken.dri}"],
                   "stale markers stay")


def once():
    """work --once exchanges, and then runs the hook, in one go"""
    with world() as w:
        w.site.hook("droplet.installed", f'echo "$FLUIDHOOK_INSTALLATION" >>{w.site.dir}/installed\n')
        companies = [w.install() for _ in range(3)]
        w.site.ok("work", "--once")
        for company in companies:
            assert w.site.has(company, status="active", authentication_token=company.dit)
        equal((w.site.dir / "installed").read_text().split(), [c.dri for c in companies])
        equal(waiting(w), [])


def crowd():
    """Two hundred installs at once, each exchanged once"""
    with world() as w:
        w.work()
        begun = time.monotonic()
        companies = [w.install() for _ in range(200)]
        for company in companies:
            has_credentials(w, company)
        tap.note(f"200 installs delivered and exchanged in {time.monotonic() - begun:.1f} s")
        equal(len(w.fluid.requests(EXCHANGE)), 200, "calls")
        nothing_waits(w)


if not RECEIVER.is_file() or not COMMAND.is_file():
    tap.bail(f"there is no {RECEIVER} or {COMMAND}: build first")
tap.run([tap.Test(function.__doc__, function) for function in (
    behind_nginx, never_again, tried_again, outage, answer_lost, never_beyond_its_life, noted_before,
    side_by_side, clock_is_wrong, full_disk, no_room_before, stopped_in_a_call, once_stopped, overtaken, active_stays_active, superseded, no_room, stale_markers, once,
    crowd, no_credentials_in_logs)])
