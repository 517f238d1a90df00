#!/usr/bin/env python3
"""retry: what it takes back, whoever reads its output and however many run at once."""

import os
import subprocess

from harness import process, tap
from harness.hooks import delivery_id, event_body, journal_line, with_place

# More lines than a pipe's buffer of standard output holds.
MANY = 150


def bury(place, *ids):
    """Let these deliveries become dead letters."""
    place.hook("any", "exit 100")
    place.append([journal_line("order.created", event_body(number), delivery=one)
                  for number, one in enumerate(ids)])
    place.once()
    assert [item["delivery"] for item in place.dead()] == sorted(ids), place.said


def start(place, *words, **more):
    return subprocess.Popen([place.program, "-c", place.conf, *words], env=process.environment(), cwd="/",
                            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            **process.identity(), **more)


def reader_ends(place):
    """Where the reader of its output ends, everything is retried all the same, and the status is 1."""
    ids = [delivery_id() for _ in range(MANY)]
    bury(place, *ids)
    ours, theirs = os.pipe()
    os.close(ours)
    with start(place, "retry", "--all", stdout=theirs) as proc:
        os.close(theirs)
        said = proc.communicate(timeout=600)[1]
    assert proc.returncode == 1, (proc.returncode, said)
    assert said == ("fluidhook: standard output cannot be written: Broken pipe; what was printed is not complete\n"
                    ), said
    assert place.dead() == [] and len(place.queue()) == MANY
    # prune is of the same kind: each file that it names is removed, and those behind it too.
    for number in range(MANY * 3):
        place.append([], place.state / f"journal/2020-01-01.{number + 1}.jsonl", end=b"")
    place.hook("any", "exit 0")
    place.hurry()
    place.once()
    ours, theirs = os.pipe()
    os.close(ours)
    with start(place, "prune", "--keep", "30d", stdout=theirs) as proc:
        os.close(theirs)
        proc.communicate(timeout=600)
    assert proc.returncode == 1 and len(list((place.state / "journal").iterdir())) == 1


def six_at_once(place):
    """Six at once: each dead letter is taken back by one of them, and its hook runs once."""
    ids = [delivery_id() for _ in range(MANY)]
    bury(place, *ids)
    procs = [start(place, "retry", "--all", stdout=subprocess.PIPE) for _ in range(6)]
    printed = []
    for proc in procs:
        out, said = proc.communicate(timeout=600)
        assert (proc.returncode, said) == (0, ""), (proc.returncode, said)
        printed += out.split()
    assert sorted(printed) == sorted(ids)
    assert place.dead() == [] and [item["attempts"] for item in place.queue()] == [0] * MANY
    assert [path for path in (place.state / "queue").rglob(".*")] == []
    place.hook("any", "echo $FLUIDHOOK_DELIVERY >>$OUT/ran")
    place.hurry()
    place.once()
    assert sorted(place.lines("ran")) == sorted(ids)


def short_names(place):
    """The beginning of a UUID is enough where it is one dead letter's alone; several can be named."""
    one, two, three = ids = [f"01a20b4e-{n}000-7000-8000-000000000000" for n in "0ab"]
    bury(place, *ids)
    place.run("retry", "01A20B4E", status=1)
    assert place.said.splitlines() == [
        "fluidhook: 01A20B4E: several deliveries begin like this; give more of the UUID:",
        *(f"  {one}" for one in ids)], place.said
    for word in ("01a20b4e-c", "x", "", one + "0"):
        place.run("retry", two, word, status=1)
        assert place.said == (f"fluidhook: {word}: not among the dead letters; \"fluidhook queue --dead\" "
                              "lists them\n"), place.said
    assert len(place.dead()) == 3, "with a word that names none, nothing is retried"
    assert place.run("retry", "01A20B4e-B").split() == [three]
    assert place.run("retry", "01a20b4e-a", "01a20b4e-0", two).split() == [one, two]
    assert place.dead() == []


tap.run([tap.Test(function.__doc__.split(".\n")[0].rstrip("."), with_place(function, concurrency=8))
         for function in (reader_ends, six_at_once, short_names)])
