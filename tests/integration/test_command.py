#!/usr/bin/env python3
"""The command: set-up, queries, secrets and the worker, over a state directory that a CGI has filled."""
import hashlib
import json
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import process, tap  # noqa: E402
from harness.site import COMMAND, RECEIVER, SOURCE  # noqa: E402

SAMPLE = SOURCE / "examples/deliveries/droplet_installed-flat-v1.json"
ORDER = SOURCE / "examples/deliveries/order_created.json"
DRI = "dri_ssklg1e12jewefxfrorx92v317t0b2ho"
TOKEN = "dit_n9F8NmwVzaKiCMDRAN4FBsj8jlvR0I31"
KEY = "wvt_1vGG3sDMABi5jQ0z5OYnD4gcpn92trvnk"
COMMANDS = ("init check register webhook secret list show token api deliveries delivery send doctor work "
            "subscribe queue retry import repair verify prune help version").split()


class Place:
    """A configuration made by init, and the state that belongs to it."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.conf = self.directory / "conf/fluidhook.conf"
        self.state = self.directory / "state"
        user = ["--user", "root"] if os.geteuid() == 0 else []
        self.ok("init", "--state-dir", self.state, *user)

    def run(self, *words, **more):
        env = process.environment(HOME=str(self.directory), **more)
        return subprocess.run([COMMAND, "-c", self.conf, *words], env=env, text=True, timeout=600,
                              capture_output=True, check=False, cwd="/", stdin=subprocess.DEVNULL)

    def ok(self, *words, **more):
        done = self.run(*words, **more)
        assert done.returncode == 0, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def deliver(self, file):
        """Sign and deliver a body through the CGI, with the secret that init made."""
        sign = subprocess.run([SOURCE / "script/sign", self.directory / "conf/droplet.secrets", file],
                              capture_output=True, text=True, check=True, timeout=600)
        headers = dict(line.split(": ", 1) for line in sign.stdout.splitlines() if ": " in line)
        env = process.environment(
            FLUIDHOOK_CONF=str(self.conf), GATEWAY_INTERFACE="CGI/1.1", REQUEST_METHOD="POST",
            CONTENT_LENGTH=str(file.stat().st_size), CONTENT_TYPE="application/json",
            **{"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()
               if name.lower().startswith("x-fluid")})
        done = subprocess.run([RECEIVER], env=env, input=file.read_bytes(), timeout=600,
                              capture_output=True, check=True)
        assert b"Status: 200" in done.stdout, (done.stdout, done.stderr)
        return json.loads(done.stdout.split(b"\r\n\r\n", 1)[1])


def with_place(function):
    def run():
        with tempfile.TemporaryDirectory(prefix="fh-command-") as directory:
            function(Place(directory))
    return run


def init_keeps(place):
    """What init made is not changed by a second one, and is closed to others."""
    before = {path: path.read_bytes() for path in place.conf.parent.iterdir() if path.is_file()}
    assert "made" not in place.ok("init", "--state-dir", place.state).split("Next:")[0]
    assert before == {path: path.read_bytes() for path in before}
    assert stat.S_IMODE((place.conf.parent / "droplet.secrets").stat().st_mode) == 0o640
    assert stat.S_IMODE(place.state.stat().st_mode) == 0o700


def init_elsewhere(place):
    """init where no home is needed, or says what is missing; it writes no configuration that means another."""
    program = shutil.copy(COMMAND, place.directory / "fluidhook")     # the build directory may be closed to others
    place.directory.chmod(0o755)
    open_to_all = place.directory / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)

    def init(*words, **more):
        return subprocess.run([program, *words], env=process.environment(), text=True, timeout=600, cwd="/",
                              capture_output=True, check=False, **more)

    if os.geteuid() == 0:
        nobody = {"user": 54321, "group": 54321, "extra_groups": []}    # not in the user database
        done = init("init", **nobody)
        assert done.returncode == 1 and "-c FILE" in done.stderr, done
        done = init("-c", open_to_all / "f.conf", "init", "--state-dir", open_to_all / "state", **nobody)
        assert done.returncode == 0 and (open_to_all / "state").stat().st_uid == 54321, done
    user = ["--user", "root"] if os.geteuid() == 0 else []
    done = init("-c", open_to_all / "a/b/f.conf", "init", "--state-dir", place.state, *user)
    assert done.returncode == 1 and f"{open_to_all}/a/b: its parent directory does not exist" in done.stderr, done
    for name in ("a ;b", "a\nlog = x", "a\x7f", "a "):
        done = init("-c", open_to_all / "x/f.conf", "init", "--state-dir", open_to_all / name, *user)
        assert done.returncode == 1 and "--state-dir" in done.stderr, (name, done)
    assert not (open_to_all / "x").exists()
    done = init("-c", open_to_all / "x/f.conf", "init", "--state-dir", open_to_all / "a;b c", *user)
    assert done.returncode == 0, done
    assert f"{open_to_all}/a;b c, of" in init("-c", open_to_all / "x/f.conf", "check").stdout
    done = init("-c", "/fluidhook.conf", "init", "--state-dir", "/proc/none", *user)
    assert done.returncode == 1 and done.stderr.startswith("fluidhook: /proc/none: "), done


def init_refuses(place):
    """init makes no secrets in a git work tree, and takes no link to nothing for a file that is there."""
    user = ["--user", "root"] if os.geteuid() == 0 else []
    tree = place.directory / "tree"
    (tree / ".git").mkdir(parents=True)
    (tree / "in").mkdir()
    (place.directory / "link").symlink_to(tree / "in")

    def init(conf, *words):
        return subprocess.run([COMMAND, "-c", conf, "init", "--state-dir", place.directory / "other", *user, *words],
                              env=process.environment(), text=True, timeout=600, cwd="/", capture_output=True,
                              check=False)

    for conf in (tree / "f.conf", tree / "in/f.conf", tree / "in/new/f.conf", place.directory / "link/f.conf"):
        done = init(conf)
        assert done.returncode == 1 and "git work tree" in done.stderr and "--force" in done.stderr, done
        assert not (place.directory / "other").exists() and not conf.exists()
    done = init(tree / "in/f.conf", "--force")
    assert done.returncode == 0 and (tree / "in/droplet.secrets").exists(), done
    assert init(tree / "in/f.conf").returncode == 0, "what is there is kept"
    for number, name in enumerate(("f.conf", "droplet.secrets", "")):
        directory = place.directory / f"dangling{number}"
        (directory if name else place.directory).mkdir(exist_ok=True)
        (directory / name if name else directory).symlink_to("nothing")
        done = init(directory / "f.conf")
        assert done.returncode == 1, done
        assert f"{directory / name if name else directory}: a link to a file that does not exist" in done.stderr, done
    printed = place.ok("init", "--state-dir", place.state)
    for step in ("Behind your nginx", "company.token", "check", "register https://", "doctor https://", "work",
                 "deliveries"):
        assert step in printed.split("Next:")[1], (step, printed)


def default_user(place):
    """Started as root without --user, the state belongs to the web server's user, or nothing is made."""
    if os.geteuid() != 0:
        raise tap.Skip("not run as root")
    if any(Path(directory, "fluidhook.service").exists() for directory in ("/etc/systemd/system", "/lib/systemd/system")):
        raise tap.Skip("units are installed here")
    names = {entry.pw_name for entry in pwd.getpwall()}
    expected = next((name for name in ("www-data", "nginx", "apache", "http") if name in names), None)
    place.directory.chmod(0o755)
    (place.directory / "root").mkdir()
    done = subprocess.run([COMMAND, "-c", place.directory / "root/f.conf", "init", "--state-dir",
                           place.directory / "root/state"], env=process.environment(), text=True, timeout=600, cwd="/",
                          capture_output=True, check=False)
    if expected is None:
        assert done.returncode == 1 and "--user" in done.stderr, done
    else:
        assert done.returncode == 0, done
        assert (place.directory / "root/state").stat().st_uid == pwd.getpwnam(expected).pw_uid


