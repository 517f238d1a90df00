#!/usr/bin/env python3
"""The stand-in for Fluid's API answers as Fluid's documents say, and fails as told.

The other tests believe it, so what they believe is tested here, with a client that has nothing to do
with fluidhook.
"""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import ssl
import subprocess
import sys
import threading

from harness import process, tap
from harness.tap import equal
from standin import SHAPES, Company, StandIn, certificates
from standin.company import Refusal

TOKEN = Company().company_token
FIRST, SECOND = "/api/webhooks", "/api/company/webhooks"
EXCHANGE = "/api/droplet_installations/exchange"
WEBHOOK = {"resource": "droplet", "event": "installed",
           "url": "https://reportify.example.com/webhook", "active": True, "http_method": "post"}
FIELDS = {"id", "company_id", "droplet_installation_uuid", "url", "active", "resource", "event",
          "event_identifier", "http_method", "auth_token", "created_at", "updated_at"}


class Client:
    """Calls with a token; None: without one."""

    def __init__(self, standin, token=TOKEN, context=None):
        self.connection = http.client.HTTPSConnection("127.0.0.1", standin.port, timeout=300,
                                                      context=context) if context else \
            http.client.HTTPConnection("127.0.0.1", standin.port, timeout=300)
        self.token = token

    def call(self, method, target, body=None):
        """Status and the answer's JSON (its bytes, where it is none)."""
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        self.connection.request(method, target, None if body is None else json.dumps(body),
                                headers)
        answer = self.connection.getresponse()
        data = answer.read()
        try:
            return answer.status, json.loads(data)
        except ValueError:
            return answer.status, data

    def close(self):
        self.connection.close()


@contextlib.contextmanager
def serving(token=TOKEN, **fields):
    """A stand-in and a client of it."""
    with StandIn(**fields) as standin:
        client = Client(standin, token)
        try:
            yield standin, client
        finally:
            client.close()


def test_tokens():
    with serving() as (standin, client):
        for token in (None, "", "wrong", TOKEN + "x", TOKEN[:-1]):
            client.token = token
            for path in (FIRST, SECOND, "/api/anything", "/api/droplet_installations/dri_1"):
                equal(client.call("GET", path), (401, {"message": "Unauthorized"}))
        client.token = TOKEN
        equal(client.call("GET", FIRST)[0], 200)
        equal(len(standin.requests), 21)


def test_create():
    for path in (FIRST, SECOND):
        with serving() as (standin, client):
            status, body = client.call("POST", path, {"webhook": WEBHOOK})
            equal(status, 201)
            made = body["webhook"]
            equal(set(made), FIELDS)
            assert isinstance(made["id"], int) and made["id"] > 2 ** 32
            equal({k: made[k] for k in WEBHOOK}, WEBHOOK)
            equal(made["event_identifier"], "droplet_installed")
            equal(made["droplet_installation_uuid"], None)
            equal(standin.company.webhooks, [made])


def test_create_is_checked():
    def refused(**change):
        with serving() as (standin, client):
            status, body = client.call("POST", FIRST, {"webhook": {**WEBHOOK, **change}})
            equal(status, 422)
            equal(standin.company.webhooks, [])
            return body["errors"]

    equal(refused(url="http://example.com/"), {"url": ["must be https"]})
    equal(refused(url=None), {"url": ["can't be blank"]})
    equal(list(refused(resource="nothing")), ["resource"])
    equal(list(refused(event="created")), ["event"])
    equal(list(refused(http_method="delete")), ["http_method"])
    equal(list(refused(active="yes")), ["active"])
    with serving() as (_, client):
        for body in (None, {}, {"webhook": []}, WEBHOOK):
            equal(client.call("POST", FIRST, body)[0], 422)
    with serving(company=Company(allow_http=True)) as (_, client):
        plain = {"webhook": {**WEBHOOK, "url": "http://127.0.0.1:1/"}}
        equal(client.call("POST", FIRST, plain)[0], 201)


def test_list():
    with serving() as (standin, client):
        for _ in range(130):
            standin.company.create_webhook(None, {"webhook": {**WEBHOOK, "auth_token": "secret"}})

        def page(query):
            status, body = client.call("GET", SECOND + query)
            equal(status, 200)
            for webhook in body["webhooks"]:
                equal(set(webhook), FIELDS - {"auth_token"})
            return len(body["webhooks"]), body["meta"]["pagination"]

        equal(page(""), (30, {"current_page": 1, "total_pages": 5, "total_count": 130,
                              "per_page": 30}))
        equal(page("?per_page=1000")[0], 100)
        equal(page("?page=2&per_page=100")[0], 30)
        equal(page("?page=3&per_page=100")[0], 0)


