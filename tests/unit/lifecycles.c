#include "lifecycles.h"

#include <fcntl.h>
#include <unistd.h>

static void
world_open(struct world *w)
{
	w->directory = directory_make();
	w->state = state_make(path_in(w->directory, "state"));
	assert_non_null(w->state);
	w->records = records_new(w->state->installations);
	assert_non_null(w->records);
}

static void
world_close(struct world *w)
{
	records_free(w->records);
	state_close(w->state);
	directory_remove(w->directory);
}

int
world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	world_open(w);
	*state = w;
	return (0);
}

int
world_teardown(void **state)
{
	world_close(*state);
	free(*state);
	return (0);
}

void
world_renew(struct world *w)
{
	world_close(w);
	world_open(w);
}

struct lifecycle_event
install_of(const char *tag, int at)
{
	return ((struct lifecycle_event){
	    .installed = true,
	    .trust = TRUST_DROPLET,
	    .record = "dri_a",
	    .droplet_installation_uuid = "dri_a",
	    .droplet_uuid = "drp_a",
	    .fluid_company_id = "42",
	    .fluid_company_id_number = true,
	    .fluid_shop = "Acme.fluid.app",
	    .name = tag,
	    .name_len = strlen(tag),
	    .authentication_token = "dit_a",
	    .webhook_verification_token = "wvt_a",
	    .at = T0 + at,
	    .received_at = { .tv_sec = T0 + at, .tv_nsec = 123456789 },
	    .delivery = tag,
	    .body_sha256 = tag,
	});
}

struct lifecycle_event
install_v2_of(const char *tag, int at)
{
	struct lifecycle_event e = install_of(tag, at);

	e.authentication_token = e.webhook_verification_token = NULL;
	e.exchange_token = "dex_a";
	e.exchange_token_expires_at = "2026-05-18T15:00:00Z";
	e.exchange_endpoint = "/api/droplet_installations/exchange";
	return (e);
}

struct lifecycle_event
uninstall_of(const char *tag, int at)
{
	struct lifecycle_event e = install_of(tag, at);

	e.installed = false;
	e.name = e.authentication_token = e.webhook_verification_token = NULL;
	e.name_len = 0;
	return (e);
}

enum installation_status
apply(struct world *w, const struct lifecycle_event *e)
{
	enum installation_status status;

	assert_int_equal(state_lock(w->state), 0);
	assert_int_equal(lifecycle_apply(w->state, w->records, e, &status), 0);
	state_unlock(w->state);
	return (status);
}

const char *
record_text(struct world *w, const char *record)
{
	static struct buf texts[2];
	static unsigned next;
	struct buf *text = &texts[next++ % 2];
	char name[NAME_SIZE + 32];

	buf_reset(text);
	snprintf(name, sizeof(name), "state/installations/%s.json", record);
	if (!file_exists(w->directory, name))
		return ("(no record)");
	file_read(w->directory, name, text);
	return (text->data);
}

struct installation *
record_of(struct world *w, const char *record)
{
	return (installation_load(w->state->installations, record));
}

void
check_status(struct world *w, const char *record, enum installation_status want, const char *name)
{
	struct installation *i = record_of(w, record);
	bool left = want == INSTALLATION_UNINSTALLED || want == INSTALLATION_SUPERSEDED;

	CHECK(i != NULL, "%s: no record %s", name, record);
	CHECK(i->status == want, "%s: %s is %s, want %s", name, record,
	    installation_status_name(i->status), installation_status_name(want));
	if (left)
		CHECK(!i->authentication_token && !i->webhook_verification_token &&
			!i->exchange_token && !i->exchange_endpoint &&
			!i->exchange_token_expires_at,
		    "%s: %s kept credentials", name, record);
	if (want == INSTALLATION_ACTIVE)
		CHECK(i->authentication_token != NULL, "%s: %s has no token", name, record);
	installation_free(i);
}

bool
in_state(struct world *w, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "state/%s", name);
	return (file_exists(w->directory, path));
}
