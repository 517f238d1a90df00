#!/usr/bin/env python3
"""register: what Fluid is told, when, and what becomes of it when it is cut short; and the whole way
from a company's token to a call of the API as one of its installations."""

import concurrent.futures
import hashlib
import json
import os
import signal
import socket
import subprocess

from harness import fluid, process, tap
from harness.fluid import Company, Droplet
from harness.fluid_world import FluidWorld, with_world
from harness.fronts import Cgi
from harness.web import Request
from harness.webservers import Nginx, find

URL = "https://hooks.example.com/webhook"
EVENTS = ["droplet.installed", "droplet.uninstalled"]
LISTING = "GET /api/webhooks?page=1&per_page=100"


def first(world):
    """A fresh secret is live before Fluid hears of it, and Fluid gets what the guide says."""
    file = world.site.secrets_file(world.site.droplets[0])
    on_disk = []
    handle = world.standin.handle

    def look(request):
        if request.method == "POST":
            on_disk.append(file.read_text())
        return handle(request)

    world.standin.handle = look
    printed = world.command.ok("register", "--no-doctor", URL)
    (secret,) = world.secrets()
    assert len(secret) > 40 and all(secret in text for text in on_disk) and len(on_disk) == 2
    assert world.webhooks() == [(event, URL, secret, True) for event in EVENTS]
    assert world.standin.calls() == [LISTING] + 2 * ["POST /api/webhooks"]
    assert world.bodies() == [{"webhook": {
        "resource": "droplet", "event": event, "url": URL, "active": True, "http_method": "post",
        "auth_token": secret}} for event in ("installed", "uninstalled")]
    fingerprint = hashlib.sha256(secret.encode()).hexdigest()[:12]
    assert fingerprint in printed and all(event in printed for event in EVENTS)
    assert (file.stat().st_mode & 0o777) == 0o600, "the file keeps its mode"


def again(world):
    """A second run changes nothing, and makes nothing twice."""
    world.command.ok("register", "--no-doctor", URL)
    before, secrets = world.webhooks(), world.secrets()
    world.standin.forget()
    said = json.loads(world.command.ok("register", "--no-doctor", URL, "--json"))
    assert world.webhooks() == before and world.secrets() == secrets
    assert not world.bodies(), world.standin.calls()
    assert [w["done"] for w in said["webhooks"]] == ["kept", "kept"] and not said["secret"]["fresh"]
    assert [w["event"] for w in said["webhooks"]] == EVENTS
    assert said["webhooks"][0]["id"] == world.fluid.webhooks[0]["id"]
    world.fluid.webhooks[1]["active"] = False
    world.command.ok("register", "--no-doctor", URL)
    assert world.webhooks() == before and len(world.bodies()) == 1, "it is made active again"


def cut_short(world):
    """Where the second subscription fails, it is said what exists; the next run completes it."""
    world.standin.fail(method="POST", skip=1, status=422,
                       body={"error_message": "Invalid", "errors": {"url": ["must be https"]}})
    _, err = world.command.fails(1, "register", "--no-doctor", URL)
    assert "fluid: 422: url: must be https" in err, err
    assert "droplet.installed is registered (webhook 4300000001)" in err, err
    assert "droplet.uninstalled is not registered: run the same command again" in err, err
    (secret,) = world.secrets()
    world.standin.forget()
    world.command.ok("register", "--no-doctor", URL)
    assert world.secrets() == [secret], "no other secret is needed"
    assert world.webhooks() == [(event, URL, secret, True) for event in EVENTS]
    assert len(world.bodies()) == 1


def lost_answer(world):
    """A subscription whose answer is lost is looked up, is not made twice, and keeps its secret."""
    for fault in ({"kind": "close"}, {"shape": "500_html"}, {"status": 504}, {"kind": "half"}):
        world.fluid.webhooks.clear()
        world.standin.forget()
        world.standin.fail(method="POST", done=True, **fault)
        said = json.loads(world.command.ok("register", "--no-doctor", URL, "--json"))
        assert [w["done"] for w in said["webhooks"]] == ["created", "created"], said
        assert world.standin.calls().count("POST /api/webhooks") == 2
        assert world.webhooks() == [(event, URL, world.secrets()[0], True) for event in EVENTS]
    # It may exist although it cannot be seen: nobody is told to take its secret away.
    for fault in ({"shape": "500_html"}, {"kind": "close"}):
        world.fluid.webhooks.clear()
        world.standin.forget()
        world.standin.fail(method="POST", done=True, **fault)
        world.standin.fail(method="GET", skip=1, shape="503_empty", times=3)
        _, err = world.command.fails(1, "register", "--no-doctor", URL, "--new-secret")
        assert "droplet.installed may be registered or not: run the same command" in err, err
        assert "may use it; the next run uses it" in err, err
        world.command.ok("register", "--no-doctor", URL)
        assert world.webhooks() == [(event, URL, world.secrets()[0], True) for event in EVENTS]


