#ifndef TESTS_UNIT_STANDIN_H
#define TESTS_UNIT_STANDIN_H

#include "fluid/json_tree.h"
#include "fluid/api.h"
#include "support.h"

/* Tests against the stand-in for Fluid's API, tests/integration/fluid_standin.py, as a child. */

#define COMPANY_TOKEN "C-00000000000000000000000000000000"

struct standin {
	pid_t pid;
	int input; /* the stand-in lives until this is closed */
	char *url;
	char *ca_file; /* NULL where it does not speak TLS */
};

/** Start one. option, value: words for its command line, or NULL. A failure fails the test. */
struct standin *standin_start(const char *option, const char *value);

void standin_stop(struct standin *s);

/* A stand-in, a configuration that names it, and something to call it with. */
struct world {
	struct standin *standin;
	char *directory;
	struct conf *conf;
	struct fluid_api *t;       /* has a minute's patience */
	struct fluid_api *hasty;   /* gives a call 2 s, for what gets no answer */
	struct fluid_api *control; /* for what the test says to the stand-in itself */
	struct fluid_token token;  /* the company's */
	struct fluid_error error;
	struct json_node *requests; /* what world_requests() read last */
};

/** cmocka's set-up and tear-down of a group: *state is a struct world over plain http. */
int world_setup(void **state);
int world_teardown(void **state);

/** Before each test: forget requests and faults; both addresses of the webhooks API are there. */
int world_reset(void **state);

/** An API handle for addresses below `url`; more: further lines for [fluid]. */
struct fluid_api *api_to(struct world *w, const char *url, const char *more);

/** Say something to the stand-in: POST /_standin/WHAT. ' in the text stands for ". */
void world_tell(struct world *w, const char *what, const char *json);

/** world_tell() of a fault. */
void world_fault(struct world *w, const char *json);

/** What to call with under this fault: only one that gives no answer is left to the clock. */
struct fluid_api *world_api(struct world *w, const char *fault);

/** The requests the stand-in has had: "METHOD TARGET", one a line. Kept until the next call. */
const char *world_calls(struct world *w);

/** The first request's body, and one of its headers or NULL. To be called after world_calls(). */
const char *world_body(struct world *w);
const char *world_header(struct world *w, const char *name);

/** What the stand-in answers to GET /_standin/WHAT; the caller frees it. */
struct json_node *world_ask(struct world *w, const char *what);

#endif
