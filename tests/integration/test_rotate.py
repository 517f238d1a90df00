#!/usr/bin/env python3
"""secret rotate: no delivery is refused meanwhile, and a run that was cut short is completed by the next.
webhook audit: what is not as the configuration wants it. secret retire: what Fluid still uses stays."""

import contextlib
import json
import re
import subprocess

from harness import fluid, process, tap
from harness.fluid import Company, Droplet
from harness.fluid_world import FluidWorld, with_world
from harness.fronts import Cgi
from harness.web import Request

URL = "https://hooks.example.com/webhook"
OTHER = "https://other.example.com/webhook"
DAY = 24 * 60 * 60


def print_of(secret):
    return fluid.fingerprint(secret)


def tokens(world):
    """The secrets that the company's own webhooks at our address have."""
    return {w["auth_token"] for w in world.fluid.webhooks
            if w["droplet_installation_uuid"] is None and w["url"] == URL}


def note(world):
    return world.site.secrets_file(world.site.droplets[0]).with_suffix(".secrets.rotation")


def registered(world):
    """A world with a registration, two webhooks more under its secret, and one that is somebody else's."""
    world.command.ok("register", "--no-doctor", URL)
    (secret,) = world.secrets()
    for resource, event, url, token in (("order", "created", URL, secret), ("order", "updated", OTHER, secret),
                                        ("product", "created", OTHER, fluid.credential("x-"))):
        world.fluid.create_webhook(None, {"webhook": {"resource": resource, "event": event, "url": url,
                                                      "auth_token": token}})
    world.standin.forget()
    return secret


def deliver(world, secret, company=None):
    """An install, signed with this secret. The status of the answer."""
    front = Cgi()
    front.start(world.site)
    body = (company or Company(world.site.droplets[0])).install()
    return front.send(Request(headers=fluid.signed(secret, body), body=body)).status


def pass_a_day(world):
    """All that was received and noted was a day earlier."""
    for path in world.site.journal_files():
        text = path.read_text()
        text = re.sub(r'"received_at":"\d{4}', '"received_at":"2020', text)
        world.site.write(path, text)
    text = re.sub(r"moved (\d+)", lambda m: f"moved {int(m[1]) - DAY - 1}", note(world).read_text())
    world.site.write(note(world), text)


def whole(world):
    """New secret, webhooks, then the old one goes: after a day, and not before a delivery under the new one."""
    old = registered(world)
    assert deliver(world, old) == 200
    said = json.loads(world.command.ok("secret", "rotate", "--json"))
    new, kept = world.secrets()
    assert kept == old and tokens(world) == {new} and not said["retired"]
    assert said["new"] == {"fingerprint": print_of(new), "last_used": None}
    assert said["old"][0]["fingerprint"] == print_of(old) and said["old"][0]["last_used"].endswith("Z")
    assert sorted(said["moved"]) == [w["id"] for w in world.fluid.webhooks[:4]]
    # Also at an address that is not ours: it has our secret. But not what has another.
    assert [w["auth_token"] == new for w in world.fluid.webhooks] == 4 * [True] + [False]
    assert "no delivery" in said["waits_for"] and said["retire_at"] is None
    # Both are live: nothing on the way is refused.
    assert deliver(world, old) == 200 and deliver(world, new) == 200
    said = json.loads(world.command.ok("secret", "rotate", "--json"))
    assert not said["retired"] and said["moved"] == [] and said["retire_at"], said
    assert said["new"]["last_used"] and world.secrets() == [new, old]
    printed = world.command.ok("secret", "rotate")
    assert "stays live" in printed and said["retire_at"] in printed
    pass_a_day(world)
    world.standin.forget()
    said = json.loads(world.command.ok("secret", "rotate", "--json"))
    assert said["retired"] and world.secrets() == [new] and not note(world).exists()
    assert not world.bodies(), "nothing is changed at Fluid any more"
    assert deliver(world, old) == 401 and deliver(world, new) == 200


def quiet(world):
    """A delivery under the old secret begins the day anew."""
    old = registered(world)
    world.command.ok("secret", "rotate")
    new = world.secrets()[0]
    assert deliver(world, new) == 200
    pass_a_day(world)
    assert deliver(world, old) == 200
    said = json.loads(world.command.ok("secret", "rotate", "--json"))
    assert not said["retired"] and world.secrets() == [new, old], said


