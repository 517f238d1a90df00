#include "receiver/arrival.h"

enum {
	VERSION = 1,
	BEGIN_REQUEST = 1,
	PARAMS = 4,
	STDIN = 5,
	BEGIN_SIZE = 8,
	RESPONDER = 1,
};

struct record {
	unsigned type;
	uint16_t id;
	size_t length, padding;
	const unsigned char *content;
};

static uint16_t
number16(const unsigned char *p)
{
	return ((uint16_t)(p[0] << 8 | p[1]));
}

static enum arrived
begin(struct arrival *a, const struct record *r)
{
	/* A second request on this connection at the same time: libfcgi refuses it. */
	if (a->stage != ARRIVAL_BEGIN) {
		a->aside = true;
		return (ARRIVED_PART);
	}
	if (r->id == 0 || r->length != BEGIN_SIZE || number16(r->content) != RESPONDER)
		return (ARRIVED_BROKEN);
	a->id = r->id;
	a->stage = ARRIVAL_PARAMS;
	return (ARRIVED_PART);
}

/* One record that has arrived as a whole. ARRIVED_WHOLE: it was the request's last one. */
static enum arrived
take(struct arrival *a, const struct record *r)
{
	if (r->type == BEGIN_REQUEST)
		return (begin(a, r));
	/* Of the server itself (id 0), or left over from the request before. */
	if (r->id == 0 || r->id != a->id) {
		a->aside = true;
		return (ARRIVED_PART);
	}
	if (r->type == PARAMS && a->stage == ARRIVAL_PARAMS) {
		a->params += r->length;
		if (r->length == 0)
			a->stage = ARRIVAL_STDIN;
		return (a->params > PARAMS_MAX ? ARRIVED_BROKEN : ARRIVED_PART);
	}
	if (r->type == STDIN && a->stage == ARRIVAL_STDIN) {
		a->body += r->length;
		return (r->length == 0 ? ARRIVED_WHOLE : ARRIVED_PART);
	}
	return (ARRIVED_BROKEN);
}

enum arrived
arrival_scan(struct arrival *a, const char *data, size_t len)
{
	enum arrived result = ARRIVED_PART;

	while (result == ARRIVED_PART && len - a->at >= FCGI_HEADER_SIZE) {
		const unsigned char *p = (const unsigned char *)data + a->at;
		const struct record r = {
			.type = p[1],
			.id = number16(p + 2),
			.length = number16(p + 4),
			.padding = p[6],
			.content = p + FCGI_HEADER_SIZE,
		};

		if (p[0] != VERSION)
			return (ARRIVED_BROKEN);
		if (len - a->at < FCGI_HEADER_SIZE + r.length + r.padding)
			break;
		a->at += FCGI_HEADER_SIZE + r.length + r.padding;
		result = take(a, &r);
	}
	return (result);
}
