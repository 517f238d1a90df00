#include "cli/lib/known_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/lib/cli.h"
#include "delivery/delivery.h"
#include "cli/lib/installation_arg.h"
#include "store/entry.h"
#include "store/installations.h"
#include "store/journal_reader.h"
#include "store/seal.h"

/* Collecting them. */
struct collecting {
	struct known_keys *keys;
	const struct conf *conf;
	bool said_sealed;
};

/* Returns 0, or -1 with errno ENOMEM. A text that is missing is no key. */
static int
add(struct known_keys *k, const char *key, const char *record, bool is_verified)
{
	size_t cap = k->cap ? 2 * k->cap : 64;
	struct known_key *more, *new;

	if (key == NULL)
		return (0);
	if (k->n == k->cap) {
		if ((more = reallocarray(k->all, cap, sizeof(*more))) == NULL)
			return (-1);
		k->all = more;
		k->cap = cap;
	}
	new = &k->all[k->n];
	*new = (struct known_key){ .key = strdup(key), .is_verified = is_verified };
	if (record)
		new->record = strdup(record);
	if (new->key == NULL || (record && new->record == NULL)) {
		secret_free(new->key);
		free(new->record);
		errno = ENOMEM;
		return (-1);
	}
	secret_fingerprint(new->fingerprint, key);
	k->n++;
	return (0);
}

static int
collect_droplets(struct collecting *c)
{
	const struct conf *conf = c->conf;
	struct secret_list *l;
	int result = 0;

	for (size_t d = 0; d < conf->n_droplets && result == 0; d++) {
		const char *path = conf->droplets[d].secrets;

		if (path == NULL)
			continue;
		if ((l = secret_list_read(path)) == NULL) {
			cli_fail("%s: %s", path, secrets_problem(path, errno));
			c->keys->incomplete = true;
			continue;
		}
		for (size_t i = 0; i < l->n && result == 0; i++)
			result = add(c->keys, l->secrets[i], NULL, true);
		secret_list_free(l);
	}
	return (result);
}

static int
collect_record(void *user, const char *file, struct installation *i)
{
	struct collecting *c = user;
	int result;

	if (i == NULL) {
		cli_fail("%s/installations/%s: %s", c->conf->state_dir, file,
		    installation_problem(errno));
		c->keys->incomplete = true;
		return (0);
	}
	result = add(c->keys, i->webhook_verification_token, i->record,
		     i->status != INSTALLATION_UNCONFIRMED) ||
		add(c->keys, i->subscription_auth_token, i->record, true) ?
	    -1 :
	    0;
	installation_free(i);
	return (result);
}

static int
collect_records(struct collecting *c)
{
	int dir = cli_directory(c->conf, "installations"), result;

	if (dir == -1)
		return (-1);
	if ((result = installations_each(dir, collect_record, c)) != 0)
		cli_fail("%s/installations: %s", c->conf->state_dir, strerror(errno));
	close(dir);
	return (result);
}

static bool
is_lifecycle(void *user, const char *line, size_t len)
{
	static const char mark[] = "\"droplet.";

	(void)user;
	return (memmem(line, len, mark, sizeof(mark) - 1) != NULL);
}

/* The key that an install or uninstall in the journal brought. Returns 0, or -1 with errno ENOMEM. */
static int
collect_line(struct known_keys *k, const struct entry *e)
{
	bool is_verified = e->key && strcmp(e->key, "droplet") == 0;
	struct delivery *d = delivery_new();
	int result;

	if (d == NULL)
		return (-1);
	delivery_feed(d, e->body, e->body_len);
	delivery_finish(d);
	result = add(k, delivery_content(d)->verification_token, e->installation, is_verified);
	delivery_free(d);
	return (result);
}

/* Sealed under a key that is not there: said once, as it is the same for all of them. */
static void
say_sealed(struct collecting *c, const struct journal_reader *reader, int error)
{
	if (!c->said_sealed)
		cli_fail("%s/journal/%s: an install is sealed, and cannot be opened: %s",
		    c->conf->state_dir, journal_reader_file(reader), seal_problem(error));
	c->said_sealed = c->keys->incomplete = true;
}