def hasten(world):
    """--now retires at once; a droplet's secret that no webhook has stays."""
    old = registered(world)
    file = world.site.dir / "other"
    world.site.write(file, fluid.credential("dws_") + "\n")
    world.command.ok("secret", "add", file)
    other = world.secrets()[0]
    printed = world.command.ok("secret", "rotate", "--now")
    new = world.secrets()[0]
    assert world.secrets() == [new, other] and old not in world.secrets()
    assert f"retired  {print_of(old)}" in printed and tokens(world) == {new}
    assert world.command.ok("secret", "retire", "2", "--force")
    # What register noted is the new one, too: without Fluid, retire knows that it is used.
    world.standin.stop()
    _, err = world.command.fails(1, "secret", "retire", "1")
    assert print_of(new) in err, err
    world.standin = type(world.standin)(company=world.fluid).start()


def nothing_to_do(world):
    """Without a webhook under a secret of ours nothing is made; a refused token shows before anything changes."""
    world.command.ok("secret", "add")
    before = world.secrets()
    _, err = world.command.fails(1, "secret", "rotate")
    assert "no webhook of the company" in err and "register" in err
    world.command.ok("register", "--no-doctor", URL)
    before = world.secrets()
    world.site.write(world.site.dir / "company.token", fluid.credential("C-") + "\n")
    _, err = world.command.fails(1, "secret", "rotate")
    assert "401" in err and world.secrets() == before and not note(world).exists()


def untold(world):
    """Where Fluid tells no secret of a webhook, what register noted counts."""
    old = registered(world)
    show = world.fluid.show_webhook
    update = world.fluid.update_webhook

    def untelling(function):
        def call(*args):
            status, answer = function(*args)
            return status, {**answer, "webhook": {**answer["webhook"], "auth_token": None}}
        return call

    world.fluid.show_webhook, world.fluid.update_webhook = untelling(show), untelling(update)
    world.command.ok("secret", "rotate", "--now")
    (new,) = world.secrets()
    assert new != old and tokens(world) == {new}


def stubborn(world):
    """A webhook that keeps its secret: the old one stays live, and the command fails."""
    old = registered(world)
    update = world.fluid.update_webhook

    def keeping(number, body):
        body["webhook"].pop("auth_token")
        return update(number, body)

    world.fluid.update_webhook = keeping
    _, err = world.command.fails(1, "secret", "rotate", "--now")
    assert "did not take the new secret" in err and old in world.secrets()
    world.fluid.update_webhook = update
    world.command.ok("secret", "rotate", "--now")
    assert len(world.secrets()) == 1 and tokens(world) == set(world.secrets())


def cut_short(world, number, done):
    """Kill a rotation at a call of Fluid. done: after Fluid has carried it out. Whether it came that far."""
    handle, count = world.standin.handle, 0

    def killing(request):
        nonlocal count
        count += 1
        if count != number:
            return handle(request)
        answer = handle(request) if done else None
        proc.kill()
        proc.wait(600)
        return answer or handle(request) if done else (503, None)

    world.standin.handle = killing
    proc = subprocess.Popen([world.command.program, "-c", world.site.conf, "secret", "rotate", "--now"],
                            env=process.environment(HOME=str(world.site.dir)), cwd="/",
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, **process.identity())
    proc.wait(600)
    world.standin.handle = handle
    assert count < number or proc.returncode == -9, (count, number, proc.returncode)
    return count >= number


def killed_at_calls():
    """Killed at any call of Fluid, before or after Fluid did it: every webhook's secret is live, and the next run
    completes the rotation."""
    for done in (False, True):
        number, reached = 1, True
        while reached:
            world = FluidWorld()
            try:
                old = registered(world)
                reached = cut_short(world, number, done)
                assert tokens(world) <= set(world.secrets()), (number, done)
                if reached:
                    world.command.ok("secret", "rotate", "--now")
                (new,) = world.secrets()
                assert new != old and tokens(world) == {new}, (number, done)
                assert not note(world).exists()
                assert world.command.ok("webhook", "audit")
            finally:
                world.close()
            number += 1
        # The list, five looks, four changes.
        assert number > 10, number


def one_at_a_time(world):
    """Two rotations at once: the second one is told so, and changes nothing."""
    registered(world)
    handle = world.standin.handle
    told = []

    def meanwhile(request):
        if not told:
            told.append(None)
            told.append(world.command.fails(1, "secret", "rotate")[1])
        return handle(request)

    world.standin.handle = meanwhile
    world.command.ok("secret", "rotate")
    assert "runs with" in told[1] and len(world.secrets()) == 2


