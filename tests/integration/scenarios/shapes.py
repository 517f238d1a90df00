"""Shapes of bodies that Fluid's samples do not show, each accepted or refused as the contract says."""

import json

from harness import fluid
from harness.tap import equal

from .trial import scenario


def deliver(t, value, event, status="accepted", secret=None, shop=None, **entry):
    """Deliver this value, signed, and see that it is taken as this event. Returns the journal's line."""
    body = fluid.encode(value)
    response = t.deliver(body, secret or t.droplet.secret, shop=shop)
    return t.taken(response, body, status, event, **entry)


@scenario()
def historic_install(t):
    """Shape 1: the historic install without `company` is an event like others, and makes no record"""
    before = set(t.site.state.glob("installations/*"))
    deliver(t, {"resource": "company_droplet", "event": "created", "company_droplet": {
        "fluid_shop": "a", "name": "A", "fluid_company_id": 1, "company_droplet_uuid": "cdr_1",
        "authentication_token": "t", "webhook_verification_token": "w"}},
        "company_droplet.created", installation=None, fluid_shop=None)
    equal(set(t.site.state.glob("installations/*")), before, "records")


@scenario()
def envelope_without_identifier(t):
    """Shape 2: an enveloped install without identifier and timestamp"""
    company = t.company()
    deliver(t, {"id": 1, "name": "droplet_installed", "payload": {
        "resource": "droplet", "event": "installed", "company": company.company_v1()}},
        "droplet.installed", installation=company.dri, id=1, identifier=None)
    t.has(company, status="active", authentication_token=company.dit)


@scenario()
def event_of_the_outer_name(t):
    """Shape 3: without payload.event, the outer name gives the event"""
    for resource in ("Droplet", "droplet", "Something"):
        company = t.company()
        deliver(t, {"name": "droplet_installed",
                    "payload": {"resource": resource, "company": company.company_v1()}},
                "droplet.installed", installation=company.dri)
        t.has(company, status="active", authentication_token=company.dit)
    company = t.company()
    deliver(t, {"payload": {"resource": "Droplet", "event": "Installed",
                            "company": company.company_v1()}},
            "droplet.installed", installation=company.dri)
    t.has(company, status="active")


@scenario()
def install_without_a_dri(t):
    """Shape 4: an install without any dri is named after its company, v1 and v2"""
    company = t.company()
    block = company.company_v1(droplet_installation_uuid=None, droplet_uuid=None)
    deliver(t, {"resource": "droplet", "event": "installed", "company": block},
            "droplet.installed", installation=f"company-{company.id}")
    equal(t.site.record(f"company-{company.id}")["status"], "active", "status")
    company = t.company()
    block = company.company_v2(droplet_installation_uuid=None)
    name = f"company-{company.id}-{t.droplet.uuid}"
    deliver(t, {"resource": "droplet", "event": "installed", "company": block},
            "droplet.installed", "pending", installation=name)
    equal(t.site.record(name)["status"], "pending", "status")


@scenario()
def uninstall_of_an_unknown_dri(t):
    """Shape 5: an uninstall of an unknown dri that does not look like a uuid leaves nothing active"""
    for dri in ("17", "some-installation", "dri_" + "x" * 100):
        deliver(t, {"resource": "droplet", "event": "uninstalled",
                    "company": {"droplet_installation_uuid": dri}},
                "droplet.uninstalled", installation=dri)
        record = t.site.record(dri)
        assert record is None or record["status"] == "uninstalled", record


@scenario()
def flat_business_with_company(t):
    """Shape 6: a flat business event with `company`"""
    company = t.company()
    t.install(company)
    value = {"resource": "order", "event": "created",
             "company": {"droplet_installation_uuid": company.dri}}
    deliver(t, value, "order.created", installation=company.dri, key="droplet")
    deliver(t, value, "order.created", secret=company.wvt, installation=company.dri,
            key="installation")


@scenario()
def flat_business_at_the_root(t):
    """Shape 7: a flat business event with its data at the root; company_id finds the key"""
    company = t.company()
    t.install(company)
    value = {"company_id": company.id, "resource": "order", "event": "external_id_synced",
             "order": {"id": 2, "external_id": "E"}}
    deliver(t, value, "order.external_id_synced", secret=company.wvt, installation=company.dri)
    deliver(t, value, "order.external_id_synced", installation=None)


@scenario()
def string_ids(t):
    """Shape 8: an id that is a string stays one"""
    deliver(t, {"id": "whe_1", "identifier": "whe_2", "name": "cart_updated",
                "payload": {"resource": "cart", "event": "updated", "data": {"id": 1}}},
            "cart.updated", id="whe_1", identifier="whe_2")


@scenario()
def no_resource_inside(t):
    """Shape 9: a payload without resource and event; the outer name gives the event"""
    deliver(t, {"name": "subscription_started", "payload": {
        "resource_name": "SubscriptionOrder", "subscription_order": {"id": 1}}},
        "subscription.started")


@scenario()
def nothing_outside(t):
    """Shape 10: an envelope with nothing outside the payload"""
    deliver(t, {"payload": {"event_name": "order_shipped", "order": {"id": 1}}}, "order.shipped",
            id=None, identifier=None)


@scenario()
def identifier_of_the_resource(t):
    """Shape 11: one identifier for several events: each is taken"""
    for number in ("12345", 12345, "12345"):
        for color in ("red", "blue"):
            deliver(t, {"id": number, "identifier": "product-171", "name": "product_updated",
                        "payload": {"resource": "product", "event": "updated", "color": color}},
                    "product.updated", id=number, identifier="product-171")


@scenario()
def no_event_anywhere(t):
    """Shape 12: no event anywhere: 400 no_event"""
    body = fluid.encode({"subscription": {"id": 1}, "company_id": 3})
    t.refused_signed(400, "no_event", body)
    t.unauthorized(body)


@scenario()
def optional_fields_of_another_type(t):
    """Shape 13: an optional field of another type counts as absent"""
    company = t.company()
    deliver(t, {"resource": "droplet", "event": "installed",
                "company": company.company_v1(webhook_verification_token=17, name=3, fluid_shop=5)},
            "droplet.installed", installation=company.dri, fluid_shop=None)
    t.has(company, status="active", authentication_token=company.dit, name=None, fluid_shop=None,
          webhook_verification_token=None)
    company = t.company()
    credentials = {"exchange_token": company.dex, "exchange_token_expires_at": 1789000000,
                   "exchange_endpoint": "/api/droplet_installations/exchange"}
    deliver(t, {"resource": "droplet", "event": "installed",
                "company": company.company_v2(credentials=credentials)},
            "droplet.installed", "pending", installation=company.dri)
    record = t.has(company, status="pending")
    equal(record.get("exchange_token_expires_at"), None, "expiry")


@scenario()
def payload_that_is_no_object(t):
    """Shape 14: a payload that is a string or an array is not unwrapped"""
    company = t.company()
    inner = {"resource": "droplet", "event": "uninstalled",
             "company": {"droplet_installation_uuid": company.dri}}
    for payload in (json.dumps(inner), [inner], 5, None, True):
        deliver(t, {"name": "order_created", "payload": payload}, "order.created",
                installation=None)
        t.refused_signed(400, "no_event", fluid.encode({"payload": payload}))
    equal(t.record(company), None, "record")
