"""What Fluid knows of one company: tokens, webhooks, installations, tokens to exchange."""

import datetime
import secrets
import time

# What can be subscribed to.
RESOURCES = {
    "order": "created updated completed shipped cancelled refunded external_id_synced "
             "fulfillment_status_changed",
    "cart": "updated abandoned update_address update_cart_email add_items remove_items",
    "product": "created updated destroyed",
    "subscription": "started updated paused cancelled billed declined resumed "
                    "resumed_after_payment_fix reactivated skipped",
    "customer": "created updated deleted destroyed",
    "contact": "created updated",
    "user": "created updated deactivated",
    "enrollment": "completed",
    "event": "created updated deleted",
    "droplet": "installed uninstalled",
    "bot_message": "created",
    "popup": "submitted",
    "webchat": "submitted",
    "member": "sponsorships_reassigned",
    "mfa": "missing_email verified",
    "rep": "created updated destroyed",
}
RESOURCES = {name: events.split() for name, events in RESOURCES.items()}
DEPRECATED = ["rep"]
METHODS = ("post", "put", "get")
LIVES = 600     # seconds in which a token can be exchanged


class Refusal(Exception):
    """An answer that is no success: status, body."""

    def __init__(self, status, body):
        super().__init__(status)
        self.status = status
        self.body = body


