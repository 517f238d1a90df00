#!/usr/bin/env python3
"""The example hooks do their small jobs when the worker runs them.

Real deliveries through a CGI, the real worker, and the files of examples/hooks/ as a user copies them,
but for the directory they write to.
"""
import contextlib
import csv
import http.server
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import fluid, process, tap  # noqa: E402
from harness.fronts import Cgi  # noqa: E402
from harness.site import SOURCE, Site  # noqa: E402
from harness.web import Request  # noqa: E402
from standin import StandIn  # noqa: E402

EXAMPLES = SOURCE / "examples/hooks"
ANNOUNCE, CSV, SQLITE = "announce-install.sh", "orders-to-csv.php", "installations-to-sqlite.py"
DIRECTORY = "/var/lib/fluidhook-hooks"      # where the examples write
PATH = os.environ.get("PATH", "") + ":/usr/local/bin:/usr/bin:/bin"

# What a company may call itself, as it stands in the body, and as it can be told of.
ODD_NAMES = [
    ('"<!channel> & @all"', "&lt;!channel&gt; &amp; @\u200ball"),
    ('"$(touch /tmp/x) `id` %s ${HOME} \'\\"\\\\"', "$(touch /tmp/x) `id` %s ${HOME} '\"\\"),
    ('"\u00c4\u00df \u65e5\u672c \\ud83d\\ude00 \u0627\u0644"', "\u00c4\u00df \u65e5\u672c \U0001f600 \u0627\u0644"),
    ('"two\\nlines\\t\\u001b[31m"', "two lines [31m"),
    (json.dumps("n" * 5000), "n" * 100),
    ('"cut \\ud83d"', "A company"),
    ('null', "A company"),
    ('""', "A company"),
]


