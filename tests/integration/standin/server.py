"""The HTTP side: listening, routing, recording, failing."""

import http.server
import json
import socket
import ssl
import struct
import threading
import time
import urllib.parse

from .company import Company, Refusal
from .faults import Fault

FAMILIES = ("/api/webhooks", "/api/company/webhooks")
EXCHANGE = "/api/droplet_installations/exchange"
INSTALLATIONS = "/api/droplet_installations/"
OWNER = "/api/company/v1/companies/me"
CONTROL = "/_standin/"
HUGE = 10 * 1000 * 1000


class Request:
    """A request as it arrived. headers: (name, value) pairs as sent; body: bytes."""

    def __init__(self, method, target, headers, body, peer=None):
        self.method = method
        self.target = target
        self.path = urllib.parse.urlsplit(target).path
        self.query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(target).query))
        self.headers = headers
        self.body = body
        self.peer = peer  # the port at the other end of the connection
        self.at = time.time()

    def header(self, name):
        """The value of a header, or None. Fails where it is there twice."""
        found = [v for n, v in self.headers if n.lower() == name.lower()]
        assert len(found) < 2, f"{name} twice"
        return found[0] if found else None

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def as_dict(self):
        return {"method": self.method, "target": self.target, "headers": self.headers,
                "body": self.body.decode("utf-8", "replace"), "peer": self.peer, "at": self.at}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *args):
        pass

    def setup(self):
        super().setup()
        self.server.standin.opened(self.connection)

    def finish(self):
        try:
            super().finish()
        except OSError:
            pass
        self.server.standin.closed(self.connection)

    def handle(self):
        # A client that goes away, or does not trust us, ends its connection and nothing else.
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(self.command, self.path, list(self.headers.items()),
                          self.rfile.read(length), self.client_address[1])
        standin = self.server.standin
        if request.path.startswith(CONTROL):
            self.answer(*standin.control(request))
            return
        fault = standin.record(request)
        if fault is None:
            self.answer(*standin.handle(request))
        else:
            self.fail(fault, request)

    def do_CONNECT(self):
        """As a proxy we are only good for being asked."""
        self.server.standin.record(Request(self.command, self.path, list(self.headers.items()),
                                           b""))
        self.answer(502, None)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def answer(self, status, body, headers=(), cut=False):
        """body: None, text, or what becomes JSON. cut: send half of it and close."""
        data = b"" if body is None else \
            (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/html" if isinstance(body, str) else
                         "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[:len(data) // 2] if cut else data)
        self.wfile.flush()
        if cut:
            self.close_connection = True

    def fail(self, fault, request):
        standin = self.server.standin
        right = standin.handle(request) if fault.done else (200, {})
        if fault.kind == "answer":
            self.answer(fault.status, fault.body, fault.headers)
        elif fault.kind == "slow":
            standin.stopping.wait(fault.seconds)
            self.answer(*right)
        elif fault.kind == "reset":
            self.reset()
        elif fault.kind == "close":
            self.close_connection = True
        elif fault.kind == "half":
            self.answer(*right, cut=True)
        elif fault.kind == "huge":
            self.answer(right[0], {"webhooks": [], "filler": "x" * HUGE})
        elif fault.kind == "redirect":
            self.answer(302, None, {"Location": fault.location})
        elif fault.kind == "invalid":
            self.answer(right[0], '{"webhooks": [')

    def reset(self):
        """Close so that the peer gets a reset instead of an end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.wfile.close()
        self.connection.close()
        raise ConnectionResetError("as asked for")


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, address, standin, context):
        self.standin = standin
        self.context = context
        super().__init__(address, _Handler)

    def get_request(self):
        sock, peer = super().get_request()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context:
            # The handshake is the connection's thread's, not the one that accepts.
            sock = self.context.wrap_socket(sock, server_side=True,
                                            do_handshake_on_connect=False)
        return sock, peer

    def handle_error(self, request, client_address):
        self.standin.broken.append(client_address)
        super().handle_error(request, client_address)


class StandIn:
    """A stand-in that runs in threads of this process.

    certificate: path of a certificate with its key; then it speaks TLS. families: which addresses of the
    webhooks API exist; others answer 404. Usable with `with`.
    """

    def __init__(self, company=None, port=0, certificate=None, families=FAMILIES):
        self.company = company or Company()
        self.families = set(families)
        self.requests = []
        self.faults = []
        self.broken = []
        self.stopping = threading.Event()
        self._lock = threading.RLock()
        self._open = set()
        context = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
        self._server = _Server(("127.0.0.1", port), self, context)
        self.port = self._server.server_address[1]
        self.scheme = "https" if certificate else "http"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,),
                                        daemon=True)

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        """Stop listening and end every connection."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def opened(self, connection):
        with self._lock:
            self._open.add(connection)

    def closed(self, connection):
        with self._lock:
            self._open.discard(connection)

    def connections(self):
        """How many are open."""
        with self._lock:
            return len(self._open)

    def fail(self, *args, **fields):
        """Add a fault; see Fault for what can be said."""
        fault = Fault(*args, **fields)
        with self._lock:
            self.faults.append(fault)
        return fault

    def forget(self):
        """Drop the recorded requests and what is left of the faults."""
        with self._lock:
            self.requests.clear()
            self.faults.clear()

    def calls(self):
        """The recorded requests as "METHOD target"."""
        with self._lock:
            return [f"{r.method} {r.target}" for r in self.requests]

    def record(self, request):
        """Remember a request. Returns the fault that it meets, or None."""
        with self._lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.takes(request.method, request.path):
                    return fault
        return None

    def handle(self, request):
        """The right answer: (status, body)."""
        with self._lock:
            try:
                return self._route(request)
            except Refusal as refusal:
                return refusal.status, refusal.body

    def _route(self, request):
        if request.path == EXCHANGE and request.method == "POST":
            if request.header("Authorization") is not None:
                raise Refusal(400, {"error": "no Authorization is expected here"})
            return self.company.exchange(request.json())
        for family in FAMILIES:
            rest = request.path[len(family):]
            if request.path.startswith(family) and rest[:1] in ("", "/"):
                if family not in self.families:
                    raise Refusal(404, {"error_message": "Not found", "errors": None})
                who = self.company.bearer(request.header("Authorization"))
                return self._webhooks(request, who, rest.strip("/").split("/"))
        who = self.company.bearer(request.header("Authorization"))
        if request.path.startswith(INSTALLATIONS) and request.method == "GET":
            return self.company.show_installation(who, request.path[len(INSTALLATIONS):])
        if request.path == OWNER and request.method == "GET":
            return self.company.show_company(who)
        if request.path.startswith("/api/"):
            return 200, {"method": request.method, "path": request.path, "query": request.query,
                         "body": request.json(), "as": who.dri if who else "company"}
        raise Refusal(404, "<html>not found</html>")

    def _webhooks(self, request, who, words):
        if who is not None and "settings" not in who.scopes:
            raise Refusal(403, {"error": "Token does not have the required scope: settings"})
        company, method = self.company, request.method
        if words == [""]:
            if method == "GET":
                return company.list_webhooks(request.query)
            if method == "POST":
                return company.create_webhook(who, request.json())
        elif words[0] == "resources" and method == "GET":
            return company.resources() if len(words) == 1 else company.resource(words[1])
        elif len(words) == 1:
            if method == "GET":
                return company.show_webhook(words[0])
            if method == "PUT":
                return company.update_webhook(words[0], request.json())
            if method == "DELETE":
                return company.delete_webhook(words[0])
        raise Refusal(405, {"message": "Method not allowed"})

    # For tests that are another process than the stand-in.

    def control(self, request):
        what, body = request.path[len(CONTROL):], request.json()
        with self._lock:
            if what == "requests" and request.method == "GET":
                return 200, {"requests": [r.as_dict() for r in self.requests]}
            if what == "forget" and request.method == "POST":
                self.forget()
            elif what == "faults" and request.method == "POST":
                self.fail(**body)
            elif what == "families" and request.method == "POST":
                self.families = set(body["families"])
            elif what == "installations" and request.method == "POST":
                self.company.install(**body)
            elif what == "offers" and request.method == "POST":
                self.company.offer(**body)
            elif what == "webhooks" and request.method == "GET":
                return 200, {"webhooks": self.company.webhooks}
            elif what == "webhooks" and request.method == "POST":
                for number in range(body["count"]):
                    self.company.create_webhook(None, {"webhook": {
                        "resource": "order", "event": "created",
                        "url": f"https://example.com/{number}"}})
            elif what == "webhooks" and request.method == "DELETE":
                self.company.webhooks.clear()
            else:
                return 404, {"error": "no such control"}
        return 200, {}
