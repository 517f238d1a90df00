/*
 * A whole worker in this process: deliveries as the receiver stores them, hooks as programs, and the stand-in for Fluid.
 * work() with `once` does what can be done now.
 */
#include "standin.h"

#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi_client.h"
#include "receiver/handle.h"
#include "receiver/receiver.h"
#include "worker/queue.h"
#include "worker/running.h"
#include "worker/unread.h"
#include "worker/worker.h"

static const char key[] = "dws_one";

#define COMPANY_OF(dri, id) \
	"'company':{'droplet_installation_uuid':'" dri "','droplet_uuid':'drp_x'," \
	"'fluid_company_id':" id ",'fluid_shop':'acme.fluid.app','name':'A'"
#define COMPANY(dri) COMPANY_OF(dri, "226157151")
#define INSTALL(dri) INSTALL_OF(dri, "226157151")
#define INSTALL_OF(dri, id) \
	"{'resource':'droplet','event':'installed'," COMPANY_OF(dri, \
	    id) ",'authentication_token':'dit_" dri "'," \
		"'webhook_verification_token':'wvt_" dri "'}}"
#define INSTALL_V2(dri, token) \
	"{'resource':'droplet','event':'installed'," COMPANY( \
	    dri) ",'credentials':{'exchange_token':'" token "'," \
		 "'exchange_token_expires_at':'2099-01-01T00:00:00Z'," \
		 "'exchange_endpoint':'/api/droplet_installations/exchange'}}}"
#define ORDER(dri, n) \
	"{'resource':'order','event':'created','n':" n \
	",'company':{'droplet_installation_uuid':'" dri "'}}"

struct place {
	char *directory;
	struct standin *standin;
	struct conf *conf;
	struct state *state;
	struct receiver *receiver;
};

static struct standin *standin;
static struct world control; /* to tell the stand-in something */

static int
group_setup(void **state)
{
	void *world;
	sigset_t signals;

	/* As in the worker's own program: threads begin with these blocked. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	world_setup(&world);
	control = *(struct world *)world;
	free(world);
	standin = control.standin;
	*state = NULL;
	return (0);
}

static int
group_teardown(void **state)
{
	struct world *w = malloc(sizeof(*w));
	void *world = w;

	(void)state;
	*w = control;
	return (world_teardown(&world));
}

static void
configure(struct place *p, const char *more)
{
	struct buf text = { 0 };

	buf_addf(&text,
	    "state_dir = state\nmin_free = 1M\nlog_level = debug\nunsigned_installs = confirm\n"
	    "[droplet]\nuuid = drp_x\nsecrets = secrets\n"
	    "[fluid]\napi = %s\nwebhooks = %s/api/company/webhooks\n"
	    "[worker]\nhooks = hooks\n%s\n",
	    standin->url, standin->url, more);
	p->conf = conf_make(p->directory, text.data);
	buf_free(&text);
}

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	void *world = &control;

	assert_non_null(p);
	world_reset(&world);
	p->directory = directory_make();
	file_text(p->directory, "secrets", "dws_one\n", 0600);
	assert_int_equal(mkdir(path_in(p->directory, "hooks"), 0700), 0);
	p->state = state_make(path_in(p->directory, "state"));
	configure(p, "");
	/* It takes its configuration over. */
	p->receiver = receiver_new(p->conf);
	configure(p, "");
	stderr_capture(p->directory, "log");
	*state = p;
	return (0);
}

static int
teardown(void **state)
{
	struct place *p = *state;

	stderr_restore();
	receiver_release(p->receiver);
	conf_free(p->conf);
	state_close(p->state);
	directory_remove(p->directory);
	free(p);
	return (0);
}

/* Write a hook, a shell script, which runs with its directory's parent as $TOP. */
static void
hook(struct place *p, const char *name, const char *script)
{
	struct buf text = { 0 };

	buf_addf(&text, "#!/bin/sh\nTOP='%s'\n%s\n", p->directory, script);
	file_write(path_in(p->directory, "hooks"), name, text.data, text.len, 0700);
	buf_free(&text);
}

