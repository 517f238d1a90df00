#!/usr/bin/env python3
"""Under load: reloads lose no request, crashes lose no delivery that was answered with 2xx.

FLUIDHOOK_TEST_TIMES: how often each is reloaded or killed (default 12). How long service takes to
come back is noted, but it is the machine's affair (alone it is below 100 ms).
"""

import json
import os
import random
import resource
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from harness import fcgi, fluid, process, tap
from harness.fluid import Company
from harness.fronts import Cgi, Listen
from harness.site import RECEIVER, Site
from harness.web import NoAnswer, Request
from harness.webservers import Nginx, find

TIMES = int(os.environ.get("FLUIDHOOK_TEST_TIMES", "12"))
EVERY = 0.2         # seconds between two, at least
ENOUGH = 20         # answers between two, at least
CLIENTS = 8


class Load:
    """Clients that post installs and business events one after the other until told to stop."""

    def __init__(self, front, site):
        self.front = front
        self.droplet = site.droplets[0]
        self.over = threading.Event()
        self.taken = {}         # delivery -> body
        self.failed = []        # no answer
        self.answers = {}       # status -> how often
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._client) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _client(self):
        company = Company(self.droplet)
        number = 0
        while not self.over.is_set():
            body = company.install(name=f"n{number}") if number % 8 == 0 else company.order()
            number += 1
            request = Request(headers=fluid.signed(self.droplet.secret, body), body=body)
            try:
                self._note(self.front.send(request), body)
            except NoAnswer as e:
                with self.lock:
                    self.failed.append(str(e))

    def _note(self, response, body):
        with self.lock:
            self.answers[response.status] = self.answers.get(response.status, 0) + 1
            if 200 <= response.status < 300:
                self.taken[json.loads(response.body)["delivery"]] = body

    def some_more(self):
        """Return after a while in which there was some load."""
        before = len(self.taken)
        time.sleep(EVERY)
        process.wait_until(lambda: len(self.taken) >= before + ENOUGH, "no load")

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        tap.note(f"answers {self.answers}, no answer {len(self.failed)}")


def check_journal(site, taken):
    """All that was answered with 2xx is in the journal, byte for byte. A crash may cut a line."""
    found = {}
    for line in site.journal_lines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        found[entry["delivery"]] = entry["body"].encode()
    missing = [delivery for delivery in taken if delivery not in found]
    assert not missing, f"{len(missing)} of {len(taken)} answered with 2xx are not in the journal"
    wrong = [delivery for delivery, body in taken.items() if found[delivery] != body]
    assert not wrong, f"{len(wrong)} differ in the journal"


def reloads():
    """SIGHUP every 200 ms: not one request fails."""
    front, site = Listen(), Site(log_level="warn")
    front.start(site)
    load = Load(front, site)
    for _ in range(TIMES):
        load.some_more()
        os.kill(front.proc.pid, signal.SIGHUP)
    load.some_more()
    load.stop()
    assert not load.failed, f"{len(load.failed)} requests failed: {load.failed[:3]}"
    assert set(load.answers) == {200}, load.answers
    check_journal(site, load.taken)
    site.journal()
    assert front.stop() == 0


def back_again(front):
    """How long until the next answer, in ms."""
    begun = time.monotonic()
    while time.monotonic() - begun < process.DEADLINE:
        try:
            front.send(Request("GET"))
            return (time.monotonic() - begun) * 1000
        except NoAnswer:
            time.sleep(0.001)
    raise AssertionError("service did not come back")


def crashes(front, receiver, errors_allowed):
    """SIGKILL of the serving process every 200 ms: never a 2xx for what is not in the journal."""
    site = Site(log_level="warn")
    front.start(site)
    load = Load(front, site)
    back = []
    for _ in range(TIMES):
        load.some_more()
        os.kill(receiver.serving(), signal.SIGKILL)
        back.append(back_again(receiver))
    load.stop()
    tap.note(f"{len(back)} crashes; back after {max(back):.1f} ms at most")
    assert set(load.answers) <= {200, *errors_allowed}, load.answers
    check_journal(site, load.taken)
    body = Company(site.droplets[0]).install()
    assert receiver.send(Request(headers=fluid.signed(site.droplets[0].secret, body),
                                 body=body)).status == 200
    for path in (site.state / "installations").glob("*.json"):
        assert site.record(path.stem)["status"] == "active", path
    assert front.stop() == 0


def crashes_direct():
    front = Listen()
    crashes(front, front, ())


def crashes_behind_nginx():
    if not find("nginx"):
        raise tap.Skip("nginx is not installed")
    front = Nginx()
    crashes(front, front.behind, (502,))


