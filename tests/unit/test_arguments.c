/* What people type: options and arguments, mistyped names, times, and the beginning of a delivery's UUID. */
#include "support.h"

#include "cli/lib/cli.h"
#include "cli/lib/guess.h"
#include "cli/lib/redact.h"
#include "cli/lib/uuid_arg.h"
#include "cli/lib/when.h"

struct options {
	bool flag;
	const char *value;
};

static const struct cli_option table[] = {
	CLI_FLAG(struct options, flag, "flag", 'f'),
	CLI_VALUE(struct options, value, "value", '\0'),
	CLI_END,
};

static int
not_bad(const struct cli *c)
{
	return (c->argc && strcmp(c->argv[0], "bad") == 0 ? cli_misuse(c, "bad is bad") : CLI_DONE);
}

static const struct command parent = { .name = "family" };
static const struct command command = {
	.name = "do",
	.args = "[A] [B]",
	.summary = "Do it",
	.flags = COMMAND_JSON,
	.least = 1,
	.most = 2,
	.options = table,
	.options_size = sizeof(struct options),
	.check = not_bad,
};

/* Parse these words, separated by blanks. Returns the status; what was said is in *said, for free(). */
static int
parse(struct cli *c, const struct command *self, const char *words, bool *parsed, char **said)
{
	static char text[200];
	char *argv[20] = { NULL }, *directory = directory_make(), *at = text;
	struct buf err = { 0 };
	int argc = 0, status = CLI_DONE;

	snprintf(text, sizeof(text), "%s", words);
	while (at && argc < 19)
		argv[argc++] = strsep(&at, " ");
	*c = (struct cli){ .command = self, .parent = &parent };
	stderr_capture(directory, "err");
	*parsed = cli_parse(c, argc, argv, &status);
	stderr_restore();
	/* What getopt sorted is in argv, which goes. */
	if (*parsed)
		assert_int_equal(status, CLI_DONE);
	for (int i = 0; *parsed && i < c->argc; i++)
		CHECK(c->argv[i] >= text && c->argv[i] < text + sizeof(text), "argument %d", i);
	file_read(directory, "err", &err);
	*said = err.data ? err.data : strdup("");
	directory_remove(directory);
	return (status);
}

/* Goal: options are read wherever they stand, and the number of arguments is checked. */
static void
test_options(void **state)
{
	static const struct {
		const char *words;
		bool flag, json;
		const char *value;
		int argc;
	} good[] = {
		{ "do x", false, false, NULL, 1 },
		{ "do --flag x y", true, false, NULL, 2 },
		{ "do x -f --value=v", true, false, "v", 1 },
		{ "do --value v x --json", false, true, "v", 1 },
		{ "do --fl x", true, false, NULL, 1 },
		{ "do -- --flag", false, false, NULL, 1 },
	};
	static const struct {
		const char *words, *said;
	} bad[] = {
		{ "do", "fluidhook family do: missing argument: [A] [B]" },
		{ "do x y z", "fluidhook family do: unexpected argument \"z\"" },
		{ "do x --value", "fluidhook family do: --value needs a value" },
		{ "do x --valeu v",
		    "fluidhook family do: unknown option --valeu; did you mean --value?" },
		{ "do x --jsn", "fluidhook family do: unknown option --jsn; did you mean --json?" },
		{ "do x --other", "fluidhook family do: unknown option --other" },
		{ "do bad", "fluidhook family do: bad is bad" },
	};
	struct options *o;
	struct cli c;
	bool parsed;
	char *said;

	(void)state;
	for (size_t i = 0; i < LENGTH(good); i++) {
		parse(&c, &command, good[i].words, &parsed, &said);
		CHECK(parsed && *said == '\0', "%s: %s", good[i].words, said);
		o = c.options;
		CHECK(o->flag == good[i].flag && c.json == good[i].json, "%s", good[i].words);
		CHECK_TEXT(o->value, good[i].value, good[i].words);
		assert_int_equal(c.argc, good[i].argc);
		free(said);
		cli_close(&c);
	}
	for (size_t i = 0; i < LENGTH(bad); i++) {
		CHECK(parse(&c, &command, bad[i].words, &parsed, &said) == CLI_USAGE && !parsed,
		    "%s", bad[i].words);
		CHECK(strncmp(said, bad[i].said, strlen(bad[i].said)) == 0, "%s: %s", bad[i].words,
		    said);
		CHECK(strstr(said, "Try \"fluidhook family do --help\".\n") != NULL, "%s", said);
		free(said);
		cli_close(&c);
	}
}

/* Goal: a command without options takes any number of arguments where it says so, and no --json. */
static void
test_no_options(void **state)
{
	static const struct command many = { .name = "many",
		.args = "X...",
		.flags = COMMAND_MANY };
	struct cli c;
	bool parsed;
	char *said;

	(void)state;
	parse(&c, &many, "many a b c d e", &parsed, &said);
	assert_true(parsed);
	assert_int_equal(c.argc, 5);
	assert_null(c.options);
	free(said);
	cli_close(&c);
	assert_int_equal(parse(&c, &many, "many --json", &parsed, &said), CLI_USAGE);
	free(said);
	cli_close(&c);
}

