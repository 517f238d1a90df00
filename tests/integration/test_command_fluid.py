#!/usr/bin/env python3
"""The command at Fluid's API: `webhook` and `api`, whatever the API does."""

import contextlib
import json
import os
import pathlib

from harness import fluid, process, tap
from harness.command_site import CommandSite
from harness.site import COMMAND
from harness.fluid import Company
from harness.fronts import Cgi
from harness.tap import equal
from harness.web import Request
from standin import SHAPES, StandIn, certificates

FIRST, SECOND = "/api/webhooks", "/api/company/webhooks"
URL = "https://reportify.example.com/webhook"
CREATE = ("webhook", "create", "--resource", "droplet", "--event", "installed", "--url", URL)
SEED = {"webhook": {"resource": "droplet", "event": "installed", "url": URL, "active": True,
                    "http_method": "post"}}
SITES = []


def new_site(**fields):
    site = CommandSite(**fields)
    SITES.append(site)
    return site


def new_standin(site, **fields):
    standin = StandIn(**fields)
    standin.company.company_token = site.company_token
    return standin


@contextlib.contextmanager
def fluid_at(**settings):
    """A site whose Fluid is a stand-in with both addresses."""
    site = new_site()
    with new_standin(site) as standin:
        site.call(standin, **{"webhooks": f"{standin.url}{FIRST} {standin.url}{SECOND}", **settings})
        yield site, standin
        equal(standin.broken, [])


def headers_of(request):
    return {name.lower(): value for name, value in request.headers}


def seed_request():
    """webhook create sends the seed's request, and nothing else."""
    with fluid_at() as (site, standin):
        out = site.ok(*CREATE).decode()
        equal(standin.calls(), [f"POST {FIRST}"])
        (request,) = standin.requests
        equal(json.loads(request.body), SEED)
        headers = headers_of(request)
        equal(len(headers), len(request.headers))
        version = headers.pop("user-agent")
        equal(version, "fluidhook/" + site.ok("--version").decode().split()[1])
        equal(headers, {"host": standin.url[7:], "accept": "application/json",
                        "authorization": "Bearer " + site.company_token,
                        "content-type": "application/json",
                        "content-length": str(len(request.body))})
        (webhook,) = standin.company.webhooks
        assert f"id            {webhook['id']}\n" in out and URL in out, out
        standin.forget()
        site.write(site.dir / "key", "# a remark\n" + fluid.credential("dws_") + "\n")
        key = (site.dir / "key").read_text().split()[-1]
        made = json.loads(site.ok(*CREATE, "--method", "PUT", "--inactive", "--auth-token-file",
                                  site.dir / "key", "--json"))
        equal(standin.requests[0].json(), {"webhook": {
            **SEED["webhook"], "active": False, "http_method": "put", "auth_token": key}})
        equal((made["id"], made["active"], made["has_auth_token"], made["http_method"]),
              (webhook["id"] + 1, False, True, "put"))
        assert "auth_token" not in made


def next_address():
    """Where the first address has no webhooks, the same request goes to the next."""
    site = new_site()
    with new_standin(site) as one, new_standin(site) as two:
        site.call(one, webhooks=f"{one.url}{FIRST} {two.url}{SECOND}")
        for status in (404, 405, 410):
            one.fail(status=status, body={"message": "no"})
            site.ok(*CREATE)
            equal((one.calls(), two.calls()), ([f"POST {FIRST}"], [f"POST {SECOND}"]))
            first, second = one.requests[0], two.requests[0]
            equal(second.body, first.body)
            equal({**headers_of(second), "host": None}, {**headers_of(first), "host": None})
            one.forget()
            two.forget()
        one.families = two.families = set()
        site.run(*CREATE).fails(
            f"fluid: 404: no webhooks API at {one.url}{FIRST} and {two.url}{SECOND}; `webhooks` "
            "under [fluid] names its addresses")
        equal(len(one.requests) + len(two.requests), 2)


