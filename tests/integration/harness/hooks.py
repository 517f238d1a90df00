"""A place where the worker runs hooks: a site with a hooks directory, the command, a journal to write to."""

import contextlib
import datetime
import json
import os
import secrets
import signal
import subprocess
import time

from . import process, tap
from .fluid import Company, Droplet, encode, signed
from .fronts import Cgi
from .site import COMMAND, Site
from .web import Request

SANITIZED = b"__asan_init" in COMMAND.read_bytes()


def delivery_id(milliseconds=None):
    """A fresh UUIDv7."""
    when = int(time.time() * 1000) if milliseconds is None else milliseconds
    digits = f"{when:012x}7{secrets.randbits(12):03x}{secrets.randbits(62) | 1 << 63:016x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def when_text(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime(
        "%Y-%m-%dT%H:%M:%S.%fZ")


def day_text(seconds):
    return when_text(seconds)[:10]


def journal_line(event, body, installation=None, received=None, delivery=None, shop=None):
    """A line as the receiver writes it, without its newline. body: bytes."""
    received = time.time() if received is None else received
    value = json.loads(body)
    return json.dumps({
        "delivery": delivery or delivery_id(int(received * 1000)), "received_at": when_text(received),
        "event": event, "installation": installation, "fluid_shop": shop, "id": value.get("id"),
        "identifier": value.get("identifier"), "verified_by": "signature", "key": "droplet",
        "timestamp": int(received), "signature": "00" * 32, "body": body.decode("utf-8"),
    }, ensure_ascii=False, separators=(",", ":")).encode()


def event_body(number, event="order.created", **more):
    """A business event's body in Fluid's envelope, with this id."""
    resource, _, verb = event.partition(".")
    return encode({"id": number, "identifier": f"evt_{number}", "name": f"{resource}_{verb}",
                   "payload": {"event_name": f"{resource}_{verb}", "resource": resource,
                               "event": verb, resource: {"id": number}, **more}})


class Workplace(Site):
    """settings: lines for [worker], beside the hooks directory."""

    def __init__(self, head=None, **settings):
        self.proc = None
        self.said = ""
        # One at a time, in the order of the journal, unless a test says otherwise.
        super().__init__([Droplet(uuid=False)], {
            "fluid": {"api": "http://127.0.0.1:9"},
            "worker": {"hooks": "hooks", "concurrency": 1, **settings}}, **(head or {}))
        self.make_hooks()
        self.program = self.command
        self.cgi = Cgi()
        self.cgi.start(self)

    def configure(self, **settings):
        self.sections["worker"].update(settings)
        self.write_conf()

    # Hooks

    def lines(self, name):
        """Its whole lines."""
        text = self.left(name)
        return text[:text.rfind("\n") + 1].splitlines()

    def touch(self, name):
        """For hooks that wait for a file."""
        (self.out / name).touch()
        process.give(self.out / name)

    # Deliveries

    def deliver(self, body, shop=None):
        """Through the receiver, signed. Returns the delivery's id."""
        answer = self.cgi.send(Request(headers=signed(self.droplets[0].secret, body, shop=shop), body=body))
        assert answer.status in (200, 202), answer.describe() + self.log_tail()
        return json.loads(answer.body)["delivery"]

    def company(self):
        """A company that has installed the droplet."""
        company = Company(self.droplets[0])
        company.install_delivery = self.deliver(company.install())
        return company

    def journal_file(self, day=None, number=0):
        directory = self.state / "journal"
        if not directory.is_dir():
            directory.mkdir(mode=0o700)
            process.give(directory)
        name = day or day_text(time.time())
        return directory / (f"{name}.{number}.jsonl" if number else f"{name}.jsonl")

    def append(self, lines, path=None, end=b"\n"):
        """Write lines to a journal file in one write, as the receiver would."""
        path = path or self.journal_file()
        if not path.exists():
            # In place only when it is the worker's to read.
            self.write(path, "")
        fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            data = memoryview(b"\n".join(lines) + end)
            while data:
                data = data[os.write(fd, data):]
        finally:
            os.close(fd)

    # The command and the worker

    def run(self, *words, status=0, timeout=600, **more):
        """Run a command to its end, which has to be with this status (None: any); its standard output.
        Its messages are in `said`."""
        done = self.execute(*words, text=True, errors="replace", timeout=timeout, **more)
        self.said = done.stderr
        with self.log("command.log") as log:
            log.write(done.stderr.encode())
        assert status in (None, done.returncode), (words, done.returncode, done.stdout, done.stderr[-3000:])
        return done.stdout

    def once(self, **more):
        """`work --once`; what it logged."""
        self.run("work", "--once", **more)
        return self.said

    def values(self, *words):
        """What a command says with --json, one value a line."""
        return [json.loads(line) for line in self.run(*words, "--json").splitlines()]

    def queue(self):
        return [item for item in self.values("queue") if "unread" not in item]

    def dead(self):
        return self.values("queue", "--dead")

    def start(self, log="worker.log", **more):
        """Start a worker. It has begun its work when this returns."""
        with self.log(log) as stderr:
            begun = stderr.tell()
            self.proc = process.start([self.program, "-c", self.conf, "work"], cwd="/", stderr=stderr,
                                      stdin=subprocess.DEVNULL, stdout=stderr,
                                      env=process.environment(), **more)
        path = self.logs / log
        process.wait_until(lambda: b"msg=working" in path.read_bytes()[begun:] or
                           self.proc.poll() is not None, "the worker starts")
        # One that a signal waits for may have ended already.
        assert b"msg=working" in path.read_bytes()[begun:], self.log_tail()
        return self.proc

    def stop(self):
        proc, self.proc = self.proc, None
        return process.stop(proc)

    def kill(self):
        """Kill the worker alone: its hooks are left running, and end with the test at the latest."""
        proc, self.proc = self.proc, None
        proc.kill()
        proc.wait()

    @contextlib.contextmanager
    def worker(self, **more):
        """A worker while the block runs, which has to end with status 0 then."""
        proc = self.start(**more)
        try:
            yield proc
        except BaseException:
            process.stop(proc, number=signal.SIGKILL)
            raise
        assert self.stop() == 0, self.log_tail()

    # The queue's files

    def item_path(self, delivery, directory="waiting"):
        return self.state / "queue" / directory / f"{delivery}.json"

    def item(self, delivery, directory="waiting"):
        return json.loads(self.item_path(delivery, directory).read_text(encoding="utf-8"))

    def position(self):
        """How far the worker has read each journal file."""
        return {name: int(place.split()[0]) for name, place in self.places().items()}

    def places(self):
        return json.loads((self.state / "queue/position.json").read_text(encoding="utf-8"))


def with_place(function, **settings):
    """A test function that gets a place of its own, removed at its end."""
    def run():
        place = Workplace(**settings)
        try:
            function(place)
        except BaseException:
            tap.note(place.log_tail())
            raise
        finally:
            if place.proc and place.proc.poll() is None:
                process.stop(place.proc, number=signal.SIGKILL)
            place.close()
    return run
