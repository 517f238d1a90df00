#include "store/journal_files.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dir.h"
#include "base/number.h"

long
journal_file_number(const char *name)
{
	uint64_t number;
	size_t digits;

	for (size_t i = 0; i < JOURNAL_DAY_LEN; i++)
		if (i == 4 || i == 7 ? name[i] != '-' : name[i] < '0' || name[i] > '9')
			return (-1);
	if (strlen(name) >= JOURNAL_NAME_SIZE)
		return (-1);
	name += JOURNAL_DAY_LEN;
	if (strcmp(name, ".jsonl") == 0)
		return (0);
	if (*name != '.' || name[1] < '1' || name[1] > '9')
		return (-1);
	digits = strcspn(++name, ".");
	return (number_parse_len(name, digits, 1, UINT_MAX, &number) == 0 &&
		    strcmp(name + digits, ".jsonl") == 0 ?
		(long)number :
		-1);
}

int
journal_file_compare(const char *a, const char *b)
{
	int days = strncmp(a, b, JOURNAL_DAY_LEN);
	long diff = days ? days : journal_file_number(a) - journal_file_number(b);

	return (diff < 0 ? -1 : diff > 0);
}

void
journal_file_name(char out[JOURNAL_NAME_SIZE], const char *day, unsigned number)
{
	if (number == 0)
		snprintf(out, JOURNAL_NAME_SIZE, "%s.jsonl", day);
	else
		snprintf(out, JOURNAL_NAME_SIZE, "%s.%u.jsonl", day, number);
}

static int
compare(const void *a, const void *b)
{
	return (journal_file_compare(a, b));
}

char (*journal_files(int dir, size_t *n))[JOURNAL_NAME_SIZE]
{
	char(*names)[JOURNAL_NAME_SIZE] = NULL, (*more)[JOURNAL_NAME_SIZE];
	const char *name;
	size_t cap = 64;
	struct dir d;
	int result;

	*n = 0;
	if (dir_open(&d, dir, "."))
		return (NULL);
	if ((names = calloc(cap, sizeof(*names))) == NULL)
		goto out;
	while ((result = dir_next(&d, &name)) == 1) {
		if (journal_file_number(name) < 0)
			continue;
		if (*n == cap) {
			cap *= 2;
			if ((more = reallocarray(names, cap, sizeof(*names))) == NULL) {
				free(names);
				names = NULL;
				*n = 0;
				goto out;
			}
			names = more;
		}
		memcpy(names[(*n)++], name, strlen(name) + 1);
	}
	/* A list that was cut short would look like a journal without its other days. */
	if (result == -1) {
		free(names);
		names = NULL;
		*n = 0;
		goto out;
	}
	qsort(names, *n, sizeof(*names), compare);
out:
	dir_close(&d);
	return (names);
}
