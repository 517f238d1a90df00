#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/timefmt.h"
#include "cli/lib/cli.h"
#include "cli/commands.h"
#include "cli/lib/known_keys.h"
#include "cli/lib/progress.h"
#include "cli/lib/when.h"
#include "delivery/signature.h"
#include "store/entry.h"
#include "store/journal_reader.h"
#include "store/seal.h"

/* Verifying every delivery of the journal again, offline, from the bytes that were stored. */

enum { SECONDS_A_DAY = 86400 };

enum outcome { VALID, KEY_GONE, FAILED, UNSIGNED, INCOMPLETE, N_OUTCOMES };

static const struct {
	const char *key, *label, *meaning;
} outcomes[N_OUTCOMES] = {
	[VALID] = { "valid", "Valid", NULL },
	[KEY_GONE] = { "key_gone", "Key gone",
	    "the body is as it was received; the key that signed it is not kept any more" },
	[FAILED] = { "failed", "Failed", NULL },
	[UNSIGNED] = { "without_signature", "Without signature",
	    "the body is as it was received; it was accepted without a signature" },
	[INCOMPLETE] = { "incomplete", "Incomplete",
	    "lines that a crash cut off; they were never answered with 2xx" },
};

struct verifying {
	const struct conf *conf;
	struct known_keys keys;
	struct journal_reader *reader;
	int64_t since;
	uint64_t counts[N_OUTCOMES], lines;
	/* A part of the journal, or a key that may count as gone, could not be read. It was said. */
	bool unreadable;
	struct json_writer *names; /* those that fail, for --json; NULL: they are said */
	struct progress progress;
};

static bool
is_signed_with(const struct entry *e, const unsigned char signature[SIGNATURE_LEN], const char *key)
{
	unsigned char expected[SIGNATURE_LEN];

	signature_compute(expected, key, e->timestamp, e->body, e->body_len);
	return (signature_equal(expected, signature));
}

/* A line of a version before 0.2, which does not say which key it was: one of the droplets' or the installation's. */
static enum outcome
judge_by_any_key(const struct known_keys *keys, const struct entry *e,
    const unsigned char signature[SIGNATURE_LEN])
{
	const char *const owners[] = { NULL, e->installation };

	for (size_t o = 0; o < 2; o++) {
		size_t n;
		const struct known_key *const *k = known_keys_of(keys, owners[o], &n);

		for (size_t i = 0; i < n; i++)
			if (k[i]->is_verified && is_signed_with(e, signature, k[i]->key))
				return (VALID);
	}
	return (KEY_GONE);
}

/* Whoever knows a key with this fingerprint knows the key that it was, wherever the key was found. */
static enum outcome
judge_by_fingerprint(const struct known_keys *keys, const struct entry *e,
    const unsigned char signature[SIGNATURE_LEN], const char **why)
{
	size_t n;
	const struct known_key *k = known_keys_find(keys, e->fingerprint, &n);

	if (n == 0)
		return (KEY_GONE);
	for (size_t i = 0; i < n; i++)
		if (is_signed_with(e, signature, k[i].key))
			return (VALID);
	*why = "the signature is wrong under the key that had verified it";
	return (FAILED);
}

static enum outcome
judge(const struct known_keys *keys, const struct entry *e, const char **why)
{
	unsigned char signature[SIGNATURE_LEN];
	char sha256[SIGNATURE_HEX_SIZE];

	sha256_hex(sha256, e->body, e->body_len);
	if (e->sha256 ? strcmp(e->sha256, sha256) != 0 : e->fingerprint != NULL) {
		*why = e->sha256 ? "the body is not what was received: its SHA-256 is another one" :
				   "the SHA-256 of its body is missing";
		return (FAILED);
	}
	if (e->verified_by == NULL ||
	    (strcmp(e->verified_by, "signature") == 0) != (e->signature != NULL)) {
		*why = e->signature ? "it has a signature, and says that it was accepted without" :
				      "its signature is missing";
		return (FAILED);
	}
	if (e->signature == NULL)
		return (UNSIGNED);
	if (e->timestamp == NULL || signature_parse(signature, e->signature)) {
		*why = e->timestamp ? "its signature is damaged" : "its timestamp is missing";
		return (FAILED);
	}
	return (e->fingerprint ? judge_by_fingerprint(keys, e, signature, why) :
				 judge_by_any_key(keys, e, signature));
}