def secrets(place):
    """Secrets come and go by fingerprint, and are live at once; none is ever printed."""
    file = place.conf.parent / "droplet.secrets"
    first = file.read_text().strip()
    fresh = place.ok("secret", "add").split()[0]
    newest = file.read_text().splitlines()[0]
    listed = place.ok("secret", "list", "--json")
    assert [json.loads(line)["fingerprint"] for line in listed.splitlines()][0] == fresh
    assert first not in listed and newest not in listed
    assert place.deliver(ORDER)["status"] == "accepted"
    place.ok("secret", "retire", "2")
    assert file.read_text().split() == [newest]
    assert place.run("secret", "retire", "1").returncode == 1
    assert place.run("secret", "retire", "7").returncode == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def retire_means_it(place):
    """The secret that retire names is gone, from every line that had it, and nothing else is."""
    file = place.conf.parent / "droplet.secrets"
    file.write_text("# ours\n\nnewest\n\t\n older\t\n# since May\r\n\r\nnewest\noldest")
    listed = [line.split()[1] for line in place.ok("secret", "list").splitlines()[1:]]
    assert place.ok("secret", "retire", "2").split() == [listed[1]]
    assert file.read_text() == "# ours\n\nnewest\n\t\n# since May\n\nnewest\noldest"
    assert place.ok("secret", "retire", "1").split() == [listed[0]]
    assert file.read_text() == "# ours\n\n\t\n# since May\n\noldest"
    done = place.run("secret", "retire", "1")
    assert done.returncode == 1 and "--force" in done.stderr and "oldest" in file.read_text()
    assert place.ok("secret", "retire", "1", "--force").split() == [listed[3]]
    assert "oldest" not in file.read_text()


