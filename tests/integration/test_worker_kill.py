#!/usr/bin/env python3
"""Workers that end: killed at any moment, told to stop, or because nothing is left to do.

FLUIDHOOK_TEST_KILLS and FLUIDHOOK_TEST_EVENTS say how often the worker is killed (30) and how many
events flow meanwhile (300).
"""
import ctypes
import json
import os
import pwd
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import process, tap  # noqa: E402
from harness.hooks import SANITIZED, delivery_id, event_body, journal_line, with_place  # noqa: E402

KILLS = int(os.environ.get("FLUIDHOOK_TEST_KILLS", "30"))
EVENTS = int(os.environ.get("FLUIDHOOK_TEST_EVENTS", "300"))
TICK = os.sysconf("SC_CLK_TCK")

# Notes the delivery and the size of its body, in one write. The first attempt of some events fails.
NOTES = """size=$(wc -c)
echo "$FLUIDHOOK_DELIVERY $size" >>$OUT/ran
case $FLUIDHOOK_EVENT in *.updated) mkdir $OUT/$FLUIDHOOK_DELIVERY 2>/dev/null && exit 1 ;; esac
exit 0"""


def cpu_seconds(pid):
    """What a process has used of a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Flow:
    """Events of so many installations that flow into the journal. One in ten fails at first; one in seven is large."""

    def __init__(self, place, total, installations=1):
        self.place = place
        self.total = total
        self.installations = installations
        self.ids, self.sizes, self.fails = [], {}, set()

    def some(self, count):
        lines = []
        for _ in range(min(count, self.total - len(self.ids))):
            number = len(self.ids)
            event = "order.updated" if number % 10 == 9 else "order.created"
            body = event_body(number, event, padding="x" * (200000 if number % 7 == 3 else 10))
            one = delivery_id()
            self.ids.append(one)
            self.sizes[one] = len(body)
            if event == "order.updated":
                self.fails.add(one)
            lines.append(journal_line(event, body, f"dri_{number % self.installations}", delivery=one))
        if lines:
            self.place.append(lines)


def all_whole(place):
    """Every file that the worker keeps is whole; what it was about to write counts for nothing."""
    for path in (place.state / "queue").rglob("*.json"):
        if not path.name.startswith("."):
            json.loads(path.read_text(encoding="utf-8"))
    for path in (place.state / "runs").iterdir():
        lines = path.read_text(encoding="ascii").splitlines()
        broken = [line for line in lines if not re.match(r'\{"at":"[^{]*"result":"(done|failed)"[^{]*\}\Z', line)]
        assert len(broken) <= KILLS, broken
    for path in (place.state / "installations").glob("*.json"):
        assert place.record(path.stem)["status"] == "active"


def kill_often(place, kills, events, installations=1):
    """Let events flow while the worker is killed so often. Returns the flow, and all runs."""
    place.hook("order", NOTES)
    company = place.company()
    flow = Flow(place, events, installations)
    for n in range(kills):
        flow.some(1 + events // kills)
        worker = place.start(log=f"worker-{n}.log")
        time.sleep(random.uniform(0, 2.5 * events / kills * 0.004))     # when, is what is tried here
        assert worker.poll() is None
        place.kill()
        all_whole(place)
        if n % 3 == 0:
            place.hurry()
    flow.some(events)
    place.once(timeout=600)
    place.hurry()
    place.once(timeout=600)
    assert place.queue() == [] and place.dead() == []
    all_whole(place)
    assert place.record(company.dri)["status"] == "active"
    log = place.log_text()
    assert "level=error" not in log.replace("msg=\"hook given up", ""), log[-3000:]
    process.wait_until(lambda: not place.left("ran") or place.left("ran").endswith("\n"), "whole lines")
    return flow, [line.split() for line in place.lines("ran")]


def check_runs(flow, runs, most_twice):
    """Every hook ran, with its whole body, and no more often than it had to but for so many times."""
    assert {one for one, _ in runs} == set(flow.ids), "an event's hook did not run"
    cut = [(one, size, flow.sizes[one]) for one, size in runs if int(size) != flow.sizes[one]]
    assert not cut, f"bodies that were not whole: {cut}"
    counts = {}
    for one, _ in runs:
        counts[one] = counts.get(one, 0) + 1
    for one in flow.fails:
        assert counts[one] >= 2, "an event that failed was not tried again"
    more = len(runs) - len(flow.ids) - len(flow.fails)
    assert more <= most_twice, f"{more} runs too many"
    return more


def killed(place):
    """Killed at any moment, the worker loses nothing: each hook runs, in order, once but for kills."""
    flow, runs = kill_often(place, KILLS, EVENTS)
    more = check_runs(flow, runs, KILLS)
    firsts = list(dict.fromkeys(one for one, _ in runs))
    assert firsts == flow.ids, "not in the order received"
    tap.note(f"{KILLS} kills, {len(flow.ids)} events, {len(runs)} runs: {more} more than needed")


def killed_with_several(place):
    """The same with four hooks at once: each runs, none oftener than it was running when killed."""
    kills = max(8, KILLS // 4)
    flow, runs = kill_often(place, kills, max(100, EVENTS // 3), installations=7)
    more = check_runs(flow, runs, 4 * kills)
    tap.note(f"{kills} kills, {len(flow.ids)} events, {len(runs)} runs: {more} more than needed")


def second_worker(place):
    """A second worker notices the first and leaves it alone."""
    place.hook("any", "echo $$ >>$OUT/begun; while ! [ -e $OUT/go ]; do sleep 0.01; done; "
                      "echo ran >>$OUT/ran")
    place.append([journal_line("order.created", event_body(1))])
    with place.worker():
        process.wait_until(lambda: place.lines("begun"), "the hook")
        for words, status, level in ((("work",), 1, "error"), (("work", "--once"), 0, "info")):
            place.run(*words, status=status)
            assert "another worker runs" in place.said and str(place.state) in place.said
            assert f"level={level}" in place.said and place.said.count("\n") == 1, place.said
        assert re.search(r"worker +runs", said := place.run("check", status=None)), said
        place.touch("go")
        process.wait_until(lambda: place.lines("ran") == ["ran"], "the hook's end")
    assert place.queue() == []


def left_running(place):
    """What a killed worker leaves running is ended, with its group, before the next one runs anything."""
    place.hook("any", f"""for pid in $(cat $OUT/killed 2>/dev/null); do
    grep -q '^State:.[^ZX]' /proc/$pid/status 2>/dev/null && echo $pid >>$OUT/beside
