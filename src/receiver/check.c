#include "receiver/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/conf.h"
#include "base/owner.h"
#include "delivery/secrets.h"
#include "receiver/serve.h"
#include "store/state.h"

enum { CHECK_GOOD = 0, CHECK_BAD = 2 };

static int __attribute__((format(printf, 1, 2))) bad(const char *fmt, ...)
{
	va_list ap;

	fputs("fluidhook.fcgi: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return (CHECK_BAD);
}

static int
check_secrets(const struct conf *conf)
{
	int result = CHECK_GOOD;
	struct secret_list *l;

	for (size_t i = 0; i < conf->n_droplets; i++) {
		if (conf->droplets[i].secrets == NULL)
			continue;
		if ((l = secret_list_read(conf->droplets[i].secrets)) == NULL)
			result = bad("%s:%d: secrets: %s: %s", conf->file,
			    conf->droplets[i].secrets_line, conf->droplets[i].secrets,
			    secrets_problem(conf->droplets[i].secrets, errno));
		secret_list_free(l);
	}
	return (result);
}

static int
check_state(const struct conf *conf)
{
	char why[STATE_WHY_SIZE];
	struct state *state = state_open(conf->state_dir, why);
	int result = CHECK_GOOD;

	if (state == NULL)
		return (bad("%s", why));
	if (state_ready(state, conf->min_free)) {
		if (errno == ENOSPC)
			result = bad(
			    "state_dir %s: less space is free than min_free (%llu bytes), or too few "
			    "inodes",
			    conf->state_dir, (unsigned long long)conf->min_free);
		else
			result = bad("state_dir %s: cannot be written: %s", conf->state_dir,
			    strerror(errno));
	}
	state_close(state);
	return (result);
}

/* All of it, as the user who will serve. */
static int
check_conf(const struct conf *conf)
{
	int secrets, state;

	if (owner_become(conf->state_dir))
		return (bad("state_dir %s: %s; run \"fluidhook init\" or mount it", conf->state_dir,
		    strerror(errno)));
	secrets = check_secrets(conf);
	state = check_state(conf);
	if (secrets != CHECK_GOOD || state != CHECK_GOOD)
		return (CHECK_BAD);
	if (conf_open_log(conf, "fluidhook.fcgi"))
		return (bad("%s: log: %s: %s", conf->file, conf->log_file, strerror(errno)));
	fprintf(stderr, "fluidhook.fcgi: %s is valid, and %s can take deliveries\n", conf->file,
	    conf->state_dir);
	return (CHECK_GOOD);
}

int
check(const char *conf_file)
{
	struct buf errors = { 0 };
	struct conf *conf = serve_conf(conf_file, &errors);
	int status = CHECK_BAD;

	if (conf == NULL)
		fputs(errors.data ? errors.data : "fluidhook.fcgi: out of memory\n", stderr);
	else
		status = check_conf(conf);
	buf_free(&errors);
	conf_free(conf);
	return (status);
}
