#!/usr/bin/env python3
"""A 2xx is sent only after the delivery is on stable storage: seen from outside, by strace.

Where tracing is not permitted, the tests that need it are skipped; the others need nothing.
"""

import os
import re
import resource
import signal
import subprocess
import time

from harness import fcgi, fluid, process, tap
from harness.fluid import Company
from harness.fronts import Cgi, SpawnFcgi
from harness.site import RECEIVER, Site
from harness.web import Request
from harness.webservers import find

CALLS = "fsync,fdatasync,write,writev,sendto,sendmsg,rename,renameat,renameat2,openat,symlinkat"
SLOW = 0.4      # seconds added to each commit


def tracing_works():
    """Whether strace can trace and inject here."""
    strace = find("strace")
    if not strace:
        return False
    done = subprocess.run([strace, "-e", "trace=fsync", "-e", "inject=fsync:error=EIO", "true"],
                          capture_output=True, env=process.environment(), check=False, timeout=600,
                          cwd="/", **process.identity())
    return done.returncode == 0


def need_tracing():
    if not TRACING:
        raise tap.Skip("strace is missing or may not trace here")


def whole_calls(trace):
    """The traced calls, each on one line: strace splits a call that another thread's comes in between.
    What sends counts from its beginning, what commits from its end."""
    calls, begun = [], {}
    for line in trace.read_text(errors="replace").splitlines():
        pid = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            begun[pid] = len(calls)
            calls.append(line.removesuffix("<unfinished ...>").rstrip())
            continue
        resumed = re.match(r"\d+\s+<\.\.\. \w+ resumed>\s*(.*)", line)
        if not resumed or pid not in begun:
            calls.append(line)
            continue
        at = begun.pop(pid)
        call = calls[at] + resumed[1]
        sends = re.match(r"\d+\s+(write|send)", call)
        calls[at] = call if sends else ""
        if not sends:
            calls.append(call)
    return [call for call in calls if call]


def traceable(env):
    """The environment for a traced program: a leak check of its own would want to trace it as well."""
    options = [option for option in (env.get("ASAN_OPTIONS"), "detect_leaks=0") if option]
    return {**env, "ASAN_OPTIONS": ":".join(options)}


class TracedCgi(Cgi):
    """CGI under strace. options: more of strace's."""

    def __init__(self, options=()):
        super().__init__()
        self.options = list(options)
        self.trace = None

    def environment(self, request):
        return traceable(super().environment(request))

    def spawn(self, request, arguments=()):
        self.trace = self.site.dir / f"trace.{time.monotonic_ns()}"
        command = [find("strace"), "-f", "-y", "-s", "200", "-o", self.trace, "-e",
                   f"trace={CALLS}", *self.options, self.site.receiver]
        with self.site.log("receiver.log") as log:
            return subprocess.Popen(command, cwd="/", stderr=log, stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, bufsize=0,
                                    env=self.environment(request), **process.identity())

    def calls(self):
        """The traced calls in order."""
        return whole_calls(self.trace)


class TracedServer(SpawnFcgi):
    """A serving process under strace; its socket is standard input."""

    def __init__(self, options=()):
        super().__init__()
        self.options = list(options)
        self.trace = None

    def environment(self):
        return traceable(super().environment())

    def command(self, site):
        self.trace = site.dir / "trace"
        return [find("strace"), "-f", "-y", "-s", "200", "-o", self.trace, "-e", f"trace={CALLS}",
                *self.options, *super().command(site)]

    def stop(self):
        """strace itself takes no signal: the process that it traces gets it."""
        for pid in process.children(self.proc.pid):
            process.signal_quietly(pid, signal.SIGTERM)
        self.proc.wait(process.DEADLINE)
        return super().stop()


def delivery(site, body=None):
    """A signed request, by default an install, and the company that installs."""
    company = Company(site.droplets[0])
    body = body or company.install()
    headers = fluid.signed(site.droplets[0].secret, body)
    return Request(headers=headers, body=body), company


def first(calls, pattern, what, after=-1):
    """The index of the first call that matches, behind another one."""
    for n, call in enumerate(calls):
        if n > after and re.search(pattern, call):
            return n
    raise AssertionError(f"no {what} after call {after}:\n" + "\n".join(calls[-60:]))


