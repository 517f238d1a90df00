/* What the commands print, read and open: messages, check lines, bodies, signed headers, the state directory. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/lib/api_session.h"
#include "cli/lib/checklist.h"
#include "cli/lib/cli.h"
#include "cli/lib/data_arg.h"
#include "cli/lib/entry_print.h"
#include "cli/lib/signed.h"
#include "cli/lib/url_arg.h"

/* Goal: a message shows control characters and invalid UTF-8 by number, and keeps newlines and tabs. */
static void
test_message(void **state)
{
	const char *said;
	int status;

	(void)state;
	capture_begin();
	status = cli_fail("a\x1b[2J %s\n\tb\xff\xe2\x80\xae", "c");
	said = capture_end();
	CHECK_TEXT(said, "fluidhook: a\\x1b[2J c\n\tb\\xff\\u202e\n", "message");
	assert_int_equal(status, CLI_FAILED);
}

/* Goal: without a terminal nobody can be asked, and the answer is no. */
static void
test_confirm_without_terminal(void **state)
{
	int before = dup(STDIN_FILENO), none = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const char *said;
	bool answer;

	(void)state;
	assert_int_equal(dup2(none, STDIN_FILENO), STDIN_FILENO);
	close(none);
	capture_begin();
	answer = cli_confirm("Really?");
	said = capture_end();
	dup2(before, STDIN_FILENO);
	close(before);
	assert_false(answer);
	CHECK_TEXT(said, "", "nothing is asked");
}

/* Goal: each check is a line with its mark, a hint is indented below, and one cross decides the status. */
static void
test_checklist(void **state)
{
	struct checklist l = { .json = false };
	const char *said;
	int before, after;

	(void)state;
	capture_begin();
	checklist_good(&l, "disk", "%d GB", 7);
	checklist_note(&l, "clock", "look\nat it", "late");
	before = checklist_status(&l);
	checklist_bad(&l, "key", NULL, "no \x07 key");
	after = checklist_status(&l);
	said = capture_end();
	CHECK_TEXT(said,
	    "\xe2\x9c\x93 disk          7 GB\n"
	    "! clock         late\n    look\n    at it\n"
	    "\xe2\x9c\x97 key           no \\x07 key\n",
	    "lines");
	assert_int_equal(before, CLI_DONE);
	assert_int_equal(after, CLI_FAILED);
}

/* Goal: with --json each check is an object on a line, valid JSON whatever bytes are in it. */
static void
test_checklist_json(void **state)
{
	struct checklist l = { .json = true };
	const char *said;

	(void)state;
	capture_begin();
	checklist_note(&l, "clock", "look", "late");
	checklist_bad(&l, "key", NULL, "a\xff");
	said = capture_end();
	CHECK_TEXT(said,
	    "{\"check\":\"clock\",\"ok\":true,\"text\":\"late\",\"hint\":\"look\"}\n"
	    "{\"check\":\"key\",\"ok\":false,\"text\":\"a?\",\"hint\":null}\n",
	    "objects");
}

/* Goal: a body is read from a file up to the largest size, and one that is larger or missing is refused. */
static void
test_data(void **state)
{
	char *directory = directory_make();
	struct buf out = { 0 };
	const char *said;
	int result;

	(void)state;
	file_write(directory, "body", "a\0b", 3, 0600);
	assert_int_equal(data_arg(path_in(directory, "body"), &out), 0);
	assert_int_equal(out.len, 3);
	assert_memory_equal(out.data, "a\0b", 4);
	buf_wipe(&out);
	capture_begin();
	result = data_arg(path_in(directory, "none"), &out);
	said = capture_end();
	CHECK(result == -1 && strstr(said, "none: No such file"), "%s", said);
	assert_int_equal(truncate(path_in(directory, "body"), DATA_ARG_MAX), 0);
	assert_int_equal(data_arg(path_in(directory, "body"), &out), 0);
	assert_int_equal(out.len, DATA_ARG_MAX);
	buf_wipe(&out);
	assert_int_equal(truncate(path_in(directory, "body"), DATA_ARG_MAX + 1), 0);
	capture_begin();
	result = data_arg(path_in(directory, "body"), &out);
	said = capture_end();
	CHECK(result == -1 && strstr(said, "File too large"), "%s", said);
	buf_wipe(&out);
	directory_remove(directory);
}

