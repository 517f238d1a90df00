/* Log lines and what is escaped in them (contract section 7). No extra link flags. */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <regex.h>

#include "base/log.h"

struct logged {
	char *folder;
	struct buf text;
};

static int
setup(void **state)
{
	struct logged *l = calloc(1, sizeof(*l));

	l->folder = folder_make();
	stderr_capture(l->folder, "log");
	*state = l;
	return (0);
}

static int
teardown(void **state)
{
	struct logged *l = *state;

	stderr_restore();
	log_open("test", false, LOG_LEVEL_INFO);
	folder_remove(l->folder);
	buf_free(&l->text);
	free(l);
	return (0);
}

/* What was logged so far. */
static const char *
lines(struct logged *l)
{
	buf_reset(&l->text);
	stderr_restore();
	file_read(l->folder, "log", &l->text);
	return (l->text.data);
}

static bool
like(const char *text, const char *pattern)
{
	regex_t re;
	bool match;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	match = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return (match);
}

/*
 * Goal: one event is one line of key=value, with time and level, and pairs without a value left
 * out.
 */
static void
test_shape(void **state)
{
	const char *text;

	log_line(LOG_LEVEL_INFO, "answer", "status", "200", "event", NULL, "ms", "0.512", NULL);
	text = lines(*state);
	CHECK(like(text,
		  "^time=[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{6}Z level=info "
		  "msg=answer status=200 ms=0\\.512\n$"),
	    "%s", text);
}

/* Goal: bytes that could forge a pair, a line or a terminal's command are escaped. */
static void
test_escaping(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
		{ "plain-1._:/+@,%", "v=plain-1._:/+@,%\n" },
		{ "", "v=\"\"\n" },
		{ "two words", "v=\"two words\"\n" },
		{ "a=b", "v=\"a=b\"\n" },
		{ "quote\"back\\slash", "v=\"quote\\\"back\\\\slash\"\n" },
		{ "line\nlevel=error", "v=\"line\\x0alevel=error\"\n" },
		{ "\r\t\x1b[2J\x7f", "v=\"\\x0d\\x09\\x1b[2J\\x7f\"\n" },
		{ "\xc3\xa9\xff", "v=\"\\xc3\\xa9\\xff\"\n" },
	};
	const char *text, *at;

	for (size_t i = 0; i < LENGTH(cases); i++)
		log_line(LOG_LEVEL_INFO, "m", "v", cases[i].value, NULL);
	at = text = lines(*state);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		at = strstr(at, " v=");
		CHECK(at && strncmp(at + 1, cases[i].want, strlen(cases[i].want)) == 0,
		    "case %zu: want %s in %s", i, cases[i].want, text);
		at++;
	}
}

/* Goal: long values are cut, and no number of them makes a line overflow or lose its end. */
static void
test_bounds(void **state)
{
	static char big[100000];
	const char *text;

	memset(big, 'a', sizeof(big) - 1);
	log_line(LOG_LEVEL_INFO, "m", "v", big, "next", "here", NULL);
	memset(big, '\n', sizeof(big) - 1);
	log_line(LOG_LEVEL_INFO, big, "a", big, "b", big, "c", big, "d", big, "e", big, "f", big,
	    NULL);
	text = lines(*state);
	CHECK(like(text, " v=\"a{256}\\.\\.\\.\" next=here\n"), "%.400s", text);
	assert_true(strlen(text) < 8192);
	assert_ptr_equal(strrchr(text, '\n'), text + strlen(text) - 1);
	text = strchr(text, '\n') + 1;
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

/* Goal: what is less important than the chosen level is not written, the rest is. */
static void
test_levels(void **state)
{
	log_open("test", false, LOG_LEVEL_WARN);
	log_line(LOG_LEVEL_DEBUG, "one", NULL);
	log_line(LOG_LEVEL_INFO, "two", NULL);
	log_line(LOG_LEVEL_WARN, "three", NULL);
	log_line(LOG_LEVEL_ERROR, "four", NULL);
	assert_true(
	    like(lines(*state), "^[^\n]*level=warn msg=three\n[^\n]*level=error msg=four\n$"));
}

/* Goal: log_errno says what errno was, and neither call changes it. */
static void
test_errno(void **state)
{
	errno = ENOENT;
	log_errno(LOG_LEVEL_ERROR, "m", "file", "x", NULL);
	assert_int_equal(errno, ENOENT);
	errno = EEXIST;
	log_line(LOG_LEVEL_ERROR, "m", NULL);
	assert_int_equal(errno, EEXIST);
	assert_true(like(lines(*state), "file=x error=\"No such file or directory\"\n"));
}

static void *
write_many(void *arg)
{
	for (int i = 0; i < 500; i++)
		log_line(LOG_LEVEL_INFO, "thread", "v", arg, NULL);
	return (NULL);
}

/* Goal: lines of several threads do not run into each other. */
static void
test_threads(void **state)
{
	pthread_t threads[4];
	size_t n = 0;

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, "some words"), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (char *at = strtok((char *)(uintptr_t)lines(*state), "\n"); at;
	     at = strtok(NULL, "\n")) {
		CHECK(like(at, "^time=[^ ]* level=info msg=thread v=\"some words\"$"), "%s", at);
		n++;
	}
	assert_int_equal(n, 2000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_shape, setup, teardown),
		cmocka_unit_test_setup_teardown(test_escaping, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errno, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
