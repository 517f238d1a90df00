/*
 * Fuzzing of the parser of deliveries. The first byte of an input says how the rest is cut into the
 * pieces that are fed. The outcome must be the same for every cut.
 */
#include <stdint.h>
#include <string.h>

#include "delivery/delivery.h"
#include "fuzz.h"

/* Feed the body in pieces: how = 0 whole, 1 to 127 pieces of that size, else of sizes that vary. */
static struct delivery *
parse(const char *body, size_t len, unsigned how)
{
	struct delivery *d = delivery_new();
	size_t piece = how ? how : len, at = 0;

	HOLDS(d);
	while (at < len) {
		if (how >= 128)
			piece = 1 + (piece * 31 + how) % 17;
		if (piece > len - at)
			piece = len - at;
		delivery_feed(d, body + at, piece);
		at += piece;
	}
	delivery_feed(d, "", 0);
	HOLDS((delivery_finish(d) == 0) == delivery_is_well_formed(d));
	return (d);
}

static bool
same_text(const char *a, const char *b)
{
	return (a && b ? strcmp(a, b) == 0 : a == b);
}

static void
check_same(const struct delivery *a, const struct delivery *b)
{
	char one[NAME_SIZE], two[NAME_SIZE];

	HOLDS(delivery_is_well_formed(a) == delivery_is_well_formed(b));
	if (!delivery_is_well_formed(a))
		return;
	HOLDS(same_text(delivery_event(a), delivery_event(b)));
	HOLDS(delivery_is_lifecycle(a) == delivery_is_lifecycle(b));
	HOLDS(same_text(delivery_incomplete(a), delivery_incomplete(b)));
	HOLDS(delivery_record(a, one) == delivery_record(b, two));
	if (delivery_record(a, one) == 0)
		HOLDS(strcmp(one, two) == 0 && name_is_safe(one, strlen(one)));
	for (int f = 0; f < N_DELIVERY_FIELDS; f++) {
		struct delivery_value v = delivery_value(a, (enum delivery_field)f);
		struct delivery_value w = delivery_value(b, (enum delivery_field)f);

		HOLDS(v.present == w.present && v.kind == w.kind && !v.text == !w.text);
		if (v.text)
			HOLDS(v.len == w.len && memcmp(v.text, w.text, v.len + 1) == 0);
	}
}

/* What holds for any delivery, well-formed or not. */
static void
check(const struct delivery *d)
{
	const char *event = delivery_event(d);
	char name[NAME_SIZE];

	HOLDS(!event || (strlen(event) <= EVENT_MAX_LEN && strchr(event, '.')));
	for (int f = 0; f < N_DELIVERY_FIELDS; f++) {
		const char *text = delivery_text(d, (enum delivery_field)f);

		HOLDS(!text || *text);
	}
	delivery_company_id(d, true);
	delivery_company_id(d, false);
	/* What is complete has a name for its record, and an install something to work with. */
	if (delivery_is_well_formed(d) && delivery_is_lifecycle(d) &&
	    delivery_incomplete(d) == NULL) {
		HOLDS(delivery_record(d, name) == 0);
		HOLDS(strcmp(event, "droplet.uninstalled") == 0 ||
		    delivery_text(d, COMPANY_AUTHENTICATION_TOKEN) ||
		    delivery_text(d, CREDENTIALS_TOKEN));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct delivery *whole, *cut;

	if (size == 0)
		return (0);
	whole = parse((const char *)data + 1, size - 1, 0);
	cut = parse((const char *)data + 1, size - 1, data[0]);
	check(whole);
	check(cut);
	check_same(whole, cut);
	delivery_free(whole);
	delivery_free(cut);
	return (0);
}
