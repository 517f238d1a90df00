#!/usr/bin/env python3
"""The worker confirms unsigned installs with Fluid, and subscribes installations to events, once."""

import json
import subprocess

from harness import fluid, process, tap
from harness.process import wait_until
from harness.site import RECEIVER
from harness.web import Request
from harness.tap import equal
from harness.worker import (COMMAND, EXCHANGE, has_credentials, has_no_credentials, install_v2,
                            no_credentials_in_logs, nothing_waits, waiting, world)

LOOK_UP = "/api/droplet_installations/"
OWNER = "/api/company/v1/companies/me"
WEBHOOKS = "/api/company/webhooks"
URL = "https://hooks.example.com/webhook"
EVENTS = ["order.created", "order.shipped", "subscription.started"]
SUBSCRIBING = {"public_url": URL, "subscribe": " ".join(EVENTS)}
KEYS = {}       # whose each subscription's key is
CONFIRM = {"unsigned_installs": "confirm"}


def look_ups(w, company):
    return [r for r in w.fluid.requests(LOOK_UP, "GET") if r.path == LOOK_UP + company.dri]


def confirmed():
    """An unsigned install that Fluid knows becomes active with the credentials it brought"""
    with world(**CONFIRM) as w:
        w.site.hook("droplet.installed", f'echo "$FLUIDHOOK_INSTALLATION $FLUIDHOOK_SHOP" >>{w.site.dir}/installed\n')
        old = w.company()
        w.deliver(old, old.install(), fluid.now() - 5)
        company = old.again()
        w.fluid.know(company)
        answer = w.deliver(company, company.install(), unsigned=True)
        equal((answer.status, json.loads(answer.body)["status"]), (202, "pending"))
        assert w.site.has(company, status="unconfirmed")
        assert w.site.has(old, status="active")
        w.work()
        has_credentials(w, company)
        has_no_credentials(w, old, status="superseded")
        (request,) = look_ups(w, company)
        equal(request.header("Authorization"), f"Bearer {company.dit}")
        assert (w.site.state / "shops" / company.shop / company.dri).is_symlink()
        line = f"{company.dri} {company.shop}.fluid.app\n"
        wait_until(lambda: (w.site.dir / "installed").exists() and
                   line in (w.site.dir / "installed").read_text(), "the hook")
        nothing_waits(w)
        equal(json.loads(w.site.ok("api", "GET", "/api/x", "--installation", company.dri))["as"],
              company.dri)


def is_removed(w, company):
    """Nothing of an unsigned install is left that is not in the journal."""
    wait_until(lambda: w.site.record(company.dri) is None, f"{company.dri} is still there")
    for place in (("shops", company.shop), ("companies", str(company.id))):
        assert not w.site.state.joinpath(*place, company.dri).is_symlink(), place


def in_no_index(w, company):
    for directory in ("shops", "companies"):
        assert not list((w.site.state / directory).glob(f"*/{company.dri}")), directory


def confirmed_by_exchange():
    """An unsigned install with a one-time token becomes active by the exchange, at the default endpoint"""
    with world(**CONFIRM) as w:
        company, keyless = w.company(), w.company()
        unknown, elsewhere, shop, droplet = (w.company() for _ in range(4))
        for one in (company, keyless):
            w.fluid.offer(one)
        w.fluid.offer(elsewhere, company_id=1)
        w.fluid.offer(shop, shop="other.fluid.app")
        w.fluid.offer(droplet, droplet_uuid="drp_other")
        everyone = (company, keyless, unknown, elsewhere, shop, droplet)
        for one in everyone:
            # The endpoint is the sender's word: nothing of the token goes there.
            body = install_v2(one, exchange_endpoint="/api/users/me") if one is company else install_v2(one)
            equal(w.deliver(one, body, unsigned=True).status, 202)
            in_no_index(w, one)
        w.work()
        for one in (company, keyless):
            has_credentials(w, one)
        for one in (unknown, elsewhere, shop, droplet):
            is_removed(w, one)
        equal(sorted({r.path for r in w.fluid.requests(method="POST")}), [EXCHANGE])
        equal(len(w.fluid.requests(EXCHANGE)), len(everyone), "calls")
        nothing_waits(w)


