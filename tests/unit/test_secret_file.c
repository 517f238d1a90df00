/* A droplet's file of secrets as the commands change it, and the notes beside it. */
#include "support.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/lib/registered.h"
#include "cli/lib/rotation.h"
#include "cli/lib/secret_arg.h"
#include "cli/lib/secret_file.h"
#include "cli/lib/secret_note.h"

static const char one[] = "111111111111", two[] = "222222222222", three[] = "333333333333";

struct world {
	char *directory, *path; /* path: of the file of secrets, which is not there */
	struct conf *conf;
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->directory = directory_make();
	w->conf = conf_make(w->directory, "state_dir = state\n[droplet]\nsecrets = secrets\n");
	w->path = strdup(path_in(w->directory, "secrets"));
	*state = w;
	return (0);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	conf_free(w->conf);
	free(w->path);
	directory_remove(w->directory);
	free(w);
	return (0);
}

/* What a file holds, in a buffer that is kept until the next call. */
static const char *
text_of(const struct world *w, const char *name)
{
	static struct buf text;

	buf_reset(&text);
	file_read(w->directory, name, &text);
	return (text.len ? text.data : "");
}

/* Add or remove one, and check the status and what was said (a part of it; "": nothing). */
static void
add(const struct world *w, const char *secret, int want, const char *said)
{
	const char *text;
	int result;

	capture_begin();
	result = secret_file_add(w->conf, w->path, secret);
	text = capture_end();
	CHECK(result == want && (*said ? strstr(text, said) != NULL : !*text), "%s: %d, %s", secret,
	    result, text);
}

static void
take(const struct world *w, const char *secret, bool last_too, int want, const char *said)
{
	const char *text;
	int result;

	capture_begin();
	result = secret_file_remove(w->conf, w->path, secret, last_too);
	text = capture_end();
	CHECK(result == want && (*said ? strstr(text, said) != NULL : !*text), "%s: %d, %s", secret,
	    result, text);
}

