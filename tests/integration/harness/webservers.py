"""nginx and Apache in private prefixes, with the very files of nginx/ and apache/.

Of those files only what a user changes too is replaced: paths, the socket, the ports.
"""

import shutil
import subprocess

from . import process, web
from .fronts import Front, Listen
from .site import SOURCE

MODULES = "/usr/lib/apache2/modules"


def substituted(path, pairs):
    """A file of this project with the given strings replaced, each of which must be there."""
    text = (SOURCE / path).read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text, f"{path}: {old!r} is not there any more"
        text = text.replace(old, str(new))
    return text


def find(*names):
    """The first of these programs that there is, or None."""
    path = process.environment()["PATH"] + ":/usr/sbin:/sbin:/usr/local/sbin"
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    return None


class WebServer(Front):
    """A web server in front of the receiver."""
    direct = False
    tls = None
    path = "/webhook"

    def __init__(self):
        super().__init__()
        self.port = 0
        self.prefix = None
        self.behind = None      # the receiver, where it does not belong to the web server

    def configure(self):
        """Write the server's files; returns the command that starts it."""
        raise NotImplementedError

    def make_directories(self, *names):
        self.prefix = self.site.dir / "server"
        for directory in (self.prefix, *(self.prefix / name for name in names)):
            directory.mkdir(mode=0o700, exist_ok=True)
            process.give(directory)

    def start(self, site):
        super().start(site)
        if self.behind:
            self.behind.start(site)
        for attempt in range(5):
            self.port = web.free_port()
            command = self.configure()
            with site.log("server-output.log") as log:
                self.proc = process.start(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          env=process.environment(), cwd=str(self.prefix))
            try:
                self.wait_ready()
                return
            except AssertionError:
                taken = "in use" in site.log_text()
                process.stop(self.proc)
                if attempt == 4 or not taken:
                    raise

    def send(self, request):
        return web.exchange(self.port, request, self.path, self.tls)

    def send_and_leave(self, request):
        web.send_and_leave(self.port, request, self.path, self.tls)

    def stop(self):
        status = super().stop()
        if self.behind:
            self.behind.stop()
        return status


NGINX = """
daemon off;
worker_processes 2;
pid run/nginx.pid;
error_log {logs}/nginx.log info;
events {{ worker_connections 512; }}
http {{
	client_body_temp_path run/body;
	proxy_temp_path run/proxy;
	fastcgi_temp_path run/fastcgi;
	uwsgi_temp_path run/uwsgi;
	scgi_temp_path run/scgi;
	access_log off;
{http}
}}
"""


class Nginx(WebServer):
    """nginx/fluidhook.conf in a server block."""
    name = "nginx"

    def __init__(self):
        super().__init__()
        self.behind = Listen()

    def snippet(self):
        return substituted("nginx/fluidhook.conf", [
            ("unix:/run/fluidhook/fluidhook.sock;", f"unix:{self.behind.address};")])

    def http(self):
        return (f"server {{ listen 127.0.0.1:{self.port} backlog=1024; underscores_in_headers on;\n"
                "include fluidhook.conf; }")

    def configure(self):
        self.make_directories("run", "logs")
        self.site.write(self.prefix / "fluidhook.conf", self.snippet())
        self.site.write(self.prefix / "nginx.conf", NGINX.format(
            logs=self.site.logs, http=self.http()))
        return [find("nginx"), "-e", "logs/boot.log", "-p", f"{self.prefix}/", "-c", "nginx.conf"]


class NginxSite(Nginx):
    """nginx/site.conf.example, the whole of it: TLS with a certificate of our own."""
    name = "nginx site"
    plain_port = 0

    def make_certificate(self):
        key, certificate = self.prefix / "key.pem", self.prefix / "certificate.pem"
        if not certificate.exists():
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                 "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                 "-keyout", key, "-out", certificate],
                check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            process.give(key)
            process.give(certificate)
        return key, certificate

    def http(self):
        key, certificate = self.make_certificate()
        self.plain_port = web.free_port()
        live = "/etc/letsencrypt/live/hooks.example.com"
        return substituted("nginx/site.conf.example", [
            ("listen [::]:80;", ""),
            ("listen [::]:443 ssl http2;", ""),
            ("listen 80;", f"listen 127.0.0.1:{self.plain_port};"),
            ("listen 443 ssl http2;", f"listen 127.0.0.1:{self.port} ssl http2;"),
            (f"{live}/fullchain.pem", certificate),
            (f"{live}/privkey.pem", key),
            ("hooks.example.com", "localhost"),
            ("/var/log/nginx/fluidhook.log", self.site.logs / "access.log"),
            ("/etc/nginx/snippets/fluidhook.conf", "fluidhook.conf")])