static ssize_t
read_text(void *source, char *out, size_t size)
{
	const char **at = source;
	size_t n = strlen(*at);

	if (n > size)
		n = size;
	memcpy(out, *at, n);
	*at += n;
	return ((ssize_t)n);
}

/* Have the receiver store a delivery. secret NULL: without a signature. Returns the status. */
static int
deliver(struct place *p, const char *body, const char *secret)
{
	const char *text = quoted(body);
	struct fcgi_params params;
	struct request q;
	struct buf answer = { 0 };
	int status;

	fcgi_sign(&params, secret ? secret : "", text, strlen(text));
	if (secret == NULL)
		params.text[4] = NULL;
	request_from_params(&q, (char *const *)(uintptr_t)params.text);
	q.read = read_text;
	q.source = &text;
	handle(p->receiver, &q, &answer);
	status = atoi(answer.data + strlen("Status: "));
	buf_free(&answer);
	return (status);
}

static int
run_once(struct place *p)
{
	return (work(p->conf, p->conf->file, p->state, true));
}

/* What a file in the directory says; "" where there is none. Kept until the next call. */
static const char *
text_of(struct place *p, const char *name)
{
	static struct buf text;

	buf_reset(&text);
	if (file_exists(p->directory, name))
		file_read(p->directory, name, &text);
	return (text.len ? text.data : "");
}

static unsigned
items(struct place *p, bool dead)
{
	struct queue *q = queue_open(p->state->queue, false);
	unsigned n, damaged;

	assert_non_null(q);
	free(queue_items(q, dead, &n, &damaged));
	assert_int_equal(damaged, 0);
	queue_close(q);
	return (n);
}

static enum installation_status
status_of(struct place *p, const char *record)
{
	struct installation *i = installation_load(p->state->installations, record);
	enum installation_status status = INSTALLATION_FAILED;

	CHECK(i != NULL, "no record %s; the log: %s", record, text_of(p, "log"));
	if (i)
		status = i->status;
	installation_free(i);
	return (status);
}

/* Goal: a hook gets its delivery once: the body on standard input, the rest in the environment. */
static void
test_hook_runs_once(void **state)
{
	struct place *p = *state;

	hook(p, "order.created",
	    "{ echo \"$FLUIDHOOK_EVENT $FLUIDHOOK_INSTALLATION $FLUIDHOOK_ATTEMPT\"; cat; echo; } >>$TOP/out");
	assert_int_equal(deliver(p, INSTALL("dri_1"), key), 200);
	assert_int_equal(deliver(p, ORDER("dri_1", "1"), "wvt_dri_1"), 200);
	CHECK(run_once(p) == 0, "%s", text_of(p, "log"));
	CHECK_TEXT(text_of(p, "out"),
	    "order.created dri_1 1\n"
	    "{\"resource\":\"order\",\"event\":\"created\",\"n\":1,\"company\":{\"droplet_installation_uuid\":\"dri_1\"}}\n",
	    "output");
	/* Nothing is left, and the same delivery again is the same one. */
	assert_int_equal(deliver(p, ORDER("dri_1", "1"), "wvt_dri_1"), 200);
	assert_int_equal(run_once(p), 0);
	CHECK(strstr(text_of(p, "out"), "order.created dri_1 1\n") != NULL, "out");
	CHECK(strstr(strchr(text_of(p, "out"), '\n'), "order.created dri_1 1") == NULL, "twice: %s",
	    text_of(p, "out"));
	assert_int_equal(items(p, false), 0);
}

