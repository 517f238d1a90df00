#ifndef RECEIVER_HANDLE_H
#define RECEIVER_HANDLE_H

#include "base/buf.h"
#include "receiver/intake.h"
#include "receiver/receiver.h"
#include "receiver/request.h"

/**
 * Handle one request from its first byte to its log line. The answer, in the form that CGI and FastCGI
 * both want, is appended to `out`; it is for the caller to send. A 2xx is in there only when the
 * delivery is on stable storage. Safe from several threads.
 */
void handle(struct receiver *r, struct request *q, struct buf *out);

/*
 * The same in steps, for threads that go on with other requests instead of waiting for the disk. Each step
 * may be another thread's.
 */

/* One request on its way through. The caller sets the first group, and keeps it where it is. */
struct handling {
	struct receiver *receiver;
	struct request *request;
	struct buf *out;
	/* called by the thread that has committed the line */
	void (*committed)(struct handling *h);

	struct intake in;
	bool judged, in_journal;
	int64_t begun_ns;
};

enum handled {
	HANDLED,          /* the answer is in `out`, and nothing is left to do */
	HANDLED_IN_BATCH, /* handle_submit() is next */
	HANDLED_SLOW, /* what is left has to wait: handle_slow() is next, where that does no harm */
};

/** may_wait: do all of it now. */
enum handled handle_begin(struct handling *h, bool may_wait);

/** Into the batch of the journal. From here on the handling belongs to who calls h->committed(). */
void handle_submit(struct handling *h);

/** After h->committed() was called. */
enum handled handle_committed(struct handling *h);

void handle_slow(struct handling *h);

#endif