APACHE = """
ServerRoot "{prefix}"
ServerName localhost
Listen 127.0.0.1:{port}
ListenBackLog 1024
PidFile "{prefix}/run/httpd.pid"
DefaultRuntimeDir "{prefix}/run"
Mutex file:{prefix}/run
ErrorLog "{logs}/apache.log"
LogLevel info
{modules}
StartServers 2
ThreadsPerChild 40
MaxRequestWorkers 160
ThreadLimit 64
DocumentRoot "{prefix}/htdocs"
<Directory />
	AllowOverride None
	Require all denied
</Directory>
{extra}
Include "{prefix}/fluidhook.conf"
"""

COMMON_MODULES = ["mpm_event", "authz_core", "alias", "env", "headers", "setenvif", "unique_id"]


class Apache(WebServer):
    """Apache with one of the files of apache/, and the modules it asks for."""
    file = ""
    modules = []
    extra = ""

    def substitutions(self):
        return [("Define FLUIDHOOK_FCGI /usr/local/libexec/fluidhook/fluidhook.fcgi",
                 f"Define FLUIDHOOK_FCGI {self.site.receiver}"),
                ("Define FLUIDHOOK_CONF /etc/fluidhook/fluidhook.conf",
                 f"Define FLUIDHOOK_CONF {self.site.conf}")]

    def own_files(self):
        """The file under test, as Apache includes it."""
        self.site.write(self.prefix / "fluidhook.conf",
                        substituted(self.file, self.substitutions()))

    def configure(self):
        self.make_directories("run", "htdocs")
        self.own_files()
        modules = [f"LoadModule {m}_module {MODULES}/mod_{m}.so"
                   for m in COMMON_MODULES + self.modules]
        self.site.write(self.prefix / "apache.conf", APACHE.format(
            prefix=self.prefix, port=self.port, logs=self.site.logs, modules="\n".join(modules),
            extra=self.extra.format(prefix=self.prefix)))
        return [find("apache2", "httpd"), "-d", self.prefix, "-f", self.prefix / "apache.conf",
                "-DFOREGROUND"]


class ApacheCgid(Apache):
    """apache/cgi-bin.conf with mod_cgid."""
    name = "Apache mod_cgid"
    per_request = True
    file = "apache/cgi-bin.conf"
    modules = ["cgid"]
    extra = "ScriptSock cgid.sock"


class ApacheFcgid(Apache):
    """apache/fcgid.conf: mod_fcgid starts the receiver."""
    name = "Apache mod_fcgid"
    file = "apache/fcgid.conf"
    modules = ["fcgid"]
    extra = 'FcgidIPCDir "{prefix}/run"\nFcgidProcessTableFile "{prefix}/run/fcgid_shm"'


class ApacheProxy(Apache):
    """apache/proxy_fcgi.conf: the receiver listens by itself."""
    name = "Apache mod_proxy_fcgi"
    file = "apache/proxy_fcgi.conf"
    modules = ["proxy", "proxy_fcgi", "buffer"]

    def __init__(self):
        super().__init__()
        self.behind = Listen()

    def substitutions(self):
        return [("Define FLUIDHOOK_SOCKET /run/fluidhook/fluidhook.sock",
                 f"Define FLUIDHOOK_SOCKET {self.behind.address}")]


class ApacheHtaccess(Apache):
    """apache/htaccess in a directory with the program, as on shared hosting."""
    name = "Apache .htaccess"
    per_request = True
    modules = ["cgid"]
    path = "/hooks/fluidhook.fcgi"
    extra = ('ScriptSock cgid.sock\n<Directory "{prefix}/htdocs">\n'
             'AllowOverride FileInfo Options Limit AuthConfig\nRequire all granted\n</Directory>')

    def own_files(self):
        self.make_directories("run", "htdocs", "htdocs/hooks")
        directory = self.prefix / "htdocs" / "hooks"
        shutil.copy(self.site.receiver, directory / "fluidhook.fcgi")
        process.give(directory / "fluidhook.fcgi")
        self.site.write(directory / ".htaccess", substituted("apache/htaccess", [
            ("#SetEnv FLUIDHOOK_CONF /home/you/fluidhook/fluidhook.conf",
             f"SetEnv FLUIDHOOK_CONF {self.site.conf}")]))
        self.site.write(self.prefix / "fluidhook.conf", "")
