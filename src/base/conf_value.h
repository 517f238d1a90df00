#ifndef BASE_CONF_VALUE_H
#define BASE_CONF_VALUE_H

#include "base/conf.h"

/* The values of the configuration: for base/conf alone. */

enum conf_kind {
	CONF_SIZE,
	CONF_COUNT,
	CONF_YESNO,
	CONF_CHOICE,
	CONF_PATH,
	CONF_LOG,
	CONF_API,
	CONF_API_LIST,
	CONF_NAME,
	CONF_URL,
	CONF_EVENT_LIST,
	CONF_REFUSED,
};

/* One key of the configuration. */
struct conf_key {
	const char *section;
	const char *name;
	enum conf_kind kind;
	size_t offset;              /* in struct conf, or struct conf_droplet */
	uint32_t least, most;       /* of a COUNT, or of a SIZE (bytes; most 0: no bound) */
	const char *const *choices; /* of a CHOICE; the value stored is the index */
};

/* The file that is being read. */
struct conf_reading {
	struct conf *conf;
	struct buf *errors;
	int line;
};

/** Note a mistake on the line that is being read. */
void conf_mistake(struct conf_reading *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/**
 * Store a value of this key, or note what is wrong with it. base: the struct conf or conf_droplet that
 * the key's offset counts from.
 */
void conf_set_value(struct conf_reading *r, const struct conf_key *k, char *base,
    const char *value);

/**
 * The path as an absolute one: a relative path begins at the working directory. The caller frees it.
 * NULL with errno set.
 */
char *conf_absolute(const char *path);

/** Free a list of strings. */
void conf_free_list(char **list, size_t n);

#endif