done
echo $$ >>$OUT/pids
[ -e $OUT/go ] || {{ trap '' TERM HUP; sleep 600 & echo $! >>$OUT/pids; wait; sleep 600; }}
echo $FLUIDHOOK_DELIVERY $FLUIDHOOK_ATTEMPT >>$OUT/ran""")
    ids = [delivery_id() for _ in range(3)]
    place.append([journal_line("order.created", event_body(n), f"dri_{n}", delivery=one) for n, one in enumerate(ids)])
    place.configure(concurrency=2)
    place.start(log="killed.log")
    process.wait_until(lambda: len(place.lines("pids")) == 4, "two hooks, and what they have started")
    pids = [int(pid) for pid in place.lines("pids")]
    place.kill()
    assert not any(process.is_gone(pid) for pid in pids), "they have not outlived their worker"
    place.write(place.out / "killed", place.left("pids"))
    place.touch("go")
    log = place.once()
    assert all(process.is_gone(pid) for pid in pids) and log.count("left a hook running") == 2, log
    assert place.left("beside") == "", "a hook ran beside the one that was left"
    assert sorted(place.lines("ran")) == sorted(f"{one} 1" for one in ids), place.left("ran")
    assert "left a hook" not in place.once()


def not_anothers(place):
    """A process that got the id of a hook that was left running is not killed, nor after another boot."""
    sleeper = process.start(["sleep", "600"])
    fields = Path(f"/proc/{sleeper.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    start = int(fields[19])
    place.once()
    running = place.state / "queue/running"

    def note(*slots):
        place.write(running, "".join(f"{' '.join(map(str, slot)):127}\n" for slot in slots))

    # "<" stands before a time at which it had started; versions before 0.2 wrote when it started.
    note((sleeper.pid, start + 1, boot, delivery_id()), (sleeper.pid, 0, boot, delivery_id()),
         (sleeper.pid, f"<{start - 1}", boot, delivery_id()), (sleeper.pid, f"<{start}", "f2" + boot[2:], delivery_id()),
         (sleeper.pid, start, "f2" + boot[2:], delivery_id()), ("no", "line"), (1, 0, boot, delivery_id()),
         (-1, start, boot, delivery_id()), (sleeper.pid, start), ())
    assert "left a hook" not in place.once() and sleeper.poll() is None
    for form in ("{}", "<{}", "<          {}"):
        note((), (), (sleeper.pid, form.format(start), boot, delivery_id()))
        assert "left a hook" in place.once(), form
        process.wait_until(lambda: sleeper.poll() is not None, "the one that is meant")
        process.stop(sleeper)
        sleeper = process.start(["sleep", "600"])
        fields = Path(f"/proc/{sleeper.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        start = int(fields[19])
    process.stop(sleeper)


def limit_file_size(pid, size):
    """No file may grow beyond this for the process: as if the disk were full."""
    subprocess.run(["prlimit", "--pid", str(pid), f"--fsize={size}:"], check=True, timeout=10,
                   **process.identity())


def no_room_for_notes(place):
    """While the run of a hook cannot be noted, no other one is started; the note is made when there is room."""
    if not shutil.which("prlimit"):
        raise tap.Skip("prlimit is not installed")
    notes = place.state / "runs" / place.journal_file().name
    place.hook("any", f"echo $FLUIDHOOK_DELIVERY >>$OUT/begun; cp {notes} $OUT/notes.$FLUIDHOOK_DELIVERY\n"
                      "while ! [ -e $OUT/go ]; do sleep 0.01; done; echo $FLUIDHOOK_DELIVERY >>$OUT/ran")
    place.once()
    # Larger than all other files that the worker writes.
    place.write(notes, "\n" * 2000000)
    ids = [delivery_id() for _ in range(3)]

    def add(number):
        place.append([journal_line("order.created", event_body(number), delivery=ids[number])])

    with place.worker() as worker:
        add(0)
        process.wait_until(lambda: place.lines("begun") == ids[:1], "the first hook")
        limit_file_size(worker.pid, 1000000)
        place.touch("go")
        process.wait_until(lambda: "hook's run not noted" in place.log_text(), "its note fails")
        add(1)
        # It goes on looking at what there is to do, and starts nothing.
        process.wait_until(lambda: place.position().get(place.journal_file().name), "the position")
        assert place.lines("begun") == ids[:1] and ids[0] not in notes.read_text()
        limit_file_size(worker.pid, "unlimited")
        process.wait_until(lambda: place.lines("ran") == ids[:2], "the second hook")
        assert ids[0] in place.left(f"notes.{ids[1]}"), "it ran before the first one was noted"
        process.wait_until(lambda: ids[1] in notes.read_text(), "it is noted, too")
    # At the end it is said what is lost.
    (place.out / "go").unlink()
    worker = place.start(log="second.log")
    add(2)
    process.wait_until(lambda: place.lines("begun") == ids, "the third hook")
    limit_file_size(worker.pid, 1000000)
    place.touch("go")
    process.wait_until(lambda: "hook's run not noted" in (place.logs / "second.log").read_text(), "it fails")
    assert place.stop() == 1
    assert "notes lost" in (place.logs / "second.log").read_text()
    # Nothing is started before there is room for its note. The hook that ran does not run again.
    place.hook("any", "echo $FLUIDHOOK_DELIVERY >>$OUT/again")
    place.append([journal_line("order.created", event_body(7))])

    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    log = place.once(status=1, preexec_fn=small)
    assert "cannot be started now" in log and place.left("again") == "", log
    place.hook("any", "stat -c %b $STATE/queue/reserve >$OUT/blocks; echo $FLUIDHOOK_DELIVERY >>$OUT/again".replace(
        "$STATE", str(place.state)))
    place.once()
    assert int(place.left("blocks")) >= 1024 and not (place.state / "queue/reserve").exists()
    assert len(place.lines("again")) == 1 and ids[2] not in place.left("again")


def moved_away(place):
    """A worker whose state directory, or a part of it, is moved or replaced ends, and runs nothing there."""
    place.hook("any", "echo $FLUIDHOOK_DELIVERY >>$OUT/ran")
    place.once()
    away = place.dir / "away"
    for number, path in enumerate((place.state, place.state / "journal", place.state / "queue",
                                   place.state / "installations")):
        worker = place.start(log=f"moved-{number}.log")
        one = delivery_id()
        place.append([journal_line("order.created", event_body(number), delivery=one)])
        process.wait_until(lambda one=one: place.lines("ran")[-1:] == [one], "the hook")
        path.rename(away)
        assert worker.wait(20) == 1
        place.stop()
        log = (place.logs / f"moved-{number}.log").read_text()
        assert "was moved or replaced" in log and str(place.state) in log, log
        assert place.state.exists() == (path != place.state) and not path.exists(), "it was made again"
        away.rename(path)
        # Another directory in its place.
        shutil.copytree(path, place.dir / "copy", symlinks=True)
        for copied in (place.dir / "copy", *(place.dir / "copy").rglob("*")):
            process.give(copied)
        worker = place.start(log=f"replaced-{number}.log")
        path.rename(away)
        (place.dir / "copy").rename(path)
        two = delivery_id()
        place.append([journal_line("order.created", event_body(10 + number), delivery=two)])
        assert worker.wait(20) == 1
        place.stop()
        assert two not in place.left("ran"), "it ran a hook of a directory that it had not opened"
        place.once()
        assert place.lines("ran")[-1:] == [two], "what was received there was not read"
        shutil.rmtree(away)


def rereads(place):
    """SIGHUP: a new configuration is taken and hooks that run go on; an invalid one is refused and named."""
    place.hook("any", "echo $FLUIDHOOK_DELIVERY >>$OUT/begun; while ! [ -e $OUT/go ]; do sleep 0.01; done\n"
                      "echo $FLUIDHOOK_DELIVERY >>$OUT/old")
    ids = [delivery_id() for _ in range(3)]

    def add(number):
        place.append([journal_line("order.created", event_body(number), delivery=ids[number])])

    def hooks_of(name):
        place.write(place.conf, good.replace("hooks = hooks\n", f"hooks = {name}\n"))

    good = place.conf.read_text()
    other = place.dir / "other"
    other.mkdir()
    process.give(other)
    place.write(other / "any", f"#!/bin/sh\necho $FLUIDHOOK_DELIVERY >>{place.out}/new\n", 0o755)
    with place.worker() as worker:
        add(0)
        process.wait_until(lambda: place.lines("begun") == ids[:1], "the hook")
        hooks_of("other")
        worker.send_signal(signal.SIGHUP)
        process.wait_until(lambda: "configuration read again" in place.log_text(), "it is taken")
        add(1)
        place.touch("go")
        process.wait_until(lambda: place.lines("new") == ids[1:2], "the hook of the new directory")
        assert place.lines("old") == ids[:1], "the hook that ran was ended"
        for text, said in ((good + "nonsense = 1\n", "unknown key"),
                           (re.sub("state_dir = .*", "state_dir = elsewhere", good), "another worker"),
                           ("", None)):
            if said is None:
                place.conf.unlink()
                said = "No such file"
            else:
                place.write(place.conf, text)
            worker.send_signal(signal.SIGHUP)
            process.wait_until(lambda said=said: any("the old one stays" in line and said in line for line in
                               place.log_text().splitlines()), f"it is refused: {said}")
            assert worker.poll() is None
        place.write(place.conf, good)
        add(2)
        process.wait_until(lambda: place.lines("new") == ids[1:], "it goes on with the old one")
        # Many at once are one, or a few.
        for _ in range(50):
            worker.send_signal(signal.SIGHUP)
        process.wait_until(lambda: place.log_text().count("configuration read again") >= 2, "again")
    assert place.lines("old") == ids[:1] and place.queue() == []


def reaps_all(place):
    """Whatever becomes the worker's child is reaped, as process 1 of a container has to, and hooks are not."""
    place.hook("any", "sh -c 'sleep 0.1 & echo $! >>$0/left' $OUT; exit $((FLUIDHOOK_ATTEMPT + 2))")

    def adopt():
        # Survives exec: orphans below the worker become its children.
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)

    place.configure(concurrency=4)
    with place.worker(prepare=adopt) as worker:
        place.append([journal_line("order.created", event_body(n)) for n in range(20)])
        process.wait_until(lambda: len(place.lines("left")) == 20 and len(place.queue()) == 20, "all hooks")
        process.wait_until(lambda: not process.children(worker.pid), "every child is reaped")
    assert {item["why"] for item in place.queue()} == {"exit 3"}, place.queue()


