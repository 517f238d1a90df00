/* The configuration (contract section 2). No extra link flags. */
#include "support.h"

#include <sys/stat.h>
#include <unistd.h>

static int
setup(void **state)
{
	*state = directory_make();
	return (0);
}

static int
teardown(void **state)
{
	directory_remove(*state);
	return (0);
}

/*
 * The errors of a configuration, with the file's path taken off each line; NULL when it is right.
 */
static const char *
errors_of(const char *directory, const char *text)
{
	static struct buf out;
	struct buf errors = { 0 };
	const char *path = path_in(directory, "fluidhook.conf");
	struct conf *c;

	file_text(directory, "fluidhook.conf", text, 0600);
	c = conf_load(path, &errors);
	CHECK((c == NULL) == (errors.len > 0), "errors and none: %s", text);
	conf_free(c);
	if (errors.len == 0)
		return (NULL);
	buf_reset(&out);
	for (char *line = strtok(errors.data, "\n"); line; line = strtok(NULL, "\n")) {
		CHECK(strncmp(line, path, strlen(path)) == 0, "no file in: %s", line);
		buf_addf(&out, "%s\n", line + strlen(path));
	}
	buf_free(&errors);
	return (out.data);
}

/* Goal: an empty file means the defaults of the contract. */
static void
test_defaults(void **state)
{
	struct conf *c = conf_make(*state, "");

	assert_int_equal(c->max_body, 1048576);
	assert_int_equal(c->tolerance, 300);
	assert_true(c->legacy_tokens);
	assert_int_equal(c->unsigned_installs, UNSIGNED_REFUSE);
	assert_int_equal(c->min_free, 16777216);
	assert_int_equal(c->keep_refused, 64 << 20);
	assert_int_equal(c->log, LOG_TO_STDERR);
	assert_int_equal(c->log_level, LOG_LEVEL_INFO);
	assert_int_equal(c->n_droplets, 0);
	assert_string_equal(c->api, "https://api.fluid.app");
	assert_int_equal(c->n_webhooks, 2);
	assert_string_equal(c->webhooks[0], "https://fluid.app/api/webhooks");
	assert_string_equal(c->webhooks[1], "https://api.fluid.app/api/company/webhooks");
	assert_int_equal(c->timeout, 20);
	assert_int_equal(c->attempts, 12);
	assert_int_equal(c->hook_timeout, 60);
	assert_int_equal(c->concurrency, 4);
	assert_null(c->company_token);
	assert_null(c->ca_file);
	assert_null(c->public_url);
	assert_int_equal(c->n_subscribe, 0);
	conf_free(c);
}

static const char every_key[] = "; a comment\n"
				"state_dir = /var/lib/x\n"
				"max_body=2M ; with a comment\n"
				"tolerance = 60\n"
				"legacy_tokens = no\n"
				"unsigned_installs = confirm\n"
				"seal_key =\n"
				"min_free = 512K\n"
				"keep_refused = 0\n"
				"log = syslog\n"
				"log_level = debug\n"
				"[droplet reports]\n"
				"uuid = drp_r\n"
				"secrets = /etc/r\n"
				"[droplet]\n"
				"uuid = drp_s\n"
				"secrets = /etc/s\n"
				"[fluid]\n"
				"api = https://api.example.com/\n"
				"webhooks = http://127.0.0.1:80/a/ https://b.example.com\n"
				"company_token = /etc/t\n"
				"timeout = 5\n"
				"ca_file = /etc/ca\n"
				"[worker]\n"
				"hooks = /etc/hooks\n"
				"attempts = 3\n"
				"hook_timeout = 10\n"
				"concurrency = 7\n"
				"public_url = https://example.com/webhook\n"
				"subscribe = order.created subscription.started\n";

