/*
 * The load generator of script/bench. It posts signed deliveries over kept HTTP/1.1 connections to
 * a web server on loopback, one at a time on each connection, and prints what came back as JSON.
 *
 * Why not wrk: each delivery here is new (its own id, time and signature), so that no server can
 * answer from what it remembers, and each acknowledged id can be looked up in the journal
 * afterwards. With wrk, Lua would have to compute the HMAC.
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "deliveries.h"

enum {
	ANSWER_MAX = 8192,
	CONNECTIONS_MAX = 1024,
	WARM_US = 300 * 1000,     /* what is sent in this time is not measured */
	COUNT_US = 100 * 1000000, /* the longest that a load of --count lasts */
	DRAIN_US = 20 * 1000000,  /* how long to wait for the last answers */
	ERRORS_MAX = 10000,       /* more broken connections than this: give up */
	STATUSES = 600,
};

struct connection {
	int fd;
	bool busy;
	uint64_t id;
	uint64_t sent_us;
	char *out;
	size_t out_len, out_done;
	char in[ANSWER_MAX + 1];
	size_t in_len;
};

/* The command line. */
static struct {
	unsigned long port, connections, count;
	double seconds;
	const char *acked; /* the ids that were answered 200 are added to this file */
} opt = { .connections = 64, .seconds = 2 };

static struct deliveries deliveries = { .path = "/", .size = 512, .installations = 1 };

static struct {
	uint64_t next, measured_from, end;
	unsigned long sent, outstanding, errors, measured;
	unsigned long status[STATUSES];
	uint32_t *latency; /* of those measured, in microseconds */
	size_t latency_room;
	FILE *acked;
	int epoll;
} run;

static void
die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000);
}

