#!/usr/bin/env python3
"""What arrived: `list`, `show`, `deliveries`, `delivery`, on a terminal and for programs, and how fast."""

import datetime
import json
import os
import pathlib
import re
import time
import unicodedata

from harness import fluid, process, tap
from harness.command_site import CommandSite
from harness.site import COMMAND
from harness.fluid import Company
from harness.fronts import Cgi
from harness.tap import equal
from harness.web import Request
from harness.webservers import find
from standin import StandIn

SITES = []
# Measured where the sanitizers slow everything down, a bound is this much further off.
HOUR, DAY = 3600, 86400


def new_site(*args, **fields):
    site = CommandSite(*args, **fields)
    SITES.append(site)
    return site


def instant(seconds, offset=None):
    """RFC 3339 with microseconds, in UTC or with an offset in hours."""
    zone = datetime.timezone(datetime.timedelta(hours=offset or 0))
    text = datetime.datetime.fromtimestamp(seconds, zone).isoformat(timespec="microseconds")
    return text if offset is not None else text.replace("+00:00", "Z")


def uuid_at(seconds, number):
    digits = f"{int(seconds * 1000):012x}7{number % 4096:03x}8{number:015x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class Journal:
    """Lines for the journal of a site, as the receiver writes them; kept by day until written."""

    def __init__(self, site):
        self.site = site
        self.days = {}
        self.number = 0

    def add(self, at, **fields):
        """One delivery received at this time (unix seconds). Its members."""
        self.number += 1
        entry = {"delivery": uuid_at(at, self.number), "received_at": instant(at),
                 "event": "order.created", "installation": "dri_1", "fluid_shop": "acme.fluid.app",
                 "id": self.number, "identifier": None, "verified_by": "signature", "key": "droplet",
                 "timestamp": int(at), "signature": "0" * 64, "fingerprint": "0123456789ab",
                 "droplet": "drp_1", "sha256": "1" * 64, "body": '{"a":1}', **fields}
        self.days.setdefault(entry["received_at"][:10], []).append(entry)
        return entry

    def write(self):
        directory = self.site.state / "journal"
        if not directory.exists():
            directory.mkdir(mode=0o700)
            process.give(directory)
        for day, entries in self.days.items():
            text = "".join(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n"
                           for entry in entries)
            self.site.write(directory / f"{day}.jsonl", text)


def delivered(out):
    """The deliveries in an output of JSON lines."""
    return [json.loads(line)["delivery"] for line in out.splitlines()]


def since():
    """--since takes spans, days and RFC 3339 times, and nothing else."""
    site = new_site()
    journal, now = Journal(site), time.time()
    ages = [40 * DAY, 8 * DAY, 4 * DAY, 2 * DAY, 3 * HOUR, HOUR, 60]
    entries = [journal.add(now - age) for age in ages]
    journal.write()
    newest = [entry["delivery"] for entry in reversed(entries)]
    for text, n in (("30s", 0), ("90s", 1), ("90m", 2), ("2h", 2), ("4h", 3), ("3d", 4), ("72h", 4),
                    ("1w", 5), ("999999999w", 7), ("0d", 0),
                    ((instant(now - 3 * DAY)[:10]), 4), ("1970-01-01", 7), ("9999-12-31", 0),
                    (instant(now - 2 * HOUR), 2), (instant(now - 2 * HOUR, 5), 2),
                    (instant(now - 2 * HOUR, -11), 2), (instant(now - 2 * HOUR)[:19] + "z", 2),
                    (instant(now - 2 * HOUR)[:19].replace("T", " ") + "+00:00", 2)):
        done = site.run("deliveries", "--since", text, "--json")
        equal((text, done.status, done.err), (text, 0, b""))
        equal((text, delivered(done.out)), (text, newest[:n]))
    for text in ("", "2", "h", "-2h", "+2h", "2 h", " 2h", "2h ", "2y", "2H", "2hh", "2.5h", "1e3d",
                 "9999999999h", "yesterday", "2026-13-01", "2026-02-30", "2026-11-2", "2026-11-23T",
                 "2026-11-23T08:30:00", "2026-11-23T24:00:00Z", "2026-11-23T08:30:00+1",
                 "2026/11/23", "1700000000", "\x1b[2J"):
        done = site.run("deliveries", "--since", text)
        equal((text, done.status, done.out), (text, 2, b""))
        assert "2h, 3d" in done.lines()[0] and "\x1b" not in done.lines()[0], done
    equal(site.run("deliveries", "--since", "30s").lines(), ["No deliveries."])


