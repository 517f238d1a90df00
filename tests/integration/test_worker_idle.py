#!/usr/bin/env python3
"""What a worker that has nothing to do costs: memory and processor time. In the plain build: a sanitizer needs its own."""

import os
import time

from harness import tap
from harness.process import wait_until
from harness.site import RECEIVER
from harness.tap import equal
from harness.webservers import find
from harness.worker import COMMAND, has_credentials, no_credentials_in_logs, nothing_waits, world


def _memory(pid, name="VmRSS"):
    """Kilobytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(name + ":"))


def _cpu(pid):
    """Seconds of processor time."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _idle(w):
    """Use all there is to use, then measure. Returns what is resident in kB, and what of it is its own."""
    w.work()
    for company in [w.install() for _ in range(5)]:
        has_credentials(w, company)
    nothing_waits(w)
    before, begun = _cpu(w.proc.pid), time.monotonic()
    wait_until(lambda: time.monotonic() - begun > 1, "")
    cpu = _cpu(w.proc.pid) - before
    rss, own = _memory(w.proc.pid), _memory(w.proc.pid, "RssAnon")
    tap.note(f"idle, {w.fluid.standin.scheme}: {cpu * 1000:.0f} ms of processor time in 1 s, "
             f"{rss} kB resident, {own} kB of it its own")
    return rss, own


def idle():
    """A worker that has nothing to do takes next to nothing"""
    with world() as w:
        rss, _ = _idle(w)
        assert rss < 12 * 1024, f"{rss} kB"


def over_tls():
    """Over TLS, with the certificate checked, and with what that takes given back"""
    if not find("openssl"):
        raise tap.Skip("openssl is not installed")
    with world(tls=True) as w:
        _, own = _idle(w)
        assert own < 6 * 1024, f"{own} kB"
        # Another authority's certificate is not trusted, and nothing is sent to whoever has it.
        w.stop()
        w.site.sections["fluid"].pop("ca_file")
        w.site.write_conf()
        company = w.install()
        w.work()
        w.wait_logged("exchange to be tried again", company.dri, "certificate")
        w.wait_logged("exchange to be tried again", company.dri)
        assert w.site.has(company, status="pending", exchange_tried_at=None)
        equal(len(w.fluid.exchanges(company)), 0, "calls")


if not RECEIVER.is_file() or not COMMAND.is_file():
    tap.bail(f"there is no {RECEIVER} or {COMMAND}: build first")
tap.run([tap.Test(function.__doc__, function) for function in (idle, over_tls, no_credentials_in_logs)])
