"""A small FastCGI client: records as a web server sends them, whole or in pieces."""

import socket
import struct

from .web import TIMEOUT, NoAnswer, Response, reset

BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR = 1, 2, 3, 4, 5, 6, 7
RESPONDER = 1
RECORD_MAX = 65535


def record(kind, data=b"", request_id=1):
    """One record; data of at most 65535 bytes."""
    return struct.pack(">BBHHBx", 1, kind, request_id, len(data), 0) + data


def _length(n):
    return bytes([n]) if n < 128 else struct.pack(">I", n | 0x80000000)


def parameters(pairs):
    """The records of the parameters, with the empty one that ends them."""
    data = b""
    for name, value in pairs:
        name, value = name.encode(), value.encode("utf-8", "surrogateescape")
        data += _length(len(name)) + _length(len(value)) + name + value
    records = [record(PARAMS, data[at:at + RECORD_MAX]) for at in range(0, len(data), RECORD_MAX)]
    return b"".join(records) + record(PARAMS)


def params_of(request):
    """A request's parameters, in the way nginx makes them: a header twice is a parameter twice."""
    pairs = [("GATEWAY_INTERFACE", "CGI/1.1"), ("SERVER_PROTOCOL", "HTTP/1.1"),
             ("REQUEST_METHOD", request.method), ("QUERY_STRING", request.query.lstrip("?")),
             ("SCRIPT_NAME", "/webhook"), ("REMOTE_ADDR", "127.0.0.1")]
    length = request.content_length()
    pairs.append(("CONTENT_LENGTH", "" if length is None else str(length)))
    for name, value in request.headers:
        upper = name.upper().replace("-", "_")
        pairs.append((upper if upper == "CONTENT_TYPE" else "HTTP_" + upper, value))
    return pairs


def connect(address):
    """address: a path, or (host, port)."""
    kind = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    sock = socket.socket(kind, socket.SOCK_STREAM)
    sock.settimeout(TIMEOUT)
    try:
        sock.connect(address)
    except OSError as e:
        sock.close()
        raise NoAnswer(repr(e)) from e
    if kind == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def begin(sock, pairs):
    """Open a request: everything before the body."""
    sock.sendall(record(BEGIN_REQUEST, struct.pack(">HB5x", RESPONDER, 0)) + parameters(pairs))


def _send(sock, request):
    head = record(BEGIN_REQUEST, struct.pack(">HB5x", RESPONDER, 0)) + \
        parameters(params_of(request))
    body = request.body if request.abort < 0 else request.body[:request.abort]
    size = request.pieces or RECORD_MAX
    records = [record(STDIN, body[at:at + size]) for at in range(0, len(body), size)]
    if request.abort < 0:
        records.append(record(STDIN))
    if not request.pieces:
        sock.sendall(head + b"".join(records))
        return
    sock.sendall(head)
    for one in records:
        sock.sendall(one)


def whole(request):
    """The bytes of a request whose body is no larger than one record."""
    return record(BEGIN_REQUEST, struct.pack(">HB5x", RESPONDER, 0)) + \
        parameters(params_of(request)) + record(STDIN, request.body) + record(STDIN)


def _exactly(sock, size):
    data = b""
    while len(data) < size:
        try:
            more = sock.recv(size - len(data))
        except OSError as e:
            raise NoAnswer(repr(e)) from e
        if not more:
            raise NoAnswer(f"the connection ended {size - len(data)} bytes early")
        data += more
    return data


def read_answer(sock):
    """Read to the end of the request: what was written to stdout, and to stderr."""
    streams = {STDOUT: b"", STDERR: b""}
    while True:
        _, kind, _, length, padding = struct.unpack(">BBHHBx", _exactly(sock, 8))
        data = _exactly(sock, length + padding)[:length]
        if kind == END_REQUEST:
            return streams[STDOUT], streams[STDERR]
        if kind not in streams:
            raise NoAnswer(f"a record of kind {kind}")
        streams[kind] += data


def parse_cgi(text):
    """An answer in CGI form: header lines, an empty line, the body."""
    head, found, body = text.partition(b"\r\n\r\n")
    if not found:
        raise NoAnswer(f"no CGI answer: {text[:200]!r}")
    headers = {}
    for line in head.decode("ascii").split("\r\n"):
        name, colon, value = line.partition(": ")
        assert colon and name.lower() not in headers, f"header line {line!r}"
        headers[name.lower()] = value
    status = int(headers.pop("status", "200 OK").split()[0])
    return Response(status, headers, body)


def exchange(address, request):
    """Send one request and read the answer. Raises NoAnswer."""
    sock = connect(address)
    try:
        try:
            _send(sock, request)
        except OSError as e:
            # An answer that came before the whole body was read is still an answer.
            if request.abort >= 0:
                raise NoAnswer(repr(e)) from e
        if request.abort >= 0:
            reset(sock)
            raise NoAnswer("aborted as asked for")
        return parse_cgi(read_answer(sock)[0])
    finally:
        sock.close()


def send_and_leave(address, request):
    """Send one request and close at once."""
    sock = connect(address)
    try:
        _send(sock, request)
    finally:
        sock.close()