def filters():
    """deliveries: the newest first, as many as asked for, of an event, a resource or an installation."""
    site = new_site()
    journal, now = Journal(site), time.time()
    for number in range(60):
        journal.add(now - DAY * (number % 3), event=("order.created", "order.updated",
                    "orders.created", "droplet.installed")[number % 4],
                    installation=(None, "dri_1", "dri_2")[number % 3],
                    fluid_shop=("Acme.Fluid.App", "acme", "other", None)[number % 4])
    # As the receiver would have written them: in the order of the days.
    journal.write()
    every = [entry for day in sorted(journal.days, reverse=True)
             for entry in reversed(journal.days[day])]

    def check(words, keep, limit=None):
        done = site.run("deliveries", "--json", *words)
        equal((words, done.status, done.err), (words, 0, b""))
        equal((words, delivered(done.out)),
              (words, [entry["delivery"] for entry in every if keep(entry)][:limit]))

    check((), lambda e: True, 20)
    check(("-n", "3"), lambda e: True, 3)
    check(("--limit", "0"), lambda e: True)
    check(("--limit=99999999999999999999",), lambda e: True)
    check(("--since", "1w"), lambda e: True)
    check(("--since", "1w", "--limit", "5"), lambda e: True, 5)
    check(("--event", "order.created"), lambda e: e["event"] == "order.created")
    check(("--event", "order", "-n0"), lambda e: e["event"].startswith("order."))
    check(("--event", "nothing"), lambda e: False)
    check(("--event", ""), lambda e: False)
    check(("--installation", "dri_2"), lambda e: e["installation"] == "dri_2")
    for shop in ("acme", "ACME", "acme.fluid.app"):
        check(("--installation", shop, "--limit", "0"), lambda e: (e["fluid_shop"] or "")[:4].lower() == "acme")
    check(("--installation", "acme", "--event", "order", "--since", "36h"),
          lambda e: (e["fluid_shop"] or "")[:4].lower() == "acme" and e["event"].startswith("order.")
          and e["received_at"] > instant(now - 36 * HOUR))
    for text in ("", "-1", "x", "3x", "1.5"):
        equal((text, site.run("deliveries", "--limit", text).status), (text, 2))
    shown = json.loads(site.ok("deliveries", "-n", "1", "--json"))
    want = {**every[0], "bytes": len(every[0]["body"])}
    del want["signature"], want["body"]
    equal(shown, want)


def send(site, body, secret):
    front = Cgi()
    front.start(site)
    answer = front.send(Request(headers=fluid.signed(secret, body), body=body))
    equal(answer.status, 200)
    return json.loads(answer.body)


def one_delivery():
    """delivery --raw prints the bytes received; without, credentials are not shown, wherever they stand."""
    site = new_site()
    company, secret = Company(site.droplets[0]), site.droplets[0].secret
    hidden = [fluid.credential("dit_") for _ in range(4)]
    body = (b' {"resource":"droplet","event":"installed","n":1.50e+10, "ctrl":"\xc2\x9b2J\x7f\\u001b[0m\\n",\r\n'
            b'"nul":"a\\u0000b","webhook":{"auth_token":["' + hidden[0].encode() + b'",{"a":"' +
            hidden[1].encode() + b'"}],"exchange_token":{"x":"' + hidden[2].encode() +
            b'"}},"list":[{"authentication_token":"' + hidden[3].encode() + b'"},{"auth_token":null}],'
            b'"company":' + fluid.encode(company.company_v1()) + b"}\r\n\n")
    one = send(site, body, secret)["delivery"]
    order = company.order(note="\u2028\u00e4")
    two = send(site, order, secret)["delivery"]
    for uuid, want in ((one, body), (two, order)):
        raw = site.ok("delivery", uuid, "--raw")
        equal(raw, want)
        site.said.remove(raw)
    text = site.ok("delivery", one).decode()
    assert "\\x9b2J\\x7f" in text and text.isprintable() is False, text
    equal([c for c in text if not c.isprintable() and c != "\n"], [])
    for row in (f"Delivery      {one}", "Event         droplet.installed", f"Installation  {company.dri}",
                "Verified by   signature of the droplet", f"Body          {len(body)} bytes"):
        assert row in text.splitlines(), text
    shown = json.loads(site.ok("delivery", one, "--json"))
    inner = json.loads(shown["body"])
    equal((inner["webhook"], inner["list"], inner["n"], inner["nul"]),
          ({"auth_token": "present", "exchange_token": "present"},
           [{"authentication_token": "present"}, {"auth_token": None}], 1.5e10, "a\0b"))
    assert "1.50e+10" in shown["body"]
    equal((inner["company"]["authentication_token"], inner["company"]["name"]), ("present", company.name))
    equal((shown["event"], shown["installation"], shown["bytes"]),
          ("droplet.installed", company.dri, len(body)))
    equal(site.run("delivery", one, "--raw", "--json").status, 2)
    for uuid in ("", "x", "g0", one[:-2] + "-", one.upper() + "0", "01a20b4e-0000-7000-8000-000000000000",
                 "ffffffff-ffff-7fff-bfff-ffffffffffff", "../journal"):
        done = site.run("delivery", uuid)
        equal((uuid, done.status, done.lines()[-1]),
              (uuid, 1, f"fluidhook: {uuid}: no such delivery in the journal"))


