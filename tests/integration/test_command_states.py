#!/usr/bin/env python3
"""Every command: help, wrong usage, and a state directory that is missing, closed or damaged."""

import os
import pathlib
import re
import shutil
import stat
import subprocess

from harness import fluid, process, tap
from harness.command_site import CommandSite
from harness.site import COMMAND
from harness.fluid import Company
from harness.fronts import Cgi
from harness.tap import equal
from harness.web import Request
from harness.webservers import find

SITES = []
UUID = "01a20b4e-0000-7000-8000-000000000000"
# Those that read the state directory, and what they can do there.
STATE = [("list",), ("list", "--json"), ("show", "dri_x"), ("token", "dri_x"), ("token", "acme"),
         ("api", "GET", "/api/x", "--installation", "dri_x"), ("deliveries",),
         ("deliveries", "--json"), ("delivery", UUID), ("queue",), ("queue", "--dead"),
         ("retry", "--all"), ("prune", "--keep", "30d"), ("work", "--once"), ("subscribe", "--all")]


def new_site(*args, **fields):
    site = CommandSite(*args, **fields)
    site.fluid = {"company_token": site.token_file.name, "api": "http://127.0.0.1:1", "timeout": 1}
    site.write_conf(site.conf_text() +
                    "[worker]\nsubscribe = order.created\npublic_url = https://example.com/webhook\n")
    SITES.append(site)
    return site


def named(text):
    """The commands that a help lists."""
    return re.findall(r"^  ([a-z]+)  +[A-Z]", text, re.M)


def every_command(site):
    """All commands there are, as their help lists them: those of `webhook` too."""
    for name in named(site.ok("--help").decode()):
        yield (name,)
        text = site.ok(name, "--help").decode()
        if f"Usage: fluidhook {name} COMMAND" in text:
            yield from ((name, inner) for inner in named(text))


def help_of_all():
    """Every command has help: status 0, on standard output, without a configuration."""
    site = new_site()
    site.conf.unlink()
    commands = list(every_command(site))
    assert len(commands) >= 24 and ("webhook", "create") in commands, commands
    for words in commands:
        out = site.ok(*words, "--help").decode()
        assert out.startswith(f"Usage: fluidhook {' '.join(words)}"), out
        assert all(len(line) <= 100 for line in out.splitlines()), out
        equal(site.ok(*words, "--help", "more", "words") if len(words) == 1 and words[0] not in
              ("webhook", "secret") else out.encode(), out.encode())
    equal(site.run("--help").out, site.run("-h").out)


def wrong_usage():
    """A wrong option or word is status 2, says which, and does nothing."""
    site = new_site()
    commands = list(every_command(site))
    before = tree(site.dir)
    for words in commands:
        for wrong in ("--no-such-option", "-Z", "--json=yes", "--no\x1b[2Jsuch"):
            done = site.run(*words, wrong)
            lines = done.lines()
            equal((words, wrong, done.status, done.out), (words, wrong, 2, b""))
            assert lines and all("\x1b" not in line for line in lines), done
            assert "--help" in lines[-1] or wrong in lines[0] or "no command" in lines[0], done
        if words[0] not in ("retry", "subscribe"):
            equal((words, site.run(*words, *"abcdefg").status), (words, 2))
    for words in ((), ("nothing",), ("-x", "list"), ("-c",), ("webhook", "nothing"), ("lis",)):
        equal((words, site.run(*words).status), (words, 2))
    equal(tree(site.dir), before)


def tree(directory):
    """Every file below with its mode and contents."""
    found = {}
    for path in sorted(pathlib.Path(directory).rglob("*")):
        mode = path.lstat().st_mode
        found[str(path)] = (mode, path.read_bytes() if stat.S_ISREG(mode) else None)
    return found


def missing():
    """No state directory: each command says where it should be, and makes none."""
    site = new_site()
    shutil.rmtree(site.state)
    for words in STATE:
        done = site.run(*words).fails(
            f'fluidhook: {site.state}: No such file or directory; "fluidhook init" makes the state '
            "directory")
        equal((words, done.out), (words, b""))
    assert not site.state.exists()