/* Goal: every key arrives where it belongs. */
static void
test_every_key(void **state)
{
	struct conf *c = conf_make(*state, every_key);

	assert_string_equal(c->state_dir, "/var/lib/x");
	assert_int_equal(c->max_body, 2 << 20);
	assert_int_equal(c->tolerance, 60);
	assert_false(c->legacy_tokens);
	assert_int_equal(c->unsigned_installs, UNSIGNED_CONFIRM);
	assert_int_equal(c->min_free, 512 << 10);
	assert_int_equal(c->keep_refused, 0);
	assert_int_equal(c->log, LOG_TO_SYSLOG);
	assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(c->n_droplets, 2);
	assert_string_equal(c->droplets[0].name, "reports");
	assert_string_equal(c->droplets[0].secrets, "/etc/r");
	assert_ptr_equal(conf_droplet_by_uuid(c, "drp_r"), &c->droplets[0]);
	assert_null(conf_droplet_by_uuid(c, "drp"));
	assert_null(conf_droplet_by_uuid(c, NULL));
	assert_string_equal(c->droplets[1].name, "");
	assert_string_equal(c->droplets[1].uuid, "drp_s");
	assert_string_equal(c->api, "https://api.example.com");
	assert_int_equal(c->n_webhooks, 2);
	assert_string_equal(c->webhooks[0], "http://127.0.0.1:80/a");
	assert_string_equal(c->company_token, "/etc/t");
	assert_int_equal(c->timeout, 5);
	assert_string_equal(c->ca_file, "/etc/ca");
	assert_string_equal(c->hooks, "/etc/hooks");
	assert_int_equal(c->attempts, 3);
	assert_int_equal(c->hook_timeout, 10);
	assert_int_equal(c->concurrency, 7);
	assert_string_equal(c->public_url, "https://example.com/webhook");
	assert_int_equal(c->n_subscribe, 2);
	assert_string_equal(c->subscribe[1], "subscription.started");
	conf_free(c);
}

