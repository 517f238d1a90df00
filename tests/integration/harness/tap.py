"""Reporting: one test function, one line of TAP (Test Anything Protocol)."""

import os
import signal
import sys
import threading
import time
import traceback

from . import process


class Skip(Exception):
    """Raised by a test that cannot run here; the text says why."""


def note(text):
    """Print something as a comment, line by line."""
    for line in str(text).splitlines():
        print("# " + line, flush=True)


def equal(got, want, what=""):
    """Fail unless both are equal, with both values. They are shortened: bodies can be large."""
    if got != want:
        raise AssertionError(f"{what}{': ' if what else ''}got {str(got)[:2000]!r}, want {str(want)[:2000]!r}")


def skip_all(reason):
    """End the program: nothing of it can run here."""
    print(f"1..0 # SKIP {reason}", flush=True)
    sys.exit(0)


def bail(reason):
    """End the program as failed: nothing of it can run, though it should."""
    print(f"Bail out! {reason}", flush=True)
    sys.exit(1)


class Test:
    """name: one line; function: called without arguments; on_failure: returns text to show."""

    def __init__(self, name, function, on_failure=None):
        self.name = name
        self.function = function
        self.on_failure = on_failure


def _failed(number, test):
    print(f"not ok {number} - {test.name}")
    note(traceback.format_exc())
    if test.on_failure:
        try:
            note(test.on_failure())
        except Exception:
            note(traceback.format_exc())


def _run_one(number, test):
    """True where the test passed or was skipped."""
    begun = time.monotonic()
    try:
        test.function()
    except Skip as reason:
        print(f"ok {number} - {test.name} # SKIP {reason}", flush=True)
        return True
    except Exception:
        _failed(number, test)
        return False
    print(f"ok {number} - {test.name}", flush=True)
    took = time.monotonic() - begun
    if took > 2:
        note(f"took {took:.1f} s")
    return True


def _stop(number, _frame):
    sys.exit(128 + number)


def _limit(seconds):
    """End the program when it takes too long; what it started ends with it."""
    def late():
        print(f"Bail out! not done after {seconds} s", flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

    timer = threading.Timer(seconds, late)
    timer.daemon = True
    timer.start()


def run(tests):
    """Run the tests in order and end the program: 0 when all passed, else 1.

    FLUIDHOOK_TEST_ONLY in the environment: only tests whose name has this text in it.
    """
    only = os.environ.get("FLUIDHOOK_TEST_ONLY")
    tests = [t for t in tests if not only or only in t.name]
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _stop)
    _limit(float(os.environ.get("FLUIDHOOK_TEST_LIMIT", "1800")))
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    try:
        for number, test in enumerate(tests, 1):
            if not _run_one(number, test):
                failed += 1
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        process.clean_up()
    sys.exit(1 if failed else 0)