def exchanged_without_owner():
    """Where the exchange does not say whose it is, the new token is asked, and nothing is exchanged twice"""
    with world(**CONFIRM) as w:
        good, stranger = w.company(), w.company()
        victim = w.company()
        w.deliver(victim, victim.install(), fluid.now() - 5)
        for one, owner in ((good, good), (stranger, stranger)):
            w.fluid.know(one, company_id=owner.id, shop=owner.shop + ".fluid.app")
        for one, said in ((good, good), (stranger, victim)):
            w.fluid.fail("answer", status=200, body={
                "droplet_installation": {"droplet_installation_uuid": one.dri},
                "credentials": {"authentication_token": one.dit, "webhook_verification_token": one.wvt}})
            block = one.company_v2(fluid_company_id=said.id, fluid_shop=said.shop + ".fluid.app")
            w.deliver(one, fluid.flat("installed", block), unsigned=True)
            w.site.ok("work", "--once")
        has_credentials(w, good)
        is_removed(w, stranger)
        equal(len(w.fluid.requests(EXCHANGE)), 2, "calls")
        equal(len(look_ups(w, good)), 1)
        assert w.site.has(victim, status="active", authentication_token=victim.dit)


def not_confirmed():
    """What Fluid denies is removed, runs no hook, and leaves its name to a genuine install"""
    with world(**CONFIRM) as w:
        for name in ("fluidhook.install_failed", "droplet.installed"):
            w.site.hook(name, f'echo "$FLUIDHOOK_INSTALLATION" >>{w.site.dir}/ran\n')
        denied = []

        def failing(**known):
            company = w.company()
            if known:
                w.fluid.know(company, **known)
            equal(w.deliver(company, company.install(), unsigned=True).status, 202)
            in_no_index(w, company)
            denied.append(company)
            return company

        failing()                                                           # 401: an unknown token
        w.fluid.company.install("dri_elsewhere", dit=failing().dit)         # 404
        failing(droplet_uuid="drp_other")
        failing(company_id=1)
        w.work()
        for company in denied:
            is_removed(w, company)
            equal(len(look_ups(w, company)), 1, "calls")
        for said in ({"uuid": "?", "droplet_uuid": w.site.droplets[0].uuid, "active": False},
                     {"uuid": "dri_other", "droplet_uuid": w.site.droplets[0].uuid}):
            company = w.company()
            said = {**said, "uuid": said["uuid"].replace("?", company.dri)}
            w.fluid.fail("answer", path=LOOK_UP, status=200, body={"droplet_installation": said})
            w.deliver(company, company.install(), unsigned=True)
            is_removed(w, company)
        nothing_waits(w)
        # The same name, signed and unsigned, is free.
        again, genuine = denied[:2]
        w.fluid.know(again)
        equal(w.deliver(again, again.install(), unsigned=True).status, 202)
        has_credentials(w, again)
        w.deliver(genuine, genuine.install(name=None, fluid_shop=None))
        record = w.site.wait_for(genuine, status="active")
        equal((record["name"], record["fluid_shop"]), (None, None), "left by the unsigned one")
        ran = w.site.dir / "ran"
        wait_until(lambda: ran.exists() and len(ran.read_text().split()) == 2, "hooks")
        equal(sorted(ran.read_text().split()), sorted([again.dri, genuine.dri]))


def of_another_company():
    """Whoever owns a live token cannot put another company or shop beside it"""
    with world(**CONFIRM) as w:
        victim = w.company()
        w.deliver(victim, victim.install(), fluid.now() - 5)
        before = w.site.record(victim.dri)
        answers = ((True, True), (True, False), (False, True), (False, False))
        for said_company, said_shop in answers:
            for stolen in ({"fluid_company_id": victim.id, "fluid_shop": victim.shop},
                           {"fluid_company_id": victim.id}, {"fluid_shop": victim.shop.upper()}):
                attacker = w.company()
                w.fluid.know(attacker)
                found = {"uuid": attacker.dri, "droplet_uuid": attacker.droplet.uuid, "active": True}
                found.update({"fluid_company_id": attacker.id} if said_company else {})
                found.update({"fluid_shop": attacker.shop} if said_shop else {})
                w.fluid.fail("answer", path=LOOK_UP, status=200, body={"droplet_installation": found})
                w.deliver(attacker, attacker.install(**stolen), unsigned=True)
                w.site.ok("work", "--once")
                is_removed(w, attacker)
                equal(w.site.record(victim.dri), before, "the victim's record")
        owner = w.company()
        w.fluid.know(owner)
        w.fluid.fail("answer", path=LOOK_UP, status=200, body={"droplet_installation": {
            "uuid": owner.dri, "droplet_uuid": owner.droplet.uuid}})
        w.deliver(owner, owner.install(fluid_shop=owner.shop.upper()), unsigned=True)
        w.site.ok("work", "--once")
        has_credentials(w, owner)
        (request,) = [r for r in w.fluid.requests(OWNER) if r.header("Authorization").endswith(owner.dit)]
        nothing_waits(w)


