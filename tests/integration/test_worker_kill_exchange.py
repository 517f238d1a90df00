#!/usr/bin/env python3
"""The worker killed at random moments while it exchanges tokens, confirms and subscribes.

FLUIDHOOK_TEST_KILLS in the environment: how often (30). FLUIDHOOK_TEST_SEED: the moments of another run.
"""

import collections
import fcntl
import os
import random
import signal
import threading
import time

from harness import fluid, process, tap
from harness.process import wait_until
from harness.site import RECEIVER
from harness.tap import equal
from harness.worker import (COMMAND, has_credentials, has_no_credentials, install_v2,
                            no_credentials_in_logs, nothing_waits, waiting, world)

KILLS = int(os.environ.get("FLUIDHOOK_TEST_KILLS", "30"))
SEED = os.environ.get("FLUIDHOOK_TEST_SEED", str(random.randrange(10 ** 6)))
LONGEST = 0.12          # seconds from the start of a worker to its end
BACKLOG = 40            # installs that wait at most, so that there is always something to do
EVENTS = ("order.created", "order.shipped")


class Calls:
    """Every exchange that reaches Fluid, with what Fluid answered, in order."""

    def __init__(self, company):
        self.all = []           # [which worker, token, whether this one spent it, its connection's thread]
        self.worker = 0
        self.answer = company.exchange
        self.offers = company.offers
        company.exchange = self

    def __call__(self, body):
        offer = self.offers[body["exchange_token"]]
        call = [self.worker, body["exchange_token"], False, threading.current_thread()]
        self.all.append(call)
        before = offer.spent
        try:
            return self.answer(body)
        finally:
            call[2] = offer.spent and not before

    def of(self, token):
        return [spent for _, called, spent, _ in self.all if called == token]

    def was_last(self, token):
        """Whether a worker that was killed made no call after the one that spent it, in the same thread.

        Each thread of a worker has a connection of its own. A call that it makes shows that it has written
        down what the one before brought.
        """
        which, _, _, connection = next(call for call in self.all if call[1] == token and call[2])
        of_thread = [call for call in self.all if call[0] == which and call[3] is connection]
        return which < KILLS and of_thread[-1][1] == token


class Feeder(threading.Thread):
    """Delivers installs until told to stop: most with a token, some unsigned."""

    def __init__(self, w):
        super().__init__(daemon=True)
        self.w = w
        self.companies = []
        self.unsigned = []
        self.stopping = threading.Event()
        self.error = None

    def run(self):
        try:
            while not self.stopping.is_set():
                if len(waiting(self.w)) > BACKLOG:
                    self.stopping.wait(0.01)
                    continue
                self.feed()
        except Exception as error:
            self.error = error

    def feed(self):
        company = self.w.company()
        if len(self.companies) % 8 == 7:
            self.w.fluid.know(company)
            self.unsigned.append(company)
            self.w.deliver(company, company.install(), unsigned=True)
        else:
            self.w.fluid.offer(company)
            self.w.deliver(company, install_v2(company))
        self.companies.append(company)

    def stop(self):
        self.stopping.set()
        self.join()
        if self.error:
            raise self.error


def written(w):
    """The installations whose credentials are in the queue: an answer was written, and not yet the record."""
    found = set()
    for path in (w.site.state / "queue/answers").glob("*"):
        if b"\n" in path.read_bytes():
            found.add(path.name)
    return found


def kill_often(w, feeder, calls, rng):
    """Start and kill the worker. Returns the installations whose credentials were in the queue."""
    adopted = set()
    for _ in range(KILLS):
        wait_until(lambda: len(waiting(w)) > 10 or feeder.error, "nothing to do")
        w.proc = w.site.start_worker()
        end = time.monotonic() + rng.uniform(0, LONGEST)
        while time.monotonic() < end:
            time.sleep(max(0, end - time.monotonic()))
        status = process.stop(w.proc, number=signal.SIGKILL)
        w.proc = None
        equal(status, -signal.SIGKILL, "the worker's end")
        # What it has still sent counts as its own.
        wait_until(lambda: not w.fluid.standin.connections(), "connections stay")
        calls.worker += 1
        adopted |= written(w)
    return adopted