def foreign_state(place):
    """The worker refuses a state directory of another user, even where it could write; root becomes him."""
    place.hook("any", "id -u >$OUT/user")
    place.append([journal_line("order.created", event_body(1))])
    if os.geteuid() != 0:
        raise tap.Skip("only root can give a directory away")
    owner = next(one.pw_uid for one in pwd.getpwall() if one.pw_uid not in (0, process.USER.pw_uid))
    for path in (place.state, *place.state.rglob("*")):
        os.chmod(path, 0o777 if path.is_dir() else 0o666)
    os.chown(place.state, owner, -1)
    place.run("work", "--once", status=1)
    assert "belongs to" in place.said and place.left("user") == "", place.said
    for path in (place.out, *place.state.rglob("*")):
        os.chown(path, owner, -1)
    os.chmod(place.dir, 0o755)
    done = subprocess.run([place.program, "-c", place.conf, "work", "--once"], capture_output=True, text=True,
                          env=process.environment(), timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert place.lines("user") == [str(owner)], place.left("user")


def stops_after_its_hook(place):
    """SIGTERM and SIGINT: the hook that runs gets its time, nothing else begins, the status is 0."""
    place.hook("any", "echo $$ >>$OUT/begun; while ! [ -e $OUT/go ]; do sleep 0.01; done\n"
                      "for n in 1 2 3 4 5 6 7 8 9 10; do sleep 0.05; done; echo ran >>$OUT/ran")
    for number, sent in enumerate((signal.SIGTERM, signal.SIGINT)):
        place.append([journal_line("order.created", event_body(10 * number + n)) for n in range(3)])
        worker = place.start(log=f"worker-{number}.log")
        process.wait_until(lambda: len(place.lines("begun")) == number + 1, "the hook")
        worker.send_signal(sent)
        process.wait_until(lambda: place.log_text().count("msg=stopping") == number + 1, "it stops")
        worker.send_signal(sent)
        before = cpu_seconds(worker.pid)
        place.touch("go")
        process.wait_until(lambda: len(place.lines("ran")) == number + 1, "the hook's end")
        try:
            used = cpu_seconds(worker.pid) - before
        except (FileNotFoundError, IndexError):
            used = 0
        assert place.stop() == 0
        assert used < 0.2, f"{used} s of a processor while it waited half a second"
        assert len(place.lines("begun")) == number + 1 and place.queue() == []
        (place.out / "go").unlink()
    place.touch("go")
    place.once()
    assert len(place.lines("begun")) == 6 and len(place.lines("ran")) == 6


def stops_after_the_timeout(place):
    """SIGTERM: a hook that hangs is killed with its group when its time is over; it waits for a retry."""
    place.hook("any", "trap '' TERM; sleep 600 & echo $! >>$OUT/pids; echo $$ >>$OUT/pids; wait; sleep 600")
    one = delivery_id()
    place.append([journal_line("order.created", event_body(1), delivery=one)])
    worker = place.start()
    process.wait_until(lambda: len(place.lines("pids")) == 2, "the hook")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(process.DEADLINE) == 0
    place.stop()
    for pid in place.lines("pids"):
        process.wait_until(lambda pid=pid: process.is_gone(pid), "all of the group is gone")
    assert [(item["delivery"], item["why"]) for item in place.queue()] == [(one, "timeout")]


def stops_amid_lines(place):
    """SIGTERM is heard while there are a great many lines to read; the rest is read by the next worker."""
    place.hook("product", "echo $FLUIDHOOK_DELIVERY >>$OUT/ran")
    one = delivery_id()
    place.append([journal_line("order.created", event_body(n)) for n in range(20000)])
    place.append([journal_line("product.updated", event_body(1, "product.updated"), delivery=one)])

    def already():
        # Waits for the worker as soon as it looks.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        os.kill(os.getpid(), signal.SIGTERM)

    worker = place.start(prepare=already)
    assert worker.wait(process.DEADLINE) == 0
    place.stop()
    (offset,) = place.position().values()
    assert offset < place.journal_file().stat().st_size / 2, "it read on"
    place.once()
    assert place.lines("ran") == [one]


def once_until_nothing_is_left(place):
    """work --once does all that is due, also what comes meanwhile, and ends; the rest stays."""
    place.hook("any", 'echo "$FLUIDHOOK_EVENT $FLUIDHOOK_ATTEMPT" >>$OUT/ran; '
                      "[ $FLUIDHOOK_EVENT != order.deleted ]")
    assert place.once().count("\n") == 1 and place.lines("ran") == []
    place.append([journal_line("order.deleted", event_body(0, "order.deleted"))])
    place.once()
    line = journal_line("order.updated", event_body(2, "order.updated"))
    directory = place.journal_file().parent
    place.hook("order.created", f"echo created >>$OUT/ran; cat $OUT/line >>{directory}/$(ls {directory})")
    (place.out / "line").write_bytes(line + b"\n")
    place.append([journal_line("order.created", event_body(1))])
    place.once()
    assert place.lines("ran") == ["order.deleted 1", "created", "order.updated 1"], place.lines("ran")
    assert [item["attempts"] for item in place.queue()] == [1]
    place.hurry()
    place.once()
    assert place.lines("ran")[3:] == ["order.deleted 2"]


def idle(place):
    """A worker with nothing to do uses no processor to speak of, and less than 12 MB."""
    place.hook("any", "echo ran >>$OUT/ran")
    with place.worker() as worker:
        place.append([journal_line("order.created", event_body(n)) for n in range(50)])
        process.wait_until(lambda: len(place.lines("ran")) == 50, "all hooks")
        process.wait_until(lambda: place.position().get(place.journal_file().name), "the position")
        status = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii")
        size = int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))
        before, begun = cpu_seconds(worker.pid), time.monotonic()
        process.wait_until(lambda: time.monotonic() - begun > 2, "two seconds")
        used = cpu_seconds(worker.pid) - before
    assert used <= 0.05, f"{used} s in two seconds"
    assert SANITIZED or size < 12 * 1024, f"{size} kB"
    tap.note(f"{size} kB, {used:.2f} s of a processor in two seconds")


TESTS = [
    (killed, {}), (killed_with_several, {"concurrency": 4}), (second_worker, {}), (left_running, {}), (not_anothers, {}), (reaps_all, {}),
    (no_room_for_notes, {}), (moved_away, {}), (rereads, {}), (foreign_state, {}), (stops_after_its_hook, {}),
    (stops_after_the_timeout, {"hook_timeout": 1}), (stops_amid_lines, {}), (once_until_nothing_is_left, {}),
    (idle, {}),
]

if __name__ == "__main__":
    tap.run([tap.Test(function.__doc__.rstrip("."), with_place(function, **settings))
             for function, settings in TESTS])
