#ifndef TESTS_UNIT_LIFECYCLES_H
#define TESTS_UNIT_LIFECYCLES_H

/* A state directory to apply installs and uninstalls to. */

#include "support.h"

#include "store/lifecycle.h"

enum { T0 = 1700000000 };

struct world {
	char *directory;
	struct state *state;
	struct records *records;
};

int world_setup(void **state);
int world_teardown(void **state);

/** Begin with an empty state directory again. */
void world_renew(struct world *w);

/*
 * Events of the installation dri_a: company 42, droplet drp_a, shop Acme. Each call has a body and
 * a delivery id of its own, which follow from `tag`. at: seconds after T0; also when it is
 * received.
 */
struct lifecycle_event install_of(const char *tag, int at);
struct lifecycle_event install_v2_of(const char *tag, int at);
struct lifecycle_event uninstall_of(const char *tag, int at);

/** Apply it under the lock. Returns the status it leaves. */
enum installation_status apply(struct world *w, const struct lifecycle_event *e);

/** The record's file, byte for byte, in one of two buffers used in turn. */
const char *record_text(struct world *w, const char *record);

/** The record, or NULL. The caller frees it. */
struct installation *record_of(struct world *w, const char *record);

/** Check the record's status, and that credentials are there exactly where they may be. */
void check_status(struct world *w, const char *record, enum installation_status want,
    const char *name);

/** Whether state_dir/name is there. */
bool in_state(struct world *w, const char *name);

#endif
