#!/usr/bin/env python3
"""check: every mistake is named, with the hint, and nothing is changed."""

import json
import os
import pwd
import signal
import subprocess
import time

from harness import fluid, process, tap
from harness.command import Command
from harness.fluid import Company, Droplet
from harness.site import Site
from harness.fronts import Cgi, Listen, ListenTcp
from harness.web import Request

PARTS = ["configuration", "company token", "receiver", "state", "disk", "write", "records", "indexes", "journal",
         "queue", "worker", "secrets", "hooks"]


class World:
    """A site that a CGI has been used on, with a hooks directory."""

    def __init__(self, settings="", **fields):
        self.site = Site(**fields)
        self.hooks = self.site.dir / "hooks"
        self.hooks.mkdir()
        process.give(self.hooks)
        self.site.write_conf(self.site.conf_text() + f"{settings}\n[worker]\nhooks = hooks\n")
        self.command = Command(self.site)
        self.front = Cgi()
        self.front.start(self.site)

    def install(self, work=True, **fields):
        company = Company(self.site.droplets[0])
        body = company.install(**fields)
        headers = fluid.signed(self.site.droplets[0].secret, body)
        assert self.front.send(Request(headers=headers, body=body)).status == 200
        if work:
            self.work()
        return company

    def work(self):
        """A worker reads what is there, and ends."""
        self.command.ok("work", "--once")

    def order(self, company, status=200):
        body = company.order()
        headers = fluid.signed(company.wvt, body, shop=company.shop)
        answer = self.front.send(Request(headers=headers, body=body))
        assert answer.status == status, answer.describe()
        return json.loads(answer.body).get("delivery")

    def hook(self, name, text="#!/bin/sh\n", mode=0o755):
        self.site.write(self.hooks / name, text, mode)
        return self.hooks / name

    def check(self, *words, **more):
        """What is said, as a list of (check, text, way out) of what is wrong; and all of it."""
        done = self.command.run("check", "--json", *words, **more)
        said = [json.loads(line) for line in done.stdout.splitlines()]
        bad = [(s["check"], s["text"], s["hint"]) for s in said if not s["ok"]]
        assert done.returncode == (1 if bad else 0), done
        assert done.stderr == "", done.stderr
        return bad, said

    def close(self):
        said = "".join(self.command.said)
        self.site.close()
        for secret in fluid.CREDENTIALS:
            assert secret not in said, f"{secret} was shown"


def with_world(function, **fields):
    def run():
        world = World(**fields)
        try:
            function(world)
        finally:
            world.close()
    return tap.Test(function.__doc__, run)


def tree(path):
    """What is there. Directories have no time: files are made in them, and removed."""
    return {p: (p.lstat().st_mode, None if p.is_dir() else p.lstat().st_mtime_ns) for p in path.rglob("*")}


def in_order(world):
    """All is well, before the first delivery and after it was handed on; nothing is changed by looking."""
    before = tree(world.site.dir)
    bad, said = world.check()
    assert bad == [] and [s["check"] for s in said] == PARTS, said
    assert tree(world.site.dir) == before
    world.install()
    world.hook("order.created")
    before = tree(world.site.dir)
    bad, said = world.check()
    assert bad == [] and tree(world.site.dir) == before
    text = {s["check"]: s["text"] for s in said}
    assert text["records"] == "1 installation, 1 active" and text["hooks"] == "order.created", text
    lines = world.command.ok("check").splitlines()
    assert len(lines) == len(PARTS) and all(line.startswith("\u2713 ") for line in lines), lines


def configuration(world):
    """All that is wrong in the configuration is told at once, with its line; exit status 2."""
    world.site.write_conf("state_dir = state\nmax_bodi = 3\ntolerance = -1\n[droplet]\nlog = x\n")
    out, err = world.command.fails(2, "check")
    assert out == "", out
    for line, word in ((2, "max_bodi"), (3, "tolerance"), (5, "log")):
        assert any(f"fluidhook.conf:{line}:" in said and word in said for said in err.splitlines()), err
    world.site.conf.unlink()
    _, err = world.command.fails(2, "check")
    assert str(world.site.conf) in err and "fluidhook init" in err, err


