"""A worker beside a receiver, and a stand-in for Fluid that both it and the tests know."""

import contextlib
import socket
import subprocess
import time

from standin import StandIn, certificates
from standin import company as fluids

from . import fluid, process
from .fluid import Company
from .fronts import Cgi
from .site import COMMAND, Site  # noqa: F401
from .tap import equal
from .web import Request

EXCHANGE = "/api/droplet_installations/exchange"


class Fluid:
    """The stand-in, which can be away for a while. Usable with `with`."""

    def __init__(self, tls=False):
        self.company = fluids.Company(allow_http=True)
        self.ca_file = self._certificate = None
        if tls:
            directory = process.temporary_directory()
            self.ca_file = certificates.authority(directory)
            self._certificate = certificates.certificate(directory)
            process.give(self.ca_file)
        self.standin = StandIn(self.company, certificate=self._certificate).start()
        self.port = self.standin.port
        self.url = self.standin.url
        self._place = None

    def down(self):
        """Connections are refused from now on; nobody else gets the port."""
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.standin.stop()
        self._place.bind(("127.0.0.1", self.port))

    def up(self):
        self.standin = StandIn(self.company, self.port, self._certificate).start()
        self._place.close()
        self._place = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._place:
            self._place.close()
        else:
            self.standin.stop()

    def fail(self, *args, **fields):
        """The next exchanges (unless path says otherwise) fail; see standin.Fault."""
        return self.standin.fail(*args, **{"path": EXCHANGE, **fields})

    def requests(self, path="", method=None):
        with self.standin._lock:
            return [r for r in self.standin.requests if r.path.startswith(path) and
                    method in (None, r.method)]

    def exchanges(self, company):
        """The requests that brought this company's one-time token."""
        return [r for r in self.requests(EXCHANGE) if (r.json() or {}).get("exchange_token") ==
                company.dex]

    def offer(self, company, lives=600.0, **fields):
        """Let a company's one-time token be exchanged for its credentials."""
        return self.company.offer(company.dex, company.dri, lives, **{
            "droplet_uuid": company.droplet.uuid, "company_id": company.id,
            "shop": company.shop + ".fluid.app", "dit": company.dit, "wvt": company.wvt, **fields})

    def know(self, company, **fields):
        """Let a company's installation and its permanent credentials be known."""
        return self.company.install(company.dri, **{
            "droplet_uuid": company.droplet.uuid, "company_id": company.id,
            "shop": company.shop + ".fluid.app", "dit": company.dit, "wvt": company.wvt, **fields})

    def webhooks(self, company):
        return [w for w in self.company.webhooks if w["droplet_installation_uuid"] == company.dri]


class WorkerSite(Site):
    """A site with the sections that a worker wants. worker, api: lines of them, by key."""

    def __init__(self, url, worker=None, api=None, **settings):
        super().__init__(sections={
            "fluid": {"api": url, "webhooks": f"{url}/api/company/webhooks", "timeout": 5, **(api or {})},
            "worker": {"hooks": "hooks", **(worker or {})}}, **settings)
        self.make_hooks()
        self.printed = []

    def run(self, *words, timeout=600):
        """Run the command. Returns what subprocess.run() does; all of it is looked through later."""
        done = self.execute(*words, text=True, timeout=timeout)
        if words[0] != "token":
            self.printed += [done.stdout, done.stderr]
        return done

    def ok(self, *words, **more):
        done = self.run(*words, **more)
        assert done.returncode == 0, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def start_worker(self):
        with self.log("worker.log") as log:
            return process.start(self.argv("work"), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                 env=self.environment(), cwd="/")

    def all_output(self):
        """Everything that was logged or printed, but by `token`."""
        return self.log_text() + "".join(self.printed)

    def has(self, company, **fields):
        """Whether the record is there and says all this."""
        record = self.record(company.dri)
        return record is not None and all(record.get(k) == v for k, v in fields.items())

    def wait_for(self, company, deadline=process.DEADLINE, **fields):
        """Wait until the record says all this. Returns it."""
        try:
            process.wait_until(lambda: self.has(company, **fields), "", deadline)
        except AssertionError:
            record = {k: v for k, v in (self.record(company.dri) or {}).items()
                      if k in fields or k in ("status", "reason")}
            raise AssertionError(f"waited {deadline:g} s for {fields}, is {record}") from None
        return self.record(company.dri)


