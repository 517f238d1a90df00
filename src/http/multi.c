#include "http/multi.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "http/sigpipe.h"
#include "http/transfer.h"

enum { EVENTS_AT_ONCE = 64, IDLE_CONNECTIONS = 64 };

/* One request. */
struct call {
	struct call *next;
	struct http_transfer transfer;
	struct http_response response;
	struct http_error error;
	void *user;
};

struct http_multi {
	CURLM *multi;
	int epoll; /* of libcurl's sockets and the timer */
	int timer; /* when libcurl wants to be called next */
	struct http_authorities authorities;
	struct call *running;
	struct call *ended, **last_ended;
	size_t count;
};

/* libcurl wants to know of a socket, or no longer. */
static int
on_socket(CURL *curl, curl_socket_t fd, int what, void *user, void *known)
{
	struct http_multi *m = user;
	struct epoll_event event = { .data.fd = fd };

	(void)curl;
	(void)known;
	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(m->epoll, EPOLL_CTL_DEL, fd, NULL);
		return (0);
	}
	event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	if (epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &event) == -1 && errno == EEXIST)
		epoll_ctl(m->epoll, EPOLL_CTL_MOD, fd, &event);
	return (0);
}

/* libcurl wants to be called in `ms` milliseconds; 0: at once; -1: not. */
static int
on_timer(CURLM *multi, long ms, void *user)
{
	struct http_multi *m = user;
	struct itimerspec when = { 0 };

	(void)multi;
	if (ms == 0) {
		/* All zero would disarm it. */
		when.it_value.tv_nsec = 1;
	} else if (ms > 0) {
		when.it_value.tv_sec = ms / 1000;
		when.it_value.tv_nsec = ms % 1000 * 1000000;
	}
	timerfd_settime(m->timer, 0, &when, NULL);
	return (0);
}

static int
open_descriptors(struct http_multi *m)
{
	struct epoll_event event = { .events = EPOLLIN };

	if ((m->epoll = epoll_create1(EPOLL_CLOEXEC)) == -1 ||
	    (m->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) == -1)
		return (-1);
	event.data.fd = m->timer;
	return (epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->timer, &event));
}

