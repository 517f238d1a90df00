/* The configuration of a server: reading it, and what to say about it. */

#include "receiver/serve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/owner.h"
#include "store/seal.h"

struct conf *
serve_conf(const char *file, struct buf *errors)
{
	struct conf *conf = conf_load(file, errors);

	if (conf && conf_check_secrets(conf, errors)) {
		conf_free(conf);
		conf = NULL;
	}
	/* A key that cannot be read is named when the state directory is opened: deliveries get 503 then. */
	if (conf)
		seal_use(conf->seal_key);
	return (conf);
}

void
serve_become_owner(const struct conf *conf)
{
	/* A missing directory is logged when it is opened. */
	if (owner_become(conf->state_dir) && errno != ENOENT)
		log_errno(LOG_LEVEL_ERROR, "cannot become the owner of the state directory",
		    "state_dir", conf->state_dir, NULL);
}

void
serve_log_errors(const struct buf *errors)
{
	char line[1024];
	size_t len;

	for (size_t at = 0; at < errors->len; at += len + 1) {
		len = strcspn(errors->data + at, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)len, errors->data + at);
		log_line(LOG_LEVEL_ERROR, "configuration", "error", line, NULL);
	}
}

void
serve_warn(const struct conf *conf)
{
	bool secrets = false;

	for (size_t i = 0; i < conf->n_droplets; i++)
		secrets |= conf->droplets[i].secrets != NULL;
	if (!secrets)
		log_line(LOG_LEVEL_WARN,
		    "no droplet has secrets: every signed install will be refused", "file",
		    conf->file, NULL);
}
