#include "receiver/descriptors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"

enum {
	OF_PROCESS = 40, /* standard streams, sockets, state directory; twice during a reload */
	OF_THREAD = 8,   /* files that one request opens at the same time */
	CONNECTIONS_LEAST = 16,
	CONNECTIONS_MOST = 16384,
	LEAST = OF_PROCESS + OF_THREAD + CONNECTIONS_LEAST,
};

int
descriptors_fit(struct descriptors *d, struct buf *error)
{
	struct rlimit limit;
	rlim_t most, left;
	char has[24], wanted[16], fit[16];

	if (getrlimit(RLIMIT_NOFILE, &limit)) {
		buf_addf(error, "limit of open files: %s\n", strerror(errno));
		return (-1);
	}
	if (limit.rlim_cur < limit.rlim_max) {
		struct rlimit raised = { limit.rlim_max, limit.rlim_max };

		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			limit = raised;
	}
	most = limit.rlim_cur;
	if (most < LEAST) {
		buf_addf(error,
		    "at most %llu files can be open, and at least %d are needed: raise the limit "
		    "(ulimit -n, LimitNOFILE=)\n",
		    (unsigned long long)most, LEAST);
		return (-1);
	}
	left = (most - OF_PROCESS - CONNECTIONS_LEAST) / (OF_THREAD + 1);
	if (left < d->threads) {
		snprintf(has, sizeof(has), "%llu", (unsigned long long)most);
		snprintf(wanted, sizeof(wanted), "%u", d->threads);
		d->threads = left ? (unsigned)left : 1;
		snprintf(fit, sizeof(fit), "%u", d->threads);
		log_line(LOG_LEVEL_WARN, "fewer threads, as the limit of open files allows no more",
		    "limit", has, "wanted", wanted, "threads", fit, NULL);
	}
	left = most - OF_PROCESS - (rlim_t)OF_THREAD * d->threads;
	d->connections = left < CONNECTIONS_MOST ? (unsigned)left : CONNECTIONS_MOST;
	return (0);
}
