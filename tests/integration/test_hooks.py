#!/usr/bin/env python3
"""Hooks (contract, section 6): which one runs, what it gets, and what becomes of those that fail."""
import fcntl
import json
import os
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
from harness.fluid import Company, encode, padded  # noqa: E402
from harness.hooks import SANITIZED, delivery_id, event_body, journal_line, with_place  # noqa: E402

MAX_BODY = 1 << 20


def one_line(text, *words):
    """The only line of a log that has all these words."""
    found = [line for line in text.splitlines() if all(word in line for word in words)]
    assert len(found) == 1, f"{len(found)} lines with {words}:\n" + text[-3000:]
    return found[0]


def pipes_of(pid):
    """What a process has open of pipes and of files in memory."""
    names = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            names.append(os.readlink(path))
        except FileNotFoundError:
            continue
    assert names
    return [name for name in names if "pipe:" in name or "memfd" in name]


# Which hook

def most_specific(place):
    """The hook of an event goes before its resource's, and that before any."""
    for name in ("order.created", "order", "any"):
        place.hook(name, f'echo "{name} $FLUIDHOOK_EVENT" >>$OUT/ran; cat >/dev/null')
    for number, event in enumerate(("order.created", "order.updated", "product.updated", "order.created")):
        place.deliver(event_body(number, event))
    place.company()
    place.once()
    assert place.lines("ran") == [
        "order.created order.created", "order order.updated", "any product.updated",
        "order.created order.created", "any droplet.installed"], place.left("ran")


def none_matches(place):
    """Without a hook for it a delivery is passed over; a directory of such a name is no hook."""
    place.hook("order.updated", "echo $FLUIDHOOK_EVENT >>$OUT/ran")
    (place.hooks / "order.created").mkdir()
    place.deliver(event_body(1))
    place.deliver(event_body(2, "product.updated"))
    place.once()
    assert place.left("ran") == "" and place.queue() == [], place.left("ran")
    place.hook("order", "echo order $FLUIDHOOK_EVENT >>$OUT/ran")
    place.deliver(event_body(3))
    place.once()
    assert place.lines("ran") == ["order order.created"]


# What it gets

def exact_body(place):
    """Standard input is the body, byte for byte, also of 1 MiB."""
    place.hook("any", 'cat >$OUT/$FLUIDHOOK_DELIVERY')
    envelope = event_body(7)
    bodies = [
        b' \t{"name" : "order_created",\r\n "id":1,"payload":{"order":{"id":1}}}\n\n',
        '{"name":"order_created","id":2,"note":"ü € \U0001f600 \\u0000 \\ud83d\\ude00 \\/ \\n"}'.encode(),
        b'{"name":"order_created","id":1e2,"big":123456789012345678901234567890,"x":-0.10}',
        padded(envelope, MAX_BODY),
        padded(event_body(8), MAX_BODY - 1),
    ]
    ids = [place.deliver(body) for body in bodies]
    place.once()
    for number, body in zip(ids, bodies):
        got = (place.out / number).read_bytes()
        assert got == body, (len(got), len(body), got[:100], body[:100])


def slow_reader(place):
    """A body of 1 MiB reaches a hook that reads it slowly, whole."""
    place.hook("any", "#!/usr/bin/env python3\nimport os, time\n"
               "got = 0\n"
               "while (data := os.read(0, 32768)):\n"
               "    got += len(data)\n"
               "    time.sleep(0.01)\n"
               f"open('{place.out}/got', 'w').write(f'{{got}}\\n')\n")
    place.deliver(padded(event_body(1), MAX_BODY))
    log = place.once()
    assert place.lines("got") == [str(MAX_BODY)]
    one_line(log, "hook done")


def no_reader(place):
    """A hook that does not read its input does no harm, whether it ends at once or not."""
    place.hook("order", "exec <&-; echo order >>$OUT/ran")
    place.hook("product", "while ! [ -e $OUT/go ]; do sleep 0.01; done; echo product >>$OUT/ran")
    place.hook("cart", "exit 0")
    for number, event in enumerate(("cart.updated", "order.created", "product.updated", "order.updated")):
        place.deliver(padded(event_body(number, event), MAX_BODY))
    with place.worker() as worker:
        process.wait_until(lambda: place.lines("ran") == ["order"], "the first order's hook")
        assert worker.poll() is None
        place.touch("go")
        process.wait_until(lambda: len(place.lines("ran")) == 3, "the others' hooks")
    assert place.lines("ran") == ["order", "product", "order"]
    assert place.queue() == []


