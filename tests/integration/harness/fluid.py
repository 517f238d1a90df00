"""What Fluid sends: droplets, companies that install them, signed deliveries.

Every credential and signature made here is remembered, so that a test can look for them in places
where none may be.
"""

import datetime
import hashlib
import hmac
import json
import secrets
import string
import time

CREDENTIALS = set()

_ALPHABET = string.ascii_letters + string.digits


def opaque(prefix, size=32):
    """A fresh id in Fluid's style."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(size))


def credential(prefix, size=32):
    """The same, to be kept secret."""
    value = opaque(prefix, size)
    CREDENTIALS.add(value)
    return value


def now():
    """Unix seconds, as in X-Fluid-Timestamp."""
    return int(time.time())


def signature(secret, timestamp, body):
    """HMAC-SHA256 over timestamp, a dot and the bytes of the body; lower-case hexadecimal."""
    mac = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    CREDENTIALS.add(mac)
    return mac


def fingerprint(secret):
    """What the journal and "fluidhook secret list" show of a key."""
    return hashlib.sha256(secret.encode()).hexdigest()[:12]


def signed(secret, body, timestamp=None, shop=None):
    """The headers of a signed delivery."""
    timestamp = now() if timestamp is None else timestamp
    headers = [("Content-Type", "application/json")]
    if shop is not None:
        headers.append(("X-Fluid-Shop", shop))
    return headers + [("X-Fluid-Timestamp", str(timestamp)),
                      ("X-Fluid-Signature", signature(secret, timestamp, body))]


def token(name, value, shop=None):
    """The headers of a delivery with a bare token."""
    headers = [("Content-Type", "application/json"), (name, value)]
    return headers + ([("X-Fluid-Shop", shop)] if shop is not None else [])


def encode(value):
    """A body, compact as Fluid's are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class Droplet:
    """A droplet and its live secrets, newest first."""

    def __init__(self, name="", uuid=True, n_secrets=2):
        self.name = name
        self.uuid = opaque("drp_") if uuid else None
        self.secrets = [credential("dws_") for _ in range(n_secrets)]

    @property
    def secret(self):
        return self.secrets[0]


class Company:
    """One company's installation of a droplet."""

    def __init__(self, droplet, **fields):
        self.droplet = droplet
        self.dri = opaque("dri_")
        self.id = secrets.randbelow(10 ** 9) + 10 ** 9
        self.shop = opaque("shop-", 12).lower()
        self.name = "Acme Inc"
        self.dit = credential("dit_")
        self.wvt = credential("wvt_")
        self.dex = credential("dex_")
        self.__dict__.update(fields)

    def again(self):
        """A later installation by the same company: new ids and tokens, the same company."""
        return Company(self.droplet, id=self.id, shop=self.shop, name=self.name)

    def identity(self):
        block = {"droplet_installation_uuid": self.dri, "droplet_uuid": self.droplet.uuid,
                 "fluid_company_id": self.id, "fluid_shop": self.shop + ".fluid.app"}
        return {k: v for k, v in block.items() if v is not None}

    def company_v1(self, **fields):
        """The company block of a v1 install; None among the fields leaves one out."""
        block = {"authentication_token": self.dit, **self.identity(), "name": self.name,
                 "webhook_verification_token": self.wvt, **fields}
        return {k: v for k, v in block.items() if v is not None}

    def company_v2(self, **fields):
        block = {**self.identity(), "name": self.name, "credentials": {
            "exchange_token": self.dex, "exchange_token_expires_at": "2036-03-11T12:10:00Z",
            "exchange_endpoint": "/api/droplet_installations/exchange"}, **fields}
        return {k: v for k, v in block.items() if v is not None}

    def install(self, **fields):
        """A flat v1 install, in bytes."""
        return flat("installed", self.company_v1(**fields))

    def install_v2(self, **fields):
        return flat("installed", self.company_v2(**fields))

    def uninstall(self, **fields):
        block = {**self.identity(), **fields}
        return flat("uninstalled", {k: v for k, v in block.items() if v is not None})

    def order(self, **fields):
        """A business event, enveloped; says nothing about the company unless fields do."""
        number = secrets.randbelow(10 ** 6)
        return encode({"id": number, "identifier": opaque("evt_", 10), "name": "order_created",
                       "payload": {"event_name": "order_created", "resource": "order",
                                   "event": "created", "order": {"id": number}, **fields}})


def flat(event, company, **more):
    """A lifecycle delivery with everything at the root."""
    return encode({"event_name": f"droplet_{event}", "resource": "droplet", "event": event,
                   "company": company, **more})


def enveloped(event, company, **more):
    """The same inside an envelope."""
    payload = {"event_name": f"droplet_{event}", "resource": "droplet", "event": event,
               "company": company}
    return encode({"id": secrets.randbelow(10 ** 6), "identifier": opaque("evt_", 10),
                   "name": f"droplet_{event}", "payload": payload, **more})


def padded(body, size):
    """The same object, brought to exactly so many bytes."""
    room = size - len(body) - len(b',"padding":""')
    assert room >= 0
    return body[:-1] + b',"padding":"' + b"x" * room + b'"}'


def seconds(text):
    """Unix seconds of an RFC 3339 time in UTC."""
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())
