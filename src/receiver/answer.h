#ifndef RECEIVER_ANSWER_H
#define RECEIVER_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* The answer to one request (contract section 3), and what its log line says. */
struct answer {
	int status;
	const char *key;       /* of the body's first member: "error" or "status" */
	const char *word;      /* its value */
	const char *field;     /* a member "field"; or NULL */
	bool names_delivery;   /* with event, delivery and installation */
	char *const *received; /* the names of Fluid's headers among these parameters; or NULL */
	const char *reason;    /* why, for the log alone; or NULL */
};

/* What the answer is about. NULL: none is known, or nothing was stored. */
struct answer_subject {
	const char *event, *installation, *delivery;
};

/** {"error":"..."}. error, reason: static words. */
struct answer answer_error(int status, const char *error, const char *reason);

/** 503 {"error":"unavailable"}: what can recover. */
struct answer answer_unavailable(const char *reason);

/** 422 {"error":"incomplete","field":"..."} */
struct answer answer_incomplete(const char *field);

/** {"status":"ok"} or another word alone. */
struct answer answer_status(int status, const char *word);

/** 200 accepted or 202 pending, with event, delivery and installation. */
struct answer answer_accepted(bool pending);

/** 200 with the names of Fluid's headers among the parameters. */
struct answer answer_probe(char *const *params);

/**
 * The whole answer in CGI form, status line and headers and body (not for HEAD), appended to `out`.
 */
void answer_format(const struct answer *a, const struct answer_subject *about, bool head,
    struct buf *out);

/**
 * What to send: the answer that answer_format() appended, or a 503 where there was no memory for it.
 * Valid as long as `out` is. Sets *len.
 */
const char *answer_text(const struct buf *out, size_t *len);

/** The request's log line. us: how many microseconds it took. request_id may be NULL. */
void answer_log(const struct answer *a, const struct answer_subject *about, const char *request_id,
    int64_t us);

#endif
