#!/usr/bin/env python3
"""A state directory that is missing, moved, replaced, not initialised or locked: 503, and who says why."""

import contextlib
import fcntl
import json
import shutil
import subprocess
import time

from harness import fluid, process, tap
from harness.command_site import CommandSite
from harness.fluid import Company
from harness.fronts import Cgi, Listen
from harness.site import MARK, QUEUE, STATE, make_state
from harness.web import Request
from harness.webservers import find


@contextlib.contextmanager
def place(front=None):
    """A site that has taken one install, its front, and that company."""
    site, front = CommandSite(), front or Listen()
    front.start(site)
    try:
        company = Company(site.droplets[0])
        says(send(front, company.install(), company.droplet.secret), 200)
        yield site, front, company
    finally:
        front.stop()
        site.close()


def send(front, body=None, secret=None, shop=None, timestamp=None):
    """A delivery, signed; without a body the question for health."""
    if body is None:
        return front.send(Request("GET"))
    return front.send(Request(headers=fluid.signed(secret, body, timestamp, shop), body=body))


def says(response, status):
    assert response.status == status, response.describe()
    return response


def is_unavailable(front, company):
    """Health and deliveries of all kinds get 503, never 401, which would be final."""
    says(send(front), 503)
    says(send(front, company.install(), company.droplet.secret), 503)
    says(send(front, company.order(), company.wvt, company.shop), 503)


def works(front, company):
    says(send(front), 200)
    says(send(front, company.order(), company.wvt, company.shop), 200)


def not_initialised():
    """An empty directory is no state directory: nothing is made in it, and the log says what to do."""
    with place() as (site, front, company):
        moved = site.dir / "moved"
        site.state.rename(moved)
        is_unavailable(front, company)
        assert not site.state.exists(), "made again"
        site.state.mkdir(mode=0o700)
        process.give(site.state)
        is_unavailable(front, company)
        assert not list(site.state.iterdir()), list(site.state.iterdir())
        assert f"state_dir {site.state}: no VERSION file; run" in site.log_text(), site.log_tail()
        site.run("list").fails(f'fluidhook: state_dir {site.state}: no VERSION file; run "fluidhook init" '
                               "or mount it")
        done = site.run("check")
        assert done.status == 1 and b"no VERSION file" in done.out, done
        site.state.rmdir()
        moved.rename(site.state)
        works(front, company)
        (site.state / "VERSION").write_text("2\n")
        is_unavailable(front, company)
        assert 'VERSION is \\"2\\"' in site.log_text(), site.log_tail()
        (site.state / "VERSION").write_text("1\n")
        works(front, company)


def missing(front=None):
    """Each directory that was moved away is missed, named by the log and check, and not made again."""
    with place(front) as (site, front, company):
        for name in STATE + tuple(f"queue/{name}" for name in QUEUE):
            (site.state / name).rename(site.dir / "aside")
            is_unavailable(front, company)
            assert not (site.state / name).exists(), name
            assert f"{name}/ is missing" in site.log_text(), (name, site.log_tail())
            done = site.run("check")
            assert done.status == 1 and f"{name}/ is missing".encode() in done.out, (name, done)
            assert site.run("work", "--once").status == 1
            assert site.run("init").status == 1
            assert not (site.state / name).exists(), name
            (site.dir / "aside").rename(site.state / name)
            works(front, company)


def missing_cgi():
    """The same where each request is a process of its own."""
    missing(Cgi())


def adopted():
    """A directory from before 0.2, with data and without VERSION, is taken over."""
    with place(Cgi()) as (site, front, company):
        for name in ("runs", "refused", *(f"queue/{n}" for n in ("subscribe", "waiting", "dead", "ran"))):
            (site.state / name).rmdir()
        (site.state / "VERSION").unlink()
        done = site.run("list")
        assert done.status == 0 and company.dri.encode() in done.out, done
        assert not (site.state / "VERSION").exists(), "list made it"
        works(front, company)
        assert (site.state / "VERSION").read_text() == "1\n"
        assert all((site.state / name).is_dir() for name in STATE)
        site.check_modes()