def closed_environment(place):
    """The environment is exactly what the contract lists, and argv is the program alone."""
    place.hook("any", "cat /proc/$$/environ >$OUT/env; cat /proc/$$/cmdline >$OUT/args; "
                      "pwd >$OUT/cwd; umask >$OUT/umask; exit $((FLUIDHOOK_ATTEMPT < 2))")
    company = place.company()
    place.once()
    delivery = company.install_delivery

    def environment():
        pairs = place.left("env").rstrip("\0").split("\0")
        assert len(pairs) == len(set(pair.split("=", 1)[0] for pair in pairs)), pairs
        return dict(pair.split("=", 1) for pair in pairs)

    env = environment()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z", env["FLUIDHOOK_RECEIVED_AT"]), env
    (entry,) = place.entries(delivery)
    home = process.USER.pw_dir if process.USER else os.path.expanduser(f"~{os.environ.get('USER', '')}")
    want = {
        "PATH": process.environment()["PATH"], "HOME": env["HOME"], "LANG": "C.UTF-8",
        "FLUIDHOOK_EVENT": "droplet.installed", "FLUIDHOOK_DELIVERY": delivery,
        "FLUIDHOOK_INSTALLATION": company.dri, "FLUIDHOOK_SHOP": entry["fluid_shop"],
        "FLUIDHOOK_RECEIVED_AT": entry["received_at"], "FLUIDHOOK_ATTEMPT": "1",
        "FLUIDHOOK_REPLAY": "", "FLUIDHOOK_CONF": str(place.conf)}
    assert env == want, (env, want)
    if process.USER:
        assert env["HOME"] == home, (env["HOME"], home)
    assert place.left("args").rstrip("\0").split("\0") == ["/bin/sh", str(place.hooks / "any")]
    assert (place.left("cwd"), place.left("umask")) == ("/\n", "0077\n")
    place.hurry()
    place.once()
    assert environment() == {**want, "FLUIDHOOK_ATTEMPT": "2"}
    place.deliver(event_body(5))
    place.once()
    env = environment()
    assert (env["FLUIDHOOK_INSTALLATION"], env["FLUIDHOOK_SHOP"]) == ("", ""), env
    assert env.keys() == want.keys()


def bounded_environment(place):
    """A journal line with a shop and a name of 300 kB makes no variable larger than 1 KiB."""
    place.hook("any", "cat /proc/$$/environ >$OUT/env")
    place.append([journal_line("order.created", event_body(1), installation="dri_" + "x" * 300000,
                               shop="y" * 300000)])
    place.once()
    pairs = place.left("env").rstrip("\0").split("\0")
    assert len(pairs) == 11 and max(len(pair) for pair in pairs) < 1024, [len(pair) for pair in pairs]
    assert "FLUIDHOOK_SHOP=" in pairs and "FLUIDHOOK_INSTALLATION=" in pairs and place.queue() == []
    # A configuration whose path would not fit is refused before anything runs.
    deep = place.dir
    while len(str(deep)) < 1024:
        deep /= "d" * 200
        deep.mkdir()
        process.give(deep)
    place.write(deep / "fluidhook.conf", place.conf.read_text())
    place.run("-c", deep / "fluidhook.conf", "work", "--once", status=1)
    assert "longer than" in place.said, place.said


def own_process(place):
    """Only descriptors 0, 1 and 2, a process group of its own, no signal blocked or ignored."""
    place.hook("any", "#!/usr/bin/env python3\nimport os, signal, stat\n"
               "fds = []\n"
               "for fd in range(4096):\n"
               "    try:\n"
               "        fds.append((fd, stat.S_IFMT(os.fstat(fd).st_mode)))\n"
               "    except OSError:\n"
               "        pass\n"
               f"open('{place.out}/fds', 'w').write(repr([fd for fd, kind in fds]))\n"
               f"open('{place.out}/ids', 'w').write(repr((os.getpgrp() == os.getpid(), "
               "len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))))\n")
    place.hook("order", "grep '^SigIgn' /proc/$$/status >$OUT/signals")

    def prepare():
        # What a careless parent leaves open and ignored.
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (5, 9, 10, 11, 12, 13, 300):
            os.dup2(null, fd, inheritable=True)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    with place.worker(prepare=prepare, close_fds=False):
        place.deliver(event_body(1, "product.updated"))
        place.deliver(event_body(2))
        process.wait_until(lambda: place.left("signals").endswith("\n"), "the hooks")
        process.wait_until(lambda: place.log_text().count("hook done") == 2, "both have ended")
    assert place.left("fds") == "[0, 1, 2]", place.left("fds")
    assert place.left("ids") == "(True, 0)", place.left("ids")
    # 32 and 33 are the C library's own, and cannot be set back.
    assert int(place.left("signals").split()[1], 16) & ~(3 << 31) == 0, place.left("signals")


# How it ends

def killed_whole(place):
    """A hook that hangs is killed after hook_timeout, with all that it has started."""
    place.hook("any", "trap '' TERM INT HUP; sleep 1000 & echo $! >>$OUT/pids; echo $$ >>$OUT/pids; "
                      "wait; sleep 1000")
    place.hook("product", "echo product >>$OUT/ran")
    delivery = place.deliver(event_body(1))
    place.deliver(event_body(2, "product.updated"))
    begun = time.monotonic()
    log = place.once()
    assert time.monotonic() - begun > 0.9
    pids = [int(pid) for pid in place.lines("pids")]
    assert len(pids) == 2
    process.wait_until(lambda: all(process.is_gone(pid) for pid in pids), "all of the group is gone")
    assert "why=timeout" in one_line(log, "hook failed", delivery)
    assert [(item["attempts"], item["why"]) for item in place.queue()] == [(1, "timeout")]
    assert place.lines("ran") == ["product"]


def leaves_a_daemon(place):
    """A hook that leaves a daemon behind, which holds its pipes, is done when it ends itself."""
    place.hook("any", "setsid sleep 600 & echo $! >$OUT/pid; echo said")
    place.hook("order", "sleep 600 & echo $! >$OUT/pid2; exit 3")
    place.hook("product", "echo product >>$OUT/ran")
    place.deliver(event_body(1, "cart.updated"))
    order = place.deliver(event_body(2))
    place.deliver(event_body(3, "product.updated"))
    try:
        with place.worker() as worker:
            process.wait_until(lambda: place.lines("ran") == ["product"], "the hook after them")
            process.wait_until(lambda: not pipes_of(worker.pid), "no end of their pipes stays open here")
            assert worker.poll() is None
        assert not process.is_gone(int(place.left("pid")))
    finally:
        for name in ("pid", "pid2"):
            if place.left(name):
                process.signal_quietly(int(place.left(name)), signal.SIGKILL)
    assert "line=said" in one_line(place.log_text(), "hook output")
    assert [(item["delivery"], item["why"]) for item in place.queue()] == [(order, "exit 3")]


