#include "worker/markers.h"

#include <stdlib.h>
#include <string.h>

/* The hash is FNV-1a. */
struct marked **
markers_find(struct markers *m, enum markers_directory directory, const char *record)
{
	uint32_t h = 2166136261u ^ directory;
	struct marked **w;

	for (const char *p = record; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	for (w = &m->buckets[h % MARKERS_BUCKETS]; *w; w = &(*w)->following)
		if ((*w)->directory == directory && strcmp((*w)->record, record) == 0)
			break;
	return (w);
}

static void
forget(struct marked **at)
{
	struct marked *w = *at;

	if (w) {
		*at = w->following;
		free(w);
	}
}

int64_t
markers_sweep(struct markers *m, bool complete)
{
	int64_t next = 0;

	for (size_t i = 0; i < MARKERS_BUCKETS; i++)
		for (struct marked **at = &m->buckets[i]; *at;) {
			struct marked *w = *at;

			if (complete && !w->busy && w->pass != m->pass) {
				forget(at);
				continue;
			}
			if (!w->busy && (next == 0 || w->next < next))
				next = w->next;
			at = &w->following;
		}
	return (next);
}

void
markers_free(struct markers *m)
{
	for (size_t i = 0; i < MARKERS_BUCKETS; i++)
		while (m->buckets[i])
			forget(&m->buckets[i]);
}