def test_one_webhook():
    with serving() as (standin, client):
        number = client.call("POST", FIRST, {"webhook": WEBHOOK})[1]["webhook"]["id"]
        path = f"{FIRST}/{number}"
        change = {"url": "https://example.com/", "active": False, "auth_token": "s",
                  "http_method": "put", "resource": "order", "id": 1}
        status, body = client.call("PUT", path, {"webhook": change})
        equal(status, 200)
        now = body["webhook"]
        equal([now[k] for k in ("url", "active", "auth_token", "http_method", "resource", "id")],
              ["https://example.com/", False, "s", "put", "droplet", number])
        equal(client.call("GET", path)[1]["webhook"], now)
        equal(client.call("PUT", path, {"webhook": {"url": "ftp://x"}})[0], 422)
        equal(client.call("DELETE", path)[0], 200)
        equal(standin.company.webhooks, [])
        for method in ("GET", "PUT", "DELETE"):
            status, body = client.call(method, path, {"webhook": {}})
            equal((status, set(body), body["errors"]),
                  (404, {"error_message", "errors", "meta"}, None))
        equal(client.call("PATCH", path)[0], 405)


def test_resources():
    with serving() as (_, client):
        status, body = client.call("GET", FIRST + "/resources")
        equal(status, 200)
        equal(body["resources"]["droplet"], ["installed", "uninstalled"])
        equal(body["deprecated_resources"], ["rep"])
        equal(client.call("GET", FIRST + "/resources/order")[1]["payload"]["resource"], "order")
        equal(client.call("GET", FIRST + "/resources/nothing")[0], 404)


def test_addresses_can_be_missing():
    with serving(families=[SECOND]) as (_, client):
        equal(client.call("GET", FIRST)[0], 404)
        equal(client.call("POST", FIRST, {"webhook": WEBHOOK})[0], 404)
        equal(client.call("GET", SECOND)[0], 200)


def test_installation_tokens():
    with serving() as (standin, client):
        one = standin.company.install("dri_1")
        other = standin.company.install("dri_2", scopes=())
        client.token = one.dit
        made = client.call("POST", FIRST, {"webhook": WEBHOOK})[1]["webhook"]
        equal(made["droplet_installation_uuid"], "dri_1")
        found = client.call("GET", "/api/droplet_installations/dri_1")[1]["droplet_installation"]
        equal(found["uuid"], "dri_1")
        assert not {one.dit, one.wvt} & set(map(str, found.values()))
        equal(client.call("GET", "/api/droplet_installations/dri_2")[0], 404)
        equal(client.call("GET", "/api/orders?a=1")[1]["as"], "dri_1")
        client.token = other.dit
        equal(client.call("GET", FIRST)[0], 403)
        other.active = False
        equal(client.call("GET", "/api/droplet_installations/dri_2")[0], 401)


def test_exchange():
    with serving(token=None) as (standin, client):
        company = standin.company
        made = company.offer("dex_1", "dri_1", droplet_uuid="drp_1", company_id=7, shop="acme")
        company.offer("dex_late", "dri_1", lives=-1)
        status, body = client.call("POST", EXCHANGE, {"exchange_token": "dex_1"})
        equal(status, 200)
        equal(body["droplet_installation"], {"droplet_installation_uuid": "dri_1",
                                             "droplet_uuid": "drp_1", "fluid_company_id": 7,
                                             "fluid_shop": "acme"})
        credentials = body["credentials"]
        equal(credentials.pop("token_type"), "bearer")
        assert credentials.pop("issued_at").endswith("Z")
        equal(credentials, {"authentication_token": made.dit,
                            "webhook_verification_token": made.wvt})
        for token, want in (("dex_1", 410), ("dex_late", 410), ("dex_none", 404), (None, 404)):
            equal(client.call("POST", EXCHANGE, {"exchange_token": token})[0], want)
        company.offer("dex_2", "dri_1")
        client.token = TOKEN
        equal(client.call("POST", EXCHANGE, {"exchange_token": "dex_2"})[0], 400)
        equal(company.offers["dex_2"].spent, False)


def test_one_exchange_wins():
    """A token is spent once, however many ask for it at the same time."""
    with serving() as (standin, _):
        standin.company.offer("dex_1", "dri_1")
        got = []

        def ask():
            client = Client(standin, None)
            got.append(client.call("POST", EXCHANGE, {"exchange_token": "dex_1"})[0])
            client.close()

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(sorted(got), [200] + [410] * 15)


def test_requests_are_recorded():
    with serving() as (standin, client):
        client.connection.request("POST", "/api/x?a=b%20c&d=", b"\xff\x00 raw",
                                  {"X-One": "1", "Authorization": f"Bearer {TOKEN}"})
        client.connection.getresponse().read()
        seen = standin.requests[0]
        equal((seen.method, seen.target, seen.path, seen.body),
              ("POST", "/api/x?a=b%20c&d=", "/api/x", b"\xff\x00 raw"))
        equal((seen.header("x-one"), seen.header("x-two"), seen.query), ("1", None, {"a": "b c"}))
        equal(seen.json(), None)
        equal(standin.calls(), ["POST /api/x?a=b%20c&d="])
        standin.forget()
        equal(standin.calls(), [])


