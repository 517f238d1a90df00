#include "http/client.h"

#include <curl/curl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>

#include "http/sigpipe.h"
#include "http/transfer.h"

struct http_client {
	CURL *curl;
	bool is_another; /* the authorities are those of the one that it was made of */
	struct http_authorities authorities;
};

struct http_client *
http_client_new(const char *ca_file, struct http_error *e)
{
	struct http_client *c;

	*e = (struct http_error){ .failure = HTTP_OK };
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		http_error_set(e, HTTP_LOCAL, "libcurl cannot be used");
		return (NULL);
	}
	if ((c = calloc(1, sizeof(*c))) == NULL || (c->curl = curl_easy_init()) == NULL) {
		http_error_set(e, HTTP_LOCAL, "out of memory");
		goto err;
	}
	if (http_authorities_read(&c->authorities, ca_file, e))
		goto err;
	return (c);

err:
	if (c)
		http_client_free(c);
	else
		curl_global_cleanup();
	return (NULL);
}

struct http_client *
http_client_another(const struct http_client *c)
{
	struct http_client *other = malloc(sizeof(*other));

	if (other == NULL)
		return (NULL);
	*other = *c;
	other->is_another = true;
	if ((other->curl = curl_easy_init()) == NULL) {
		free(other);
		return (NULL);
	}
	return (other);
}

void
http_client_free(struct http_client *c)
{
	struct http_sigpipe sigpipe;

	if (c == NULL)
		return;
	/* The end of a TLS connection is written, too. */
	http_sigpipe_block(&sigpipe);
	curl_easy_cleanup(c->curl);
	http_sigpipe_restore(&sigpipe);
	if (!c->is_another) {
		http_authorities_free(&c->authorities);
		curl_global_cleanup();
	}
	free(c);
}

int
http_client_send(struct http_client *c, const struct http_request *q, struct http_response *r,
    struct http_error *e)
{
	struct http_sigpipe sigpipe;
	struct http_transfer t;
	CURLcode code;

	http_response_free(r);
	if (http_transfer_begin(&t, c->curl, q, &c->authorities, r, e))
		return (-1);
	http_sigpipe_block(&sigpipe);
	code = curl_easy_perform(c->curl);
	http_sigpipe_restore(&sigpipe);
	return (http_transfer_end(&t, code, e));
}

void
http_client_rest(struct http_client *c)
{
	struct http_sigpipe sigpipe;
	CURL *fresh = curl_easy_init();

	if (fresh == NULL)
		return;
	http_sigpipe_block(&sigpipe);
	curl_easy_cleanup(c->curl);
	http_sigpipe_restore(&sigpipe);
	c->curl = fresh;
	malloc_trim(0);
}