/* Goal: "-" is standard input. */
static void
test_data_of_stdin(void **state)
{
	int before = dup(STDIN_FILENO), fds[2];
	struct buf out = { 0 };

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], "body", 4), 4);
	close(fds[1]);
	dup2(fds[0], STDIN_FILENO);
	close(fds[0]);
	assert_int_equal(data_arg("-", &out), 0);
	dup2(before, STDIN_FILENO);
	close(before);
	CHECK_TEXT(out.data, "body", "read");
	buf_wipe(&out);
}

/* Goal: a delivery is shown as one object with the size of its body, and the body only if one is given. */
static void
test_entry(void **state)
{
	const struct entry e = { .delivery = "u1",
		.received_at = "2023-11-14T22:13:20.000001Z",
		.event = "order.created",
		.verified_by = "signature",
		.signature = "secretsecret",
		.body = "{}",
		.body_len = 2 };
	const char *said;

	(void)state;
	capture_begin();
	entry_print_json(&e, NULL);
	said = capture_end();
	CHECK(strncmp(said, "{\"delivery\":\"u1\"", 16) == 0, "%s", said);
	CHECK(strstr(said, "\"event\":\"order.created\"") != NULL, "%s", said);
	CHECK(strstr(said, ",\"bytes\":2}\n") != NULL, "%s", said);
	CHECK(strstr(said, "secretsecret") == NULL, "%s", said);
	capture_begin();
	entry_print_json(&e, "shown");
	said = capture_end();
	CHECK(strstr(said, ",\"bytes\":2,\"body\":\"shown\"}\n") != NULL, "%s", said);
}

/* Goal: the headers of a delivery verify with its secret, and the two with the token are there only with one. */
static void
test_signed_headers(void **state)
{
	struct signed_headers h;
	unsigned char mac[SIGNATURE_LEN];
	char hex[SIGNATURE_HEX_SIZE];
	size_t n;

	(void)state;
	signed_headers(&h, "dws_a", "acme", NULL, "{}", 2);
	for (n = 0; h.list[n].name; n++)
		;
	assert_int_equal(n, 4);
	signature_compute(mac, "dws_a", h.timestamp, "{}", 2);
	signature_hex(hex, mac);
	CHECK_TEXT(h.list[1].value, "acme", h.list[1].name);
	CHECK_TEXT(h.list[2].value, h.timestamp, h.list[2].name);
	CHECK_TEXT(h.list[3].value, hex, h.list[3].name);
	signed_headers(&h, "dws_a", "acme", "wvt", "{}", 2);
	for (n = 0; h.list[n].name; n++)
		;
	assert_int_equal(n, 6);
	CHECK_TEXT(h.list[4].value, "wvt", h.list[4].name);
	CHECK_TEXT(h.list[5].value, "wvt", h.list[5].name);
}