def deliver(front, company, body, timestamp=None, status=(200, 202), unsigned=False):
    """Send a body signed by the company's droplet. Returns the answer."""
    headers = [("Content-Type", "application/json")] if unsigned else \
        fluid.signed(company.droplet.secret, body, timestamp)
    answer = front.send(Request(headers=headers, body=body))
    assert answer.status in status, answer
    return answer


_sites = []         # of all worlds, to look for credentials at the end


class World:
    """A receiver, a worker and Fluid."""

    def __init__(self, front=None, worker=None, api=None, tls=False, **settings):
        self.fluid = Fluid(tls)
        if tls:
            api = {"ca_file": self.fluid.ca_file, **(api or {})}
        self.site = WorkerSite(self.fluid.url, worker, api, **settings)
        self.front = front or Cgi()
        self.front.start(self.site)
        self.proc = None

    def company(self, **fields):
        return Company(self.site.droplets[0], **fields)

    def work(self):
        """Start the worker, and wait until it works."""
        begun = self.site.log_text().count("msg=working")
        self.proc = self.site.start_worker()
        process.wait_until(lambda: self.site.log_text().count("msg=working") > begun, "it does not work")

    def stop(self):
        """End the worker as systemd does."""
        status = process.stop(self.proc)
        assert status == 0, f"the worker ended with {status}\n{self.site.log_tail()}"
        self.proc = None

    def close(self):
        if self.proc:
            self.stop()
        self.front.stop()
        self.fluid.__exit__()

    def deliver(self, company, body=None, timestamp=None, **more):
        return deliver(self.front, company, company.install_v2() if body is None else body,
                       timestamp, **more)

    def install(self, company=None, lives=600.0, **offer):
        """A v2 install whose token Fluid knows."""
        company = company or self.company()
        self.fluid.offer(company, lives, **offer)
        self.deliver(company, install_v2(company, lives))
        return company

    def logged(self, *words):
        """Whether a line of the worker's log has all these words."""
        return any(all(word in line for word in words) for line in self.site.log_text().splitlines())

    def wait_logged(self, *words):
        process.wait_until(lambda: self.logged(*words), f"not logged: {words}\n{self.site.log_tail()}")


@contextlib.contextmanager
def world(front=None, worker=None, api=None, **more):
    """A World for a `with`; what fails in it shows the logs."""
    made = World(front, worker, api, **more)
    _sites.append(made.site)
    try:
        yield made
    except AssertionError as error:
        raise AssertionError(f"{error}\n{made.site.log_tail()}") from error
    finally:
        made.close()


def install_v2(company, lives=600.0, at=None, **credentials):
    """A v2 install whose token lives so many seconds from now."""
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime((at or time.time()) + lives))
    block = company.company_v2()
    block["credentials"].update(exchange_token_expires_at=expires, **credentials)
    return fluid.flat("installed", {k: v for k, v in block.items() if v is not None})


def has_credentials(w, company):
    """The record is whole: permanent credentials are there, one-time ones are not."""
    record = w.site.wait_for(company, status="active", exchange_token=None)
    equal(record["authentication_token"], company.dit, "authentication_token")
    equal(record["webhook_verification_token"], company.wvt, "webhook_verification_token")
    for name in ("exchange_token", "exchange_endpoint", "exchange_tried_at", "reason"):
        equal(record.get(name), None, name)
    return record


def has_no_credentials(w, company, **fields):
    record = w.site.wait_for(company, **fields)
    for name in ("authentication_token", "webhook_verification_token", "exchange_token"):
        equal(record.get(name), None, name)
    return record


def waiting(w):
    """The markers in the queue, as "pending/dri_..."."""
    return sorted(f"{p.parent.name}/{p.name}" for directory in ("pending", "unconfirmed", "subscribe")
                  for p in (w.site.state / "queue" / directory).glob("*"))


def nothing_waits(w):
    """No marker is left in the queue."""
    process.wait_until(lambda: not waiting(w), f"markers are left: {waiting(w)}")


def no_credentials_in_logs():
    """Nothing that was logged or printed by any program has a credential or a signature in it."""
    text = "".join(site.all_output() for site in _sites)
    assert "msg=working" in text and "msg=answer" in text
    equal([word for word in fluid.CREDENTIALS if word in text], [], "in the logs")