def owner_unsaid():
    """While Fluid does not say whose a token is, the install waits, in no index, for a day at most"""
    with world(**CONFIRM) as w:
        old = w.company()
        w.deliver(old, old.install(), fluid.now() - 5)
        for fault in ({"shape": "503_empty"}, {"shape": "403_scope"}, {"shape": "401_message"},
                      {"shape": "404_null"}, {"shape": "404_html"}, {"kind": "invalid"},
                      {"status": 200, "body": {"data": {}}},
                      {"status": 200, "body": {"data": {"company": {"id": 0}}}}):
            company = old.again()
            w.fluid.know(company)
            if "body" in fault:     # the shop is not said
                fault["body"] = json.loads(json.dumps(fault["body"]).replace("0", str(company.id)))
            fault = w.fluid.fail(path=OWNER, times=1000, **fault)
            w.deliver(company, company.install(), unsigned=True)
            w.site.ok("work", "--once")
            assert w.site.has(company, status="unconfirmed", authentication_token=company.dit), vars(fault)
            in_no_index(w, company)
            assert w.site.has(old, status="active"), "superseded"
            fault.times = 0
            w.site.ok("work", "--once")
            has_credentials(w, company)
            old = company
        # A look-up that names no droplet confirms nothing, and denies nothing.
        company = old.again()
        w.fluid.know(company)
        w.fluid.fail("answer", path=LOOK_UP, status=200, times=2,
                     body={"droplet_installation": {"uuid": company.dri, "active": True}})
        w.deliver(company, company.install(), unsigned=True)
        for _ in range(2):
            w.site.ok("work", "--once")
            assert w.site.has(company, status="unconfirmed")
        # After a day it goes.
        path = w.site.record_path(company.dri)
        record = json.loads(path.read_text())
        w.site.write(path, json.dumps({**record, "installed_at": "2026-01-01T00:00:00Z"}))
        w.fluid.fail(path=OWNER, times=1000, shape="503_empty")
        w.site.ok("work", "--once")
        is_removed(w, company)
        assert w.site.has(old, status="active")
        nothing_waits(w)


def signed_meanwhile():
    """The hook of an install gets the body that was verified, and never the unsigned one before it"""
    with world(**CONFIRM) as w:
        w.site.hook("droplet.installed", f'cat >>{w.site.dir}/bodies\n')
        company = w.company()
        w.fluid.fail(path="/api/", shape="503_empty", times=1000)
        w.deliver(company, company.install(name="Impostor", authentication_token="dit_x"), unsigned=True)
        w.site.ok("work", "--once")
        genuine = company.install()
        w.deliver(company, genuine)
        w.work()
        bodies = w.site.dir / "bodies"
        wait_until(bodies.exists, "the hook")
        w.deliver(company, company.order())
        w.stop()
        w.site.ok("work", "--once")
        equal(bodies.read_bytes(), genuine)


def confirmed_later():
    """While Fluid is away or fails they wait, and nothing is lost"""
    with world(**CONFIRM) as w:
        w.work()
        w.fluid.down()
        companies = [w.company() for _ in range(3)]
        for company in companies:
            w.fluid.know(company)
            w.deliver(company, company.install(), unsigned=True)
        w.wait_logged("confirmation to be tried again", companies[0].dri)
        assert all(w.site.has(c, status="unconfirmed", authentication_token=c.dit) for c in companies)
        w.fluid.up()
        w.fluid.fail(shape="503_empty", path=LOOK_UP)
        w.fluid.fail("half", path=LOOK_UP)
        w.fluid.fail("redirect", path=LOOK_UP, location="https://evil.example/")
        for company in companies:
            has_credentials(w, company)
        nothing_waits(w)


