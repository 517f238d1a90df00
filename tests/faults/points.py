"""Every system call of a program as a place to fail at: one by one, each call fails or is where the
program is killed. strace counts the calls and injects the faults. Where strace may not trace, a
preloaded library does (failing_calls.c); it sees the calls that go through libc.

FLUIDHOOK_TEST_LONG in the environment: all points, and more kinds of errors. Otherwise a sample.
FLUIDHOOK_TEST_PRELOAD: the library, also where strace may trace.
"""

import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from harness import process, tap  # noqa: E402
from harness.site import BUILD  # noqa: E402
from harness.webservers import find  # noqa: E402

LIBRARY = BUILD / "tests/faults/failing_calls.so"

LONG = bool(os.environ.get("FLUIDHOOK_TEST_LONG"))
SAMPLE = 40         # points of one table, unless all of them are tried

# Calls that touch files, memory or connections. Not every machine has all of these.
CALLS = ("openat", "read", "pread64", "write", "writev", "pwrite64", "fsync", "fdatasync", "ftruncate",
         "fallocate", "rename", "renameat", "renameat2", "symlink", "symlinkat", "readlink", "readlinkat",
         "unlink", "unlinkat", "mkdir", "mkdirat", "flock", "fcntl", "fstat", "newfstatat", "statx",
         "statfs", "fstatfs", "getdents64", "lseek", "mmap", "mremap", "brk", "socket", "connect",
         "sendto", "recvfrom", "poll", "pipe2", "memfd_create", "clone", "clone3", "vfork")
ERRORS = {"mmap": ("ENOMEM",), "mremap": ("ENOMEM",), "brk": ("ENOMEM",), "flock": ("EIO",),
          "write": ("ENOSPC", "EIO"), "writev": ("ENOSPC", "EIO"), "pwrite64": ("ENOSPC", "EIO"),
          "openat": ("EIO", "EMFILE", "EACCES"), "rename": ("EIO", "ENOSPC"),
          "renameat": ("EIO", "ENOSPC"), "renameat2": ("EIO", "ENOSPC"), "fallocate": ("ENOSPC",),
          "connect": ("ECONNREFUSED",), "clone": ("EAGAIN",), "clone3": ("EAGAIN",), "vfork": ("EAGAIN",)}

Point = collections.namedtuple("Point", "call number fault")


def tracing_works():
    """Whether strace can trace and inject here."""
    if os.environ.get("FLUIDHOOK_TEST_PRELOAD") or not find("strace"):
        return False
    done = subprocess.run([find("strace"), "-e", "trace=fsync", "-e", "inject=fsync:error=EIO", "true"],
                          capture_output=True, env=process.environment(), check=False, timeout=600,
                          cwd="/", **process.identity())
    return done.returncode == 0


TRACING = tracing_works()


def preloading(trace, *more):
    """The words before a command, so that the library is loaded into it."""
    # A copy: the build may lie where the user that everything runs as cannot go.
    library = trace.with_name(LIBRARY.name)
    if not library.exists():
        shutil.copy(LIBRARY, library)
        library.chmod(0o755)
    trace.unlink(missing_ok=True)
    return ["env", f"LD_PRELOAD={library}", f"FAILING_CALLS_TRACE={trace}", *more]


def counting(trace):
    """The words before a command, so that its calls are written to a file."""
    if not TRACING:
        return preloading(trace)
    return [find("strace"), "-qq", "-o", trace, "-e", "trace=" + ",".join("?" + c for c in CALLS)]


def injecting(trace, point):
    """The words before a command, so that it meets this fault."""
    call, number, fault = point
    if not TRACING:
        return preloading(trace, f"FAILING_CALLS={call} {number} {fault}")
    what = "signal=SIGKILL" if fault == "killed" else f"error={fault}"
    return [find("strace"), "-qq", "-o", trace, "-e", f"trace={call}",
            "-e", f"inject={call}:{what}:when={number}"]


def happened(trace, point):
    """Whether the program came to that call."""
    text = trace.read_text(errors="replace")
    return "killed by SIGKILL" in text if point.fault == "killed" else "(INJECTED)" in text


def points_of(trace, first):
    """The points of a program's calls, from the first line on in which a text occurs: what the
    loader does before main() is no part of the program."""
    seen, points, begun = collections.Counter(), [], False
    for line in trace.read_text(errors="replace").splitlines():
        match = re.match(r"(\w+)\(", line)
        if not match:
            continue
        call = match[1]
        seen[call] += 1
        begun = begun or first in line
        if begun:
            errors = ERRORS.get(call, ("EIO",))
            for fault in (*(errors if LONG else errors[:1]), "killed"):
                points.append(Point(call, seen[call], fault))
    assert begun, f"no {first} in the trace"
    return points


def sample(points):
    """All of them, or some from everywhere."""
    if LONG or len(points) <= SAMPLE:
        return points
    # A step that has no divisor in common with 2 takes failures and kills in turn.
    step = max(1, len(points) // SAMPLE) | 1
    return points[::step]


class Table:
    """What came of all points: tries each, and fails with all violations."""

    def __init__(self, name, points, total):
        self.name = name
        self.points = points
        self.total = total
        self.violations = []
        self.met = 0

    def each(self, attempt):
        """attempt: called with a point; returns whether the fault happened; raises AssertionError."""
        for point in self.points:
            try:
                self.met += bool(attempt(point))
            except AssertionError as error:
                self.violations.append(f"{point.call} {point.number} {point.fault}: {error}")

    def judge(self):
        tap.note(f"{self.name}: {len(self.points)} of {self.total} points, {self.met} met, "
                 f"{len(self.violations)} violations")
        assert self.met > len(self.points) // 2, "hardly any fault happened"
        assert not self.violations, "\n".join(self.violations[:20])
