"""What script/bench compares the receiver with: the same durable job as others would write it.

Each verifies the HMAC, appends the delivery to a journal, answers 200 after a sync. They do less than
the receiver: no look at the JSON, no installations, no records, one fixed key."""

import glob
import os
import pwd
import subprocess

import state
from measure import BenchError
from servers import Server, free_port

PHP_PROCESSES = 16


class Peer(Server):
    syncs = "each"

    def __init__(self, bench):
        super().__init__(bench)
        self.sources = os.path.join(bench.source, "tests/bench/peers", self.name)
        self.journal = os.path.join(self.directory, "journal")
        self.key_file = os.path.join(self.directory, "key")
        with open(self.key_file, "w") as f:
            f.write(state.key_of(0) + "\n")
        open(self.journal, "wb").close()

    def run(self, argv, **environment):
        with self.log() as log:
            self.proc = self.bench.processes.start(argv, stdout=log, stderr=log, cwd=self.directory,
                                                   env={**os.environ, **environment})


class Go(Peer):
    name, label, proxied, kept = "go", "Go, group commit", True, True
    syncs = "group"

    def start(self):
        program = os.path.join(self.directory, "receiver")
        done = subprocess.run(["go", "build", "-o", program, "."], cwd=self.sources, text=True,
                              capture_output=True,
                              env={**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "CGO_ENABLED": "0",
                                   "GOCACHE": self.bench.built("go-cache")})
        if done.returncode != 0:
            raise BenchError(f"go build: {done.stderr}")
        self.run([program, self.socket, self.journal, self.key_file])


class Node(Peer):
    name, label, proxied, kept = "node", "Node.js, group commit", True, True
    syncs = "group"

    def start(self):
        self.run(["node", os.path.join(self.sources, "receiver.js"), self.socket, self.journal,
                  self.key_file], NODE_ENV="production")


class Php(Peer):
    name, label = "php", "PHP-FPM, a sync each"

    def start(self):
        programs = sorted(glob.glob("/usr/sbin/php-fpm*"))
        if not programs:
            raise BenchError("no /usr/sbin/php-fpm*: install php-fpm")
        conf = os.path.join(self.directory, "fpm.conf")
        user = pwd.getpwuid(os.geteuid()).pw_name
        with open(conf, "w") as f:
            f.write(f"[global]\nerror_log = {self.directory}/log\ndaemonize = no\n"
                    f"[bench]\nuser = {user}\ngroup = {os.getegid()}\nlisten = {self.socket}\n"
                    f"listen.backlog = 1024\npm = static\npm.max_children = {PHP_PROCESSES}\n"
                    f"env[BENCH_KEY] = {state.key_of(0)}\nenv[BENCH_JOURNAL] = {self.journal}\n")
        root = ["-R"] if os.geteuid() == 0 else []
        self.run([programs[-1], "-F", *root, "-y", conf, "-d", "opcache.enable=1", "-d",
                  "opcache.validate_timestamps=0"])

    def params(self):
        return f"\n\tfastcgi_param SCRIPT_FILENAME {self.sources}/receive.php;"


class Webhook(Peer):
    name, label, proxied = "webhook", "webhook and a script, a sync each", True

    def __init__(self, bench):
        super().__init__(bench)
        self.port = free_port()

    def start(self):
        with open(os.path.join(self.sources, "hooks.json")) as f:
            text = f.read()
        hooks = os.path.join(self.directory, "hooks.json")
        with open(hooks, "w") as f:
            f.write(text.replace("STORE", os.path.join(self.sources, "store"))
                    .replace("KEY", state.key_of(0)))
        self.run(["webhook", "-hooks", hooks, "-ip", "127.0.0.1", "-port", self.port],
                 BENCH_JOURNAL=self.journal)

    def upstream(self):
        return f"127.0.0.1:{self.port}"

    def inner_path(self):
        return "/hooks/delivery"

    def load_options(self):
        return {"plain_mac": True}


PEERS = (Go, Node, Php, Webhook)