def vouched_for_meanwhile():
    """A signed install that comes while Fluid is asked about an unsigned one stays what it is"""
    with world(**CONFIRM) as w:
        w.work()
        for body_of, path in ((fluid.Company.install, LOOK_UP), (install_v2, EXCHANGE)):
            impostor = w.company()
            w.fluid.fail("slow", path=path, seconds=0.6)
            w.deliver(impostor, body_of(impostor), unsigned=True)
            wait_until(lambda: w.fluid.requests(path), "no call")
            company = w.company(dri=impostor.dri)
            w.install(company)
            has_credentials(w, company)
            nothing_waits(w)
            has_credentials(w, company)
            w.fluid.standin.forget()


def crowd_of_unsigned():
    """A hundred unsigned installs that Fluid is slow about do not make an exchange late"""
    with world(api={"timeout": 1}, **CONFIRM) as w:
        w.fluid.fail("slow", path=LOOK_UP, method="GET", times=1000, seconds=1.5)
        for _ in range(30):
            company = w.company()
            w.deliver(company, company.install(), unsigned=True)
        w.work()
        wait_until(lambda: w.fluid.requests(LOOK_UP, "GET"), "no call")
        # Three tries of a second each for the one that is being asked about, and no other.
        company = w.install()
        w.site.wait_for(company, status="active")
        assert len(w.fluid.requests(LOOK_UP, "GET")) < 30, "it waited for all of them"
        w.fluid.standin.faults.clear()
        process.stop(w.proc, number=9)
        w.proc = None


def ids_of(record):
    return sorted(record["webhook_ids"].split())


def subscribed(w, company):
    """The company's installation is subscribed to everything, once, and its record knows the ids."""
    wait_until(lambda: len(w.fluid.webhooks(company)) >= len(EVENTS), "subscriptions")
    nothing_waits(w)
    webhooks = w.fluid.webhooks(company)
    equal(sorted(f"{h['resource']}.{h['event']}" for h in webhooks), sorted(EVENTS), "events")
    equal({h["url"] for h in webhooks}, {URL}, "urls")
    # All of them are signed with one key, of this installation alone.
    (key,) = {h["auth_token"] for h in webhooks}
    equal(w.site.record(company.dri)["subscription_auth_token"], key, "key")
    assert len(key) > 60 and KEYS.setdefault(key, company.dri) == company.dri, "a key of two installations"
    assert key not in company.droplet.secrets + [company.wvt, company.dit]
    assert w.site.record(company.dri).get("subscription_errors") is None
    equal(ids_of(w.site.record(company.dri)), sorted(str(h["id"]) for h in webhooks), "ids")
    return webhooks


def creations(w):
    return len(w.fluid.requests(WEBHOOKS, "POST"))


def subscribes():
    """Each installation that becomes active is subscribed with its own token: v1, v2, confirmed"""
    with world(worker=SUBSCRIBING, **CONFIRM) as w:
        for n in range(130):
            w.fluid.company.create_webhook(None, {"webhook": {
                "resource": "order", "event": "created", "url": f"https://hooks.example.com/{n}"}})
        w.work()
        first = w.company()
        w.fluid.know(first)
        w.deliver(first, first.install())
        second = w.install()
        third = w.company()
        w.fluid.know(third)
        w.deliver(third, third.install(), unsigned=True)
        for company in (first, second, third):
            subscribed(w, company)
            posts = [r for r in w.fluid.requests(WEBHOOKS, "POST")
                     if r.header("Authorization") == f"Bearer {company.dit}"]
            key = w.site.record(company.dri)["subscription_auth_token"]
            equal([r.json()["webhook"] for r in posts], [
                {"resource": e.split(".")[0], "event": e.split(".")[1], "url": URL,
                 "active": True, "http_method": "post", "auth_token": key} for e in EVENTS])
            assert key not in w.site.all_output()
        # The same again, another order, another start: nothing more is made.
        w.deliver(first, first.install())
        w.deliver(first, fluid.enveloped("installed", first.company_v1()))
        w.stop()
        w.site.ok("work", "--once")
        w.work()
        for company in (first, second, third):
            subscribed(w, company)
        equal(creations(w), 3 * len(EVENTS), "creations")


