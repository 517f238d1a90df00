#include "http/authorities.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { PEM_MAX = 8 << 20 };

static const char begin[] = "-----BEGIN ";

int
http_authorities_read(struct http_authorities *a, const char *file, struct http_error *e)
{
	*a = (struct http_authorities){ 0 };
	if (file == NULL)
		return (0);
	if ((a->file = strdup(file)) == NULL || file_read_path(file, PEM_MAX, &a->pem)) {
		http_error_set(e, HTTP_LOCAL, "%s: %s", file, strerror(errno));
		goto err;
	}
	if (a->pem.len == 0 || !memmem(a->pem.data, a->pem.len, begin, sizeof(begin) - 1)) {
		http_error_set(e, HTTP_LOCAL, "%s: no certificates in it", file);
		goto err;
	}
	return (0);

err:
	http_authorities_free(a);
	return (-1);
}

const char *
http_authorities_env(void)
{
	const char *file = getenv("SSL_CERT_FILE");

	return (file && *file ? file : NULL);
}

void
http_authorities_free(struct http_authorities *a)
{
	free(a->file);
	buf_free(&a->pem);
	*a = (struct http_authorities){ 0 };
}
