"""The parts of script/bench that start programs: the worker with its hooks, and the receiver as CGI."""

import hashlib
import hmac
import json
import os
import re
import resource
import shutil
import subprocess
import time

import state
from measure import BenchError, disk, of, ratio, rounds
from parts import load_of, running
from report import Table
from servers import Fluidhook

EVENTS, INSTALLATIONS, AT_ONCE = 1500, 40, 8
STARTS = 200


def spawn(bench, count, at_once, given, program, environment=None):
    """tests/bench/spawn; its own words, as a dictionary."""
    done = subprocess.run([bench.built("tests/bench/spawn"), str(count), str(at_once), given, program],
                          stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode != 0:
        raise BenchError(f"spawn {program}: exit status {done.returncode}")
    return json.loads(done.stdout)


def children_cpu_us():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1e6


def lines_with(paths, pattern):
    count = 0
    for path in paths:
        with open(path, "rb") as f:
            count += sum(1 for line in f if re.search(pattern, line))
    return count


def worker(bench):
    """The worker, with a hook that is linked statically, beside a bare loop that spawns it."""
    events = 100 if bench.smoke else EVENTS
    receiver = Fluidhook(bench, INSTALLATIONS)
    hook = os.path.join(receiver.hooks, "order.created")
    shutil.copy(bench.built("tests/bench/hook"), hook)
    body = os.path.join(receiver.directory, "body")
    with open(body, "w") as f:
        f.write("x" * 512)
    table = Table("worker", f"The worker: {events:,} events of {INSTALLATIONS} installations,"
                  f" {AT_ONCE} hooks at once", "", "/s", "of the bare loop", "CPU us")

    def ran():
        try:
            return os.path.getsize(receiver.conf + ".ran")
        except FileNotFoundError:
            return 0

    def work():
        post()
        before, cpu, begun = ran(), children_cpu_us(), time.monotonic()
        done = subprocess.run([bench.built("fluidhook"), "-c", receiver.conf, "work", "--once"],
                              stderr=subprocess.PIPE, text=True)
        seconds, cpu = time.monotonic() - begun, children_cpu_us() - cpu
        if done.returncode != 0 or ran() - before != events:
            raise BenchError(f"work --once: exit status {done.returncode}, {ran() - before} of"
                             f" {events} events are done: {done.stderr[-500:]}")
        return {"rate": events / seconds, "cpu": cpu / events}

    def loop():
        cpu = children_cpu_us()
        took = spawn(bench, events, AT_ONCE, body, hook,
                     {**os.environ, "FLUIDHOOK_CONF": receiver.conf})
        return {"rate": events / took["seconds"], "cpu": (children_cpu_us() - cpu) / events}

    with running(bench, [receiver]) as nginx:
        post = load_of(bench, nginx, receiver, connections=32, count=events)
        bench.say("worker")
        got = rounds(bench.rounds, {"a bare loop of posix_spawn": loop, "`fluidhook work --once`": work},
                     bench.say)
    base = got["a bare loop of posix_spawn"]
    for label, results in got.items():
        table.row(label, of(results, "rate"), ratio(results, base), of(results, "cpu"))
    bench.check(receiver)
    return table


def cgi(bench):
    """The receiver as CGI beside an empty program: from the start to the answer."""
    receiver = Fluidhook(bench)
    starts = 20 if bench.smoke else STARTS
    given = os.path.join(receiver.directory, "body")
    body = b'{"identifier":"evt_1000000000","name":"order_created","payload":{"event_name":"order_created",' \
        b'"company_id":10000000,"resource":"order","event":"created","order":{"id":1}}}'
    with open(given, "wb") as f:
        f.write(body)
    programs = {"empty": bench.built("tests/bench/empty"), "fluidhook": bench.built("fluidhook.fcgi")}
    common = {"PATH": os.environ["PATH"], "GATEWAY_INTERFACE": "CGI/1.1", "FLUIDHOOK_CONF": receiver.conf}

    def start(program, method):
        def run():
            now = str(int(time.time()))
            mac = hmac.new(state.key_of(0).encode(), now.encode() + b"." + body, hashlib.sha256)
            post = {"CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/json",
                    "HTTP_X_FLUID_SHOP": "bench-00000000.fluid.app", "HTTP_X_FLUID_TIMESTAMP": now,
                    "HTTP_X_FLUID_SIGNATURE": mac.hexdigest()}
            took = spawn(bench, starts, 1, given if method == "POST" else os.devnull, programs[program],
                         {**common, "REQUEST_METHOD": method, **(post if method == "POST" else {})})
            return {"p50": took["p50_us"] / 1000}
        return run

    cases = {(program, method): start(program, method) for method in ("GET", "POST")
             for program in programs}
    cases["disk"] = lambda: disk(bench.directory)
    time.sleep(bench.settle)
    bench.say("cgi")
    got = rounds(bench.rounds, cases, bench.say)
    wrote = lines_with(receiver.journals(), rb"evt_1000000000")
    if wrote != starts * bench.rounds:
        raise BenchError(f"cgi: {wrote} journal lines after {starts * bench.rounds} deliveries")
    table = Table("cgi", "As CGI, one after the other: from the start to the answer", "",
                  "empty program ms", "fluidhook ms", "ratio", "one sync of the bare disk ms")
    for method, label in (("GET", "health check"), ("POST", "durable POST")):
        empty, full = got["empty", method], got["fluidhook", method]
        table.row(label, of(empty, "p50"), of(full, "p50"), ratio(full, empty, "p50"),
                  of(got["disk"], "p50") if method == "POST" else "")
    bench.checked += wrote
    return table