def unreadable():
    """A state directory that is closed to us: each command says so, and whose it is."""
    site = new_site()
    try:
        site.state.chmod(0)
        for words in STATE:
            done = site.run(*words)
            (line,) = done.lines()
            assert line.startswith(f"fluidhook: {site.state}: Permission denied"), (words, line)
            assert "sudo" not in line, (words, line)
            equal((words, done.status, done.out), (words, 1, b""))
        if process.USER is None:
            return
        os.chown(site.state, 0, 0)
        site.state.chmod(0o700)
        for words in STATE:
            (line,) = site.run(*words).lines()
            equal((words, line), (words, f"fluidhook: {site.state}: Permission denied; it belongs to "
                                         'root: try "sudo -u root fluidhook ..."'))
    finally:
        site.state.chmod(0o700)


def deliver(site, body, secret):
    front = Cgi()
    front.start(site)
    answer = front.send(Request(headers=fluid.signed(secret, body), body=body))
    assert answer.status in (200, 202), answer
    return answer


def put(path, data, mode=0o600):
    """A file, a directory (None) or a link (a path) of the receiver's user."""
    if data is None:
        path.mkdir()
    elif isinstance(data, pathlib.Path):
        path.symlink_to(data)
    else:
        path.write_bytes(data)
        path.chmod(mode)
    process.give(path)


DAMAGED_RECORDS = {
    "dri_empty": (b"", "damaged: it is no installation record"),
    "dri_cut": (b'{"status":"active","authentication_token":"dit_', "damaged: it is no installation record"),
    "dri_garbage": (b"\0\xff" * 5000, "damaged: it is no installation record"),
    "dri_list": (b"[]", "damaged: it is no installation record"),
    "dri_no_status": (b"{}", "damaged: it is no installation record"),
    "dri_other_status": (b'{"status":"excellent"}', "damaged: it is no installation record"),
    "dri_deep": (b'{"status":"active","a":' + b"[" * 5000, "damaged: it is no installation record"),
    "a b\x1b[2J": (b"{}", "damaged: it is no installation record"),
    "x" * 201: (b"{}", "damaged: it is no installation record"),
    "dri_directory": (None, "is no regular file"),
    "dri_link": (pathlib.Path("/etc/passwd"), "Too many levels of symbolic links"),
    "dri_large": (b" " * (9 << 20), "File too large"),
    "dri_closed": (b"{}", "Permission denied"),
}


def damaged_site():
    """Three installations and their deliveries, amid files that nobody can read."""
    site = new_site()
    companies = [Company(site.droplets[0]) for _ in range(3)]
    for company in companies:
        deliver(site, company.install(), site.droplets[0].secret)
    directory = site.state / "installations"
    for name, (data, _) in DAMAGED_RECORDS.items():
        put(directory / f"{name}.json", data, 0 if name == "dri_closed" else 0o600)
    os.mkfifo(directory / "dri_pipe.json")
    process.give(directory / "dri_pipe.json")
    for shop in ("acme", companies[0].shop):
        (site.state / "shops" / shop).mkdir(exist_ok=True)
        process.give(site.state / "shops" / shop)
        put(site.state / "shops" / shop / "dri_cut", pathlib.Path("../../installations/dri_cut.json"))
        put(site.state / "shops" / shop / "dri_gone", pathlib.Path("../../installations/dri_gone.json"))
    return site, companies


def damaged_records():
    """list names each damaged record, and shows the rest."""
    site, companies = damaged_site()
    want = {f"fluidhook: {site.state}/installations/{name}.json: {why}".replace("\x1b", "\\x1b")
            for name, (_, why) in DAMAGED_RECORDS.items()}
    want.add(f"fluidhook: {site.state}/installations/dri_pipe.json: is no regular file")
    for words in (("list",), ("list", "--json"), ("list", "--status", "active")):
        done = site.run(*words)
        equal((words, done.status, sorted(done.lines())), (words, 1, sorted(want)))
        for company in companies:
            equal((words, done.out.count(company.dri.encode())), (words, 2 if "--json" in words else 1))
    equal(len(site.run("list", "--status", "failed").out), 0)
    for words in (("show",), ("token",), ("api", "GET", "/api/x", "--installation")):
        site.run(*words, "dri_cut").fails(
            f"fluidhook: {site.state}/installations/dri_cut.json: damaged: it is no installation record")
        site.run(*words, "dri_directory").fails(
            f"fluidhook: {site.state}/installations/dri_directory.json: is no regular file")
        # Of the shop nothing else is known.
        site.run(*words, "acme").fails(
            f"fluidhook: {site.state}/installations/dri_cut.json: damaged: it is no installation record")
    equal(site.ok("show", companies[1].shop).count(companies[1].dri.encode()), 1)
    # Of this shop one record is left, and what is not is said.
    done = site.run("show", companies[0].shop)
    equal((done.status, done.out.count(companies[0].dri.encode()), len(done.lines())), (0, 1, 1))