/* Goal: the nearest name is guessed, unless it is too far away. */
static void
test_guesses(void **state)
{
	static const char *const names[] = { "deliveries", "delivery", "list", "queue", "check" };
	static const struct {
		const char *typed, *want;
	} cases[] = {
		{ "delivreies", "deliveries" },
		{ "delivry", "delivery" },
		{ "lst", "list" },
		{ "qeueu", "queue" },
		{ "chekc", "check" },
		{ "x", NULL },
		{ "", NULL },
		{ "completely", NULL },
	};
	char longer[2 * GUESS_SIZE];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct guess g = guess_begin(cases[i].typed);

		for (size_t n = 0; n < LENGTH(names); n++)
			guess_consider(&g, names[n], strlen(names[n]));
		CHECK_TEXT(guess_near(&g), cases[i].want, cases[i].typed);
	}
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	struct guess g = guess_begin(longer);
	guess_consider(&g, longer, strlen(longer));
	assert_null(guess_near(&g));
}

/* Goal: spans count back from now, days are their beginning in UTC, and all else is refused. */
static void
test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t want; /* -1: refused */
	} cases[] = {
		{ "30s", 1700000000 - 30 },
		{ "2h", 1700000000 - 7200 },
		{ "3d", 1700000000 - 3 * 86400 },
		{ "2023-11-14", 1699920000 },
		{ "2023-11-14T22:13:20Z", 1700000000 },
		{ "2023-11-14T23:13:20+01:00", 1700000000 },
		{ "", -1 },
		{ "2", -1 },
		{ "2y", -1 },
		{ "-2h", -1 },
		{ "2023-11-31", -1 },
		{ "yesterday", -1 },
	};
	int64_t out, span;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		out = -1;
		CHECK((when_parse(cases[i].text, 1700000000, &out) == 0) == (cases[i].want != -1),
		    "%s", cases[i].text);
		CHECK(out == cases[i].want, "%s", cases[i].text);
	}
	assert_int_equal(when_parse_span("2w", &span), 0);
	assert_int_equal(span, 14 * 86400);
	assert_int_equal(when_parse_span("2023-11-14", &span), -1);
}

/* Goal: a beginning means the UUIDs that begin so, counted once each; the days are those of its time. */
static void
test_uuids(void **state)
{
	static const char a[] = "018bcfe5-6800-7abc-8def-0123456789ab";
	static const char b[] = "018bcfe5-6800-7abd-8def-0123456789ab";
	struct uuid_arg arg = uuid_arg_begin("018BCFE5-6800-7AB");
	char first[TIMEFMT_DAY_SIZE], last[TIMEFMT_DAY_SIZE];

	(void)state;
	assert_true(uuid_arg_consider(&arg, a));
	assert_true(uuid_arg_consider(&arg, a));
	assert_false(uuid_arg_consider(&arg, "118bcfe5-6800-7abc-8def-0123456789ab"));
	assert_int_equal(arg.n, 1);
	assert_false(uuid_arg_is_whole(&arg));
	assert_false(uuid_arg_is_ambiguous(&arg));
	assert_true(uuid_arg_consider(&arg, b));
	assert_int_equal(arg.n, 2);
	assert_true(uuid_arg_is_ambiguous(&arg));
	assert_int_equal(uuid_arg_days(&arg, first, last), 0);
	CHECK_TEXT(first, "2023-11-13", "first");
	CHECK_TEXT(last, "2023-11-15", "last");
	arg = uuid_arg_begin(a);
	assert_true(uuid_arg_is_whole(&arg));
	for (size_t i = 0; i < 4; i++) {
		arg = uuid_arg_begin((const char *const[]){ "", "g", "018b-",
		    "018bcfe5-6800-7abc-8def-0123456789abc" }[i]);
		CHECK(uuid_arg_days(&arg, first, last) == -1, "%s", arg.argument);
	}
	arg = uuid_arg_begin("0");
	assert_int_equal(uuid_arg_days(&arg, first, last), 0);
	CHECK_TEXT(first, "1969-12-31", "first");
	/* The shortest beginning of all is that of any. */
	arg = uuid_arg_begin("");
	assert_false(uuid_arg_consider(&arg, a));
}

/* Goal: credentials are replaced wherever they stand, with all that is in them, and nothing else is. */
static void
test_redaction(void **state)
{
	static const struct {
		const char *body, *want;
	} cases[] = {
		{ "{'a':1}", "{\n  'a': 1\n}\n" },
		{ "{'auth_token':'x','a':'auth_token'}",
		    "{\n  'auth_token': 'present',\n  'a': 'auth_token'\n}\n" },
		{ "{'auth_token':null,'b':[{'exchange_token':{'c':['d']},'e':1.50}]}",
		    "{\n  'auth_token': null,\n  'b': [\n    {\n      'exchange_token': 'present',\n"
		    "      'e': 1.50\n    }\n  ]\n}\n" },
		{ "{'webhook_verification_token':['x',{'y':'z'}],'f':true,'g':false,'h':{},'i':null}",
		    "{\n  'webhook_verification_token': 'present',\n  'f': true,\n  'g': false,\n"
		    "  'h': {\n\n  },\n  'i': null\n}\n" },
		{ "{'auth_token", NULL },
		{ "[]", NULL },
		{ "", NULL },
	};
	char want[300];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct buf out = { 0 };
		const char *body = quoted(cases[i].body);
		int result = redact_body(body, strlen(body), &out);

		CHECK((result == 0) == (cases[i].want != NULL), "%s", cases[i].body);
		if (cases[i].want) {
			snprintf(want, sizeof(want), "%s", quoted(cases[i].want));
			CHECK_TEXT(out.data, want, cases[i].body);
		}
		buf_free(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_no_options),
		cmocka_unit_test(test_guesses),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_uuids),
		cmocka_unit_test(test_redaction),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
