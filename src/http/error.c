#include "http/error.h"

#include <stdarg.h>
#include <stdio.h>

int
http_error_set(struct http_error *e, enum http_failure failure, const char *fmt, ...)
{
	va_list ap;

	e->failure = failure;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return (-1);
}