def test_error_shapes():
    with serving() as (standin, client):
        for name, (status, body) in SHAPES.items():
            standin.fail(shape=name)
            got, answer = client.call("POST", FIRST, {"webhook": WEBHOOK})
            want = body if isinstance(body, dict) else (body or "").encode()
            equal((name, got, answer), (name, status, want))
        equal(standin.company.webhooks, [])
        equal(client.call("POST", FIRST, {"webhook": WEBHOOK})[0], 201)


def test_which_requests_fail():
    with serving() as (standin, client):
        standin.fail(status=500, method="GET", path=SECOND, times=2, skip=1)
        calls = [("GET", FIRST), ("POST", SECOND), ("GET", SECOND), ("GET", SECOND + "/1"),
                 ("GET", SECOND), ("GET", SECOND)]
        equal([client.call(*call, {"webhook": WEBHOOK})[0] for call in calls],
              [200, 201, 200, 500, 500, 200])


def broken(client, expected):
    try:
        answer = client.call("POST", FIRST, {"webhook": WEBHOOK})
    except expected:
        client.close()
        return
    raise AssertionError(f"answered {answer!r:.200}")


def test_connections_break():
    cases = [("reset", ConnectionResetError), ("close", http.client.RemoteDisconnected),
             ("half", http.client.IncompleteRead)]
    with serving() as (standin, client):
        for kind, expected in cases:
            for done in (False, True):
                standin.company.webhooks.clear()
                standin.fail(kind, done=done)
                broken(client, expected)
                equal((kind, len(standin.company.webhooks)), (kind, int(done)))
        equal(standin.broken, [])
        equal(client.call("GET", FIRST)[0], 200)


def test_answers_that_are_no_answers():
    with serving() as (standin, client):
        standin.fail("huge")
        assert len(client.call("GET", FIRST)[1]["filler"]) >= 10 * 1000 * 1000
        standin.fail("invalid")
        status, body = client.call("GET", FIRST)
        equal((status, type(body)), (200, bytes))
        standin.fail("redirect", location="https://elsewhere.example/x")
        client.connection.request("GET", FIRST)
        answer = client.connection.getresponse()
        answer.read()
        equal((answer.status, answer.getheader("Location")), (302, "https://elsewhere.example/x"))


def test_slow():
    """A slow answer comes after its time; stopping the stand-in does not wait for it."""
    with serving() as (standin, client):
        standin.fail("slow", seconds=0.3)
        begun = process.time.monotonic()
        equal(client.call("GET", FIRST)[0], 200)
        assert process.time.monotonic() - begun >= 0.3
        standin.fail("slow", seconds=600)
        client.connection.request("GET", FIRST, headers={"Authorization": f"Bearer {TOKEN}"})
        begun = process.time.monotonic()
    assert process.time.monotonic() - begun < 300


def test_tls():
    directory = pathlib.Path(process.temporary_directory())
    ca = certificates.authority(directory)
    certificate = certificates.certificate(directory)
    with StandIn(certificate=certificate) as standin:
        equal(standin.url, f"https://127.0.0.1:{standin.port}")
        client = Client(standin, context=ssl.create_default_context(cafile=ca))
        equal(client.call("GET", FIRST)[0], 200)
        client.close()
        stranger = Client(standin, context=ssl.create_default_context())
        try:
            stranger.call("GET", FIRST)
        except ssl.SSLCertVerificationError:
            pass
        else:
            raise AssertionError("trusted without its authority")
        stranger.close()
        equal(len(standin.requests), 1)


def program(*args):
    script = pathlib.Path(__file__).with_name("fluid_standin.py")
    return subprocess.Popen([sys.executable, "-B", str(script), *args], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


def test_program():
    """It says where it is, can be told what to do, and leaves nothing when it ends."""
    def ends(how):
        with program("--tls", "--company-token", "C-other") as child:
            hello = json.loads(child.stdout.readline())
            port = int(hello["url"].rpartition(":")[2])
            where = type("Where", (), {"port": port})
            client = Client(where, "C-other",
                            ssl.create_default_context(cafile=hello["ca_file"]))
            equal(client.call("POST", "/_standin/faults", {"status": 418})[0], 200)
            equal(client.call("GET", FIRST)[0], 418)
            equal(client.call("POST", "/_standin/webhooks", {"count": 3})[0], 200)
            equal(len(client.call("GET", SECOND)[1]["webhooks"]), 3)
            seen = client.call("GET", "/_standin/requests")[1]["requests"]
            equal([r["target"] for r in seen], [FIRST, SECOND])
            client.close()
            how(child)
            child.wait(process.DEADLINE)
        assert not os.path.exists(os.path.dirname(hello["ca_file"]))

    ends(lambda child: child.stdin.close())
    ends(lambda child: child.send_signal(signal.SIGTERM))


def test_company_alone():
    """What the stand-in knows can be asked without HTTP too."""
    company = Company()
    try:
        company.bearer("Basic " + TOKEN)
    except Refusal as refusal:
        equal(refusal.status, 401)
    else:
        raise AssertionError("taken for a bearer token")
    equal(company.bearer("Bearer " + TOKEN), None)


tap.run([tap.Test(function.__name__[5:].replace("_", " "), function)
         for name, function in list(globals().items()) if name.startswith("test_")])
