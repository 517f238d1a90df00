"""What script/bench measures with: processes, loads, the bare disk, journals, medians."""

import array
import ctypes
import glob
import json
import mmap
import os
import re
import signal
import statistics
import subprocess
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")
_prctl = ctypes.CDLL(None, use_errno=True).prctl
PR_SET_PDEATHSIG = 1


class BenchError(Exception):
    """The bench cannot go on, or a count is wrong."""


class Processes:
    """What was started, and is ended with the bench, however it ends."""

    def __init__(self):
        self.started = []

    def start(self, argv, **more):
        def dies_with_us():
            _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

        proc = subprocess.Popen([str(a) for a in argv], start_new_session=True,
                                preexec_fn=dies_with_us, **{"stdin": subprocess.DEVNULL, **more})
        self.started.append(proc)
        return proc

    def stop(self, proc):
        if proc not in self.started:
            return
        self.started.remove(proc)
        for sig, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            try:
                proc.send_signal(sig)
                proc.wait(seconds)
                break
            except subprocess.TimeoutExpired:
                continue
        try:  # what it started itself is in its process group
            os.killpg(proc.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def stop_all(self):
        for proc in reversed(list(self.started)):
            self.stop(proc)


def tree(pid):
    """A process and all below it."""
    found = [pid]
    for parent in found:
        for path in glob.glob(f"/proc/{parent}/task/*/children"):
            try:
                with open(path) as f:
                    found += [int(child) for child in f.read().split()]
            except OSError:
                continue
    return found


def cpu_us(pid):
    """User and system time of a process, all below it, and what they have waited for."""
    ticks = 0
    for each in tree(pid):
        try:
            with open(f"/proc/{each}/stat") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(n) for n in fields[11:15])
    return ticks * 1000000 // TICK


def memory_kb(pid):
    """Resident memory of a process and all below it; a page that several share counts once."""
    total = 0
    for each in tree(pid):
        try:
            with open(f"/proc/{each}/smaps_rollup") as f:
                total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M)[1])
        except (OSError, TypeError):
            continue
    return total


def largest_resident_kb(pid):
    """Resident memory of the largest process of these, all pages counted."""
    sizes = []
    for each in tree(pid):
        with open(f"/proc/{each}/statm") as f:
            sizes.append(int(f.read().split()[1]))
    return max(sizes) * os.sysconf("SC_PAGESIZE") // 1024


def median(values):
    return statistics.median(values) if values else 0


class Load:
    """Runs tests/bench/load, and remembers which deliveries were acknowledged to whom."""

    def __init__(self, program, directory):
        self.program, self.directory = program, directory
        self.next = 1000000000
        self.acknowledged = 0
        self.not_200 = {}

    def acked_file(self, who):
        return os.path.join(self.directory, f"acked.{who}")

    def run(self, server, port, path, **options):
        """One load; rate, p50, p99 in ms, cpu in us for each delivery of the server's."""
        argv = [self.program, "--port", port, "--path", path, "--first", self.next,
                "--acked", self.acked_file(server.name)]
        for name, value in options.items():
            argv += ["--" + name.replace("_", "-")] + ([] if value is True else [value])
        before = cpu_us(server.pid)
        done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, text=True)
        after = cpu_us(server.pid)
        if done.returncode != 0:
            raise BenchError(f"load of {path}: exit status {done.returncode}")
        said = json.loads(done.stdout)
        self.next = said["next"]
        good = said["status"].pop("200", 0)
        self.acknowledged += good
        bad = sum(said["status"].values()) + said["broken"] + said["unanswered"]
        if bad:
            kinds = dict(said["status"], broken=said["broken"], unanswered=said["unanswered"])
            for kind, count in kinds.items():
                key = (path, kind)
                self.not_200[key] = self.not_200.get(key, 0) + count
        if not good:
            raise BenchError(f"{path}: nothing was answered 200: {said}")
        return {"rate": said["measured"] / said["seconds"], "p50": said["p50_us"] / 1000,
                "p99": said["p99_us"] / 1000, "cpu": (after - before) / (good + bad),
                "load_cpu": said["cpu_us"] / (good + bad)}

    def check(self, server):
        """Each acknowledged delivery is in the journal of the server that answered it."""
        path = self.acked_file(server.name)
        acked = array.array("I")
        with open(path, "rb") as f:
            acked.frombytes(f.read())
        os.unlink(path)
        there = set()
        for journal in server.journals():
            there |= ids_in(journal)
        missing = set(acked) - there
        if missing:
            raise BenchError(f"{server.name}: {len(missing)} of {len(acked)} acknowledged deliveries"
                             f" are not in its journal, for example {sorted(missing)[:3]}")
        return len(acked)


def ids_in(path):
    """The ids of the load's deliveries in a journal, of whole lines."""
    if os.path.getsize(path) == 0:
        return set()
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as text:
        end = text.rfind(b"\n")
        return {int(m[1]) for m in re.finditer(rb"(?:evt|dri)_(\d{10})", text) if m.start() < end}


def disk(directory, seconds=0.5, size=700, writers=1):
    """How often a second so many writers can append so many bytes to one file and sync it; and
    the median duration in ms."""
    path = os.path.join(directory, "bare-disk")
    data = b"x" * size
    durations = [[] for _ in range(writers)]
    end = time.monotonic() + seconds

    def write(mine):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            now = time.monotonic()
            while now < end:
                os.write(fd, data)
                os.fdatasync(fd)
                now, before = time.monotonic(), now
                mine.append(now - before)
        finally:
            os.close(fd)

    begun = time.monotonic()
    threads = [threading.Thread(target=write, args=(mine,)) for mine in durations]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    os.unlink(path)
    every = [d for mine in durations for d in mine]
    return {"rate": len(every) / took, "p50": median(every) * 1000}


def rounds(count, cases, say):
    """Run all cases in each of so many rounds, each round from another place on, so that none is
    always after the same neighbour. cases: name -> function. Returns name -> results by round."""
    names = list(cases)
    results = {name: [None] * count for name in names}
    for number in range(count):
        say(f"round {number + 1} of {count}")
        first = number * len(names) // count
        for name in names[first:] + names[:first]:
            results[name][number] = cases[name]()
    return results


def of(results, field):
    return median([r[field] for r in results])


def ratio(results, base, field="rate"):
    """The median of the ratios within each round."""
    return median([r[field] / b[field] for r, b in zip(results, base) if b[field]])