def add_means_it(place):
    """What add takes is live afterwards as it is; what cannot be a line of the file never gets there."""
    file = place.conf.parent / "droplet.secrets"
    other = place.conf.parent / "other"
    before = file.read_text()
    for wrong in ("a\tb", "a\rb", "a\x1b[31m", "a\x7f", "# remark", "two\nlines", "", " \n", "x" * 513):
        other.write_text(wrong)
        done = place.run("secret", "add", other)
        assert done.returncode == 1 and str(other) in done.stderr, (wrong, done)
        assert file.read_text() == before, wrong
    other.write_text("  fine \r\n\n")
    print_ = place.ok("secret", "add", other).split()[0]
    assert file.read_text() == "fine\n" + before and print_ == hashlib.sha256(b"fine").hexdigest()[:12]
    file.write_text("# no end of line")
    place.ok("secret", "add", other)
    assert file.read_text() == "# no end of line\nfine\n"
    file.write_text("# " + "x" * 65530 + "\n")
    done = place.run("secret", "add", other)
    assert done.returncode == 1 and "too large" in done.stderr and str(file) in done.stderr, done
    assert "fine" not in file.read_text(), "larger files are not read"


def add_from_stdin(place):
    """- is standard input as it is: from where it stands, and whoever may open its file."""
    file = place.conf.parent / "droplet.secrets"
    given = place.conf.parent / "given"
    given.write_text("first line\nsecond-line\n")
    subprocess.run(["sh", "-c", 'read -r line; exec "$0" -c "$1" secret add -', COMMAND, place.conf],
                   stdin=given.open(), check=True, capture_output=True, timeout=600)
    assert file.read_text().startswith("second-line\n"), "the shell has read the first line"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"from-a-socket\n")
        ours.shutdown(socket.SHUT_WR)
        subprocess.run([COMMAND, "-c", place.conf, "secret", "add", "-"], stdin=theirs, check=True,
                       capture_output=True, timeout=600)
    assert file.read_text().startswith("from-a-socket\n")


