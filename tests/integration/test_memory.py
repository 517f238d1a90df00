#!/usr/bin/env python3
"""Out of memory: each allocation of a delivery fails in turn. The answer is 503 or right, never a crash.

FLUIDHOOK_TEST_FAULTS: how many points of each kind at most (default: all).
"""

import ctypes
import json
import mmap
import os
import shutil
import struct

from harness import fluid, process, tap
from harness.fluid import Company
from harness.fronts import Cgi, Listen
from harness.site import BUILD, RECEIVER, Site
from harness.web import Request

LIBRARY = BUILD / "tests" / "faults" / "failing_malloc.so"
MOST = int(os.environ.get("FLUIDHOOK_TEST_FAULTS", "100000"))


class Failing:
    """What is preloaded, and the file by which it is told what shall fail."""

    def __init__(self, site):
        self.preload = site.dir / "failing_malloc.so"
        shutil.copy(LIBRARY, self.preload)
        self.preload.chmod(0o755)
        self.file = site.dir / "failing_malloc"
        self.file.write_bytes(struct.pack("ii", -1, 0))
        process.give(self.file)
        with open(self.file, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 8)
        self.control = (ctypes.c_int32 * 2).from_buffer(self.map)
        self.environment = {"LD_PRELOAD": str(self.preload), "FAILING_MALLOC": str(self.file)}

    def set(self, number, everything=False):
        """The allocation with this number from now on fails; everything: all later ones as well."""
        self.control[1] = everything
        self.control[0] = number

    def end(self):
        """Nothing fails any more. Returns whether something did."""
        reached = self.control[0] == 0
        self.control[0], self.control[1] = -1, 0
        return reached


class MemoryCgi(Cgi):
    """A CGI whose allocations can fail."""
    failing = None

    def environment(self, request):
        return {**super().environment(request), **self.failing.environment}


class MemoryListen(Listen):
    """The same for a serving process."""
    failing = None

    def environment(self):
        return process.environment(**self.failing.environment)


def is_stored(site, company, body, delivery):
    """The journal's line and the record are as the answer says."""
    entries = site.entries(delivery)
    assert len(entries) == 1 and entries[0]["body"] == body, f"{delivery} is not in the journal"
    assert site.record(company.dri)["status"] == "active"


def judge(site, company, body, response, number):
    """A 2xx is stored; everything else is a 503 in the usual form. Returns whether it was a 2xx."""
    answer = json.loads(response.body)
    assert response.headers["content-type"] == "application/json", response
    if response.status == 200:
        assert answer["status"] == "accepted", answer
        is_stored(site, company, body, answer["delivery"])
        return True
    assert (response.status, answer) == (503, {"error": "unavailable"}), (number, response)
    assert response.headers["retry-after"] == "30", response
    return False


def deliveries(site):
    """An install and an order of an installation that is active, anew with each call."""
    def install():
        company = Company(site.droplets[0])
        body = company.install(name="\\u00e9" * 700)
        return company, body, site.droplets[0].secret

    active = Company(site.droplets[0])

    def order():
        return active, active.order(), active.wvt

    return active, (install, order)


def try_all(front, site, failing, make, everything):
    """Let each allocation of a delivery fail, until there is none with that number. Where all later
    ones fail as well, every fourth will do."""
    refused = 0
    for number in range(1, MOST + 1, 4 if everything else 1):
        company, body, secret = make()
        request = Request(headers=fluid.signed(secret, body, shop=company.shop), body=body)
        failing.set(number, everything)
        try:
            response = front.send(request)
        finally:
            reached = failing.end()
        if not judge(site, company, body, response, number):
            refused += 1
            # The memory is back: the same delivery is taken, and nothing wrong was left behind.
            assert judge(site, company, body, front.send(request), number), site.log_tail()
        if not reached:
            break
    return number - 1, refused


def run(front, site):
    failing = front.failing = Failing(site)
    front.start(site)
    active, makes = deliveries(site)
    body = active.install()
    assert front.send(Request(headers=fluid.signed(site.droplets[0].secret, body),
                              body=body)).status == 200
    for make in makes:
        for everything in (False, True):
            points, refused = try_all(front, site, failing, make, everything)
            tap.note(f"{make.__name__}{', all later ones' if everything else ''}: "
                     f"{points} allocations, {refused} answers 503")
            assert points > 10 and 0 < refused <= points, "nothing failed"
    site.check_modes()
    site.journal()


def as_cgi():
    """Each allocation of a CGI, from its start to its end"""
    run(MemoryCgi(), Site(log_level="warn"))


def as_fastcgi():
    """Each allocation of a request of a serving process, which lives on"""
    front, site = MemoryListen(), Site(log_level="warn")
    front.arguments = ["--threads", "1"]
    run(front, site)
    serving = front.serving()
    assert "serving process died" not in site.log_text(), site.log_tail()

    # A large request, which is collected before it is handled.
    def large():
        company = Company(site.droplets[0])
        return company, fluid.padded(company.install(), 100000), site.droplets[0].secret

    points, refused = try_all(front, site, front.failing, large, False)
    tap.note(f"large: {points} allocations, {refused} answers 503")
    assert points > 10 and refused
    assert front.serving() == serving
    assert front.stop() == 0


if not RECEIVER.is_file():
    tap.bail(f"there is no {RECEIVER}: build first")
if any(name in os.environ for name in ("ASAN_OPTIONS", "TSAN_OPTIONS")):
    tap.skip_all("a sanitizer has an allocator of its own")
if not LIBRARY.is_file():
    tap.bail(f"there is no {LIBRARY}: make check builds it")
tap.run([
    tap.Test("out of memory as a CGI", as_cgi),
    tap.Test("out of memory in a serving process", as_fastcgi),
])