def short_names():
    """The beginning of a UUID is enough where one delivery has it; else the candidates are listed."""
    site = new_site()
    journal, now = Journal(site), time.time() // DAY * DAY + DAY / 2
    entries = [journal.add(now - DAY * age, body=json.dumps({"age": age})) for age in (0, 1, 40)]
    # The same bytes twice, as a copied journal has them, are one delivery.
    journal.days[entries[2]["received_at"][:10]].append(entries[2])
    many = [journal.add(now - 90 * DAY, body="{}") for _ in range(15)]
    journal.write()
    for entry in entries:
        uuid = entry["delivery"]
        for word in (uuid, uuid[:-1], uuid[:18], uuid[:9], uuid[:9].upper()):
            equal((word, site.ok("delivery", word, "--raw").decode()), (word, entry["body"]))
        equal(json.loads(site.ok("delivery", uuid[:13], "--json"))["delivery"], uuid)
    common = os.path.commonprefix([entry["delivery"] for entry in entries])
    done = site.run("delivery", common, "--raw")
    equal((done.status, done.out, done.lines()[0]),
          (1, b"", f"fluidhook: {common}: several deliveries begin like this; give more of the UUID:"))
    equal(done.lines()[1:4], ["  " + entry["delivery"] for entry in entries])
    done = site.run("delivery", many[0]["delivery"][:13])
    equal((done.status, len(done.lines()), done.lines()[-1]), (1, 12, "  ..."))


def clock_went_back():
    """Lines need not be in the order of their times: --since and --until look at each of them."""
    site = new_site()
    journal, noon = Journal(site), time.time() // DAY * DAY - DAY / 2
    ages = [0, 5 * HOUR, HOUR, 9 * HOUR, 2 * HOUR, DAY, 30 * HOUR, 25 * HOUR, 40 * DAY]
    entries = {age: journal.add(noon - age) for age in ages}
    journal.write()

    def check(words, want):
        done = site.run("deliveries", "--json", *words)
        equal((words, done.status, done.err, sorted(delivered(done.out))),
              (words, 0, b"", sorted(entries[age]["delivery"] for age in want)))

    check(("--since", instant(noon - 2 * HOUR)), [0, HOUR, 2 * HOUR])
    check(("--since", instant(noon - 26 * HOUR)), [age for age in ages if age <= 26 * HOUR])
    check(("--until", instant(noon - 2 * HOUR)), [age for age in ages if age > 2 * HOUR])
    check(("--since", instant(noon - 9 * HOUR), "--until", instant(noon)), [5 * HOUR, HOUR, 9 * HOUR, 2 * HOUR])
    check(("--since", "9999-12-31"), [])
    check(("--until", "1970-01-01"), [])
    equal(site.run("deliveries", "--until", "yesterday").status, 2)
    if not find("strace"):
        return
    # Of days that cannot have any, nothing is read.
    first, last = (instant(noon - age)[:10] + ".jsonl" for age in (40 * DAY, 0))
    assert first not in files_read(site, "deliveries", "--since", instant(noon - HOUR))
    assert last not in files_read(site, "deliveries", "--until", instant(noon - 30 * DAY))