struct http_multi *
http_multi_new(const char *ca_file, struct http_error *e)
{
	struct http_multi *m;

	*e = (struct http_error){ .failure = HTTP_OK };
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		http_error_set(e, HTTP_LOCAL, "libcurl cannot be used");
		return (NULL);
	}
	if ((m = calloc(1, sizeof(*m))) == NULL) {
		http_error_set(e, HTTP_LOCAL, "out of memory");
		curl_global_cleanup();
		return (NULL);
	}
	m->epoll = m->timer = -1;
	m->last_ended = &m->ended;
	if (open_descriptors(m)) {
		http_error_set(e, HTTP_LOCAL, "descriptors for requests: %s", strerror(errno));
		goto err;
	}
	if ((m->multi = curl_multi_init()) == NULL) {
		http_error_set(e, HTTP_LOCAL, "out of memory");
		goto err;
	}
	if (http_authorities_read(&m->authorities, ca_file, e))
		goto err;
	curl_multi_setopt(m->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(m->multi, CURLMOPT_SOCKETDATA, m);
	curl_multi_setopt(m->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(m->multi, CURLMOPT_TIMERDATA, m);
	curl_multi_setopt(m->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
	return (m);

err:
	http_multi_free(m);
	return (NULL);
}

/* End a call that libcurl no longer has. */
static void
free_call(struct call *call)
{
	curl_easy_cleanup(call->transfer.curl);
	http_response_free(&call->response);
	free(call);
}

/* Take a call from libcurl before its end. */
static void
give_up(struct http_multi *m, struct call *call)
{
	curl_multi_remove_handle(m->multi, call->transfer.curl);
	http_transfer_end(&call->transfer, CURLE_ABORTED_BY_CALLBACK, &call->error);
	free_call(call);
	m->count--;
}

void
http_multi_free(struct http_multi *m)
{
	struct http_sigpipe sigpipe;
	struct call *call;

	if (m == NULL)
		return;
	http_sigpipe_block(&sigpipe);
	while ((call = m->running) != NULL) {
		m->running = call->next;
		give_up(m, call);
	}
	while ((call = m->ended) != NULL) {
		m->ended = call->next;
		free_call(call);
	}
	curl_multi_cleanup(m->multi);
	http_sigpipe_restore(&sigpipe);
	http_authorities_free(&m->authorities);
	if (m->timer != -1)
		close(m->timer);
	if (m->epoll != -1)
		close(m->epoll);
	free(m);
	curl_global_cleanup();
}

int
http_multi_fd(const struct http_multi *m)
{
	return (m->epoll);
}

size_t
http_multi_count(const struct http_multi *m)
{
	return (m->count);
}

int
http_multi_start(struct http_multi *m, const struct http_request *r, void *user,
    struct http_error *e)
{
	struct call *call = calloc(1, sizeof(*call));
	CURL *curl = curl_easy_init();

	if (call == NULL || curl == NULL) {
		http_error_set(e, HTTP_LOCAL, "out of memory");
		goto err;
	}
	if (http_transfer_begin(&call->transfer, curl, r, &m->authorities, &call->response, e))
		goto err;
	curl_easy_setopt(curl, CURLOPT_PRIVATE, call);
	if (curl_multi_add_handle(m->multi, curl) != CURLM_OK) {
		http_transfer_end(&call->transfer, CURLE_OUT_OF_MEMORY, e);
		goto err;
	}
	call->user = user;
	call->next = m->running;
	m->running = call;
	m->count++;
	return (0);

err:
	curl_easy_cleanup(curl);
	free(call);
	return (-1);
}

/* Move a call that libcurl has ended to the others that have. */
static void
end_call(struct http_multi *m, struct call *call, CURLcode code)
{
	struct call **at = &m->running;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	curl_multi_remove_handle(m->multi, call->transfer.curl);
	http_transfer_end(&call->transfer, code, &call->error);
	call->next = NULL;
	*m->last_ended = call;
	m->last_ended = &call->next;
}

static void
collect(struct http_multi *m)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(m->multi, &left)) != NULL) {
		CURLcode code = message->data.result;
		char *call = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
		/* The message is gone when its handle is removed. */
		end_call(m, (struct call *)(void *)call, code);
	}
}

static void
handle(struct http_multi *m, const struct epoll_event *event)
{
	uint64_t times;
	int running, what;

	if (event->data.fd == m->timer) {
		if (read(m->timer, &times, sizeof(times)) == sizeof(times))
			curl_multi_socket_action(m->multi, CURL_SOCKET_TIMEOUT, 0, &running);
		return;
	}
	what = (event->events & EPOLLIN ? CURL_CSELECT_IN : 0) |
	    (event->events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
	    (event->events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
	curl_multi_socket_action(m->multi, event->data.fd, what, &running);
}

void
http_multi_run(struct http_multi *m)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	struct http_sigpipe sigpipe;
	int n = epoll_wait(m->epoll, events, EVENTS_AT_ONCE, 0);

	http_sigpipe_block(&sigpipe);
	for (int i = 0; i < n; i++)
		handle(m, &events[i]);
	collect(m);
	http_sigpipe_restore(&sigpipe);
}

bool
http_multi_next(struct http_multi *m, struct http_result *out)
{
	struct call *call = m->ended;

	if (call == NULL)
		return (false);
	if ((m->ended = call->next) == NULL)
		m->last_ended = &m->ended;
	*out = (struct http_result){ .user = call->user,
		.response = call->response,
		.error = call->error };
	call->response = (struct http_response){ 0 };
	free_call(call);
	m->count--;
	return (true);
}

bool
http_multi_cancel(struct http_multi *m, const void *user)
{
	struct http_sigpipe sigpipe;
	struct call *call;

	for (struct call **at = &m->running; (call = *at) != NULL; at = &call->next)
		if (call->user == user) {
			*at = call->next;
			http_sigpipe_block(&sigpipe);
			give_up(m, call);
			http_sigpipe_restore(&sigpipe);
			return (true);
		}
	/* It has ended, and http_multi_next() did not return it yet. */
	for (struct call **at = &m->ended; (call = *at) != NULL; at = &call->next)
		if (call->user == user) {
			*at = call->next;
			if (*at == NULL)
				m->last_ended = at;
			free_call(call);
			m->count--;
			return (true);
		}
	return (false);
}
