#ifndef BASE_JSON_MEMORY_H
#define BASE_JSON_MEMORY_H

#include <setjmp.h>
#include <stddef.h>
#include <yajl/yajl_common.h>

/*
 * The memory of one yajl parser. yajl 2.1 does not check whether an allocation failed. Therefore a
 * failed one leaves yajl by a long jump, to where yajl was called from. Nothing of ours is in between,
 * as yajl allocates nothing while it calls back. All its memory is known here, so that nothing is lost.
 *
 *	if (setjmp(m->failure))
 *		... out of memory: the parser must not be used again
 *	yajl_parse(...)
 *
 * A parser of an ordinary delivery needs no more than `own`, so that it costs no allocation of its own.
 */
enum { JSON_MEMORY_OWN = 6 * 1024 };

struct json_memory {
	yajl_alloc_funcs functions; /* for yajl_alloc() */
	jmp_buf failure;
	struct json_block *blocks; /* what did not fit into `own` */
	size_t used, last;         /* of `own`: bytes in use, and where the newest piece begins */
	_Alignas(max_align_t) char own[JSON_MEMORY_OWN];
};

void json_memory_init(struct json_memory *m);

/** Free all that the parser has, in place of yajl_free(). */
void json_memory_free(struct json_memory *m);

#endif
