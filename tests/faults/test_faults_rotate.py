#!/usr/bin/env python3
"""`fluidhook secret rotate` while each of its system calls in turn fails, or is its last.

What must hold: every secret that a webhook at Fluid has is live, whatever happened. The next run without a fault
completes the rotation: one secret, which all webhooks have, and no note of a rotation.
"""

import copy
import json
import subprocess

from points import LIBRARY, TRACING, Table, counting, happened, injecting, points_of, sample, tap
from harness import process
from harness.site import COMMAND
from harness.fluid_world import FluidWorld

URL = "https://hooks.example.com/webhook"


class Scene:
    """A registration, to be rotated again and again."""

    def __init__(self):
        self.w = FluidWorld()
        self.w.command.ok("register", "--no-doctor", URL)
        self.file = self.w.site.secrets_file(self.w.site.droplets[0])
        self.notes = [self.file.with_name(self.file.name + ending) for ending in (".registered", ".rotation")]
        self.kept = [path.read_text() if path.exists() else None for path in (self.file, *self.notes)]
        self.webhooks = copy.deepcopy(self.w.fluid.webhooks)
        self.trace = self.w.site.dir / "trace"

    def begin(self):
        for path, text in zip((self.file, *self.notes), self.kept):
            path.unlink(missing_ok=True)
            if text is not None:
                self.w.site.write(path, text)
        self.w.fluid.webhooks[:] = copy.deepcopy(self.webhooks)

    def rotate(self, before=()):
        """Rotate at once. The exit status; that of a kill is negative or 137."""
        env = process.environment(HOME=str(self.w.site.dir), ASAN_OPTIONS="detect_leaks=0")
        with self.w.site.log("rotate.log") as log:
            return subprocess.run([*before, self.w.command.program, "-c", self.w.site.conf, "secret", "rotate",
                                   "--now"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                                  cwd="/", timeout=600, check=False, **process.identity()).returncode

    def live(self):
        assert self.file.exists(), "the file of secrets is gone"
        return self.w.secrets()

    def tokens(self):
        return {w["auth_token"] for w in self.w.fluid.webhooks}


def judged(scene):
    """The rotation is complete."""
    (old,) = {w["auth_token"] for w in scene.webhooks}
    assert scene.tokens() == set(scene.live()), "other secrets are live than webhooks have"
    assert len(scene.live()) == 1 and old not in scene.live(), "it is the old secret"
    assert not scene.notes[1].exists(), "a note of a rotation"
    listed = json.loads(scene.w.command.ok("secret", "list", "--json"))
    assert listed["fingerprint"] in scene.notes[0].read_text(), "the registration names another secret"


def attempt(scene, point):
    """One point: the rotation meets the fault, then it runs without any, unless it was complete."""
    scene.begin()
    scene.trace.unlink(missing_ok=True)
    status = scene.rotate(injecting(scene.trace, point))
    met = happened(scene.trace, point)
    assert scene.tokens() <= set(scene.live()), f"a webhook has a secret that is not live (status {status})"
    if status != 0:
        again = scene.rotate()
        assert again == 0, f"the second run ended with {again}: {scene.w.site.log_tail(3)}"
    judged(scene)
    return met


def points():
    """Each system call of secret rotate fails, or is its last"""
    scene = Scene()
    try:
        scene.begin()
        assert scene.rotate(counting(scene.trace)) == 0, scene.w.site.log_tail()
        judged(scene)
        found = points_of(scene.trace, "fluidhook.conf")
        done = Table("rotate", sample(found), len(found))
        done.each(lambda point: attempt(scene, point))
    finally:
        scene.w.close()
    done.judge()


if not COMMAND.is_file():
    tap.bail(f"there is no {COMMAND}: build first")
if not TRACING and not LIBRARY.is_file():
    tap.bail(f"there is no {LIBRARY}: make check builds it")
tap.run([tap.Test(points.__doc__, points)])
