#ifndef RECEIVER_DECIDE_H
#define RECEIVER_DECIDE_H

#include "receiver/answer.h"
#include "receiver/intake.h"

/* What to do with a delivery that was judged. Looks at nothing but the intake (contract section 3). */

enum action {
	ACTION_ANSWER, /* as the decision says; nothing is stored */
	ACTION_ACCEPT,
	ACTION_ACCEPT_APPLIED,  /* an install that was applied before */
	ACTION_ACCEPT_UNSIGNED, /* an install that is to be confirmed */
	ACTION_KEEP,            /* refuse it, and keep it until its key has come */
};

struct decision {
	enum action action;
	struct answer answer; /* of ACTION_ANSWER and ACTION_KEEP */
};

struct decision decide(const struct intake *in);

#endif