def hidden_characters():
    """Characters that are not seen, or that turn the direction of writing, are shown by number."""
    site = new_site()
    name = "Ac\u200bme \u202elaer ton\u202c \u2066x\u2069\ufeff\u00ad"
    shown = "Ac\\u200bme \\u202elaer ton\\u202c \\u2066x\\u2069\\ufeff\\u00ad"
    company, other = (Company(site.droplets[0], name=text) for text in (name, "Plain"))
    for one in (company, other):
        send(site, one.install(), site.droplets[0].secret)
    journal = Journal(site)
    journal.add(time.time() - 2 * DAY, fluid_shop="ac\u202eme.fluid.app", event="or\u200bder.created",
                installation="dri_\u2067x")
    journal.write()
    said = {words: site.ok(*words).decode() for words in
            (("list",), ("show", company.dri), ("deliveries",),
             ("deliveries", "--since", "3d", "--until", "1d"))}
    for words, text in said.items():
        equal((words, [c for c in text if unicodedata.category(c) in ("Cf", "Zl", "Zp")]), (words, []))
    row, plain = ([line for line in said["list",].splitlines() if one.dri in line][0] for one in (company, other))
    at = said["list",].splitlines()[0].index("COMPANY")
    equal((row[at:], plain[at:]), (shown, "Plain"))
    assert shown in said["show", company.dri], said
    # The columns behind such a cell are where the titles are.
    titles, line = said["deliveries", "--since", "3d", "--until", "1d"].splitlines()
    for title, cell in (("EVENT", "or\\u200bder.created"), ("INSTALLATION", "dri_\\u2067x"),
                        ("SHOP", "ac\\u202eme.fluid.app")):
        assert line[titles.index(title):].startswith(cell), (titles, line)
    equal(json.loads(site.ok("show", company.dri, "--json"))["name"], name)


def found_by_its_day():
    """A delivery is looked for around its day, not in the whole journal."""
    site = new_site()
    journal, now = Journal(site), time.time()
    entries = [journal.add(now - DAY * age, body=json.dumps({"age": age})) for age in range(400, -1, -1)]
    journal.write()
    # Just before and after midnight, and filed under the day after the one of its name.
    for age in (0, 1, 200, 399, 400):
        out = site.ok("delivery", entries[400 - age]["delivery"], "--raw")
        equal(json.loads(out)["age"], age)
    if not find("strace"):
        return
    for age in (0, 200, 400):
        opened = files_read(site, "delivery", entries[400 - age]["delivery"], "--raw")
        assert 1 <= len(opened) <= 4, opened


def found_wherever_it_is():
    """A delivery is found in a large file at once at its place, and by reading all where it is not there."""
    site = new_site()
    journal, noon = Journal(site), time.time() // DAY * DAY - DAY / 2
    entries = [journal.add(noon + number / 100, body="x" * 1000) for number in range(4000)]
    day = journal.days[entries[0]["received_at"][:10]]
    # A clock that was set back, and a writer that puts the members in another order.
    day.insert(3000, day.pop(500))
    other = journal.add(noon + 30, body='{"b":2}')
    day.remove(other)
    day.insert(100, dict(reversed(other.items())))
    journal.write()
    for number in (0, 1, 499, 500, 501, 2999, 3999):
        uuid = entries[number]["delivery"]
        equal((number, site.ok("delivery", uuid.upper(), "--raw")), (number, b"x" * 1000))
        equal((number, site.ok("delivery", uuid[:-1], "--raw")), (number, b"x" * 1000))
    equal(site.ok("delivery", other["delivery"], "--raw"), b'{"b":2}')
    if not find("strace"):
        return
    (path,) = site.journal_files()
    for number, near in ((0, True), (2500, True), (3999, True), (500, False)):
        read = files_read(site, "delivery", entries[number]["delivery"], "--raw")[path.name]
        assert (read < 1 << 20) == near, (number, read)


def only_what_is_looked_for():
    """Lines of others are not parsed: a damaged one is named as far as it is not a whole object."""
    site = new_site()
    journal, now = Journal(site), time.time()
    wanted = journal.add(now, installation="dri_x")
    for number in range(50):
        journal.add(now, installation=f"dri_{number}", fluid_shop="other")
    journal.write()
    (path,) = site.journal_files()
    equal(delivered(site.ok("deliveries", "--installation", "dri_x", "--json")), [wanted["delivery"]])
    with open(path, "ab") as f:
        f.write(b'{"delivery":"01\n')
    done = site.run("deliveries", "--installation", "dri_x", "--json")
    equal((done.status, delivered(done.out)), (1, [wanted["delivery"]]))
    assert "damaged" in done.lines()[0], done