/* Goal: of the hooks for an event the most specific one runs, and all of the directories, in their order. */
static void
test_which_hooks(void **state)
{
	struct place *p = *state;

	assert_int_equal(mkdir(path_in(p->directory, "hooks/order.created.d"), 0700), 0);
	assert_int_equal(mkdir(path_in(p->directory, "hooks/any.d"), 0700), 0);
	hook(p, "any", "echo any >>$TOP/out");
	hook(p, "order", "echo order >>$TOP/out");
	hook(p, "order.created.d/20-b", "echo b >>$TOP/out");
	hook(p, "order.created.d/10-a", "echo a >>$TOP/out");
	hook(p, "any.d/z", "echo z >>$TOP/out");
	hook(p, "any.d/off", "echo off >>$TOP/out");
	assert_int_equal(chmod(path_in(p->directory, "hooks/any.d/off"), 0600), 0);
	assert_int_equal(deliver(p, INSTALL("dri_1"), key), 200);
	assert_int_equal(run_once(p), 0);
	CHECK_TEXT(text_of(p, "out"), "any\nz\n", "install");
	assert_int_equal(deliver(p, ORDER("dri_1", "1"), "wvt_dri_1"), 200);
	assert_int_equal(run_once(p), 0);
	CHECK_TEXT(text_of(p, "out"), "any\nz\norder\na\nb\nz\n", "order");
}

/* Goal: deliveries of one installation are handed over in the order received, also with several slots. */
static void
test_order(void **state)
{
	struct place *p = *state;

	hook(p, "order",
	    "n=$(sed 's/.*\"n\":\\([0-9]*\\).*/\\1/'); echo $n >>$TOP/$FLUIDHOOK_INSTALLATION");
	conf_free(p->conf);
	configure(p, "concurrency = 4");
	assert_int_equal(deliver(p, INSTALL("dri_1"), key), 200);
	assert_int_equal(deliver(p, INSTALL_OF("dri_2", "7"), key), 200);
	assert_int_equal(deliver(p, ORDER("dri_1", "1"), "wvt_dri_1"), 200);
	assert_int_equal(deliver(p, ORDER("dri_1", "2"), "wvt_dri_1"), 200);
	assert_int_equal(deliver(p, ORDER("dri_2", "1"), "wvt_dri_2"), 200);
	assert_int_equal(deliver(p, ORDER("dri_1", "3"), "wvt_dri_1"), 200);
	CHECK(run_once(p) == 0, "%s", text_of(p, "log"));
	CHECK_TEXT(text_of(p, "dri_1"), "1\n2\n3\n", "dri_1");
	CHECK_TEXT(text_of(p, "dri_2"), "1\n", "dri_2");
}

/* Goal: a delivery whose hook fails waits, and after the last attempt it is a dead letter. */
static void
test_failure(void **state)
{
	struct place *p = *state;

	hook(p, "order.created", "echo ran >>$TOP/out; exit 3");
	assert_int_equal(deliver(p, INSTALL("dri_1"), key), 200);
	assert_int_equal(deliver(p, ORDER("dri_1", "1"), "wvt_dri_1"), 200);
	assert_int_equal(run_once(p), 0);
	assert_int_equal(items(p, false), 1);
	assert_int_equal(items(p, true), 0);
	/* Its time has not come. */
	assert_int_equal(run_once(p), 0);
	CHECK_TEXT(text_of(p, "out"), "ran\n", "runs");
	conf_free(p->conf);
	configure(p, "attempts = 1");
	assert_int_equal(deliver(p, ORDER("dri_1", "2"), "wvt_dri_1"), 200);
	assert_int_equal(run_once(p), 0);
	assert_int_equal(items(p, false), 1);
	assert_int_equal(items(p, true), 1);
	CHECK(strstr(text_of(p, "log"), "exit 3") != NULL, "%s", text_of(p, "log"));
}

/* Goal: a hook that says it failed for good is not tried again, and one that cannot be executed has failed. */
static void
test_failure_for_good(void **state)
{
	struct place *p = *state;

	hook(p, "order.created", "exit 65");
	file_text(path_in(p->directory, "hooks"), "cart", "#!/no/such/interpreter\n", 0700);
	assert_int_equal(deliver(p, INSTALL("dri_1"), key), 200);
	assert_int_equal(
	    deliver(p,
		"{'resource':'cart','event':'updated','company':{'droplet_installation_uuid':'dri_1'}}",
		"wvt_dri_1"),
	    200);
	run_once(p);
	assert_int_equal(items(p, false), 1);
	CHECK(strstr(text_of(p, "log"), "cannot be executed") != NULL, "%s", text_of(p, "log"));
}