def check_order(calls, dri, answer):
    """Journal line and its commit; record, its commit and its directory's; then the answer."""
    written = first(calls, r"write(v)?\(\d+<[^>]*/journal/[^>]*\.jsonl>", "journal line")
    committed = first(calls, r"f(data)?sync\(\d+<[^>]*\.jsonl>\)\s*= 0", "commit", written)
    new = first(calls, r"f(data)?sync\(\d+<[^>]*/installations/[^>]+>\)\s*= 0", "record's commit",
                committed)
    renamed = first(calls, rf"rename\w*\(.*{dri}\.json.*= 0", "record", new)
    directory = first(calls, r"fsync\(\d+<[^>]*/installations>\)\s*= 0", "directory's commit", renamed)
    answered = first(calls, answer, "answer")
    assert answered > directory, f"answered (call {answered}) before the record (call {directory}):\n" + \
        "\n".join(calls[committed:])
    links = [n for n, call in enumerate(calls) if "symlinkat(" in call and dri in call]
    assert len(links) == 2 and max(links) < renamed, "links stand after the record that needs them"
    first(calls, r"fsync\(\d+<[^>]*/journal>\)\s*= 0", "commit of the journal's directory")


def cgi_order():
    """CGI: journal line, commit, record, its commit, its directory's; then the answer."""
    need_tracing()
    site, front = Site(), TracedCgi()
    front.start(site)
    request, company = delivery(site)
    assert front.send(request).status == 200
    calls = front.calls()
    answer = r'write(v)?\(1<.*"Status: 200'
    check_order(calls, company.dri, answer)
    request, _ = delivery(site, company.order())
    assert front.send(request).status == 200
    calls = front.calls()
    written = first(calls, r"write(v)?\(\d+<[^>]*\.jsonl>", "journal line")
    committed = first(calls, r"f(data)?sync\(\d+<[^>]*\.jsonl>\)\s*= 0", "commit", written)
    first(calls, answer, "answer", committed)


def server_order():
    """The same in a serving process with threads."""
    need_tracing()
    site, front = Site(), TracedServer()
    front.start(site)
    request, company = delivery(site)
    assert front.send(request).status == 200
    front.stop()
    calls = whole_calls(front.trace)
    check_order(calls, company.dri, r'(write|sendto|sendmsg)\(\d+<.*Status: 200.*accepted')


def no_answer_before_commit(front_class):
    """With a disk on which a commit of the journal takes long, no answer comes before that."""
    need_tracing()
    site = Site()
    front = front_class(["-e", f"inject=fdatasync:delay_enter={int(SLOW * 1e6)}"])
    front.start(site)
    request, company = delivery(site)
    for body in (request.body, company.order(), request.body, company.uninstall()):
        one, _ = delivery(site, body)
        begun = time.monotonic()
        assert front.send(one).status == 200
        took = time.monotonic() - begun
        assert took > SLOW * 0.9, f"answered after {took:.3f} s, a commit takes {SLOW} s"
    front.stop()


def failing_commit():
    """A commit that fails: 503; that journal file is never written again, but a new one."""
    need_tracing()
    site = Site()
    # strace counts the calls of each thread for itself.
    front = TracedServer(["-e", "inject=fdatasync:error=EIO:when=2"])
    front.arguments = ["--threads", "1"]
    front.start(site)
    request, company = delivery(site)
    assert front.send(request).status == 200
    order, _ = delivery(site, company.order())
    assert front.send(order).status == 503
    files = site.journal_files()
    sizes = [path.stat().st_size for path in files]
    assert front.send(order).status == 200, "the next attempt does not work"
    assert [path.stat().st_size for path in files] == sizes, "written to the file that failed"
    assert len(site.journal_files()) == len(files) + 1, site.journal_files()
    front.stop()
    site.journal()


def answers_of(sock):
    """The statuses of all answers that come on a connection until it ends: a second one would be seen."""
    data = b""
    with sock:
        while more := sock.recv(65536):
            data += more
    return [int(status) for status in re.findall(rb"Status: (\d+) ", data)]


def in_one_batch(site, front, company, number):
    """Connections on which this many orders were sent, and their bodies. Commits are slow: the orders that
    come during the first one share the next."""
    bodies = [company.order() for _ in range(number)]
    socks = []
    for body in bodies:
        socks.append(fcgi.connect(front.address))
        socks[-1].sendall(fcgi.whole(delivery(site, body)[0]))
    # Connections are accepted in their order: once this one is answered, all others are in.
    assert front.send(Request("GET")).status == 200
    return socks, bodies


def batch(end):
    """Each delivery of a full batch is answered once, and those that were taken are in the journal."""
    need_tracing()
    site = Site()
    front = TracedServer(["-e", "inject=fdatasync:delay_enter=300000" +
                          (":error=EIO:when=2" if end is None else "")])
    front.start(site)
    request, company = delivery(site)
    assert front.send(request).status == 200
    pid, = process.children(front.proc.pid)
    taken, refused = 0, 0
    for _ in range(3):
        socks, bodies = in_one_batch(site, front, company, 40)
        if end:
            process.signal_quietly(pid, end)
        answers = [answers_of(sock) for sock in socks]
        assert all(one in ([200], [503]) for one in answers), answers
        kept = [entry["body"] for entry in site.journal()]
        for answer, body in zip(answers, bodies):
            if answer == [200]:
                assert kept.count(body) == 1, "answered 200 and not in the journal once"
        taken += answers.count([200])
        refused += answers.count([503])
        if end == signal.SIGTERM:
            break
    assert taken and bool(refused) == (end is None), (taken, refused)
    commits = sum("fdatasync(" in call for call in whole_calls(front.trace))
    assert commits < taken + refused, "no two deliveries shared a commit"
    if end == signal.SIGTERM:
        front.proc.wait(process.DEADLINE)
    else:
        front.stop()


