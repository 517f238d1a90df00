#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/log.h"

/* The configuration, contract section 2. All strings are owned by the struct conf. */

enum unsigned_installs { UNSIGNED_REFUSE, UNSIGNED_CONFIRM };

struct conf_droplet {
	char *name;       /* "" for [droplet], "reports" for [droplet reports] */
	char *uuid;       /* NULL where none is configured; only a single droplet can have none */
	int line;         /* the first line about it, for messages */
	char *secrets;    /* absolute path, NULL where none is configured */
	int secrets_line; /* where it was said, for messages */
};

struct conf {
	char *file;         /* where it was read from; absolute */
	char *state_dir;    /* absolute */
	uint64_t max_body;  /* bytes */
	uint32_t tolerance; /* seconds */
	bool legacy_tokens;
	enum unsigned_installs unsigned_installs;
	uint64_t min_free;     /* bytes */
	uint64_t keep_refused; /* bytes; 0: keep none */
	char *seal_key;        /* absolute path, or NULL: credentials are stored in clear */
	enum log_target log;
	char *log_file; /* absolute path, of LOG_TO_FILE; else NULL */
	enum log_level log_level;

	struct conf_droplet *droplets;
	size_t n_droplets;

	char *api;       /* without a trailing slash */
	char **webhooks; /* in the order they are tried, without a trailing slash */
	size_t n_webhooks;
	char *company_token; /* absolute path of the file, or NULL */
	uint32_t timeout;    /* seconds */
	char *ca_file;       /* absolute path, or NULL */

	char *hooks;           /* absolute path */
	bool hooks_by_default; /* none is configured: the directory need not exist */
	uint32_t attempts;
	uint32_t hook_timeout; /* seconds */
	uint32_t concurrency;
	char *public_url; /* or NULL */
	char **subscribe; /* event names */
	size_t n_subscribe;
};

/**
 * Where the configuration is, contract section 1: `given` (may be NULL), $FLUIDHOOK_CONF,
 * ~/fluidhook/fluidhook.conf, then the system's. The first two win even where no such file exists,
 * so that a mistyped name is an error and not another configuration.
 * Returns a path the caller frees, or NULL with errno ENOMEM.
 */
char *conf_find(const char *given);

/**
 * Read a configuration file. Every mistake is added to `errors` as one line "FILE:LINE: what",
 * all of them and not only the first. Relative paths are relative to the file's directory.
 * Returns the configuration, which the caller ends with conf_free(), or NULL when there was any
 * mistake.
 */
struct conf *conf_load(const char *file, struct buf *errors);

/**
 * Whether the files that the receiver reads at run time (the droplets' secrets) are readable and
 * not open to others. Adds to `errors` like conf_load(). Returns 0, or -1 when there was a mistake.
 */
int conf_check_secrets(const struct conf *c, struct buf *errors);

/**
 * Send log lines where the configuration says. ident: the program's name in syslog; a static string.
 * Returns 0, or -1 with errno set where log_file cannot be opened; the log then is what it was.
 */
int conf_open_log(const struct conf *c, const char *ident);

void conf_free(struct conf *c);

/** The droplet with this uuid, or NULL. */
const struct conf_droplet *conf_droplet_by_uuid(const struct conf *c, const char *uuid);

#endif