def prints_too_much(place):
    """A hook that prints 100 MB ends like any other; the log and the worker stay small."""
    place.hook("any", "head -c 50000000 /dev/zero | tr '\\0' x; yes 'a line that is not very long' | "
                      "head -c 50000000 >&2; echo end >>$OUT/ran")
    with place.worker() as worker:
        place.deliver(event_body(1))
        process.wait_until(lambda: place.lines("ran") == ["end"], "the hook's end")
        status = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii")
        peak = int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))
        assert SANITIZED or peak < 12 * 1024, f"{peak} kB at most"
    log = place.log_text()
    assert log.count("hook output") == 200, log.count("hook output")
    one_line(log, "prints too much")
    assert (place.logs / "worker.log").stat().st_size < 200 * 500
    one_line(log, "hook done")
    tap.note(f"the worker had {peak} kB at most")


def output_to_log(place):
    """What a hook prints is in the log, line by line, with untrusted bytes escaped."""
    place.hook("any", "#!/usr/bin/env python3\nimport os\n"
               "os.write(1, b'plain\\n')\n"
               "os.write(2, b'to stderr level=error msg=\"forged\\\"\\n\\n')\n"
               "os.write(1, b'\\x1b[31mred\\x00\\xff \\xc3\\xbc\\r\\n')\n"
               "os.write(1, b'y' * 500 + b'\\n' + b'a line that has no')\n"
               "os.write(1, b' end')\n")
    delivery = place.deliver(event_body(1))
    log = place.once()
    lines = [line for line in log.splitlines() if "hook output" in line]
    assert all(f"delivery={delivery}" in line and "hook=any" in line for line in lines)
    said = [re.search(r" line=(.*)$", line).group(1) for line in lines]
    assert said == ["plain", '"to stderr level=error msg=\\"forged\\""', '""',
                    '"\\x1b[31mred?\\xff \\xc3\\xbc\\x0d"', "y" * 240, "y" * 240, "y" * 20,
                    '"a line that has no end"'], said


def cannot_be_executed(place):
    """A hook that cannot be executed failed, and why is its errno."""
    place.hook("order", "#!/no/such/interpreter\nexit 0\n")
    place.hook("product", "exit 0", mode=0o644)
    (place.hooks / "cart").symlink_to(place.dir / "nothing-there")
    (place.hooks / "rep").write_bytes(b"no program at all\n")
    (place.hooks / "rep").chmod(0o755)
    (place.hooks / "mfa").symlink_to("mfa")
    place.hook("any", "echo $FLUIDHOOK_EVENT >>$OUT/ran")
    events = ["order.created", "product.updated", "cart.updated", "rep.created", "mfa.verified",
              "user.created"]
    ids = {place.deliver(event_body(number, event)): event for number, event in enumerate(events)}
    place.once()
    why = {ids[item["delivery"]]: item["why"] for item in place.queue()}
    assert why == {
        "order.created": "cannot be executed: No such file or directory",
        "product.updated": "cannot be executed: Permission denied",
        "cart.updated": "cannot be executed: No such file or directory",
        "rep.created": "cannot be executed: Exec format error",
        "mfa.verified": "cannot be executed: Too many levels of symbolic links",
    }, why
    assert place.lines("ran") == ["user.created"]
    # Mended, they run.
    for name in ("order", "product", "cart", "rep", "mfa"):
        (place.hooks / name).unlink()
    place.hurry()
    place.once()
    assert sorted(place.lines("ran")) == sorted(events) and place.queue() == []


def replaced_while_it_runs(place):
    """A hook that is replaced while it runs ends as what it was; the next run is the new one's."""
    place.hook("any", "touch $OUT/begun; while ! [ -e $OUT/go ]; do sleep 0.01; done; echo old >>$OUT/ran")
    with place.worker():
        place.deliver(event_body(1))
        place.deliver(event_body(2))
        process.wait_until(lambda: (place.out / "begun").exists(), "the hook's beginning")
        place.hook("any", "echo new >>$OUT/ran")
        place.touch("go")
        process.wait_until(lambda: len(place.lines("ran")) == 2, "both runs")
    assert place.lines("ran") == ["old", "new"] and place.queue() == []


def taken_away(place):
    """What is to be retried and has no hook any more stays, the log says so once, and a new hook gets it."""
    place.hook("any", "exit 1")
    delivery = place.deliver(event_body(1))
    given_up = place.deliver(event_body(2))
    place.once()
    place.write(place.item_path(given_up), json.dumps({**place.item(given_up), "attempts": 11, "next": 0}))
    place.once()
    assert [item["delivery"] for item in place.dead()] == [given_up]
    (place.hooks / "any").unlink()
    place.hurry()
    place.run("retry", given_up)
    log = place.once()
    assert log.count("there is no hook any more") == 2, log
    one_line(log, "level=warn", "no hook any more", delivery)
    place.hurry()
    assert "no hook any more" not in place.once()
    assert [(item["delivery"], item["attempts"], item["why"]) for item in place.queue()] == [
        (delivery, 1, "there is no hook any more"), (given_up, 0, "there is no hook any more")], place.queue()
    place.hook("any", "echo $FLUIDHOOK_DELIVERY $FLUIDHOOK_ATTEMPT >>$OUT/ran")
    place.hurry()
    place.once()
    assert place.lines("ran") == [f"{delivery} 2", f"{given_up} 1"], place.left("ran")
    assert place.queue() == [] and place.dead() == []