def refused_token(world):
    """What can be known before anything is changed is known then."""
    world.fluid.company_token = "another"
    _, err = world.command.fails(1, "register", "--no-doctor", URL)
    assert "fluid: 401" in err and "company.token" in err, err
    assert world.secrets() == [] and not world.bodies()
    world.standin.stop()
    _, err = world.command.fails(1, "register", "--no-doctor", URL)
    assert world.secrets() == [] and len(err.splitlines()) == 1, err


def nothing_registered(world):
    """Where the first one fails, the fresh secret is told of."""
    world.standin.fail(method="POST", shape="422_object", times=1)
    _, err = world.command.fails(1, "register", "--no-doctor", URL)
    (secret,) = world.secrets()
    assert hashlib.sha256(secret.encode()).hexdigest()[:12] in err, err
    assert "droplet.installed is not registered" in err and "the next run uses it" in err, err
    # However often it fails, and however that looks: no second secret.
    for fault in ({"shape": "422_object"}, {"shape": "500_html"}, {"status": 504}, {"kind": "close"}):
        world.standin.fail(method="POST", times=1, **fault)
        for words in ((), ("--new-secret",)):
            world.command.run("register", "--no-doctor", URL + "/mistyped" * bool(words), *words)
            world.standin.fail(method="POST", times=1, **fault)
        assert world.secrets() == [secret], fault
    world.standin.forget()


def retire_in_use(world):
    """A secret that is registered is retired with --force only; one that no registration uses any more, without."""
    world.command.ok("register", "--no-doctor", URL)
    (old,) = world.secrets()
    world.command.ok("secret", "add")
    _, err = world.command.fails(1, "secret", "retire", "2")
    assert "webhooks at Fluid are signed with secret" in err and "--force" in err, err
    assert old in world.secrets()
    world.command.ok("register", "--no-doctor", URL, "--new-secret")
    world.command.ok("secret", "retire", "3")
    assert old not in world.secrets() and len(world.secrets()) == 2
    _, err = world.command.fails(1, "secret", "retire", "1")
    world.command.ok("secret", "retire", "1", "--force")
    note = world.site.dir / (world.site.secrets_file(world.site.droplets[0]).name + ".registered")
    assert hashlib.sha256(old.encode()).hexdigest()[:12] not in note.read_text(), note.read_text()


def foreign(world):
    """Webhooks of another address or of an installation stay; ones without our secret are mended."""
    other = "https://other.example.com/webhook"
    make = world.fluid.create_webhook
    make(None, {"webhook": {"resource": "droplet", "event": "installed", "url": other}})
    installation = world.fluid.install("dri_x")
    make(installation, {"webhook": {"resource": "droplet", "event": "installed", "url": URL}})
    make(None, {"webhook": {"resource": "droplet", "event": "uninstalled", "url": URL,
                            "active": False, "auth_token": "unknown-here"}})
    done = world.command.run("register", "--no-doctor", URL)
    assert done.returncode == 0, done.stderr
    assert f"webhook 4300000001 sends droplet.installed to {other}" in done.stderr, done.stderr
    (secret,) = world.secrets()
    assert world.webhooks() == [("droplet.installed", other, None, True),
                                ("droplet.installed", URL, None, True),
                                ("droplet.uninstalled", URL, secret, True),
                                ("droplet.installed", URL, secret, True)]
    assert "updated  webhook 4300000003" in done.stdout, done.stdout


def doubles(world):
    """A second webhook for the same is told of, with the way to remove it."""
    for _ in range(2):
        world.fluid.create_webhook(None, {"webhook": {"resource": "droplet", "event": "installed",
                                                      "url": URL}})
    done = world.command.run("register", "--no-doctor", URL)
    assert done.returncode == 0 and "fluidhook webhook delete 4300000002" in done.stderr, done


def new_secret(world):
    """--new-secret changes the secret of both; the old one stays live."""
    world.command.ok("register", "--no-doctor", URL)
    (old,) = world.secrets()
    world.command.ok("register", "--no-doctor", URL, "--new-secret")
    assert world.secrets()[1:] == [old] and world.secrets()[0] != old
    assert world.webhooks() == [(event, URL, world.secrets()[0], True) for event in EVENTS]