def state_directory(world):
    """A state directory that is missing, open to others, or holds what does not belong there."""
    world.install()
    state = world.site.state
    state.chmod(0o755)
    ((check, text, hint),) = world.check()[0]
    assert (check, hint) == ("state", "chmod 0700 it.") and "0755" in text
    state.chmod(0o700)
    record = next((state / "installations").glob("*.json"))
    record.chmod(0o644)
    ((check, text, _),) = world.check()[0]
    assert check == "state" and record.name in text and "open to others" in text, text
    record.chmod(0o600)
    (state / "journal").rename(state / "elsewhere")
    (state / "journal").symlink_to("elsewhere")
    bad = world.check()[0]
    assert ("state", "state", "write") == tuple(check for check, *_ in bad), bad
    assert "journal is not a directory" in bad[0][1], bad
    (state / "journal").unlink()
    (state / "elsewhere").rename(state / "journal")
    (state / "installations/dri_link.json").symlink_to("/etc/passwd")
    bad = world.check()[0]
    assert any("symbolic link" in text for _, text, _ in bad), bad
    (state / "installations/dri_link.json").unlink()
    assert world.check()[0] == []
    state.rename(state.with_name("gone"))
    ((check, text, hint),) = world.check()[0]
    assert check == "state" and "fluidhook init" in hint and str(state) in text


def read_only(world):
    """A directory that cannot be written, and one without room."""
    world.install()
    (world.site.state / "journal").chmod(0o500)
    ((check, text, hint),) = world.check()[0]
    assert check == "write" and "journal: open: Permission denied (file system" in text and "503" in hint, text
    (world.site.state / "journal").chmod(0o700)
    world.site.write_conf(world.site.conf_text().replace("min_free = 1M", "min_free = 900000G"))
    ((check, _, hint),) = world.check()[0]
    assert check == "disk" and "503" in hint


def damaged_records(world):
    """Each damaged record is named."""
    world.install()
    directory = world.site.state / "installations"
    for name in ("dri_a", "dri_b"):
        world.site.write(directory / f"{name}.json", '{"status":')
    bad = world.check()[0]
    assert [check for check, *_ in bad] == ["record", "record"], bad
    assert {text.split(": ")[0].rsplit("/", 1)[1] for _, text, _ in bad} == {"dri_a.json", "dri_b.json"}


def secrets(world):
    """Secrets that are missing, open to others, or none at all."""
    file = world.site.secrets_file(world.site.droplets[0])
    file.chmod(0o604)
    ((check, text, _),) = world.check()[0]
    assert check == "secrets" and "open to other users" in text
    world.site.write(file, "# nothing\n")
    ((check, text, hint),) = world.check()[0]
    assert "no secret" in text and "fluidhook register" in hint
    file.unlink()
    ((check, text, _),) = world.check()[0]
    assert str(file) in text and "No such file" in text
    os.mkfifo(file, 0o600)
    process.give(file)
    ((check, text, _),) = world.check()[0]
    assert "not a regular file" in text, text
    file.unlink()
    file.symlink_to("nowhere")
    _, err = world.command.fails(1, "secret", "add")
    assert "a link to a file that does not exist" in err and str(file) in err, err
    file.unlink()
    world.site.write_conf("state_dir = state\n")
    ((check, text, hint),) = world.check()[0]
    assert check == "secrets" and "[droplet]" in hint


MISTAKES = (
    # what stands on the line, {} being a secret; what is said
    ('"{}"', "has quotes around the secret"), ("'{}'", "has quotes around the secret"), ("{}'", "has quotes"),
    ("SECRET={}", "looks like NAME=secret"), ("webhook_secret={}", "looks like NAME=secret"),
    ("export FLUID_TOKEN={}", "looks like NAME=secret"), ("{} # of the staging shop", "has a comment behind the secret"),
    ("{0} {0}", "has blanks in it"), ("Bearer {}", "has blanks in it"), ("{}\u200b", "not ASCII"),
    ("\u201c{}\u201d", "not ASCII"), ("<{}>", "is a placeholder"), ("{}\x01", "is no secret"),
    ("{0}" * 20, "is no secret"),
)


