/* The notes of receivers that serve, the markers of records that wait, and small files that are always whole. */
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "store/durable.h"
#include "store/journal_files.h"
#include "store/marker.h"
#include "store/receivers.h"

struct world {
	char *directory;
	struct state *state;
	struct buf seen;
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->directory = directory_make();
	w->state = state_make(path_in(w->directory, "state"));
	*state = w;
	return (0);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	state_close(w->state);
	buf_free(&w->seen);
	directory_remove(w->directory);
	free(w);
	return (0);
}

static void
see(void *user, const char *name, const char *address, bool alive)
{
	struct world *w = user;

	(void)name;
	buf_addf(&w->seen, "%s %s\n", address, alive ? "alive" : "dead");
}

/* The notes as "ADDRESS alive", a line each; kept until the next call. */
static const char *
notes(struct world *w)
{
	buf_reset(&w->seen);
	buf_adds(&w->seen, "");
	assert_int_equal(receivers_each(w->state->dir, see, w), 0);
	return (w->seen.data);
}

static int
listen_unix(const char *path, bool is_abstract)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path + is_abstract, sizeof(addr.sun_path) - 1, "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + is_abstract +
				 strlen(path) + !is_abstract)),
	    0);
	assert_int_equal(listen(fd, 1), 0);
	return (fd);
}

/* Goal: a receiver is noted with the address of its socket while it serves, whatever kind of socket that is. */
static void
test_addresses(void **state)
{
	struct world *w = *state;
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	char want[200], name[80];
	struct receiver_note n;
	int fd;

	CHECK_TEXT(notes(w), "", "none");
	snprintf(name, sizeof(name), "fluidhook-unit-%d", (int)getpid());
	for (int kind = 0; kind < 3; kind++) {
		if (kind == 0) {
			fd = listen_unix(path_in(w->directory, "socket"), false);
			snprintf(want, sizeof(want), "unix:%s/socket alive\n", w->directory);
		} else if (kind == 1) {
			fd = listen_unix(name, true);
			snprintf(want, sizeof(want), "unix:@%s alive\n", name);
		} else {
			fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
			assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
			assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
			snprintf(want, sizeof(want), "127.0.0.1:%u alive\n", ntohs(in.sin_port));
		}
		assert_int_equal(receivers_enter(&n, w->state->dir, fd), 0);
		CHECK_TEXT(notes(w), want, "while it serves");
		receivers_leave(&n);
		receivers_leave(&n);
		CHECK_TEXT(notes(w), "", "after it");
		close(fd);
	}
}

/* Goal: the note of a process that was killed is known as dead, and goes when another one serves the address. */
static void
test_dead_note(void **state)
{
	struct world *w = *state;
	struct receiver_note killed, n;
	int fd = listen_unix(path_in(w->directory, "socket"), false);
	char want[200];

	assert_int_equal(receivers_enter(&killed, w->state->dir, fd), 0);
	/* As at its death: the lock goes, the file stays. */
	close(killed.fd);
	close(killed.dir);
	file_text(w->directory, "state/queue/receivers/9.9", "unix:/elsewhere\n", 0600);
	snprintf(want, sizeof(want), "unix:%s/socket dead\n", w->directory);
	CHECK(strstr(notes(w), want) != NULL, "%s", w->seen.data);
	assert_int_equal(receivers_enter(&n, w->state->dir, fd), 0);
	CHECK(strstr(notes(w), want) == NULL, "%s", w->seen.data);
	CHECK(strstr(w->seen.data, "socket alive\n") &&
		strstr(w->seen.data, "unix:/elsewhere dead\n"),
	    "%s", w->seen.data);
	receivers_leave(&n);
	close(fd);
}

/* Goal: what is no socket cannot be noted, nor can a receiver be without the directory for it. */
static void
test_not_noted(void **state)
{
	struct world *w = *state;
	int fd = listen_unix(path_in(w->directory, "socket"), false);
	struct receiver_note n;

	assert_int_equal(receivers_enter(&n, w->state->dir, w->state->dir), -1);
	assert_int_equal(n.fd, -1);
	assert_int_equal(rmdir(path_in(w->directory, "state/queue/receivers")), 0);
	assert_int_equal(receivers_enter(&n, w->state->dir, fd), -1);
	assert_int_equal(receivers_each(w->state->dir, see, w), -1);
	receivers_leave(&n);
	close(fd);
}

/* Goal: a marker is there once it is set, also twice, and clearing it twice is fine. */
static void
test_marker(void **state)
{
	struct world *w = *state;

	assert_int_equal(marker_set(w->state->pending, "dri_a"), 0);
	assert_int_equal(marker_set(w->state->pending, "dri_a"), 0);
	assert_true(file_exists(w->directory, "state/queue/pending/dri_a"));
	marker_clear(w->state->pending, "dri_a");
	marker_clear(w->state->pending, "dri_a");
	assert_false(file_exists(w->directory, "state/queue/pending/dri_a"));
}

