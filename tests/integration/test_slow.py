#!/usr/bin/env python3
"""Connections that send slowly, or nothing, never delay a good request, and do not stay for ever.

A good request takes milliseconds here; were it to wait for a slow one, it would wait for half a minute.
The bound of the tests lies between, far from both, as the machine may be busy. What it took is noted.
"""

import os
import selectors
import signal
import socket
import struct
import threading
import time

from harness import fcgi, fluid, process, tap, web
from harness.fluid import Company
from harness.fronts import Cgi, Listen, ListenTcp
from harness.site import RECEIVER, Site
from harness.web import Request
from harness.webservers import ApacheCgid, ApacheFcgid, ApacheProxy, Nginx, find

BOUND = 10.0
SIZES = (0, 16000, 65536)
DEADLINE = 30


class Slow:
    """Connections on which one byte is sent now and then, by a thread, until they are closed."""

    def __init__(self, socks, data):
        self.socks = socks
        self.left = {sock: data for sock in socks}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._drip)
        self.thread.start()

    def _drip(self):
        while not self.over.wait(0.2):
            for sock, data in self.left.items():
                try:
                    sock.send(data[:1])
                    self.left[sock] = data[1:]
                except OSError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        for sock in self.socks:
            sock.close()


def fcgi_head(request, flags=0):
    """Everything of a FastCGI request before its body."""
    return fcgi.record(fcgi.BEGIN_REQUEST, struct.pack(">HB5x", fcgi.RESPONDER, flags)) + \
        fcgi.parameters(fcgi.params_of(request))


def good_requests(front, site):
    """Deliveries of all sizes and a look at the health, one after the other. The longest time."""
    longest = 0.0
    for size in SIZES * 2:
        company = Company(site.droplets[0])
        body = company.install()
        if size:
            body = fluid.padded(body, size)
        request = Request(headers=fluid.signed(site.droplets[0].secret, body), body=body)
        for one in (request, Request("GET")):
            begun = time.monotonic()
            assert front.send(one).status == 200
            longest = max(longest, time.monotonic() - begun)
        assert site.record(company.dri)["status"] == "active"
    return longest


def at_the_socket(front, number, threads):
    """So many slow and so many silent connections at the raw socket."""
    site = Site()
    front.arguments = ["--threads", str(threads)]
    front.start(site)
    body = fluid.padded(Company(site.droplets[0]).install(), 60000)
    request = Request(headers=fluid.signed(site.droplets[0].secret, body), body=body)
    head = fcgi_head(request)
    silent = [fcgi.connect(front.address) for _ in range(number)]
    slow = [fcgi.connect(front.address) for _ in range(number)]
    # In every place where a request can stop: in a header, in the parameters, in the body.
    for at, sock in enumerate(slow):
        sock.sendall((head[:5], head[:100], head, head + fcgi.record(fcgi.STDIN, body[:20000]))[at % 4])
    with Slow(slow, fcgi.record(fcgi.STDIN, body)):
        longest = good_requests(front, site)
    for sock in silent:
        sock.close()
    tap.note(f"{front.name}, {threads} threads: {longest:.3f} s at most")
    assert longest < BOUND, f"a good request took {longest:.1f} s"
    assert front.stop() == 0


def unix_socket():
    for threads in (1, 32):
        at_the_socket(Listen(), 200, threads)


def tcp_socket():
    at_the_socket(ListenTcp(), 200, 8)


def behind(make, number=100):
    """So many slow and so many silent connections through a web server."""
    if not find("nginx" if make is Nginx else "apache2", "httpd"):
        raise tap.Skip("the web server is not installed")
    front, site = make(), Site()
    front.start(site)
    head = (b"POST " + front.path.encode() + b" HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n{")
    silent = [web.connect(front.port) for _ in range(number)]
    slow = [web.connect(front.port) for _ in range(number)]
    for sock in slow:
        sock.sendall(head)
    with Slow(slow, b" " * 60000):
        longest = good_requests(front, site)
    for sock in silent:
        sock.close()
    tap.note(f"{front.name}: {longest:.3f} s at most")
    assert longest < BOUND, f"a good request took {longest:.1f} s"
    front.stop()