/* Goal: a new secret stands before the older ones and behind the remarks, and all else in the file stays. */
static void
test_add_in_front(void **state)
{
	struct world *w = *state;
	struct stat st;

	add(w, "dws_a", 0, "");
	CHECK_TEXT(text_of(w, "secrets"), "dws_a\n", "new");
	assert_int_equal(stat(w->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	file_text(w->directory, "secrets", "\xef\xbb\xbf# mine\n\n  dws_a\r\n# old\ndws_b", 0600);
	add(w, "dws_c", 0, "");
	CHECK_TEXT(text_of(w, "secrets"), "# mine\n\ndws_c\n  dws_a\r\n# old\ndws_b", "kept");
	assert_int_equal(stat(w->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	file_text(w->directory, "secrets", "# no newline", 0600);
	add(w, "dws_d", 0, "");
	CHECK_TEXT(text_of(w, "secrets"), "# no newline\ndws_d\n", "a remark");
	assert_int_equal(directory_count(w->directory), 2);
}

/* Goal: a link to the file stays a link, and one that leads nowhere is refused. */
static void
test_add_through_link(void **state)
{
	struct world *w = *state;
	struct stat st;

	assert_int_equal(symlink("real", w->path), 0);
	add(w, "dws_a", -1, "a link to a file that does not exist");
	file_text(w->directory, "real", "dws_z\n", 0600);
	add(w, "dws_a", 0, "");
	CHECK_TEXT(text_of(w, "real"), "dws_a\ndws_z\n", "real");
	assert_int_equal(lstat(w->path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
}

/* Goal: a file that others can read, is full, or cannot be reached is not changed. */
static void
test_add_refused(void **state)
{
	struct world *w = *state;
	char *path = w->path;

	file_text(w->directory, "secrets", "dws_a\n", 0644);
	add(w, "dws_b", -1, "open to others (mode 0644); chmod 0640 it first");
	CHECK_TEXT(text_of(w, "secrets"), "dws_a\n", "open");
	file_text(w->directory, "secrets",
	    "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n", 0600);
	add(w, "dws_b", -1, "already holds 16 secrets");
	w->path = strdup(path_in(w->directory, "none/secrets"));
	add(w, "dws_b", -1, "No such file or directory");
	free(w->path);
	w->path = path;
}

/* Goal: a secret goes from every line that has it, the last one only if that is asked for. */
static void
test_remove(void **state)
{
	struct world *w = *state;

	file_text(w->directory, "secrets", "# k\ndws_a\ndws_ab\n dws_a\n", 0600);
	take(w, "dws_x", false, -1, "another process has changed it");
	take(w, "dws_a", false, 0, "");
	CHECK_TEXT(text_of(w, "secrets"), "# k\ndws_ab\n", "removed");
	take(w, "dws_ab", false, -1, "this is the last secret");
	CHECK_TEXT(text_of(w, "secrets"), "# k\ndws_ab\n", "the last one");
	take(w, "dws_ab", true, 0, "");
	CHECK_TEXT(text_of(w, "secrets"), "# k\n", "none");
}

/* Goal: a missing file, or one without a secret, is an empty list; what cannot be read is not. */
static void
test_read_list(void **state)
{
	struct world *w = *state;
	struct secret_list *l = secret_file_read(w->path);

	assert_non_null(l);
	assert_int_equal(l->n, 0);
	secret_list_free(l);
	file_text(w->directory, "secrets", "# nothing\n", 0600);
	assert_non_null(l = secret_file_read(w->path));
	assert_int_equal(l->n, 0);
	secret_list_free(l);
	file_text(w->directory, "secrets", "a\nb\n", 0604);
	capture_begin();
	l = secret_file_read(w->path);
	assert_non_null(strstr(capture_end(), "secrets: "));
	assert_null(l);
}

/* Goal: an argument's secret, and a droplet's newest one, are the first of their files. */
static void
test_secret_arguments(void **state)
{
	struct world *w = *state;
	const struct conf_droplet *d = secret_droplet(w->conf, NULL);
	char *secret, *newest;

	assert_non_null(d);
	capture_begin();
	secret = secret_arg(w->path);
	newest = secret_newest(d);
	assert_non_null(strstr(capture_end(), "no secret in it; \"fluidhook register URL\""));
	assert_null(secret);
	assert_null(newest);
	file_text(w->directory, "secrets", "\ndws_b\ndws_a\n", 0600);
	CHECK_TEXT(secret = secret_arg(w->path), "dws_b", "argument");
	CHECK_TEXT(newest = secret_newest(d), "dws_b", "newest");
	free(secret);
	free(newest);
	file_text(w->directory, "secrets", "dws_b\n", 0666);
	capture_begin();
	newest = secret_newest(d);
	capture_end();
	assert_null(newest);
}

/* Goal: a droplet is meant by its name, and needs none if it is the only one; it has a file of secrets. */
static void
test_which_droplet(void **state)
{
	static const struct {
		const char *text, *name, *said;
	} cases[] = {
		{ "", NULL, "no [droplet] with" },
		{ "[droplet a]\nsecrets = s\nuuid = r\n[droplet b]\nsecrets = t\nuuid = u\n", NULL,
		    "several droplets: say which with --droplet NAME" },
		{ "[droplet a]\nsecrets = s\n", "b", "no [droplet b]" },
		{ "[droplet a]\nsecrets = s\nuuid = r\n[droplet b]\nsecrets = t\nuuid = u\n", "b",
		    NULL },
	};
	struct world *w = *state;
	char text[300];

	for (size_t i = 0; i < LENGTH(cases); i++) {
		const struct conf_droplet *d;
		const char *said;
		struct conf *c;

		snprintf(text, sizeof(text), "state_dir = state\n%s", cases[i].text);
		c = conf_make(w->directory, text);
		capture_begin();
		d = secret_droplet(c, cases[i].name);
		said = capture_end();
		CHECK((d == NULL) == (cases[i].said != NULL), "case %zu: %s", i, said);
		if (d)
			CHECK_TEXT(d->name, cases[i].name, "droplet");
		else
			CHECK(strstr(said, cases[i].said) != NULL, "case %zu: %s", i, said);
		conf_free(c);
	}
}

/* Goal: a fresh secret has its prefix and 64 hexadecimal digits, and is another one each time. */
static void
test_fresh(void **state)
{
	char a[FRESH_SECRET_SIZE], b[FRESH_SECRET_SIZE];

	(void)state;
	assert_int_equal(secret_fresh(a), 0);
	assert_int_equal(secret_fresh(b), 0);
	assert_int_equal(strlen(a), FRESH_SECRET_SIZE - 1);
	assert_memory_equal(a, "dws_", 4);
	assert_int_equal(strspn(a + 4, "0123456789abcdef"), 64);
	assert_string_not_equal(a, b);
}

/* Goal: a note beside a file is empty until it is written, is replaced as a whole, and goes again. */
static void
test_notes(void **state)
{
	struct world *w = *state;
	struct buf text = { 0 };
	char longest[5000];

	assert_int_equal(secret_note_read(w->path, ".x", &text), 0);
	CHECK_TEXT(text.data, "", "none");
	buf_adds(&text, "hello\n");
	assert_int_equal(secret_note_write(w->path, ".x", &text), 0);
	CHECK_TEXT(text_of(w, "secrets.x"), "hello\n", "written");
	buf_reset(&text);
	assert_int_equal(secret_note_read(w->path, ".x", &text), 0);
	CHECK_TEXT(text.data, "hello\n", "read");
	assert_int_equal(secret_note_remove(w->path, ".x"), 0);
	assert_int_equal(secret_note_remove(w->path, ".x"), 0);
	assert_false(file_exists(w->directory, "secrets.x"));
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(secret_note_write(longest, ".x", &text), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(secret_note_read(longest, ".x", &text), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(secret_note_write(path_in(w->directory, "none/s"), ".x", &text), -1);
	assert_int_equal(errno, ENOENT);
	buf_free(&text);
}

/* Goal: a registration is pending until it is registered, and then its secret is known by its URL. */
static void
test_registered(void **state)
{
	struct world *w = *state;
	struct registered_list list;
	char print[FINGERPRINT_SIZE];

	assert_false(registered_pending(w->path, print));
	assert_int_equal(registered_note(w->path, one, "https://a.example/x", true), 0);
	assert_true(registered_pending(w->path, print));
	CHECK_TEXT(print, one, "pending");
	assert_false(registered_uses(w->path, one));
	assert_false(registered_secret_of(w->path, "https://a.example/x", print));
	assert_int_equal(registered_note(w->path, one, "https://a.example/x", false), 0);
	assert_int_equal(registered_note(w->path, two, "https://b.example/", false), 0);
	assert_false(registered_pending(w->path, print));
	assert_true(registered_uses(w->path, one));
	assert_false(registered_uses(w->path, three));
	assert_true(registered_secret_of(w->path, "HTTPS://A.example:443/x", print));
	CHECK_TEXT(print, one, "same URL");
	assert_int_equal(registered_replace(w->path, one, three), 0);
	assert_true(registered_uses(w->path, three));
	assert_false(registered_uses(w->path, one));
	assert_true(registered_uses(w->path, two));
	assert_int_equal(registered_read(w->path, &list), 0);
	assert_int_equal(list.n, 2);
	CHECK_TEXT(list.urls[0], "https://a.example/x", "first");
	CHECK_TEXT(list.urls[1], "https://b.example/", "second");
	registered_list_free(&list);
	assert_int_equal(list.n, 0);
}

/* Goal: a secret that was pending for another URL is not pending once one registration uses it. */
static void
test_registered_pending_elsewhere(void **state)
{
	struct world *w = *state;
	char print[FINGERPRINT_SIZE];

	assert_int_equal(registered_note(w->path, one, "https://a.example/", true), 0);
	assert_int_equal(registered_note(w->path, two, "https://b.example/", true), 0);
	assert_int_equal(registered_note(w->path, one, "https://c.example/", false), 0);
	CHECK_TEXT(text_of(w, "secrets.registered"),
	    "222222222222 pending https://b.example/\n111111111111 registered https://c.example/\n",
	    "lines");
	/* Lines that nobody understands are not kept. */
	file_text(w->directory, "secrets.registered", "x\n222222222222 pending\n\n123 pending u\n",
	    0644);
	assert_false(registered_pending(w->path, print));
}

/* Goal: a note that cannot be read is no empty note: nothing is written over it, and the fault is named. */
static void
test_registered_unreadable(void **state)
{
	struct world *w = *state;
	struct registered_list list;
	const char *said;
	int results[3];

	assert_int_equal(mkdir(path_in(w->directory, "secrets.registered"), 0700), 0);
	capture_begin();
	results[0] = registered_note(w->path, one, "https://a.example/", true);
	results[1] = registered_replace(w->path, one, two);
	results[2] = registered_read(w->path, &list);
	said = capture_end();
	for (size_t i = 0; i < LENGTH(results); i++)
		CHECK(results[i] == -1, "call %zu", i);
	assert_non_null(strstr(said, "secrets.registered: "));
}

/* Goal: only one registration or rotation runs with a configuration. */
static void
test_registered_lock(void **state)
{
	struct world *w = *state;
	int first = registered_lock(w->conf), second;
	const char *said;

	assert_int_not_equal(first, -1);
	capture_begin();
	second = registered_lock(w->conf);
	said = capture_end();
	assert_int_equal(second, -1);
	assert_non_null(strstr(said, "run this again when it has ended"));
	close(first);
	assert_int_not_equal(second = registered_lock(w->conf), -1);
	close(second);
	assert_int_equal(unlink(w->conf->file), 0);
	capture_begin();
	second = registered_lock(w->conf);
	assert_non_null(strstr(capture_end(), "No such file"));
	assert_int_equal(second, -1);
}

/* Goal: a rotation is read as it was written, until it ends. */
static void
test_rotation(void **state)
{
	struct world *w = *state;
	struct rotation r, again;

	assert_int_equal(rotation_read(w->path, &r), 0);
	snprintf(r.fresh, sizeof(r.fresh), "%s", one);
	rotation_add_old(&r, two);
	rotation_add_old(&r, three);
	rotation_add_old(&r, two);
	assert_int_equal(r.n_old, 2);
	r.moved_at = 1700000000;
	assert_int_equal(rotation_write(w->path, &r), 0);
	CHECK_TEXT(text_of(w, "secrets.rotation"),
	    "new 111111111111\nold 222222222222\nold 333333333333\nmoved 1700000000\n", "written");
	assert_int_equal(rotation_read(w->path, &again), 1);
	CHECK_TEXT(again.fresh, one, "fresh");
	assert_true(rotation_is_old(&again, two) && rotation_is_old(&again, three));
	assert_false(rotation_is_old(&again, one));
	assert_true(again.moved_at == r.moved_at);
	assert_int_equal(rotation_end(w->path), 0);
	assert_int_equal(rotation_read(w->path, &again), 0);
}

/* Goal: a rotation's file with any line that is not understood is refused, and so is one that cannot be read. */
static void
test_rotation_damaged(void **state)
{
	static const char *const texts[] = {
		"new 111111111111\nold\n",
		"new 111\n",
		"young 111111111111\n",
		"new 111111111111\nmoved soon\n",
		"new 111111111111\nmoved -1\n",
	};
	struct world *w = *state;
	struct rotation r;
	const char *said;
	int result;

	for (size_t i = 0; i < LENGTH(texts); i++) {
		file_text(w->directory, "secrets.rotation", texts[i], 0644);
		capture_begin();
		result = rotation_read(w->path, &r);
		said = capture_end();
		CHECK(result == -1 && strstr(said, "cannot be understood"), "%s: %s", texts[i],
		    said);
	}
	assert_int_equal(unlink(path_in(w->directory, "secrets.rotation")), 0);
	assert_int_equal(mkdir(path_in(w->directory, "secrets.rotation"), 0700), 0);
	capture_begin();
	result = rotation_read(w->path, &r);
	r = (struct rotation){ .n_old = 0 };
	result += rotation_write(w->path, &r);
	result += rotation_end(w->path);
	capture_end();
	assert_int_equal(result, -3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_add_in_front, setup, teardown),
		cmocka_unit_test_setup_teardown(test_add_through_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_add_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_secret_arguments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_which_droplet, setup, teardown),
		cmocka_unit_test(test_fresh),
		cmocka_unit_test_setup_teardown(test_notes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registered_pending_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registered_unreadable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registered_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rotation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rotation_damaged, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
