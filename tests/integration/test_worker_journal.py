#!/usr/bin/env python3
"""The worker follows the journal: across files, from where it was, whatever became of its own files."""
import fcntl
import hashlib
import json
import os
import resource
import secrets
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import process, tap  # noqa: E402
from harness.hooks import day_text, delivery_id, event_body, journal_line, when_text, with_place  # noqa: E402

DAY = 86400
NOW = time.time()
RUNS = "read -r body; echo $FLUIDHOOK_DELIVERY >>$OUT/ran"


def children_cpu():
    """What ended children have used of a processor, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def lines_of(numbers, received=None, event="order.created"):
    """Journal lines, and their deliveries' ids."""
    ids = [delivery_id(int((received or time.time()) * 1000)) for _ in numbers]
    return [journal_line(event, event_body(number, event), received=received, delivery=one)
            for number, one in zip(numbers, ids)], ids


def add(place, number, days_ago=0, file=0, event="order.created"):
    """One line in the journal of a day. Returns its delivery's id."""
    received = NOW - days_ago * DAY
    (line,), (one,) = lines_of([number], received, event)
    place.append([line], place.journal_file(day_text(received), file))
    return one


# Its files

def all_files(place):
    """Lines are taken in the order of days, and of a day's files by their numbers."""
    place.hook("any", RUNS)
    ids = [add(place, 1, 9), add(place, 2, 3), add(place, 3, 1), add(place, 4, 1, 1), add(place, 5, 1, 2),
           add(place, 6, 1, 10), add(place, 7, 0), add(place, 8, 0, 1)]
    (place.state / "journal/notes.txt").write_text("no journal\n")
    place.once()
    assert place.lines("ran") == ids, (place.lines("ran"), ids)
    assert len(place.position()) == 8, place.position()
    for name, offset in place.position().items():
        assert offset == (place.state / "journal" / name).stat().st_size
    place.once()
    assert place.lines("ran") == ids


def new_files(place):
    """A worker that runs sees new lines at once, in new files too, and late ones of the day before."""
    place.hook("any", RUNS)
    ids = [add(place, 1, 1)]
    with place.worker():
        def expect():
            process.wait_until(lambda: place.lines("ran") == ids, f"{len(ids)} hooks")

        expect()
        places = ((0, 0), (1, 0), (0, 1), (0, 0), (-1, 0), (0, 1), (-1, 1))
        for number, (days_ago, file) in enumerate(places, 2):
            ids.append(add(place, number, days_ago, file))
            expect()
    for name, offset in place.position().items():
        assert offset == (place.state / "journal" / name).stat().st_size
    assert len(place.position()) == 5, place.places()


def files_of_the_future(place):
    """Where the clock was ahead for some days, what is received after that is read all the same."""
    place.hook("any", RUNS)
    ids = [add(place, number, -100 - number) for number in (1, 2)]
    place.once()
    for number in (3, 4):
        ids.append(add(place, number))
        place.once()
        assert place.lines("ran") == ids, (place.lines("ran"), ids)
    assert len(place.position()) == 3, place.position()


def unfinished_line(place):
    """An unfinished last line is no delivery until it is whole, and then it is one."""
    place.hook("any", RUNS)
    (first, second), ids = lines_of([1, 2])
    path = place.journal_file()
    place.append([first, second[:100]], path, end=b"")
    place.once()
    assert place.lines("ran") == ids[:1]
    place.append([second[100:-1]], path, end=b"")
    place.once()
    assert place.lines("ran") == ids[:1]
    place.append([second[-1:]], path)
    place.once()
    assert place.lines("ran") == ids
    # One that will never be whole: the receiver ends it before it writes another.
    place.append([first[:50]], path, end=b"")
    place.once()
    third = place.deliver(event_body(3))
    log = place.once()
    assert place.lines("ran") == [*ids, third] and log.count("no delivery") == 1


def bad_lines(place):
    """Lines that are no deliveries are logged and passed over; those around them count."""
    place.hook("any", RUNS)
    good, ids = lines_of(range(3))
    whole = json.loads(good[0])
    bad = [b"", b"{}", b"null", b"[1]", b"\xff\xfe", b"{" * 70, good[1][:-1], good[1] + b"}",
           *(json.dumps({k: v for k, v in whole.items() if k != left}).encode()
             for left in ("delivery", "event", "body", "received_at")),
           *(json.dumps({**whole, **other}).encode() for other in (
               {"delivery": "../../x"}, {"delivery": "x" * 100}, {"event": "../any"}, {"event": "e" * 300},
               {"delivery": None}, {"body": None}))]
    place.append([good[0], *bad, good[1], good[2]])
    log = place.once()
    assert place.lines("ran") == ids, log
    assert log.count("no delivery") == len(bad), log
    assert place.queue() == []