/* The whole journal, whatever part of it is wanted: an install can be much older than what its key signed. */
static int
read_journal(struct collecting *c, struct journal_reader *reader)
{
	struct buf line = { 0 }, texts = { 0 };
	int result = 0, more;
	struct entry e;

	journal_reader_only(reader, is_lifecycle, NULL);
	while (result == 0 && (more = journal_reader_previous(reader, &line)) != 0) {
		buf_reset(&texts);
		if (more == -1) {
			cli_fail("%s/journal/%s: %s", c->conf->state_dir,
			    journal_reader_file(reader),
			    errno == EINVAL ? "is no regular file" : strerror(errno));
			c->keys->incomplete = true;
		} else if (entry_read(&e, line.data, line.len, &texts) == 0) {
			result = collect_line(c->keys, &e);
		} else if (errno != EBADMSG) {
			say_sealed(c, reader, errno);
		}
	}
	buf_wipe(&line);
	buf_wipe(&texts);
	return (result);
}

static int
collect_journal(struct collecting *c)
{
	int dir = cli_directory(c->conf, "journal"), result = -1;
	struct journal_reader *reader;

	if (dir == -1)
		return (-1);
	if ((reader = journal_reader_new(dir)) == NULL)
		cli_fail("%s/journal: %s", c->conf->state_dir, strerror(errno));
	else if ((result = read_journal(c, reader)) != 0)
		cli_fail("out of memory");
	journal_reader_free(reader);
	close(dir);
	return (result);
}

static int
compare_texts(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return ((a != NULL) - (b != NULL));
	return (strcmp(a, b));
}

static int
by_fingerprint(const void *a, const void *b)
{
	const struct known_key *x = a, *y = b;
	int order = strcmp(x->fingerprint, y->fingerprint);

	if (order == 0)
		order = compare_texts(x->record, y->record);
	/* The verified one first: it stays of several. */
	return (order ? order : y->is_verified - x->is_verified);
}

static int
by_record(const void *a, const void *b)
{
	const struct known_key *const *x = a, *const *y = b;

	return (compare_texts((*x)->record, (*y)->record));
}

/* Sort them, and keep each only once. Returns 0, or -1 with errno ENOMEM. */
static int
sort(struct known_keys *k)
{
	size_t n = 0;

	if (k->n)
		qsort(k->all, k->n, sizeof(*k->all), by_fingerprint);
	for (size_t i = 0; i < k->n; i++) {
		struct known_key *last = n ? &k->all[n - 1] : NULL, *one = &k->all[i];

		if (last && strcmp(last->key, one->key) == 0 &&
		    compare_texts(last->record, one->record) == 0) {
			secret_free(one->key);
			free(one->record);
		} else {
			k->all[n++] = *one;
		}
	}
	k->n = n;
	if ((k->by_record = calloc(n + 1, sizeof(struct known_key *))) == NULL)
		return (-1);
	for (size_t i = 0; i < n; i++)
		k->by_record[i] = &k->all[i];
	qsort(k->by_record, n, sizeof(struct known_key *), by_record);
	return (0);
}

int
known_keys_collect(struct known_keys *k, const struct conf *conf)
{
	struct collecting c = { .keys = k, .conf = conf };

	*k = (struct known_keys){ 0 };
	if (collect_droplets(&c)) {
		cli_fail("out of memory");
		return (-1);
	}
	if (collect_records(&c) || collect_journal(&c))
		return (-1);
	if (sort(k)) {
		cli_fail("out of memory");
		return (-1);
	}
	return (0);
}

void
known_keys_free(struct known_keys *k)
{
	for (size_t i = 0; i < k->n; i++) {
		secret_free(k->all[i].key);
		free(k->all[i].record);
	}
	free(k->all);
	free(k->by_record);
	*k = (struct known_keys){ 0 };
}

const struct known_key *
known_keys_find(const struct known_keys *k, const char *fingerprint, size_t *n)
{
	size_t low = 0, high = k->n, end;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(k->all[middle].fingerprint, fingerprint) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < k->n && strcmp(k->all[end].fingerprint, fingerprint) == 0; end++)
		continue;
	*n = end - low;
	return (k->all + low);
}

const struct known_key *const *
known_keys_of(const struct known_keys *k, const char *record, size_t *n)
{
	size_t low = 0, high = k->n, end;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_texts(k->by_record[middle]->record, record) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < k->n && compare_texts(k->by_record[end]->record, record) == 0; end++)
		continue;
	*n = end - low;
	return (k->by_record + low);
}