def subscribes_a_new_one():
    """A reinstall is subscribed anew, though the older installation's webhooks are still listed"""
    with world(worker=SUBSCRIBING) as w:
        w.work()
        old = w.company()
        w.fluid.know(old)
        w.deliver(old, old.install(), fluid.now() - 5)
        subscribed(w, old)
        new = w.install(old.again())
        subscribed(w, new)
        equal(creations(w), 2 * len(EVENTS), "creations")


def subscribes_again():
    """An installation that comes back after its uninstall is subscribed anew"""
    with world(worker=SUBSCRIBING) as w:
        w.work()
        company = w.company()
        w.fluid.know(company)
        w.deliver(company, company.install(), fluid.now() - 5)
        subscribed(w, company)
        w.deliver(company, company.uninstall(), fluid.now() - 3)
        w.fluid.company.webhooks.clear()
        w.deliver(company, company.install(name="Back"), fluid.now())
        subscribed(w, company)


def subscribes_when_noted():
    """Subscriptions that could not be noted at once are made later, and the hook waits as long"""
    with world(worker=SUBSCRIBING) as w:
        w.site.hook("droplet.installed", f'echo "$FLUIDHOOK_INSTALLATION" >>{w.site.dir}/installed\n')
        w.work()
        directory = w.site.state / "queue/subscribe"
        directory.chmod(0o500)
        try:
            company = w.company()
            w.fluid.know(company)
            w.deliver(company, company.install())
            w.wait_logged("subscriptions not noted", company.dri)
            assert not (w.site.dir / "installed").exists()
        finally:
            directory.chmod(0o700)
        subscribed(w, company)
        wait_until((w.site.dir / "installed").exists, "the hook")


def subscribing_fails():
    """Answers that are lost, and errors in between, make no subscription twice and leave none out"""
    with world(worker=SUBSCRIBING, api={"timeout": 1}) as w:
        faults = [{"kind": "close", "done": True}, {"kind": "half"}, {"shape": "503_empty", "skip": 1},
                  {"kind": "reset", "skip": 2, "done": True}, {"kind": "slow", "seconds": 2}]
        for fault in faults:
            company = w.company()
            w.fluid.know(company)
            w.fluid.fail(path=WEBHOOKS, method="POST", **fault)
            w.deliver(company, company.install())
            w.site.ok("work", "--once")
            equal(waiting(w), [f"subscribe/{company.dri}"], fault)
            w.site.ok("work", "--once")
            subscribed(w, company)
        assert "subscriptions not made" in w.site.all_output()
        # What was noted before is not forgotten when the next try does not get as far.
        w.site.sections["worker"]["subscribe"] = " ".join([EVENTS[0], "cart.updated", *EVENTS[1:]])
        w.site.write_conf()
        before = ids_of(w.site.record(company.dri))
        w.fluid.fail(path=WEBHOOKS, method="POST", shape="503_empty")
        equal(w.site.run("subscribe", company.dri).returncode, 1)
        equal(ids_of(w.site.record(company.dri)), before, "ids")
        # A list that cannot be read is no empty list.
        w.fluid.fail(path=WEBHOOKS, method="GET", kind="invalid", times=3)
        made = creations(w)
        equal(w.site.run("subscribe", company.dri).returncode, 1)
        equal(creations(w), made, "creations")


def fluid_request(secret, body, company):
    return Request(headers=fluid.signed(secret, body, shop=company.shop), body=body)


