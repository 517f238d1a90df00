#ifndef TESTS_UNIT_SUPPORT_H
#define TESTS_UNIT_SUPPORT_H

/* What the unit tests share: temporary directories, files in them, configurations, bodies. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/conf.h"
#include "delivery/delivery.h"
#include "store/state.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Fails the test with a message that says which case of a table it was, on the real standard error. */
#define CHECK(condition, ...) \
	do { \
		if (!(condition)) { \
			stderr_restore(); \
			print_error("%s\n", #condition); \
			fail_msg(__VA_ARGS__); \
		} \
	} while (0)

/* Like assert_string_equal(), where either may be NULL; names the case. */
#define CHECK_TEXT(got, want, name) \
	CHECK(text_same(got, want), "%s: got \"%s\", want \"%s\"", name, or_none(got), \
	    or_none(want))

/**
 * From now on the permissions of files apply to this process, also if it is root's: its capabilities to pass them
 * over are dropped. For the beginning of main().
 */
void permissions_apply(void);

bool text_same(const char *a, const char *b);
const char *or_none(const char *s);

/** A fresh temporary directory, with no symbolic link in its name. Freed by directory_remove(). */
char *directory_make(void);

/** Remove it with all it holds, whatever the modes. NULL is fine. */
void directory_remove(char *path);

/** directory/name, in one of a few static buffers used in turn. */
const char *path_in(const char *directory, const char *name);

void file_write(const char *directory, const char *name, const void *data, size_t len, mode_t mode);
void file_text(const char *directory, const char *name, const char *text, mode_t mode);

/** A file's whole contents, appended to out. Fails the test where there is none. */
void file_read(const char *directory, const char *name, struct buf *out);

bool file_exists(const char *directory, const char *name);

/** How many entries a directory has beside . and .. */
size_t directory_count(const char *path);

/**
 * A configuration file called fluidhook.conf with this text, loaded. Fails the test where it is
 * wrong.
 */
struct conf *conf_make(const char *directory, const char *text);

/** Make a state directory there, as `fluidhook init` does, and open it. Fails the test if that fails. */
struct state *state_make(const char *path);

/** Parse a body in one piece. The caller frees it; whether it is well-formed it tells itself. */
struct delivery *delivery_of(const void *body, size_t len);

/** The text with every ' replaced by ", in a buffer that is kept until the next call. */
const char *quoted(const char *text);

/** From now on standard error goes into directory/name; stderr_restore() takes it back. */
void stderr_capture(const char *directory, const char *name);
void stderr_restore(void);

/**
 * From now on standard output and standard error are kept. capture_end() takes them back and returns all that was
 * written, which it keeps until the next call. Nothing between the two may fail the test.
 */
void capture_begin(void);
const char *capture_end(void);

#endif