def follow():
    """deliveries --follow prints what arrives from then on, in whichever file, and nothing that was there."""
    site = new_site()
    journal, now = Journal(site), time.time()
    for number in range(3):
        journal.add(now, event=f"old.{number}")
    journal.write()
    (today,) = site.journal_files()
    lines = [json.dumps({**journal.add(now), "event": event}, separators=(",", ":")) + "\n"
             for event in ("a.one", "b.other", "a.two", "a.three")]
    for words in (("--json",), ()):
        # A line that is half there at the start is printed once it is whole.
        with open(today, "a", encoding="utf-8") as file:
            file.write(lines[0][:40])
        call = site.start("deliveries", "--follow", "-n", "3", "--event", "a", *words)
        process.wait_until(lambda call=call: watches(call.pid), "following")
        with open(today, "a", encoding="utf-8") as file:
            file.write(lines[0][40:] + lines[1] + lines[2][:-1])
            file.flush()
            file.write("\n")
        following = today.with_name("2999-01-01.jsonl")
        site.write(following, lines[3])
        done = site.finish(call)
        equal((done.status, done.err), (0, b""))
        out = done.out.decode()
        equal(re.findall(r"[ab]\.[a-z]+|old", out), ["a.one", "a.two", "a.three"])
        assert bool(words) == out.startswith("{"), out
        following.unlink()
        with open(today, "a", encoding="utf-8") as file:
            file.write("\n")
    equal(site.run("deliveries", "--follow", "--since", "2h").status, 2)


def watches(pid):
    """Whether the process has an inotify watch. Its descriptors can come and go meanwhile."""
    for path in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            if "inotify wd" in path.read_text():
                return True
        except FileNotFoundError:
            pass
    return False