/* Name one that fails. e: what can be read of the line. */
static void
name_failed(struct verifying *v, const struct entry *e, const char *why)
{
	const char *file = journal_reader_file(v->reader);
	off_t offset = journal_reader_offset(v->reader);

	if (v->names == NULL) {
		progress_hide(&v->progress);
		cli_fail("%s/journal/%s, byte %jd: delivery %s%s%s: %s", v->conf->state_dir, file,
		    (intmax_t)offset, e->delivery ? e->delivery : "unknown", e->event ? ", " : "",
		    e->event ? e->event : "", why);
		return;
	}
	json_object(v->names);
	json_key(v->names, "delivery");
	json_string(v->names, e->delivery);
	json_key(v->names, "event");
	json_string(v->names, e->event);
	json_key(v->names, "file");
	json_string(v->names, file);
	json_key(v->names, "offset");
	json_int(v->names, offset);
	json_key(v->names, "why");
	json_string(v->names, why);
	json_object_end(v->names);
}

/*
 * Whole lines end with a quote or, redacted ones, a blank before the brace. A line that a crash cut off seldom does:
 * then it counts as damaged.
 */
static bool
is_cut_off(const struct buf *line)
{
	size_t n = line->len;

	return (n < 2 || line->data[n - 1] != '}' ||
	    (line->data[n - 2] != '"' && line->data[n - 2] != ' '));
}

/* One whose time cannot be read is verified rather than left out. */
static bool
is_in_time(const struct verifying *v, const struct entry *e)
{
	struct timespec received;

	return (timefmt_parse(e->received_at, &received) != 0 || received.tv_sec >= v->since);
}

/* Returns 0, or -1: ENOMEM. */
static int
verify_line(struct verifying *v, const struct buf *line, struct buf *texts)
{
	const char *why = "the line is damaged: it is no delivery";
	enum outcome outcome = FAILED;
	char sealed[128];
	struct entry e;

	buf_reset(texts);
	if (entry_read(&e, line->data, line->len, texts) == 0) {
		if (!is_in_time(v, &e))
			return (0);
		outcome = judge(&v->keys, &e, &why);
	} else if (errno == ENOMEM) {
		return (-1);
	} else if (errno != EBADMSG) {
		snprintf(sealed, sizeof(sealed), "its body is sealed, and cannot be opened: %s",
		    seal_problem(errno));
		why = sealed;
	} else if (is_cut_off(line)) {
		outcome = INCOMPLETE;
	}
	v->counts[outcome]++;
	if (outcome == FAILED)
		name_failed(v, &e, why);
	return (0);
}

/* Returns 0, or -1 after saying what is wrong. */
static int
verify_lines(struct verifying *v)
{
	struct buf line = { 0 }, texts = { 0 };
	int result = 0, more;

	while (result == 0 && (more = journal_reader_previous(v->reader, &line)) != 0) {
		if (more == -1) {
			progress_hide(&v->progress);
			cli_fail("%s/journal/%s: %s", v->conf->state_dir,
			    journal_reader_file(v->reader),
			    errno == EINVAL ? "is no regular file" : strerror(errno));
			v->unreadable = true;
			continue;
		}
		progress_count(&v->progress, ++v->lines);
		if (line.len && (result = verify_line(v, &line, &texts)) != 0)
			cli_fail("out of memory");
	}
	buf_wipe(&line);
	buf_wipe(&texts);
	return (result);
}