/* What begins the error, behind the file's name, that a text gives. */
static const struct {
	const char *text, *begins; /* what the error begins with behind the file's name */
} mistakes[] = {
	{ "nonsense = 1\n", ":1: unknown key \"nonsense\"" },
	{ "\n\nmax_bodys = 1M\n", ":3: unknown key \"max_bodys\"" },
	{ "[droplet]\nuuids = x\n", ":2: unknown key \"uuids\" in [droplet]" },
	{ "[droplets]\n", ":1: unknown section [droplets]" },
	{ "[dropletreports]\n", ":1: unknown section" },
	{ "[worker]\nstate_dir = /x\n", ":2: unknown key \"state_dir\" in [worker]" },
	{ "uuid = x\n", ":1: unknown key \"uuid\"" },
	{ "max_body\n", ":1: " },
	{ "just words\n", ":1: " },
	{ "[droplet\n", ":1: " },
	{ "max_body = much\n", ":1: max_body: " },
	{ "max_body = -1\n", ":1: max_body: " },
	{ "max_body = 1T\n", ":1: max_body: " },
	{ "max_body = 1MB\n", ":1: max_body: " },
	{ "max_body = 1 M\n", ":1: max_body: " },
	{ "max_body = 1.5M\n", ":1: max_body: " },
	{ "max_body = 0\n", ":1: max_body: " },
	{ "max_body = 1023\n", ":1: max_body: " },
	{ "max_body = 65M\n", ":1: max_body: " },
	{ "min_free = 99999999999999999999\n", ":1: min_free: " },
	{ "min_free = 99999999999999G\n", ":1: min_free: " },
	{ "tolerance = 0\n", ":1: tolerance: " },
	{ "tolerance = 300s\n", ":1: tolerance: " },
	{ "tolerance = -300\n", ":1: tolerance: " },
	{ "tolerance = 86401\n", ":1: tolerance: " },
	{ "tolerance = 4294967596\n", ":1: tolerance: " },
	{ "tolerance = 1e2\n", ":1: tolerance: " },
	{ "legacy_tokens = maybe\n", ":1: legacy_tokens: " },
	{ "unsigned_installs = accept\n", ":1: unsigned_installs: " },
	{ "seal_key = \"/etc/seal.key\"\n", ":1: seal_key: " },
	{ "log = file\n", ":1: log: " },
	{ "log_level = verbose\n", ":1: log_level: " },
	{ "keep = 90d\n", ":1: keep: this version" },
	{ "[worker]\nreconcile = 1h\n", ":2: reconcile: this version" },
	{ "keep_refused = lots\n", ":1: keep_refused: " },
	{ "state_dir = \"/var/lib/x\"\n", ":1: state_dir: begins with a quote" },
	{ "state_dir = '/var/lib/x'\n", ":1: state_dir: begins with a quote" },
	{ "state_dir = /var/lib/x # here\n", ":1: state_dir: \" #\" in a path" },
	{ "[droplet]\nsecrets = /etc/s\t# x\n", ":2: secrets: \" #\" in a path" },
	{ "log = \"/x.log\"\n", ":1: log: begins with a quote" },
	{ "[droplet] secrets = /etc/s\n", ":1: text after \"]\"" },
	{ "[worker]x\n", ":1: text after \"]\"" },
	{ "[worker];x\n", ":1: text after \"]\"" },
	{ "[nowhere]\n", ":1: unknown section [nowhere]" },
	{ "[worker]\npublic_url = example.com/webhook\n", ":2: public_url: " },
	{ "[worker]\npublic_url = https:///webhook\n", ":2: public_url: " },
	{ "[worker]\npublic_url = https://a b\n", ":2: public_url: " },
	{ "[worker]\nsubscribe = order\n", ":2: subscribe: " },
	{ "[worker]\nsubscribe = order.created, x.\n", ":2: subscribe: " },
	{ "tolerance = 60\ntolerance = 60\n", ":2: tolerance: " },
	{ "[droplet a]\nuuid = x\n[droplet a]\nuuid = y\n", ":4: uuid: " },
	{ "[droplet a]\nuuid = x\n[droplet b]\nuuid = x\n", ":4: uuid: " },
	/* only a single droplet may have no uuid */
	{ "[droplet a]\nuuid = x\n[droplet b]\nsecrets = s\n", ":4: [droplet b] has no uuid" },
	{ "[droplet]\nsecrets = s\n\n[droplet b]\nuuid = x\n", ":2: [droplet] has no uuid" },
	{ "[droplet a]\nuuid =\n[droplet b]\nuuid = x\n", ":2: [droplet a] has no uuid" },
	{ "[droplet]\nuuid = drp_a drp_b\n", ":2: uuid: " },
	{ "[droplet]\nuuid = ../x\n", ":2: uuid: " },
	{ "[fluid]\napi = http://api.fluid.app\n", ":2: api: " },
	{ "[fluid]\napi = http://127.0.0.1.example.com\n", ":2: api: " },
	{ "[fluid]\napi = http://localhost.example.com\n", ":2: api: " },
	{ "[fluid]\napi = http://127.0.0.1@example.com\n", ":2: api: " },
	{ "[fluid]\napi = ftp://api.fluid.app\n", ":2: api: " },
	{ "[fluid]\napi = api.fluid.app\n", ":2: api: " },
	{ "[fluid]\napi = https://\n", ":2: api: " },
	{ "[fluid]\nwebhooks = https://a http://b\n", ":2: webhooks: " },
	{ "[fluid]\ntimeout = 0\n", ":2: timeout: " },
	{ "[worker]\nattempts = 0\n", ":2: attempts: " },
	{ "[worker]\nconcurrency = 65\n", ":2: concurrency: " },
};

/* Goal: what is not a key, or not a value of it, is an error that names file and line. */
static void
test_mistakes(void **state)
{
	for (size_t i = 0; i < LENGTH(mistakes); i++) {
		const char *errors = errors_of(*state, mistakes[i].text), *newline;

		CHECK(errors &&
			strncmp(errors, mistakes[i].begins, strlen(mistakes[i].begins)) == 0,
		    "%s gives %s", mistakes[i].text, or_none(errors));
		newline = errors ? strchr(errors, '\n') : NULL;
		CHECK(newline && newline[1] == '\0', "%s gives more than one: %s", mistakes[i].text,
		    or_none(errors));
	}
}

