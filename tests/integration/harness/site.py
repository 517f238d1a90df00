"""One receiver's own world: configuration, secrets, state directory, logs."""

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

from . import process
from .fluid import Droplet

SOURCE = Path(os.environ.get("top_srcdir") or Path(__file__).resolve().parents[3]).resolve()
BUILD = Path(os.environ.get("top_builddir") or SOURCE / "build").resolve()
RECEIVER = Path(os.environ.get("FLUIDHOOK_FCGI") or BUILD / "fluidhook.fcgi").resolve()
COMMAND = Path(os.environ.get("FLUIDHOOK") or BUILD / "fluidhook").resolve()
TIMEOUT = 600       # of the command; ends what hangs

UUID_V7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")

# Every member of a journal line (contract, section 4), and of a record of an installation.
LINE_MEMBERS = {"delivery", "received_at", "event", "installation", "fluid_shop", "id",
                "identifier", "verified_by", "key", "timestamp", "signature", "fingerprint",
                "droplet", "sha256", "body"}
# Those that a line has beside of a request that was refused at first.
REFUSED_MEMBERS = {"refused", "refused_at"}
RECORD_MEMBERS = {"droplet_installation_uuid", "status", "droplet_uuid", "fluid_company_id",
                  "fluid_shop", "name", "authentication_token", "webhook_verification_token",
                  "installed_at", "uninstalled_at", "updated_at", "delivery"}


# The directories of a state directory (contract, section 4), and those of the queue.
STATE = ("installations", "shops", "companies", "journal", "runs", "refused", "queue")
QUEUE = ("pending", "unconfirmed", "subscribe", "waiting", "dead", "ran", "receivers")
MARK = "+complete"      # of an index


def make_state(path):
    """Make a state directory, as `fluidhook init` does."""
    for directory in (path, *(path / name for name in STATE), *(path / "queue" / name for name in QUEUE)):
        directory.mkdir(mode=0o700)
        process.give(directory)
    for index in ("shops", "companies"):
        (path / index / MARK).symlink_to("../VERSION")
        process.give(path / index / MARK)
    for name, text in (("installations/.lock", ""), ("VERSION", "1\n")):
        (path / name).write_text(text)
        (path / name).chmod(0o600)
        process.give(path / name)


