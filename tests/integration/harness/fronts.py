"""The ways a request reaches the receiver without a web server: CGI and FastCGI.

A front has start(site), stop(), send(request) -> Response (or raises NoAnswer), and `direct`:
whether what a client does reaches the receiver as it is. Web servers are in webservers.py.
"""

import os
import socket
import subprocess

from . import fcgi, process
from .web import TIMEOUT, NoAnswer, Request, free_port


class Front:
    """What all fronts have in common."""
    direct = True
    per_request = False         # the configuration is read for each request
    name = ""

    def __init__(self):
        self.site = None
        self.proc = None

    def start(self, site):
        self.site = site

    def send(self, request):
        raise NotImplementedError

    def send_and_leave(self, request):
        """Send a whole request and go away without waiting for the answer."""
        raise NotImplementedError

    def stop(self):
        """End it; the exit status of the process started, or None."""
        if self.proc is None:
            return None
        proc, self.proc = self.proc, None
        return process.stop(proc)

    def _answers(self):
        if self.proc.poll() is not None:
            raise AssertionError(f"{self.name}: ended with {self.proc.returncode} at its start:\n" +
                                 self.site.log_tail())
        try:
            self.send(Request("GET"))
            return True
        except NoAnswer:
            return False

    def wait_ready(self):
        process.wait_until(self._answers, f"{self.name} does not answer")


class Cgi(Front):
    """A process for each request: environment and standard input."""
    name = "CGI"
    per_request = True

    def environment(self, request):
        env = {}
        for name, value in fcgi.params_of(request):
            env[name] = f"{env[name]}, {value}" if name in env else value
        if request.content_length() is None:
            del env["CONTENT_LENGTH"]
        return process.environment(FLUIDHOOK_CONF=str(self.site.conf), **env)

    def spawn(self, request, arguments=()):
        with self.site.log("receiver.log") as log:
            return subprocess.Popen([self.site.receiver, *arguments], cwd="/", stderr=log,
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                                    env=self.environment(request), **process.identity())

    def send(self, request, arguments=()):
        proc = self.spawn(request, arguments)
        body = request.body if request.abort < 0 else request.body[:request.abort]
        try:
            for piece in request.writes(body):
                proc.stdin.write(piece)
        except BrokenPipeError:
            pass            # it answered without reading the body
        try:
            if request.abort >= 0:
                # A client that went away: the web server closes both ends.
                proc.stdout.close()
                proc.stdin.close()
                proc.wait(TIMEOUT)
                raise NoAnswer("aborted as asked for")
            if request.half_close or request.content_length() is None:
                proc.stdin.close()
            # Otherwise its input stays open, as Apache's does: the length has to be enough.
            out = proc.stdout.read()
            status = proc.wait(TIMEOUT)
        finally:
            for stream in (proc.stdin, proc.stdout):
                stream.close()
            if proc.poll() is None:
                proc.kill()
                proc.wait()
        assert status == 0, f"exit status {status} of a CGI; {out!r}\n{self.site.log_tail()}"
        return fcgi.parse_cgi(out)


class FastCgi(Front):
    """One serving process, reached over a socket."""

    def __init__(self):
        super().__init__()
        self.address = None
        self.arguments = []

    def environment(self):
        return process.environment()

    def command(self, site):
        return [site.receiver, "-c", site.conf, *self.arguments]

    def send(self, request):
        return fcgi.exchange(self.address, request)

    def send_and_leave(self, request):
        fcgi.send_and_leave(self.address, request)

    def serving(self):
        """The pid of the process that serves."""
        return self.proc.pid


class SpawnFcgi(FastCgi):
    """spawn-fcgi: the socket is the receiver's standard input."""
    name = "spawn-fcgi"

    def start(self, site):
        super().start(site)
        self.address = str(site.dir / "spawn.sock")
        with site.log("receiver.log") as log:
            self.proc = process.start(
                ["spawn-fcgi", "-n", "-s", self.address, "-b", "1024", "--", *self.command(site)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment())
        self.wait_ready()


class ListenFds(FastCgi):
    """A socket on descriptor 3, as systemd passes it."""
    name = "LISTEN_FDS"

    def start(self, site):
        super().start(site)
        self.address = str(site.dir / "passed.sock")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(self.address)
            sock.listen(1024)
            process.give(self.address)
            env = self.environment()
            argv = [str(word) for word in self.command(site)]

            def become():
                if sock.fileno() != 3:
                    os.dup2(sock.fileno(), 3)
                os.set_inheritable(3, True)
                env.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
                os.execve(argv[0], argv, env)

            with site.log("receiver.log") as log:
                self.proc = process.start(argv, prepare=become, stdin=subprocess.DEVNULL,
                                          stdout=log, stderr=log, close_fds=False)
        self.wait_ready()


class Listen(FastCgi):
    """--listen on a unix socket: the receiver makes it and supervises itself."""
    name = "--listen unix"

    def __init__(self, socket_name="fluidhook.sock"):
        super().__init__()
        self.socket_name = socket_name
        self.prepare = None

    def listen_on(self, site):
        self.address = str(site.dir / self.socket_name)
        return "unix:" + self.address

    def start(self, site):
        super().start(site)
        where = self.listen_on(site)
        with site.log("receiver.log") as log:
            self.proc = process.start([*self.command(site), "--listen", where], prepare=self.prepare,
                                      stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                      env=self.environment())
        self.wait_ready()

    def serving(self):
        """The pid of the supervisor's child that serves now."""
        return process.wait_until(lambda: process.children(self.proc.pid), "no child serves")[-1]


class ListenTcp(Listen):
    """--listen on a TCP port of loopback."""
    name = "--listen tcp"

    def listen_on(self, site):
        self.address = ("127.0.0.1", free_port())
        return f"127.0.0.1:{self.address[1]}"
