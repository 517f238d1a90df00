/* Installation records as files (contract section 4). No extra link flags. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/installation.h"

struct place {
	char *path;
	int dir;
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	p->path = directory_make();
	p->dir = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = p;
	return (p->dir == -1);
}

static int
teardown(void **state)
{
	struct place *p = *state;

	close(p->dir);
	directory_remove(p->path);
	free(p);
	return (0);
}

/* The record of the contract. */
static struct installation *
example(void)
{
	struct installation *i = installation_new("dri_a");

	assert_non_null(i);
	i->status = INSTALLATION_ACTIVE;
	installation_set(&i->droplet_installation_uuid, "dri_a");
	installation_set(&i->droplet_uuid, "drp_a");
	installation_set(&i->fluid_company_id, "226157151");
	i->fluid_company_id_number = true;
	installation_set(&i->fluid_shop, "fluid.fluid.app");
	installation_set_name(i, "Fluid", 5);
	installation_set(&i->authentication_token, "dit_a");
	installation_set(&i->webhook_verification_token, "wvt_a");
	i->installed_at = 1795422650;
	i->updated_at = (struct timespec){ .tv_sec = 1795422650, .tv_nsec = 123456789 };
	installation_set(&i->delivery, "019ab0b4-0000-7000-8000-000000000000");
	return (i);
}

static const char example_text[] = "{\n"
				   "  \"droplet_installation_uuid\": \"dri_a\",\n"
				   "  \"status\": \"active\",\n"
				   "  \"droplet_uuid\": \"drp_a\",\n"
				   "  \"fluid_company_id\": 226157151,\n"
				   "  \"fluid_shop\": \"fluid.fluid.app\",\n"
				   "  \"name\": \"Fluid\",\n"
				   "  \"authentication_token\": \"dit_a\",\n"
				   "  \"webhook_verification_token\": \"wvt_a\",\n"
				   "  \"installed_at\": \"2026-11-23T08:30:50Z\",\n"
				   "  \"uninstalled_at\": null,\n"
				   "  \"updated_at\": \"2026-11-23T08:30:50.123456Z\",\n"
				   "  \"delivery\": \"019ab0b4-0000-7000-8000-000000000000\"\n"
				   "}\n";

