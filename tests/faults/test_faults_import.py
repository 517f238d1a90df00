#!/usr/bin/env python3
"""`fluidhook import` while each of its system calls in turn fails, or is its last.

What must hold: every record is as before, or as it will be. The next run without a fault completes the import: all
records and index entries, and nothing that a worker would do about them.
"""

import json
import shutil
import subprocess

from points import LIBRARY, TRACING, Table, counting, happened, injecting, points_of, sample, tap
from harness import fluid, process
from harness.command_site import CommandSite
from harness.fluid import Company
from harness.site import COMMAND, make_state

THEN = "2024-03-01T10:20:30Z"


class Scene:
    """A file that is imported again and again: new, superseded, ended, and newer than what is here."""

    def __init__(self):
        self.site = CommandSite()
        droplet = self.site.droplets[0]
        self.first, self.gone = Company(droplet), Company(droplet)
        self.second = self.first.again()
        rows = [{**self.first.company_v1(), "installed_at": THEN},
                {**self.gone.company_v1(), "installed_at": THEN, "uninstalled_at": "2024-04-01T00:00:00Z"},
                {**self.second.company_v1(), "installed_at": "2024-05-01T00:00:00Z"}]
        self.file = self.site.dir / "rows.jsonl"
        self.site.write(self.file, "".join(json.dumps(row) + "\n" for row in rows))
        self.trace = self.site.dir / "trace"

    def begin(self):
        shutil.rmtree(self.site.state)
        make_state(self.site.state)

    def run(self, before=()):
        """The exit status; that of a kill is negative or 137."""
        env = process.environment(HOME=str(self.site.dir), ASAN_OPTIONS="detect_leaks=0")
        with self.site.log("import.log") as log:
            return subprocess.run([*before, *self.site.argv("import", self.file)], stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=log, env=env, cwd="/", timeout=600, check=False,
                                  **process.identity()).returncode

    def statuses(self):
        return [(self.site.record(c.dri) or {}).get("status") for c in (self.first, self.gone, self.second)]


def judged(scene):
    """All of it is there."""
    assert scene.statuses() == ["superseded", "uninstalled", "active"], scene.statuses()
    site, company = scene.site, scene.second
    assert site.record(company.dri)["authentication_token"] == company.dit
    for index, name in (("shops", company.shop), ("companies", str(company.id))):
        entries = {path.name for path in (site.state / index / name).iterdir()}
        assert entries == {company.dri}, f"{index}/{name}: {entries}"
    assert not list((site.state / "queue/pending").iterdir()), "something waits"
    assert not any(word in site.log_text() for word in fluid.CREDENTIALS), "a credential is in a message"


def attempt(scene, point):
    """One point: the import meets the fault, then it runs without any."""
    scene.begin()
    scene.trace.unlink(missing_ok=True)
    status = scene.run(injecting(scene.trace, point))
    met = happened(scene.trace, point)
    assert scene.statuses()[1] in (None, "uninstalled"), f"half of a line: {scene.statuses()}"
    if status == 0:
        judged(scene)
    again = scene.run()
    assert again == 0, f"the second run ended with {again}: {scene.site.log_tail(3)}"
    judged(scene)
    return met


def points():
    """Each system call of import fails, or is its last"""
    scene = Scene()
    try:
        scene.begin()
        assert scene.run(counting(scene.trace)) == 0, scene.site.log_tail()
        judged(scene)
        found = points_of(scene.trace, "fluidhook.conf")
        done = Table("import", sample(found), len(found))
        done.each(lambda point: attempt(scene, point))
    finally:
        scene.site.close()
    done.judge()


if not COMMAND.is_file():
    tap.bail(f"there is no {COMMAND}: build first")
if not TRACING and not LIBRARY.is_file():
    tap.bail(f"there is no {LIBRARY}: make check builds it")
tap.run([tap.Test(points.__doc__, points)])