def replaced():
    """Another state directory in its place: what is in that one counts from then on."""
    with place() as (site, front, company):
        site.state.rename(site.dir / "moved")
        make_state(site.state)
        other = Company(site.droplets[0])
        says(send(front, other.install(), other.droplet.secret), 200)
        assert site.record(other.dri) and not site.record(company.dri)
        assert len(site.journal()) == 1, site.journal()
        shutil.rmtree(site.state)
        (site.dir / "moved").rename(site.state)
        works(front, company)


def locked():
    """Another program's lock: 503 within some seconds, the log names the file, and health never waits."""
    with place() as (site, front, company):
        journal = site.journal_files()[-1]
        for path, body, key in ((journal, company.order(), company.wvt),
                                (site.state / "installations/.lock",
                                 Company(site.droplets[0]).install(), company.droplet.secret)):
            with open(path, "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                began = time.monotonic()
                says(send(front, body, key, company.shop), 503)
                taken = time.monotonic() - began
                assert 1.9 < taken < 10, taken
                began = time.monotonic()
                send(front)
                assert time.monotonic() - began < 1.5, "health waited"
            assert "another program holds the lock" in site.log_text()
            assert path.name in site.log_text(), site.log_tail()
            says(send(front, body, key, company.shop), 200)
            works(front, company)


def init():
    """init makes the state directory that an existing configuration names, and no other."""
    site = CommandSite()
    shutil.rmtree(site.state)
    site.write_conf(site.conf_text().replace("state_dir = state", "state_dir = elsewhere"))
    site.run("init", "--state-dir", site.state).fails(
        f"fluidhook: --state-dir: {site.conf} says state_dir = {site.dir}/elsewhere; change it there")
    secrets = site.secrets_file(site.droplets[0]).read_text()
    user = {"root": True} if process.USER else {}
    words = ["--user", process.USER.pw_name] if process.USER else []
    done = site.run("init", *words, **user)
    assert done.status == 0, done
    site.state = site.dir / "elsewhere"
    assert sorted(path.name for path in site.state.iterdir()) == sorted((*STATE, "VERSION"))
    assert sorted(path.name for path in (site.state / "queue").iterdir()) == sorted(QUEUE)
    site.check_modes()
    for path in (site.state, *site.state.rglob("*")):
        assert process.USER is None or path.lstat().st_uid == process.USER.pw_uid, path
    assert site.secrets_file(site.droplets[0]).read_text() == secrets
    assert not (site.dir / "hooks").exists()
    again = site.run("init", *words, **user)
    assert again.status == 0 and b"made" not in again.out.split(b"Next:")[0], again
    # Without one of its directories it is not made whole: repair does that.
    (site.state / "runs").rmdir()
    done = site.run("init", *words, **user)
    assert done.status == 1 and b"runs/ is missing" in done.err, done
    assert not (site.state / "runs").exists()
    site.close()


def unlink_all(directory):
    """As in a backup without symbolic links."""
    links = [path for path in directory.rglob("*") if path.is_symlink()]
    for path in links:
        path.unlink()
    assert links


def indexes_lost():
    """The links of the indexes are lost while the receiver runs: it makes them again by itself."""
    with place() as (site, front, company):
        for name in ("shops", "companies"):
            unlink_all(site.state / name)
        process.wait_until(lambda: (site.state / "shops" / MARK).is_symlink() and
                           (site.state / "companies" / MARK).is_symlink(), "marks are not back")
        works(front, company)
        assert "indexes did not agree with the records" in site.log_text()
        site.check_modes()


def indexes_at_start():
    """A part of an index is lost while nothing runs: the receiver makes it again when it starts."""
    with place() as (site, front, company):
        front.stop()
        shutil.rmtree(site.state / "shops" / company.shop)
        done = site.run("check")
        assert done.status == 1 and b"1 record is not in shops/" in done.out, done
        front.start(site)
        process.wait_until(lambda: (site.state / "shops" / company.shop / company.dri).is_symlink(),
                           "not made again")
        works(front, company)
        assert b"agree with the records" in site.run("check").out


def indexes_cgi():
    """Without a process that stays, the request that finds the marks missing makes the indexes."""
    with place(Cgi()) as (site, front, company):
        for name in ("shops", "companies"):
            unlink_all(site.state / name)
        works(front, company)
        site.check_modes()


def repair_directories():
    """repair makes a directory that is missing, and what belongs in it, and says so."""
    with place() as (site, front, company):
        assert site.ok("repair") == b"1 record, and the indexes agree with it.\n"
        for name in ("shops", "companies", "queue"):
            shutil.rmtree(site.state / name)
        done = site.run("repair", "--json")
        assert done.status == 0, done
        report = json.loads(done.out)
        assert report["directories"] == ["shops", "companies", "queue",
                                         *(f"queue/{name}" for name in QUEUE)], report
        assert report["added"] == [f"shops/{company.shop}/{company.dri}",
                                   f"companies/{company.id}/{company.dri}"], report
        assert (report["complete"], report["records"]) == (True, []), report
        works(front, company)
        site.check_modes()
        (site.state / "VERSION").unlink()
        (site.state / "installations").rename(site.dir / "aside")
        done = site.run("repair")
        assert done.status == 1 and b"no VERSION file" in done.err, done
        assert not (site.state / "installations").exists()
        (site.dir / "aside").rename(site.state / "installations")


def repair_records():
    """repair makes records again from the journal, as they were, by the rules of the receiver."""
    with place() as (site, front, company):
        droplet = company.droplet
        gone, waiting = Company(droplet), Company(droplet)
        says(send(front, gone.install(), droplet.secret), 200)
        says(send(front, gone.uninstall(), gone.wvt), 200)
        says(send(front, waiting.install_v2(), droplet.secret), 202)
        all_three = (company, gone, waiting)
        before = [site.record(one.dri) for one in all_three]
        assert [record["status"] for record in before] == ["active", "uninstalled", "pending"]
        shutil.rmtree(site.state / "installations")
        shutil.rmtree(site.state / "queue")
        is_unavailable(front, company)
        done = site.run("repair")
        assert done.status == 0, done
        for one, record in zip(all_three, before):
            line = f"rebuilt  {one.dri}: {record['status']}\n"
            assert line.encode() in done.out, (line, done)
            assert site.record(one.dri) == record, (site.record(one.dri), record)
        assert (site.state / "queue/pending" / waiting.dri).exists()
        works(front, company)
        site.check_modes()
        # Nothing is left to do. What is there is left alone, also if it is damaged.
        assert b"rebuilt" not in site.ok("repair")
        path = site.record_path(company.dri)
        path.write_text("{")
        done = site.run("repair")
        assert done.status == 1 and f"installations/{company.dri}.json: damaged".encode() in done.err, done
        assert path.read_text() == "{"
        path.unlink()
        site.ok("repair")
        assert site.record(company.dri) == before[0]


def repair_records_and_indexes():
    """Records that are lost together with the indexes are made again in one go, with all that they knew."""
    with place(Cgi()) as (site, front, company):
        droplet, now = company.droplet, fluid.now() - 10
        again = company.again()
        long_name, odd_name = Company(droplet, name="N" * 2000), Company(droplet, name="a\0b")
        says(send(front, again.install(), droplet.secret, timestamp=now + 20), 200)
        gone = Company(droplet)
        install = gone.install()
        says(send(front, install, droplet.secret, timestamp=now), 200)
        says(send(front, gone.uninstall(), droplet.secret, timestamp=now + 1), 200)
        for one in (long_name, odd_name):
            says(send(front, one.install(), droplet.secret), 200)
        all_five = (company, again, gone, long_name, odd_name)
        before = [site.record(one.dri) for one in all_five]
        assert [one["status"] for one in before] == ["superseded", "active", "uninstalled", "active", "active"]
        for name in ("installations", "shops", "companies"):
            shutil.rmtree(site.state / name)
        done = site.run("repair")
        assert done.status == 0, done
        for one, record in zip(all_five, before):
            assert site.record(one.dri) == record, (site.record(one.dri), record)
        # The bytes of the install are still known: signed anew, they do not undo the uninstall.
        says(send(front, install, droplet.secret, timestamp=now + 5), 200)
        assert site.record(gone.dri)["status"] == "uninstalled"
        site.check_modes()


def repair_records_partly():
    """A record that cannot be made again as a whole stays missing, and a later repair makes it."""
    with place(Cgi()) as (site, front, company):
        droplet = company.droplet
        says(send(front, company.uninstall(), droplet.secret, timestamp=fluid.now() + 1), 200)
        before = site.record(company.dri)
        site.record_path(company.dri).unlink()
        # Another record that cannot be read: the indexes cannot be complete without it.
        damaged = site.record_path("dri_damaged")
        damaged.write_text("{")
        for name in ("shops", "companies"):
            shutil.rmtree(site.state / name)
        done = site.run("repair")
        assert done.status == 1 and b"index of its company is not complete" in done.err, done
        assert site.record(company.dri) is None, site.record(company.dri)
        damaged.unlink()
        site.ok("repair")
        assert site.record(company.dri) == before, (site.record(company.dri), before)


def failing_writes():
    """check tries the receiver's writes in each directory, and names the call and the file system."""
    strace = find("strace")
    if not strace:
        raise tap.Skip("strace is not installed")
    site = CommandSite()
    for call, name, said, error in (
            ("fsync", "journal", "fsync of the directory", "EINVAL"), ("symlink", "shops", "symlink", "EPERM"),
            ("rename", "installations", "rename", "EXDEV")):
        # By the directory's name alone where the call has its descriptor.
        done = subprocess.run(
            [strace, "-f", "-qq", "-o", "/dev/null", "-P", (site.state / name).resolve(), "-e",
             f"trace=/^({call}|{call}at|{call}at2)$", "-e", f"inject=/^({call}|{call}at|{call}at2)$:error={error}",
             *site.argv("check")],
            env=site.environment(ASAN_OPTIONS="detect_leaks=0"), cwd="/", check=False, timeout=60,
            capture_output=True, **process.identity())
        if b"Operation not permitted" in done.stderr and not done.stdout:
            raise tap.Skip("ptrace is not allowed")
        assert done.returncode == 1, (call, done)
        assert f"{site.state}/{name}: {said}: ".encode() in done.stdout, (call, done)
        assert b"(file system " in done.stdout, done
        assert not [path for path in site.state.rglob(".check*")], call
    site.close()


def orphans():
    """A record that is lost, and whose index entry is there: 503, check says so, repair makes it again."""
    with place() as (site, front, company):
        path = site.record_path(company.dri)
        whole = site.record(company.dri)
        path.unlink()
        says(send(front, company.order(), company.wvt, company.shop), 503)
        assert (site.state / "shops" / company.shop / company.dri).is_symlink()
        done = site.run("check")
        assert done.status == 1 and b"2 entries in shops/ and companies/ without a record" in done.out, done
        site.run("work", "--once")
        front.stop()
        front.start(site)
        says(send(front, company.order(), company.wvt, company.shop), 503)
        site.ok("repair")
        assert site.record(company.dri) == whole
        works(front, company)


def marks_missing():
    """While an index is not marked as complete, what is not found in it gets 503, and what is found 200."""
    with place() as (site, front, company):
        # A record that cannot be read: the marks are not made again.
        (site.state / "installations/dri_damaged.json").write_text("{")
        for name in ("shops", "companies"):
            (site.state / name / MARK).unlink()
        says(send(front, company.order(), company.wvt, company.shop), 200)
        stranger = Company(site.droplets[0])
        says(send(front, stranger.order(), stranger.wvt, stranger.shop), 503)
        process.wait_until(lambda: "indexes are not complete" in site.log_text(), "not logged")
        done = site.run("check")
        assert done.status == 1 and b"not marked as complete" in done.out, done
        (site.state / "installations/dri_damaged.json").unlink()
        site.ok("repair")
        says(send(front, stranger.order(), stranger.wvt, stranger.shop), 401)


tap.run([tap.Test(test.__doc__.splitlines()[0], test) for test in (
    not_initialised, missing, missing_cgi, adopted, replaced, locked, init, indexes_lost, indexes_at_start,
    indexes_cgi, repair_directories, repair_records, repair_records_and_indexes,
    repair_records_partly, failing_writes, orphans, marks_missing)])
