#include "standin.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

static void
run_standin(int input, int output, const char *option, const char *value)
{
	const char *source = getenv("top_srcdir");
	char script[4096];
	char *argv[] = { "python3", "-B", script, (char *)option, (char *)value, NULL };

	snprintf(script, sizeof(script), "%s/tests/integration/fluid_standin.py",
	    source ? source : ".");
	if (dup2(input, STDIN_FILENO) == -1 || dup2(output, STDOUT_FILENO) == -1)
		_exit(126);
	execvp(argv[0], argv);
	_exit(127);
}

/* The line in which it says where it listens. */
static void
read_greeting(int fd, struct buf *out)
{
	char c;
	ssize_t n;

	do {
		if ((n = read(fd, &c, 1)) == 1)
			buf_add(out, &c, 1);
	} while ((n == 1 && c != '\n') || (n == -1 && errno == EINTR));
}

struct standin *
standin_start(const char *option, const char *value)
{
	struct standin *s = calloc(1, sizeof(*s));
	struct json_node *root;
	struct buf line = { 0 };
	const char *ca_file;
	int input[2], output[2];

	assert_non_null(s);
	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	assert_int_equal(pipe2(output, O_CLOEXEC), 0);
	if ((s->pid = fork()) == 0)
		run_standin(input[0], output[1], option, value);
	assert_true(s->pid > 0);
	close(input[0]);
	close(output[1]);
	s->input = input[1];
	read_greeting(output[0], &line);
	close(output[0]);
	root = json_tree_read(line.data ? line.data : "", line.len);
	CHECK(root != NULL, "the stand-in does not start: %s", line.data ? line.data : "");
	s->url = strdup(json_tree_string(json_tree_get(root, "url")));
	ca_file = json_tree_string(json_tree_get(root, "ca_file"));
	s->ca_file = ca_file ? strdup(ca_file) : NULL;
	json_tree_free(root);
	buf_free(&line);
	return (s);
}

void
standin_stop(struct standin *s)
{
	close(s->input);
	waitpid(s->pid, NULL, 0);
	free(s->url);
	free(s->ca_file);
	free(s);
}

struct fluid_api *
api_to(struct world *w, const char *url, const char *more)
{
	struct buf text = { 0 };
	struct fluid_api *t;
	struct conf *c;

	buf_addf(&text,
	    "state_dir = %s\n[fluid]\napi = %s\n"
	    "webhooks = %s/api/webhooks %s/api/company/webhooks\n%s\n",
	    w->directory, url, url, url, more);
	c = conf_make(w->directory, text.data);
	t = fluid_api_new(c, &w->error);
	CHECK(t != NULL, "%s", w->error.text);
	conf_free(c);
	buf_free(&text);
	return (t);
}

int
world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->directory = directory_make();
	w->standin = standin_start(NULL, NULL);
	w->t = api_to(w, w->standin->url, "timeout = 60");
	w->hasty = api_to(w, w->standin->url, "timeout = 2");
	w->control = api_to(w, w->standin->url, "timeout = 20");
	w->token.value = strdup(COMPANY_TOKEN);
	w->token.source = strdup("the test");
	*state = w;
	return (0);
}

int
world_teardown(void **state)
{
	struct world *w = *state;

	fluid_api_free(w->t);
	fluid_api_free(w->hasty);
	fluid_api_free(w->control);
	standin_stop(w->standin);
	token_free(&w->token);
	json_tree_free(w->requests);
	directory_remove(w->directory);
	free(w);
	return (0);
}

static void
control(struct world *w, const char *method, const char *what, const char *json,
    struct http_response *a)
{
	struct fluid_error e;
	char path[128];

	snprintf(path, sizeof(path), "/_standin/%s", what);
	CHECK(fluid_api_call_path(w->control, method, path, NULL, json, json ? strlen(json) : 0, a,
		  &e) == 0,
	    "%s %s: %s", method, path, e.text);
}

void
world_tell(struct world *w, const char *what, const char *json)
{
	struct http_response a = { 0 };

	control(w, "POST", what, quoted(json), &a);
	http_response_free(&a);
}

void
world_fault(struct world *w, const char *json)
{
	world_tell(w, "faults", json);
}

int
world_reset(void **state)
{
	struct world *w = *state;
	struct http_response a = { 0 };

	world_tell(w, "forget", "{}");
	world_tell(w, "families", "{'families':['/api/webhooks','/api/company/webhooks']}");
	control(w, "DELETE", "webhooks", NULL, &a);
	http_response_free(&a);
	fluid_error_clear(&w->error);
	return (0);
}

struct json_node *
world_ask(struct world *w, const char *what)
{
	struct http_response a = { 0 };
	struct json_node *root;

	control(w, "GET", what, NULL, &a);
	root = json_tree_read(a.body.data, a.body.len);
	assert_non_null(root);
	http_response_free(&a);
	return (root);
}

const char *
world_calls(struct world *w)
{
	static char text[8192];
	struct buf out = { 0 };

	json_tree_free(w->requests);
	w->requests = world_ask(w, "requests");
	for (const struct json_node *r = json_tree_get(w->requests, "requests")->child; r;
	     r = r->next)
		buf_addf(&out, "%s %s\n", json_tree_string(json_tree_get(r, "method")),
		    json_tree_string(json_tree_get(r, "target")));
	snprintf(text, sizeof(text), "%s", out.data ? out.data : "");
	buf_free(&out);
	return (text);
}

static const struct json_node *
first_request(struct world *w)
{
	const struct json_node *first = json_tree_get(w->requests, "requests")->child;

	assert_non_null(first);
	return (first);
}

const char *
world_body(struct world *w)
{
	return (json_tree_string(json_tree_get(first_request(w), "body")));
}

const char *
world_header(struct world *w, const char *name)
{
	const struct json_node *headers = json_tree_get(first_request(w), "headers");

	for (const struct json_node *h = headers->child; h; h = h->next)
		if (strcasecmp(json_tree_string(h->child), name) == 0)
			return (json_tree_string(h->child->next));
	return (NULL);
}

struct fluid_api *
world_api(struct world *w, const char *fault)
{
	return (strstr(fault, "'slow'") ? w->hasty : w->t);
}