/* Goal: a hook that takes longer than hook_timeout is killed with all that it started, and has failed. */
static void
test_timeout(void **state)
{
	struct place *p = *state;

	hook(p, "order.created", "sleep 600 & wait");
	conf_free(p->conf);
	configure(p, "hook_timeout = 1\nattempts = 1");
	assert_int_equal(deliver(p, INSTALL("dri_1"), key), 200);
	assert_int_equal(deliver(p, ORDER("dri_1", "1"), "wvt_dri_1"), 200);
	assert_int_equal(run_once(p), 0);
	assert_int_equal(items(p, true), 1);
	CHECK(strstr(text_of(p, "log"), "timeout") != NULL, "%s", text_of(p, "log"));
}

/* Goal: an exchange token becomes credentials before the hook of the install runs. */
static void
test_exchange(void **state)
{
	struct place *p = *state;
	struct installation *i;

	world_tell(&control, "offers",
	    "{'exchange_token':'dex_w1','dri':'dri_1','droplet_uuid':'drp_x',"
	    "'company_id':226157151,'shop':'acme.fluid.app','dit':'dit_new','wvt':'wvt_new'}");
	hook(p, "droplet.installed", "echo \"$FLUIDHOOK_EVENT\" >>$TOP/out");
	assert_int_equal(deliver(p, INSTALL_V2("dri_1", "dex_w1"), key), 202);
	assert_int_equal(status_of(p, "dri_1"), INSTALLATION_PENDING);
	CHECK(run_once(p) == 0, "%s", text_of(p, "log"));
	i = installation_load(p->state->installations, "dri_1");
	assert_non_null(i);
	assert_int_equal(i->status, INSTALLATION_ACTIVE);
	CHECK_TEXT(i->authentication_token, "dit_new", "token");
	CHECK_TEXT(i->webhook_verification_token, "wvt_new", "key");
	assert_null(i->exchange_token);
	installation_free(i);
	CHECK_TEXT(text_of(p, "out"), "droplet.installed\n", "hook");
	assert_int_equal(deliver(p, ORDER("dri_1", "1"), "wvt_new"), 200);
}

/* Goal: a token that Fluid says is spent fails the installation, and the hook for that is told why. */
static void
test_exchange_refused(void **state)
{
	struct place *p = *state;

	hook(p, "fluidhook.install_failed", "echo \"$FLUIDHOOK_EVENT\" >>$TOP/out; cat >$TOP/body");
	world_fault(&control, "{'status':410,'body':{'error_message':'Token expired'}}");
	assert_int_equal(deliver(p, INSTALL_V2("dri_1", "dex_gone"), key), 202);
	/* For a moment the record may not say yet what the journal does. */
	for (int i = 0; i < 1200 && *text_of(p, "out") == '\0'; i++) {
		CHECK(run_once(p) == 0, "%s", text_of(p, "log"));
		usleep(50000);
	}
	assert_int_equal(status_of(p, "dri_1"), INSTALLATION_FAILED);
	CHECK_TEXT(text_of(p, "out"), "fluidhook.install_failed\n", "event");
	CHECK(strstr(text_of(p, "body"), "dri_1") != NULL, "%s", text_of(p, "body"));
}

/* Goal: while Fluid is busy the installation stays pending, and its hook waits. */
static void
test_exchange_busy(void **state)
{
	struct place *p = *state;

	hook(p, "droplet.installed", "echo ran >>$TOP/out");
	world_fault(&control, "{'times':20,'shape':'503_empty'}");
	assert_int_equal(deliver(p, INSTALL_V2("dri_1", "dex_busy"), key), 202);
	run_once(p);
	assert_int_equal(status_of(p, "dri_1"), INSTALLATION_PENDING);
	CHECK_TEXT(text_of(p, "out"), "", "hook");
	assert_int_equal(items(p, false), 1);
}

