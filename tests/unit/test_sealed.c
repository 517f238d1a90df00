/* Records, journal lines and kept requests under a seal key. No extra link flags. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/entry.h"
#include "store/installation.h"
#include "store/refused.h"
#include "store/seal.h"
#include "store/seal_note.h"

#define KEY_A "00000000000000000000000000000000000000000000000000000000000000aa\n"
#define KEY_B "00000000000000000000000000000000000000000000000000000000000000bb\n"

static char *directory;

static void
use(const char *key)
{
	file_text(directory, "seal.key", key, 0600);
	seal_use(NULL);
	seal_use(path_in(directory, "seal.key"));
}

static int
setup(void **state)
{
	(void)state;
	directory = directory_make();
	use(KEY_A);
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	seal_use(NULL);
	directory_remove(directory);
	return (0);
}

static struct installation *
new_record(void)
{
	struct installation *i = installation_new("dri_1");

	assert_non_null(i);
	i->status = INSTALLATION_ACTIVE;
	assert_int_equal(installation_set(&i->authentication_token, "cdt_secret"), 0);
	assert_int_equal(installation_set(&i->webhook_verification_token, "wvt_secret"), 0);
	assert_int_equal(installation_set(&i->exchange_token, "dex_secret"), 0);
	assert_int_equal(installation_set(&i->subscription_auth_token, "sat_secret"), 0);
	assert_int_equal(installation_set(&i->fluid_shop, "acme"), 0);
	return (i);
}

/* Goal: no credential stands in the file in clear, all are read back, and what is no credential stays legible. */
static void
test_record(void **state)
{
	int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct installation *i = new_record();
	struct buf text = { 0 };

	(void)state;
	assert_int_equal(installation_save(dir, i), 0);
	installation_free(i);
	file_read(directory, "dri_1.json", &text);
	assert_null(strstr(text.data, "_secret"));
	assert_non_null(strstr(text.data, "\"fluid_shop\": \"acme\""));
	assert_non_null(i = installation_load(dir, "dri_1"));
	assert_string_equal(i->authentication_token, "cdt_secret");
	assert_string_equal(i->webhook_verification_token, "wvt_secret");
	assert_string_equal(i->exchange_token, "dex_secret");
	assert_string_equal(i->subscription_auth_token, "sat_secret");
	installation_free(i);
	/* Under another name it is not the same record. */
	assert_int_equal(renameat(dir, "dri_1.json", dir, "dri_2.json"), 0);
	assert_null(installation_load(dir, "dri_2"));
	assert_int_equal(errno, EBADMSG);
	close(dir);
	buf_free(&text);
}

/* Goal: without the key a record is not read and not written, and the old file stays as it was. */
static void
test_record_without_key(void **state)
{
	int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct installation *i = new_record();
	struct buf before = { 0 }, after = { 0 };

	(void)state;
	assert_int_equal(installation_save(dir, i), 0);
	file_read(directory, "dri_1.json", &before);
	use(KEY_B);
	assert_null(installation_load(dir, "dri_1"));
	assert_int_equal(errno, ENOKEY);
	seal_use(path_in(directory, "missing"));
	assert_int_equal(installation_save(dir, i), -1);
	assert_int_equal(errno, ENOENT);
	seal_use(NULL);
	assert_null(installation_load(dir, "dri_1"));
	assert_int_equal(errno, ENOKEY);
	file_read(directory, "dri_1.json", &after);
	assert_string_equal(after.data, before.data);
	installation_free(i);
	close(dir);
	buf_free(&before);
	buf_free(&after);
}

static int
write_entry(const char *event, const char *body, struct buf *line)
{
	const struct entry e = { .delivery = "01a20b65-a0fa-785e-857d-7b308f502641",
		.received_at = "2026-11-28T08:00:00.000000Z",
		.event = event,
		.body = body,
		.body_len = strlen(body) };

	buf_reset(line);
	return (entry_write(&e, line));
}

/* Goal: lifecycle bodies and those with a credential are sealed, others are not; all are read back exactly. */
static void
test_entry(void **state)
{
	static const struct {
		const char *event, *body;
		bool sealed;
	} cases[] = {
		{ "droplet.installed", "{'a':'x_secret'}", true },
		{ "droplet.uninstalled", "{'a':'x_secret'}", true },
		{ "order.created", "{'cart':{'token':'x_secret'}}", true },
		{ "order.created", "{'a':'x_secret'}", false },
	};
	struct buf line = { 0 }, texts = { 0 };
	struct entry e;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *body = quoted(cases[i].body);

		assert_int_equal(write_entry(cases[i].event, body, &line), 0);
		CHECK((strstr(line.data, "_secret") == NULL) == cases[i].sealed, "%s", body);
		CHECK((strstr(line.data, "\"sealed_body\":\"sealed:") != NULL) == cases[i].sealed,
		    "%s", body);
		CHECK((strstr(line.data, "\"body\":") == NULL) == cases[i].sealed, "%s", body);
		buf_reset(&texts);
		assert_int_equal(entry_read(&e, line.data, line.len, &texts), 0);
		assert_int_equal(e.body_len, strlen(body));
		assert_memory_equal(e.body, body, e.body_len);
	}
	buf_free(&line);
	buf_wipe(&texts);
}