/* Goal: a marker that cannot be set is an error, and one that cannot be cleared is only logged. */
static void
test_marker_fails(void **state)
{
	struct world *w = *state;
	const char *said;

	assert_int_equal(marker_set(-1, "dri_a"), -1);
	assert_int_equal(mkdir(path_in(w->directory, "state/queue/pending/dri_a"), 0700), 0);
	capture_begin();
	marker_clear(w->state->pending, "dri_a");
	said = capture_end();
	CHECK(strstr(said, "dri_a") != NULL, "%s", said);
}

/* Goal: only names of journal files have a number, and they sort as they were written. */
static void
test_journal_names(void **state)
{
	static const struct {
		const char *name;
		long number;
	} cases[] = {
		{ "2026-11-23.jsonl", 0 },
		{ "2026-11-23.1.jsonl", 1 },
		{ "2026-11-23.12.jsonl", 12 },
		{ "2026-11-23.jsonl.tmp", -1 },
		{ "2026-11-23.01.jsonl", -1 },
		{ "2026-11-23.0.jsonl", -1 },
		{ "2026-11-2x.jsonl", -1 },
		{ "2026-11-23", -1 },
		{ "", -1 },
	};
	char name[JOURNAL_NAME_SIZE];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		CHECK(journal_file_number(cases[i].name) == cases[i].number, "%s: %ld",
		    cases[i].name, journal_file_number(cases[i].name));
	assert_true(journal_file_compare("2026-11-23.jsonl", "2026-11-23.1.jsonl") < 0);
	assert_true(journal_file_compare("2026-11-23.10.jsonl", "2026-11-23.9.jsonl") > 0);
	assert_true(journal_file_compare("2026-11-24.jsonl", "2026-11-23.9.jsonl") > 0);
	assert_int_equal(journal_file_compare("2026-11-24.jsonl", "2026-11-24.jsonl"), 0);
	journal_file_name(name, "2026-11-23", 0);
	CHECK_TEXT(name, "2026-11-23.jsonl", "first");
	journal_file_name(name, "2026-11-23", 3);
	CHECK_TEXT(name, "2026-11-23.3.jsonl", "fourth");
}

/* Goal: the files of the journal are listed the oldest first, without what is no journal file. */
static void
test_journal_files(void **state)
{
	static const char *const names[] = { "2026-11-23.10.jsonl", "2026-11-24.jsonl", "notes.txt",
		"2026-11-23.2.jsonl", "2026-11-23.jsonl" };
	static const char *const want[] = { "2026-11-23.jsonl", "2026-11-23.2.jsonl",
		"2026-11-23.10.jsonl", "2026-11-24.jsonl" };
	struct world *w = *state;
	char(*files)[JOURNAL_NAME_SIZE];
	size_t n;

	for (size_t i = 0; i < LENGTH(names); i++)
		file_text(path_in(w->directory, "state/journal"), names[i], "", 0600);
	files = journal_files(w->state->journal, &n);
	assert_non_null(files);
	assert_int_equal(n, LENGTH(want));
	for (size_t i = 0; i < n; i++)
		CHECK_TEXT(files[i], want[i], "order");
	free(files);
	assert_null(journal_files(-1, &n));
	assert_int_equal(n, 0);
}

/* Goal: a file is replaced as a whole, with its mode, also over what a crash left; no link is followed. */
static void
test_replace(void **state)
{
	struct world *w = *state;
	struct buf text = { 0 };
	struct stat st;
	int dir = open(w->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	file_text(w->directory, "target", "outside", 0600);
	assert_int_equal(symlink("target", path_in(w->directory, "file")), 0);
	assert_int_equal(durable_replace(dir, "file", "one", 3, 0640), 0);
	assert_int_equal(durable_replace(dir, "file", "two!", 4, 0640), 0);
	file_read(w->directory, "file", &text);
	CHECK_TEXT(text.data, "two!", "file");
	assert_int_equal(lstat(path_in(w->directory, "file"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0640);
	buf_reset(&text);
	file_read(w->directory, "target", &text);
	CHECK_TEXT(text.data, "outside", "target");
	/* state, target, file: nothing else is left. */
	assert_int_equal(directory_count(w->directory), 3);
	assert_int_equal(mkdir(path_in(w->directory, "place"), 0700), 0);
	assert_int_equal(durable_replace(dir, "place", "x", 1, 0600), -1);
	assert_int_equal(directory_count(w->directory), 4);
	close(dir);
	buf_free(&text);
}

/* Goal: a directory is made once, and what is no directory is an error. */
static void
test_make_directory(void **state)
{
	struct world *w = *state;
	int dir = open(w->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;
	struct stat st;

	assert_int_not_equal(fd = durable_directory(dir, "new"), -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	close(fd);
	assert_int_not_equal(fd = durable_directory(dir, "new"), -1);
	close(fd);
	file_text(w->directory, "file", "", 0600);
	assert_int_equal(durable_directory(dir, "file"), -1);
	assert_int_equal(errno, ENOTDIR);
	close(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_note, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_noted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_marker, setup, teardown),
		cmocka_unit_test_setup_teardown(test_marker_fails, setup, teardown),
		cmocka_unit_test(test_journal_names),
		cmocka_unit_test_setup_teardown(test_journal_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_make_directory, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