def two_at_once(world):
    """A second register does not start while one is at work: each would find nothing."""
    world.standin.fail("slow", method="GET", seconds=1)
    with concurrent.futures.ThreadPoolExecutor() as threads:
        one = threads.submit(world.command.ok, "register", "--no-doctor", URL)
        process.wait_until(lambda: world.standin.requests, "the first call")
        _, err = world.command.fails(1, "register", "--no-doctor", URL)
        assert "another" in err and len(world.standin.requests) == 1, err
        one.result()
    assert [event for event, *_ in world.webhooks()] == EVENTS
    assert "kept" in world.command.ok("register", "--no-doctor", URL)


def interrupted(world):
    """Started without standard error, and interrupted: nothing takes its place, no lock or file is left."""
    world.standin.fail("slow", method="POST", seconds=3)
    before = set(world.site.dir.iterdir())
    words = ["-c", world.site.conf, "register", "--no-doctor", URL]
    with subprocess.Popen(["sh", "-c", 'exec "$0" "$@" 2>&-', world.command.program, *words],
                          env=process.environment(), stdout=subprocess.DEVNULL,
                          **process.identity()) as proc:
        process.wait_until(lambda: any(r.method == "POST" for r in world.standin.requests), "a POST")
        assert os.readlink(f"/proc/{proc.pid}/fd/2") == "/dev/null"
        proc.send_signal(signal.SIGINT)
        assert proc.wait(process.DEADLINE) == -signal.SIGINT
    note = world.site.dir / (world.site.secrets_file(world.site.droplets[0]).name + ".registered")
    assert set(world.site.dir.iterdir()) == before | {note} and len(world.secrets()) == 1
    process.wait_until(lambda: world.fluid.webhooks, "the first webhook")
    world.command.ok("register", "--no-doctor", URL)
    assert [event for event, *_ in world.webhooks()] == EVENTS and len(world.secrets()) == 1


def which_droplet():
    """With several droplets the one that is meant has to be said, and only its file changes."""
    world = FluidWorld(droplets=[Droplet("reports", n_secrets=0), Droplet("shipping", n_secrets=0)])
    try:
        _, err = world.command.fails(2, "register", "--no-doctor", URL)
        assert "--droplet" in err and not world.standin.requests
        _, err = world.command.fails(2, "register", "--no-doctor", URL, "--droplet", "none")
        assert "[droplet none]" in err, err
        world.command.ok("register", "--no-doctor", URL, "--droplet", "shipping")
        reports, shipping = world.site.droplets
        assert world.secrets(reports) == [] and len(world.secrets(shipping)) == 1
    finally:
        world.close()


def bad_address(world):
    """An address that Fluid cannot use is refused before anything happens."""
    for url in ("http://hooks.example.com/webhook", "hooks.example.com", "ftp://x/", "", "https:/hooks.example.com/",
                "https:hooks.example.com/", "https:///hooks.example.com/"):
        world.command.fails(2, "register", url)
    world.command.fails(2, "register")
    assert not world.standin.requests and world.secrets() == []


def read_only(world):
    """Where the secret cannot be stored, Fluid is not told of any."""
    file = world.site.secrets_file(world.site.droplets[0])
    mode = file.stat().st_mode
    file.chmod(0o644)
    _, err = world.command.fails(1, "register", "--no-doctor", URL)
    assert str(file) in err and not world.bodies(), err
    file.chmod(mode)


def whole_way(world):
    """register, a delivery signed with the secret it chose, list, show, token, and a call with that."""
    if not find("nginx"):
        raise tap.Skip("nginx is missing")
    front, site, command = Nginx(), world.site, world.command
    front.start(site)
    try:
        url = f"http://127.0.0.1:{front.port}/webhook"
        # It ends with what doctor finds, which is that all is well.
        printed = command.ok("register", url)
        assert "created  webhook" in printed and printed.count("\u2713") >= 6 and "Next:" not in printed, printed
        droplet = site.droplets[0]
        company = Company(droplet)
        world.fluid.install(company.dri, droplet.uuid, company.id, company.shop, company.dit,
                            company.wvt)
        auth = {w["auth_token"] for w in world.fluid.webhooks}
        (secret,) = auth
        body = company.install()
        answer = front.send(Request(headers=fluid.signed(secret, body, shop=company.shop), body=body))
        assert answer.status == 200, answer
        assert company.dri in command.ok("list")
        (listed,) = [json.loads(line) for line in command.ok("list", "--json").splitlines()]
        assert (listed["installation"], listed["status"]) == (company.dri, "active")
        assert company.name in command.ok("show", company.shop)
        assert "droplet.installed" in command.ok("deliveries")
        command.ok("work", "--once")
        assert command.ok("check").count("\u2713") > 5
        token = command.ok("token", company.dri)
        command.said.pop()
        assert token == company.dit + "\n"
        world.standin.forget()
        said = json.loads(command.ok("api", "GET", "/api/products?page=2", "--installation",
                                     company.dri))
        assert said["as"] == company.dri and said["query"] == {"page": "2"}
        (request,) = world.standin.requests
        assert request.header("Authorization") == f"Bearer {company.dit}"
        assert request.header("User-Agent").startswith("fluidhook/")
    finally:
        front.stop()