class Chat:
    """Takes messages at an address that is a secret, and answers with `status`."""

    def __init__(self, port=0):
        self.messages = []
        self.paths = []
        self.status = 200
        chat = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/json"
                chat.messages.append(json.loads(body)["text"])
                chat.paths.append(self.path)
                self.send_response(chat.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.secret = fluid.credential("T0/B0/")
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Place(Site):
    """A site whose worker has the example as a hook of these names."""

    def __init__(self, example, *names, conf=""):
        super().__init__()
        self.make_hooks()
        text = (EXAMPLES / example).read_text(encoding="utf-8")
        assert text.count(DIRECTORY) >= 1 or example == ANNOUNCE
        self.write(self.hooks / names[0], text.replace(DIRECTORY, str(self.out)), 0o755)
        for name in names[1:]:
            (self.hooks / name).symlink_to(names[0])
        # Rows and messages are compared in the order of the journal.
        order = "" if "concurrency" in conf else "concurrency = 1\n"
        self.write_conf(self.conf_text() + "\n[worker]\nhooks = hooks\n" + order + conf)
        self.cgi = Cgi()
        self.cgi.start(self)
        self.path = PATH

    def run(self, *words):
        with self.log("worker.log") as log:
            done = self.execute(*words, env={"PATH": self.path}, stdout=subprocess.PIPE, stderr=log, text=True)
        assert done.returncode == 0, (words, done.returncode, self.log_tail())
        return done.stdout

    def work(self):
        self.run("work", "--once")

    def deliver(self, body, secret=None, shop=None, status=200, later=0):
        """Sign so many seconds later than now, and deliver. Returns the uuid given to it."""
        secret = secret or self.droplets[0].secret
        headers = fluid.signed(secret, body, fluid.now() + later, shop)
        answer = self.cgi.send(Request(headers=headers, body=body))
        assert answer.status == status, answer.describe()
        return json.loads(answer.body)["delivery"]

    def waiting(self):
        return [json.loads(line) for line in self.run("queue", "--json").splitlines()]

    def forget(self):
        """The worker's memory of what it has done, as where it crashed before it was noted."""
        (self.state / "queue/position.json").unlink()
        for path in (self.state / "runs").iterdir():
            path.unlink()

    def check_waits(self, delivery, event):
        """It failed once, and is to be tried again in about ten seconds."""
        (item,) = self.waiting()
        assert (item["delivery"], item["event"], item["attempts"]) == (delivery, event, 1), item
        assert item["why"].startswith("exit "), item
        assert 5 < fluid.seconds(item["next_at"]) - time.time() < 14, item

    def check_quiet(self, *texts):
        """No credential is in the log, nor in what the hook wrote."""
        for text in (self.log_text(), *texts):
            for word in fluid.CREDENTIALS:
                assert word not in text, f"{word} in {text[-2000:]}"


def needs(*programs):
    for program in programs:
        if shutil.which(program, path=PATH) is None:
            raise tap.Skip(f"{program} is missing")


@contextlib.contextmanager
def place(*args, **more):
    made = Place(*args, **more)
    try:
        yield made
    except Exception:
        tap.note(made.log_tail())
        raise
    finally:
        made.close()


def enveloped_order(order, **more):
    """An order in an envelope of its own, whatever it is."""
    return fluid.encode({"id": fluid.opaque(""), "name": "order_created", "payload": {
        "resource": "order", "event": "created", "event_name": "order_created", "order": order},
        **more})


def flat_order(order):
    return fluid.encode({"resource": "order", "event": "created", "order": order})


# The message for a new install

@contextlib.contextmanager
def announcing(**more):
    needs("curl", "jq")
    with Chat() as chat, place(ANNOUNCE, "droplet.installed", "fluidhook.install_failed",
                               **more) as p:
        p.write(p.dir / "chat.curl", f'url = "http://127.0.0.1:{chat.port}/{chat.secret}"\n', 0o640)
        yield p, chat


def both_forms():
    """Every install is announced once, flat or enveloped, and its address is in no argument"""
    with announcing() as (p, chat):
        # A curl that tells with what it was called.
        programs = p.dir / "bin"
        programs.mkdir()
        real = shutil.which("curl", path=PATH)
        p.write(programs / "curl", f'#!/bin/sh\nprintf "%s\\n" "$@" >>{p.out}/arguments\n'
                                   f'exec {real} "$@"\n', 0o755)
        programs.chmod(0o755)
        p.path = f"{programs}:{PATH}"
        one, two = (fluid.Company(p.droplets[0], name=name) for name in ("One", "Two"))
        p.deliver(one.install())
        p.deliver(fluid.enveloped("installed", two.company_v1()))
        p.deliver(one.install())
        p.work()
        p.work()
        assert chat.messages == [f"{one.name} ({one.shop}.fluid.app) has installed the droplet",
                                 f"{two.name} ({two.shop}.fluid.app) has installed the droplet"], \
            chat.messages
        assert set(chat.paths) == {"/" + chat.secret}, chat.paths
        arguments = (p.out / "arguments").read_text()
        assert "--config" in arguments
        p.check_quiet(arguments, *chat.messages)


def exchanged():
    """An install with a token to exchange is announced once it has its credentials"""
    with StandIn() as standin:
        with announcing(conf=f"[fluid]\napi = {standin.url}\n") as (p, chat):
            companies = [fluid.Company(p.droplets[0], name=name) for name in ("One", "Two")]
            for company, body in zip(companies, (companies[0].install_v2(), fluid.enveloped(
                    "installed", companies[1].company_v2()))):
                standin.company.offer(company.dex, company.dri, company_id=company.id,
                                      droplet_uuid=company.droplet.uuid)
                p.deliver(body, status=202)
            p.work()
            assert sorted(text.split()[0] for text in chat.messages) == ["One", "Two"], chat.messages
            assert p.waiting() == []
            p.check_quiet(*chat.messages)


def odd_names():
    """Whatever a company calls itself, the message comes, and means nothing to the chat"""
    with announcing() as (p, chat):
        companies = []
        for name, _ in ODD_NAMES:
            company = fluid.Company(p.droplets[0], name="@@")
            companies.append(company)
            p.deliver(company.install().replace(b'"@@"', name.encode()))
        p.work()
        wanted = [f"{name} ({company.shop}.fluid.app) has installed the droplet"
                  for company, (_, name) in zip(companies, ODD_NAMES)]
        for got, want in zip(chat.messages, wanted):
            assert got == want, (got, want)
        assert len(chat.messages) == len(wanted), chat.messages


def chat_is_down():
    """While the chat cannot be reached, or says no, the message waits, and comes once"""
    with announcing() as (p, chat):
        company = fluid.Company(p.droplets[0])
        chat.stop()
        delivery = p.deliver(company.install())
        p.work()
        p.check_waits(delivery, "droplet.installed")
        p.work()                            # its time has not come
        assert p.waiting()[0]["attempts"] == 1
        with Chat(chat.port) as again:
            for attempts, status in enumerate((500, 404, 302), 2):
                again.status = status
                p.hurry()
                p.work()
                assert [item["attempts"] for item in p.waiting()] == [attempts], p.waiting()
            again.status, again.messages = 204, []
            p.hurry()
            p.work()
            p.work()
            assert len(again.messages) == 1 and p.waiting() == []
        assert "the chat answered 302" in p.log_text()
        p.check_quiet()


def no_settings():
    """Without its file of settings the hook fails and says which file that is"""
    with announcing() as (p, chat):
        (p.dir / "chat.curl").unlink()
        delivery = p.deliver(fluid.Company(p.droplets[0]).install())
        p.work()
        p.check_waits(delivery, "droplet.installed")
        assert f"{p.dir}/chat.curl cannot be read" in p.log_text()
        assert chat.messages == []


def came_to_nothing():
    """An install that failed is told of as such; one that was over before its turn is not told of"""
    with announcing() as (p, chat):
        over, company = fluid.Company(p.droplets[0]), fluid.Company(p.droplets[0])
        p.deliver(over.install())
        p.deliver(over.uninstall())
        p.deliver(company.install())
        record = {**p.record(company.dri), "status": "failed", "reason": "exchange_refused"}
        p.write(p.record_path(company.dri), json.dumps(record))

        def told():
            p.work()
            return chat.messages

        process.wait_until(told, "no message")
        process.wait_until(lambda: p.work() or not p.waiting(), "the other one waits no longer")
        assert chat.messages == [f"A company ({company.shop}.fluid.app) wanted to install the "
                                 f"droplet and is not active: fluidhook show {company.dri}"]


# The CSV file of orders

def rows(p):
    """The rows of the file as a program reads them that knows nothing of the hook."""
    path = p.out / "orders.csv"
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as f:
        head, *found = csv.reader(f, strict=True)
    assert head == ["received_at", "shop", "order_id", "status", "total", "currency",
                    "customer_email"]
    return found


@contextlib.contextmanager
def selling(**more):
    """A place, and a company whose orders can come."""
    needs("php")
    with place(CSV, "order.created", **more) as p:
        company = fluid.Company(p.droplets[0])
        p.deliver(company.install())
        yield p, company


def order(p, company, body):
    return p.deliver(body, company.wvt, company.shop)


def each_order_once():
    """An order is one row, flat or enveloped, however often it comes, and after a crash too"""
    with selling() as (p, company):
        flat = flat_order({"id": 1, "status": "placed", "total": "129.99", "currency": "EUR"})
        more = {"id": "ord_2", "total": 7.5, "customer": {"email": "a@example.com", "name": "A"}}
        first = order(p, company, flat)
        order(p, company, flat)
        order(p, company, enveloped_order(more))
        order(p, company, enveloped_order(more))    # in another envelope: another delivery
        other = fluid.Company(p.droplets[0])
        p.deliver(other.install())
        order(p, other, flat)                       # another shop's order of the same number
        p.work()
        mine, its = (c.shop + ".fluid.app" for c in (company, other))
        wanted = [(mine, "1", "placed", "129.99", "EUR", ""),
                  (mine, "ord_2", "", "7.5", "", "a@example.com"),
                  (its, "1", "placed", "129.99", "EUR", "")]
        assert [tuple(row[1:]) for row in rows(p)] == wanted, rows(p)
        received = p.entries(first)[0]["received_at"]
        assert rows(p)[0][0] == received, (rows(p), received)
        p.forget()
        p.work()
        assert [tuple(row[1:]) for row in rows(p)] == wanted, rows(p)
        assert p.log_text().count('msg="hook done"') == 8, p.log_text()
        assert (p.out / "orders.csv").stat().st_mode & 0o777 == 0o600
        p.check_quiet((p.out / "orders.csv").read_text())


def no_formulas():
    """Nothing that a customer types becomes a formula, also where a spreadsheet splits at ;"""
    typed = {
        '=HYPERLINK("http://x","y")': "'=HYPERLINK(\"http://x\",\"y\")",
        "+49 1": "'+49 1", "-2+3": "'-2+3", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'=1",
        "\u200b \u00a0=1": "'\u200b \u00a0=1", "\uff1d1": "'\uff1d1",
        'x";=1': "x\";'=1", "x; =1": "x;' =1", "two\r\nlines": "two lines", "-5.00": "-5.00",
        "a,b": "a,b", 'say "x"': 'say "x"', "M\u00fcller \U0001f600": "M\u00fcller \U0001f600",
    }
    with selling() as (p, company):
        for number, text in enumerate(typed):
            order(p, company, enveloped_order({"id": number, "status": text}))
        order(p, company, flat_order({"id": "=1+1", "total": -1, "status": ["no", "text"],
                                      "currency": True}))
        cut = flat_order({"id": 123456789012345678901234567890, "status": "@@"})
        order(p, company, cut.replace(b"@@", b"cut \\ud83d, \\\\ud83d, \\ud83d\\ude00"))
        p.work()
        found = rows(p)
        for row, (text, want) in zip(found, typed.items()):
            assert row[3] == want, (text, row)
        assert found[-2][2:] == ["'=1+1", "", "-1", "1", ""], found[-2]
        assert found[-1][2:4] == ["123456789012345678901234567890",
                                  "cut \ufffd, \\ud83d, \U0001f600"], found[-1]
        assert len(found) == len(typed) + 2 and p.waiting() == []
        # The same orders again are found, whatever became of their numbers.
        p.forget()
        p.work()
        assert rows(p) == found


def file_troubles():
    """A torn row is written over; a file that cannot be written, or has other columns, lets wait"""
    with selling() as (p, company):
        path = p.out / "orders.csv"
        p.out.rename(p.dir / "away")
        delivery = order(p, company, flat_order({"id": 1}))
        p.work()
        p.check_waits(delivery, "order.created")
        (p.dir / "away").rename(p.out)
        p.hurry()
        p.work()
        with open(path, "a", encoding="utf-8") as f:
            f.write('"2026-11-24T00:00:00Z","shop","2","' + "p" * 500)
        order(p, company, flat_order({"id": 2}))
        p.work()
        assert [row[2] for row in rows(p)] == ["1", "2"], rows(p)
        before = path.read_text()
        p.write(path, before.replace('"currency"', '"money"'))
        order(p, company, flat_order({"id": 3}))
        p.work()
        assert path.read_text() == before.replace('"currency"', '"money"')
        (waits,) = p.waiting()
        assert waits["why"] == "exit 1" and "has other columns" in p.log_text()
        p.write(path, before)
        p.hurry()
        p.work()
        assert [row[2] for row in rows(p)] == ["1", "2", "3"] and p.waiting() == []


def no_order():
    """A body without an order's id is not lost in silence: it is given up where all can see it"""
    with selling(conf="attempts = 1\n") as (p, company):
        bodies = [flat_order({"status": "placed"}), flat_order(None), enveloped_order([]),
                  enveloped_order({"id": None, "customer": "nobody@example.com"})]
        wanted = sorted(order(p, company, body) for body in bodies)
        p.work()
        dead = [json.loads(line) for line in p.run("queue", "--dead", "--json").splitlines()]
        assert sorted(item["delivery"] for item in dead) == wanted, dead
        assert rows(p) == [] and "nobody@example.com" not in p.log_text()


def at_once():
    """Hooks that run at the same time write whole rows, each order one"""
    with selling(conf="concurrency = 8\n") as (p, company):
        order(p, company, flat_order({"id": -1}))
        p.work()
        # Looking through these takes a while, in which the others begin.
        with open(p.out / "orders.csv", "a", encoding="utf-8") as f:
            f.write('"","another","0","","","",""\n' * 30000)
        for number in range(16):
            order(p, company, enveloped_order({"id": number // 2, "status": "s" * 9000}))
        p.work()
        ours = [row for row in rows(p) if row[1] != "another"]
        assert sorted(int(row[2]) for row in ours) == list(range(-1, 8)), [r[2] for r in ours]
        assert [len(row[3]) for row in ours] == [0] + 8 * [9000] and len(rows(p)) == 30009


# The table of installations

def table(p, name="installations"):
    """The table's rows by installation."""
    with contextlib.closing(sqlite3.connect(p.out / "installations.db")) as database:
        database.row_factory = sqlite3.Row
        return {row["installation"]: dict(row)
                for row in database.execute(f"SELECT * FROM {name}").fetchall()}


def comes_and_goes():
    """Installs and uninstalls make the table, flat or enveloped, and come again without harm"""
    with place(SQLITE, "any") as p:
        one, two, three = (fluid.Company(p.droplets[0], name=name) for name in ("One", "Two", "3"))
        received = {}
        for key, body in ((one, one.install()),
                          (two, fluid.enveloped("installed", two.company_v1())),
                          (three, three.install(fluid_company_id=10 ** 30))):
            (entry,) = p.entries(p.deliver(body))
            received[key] = entry["received_at"]
        p.deliver(one.order(), one.wvt, one.shop)       # none of its business
        p.work()
        assert table(p) == {c.dri: {
            "installation": c.dri, "shop": c.shop + ".fluid.app",
            "company_id": str(10 ** 30 if c is three else c.id), "droplet": c.droplet.uuid,
            "name": c.name, "installed_at": received[c], "uninstalled_at": None}
            for c in (one, two, three)}, table(p)
        p.deliver(one.uninstall())
        p.deliver(fluid.enveloped("uninstalled", {"droplet_installation_uuid": two.dri}))
        p.work()
        before = table(p)
        assert set(table(p, "active")) == {three.dri}
        assert (before[two.dri]["name"], before[two.dri]["company_id"]) == ("Two", str(two.id))
        assert all(before[c.dri]["uninstalled_at"] > before[c.dri]["installed_at"]
                   for c in (one, two))
        assert p.waiting() == []
        p.forget()
        p.work()
        assert table(p) == before, table(p)
        p.deliver(one.install(name="One again"), later=2)
        p.work()
        assert {row["name"] for row in table(p, "active").values()} == {"3", "One again"}
        p.check_quiet((p.out / "installations.db").read_bytes().decode("latin-1"))


def odd_companies():
    """Whatever a company calls itself stands in the table, and does nothing"""
    names = {'"Robert\'); DROP TABLE installations;--"': "Robert'); DROP TABLE installations;--",
             '"cut \\ud83d, whole \\ud83d\\ude00"': "cut ?, whole \U0001f600",
             '"nul \\u0000 and\\nline"': "nul \0 and\nline", "null": None,
             json.dumps("n" * 100000): "n" * 100000}
    with place(SQLITE, "droplet") as p:
        wanted = {}
        for name, want in names.items():
            company = fluid.Company(p.droplets[0], name="@@")
            p.deliver(company.install().replace(b'"@@"', name.encode()))
            wanted[company.dri] = want
        p.work()
        assert {dri: row["name"] for dri, row in table(p).items()} == wanted
        assert p.waiting() == []


def in_any_order():
    """An install whose turn comes after its uninstall does not bring the installation back"""
    with place(SQLITE, "droplet") as p:
        company = fluid.Company(p.droplets[0])
        p.out.rename(p.dir / "away")
        delivery = p.deliver(company.install())
        p.work()
        p.check_waits(delivery, "droplet.installed")
        (p.dir / "away").rename(p.out)
        p.deliver(company.uninstall())
        p.work()
        assert table(p)[company.dri]["name"] is None
        p.hurry()
        p.work()
        assert p.waiting() == []
        row = table(p)[company.dri]
        assert row["name"] == company.name and row["installed_at"] < row["uninstalled_at"], row
        assert table(p, "active") == {}


def many_at_once():
    """Hooks that run at the same time wait for each other"""
    with place(SQLITE, "droplet", conf="concurrency = 8\n") as p:
        companies = [fluid.Company(p.droplets[0]) for _ in range(16)]
        for company in companies:
            p.deliver(company.install())
        p.work()
        assert set(table(p, "active")) == {company.dri for company in companies}
        assert p.waiting() == [], p.waiting()


if __name__ == "__main__":
    tap.run([tap.Test(function.__doc__, function) for function in
             (both_forms, exchanged, odd_names, chat_is_down, no_settings, came_to_nothing,
              each_order_once, no_formulas, file_troubles, no_order, at_once,
              comes_and_goes, odd_companies, in_any_order, many_at_once)])
