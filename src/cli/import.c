#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/import_line.h"
#include "cli/lib/cli.h"
#include "cli/lib/progress.h"
#include "store/lifecycle.h"

/* Taking installations over from another program, a line each. No message has anything of a line but a safe name. */

enum { LINE_MAX_BYTES = 1 << 20 };

enum result { ADDED, UPDATED, UNCHANGED, SKIPPED, N_RESULTS };

static const char *const result_names[N_RESULTS] = { "added", "updated", "unchanged", "skipped" };

struct importing {
	const struct conf *conf;
	struct state *state;
	const char *file; /* for messages */
	uint64_t counts[N_RESULTS], line;
	struct json_writer *names; /* what is skipped, for --json; NULL: it is said */
	struct progress progress;
};

static void
skip(struct importing *im, const char *record, const char *why)
{
	im->counts[SKIPPED]++;
	if (im->names == NULL) {
		progress_hide(&im->progress);
		cli_fail("%s, line %" PRIu64 "%s%s: skipped: %s", im->file, im->line,
		    *record ? ", " : "", record, why);
		return;
	}
	json_object(im->names);
	json_key(im->names, "line");
	json_int(im->names, (long long)im->line);
	json_key(im->names, "installation");
	json_string(im->names, *record ? record : NULL);
	json_key(im->names, "why");
	json_string(im->names, why);
	json_object_end(im->names);
}

static void
count(struct importing *im, enum lifecycle_imported done)
{
	im->counts[done == LIFECYCLE_ADDED ? ADDED :
		done == LIFECYCLE_UPDATED  ? UPDATED :
					     UNCHANGED]++;
}

/* Returns 0, or -1 after saying why nothing more can be imported. */
static int
apply(struct importing *im, const struct import_line *l)
{
	enum lifecycle_imported done;
	int result, saved;

	if ((result = state_lock(im->state)) == 0) {
		result = lifecycle_import(im->state, &l->install, l->is_over ? &l->ended : NULL,
		    &done);
		saved = errno;
		state_unlock(im->state);
		errno = saved;
	}
	if (result == 0)
		count(im, done);
	else if (result == LIFECYCLE_FOREIGN)
		skip(im, l->record, "the record here is of another droplet");
	else if (errno == EBADMSG)
		skip(im, l->record, "a record here is damaged: see \"fluidhook check\"");
	else
		return (cli_fail("%s, line %" PRIu64
				 ", %s: %s; run this again when that is remedied: it goes on here",
			    im->file, im->line, l->record,
			    errno == EAGAIN ? "the indexes are not complete: \"fluidhook repair\"" :
					      strerror(errno)),
		    -1);
	return (0);
}

static int
import_line(struct importing *im, const char *line, size_t len)
{
	static const char mark[] = "\xef\xbb\xbf";
	struct import_line l;
	struct timespec now;
	const char *why;
	int result = 0;

	if (im->line == 1 && len >= sizeof(mark) - 1 && memcmp(line, mark, sizeof(mark) - 1) == 0) {
		line += sizeof(mark) - 1;
		len -= sizeof(mark) - 1;
	}
	while (len && strchr(" \t\r\n", line[len - 1]) && line[len - 1])
		len--;
	if (len == 0)
		return (0);
	if (len > LINE_MAX_BYTES) {
		skip(im, "", "it is longer than 1 MiB");
		return (0);
	}
	clock_gettime(CLOCK_REALTIME, &now);
	if ((why = import_line_read(&l, im->conf, line, len, &now)) != NULL)
		skip(im, l.record, why);
	else
		result = apply(im, &l);
	import_line_free(&l);
	return (result);
}

static int
import_all(struct importing *im, FILE *fp)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int result = 0;

	progress_begin(&im->progress, "Importing");
	while (result == 0 && (errno = 0, len = getline(&line, &size, fp)) != -1) {
		progress_count(&im->progress, ++im->line);
		result = import_line(im, line, (size_t)len);
	}
	progress_end(&im->progress);
	if (result == 0 && !feof(fp)) {
		cli_fail("%s: %s", im->file, strerror(errno ? errno : EIO));
		result = -1;
	}
	if (line)
		explicit_bzero(line, size);
	free(line);
	return (result);
}

static void
print_counts(const struct importing *im)
{
	for (size_t i = 0; i < N_RESULTS; i++)
		printf("%-10s%10" PRIu64 "\n", result_names[i], im->counts[i]);
}

/* Returns 0, or -1. What was done is told also if the rest could not be. */
static int
import_for_programs(struct importing *im, FILE *fp)
{
	struct buf out = { 0 };
	struct json_writer *w = json_writer_new(&out, false);
	int result;

	if (w == NULL)
		return (cli_fail("out of memory"), -1);
	json_object(w);
	json_key(w, "reasons");
	json_array(w);
	im->names = w;
	result = import_all(im, fp);
	json_array_end(w);
	for (size_t i = 0; i < N_RESULTS; i++) {
		json_key(w, result_names[i]);
		json_int(w, (long long)im->counts[i]);
	}
	json_object_end(w);
	if (json_writer_end(w))
		result = (cli_fail("out of memory"), -1);
	else
		printf("%s\n", out.data);
	buf_free(&out);
	return (result);
}

static int
run(struct cli *c)
{
	bool is_stdin = strcmp(c->argv[0], "-") == 0;
	struct importing im = { .conf = c->conf, .file = is_stdin ? "standard input" : c->argv[0] };
	/* Before the command becomes the owner: the file may be root's. */
	FILE *fp = is_stdin ? stdin : fopen(c->argv[0], "re");
	int result = -1;

	if (fp == NULL)
		return (cli_fail("%s: %s", c->argv[0], strerror(errno)));
	if ((im.state = cli_state(c->conf)) != NULL) {
		if (c->json) {
			result = import_for_programs(&im, fp);
		} else {
			result = import_all(&im, fp);
			print_counts(&im);
		}
	}
	state_close(im.state);
	if (!is_stdin)
		fclose(fp);
	return (result || im.counts[SKIPPED] ? CLI_FAILED : CLI_DONE);
}

const struct command import_command = {
	.name = "import",
	.args = "FILE [--json]",
	.summary = "Import installations from another program",
	.help =
	    "FILE has one JSON object a line, with Fluid's field names, at its root or in `company`:\n"
	    "droplet_installation_uuid, fluid_company_id, fluid_shop, name, authentication_token,\n"
	    "webhook_verification_token; installed_at (or created_at) and uninstalled_at. \"-\" is\n"
	    "standard input. A newer record that is here stays. No hook runs.\n"
	    "\n"
	    "      --json  one JSON object\n",
	.flags = COMMAND_CONF | COMMAND_JSON | COMMAND_CHANGES,
	.least = 1,
	.most = 1,
	.run = run,
};