def directory_unavailable(place):
    """While the hooks directory cannot be seen, all deliveries wait and nothing counts; then each runs."""
    place.hook("any", "echo $FLUIDHOOK_DELIVERY $FLUIDHOOK_ATTEMPT >>$OUT/ran; [ $FLUIDHOOK_ATTEMPT = 2 ]")
    first = place.deliver(event_body(0))
    place.once()
    assert place.lines("ran") == [f"{first} 1"]
    away = place.dir / "away"
    position = place.position()

    def remove():
        place.hooks.rename(away)

    def restore():
        away.rename(place.hooks)

    def replace():
        remove()
        place.hooks.touch()

    def put_back():
        place.hooks.unlink()
        restore()

    ids = []
    for number, (take, give) in enumerate((
            (remove, restore), (replace, put_back),
            (lambda: place.hooks.chmod(0o600), lambda: place.hooks.chmod(0o755)),
            (lambda: place.hooks.chmod(0o300), lambda: place.hooks.chmod(0o755))), 1):
        take()
        ids.append(place.deliver(event_body(number)))
        place.hurry()
        log = place.once(status=1)
        one_line(log, "level=error", "hooks directory is unavailable", str(place.hooks))
        assert place.position() == position and place.lines("ran") == [f"{first} 1"], log
        assert [(item["delivery"], item["attempts"]) for item in place.queue()] == [(first, 1)]
        assert f"{place.hooks} is unavailable" in place.said, place.said
        said = place.run("check", status=1)
        assert re.search(r"hooks +" + re.escape(str(place.hooks)) + ": .*", said), said
        give()
    # A worker that runs takes up its work when the directory is back, and logs either only once.
    remove()
    with place.worker():
        ids.append(place.deliver(event_body(9)))
        process.wait_until(lambda: "hooks directory is unavailable" in place.log_text(), "it notices")
        assert place.lines("ran") == [f"{first} 1"]
        restore()
        process.wait_until(lambda: len(place.lines("ran")) == 7, "the hooks")
        process.wait_until(lambda: not place.item_path(first).exists(), "the retry is done")
    log = (place.logs / "worker.log").read_text()
    assert log.count("is unavailable") == 1 and log.count("available again") == 1, log
    assert sorted(place.lines("ran")[1:]) == sorted([f"{first} 2", *(f"{one} 1" for one in ids)]), place.left("ran")
    assert sorted(item["delivery"] for item in place.queue()) == sorted(ids)
    place.hurry()
    assert "unavailable" not in place.once()
    assert place.queue() == []


def no_default_directory(place):
    """If no hooks directory is configured and the default one does not exist, there are no hooks."""
    text = place.conf.read_text()
    assert "hooks = hooks\n" in text
    place.write(place.conf, text.replace("hooks = hooks\n", ""))
    place.deliver(event_body(1))
    log = place.once()
    if "there are no hooks" not in log:
        raise tap.Skip("the default hooks directory exists on this machine")
    assert place.queue() == [] and place.position()[place.journal_file().name] == \
        place.journal_file().stat().st_size
    assert re.search(r"hooks +none", place.run("check", status=None))


def limit(pid, what, number):
    """Set a limit of a process of the worker's user, as that user: root's powers can be cut."""
    subprocess.run(["prlimit", "--pid", str(pid), f"--{what}={number}:"], check=True, timeout=10,
                   **process.identity())


def cannot_be_started(place):
    """Where the worker gets no process or no descriptor, its hooks wait and nothing counts as an attempt."""
    if not shutil.which("prlimit"):
        raise tap.Skip("prlimit is not installed")
    place.hook("any", "echo $FLUIDHOOK_DELIVERY $FLUIDHOOK_ATTEMPT >>$OUT/ran; [ -e $OUT/mended ]")
    waits = place.deliver(event_body(0))
    place.once()
    place.touch("mended")
    ids = [place.deliver(event_body(number)) for number in (1, 2)]
    place.hurry()
    position = place.position()

    def no_process():
        resource.setrlimit(resource.RLIMIT_NPROC, (0, resource.getrlimit(resource.RLIMIT_NPROC)[1]))

    log = place.once(status=1, preexec_fn=no_process)
    one_line(log, "level=error", "hook cannot be started now", "Resource temporarily unavailable")
    assert place.lines("ran") == [f"{waits} 1"] and place.position() == position
    assert [(item["delivery"], item["attempts"]) for item in place.queue()] == [(waits, 1)]
    expected = {f"{waits} 1", f"{waits} 2", *(f"{one} 1" for one in ids)}
    most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    many = "unlimited" if most == resource.RLIM_INFINITY else most
    for what, number, enough in (("nproc", 0, many), ("nofile", None, 1000)):
        log = place.logs / f"{what}.log"
        with place.worker(log=log.name) as worker:
            process.wait_until(lambda: set(place.lines("ran")) == expected, "all that is due")
            process.wait_until(lambda: log.read_text().count("hook done") == (3 if number == 0 else 0), "they end")
            most = max(int(fd.name) for fd in Path(f"/proc/{worker.pid}/fd").iterdir())
            limit(worker.pid, what, most + 1 if number is None else number)
            ids = [place.deliver(event_body(n)) for n in (f"{what}1", f"{what}2")]
            process.wait_until(lambda: "cannot be started now" in log.read_text() or
                               "journal cannot be read" in log.read_text(), "it fails")
            assert set(place.lines("ran")) == expected and place.queue() == []
            limit(worker.pid, what, enough)
            expected |= {f"{one} 1" for one in ids}
            process.wait_until(lambda: set(place.lines("ran")) == expected, "they run")
    assert len(place.lines("ran")) == len(expected) and place.queue() == []