# What is said of each of Fluid's error shapes.
SAID = {
    "401_message": "401: Unauthorized; the token is from {token}",
    "403_scope": "403: Token does not have the required scope: webhooks.write",
    "403_html": "403: forbidden",
    "404_html": "404: no webhook 42 for this token (asked {first} and {second})",
    "404_null": "404: no webhook 42 for this token (asked {first} and {second})",
    "422_string": "422: url: must be https",
    "422_array": "422: Url must be https; Event is unknown",
    "422_object": "422: url: must be https",
    "422_nested": "422: url: must be https; url: is too long",
    "422_objects": "422: url: must be https",
    "422_old_message": "422: url must be https",
    "422_old_error": "422: url must be https",
    "429_empty": "429: too many requests",
    "500_html": "500: internal error",
    "503_empty": "503: unavailable",
}


def error_shapes():
    """Each error shape is one line that can be read, and status 1; a call that changes is not repeated."""
    with fluid_at() as (site, standin):
        equal(SAID.keys(), SHAPES.keys())
        for shape, text in SAID.items():
            times = 2 if shape.startswith("404") else 1
            standin.fail(shape=shape, times=times)
            line = "fluid: " + text.format(token=site.token_file, first=standin.url + FIRST,
                                           second=standin.url + SECOND)
            if shape.startswith("50"):
                line += "; it may have been changed: look with `fluidhook webhook show 42`"
            done = site.run("webhook", "update", "42", "--inactive").fails(line)
            equal((done.out, len(standin.requests)), (b"", times))
            standin.forget()


BROKEN = {
    "reset": "the connection broke before the answer was whole",
    "close": "the connection was closed without an answer",
    "half": "the answer is not whole",
    "huge": "the answer is larger than 4 MiB",
    "slow": "no answer within 1 s",
}


def time_out(site, standin, kind):
    """Wait as long as it takes, but for what is too slow."""
    webhooks = site.fluid["webhooks"]
    site.call(standin, webhooks=webhooks, timeout=1 if kind == "slow" else 60)


def broken_answers():
    """A call that may have created something is made once: no second try and no other address."""
    with fluid_at() as (site, standin):
        maybe = "; the webhook may exist now: look with `fluidhook webhook list` before trying again"
        for kind, text in BROKEN.items():
            time_out(site, standin, kind)
            standin.fail(kind)
            done = site.run(*CREATE)
            (line,) = done.lines()
            assert line.startswith(f"fluid: {standin.url}: {text}{maybe}"), line
            equal((kind, done.status, standin.calls()), (kind, 1, [f"POST {FIRST}"]))
            standin.forget()
        time_out(site, standin, "invalid")
        standin.fail("invalid")
        (line,) = site.run(*CREATE).lines()
        assert line.startswith("fluid: the answer to POST (status 201) is not readable JSON" + maybe)
        for shape in ("422_object", "429_empty", "500_html", "503_empty", "401_message", "403_scope"):
            standin.forget()
            standin.fail(shape=shape)
            line = "fluid: " + SAID[shape].format(token=site.token_file)
            # After a server error it may have been created; a refusal is certain.
            line += maybe if shape.startswith("50") else ""
            site.run(*CREATE).fails(line)
            equal((shape, standin.calls()), (shape, [f"POST {FIRST}"]))


def reads_again():
    """A call that only reads is made again where that can help, and no oftener than three times."""
    with fluid_at() as (site, standin):
        standin.company.create_webhook(None, SEED)
        standin.fail("reset")
        standin.fail(shape="503_empty")
        equal(len(site.ok("webhook", "list", "--json").splitlines()), 1)
        equal(len(standin.requests), 3)
        for kind, text in BROKEN.items():
            standin.forget()
            time_out(site, standin, kind)
            standin.fail(kind, times=4)
            site.run("webhook", "list").fails(f"fluid: {standin.url}: {text}")
            # What took long, or is no better the next time, is not asked for again.
            equal((kind, len(standin.requests)), (kind, 1 if kind in ("huge", "slow") else 3))
        standin.forget()
        time_out(site, standin, "429")
        standin.fail(status=429, headers={"Retry-After": "3600"})
        site.run("webhook", "list").fails("fluid: 429: too many requests; Fluid asks to wait 3600 s")
        standin.fail("invalid")
        site.run("webhook", "list").fails("fluid: the answer to GET (status 200) is not readable JSON")


def unreachable():
    """Nobody there: nothing was sent, and the line says so."""
    site = new_site()
    with new_standin(site) as standin:
        site.call(standin)
    site.run("webhook", "delete", "7").fails(
        f"fluid: {standin.url}: could not connect: Connection refused")


