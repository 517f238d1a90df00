#include "worker/targets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/hooks.h"

/* In the order in which a delivery reaches them. */
static const struct target_kind *const kinds[] = { &hooks_kind };

enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

struct targets {
	void *self[N_KINDS];
	bool unseen[N_KINDS];     /* when they were last looked for */
	struct target_list found; /* for targets_find() */
};

struct targets *
targets_new(int queue)
{
	struct targets *t = calloc(1, sizeof(*t));

	int error;

	for (size_t i = 0; t && i < N_KINDS; i++)
		if ((t->self[i] = kinds[i]->open(queue)) == NULL) {
			error = errno;
			targets_free(t);
			errno = error;
			return (NULL);
		}
	return (t);
}

void
targets_free(struct targets *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < N_KINDS; i++)
		if (t->self[i])
			kinds[i]->close(t->self[i]);
	target_list_free(&t->found);
	free(t);
}

void
targets_configure(struct targets *t, const struct conf *conf, const char *conf_file)
{
	for (size_t i = 0; i < N_KINDS; i++)
		kinds[i]->configure(t->self[i], conf, conf_file);
}

void
target_list_free(struct target_list *l)
{
	free(l->names);
	*l = (struct target_list){ .n = 0 };
}

/* Returns 0, or -1 with errno ENOMEM. */
static int
add(void *user, const char *name)
{
	struct target_list *l = user;
	size_t cap = l->cap ? 2 * l->cap : 8;
	void *more;

	if (l->n == l->cap) {
		if ((more = reallocarray(l->names, cap, sizeof(*l->names))) == NULL)
			return (-1);
		l->names = more;
		l->cap = cap;
	}
	snprintf(l->names[l->n++], TARGET_SIZE, "%s", name);
	return (0);
}

int
targets_match(struct targets *t, const char *event, struct target_list *l)
{
	int result = 0;

	l->n = 0;
	for (size_t i = 0; i < N_KINDS; i++) {
		bool unseen = kinds[i]->match(t->self[i], event, add, l) != 0;

		/* Once, and not each second for as long as it lasts. */
		if (unseen != t->unseen[i])
			kinds[i]->log_seen(t->self[i], !unseen);
		t->unseen[i] = unseen;
		if (unseen)
			result = -1;
	}
	return (result);
}

int
targets_find(struct targets *t, const char *event, char name[TARGET_SIZE])
{
	if (targets_match(t, event, &t->found))
		return (-1);
	for (size_t i = 0; i < t->found.n; i++) {
		const char *found = t->found.names[i];

		if (strcmp(found, name) == 0)
			return (1);
		if (target_is_most_specific(name) && target_is_most_specific(found)) {
			memcpy(name, found, TARGET_SIZE);
			return (1);
		}
	}
	return (0);
}

/* The kind that a name is of. */
static size_t
kind_of(const char *name)
{
	size_t found = 0, longest = 0;

	for (size_t i = 0; i < N_KINDS; i++) {
		size_t len = strlen(kinds[i]->prefix);

		if (len >= longest && strncmp(name, kinds[i]->prefix, len) == 0) {
			found = i;
			longest = len;
		}
	}
	return (found);
}

struct target_attempt *
targets_start(struct targets *t, const char *name, const struct target_call *call)
{
	size_t kind = kind_of(name);

	return (kinds[kind]->start(t->self[kind], name, call));
}