def files_read(site, *words):
    """Bytes read of each journal file, as strace sees it."""
    trace = site.dir / "trace"
    trace.unlink(missing_ok=True)
    done = process.subprocess.run(
        [find("strace"), "-f", "-y", "-qq", "-e", "trace=read,pread64,mmap", "-o", trace,
         *site.argv(*words)],
        env=site.environment(ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"),
        capture_output=True, cwd="/", check=False, timeout=600, **process.identity())
    assert done.returncode == 0, done
    files = {}
    for line in trace.read_text(errors="replace").splitlines():
        if "/journal/" not in line:
            continue
        name = re.search(r"/journal/([^>]+)>", line)[1]
        assert "mmap" not in line, line
        files[name] = files.get(name, 0) + max(0, int(line.rsplit("= ", 1)[1].split()[0]))
    return files


def widths(text):
    """How many columns a text takes on a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
               for c in text)


NAMES = ["Acme Inc", "\u682a\u5f0f\u4f1a\u793e\u30a2\u30af\u30e1", "Cafe\u0301 \u00c5ngstro\u0308m", "x" * 200,
         "\U0001f6d2 Shop", "red \x1b[31m\x9b2J\r\n\x07 end", "", "\u0645\u062a\u062c\u0631"]


def tables():
    """On a terminal, columns are aligned by width, control characters are escaped, lines are cut at its edge."""
    site = new_site()
    companies = [Company(site.droplets[0], name=name) for name in NAMES]
    for company in companies:
        send(site, company.install(), site.droplets[0].secret)
    for columns in (200, 132, 100, 60):
        text = site.on_terminal("list", columns=columns).decode()
        lines = text.split("\n")
        equal((len(lines), lines.pop()), (len(companies) + 2, ""))
        titles = ["INSTALLATION", "STATUS", "SHOP", "UPDATED", "COMPANY"]
        equal(lines[0].split(), titles if columns > 120 else
              titles[:4] + ["COM"] if columns == 100 else titles[:3])
        assert all(c.isprintable() for line in lines for c in line if not unicodedata.combining(c)), lines
        assert all(widths(line) <= columns for line in lines), (columns, lines)
        if columns < 120:
            continue
        at = lines[0].index("COMPANY")
        for line, company in zip(lines[1:], reversed(companies)):
            assert line.startswith(company.dri + "  active  " + company.shop), line
            name = company.name.replace("\x1b", "\\x1b").replace("\x9b", "\\x9b") \
                .replace("\r", "\\x0d").replace("\n", "\\x0a").replace("\x07", "\\x07") or "-"
            shown = line[at:]
            assert name.startswith(shown), (name, shown)
            if at + widths(name) <= columns:
                equal(shown, name)
    piped = site.ok("list").decode().splitlines()
    assert any(line.endswith("x" * 200) for line in piped)
    equal(site.ok("list", LANG="C").decode().count("\n"), len(companies) + 1)
    for company in companies:
        show = site.ok("show", company.dri).decode()
        equal([c for c in show if not c.isprintable() and c != "\n" and not unicodedata.combining(c)], [])
        shown = json.loads(site.ok("show", company.shop, "--json"))
        equal((shown["name"], shown["status"], shown["authentication_token"]),
              (company.name, "active", "present"))
    # Eighty columns are enough to see which delivery it was.
    rows = site.on_terminal("deliveries", columns=80).decode().splitlines()
    uuids = [json.loads(line)["delivery"] for line in site.ok("deliveries", "--json").splitlines()]
    equal([[row.index(word) for row in rows[1:]] for word in ("droplet.installed",)],
          [[rows[0].index("EVENT")] * 8])
    equal([row[rows[0].index("DELIVERY"):].split()[0] for row in rows[1:]], uuids)


def statuses():
    """list --status, and a shop that means one installation, or several."""
    site = new_site()
    secret = site.droplets[0].secret
    first = Company(site.droplets[0])
    second = first.again()
    send(site, first.install(), secret)
    send(site, second.install(), secret)
    equal([json.loads(line)["installation"] for line in
           site.ok("list", "--json", "--status", "superseded").splitlines()], [first.dri])
    equal([json.loads(line)["installation"] for line in
           site.ok("list", "--json", "--status", "active").splitlines()], [second.dri])
    equal(site.run("list", "--status", "failed").lines(), ["No installations that are failed."])
    equal(site.run("list", "--status", "").status, 2)
    equal(site.run("list", "--status", "Active").status, 2)
    token = site.ok("token", first.shop.upper())
    equal(token.decode(), second.dit + "\n")
    site.said.remove(token)
    site.run("token", first.dri).fails(f"fluidhook: {first.dri}: has no token: it is superseded")
    send(site, second.uninstall(), secret)
    done = site.run("show", first.shop)
    equal((done.status, done.out, sorted(done.lines()[1:])),
          (1, b"", sorted([f"  {first.dri}  superseded", f"  {second.dri}  uninstalled"])))
    equal(done.lines()[0], f"fluidhook: {first.shop}: several installations; name one of them:")
    for word in ("../x", "a/b", ".x", "", "x" * 201, "a b", "\x1b[2J"):
        done = site.run("show", word)
        equal((word, done.status, len(done.lines())), (word, 1, 1))
        assert "\x1b" not in done.lines()[0]


def progress():
    """Who waits at a terminal longer than a second sees for what; nobody else sees anything."""
    site = new_site()
    journal, now = Journal(site), time.time()
    # More than a pipe holds: it blocks there, until somebody reads.
    for _ in range(2000):
        journal.add(now)
    journal.write()
    install = Company(site.droplets[0])
    send(site, install.install(), site.droplets[0].secret)
    shown = site.on_terminal("deliveries", "--json", "-n", "0", out=False, err=True,
                             act=lambda proc: time.sleep(2.5)).decode()
    assert re.match(r"\rReading the journal: \d+, \d+ s\x1b\[K", shown), shown
    assert shown.endswith("\r\x1b[K"), shown
    for words in (("deliveries", "-n", "0"), ("list",)):
        begun = time.monotonic()
        shown = site.on_terminal(*words, out=False, err=True)
        assert shown == b"" or time.monotonic() - begun > 1, shown
    with StandIn() as standin:
        standin.company.company_token = site.company_token
        site.call(standin)
        for words, what in ((("webhook", "list"), "Waiting for Fluid"),
                            (("api", "GET", "/api/x"), "Waiting for Fluid"),
                            (("send", standin.url), "Waiting for the answer")):
            standin.fail("slow", seconds=2.5)
            shown = site.on_terminal(*words, out=False, err=True).decode()
            assert re.match(rf"\r{what}: \d+ s\x1b\[K", shown), (words, shown)
            assert shown.split("\x1b[K")[1].startswith("\r"), (words, shown)
        standin.fail("slow", seconds=1.4)
        equal(site.run("webhook", "list").lines(), ["Fluid has no webhooks for this company."])


def progress_of_list():
    """list shows how many records it has read, where it takes long."""
    strace = find("strace")
    if not strace:
        raise tap.Skip("strace is not installed")
    site = new_site()
    for _ in range(15):
        send(site, Company(site.droplets[0]).install(), site.droplets[0].secret)
    shown = site.on_terminal("list", out=False, err=True, wrap=(
        strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=openat", "-e",
        "inject=openat:delay_enter=100000")).decode()
    if "ASAN_OPTIONS" in os.environ and "LeakSanitizer has encountered" in shown:
        shown = shown.partition("==")[0]
    assert re.match(r"\rReading records: \d+, 1 s\x1b\[K", shown), shown


def api_on_terminal():
    """api shows an answer on a terminal so that it can do nothing to it, and byte for byte elsewhere."""
    site = new_site()
    with StandIn() as standin:
        standin.company.company_token = site.company_token
        site.call(standin)
        body = '{\n\t"a": "\u009b2J\x1b]0;x\x07\u00e4"\r\n}'
        standin.fail(status=200, body=body, times=2)
        equal(site.ok("api", "GET", "/api/x"), body.encode())
        equal(site.on_terminal("api", "GET", "/api/x").decode(),
              '{\n\t"a": "\\x9b2J\\x1b]0;x\\x07\u00e4"\\x0d\n}\n')


def many_installations():
    """Ten thousand installations are listed."""
    site = new_site()
    company = Company(site.droplets[0])
    send(site, company.install(), site.droplets[0].secret)
    text = site.record_path(company.dri).read_text()
    directory = site.state / "installations"
    for number in range(10000):
        path = directory / f"dri_{number:032d}.json"
        path.write_text(text.replace(company.dri, path.stem))
        path.chmod(0o600)
        process.give(path)
    for words in (("list",), ("list", "--json"), ("list", "--status", "failed")):
        took = []
        for _ in range(3):
            begun = time.monotonic()
            out = site.run(*words).out
            took.append(time.monotonic() - begun)
            site.said = [text for text in site.said if len(text) < 100000]
        if "failed" not in words:
            equal(out.count(b"\n"), 10001 + ("--json" not in words))
        tap.note(f"{' '.join(words)}: {min(took):.3f} s")


def huge_journal():
    """The newest deliveries of a journal of gigabytes come at once."""
    site = new_site()
    journal, now = Journal(site), time.time()
    entries = [journal.add(now, body="x" * 2000) for _ in range(200)]
    journal.write()
    (today,) = site.journal_files()
    lines = today.read_bytes()
    older = site.state / "journal/2020-01-01.jsonl"
    older.write_bytes(b"")
    process.give(older)
    os.truncate(older, 4 << 30)
    # What is before is a hole, as large as a year of deliveries.
    today.write_bytes(b"")
    os.truncate(today, 6 << 30)
    with open(today, "ab") as f:
        f.write(b"\n" + lines)
    took = []
    for _ in range(3):
        begun = time.monotonic()
        out = site.ok("deliveries", "--json")
        took.append(time.monotonic() - begun)
        equal(delivered(out), [entry["delivery"] for entry in reversed(entries)][:20])
    tap.note(f"the newest 20 of {today.stat().st_size} bytes: {min(took) * 1000:.1f} ms")
    if find("strace"):
        read = files_read(site, "deliveries")
        tap.note(f"read: {read}")
        equal(list(read), [today.name])
        assert read[today.name] <= 128 * 1024, read


def no_leaks():
    """Of all that was printed and logged, nothing is a token, a secret or a signature."""
    equal([word for site in SITES for word in site.leaks()], [])


if not COMMAND.is_file():
    tap.bail(f"there is no {COMMAND}: build first")
tap.run([tap.Test(function.__doc__.split("\n")[0].rstrip("."), function) for function in (
    since, filters, clock_went_back, one_delivery, short_names, hidden_characters, found_by_its_day, found_wherever_it_is,
    only_what_is_looked_for, follow, tables, statuses, progress, progress_of_list,
    api_on_terminal, many_installations, huge_journal, no_leaks)])