def subscribing_refused():
    """One that Fluid refuses does not keep the others out; the record, show, check and the log say it"""
    with world(worker=SUBSCRIBING) as w:
        told = w.site.dir / "told"
        w.site.hook("fluidhook.subscription_failed", f'cat >>{told}; echo >>{told}\n')
        w.site.hook("any", f'echo "$FLUIDHOOK_EVENT" >>{w.site.dir}/any\n')
        company = w.company()
        w.fluid.know(company)
        refusal = w.fluid.fail(path=WEBHOOKS, method="POST", shape="422_object", skip=1, times=1)
        w.deliver(company, company.install())
        w.site.ok("work", "--once")
        webhooks = w.fluid.webhooks(company)
        equal(sorted(f"{h['resource']}.{h['event']}" for h in webhooks), sorted([EVENTS[0], EVENTS[2]]))
        record = w.site.record(company.dri)
        equal(record["subscription_errors"], f"{EVENTS[1]}: 422: url: must be https")
        equal(ids_of(record), sorted(str(h["id"]) for h in webhooks), "ids")
        equal(waiting(w), [f"subscribe/{company.dri}"])
        equal({h["auth_token"] for h in webhooks}, {record["subscription_auth_token"]})
        (line,) = [line for line in w.site.all_output().splitlines() if "subscriptions not made" in line]
        assert "level=error" in line and company.dri in line and f"{EVENTS[1]}: 422" in line, line
        assert EVENTS[1] in w.site.ok("show", company.dri)
        said = json.loads(w.site.ok("show", company.dri, "--json"))
        equal((said["subscription_errors"], said["subscription_auth_token"]),
              (record["subscription_errors"], "present"))
        done = w.site.run("check")
        equal(done.returncode, 1)
        (line,) = [line for line in done.stdout.splitlines() if company.dri in line]
        assert "subscriptions" in line and EVENTS[1] in line and "422" in line, line
        # The hooks are told, those that are named after it.
        refusal.times = 1
        w.site.ok("work", "--once")
        equal(refusal.times, 0)
        (line,) = told.read_text().splitlines()
        alert = json.loads(line)
        equal((alert["event"], alert["detail"]), ("fluidhook.subscription_failed", {
            "installation": company.dri, "fluid_shop": company.shop + ".fluid.app",
            "errors": record["subscription_errors"]}))
        assert abs(fluid.seconds(alert["at"]) - fluid.now()) < 60, alert
        equal((w.site.dir / "any").read_text().split(), ["droplet.installed"])
        # The same again is no news, and is tried again.
        refusal.times, errors = 1, w.site.all_output().count("level=error")
        w.site.ok("work", "--once")
        equal((refusal.times, w.site.all_output().count("level=error")), (0, errors))
        equal(w.site.record(company.dri)["subscription_errors"], record["subscription_errors"])
        # What is news, but within the hour, is in the record alone.
        w.fluid.fail(path=WEBHOOKS, method="POST", shape="503_empty")
        w.site.ok("work", "--once")
        w.site.ok("work", "--once")
        equal(len(told.read_text().splitlines()), 1, "alerts")
        w.work()
        subscribed(w, company)
        equal(len(w.fluid.webhooks(company)), len(EVENTS))
        assert not [line for line in w.site.run("check").stdout.splitlines() if company.dri in line]
        # One whose token may not subscribe at all does not keep other installations waiting.
        barred = w.company()
        w.fluid.know(barred, scopes=())
        w.deliver(barred, barred.install())
        w.wait_logged("level=error", "subscriptions not made", barred.dri, "403", "required scope")
        good = w.install()
        wait_until(lambda: len(w.fluid.webhooks(good)) == len(EVENTS), "subscriptions")
        done = w.site.run("subscribe", barred.dri)
        equal((done.returncode, done.stdout), (1, ""))
        assert barred.dri in done.stderr and "403" in done.stderr, done.stderr
        done = w.site.run("subscribe", "--all")
        equal((done.returncode, sorted(done.stdout.split())), (1, sorted([company.dri, good.dri])))
        w.fluid.know(barred)
        w.site.ok("subscribe", barred.dri)


def mends_subscriptions():
    """A subscription without the installation's key, or by GET, is changed, and none is made twice"""
    with world(worker=SUBSCRIBING) as w:
        company = w.company()
        made = w.fluid.know(company)
        for name, more in zip(EVENTS, ({}, {"auth_token": "another"}, {"http_method": "get"})):
            resource, event = name.split(".")
            w.fluid.company.create_webhook(made, {"webhook": {"resource": resource, "event": event, "url": URL,
                                                              **more}})
        before = [h["id"] for h in w.fluid.webhooks(company)]
        # One source says that a change needs the whole webhook.
        w.fluid.fail(path=WEBHOOKS, method="PUT", shape="422_object")
        w.deliver(company, company.install())
        w.site.ok("work", "--once")
        subscribed(w, company)
        equal([h["id"] for h in w.fluid.webhooks(company)], before)
        equal({h["http_method"] for h in w.fluid.webhooks(company)}, {"post"})
        puts = [set(r.json()["webhook"]) for r in w.fluid.requests(WEBHOOKS, "PUT")]
        whole = {"url", "active", "http_method", "auth_token", "resource", "event"}
        equal(puts[:2], [whole - {"resource", "event"}, whole])
        # What is as it has to be is not changed.
        w.site.ok("subscribe", company.dri)
        equal(len(w.fluid.requests(WEBHOOKS, "PUT")), len(EVENTS) + 1, "changes")
        # What the key signs is accepted, where the installation has no other.
        body = company.order()
        key = w.site.record(company.dri)["subscription_auth_token"]
        answer = w.front.send(fluid_request(key, body, company))
        equal(answer.status, 200)
        # After an uninstall it is another one.
        w.deliver(company, company.uninstall(), fluid.now() + 1)
        equal(w.site.record(company.dri).get("subscription_auth_token"), None)
        w.deliver(company, company.install(name="Back"), fluid.now() + 2)
        w.site.ok("work", "--once")
        KEYS.pop(key, None)
        subscribed(w, company)
        assert w.site.record(company.dri)["subscription_auth_token"] != key