static void
open_connection(struct connection *c)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)opt.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
	int one = 1;

	if ((c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		die("socket");
	if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		die("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
		die("epoll_ctl");
}

/* The server closed the connection, or sent something that is no answer. */
static void
broken(struct connection *c)
{
	if (c->busy) {
		run.errors++;
		run.outstanding--;
		c->busy = false;
	}
	if (run.errors > ERRORS_MAX) {
		errno = ECONNRESET;
		die("too many connections broke");
	}
	close(c->fd);
	open_connection(c);
}

static void
write_rest(struct connection *c)
{
	while (c->busy && c->out_done < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_done, c->out_len - c->out_done,
		    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n == -1 && errno == EAGAIN)
			return;
		if (n == -1)
			return; /* the read says why */
		c->out_done += (size_t)n;
	}
}

static bool
more_to_send(uint64_t now)
{
	return (opt.count ? run.sent < opt.count : now < run.end);
}

static void
send_next(struct connection *c, uint64_t now)
{
	if (!more_to_send(now))
		return;
	c->id = run.next++;
	c->out_len = deliveries_write(&deliveries, c->out, c->id);
	c->out_done = 0;
	c->in_len = 0;
	c->busy = true;
	c->sent_us = now;
	run.sent++;
	run.outstanding++;
	write_rest(c);
}

/* The length of the whole answer in c->in; 0: not complete yet. */
static size_t
answer_length(const struct connection *c)
{
	const char *end = strstr(c->in, "\r\n\r\n"), *field;
	size_t head, length;

	if (end == NULL)
		return (0);
	head = (size_t)(end - c->in) + 4;
	if ((field = strcasestr(c->in, "\r\ncontent-length:")) != NULL && field < end) {
		length = head + strtoul(field + 17, NULL, 10);
		return (c->in_len >= length ? length : 0);
	}
	/* In chunks: nginx does this when a FastCGI program does not say the length. */
	return (c->in_len >= head + 5 && memcmp(c->in + c->in_len - 5, "0\r\n\r\n", 5) == 0 ?
		c->in_len :
		0);
}

static void
record(struct connection *c, uint64_t now)
{
	unsigned long status = strtoul(c->in + sizeof("HTTP/1.1"), NULL, 10);
	uint64_t us = now - c->sent_us;
	uint32_t id = (uint32_t)c->id;

	run.status[status < STATUSES ? status : 0]++;
	if (status == 200 && run.acked && fwrite(&id, sizeof(id), 1, run.acked) != 1)
		die(opt.acked);
	if (status != 200 || now < run.measured_from || (!opt.count && now >= run.end))
		return;
	if (run.measured == run.latency_room) {
		run.latency_room = run.latency_room ? 2 * run.latency_room : 65536;
		run.latency = realloc(run.latency, run.latency_room * sizeof(*run.latency));
		if (run.latency == NULL)
			die("memory");
	}
	run.latency[run.measured++] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static void
readable(struct connection *c)
{
	for (;;) {
		ssize_t n = recv(c->fd, c->in + c->in_len, ANSWER_MAX - c->in_len, MSG_DONTWAIT);
		uint64_t now;

		if (n == -1 && errno == EAGAIN)
			return;
		if (n <= 0 || !c->busy) {
			broken(c);
			send_next(c, now_us());
			return;
		}
		c->in_len += (size_t)n;
		c->in[c->in_len] = '\0';
		if (answer_length(c) == 0) {
			if (c->in_len < ANSWER_MAX)
				continue;
			broken(c);
			return;
		}
		now = now_us();
		record(c, now);
		c->busy = false;
		run.outstanding--;
		if (strcasestr(c->in, "\r\nconnection: close")) {
			close(c->fd);
			open_connection(c);
			send_next(c, now);
			return;
		}
		send_next(c, now);
	}
}

static void
serve(struct connection *connections)
{
	struct epoll_event events[256];
	uint64_t start = now_us(), give_up;
	unsigned long i;

	run.measured_from = opt.count ? start : start + WARM_US;
	run.end = run.measured_from + (uint64_t)(opt.seconds * 1e6);
	give_up = (opt.count ? start + COUNT_US : run.end) + DRAIN_US;
	for (i = 0; i < opt.connections; i++)
		send_next(&connections[i], now_us());
	while (run.outstanding || more_to_send(now_us())) {
		int count = epoll_wait(run.epoll, events, 256, 100), e;

		if (count == -1 && errno != EINTR)
			die("epoll_wait");
		for (e = 0; e < count; e++) {
			struct connection *c = events[e].data.ptr;

			write_rest(c);
			if (events[e].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				readable(c);
		}
		if (now_us() > give_up)
			break;
	}
	if (opt.count)
		run.end = now_us();
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x < y ? -1 : x > y);
}

static void
print(void)
{
	struct rusage usage;
	size_t n = run.measured, s;
	const char *comma = "";

	getrusage(RUSAGE_SELF, &usage);
	if (n > 0)
		qsort(run.latency, n, sizeof(*run.latency), compare);
	printf("{\"measured\":%zu,\"seconds\":%.6f,\"p50_us\":%u,\"p99_us\":%u,\"next\":%llu,"
	       "\"unanswered\":%lu,\"broken\":%lu,\"cpu_us\":%lld,\"status\":{",
	    n, (double)(run.end - run.measured_from) / 1e6, n ? run.latency[n / 2] : 0,
	    n ? run.latency[n * 99 / 100] : 0, (unsigned long long)run.next, run.outstanding,
	    run.errors,
	    (long long)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
		usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	for (s = 0; s < STATUSES; s++) {
		if (run.status[s] == 0)
			continue;
		printf("%s\"%zu\":%lu", comma, s, run.status[s]);
		comma = ",";
	}
	printf("}}\n");
}

static void
read_secret(const char *file)
{
	FILE *f = fopen(file, "r");

	if (f == NULL || fgets(deliveries.secret, sizeof(deliveries.secret), f) == NULL)
		die(file);
	deliveries.secret[strcspn(deliveries.secret, "\n")] = '\0';
	fclose(f);
}

static void
parse_options(int argc, char **argv)
{
	static const struct option options[] = { { "port", 1, NULL, 'p' }, { "path", 1, NULL, 'u' },
		{ "connections", 1, NULL, 'c' }, { "seconds", 1, NULL, 's' },
		{ "count", 1, NULL, 'n' }, { "size", 1, NULL, 'b' }, { "first", 1, NULL, 'f' },
		{ "installations", 1, NULL, 'i' }, { "install", 1, NULL, 'k' },
		{ "company", 1, NULL, 'o' }, { "in-order", 0, NULL, 'r' },
		{ "acked", 1, NULL, 'a' }, { "plain-mac", 0, NULL, 'm' }, { 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			opt.port = strtoul(optarg, NULL, 10);
			break;
		case 'u':
			deliveries.path = optarg;
			break;
		case 'c':
			opt.connections = strtoul(optarg, NULL, 10);
			break;
		case 's':
			opt.seconds = strtod(optarg, NULL);
			break;
		case 'n':
			opt.count = strtoul(optarg, NULL, 10);
			break;
		case 'b':
			deliveries.size = strtoul(optarg, NULL, 10);
			break;
		case 'f':
			run.next = strtoull(optarg, NULL, 10);
			break;
		case 'i':
			deliveries.installations = strtoul(optarg, NULL, 10);
			break;
		case 'k':
			deliveries.install = true;
			read_secret(optarg);
			break;
		case 'o':
			deliveries.company = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			deliveries.in_order = true;
			break;
		case 'a':
			opt.acked = optarg;
			break;
		case 'm':
			deliveries.plain_mac = true;
			break;
		default:
			exit(2);
		}
	}
	/* An id has ten digits and fits into 32 bits. */
	if (opt.port == 0 || opt.port > 65535 || opt.connections < 1 ||
	    opt.connections > CONNECTIONS_MAX || deliveries.size < DELIVERY_SIZE_MIN ||
	    deliveries.size > DELIVERY_SIZE_MAX || deliveries.installations < 1 ||
	    run.next < 1000000000 || run.next > 4000000000) {
		fprintf(stderr, "load: an option is missing or out of range\n");
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	struct connection *connections;
	unsigned long i;

	parse_options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	if (deliveries_prepare(&deliveries) != 0)
		die("memory");
	if (opt.acked && (run.acked = fopen(opt.acked, "a")) == NULL)
		die(opt.acked);
	if ((run.epoll = epoll_create1(EPOLL_CLOEXEC)) == -1)
		die("epoll");
	if ((connections = calloc(opt.connections, sizeof(*connections))) == NULL)
		die("memory");
	for (i = 0; i < opt.connections; i++) {
		if ((connections[i].out = malloc(DELIVERY_HEAD_MAX + DELIVERY_SIZE_MAX)) == NULL)
			die("memory");
		open_connection(&connections[i]);
	}
	serve(connections);
	if (run.acked && fclose(run.acked) != 0)
		die(opt.acked);
	print();
	return (0);
}