def unreadable_file(place):
    """A name in the journal that cannot be read is named, holds up no other, and keeps its place."""
    place.hook("any", RUNS)
    early, late = add(place, 1, 1), add(place, 2)
    path = place.journal_file(day_text(NOW - DAY))
    aside = place.dir / "aside"
    ran = [early, late]
    place.once()
    # Unread, behind what was read; and it is out of the way from here on.
    ran.append(add(place, 100, 1))
    path.rename(aside)

    def obstacles():
        path.symlink_to(aside)
        yield path.unlink
        path.mkdir()
        yield path.rmdir
        os.mkfifo(path)
        yield path.unlink
        path.symlink_to("/nowhere")
        yield path.unlink

    for number, remove in enumerate(obstacles(), 3):
        ran.insert(-1, add(place, number))
        log = place.once(status=1)
        assert log.count("cannot be read") == 1 and f"file={path.name}" in log, log
        assert place.lines("ran") == ran[:-1], (place.lines("ran"), ran)
        remove()
    aside.rename(path)
    place.once()
    assert place.lines("ran") == ran, (place.lines("ran"), ran)


def unreadable_for_a_while(place):
    """A worker that runs says once which file it cannot read, goes on, and reads it when it can."""
    place.hook("any", RUNS)
    early = place.journal_file(day_text(NOW - DAY))
    two = add(place, 2, 1)
    aside = place.dir / "aside"
    early.rename(aside)
    early.symlink_to("nowhere")
    with place.worker():
        one = add(place, 1)
        process.wait_until(lambda: place.lines("ran") == [one], "the other file's")
        process.wait_until(lambda: early.name in place.log_text(), "it is named")
        # In one step: a worker that finds no such name has no file to report on.
        aside.replace(early)
        process.wait_until(lambda: place.lines("ran") == [one, two], "its own", 12)
        process.wait_until(lambda: "can be read again" in place.log_text(), "that is said")
    assert place.log_text().count("cannot be read") == 1, place.log_text()


