#!/usr/bin/env python3
"""`fluidhook verify`: every stored signature again, and every byte of what was received."""

import contextlib
import json
import secrets

from harness import fluid, tap
from harness.command_site import CommandSite
from harness.fluid import Company
from harness.fronts import Cgi
from harness.tap import equal
from harness.web import Request

NONE = {"valid": 0, "key_gone": 0, "failed": 0, "without_signature": 0, "incomplete": 0, "failures": []}


@contextlib.contextmanager
def place(**settings):
    """A site and its front."""
    site, front = CommandSite(**settings), Cgi()
    front.start(site)
    try:
        yield site, front
        assert not site.leaks(), site.leaks()
    finally:
        front.stop()
        site.close()


def deliver(front, headers, body, status=200):
    answer = front.send(Request(headers=headers, body=body))
    assert answer.status == status, answer.describe()


def counts(site, *words, status=0):
    done = site.run("verify", "--json", *words)
    assert done.status == status and done.err == b"", done
    return json.loads(done.out)


def is_said(site, status=0, **wanted):
    got = counts(site, status=status)
    equal({**got, "failures": []}, {**NONE, **wanted})
    equal(len(got["failures"]), wanted.get("failed", 0))


def all_kinds():
    """Under a droplet's secret, an installation's key, and with a token alone; the keys of ended installations are in their installs."""
    with place(tolerance=300) as (site, front):
        droplet = site.droplets[0]
        v1, v2 = Company(droplet), Company(droplet)
        deliver(front, fluid.signed(droplet.secrets[1], v1.install()), v1.install())
        deliver(front, fluid.signed(v1.wvt, v1.order(), shop=v1.shop), b"{}", 401)
        for _ in range(3):
            body = v1.order(note="\u00e4\t\"\\ \U0001f600 \x7f")
            deliver(front, fluid.signed(v1.wvt, body, shop=v1.shop), body)
        body = v1.order()
        deliver(front, fluid.token("X-Fluid-Token", v1.wvt, v1.shop), body)
        deliver(front, fluid.signed(droplet.secret, v2.install_v2()), v2.install_v2(), 202)
        is_said(site, valid=5, without_signature=1)
        body = v1.uninstall()
        deliver(front, fluid.signed(v1.wvt, body, shop=v1.shop), body)
        equal(site.record(v1.dri)["webhook_verification_token"], None)
        is_said(site, valid=6, without_signature=1)
        # The install is the only place where its key is left: without it, the key is gone.
        (path,) = site.journal_files()
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[1:]))
        is_said(site, valid=1, key_gone=4, without_signature=1)
        droplet.secrets.pop(0)
        site.write_secrets(droplet)
        is_said(site, key_gone=5, without_signature=1)
        assert b"Key gone                   5" in site.ok("verify"), site.ok("verify")


def older_lines():
    """Lines of versions before 0.2 do not say which key it was: a droplet's or the installation's."""
    with place() as (site, front):
        droplet = site.droplets[0]
        company, other = Company(droplet), Company(droplet)
        for one in (company, other):
            deliver(front, fluid.signed(droplet.secret, one.install()), one.install())
        body = company.order()
        deliver(front, fluid.signed(company.wvt, body, shop=company.shop), body)
        (path,) = site.journal_files()
        entries = [json.loads(line) for line in path.read_bytes().splitlines()]
        for entry in entries:
            for member in ("fingerprint", "droplet", "sha256"):
                del entry[member]
        path.write_bytes(b"".join(fluid.encode(entry) + b"\n" for entry in entries))
        is_said(site, valid=3)
        # A key of another installation is not tried.
        entries[2]["installation"] = other.dri
        path.write_bytes(b"".join(fluid.encode(entry) + b"\n" for entry in entries))
        is_said(site, valid=2, key_gone=1)


def each_byte():
    """A byte changed anywhere in a body is found, whether or not the key is known, and each is named."""
    with place() as (site, front):
        company = Company(site.droplets[0])
        body = company.install()
        deliver(front, fluid.signed(company.droplet.secret, body), body)
        # So that lines that are damaged take no key with them.
        (path,) = site.journal_files()
        line = path.read_bytes()
        begin, end = line.index(b'"body":"') + len(b'"body":"'), len(line) - len(b'"}\n')
        changed = []
        for at in range(begin, end):
            for other in (line[at] ^ 1, ord("\\"), ord('"'), ord("\n")):
                if other != line[at]:
                    changed.append(line[:at] + bytes([other]) + line[at + 1:])
        path.write_bytes(line + b"".join(changed))
        got = counts(site, status=1)
        named = {entry["offset"] for entry in got["failures"]}
        equal(got["valid"], 1)
        # None of them is passed over: a line that a newline divides is damaged in its second part.
        offset = len(line)
        for one in changed:
            assert any(offset <= at < offset + len(one) for at in named), one
            offset += len(one)
        # The same without the key, by the digest. Not all of those lines are JSON.
        site.droplets[0].secrets = [fluid.credential("dws_")]
        site.write_secrets(site.droplets[0])
        without = counts(site, status=1)
        equal((without["valid"], without["key_gone"], without["failed"]), (0, 1, got["failed"]))
        # For people, each has a line.
        done = site.run("verify")
        assert done.status == 1, done
        equal(len(done.lines()), got["failed"])
        assert all(f"{path}, byte " in said for said in done.lines()), done.lines()[:3]


