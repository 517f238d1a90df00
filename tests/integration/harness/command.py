"""The command `fluidhook`, run as the user that everything under test runs as."""

import os
import shutil
import subprocess
from pathlib import Path

from . import process
from .site import BUILD

COMMAND = Path(os.environ.get("FLUIDHOOK") or BUILD / "fluidhook").resolve()


class Command:
    """The command with a site's configuration. Everything it says is kept in `said`."""

    def __init__(self, site):
        self.site = site
        self.said = []
        # A copy: the build directory need not be readable for that user.
        self.program = site.dir / "fluidhook"
        shutil.copy(COMMAND, self.program)
        self.program.chmod(0o755)

    def run(self, *words, stdin=None, **more):
        """more: of the environment. Returns what subprocess.run() does, as text."""
        done = subprocess.run([self.program, "-c", self.site.conf, *map(str, words)], input=stdin,
                              env=process.environment(HOME=str(self.site.dir), **more), text=True,
                              timeout=600, capture_output=True, check=False, cwd="/",
                              **process.identity())
        self.said.append(done.stdout + done.stderr)
        return done

    def ok(self, *words, **more):
        done = self.run(*words, **more)
        assert done.returncode == 0, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def fails(self, status, *words, **more):
        """Standard output and standard error of a run that has to end with this status."""
        done = self.run(*words, **more)
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout, done.stderr