class Site:
    """A directory with all that the receiver, the command and the worker need. settings: lines for the head of
    the configuration, by key; None leaves a key out. sections: the same for each section, by its name."""

    def __init__(self, droplets=None, sections=None, **settings):
        self.sections = {name: dict(values) for name, values in (sections or {}).items()}
        self.dir = Path(process.temporary_directory())
        self.droplets = [Droplet()] if droplets is None else droplets
        self.settings = {"state_dir": "state", "log_level": "info", "min_free": "1M", **settings}
        self.conf = self.dir / "fluidhook.conf"
        self.state = self.dir / "state"
        self.logs = self.dir / "logs"
        self.receiver = self.dir / "fluidhook.fcgi"
        self.logs.mkdir(mode=0o700)
        process.give(self.logs)
        make_state(self.state)
        # A copy: the build directory need not be readable for the user everything runs as.
        shutil.copy(RECEIVER, self.receiver)
        self.receiver.chmod(0o755)
        process.give(self.receiver)
        for droplet in self.droplets:
            self.write_secrets(droplet)
        self.write_conf()

    def secrets_file(self, droplet):
        return self.dir / f"{droplet.name or 'droplet'}.secrets"

    def write(self, path, text, mode=0o600):
        """Put a file in place, whole, by rename."""
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(mode)
        process.give(temporary)
        temporary.rename(path)

    def write_secrets(self, droplet):
        lines = ["# one secret a line, newest first", ""] + droplet.secrets
        self.write(self.secrets_file(droplet), "\n".join(lines) + "\n")

    def conf_text(self):
        lines = [f"{k} = {v}" for k, v in self.settings.items() if v is not None]
        for droplet in self.droplets:
            lines += ["", f"[droplet {droplet.name}]" if droplet.name else "[droplet]"]
            if droplet.uuid:
                lines.append(f"uuid = {droplet.uuid}")
            lines.append(f"secrets = {self.secrets_file(droplet).name}")
        for name, values in self.sections.items():
            lines += ["", f"[{name}]"] + [f"{k} = {v}" for k, v in values.items() if v is not None]
        return "\n".join(lines) + "\n"

    def write_conf(self, text=None):
        self.write(self.conf, self.conf_text() if text is None else text)

    # The command

    @property
    def command(self):
        """The program, as a copy: the build directory need not be readable for the user everything runs as."""
        copy = self.dir / "fluidhook"
        if not copy.exists():
            shutil.copy(COMMAND, copy)
            copy.chmod(0o755)
            process.give(copy)
        return copy

    def argv(self, *words):
        return [str(word) for word in (self.command, "-c", self.conf, *words)]

    def environment(self, **more):
        return process.environment(HOME=str(self.dir), **more)

    def execute(self, *words, root=False, env=None, **more):
        """Run the command to its end, without input unless `more` gives one; what subprocess.run() returns. root: as
        who we are. env: for the environment."""
        if "input" not in more:
            more.setdefault("stdin", subprocess.DEVNULL)
        if "stdout" not in more:
            more.setdefault("capture_output", True)
        return subprocess.run(self.argv(*words), env=self.environment(**(env or {})), cwd="/", check=False,
                              **{"timeout": TIMEOUT, **({} if root else process.identity()), **more})

    # Hooks

    def make_hooks(self):
        """Make a directory for hooks, and one for what they leave behind."""
        self.hooks = self.dir / "hooks"
        self.out = self.dir / "out"
        for directory in (self.hooks, self.out):
            directory.mkdir(mode=0o755)
            process.give(directory)

    def hook(self, name, text, mode=0o755):
        """Put a hook in place by rename. text: without #!, a shell script in which $OUT is the directory
        for what hooks leave behind."""
        if not text.startswith("#!"):
            text = f"#!/bin/sh\nOUT={self.out}\n{text}\n"
        self.write(self.hooks / name, text, mode)

    def left(self, name):
        """What hooks wrote into a file of that directory; "" where there is none."""
        try:
            return (self.out / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def hurry(self):
        """Everything that waits is due now. While no worker runs."""
        for path in (self.state / "queue/waiting").glob("*.json"):
            value = json.loads(path.read_text(encoding="utf-8"))
            self.write(path, json.dumps({**value, "next": 0}))

    def log(self, name):
        """A log file to append to, for a server's stderr."""
        path = self.logs / name
        path.touch()
        process.give(path)
        return open(path, "ab")

    def log_text(self):
        """Everything that was logged."""
        parts = []
        for path in sorted(self.logs.rglob("*")):
            if path.is_file():
                parts.append(path.read_text(encoding="utf-8", errors="replace"))
        return "".join(parts)

    def log_tail(self, lines=30):
        """The last lines of each log, to show where a test failed."""
        out = []
        for path in sorted(self.logs.rglob("*")):
            if path.is_file() and path.stat().st_size:
                text = path.read_text(encoding="utf-8", errors="replace").splitlines()
                out += [f"-- {path.name}"] + [line[:400] for line in text[-lines:]]
        return "\n".join(out)

    def close(self):
        process.remove(str(self.dir))

    # What the receiver wrote

    def journal_files(self):
        return sorted((self.state / "journal").glob("*.jsonl"))

    def journal_lines(self):
        """Every line as bytes, the last one whether it is finished or not."""
        lines = []
        for path in self.journal_files():
            lines += path.read_bytes().splitlines()
        return lines

    def journal_size(self):
        return sum(path.stat().st_size for path in self.journal_files())

    def journal(self):
        """Every entry; each line has to be whole and valid."""
        for path in self.journal_files():
            data = path.read_bytes()
            assert not data or data.endswith(b"\n"), f"{path.name} ends inside a line"
        return [parse_line(line) for line in self.journal_lines()]

    def entries(self, delivery):
        """The journal's entries of one delivery."""
        needle = delivery.encode()
        return [parse_line(line) for line in self.journal_lines() if needle in line]

    def record_path(self, installation):
        return self.state / "installations" / f"{installation}.json"

    def record(self, installation):
        """A record, or None where there is none."""
        try:
            data = self.record_path(installation).read_bytes()
        except FileNotFoundError:
            return None
        value = json.loads(data.decode("utf-8"))
        assert RECORD_MEMBERS <= value.keys(), f"missing: {RECORD_MEMBERS - value.keys()}"
        return value

    def check_modes(self):
        """Directories 0700, files 0600, links only where links belong, nothing half written."""
        for directory, names, files in os.walk(self.state):
            for name in names + files:
                path = Path(directory, name)
                mode = path.lstat().st_mode
                below = path.relative_to(self.state).parts
                if stat.S_ISLNK(mode) and name == MARK:
                    assert below[0] in ("shops", "companies") and len(below) == 2, f"link {path}"
                    continue
                if stat.S_ISLNK(mode):
                    assert below[0] in ("shops", "companies") and len(below) == 3, f"link {path}"
                    assert os.readlink(path) == f"../../installations/{name}.json", path
                    continue
                want = 0o700 if stat.S_ISDIR(mode) else 0o600
                assert stat.S_IMODE(mode) == want, f"{path}: mode {stat.S_IMODE(mode):04o}"
                assert not name.endswith((".tmp", "~")) and ".tmp" not in name, f"left: {path}"


def parse_line(line):
    """One journal line as a dict, its body as the exact bytes."""
    entry = json.loads(line.decode("utf-8"))
    members = {"body" if key == "sealed_body" else key for key in entry}
    assert members - REFUSED_MEMBERS == LINE_MEMBERS, f"members {sorted(entry)}"
    assert UUID_V7.match(entry["delivery"]), entry["delivery"]
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z", entry["received_at"])
    if "body" in entry:
        entry["body"] = entry["body"].encode("utf-8")
    return entry
