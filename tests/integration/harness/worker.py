"""A worker beside a receiver, and a stand-in for Fluid that both it and the tests know."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from standin import StandIn
from standin import company as fluids

from . import fluid, process
from .site import BUILD, Site
from .web import Request

COMMAND = Path(os.environ.get("FLUIDHOOK") or BUILD / "fluidhook").resolve()
EXCHANGE = "/api/droplet_installations/exchange"


class Fluid:
    """The stand-in, which can be away for a while. Usable with `with`."""

    def __init__(self):
        self.company = fluids.Company(allow_http=True)
        self.standin = StandIn(self.company).start()
        self.port = self.standin.port
        self._place = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def down(self):
        """Connections are refused from now on; nobody else gets the port."""
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.standin.stop()
        self._place.bind(("127.0.0.1", self.port))

    def up(self):
        self.standin = StandIn(self.company, self.port).start()
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
        self.sections = {
            "fluid": {"api": url, "webhooks": f"{url}/api/company/webhooks", "timeout": 5,
                      **(api or {})},
            "worker": {"hooks": "hooks", **(worker or {})}}
        super().__init__(**settings)
        self.hooks = self.dir / "hooks"
        self.hooks.mkdir(mode=0o755)
        self.command = self.dir / "fluidhook"
        shutil.copy(COMMAND, self.command)
        self.command.chmod(0o755)
        for path in (self.hooks, self.command):
            process.give(path)
        self.printed = []

    def conf_text(self):
        text = super().conf_text()
        for name, values in self.sections.items():
            text += f"\n[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in values.items())
        return text

    def hook(self, name, text):
        self.write(self.hooks / name, "#!/bin/sh\n" + text, 0o755)

    def _environment(self):
        return process.environment(HOME=str(self.dir))

    def run(self, *words, timeout=60):
        """Run the command. Returns what subprocess.run() does; all of it is looked through later."""
        done = subprocess.run([self.command, "-c", self.conf, *words], text=True, cwd="/",
                              env=self._environment(), timeout=timeout, capture_output=True,
                              check=False, stdin=subprocess.DEVNULL, **process.identity())
        if words[0] != "token":
            self.printed += [done.stdout, done.stderr]
        return done

    def ok(self, *words, **more):
        done = self.run(*words, **more)
        assert done.returncode == 0, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def start_worker(self):
        with self.log("worker.log") as log:
            return process.start([self.command, "-c", self.conf, "work"], stdout=log, stderr=log,
                                 stdin=subprocess.DEVNULL, env=self._environment(), cwd="/")

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