/* Goal: a record is written exactly as the contract shows it, for its owner only. */
static void
test_file(void **state)
{
	struct place *p = *state;
	struct installation *i = example();
	struct buf text = { 0 };
	struct stat st;
	mode_t mask = umask(0);

	assert_int_equal(installation_save(p->dir, i), 0);
	umask(mask);
	file_read(p->path, "dri_a.json", &text);
	assert_string_equal(text.data, example_text);
	assert_int_equal(stat(path_in(p->path, "dri_a.json"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(directory_count(p->path), 1);
	buf_free(&text);
	installation_free(i);
}

/* Goal: where there is nothing, the keys of the contract are there and say null. */
static void
test_nulls(void **state)
{
	static const char *const keys[] = { "droplet_installation_uuid", "droplet_uuid",
		"fluid_company_id", "fluid_shop", "name", "authentication_token",
		"webhook_verification_token", "installed_at", "uninstalled_at", "delivery" };
	struct installation *i = calloc(1, sizeof(*i));
	struct buf text = { 0 };
	char member[64];

	(void)state;
	i->status = INSTALLATION_UNINSTALLED;
	assert_int_equal(installation_json(i, &text), 0);
	for (size_t k = 0; k < LENGTH(keys); k++) {
		snprintf(member, sizeof(member), "\"%s\": null", keys[k]);
		CHECK(strstr(text.data, member), "%s in %s", member, text.data);
	}
	assert_non_null(strstr(text.data, "\"status\": \"uninstalled\""));
	assert_null(strstr(text.data, "exchange"));
	assert_null(strstr(text.data, "reason"));
	buf_free(&text);
	installation_free(i);
}

/* Goal: what was saved is loaded, and saved again the same: any name, id and status. */
static void
test_round_trip(void **state)
{
	static const struct {
		const char *id;
		bool number;
		const char *name;
		size_t name_len;
	} cases[] = {
		{ "226157151", true, "Fluid", 5 },
		{ "226157151", false, "", 0 },
		{ "123456789012345678901234567890", true, "nul\0inside", 10 },
		{ "9223372036854775808", true,
		    "\xe2\x80\xae"
		    "right to left",
		    16 },
		{ "a-b", false, "\xf0\x9f\x98\x80 \"quoted\" \\ \n\t\x01", 18 },
		{ NULL, false, NULL, 0 },
	};
	struct place *p = *state;

	for (size_t c = 0; c < LENGTH(cases); c++)
		for (int status = INSTALLATION_ACTIVE; status <= INSTALLATION_SUPERSEDED;
		     status++) {
			struct installation *i = example(), *back;
			struct buf first = { 0 }, second = { 0 };

			i->status = (enum installation_status)status;
			installation_set(&i->fluid_company_id, cases[c].id);
			i->fluid_company_id_number = cases[c].number;
			installation_set_name(i, cases[c].name, cases[c].name_len);
			installation_set(&i->reason, "exchange_expired");
			installation_set(&i->exchange_token, "dex_a");
			installation_set(&i->install_digests, "00ff 11ee");
			installation_set(&i->subscription_auth_token, "key");
			i->last_uninstalled_at = 5;
			i->uninstalled_at = 1;
			assert_int_equal(installation_save(p->dir, i), 0);
			assert_non_null(back = installation_load(p->dir, "dri_a"));
			assert_int_equal(installation_json(i, &first), 0);
			assert_int_equal(installation_json(back, &second), 0);
			assert_string_equal(first.data, second.data);
			assert_int_equal(back->status, status);
			assert_int_equal(back->name_len, cases[c].name_len);
			assert_string_equal(back->record, "dri_a");
			buf_free(&first);
			buf_free(&second);
			installation_free(back);
			installation_free(i);
		}
}

/* Goal: a record that version 0.1 wrote is read: its one digest, and its uninstall. */
static void
test_former_members(void **state)
{
	struct place *p = *state;
	struct installation *i;
	struct buf text = { 0 };

	file_text(p->path, "dri_a.json",
	    quoted("{'status':'uninstalled','uninstalled_at':'2026-11-23T08:30:50Z',"
		   "'install_body_sha256':'00ff'}"),
	    0600);
	assert_non_null(i = installation_load(p->dir, "dri_a"));
	assert_true(installation_knows_install(i, "00ff"));
	assert_int_equal(i->last_uninstalled_at, 1795422650);
	assert_int_equal(installation_json(i, &text), 0);
	assert_null(strstr(text.data, "install_body_sha256"));
	assert_non_null(strstr(text.data, "\"install_digests\": \"00ff\""));
	buf_free(&text);
	installation_free(i);
}

/* Goal: the last 8 installs are known by their digests, each once, and no other is. */
static void
test_digests(void **state)
{
	struct installation *i = calloc(1, sizeof(*i));
	char digest[8];

	(void)state;
	assert_non_null(i);
	assert_false(installation_knows_install(i, "d0"));
	for (int n = 0; n < 12; n++) {
		snprintf(digest, sizeof(digest), "d%d", n);
		assert_int_equal(installation_note_install(i, digest), 0);
		/* again: it takes no second place */
		assert_int_equal(installation_note_install(i, digest), 0);
	}
	assert_string_equal(i->install_digests, "d11 d10 d9 d8 d7 d6 d5 d4");
	assert_true(installation_knows_install(i, "d11"));
	assert_true(installation_knows_install(i, "d4"));
	assert_false(installation_knows_install(i, "d3"));
	assert_false(installation_knows_install(i, "d1"));
	assert_false(installation_knows_install(i, "d"));
	assert_false(installation_knows_install(i, ""));
	assert_int_equal(installation_note_install(i, "d4"), 0);
	assert_string_equal(i->install_digests, "d4 d11 d10 d9 d8 d7 d6 d5");
	installation_free(i);
}

/* Goal: no credential stays when they are dropped, the key of the subscriptions included. */
static void
test_drop_credentials(void **state)
{
	struct installation *i = example();
	struct buf text = { 0 };

	(void)state;
	installation_set(&i->exchange_token, "secret_dex");
	installation_set(&i->authentication_token, "secret_dit");
	installation_set(&i->webhook_verification_token, "secret_wvt");
	installation_set(&i->subscription_auth_token, "secret_key");
	installation_drop_credentials(i);
	assert_int_equal(installation_json(i, &text), 0);
	assert_null(strstr(text.data, "secret"));
	buf_free(&text);
	installation_free(i);
}

/* Goal: fields a later version may add are passed over. */
static void
test_unknown_fields(void **state)
{
	struct place *p = *state;
	struct installation *i;

	file_text(p->path, "dri_a.json",
	    quoted("{'new':{'status':'failed','x':[1,2]},'status':'active',"
		   "'another':5,'name':'n'}"),
	    0600);
	assert_non_null(i = installation_load(p->dir, "dri_a"));
	assert_int_equal(i->status, INSTALLATION_ACTIVE);
	assert_string_equal(i->name, "n");
	installation_free(i);
}

/* Goal: a file that is no record is told from one that is not there. */
static void
test_damaged(void **state)
{
	static const char *const bad[] = { "", "{", "{}", "[]", "{'status':'x'}", "{'status':5}",
		"{'status':'active'", "{'status':'active'}x", "{'status':'active','name':'\xff'}",
		"null" };
	struct place *p = *state;

	assert_null(installation_load(p->dir, "dri_a"));
	assert_int_equal(errno, ENOENT);
	for (size_t i = 0; i < LENGTH(bad); i++) {
		file_text(p->path, "dri_a.json", quoted(bad[i]), 0600);
		errno = 0;
		CHECK(installation_load(p->dir, "dri_a") == NULL && errno == EBADMSG, "%s: %s",
		    bad[i], strerror(errno));
	}
}

/*
 * Goal: a symbolic link, a directory or a pipe in a record's place is not read, and not written
 * through.
 */
static void
test_no_links(void **state)
{
	struct place *p = *state;
	struct installation *i = example();
	struct buf text = { 0 };
	struct stat st;

	file_text(p->path, "elsewhere", quoted("{'status':'active'}"), 0600);
	assert_int_equal(symlink("elsewhere", path_in(p->path, "dri_a.json")), 0);
	assert_null(installation_load(p->dir, "dri_a"));
	assert_int_equal(errno, ELOOP);
	assert_int_equal(installation_save(p->dir, i), 0);
	assert_int_equal(lstat(path_in(p->path, "dri_a.json"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
	file_read(p->path, "elsewhere", &text);
	assert_string_equal(text.data, quoted("{'status':'active'}"));
	assert_int_equal(mkdir(path_in(p->path, "directory.json"), 0700), 0);
	assert_int_equal(mkfifo(path_in(p->path, "fifo.json"), 0600), 0);
	assert_null(installation_load(p->dir, "directory"));
	assert_null(installation_load(p->dir, "fifo"));
	assert_int_equal(errno, EINVAL);
	buf_free(&text);
	installation_free(i);
}

/* Goal: a record that cannot be replaced stays as it was, and nothing is left beside it. */
static void
test_failure_keeps_old(void **state)
{
	struct place *p = *state;
	struct installation *i;
	struct buf text = { 0 };

	i = example();
	assert_int_equal(installation_save(p->dir, i), 0);
	assert_int_equal(chmod(p->path, 0500), 0);
	i->status = INSTALLATION_FAILED;
	assert_int_equal(installation_save(p->dir, i), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(chmod(p->path, 0700), 0);
	file_read(p->path, "dri_a.json", &text);
	assert_string_equal(text.data, example_text);
	assert_int_equal(directory_count(p->path), 1);
	buf_free(&text);
	installation_free(i);
}

/* Goal: the names of the states are those of the contract. */
static void
test_status_names(void **state)
{
	static const char *const names[] = { "active", "pending", "unconfirmed", "failed",
		"uninstalled", "superseded" };
	enum installation_status status;

	(void)state;
	for (size_t i = 0; i < LENGTH(names); i++) {
		assert_int_equal(installation_status_parse(names[i], &status), 0);
		assert_string_equal(installation_status_name(status), names[i]);
	}
	assert_int_equal(installation_status_parse("", &status), -1);
	assert_int_equal(installation_status_parse("Active", &status), -1);
	assert_int_equal(installation_status_parse("activ", &status), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test(test_nulls),
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_former_members, setup, teardown),
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_drop_credentials),
		cmocka_unit_test_setup_teardown(test_unknown_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure_keeps_old, setup, teardown),
		cmocka_unit_test(test_status_names),
	};

	permissions_apply();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