def members():
    """A changed digest, signature, timestamp or fingerprint never counts as valid."""
    with place() as (site, front):
        company = Company(site.droplets[0])
        body = company.install()
        deliver(front, fluid.signed(company.droplet.secret, body), body)
        (path,) = site.journal_files()
        entry = json.loads(path.read_bytes())
        for member, value, why in (
                ("sha256", "0" * 64, "SHA-256 is another one"), ("sha256", None, "SHA-256 of its body is missing"),
                ("signature", "0" * 64, "wrong under the key"), ("signature", "xyz", "signature is damaged"),
                ("signature", None, "signature is missing"), ("timestamp", None, "timestamp is missing"),
                ("timestamp", entry["timestamp"] + 1, "wrong under the key"),
                ("verified_by", "token", "accepted without"), ("verified_by", None, "accepted without")):
            path.write_bytes(fluid.encode({**entry, member: value}) + b"\n")
            got = counts(site, status=1)
            equal((got["valid"], got["failed"]), (0, 1))
            assert why in got["failures"][0]["why"] and got["failures"][0]["delivery"] == entry["delivery"], got
        path.write_bytes(fluid.encode({**entry, "fingerprint": "0" * 12}) + b"\n")
        is_said(site, key_gone=1)


def cut_off():
    """What a crash cut off is no delivery and no failure."""
    with place() as (site, front):
        company = Company(site.droplets[0])
        body = company.install()
        deliver(front, fluid.signed(company.droplet.secret, body), body)
        (path,) = site.journal_files()
        line = path.read_bytes()
        path.write_bytes(line[:100] + b"\n" + line + line[:-40] + b"\n" + line[:50])
        is_said(site, valid=1, incomplete=2)


def since():
    """--since: only what was received then; the keys come from all of the journal."""
    with place() as (site, front):
        company = Company(site.droplets[0])
        body = company.install()
        deliver(front, fluid.signed(company.droplet.secret, body), body)
        (path,) = site.journal_files()
        entry = json.loads(path.read_bytes())
        old = site.state / "journal/2020-01-02.jsonl"
        site.write(old, fluid.encode({**entry, "received_at": "2020-01-02T08:00:00.000000Z"}).decode() + "\n")
        ended = company.uninstall()
        deliver(front, fluid.signed(company.wvt, ended, shop=company.shop), ended)
        path.write_bytes(path.read_bytes().splitlines(keepends=True)[1])
        equal(counts(site)["valid"], 2)
        equal(counts(site, "--since", "1d")["valid"], 1)
        equal(counts(site, "--since", "2020-01-02T08:00:01Z")["valid"], 1)
        equal(counts(site, "--since", "2020-01-02")["valid"], 2)
        equal(site.run("verify", "--since", "soon").status, 2)


def unreadable():
    """What cannot be read is named, and the exit status is 1: it never counts as verified, or as gone."""
    with place() as (site, front):
        company = Company(site.droplets[0])
        body = company.install()
        deliver(front, fluid.signed(company.droplet.secret, body), body)
        file = site.secrets_file(site.droplets[0])
        file.chmod(0o644)
        done = site.run("verify")
        assert done.status == 1 and str(file) in done.err.decode(), done
        file.chmod(0o600)
        site.ok("verify")
        site.write(site.record_path(company.dri), "{")
        done = site.run("verify")
        assert done.status == 1 and f"{company.dri}.json: damaged" in done.err.decode(), done
        site.record_path(company.dri).unlink()
        site.ok("verify")
        (path,) = site.journal_files()
        path.rename(path.with_name("aside"))
        path.mkdir()
        done = site.run("verify")
        assert done.status == 1 and "no regular file" in done.err.decode(), done


def sealed():
    """Sealed bodies are opened; without their key, each fails and none counts as verified."""
    with place(seal_key="seal.key") as (site, front):
        keys = site.dir / "seal.key"
        site.write(keys, secrets.token_hex(32) + "\n")
        company = Company(site.droplets[0])
        body, order = company.install(), company.order()
        deliver(front, fluid.signed(company.droplet.secret, body), body)
        deliver(front, fluid.signed(company.wvt, order, shop=company.shop), order)
        ended = company.uninstall()
        deliver(front, fluid.signed(company.wvt, ended, shop=company.shop), ended)
        assert b"sealed_body" in site.journal_lines()[0]
        is_said(site, valid=3)
        site.write(keys, secrets.token_hex(32) + "\n")
        done = site.run("verify", "--json")
        assert done.status == 1 and b"is sealed, and cannot be opened" in done.err, done
        got = json.loads(done.out)
        equal((got["valid"], got["key_gone"], got["failed"]), (0, 1, 2))
        assert all("body is sealed" in one["why"] for one in got["failures"]), got


tap.run([tap.Test(test.__doc__.splitlines()[0], test) for test in (
    all_kinds, older_lines, each_byte, members, cut_off, since, unreadable, sealed)])
