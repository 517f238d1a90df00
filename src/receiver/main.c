/* fluidhook.fcgi: finds out how it was started, and serves that way (contract section 1). */

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "config.h"
#include "receiver/cgi.h"
#include "receiver/check.h"
#include "receiver/descriptors.h"
#include "receiver/listen.h"
#include "receiver/serve.h"
#include "receiver/supervisor.h"

enum {
	THREADS_MAX = 1024,
	THREADS_PER_CPU = 16,
	THREADS_LEAST = 16,
	THREADS_MOST = 128, /* the default */
	SD_LISTEN_FDS_START = 3,
	EXIT_USAGE = 2,
};

struct options {
	const char *conf;
	const char *address;
	const char *socket_mode;
	const char *socket_group;
	const char *threads;
	bool help, version, check;
};

static void
print_usage(FILE *fp)
{
	fprintf(fp,
	    "Usage: fluidhook.fcgi [-c FILE] [--threads N] [--listen ADDRESS]\n"
	    "\n"
	    "Receives Fluid's webhooks behind a web server. How it was started decides how it serves:\n"
	    "  standard input is a listening socket        FastCGI there (spawn-fcgi, mod_fcgid)\n"
	    "  LISTEN_FDS=1 and LISTEN_PID are set         FastCGI on descriptor 3 (systemd)\n"
	    "  GATEWAY_INTERFACE is set                    CGI: one request\n"
	    "  --listen ADDRESS                            FastCGI on a socket of its own\n"
	    "\n"
	    "  -c, --config FILE         configuration; else $FLUIDHOOK_CONF,\n"
	    "                            ~/fluidhook/fluidhook.conf, " SYSCONFDIR
	    "/fluidhook/fluidhook.conf\n"
	    "      --listen unix:PATH    make a unix socket and listen there\n"
	    "      --listen HOST:PORT    listen on TCP; the web server alone may reach it\n"
	    "      --socket-mode MODE    permissions of the unix socket, octal (default 0660)\n"
	    "      --socket-group NAME   group of the unix socket\n"
	    "      --threads N           requests handled at once, 1 to 1024 (default 16 for each\n"
	    "                            processor, 16 to 128; also $FLUIDHOOK_THREADS)\n"
	    "      --check               check configuration and state directory; exit status 0 or 2\n"
	    "      --version             print the version\n"
	    "      --help                print this\n"
	    "\n"
	    "SIGTERM finishes what is in flight and ends; SIGHUP reads the configuration again.\n"
	    "More: man 8 fluidhook.fcgi\n");
}

static int
usage_error(const char *what, const char *value)
{
	if (what)
		fprintf(stderr, "fluidhook.fcgi: %s%s%s%s\n", what, value ? ": \"" : "",
		    value ? value : "", value ? "\"" : "");
	fprintf(stderr, "Try \"fluidhook.fcgi --help\".\n");
	return (EXIT_USAGE);
}

/* Returns 0, or -1 when getopt has said what is wrong. */
static int
parse_options(struct options *o, int argc, char **argv)
{
	enum { LISTEN = 256, MODE, GROUP, THREADS, CHECK, VERSION, HELP };
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "listen", required_argument, NULL, LISTEN },
		{ "socket-mode", required_argument, NULL, MODE },
		{ "socket-group", required_argument, NULL, GROUP },
		{ "threads", required_argument, NULL, THREADS },
		{ "check", no_argument, NULL, CHECK },
		{ "version", no_argument, NULL, VERSION },
		{ "help", no_argument, NULL, HELP },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:", longs, NULL)) != -1)
		switch (c) {
		case 'c':
			o->conf = optarg;
			break;
		case LISTEN:
			o->address = optarg;
			break;
		case MODE:
			o->socket_mode = optarg;
			break;
		case GROUP:
			o->socket_group = optarg;
			break;
		case THREADS:
			o->threads = optarg;
			break;
		case CHECK:
			o->check = true;
			break;
		case VERSION:
			o->version = true;
			break;
		case HELP:
			o->help = true;
			break;
		default:
			return (-1);
		}
	return (0);
}

/* A number in this base and between these bounds. Returns 0, or -1. */
static int
parse_number(const char *text, int base, unsigned long least, unsigned long most,
    unsigned long *out)
{
	char *end;

	if (*text < '0' || *text > '9')
		return (-1);
	errno = 0;
	*out = strtoul(text, &end, base);
	return (errno || *end || *out < least || *out > most ? -1 : 0);
}

/* The socket that systemd passes (sd_listen_fds(3)). Returns the descriptor, or -1. */
static int
systemd_socket(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	unsigned long n;

	if (pid == NULL || fds == NULL || parse_number(pid, 10, 1, INT32_MAX, &n) ||
	    n != (unsigned long)getpid() || strcmp(fds, "1") != 0)
		return (-1);
	return (SD_LISTEN_FDS_START);
}

/* What the command line says about serving. */
struct service {
	int listener; /* -1: make the socket that `listen` tells of */
	struct listen listen;
	const char *conf_file;
	unsigned threads;
	const char *program; /* the path of this program */
	struct supervised supervised;
};

