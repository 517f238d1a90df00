"""Requests and answers, and a client that can misbehave as exactly as it is told to."""

import http.client
import socket
import ssl
import time
from dataclasses import dataclass, field

TIMEOUT = 300       # seconds after which an answer is taken to hang; no measure of speed


class NoAnswer(Exception):
    """The connection failed, or ended without a whole answer."""


@dataclass
class Request:
    """body: bytes. length: None for the body's own; "chunked": none is said; or a number that is
    said whatever is sent. pieces: how many bytes a write has. abort: the connection ends after so
    many bytes of the body. half_close: no more is sent after the body, and the answer is read."""
    method: str = "POST"
    headers: list = field(default_factory=list)
    body: bytes = b""
    length: object = None
    pieces: int = 0
    abort: int = -1
    half_close: bool = False
    query: str = ""

    def content_length(self):
        """The number said, or None."""
        if self.length == "chunked" or (self.length is None and self.method in ("GET", "HEAD")):
            return None
        return len(self.body) if self.length is None else self.length

    def writes(self, data=None):
        """The body, cut as asked for."""
        data = self.body if data is None else data
        size = self.pieces or len(data) or 1
        return [data[at:at + size] for at in range(0, len(data), size)]


@dataclass
class Response:
    """headers: names in lower case; a header that was there twice is joined with ', '."""
    status: int
    headers: dict
    body: bytes

    def describe(self):
        return f"{self.status} {self.headers} {self.body[:500]!r}"


def _head(request, path):
    lines = [f"{request.method} {path}{request.query} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    if request.length == "chunked":
        lines.append("Transfer-Encoding: chunked")
    elif request.content_length() is not None:
        lines.append(f"Content-Length: {request.content_length()}")
    lines += ["Connection: close", "", ""]
    return "\r\n".join(lines).encode("utf-8")


def _send(sock, request, path):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(_head(request, path))
    body = request.body if request.abort < 0 else request.body[:request.abort]
    for piece in request.writes(body):
        if request.length == "chunked":
            piece = b"%x\r\n%s\r\n" % (len(piece), piece)
        sock.sendall(piece)
    if request.length == "chunked" and request.abort < 0:
        sock.sendall(b"0\r\n\r\n")
    if request.half_close:
        sock.shutdown(socket.SHUT_WR)


def read_response(sock, method):
    """Read an HTTP answer to its end."""
    response = http.client.HTTPResponse(sock, method=method)
    try:
        response.begin()
        body = response.read()
    except (OSError, http.client.HTTPException, ValueError) as e:
        raise NoAnswer(repr(e)) from e
    finally:
        response.close()
    headers = {}
    for name, value in response.getheaders():
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Response(response.status, headers, body)


def reset(sock):
    """Close so that the other side sees the connection break, not end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


def connect(port, tls=None):
    """A connection to a port on loopback. tls: an ssl.SSLContext."""
    try:
        sock = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        return tls.wrap_socket(sock, server_hostname="localhost") if tls else sock
    except (OSError, ssl.SSLError) as e:
        raise NoAnswer(repr(e)) from e


def exchange(port, request, path="/webhook", tls=None):
    """Send one request over HTTP and read the answer. Raises NoAnswer."""
    sock = connect(port, tls)
    try:
        try:
            _send(sock, request, path)
        except OSError as e:
            # An answer that came before the whole body was read is still an answer.
            if request.abort >= 0:
                raise NoAnswer(repr(e)) from e
        if request.abort >= 0:
            reset(sock)
            raise NoAnswer("aborted as asked for")
        return read_response(sock, request.method)
    finally:
        sock.close()


def send_and_leave(port, request, path="/webhook", tls=None):
    """Send one request and close at once."""
    sock = connect(port, tls)
    try:
        _send(sock, request, path)
    finally:
        sock.close()


def free_port():
    """A port on loopback that nobody listens on, outside the range that connections take."""
    start = 20000 + time.monotonic_ns() // 1000 % 12000
    for n in range(12000):
        port = 20000 + (start - 20000 + n * 7) % 12000
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port on loopback")
