#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

/**
 * A growable run of bytes. {0} is an empty one. After an allocation failure `failed` stays set and
 * further additions do nothing, so that a whole sequence of additions needs one check at its end.
 * data is NUL-terminated behind its len bytes whenever it is not NULL.
 */
struct buf {
	char *data;
	size_t len;
	size_t cap;
	bool failed;
};

/** Make room for `more` further bytes. Returns 0, or -1 with errno ENOMEM. */
int buf_reserve(struct buf *b, size_t more);

void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Add bytes as lower-case hexadecimal digits. */
void buf_add_hex(struct buf *b, const void *data, size_t len);

/** Forget the contents, keep the memory. */
void buf_reset(struct buf *b);

void buf_free(struct buf *b);

/** buf_free() for contents that were secret: the memory is overwritten first. */
void buf_wipe(struct buf *b);

/** Overwrite and free a NUL-terminated secret. NULL is fine. */
void secret_free(char *s);

#endif