def nobody_there(world):
    """register fails where nothing answers at the URL, after it registered: the way is what is wrong."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/webhook"
    out, _ = world.command.fails(1, "register", url)
    assert "created  webhook" in out and "\u2717" in out, out
    assert [row[:2] for row in world.webhooks()] == [(event, url) for event in EVENTS]
    out, _ = world.command.fails(1, "register", url, "--json")
    first, *steps = [json.loads(line) for line in out.splitlines()]
    assert len(first["webhooks"]) == 2 and not all(step["ok"] for step in steps), out


def check_remote(world):
    """check --remote asks Fluid: the company's token, its webhooks, the installations' tokens and subscriptions"""
    site, command, droplet = world.site, world.command, world.site.droplets[0]

    def said():
        done = command.run("check", "--remote", "--json")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        bad = [(line["check"], line["text"], line["hint"]) for line in lines if not line["ok"]]
        assert done.returncode == (1 if bad else 0), done
        return bad, lines

    command.ok("secret", "add")
    bad, lines = said()
    notes = [line["text"] for line in lines if line["check"] == "webhooks"]
    assert bad == [] and len(notes) == 2 and "no webhook of the company for droplet.installed" in notes[0], lines
    for event in ("installed", "uninstalled"):
        command.ok("webhook", "create", "--resource", "droplet", "--event", event, "--url", URL)
    bad, lines = said()
    assert bad == [] and "droplet.installed and droplet.uninstalled are delivered" in str(lines), lines
    writes = len(world.bodies())
    world.fluid.webhooks[0]["active"] = False
    ((check, text, hint),) = said()[0]
    assert check == "webhooks" and "is inactive" in text, text
    assert f"webhook update {world.fluid.webhooks[0]['id']} --active" in hint, hint
    world.fluid.webhooks[0].update(active=True, http_method="get")
    ((check, text, hint),) = said()[0]
    assert "is delivered with get" in text and "--method post" in hint, text
    world.fluid.webhooks[0]["http_method"] = "post"
    # An installation.
    company, front = Company(droplet), Cgi()
    world.fluid.install(company.dri, droplet.uuid, company.id, company.shop, company.dit, company.wvt)
    front.start(site)
    body = company.install()
    (secret,) = world.secrets()
    assert front.send(Request(headers=fluid.signed(secret, body), body=body)).status == 200
    command.ok("work", "--once")
    bad, lines = said()
    assert bad == [] and "1 of 1 active installation asked about" in str(lines), (bad, lines)
    text = site.conf.read_text()
    site.write_conf(text + f"[worker]\nsubscribe = order.created\npublic_url = {URL}\n")
    ((check, what, hint),) = said()[0]
    assert check == "subscriptions" and "no webhook for order.created" in what, what
    assert hint == f'"fluidhook subscribe {company.dri}" makes it.', hint
    site.write_conf(text)
    shown = world.fluid.show_installation

    def inactive(who, dri):
        status, answer = shown(who, dri)
        answer["droplet_installation"]["active"] = False
        return status, answer

    world.fluid.show_installation = inactive
    ((check, what, _),) = said()[0]
    assert check == "tokens" and what == f"{company.dri}: active here, and not at Fluid", what
    world.fluid.show_installation = shown
    world.fluid.installations.clear()
    ((check, what, hint),) = said()[0]
    assert check == "tokens" and company.dri in what and "install it again" in hint, what
    world.fluid.company_token = fluid.credential("C-")
    bad = said()[0]
    assert ("company token", "tokens") == tuple(check for check, *_ in bad) and "401" in bad[0][1], bad
    assert len(world.bodies()) == writes, "it changed something"


tap.run([tap.Test(function.__doc__, function if function is which_droplet else with_world(function))
         for function in (first, again, cut_short, lost_answer, refused_token, nothing_registered,
                          retire_in_use, foreign, doubles, new_secret, two_at_once,
                          interrupted, which_droplet, bad_address, read_only, whole_way, nobody_there,
                          check_remote)])