# Again, and given up

def backoff(place):
    """A hook that fails three times is tried again after 10, 20 and 40 seconds, more or less."""
    place.hook("any", "echo $FLUIDHOOK_ATTEMPT >>$OUT/ran; [ $FLUIDHOOK_ATTEMPT = 4 ] || exit 9")
    delivery = place.deliver(event_body(1))
    for attempt in (1, 2, 3):
        before = int(time.time())
        place.once()
        item = place.item(delivery)
        delay = 10 << (attempt - 1)
        assert item["attempts"] == attempt and item["why"] == "exit 9", item
        assert 0.8 * delay <= item["next"] - before <= 1.2 * delay + 10, (delay, item["next"] - before)
        place.once()
        assert len(place.lines("ran")) == attempt, "tried before its time"
        place.hurry()
    log = place.once()
    one_line(log, "hook done", delivery, "attempt=4")
    assert place.lines("ran") == ["1", "2", "3", "4"]
    assert place.queue() == [] and place.dead() == []
    place.once()
    assert len(place.lines("ran")) == 4


def longest_backoff(place):
    """The time between attempts grows to an hour and no more, and is not the same for all."""
    place.hook("any", "exit 1")
    ids = [place.deliver(event_body(number)) for number in range(12)]
    place.once()
    for delivery in ids:
        item = {**place.item(delivery), "attempts": 10, "next": 0}
        place.write(place.item_path(delivery), json.dumps(item))
    before = int(time.time())
    place.once()
    delays = [place.item(delivery)["next"] - before for delivery in ids]
    assert all(2880 <= delay <= 4340 for delay in delays), delays
    assert max(delays) - min(delays) > 30, f"no jitter: {delays}"


def dead_letters(place):
    """After its attempts a delivery is a dead letter, until retry takes it back."""
    place.hook("any", "echo $FLUIDHOOK_DELIVERY $FLUIDHOOK_ATTEMPT >>$OUT/ran; [ -e $OUT/mended ]")
    place.configure(attempts=2)
    ids = [place.deliver(event_body(number)) for number in range(3)]
    place.once()
    assert [(item["delivery"], item["attempts"]) for item in place.queue()] == [(one, 1) for one in ids]
    place.hurry()
    log = place.once()
    assert log.count("given up") == 3
    assert place.queue() == []
    dead = place.dead()
    assert [(item["delivery"], item["attempts"], item["why"], item["event"]) for item in dead] == [
        (one, 2, "exit 1", "order.created") for one in ids], dead
    table = place.run("queue", "--dead")
    assert all(one in table for one in ids) and "exit 1" in table
    # The same delivery again is no reason to try again; nor is a restart.
    place.deliver(event_body(0))
    place.once()
    assert len(place.lines("ran")) == 6
    place.run("retry", "01a20b4e-0000-7000-8000-000000000000", status=1)
    place.run("retry", status=2)
    place.run("retry", "--all", ids[0], status=2)
    assert place.run("retry", ids[1]) == ids[1] + "\n"
    assert [item["delivery"] for item in place.dead()] == [ids[0], ids[2]]
    assert [(item["delivery"], item["attempts"]) for item in place.queue()] == [(ids[1], 0)]
    place.once()
    assert place.lines("ran")[6:] == [f"{ids[1]} 1"]
    place.touch("mended")
    assert place.run("retry", "--all").split() == [ids[0], ids[2]]
    place.hurry()
    place.once()
    assert place.lines("ran")[7:] == [f"{ids[0]} 1", f"{ids[1]} 2", f"{ids[2]} 1"]
    assert place.queue() == [] and place.dead() == []
    assert place.run("retry", "--all") == ""


def permanent_failure(place):
    """Exit status 100 is a dead letter at once; 99, 101 and a time-out are not."""
    place.hook("order", "echo $FLUIDHOOK_ATTEMPT >>$OUT/ran; exit 100")
    place.hook("product", "exit 99")
    place.hook("cart", "exit 101")
    place.hook("user", "trap 'exit 100' TERM; sleep 60 & wait; exit 100")
    ids = [place.deliver(event_body(number, event)) for number, event in
           enumerate(("order.created", "product.updated", "cart.updated", "user.created"))]
    log = place.once()
    assert [(item["delivery"], item["attempts"], item["why"]) for item in place.dead()] == [
        (ids[0], 1, "exit 100")], place.dead()
    assert [(item["delivery"], item["why"]) for item in place.queue()] == [
        (ids[1], "exit 99"), (ids[2], "exit 101"), (ids[3], "timeout")]
    one_line(log, "hook given up", ids[0], 'why="exit 100"')
    place.once()
    assert place.lines("ran") == ["1"]
    assert place.run("retry", ids[0]) == ids[0] + "\n"
    place.once()
    assert place.lines("ran") == ["1", "1"] and [item["delivery"] for item in place.dead()] == [ids[0]]


