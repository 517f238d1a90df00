#include "cli/lib/guess.h"

#include <stdio.h>
#include <string.h>

static size_t
least(size_t a, size_t b)
{
	return (a < b ? a : b);
}

/*
 * How many letters have to be changed, added, taken away or exchanged with their neighbour
 * (Damerau-Levenshtein, each pair of neighbours at most once).
 */
static size_t
distance(const char *a, const char *b, size_t n)
{
	size_t rows[3][GUESS_SIZE], m = strlen(a);

	for (size_t j = 0; j <= n; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= m; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3],
		       *two_above = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			row[j] = least(least(above[j], row[j - 1]) + 1,
			    above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], two_above[j - 2] + 1);
		}
	}
	return (rows[m % 3][n]);
}

struct guess
guess_begin(const char *name)
{
	return ((struct guess){ .name = name, .distance = GUESS_SIZE });
}

void
guess_consider(struct guess *g, const char *candidate, size_t len)
{
	size_t d;

	if (len >= GUESS_SIZE || strlen(g->name) >= GUESS_SIZE)
		return;
	if ((d = distance(g->name, candidate, len)) < g->distance) {
		g->distance = d;
		snprintf(g->best, sizeof(g->best), "%.*s", (int)len, candidate);
	}
}

const char *
guess_near(const struct guess *g)
{
	return (g->distance <= GUESS_NEAR && 2 * g->distance <= strlen(g->best) ? g->best : NULL);
}
