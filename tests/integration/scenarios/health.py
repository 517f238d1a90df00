"""GET and HEAD, and what happens while nothing can be stored."""

import contextlib
import json
import os

from harness import fluid, process, site
from harness.tap import equal

from .trial import scenario


@scenario()
def ok(t):
    """GET and HEAD: 200 ok while deliveries can be stored"""
    t.says(t.send(method="GET"), 200, status="ok")
    equal(t.send(method="HEAD").status, 200, "HEAD")
    t.says(t.send(method="GET", headers=[("Content-Type", "text/html")]), 200, status="ok")


def unavailable(t):
    t.says(t.send(method="GET"), 503, status="unavailable")
    equal(t.send(method="HEAD").status, 503, "HEAD")


@scenario("full")
def disk_full(t):
    """Less free disk than min_free: health fails, deliveries get 503, the rest is as always"""
    unavailable(t)
    body = t.company().install()
    t.refused_signed(503, "unavailable", body)
    t.refused(503, "unavailable", body, fluid.token("X-Fluid-Token", t.droplet.secret))
    t.unauthorized(body)
    t.unauthorized(body, fluid.signed(fluid.credential("dws_"), body))
    t.refused_signed(400, "malformed", b"{")
    equal(list((t.site.state / "installations").glob("*.json")), [], "records")


@scenario("absent")
def no_state_directory(t):
    """No state directory: health fails, deliveries get 503; once it is there, all is well"""
    unavailable(t)
    body = t.company().install()
    t.refused(503, "unavailable", body, fluid.signed(t.droplet.secret, body))
    directory = t.site.dir / "gone"
    directory.mkdir(mode=0o700)
    process.give(directory)
    t.site.state = directory / "state"
    t.site.state.mkdir(mode=0o700)
    process.give(t.site.state)
    unavailable(t)
    equal(list(t.site.state.iterdir()), [], "made in an empty directory")
    t.site.state.rmdir()
    site.make_state(t.site.state)
    t.says(t.send(method="GET"), 200, status="ok")
    t.taken(t.deliver(body, t.droplet.secret), body)


@scenario()
def secrets_unreadable(t):
    """Secrets that cannot be read: deliveries get 503, and so does health"""
    path = t.site.secrets_file(t.droplet)
    text = path.read_bytes()
    for spoiled in (b"", b"# no secret\n", b"a\x01b\n"):
        path.write_bytes(spoiled)
        unavailable(t)
        t.refused_signed(503, "unavailable", t.company().install())
    path.write_bytes(text)
    t.says(t.send(method="GET"), 200, status="ok")


@scenario()
def not_writable(t):
    """A state directory that cannot be written: 503, and the same delivery works afterwards"""
    company = t.company()
    body = company.install()
    directories = [t.site.state / "installations", t.site.state / "journal"]
    t.says(t.send(method="GET"), 200, status="ok")
    for directory in directories:
        os.chmod(directory, 0o500)
    try:
        unavailable(t)
        response = t.deliver(body, t.droplet.secret)
        t.says(response, 503, error="unavailable")
        equal(t.record(company), None, "record")
    finally:
        for directory in directories:
            os.chmod(directory, 0o700)
    t.says(t.send(method="GET"), 200, status="ok")
    t.taken(t.deliver(body, t.droplet.secret), body)
    t.has(company, status="active")


@scenario()
def journal_moved_away(t):
    """A journal file moved away while the receiver runs: the next delivery begins a new one"""
    body = t.company().install()
    t.taken(t.deliver(body, t.droplet.secret), body)
    moved = t.site.journal_files()[-1]
    moved.rename(t.site.dir / "moved.jsonl")
    body = t.company().install()
    t.taken(t.deliver(body, t.droplet.secret), body)
    equal(len(t.site.journal()), 1, "deliveries in the new file")


@scenario()
def unfinished_line(t):
    """A last line that a crash left unfinished: the next one stands on a line of its own"""
    body = t.company().install()
    t.taken(t.deliver(body, t.droplet.secret), body)
    path = t.site.journal_files()[-1]
    with open(path, "ab") as f:
        f.write(b'{"delivery":"0190')
    body = t.company().install()
    line = t.taken(t.deliver(body, t.droplet.secret), body)
    lines = path.read_bytes().split(b"\n")
    at = lines.index(b'{"delivery":"0190')
    equal(json.loads(lines[at + 1])["delivery"], line["delivery"], "the line behind it")
    # Repaired for the tests behind this one, which read every line.
    path.write_bytes(b"\n".join(lines[:at] + lines[at + 1:]))


@scenario()
def record_damaged(t):
    """A damaged record harms nobody else, and is not taken for an installation"""
    company = t.company()
    t.install(company)
    path = t.site.record_path(company.dri)
    good = path.read_bytes()
    path.write_bytes(good[:50])
    other = t.company()
    t.install(other)
    order = other.order()
    t.taken(t.deliver(order, other.wvt, shop=other.shop), order, event="order.created")
    order = company.order()
    before = t.site.journal_size()
    response = t.send(order, fluid.signed(company.wvt, order, shop=company.shop))
    assert response.status in (401, 503), response.describe()
    equal(t.site.journal_size(), before, "journal")
    path.write_bytes(good)
    t.taken(t.deliver(order, company.wvt, shop=company.shop), order, event="order.created")


@scenario()
def attribution_unreadable(t):
    """A business event whose installation cannot be looked up gets 503, never 200 without installation"""
    company = t.company()
    t.install(company)
    record, index = t.site.record_path(company.dri), t.site.state / "companies" / str(company.id)
    good = record.read_bytes()
    by_dri = company.order(company={"droplet_installation_uuid": company.dri})
    by_company = company.order(company={"fluid_company_id": company.id})

    def unavailable_to(*bodies):
        for body in bodies:
            t.refused_signed(503, "unavailable", body)

    def soon_unavailable(body):
        # What was looked up in the last 10 ms may still count: then the installation is named.
        response = t.deliver(body, t.droplet.secret)
        while response.status == 200:
            equal(json.loads(response.body)["installation"], company.dri)
            response = t.deliver(body, t.droplet.secret)
        equal(response.status, 503)

    record.write_bytes(good[:50])
    unavailable_to(by_dri, by_company, company.uninstall())
    record.write_bytes(good)
    # Nobody may read the directory; or a file is in its place.
    index.chmod(0)
    soon_unavailable(by_company)
    index.chmod(0o700)
    index.rename(index.with_name("aside"))
    index.write_bytes(b"")
    soon_unavailable(by_company)
    index.unlink()
    index.with_name("aside").rename(index)
    for body in (by_dri, by_company):
        t.taken(t.deliver(body, t.droplet.secret), body, event="order.created",
                installation=company.dri)


@scenario()
def index_lost(t):
    """While an index is not complete, an event whose company it does not have gets 503"""
    company = t.company()
    t.install(company)
    body = company.order(company={"fluid_company_id": company.id})
    entry = t.site.state / "companies" / str(company.id) / company.dri
    mark = t.site.state / "companies" / site.MARK
    target, marked = os.readlink(entry), os.readlink(mark)
    entry.unlink()
    mark.unlink()
    response = t.deliver(body, t.droplet.secret)
    if response.status == 200:
        # The receiver has made the index complete again before it looked.
        t.taken(response, body, event="order.created", installation=company.dri)
    else:
        t.says(response, 503, error="unavailable")
    for link, to in ((entry, target), (mark, marked)):
        with contextlib.suppress(FileExistsError):
            link.symlink_to(to)
    t.taken(t.deliver(body, t.droplet.secret), body, event="order.created", installation=company.dri)