def pages():
    """webhook list reads every page, for people and as JSON."""
    with fluid_at() as (site, standin):
        equal(site.run("webhook", "list").lines(), ["Fluid has no webhooks for this company."])
        for number in range(250):
            standin.company.create_webhook(None, {"webhook": {
                "resource": "order", "event": "created", "url": f"https://example.com/{number}",
                "auth_token": fluid.credential("dws_")}})
        want = standin.company.webhooks
        want[3]["url"] = "https://example.com/\x1b[31m\x9b0m\n"
        want[4]["droplet_installation_uuid"] = "dri_4"
        want[5]["active"] = False
        standin.forget()
        got = [json.loads(line) for line in site.ok("webhook", "list", "--json").splitlines()]
        equal(got, [{k: v for k, v in one.items() if k != "auth_token"} for one in want])
        equal(standin.calls(), [f"GET {FIRST}?page={n}&per_page=100" for n in (1, 2, 3)])
        rows = site.ok("webhook", "list").decode().splitlines()
        equal(len(rows), 251)
        equal({row.index(word) for row, word in zip(rows, ["URL"] + ["https:"] * 250)},
              {rows[0].index("URL")})
        equal(rows[4].split()[-1], "https://example.com/\\x1b[31m\\x9b0m\\x0a")
        equal(rows[5].split()[1:5], ["order.created", "yes", "post", "dri_4"])
        equal(rows[6].split()[2], "no")


def pages_behind_another_address():
    """All pages are read where the first one was found; a list that breaks off is none."""
    site = new_site()
    with new_standin(site, families=()) as one, new_standin(site) as two:
        site.call(one, webhooks=f"{one.url}{FIRST} {two.url}{SECOND}")
        for _ in range(150):
            two.company.create_webhook(None, SEED)
        equal(len(site.ok("webhook", "list", "--json").splitlines()), 150)
        equal((len(one.requests), len(two.requests)), (1, 2))
        two.fail(shape="422_object", skip=1)
        equal(site.run("webhook", "list").fails("fluid: 422: url: must be https").out, b"")


def one_webhook():
    """show, update and delete."""
    with fluid_at() as (site, standin):
        key = fluid.credential("dws_")
        standin.company.create_webhook(None, {"webhook": {**SEED["webhook"], "auth_token": key}})
        (webhook,) = standin.company.webhooks
        number = str(webhook["id"])
        shown = json.loads(site.ok("webhook", "show", number, "--json"))
        equal(shown, {**{k: v for k, v in webhook.items() if k != "auth_token"},
                      "has_auth_token": True})
        text = site.ok("webhook", "show", number).decode()
        for row in (f"id            {number}", "event         droplet.installed", f"url           {URL}",
                    "active        yes", "auth_token    present", "installation  -"):
            assert row in text.splitlines(), text
        standin.forget()
        site.ok("webhook", "update", number, "--url", URL + "/2", "--inactive")
        equal(json.loads(standin.requests[0].body),
              {"webhook": {"url": URL + "/2", "active": False}})
        equal(standin.calls(), [f"PUT {FIRST}/{number}"])
        equal((webhook["url"], webhook["active"], webhook["auth_token"]), (URL + "/2", False, key))
        # As register does, before Fluid is asked.
        standin.forget()
        for wrong in ("http://plain.example", "hooks.example.com", "ftp://x/", "", "https:/x/", "https:///x/"):
            for words in (("update", number), CREATE[1:6]):
                done = site.run("webhook", *words, "--url", wrong)
                equal((words, wrong, done.status, len(done.lines())), (words, wrong, 2, 1))
        equal(standin.calls(), [])
        site.write(site.dir / "key", fluid.credential("dws_") + "\n" + key + "\n")
        site.ok("webhook", "update", number, "--auth-token-file", site.dir / "key", "--active",
                "--method", "get")
        equal((webhook["auth_token"], webhook["active"], webhook["http_method"]),
              ((site.dir / "key").read_text().split()[0], True, "get"))
        equal(site.ok("webhook", "delete", number).decode(), f"deleted webhook {number}\n")
        equal(standin.company.webhooks, [])
        for words in (("show",), ("delete",), ("update", "--active")):
            site.run("webhook", words[0], number, *words[1:]).fails(
                f"fluid: 404: no webhook {number} for this token (asked {standin.url}{FIRST} and "
                f"{standin.url}{SECOND})")


