#!/usr/bin/env python3
"""Sealing: no credential in clear in any file but the configured secrets, and what a wrong key does."""

import json
import os
import secrets
import signal

from harness import fluid, process, tap
from harness.web import Request
from harness.site import RECEIVER
from harness.worker import COMMAND, equal, install_v2, nothing_waits, world


def new_key(w, mode=0o600):
    """Put a fresh key into the key file. Returns it."""
    key = secrets.token_hex(32)
    fluid.CREDENTIALS.add(key)
    w.site.write(w.site.dir / "seal.key", key + "\n", mode)
    return key


def files(w):
    """All that programs wrote: the state and the logs, by path."""
    return {path: path.read_bytes() for top in (w.site.state, w.site.logs)
            for path in top.rglob("*") if path.is_file() and not path.is_symlink()}


def nothing_in_clear(w, *companies):
    for path, data in files(w).items():
        for company in companies:
            for name in ("dit", "wvt", "dex"):
                assert getattr(company, name).encode() not in data, f"{name} in {path}"


def is_active(w, company):
    """The token is there, as `fluidhook token` prints it."""
    process.wait_until(lambda: w.site.has(company, status="active"), "it is not active")
    equal(w.site.ok("token", company.dri), company.dit + "\n")


def event(w, company, body, status=200, key=None):
    headers = fluid.signed(key or company.wvt, body, shop=company.shop)
    answer = w.front.send(Request(headers=headers, body=body))
    equal(answer.status, status, answer)


def everything_is_sealed():
    """Receiver, worker, an exchange, kept requests, kills: credentials are sealed, and all programs open them"""
    with world(worker={"subscribe": "order.created", "public_url": "https://example.com/webhook"},
               seal_key="seal.key") as w:
        new_key(w)
        seen = w.site.dir / "seen"
        w.site.hook("any", f'cat >{seen}."$FLUIDHOOK_DELIVERY"\n')
        v1, v2 = w.company(), w.company()
        installed = v1.install()
        w.deliver(v1, installed)
        w.deliver(v2, install_v2(v2))
        nothing_in_clear(w, v1, v2)
        # Before its key is there: kept, sealed, and accepted later.
        order = v2.order(cart={"token": v2.dit})
        event(w, v2, order, 503)
        equal(len(list((w.site.state / "refused").iterdir())), 1)
        nothing_in_clear(w, v1, v2)
        w.fluid.offer(v2)
        w.fluid.know(v1)
        w.work()
        is_active(w, v2)
        nothing_in_clear(w, v1, v2)
        os.kill(w.proc.pid, signal.SIGKILL)
        w.proc.wait()
        nothing_in_clear(w, v1, v2)
        w.work()
        nothing_waits(w)
        is_active(w, v1)
        bodies = {installed, order}
        process.wait_until(lambda: bodies <= {path.read_bytes() for path in w.site.dir.glob("seen.*")},
                           "the hooks did not get the bodies")
        for line in w.site.journal():
            if line["event"].startswith("droplet."):
                assert "body" not in line and line["sealed_body"].startswith("sealed:"), line
        line = next(one for one in w.site.journal()
                    if one["event"] == "droplet.installed" and one["installation"] == v1.dri)
        equal(w.site.ok("delivery", line["delivery"], "--raw").encode(), installed)
        assert v1.dit not in w.site.ok("show", v1.dri), "show prints a credential"
        assert w.site.record(v2.dri)["subscription_auth_token"].startswith("sealed:"), "in clear"
        # The verification key is sealed, too, and the receiver opens it. A body without credentials stays legible.
        plain = v1.order()
        event(w, v1, plain)
        event(w, v1, v1.order(), 401, key="another key")
        assert plain in [one.get("body") for one in w.site.journal()]
        nothing_in_clear(w, v1, v2)


def wrong_keys():
    """A wrong, missing, public or removed key: 503, `check` says why, and no byte changes"""
    with world(seal_key="seal.key") as w:
        key = new_key(w)
        company = w.company()
        w.deliver(company, company.install())
        before = files(w)

        def refuses(what):
            for body in (company.uninstall(), w.company().install()):
                headers = fluid.signed(company.droplet.secret, body)
                equal(w.front.send(Request(headers=headers, body=body)).status, 503, what)
            equal(w.front.send(Request(method="GET")).status, 503, what)
            done = w.site.run("check")
            assert done.returncode == 1 and "seal_key" in done.stdout + done.stderr, (what, done)
            assert w.site.run("token", company.dri).returncode == 1, what
            now = files(w)
            equal({path: data for path, data in now.items() if w.site.state in path.parents},
                  {path: data for path, data in before.items() if w.site.state in path.parents}, what)

        new_key(w)
        refuses("another key")
        w.site.write(w.site.dir / "seal.key", key + "\n", 0o604)
        refuses("open to others")
        w.site.write(w.site.dir / "seal.key", "not a key\n")
        refuses("not a key")
        (w.site.dir / "seal.key").unlink()
        refuses("missing")
        w.site.settings["seal_key"] = None
        w.site.write_conf()
        refuses("not configured")
        w.site.settings["seal_key"] = "seal.key"
        w.site.write_conf()
        w.site.write(w.site.dir / "seal.key", f"# newest first\n{secrets.token_hex(32)}\n{key}\n")
        is_active(w, company)
        w.deliver(company, company.uninstall())
        equal(w.site.record(company.dri)["status"], "uninstalled")


def moved_values():
    """A sealed value that was moved to another record or member opens nowhere"""
    with world(seal_key="seal.key") as w:
        new_key(w)
        one, other = w.company(), w.company()
        for company in (one, other):
            w.deliver(company, company.install())
        path = w.site.record_path(one.dri)
        good = path.read_text()
        record = json.loads(good)
        foreign = w.site.record(other.dri)
        for name, value in (("authentication_token", foreign["authentication_token"]),
                            ("authentication_token", record["webhook_verification_token"])):
            w.site.write(path, json.dumps({**record, name: value}))
            done = w.site.run("token", one.dri)
            assert done.returncode == 1 and done.stdout == "", done
        w.site.write(path, good)
        is_active(w, one)


def first_set_up():
    """init --seal makes a key that only the owner and the group can read, and a configuration that names it"""
    with world() as w:
        conf = w.site.dir / "new" / "fluidhook.conf"
        done = w.site.run("init", "--help")
        assert "--seal" in done.stdout, done
        w.site.conf = conf
        out = w.site.ok("init", "--seal", "--state-dir", str(w.site.dir / "sealed"))
        key = conf.parent / "seal.key"
        equal(key.stat().st_mode & 0o777, 0o640)
        assert len(bytes.fromhex(key.read_text().strip())) == 32
        assert "every stored token is lost" in out, out
        text = key.read_text()
        again = w.site.ok("init", "--seal")
        equal(key.read_text(), text, again)
        assert "seal_key          = seal.key" in conf.read_text()


if not RECEIVER.is_file() or not COMMAND.is_file():
    tap.bail(f"there is no {RECEIVER} or {COMMAND}: build first")
tap.run([tap.Test(function.__doc__, function) for function in (
    everything_is_sealed, wrong_keys, moved_values, first_set_up)])
