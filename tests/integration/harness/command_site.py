"""A site with the command `fluidhook`, which is run over it.

Everything that it prints is kept, so that a test can look in all of it for what may not be there.
"""

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
import tty
from dataclasses import dataclass

from . import process
from .fluid import CREDENTIALS, credential
from .site import TIMEOUT, Site


@dataclass
class Done:
    """How a command ended, and what it printed, in bytes."""
    words: tuple
    status: int
    out: bytes
    err: bytes

    def lines(self):
        """What it said on standard error, a line each."""
        return self.err.decode().splitlines()

    def fails(self, *lines, status=1):
        """It failed, and said exactly these lines."""
        assert self.status == status and self.lines() == list(lines), self
        return self


class CommandSite(Site):
    """fluid: lines of [fluid], by key."""

    def __init__(self, droplets=None, fluid=None, **settings):
        self.said = []
        self.company_token = credential("C-")
        super().__init__(droplets, {"fluid": fluid or {}}, **settings)
        self.token_file = self.dir / "company.token"
        self.write(self.token_file, self.company_token + "\n")

    @property
    def fluid(self):
        return self.sections["fluid"]

    @fluid.setter
    def fluid(self, values):
        self.sections["fluid"] = values

    def call(self, standin, **more):
        """Let this stand-in be Fluid's API."""
        self.fluid = {"api": standin.url, "webhooks": standin.url + "/api/webhooks",
                      "company_token": self.token_file.name, "timeout": 20, **more}
        self.write_conf()

    def keep(self, done):
        """Remember what was printed."""
        self.said += [done.out, done.err]
        return done

    def run(self, *words, stdin=b"", root=False, **more):
        """Run it to its end. root: as who we are. more: for its environment."""
        done = self.execute(*words, root=root, env=more, input=stdin)
        return self.keep(Done(words, done.returncode, done.stdout, done.stderr))

    def ok(self, *words, **more):
        """Run it; it does not fail and has nothing to say on standard error. What it printed."""
        done = self.run(*words, **more)
        assert done.status == 0 and done.err == b"", done
        return done.out

    def start(self, *words):
        """Start it with nothing to read; end it with finish()."""
        return subprocess.Popen(self.argv(*words), env=self.environment(), cwd="/",
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **process.identity())

    def finish(self, proc):
        out, err = proc.communicate(timeout=TIMEOUT)
        return self.keep(Done(tuple(proc.args), proc.returncode, out, err))

    def leaks(self):
        """The credentials that were printed or logged."""
        text = b"".join(self.said) + self.log_text().encode()
        return [word for word in CREDENTIALS if word.encode() in text]

    def on_terminal(self, *words, columns=80, out=True, err=False, wrap=(), act=None):
        """Run it with its output, its messages or both on a terminal so wide. What came there, with
        newlines as they were written. wrap: words in front. act: called with the process."""
        ours, theirs = pty.openpty()
        parts = []
        try:
            tty.setraw(theirs)
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            with subprocess.Popen([*wrap, *self.argv(*words)], env=self.environment(), cwd="/",
                                  stdin=subprocess.DEVNULL,
                                  stdout=theirs if out else subprocess.PIPE,
                                  stderr=theirs if err else subprocess.PIPE,
                                  **process.identity()) as proc:
                os.close(theirs)
                theirs = -1
                reading = threading.Thread(target=_read_terminal, args=(ours, parts))
                reading.start()
                try:
                    if act:
                        act(proc)
                    rest = proc.communicate(timeout=TIMEOUT)
                finally:
                    proc.kill()
                    reading.join()
        finally:
            os.close(ours)
            if theirs != -1:
                os.close(theirs)
        shown = b"".join(parts)
        self.said += [shown, *(text for text in rest if text)]
        return shown


def _read_terminal(descriptor, parts):
    """Until nobody has it open any more."""
    with contextlib.suppress(OSError):
        while part := os.read(descriptor, 65536):
            parts.append(part)
