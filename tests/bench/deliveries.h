#ifndef BENCH_DELIVERIES_H
#define BENCH_DELIVERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The deliveries that tests/bench/load posts: HTTP requests, each with its own id and signature. */

enum {
	DELIVERY_SIZE_MIN = 450, /* of an event's body */
	DELIVERY_SIZE_MAX = 1 << 20,
	DELIVERY_HEAD_MAX = 1024,    /* the request line and the headers are shorter */
	DELIVERY_INSTALL_MAX = 1024, /* so is the body of an install */
};

struct deliveries {
	const char *path;
	size_t size;                 /* of an event's body */
	unsigned long installations; /* an event is of one of these, at random */
	bool in_order;               /* or of one after the other */
	bool install;                /* post installs, not events */
	unsigned long company;       /* installs are of this one; 0: each of its own */
	char secret[256];            /* with which installs are signed */
	bool plain_mac;              /* also a signature of the body alone, as GitHub sends it */
	char *tail;                  /* what the bodies of all events end with */
};

/** Make the part that all bodies share. 0, or -1: ENOMEM. */
int deliveries_prepare(struct deliveries *d);

/**
 * Write the request that posts delivery id, a number of ten digits, and return its length. out has
 * room for DELIVERY_HEAD_MAX bytes and the larger of d->size and DELIVERY_INSTALL_MAX.
 */
size_t deliveries_write(const struct deliveries *d, char *out, uint64_t id);

#endif
