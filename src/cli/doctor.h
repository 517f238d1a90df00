#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "base/conf.h"
#include "cli/lib/checklist.h"
#include "http/client.h"

/* The way from the internet to the receiver, gone step by step. */

struct doctor {
	struct checklist list;
	const char *url;
	const struct conf *conf;
	struct http_client *http;
	char *secret;    /* live; of the droplet */
	char server[64]; /* what the web server says it is, or "" */
	double slowest;  /* ms, of all requests so far */
};

/**
 * Go the way to the droplet's receiver at this URL, and print what is right and wrong on it. Returns the exit status.
 */
int doctor(const struct conf *conf, const struct conf_droplet *droplet, const char *url, bool json);

/** Make a request to the URL, and learn from its answer. As http_client_send(). */
int doctor_send(struct doctor *d, const struct http_request *r, struct http_response *a,
    struct http_error *e);

/** Post signed probes: is the secret known, which headers arrive, how large may a body be. */
void doctor_probe(struct doctor *d);

/** What to do where the web server, and not the receiver, answered with this status. */
const char *doctor_hint(long status);

#endif
