#ifndef HTTP_SIGPIPE_H
#define HTTP_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

/*
 * OpenSSL writes without MSG_NOSIGNAL, and a peer that is gone must not end the process. SIGPIPE is blocked in
 * this thread while libcurl works, and one that libcurl caused is removed. Changing the action of the process
 * instead would be a race between threads that call at the same time.
 */
struct http_sigpipe {
	sigset_t before;
	bool pending;
};

void http_sigpipe_block(struct http_sigpipe *s);
void http_sigpipe_restore(const struct http_sigpipe *s);

#endif
