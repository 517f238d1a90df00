#include "worker/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fluid/api.h"
#include "store/seal.h"
#include "worker/hook_env.h"

/* Whether a configuration that could be read is one that this worker can go on with; else why not. */
static bool
is_usable(const struct conf *conf, const struct conf *old, const char *path, struct buf *errors)
{
	struct fluid_error e;
	struct fluid_api *t;

	if (strcmp(conf->state_dir, old->state_dir) != 0)
		buf_addf(errors,
		    "%s: state_dir: another one needs another worker: start it again\n",
		    conf->file);
	if (path == NULL)
		buf_addf(errors, "%s: %s\n", conf->file, strerror(errno));
	else if (strlen(path) > HOOK_CONF_MAX)
		buf_addf(errors, "%s: longer than the %d bytes that a hook's variable can hold\n",
		    path, HOOK_CONF_MAX);
	if ((t = fluid_api_new(conf, &e)) == NULL)
		buf_addf(errors, "%s: %s\n", conf->file, e.text);
	fluid_api_free(t);
	return (errors->len == 0);
}

/* A line of the log for each line. */
static void
log_errors(const struct buf *errors)
{
	const char *line = errors->data ? errors->data : "out of memory\n";
	char copy[1024];
	size_t len;

	for (; *line; line += len + (line[len] == '\n')) {
		len = strcspn(line, "\n");
		snprintf(copy, sizeof(copy), "%.*s",
		    (int)(len < sizeof(copy) ? len : sizeof(copy) - 1), line);
		log_line(LOG_LEVEL_ERROR, "configuration cannot be used; the old one stays", "why",
		    copy, NULL);
	}
}

struct conf *
reload_conf(const struct conf *old, char **path)
{
	struct buf errors = { 0 };
	struct conf *conf = conf_load(old->file, &errors);

	*path = conf ? realpath(conf->file, NULL) : NULL;
	if (conf && is_usable(conf, old, *path, &errors) && conf_open_log(conf, "fluidhook") == 0) {
		buf_free(&errors);
		seal_use(conf->seal_key);
		return (conf);
	}
	if (conf && errors.len == 0)
		buf_addf(&errors, "%s: log: %s: %s\n", conf->file,
		    conf->log_file ? conf->log_file : "stderr", strerror(errno));
	/* Rotated, it is another file. */
	conf_open_log(old, "fluidhook");
	log_errors(&errors);
	conf_free(conf);
	free(*path);
	*path = NULL;
	buf_free(&errors);
	return (NULL);
}
