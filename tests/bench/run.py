"""script/bench, after the programs were built. See there for the options."""

import argparse
import fcntl
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import parts
import programs
import report
from measure import BenchError, Load, Processes

PARTS = {
    "peers": parts.compare,
    "fluidhook": parts.fluidhook,
    "installs": parts.installs,
    "installations": parts.installations,
    "worker": programs.worker,
    "cgi": programs.cgi,
}

# A record, or a file of secrets, that changed a moment ago is read again for each delivery.
SETTLE_S = 3.2


class Bench:
    """What all parts need."""

    def __init__(self, options):
        self.source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        self.directory = os.path.abspath(options.state)
        os.makedirs(self.directory, exist_ok=True)
        self.lock = open(os.path.join(self.directory, "lock"), "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchError(f"another script/bench runs in {self.directory}") from None
        self.sockets = tempfile.mkdtemp(prefix="fluidhook-bench-")
        self.processes = Processes()
        self.load = Load(self.built("tests/bench/load"), self.directory)
        self.checked = 0
        self.settle = SETTLE_S
        self.full, self.smoke = options.full, options.smoke
        self.rounds, self.seconds = options.rounds, options.seconds
        self.sizes, self.connections = options.sizes, options.connections

    def built(self, program):
        return os.path.join(self.source, "build", program)

    @staticmethod
    def say(text):
        print(f"bench: {text}", file=sys.stderr, flush=True)

    def check(self, *servers):
        for server in servers:
            self.checked += self.load.check(server)

    def machine(self):
        """One line that says what was measured on."""
        with open("/proc/cpuinfo") as f:
            models = [line.partition(":")[2].strip() for line in f if line.startswith("model name")]
        kind = subprocess.run(["stat", "-f", "-c", "%T", self.directory], stdout=subprocess.PIPE,
                              text=True).stdout.strip()
        return (f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} processors"
                f" ({models[0] if models else platform.machine()}), Linux {platform.release()}, {kind},"
                f" {self.rounds} rounds of {self.seconds:g} s, load average before: {self.busy:.1f}.")

    def clean(self):
        self.processes.stop_all()
        shutil.rmtree(self.sockets, ignore_errors=True)
        self.clean_directory()

    def clean_directory(self):
        """Of what a part has left. rm is several times as fast as shutil.rmtree."""
        for entry in os.listdir(self.directory):
            if entry in OURS or entry.startswith(("acked.", "fluidhook-")):
                subprocess.run(["rm", "-rf", os.path.join(self.directory, entry)])

    busy = os.getloadavg()[0]


# What the parts make in the directory of --state, which may hold files of others.
OURS = ("bare-disk", "fluidhook", "floor", "go", "nginx", "node", "php", "webhook")


def numbers(text):
    return [int(n) for n in text.split(",")]


def parse():
    parser = argparse.ArgumentParser(prog="script/bench", add_help=False)
    parser.add_argument("--only", action="append", choices=list(PARTS))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--sizes", type=numbers)
    parser.add_argument("--connections", type=numbers)
    parser.add_argument("--state", default="build/bench")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    usual = {"rounds": 3, "seconds": 1.5, "sizes": [512, 2048, 16384], "connections": [1, 8, 64, 256]}
    if options.smoke:
        usual = {"rounds": 1, "seconds": 0.5, "sizes": [512], "connections": [1, 8]}
    for name, value in usual.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.smoke and options.write:
        parser.error("--smoke measures nothing that is worth to --write")
    return options


def measure(bench, options):
    tables = []
    for name in options.only or PARTS:
        tables.append(PARTS[name](bench))
        print(tables[-1].markdown(), flush=True)
        bench.clean_directory()
    print(bench.machine())
    for (path, kind), count in sorted(bench.load.not_200.items()):
        if count:
            print(f"{path}: {count} requests were not answered 200: {kind}")
    print(f"{bench.checked} acknowledged deliveries were looked up; each is in its journal.")
    if options.write:
        report.write(bench.source, tables, bench.machine())


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    bench = None
    try:
        bench = Bench(options)
        measure(bench, options)
        return 0
    except (BenchError, OSError, ValueError) as error:
        print(f"script/bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sig, signal.SIG_IGN)
        if bench:
            bench.clean()


if __name__ == "__main__":
    sys.exit(main())