/* Goal: a line whose key is missing is no damaged line: all but its body is known. A changed one is damaged. */
static void
test_entry_without_key(void **state)
{
	struct buf line = { 0 }, texts = { 0 };
	struct entry e;
	char *at;

	(void)state;
	assert_int_equal(write_entry("droplet.installed", "{}", &line), 0);
	use(KEY_B);
	assert_int_equal(entry_read(&e, line.data, line.len, &texts), -1);
	assert_int_equal(errno, ENOKEY);
	assert_string_equal(e.event, "droplet.installed");
	assert_null(e.body);
	use(KEY_A);
	/* Another delivery's identity. */
	assert_non_null(at = strstr(line.data, "01a20b65"));
	*at = '1';
	buf_reset(&texts);
	assert_int_equal(entry_read(&e, line.data, line.len, &texts), -1);
	assert_int_equal(errno, EBADMSG);
	seal_use(path_in(directory, "missing"));
	assert_int_equal(write_entry("droplet.installed", "{}", &line), -1);
	assert_int_equal(line.len, 0);
	buf_free(&line);
	buf_wipe(&texts);
}

/* Goal: a kept body is sealed, is read back exactly, and counts identical requests as before. */
static void
test_refused(void **state)
{
	const struct refused kept = { .id = "0123456789abcdef0123456789abcdef",
		.received_at = { 1764320690, 0 },
		.status = 503,
		.reason = "no_key_yet",
		.method = "POST",
		.body = "{\"a\":\"x_secret\"}",
		.body_len = 16 };
	struct state *s = state_make(path_in(directory, "state"));
	struct refused_store *store = refused_open(s->dir);
	struct buf texts = { 0 }, file = { 0 };
	struct refused r;

	(void)state;
	assert_non_null(store);
	for (int n = 0; n < 2; n++)
		assert_int_equal(refused_keep(store, 1 << 20, &kept), 0);
	file_read(path_in(directory, "state/refused"), kept.id, &file);
	assert_null(memmem(file.data, file.len, "_secret", 7));
	buf_reset(&file);
	assert_int_equal(refused_read(store, kept.id, &r, &texts, &file), 0);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.body_len, kept.body_len);
	assert_memory_equal(r.body, kept.body, kept.body_len);
	use(KEY_B);
	buf_reset(&texts);
	buf_reset(&file);
	assert_int_equal(refused_read(store, kept.id, &r, &texts, &file), -1);
	assert_int_equal(errno, ENOKEY);
	buf_wipe(&texts);
	buf_wipe(&file);
	refused_close(store);
	state_close(s);
}

/* Goal: a state directory opens only with the key that it notes, and says what is wrong; the key is noted once. */
static void
test_note(void **state)
{
	char why[STATE_WHY_SIZE], noted[STATE_WHY_SIZE], path[PATH_MAX];
	struct state *s;

	(void)state;
	snprintf(path, sizeof(path), "%s", path_in(directory, "state"));
	seal_use(NULL);
	s = state_make(path);
	assert_string_equal(s->seal_id, "");
	use(KEY_A);
	/* The key is there now: opened anew, it is noted. */
	assert_false(state_in_place(s));
	state_close(s);
	assert_non_null(s = state_open(path, why));
	snprintf(noted, sizeof(noted), "%s", s->seal_id);
	assert_int_equal(strlen(noted), SEAL_ID_SIZE - 1);
	assert_true(state_in_place(s));
	use(KEY_B);
	assert_false(state_in_place(s));
	state_close(s);
	assert_null(state_open(path, why));
	assert_int_equal(errno, ENOKEY);
	assert_non_null(strstr(why, noted));
	seal_use(path_in(directory, "missing"));
	assert_null(state_open(path, why));
	assert_non_null(strstr(why, "seal_key: No such file"));
	seal_use(NULL);
	assert_null(state_open(path, why));
	assert_non_null(strstr(why, "set seal_key"));
	/* The right one among others is enough. */
	use(KEY_B KEY_A);
	assert_non_null(s = state_open(path, why));
	assert_string_equal(s->seal_id, noted);
	state_close(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_record_without_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_entry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_entry_without_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_note, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