def secrets_that_are_none(world):
    """A line that looks like a mistake is named by its number, and never shown"""
    file = world.site.secrets_file(world.site.droplets[0])
    secret = fluid.credential("dws_")
    for line, said in MISTAKES:
        world.site.write(file, "# ours\n\n" + line.format(secret) + "\n")
        ((check, text, hint),) = world.check()[0]
        assert check == "secrets" and text.startswith(f"{file}:3: ") and said in text and hint, (line, text)
        assert secret not in text + hint
    for good in (secret, secret + "==", "c2VjcmV0/+" + secret, "a=b" + secret):
        world.site.write(file, good + "\n")
        assert world.check()[0] == [], good
    world.site.write(file, "short-one\n")
    bad, said = world.check()
    (note,) = [line for line in said if line["hint"]]
    assert bad == [] and note["text"] == f"{file}:1: has only 9 characters" and "secret add" in note["hint"]
    world.site.write(file, secret + "\n")
    world.site.write_conf(world.site.conf_text() + "[fluid]\ncompany_token = company.token\n")
    world.site.write(world.site.dir / "company.token", f'"{secret}"\n')
    ((check, text, _),) = world.check()[0]
    assert check == "company token" and "company.token: has quotes" in text, text


def units(world):
    """systemd's units that are enabled run as the owner of the state directory"""
    own, system = world.site.dir / "etc", world.site.dir / "lib"
    wants = own / "multi-user.target.wants"
    for path in (own, system, wants):
        path.mkdir()
    path = {"SYSTEMD_UNIT_PATH": f"{own}:{system}"}
    user, other = (process.USER or pwd.getpwuid(os.geteuid())).pw_name, "root" if os.geteuid() == 0 else "daemon"
    text = "[Unit]\nUser=nonsense\n[Service]\nExecStart=/usr/bin/x --config {}\nUser={}\n"

    def said():
        bad, lines = world.check(**path)
        return bad, [line["text"] for line in lines if line["check"] == "units" and line["ok"]]

    for name in ("fluidhook.service", "fluidhook-worker.service"):
        world.site.write(system / name, text.format(world.site.conf, other), 0o644)
        assert said()[0] == [], "it is not enabled"
        (wants / name).symlink_to(system / name)
        ((check, what, hint),) = said()[0]
        assert check == "units" and what.startswith(f"{name} runs as {other}, but {world.site.state} belongs to "), what
        assert f"chown -R {other}: {world.site.state}" in hint and f"systemctl edit {name}" in hint, hint
        # A drop-in changes the user; of one name, the first directory's counts.
        for directory, who in ((system, other), (own, user)):
            (directory / f"{name}.d").mkdir()
            world.site.write(directory / f"{name}.d" / "user.conf", f"[Service]\nUser = {who}\n", 0o644)
        assert said() == ([], [f"run as the owner of the state directory, {user}"])
    # Enabled by its socket alone.
    (wants / "fluidhook.service").unlink()
    (wants / "fluidhook.socket").symlink_to("nothing")
    world.site.write(own / "fluidhook.service.d/zz.conf", "[Service]\nUser=no-such-user\n", 0o644)
    ((check, what, hint),) = said()[0]
    assert "no such user" in what and "adduser" in hint, what
    # Units of another configuration are not ours.
    world.site.write(own / "fluidhook.service.d/zz.conf", f"[Service]\nExecStart=\nExecStart=x {world.site.conf}.d\n",
                     0o644)
    assert said()[0] == []


