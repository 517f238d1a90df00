#!/usr/bin/env python3
"""A delivery is taken by a CGI while each of its system calls in turn fails, or is its last.

What must hold: a 2xx means that the journal's line is complete and the record is right. Nothing is
refused for good because something could not be read. Once the fault is gone, the same delivery and
another one are accepted and leave everything right.
"""

import json
import shutil
import subprocess

from points import LIBRARY, TRACING, Table, counting, happened, injecting, points_of, sample, tap
from harness import fcgi, fluid, process
from harness.fluid import Company
from harness.fronts import Cgi
from harness.site import RECEIVER, Site
from harness.web import NoAnswer, Request


class FaultyCgi(Cgi):
    """A CGI with words in front of its command."""
    before = ()

    def environment(self, request):
        env = super().environment(request)
        options = [text for text in (env.get("ASAN_OPTIONS"), "detect_leaks=0") if text]
        return {**env, "ASAN_OPTIONS": ":".join(options)}

    def status(self, request):
        """What it answers, or None: no answer, or no whole one."""
        with self.site.log("receiver.log") as log:
            done = subprocess.run([*self.before, self.site.receiver], input=request.body, cwd="/",
                                  stdout=subprocess.PIPE, stderr=log, env=self.environment(request),
                                  timeout=600, check=False, **process.identity())
        try:
            return fcgi.parse_cgi(done.stdout).status
        except (NoAnswer, AssertionError, ValueError):
            return None


class Scene:
    """A site, a delivery to it, and what is right once that was accepted."""

    def __init__(self):
        self.site = Site()
        self.droplet = self.site.droplets[0]
        self.front = FaultyCgi()
        self.front.start(self.site)
        self.template = self.site.dir / "template"
        self.trace = self.site.dir / "trace"

    def signed(self, body, secret=None, shop=None):
        return Request(headers=fluid.signed(secret or self.droplet.secret, body, shop=shop), body=body)

    def accepted(self, request):
        status = self.front.status(request)
        assert status in (200, 202), f"answered {status} without any fault"

    def keep(self):
        """This is the state that every point begins with."""
        shutil.copytree(self.site.state, self.template, symlinks=True)

    def begin(self):
        """Set it back."""
        shutil.rmtree(self.site.state)
        subprocess.run(["cp", "-a", self.template, self.site.state], check=True, timeout=600)
        for path in (self.site.state, *self.site.state.rglob("*")):
            process.give(path)

    def check_journal(self, request, killed, stored):
        """stored: the delivery has to be in it."""
        bodies, broken = [], 0
        for line in self.site.journal_lines():
            try:
                bodies.append(json.loads(line)["body"].encode())
            except ValueError:
                broken += 1
        assert broken <= killed, f"{broken} broken lines in the journal"
        assert not stored or request.body in bodies, "a 2xx, and the journal does not have it"
        for path in (self.site.state / "installations").glob("[!.]*.json"):
            json.loads(path.read_text(encoding="utf-8"))

    def is_active(self, company):
        record = self.site.record(company.dri)
        assert record and record["status"] == "active", f"{company.dri} is {record and record['status']}"
        assert record["authentication_token"] == company.dit, "another token"
        links = [path.name for path in (self.site.state / "shops").glob("*/*")]
        assert f"{company.dri}.json" in links or company.dri in links, "not in the index of its shop"

    def has_status(self, company, status):
        record = self.site.record(company.dri)
        assert record and record["status"] == status, f"{company.dri} is {record and record['status']}"

    def run(self, name, request, right):
        """Try the points of a delivery. right: called when it has been accepted."""
        self.keep()
        self.begin()
        self.front.before = counting(self.trace)
        self.accepted(request)
        right()
        points = points_of(self.trace, "fluidhook.conf")
        table = Table(name, sample(points), len(points))
        table.each(lambda point: self.attempt(point, request, right))
        table.judge()

    def attempt(self, point, request, right):
        self.begin()
        self.trace.unlink(missing_ok=True)
        self.front.before = injecting(self.trace, point)
        status = self.front.status(request)
        met = happened(self.trace, point)
        killed = point.fault == "killed"
        assert status is None or status in (200, 202) or status >= 500, f"refused for good: {status}"
        self.check_journal(request, killed, status in (200, 202))
        if status in (200, 202):
            right()
        self.front.before = ()
        self.accepted(request)
        self.check_journal(request, killed, True)
        right()
        other = Company(self.droplet)
        self.accepted(self.signed(other.install()))
        self.is_active(other)
        self.accepted(self.signed(other.order(), other.wvt, other.shop + ".fluid.app"))
        right()
        return met


def install():
    """An install that takes the place of another one."""
    scene = Scene()
    old = Company(scene.droplet)
    scene.accepted(scene.signed(old.install()))
    new = old.again()

    def right():
        scene.is_active(new)
        scene.has_status(old, "superseded")

    scene.run("install", scene.signed(new.install()), right)


def install_v2():
    """An install with a one-time token."""
    scene = Scene()
    company = Company(scene.droplet)

    def right():
        scene.has_status(company, "pending")
        assert scene.site.record(company.dri)["exchange_token"] == company.dex, "another token"
        markers = [path.name for path in (scene.site.state / "queue/pending").iterdir()]
        assert company.dri in markers, "the worker would not see it"

    scene.run("install v2", scene.signed(company.install_v2()), right)


def uninstall():
    """An uninstall."""
    scene = Scene()
    company = Company(scene.droplet)
    scene.accepted(scene.signed(company.install()))

    def right():
        scene.has_status(company, "uninstalled")
        assert not scene.site.record(company.dri).get("authentication_token"), "a token stays"

    scene.run("uninstall", scene.signed(company.uninstall()), right)


def order():
    """A business event under the installation's own key."""
    scene = Scene()
    company = Company(scene.droplet)
    scene.accepted(scene.signed(company.install()))
    body = company.order()
    scene.run("order", scene.signed(body, company.wvt, company.shop + ".fluid.app"),
              lambda: scene.is_active(company))


if not RECEIVER.is_file():
    tap.bail(f"there is no {RECEIVER}: build first")
if not TRACING and not LIBRARY.is_file():
    tap.bail(f"there is no {LIBRARY}: make check builds it")
tap.run([tap.Test(function.__doc__.rstrip("."), function)
         for function in (install, install_v2, uninstall, order)])
