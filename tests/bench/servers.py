"""The programs that script/bench compares, and the nginx in front of them."""

import contextlib
import glob
import http.client
import os
import pwd
import re
import shutil
import socket
import subprocess
import time

import state
from measure import BenchError

FLOOR_THREADS = 32


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """One program. name: in file names and paths; label: in tables."""

    proxied = False  # nginx speaks FastCGI to it, else HTTP
    kept = False     # it can serve connections that nginx keeps
    syncs = "none"   # "group": one for all that wait; "each": one for each delivery

    def __init__(self, bench):
        self.bench = bench
        self.directory = os.path.join(bench.directory, self.name)
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        self.socket = os.path.join(bench.sockets, self.name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)  # of an earlier part
        self.proc = None

    @property
    def pid(self):
        return self.proc.pid

    def log(self):
        return open(os.path.join(self.directory, "log"), "ab")

    def listener(self):
        """A socket for a program that wants one as its standard input."""
        s = socket.socket(socket.AF_UNIX)
        s.bind(self.socket)
        s.listen(1024)
        return s

    def journals(self):
        return [os.path.join(self.directory, "journal")]

    def load_options(self):
        return {}

    def upstream(self):
        return f"unix:{self.socket}"

    def location(self, path, keep):
        """nginx's location for it. keep: nginx keeps its connections."""
        upstream = f"{self.name}_keep" if keep else self.name
        if self.proxied:
            connection = ('proxy_http_version 1.1; proxy_set_header Connection "";' if keep
                          else "proxy_set_header Connection close;")
            return (f"location = {path} {{ proxy_pass http://{upstream}{self.inner_path()};\n"
                    f"client_max_body_size 2m; client_body_buffer_size 1m; {connection} }}\n")
        with open(os.path.join(self.bench.source, "nginx/fluidhook.conf")) as f:
            text = f.read()
        text = re.sub(r"^location = \S+", f"location = {path}", text, flags=re.M)
        text = re.sub(r"^(\s*fastcgi_pass) .*", rf"\1 {upstream};{self.params()}", text, flags=re.M)
        return re.sub(r"^\s*#?\s*fastcgi_keep_conn .*",
                      f"\tfastcgi_keep_conn {'on' if keep else 'off'};", text, flags=re.M)

    def inner_path(self):
        return "/"

    def params(self):
        return ""

    def stop(self):
        if self.proc:
            self.bench.processes.stop(self.proc)
            self.proc = None


class Floor(Server):
    name, label = "floor", "floor (stores nothing)"

    def start(self):
        with self.listener() as listener, self.log() as log:
            self.proc = self.bench.processes.start(
                [self.bench.built("tests/bench/floor"), FLOOR_THREADS], stdin=listener,
                stdout=log, stderr=log)


class Fluidhook(Server):
    name, label, kept, syncs = "fluidhook", "fluidhook", True, "group"

    def __init__(self, bench, installations=1, name=None):
        self.name = name or self.name
        super().__init__(bench)
        self.conf = os.path.join(self.directory, "fluidhook.conf")
        self.state = os.path.join(self.directory, "state")
        self.secrets = os.path.join(self.directory, "droplet.secrets")
        self.hooks = os.path.join(self.directory, "hooks")
        os.mkdir(self.hooks, 0o755)
        with open(os.open(self.secrets, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(f"dws_{os.urandom(24).hex()}\n")
        with open(self.conf, "w") as f:
            f.write("state_dir = state\nlog_level = warn\nmin_free = 1M\n"
                    f"[droplet]\nuuid = {state.DROPLET}\nsecrets = droplet.secrets\n"
                    "[worker]\nhooks = hooks\nconcurrency = 8\n")
        user = pwd.getpwuid(os.geteuid()).pw_name
        done = subprocess.run([bench.built("fluidhook"), "-c", self.conf, "init", "--force", "--user",
                               user], capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchError(f"fluidhook init: {done.stderr}")
        self.installations = installations
        state.write_installations(self.state, installations)

    def start(self):
        with self.log() as log:
            self.proc = self.bench.processes.start(
                [self.bench.built("fluidhook.fcgi"), "-c", self.conf, "--listen",
                 f"unix:{self.socket}"], stdout=log, stderr=log)

    def journals(self):
        return glob.glob(os.path.join(self.state, "journal", "*.jsonl"))

    def load_options(self):
        return {"installations": self.installations}


class Nginx:
    """In front of all of them. paths: (server, keep) -> path."""

    def __init__(self, bench, servers):
        self.bench = bench
        self.directory = os.path.join(bench.directory, "nginx")
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(os.path.join(self.directory, "run"))
        self.port = free_port()
        self.servers = list(servers)
        self.proc = None
        upstreams, locations = [], []
        for server in self.servers:
            for keep in (False, True) if server.kept else (False,):
                name = f"{server.name}_keep" if keep else server.name
                more = " keepalive 256;" if keep else ""
                upstreams.append(f"upstream {name} {{ server {server.upstream()}; {more} }}")
                locations.append(server.location(self.path(server, keep), keep))
        user = "user root;" if os.geteuid() == 0 else ""
        temporary = "".join(f"{kind}_temp_path run/{kind};\n" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(os.path.join(self.directory, "nginx.conf"), "w") as f:
            f.write(f"{user}\ndaemon off;\nworker_processes auto;\npid run/nginx.pid;\n"
                    "error_log run/error.log;\nevents { worker_connections 2048; }\nhttp {\n"
                    f"{temporary}access_log off;\nkeepalive_requests 100000000;\n"
                    + "\n".join(upstreams) + "\nserver {\n"
                    f"listen 127.0.0.1:{self.port} backlog=1024;\n" + "\n".join(locations) + "}\n}\n")

    @staticmethod
    def path(server, keep=False):
        return f"/{server.name}" + ("-keep" if keep else "")

    def start(self):
        with open(os.path.join(self.directory, "start.log"), "wb") as log:
            self.proc = self.bench.processes.start(
                ["nginx", "-e", "run/error.log", "-p", self.directory + "/", "-c", "nginx.conf"],
                stdout=log, stderr=log)
        for server in self.servers:
            self.wait_for(server)

    def wait_for(self, server):
        """Until it answers something that nginx did not make up."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for who, proc in ((server.name, server.proc), ("nginx", self.proc)):
                if proc.poll() is not None:
                    raise BenchError(f"{who} has ended with status {proc.returncode}: see"
                                     f" {self.directory} and {server.directory}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", self.path(server))
                status = connection.getresponse().status
                connection.close()
                if status not in (502, 504):
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise BenchError(f"{server.name} does not answer: see {server.directory}/log")

    def stop(self):
        if self.proc:
            self.bench.processes.stop(self.proc)