/* Goal: a URL that Fluid can deliver to is accepted, and a password in another is not repeated. */
static void
test_url(void **state)
{
	static const struct {
		const char *url, *said;
	} cases[] = {
		{ "https://a.example/x", "" },
		{ "http://127.0.0.1:80/x", "" },
		{ "http://a.example/", "fluidhook: http://a.example/: must be https" },
		{ "a.example", "fluidhook: a.example: not an address" },
		{ "https://u:secret@a.example/", "fluidhook: URL: an address must not have" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *said;
		int result;

		capture_begin();
		result = url_arg_check(cases[i].url);
		said = capture_end();
		CHECK((result == 0) == (*cases[i].said == '\0'), "%s", cases[i].url);
		CHECK(strncmp(said, cases[i].said, strlen(cases[i].said)) == 0, "%s: %s",
		    cases[i].url, said);
		CHECK(strstr(said, "secret") == NULL, "%s", said);
	}
}

/* Goal: an error of the call says "fluid:", and a fault on this side says "fluidhook:". */
static void
test_api_error(void **state)
{
	struct fluid_error e;
	const char *said;

	(void)state;
	fluid_error_set(&e, FLUID_REFUSED, "422: url: must be https");
	capture_begin();
	api_session_say(&e);
	said = capture_end();
	CHECK_TEXT(said, "fluid: 422: url: must be https\n", "Fluid's");
	fluid_error_set(&e, FLUID_LOCAL, "no token");
	capture_begin();
	api_session_say(&e);
	said = capture_end();
	CHECK_TEXT(said, "fluidhook: no token\n", "ours");
}

/* Goal: a company's session needs a token, and without one nothing is opened. */
static void
test_api_session(void **state)
{
	char *directory = directory_make();
	struct conf *c = conf_make(directory, "state_dir = state\n");
	struct api_session k;
	const char *said;
	int status;

	(void)state;
	unsetenv("FLUID_COMPANY_TOKEN");
	capture_begin();
	status = api_session_open(&k, c);
	said = capture_end();
	CHECK(status == CLI_FAILED && *said, "%d: %s", status, said);
	assert_null(k.api);
	api_session_close(&k);
	conf_free(c);
	file_text(directory, "token", "C-1\n", 0600);
	c = conf_make(directory, "state_dir = state\n[fluid]\ncompany_token = token\n");
	assert_int_equal(api_session_open(&k, c), CLI_DONE);
	assert_non_null(k.api);
	CHECK_TEXT(k.token.value, "C-1", "token");
	api_session_close(&k);
	conf_free(c);
	directory_remove(directory);
}

/* Goal: a wrong configuration is explained, and a missing one also says how to make it. */
static void
test_configuration(void **state)
{
	char *directory = directory_make();
	struct conf *c;
	const char *said;

	(void)state;
	capture_begin();
	c = cli_conf(path_in(directory, "none.conf"));
	said = capture_end();
	CHECK(c == NULL && strstr(said, "\"fluidhook init\" makes a configuration"), "%s", said);
	file_text(directory, "bad.conf", "nonsense = 1\n", 0600);
	capture_begin();
	c = cli_conf(path_in(directory, "bad.conf"));
	said = capture_end();
	CHECK(c == NULL && strstr(said, "nonsense") && !strstr(said, "fluidhook init"), "%s", said);
	directory_remove(directory);
}

/* Goal: what a command's flags ask for is there when it runs, and what is missing is named. */
static void
test_open_for_command(void **state)
{
	static const struct command with_state = { .name = "x", .flags = COMMAND_STATE },
				    with_owner = { .name = "y", .flags = COMMAND_OWNER };
	char *directory = directory_make();
	struct cli c = { .command = &with_state };
	const char *said;
	int status, fd;

	(void)state;
	conf_free(conf_make(directory, "state_dir = state\n"));
	c.conf_file = strdup(path_in(directory, "fluidhook.conf"));
	capture_begin();
	status = cli_open(&c);
	said = capture_end();
	CHECK(status == CLI_FAILED && strstr(said, "\"fluidhook init\" makes the state directory"),
	    "%s", said);
	cli_close(&c);
	c.command = &with_owner;
	capture_begin();
	status = cli_open(&c);
	capture_end();
	assert_int_equal(status, CLI_FAILED);
	cli_close(&c);
	state_close(state_make(path_in(directory, "state")));
	c.command = &with_state;
	assert_int_equal(cli_open(&c), CLI_DONE);
	assert_non_null(c.state);
	assert_int_not_equal(fd = cli_directory(c.conf, "journal"), -1);
	close(fd);
	assert_int_equal(rmdir(path_in(directory, "state/journal")), 0);
	capture_begin();
	fd = cli_directory(c.conf, "journal");
	said = capture_end();
	CHECK(fd == -1 && strstr(said, "journal is missing; put it back, or run"), "%s", said);
	cli_close(&c);
	assert_int_equal(unlink(path_in(directory, "state/VERSION")), 0);
	capture_begin();
	status = cli_open(&c);
	said = capture_end();
	CHECK(status == CLI_FAILED && *said, "%s", said);
	cli_close(&c);
	free((char *)c.conf_file);
	directory_remove(directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_confirm_without_terminal),
		cmocka_unit_test(test_checklist),
		cmocka_unit_test(test_checklist_json),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_data_of_stdin),
		cmocka_unit_test(test_entry),
		cmocka_unit_test(test_signed_headers),
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_api_error),
		cmocka_unit_test(test_api_session),
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_open_for_command),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
