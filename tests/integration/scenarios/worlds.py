"""Configurations, and running every scenario in the one it belongs to, through one front."""

import inspect

from harness import fluid, site, tap
from harness.fluid import Droplet
from harness.site import Site
from harness.tap import equal

from . import (answers, bodies, confirm, crowd, evidence, health, names, records,  # noqa: F401
               rotation, samples, shapes, tenants)
from .trial import SCENARIOS, Trial


def usual():
    return Site([Droplet("reports"), Droplet("shipping")])


def single():
    """One droplet whose uuid is not configured."""
    return Site([Droplet(uuid=False, n_secrets=1)])


def strict():
    return Site([Droplet()], legacy_tokens="no", tolerance="60")


def confirming():
    return Site([Droplet("reports"), Droplet("shipping")], unsigned_installs="confirm")


def full():
    """No disk is as large as what has to stay free."""
    return Site([Droplet()], min_free="8000000G")


def absent():
    """The state directory is not there."""
    return Site([Droplet()], state_dir="gone/state")


WORLDS = {"usual": usual, "single": single, "strict": strict, "confirming": confirming,
          "full": full, "absent": absent}


class World:
    """A site and a front, started by the first test that needs them."""

    def __init__(self, name, front_class):
        self.name = name
        self.front = front_class()
        self.site = None
        self.failed = None

    def started(self):
        if self.failed:
            raise AssertionError(f"the servers of this world did not start: {self.failed}")
        if self.site is None:
            self.site = WORLDS[self.name]()
            try:
                self.front.start(self.site)
            except Exception as e:
                self.failed = e
                raise
        return Trial(self.front, self.site)

    def log_tail(self):
        return self.site.log_tail() if self.site else "nothing was started"

    def finish(self):
        """The last test of a world: what it wrote is whole, and shows no secret."""
        trial = self.started()
        if self.name not in ("full", "absent"):
            trial.site.journal()
        trial.site.check_modes()
        self.front.stop()
        text = trial.site.log_text()
        shown = [word for word in fluid.CREDENTIALS if word in text]
        equal(shown, [], "credentials and signatures in the log")
        assert "msg=answer" in text or "msg=serving" in text, "nothing was logged at all"
        self.site.close()


def _tests_of(world, front_class):
    w = World(world, front_class)

    def one(function):
        return tap.Test(f"{world}: {inspect.getdoc(function).splitlines()[0]}",
                        lambda: function(w.started()), w.log_tail)

    chosen = [one(function) for name, direct_only, function in SCENARIOS
              if name == world and (front_class.direct or not direct_only)]
    if chosen:
        chosen.append(tap.Test(f"{world}: its files are whole and private, its log tells no secret",
                               w.finish, w.log_tail))
    return chosen


def run(front_class, needs=(), worlds=None):
    """Run everything through this front and end the program. needs: pairs of a program's name
    and where it was found."""
    if not site.RECEIVER.is_file():
        tap.bail(f"there is no {site.RECEIVER}: build first")
    for program, found in needs:
        if not found:
            tap.skip_all(f"{program} is not installed")
    tap.run([test for world in worlds or WORLDS for test in _tests_of(world, front_class)])