def shared_volume(world):
    """A volume as Kubernetes makes it for fsGroup is told, and is no failure; other users' files are"""
    world.install()
    state = world.site.state
    group = process.USER.pw_gid if process.USER else os.getegid()
    for directory, _, files in os.walk(state):
        os.chown(directory, -1, group)
        os.chmod(directory, 0o2770)
        for name in files:
            os.chmod(os.path.join(directory, name), 0o660)
    if os.geteuid() == 0:
        os.chown(state, 0, group)
        state.chmod(0o2775)
    bad, said = world.check()
    (note,) = [line for line in said if line["hint"]]
    assert bad == [] and note["check"] == "state", (bad, note)
    assert f"{state}: group {group} can read and change it (mode 2" in note["text"] and "fsGroup" in note["hint"]
    record = next((state / "installations").glob("*.json"))
    record.chmod(0o664)
    ((check, text, _),) = world.check()[0]
    assert check == "state" and "open to others" in text, text


def nameless_owner(world):
    """The owner of the state directory has no name, as in a container: the advice can be followed"""
    if os.geteuid() != 0:
        raise tap.Skip("needs root")
    os.chown(world.site.state, 54321, 54321)
    ((check, text, hint),) = world.check()[0]
    assert check == "state" and "belongs to user 54321" in text, text
    assert "sudo -u '#54321' fluidhook check" in hint and "docker exec --user 54321" in hint, hint
    _, err = world.command.fails(1, "list")
    assert "sudo -u '#54321'" in err and "--user 54321" in err, err


def failed_installations(world):
    """An install that failed in the last days is named, with its reason and what to do"""
    company = world.install()
    record = world.site.record_path(company.dri)
    value = {**json.loads(record.read_text()), "status": "failed", "authentication_token": None,
             "webhook_verification_token": None}
    for reason, way in (("exchange_expired", "keep a worker running"), ("exchange_contradicts", "compare the droplet"),
                        ("exchange_refused", "worker's log")):
        world.site.write(record, json.dumps({**value, "reason": reason}))
        ((check, text, hint),) = world.check()[0]
        assert check == "installation" and text.startswith(f"{company.dri}: failed at 20") and reason in text, text
        assert way in hint and "install it again" in hint, hint
    world.site.write(record, json.dumps({**value, "reason": "exchange_refused", "updated_at": "2020-01-01T00:00:00Z"}))
    assert world.check()[0] == []


def subscriptions(world):
    """What to subscribe to wants an address that Fluid can deliver to."""
    text = world.site.conf_text() + "[worker]\nsubscribe = order.created\n"
    for url, says in ((None, "without public_url"), ("http://hooks.example.com/", "must be https")):
        world.site.write_conf(text + (f"public_url = {url}\n" if url else ""))
        ((check, what, hint),) = world.check()[0]
        assert check == "subscribe" and says in what and "public_url" in hint, what
    world.site.write_conf(text + "public_url = https://hooks.example.com/\n")
    bad, said = world.check()
    assert bad == [] and "1 event to https://hooks.example.com/" in str(said), said


def company_token(world):
    """The company's token may be missing, but not open to others."""
    world.site.write_conf(world.site.conf_text() + "[fluid]\ncompany_token = company.token\n")
    assert world.check()[0] == []
    world.site.write(world.site.dir / "company.token", fluid.credential("C-"), 0o644)
    ((check, text, _),) = world.check()[0]
    assert check == "company token" and "company.token" in text
    (world.site.dir / "company.token").chmod(0o600)
    assert world.check()[0] == []
    (world.site.dir / "company.token").chmod(0o000)
    bad, said = world.check()
    assert bad == [] and "not for this user to read" in str(said), "it may be root's alone"
    (world.site.dir / "company.token").chmod(0o600)
    world.site.write(world.site.dir / "ca.pem", "nothing of the kind\n")
    world.site.write_conf(world.site.conf_text() + "[fluid]\nca_file = ca.pem\n")
    ((check, text, _),) = world.check()[0]
    assert check == "ca_file" and "ca.pem: no certificates in it" in text, text
    world.site.write_conf(world.site.conf_text() + "[fluid]\nca_file = nothing.pem\n")
    ((check, text, _),) = world.check()[0]
    assert check == "ca_file" and "nothing.pem" in text