def damaged_journal():
    """deliveries names each damaged journal file, once, and shows the rest."""
    site = new_site()
    company = Company(site.droplets[0])
    deliver(site, company.install(), site.droplets[0].secret)
    deliver(site, company.order(), site.droplets[0].secret)
    (today,) = site.journal_files()
    good = today.read_bytes()
    first, second = good.splitlines(keepends=True)
    directory = site.state / "journal"
    why = "damaged: lines that are not deliveries are skipped"
    today.write_bytes(first + b"garbage\n{}\n\0\0\0\n" + second + second[:50])
    put(directory / "2020-01-05.jsonl", first + second[:50] + b"\n" + second)
    put(directory / "2020-01-04.jsonl", None)
    put(directory / "2020-01-03.jsonl", pathlib.Path("/etc/passwd"))
    put(directory / "2020-01-02.jsonl", first, 0)
    os.mkfifo(directory / "2020-01-01.jsonl")
    process.give(directory / "2020-01-01.jsonl")
    put(directory / "2019-12-31.jsonl", first)
    put(directory / "2019-12-30.jsonl", b"")
    put(directory / "2019-12-29.jsonl", first[:-1])
    put(directory / "2019-12-28.1.jsonl", b"\n\n" + first.replace(b'"timestamp":1', b'"timestamp":"1"+'))
    put(directory / "README", b"not of the journal\n")
    want = [f"fluidhook: {directory}/{name}.jsonl: {text}" for name, text in (
        (today.stem, why), ("2020-01-05", why), ("2020-01-04", "is no regular file"),
        ("2020-01-03", "Too many levels of symbolic links"), ("2020-01-02", "Permission denied"),
        ("2020-01-01", "is no regular file"), ("2019-12-28.1", why))]
    events = ["order.created", "droplet.installed"] * 2 + ["droplet.installed"]
    for words in (("deliveries",), ("deliveries", "--json")):
        done = site.run(*words)
        equal((words, done.status, done.lines()), (words, 1, want))
        said = [event for line in done.out.decode().splitlines()
                for event in ("order.created", "droplet.installed") if event in line]
        equal((words, said), (words, events))
    # What was asked for was found before anything damaged.
    equal(site.run("deliveries", "-n", "1").lines(), [])
    first_uuid = first.split(b'"')[3].decode()
    # A whole UUID is found at its place; for a part of one, all lines of its days are read.
    for uuid, lines in ((first_uuid, []), (first_uuid[:-1], want[:1])):
        done = site.run("delivery", uuid, "--raw")
        equal((done.status, done.out, done.lines()), (0, company_body(first), lines))
        site.said.remove(done.out)
    equal(site.run("delivery", UUID).lines()[-1],
          f"fluidhook: {UUID}: no such delivery in the journal")


def company_body(line):
    return fluid.json.loads(line)["body"].encode()


def disk_error():
    """Where the disk cannot be read, deliveries names the file and goes on with the one before."""
    strace = find("strace")
    if not strace:
        raise tap.Skip("strace is not installed")
    site = new_site()
    deliver(site, Company(site.droplets[0]).install(), site.droplets[0].secret)
    (today,) = site.journal_files()
    put(site.state / "journal/2020-01-01.jsonl", today.read_bytes())
    done = subprocess.run(
        [strace, "-f", "-qq", "-o", "/dev/null", "-P", today.resolve(), "-e", "trace=pread64", "-e",
         "inject=pread64:error=EIO", *site.argv("deliveries", "--json")],
        env=site.environment(ASAN_OPTIONS="detect_leaks=0"), cwd="/", check=False, timeout=600,
        capture_output=True, **process.identity())
    equal((done.returncode, done.stderr.decode(), done.stdout.count(b"\n")),
          (1, f"fluidhook: {site.state}/journal/{today.name}: Input/output error\n", 1))