def retry_meanwhile(place):
    """A worker that runs takes up within seconds what retry has taken back."""
    place.hook("any", "echo $FLUIDHOOK_ATTEMPT >>$OUT/ran; [ -e $OUT/mended ]")
    never = place.deliver(event_body(9))
    place.once()
    # At a time so late that its milliseconds are no number any more.
    late = int(time.time()) + (3000000 << 32) - 1000
    place.write(place.item_path(never), json.dumps({**place.item(never), "next": late}))
    place.configure(attempts=1)
    delivery = place.deliver(event_body(1))
    with place.worker():
        process.wait_until(lambda: place.item_path(delivery, "dead").exists(), "the dead letter")
        place.touch("mended")
        place.run("retry", delivery)
        process.wait_until(lambda: place.lines("ran") == ["1", "1", "1"], "the second run")
        process.wait_until(lambda: not place.item_path(delivery).exists(), "the queue is empty")
    assert place.dead() == [] and [item["delivery"] for item in place.queue()] == [never]
    place.deliver(event_body(1))
    place.once()
    assert len(place.lines("ran")) == 3


# Order, and how many at once

def in_order(place):
    """With concurrency 1 hooks run one after the other, in the order received."""
    place.hook("any", "mkdir $OUT/running || echo overlap >>$OUT/ran; "
                      "echo $FLUIDHOOK_DELIVERY >>$OUT/ran; rmdir $OUT/running")
    with place.worker():
        ids = [place.deliver(event_body(number)) for number in range(25)]
        place.append([journal_line("order.created", event_body(number), delivery=one) for number, one in
                      ((100 + n, f"01a20b4e-0000-7000-8000-{n:012d}") for n in range(25))])
        process.wait_until(lambda: len(place.lines("ran")) >= 50, "all hooks")
    assert place.lines("ran") == ids + [f"01a20b4e-0000-7000-8000-{n:012d}" for n in range(25)]


def waiting_holds_up_nobody(place):
    """A delivery that waits for its retry does not hold up those behind it."""
    place.hook("any", "cat >/dev/null; echo $FLUIDHOOK_EVENT >>$OUT/ran; "
                      "[ $FLUIDHOOK_EVENT != order.created ]")
    for number in range(6):
        place.deliver(event_body(number, ("order.created", "order.updated")[number % 2]))
    place.once()
    assert place.lines("ran") == ["order.created", "order.updated"] * 3
    assert len(place.queue()) == 3


def retries_take_turns(place):
    """Many retries that are due and slow do not hold up new deliveries either."""
    place.hook("order.created", "exit 1")
    place.hook("order.updated", "echo new >>$OUT/ran")
    for number in range(8):
        place.deliver(event_body(number))
    place.once()
    place.hurry()
    place.hook("order.created", "echo retry >>$OUT/ran; exit 1")
    for number in range(3):
        place.deliver(event_body(100 + number, "order.updated"))
    place.once()
    ran = place.lines("ran")
    assert sorted(ran) == ["new"] * 3 + ["retry"] * 8
    assert [n for n, what in enumerate(ran) if what == "new"][-1] < 6, ran


def several_at_once(place):
    """With concurrency 4 four hooks run at once, and no more."""
    place.configure(concurrency=4)
    place.hook("any", "echo begun >>$OUT/begun; while ! [ -e $OUT/go ]; do sleep 0.01; done; "
                      "echo $FLUIDHOOK_DELIVERY >>$OUT/ran")
    ids = [place.deliver(event_body(number, company_id=number)) for number in range(10)]
    with place.worker():
        process.wait_until(lambda: len(place.lines("begun")) == 4, "four hooks")
        # A fifth would come when the worker is next awake.
        place.deliver(event_body(99, "product.updated", company_id=99))
        place.deliver(event_body(0, company_id=0))
        assert len(place.lines("begun")) == 4
        place.touch("go")
        process.wait_until(lambda: len(place.lines("ran")) == 11, "all of them")
    assert sorted(place.lines("ran"))[:10] == sorted(ids)
    assert len(set(place.lines("ran"))) == 11 and place.queue() == []


def each_target(place):
    """The most specific hook and all executables in the .d directories get it; each is retried alone."""
    note = "echo $(basename $0) $FLUIDHOOK_ATTEMPT >>$OUT/ran"
    place.hook("any", "echo never >>$OUT/ran")
    place.hook("order", note)
    for name, text in (("order.created.d/20-b", note), ("order.created.d/10-a", note), ("any.d/40-d", note),
                       ("order.d/30-c", f"{note}; [ -e $OUT/mended ]"), ("product.d/50-e", "echo never >>$OUT/ran")):
        if not (directory := (place.hooks / name).parent).exists():
            directory.mkdir()
            process.give(directory)
        place.hook(name, text)
    place.hook("any.d/45-no", "echo never >>$OUT/ran", 0o644)
    one = place.deliver(event_body(1))
    place.once()
    assert place.lines("ran") == ["order 1", "10-a 1", "20-b 1", "30-c 1", "40-d 1"], place.left("ran")
    assert [(item["delivery"], item["why"]) for item in place.queue()] == [(one, "exit 1")]
    place.touch("mended")
    place.hurry()
    place.once()
    assert place.lines("ran")[5:] == ["30-c 2"] and place.queue() == []
    runs = [json.loads(line) for path in (place.state / "runs").iterdir() for line in path.read_text().splitlines()]
    assert [(run["target"], run["attempt"], run["result"], run["why"]) for run in runs] == [
        ("order", 1, "done", None), ("order.created.d/10-a", 1, "done", None), ("order.created.d/20-b", 1, "done", None),
        ("order.d/30-c", 1, "failed", "exit 1"), ("any.d/40-d", 1, "done", None),
        ("order.d/30-c", 2, "done", None)], runs
    assert {run["delivery"] for run in runs} == {one} and all(len(run["key"]) == 32 for run in runs)
    # Neither a lost position nor the same delivery again brings anything twice.
    (place.state / "queue/position.json").unlink()
    place.deliver(event_body(1))
    place.once()
    assert len(place.lines("ran")) == 6, place.left("ran")
    # Given up at two targets, it is one delivery for retry.
    place.hook("order", f"{note}; exit 100")
    place.hook("any.d/40-d", f"{note}; exit 100")
    two = place.deliver(event_body(2))
    place.once()
    assert [item["delivery"] for item in place.dead()] == [two, two], place.dead()
    before = len(place.lines("ran"))
    assert place.run("retry", two) == two + "\n"
    place.once()
    assert sorted(place.lines("ran")[before:]) == ["40-d 1", "order 1"], place.left("ran")