def hooks(world):
    """Hooks: misspelled, not executable, without interpreter, dangling, open to others."""
    for name in ("order.created", "any", "subscription", "fluidhook.install_failed", "pallet.moved"):
        world.hook(name)
    world.hook("README", "Our hooks\n", 0o644)
    world.hook(".old", mode=0o644)
    bad, said = world.check()
    assert bad == [], bad
    (text,) = [s["text"] for s in said if s["check"] == "hooks"]
    assert "pallet.moved (not an event that fluidhook knows)" in text and "README" not in text
    for name, meant in (("order.create", "order.created"), ("orders", "order"), ("Any", "any"),
                        ("droplet.instaled", "droplet.installed")):
        path = world.hook(name)
        ((check, text, hint),) = world.check()[0]
        assert check == "hooks" and text.startswith(f"{path}: ") and hint == f"Did you mean {meant}?"
        path.unlink()
    path = world.hook("order.created", mode=0o644)
    ((_, text, hint),) = world.check()[0]
    assert "cannot execute" in text and hint == "chmod +x it."
    path = world.hook("order.created", "#!/usr/bin/no-such-php\n")
    ((_, text, hint),) = world.check()[0]
    assert "interpreter" in text and "/usr/bin/no-such-php" in hint
    path = world.hook("order.created", mode=0o757)
    ((_, text, _),) = world.check()[0]
    assert "somebody else can change it" in text
    path.unlink()
    path.symlink_to("nowhere")
    ((_, text, _),) = world.check()[0]
    assert "No such file" in text
    path.unlink()
    world.hooks.chmod(0o777)
    ((_, text, _),) = world.check()[0]
    assert "somebody else can change what is in it" in text


NEVER_RUN = (
    # name, text, mode, what is said, part of the hint
    ("order.created.sh", "#!/bin/sh\n", 0o755, "never runs", "Rename it to order.created:"),
    ("order.create.py", "#!/bin/sh\n", 0o644, "never runs", "Rename it to order.created:"),
    ("order.sh", "#!/bin/sh\n", 0o755, "never runs", "Rename it to order:"),
    ("order.created.v2", "#!/bin/sh\n", 0o755, "never runs", "Rename it to order.created:"),
    ("any.php", "#!/bin/sh\n", 0o755, "never runs", "Rename it to any:"),
    ("any", "echo\n", 0o755, "no #! line", "#!/bin/sh"),
    ("any", "#!/bin/sh\r\necho\r\n", 0o755, "carriage return", "sed -i 's/\\r$//'"),
    ("any", "\ufeff#!/bin/sh\n", 0o755, "byte order mark", "without the mark"),
    ("any", "", 0o755, "is empty", "remove it"),
    ("any", "#!\n", 0o755, "names no interpreter", "#!/bin/sh"),
    ("any", "#!/bin\n", 0o755, "interpreter is not there", "/bin"),
    ("any", "#! /no/such/shell -e\n", 0o755, "interpreter is not there", "/no/such/shell:"),
    ("any", "#!bash-that-is-relative\n", 0o755, "interpreter is not there", "bash-that-is-relative"),
    ("any", "#!/usr/bin/env no-such-php\n", 0o755, "interpreter no-such-php is not there", "env no-such-php"),
    ("any", "#!/usr/bin/env -S A=1 no-such-php -d x\n", 0o755, "interpreter no-such-php is not there", "install"),
    ("any", "#!/usr/bin/env sh -e\n", 0o755, 'one program called "sh -e"', "env -S sh -e"),
    ("any", "#!/usr/bin/env\n", 0o755, "no program to run", "behind env"),
)

RUN = (("any", "#!/bin/sh\n"), ("any", "#! /bin/sh -e\n"), ("any", "#!/usr/bin/env sh\n"),
       ("any", "#!/usr/bin/env -S A=1 sh -e\n"), ("any", "#!bin/sh\n"), ("fluidhook.given_up", "#!/bin/sh\n"),
       ("order.created.bak", "echo\n"), ("order.created~", "echo\n"), ("lib.sh", "#!/bin/sh\n"))