def damaged_directories():
    """What should be a directory is none: each command says which, and ends by itself."""
    site = new_site()
    deliver(site, Company(site.droplets[0]).install(), site.droplets[0].secret)
    for name in ("installations", "journal", "queue", "shops"):
        directory, aside = site.state / name, site.state / "aside"
        directory.rename(aside)
        for data in (b"a file\n", pathlib.Path("aside")):
            put(directory, data)
            for words in STATE:
                done = site.run(*words)
                assert done.status in (0, 1), (name, done)
                if name in ("installations", "journal") and words[0] in (
                        "list", "show", "token", "api", "deliveries", "delivery"):
                    mine = "journal" if words[0].startswith("deliver") else "installations"
                    text = f"{site.state}/{name}: "
                    equal((name, words, any(text in line for line in done.lines())),
                          (name, words, mine == name))
            directory.unlink()
        aside.rename(directory)


def damaged_everywhere():
    """With every file of the state directory damaged each command still ends by itself."""
    for data in (b"", b"\0" * 100, b"{", b'{"a":1}\n', b"[]\n"):
        site = new_site()
        for company in (Company(site.droplets[0]), Company(site.droplets[0])):
            deliver(site, company.install(), site.droplets[0].secret)
            deliver(site, company.install_v2(droplet_installation_uuid=fluid.opaque("dri_")),
                    site.droplets[0].secret)
            deliver(site, company.order(), site.droplets[0].secret)
        site.run("work", "--once")
        for path in site.state.rglob("*"):
            if path.is_file() and not path.is_symlink():
                path.write_bytes(data)
        for words in STATE:
            done = site.run(*words)
            assert done.status in (0, 1), done
            assert all(line.isprintable() for line in done.lines()), done
        equal([path for path in site.state.rglob("*") if ".new" in path.name or ".tmp" in path.name], [])


def full_disk():
    """What cannot be printed is a failure."""
    site = new_site()
    deliver(site, Company(site.droplets[0]).install(), site.droplets[0].secret)
    for words in (("list",), ("list", "--json"), ("deliveries",), ("webhook", "--help"), ("--version",)):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(site.argv(*words), env=site.environment(), stdout=full, cwd="/",
                                  stderr=subprocess.PIPE, check=False, **process.identity())
        equal((words, done.returncode, done.stderr),
              (words, 1, b"fluidhook: standard output cannot be written: No space left on device; "
               b"what was printed is not complete\n"))


def root_only():
    if process.USER is None:
        raise tap.Skip("not run as root")


def as_root():
    """Run as root it becomes the owner of the state directory: nothing it writes is root's."""
    root_only()
    site = new_site()
    company = Company(site.droplets[0])
    deliver(site, company.install(), site.droplets[0].secret)
    deliver(site, company.order(), site.droplets[0].secret)
    for words in (("list",), ("show", company.dri), ("deliveries",), ("queue",)):
        done = site.run(*words, root=True)
        equal((words, done.status), (words, 0))
    token = site.run("token", company.shop, root=True)
    equal(token.out.decode(), company.dit + "\n")
    site.said.remove(token.out)
    for words in (("work", "--once"), ("retry", "--all"), ("prune", "--keep", "1d")):
        equal((words, site.run(*words, root=True).status), (words, 0))
    equal({path.lstat().st_uid for path in [site.state, *site.state.rglob("*")]},
          {process.USER.pw_uid})
    site.check_modes()


