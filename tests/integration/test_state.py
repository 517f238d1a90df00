#!/usr/bin/env python3
"""A state directory that is missing, moved, replaced, not initialised or locked: 503, and who says why."""

import contextlib
import fcntl
import shutil
import time

from harness import fluid, process, tap
from harness.command_site import CommandSite
from harness.fluid import Company
from harness.fronts import Cgi, Listen
from harness.site import QUEUE, STATE, make_state
from harness.web import Request


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


def send(front, body=None, secret=None, shop=None):
    """A delivery, signed; without a body the question for health."""
    if body is None:
        return front.send(Request("GET"))
    return front.send(Request(headers=fluid.signed(secret, body, shop=shop), body=body))


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


tap.run([tap.Test(test.__doc__.splitlines()[0], test) for test in (
    not_initialised, missing, missing_cgi, adopted, replaced, locked, init)])