def hooks_that_never_run(world):
    """A hook that can never run is named, with what to do about it"""
    for name, text, mode, said, way in NEVER_RUN:
        path = world.hook(name, text, mode)
        bad = world.check()[0]
        assert len(bad) == 1, (name, text, bad)
        ((check, what, hint),) = bad
        assert check == "hooks" and what.startswith(f"{path}: ") and said in what and way in hint, (text, bad)
        path.unlink()
    for name, text in RUN:
        path = world.hook(name, text)
        assert world.check()[0] == [], (name, text)
        path.unlink()
    (world.hooks / "order.created").mkdir()
    ((check, what, hint),) = world.check()[0]
    assert check == "hooks" and "is a directory" in what and "Rename" in hint
    (world.hooks / "order.created").rmdir()
    os.mkfifo(world.hooks / "order")
    process.give(world.hooks / "order")
    assert "not a regular file" in world.check()[0][0][1]
    (world.hooks / "order").unlink()
    # Of root, for root alone: the worker's user cannot execute it.
    if os.geteuid() == 0:
        path = world.hook("any")
        os.chown(path, 0, 0)
        path.chmod(0o744)
        ((_, what, hint),) = world.check()[0]
        assert "worker's user cannot execute it (mode 0744)" in what and "chmod a+x" in hint, what
        path.chmod(0o711)
        bad, said = world.check()
        assert bad == [] and "a script does not run then" in str(said), said
        path.unlink()
    # Only in the PATH of whoever checks.
    tools = world.site.dir / "tools"
    tools.mkdir()
    world.site.write(tools / "only-here", "#!/bin/sh\n", 0o755)
    for path in (world.site.dir, tools):
        path.chmod(0o755)
    world.hook("any", "#!/usr/bin/env only-here\n")
    bad, said = world.check(PATH=f"{tools}:/usr/bin:/bin")
    (note,) = [line for line in said if line["hint"]]
    assert bad == [] and "PATH of this shell" in note["text"] and "whole path" in note["hint"], note
    # A directory that is configured has to be there.
    world.hooks.rename(world.site.dir / "away")
    ((check, what, hint),) = world.check()[0]
    assert check == "hooks" and what == f"{world.hooks}: No such file or directory" and "make or mount" in hint


def noexec(world):
    """Hooks on a file system that is mounted noexec"""
    if os.geteuid() != 0:
        raise tap.Skip("needs root")
    script = ('mount -t tmpfs -o noexec,mode=0755 none "$1" && echo "#!/bin/sh" >"$1/any" && chmod 0755 "$1/any" && '
              'exec "$2" -c "$3" check --json')
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", world.hooks, world.command.program,
                           world.site.conf], env=process.environment(), capture_output=True, text=True, check=False)
    if not done.stdout:
        raise tap.Skip("cannot mount here")
    bad = [line for line in map(json.loads, done.stdout.splitlines()) if not line["ok"]]
    assert done.returncode == 1 and [line["check"] for line in bad] == ["hooks"], done
    assert "noexec" in bad[0]["text"] and "Mount it without noexec" in bad[0]["hint"], bad


def no_worker(world):
    """Installs that wait, and nobody at work."""
    company = Company(world.site.droplets[0])
    body = company.install_v2()
    headers = fluid.signed(world.site.droplets[0].secret, body)
    assert world.front.send(Request(headers=headers, body=body)).status == 202
    ((check, text, hint),) = world.check()[0]
    assert check == "worker" and "never ran" in text and "fluidhook work" in hint
    # It has been read, and waits for Fluid.
    world.command.run("work", "--once")
    pending = [json.loads(line) for line in world.command.ok("list", "--json").splitlines()][0]["status"] == "pending"
    if pending:
        ((check, text, hint),) = world.check()[0]
        assert check == "worker" and "1 installation waits" in text and "fluidhook work" in hint