def queries(place):
    """What arrived can be asked for in every form, and only token prints a token."""
    install, order = place.deliver(SAMPLE), place.deliver(ORDER)
    said = place.ok("list") + place.ok("list", "--json") + place.ok("show", DRI)
    said += place.ok("show", "fluid", "--json") + place.ok("deliveries") + place.ok("queue")
    said += place.ok("delivery", install["delivery"]) + place.ok("deliveries", "--json")
    said += place.ok("delivery", install["delivery"], "--json")
    assert TOKEN not in said and KEY not in said, said
    assert place.ok("token", DRI) == TOKEN + "\n"
    newest = [json.loads(line) for line in place.ok("deliveries", "--json").splitlines()]
    assert [one["delivery"] for one in newest] == [order["delivery"], install["delivery"]]
    only = place.ok("deliveries", "--event", "order", "--since", "1h", "--json").splitlines()
    assert [json.loads(line)["event"] for line in only] == ["order.created"]
    assert place.ok("delivery", order["delivery"], "--raw") == ORDER.read_text()
    assert place.run("show", "dri_nobody").returncode == 1
    assert place.run("delivery", "01a20b4e-0000-7000-8000-000000000000").returncode == 1


def terminals(place):
    """What a body says does nothing to a terminal."""
    file = place.directory / "odd.json"
    file.write_text('{"resource":"order","event":"created","order":{"note":"\\u009b31m\x9b5m\\u001b[2J"}}')
    shown = place.ok("delivery", place.deliver(file)["delivery"])
    assert "\x9b" not in shown and "\x1b" not in shown, shown
    assert r'"note": "\x9b31m\x9b5m\u001B[2J"' in shown, shown


def damaged(place):
    """A damaged record is named, and the rest is listed all the same."""
    place.deliver(SAMPLE)
    (place.state / "installations/dri_broken.json").write_text('{"status":')
    done = place.run("list")
    assert done.returncode == 1 and "dri_broken.json" in done.stderr and DRI in done.stdout


def hooks(place):
    """The worker runs the most specific hook, once, and what fails waits."""
    directory = place.conf.parent / "hooks"
    (directory / "any").write_text("#!/bin/sh\ncat >/dev/null; exit 3\n")
    (directory / "droplet.installed").write_text(
        f'#!/bin/sh\ncat >>{place.directory}/installed; echo "$FLUIDHOOK_EVENT" >>{place.directory}/events\n')
    for hook in directory.iterdir():
        hook.chmod(0o755)
    place.deliver(SAMPLE)
    order = place.deliver(ORDER)
    place.deliver(SAMPLE)
    place.ok("work", "--once")
    place.ok("work", "--once")
    assert (place.directory / "installed").read_bytes() == SAMPLE.read_bytes()
    assert (place.directory / "events").read_text() == "droplet.installed\n"
    waits = [json.loads(line) for line in place.ok("queue", "--json").splitlines()]
    assert [(one["delivery"], one["attempts"], one["why"]) for one in waits] == [
        (order["delivery"], 1, "exit 3")], waits


def prune_keeps(place):
    """Old days go, but not those that hold what has not been delivered."""
    place.deliver(SAMPLE)
    journal = place.state / "journal"
    (today,) = journal.iterdir()
    (journal / "2020-01-01.jsonl").write_text(today.read_text())
    assert place.run("prune").returncode == 2
    assert place.ok("prune", "--keep", "30d", "--dry-run") == "2020-01-01.jsonl\n"
    place.ok("prune", "--keep", "30d")
    assert list(journal.iterdir()) == [today]


def usage(place):
    """Every command has help, and says 2 to an option it does not know."""
    for name in COMMANDS:
        assert place.ok(name, "--help").startswith(f"Usage: fluidhook {name}"), name
        assert place.run(name, "--no-such-option").returncode == 2, name
    assert place.run("no-such-command").returncode == 2
    (place.conf.parent / "bad.conf").write_text("nonsense = 1\n")
    bad = subprocess.run([COMMAND, "-c", place.conf.parent / "bad.conf", "list"], text=True,
                         capture_output=True, check=False, timeout=600)
    assert bad.returncode == 2 and "bad.conf:1:" in bad.stderr


if __name__ == "__main__":
    tap.run([tap.Test(function.__doc__.split(".")[0].replace("#", ""), with_place(function)) for function in
             (init_keeps, init_elsewhere, init_refuses, default_user, secrets, retire_means_it, add_means_it,
              add_from_stdin, queries, terminals, damaged, hooks, prune_keeps, usage)])