def locked_file(place):
    """Another program's lock on a journal file is named, and stops neither other files nor the worker."""
    place.hook("any", RUNS)
    early = add(place, 1, 1)
    with open(place.journal_file(day_text(NOW - DAY)), "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with place.worker():
            one = add(place, 2)
            process.wait_until(lambda: place.lines("ran") == [one], "the other file's", 12)
            process.wait_until(lambda: "holds a lock" in place.log_text(), "that is said")
            two = add(place, 3)
            process.wait_until(lambda: place.lines("ran") == [one, two], "at once", 12)
            fcntl.flock(held, fcntl.LOCK_UN)
            process.wait_until(lambda: place.lines("ran") == [one, two, early], "its own", 12)
    assert place.log_text().count("holds a lock") == 1


def line_taken_back(place):
    """A line that is being written is not read before the receiver's lock is released: it can be taken back."""
    place.hook("any", "cat >>$OUT/bodies; " + RUNS)
    (first, second), ids = lines_of([1, 2])
    path = place.journal_file()
    place.append([first])
    size = path.stat().st_size
    with place.worker(), open(path, "r+b") as file:
        process.wait_until(lambda: place.lines("ran") == ids[:1], "the first")
        fcntl.flock(file, fcntl.LOCK_EX)
        # A short write, as on a full disk; what follows once it was taken back begins at the same place.
        os.pwrite(file.fileno(), first[:200].replace(ids[0].encode(), delivery_id().encode()), size)
        process.wait_until(lambda: "holds a lock" in place.log_text(), "the worker looked at it", 12)
        os.ftruncate(file.fileno(), size)
        os.pwrite(file.fileno(), second + b"\n", size)
        fcntl.flock(file, fcntl.LOCK_UN)
        process.wait_until(lambda: place.lines("ran") == ids, "the second", 12)
    assert "no delivery" not in place.log_text()
    assert place.left("bodies") == (event_body(1) + event_body(2)).decode()


# Its position

def position_lost(place):
    """Without its position the worker begins at the beginning, and runs nothing a second time."""
    place.hook("any", RUNS)
    ids = [add(place, number, 1 - number // 2) for number in range(4)]
    place.once()
    (place.state / "queue/position.json").unlink()
    ids.append(add(place, 9))
    place.once()
    assert place.lines("ran") == ids


def position_damaged(place):
    """With a damaged position the worker goes on, runs nothing a second time, and says so."""
    place.hook("any", RUNS)
    ids = [add(place, 0)]
    place.once()
    position = place.state / "queue/position.json"
    good = position.read_bytes()
    for number, damage in enumerate((b"", b"{", good[:-3], b"\0" * len(good), b'{"2026-11-23.jsonl":"1"}',
                                     b'{"../any":1}', b'{"2026-11-23.jsonl":-1}', b"[]"), 1):
        ids.append(add(place, number))
        position.write_bytes(damage)
        said = place.run("prune", "--keep", "30d", status=1)
        assert said == "" and "position.json is damaged" in place.said
        log = place.once()
        assert "level=error" in log and "position is damaged" in log, (damage, log)
        assert place.lines("ran") == ids, (damage, place.lines("ran"), ids)
        place.position()
        assert "damaged" not in place.once()


def position_of_the_version_before(place):
    """The position of a version before 0.2, which names the last files only, is taken over."""
    place.hook("any", RUNS)
    place.once()
    old = [add(place, number, 40 - number) for number in range(3)]
    one, two = add(place, 5, 1), add(place, 6, 1)
    size = place.journal_file(day_text(NOW - DAY)).stat().st_size
    three = add(place, 7)
    # A crash left this one unfinished.
    place.append([b'{"delivery":"unfini'], place.journal_file(day_text(NOW - 40 * DAY)), end=b"")
    place.write(place.state / "queue/position.json", json.dumps(
        {place.journal_file(day_text(NOW - DAY)).name: size // 2}))
    place.once()
    assert place.lines("ran") == [two, three], (place.lines("ran"), old, one)
    # Nor is what that version dealt with read again when the position is lost; what follows is.
    for damage in (None, b"{"):
        path = place.state / "queue/position.json"
        path.unlink() if damage is None else path.write_bytes(damage)
        late = add(place, 8 if damage is None else 9, 1)
        place.once()
        assert place.lines("ran")[-1] == late
    assert place.lines("ran")[:3] == [two, three, one] and len(place.lines("ran")) == 5, place.lines("ran")
    late = add(place, 10, 39)
    place.once()
    assert place.lines("ran")[5:] == [late]


def position_beyond(place):
    """A position that does not fit its file is no reason to miss what is in it."""
    place.hook("any", RUNS)
    ids = [add(place, number) for number in range(3)]
    place.once()
    path = place.journal_file(day_text(NOW))
    position = place.state / "queue/position.json"
    for number, offset in enumerate((path.stat().st_size + 1, 10 ** 12, 2 ** 64 - 1, 5), 3):
        for text in (offset, f"{offset} 0", f"{path.stat().st_size} {offset} {ids[-1]}"):
            position.write_text(json.dumps({path.name: text}))
            ids.append(add(place, len(ids)))
            log = place.once()
            assert "not what it was" in log, (text, log)
            assert place.lines("ran") == ids, text
            assert place.position()[path.name] == path.stat().st_size
    assert number


def other_lines(place):
    """A file that was restored, truncated or put together anew is read, and nothing in it runs twice."""
    place.hook("any", RUNS)
    path = place.journal_file(day_text(NOW - 9 * DAY))
    (*lines, new, newer), ids = lines_of(range(6), NOW - 9 * DAY)
    *known, fifth, sixth = ids

    def lies(*content):
        place.write(path, b"".join(line + b"\n" for line in content).decode())
        return place.once()

    log = lies(*lines)
    assert place.lines("ran") == known and "not what it was" not in log
    # A copy of the same: nothing to do.
    assert "not what it was" not in lies(*lines)
    # Restored from a backup, and written to after that, up to the very place that was read to.
    assert len(new) == len(lines[0])
    assert "not what it was" in lies(*lines[:3], new)
    assert place.lines("ran") == [*known, fifth]
    # Put together anew, with a line in front.
    lies(newer, *lines[:3], new)
    assert place.lines("ran") == [*known, fifth, sixth]
    # Emptied, and put back.
    lies()
    lies(*lines, new, newer)
    assert place.lines("ran") == [*known, fifth, sixth]


def skipped_days(place):
    """Where the clock was ahead for days and went back, the days between are read when they come."""
    place.hook("any", RUNS)
    ids = [add(place, number, days) for number, days in ((1, 6), (2, 1), (3, 0))]
    place.once()
    # What is today's now was in the future then; no worker ran on these days.
    ids += [add(place, number, days) for number, days in ((4, 5), (5, 4), (6, 2))]
    place.once()
    assert place.lines("ran") == ids, (place.lines("ran"), ids)


def moved_line(place):
    """A delivery that waits is found by its UUID, wherever the journal has its line now."""
    place.configure(attempts=20)
    place.hook("any", "cat >>$OUT/bodies; " + RUNS + "; exit 1")
    (one, other), ids = lines_of([1, 2])
    path = place.journal_file()
    place.append([one])
    place.once()

    def again(*content, where=path):
        if where != path and path.exists():
            path.unlink()
        place.write(where, b"".join(line + b"\n" for line in content).decode())
        (place.out / "bodies").unlink()
        place.hurry()
        place.once()

    again(other, one)
    assert place.left("bodies").count(event_body(1).decode()) == 1, place.left("bodies")
    again(other, other, one, where=place.journal_file(day_text(NOW - DAY)))
    assert place.left("bodies").count(event_body(1).decode()) == 1, place.left("bodies")
    # In no file, or damaged: the worker's own failure counts no attempt, is logged once, and makes no dead letter.
    yesterday = place.journal_file(day_text(NOW - DAY))
    (place.out / "bodies").unlink()
    for content, why in (((other,), "none of its files has"), ((other, one[:60]), "is damaged")):
        for turn in range(6):
            place.write(yesterday, b"".join(line + b"\n" for line in content).decode())
            place.hurry()
            log = place.once(status=1)
            assert log.count("delivery waits") == (turn == 0), log
            item = next(item for item in place.queue() if item["delivery"] == ids[0])
            assert item["attempts"] == 3 and why in item["why"], item
            assert why in place.run("queue"), place.said
    assert place.dead() == [], place.dead()
    assert place.left("bodies").count(event_body(1).decode()) == 0
    again(other, one, where=yesterday)
    assert place.left("bodies").count(event_body(1).decode()) == 1, place.left("bodies")
    (item,) = [item for item in place.queue() if item["delivery"] == ids[0]]
    assert item["attempts"] == 4 and item["why"] == "exit 1", item


def file_replaced(place):
    """A journal file that is moved away, with another in its place, is noticed by a worker that runs."""
    place.hook("any", RUNS)
    ids = [add(place, 1)]
    path = place.journal_file(day_text(NOW))
    with place.worker():
        process.wait_until(lambda: place.lines("ran") == ids, "the first hook")
        path.rename(place.dir / "away.jsonl")
        ids += [add(place, 2), add(place, 3)]
        process.wait_until(lambda: place.lines("ran") == ids, "the others")
        ids.append(add(place, 4))
        process.wait_until(lambda: place.lines("ran") == ids, "one more")
        # Taken away and nothing in its place: nothing to do, and nothing to fail for.
        path.unlink()
        ids.append(add(place, 5, -1))
        process.wait_until(lambda: place.lines("ran") == ids, "the next day's")
    assert "level=error" not in place.log_text()


def oldest_first(place):
    """After a crash the first of several hooks that ran at once runs again, whatever its id."""
    place.configure(concurrency=2)
    place.hook("any", "echo $FLUIDHOOK_DELIVERY >>$OUT/begun; [ -e $OUT/go ] || exec sleep 600; " + RUNS)
    ids = [f"01a20b4e-0000-7000-8000-00000000000{number}" for number in (9, 1)]
    place.append([journal_line("order.created", event_body(number), f"dri_{number}", delivery=one)
                  for number, one in enumerate(ids)])
    worker = place.start()
    process.wait_until(lambda: len(place.lines("begun")) == 2, "both hooks")
    process.wait_until(lambda: (place.state / "queue/position.json").exists(), "a position")
    hooks = process.children(worker.pid)
    assert len(hooks) == 2
    place.kill()
    for pid in hooks:
        process.signal_quietly(pid, 9)
    place.touch("go")
    place.once()
    assert sorted(place.lines("ran")) == sorted(ids)


# Its queue

def noted_but_waiting(place):
    """A delivery whose run was noted does not run again, though a crash kept it in the queue."""
    place.hook("any", "echo ran >>$OUT/ran; [ $FLUIDHOOK_ATTEMPT = 2 ]")
    one = add(place, 1)
    place.once()
    place.hurry()
    kept = place.item_path(one).read_bytes()
    place.once()
    assert len(place.lines("ran")) == 2
    place.item_path(one).write_bytes(kept)
    process.give(place.item_path(one))
    place.once()
    assert len(place.lines("ran")) == 2 and place.queue() == []


def waiting_and_dead(place):
    """What a crash left both waiting and dead is tried again, and is no dead letter after that."""
    place.configure(attempts=1)
    place.hook("any", "[ -e $OUT/go ]; result=$?; echo ran >>$OUT/ran; exit $result")
    one = add(place, 1)
    place.once()
    assert [item["delivery"] for item in place.dead()] == [one]
    shutil.copy(place.item_path(one, "dead"), place.item_path(one))
    process.give(place.item_path(one))
    place.touch("go")
    place.once()
    assert place.lines("ran") == ["ran"] * 2 and place.queue() == [] and place.dead() == []


def queue_not_writable(place):
    """What cannot be written to the queue is not lost: the position stays until it is there."""
    place.hook("any", "echo ran >>$OUT/ran; exit 1")
    # Where the file would be made is a directory.
    one = delivery_id()
    place.once()
    place.item_path(one).with_name(f".{one}.json.new").mkdir()
    place.append([journal_line("order.created", event_body(1), delivery=one)])
    other = delivery_id()
    place.append([journal_line("order.created", event_body(2), delivery=other)])
    log = place.once(status=1)
    assert "retry not noted" in log and "retry lost" in log, log
    assert not any(place.position().values()), place.places()
    assert place.lines("ran") == ["ran"], "a hook was started while a retry could not be noted"
    with place.worker():
        process.wait_until(lambda: len(place.lines("ran")) == 2, "the hook again")
        process.wait_until(lambda: place.log_text().count("retry not noted") == 2, "its failure")
        assert place.lines("ran") == ["ran"] * 2
        place.item_path(one).with_name(f".{one}.json.new").rmdir()
        process.wait_until(lambda: place.item_path(one).exists(), "the retry is noted")
        process.wait_until(lambda: place.item_path(other).exists(), "the other one's turn")
        process.wait_until(lambda: any(place.position().values()), "the position moves on")
    place.item_path(other).unlink()
    # The same for a dead letter, which becomes one by a rename.
    obstacle = place.item_path(one, "dead")
    obstacle.mkdir()
    place.configure(attempts=2)
    place.hurry()
    log = place.once()
    assert "dead letter not written" in log
    assert [(item["delivery"], item["attempts"]) for item in place.queue()] == [(one, 2)]
    obstacle.rmdir()
    place.hurry()
    place.once()
    assert place.queue() == [] and [item["delivery"] for item in place.dead()] == [one]


def damaged_items(place):
    """Damaged files in the queue are named, and hold up nothing else; prune removes nothing then."""
    place.hook("any", "exit 1")
    one, other = add(place, 1, 40), add(place, 2, 39)
    place.once()
    good = place.item_path(one).read_bytes()
    for damage in (b"", good[:-5], b"\0" * 50, good.replace(one.encode(), other.encode()), b"{}"):
        place.item_path(one).write_bytes(damage)
        listed = [json.loads(line) for line in place.run("queue", "--json", status=1).splitlines()]
        assert [item["delivery"] for item in listed] == [other] and f"{one}.json" in place.said, place.said
        assert place.run("prune", "--keep", "30d", status=1) == "" and "damaged" in place.said
        attempts = place.item(other)["attempts"]
        place.write(place.item_path(other), json.dumps({**place.item(other), "next": 0}))
        assert f"{one}.json" in place.once()
        assert place.item(other)["attempts"] == attempts + 1
    place.item_path(one).write_bytes(good)
    assert len(place.queue()) == 2


# What is remembered

def notes_of(place, days_ago=0):
    return place.state / "runs" / f"{day_text(NOW - days_ago * DAY)}.jsonl"


def notes(path):
    """What was noted: deliveries, results."""
    return [(run["delivery"], run["result"]) for run in map(json.loads, path.read_text().splitlines())]


def forget_position(place):
    """The position is lost. Returns what runs because of that."""
    before = len(place.lines("ran"))
    (place.state / "queue/position.json").unlink()
    place.once()
    return place.lines("ran")[before:]


def remembered_as_long_as_the_journal(place):
    """What was dealt with is remembered as long as its day of the journal is there, however old it is."""
    place.configure(attempts=1)
    place.hook("any", RUNS + "; [ $FLUIDHOOK_EVENT != order.deleted ]")
    ids = [add(place, number, days) for number, days in enumerate((400, 40, 9, 1, 0))]
    ids.append(add(place, 9, 30, event="order.deleted"))
    place.once()
    assert sorted(place.lines("ran")) == sorted(ids) and len(place.dead()) == 1
    assert notes(notes_of(place, 400)) == [(ids[0], "done")]
    assert notes(notes_of(place, 30)) == [(ids[-1], "given_up")]
    assert forget_position(place) == []
    # Not even what was given up, and is no dead letter any more.
    place.item_path(ids[-1], "dead").unlink()
    assert forget_position(place) == []
    # The notes of a day go with the day, but for the newest ones.
    for days in (400, 9, 0):
        place.journal_file(day_text(NOW - days * DAY)).unlink()
    place.once()
    left = sorted(path.name for path in (place.state / "runs").iterdir())
    assert left == [f"{day_text(NOW - days * DAY)}.jsonl" for days in (40, 30, 9, 1, 0)], left
    # A journal that has lost all its files is no reason to forget anything.
    for path in (place.state / "journal").iterdir():
        path.unlink()
    place.once()
    assert len(list((place.state / "runs").iterdir())) == 5


def damaged_notes(place):
    """Damaged notes cost what was noted in them, and no other note."""
    place.hook("any", RUNS)
    ids = [add(place, number) for number in range(4)]
    place.once()
    lines = notes_of(place).read_text().splitlines()
    assert [one for one, _ in notes(notes_of(place))] == ids
    notes_of(place).write_text(f"{'0' * 40}\n\n\0 \0\n{lines[0]}\n{lines[1].upper()}\nx {lines[2]}\n{lines[3][:20]}")
    assert forget_position(place) == ids[1:]
    # Behind the line that was not whole.
    assert forget_position(place) == []


def notes_of_the_version_before(place):
    """What ran under a version before 0.2 does not run again, and what waits does not wait for nothing."""
    place.hook("any", RUNS + "; [ -e $OUT/go ]")
    ids = [add(place, 1), add(place, 2, event="order.updated")]
    place.once()
    assert place.lines("ran") == ids
    # As it wrote them: a key that the envelope's identifier is part of, and nothing of the delivery.
    digests = [hashlib.sha256(b"".join(part + b"\0" for part in (
        b"installation", b"", b"event", b"order.created", b"id", str(number).encode()))).hexdigest()[:32]
        for number in (1, 3)]
    notes_of(place).unlink(missing_ok=True)
    place.item_path(ids[0]).unlink()
    place.write(place.state / "queue/ran" / day_text(NOW), f"{digests[0]}\n{digests[1]}\n")
    place.write(place.item_path(ids[1]), json.dumps({**place.item(ids[1]), "key": "0" * 32}))
    third, fourth = add(place, 3), add(place, 4)
    assert forget_position(place) == [fourth] and third not in place.lines("ran")
    place.touch("go")
    place.hurry()
    place.once()
    assert sorted(place.lines("ran")[3:]) == sorted([ids[1], fourth]) and place.queue() == []


def same_delivery(place):
    """Two deliveries are the same if droplet, installation (else company, else shop), event and body are."""
    place.hook("any", RUNS)
    body = event_body(1)
    spaced = body.replace(b"{", b"{ ", 1)

    def line(text=body, event="order.created", **more):
        one = delivery_id()
        values = json.loads(journal_line(event, text, delivery=one))
        place.append([json.dumps({**values, **more}).encode()])
        return one

    first = line(installation="dri_a", droplet="drp_a", fluid_shop="a")
    line(installation="dri_a", droplet="drp_a", fluid_shop="b", id=7, identifier="evt_7", signature="11" * 32)
    others = [line(installation="dri_a", droplet="drp_b"), line(installation="dri_b", droplet="drp_a"),
              line(installation="dri_a"), line(spaced, installation="dri_a", droplet="drp_a"),
              line(event="order.updated", installation="dri_a", droplet="drp_a"),
              line(fluid_shop="a"), line(fluid_shop="b"), line()]
    # The company counts for more than the shop.
    company = event_body(1, company_id=7)
    others.append(line(company, fluid_shop="a"))
    line(company, fluid_shop="b")
    place.once()
    # Of several installations, in any order.
    assert sorted(place.lines("ran")) == sorted([first, *others]), (place.lines("ran"), first, others)


def only_the_event_that_ran(place):
    """An install_failed that ran does not count as the droplet.installed that succeeds later."""
    place.hook("any", "echo $FLUIDHOOK_EVENT $FLUIDHOOK_DELIVERY >>$OUT/ran")
    place.hook("fluidhook", "echo $FLUIDHOOK_EVENT $FLUIDHOOK_DELIVERY >>$OUT/ran")
    company = place.company()
    body = company.install()
    path = place.record_path(company.dri)
    record = json.loads(path.read_text())
    failed = {**record, "status": "failed", "reason": "exchange refused"}

    def line(seconds):
        (one, text) = (delivery_id(), body)
        place.append([journal_line("droplet.installed", text, company.dri, received=NOW - seconds, delivery=one)])
        return one

    (place.state / "journal" / place.journal_file().name).write_bytes(b"")
    place.write(path, json.dumps(failed))
    first = line(60)
    line(50)
    place.once()
    assert place.lines("ran") == [f"fluidhook.install_failed {first}"], place.lines("ran")
    place.write(path, json.dumps(record))
    second = line(40)
    line(30)
    place.once()
    assert place.lines("ran")[1:] == [f"droplet.installed {second}"], place.lines("ran")


def install_of_the_future(place):
    """What was received while the clock was ahead does not wait until then; nor does what was put off then."""
    place.hook("any", "exit 1")
    place.hook("fluidhook", "echo $FLUIDHOOK_EVENT >>$OUT/ran")
    company = place.company()
    path = place.record_path(company.dri)
    failed = {**json.loads(path.read_text()), "status": "failed", "reason": "exchange refused"}
    (place.state / "journal" / place.journal_file().name).write_bytes(b"")
    place.write(path, json.dumps(failed))
    place.append([journal_line("droplet.installed", company.install(), company.dri, received=NOW + 5 * DAY)],
                 place.journal_file(day_text(NOW + 5 * DAY)))
    with place.worker():
        process.wait_until(lambda: place.lines("ran") == ["fluidhook.install_failed"], "its hook", 12)
    one = add(place, 1)
    place.once()
    place.write(place.item_path(one), json.dumps({**place.item(one), "next": int(NOW + 5 * DAY)}))
    (item,) = place.queue()
    assert item["next_at"] <= when_text(time.time() + 3601), item


def many_remembered(place):
    """A worker that remembers 100,000 runs starts at once."""
    place.hook("any", RUNS)
    place.once()
    path = notes_of(place, 1)
    path.write_text("".join(f"{delivery_id()} {secrets.randbits(128):032x} done\n" for _ in range(100000)))
    process.give(path)
    ids = [add(place, 1)]
    used = children_cpu()
    place.once()
    used = children_cpu() - used
    assert place.lines("ran") == ids
    tap.note(f"{used:.2f} s of a processor")


def many_lines(place):
    """100,000 lines without matching hooks are passed over, each as quickly as the first."""
    place.hook("product.updated", RUNS)
    place.once()
    used = []
    for count in (10000, 100000):
        place.append([journal_line("order.created", event_body(number), received=NOW)
                      for number in range(count)])
        (last,), ids = lines_of([count], NOW, "product.updated")
        place.append([last])
        before = children_cpu()
        place.once()
        used.append(children_cpu() - before)
        assert place.lines("ran")[-1:] == ids
    tap.note(f"{used[0]:.2f} s of a processor for 10,000, {used[1]:.2f} s for 100,000")
    assert used[1] < 40 * used[0], "each line costs more than the one before"


# Pruning

def prune_keeps(place):
    """prune keeps the days of all that is not delivered, and later ones; then they go."""
    place.hook("order.created", "echo $FLUIDHOOK_DELIVERY >>$OUT/ran; [ -e $OUT/go ]")
    names = [place.journal_file(day_text(NOW - days * DAY)).name for days in (50, 49, 48, 47, 46)]

    def left():
        return sorted(path.name for path in (place.state / "journal").iterdir())

    # Nobody has looked at any.
    place.once()
    assert place.position() == {}
    for number, days in enumerate((50, 49, 48, 47, 46)):
        add(place, number, days, event="order.updated")
    one = add(place, 9, 48)
    assert place.run("prune", "--keep", "30d") == "" and left() == names
    # One that waits.
    place.once()
    assert place.run("prune", "--keep", "30d", "--dry-run").split() == names[:2] and left() == names
    assert place.run("prune", "--keep", "30d").split() == names[:2] and left() == names[2:]
    assert "Kept from" in place.said
    # One that was given up.
    place.configure(attempts=2)
    place.hurry()
    place.once()
    assert [item["delivery"] for item in place.dead()] == [one] and place.queue() == []
    assert place.run("prune", "--keep", "30d") == "" and left() == names[2:]
    # Taken back, delivered: nothing is kept for it. The last ones have not been read to their ends.
    place.touch("go")
    place.run("retry", "--all")
    assert place.run("prune", "--keep", "30d") == ""
    place.once()
    two = add(place, 10, 46)
    assert place.run("prune", "--keep", "30d").split() == names[2:4] and left() == names[4:]
    place.once()
    assert place.lines("ran")[-2:] == [one, two]
    assert place.run("prune", "--keep", "30d").split() == names[4:] and left() == []


def prune_without_a_worker(place):
    """Where no worker ever ran, prune keeps what a hook could still get, and removes it if there are no hooks."""
    add(place, 1, 40)
    path = place.journal_file(day_text(NOW - 40 * DAY))
    place.hook("order.created", RUNS)
    assert place.run("prune", "--keep", "30d") == "" and "Kept from" in place.said and path.exists()
    (place.hooks / "order.created").unlink()
    place.hooks.rename(place.dir / "away")
    assert place.run("prune", "--keep", "30d") == "" and path.exists()
    (place.dir / "away").rename(place.hooks)
    assert place.run("prune", "--keep", "30d").split() == [path.name] and not path.exists()


def prune_keeps_new_files(place):
    """prune keeps what was restored, replaced or cannot be read, though a worker has read later days."""
    place.hook("any", RUNS)
    add(place, 1, 1)
    place.once()
    one = add(place, 2, 45)
    path = place.journal_file(day_text(NOW - 45 * DAY))
    assert place.run("prune", "--keep", "30d") == "" and path.exists()
    place.once()
    assert place.lines("ran")[1:] == [one]
    content = path.read_bytes()
    (line,), _ = lines_of([3], NOW - 45 * DAY)
    place.write(path, line.decode() + "\n")
    assert place.run("prune", "--keep", "30d") == "" and path.exists()
    path.unlink()
    path.symlink_to(place.dir / "nowhere")
    assert place.run("prune", "--keep", "30d") == "" and path.is_symlink() and "symbolic link" in place.said
    path.unlink()
    place.write(path, content.decode())
    assert place.run("prune", "--keep", "30d").split() == [path.name]


def hanging_is_not_unread(place):
    """What was read and is under way is not unread, as long as the worker runs; a killed one has read nothing."""
    place.configure(concurrency=4)
    place.hook("any", "[ $FLUIDHOOK_INSTALLATION != dri_a ] || while ! [ -e $OUT/go ]; do sleep 0.01; done; " + RUNS)
    place.append([journal_line("order.created", event_body(number), f"dri_{'aaabcd'[number]}") for number in range(6)])
    position = place.state / "queue/position.json"

    def said():
        return [item for item in place.values("queue") if "unread" in item]

    place.start()
    try:
        process.wait_until(lambda: len(place.lines("ran")) == 3, "those of the others")
        process.wait_until(lambda: [item["under_way"] for item in said()] == [3], "the position")
        assert [item["unread"] for item in said()] == [0], said()
        assert "3 deliveries are under way" in place.said and "unread since" not in place.said, place.said
        # Whoever removes old days keeps these.
        assert place.run("prune", "--keep", "0d", "--dry-run") == ""
    finally:
        process.stop(place.proc, number=signal.SIGKILL)
    assert [(item["unread"], item["under_way"]) for item in said()] == [(6, 0)], position.read_text()
    place.touch("go")
    place.once()
    assert len(place.lines("ran")) == 6 and said() == []


def queue_counts_unread(place):
    """queue says what no worker has read, and which journal files cannot be read."""
    place.hook("any", RUNS)
    assert place.queue() == [] and "unread" not in place.said
    place.run("queue")
    assert "Nothing waits" in place.said
    for number in range(5):
        add(place, number, number % 2)
    (said,) = [json.loads(line) for line in place.run("queue", "--json").splitlines()]
    first = place.journal_file(day_text(NOW - DAY))
    oldest = min(json.loads(line)["received_at"] for line in first.read_text().splitlines())
    assert said == {"unread": 5, "oldest_unread_at": oldest[:19] + "Z", "under_way": 0, "worker_runs": False}, (said, oldest)
    place.run("queue")
    assert f"5 deliveries are unread since {oldest[:19]}Z" in place.said and first.name in place.said, place.said
    assert "no worker runs" in place.said
    assert "Nothing waits" not in place.said
    place.once()
    place.run("queue")
    assert "unread" not in place.said and "Nothing waits" in place.said
    add(place, 9)
    assert place.queue() == [] and "1 delivery is unread" in place.said
    first.rename(place.dir / "away")
    first.mkdir()
    place.run("queue", status=1)
    assert f"{first.name}: is no regular file" in place.said and "1 delivery is unread" in place.said
    assert f"{first.name}: is no regular file" in place.run("check", status=1), place.said
    first.rmdir()
    place.write(place.state / "queue/position.json", "{")
    place.run("queue", status=1)
    assert "position.json is damaged" in place.said


def clock_went_back(place):
    """deliveries and delivery find what was received while the clock was wrong."""
    ids = []
    for hours in (3, 1, 30, 2):
        received = NOW - hours * 3600
        (line,), (one,) = lines_of([hours], received)
        place.append([line], place.journal_file(day_text(received)))
        ids.append(one)
    early = add(place, 7, 3)
    listed = [entry["delivery"] for entry in place.values("deliveries", "--since", "4h")]
    assert sorted(listed) == sorted((ids[0], ids[1], ids[3])), (listed, ids)
    # Restored under the name of another day.
    place.journal_file(day_text(NOW - 3 * DAY)).rename(place.journal_file(day_text(NOW - 20 * DAY)))
    assert json.loads(place.run("delivery", early, "--json"))["delivery"] == early
    place.run("delivery", delivery_id(), status=1)
    assert "no such delivery" in place.said


def prune_waits_for_credentials(place):
    """The day of an install that waits for its credentials stays."""
    place.hook("any", RUNS)
    received = NOW - 40 * DAY
    for days_ago in (42, 40, 39):
        add(place, days_ago, days_ago)
    company = place.company()
    place.once()
    # As it would be with an exchange token: an install that is pending, of the record's own time.
    record = json.loads(place.record_path(company.dri).read_text())
    installed = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(received))
    record.update(status="pending", installed_at=installed)
    place.write(place.record_path(company.dri), json.dumps(record))
    marker = place.state / "queue/pending" / company.dri
    marker.touch()
    process.give(marker)
    gone = place.run("prune", "--keep", "30d").split()
    assert gone == [place.journal_file(day_text(NOW - 42 * DAY)).name] and "Kept from" in place.said, gone
    marker.unlink()
    assert len(place.run("prune", "--keep", "30d").split()) == 2



TESTS = (all_files, new_files, files_of_the_future, unfinished_line, bad_lines, unreadable_file, unreadable_for_a_while,
         locked_file, line_taken_back, position_lost, position_damaged, position_of_the_version_before,
         position_beyond, other_lines, skipped_days, moved_line, file_replaced, oldest_first, noted_but_waiting, waiting_and_dead, queue_not_writable, damaged_items,
         remembered_as_long_as_the_journal, damaged_notes, notes_of_the_version_before,
         same_delivery, only_the_event_that_ran, install_of_the_future, many_remembered, many_lines, prune_keeps, prune_without_a_worker, prune_keeps_new_files, queue_counts_unread, hanging_is_not_unread,
         clock_went_back, prune_waits_for_credentials)

if __name__ == "__main__":
    tap.run([tap.Test(function.__doc__.rstrip(".").replace("#", ""), with_place(function))
             for function in TESTS])