def get_is_lost():
    """A webhook with GET to an address of ours is refused: it would be taken for a health check."""
    ours = "https://Hooks.example.com:443/webhook/"
    order = ("webhook", "create", "--resource", "order", "--event", "created", "--method", "get", "--url")
    for known in ("configuration", "registered"):
        with fluid_at() as (site, standin):
            if known == "configuration":
                site.write_conf(site.conf.read_text() +
                                "\n[worker]\npublic_url = https://hooks.example.com/webhook\n")
            else:
                standin.company.create_webhook(None, {"webhook": {
                    "resource": "droplet", "event": "uninstalled",
                    "url": "https://hooks.example.com/webhook"}})
            before = len(standin.company.webhooks)
            (line,) = site.run(*order, ours).lines()
            assert "health check" in line and ours in line, line
            equal(len(standin.company.webhooks), before)
            equal([r for r in standin.requests if r.method != "GET"], [])
            # Elsewhere it is the user's own affair, and post is fine here.
            site.ok(*order, "https://hooks.example.com/other")
            site.ok(*order, ours, "--method", "post")
            elsewhere, post = standin.company.webhooks[before:]
            site.run("webhook", "update", str(post["id"]), "--method", "GET").fails(
                "fluidhook: " + ours + ": " + line.split(": ", 2)[2])
            site.run("webhook", "update", str(elsewhere["id"]), "--method", "get", "--url", ours).fails(line)
            equal((elsewhere["url"], post["http_method"]), ("https://hooks.example.com/other", "post"))
            if known == "configuration":
                site.run("webhook", "update", str(elsewhere["id"]), "--url", ours).fails(line)
            # Where it cannot be seen whose address it is, nothing is created.
            else:
                standin.fail(shape="503_empty", times=3)
                site.run(*order, ours).fails("fluid: 503: unavailable")
            equal(len(standin.company.webhooks), before + 2)


def events():
    """webhook events lists what can be subscribed to, in Fluid's order."""
    with fluid_at() as (site, standin):
        lines = site.ok("webhook", "events").decode().splitlines()
        equal(lines[:2], ["order.created", "order.updated"])
        equal([line for line in lines if "deprecated" in line],
              [f"rep.{event}  (deprecated)" for event in ("created", "updated", "destroyed")])
        said = [json.loads(line) for line in site.ok("webhook", "events", "--json").splitlines()]
        equal([one["event"] for one in said], [line.split()[0] for line in lines])
        equal(standin.calls(), [f"GET {FIRST}/resources"] * 2)
        standin.fail(status=200, body={"resources": {"a\x1b[2J": ["b"]}})
        equal(site.ok("webhook", "events"), b"a\\x1b[2J.b\n")


def wrong_words():
    """What cannot be meant is refused with status 2, before anything is sent."""
    with fluid_at() as (site, standin):
        for words in (("create",), CREATE[1:5], CREATE[1:7], (*CREATE[1:], "--method", "delete"),
                      (*CREATE[1:], "--active"), (*CREATE[1:], "extra"), ("update",), ("update", "7"),
                      ("update", "x", "--active"), ("update", "7", "--active", "--inactive"),
                      ("update", "7", "--event", "created"), ("show",), ("show", "../7"),
                      ("show", "7", "8"), ("delete", "-7"), ("delete", "007"), ("delete", "7?x=1"),
                      ("list", "7"), ("events", "x"), ("nothing",), ()):
            equal((words, site.run("webhook", *words).status), (words, 2))
        site.run(*CREATE, "--url").fails(
            "fluidhook webhook create: --url needs a value",
            'Try "fluidhook webhook create --help".', status=2)
        equal(standin.requests, [])