def linked_directory(place):
    """A .d directory may be a symbolic link to one elsewhere; what changes there counts at once."""
    elsewhere = place.dir / "elsewhere"
    elsewhere.mkdir()
    process.give(elsewhere)
    (place.hooks / "order.d").symlink_to(elsewhere)
    place.hook("../elsewhere/10-a", "echo a >>$OUT/ran")
    place.deliver(event_body(1))
    with place.worker():
        process.wait_until(lambda: place.lines("ran") == ["a"], "the hook behind the link")
        place.hook("../elsewhere/20-b", "echo b >>$OUT/ran")
        place.deliver(event_body(2))
        process.wait_until(lambda: place.lines("ran") == ["a", "a", "b"], "the new one, too")
    assert "unavailable" not in place.log_text(), place.log_text()


def one_slot(place):
    """An installation whose hook hangs has one slot; its deliveries keep their order, and others go on."""
    place.configure(concurrency=4)
    place.hook("any", "echo $FLUIDHOOK_INSTALLATION >>$OUT/begun; "
                      "[ $FLUIDHOOK_INSTALLATION != dri_a ] || while ! [ -e $OUT/go ]; do sleep 0.01; done; "
                      "echo $FLUIDHOOK_INSTALLATION $FLUIDHOOK_DELIVERY >>$OUT/ran")
    lines = [(f"dri_{'aaaaaaaaabcdbcdbcd'[number]}", delivery_id()) for number in range(18)]
    place.append([journal_line("order.created", event_body(number), owner, delivery=one)
                  for number, (owner, one) in enumerate(lines)])
    with place.worker():
        process.wait_until(lambda: len(place.lines("ran")) == 9, "those of the others")
        assert place.lines("begun").count("dri_a") == 1, place.left("begun")
        place.touch("go")
        process.wait_until(lambda: len(place.lines("ran")) == 18, "all")
    ran = [tuple(line.split()) for line in place.lines("ran")]
    for owner in "abcd":
        assert [line for line in ran if line[0] == f"dri_{owner}"] == [
            line for line in lines if line[0] == f"dri_{owner}"], ran


# Installs

