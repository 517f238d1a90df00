#ifndef WORKER_JOB_H
#define WORKER_JOB_H

#include "store/entry.h"
#include "store/state.h"
#include "worker/queue_item.h"

/* One delivery on its way to a hook. */

struct job {
	struct queue_item item;
	struct entry entry; /* as the journal has it; its strings lie in texts */
	struct buf texts;
};

/**
 * Read a journal line; the item has no key yet. Returns 0, or -1 with errno set: EBADMSG if it is no whole entry, or
 * ENOMEM. The caller ends *job.
 */
int job_read(struct job *job, const char *line, size_t len, const struct follow_place *place);

/**
 * Fill in job->item.owner, which is the same for all deliveries of an installation (else of a company, else of a shop),
 * and job->item.key, from what makes two deliveries the same (contract section 6): the droplet; the
 * installation, else the company, else the shop; the event whose hook is to run, job->item.event; the body.
 * Returns 0, or -1 with errno ENOMEM.
 */
int job_identify(struct job *job);

/** The key that versions before 0.2 noted for this delivery. Returns 0, or -1 with errno ENOMEM. */
int job_old_key(const struct job *job, char key[RUNS_KEY_SIZE]);

/**
 * Read the line of an item again, wherever the journal has it now. Returns 0, or -1 with errno set: ENOENT if it has it
 * nowhere, EBADMSG if it is damaged, anything else if it cannot be read now. The caller ends *job.
 */
int job_read_item(struct job *job, int journal, const struct queue_item *item);

void job_free(struct job *job);

enum job_readiness {
	JOB_READY,   /* job->item.event is the hook's event */
	JOB_WAITS,   /* an install whose credentials are not there yet */
	JOB_BEHIND,  /* the record may not say yet what the journal does */
	JOB_ENDED,   /* an install whose installation has ended, or was denied: no hook runs */
	JOB_UNKNOWN, /* the record cannot be read now: errno */
};

/**
 * Whether the hook can run, and for which event: an install's runs once its credentials are there, and
 * one that will never have any becomes fluidhook.install_failed. That is for installs that were verified:
 * an unsigned one that Fluid has not confirmed runs nothing.
 */
enum job_readiness job_ready(struct job *job, const struct state *s);

#endif