def worker_state(world):
    """What the journal holds for a worker, and whether one takes it: never, not now, not any more"""
    company = world.install(work=False)
    ((check, text, hint),) = world.check()[0]
    assert check == "worker" and "never ran, and 1 delivery is unread since 20" in text, text
    assert "fluidhook-worker" in hint and "work --once" in hint, hint
    world.work()
    assert world.check()[0] == []
    # A worker from cron reads it soon.
    world.order(company)
    bad, said = world.check()
    (line,) = [line["text"] for line in said if line["check"] == "worker"]
    assert bad == [] and "1 delivery is unread" in line, line
    # Received 6 minutes ago.
    (path,) = world.site.journal_files()
    lines = path.read_text().splitlines(keepends=True)
    entry = json.loads(lines[-1])
    old = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 360))
    world.site.write(path, "".join(lines[:-1]) + lines[-1].replace(entry["received_at"], old))
    ((check, text, hint),) = world.check()[0]
    assert check == "worker" and text == f"does not run, and 1 delivery is unread since {old}", text
    assert "fluidhook-worker" in hint
    (unread,) = [json.loads(line) for line in world.command.ok("queue", "--json").splitlines()]
    assert unread == {"unread": 1, "oldest_unread_at": old, "under_way": 0, "worker_runs": False}, unread
    # A worker that is stopped: it holds its lock, and reads nothing.
    world.site.write_conf(world.site.conf_text() + "[worker]\nhooks = hooks\nhook_timeout = 1\n")
    world.hook("any", "#!/bin/sh\nkill -STOP $PPID\n")
    worker = process.start([world.command.program, "-c", world.site.conf, "work"], env=process.environment(),
                           stderr=subprocess.DEVNULL)
    try:
        process.wait_until(lambda: status_of(worker.pid) == "T", "the worker is not stopped")
        # One that goes on saves its position again and again, while something is under way.
        os.utime(world.site.state / "queue/position.json", (time.time() - 180,) * 2)
        ((check, text, hint),) = world.check()[0]
        assert check == "worker" and text.startswith("runs, but 1 delivery is unread"), text
        assert "Restart it" in hint
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    world.hook("any")
    world.work()
    assert world.check()[0] == []