def install_waits(place):
    """The hook of an install waits for its credentials, alone; without hope it is install_failed's."""
    for name in ("any", "fluidhook"):
        place.hook(name, 'echo "$FLUIDHOOK_EVENT $FLUIDHOOK_INSTALLATION $FLUIDHOOK_ATTEMPT" >>$OUT/ran')
    companies = [Company(place.droplets[0]) for _ in range(3)]
    ids = [place.deliver(company.install_v2()) for company in companies]
    place.deliver(event_body(1))

    def settle(company, **members):
        # The worker, which tries to exchange the token, changes records as well.
        with open(place.state / "installations/.lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            record = {**place.record(company.dri), **members}
            place.write(place.record_path(company.dri), json.dumps(record))

    with place.worker():
        process.wait_until(lambda: place.lines("ran") == ["order.created  1"], "the order's hook")
        assert [(item["delivery"], item["attempts"]) for item in place.queue()] == [(one, 0) for one in ids]
        assert all(item["waits_for_credentials"] for item in place.queue())
        assert place.run("queue").count("waits for credentials") == 3
        settle(companies[0], status="active", authentication_token=companies[0].dit)
        process.wait_until(lambda: len(place.lines("ran")) == 2, "the hook of the install that is active")
        settle(companies[1], status="failed", reason="exchange_refused")
        process.wait_until(lambda: len(place.lines("ran")) == 3, "the hook of the install that failed")
        process.wait_until(lambda: len(place.queue()) == 1, "they wait no longer")
    assert place.lines("ran")[1:] == [f"droplet.installed {companies[0].dri} 1",
                                      f"fluidhook.install_failed {companies[1].dri} 1"]
    # A record that cannot be read: it waits, and the log says what for.
    other = Company(place.droplets[0])
    place.deliver(other.install())
    whole = place.record_path(other.dri).read_bytes()
    place.record_path(other.dri).write_bytes(whole[:40])
    log = place.once()
    one_line(log, "hook waits for a record", other.dri)
    assert len(place.queue()) == 2
    place.record_path(other.dri).write_bytes(whole)
    place.hurry()
    place.once()
    assert place.lines("ran")[3:] == [f"droplet.installed {other.dri} 1"]


def ended_before_its_turn(place):
    """No hook runs for an install whose installation has ended before the hook's turn."""
    for name in ("any", "fluidhook"):
        place.hook(name, 'echo "$FLUIDHOOK_EVENT $FLUIDHOOK_INSTALLATION" >>$OUT/ran')
    received = time.time() - 60
    names = []
    for status, by, installed in (
            ("uninstalled", "signature", "never"), ("superseded", "signature", "never"),
            ("failed", "none", "never"), (None, "none", "never"),
            ("failed", "signature", "fluidhook.install_failed"), ("active", "signature", "droplet.installed")):
        company = Company(place.droplets[0])
        if status:
            place.deliver(company.install())
            record = {**place.record(company.dri), "status": status}
            place.write(place.record_path(company.dri), json.dumps(record))
        names.append((installed, company.dri))
        line = json.loads(journal_line("droplet.installed", company.install(), company.dri, received))
        line["verified_by"] = by
        place.append([json.dumps(line, separators=(",", ":")).encode()])
    # The receiver's own lines are gone: what was appended is a minute old, so the records are right.
    journal = place.journal_file()
    lines = [line for line in journal.read_bytes().splitlines() if json.loads(line)["timestamp"] == int(received)]
    place.write(journal, b"\n".join(lines).decode() + "\n")
    place.once()
    assert place.lines("ran") == [f"{event} {name}" for event, name in names if event != "never"], place.left("ran")
    assert place.queue() == [] and place.dead() == []
    # The same where the installation ends while the install waits for its credentials.
    for name in ("any", "fluidhook"):
        place.hook(name, 'echo "$FLUIDHOOK_EVENT $FLUIDHOOK_INSTALLATION" >>$OUT/later')
    company = Company(place.droplets[0])
    line = journal_line("droplet.installed", company.install_v2(), company.dri, received)
    place.deliver(company.install_v2())
    place.write(journal, line.decode() + "\n")
    place.once()
    assert [item["waits_for_credentials"] for item in place.queue()] == [True]
    record = {**place.record(company.dri), "status": "uninstalled"}
    place.write(place.record_path(company.dri), json.dumps(record))
    place.hurry()
    place.once()
    assert place.left("later") == "" and place.queue() == [] and place.dead() == []


# The same again

def runs_once(place):
    """The same delivery runs its hook once, by its body, for each installation."""
    place.hook("any", "cat >>$OUT/ran; echo >>$OUT/ran")
    a, b = place.company(), place.company()
    place.once()
    (place.out / "ran").unlink()

    def seen(*bodies, shop=None):
        before = len(place.lines("ran"))
        for body in bodies:
            place.deliver(body, shop=shop)
        place.once()
        return len(place.lines("ran")) - before

    def envelope(**members):
        return encode({"name": "order_created", **members,
                       "payload": {"event_name": "order_created", "resource": "order", "event": "created"}})

    # The body decides. Ids can be equal: of two droplets, and where they name the thing.
    assert seen(envelope(id=1, identifier="evt_1"), envelope(id=1, identifier="evt_1", more=1)) == 2
    assert seen(envelope(id=1, identifier="evt_1")) == 0
    assert seen(envelope(identifier="evt_9"), envelope(identifier="evt_9", more=1)) == 2
    assert seen(envelope(), envelope(), envelope(more=1)) == 2
    flat = {"event_name": "order_updated", "resource": "order", "event": "updated", "id": 5}
    assert seen(encode(flat), encode({**flat, "total": 2}), encode(flat)) == 2
    # And each installation by itself.
    one = event_body(7, company=a.identity())
    assert seen(one, event_body(7, company=b.identity()), one) == 2
    assert seen(a.install(), b.install()) == 0
    assert len(place.journal()) == 2 + 2 + 1 + 2 + 3 + 3 + 3 + 2


def runs_once_meanwhile(place):
    """The same delivery is not run beside itself, nor while it waits or is dead."""
    place.configure(concurrency=4, attempts=2)
    place.hook("any", "echo ran >>$OUT/ran; while ! [ -e $OUT/go ]; do sleep 0.01; done; exit 1")
    with place.worker():
        for _ in range(3):
            place.deliver(event_body(1))
        place.deliver(event_body(2))
        process.wait_until(lambda: len(place.lines("ran")) == 2, "both hooks")
        place.touch("go")
        process.wait_until(lambda: len(place.queue()) == 2, "both wait")
        place.deliver(event_body(1))
        place.deliver(event_body(3))
        process.wait_until(lambda: len(place.queue()) == 3, "the third waits")
    assert len(place.lines("ran")) == 3
    place.hurry()
    place.once()
    assert len(place.dead()) == 3 and len(place.lines("ran")) == 6
    place.deliver(event_body(1))
    place.once()
    assert len(place.lines("ran")) == 6 and place.queue() == []


TESTS = [
    (most_specific, {}), (none_matches, {}), (exact_body, {}), (slow_reader, {}), (no_reader, {}),
    (closed_environment, {}), (bounded_environment, {}), (own_process, {}), (killed_whole, {"hook_timeout": 1}), (leaves_a_daemon, {}),
    (prints_too_much, {}), (output_to_log, {}), (cannot_be_executed, {}), (replaced_while_it_runs, {}),
    (taken_away, {}), (directory_unavailable, {}), (no_default_directory, {}), (cannot_be_started, {}), (backoff, {}), (longest_backoff, {}), (dead_letters, {}), (permanent_failure, {"hook_timeout": 2}), (retry_meanwhile, {}),
    (in_order, {}), (waiting_holds_up_nobody, {}), (retries_take_turns, {}), (several_at_once, {}), (each_target, {}), (linked_directory, {}), (one_slot, {}),
    (install_waits, {}), (ended_before_its_turn, {}), (runs_once, {}), (runs_once_meanwhile, {}),
]

if __name__ == "__main__":
    tap.run([tap.Test(function.__doc__.split(".\n")[0].rstrip("."), with_place(function, **settings))
             for function, settings in TESTS])
