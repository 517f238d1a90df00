/*
 * The order of installs and uninstalls (contract section 4) against a model, for random sequences. No
 * extra link flags.
 */
#include "lifecycles.h"

enum { EVENTS = 8, SEQUENCES = 120, SETS = 40, ORDERS = 8, SECONDS_APART = 5 };

/* xorshift: the same sequences in every run. */
static unsigned
pick(uint64_t *seed, unsigned below)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return ((unsigned)(*seed % below));
}

/* One event, or (WORKER) an exchange that succeeds or fails, if one waits. */
enum kind { INSTALL_V1, INSTALL_V2, UNINSTALL, REPEATED, WORKER };

struct event {
	enum kind kind;
	char tag[16];              /* its bytes, its delivery and its token */
	int at;                    /* seconds after T0 */
	int received;              /* microseconds after the second */
	bool succeeds;             /* of WORKER */
	const struct event *first; /* of REPEATED */
};

/* What the rule says, by what is known and not by statuses. */
struct model {
	const struct event *newest;      /* install */
	int uninstalled;                 /* -1: never */
	bool waits;                      /* for the exchange of the newest */
	const struct event *credentials; /* the install that brought those at hand */
	const struct event *seen[EVENTS];
	unsigned n_seen;
};

static bool
is_over(const struct model *m)
{
	return (m->newest == NULL || m->uninstalled >= m->newest->at);
}

static void
model_install(struct model *m, const struct event *e)
{
	for (unsigned i = 0; i < m->n_seen; i++)
		if (m->seen[i] == e)
			return;
	m->seen[m->n_seen++] = e;
	if (m->newest &&
	    (e->at < m->newest->at ||
		(e->at == m->newest->at && e->received < m->newest->received)))
		return;
	m->newest = e;
	if (is_over(m))
		return;
	m->waits = e->kind == INSTALL_V2;
	if (!m->waits)
		m->credentials = e;
}

static void
model_apply(struct model *m, const struct event *e)
{
	switch (e->kind) {
	case INSTALL_V1:
	case INSTALL_V2:
		model_install(m, e);
		return;
	case REPEATED:
		model_install(m, e->first);
		return;
	case UNINSTALL:
		if (e->at > m->uninstalled)
			m->uninstalled = e->at;
		if (is_over(m))
			m->waits = false;
		if (m->credentials && m->credentials->at <= m->uninstalled)
			m->credentials = NULL;
		return;
	case WORKER:
		if (m->waits && e->succeeds)
			m->credentials = m->newest;
		m->waits = false;
		return;
	}
}

static enum installation_status
model_status(const struct model *m)
{
	if (is_over(m))
		return (INSTALLATION_UNINSTALLED);
	if (m->credentials)
		return (INSTALLATION_ACTIVE);
	return (m->waits ? INSTALLATION_PENDING : INSTALLATION_FAILED);
}

/* What the worker makes of a record that waits for an exchange. */
static void
work(struct world *w, const char *record, const struct event *e)
{
	struct installation *i = record_of(w, record);
	char token[32];

	if (i && i->exchange_token) {
		snprintf(token, sizeof(token), "%s", i->exchange_token);
		installation_drop_exchange(i);
		if (e->succeeds) {
			i->status = INSTALLATION_ACTIVE;
			i->credentials_installed_at = 0;
			assert_int_equal(installation_set(&i->authentication_token, token), 0);
		} else if (i->status != INSTALLATION_ACTIVE) {
			i->status = INSTALLATION_FAILED;
			installation_drop_credentials(i);
		}
		assert_int_equal(lifecycle_save(w->state, i), 0);
	}
	installation_free(i);
}

static void
apply_event(struct world *w, const char *record, const struct event *e)
{
	const struct event *body = e->kind == REPEATED ? e->first : e;
	struct lifecycle_event life;

	if (e->kind == WORKER) {
		work(w, record, e);
		return;
	}
	life = body->kind == INSTALL_V2 ? install_v2_of(body->tag, e->at) :
	    body->kind == INSTALL_V1    ? install_of(body->tag, e->at) :
					  uninstall_of(body->tag, e->at);
	if (life.exchange_token)
		life.exchange_token = body->tag;
	else if (life.authentication_token)
		life.authentication_token = body->tag;
	life.record = life.droplet_installation_uuid = life.fluid_company_id = record;
	life.fluid_company_id_number = false;
	life.received_at.tv_nsec = e->received * 1000L;
	apply(w, &life);
}