def check_credentials(w, feeder, calls):
    """Returns the companies whose credentials are lost, as they can be lost."""
    lost = []
    for company in feeder.companies:
        record = w.site.record(company.dri)
        spent = calls.of(company.dex)
        if record["status"] == "active":
            equal((record["authentication_token"], record["webhook_verification_token"]),
                  (company.dit, company.wvt), company.dri)
            if company not in feeder.unsigned:
                equal(spent.count(True), 1, "times spent")
                assert spent[-1], "called again with a token that had been exchanged"
            continue
        equal((record["status"], record["reason"]), ("failed", "exchange_outcome_unknown"), company.dri)
        assert company not in feeder.unsigned
        equal(spent.count(True), 1, "times spent")
        assert calls.was_last(company.dex), "credentials that arrived are lost"
        lost.append(company)
    return lost


def kills_lose_nothing():
    """However often it is killed, no token is spent twice, and none but what was on its way is lost"""
    rng = random.Random(SEED)
    tap.note(f"{KILLS} kills, FLUIDHOOK_TEST_SEED={SEED}")
    subscribing = {"public_url": "https://hooks.example.com/webhook", "subscribe": " ".join(EVENTS)}
    with world(worker=subscribing, unsigned_installs="confirm") as w:
        for name in ("droplet.installed", "fluidhook.install_failed"):
            w.site.hook(name, f'echo "$FLUIDHOOK_INSTALLATION" >>{w.site.dir}/{name}\n')
        calls = Calls(w.fluid.company)
        feeder = Feeder(w)
        feeder.start()
        try:
            adopted = kill_often(w, feeder, calls, rng)
        finally:
            feeder.stop()
        w.work()
        for company in feeder.companies:
            wait_until(lambda c=company: w.site.record(c.dri)["status"] in ("active", "failed"), "settled")
        nothing_waits(w)
        lost = check_credentials(w, feeder, calls)
        assert not adopted & {c.dri for c in lost}, "credentials that were written are lost"
        equal(list((w.site.state / "queue/answers").iterdir()), [], "answers")
        active = [c for c in feeder.companies if c not in lost]
        for company in active:
            equal(sorted(h["resource"] + "." + h["event"] for h in w.fluid.webhooks(company)),
                  sorted(EVENTS), "subscriptions")
        equal(len(list((w.site.state / "installations").glob("*.json"))), len(feeder.companies), "records")
        w.site.check_modes()

        def ran(name):
            path = w.site.dir / name
            return collections.Counter(path.read_text().split() if path.exists() else [])

        wait_until(lambda: len(ran("droplet.installed")) == len(active), "hooks")
        wait_until(lambda: len(ran("fluidhook.install_failed")) == len(lost), "install_failed hooks")
        equal(set(ran("droplet.installed")), {c.dri for c in active})
        again = sum((ran("droplet.installed") + ran("fluidhook.install_failed")).values()) \
            - len(feeder.companies)
        assert again <= KILLS, f"{again} hooks ran again"
        tap.note(f"{len(feeder.companies)} installs, {len(calls.all)} exchanges; {len(lost)} answers were "
                 f"on their way when it was killed, {len(adopted)} were written down; {again} hooks ran twice")
        w.stop()


def answers_are_kept():
    """Credentials that Fluid gave are kept by a worker that cannot write its records, killed or told to stop"""
    for number in (signal.SIGKILL, signal.SIGTERM):
        with world() as w:
            kept, ended, newer = companies = [w.install() for _ in range(3)]
            asked = w.fluid.fail("slow", seconds=300, times=len(companies))
            w.work()
            wait_until(lambda: asked.times == 0, "no calls")
            with open(w.site.state / "installations/.lock", "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                w.fluid.standin.stopping.set()
                wait_until(lambda: written(w) == {c.dri for c in companies}, "answers")
                process.stop(w.proc, number=number)
                w.proc = None
            assert all(w.site.has(c, status="pending") for c in companies)
            # The same rules as for an answer that has just come: what arrived meanwhile counts.
            w.deliver(ended, ended.uninstall(), fluid.now() + 1)
            again = w.company(dri=newer.dri, id=newer.id, shop=newer.shop)
            w.install(again)
            w.work()
            has_credentials(w, kept)
            has_credentials(w, again)
            has_no_credentials(w, ended, status="uninstalled")
            nothing_waits(w)
            for company in companies:
                equal(len(w.fluid.exchanges(company)), 1, "calls")
            equal(list((w.site.state / "queue/answers").iterdir()), [], "answers")
            assert w.logged("credentials that Fluid gave before are taken over", kept.dri)
            w.stop()


if not RECEIVER.is_file() or not COMMAND.is_file():
    tap.bail(f"there is no {RECEIVER} or {COMMAND}: build first")
tap.run([tap.Test(function.__doc__, function) for function in (
    answers_are_kept, kills_lose_nothing, no_credentials_in_logs)])