def status_of(pid):
    """The letter of a process's state, as in ps."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0]


def queue_state(world):
    """Retries that are due without a worker, dead letters, and damaged items"""
    company = world.install()
    world.hook("order", "#!/bin/sh\nexit 1\n")
    delivery = world.order(company)
    world.work()
    bad, said = world.check()
    assert bad == [] and "1 delivery waits for another try" in str(said), said
    item = world.site.state / "queue/waiting" / f"{delivery}.json"
    good = item.read_text()
    value = json.loads(good)
    world.site.write(item, json.dumps({**value, "next": value["next"] - 3600}))
    ((check, text, hint),) = world.check()[0]
    assert check == "worker" and "1 delivery is due for more than 5 minutes" in text, text
    assert "fluidhook-worker" in hint
    world.hook("order", "#!/bin/sh\nexit 100\n")
    world.work()
    ((check, text, hint),) = world.check()[0]
    assert check == "queue" and text == "1 delivery was given up" and "fluidhook retry" in hint, text
    said = world.command.run("queue").stderr
    assert '1 delivery was given up: "fluidhook queue --dead" shows it.' in said and "Nothing waits" not in said, said
    dead = world.site.state / "queue/dead" / f"{delivery}.json"
    for path in (dead, item):
        world.site.write(path, good[:-9])
        bad = [line for line in world.check()[0] if "given up" not in line[1]]
        ((check, text, hint),) = bad
        assert check == "queue" and text == f"{path}: damaged" and "backup" in hint, text
        _, err = world.command.fails(1, "queue", *(["--dead"] if path == dead else []))
        assert path.name in err, err
        path.unlink()
    assert world.check()[0] == []


def kept_requests(world):
    """Requests that are kept until the key of their installation is there are counted"""
    company = Company(world.site.droplets[0])
    body = company.install_v2()
    headers = fluid.signed(world.site.droplets[0].secret, body)
    assert world.front.send(Request(headers=headers, body=body)).status == 202
    for _ in range(3):
        world.order(company, 503)
    _, said = world.check()
    (line,) = [line for line in said if line["check"] == "refused"]
    assert line["ok"] and line["text"].startswith("3 kept requests wait for the key"), line
    assert "fluidhook list" in line["hint"], line
    assert any(text.startswith("! refused ") for text in world.command.run("check").stdout.splitlines())


def receivers(world):
    """Receivers that serve are asked for their health; one that was killed is named"""
    fronts = [Listen("one.sock"), ListenTcp()]
    for front in fronts:
        front.start(world.site)
    seen = [f"unix:{fronts[0].address}", "%s:%d" % fronts[1].address]

    def said():
        _, lines = world.check()
        return {line["text"].partition(": ")[0].removeprefix("none serves now"): line
                for line in lines if line["check"] == "receiver"}

    # The note is made behind the first answer.
    process.wait_until(lambda: sorted(said()) == sorted(seen), "the receivers are not listed")
    assert all(line["ok"] for line in said().values()), said()

    secrets = world.site.secrets_file(world.site.droplets[0])
    text = secrets.read_text()
    secrets.write_text("# none\n")
    for line in said().values():
        assert not line["ok"] and "answers 503" in line["text"] and line["hint"], line
    secrets.write_text(text)

    # One that is stopped, as by a debugger, does not answer.
    stopped = fronts[1].serving()
    os.kill(stopped, signal.SIGSTOP)
    line = said()[seen[1]]
    assert not line["ok"] and "no answer within" in line["text"], line
    os.kill(stopped, signal.SIGCONT)

    # Killed with its supervisor: the note stays, without its lock. A new one takes its place.
    child = fronts[0].serving()
    # Stopped, the supervisor cannot start another one; killed first, it would end its child in order.
    os.kill(fronts[0].proc.pid, signal.SIGSTOP)
    os.kill(child, signal.SIGKILL)
    os.kill(fronts[0].proc.pid, signal.SIGKILL)
    fronts[0].proc.wait(30)
    process.wait_until(lambda: not os.path.exists(f"/proc/{child}"), "it is not dead")
    line = said()[seen[0]]
    assert not line["ok"] and "did not end in order" in line["text"], line
    assert f"rm {world.site.state}/queue/receivers/" in line["hint"], line
    front = Listen("one.sock")
    front.start(world.site)
    process.wait_until(lambda: said()[seen[0]]["ok"], "the new one is not seen")
    assert front.stop() == 0 and fronts[1].stop() == 0
    assert list(said()) == [" (a CGI program is started by each request)"], said()
    assert os.listdir(world.site.state / "queue/receivers") == []


def as_root(world):
    """Run as root it looks with the eyes of the receiver's user, and says so where that is another."""
    if os.geteuid() != 0:
        raise tap.Skip("needs root")
    file = world.site.secrets_file(world.site.droplets[0])
    os.chown(file, 0, 0)
    file.chmod(0o600)
    done = subprocess.run([world.command.program, "-c", world.site.conf, "check", "--json"], text=True,
                          env=process.environment(), capture_output=True, check=False, timeout=600)
    bad = [s for s in map(json.loads, done.stdout.splitlines()) if not s["ok"]]
    assert done.returncode == 1 and [s["check"] for s in bad] == ["secrets"], done
    assert "Permission denied" in bad[0]["text"]
    os.chown(world.site.state, 0, 0)
    world.site.state.chmod(0o700)
    ((check, text, hint),) = world.check()[0]
    assert check == "state" and "belongs to root" in text and "sudo -u root" in hint


def several_droplets(world):
    """Each droplet's secrets are looked at."""
    first, second = world.site.droplets
    world.site.secrets_file(second).unlink()
    ((check, text, _),) = world.check()[0]
    assert check == "secrets" and text.startswith("shipping: "), text
    assert first.name == "reports"


tap.run([with_world(function) for function in (
    in_order, configuration, state_directory, read_only, damaged_records, secrets, company_token,
    subscriptions, hooks, hooks_that_never_run, noexec, secrets_that_are_none, units, shared_volume, nameless_owner, failed_installations,
    no_worker, worker_state, queue_state, kept_requests, receivers, as_root)] + [
    with_world(several_droplets, droplets=[Droplet("reports"), Droplet("shipping")])])