/* Random events; worker: with exchanges in between. Repeats come after what they repeat. */
static void
make_events(uint64_t *seed, struct event events[EVENTS], bool v2)
{
	unsigned k;

	for (unsigned n = 0; n < EVENTS; n++) {
		struct event *e = &events[n];

		*e = (struct event){ .kind = (enum kind)pick(seed, v2 ? 5 : 4),
			.at = (int)pick(seed, SECONDS_APART),
			.received = (int)n + 1,
			.succeeds = pick(seed, 2) };
		if (e->kind == INSTALL_V2 && !v2)
			e->kind = INSTALL_V1;
		if (e->kind == REPEATED) {
			k = n ? pick(seed, n) : 0;
			if (n == 0 || events[k].kind == UNINSTALL || events[k].kind == WORKER) {
				e->kind = INSTALL_V1;
			} else {
				e->first = events[k].first ? events[k].first : &events[k];
				e->at = e->first->at + (int)pick(seed, SECONDS_APART);
			}
		}
		/* Two uninstalls of one second are one. */
		snprintf(e->tag, sizeof(e->tag), e->kind == UNINSTALL ? "u%d" : "i%u",
		    e->kind == UNINSTALL ? e->at : (int)n);
		if (e->kind == UNINSTALL)
			e->received = 0;
	}
}

static void
shuffle(uint64_t *seed, const struct event *events, const struct event *order[EVENTS])
{
	for (unsigned n = 0; n < EVENTS; n++)
		order[n] = &events[n];
	for (unsigned n = EVENTS - 1; n; n--) {
		unsigned k = pick(seed, n + 1);
		const struct event *e = order[n];

		order[n] = order[k];
		order[k] = e;
	}
	for (unsigned n = 0; n < EVENTS; n++)
		for (unsigned k = n + 1; k < EVENTS; k++)
			if (order[n]->first == order[k]) {
				const struct event *e = order[n];

				order[n] = order[k];
				order[k] = e;
			}
}

static void
check_model(struct world *w, const char *record, const struct model *m, const char *what)
{
	struct installation *i = record_of(w, record);

	if (m->newest == NULL && m->uninstalled == -1) {
		CHECK(i == NULL, "%s", what);
		return;
	}
	CHECK(i != NULL, "%s: no record", what);
	CHECK(i->status == model_status(m), "%s: %s, want %s", what,
	    installation_status_name(i->status), installation_status_name(model_status(m)));
	CHECK(i->installed_at == (m->newest ? T0 + m->newest->at : 0), "%s: installed_at", what);
	CHECK(i->uninstalled_at == (is_over(m) ? T0 + m->uninstalled : 0), "%s: uninstalled_at",
	    what);
	CHECK(i->last_uninstalled_at == (m->uninstalled == -1 ? 0 : T0 + m->uninstalled),
	    "%s: last_uninstalled_at", what);
	CHECK_TEXT(i->authentication_token,
	    !is_over(m) && m->credentials ? m->credentials->tag : NULL, what);
	CHECK_TEXT(i->exchange_token, m->waits ? m->newest->tag : NULL, what);
	CHECK_TEXT(i->name, m->newest ? m->newest->tag : NULL, what);
	installation_free(i);
}

/* Goal: after every event of a random sequence the record is as the rule says. */
static void
test_sequences(void **state)
{
	struct world *w = *state;
	struct event events[EVENTS];
	uint64_t seed = 88172645463325252u;
	char what[64], record[32];

	for (unsigned s = 0; s < SEQUENCES; s++) {
		struct model m = { .uninstalled = -1 };

		make_events(&seed, events, true);
		snprintf(record, sizeof(record), "s%u", s);
		for (unsigned n = 0; n < EVENTS; n++) {
			model_apply(&m, &events[n]);
			apply_event(w, record, &events[n]);
			snprintf(what, sizeof(what), "sequence %u, event %u (%d at %d)", s, n,
			    (int)events[n].kind, events[n].at);
			check_model(w, record, &m, what);
		}
	}
}

/* Goal: every order of arrival ends in one same record. */
static void
test_orders(void **state)
{
	struct world *w = *state;
	struct event events[EVENTS];
	const struct event *order[EVENTS];
	uint64_t seed = 362436069u;
	char first[4096], what[64], *end;

	for (unsigned s = 0; s < SETS; s++) {
		make_events(&seed, events, false);
		for (unsigned o = 0; o < ORDERS; o++) {
			struct model m = { .uninstalled = -1 };
			char text[4096], record[32];

			shuffle(&seed, events, order);
			snprintf(record, sizeof(record), "o%03u-%u", s, o);
			for (unsigned n = 0; n < EVENTS; n++) {
				model_apply(&m, order[n]);
				apply_event(w, record, order[n]);
			}
			snprintf(what, sizeof(what), "set %u, order %u", s, o);
			check_model(w, record, &m, what);
			/* without the record's name, and the digests, which are in order of arrival */
			snprintf(text, sizeof(text), "%s", record_text(w, record));
			while ((end = strstr(text, record)) != NULL)
				memset(end, 'x', strlen(record));
			if ((end = strstr(text, "\"install_digests\"")) != NULL)
				*end = '\0';
			if (o == 0)
				snprintf(first, sizeof(first), "%s", text);
			CHECK(strcmp(first, text) == 0, "%s: %s\nwant %s", what, text, first);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sequences, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_orders, world_setup, world_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
