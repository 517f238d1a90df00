#include "worker/runs_memory.h"

#include <stdlib.h>
#include <string.h>

#include <nettle/sha2.h>

#include "worker/target.h"

enum { SLOTS_MIN = 256 };

void
digest_of(unsigned char digest[DIGEST_LEN], const char *what, const char *target)
{
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, strlen(what), (const uint8_t *)what);
	if (*target && !target_is_most_specific(target)) {
		sha256_update(&ctx, 1, (const uint8_t *)"");
		sha256_update(&ctx, strlen(target), (const uint8_t *)target);
	}
	sha256_digest(&ctx, DIGEST_LEN, digest);
}

/* Its slot, or the free one where it would be. NULL where the set has no slots. */
static struct digest_slot *
slot_of(const struct digest_set *s, const unsigned char digest[DIGEST_LEN])
{
	struct digest_slot *slot;
	size_t at;

	if (s->cap == 0)
		return (NULL);
	memcpy(&at, digest, sizeof(at));
	for (;; at++) {
		slot = &s->slots[at & (s->cap - 1)];
		if (slot->result == RUNS_NOT || memcmp(slot->digest, digest, DIGEST_LEN) == 0)
			return (slot);
	}
}

static int
grow(struct digest_set *s)
{
	struct digest_set larger = { .cap = s->cap ? 2 * s->cap : SLOTS_MIN, .n = s->n };

	if ((larger.slots = calloc(larger.cap, sizeof(*larger.slots))) == NULL)
		return (-1);
	for (size_t i = 0; i < s->cap; i++)
		if (s->slots[i].result != RUNS_NOT)
			*slot_of(&larger, s->slots[i].digest) = s->slots[i];
	free(s->slots);
	*s = larger;
	return (0);
}

enum runs_result
digest_set_find(const struct digest_set *s, const unsigned char digest[DIGEST_LEN])
{
	const struct digest_slot *slot = slot_of(s, digest);

	return (slot ? (enum runs_result)slot->result : RUNS_NOT);
}

int
digest_set_add(struct digest_set *s, const char *what, const char *target, enum runs_result result)
{
	unsigned char digest[DIGEST_LEN];
	struct digest_slot *slot;

	if (4 * (s->n + 1) > 3 * s->cap && grow(s))
		return (-1);
	digest_of(digest, what, target);
	slot = slot_of(s, digest);
	if (slot->result == RUNS_NOT)
		s->n++;
	memcpy(slot->digest, digest, DIGEST_LEN);
	slot->result = (unsigned char)result;
	return (0);
}

void
digest_set_free(struct digest_set *s)
{
	free(s->slots);
	*s = (struct digest_set){ .n = 0 };
}
