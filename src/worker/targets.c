#include "worker/targets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "worker/hooks.h"

struct targets {
	struct hooks *hooks;
	struct target_list found; /* for targets_find() */
	bool unavailable;         /* when they were last looked for */
};

bool
target_is_most_specific(const char *name)
{
	return (*name && strpbrk(name, "/:") == NULL);
}

struct targets *
targets_new(int queue)
{
	struct targets *t = calloc(1, sizeof(*t));

	if (t && (t->hooks = hooks_new(queue)) == NULL) {
		free(t);
		t = NULL;
	}
	return (t);
}

void
targets_free(struct targets *t)
{
	if (t == NULL)
		return;
	hooks_free(t->hooks);
	target_list_free(&t->found);
	free(t);
}

void
targets_configure(struct targets *t, const struct conf *conf, const char *conf_file)
{
	hooks_configure(t->hooks, conf, conf_file);
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
	int result;

	l->n = 0;
	result = hooks_kind.match(t->hooks, event, add, l);
	/* Once, and not each second for as long as it lasts. */
	if (result && !t->unavailable)
		log_errno(LOG_LEVEL_ERROR, "hooks directory is unavailable: deliveries wait for it",
		    "hooks", hooks_path(t->hooks), NULL);
	else if (result == 0 && t->unavailable)
		log_line(LOG_LEVEL_INFO, "hooks directory is available again", "hooks",
		    hooks_path(t->hooks), NULL);
	t->unavailable = result != 0;
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

struct target_attempt *
targets_start(struct targets *t, const char *name, const struct target_call *call)
{
	return (hooks_kind.start(t->hooks, name, call));
}
