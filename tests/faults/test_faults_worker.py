#!/usr/bin/env python3
"""`fluidhook work --once` while each of its system calls in turn fails, or is its last.

What must hold: every event's hook has run once the fault is gone, with its whole body. Credentials
that Fluid gave out are kept, and their token is not posted again. The exception: the worker is killed
between Fluid's answer and the rename of the record, or the answer does not reach it. Then the record
says that the outcome is unknown.
"""

import json
import shutil
import subprocess

from points import LIBRARY, TRACING, Table, counting, happened, injecting, points_of, sample, tap
from harness import fluid, process
from harness.fluid import Company
from harness.site import RECEIVER
from harness.web import Request
from harness.worker import COMMAND, World, install_v2

RUNS = 6        # of the worker until all is done, at most
READING = ("recvfrom", "poll")      # a failure of these loses Fluid's answer


class Calls:
    """The exchanges that reach Fluid, with whether each spent its token, in order."""

    def __init__(self, company):
        self.all = []
        self.answer = company.exchange
        self.offers = company.offers
        company.exchange = self

    def __call__(self, body):
        offer = self.offers[body["exchange_token"]]
        before = offer.spent
        call = [body["exchange_token"], False]
        self.all.append(call)
        try:
            return self.answer(body)
        finally:
            call[1] = offer.spent and not before


class Scene:
    """A place with an install to exchange, and events to run hooks for."""

    def __init__(self):
        self.w = World()
        self.site = self.w.site
        self.calls = Calls(self.w.fluid.company)
        self.template = self.site.dir / "template"
        self.trace = self.site.dir / "trace"
        self.ran = self.site.dir / "ran"
        self.site.hook("any", f'size=$(wc -c)\necho "$FLUIDHOOK_DELIVERY $size" >>{self.ran}\n')
        # An install whose exchange was spent by a kill: its alert.
        self.site.hook("fluidhook", f'cat >/dev/null\necho "$FLUIDHOOK_DELIVERY alert" >>{self.ran}\n')
        self.bodies = {}

    def take(self, body, secret=None, shop=None):
        headers = fluid.signed(secret or self.site.droplets[0].secret, body, shop=shop)
        answer = self.w.front.send(Request(headers=headers, body=body))
        assert answer.status in (200, 202), answer
        self.bodies[json.loads(answer.body)["delivery"]] = body

    def keep(self):
        shutil.copytree(self.site.state, self.template, symlinks=True)

    def begin(self):
        shutil.rmtree(self.site.state)
        subprocess.run(["cp", "-a", self.template, self.site.state], check=True, timeout=600)
        for path in (self.site.state, *self.site.state.rglob("*")):
            process.give(path)
        self.ran.unlink(missing_ok=True)
        self.calls.all.clear()

    def once(self, before=()):
        """Run the worker. Its exit status; that of a kill is negative or 137."""
        env = process.environment(HOME=str(self.site.dir), ASAN_OPTIONS="detect_leaks=0")
        with self.site.log("worker.log") as log:
            return subprocess.run([*before, self.site.command, "-c", self.site.conf, "work", "--once"],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd="/",
                                  timeout=600, check=False, **process.identity()).returncode

    def hurry(self):
        """Everything that waits is due now."""
        for path in (self.site.state / "queue/waiting").glob("[!.]*.json"):
            value = json.loads(path.read_text(encoding="utf-8"))
            value["next"] = 0
            self.site.write(path, json.dumps(value))

    def lines(self):
        return [line.split() for line in self.ran.read_text().splitlines()] if self.ran.exists() else []

    def missing(self):
        return set(self.bodies) - {delivery for delivery, _ in self.lines()}


def judged(scene, company, point=None):
    """Everything is right in the end."""
    for delivery, size in scene.lines():
        if delivery in scene.bodies and size != "alert":
            assert int(size) == len(scene.bodies[delivery]), f"a hook got {size} bytes of {delivery}"
    assert not scene.missing(), f"no hook for {len(scene.missing())} of {len(scene.bodies)} deliveries"
    assert not list((scene.site.state / "queue/dead").glob("[!.]*.json")), "a dead letter"
    if company is None:
        return
    spent = [spent for token, spent in scene.calls.all if token == company.dex]
    assert spent.count(True) == 1, f"exchanges: {spent}"
    record = scene.site.record(company.dri)
    alerted = [delivery for delivery, size in scene.lines() if size == "alert"]
    assert bool(alerted) == (record["status"] == "failed"), alerted
    if record["status"] == "failed":
        assert point and (point.fault == "killed" or point.call in READING), "credentials are lost"
        assert record["reason"] == "exchange_outcome_unknown", record["reason"]
    else:
        assert spent[-1], f"exchanged again after it was spent: {spent}"
        assert record["status"] == "active", f"{record['status']}, {record.get('reason')}"
        assert record["authentication_token"] == company.dit, "another token"


def attempt(scene, point, company):
    """One point: the worker meets the fault, then it runs without any until all is done."""
    scene.begin()
    scene.trace.unlink(missing_ok=True)
    scene.once(injecting(scene.trace, point))
    met = happened(scene.trace, point)
    for _ in range(RUNS):
        scene.hurry()
        scene.once()
        record = scene.site.record(company.dri) if company else None
        if not scene.missing() and (record is None or record["status"] in ("active", "failed")):
            break
    judged(scene, company, point)
    return met


def table(name, scene, company):
    scene.keep()
    scene.begin()
    assert scene.once(counting(scene.trace)) == 0, scene.site.log_tail()
    judged(scene, company)
    points = points_of(scene.trace, "fluidhook.conf")
    done = Table(name, sample(points), len(points))
    try:
        done.each(lambda point: attempt(scene, point, company))
    finally:
        scene.w.close()
    done.judge()


def hooks():
    """Events, and their hooks"""
    scene = Scene()
    company = Company(scene.site.droplets[0])
    scene.take(company.install())
    for _ in range(2):
        scene.take(company.order(), company.wvt, company.shop + ".fluid.app")
    table("hooks", scene, None)


def exchange():
    """An install whose one-time token is exchanged, and its hook"""
    scene = Scene()
    company = Company(scene.site.droplets[0])
    begin = scene.begin

    def offer_again():
        begin()
        scene.w.fluid.offer(company)

    scene.begin = offer_again
    scene.take(install_v2(company, 3600))
    table("exchange", scene, company)


if not RECEIVER.is_file() or not COMMAND.is_file():
    tap.bail(f"there is no {RECEIVER} or {COMMAND}: build first")
if not TRACING and not LIBRARY.is_file():
    tap.bail(f"there is no {LIBRARY}: make check builds it")
tap.run([tap.Test(function.__doc__, function) for function in (hooks, exchange)])