static int
verify(struct verifying *v)
{
	int dir = cli_directory(v->conf, "journal"), result = -1;
	char first[TIMEFMT_DAY_SIZE];

	if (dir == -1)
		return (-1);
	if ((v->reader = journal_reader_new(dir)) == NULL) {
		cli_fail("%s/journal: %s", v->conf->state_dir, strerror(errno));
		close(dir);
		return (-1);
	}
	/* A file holds what was received on its day. */
	if (v->since != INT64_MIN) {
		timefmt_day(first, v->since - SECONDS_A_DAY);
		journal_reader_begin_at(v->reader, first);
	}
	progress_begin(&v->progress, "Collecting the keys");
	if ((result = known_keys_collect(&v->keys, v->conf)) == 0) {
		progress_end(&v->progress);
		progress_begin(&v->progress, "Verifying deliveries");
		result = verify_lines(v);
	}
	progress_end(&v->progress);
	v->unreadable = v->unreadable || v->keys.incomplete;
	known_keys_free(&v->keys);
	journal_reader_free(v->reader);
	close(dir);
	return (result);
}

static void
print_counts(const struct verifying *v)
{
	for (size_t i = 0; i < N_OUTCOMES; i++) {
		if (v->counts[i] == 0 && outcomes[i].meaning)
			continue;
		printf("%-18s%10" PRIu64 "%s%s\n", outcomes[i].label, v->counts[i],
		    outcomes[i].meaning ? "  " : "",
		    outcomes[i].meaning ? outcomes[i].meaning : "");
	}
}

/* Returns the exit status. */
static int
verify_for_programs(struct verifying *v)
{
	struct buf out = { 0 };
	struct json_writer *w = json_writer_new(&out, false);
	int result;

	if (w == NULL)
		return (cli_fail("out of memory"));
	json_object(w);
	json_key(w, "failures");
	json_array(w);
	v->names = w;
	result = verify(v);
	json_array_end(w);
	for (size_t i = 0; i < N_OUTCOMES; i++) {
		json_key(w, outcomes[i].key);
		json_int(w, (long long)v->counts[i]);
	}
	json_object_end(w);
	if (json_writer_end(w) && result == 0)
		result = cli_fail("out of memory");
	if (result == 0)
		printf("%s\n", out.data);
	buf_free(&out);
	return (result ? CLI_FAILED : CLI_DONE);
}

struct verify_options {
	const char *since;
};

static const struct cli_option verify_options[] = {
	CLI_VALUE(struct verify_options, since, "since", '\0'),
	CLI_END,
};

static int
check(const struct cli *c)
{
	const struct verify_options *o = c->options;
	int64_t since;

	if (o->since && when_parse(o->since, time(NULL), &since))
		return (cli_misuse(c,
		    "--since: \"%s\" is not a time (2h, 3d, 2026-11-23, 2026-11-23T08:30:00Z)",
		    o->since));
	return (CLI_DONE);
}

static int
run(struct cli *c)
{
	const struct verify_options *o = c->options;
	struct verifying v = { .conf = c->conf, .since = INT64_MIN };
	int status;

	if (o->since)
		when_parse(o->since, time(NULL), &v.since);
	if (c->json)
		status = verify_for_programs(&v);
	else if ((status = verify(&v) ? CLI_FAILED : CLI_DONE) == CLI_DONE)
		print_counts(&v);
	return (v.counts[FAILED] || v.unreadable ? CLI_FAILED : status);
}

const struct command verify_command = {
	.name = "verify",
	.args = "[--since T] [--json]",
	.summary = "Verify every stored signature again",
	.help =
	    "Reads the journal, and names each delivery whose body or signature is not what was\n"
	    "received: exit status 1 then. Needs no network. A signature whose key is not kept any\n"
	    "more cannot be verified; its body still is, by its SHA-256.\n"
	    "\n"
	    "      --since T  received at T or later: 90m, 2h, 3d, 2026-11-23, 2026-11-23T08:30:00Z\n"
	    "      --json     one JSON object\n",
	.flags = COMMAND_OWNER | COMMAND_JSON,
	.options = verify_options,
	.options_size = sizeof(struct verify_options),
	.check = check,
	.run = run,
};
