"""script/bench, after the programs were built. See there for the options."""

import argparse
import fcntl
import os
import shutil
import signal
import sys
import tempfile

import parts
from measure import BenchError, Load, Processes


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
        self.full = options.full
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

    def clean(self):
        self.processes.stop_all()
        shutil.rmtree(self.sockets, ignore_errors=True)
        for entry in os.listdir(self.directory):
            path = os.path.join(self.directory, entry)
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
            elif entry.startswith("acked.") or entry == "bare-disk":
                os.unlink(path)


def numbers(text):
    return [int(n) for n in text.split(",")]


def parse():
    parser = argparse.ArgumentParser(prog="script/bench", add_help=False)
    parser.add_argument("--only", action="append", choices=list(parts.PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--sizes", type=numbers, default=[512, 2048, 16384])
    parser.add_argument("--connections", type=numbers, default=[1, 8, 64, 256])
    parser.add_argument("--state", default="build/bench")
    parser.add_argument("--full", action="store_true")
    return parser.parse_args()


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    bench = None
    try:
        bench = Bench(options)
        for name in options.only or parts.PARTS:
            for table in parts.PARTS[name](bench):
                print(table.markdown(), flush=True)
        for (path, kind), count in sorted(bench.load.not_200.items()):
            if count:
                print(f"{path}: {count} requests were not answered 200: {kind}")
        print(f"{bench.checked} acknowledged deliveries were looked up; each is in its journal.")
        return 0
    except BenchError as error:
        print(f"script/bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if bench:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            bench.clean()


if __name__ == "__main__":
    sys.exit(main())