def failing_everywhere():
    """Whichever commit fails, the answer is 503 and the same delivery works afterwards"""
    need_tracing()
    site, front = Site(), TracedCgi()
    front.start(site)
    for _ in range(2):
        request, _ = delivery(site)
        assert front.send(request).status == 200
    for name in ("fsync", "fdatasync"):
        commits = sum(bool(re.search(rf"\b{name}\(", call)) for call in front.calls())
        assert commits >= 1, f"no {name} for an install"
        for number in range(1, commits + 1):
            fail_one(site, front, f"inject={name}:error=EIO:when={number}")


def fail_one(site, front, injection):
    """An install with one call failing, and again without."""
    request, company = delivery(site)
    front.options = ["-e", injection]
    response = front.send(request)
    assert response.status == 503, f"{injection}: {response}"
    record = site.record(company.dri)
    assert record is None or record["status"] == "active", record
    front.options = []
    assert front.send(request).status == 200, f"after {injection}"
    assert site.record(company.dri)["status"] == "active"


def full_disk():
    """A disk that is full in the middle of a line: 503, the line is cut off again, and it heals"""
    site, front = Site(), LimitedCgi()
    front.start(site)
    request, company = delivery(site)
    assert front.send(request).status == 200
    whole = site.journal_files()[0].read_bytes()
    order, _ = delivery(site, fluid.padded(company.order(), 20000))
    for room in (0, 1, 500, 15000):
        front.limit = len(whole) + room
        response = front.send(order)
        assert response.status == 503, (room, response)
        assert response.headers["retry-after"] == "30", response
        assert site.journal_files()[0].read_bytes() == whole, f"with room for {room} bytes"
    front.limit = None
    assert front.send(order).status == 200
    assert [entry["body"] for entry in site.journal()] == [request.body, order.body]


class LimitedCgi(Cgi):
    """CGI whose files cannot grow beyond a limit, as on a full disk."""
    limit = None

    def spawn(self, request, arguments=()):
        def prepare():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            if self.limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, resource.RLIM_INFINITY))

        return subprocess.Popen([self.site.receiver], cwd="/", stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
                                env=self.environment(request), preexec_fn=prepare,
                                **process.identity())


def killed_anywhere():
    """Killed at any moment, a CGI leaves whole files, and the same delivery works afterwards"""
    site, front = Site(), Cgi()
    front.start(site)
    for step in range(40):
        request, company = delivery(site)
        proc = front.spawn(request)
        proc.stdin.write(request.body)
        proc.stdin.close()
        time.sleep(step * 0.0002)
        process.signal_quietly(proc.pid, signal.SIGKILL)
        out = proc.stdout.read()
        proc.wait()
        proc.stdout.close()
        record = site.record(company.dri)
        assert record is None or record["status"] == "active", record
        if out:
            assert fcgi.parse_cgi(out).status == 200 and record, (out, record)
        assert front.send(request).status == 200, step
        assert site.record(company.dri)["status"] == "active"
    left = [path for path in (site.state / "installations").iterdir()
            if path.suffix != ".json" and path.name != ".lock"]
    assert len(left) <= 40 and all(path.name.startswith(".") for path in left), left
    assert os.listdir(site.state / "journal"), "no journal"


if not RECEIVER.is_file():
    tap.bail(f"there is no {RECEIVER}: build first")
TRACING = tracing_works()
tap.run([
    tap.Test("CGI: first on disk, then answered", cgi_order),
    tap.Test("server: first on disk, then answered", server_order),
    tap.Test("CGI: a slow disk holds the answer back", lambda: no_answer_before_commit(TracedCgi)),
    tap.Test("server: a slow disk holds the answer back",
             lambda: no_answer_before_commit(TracedServer)),
    tap.Test("a commit that fails", failing_commit),
    tap.Test("a batch, and a commit that fails", lambda: batch(None)),
    tap.Test("a batch, and SIGHUP", lambda: batch(signal.SIGHUP)),
    tap.Test("a batch, and SIGTERM", lambda: batch(signal.SIGTERM)),
    tap.Test("every commit of an install fails once", failing_everywhere),
    tap.Test("a full disk", full_disk),
    tap.Test("killed at any moment", killed_anywhere),
])
