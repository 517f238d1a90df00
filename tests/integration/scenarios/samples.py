"""Every example delivery, byte for byte as Fluid sends it."""

import json

from harness.site import SOURCE
from harness.tap import equal

from .trial import scenario

DIRECTORY = SOURCE / "examples" / "deliveries"


def sample(name):
    return (DIRECTORY / f"{name}.json").read_bytes()


@scenario("single")
def every_example(t):
    """Every example in examples/deliveries is taken and can be had back byte for byte."""
    paths = sorted(DIRECTORY.glob("*.json"))
    assert len(paths) >= 6, f"only {len(paths)} examples"
    for path in paths:
        body = path.read_bytes()
        value = json.loads(body)
        inner = value.get("payload", value)
        status = "pending" if "credentials" in inner.get("company", {}) else "accepted"
        event = f"{inner['resource']}.{inner['event']}"
        response = t.deliver(body, t.droplet.secret, shop="acme.fluid.app")
        t.taken(response, body, status, event, verified_by="signature", key="droplet",
                id=value.get("id"), identifier=value.get("identifier"))


@scenario("single")
def guide_install(t):
    """The install of Fluid's guide becomes the record that the contract shows"""
    body = sample("droplet_installed-flat-v1")
    line = t.taken(t.deliver(body, t.droplet.secret, shop="fluid"), body,
                   installation="dri_ssklg1e12jewefxfrorx92v317t0b2ho")
    record = t.site.record("dri_ssklg1e12jewefxfrorx92v317t0b2ho")
    for name, value in json.loads(body)["company"].items():
        equal(record[name], value, name)
    equal(record["status"], "active", "status")
    equal(record["uninstalled_at"], None, "uninstalled_at")
    assert line["fluid_shop"] in ("fluid.fluid.app", "fluid"), line["fluid_shop"]
    link = t.site.state / "shops" / "fluid" / "dri_ssklg1e12jewefxfrorx92v317t0b2ho"
    equal(json.loads(link.read_text())["status"], "active", "through the shop's link")
    link = t.site.state / "companies" / "226157151" / "dri_ssklg1e12jewefxfrorx92v317t0b2ho"
    equal(json.loads(link.read_text())["status"], "active", "through the company's link")


@scenario("single")
def exchange_kept(t):
    """A v2 install keeps what the worker needs for the exchange, and no credentials yet"""
    body = sample("droplet_installed-enveloped-v2")
    t.pending(t.deliver(body, t.droplet.secret), body, installation="dri_AbCdEf", id=12345)
    record = t.site.record("dri_AbCdEf")
    for name, value in json.loads(body)["payload"]["company"]["credentials"].items():
        equal(record[name], value, name)
    equal((record["status"], record["authentication_token"], record["webhook_verification_token"]),
          ("pending", None, None), "status and tokens")
    assert (t.site.state / "queue" / "pending" / "dri_AbCdEf").exists(), "no mark for the worker"