static int
run_service(const struct service *v, struct conf *conf)
{
	struct descriptors fit = { .threads = v->threads };
	struct buf error = { 0 };

	if (descriptors_fit(&fit, &error)) {
		fprintf(stderr, "fluidhook.fcgi: %s", error.data ? error.data : "out of memory\n");
		buf_free(&error);
		conf_free(conf);
		return (1);
	}
	if (v->listener == -1)
		return (supervise(&(struct supervision){ .listen = v->listen,
				      .program = v->program,
				      .conf_file = v->conf_file,
				      .descriptors = fit },
		    conf));
	return (serve(&(struct serving){ .listener = v->listener,
			  .conf_file = v->conf_file,
			  .descriptors = fit,
			  .ready_fd = v->supervised.ready_fd },
	    conf));
}

/* Serve with this configuration. */
static int
run_configured(const struct service *v)
{
	struct buf errors = { 0 };
	struct conf *conf = serve_conf(v->conf_file, &errors);

	if (conf == NULL) {
		fputs(errors.data ? errors.data : "fluidhook.fcgi: out of memory\n", stderr);
		buf_free(&errors);
		return (EXIT_USAGE);
	}
	/* A supervisor stays root, for the sake of its socket; its serving processes do not. */
	if (v->listener != -1)
		serve_become_owner(conf);
	supervised_end_together(&v->supervised);
	if (conf_open_log(conf, "fluidhook.fcgi")) {
		fprintf(stderr, "%s: log: %s: %s\n", conf->file, conf->log_file, strerror(errno));
		conf_free(conf);
		return (EXIT_USAGE);
	}
	return (run_service(v, conf));
}

/* More than there are processors: most of them are for requests that have to wait for the disk. */
static unsigned long
default_threads(void)
{
	unsigned long threads = THREADS_LEAST;
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		threads = (unsigned long)CPU_COUNT(&cpus) * THREADS_PER_CPU;
	if (threads < THREADS_LEAST)
		return (THREADS_LEAST);
	return (threads > THREADS_MOST ? THREADS_MOST : threads);
}

/*
 * Where this program is: by the path that it was started with, if that leads to it, so that a link to another
 * version is followed when the program is executed again. NULL: ENOMEM, or there is no /proc.
 */
static char *
program_path(const char *name)
{
	struct stat started, self;

	if (strchr(name, '/') && stat(name, &started) == 0 && stat("/proc/self/exe", &self) == 0 &&
	    started.st_dev == self.st_dev && started.st_ino == self.st_ino)
		return (strdup(name));
	return (realpath("/proc/self/exe", NULL));
}

/* Serve as a process that stays. */
static int
run_server(const struct options *o, int listener, const char *name)
{
	const char *env = getenv("FLUIDHOOK_THREADS");
	const char *threads_text = o->threads ? o->threads : env && *env ? env : NULL;
	unsigned long threads = default_threads(), mode = 0660;
	char *file, *program = NULL;
	int status;

	if (threads_text && parse_number(threads_text, 10, 1, THREADS_MAX, &threads))
		return (usage_error("--threads is a number from 1 to 1024", threads_text));
	if (o->socket_mode && parse_number(o->socket_mode, 8, 0, 0777, &mode))
		return (usage_error("--socket-mode is octal, such as 0660", o->socket_mode));
	if (getenv("FCGI_WEB_SERVER_ADDRS"))
		return (usage_error("FCGI_WEB_SERVER_ADDRS is not supported: use a unix socket, "
				    "or a firewall",
		    NULL));
	if ((file = conf_find(o->conf)) == NULL)
		return (usage_error(strerror(errno), NULL));
	/* Only a supervisor executes it again. */
	if (listener == -1 && (program = program_path(name)) == NULL) {
		fprintf(stderr, "fluidhook.fcgi: its own path cannot be found: %s\n",
		    strerror(errno));
		free(file);
		return (1);
	}
	status = run_configured(&(struct service){ .listener = listener,
	    .conf_file = file,
	    .program = program,
	    .supervised = supervised_by(),
	    .listen = { o->address, (mode_t)mode, o->socket_group },
	    .threads = (unsigned)threads });
	free(program);
	free(file);
	return (status);
}

static int
run_check(const struct options *o)
{
	char *file = conf_find(o->conf);
	int status = file ? check(file) : usage_error(strerror(errno), NULL);

	free(file);
	return (status);
}

int
main(int argc, char **argv)
{
	struct options o = { .conf = NULL };
	int listener = listen_is_listening(STDIN_FILENO) ? STDIN_FILENO : systemd_socket();

	umask(077);
	/* A query string can become the words of a CGI's command line: none of them counts. */
	if (listener == -1 && getenv("GATEWAY_INTERFACE"))
		return (cgi());
	if (parse_options(&o, argc, argv))
		return (usage_error(NULL, NULL));
	if (o.help) {
		print_usage(stdout);
		return (0);
	}
	if (o.version) {
		printf("fluidhook.fcgi %s\n", PACKAGE_VERSION);
		return (0);
	}
	if (optind < argc)
		return (usage_error("unexpected argument", argv[optind]));
	if (o.check)
		return (run_check(&o));
	if (listener != -1 && !listen_is_listening(listener))
		return (usage_error("LISTEN_FDS: descriptor 3 is not a listening socket", NULL));
	if (listener == -1 && o.address == NULL) {
		print_usage(stderr);
		return (EXIT_USAGE);
	}
	return (run_server(&o, listener, argv[0]));
}