def token_files():
    """The company's token comes from its file or $FLUID_COMPANY_TOKEN, or nothing is sent."""
    with fluid_at() as (site, standin):
        file, good = site.token_file, site.company_token + "\n"
        for text, mode, why in (
                (good, 0o604, "open to other users: chmod o= it"),
                (good, 0o602, "open to other users: chmod o= it"),
                (good, 0o000, "Permission denied"),
                ("", 0o600, "no token in it"),
                ("\n# only a remark\n", 0o600, "no token in it"),
                ("two " + good, 0o600, "not a token (one word, at most 512 characters)"),
                ("x" * 513, 0o600, "not a token (one word, at most 512 characters)"),
                ("x\x7f", 0o600, "not a token (one word, at most 512 characters)")):
            site.write(file, text, mode)
            for words in (("webhook", "list"), CREATE, ("api", "GET", "/api/x")):
                site.run(*words).fails(f"fluidhook: {file}: {why}")
        file.unlink()
        site.run("webhook", "list").fails(f"fluidhook: {file}: No such file or directory")
        equal(standin.requests, [])
        site.run("webhook", "list", FLUID_COMPANY_TOKEN="")
        equal(standin.requests, [])
        equal(site.run("webhook", "list", FLUID_COMPANY_TOKEN=site.company_token).status, 0)
        site.run("webhook", "list", FLUID_COMPANY_TOKEN=fluid.credential("C-")).fails(
            "fluid: 401: Unauthorized; the token is from $FLUID_COMPANY_TOKEN")
        site.write(file, f"\n# of Acme\r\n  {site.company_token} \r\nsecond\n", 0o640)
        equal(site.run("webhook", "list").status, 0)
        site.call(standin, company_token=None)
        site.run("webhook", "list").fails(
            f"fluidhook: no company token: name its file as `company_token` under [fluid] in "
            f"{site.conf}, or set $FLUID_COMPANY_TOKEN")


def auth_token_files():
    """A secret for a webhook out of a file that is not fit for it: nothing is sent."""
    with fluid_at() as (site, standin):
        file, key = site.dir / "key", fluid.credential("dws_")
        for text, mode, why in ((key, 0o604, "open to other users: chmod o= it"),
                                (key, 0o000, "Permission denied"),
                                ("# none\n", 0o600, "there is no secret in it"),
                                ("a\x1bb\n", 0o600, "a line of it is no secret, or there are too many"),
                                (None, 0, "No such file or directory")):
            if text is None:
                file.unlink()
            else:
                site.write(file, text, mode)
            site.run(*CREATE, "--auth-token-file", file).fails(f"fluidhook: {file}: {why}")
        equal(standin.requests, [])


def redirects():
    """A redirect is not followed: the token goes nowhere else."""
    site = new_site()
    with new_standin(site) as one, new_standin(site) as other:
        site.call(one)
        line = (f"fluid: 302: redirected to {other.url}, which is not followed: correct the "
                "addresses under [fluid]")
        for words in (CREATE, ("webhook", "list"), ("api", "GET", "/api/x"),
                      ("api", "POST", "/api/x")):
            one.forget()
            one.fail("redirect", location=other.url + SECOND)
            site.run(*words).fails(line)
            equal(len(one.requests), 1)
        equal(other.requests, [])
        one.fail("redirect", location="/api/y")
        site.run("api", "GET", "/api/x").fails(line.replace(other.url, one.url))


def tls():
    """A private authority is trusted where ca_file names it, and only there."""
    site = new_site()
    directory = pathlib.Path(process.temporary_directory())
    ca = certificates.authority(directory)
    good = certificates.certificate(directory)
    elsewhere = certificates.certificate(directory, ["DNS:elsewhere.example"], "elsewhere")
    site.write(site.dir / "ca.pem", ca.read_text(), 0o644)
    with new_standin(site, certificate=good) as standin:
        site.call(standin, ca_file="ca.pem")
        site.ok(*CREATE)
        equal(len(standin.requests), 1)
        standin.forget()
        site.call(standin)
        (line,) = site.run(*CREATE).lines()
        assert line.startswith(f"fluid: {standin.url}: the certificate is not trusted: "), line
        assert line.endswith("`ca_file` under [fluid] can name others to trust"), line
        site.write(site.dir / "ca.pem", "", 0o644)
        site.call(standin, ca_file="ca.pem")
        site.run(*CREATE).fails(f"fluidhook: {site.dir}/ca.pem: no certificates in it")
        site.call(standin, ca_file="nowhere.pem")
        site.run(*CREATE).fails(f"fluidhook: {site.dir}/nowhere.pem: No such file or directory")
        equal(standin.requests, [])
        site.call(standin, api=standin.url.replace("https", "http"))
        equal(site.run("api", "GET", "/api/x").status, 1)
        equal(standin.requests, [])
    site.write(site.dir / "ca.pem", ca.read_text(), 0o644)
    with new_standin(site, certificate=elsewhere) as standin:
        site.call(standin, ca_file="ca.pem")
        (line,) = site.run(*CREATE).lines()
        assert "certificate" in line and line.endswith(
            f"; only what is in {site.dir}/ca.pem is trusted"), line
        equal(standin.requests, [])


