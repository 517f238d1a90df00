#include "base/json_memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

/* In front of each piece of `own`: its size. */
struct json_piece {
	size_t size;
	max_align_t data[];
};

static bool
is_own(const struct json_memory *m, const void *data)
{
	return ((uintptr_t)data >= (uintptr_t)m->own &&
	    (uintptr_t)data < (uintptr_t)m->own + sizeof(m->own));
}

static struct json_piece *
piece_of(void *data)
{
	return ((struct json_piece *)((char *)data - offsetof(struct json_piece, data)));
}

/* Bytes of a piece of this size with what is in front of it. 0: it does not fit into so many bytes. */
static size_t
size_in_own(size_t size, size_t left)
{
	const size_t unit = _Alignof(max_align_t), head = sizeof(struct json_piece);

	if (left < head || size > left - head || left - head - size < unit - 1)
		return (0);
	return ((head + size + unit - 1) / unit * unit);
}

/* A piece of `own`, behind the others. NULL: no room. */
static void *
get_own(struct json_memory *m, size_t size)
{
	struct json_piece *p = (struct json_piece *)(void *)(m->own + m->used);
	size_t whole = size_in_own(size, sizeof(m->own) - m->used);

	if (whole == 0)
		return (NULL);
	p->size = size;
	m->last = m->used;
	m->used += whole;
	return (p->data);
}

/* The newest piece can grow where it is. Returns whether it did. */
static bool
resize_own(struct json_memory *m, struct json_piece *p, size_t size)
{
	size_t whole;

	if ((char *)p != m->own + m->last || m->last == m->used ||
	    (whole = size_in_own(size, sizeof(m->own) - m->last)) == 0)
		return (false);
	p->size = size;
	m->used = m->last + whole;
	return (true);
}

static void *
get(void *ctx, size_t size)
{
	struct json_memory *m = ctx;
	struct json_block *b = NULL;
	void *data;

	if ((data = get_own(m, size)) != NULL)
		return (data);
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
	struct json_piece *p;
	void *moved;

	if (data == NULL)
		return (get(ctx, size));
	if (is_own(m, data)) {
		p = piece_of(data);
		if (resize_own(m, p, size))
			return (data);
		moved = get(ctx, size);
		memcpy(moved, data, p->size < size ? p->size : size);
		return (moved);
	}
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
	struct json_memory *m = ctx;

	if (data == NULL)
		return;
	if (is_own(m, data)) {
		/* Only the newest piece leaves room for another. */
		if ((char *)piece_of(data) == m->own + m->last)
			m->used = m->last;
		return;
	}
	take_out(m, block_of(data));
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
	m->used = m->last = 0;
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
	/* Parts of a body, with its tokens. */
	explicit_bzero(m->own, m->used);
	m->used = m->last = 0;
}
