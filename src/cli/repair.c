#include "cli/repair.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/json.h"
#include "cli/lib/cli.h"
#include "cli/commands.h"
#include "cli/lib/installation_arg.h"
#include "store/index.h"
#include "store/reindex.h"

/* Making again what is missing in a state directory, as far as the rest of it tells. */

enum list { DIRECTORIES, RECORDS, ADDED, REMOVED, N_LISTS };

static const struct {
	const char *member, *word;
} lists[N_LISTS] = {
	[DIRECTORIES] = { "directories", "made" },
	[RECORDS] = { "records", "rebuilt" },
	[ADDED] = { "added", "added" },
	[REMOVED] = { "removed", "removed" },
};

/* One change, kept for --json. */
struct change {
	enum list list;
	char *path;
	const char *status; /* a static text, of a record; else NULL */
};

struct repair {
	const struct conf *conf;
	bool json, failed;
	struct change *changes;
	size_t n, cap;
};

static void
keep(struct repair *p, struct change change)
{
	size_t cap = p->cap ? 2 * p->cap : 64;
	struct change *more;

	if (p->n == p->cap) {
		if ((more = reallocarray(p->changes, cap, sizeof(*more))) == NULL)
			goto out_of_memory;
		p->changes = more;
		p->cap = cap;
	}
	if ((change.path = strdup(change.path)) == NULL)
		goto out_of_memory;
	p->changes[p->n++] = change;
	return;

out_of_memory:
	p->failed = true;
	cli_fail("out of memory: the report is not complete");
}

static void
note(struct repair *p, enum list list, const char *path, const char *status)
{
	if (p->json) {
		keep(p, (struct change){ list, (char *)(uintptr_t)path, status });
		return;
	}
	printf("%-7s  ", lists[list].word);
	cli_print_text(stdout, path, strlen(path));
	printf("%s%s\n", status ? ": " : "", status ? status : "");
}

static void
on_made(void *user, const char *name)
{
	note(user, DIRECTORIES, name, NULL);
}

static void
on_rebuilt(void *user, const char *record, const char *status)
{
	note(user, RECORDS, record, status);
}

static void
on_changed(void *user, bool added, const char *path)
{
	note(user, added ? ADDED : REMOVED, path, NULL);
}

static void
on_damaged(void *user, const char *file)
{
	struct repair *p = user;

	p->failed = true;
	cli_fail("%s/installations/%s: %s; repair it, or move it away, then run repair again",
	    p->conf->state_dir, file, installation_problem(errno));
}

static void
on_trouble(void *user, const char *what, const char *why)
{
	struct repair *p = user;

	p->failed = true;
	cli_fail("%s/%s: %s", p->conf->state_dir, what, why);
}

static void
write_change(struct json_writer *w, const struct change *change)
{
	if (change->status == NULL) {
		json_string(w, change->path);
		return;
	}
	json_object(w);
	json_key(w, "installation");
	json_string(w, change->path);
	json_key(w, "status");
	json_string(w, change->status);
	json_object_end(w);
}

/* The whole report as one JSON value. */
static int
print_json(struct repair *p, const struct reindex *r)
{
	struct buf out = { 0 };
	struct json_writer *w = json_writer_new(&out, true);
	int status;

	if (w == NULL)
		return (cli_fail("out of memory"));
	json_object(w);
	for (size_t l = 0; l < N_LISTS; l++) {
		json_key(w, lists[l].member);
		json_array(w);
		for (size_t i = 0; i < p->n; i++)
			if (p->changes[i].list == l)
				write_change(w, &p->changes[i]);
		json_array_end(w);
	}
	json_key(w, "unreadable_records");
	json_int(w, (long long)r->unreadable);
	json_key(w, "complete");
	json_bool(w, r->complete && !p->failed);
	json_object_end(w);
	status = json_writer_end(w) ? cli_fail("out of memory") : CLI_DONE;
	if (status == CLI_DONE)
		printf("%s\n", out.data);
	buf_free(&out);
	return (status);
}

static int
repair(struct repair *p)
{
	const struct rebuilding records = { on_rebuilt, on_trouble, p };
	struct reindex first = { .changed = on_changed, .user = p };
	struct reindex r = { .remove_orphans = true,
		.changed = on_changed,
		.damaged = on_damaged,
		.user = p };
	char why[STATE_WHY_SIZE];
	struct state *s;

	umask(077);
	if (state_restore(p->conf->state_dir, on_made, p, why))
		return (cli_fail("%s", why));
	if ((s = cli_state(p->conf)) == NULL)
		return (CLI_FAILED);
	/* A record is made again only beside others of its company that are all in the index. */
	if (!index_is_complete(s) && reindex(s, &first))
		on_trouble(p, "installations", strerror(errno));
	if (repair_records(p->conf, s, &records))
		on_trouble(p, "journal", strerror(errno));
	if (reindex(s, &r))
		on_trouble(p, "installations", strerror(errno));
	if (!r.complete)
		p->failed = true;
	state_close(s);
	if (p->json)
		return (print_json(p, &r) || p->failed ? CLI_FAILED : CLI_DONE);
	if (!r.complete)
		cli_fail("the indexes are not complete: deliveries of an unknown shop get 503");
	else if (!p->failed)
		printf("%lu record%s, and the indexes agree with %s.\n", r.records,
		    r.records == 1 ? "" : "s", r.records == 1 ? "it" : "them");
	return (p->failed ? CLI_FAILED : CLI_DONE);
}

static int
run(struct cli *c)
{
	struct repair p = { .conf = c->conf, .json = c->json };
	int status = repair(&p);

	for (size_t i = 0; i < p.n; i++)
		free(p.changes[i].path);
	free(p.changes);
	return (status);
}

const struct command repair_command = {
	.name = "repair",
	.args = "[--json]",
	.summary = "Make again what is missing in the state directory",
	.help =
	    "Makes directories that are missing, records that are missing (from the installs and\n"
	    "uninstalls in the journal), and what is derived from records: the indexes shops/ and\n"
	    "companies/, and the marks of what waits for the worker. Prints each change. It can run while\n"
	    "deliveries arrive, and as often as you like.\n"
	    "\n"
	    "A directory that was moved away or is not mounted: put it back first. What was in it is not\n"
	    "made again, but for what is said above.\n"
	    "\n"
	    "      --json  one JSON value\n"
	    "\n"
	    "Exit status: 0 the indexes and the records agree, 1 something cannot be read or written.\n",
	.flags = COMMAND_OWNER | COMMAND_JSON | COMMAND_CHANGES,
	.run = run,
};