def side_by_side():
    """Two receivers and CGI processes on one state directory: no line is lost, no record torn."""
    site = Site(log_level="warn")
    fronts = [Listen(), Listen("second.sock"), Cgi()]
    for front in fronts:
        front.start(site)
    company, now = Company(site.droplets[0]), fluid.now()
    bodies = [(company.install(), now - 1), (company.uninstall(), now)]
    requests = [Request(headers=fluid.signed(company.droplet.secret, body, stamp), body=body)
                for body, stamp in bodies]
    jobs = [(front, request) for front in fronts for request in requests for _ in range(12)]
    random.shuffle(jobs)
    again = []

    def taken(job):
        front, request = job
        while (status := front.send(request).status) == 503 and "holds the lock" in site.log_text():
            # It waited too long, on a slow machine: as Fluid does, send it again.
            again.append(request)
        return status

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(taken, jobs))
    assert set(answers) == {200}, answers
    assert site.record(company.dri)["status"] == "uninstalled"
    found = sorted(entry["body"] for entry in site.journal())
    assert set(found) == set(body for body, _ in bodies), "other bodies"
    assert len(jobs) <= len(found) <= len(jobs) + len(again), f"{len(found)} of {len(jobs)}"
    for front in fronts:
        front.stop()


def memory():
    """The serving process stays small however much it takes in (12 MB with 32 threads)."""
    if any(name in os.environ for name in ("ASAN_OPTIONS", "TSAN_OPTIONS")):
        raise tap.Skip("a sanitizer needs memory of its own")
    front, site = Listen(), Site(log_level="warn")
    front.start(site)
    large = fluid.padded(Company(site.droplets[0]).install(), 2 ** 20)
    for _ in range(20):
        assert front.send(Request(headers=fluid.signed(site.droplets[0].secret, large),
                                  body=large)).status == 200
    load = Load(front, site)
    process.wait_until(lambda: len(load.taken) > 2000, "no load")
    load.stop()
    with open(f"/proc/{front.serving()}/status", encoding="ascii") as f:
        resident = next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    tap.note(f"{resident} kB resident after {sum(load.answers.values())} deliveries")
    assert resident < 12 * 1024, f"{resident} kB resident"
    front.stop()


def stop_under_load():
    """SIGTERM under load: a whole answer or none, and what got 2xx is in the journal."""
    for _ in range(3):
        front, site = Listen(), Site(log_level="warn")
        front.start(site)
        load = Load(front, site)
        process.wait_until(lambda: len(load.taken) > 50, "no load")
        os.kill(front.proc.pid, signal.SIGTERM)
        assert front.proc.wait(process.DEADLINE) == 0, front.proc.returncode
        load.stop()
        front.stop()
        assert set(load.answers) == {200}, load.answers
        check_journal(site, load.taken)
        site.journal()
        site.close()


def arrive_together(front, requests):
    """Requests that are all there before the serving process sees the first one. Their answers."""
    child = front.serving()
    os.kill(child, signal.SIGSTOP)
    socks = []
    try:
        for request in requests:
            socks.append(fcgi.connect(front.address))
            socks[-1].sendall(fcgi.whole(request))
        os.kill(child, signal.SIGCONT)
        return [fcgi.parse_cgi(fcgi.read_answer(sock)[0]) for sock in socks]
    finally:
        os.kill(child, signal.SIGCONT)
        for sock in socks:
            sock.close()


def installs(site, number):
    """So many installs, each of another company."""
    secret = site.droplets[0].secret
    bodies = [Company(site.droplets[0]).install() for _ in range(number)]
    return [Request(headers=fluid.signed(secret, body), body=body) for body in bodies]


def more_than_fit():
    """More installs at once than there is room for, and no thread that only waits for the disk."""
    for threads in (1, 2):
        front, site = Listen(), Site(log_level="warn")
        front.arguments = ["--threads", str(threads)]
        # Room for 16 connections or few more.
        front.prepare = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (72, 72))
        front.start(site)
        answers = arrive_together(front, installs(site, 100))
        assert {answer.status for answer in answers} == {200}, [one.status for one in answers]
        assert front.stop() == 0
        site.close()


def refused_in_between():
    """A delivery's line is committed although requests that are refused never let up."""
    front, site = Listen(), Site(log_level="info")
    front.arguments = ["--threads", "1"]
    front.start(site)
    company = Company(site.droplets[0])
    body = company.install()
    good = fluid.signed(site.droplets[0].secret, body)
    assert front.send(Request(headers=good, body=body)).status == 200
    body = company.order()
    good = Request(headers=fluid.signed(site.droplets[0].secret, body), body=body)
    bad = Request(headers=fluid.signed("not the secret", body), body=body)
    answers = arrive_together(front, [good] + [bad] * 400)
    assert [answer.status for answer in answers] == [200] + [401] * 400
    # The log has the answers in their order.
    text = (site.logs / "receiver.log").read_text()
    delivery = json.loads(answers[0].body)["delivery"]
    later = text[text.index(delivery):].count("status=401")
    assert later >= 200, f"answered before {later} of 400 requests that came after it"
    assert front.stop() == 0


if not RECEIVER.is_file():
    tap.bail(f"there is no {RECEIVER}: build first")
tap.run([
    tap.Test("SIGHUP every 200 ms: not one request fails", reloads),
    tap.Test("SIGKILL every 200 ms: no 2xx that is not in the journal", crashes_direct),
    tap.Test("SIGKILL every 200 ms behind nginx: 502 at worst", crashes_behind_nginx),
    tap.Test("several receivers on one state directory", side_by_side),
    tap.Test("memory under load", memory),
    tap.Test("SIGTERM under load", stop_under_load),
    tap.Test("more installs at once than there is room for", more_than_fit),
    tap.Test("refused requests keep no delivery from its commit", refused_in_between),
])