/* Goal: an unsigned install counts once Fluid confirms it. */
static void
test_confirm(void **state)
{
	struct place *p = *state;

	world_tell(&control, "installations",
	    "{'dri':'dri_u','droplet_uuid':'drp_x','company_id':226157151,'shop':'acme.fluid.app',"
	    "'dit':'dit_dri_u'}");
	hook(p, "droplet.installed", "echo \"$FLUIDHOOK_INSTALLATION\" >>$TOP/out");
	assert_int_equal(deliver(p, INSTALL("dri_u"), NULL), 202);
	assert_int_equal(status_of(p, "dri_u"), INSTALLATION_UNCONFIRMED);
	CHECK(run_once(p) == 0, "%s", text_of(p, "log"));
	CHECK(status_of(p, "dri_u") == INSTALLATION_ACTIVE, "%s", text_of(p, "log"));
	CHECK_TEXT(text_of(p, "out"), "dri_u\n", "hook");
}

/* Goal: an unsigned install that Fluid denies is removed, and no hook runs for it. */
static void
test_confirm_denied(void **state)
{
	struct place *p = *state;

	hook(p, "any", "echo \"$FLUIDHOOK_EVENT\" >>$TOP/out");
	world_fault(&control, "{'times':5,'shape':'401_message'}");
	assert_int_equal(deliver(p, INSTALL("dri_v"), NULL), 202);
	CHECK(run_once(p) == 0, "%s", text_of(p, "log"));
	CHECK(!file_exists(p->directory, "state/installations/dri_v.json"), "%s",
	    text_of(p, "log"));
	CHECK_TEXT(text_of(p, "out"), "", "hooks");
}

/* Goal: an active installation gets the subscriptions of the configuration, once. */
static void
test_subscribe(void **state)
{
	struct place *p = *state;
	struct installation *i;
	const char *calls;

	conf_free(p->conf);
	configure(p, "public_url = https://hooks.example/\nsubscribe = order.created cart.updated");
	world_tell(&control, "installations",
	    "{'dri':'dri_1','droplet_uuid':'drp_x','dit':'dit_dri_1'}");
	assert_int_equal(deliver(p, INSTALL("dri_1"), key), 200);
	CHECK(run_once(p) == 0, "%s", text_of(p, "log"));
	i = installation_load(p->state->installations, "dri_1");
	assert_non_null(i);
	CHECK(i->webhook_ids && strchr(i->webhook_ids, ' '), "%s: %s", or_none(i->webhook_ids),
	    text_of(p, "log"));
	assert_non_null(i->subscription_auth_token);
	assert_null(i->subscription_errors);
	installation_free(i);
	calls = world_calls(&control);
	CHECK(strstr(calls, "POST /api/company/webhooks") != NULL, "%s", calls);
	assert_int_equal(run_once(p), 0);
}

/* Goal: a subscription that Fluid refuses is noted in the record, and the hook for that is told. */
static void
test_subscribe_refused(void **state)
{
	struct place *p = *state;
	struct installation *i;

	conf_free(p->conf);
	configure(p, "public_url = https://hooks.example/\nsubscribe = nothing.happened");
	hook(p, "fluidhook", "echo \"$FLUIDHOOK_EVENT $FLUIDHOOK_INSTALLATION\" >>$TOP/out");
	world_tell(&control, "installations",
	    "{'dri':'dri_1','droplet_uuid':'drp_x','dit':'dit_dri_1'}");
	assert_int_equal(deliver(p, INSTALL("dri_1"), key), 200);
	run_once(p);
	run_once(p);
	i = installation_load(p->state->installations, "dri_1");
	assert_non_null(i);
	CHECK(i->subscription_errors && strstr(i->subscription_errors, "nothing.happened"), "%s",
	    text_of(p, "log"));
	installation_free(i);
	CHECK_TEXT(text_of(p, "out"), "fluidhook.subscription_failed dri_1\n", "hook");
}

static unsigned long unread_lines;

static void
count_unread(void *user, const struct unread *file)
{
	(void)user;
	unread_lines += file->lines;
}

