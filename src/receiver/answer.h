#ifndef RECEIVER_ANSWER_H
#define RECEIVER_ANSWER_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/name.h"
#include "base/uuid.h"
#include "delivery/event.h"

/* The answer to one request (contract section 3), and what its log line says. */
struct answer {
	int status;
	struct buf body;              /* one line of JSON */
	const char *reason;           /* why, for the log alone; static, or NULL */
	char event[EVENT_SIZE];       /* "" where none is known */
	char installation[NAME_SIZE]; /* "" for null */
	char delivery[UUID_SIZE];     /* "" where nothing was stored */
};

/** {"error":"..."}. error: a static word. Replaces what the answer said before. */
void answer_error(struct answer *a, int status, const char *error);

/** 422 {"error":"incomplete","field":"..."} */
void answer_incomplete(struct answer *a, const char *field);

/** {"status":"ok"} or another word alone. */
void answer_status(struct answer *a, int status, const char *word);

/** 200 accepted or 202 pending, with the answer's event, delivery and installation. */
void answer_taken(struct answer *a, bool pending);

/** 200 with the names of Fluid's headers among the parameters. */
void answer_probe(struct answer *a, char *const *params);

/**
 * The whole answer in CGI form, status line and headers and body (not for HEAD), appended to `out`.
 */
void answer_format(const struct answer *a, bool head, struct buf *out);

/**
 * What to send: the answer that answer_format() appended, or a 503 where there was no memory for it.
 * Valid as long as `out` is. Sets *len.
 */
const char *answer_text(const struct buf *out, size_t *len);

/** The request's log line. ms: how long it took. request_id may be NULL. */
void answer_log(const struct answer *a, const char *request_id, double ms);

void answer_free(struct answer *a);

#endif
