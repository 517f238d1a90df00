#ifndef BASE_JSON_MEMORY_H
#define BASE_JSON_MEMORY_H

#include <setjmp.h>
#include <yajl/yajl_common.h>

/*
 * The memory of one yajl parser. yajl 2.1 does not check whether an allocation failed. Therefore a
 * failed one leaves yajl by a long jump, to where yajl was called from. Nothing of ours is in between,
 * as yajl allocates nothing while it calls back. All its memory is known here, so that nothing is lost.
 *
 *	if (setjmp(m->failure))
 *		... out of memory: the parser must not be used again
 *	yajl_parse(...)
 */
struct json_memory {
	yajl_alloc_funcs functions; /* for yajl_alloc() */
	jmp_buf failure;
	struct json_block *blocks;
};

void json_memory_init(struct json_memory *m);

/** Free all that the parser has, in place of yajl_free(). */
void json_memory_free(struct json_memory *m);

#endif