static unsigned long
unread(struct place *p)
{
	struct queue *q = queue_open(p->state->queue, false);

	unread_lines = 0;
	assert_int_equal(unread_each(p->state->journal, q, count_unread, NULL), 0);
	queue_close(q);
	return (unread_lines);
}

/* Goal: lines of the journal are unread until a worker has dealt with them. */
static void
test_unread(void **state)
{
	struct place *p = *state;

	assert_int_equal(deliver(p, INSTALL("dri_1"), key), 200);
	assert_int_equal(deliver(p, ORDER("dri_1", "1"), "wvt_dri_1"), 200);
	assert_int_equal(unread(p), 2);
	assert_int_equal(run_once(p), 0);
	assert_int_equal(unread(p), 0);
	assert_int_equal(deliver(p, ORDER("dri_1", "2"), "wvt_dri_1"), 200);
	assert_int_equal(unread(p), 1);
}

/* Goal: a hooks directory that is missing is an error of the worker, which loses no delivery by it. */
static void
test_hooks_missing(void **state)
{
	struct place *p = *state;

	assert_int_equal(rmdir(path_in(p->directory, "hooks")), 0);
	assert_int_equal(deliver(p, INSTALL("dri_1"), key), 200);
	assert_int_equal(deliver(p, ORDER("dri_1", "1"), "wvt_dri_1"), 200);
	run_once(p);
	assert_int_equal(mkdir(path_in(p->directory, "hooks"), 0700), 0);
	hook(p, "order.created", "echo ran >>$TOP/out");
	assert_int_equal(run_once(p), 0);
	CHECK_TEXT(text_of(p, "out"), "ran\n", "hook");
}

/* Goal: an order that came before its installation's key is accepted once the key is there, and its hook runs. */
static void
test_kept_request(void **state)
{
	struct place *p = *state;

	world_tell(&control, "offers",
	    "{'exchange_token':'dex_k','dri':'dri_1','droplet_uuid':'drp_x',"
	    "'company_id':226157151,'shop':'acme.fluid.app','dit':'dit_k','wvt':'wvt_k'}");
	hook(p, "order.created", "echo \"$FLUIDHOOK_EVENT\" >>$TOP/out");
	assert_int_equal(deliver(p, INSTALL_V2("dri_1", "dex_k"), key), 202);
	assert_int_equal(deliver(p, ORDER("dri_1", "1"), "wvt_k"), 503);
	assert_int_equal(deliver(p, ORDER("dri_1", "2"), "wvt_other"), 503);
	assert_int_equal(directory_count(path_in(p->directory, "state/refused")), 2);
	CHECK(run_once(p) == 0, "%s", text_of(p, "log"));
	CHECK_TEXT(text_of(p, "out"), "order.created\n", "hook");
	assert_int_equal(directory_count(path_in(p->directory, "state/refused")), 1);
}

/* Goal: a dead letter that is requeued gets another attempt, and is gone when that succeeds. */
static void
test_requeue(void **state)
{
	struct place *p = *state;
	struct queue *q;
	struct queue_item *dead;
	unsigned n, damaged;

	hook(p, "order.created", "echo $FLUIDHOOK_ATTEMPT >>$TOP/out; exec test -e $TOP/works");
	conf_free(p->conf);
	configure(p, "attempts = 1");
	assert_int_equal(deliver(p, INSTALL("dri_1"), key), 200);
	assert_int_equal(deliver(p, ORDER("dri_1", "1"), "wvt_dri_1"), 200);
	assert_int_equal(run_once(p), 0);
	assert_int_equal(items(p, true), 1);
	assert_non_null(q = queue_open(p->state->queue, false));
	assert_non_null(dead = queue_items(q, true, &n, &damaged));
	assert_int_equal(queue_requeue(q, &dead[0]), 0);
	assert_int_equal(queue_requeue(q, &dead[0]), -1);
	free(dead);
	queue_close(q);
	file_text(p->directory, "works", "", 0600);
	CHECK(run_once(p) == 0, "%s", text_of(p, "log"));
	CHECK_TEXT(text_of(p, "out"), "1\n1\n", "attempts");
	assert_int_equal(items(p, true), 0);
	assert_int_equal(items(p, false), 0);
}