def install(site, company):
    """Let the receiver take an installation in."""
    front = Cgi()
    front.start(site)
    body = company.install()
    answer = front.send(Request(headers=fluid.signed(company.droplet.secret, body), body=body))
    equal(answer.status, 200)


def api():
    """api calls as the company or as an installation, and prints what is answered, byte for byte."""
    with fluid_at() as (site, standin):
        company = Company(site.droplets[0])
        install(site, company)
        standin.company.install(company.dri, dit=company.dit)
        out = json.loads(site.ok("api", "GET", "/api/orders?page=2&q=a%20b"))
        equal(out, {"method": "GET", "path": "/api/orders", "query": {"page": "2", "q": "a b"},
                    "body": None, "as": "company"})
        (request,) = standin.requests
        assert request.body == b"" and request.header("Content-Type") is None, request.headers
        equal(json.loads(site.ok("api", "get", "/api/orders", "--company"))["as"], "company")
        for name in (company.dri, company.shop, company.shop.upper() + ".Fluid.App"):
            out = json.loads(site.ok("api", "GET", "/api/me", "--installation", name))
            equal((name, out["as"]), (name, company.dri))
        data = b'{"a": "\xc3\xa4\\u00e4" }\n\n'
        file = site.dir / "data.json"
        site.write(file, data.decode())
        for method in ("POST", "PUT", "PATCH", "DELETE", "GET"):
            for words, stdin in ((("--data", file), b""), (("--data", "-"), data)):
                standin.forget()
                out = site.ok("api", method, "/api/x", *words, stdin=stdin)
                equal(json.loads(out)["body"], {"a": "\u00e4\u00e4"})
                (request,) = standin.requests
                equal((method, request.body, request.header("Content-Type")),
                      (request.method, data, "application/json"))
        standin.forget()
        equal(site.ok("api", "HEAD", "/api/x"), b"")
        site.ok("api", "DELETE", "/api/x")
        site.ok("api", "POST", "/api/x", "--data", "-")
        equal([(r.method, r.body, r.header("Content-Length")) for r in standin.requests],
              [("HEAD", b"", None), ("DELETE", b"", "0"), ("POST", b"", "0")])
        standin.fail(body="no newline at its end", status=200)
        equal(site.ok("api", "GET", "/api/x"), b"no newline at its end")


def api_fails():
    """An answer that is 4xx or 5xx is printed, said in one line, and status 1."""
    with fluid_at() as (site, standin):
        for shape, (_, body) in SHAPES.items():
            standin.fail(shape=shape)
            done = site.run("api", "POST", "/api/x")
            text = SAID[shape].format(token=site.token_file, first="", second="")
            text = {"404_null": "404: Webhook not found", "404_html": "404: not found"}.get(shape, text)
            done.fails("fluid: " + text)
            want = body if isinstance(body, str) or body is None else json.dumps(body)
            equal((shape, done.out), (shape, (want or "").encode()))
        for kind in ("half", "huge", "close", "reset"):
            standin.fail(kind)
            done = site.run("api", "POST", "/api/x")
            done.fails(f"fluid: {standin.url}: {BROKEN[kind]}")
            equal((kind, done.out), (kind, b""))