/* Goal: all mistakes are told at once, in their order, and none stops the reading. */
static void
test_all_at_once(void **state)
{
	const char *errors = errors_of(*state,
	    "one = 1\nmax_body = x\n[nowhere]\na = b\nc = d\n[droplet\n"
	    "[worker]\nattempts = none\nwords\n");
	static const char *const want[] = { ":1: ", ":2: ", ":3: ", ":4: ", ":5: ", ":6: ", ":8: ",
		":9: " };
	size_t n = 0;

	assert_non_null(errors);
	for (const char *line = errors; *line; line = strchr(line, '\n') + 1, n++)
		CHECK(n < LENGTH(want) && strncmp(line, want[n], strlen(want[n])) == 0, "%s",
		    errors);
	assert_int_equal(n, LENGTH(want));
}

/* Goal: right values in all their spellings. */
static void
test_spellings(void **state)
{
	static const struct {
		const char *text;
		uint64_t min_free;
	} sizes[] = { { "0", 0 }, { "1", 1 }, { "1k", 1024 }, { "16M", 16 << 20 },
		{ "3G", 3ULL << 30 }, { "1048576", 1 << 20 }, { "8G", 8ULL << 30 } };
	static const char *const apis[] = { "http://127.0.0.1:8080", "http://localhost:1/x",
		"http://[::1]:8080", "http://127.9.9.9", "https://x" };
	char text[256];
	struct conf *c;

	for (size_t i = 0; i < LENGTH(sizes); i++) {
		snprintf(text, sizeof(text), "min_free = %s\n", sizes[i].text);
		c = conf_make(*state, text);
		assert_int_equal(c->min_free, sizes[i].min_free);
		conf_free(c);
	}
	for (size_t i = 0; i < LENGTH(apis); i++) {
		snprintf(text, sizeof(text), "[fluid]\napi = %s\n", apis[i]);
		c = conf_make(*state, text);
		assert_string_equal(c->api, apis[i]);
		conf_free(c);
	}
	c = conf_make(*state, "legacy_tokens = OFF\nmax_body = 64M\r\n");
	assert_false(c->legacy_tokens);
	assert_int_equal(c->max_body, 64 << 20);
	conf_free(c);
	c = conf_make(*state, "max_body = 1K\n# comment\n\n   \n");
	assert_int_equal(c->max_body, 1024);
	conf_free(c);
}

/* Goal: relative paths are relative to the file's directory. */
static void
test_relative(void **state)
{
	struct conf *c = conf_make(*state,
	    "state_dir = state\n[droplet]\nsecrets = a/b\n"
	    "[fluid]\nca_file = ca.pem\ncompany_token = /abs\n[worker]\nhooks = hooks\n");

	assert_string_equal(c->state_dir, path_in(*state, "state"));
	assert_string_equal(c->droplets[0].secrets, path_in(*state, "a/b"));
	assert_string_equal(c->ca_file, path_in(*state, "ca.pem"));
	assert_string_equal(c->hooks, path_in(*state, "hooks"));
	assert_string_equal(c->company_token, "/abs");
	conf_free(c);
}

/* Goal: a NUL byte is an error of its line; a byte order mark in front of the file is skipped. */
static void
test_bytes(void **state)
{
	static const char nul[] = "tolerance = 60\nmax_body = 1M\0\nnonsense = 1\n";
	struct buf errors = { 0 };
	struct conf *c;

	file_write(*state, "fluidhook.conf", nul, sizeof(nul) - 1, 0600);
	assert_null(conf_load(path_in(*state, "fluidhook.conf"), &errors));
	CHECK(strstr(errors.data, ":2: a NUL byte") && strstr(errors.data, "\n") &&
		strstr(errors.data, ":3: unknown key"),
	    "%s", errors.data);
	buf_free(&errors);
	c = conf_make(*state, "\xef\xbb\xbftolerance = 60\n[worker] ; a comment\nattempts = 2\n");
	assert_int_equal(c->tolerance, 60);
	assert_int_equal(c->attempts, 2);
	conf_free(c);
	c = conf_make(*state, "\xef\xbb\xbf[worker]\nattempts = 3\n");
	assert_int_equal(c->attempts, 3);
	conf_free(c);
}