def slow_but_whole():
    """A request in small pieces with pauses is taken, of any size up to max_body; 413 above."""
    front, site = Listen(), Site()
    front.arguments = ["--threads", "2"]
    front.start(site)
    for size, status in ((0, 200), (100000, 200), (1024 * 1024, 200), (1024 * 1024 + 1, 413)):
        body = Company(site.droplets[0]).install()
        if size:
            body = fluid.padded(body, size)
        request = Request(headers=fluid.signed(site.droplets[0].secret, body), body=body)
        sock = fcgi.connect(front.address)
        data = fcgi_head(request) + b"".join(
            fcgi.record(fcgi.STDIN, body[at:at + 5000]) for at in range(0, len(body), 5000)) + \
            fcgi.record(fcgi.STDIN)
        cuts = [0, 3, 8, 12, 100, len(data) // 2, len(data) - 8, len(data) - 1, len(data)]
        for begin, end in zip(cuts, cuts[1:]):
            sock.sendall(data[begin:end])
            time.sleep(0.01)        # so that the pieces arrive one by one: not waited for
        answer = fcgi.parse_cgi(fcgi.read_answer(sock)[0])
        assert answer.status == status, (size, answer)
        sock.close()
    assert len(site.journal()) == 3
    front.stop()


def kept():
    """Kept connections need no thread: 50 of them at one thread, each used again and again."""
    front, site = Listen(), Site()
    front.arguments = ["--threads", "1"]
    front.start(site)
    socks = [fcgi.connect(front.address) for _ in range(50)]
    count = 0
    for _ in range(3):
        for number, sock in enumerate(socks):
            body = Company(site.droplets[0]).install()
            request = Request(headers=fluid.signed(site.droplets[0].secret, body), body=body)
            data = fcgi_head(request, flags=1) + fcgi.record(fcgi.STDIN, body) + \
                fcgi.record(fcgi.STDIN)
            cut = number * 7 % len(data)
            sock.sendall(data[:cut])
            sock.sendall(data[cut:])
            assert fcgi.parse_cgi(fcgi.read_answer(sock)[0]).status == 200
            count += 1
    # Two requests in one write: the second one is answered as well.
    socks[0].sendall(data + data)
    for _ in range(2):
        assert fcgi.parse_cgi(fcgi.read_answer(socks[0])[0]).status == 200
    assert len(site.journal()) == count + 2
    assert front.stop() == 0
    for sock in socks:
        assert sock.recv(1) == b"", "a kept connection is still open after the end"
        sock.close()


def no_answer_lost():
    """An answer that comes before the whole body was sent is not lost when the connection ends."""
    front, site = ListenTcp(), Site()
    front.start(site)
    for _ in range(20):
        body = b" " * (1024 * 1024 + 1)
        request = Request(body=body, length=3 * 1024 * 1024)
        sock = fcgi.connect(front.address)
        sock.sendall(fcgi_head(request))
        for at in range(0, len(body), 60000):
            sock.sendall(fcgi.record(fcgi.STDIN, body[at:at + 60000]))
        for _ in range(20):
            sock.sendall(fcgi.record(fcgi.STDIN, body[:60000]))
        assert fcgi.parse_cgi(fcgi.read_answer(sock)[0]).status == 413
        sock.close()
    front.stop()


def stop_with_silent():
    """Silent connections do not hold up the end; a request that is on its way is answered."""
    front, site = Listen(), Site()
    front.start(site)
    silent = [fcgi.connect(front.address) for _ in range(20)]
    body = Company(site.droplets[0]).install()
    data = fcgi_head(Request(headers=fluid.signed(site.droplets[0].secret, body), body=body)) + \
        fcgi.record(fcgi.STDIN, body) + fcgi.record(fcgi.STDIN)
    sock = fcgi.connect(front.address)
    sock.sendall(data[:200])
    # Another request on a connection made later: the first 200 bytes have been seen as well.
    assert front.send(Request("GET")).status == 200
    pid = front.serving()
    os.kill(front.proc.pid, signal.SIGTERM)
    for one in silent:
        assert one.recv(1) == b""
    sock.sendall(data[200:])
    assert fcgi.parse_cgi(fcgi.read_answer(sock)[0]).status == 200
    assert front.proc.wait(20) == 0
    assert process.is_gone(pid)
    for one in silent + [sock]:
        one.close()
    assert "in flight" not in site.log_text(), site.log_tail()
    front.stop()


def wait_for_end(socks, limit):
    """What each socket receives until it is closed."""
    received = {sock: b"" for sock in socks}
    end = time.monotonic() + limit
    with selectors.DefaultSelector() as waiting:
        for sock in socks:
            sock.setblocking(False)
            waiting.register(sock, selectors.EVENT_READ)
        while waiting.get_map() and time.monotonic() < end:
            for key, _ in waiting.select(end - time.monotonic()):
                data = key.fileobj.recv(65536)
                received[key.fileobj] += data
                if not data:
                    waiting.unregister(key.fileobj)
        assert not waiting.get_map(), f"{len(waiting.get_map())} are still open after {limit} s"
    return received


def deadlines():
    """After 30 s an incomplete request gets 503, a silent connection is closed; also as a CGI"""
    front, site = Listen(), Site()
    front.arguments = ["--threads", "2"]
    front.start(site)
    cgi = Cgi()
    cgi.start(site)
    body = fluid.padded(Company(site.droplets[0]).install(), 50000)
    request = Request(headers=fluid.signed(site.droplets[0].secret, body), body=body)
    head = fcgi_head(request)
    begun = time.monotonic()
    proc = cgi.spawn(request)
    proc.stdin.write(body[:20000])
    silent = [fcgi.connect(front.address) for _ in range(10)]
    late = [fcgi.connect(front.address) for _ in range(10)]
    for number, sock in enumerate(late):
        sock.sendall(head[:100] if number % 2 else head + fcgi.record(fcgi.STDIN, body[:40000]))
    with Slow(late, fcgi.record(fcgi.STDIN, b"x" * 1000)):
        received = wait_for_end(silent + late, DEADLINE + process.DEADLINE)
        assert time.monotonic() - begun > DEADLINE - 1, "closed before its time"
        for sock in silent:
            assert received[sock] == b""
        for sock in late:
            assert b"Status: 503" in received[sock] and b"unavailable" in received[sock]
            assert received[sock][-16:-8] == struct.pack(">BBHHBx", 1, fcgi.END_REQUEST, 1, 8, 0)
    for sock in silent:
        sock.close()
    out = proc.stdout.read()
    assert proc.wait(20) == 0 and fcgi.parse_cgi(out).status == 503, out
    assert time.monotonic() - begun > DEADLINE - 1, "the CGI ended before its time"
    for stream in (proc.stdin, proc.stdout):
        stream.close()
    text = site.log_text()
    assert text.count("status=503") == 11 and text.count("reason=late") == 11, site.log_tail()
    assert "no request began" in text, site.log_tail()
    assert site.journal_size() == 0
    assert front.stop() == 0


if not RECEIVER.is_file():
    tap.bail(f"there is no {RECEIVER}: build first")
tap.run([
    tap.Test("200 slow and 200 silent connections at a unix socket", unix_socket),
    tap.Test("200 slow and 200 silent connections at a TCP socket", tcp_socket),
    tap.Test("100 slow and 100 silent connections through nginx", lambda: behind(Nginx)),
    tap.Test("100 slow and 100 silent connections through mod_proxy_fcgi",
             lambda: behind(ApacheProxy)),
    tap.Test("100 slow and 100 silent connections through mod_fcgid", lambda: behind(ApacheFcgid)),
    tap.Test("100 slow and 100 silent connections through mod_cgid", lambda: behind(ApacheCgid)),
    tap.Test("a slow request is taken once it is whole", slow_but_whole),
    tap.Test("kept connections occupy no thread", kept),
    tap.Test("an early answer is not lost", no_answer_lost),
    tap.Test("SIGTERM with silent connections", stop_with_silent),
    tap.Test("30 seconds for a request", deadlines),
])