def command():
    """fluidhook subscribe makes what is missing, prints who has all, and makes nothing twice"""
    with world() as w:
        companies = [w.company() for _ in range(5)]
        for company in companies:
            w.fluid.know(company)
            w.deliver(company, company.install())
        ended = w.company()
        w.deliver(ended, ended.install())
        w.deliver(ended, ended.uninstall(), fluid.now() + 1)
        w.site.ok("work", "--once")
        equal(w.fluid.company.webhooks, [])
        done = w.site.run("subscribe", "--all")
        equal(done.returncode, 1)
        assert "public_url" in done.stderr, done.stderr
        w.site.sections["worker"].update(SUBSCRIBING)
        w.site.write_conf()
        equal(w.site.ok("subscribe", companies[0].dri), companies[0].dri + "\n")
        equal(creations(w), len(EVENTS), "creations")
        for _ in range(2):
            equal(sorted(w.site.ok("subscribe", "--all").split()), sorted(c.dri for c in companies))
            equal(creations(w), 5 * len(EVENTS), "creations")
        for company in companies:
            subscribed(w, company)
        w.fluid.company.webhooks.remove(w.fluid.webhooks(companies[1])[1])
        w.site.ok("subscribe", companies[1].dri)
        subscribed(w, companies[1])
        equal(creations(w), 5 * len(EVENTS) + 1, "creations")
        for words, status in (([ended.dri], 1), (["dri_nobody"], 1), (["../x"], 1), ([], 2),
                              (["--all", companies[0].dri], 2)):
            equal(w.site.run("subscribe", *words).returncode, status, words)
        # A damaged record is named, and the others are seen to.
        w.site.write(w.site.record_path("dri_broken"), '{"status":')
        done = w.site.run("subscribe", "--all")
        assert done.returncode == 1 and "dri_broken" in done.stderr, done.stderr
        equal(len(done.stdout.split()), 5)


def at_once():
    """Several that subscribe the same installation at the same time make each webhook once"""
    with world(worker=SUBSCRIBING) as w:
        company = w.company()
        w.fluid.know(company)
        w.fluid.fail("slow", path=WEBHOOKS, method="GET", seconds=0.5, times=100)
        w.work()
        w.deliver(company, company.install())
        runs = [subprocess.Popen([w.site.command, "-c", w.site.conf, "subscribe", company.dri],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                 env=process.environment(HOME=str(w.site.dir)), cwd="/",
                                 **process.identity()) for _ in range(3)]
        for run in runs:
            _, said = run.communicate(timeout=600)
            equal((run.returncode, said), (0, ""))
        subscribed(w, company)
        equal(creations(w), len(EVENTS), "creations")


if not RECEIVER.is_file() or not COMMAND.is_file():
    tap.bail(f"there is no {RECEIVER} or {COMMAND}: build first")
tap.run([tap.Test(function.__doc__, function) for function in (
    confirmed, confirmed_by_exchange, exchanged_without_owner, not_confirmed, of_another_company,
    owner_unsaid, signed_meanwhile, confirmed_later, vouched_for_meanwhile,
    crowd_of_unsigned, subscribes, subscribes_a_new_one, subscribes_again,
    subscribes_when_noted, subscribing_fails, subscribing_refused, mends_subscriptions, command,
    at_once, no_credentials_in_logs)])