def api_refuses():
    """What is no path of the API, no method or no installation that can call: nothing is sent."""
    with fluid_at() as (site, standin):
        company = Company(site.droplets[0])
        install(site, company)
        for path in ("", "api/x", "//evil.example/x", "https://evil.example/", "/a/../b", "/./a",
                     "/a//b", "/a b", "/a\tb", "/a#b", "/a\\b", "/\xe4", "/%zz", "/" + "x" * 3000):
            equal((path, site.run("api", "GET", path).status), (path, 2))
        for words in (("LIST", "/api/x"), ("GET",), (), ("GET", "/api/x", "/api/y"),
                      ("GET", "/api/x", "--company", "--installation", company.dri)):
            equal((words, site.run("api", *words).status), (words, 2))
        site.run("api", "GET", "/api/x", "--installation", "nobody").fails(
            'fluidhook: nobody: no installation and no shop of that name ("fluidhook list" shows all)')
        equal(site.run("api", "GET", "/api/x", "--data", site.dir / "nowhere").lines(),
              [f"fluidhook: {site.dir}/nowhere: No such file or directory"])
        front = Cgi()
        front.start(site)
        body = company.uninstall()
        front.send(Request(headers=fluid.signed(company.droplet.secret, body), body=body))
        site.run("api", "GET", "/api/x", "--installation", company.dri).fails(
            f"fluidhook: {company.dri}: is uninstalled, and only an active installation can call "
            "Fluid")
        equal(standin.requests, [])


def quoted_back():
    """A token that Fluid quotes in an error is not repeated; control characters are escaped."""
    with fluid_at() as (site, standin):
        standin.fail(status=422, body={"message": f"Bearer {site.company_token} \x1b[2J\u009b\nmore"})
        site.run(*CREATE).fails(
            "fluid: 422: Bearer " + "*" * len(site.company_token) + " \\x1b[2J\\x9b\\x0amore")
        key = fluid.credential("dws_")
        site.write(site.dir / "key", key)
        standin.fail(status=422, body={"errors": {"auth_token": [f"{key} is weak"]}})
        site.run(*CREATE, "--auth-token-file", site.dir / "key").fails(
            "fluid: 422: auth_token: " + "*" * len(key) + " is weak")


def process_list():
    """While a call runs, no token is in any process's arguments."""
    with fluid_at() as (site, standin):
        site.write(site.dir / "key", fluid.credential("dws_"))
        company = Company(site.droplets[0])
        install(site, company)
        standin.fail("slow", times=9, seconds=60)
        running = [site.start(*CREATE, "--auth-token-file", site.dir / "key"),
                   site.start("api", "GET", "/api/x", "--installation", company.dri)]
        try:
            process.wait_until(lambda: len(standin.requests) == 2, "the calls do not arrive")
            seen = b""
            for entry in os.listdir("/proc"):
                with contextlib.suppress(OSError):
                    if entry.isdigit():
                        seen += pathlib.Path(f"/proc/{entry}/cmdline").read_bytes() + b"\0"
            assert seen.count(os.fsencode(site.command)) >= 2, "the calls do not run"
            equal([word for word in fluid.CREDENTIALS if word.encode() in seen], [])
        finally:
            for proc in running:
                proc.terminate()
                site.finish(proc)


def as_root():
    """Run as root, what only root may read is read before the command becomes the receiver's user."""
    if process.USER is None:
        raise tap.Skip("not run as root")
    with fluid_at() as (site, standin):
        company = Company(site.droplets[0])
        install(site, company)
        standin.company.install(company.dri, dit=company.dit)
        for path in (site.token_file, site.conf):
            os.chown(path, 0, 0)
        site.write(site.dir / "data", "{}")
        os.chown(site.dir / "data", 0, 0)
        equal(site.run("webhook", "list", root=True).status, 0)
        out = site.run("api", "POST", "/api/x", "--data", site.dir / "data", "--installation",
                       company.shop, root=True)
        equal((out.err, json.loads(out.out)["as"]), (b"", company.dri))


def no_leaks():
    """Of all that was printed, nothing is a token, a secret or a signature."""
    assert sum(len(text) for site in SITES for text in site.said) > 10000
    equal([word for site in SITES for word in site.leaks()], [])


if not COMMAND.is_file():
    tap.bail(f"there is no {COMMAND}: build first")
tap.run([tap.Test(function.__doc__.split("\n")[0].rstrip("."), function) for function in (
    seed_request, next_address, error_shapes, broken_answers, reads_again, unreachable, pages,
    pages_behind_another_address, one_webhook, get_is_lost, events, wrong_words, token_files, auth_token_files,
    redirects, tls, api, api_fails, api_refuses, quoted_back, process_list, as_root, no_leaks)])
