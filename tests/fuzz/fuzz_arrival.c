/*
 * Fuzzing of the look at FastCGI records that decides when a request has arrived. The first byte of an input is the
 * size of the steps in which the rest arrives. The outcome must not depend on the steps.
 */
#include <string.h>

#include "fuzz.h"
#include "receiver/arrival.h"

/* What arrival_scan() says of data that arrives in steps, and where it ends. */
static enum arrived
scan(const char *data, size_t len, size_t step, struct arrival *a)
{
	enum arrived result = ARRIVED_PART;
	size_t there = 0;

	*a = (struct arrival){ 0 };
	while (result == ARRIVED_PART && there < len) {
		there += step < len - there ? step : len - there;
		result = arrival_scan(a, data, there);
		HOLDS(result != ARRIVED_WHOLE || (a->at <= there && a->id != 0));
		HOLDS(a->params <= PARAMS_MAX || result == ARRIVED_BROKEN);
		HOLDS(a->body <= a->at);
	}
	return (result);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arrival whole, steps;
	enum arrived result;
	char *copy;

	if (size < 2)
		return (0);
	/* A copy of its own size, so that the sanitizer sees a read beyond it. */
	copy = malloc(size - 1);
	HOLDS(copy);
	memcpy(copy, data + 1, size - 1);
	result = scan(copy, size - 1, size - 1, &whole);
	HOLDS(scan(copy, size - 1, data[0] ? data[0] : 1, &steps) == result);
	if (result == ARRIVED_WHOLE)
		HOLDS(whole.at == steps.at && whole.body == steps.body);
	free(copy);
	return (0);
}