def secrets_keep_owner():
    """secret add and retire keep the file's owner, group, mode and remarks, and a link a link."""
    root_only()
    site = new_site()
    droplet, file = site.droplets[0], site.secrets_file(site.droplets[0])
    real = site.dir / "real.secrets"
    remarks = f"# first remark\n\n{droplet.secrets[0]}\n  # second\n{droplet.secrets[1]}\r\n# last"
    for uid, gid, mode in ((0, process.USER.pw_gid, 0o640), (1, 2, 0o440), (0, 0, 0o600)):
        for link in (False, True):
            file.unlink()
            where = real if link else file
            where.write_text(remarks)
            os.chown(where, uid, gid)
            where.chmod(mode)
            if link:
                file.symlink_to("real.secrets")
            before = where.read_bytes()

            def check(text):
                st = where.lstat()
                equal((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (uid, gid, mode))
                equal((where.read_bytes(), file.is_symlink()), (text, link))

            site.write(site.dir / "key", fluid.credential("dws_"))
            key = (site.dir / "key").read_bytes()
            done = site.run("secret", "add", site.dir / "key", root=True)
            equal((done.status, done.err), (0, b""))
            at = before.index(droplet.secrets[0].encode())
            check(before[:at] + key + b"\n" + before[at:])
            equal(site.run("secret", "add", site.dir / "key", root=True).status, 1)
            equal(site.run("secret", "retire", "1", "--force", root=True).status, 0)
            check(before)
            done = site.run("secret", "add", root=True)
            equal(done.status, 0)
            fresh = where.read_bytes()[at:].split(b"\n")[0]
            fluid.CREDENTIALS.add(fresh.decode())
            assert re.fullmatch(rb"dws_[0-9a-f]{64}", fresh), fresh
            # What the receiver's user may not change stays as it is.
            now = where.read_bytes()
            done = site.run("secret", "retire", "1", "--force")
            if (uid, mode) != (process.USER.pw_uid, 0o600):
                equal((done.status, where.read_bytes()), (1, now))
            equal(site.run("secret", "retire", "1", "--force", root=True).status, 0)
            check(before)
            real.unlink(missing_ok=True)
            if not link:
                continue
            file.unlink()
            file.touch()
    equal([path.name for path in site.dir.iterdir() if path.name.endswith(".new")], [])
    file.unlink()
    equal(site.run("secret", "add", root=True).status, 0)
    fluid.CREDENTIALS.add(file.read_text().strip())
    st = file.stat()
    equal((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (0, process.USER.pw_gid, 0o640))
    file.chmod(0o644)
    site.run("secret", "add", root=True).fails(
        f"fluidhook: {file}: open to other users: chmod o= it")


def secret_words():
    """Secrets come from a file or standard input, one on one line; none other is taken."""
    site = new_site()
    file = site.secrets_file(site.droplets[0])
    key = fluid.credential("dws_")
    site.ok("secret", "add", "-", stdin=key.encode() + b"\r\n")
    equal(file.read_text().splitlines()[2], key)
    before = file.read_bytes()
    for text in (b"", b"\n", b"two\nlines\n", b"# remark", b"a\0b", b"x" * 2000, key.encode(),
                 b"a\x1b[2Jb", b"bell\x07"):
        done = site.run("secret", "add", "-", stdin=text)
        equal((text[:20], done.status, len(done.lines())), (text[:20], 1, 1))
    for words in (("retire",), ("retire", "0"), ("retire", "x"), ("retire", "1x"), ("retire", "-1"),
                  ("retire", "99999999999999999999"), ("add", "a", "b")):
        equal((words, site.run("secret", *words).status), (words, 2))
    for words in (("retire", "4"), ("add", site.dir / "nowhere"), ("add", site.dir)):
        equal((words, site.run("secret", *words).status), (words, 1))
    equal(file.read_bytes(), before)


def secret_mark():
    """A byte order mark in a secret file is skipped, and never becomes part of a secret."""
    site = new_site()
    file = site.secrets_file(site.droplets[0])
    first, second, third = (fluid.credential("dws_") for _ in range(3))
    mark = b"\xef\xbb\xbf"
    site.write(file, mark.decode() + first + "\r\n")
    assert fluid.fingerprint(first) in site.run("secret", "list").out.decode()
    site.ok("secret", "add", "-", stdin=mark + second.encode() + b"\r\n")
    (site.dir / "key").write_bytes(mark + third.encode() + b"\n")
    process.give(site.dir / "key")
    site.ok("secret", "add", site.dir / "key")
    equal(file.read_text().split(), [third, second, first])
    site.write(file, mark.decode() + first + "\n" + second + "\n")
    site.ok("secret", "retire", "1", "--force")
    equal(file.read_text().split(), [second])


def no_leaks():
    """Of all that was printed and logged, nothing is a token, a secret or a signature."""
    assert sum(len(text) for site in SITES for text in site.said) > 50000
    equal([word for site in SITES for word in site.leaks()], [])


if not COMMAND.is_file():
    tap.bail(f"there is no {COMMAND}: build first")
tap.run([tap.Test(function.__doc__.split("\n")[0].rstrip("."), function) for function in (
    help_of_all, wrong_usage, missing, unreadable, damaged_records, damaged_journal, disk_error, damaged_directories,
    damaged_everywhere, full_disk, as_root, secrets_keep_owner, secret_words, secret_mark, no_leaks)])