def instant(seconds=None):
    """RFC 3339 in UTC, of unix seconds or of now."""
    when = datetime.datetime.fromtimestamp(time.time() if seconds is None else seconds,
                                           datetime.timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def meta(**more):
    return {"request_id": secrets.token_hex(8), "timestamp": instant(), **more}


def not_found():
    return Refusal(404, {"error_message": "Not found", "errors": None, "meta": meta()})


def invalid(**fields):
    """422, with a list of messages for each field."""
    return Refusal(422, {"error_message": "Validation failed", "errors": fields, "meta": meta()})


class Installation:
    """One installation of a droplet. Its token and keys are given out by an exchange, or known."""

    def __init__(self, dri, droplet_uuid, company_id, shop, dit=None, wvt=None, scopes=()):
        self.dri = dri
        self.droplet_uuid = droplet_uuid
        self.company_id = company_id
        self.shop = shop
        self.dit = dit or "dit_" + secrets.token_hex(16)
        self.wvt = wvt or "wvt_" + secrets.token_hex(16)
        self.scopes = list(scopes)
        self.active = True

    def identity(self):
        return {"droplet_installation_uuid": self.dri, "droplet_uuid": self.droplet_uuid,
                "fluid_company_id": self.company_id, "fluid_shop": self.shop}


class Offer:
    """A token that can be exchanged once, until a time (unix seconds)."""

    def __init__(self, installation, expires_at):
        self.installation = installation
        self.expires_at = expires_at
        self.spent = False


class Company:
    """company_token: the one that may do everything. allow_http: webhooks at http addresses as well."""

    def __init__(self, company_token="C-" + "0" * 32, company_id=226157151, allow_http=False):
        self.company_token = company_token
        self.company_id = company_id
        self.allow_http = allow_http
        self.webhooks = []
        self.installations = {}
        self.offers = {}
        self._next_id = 4300000001      # more than 32 bits hold

    def install(self, dri, droplet_uuid="drp_standin", company_id=None, shop="acme.fluid.app",
                dit=None, wvt=None, scopes=("settings",)):
        """Make an installation known, as one that has its credentials."""
        made = Installation(dri, droplet_uuid, company_id or self.company_id, shop, dit, wvt,
                            scopes)
        self.installations[dri] = made
        return made

    def offer(self, exchange_token, dri, lives=LIVES, **fields):
        """Make a token that can be exchanged for the credentials of an installation.

        fields: of install(), which makes the installation anew; without any, a known one stays.
        """
        made = None if fields else self.installations.get(dri)
        made = made or self.install(dri, **fields)
        self.offers[exchange_token] = Offer(made, time.time() + lives)
        return made

    def bearer(self, authorization):
        """Whose token it is: None for the company's, else an Installation. Raises Refusal."""
        kind, _, token = (authorization or "").partition(" ")
        if kind == "Bearer" and token:
            if token == self.company_token:
                return None
            for one in self.installations.values():
                if token == one.dit and one.active:
                    return one
        raise Refusal(401, {"message": "Unauthorized"})

    # Webhooks

    def _public(self, webhook, whole):
        return {k: v for k, v in webhook.items() if whole or k != "auth_token"}

    def _check(self, values, known):
        errors = {}
        resource, event = values.get("resource"), values.get("event")
        if not known:
            if resource not in RESOURCES:
                errors["resource"] = ["is not included in the list"]
            elif event not in RESOURCES[resource]:
                errors["event"] = ["is not included in the list"]
        url = values.get("url")
        if url is not None or not known:
            if not isinstance(url, str) or not url:
                errors["url"] = ["can't be blank"]
            elif not url.startswith("https://") and not self.allow_http:
                errors["url"] = ["must be https"]
        if values.get("http_method", "post") not in METHODS:
            errors["http_method"] = ["is not included in the list"]
        if not isinstance(values.get("active", True), bool):
            errors["active"] = ["must be true or false"]
        if errors:
            raise invalid(**errors)

    def _values(self, body):
        values = body.get("webhook") if isinstance(body, dict) else None
        if not isinstance(values, dict):
            raise Refusal(422, {"error_message": "param is missing: webhook",
                                "errors": "param is missing: webhook", "meta": meta()})
        return values

    def _find(self, number):
        for webhook in self.webhooks:
            if str(webhook["id"]) == number:
                return webhook
        raise not_found()

    def create_webhook(self, who, body):
        values = self._values(body)
        self._check(values, False)
        webhook = {
            "id": self._next_id, "company_id": self.company_id,
            "droplet_installation_uuid": who.dri if who else None, "url": values["url"],
            "active": values.get("active", True), "resource": values["resource"],
            "event": values["event"],
            "event_identifier": f"{values['resource']}_{values['event']}",
            "http_method": values.get("http_method", "post"),
            "auth_token": values.get("auth_token"), "created_at": instant(),
            "updated_at": instant()}
        self._next_id += 1
        self.webhooks.append(webhook)
        return 201, {"webhook": self._public(webhook, True), "meta": meta()}

    def list_webhooks(self, query):
        def number(name, otherwise):
            text = query.get(name, "")
            return int(text) if text.isdecimal() and int(text) > 0 else otherwise

        page, size = number("page", 1), min(number("per_page", 30), 100)
        shown = self.webhooks[(page - 1) * size:page * size]
        total = len(self.webhooks)
        pagination = {"current_page": page, "total_pages": max(1, -(-total // size)),
                      "total_count": total, "per_page": size}
        return 200, {"webhooks": [self._public(w, False) for w in shown],
                     "meta": meta(pagination=pagination)}

    def show_webhook(self, number):
        return 200, {"webhook": self._public(self._find(number), True), "meta": meta()}

    def update_webhook(self, number, body):
        webhook, values = self._find(number), self._values(body)
        self._check(values, True)
        for name in ("url", "active", "auth_token", "http_method"):
            if name in values:
                webhook[name] = values[name]
        webhook["updated_at"] = instant()
        return 200, {"webhook": self._public(webhook, True), "meta": meta()}

    def delete_webhook(self, number):
        self.webhooks.remove(self._find(number))
        return 200, {"meta": meta()}

    def resources(self):
        return 200, {"resources": RESOURCES, "deprecated_resources": DEPRECATED}

    def resource(self, name):
        if name not in RESOURCES:
            raise not_found()
        return 200, {"id": 1, "identifier": "evt_last", "name": f"{name}_{RESOURCES[name][0]}",
                     "payload": {"resource": name, "event": RESOURCES[name][0]}}

    # Installations

    def show_installation(self, who, dri):
        found = self.installations.get(dri)
        if found is None or (who is not None and who is not found):
            raise not_found()
        return 200, {"droplet_installation": {
            "uuid": found.dri, "droplet_uuid": found.droplet_uuid, "active": found.active,
            "fluid_company_id": found.company_id, "scopes": found.scopes}, "meta": meta()}

    def show_company(self, who):
        """Whose a token is: the company's id, and its shop without the domain."""
        company_id, shop = (who.company_id, who.shop) if who else (self.company_id, "acme.fluid.app")
        return 200, {"data": {"company": {"id": company_id, "uuid_v7": "0190",
                                          "subdomain": shop.removesuffix(".fluid.app")}}}

    def exchange(self, body):
        offer = self.offers.get(body.get("exchange_token") if isinstance(body, dict) else None)
        if offer is None:
            raise not_found()
        if offer.spent or offer.expires_at <= time.time():
            raise Refusal(410, {"error_message": "Exchange token is spent or expired",
                                "errors": None, "meta": meta()})
        offer.spent = True
        found = offer.installation
        return 200, {"droplet_installation": found.identity(), "credentials": {
            "authentication_token": found.dit, "webhook_verification_token": found.wvt,
            "issued_at": instant(), "token_type": "bearer"}}