/* Goal: a hook that a killed worker left running is ended before another one works. */
static void
test_left_running(void **state)
{
	struct place *p = *state;
	struct running *r = running_open(p->state->queue);
	struct running_note note;
	pid_t pid;
	char c;
	int fds[2];

	assert_non_null(r);
	/* No process stays as a zombie. */
	signal(SIGCHLD, SIG_IGN);
	assert_int_equal(pipe(fds), 0);
	running_prepare(r, 0, "018bcfe5-6800-7abc-8def-0123456789ab", &note);
	if ((pid = fork()) == 0) {
		setpgid(0, 0);
		if (running_write(&note) == 0 && write(fds[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &c, 1), 1);
	close(fds[0]);
	running_close(r);
	assert_int_equal(kill(pid, 0), 0);
	r = running_open(p->state->queue);
	CHECK(r != NULL, "%s", text_of(p, "log"));
	assert_int_equal(kill(pid, 0), -1);
	running_close(r);
	signal(SIGCHLD, SIG_DFL);
}

/* A worker that runs in a thread until it is told to stop. */
static void *
run_worker(void *user)
{
	struct place *p = user;

	return (work(p->conf, p->conf->file, p->state, false) ? p : NULL);
}

static void
await(struct place *p, const char *name, const char *text)
{
	for (int i = 0; i < 6000; i++) {
		if (strstr(text_of(p, name), text))
			return;
		usleep(10000);
	}
	fail_msg("%s does not say \"%s\": %s", name, text, text_of(p, name));
}

/* Goal: a worker follows the journal, takes a new configuration on SIGHUP, and ends on SIGTERM. */
static void
test_follows(void **state)
{
	struct place *p = *state, *other = calloc(1, sizeof(*other));
	pthread_t thread;
	void *result;

	hook(p, "order.created", "echo \"$FLUIDHOOK_EVENT\" >>$TOP/out");
	assert_int_equal(deliver(p, INSTALL("dri_1"), key), 200);
	assert_int_equal(pthread_create(&thread, NULL, run_worker, p), 0);
	await(p, "log", "working");
	assert_int_equal(deliver(p, ORDER("dri_1", "1"), "wvt_dri_1"), 200);
	await(p, "out", "order.created\n");
	/* Another one has nothing to do, and says so. */
	assert_int_equal(run_once(p), 0);
	other->directory = p->directory;
	configure(other, "concurrency = 2");
	conf_free(other->conf);
	kill(getpid(), SIGHUP);
	await(p, "log", "configuration read again");
	world_tell(&control, "offers",
	    "{'exchange_token':'dex_f','dri':'dri_2','droplet_uuid':'drp_x',"
	    "'company_id':226157151,'shop':'acme.fluid.app','dit':'dit_f','wvt':'wvt_f'}");
	assert_int_equal(deliver(p, INSTALL_V2("dri_2", "dex_f"), key), 202);
	for (int i = 0; i < 6000 && status_of(p, "dri_2") != INSTALLATION_ACTIVE; i++)
		usleep(10000);
	assert_int_equal(status_of(p, "dri_2"), INSTALLATION_ACTIVE);
	/* A configuration that is wrong is not taken. */
	file_text(p->directory, "fluidhook.conf", "nonsense = 1\n", 0600);
	kill(getpid(), SIGHUP);
	await(p, "log", "nonsense");
	kill(getpid(), SIGTERM);
	pthread_join(thread, &result);
	CHECK(result == NULL, "%s", text_of(p, "log"));
	free(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hook_runs_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_which_hooks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure_for_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exchange, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exchange_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exchange_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_confirm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_confirm_denied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_subscribe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_subscribe_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hooks_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_requeue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_left_running, setup, teardown),
		cmocka_unit_test_setup_teardown(test_follows, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, group_setup, group_teardown));
}
