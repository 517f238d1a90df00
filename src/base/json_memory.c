#include "base/json_memory.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* In front of each piece of memory: its neighbours among all pieces. */
struct json_block {
	struct json_block *next, *prev;
	max_align_t data[];
};

static struct json_block *
block_of(void *data)
{
	return ((struct json_block *)((char *)data - offsetof(struct json_block, data)));
}

/* Put a block where the list begins. */
static void *
add(struct json_memory *m, struct json_block *b)
{
	b->prev = NULL;
	b->next = m->blocks;
	if (b->next)
		b->next->prev = b;
	m->blocks = b;
	return (b->data);
}

static void
take_out(struct json_memory *m, struct json_block *b)
{
	if (b->prev)
		b->prev->next = b->next;
	else
		m->blocks = b->next;
	if (b->next)
		b->next->prev = b->prev;
}

static void *
get(void *ctx, size_t size)
{
	struct json_memory *m = ctx;
	struct json_block *b = NULL;

	if (size <= SIZE_MAX - sizeof(*b))
		b = malloc(sizeof(*b) + size);
	if (b == NULL)
		longjmp(m->failure, 1);
	return (add(m, b));
}

static void *
resize(void *ctx, void *data, size_t size)
{
	struct json_memory *m = ctx;
	struct json_block *b, *larger = NULL;

	if (data == NULL)
		return (get(ctx, size));
	b = block_of(data);
	take_out(m, b);
	if (size <= SIZE_MAX - sizeof(*b))
		larger = realloc(b, sizeof(*b) + size);
	if (larger == NULL) {
		add(m, b);
		longjmp(m->failure, 1);
	}
	return (add(m, larger));
}

static void
release(void *ctx, void *data)
{
	if (data == NULL)
		return;
	take_out(ctx, block_of(data));
	free(block_of(data));
}

void
json_memory_init(struct json_memory *m)
{
	m->functions = (yajl_alloc_funcs){ .malloc = get,
		.realloc = resize,
		.free = release,
		.ctx = m };
	m->blocks = NULL;
}

void
json_memory_free(struct json_memory *m)
{
	struct json_block *b, *next;

	for (b = m->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	m->blocks = NULL;
}
