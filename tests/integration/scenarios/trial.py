"""What a scenario gets to work with."""

import hashlib
import json

from harness import fluid
from harness.process import wait_until
from harness.site import UUID_V7
from harness.tap import equal
from harness.web import Request

SCENARIOS = []


def scenario(world="usual", direct_only=False):
    """Mark a function as a scenario. direct_only: a web server lets no such request through."""
    def mark(function):
        SCENARIOS.append((world, direct_only, function))
        return function
    return mark


class Trial:
    """One scenario against one front. droplet, other: the configured droplets."""

    def __init__(self, front, site):
        self.front = front
        self.site = site
        self.droplet = site.droplets[0]
        self.other = site.droplets[-1]

    def company(self, droplet=None, **fields):
        return fluid.Company(droplet or self.droplet, **fields)

    # Sending

    def send(self, body=b"", headers=(), **request):
        """Send a request, and see that its answer is one the receiver gives."""
        response = self.front.send(Request(headers=list(headers), body=body, **request))
        self.check_form(response, request.get("method", "POST"))
        return response

    def deliver(self, body, secret, timestamp=None, shop=None, **request):
        """Send a signed delivery."""
        return self.send(body, fluid.signed(secret, body, timestamp, shop), **request)

    def install(self, company, **fields):
        """Install v1, and see that it worked. Returns the body."""
        body = company.install(**fields)
        self.taken(self.deliver(body, company.droplet.secret), body)
        return body

    # Judging answers

    @staticmethod
    def check_form(response, method):
        """Every answer is one line of JSON that no cache may keep (contract, section 3)."""
        where = response.describe()
        equal(response.headers.get("content-type"), "application/json", f"Content-Type of {where}")
        equal(response.headers.get("cache-control"), "no-store", f"Cache-Control of {where}")
        if method == "HEAD":
            equal(response.body, b"", "body of an answer to HEAD")
            return
        equal(response.body.count(b"\n"), 1, f"lines of {where}")
        assert response.body.endswith(b"\n"), where
        assert isinstance(json.loads(response.body), dict), where
        if "content-length" in response.headers:
            equal(int(response.headers["content-length"]), len(response.body), "Content-Length")

    def taken(self, response, body, status="accepted", event="droplet.installed", **entry):
        """It was accepted (or is pending), and the journal has exactly that. entry: members that
        the journal's line must have. Returns the line."""
        answer = json.loads(response.body)
        equal((response.status, answer.get("status")),
              (200 if status == "accepted" else 202, status), f"answer {answer}")
        equal(set(answer), {"status", "event", "delivery", "installation"}, "members of the answer")
        equal(answer["event"], event, "event answered")
        assert UUID_V7.match(answer["delivery"]), answer
        found = self.site.entries(answer["delivery"])
        equal(len(found), 1, f"journal lines of {answer['delivery']}")
        line = found[0]
        equal(line["body"], body, "body in the journal")
        equal(line["sha256"], hashlib.sha256(body).hexdigest(), "sha256 in the journal")
        equal(line["event"], event, "event in the journal")
        equal(line["installation"], answer["installation"], "installation in the journal")
        for name, value in entry.items():
            equal(line[name], value, f"{name} in the journal")
        return line

    def pending(self, response, body, **entry):
        return self.taken(response, body, "pending", **entry)

    @staticmethod
    def says(response, status, /, **answer):
        """Exactly this answer."""
        equal((response.status, json.loads(response.body)), (status, answer), "answer")
        if status == 503:
            equal(response.headers.get("retry-after"), "30", "Retry-After")
        if status == 405:
            allowed = {m.strip() for m in response.headers.get("allow", "").split(",")}
            equal(allowed, {"GET", "HEAD", "POST", "PUT"}, "Allow")

    def refused(self, status, error, body=b"", headers=(), more=None, **request):
        """Send it; it gets exactly this answer, and nothing is stored."""
        before = self.site.journal_size()
        response = self.send(body, headers, **request)
        self.says(response, status, error=error, **(more or {}))
        equal(self.site.journal_size(), before, f"journal after {status} {error}")

    def unauthorized(self, body, headers=(), **request):
        self.refused(401, "unauthorized", body, headers, **request)

    def refused_signed(self, status, error, body, secret=None, more=None, **request):
        """The same for a body that is rightly signed."""
        headers = fluid.signed(secret or self.droplet.secret, body)
        self.refused(status, error, body, headers, more, **request)

    # Looking at files

    def record(self, company):
        return self.site.record(company.dri)

    def status(self, company):
        """The status in the record, None where there is none."""
        record = self.record(company)
        return record and record["status"]

    def has(self, company, **members):
        """The record has these members."""
        record = self.record(company)
        assert record is not None, f"no record of {company.dri}"
        for name, value in members.items():
            equal(record[name], value, f"{name} in the record")
        return record

    def log_line(self, delivery):
        """The log line of an answer."""
        def found():
            return [line for line in self.site.log_text().splitlines()
                    if delivery in line and "msg=answer" in line]

        # A web server can be late in passing it on.
        lines = wait_until(found, f"no log line of {delivery}")
        equal(len(lines), 1, f"log lines of {delivery}")
        return lines[0][lines[0].index("level="):]