/* Goal: a log file is a path like any other; a relative configuration file makes absolute paths. */
static void
test_paths(void **state)
{
	struct conf *c = conf_make(*state, "log = x.log\n");
	char *before = getcwd(NULL, 0);
	struct buf errors = { 0 };

	assert_int_equal(c->log, LOG_TO_FILE);
	assert_string_equal(c->log_file, path_in(*state, "x.log"));
	conf_free(c);
	file_text(*state, "fluidhook.conf", "state_dir = state\n[worker]\nhooks = hooks\n", 0600);
	assert_int_equal(chdir(*state), 0);
	assert_non_null(c = conf_load("fluidhook.conf", &errors));
	assert_string_equal(c->file, path_in(*state, "fluidhook.conf"));
	assert_string_equal(c->state_dir, path_in(*state, "state"));
	assert_string_equal(c->hooks, path_in(*state, "hooks"));
	conf_free(c);
	assert_int_equal(chdir(before), 0);
	free(before);
}

/* Goal: very long lines are an error of that line alone; control bytes do not reach the message. */
static void
test_hostile(void **state)
{
	struct buf text = { 0 };
	const char *errors;

	buf_adds(&text, "tolerance = 60\nstate_dir = /");
	for (int i = 0; i < 10000; i++)
		buf_addc(&text, 'x');
	buf_adds(&text, "\nnonsense = 1\n");
	errors = errors_of(*state, text.data);
	assert_non_null(errors);
	CHECK(strncmp(errors, ":2: ", 4) == 0 && strstr(errors, "\n:3: unknown key"), "%s", errors);
	errors = errors_of(*state, "log = \x1b[2J\n");
	assert_non_null(errors);
	assert_null(strchr(errors, '\x1b'));
	buf_free(&text);
}

/* Goal: a file that is not there, or no file, is an error and not a set of defaults. */
static void
test_no_file(void **state)
{
	struct buf errors = { 0 };

	assert_null(conf_load(path_in(*state, "none.conf"), &errors));
	assert_non_null(strstr(errors.data, "none.conf: No such file"));
	buf_reset(&errors);
	assert_null(conf_load(*state, &errors));
	assert_true(errors.len > 0);
	buf_free(&errors);
}

/*
 * Goal: secrets files that are missing or open to others are named with the line that named them.
 */
static void
test_secrets(void **state)
{
	static const struct {
		mode_t mode;
		bool good;
	} modes[] = { { 0600, true }, { 0640, true }, { 0400, true }, { 0644, false },
		{ 0604, false }, { 0602, false }, { 0601, false }, { 0, false } };
	struct conf *c = conf_make(*state, "[droplet]\nuuid = drp_a\nsecrets = s\n");
	struct buf errors = { 0 };

	for (size_t i = 0; i < LENGTH(modes); i++) {
		unlink(path_in(*state, "s"));
		file_text(*state, "s", "dws\n", modes[i].mode);
		buf_reset(&errors);
		CHECK((conf_check_secrets(c, &errors) == 0) == modes[i].good, "mode %o",
		    modes[i].mode);
		if (!modes[i].good)
			CHECK(strstr(errors.data, "fluidhook.conf:3: secrets: "), "%s",
			    errors.data);
	}
	unlink(path_in(*state, "s"));
	assert_int_equal(conf_check_secrets(c, &errors), -1);
	assert_int_equal(mkdir(path_in(*state, "s"), 0700), 0);
	assert_int_equal(conf_check_secrets(c, &errors), -1);
	buf_free(&errors);
	conf_free(c);
}

/* Goal: what was asked for wins, also where it does not exist; then the environment. */
static void
test_find(void **state)
{
	char *path;

	(void)state;
	setenv("FLUIDHOOK_CONF", "/from/environment", 1);
	assert_non_null(path = conf_find("/given"));
	assert_string_equal(path, "/given");
	free(path);
	assert_non_null(path = conf_find(NULL));
	assert_string_equal(path, "/from/environment");
	free(path);
	setenv("FLUIDHOOK_CONF", "", 1);
	setenv("HOME", "/nowhere", 1);
	assert_non_null(path = conf_find(NULL));
	assert_non_null(strstr(path, "/fluidhook/fluidhook.conf"));
	assert_null(strstr(path, "/nowhere"));
	free(path);
	unsetenv("FLUIDHOOK_CONF");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mistakes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spellings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_relative, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_secrets, setup, teardown),
		cmocka_unit_test(test_find),
	};

	permissions_apply();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
