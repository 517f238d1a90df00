#include "worker/outcome.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "store/lifecycle.h"
#include "store/lifecycle_fluid.h"
#include "store/marker.h"

/* Replace the record in the space that was set aside. Its index entries are there already, or come later. */
static int
save_reserved(const struct resolving *s, const struct installation *i)
{
	struct buf text = { 0 };
	char file[NAME_SIZE + 8];
	int result = -1;

	snprintf(file, sizeof(file), "%s.json", i->record);
	if (installation_json(i, &text) == 0)
		result = reserve_use(s->reserve, s->state->installations, file, text.data,
		    text.len);
	buf_wipe(&text);
	return (result);
}

static int
end_save(const struct resolving *s, const struct installation *i, int result)
{
	if (result && s->reserve)
		result = save_reserved(s, i);
	if (result)
		log_errno(LOG_LEVEL_ERROR, "record cannot be written", "record", i->record, NULL);
	return (result);
}

int
outcome_save(const struct resolving *s, struct installation *i)
{
	clock_gettime(CLOCK_REALTIME, &i->updated_at);
	return (end_save(s, i, lifecycle_save(s->state, i)));
}

enum resolved
outcome_fail(const struct resolving *s, struct installation *i, const char *reason, const char *why,
    const char *todo)
{
	if (i->status == INSTALLATION_ACTIVE) {
		log_line(LOG_LEVEL_WARN, "exchange token given up, the credentials at hand stay",
		    "installation", i->record, "reason", reason, "why", why, NULL);
	} else {
		log_line(LOG_LEVEL_ERROR, "installation failed", "installation", i->record,
		    "reason", reason, "why", why, "todo", todo, NULL);
	}
	return (lifecycle_fail(i, reason) || outcome_save(s, i) ? RESOLVE_LATER : RESOLVED);
}

enum resolved
outcome_remove(const struct resolving *s, const struct installation *i, const char *msg,
    const char *why)
{
	if (lifecycle_remove(s->state, i)) {
		log_errno(LOG_LEVEL_ERROR, "record cannot be removed", "record", i->record, NULL);
		return (RESOLVE_LATER);
	}
	log_line(LOG_LEVEL_WARN, msg, "installation", i->record, "why", why, NULL);
	return (RESOLVED);
}

int
outcome_note_active(const struct resolving *s, const char *record)
{
	if (marker_set(s->became_active, record) == 0)
		return (0);
	log_errno(LOG_LEVEL_ERROR, "record cannot be noted", "record", record, NULL);
	return (-1);
}

int
outcome_complete(const struct resolving *s, struct installation *i)
{
	if (lifecycle_complete(s->state, i) == 0)
		return (0);
	log_errno(LOG_LEVEL_ERROR, "active installation not completed", "installation", i->record,
	    NULL);
	return (-1);
}

/*
 * The credentials are on disk before anything else happens. A marker says already that the record may
 * become active, so that what is not done here is done later.
 */
enum resolved
outcome_active(const struct resolving *s, struct installation *i)
{
	lifecycle_activate(i);
	clock_gettime(CLOCK_REALTIME, &i->updated_at);
	if (end_save(s, i, installation_save(s->state->installations, i)))
		return (RESOLVE_LATER);
	log_line(LOG_LEVEL_INFO, "installation active", "installation", i->record, NULL);
	outcome_complete(s, i);
	return (RESOLVED);
}

enum resolved
outcome_load(const struct resolving *s, const char *record, struct installation **i)
{
	if ((*i = installation_load(s->state->installations, record)) == NULL) {
		if (errno == ENOENT)
			return (RESOLVE_NOTHING);
		log_errno(LOG_LEVEL_ERROR, "record cannot be read", "record", record, NULL);
		return (RESOLVE_LATER);
	}
	if ((*i)->status == INSTALLATION_PENDING || (*i)->status == INSTALLATION_UNCONFIRMED ||
	    (*i)->status == INSTALLATION_ACTIVE)
		return (RESOLVED);
	log_line(LOG_LEVEL_WARN, "installation ended while Fluid was asked", "installation", record,
	    "status", installation_status_name((*i)->status), NULL);
	return (RESOLVE_NOTHING);
}