def retire_asks(world):
    """retire asks Fluid: a secret that a webhook has stays, whoever gave it to Fluid. --force removes it."""
    file = world.site.dir / "chosen"
    world.site.write(file, fluid.credential("dws_") + "\n")
    world.command.ok("secret", "add", file)
    world.command.ok("secret", "add")
    _, chosen = world.secrets()
    world.fluid.create_webhook(None, {"webhook": {"resource": "order", "event": "created", "url": OTHER,
                                                  "auth_token": chosen}})
    number = world.fluid.webhooks[0]["id"]
    _, err = world.command.fails(1, "secret", "retire", "2")
    assert f"webhook {number}" in err and "rotate" in err and chosen in world.secrets(), err
    # When Fluid cannot be asked, nothing is known: not removed either.
    world.standin.fail(status=500, body={}, times=9)
    _, err = world.command.fails(1, "secret", "retire", "2")
    assert "500" in err and "--force" in err and chosen in world.secrets(), err
    world.standin.forget()
    world.command.ok("secret", "retire", "2", "--force")
    assert chosen not in world.secrets() and not world.standin.calls(), "--force asks nobody"


def last_used(world):
    """list says when each secret was used last."""
    world.command.ok("secret", "add")
    (secret,) = world.secrets()
    assert "never" in world.command.ok("secret", "list")
    assert deliver(world, secret) == 200
    (line,) = world.site.journal()
    listed = json.loads(world.command.ok("secret", "list", "--json"))
    assert listed["last_used"] == line["received_at"][:19] + "Z", listed
    assert listed["last_used"] in world.command.ok("secret", "list")


def findings(world):
    """What audit says, as (what is wrong, which webhook or event)."""
    status = world.command.run("webhook", "audit", "--json")
    lines = [json.loads(line) for line in status.stdout.splitlines()]
    assert status.returncode == (0 if all(line["ok"] for line in lines) else 1), status
    return [(line["check"], line["text"]) for line in lines if not line["ok"]]


def audit_company(world):
    """Missing, inactive, duplicate, by get, another secret: one line each."""
    registered(world)
    assert not findings(world)
    one, two, orders, elsewhere, _ = world.fluid.webhooks
    one["active"] = False
    two["auth_token"] = "not-live"
    orders["http_method"] = "get"
    elsewhere["active"] = False     # not at an address of ours
    found = findings(world)
    assert [name for name, _ in found] == ["inactive", "secret", "method"], found
    for (_, text), webhook in zip(found, (one, two, orders)):
        assert f"webhook {webhook['id']} " in text, found
    one["active"], orders["http_method"] = True, "post"
    world.fluid.webhooks.remove(two)
    world.fluid.create_webhook(None, {"webhook": {**orders, "url": URL + "/"}})
    found = findings(world)
    assert [name for name, _ in found] == ["duplicate", "missing"], found
    assert "droplet.uninstalled" in found[1][1]
    world.standin.fail(status=500, body={}, times=9)
    assert findings(world)[0][0] == "unknown"


def audit_installations():
    """The subscriptions of every active installation, with its own token."""
    droplet = Droplet()
    world = FluidWorld(droplets=[droplet], conf=f"[worker]\npublic_url = {URL}\n"
                                                "subscribe = order.created order.updated\n")
    try:
        company = Company(droplet)
        world.fluid.install(company.dri, dit=company.dit, wvt=company.wvt)
        assert deliver(world, droplet.secret, company) == 200
        assert [name for name, _ in findings(world)] == ["missing", "missing"]
        world.command.ok("subscribe", company.dri)
        assert not findings(world)
        one, two = world.fluid.webhooks
        one["active"], two["auth_token"] = False, "another"
        found = findings(world)
        assert [name for name, _ in found] == ["inactive", "secret"], found
        assert all(company.dri in text for _, text in found)
        one["active"] = True
        world.command.ok("subscribe", company.dri)
        world.fluid.webhooks.append({**one, "id": 99})
        found = findings(world)
        assert [name for name, _ in found] == ["duplicate"] and "webhook 99 " in found[0][1], found
        world.fluid.installations.clear()
        assert [name for name, _ in findings(world)] == ["unknown"]
    finally:
        with contextlib.suppress(ProcessLookupError):
            world.close()


tap.run([tap.Test(function.__doc__.split("\n")[0].rstrip("."), with_world(function)) for function in (
    whole, quiet, hasten, nothing_to_do, untold, stubborn, one_at_a_time, retire_asks, last_used,
    audit_company)] + [tap.Test(function.__doc__.split("\n")[0].rstrip("."), function) for function in (
        killed_at_calls, audit_installations)])
