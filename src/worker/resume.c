#include "worker/resume.h"

#include <unistd.h>

#include "store/journal_rewrite.h"
#include "worker/lines.h"

/* Whether the last line read is still where it was. Returns 1 or 0, or -1 with errno set. */
static int
is_in_place(int fd, const struct follow_file *at)
{
	char last;
	ssize_t n;

	if (at->offset == 0)
		return (1);
	if (at->offset > INT64_MAX)
		return (0);
	if ((n = pread(fd, &last, 1, (off_t)at->offset - 1)) == -1)
		return (-1);
	if (n == 0 || last != '\n')
		return (0);
	return (at->delivery[0] ? lines_is_at(fd, at->last, at->delivery) : 1);
}

/*
 * Go on behind the last delivery read, in a file that was rewritten. Lines that are no deliveries are behind it again.
 * Returns 1, 0 if the delivery is not in it, or -1 with errno set.
 */
static int
seek(int dir, struct follow_file *at)
{
	bool is_next = at->last == at->offset; /* it was read, but is under way: it is read again */
	uint64_t begin, end;
	int result;

	if (at->delivery[0] == '\0')
		return (0);
	if ((result = lines_seek(dir, at->name, at->delivery, &begin, &end)) == 1) {
		at->last = begin;
		at->offset = is_next ? begin : end;
	}
	return (result);
}

int
resume_place(int dir, int fd, struct follow_file *at, bool exactly)
{
	int result = is_in_place(fd, at), rewritten;
	uint64_t end;

	if (result == -1 || at->offset == 0)
		return (result);
	/* Where that line alone has become shorter, a newline can stand at the place by chance. */
	if (result == 1 &&
	    (!exactly || at->delivery[0] == '\0' ||
		(lines_end(fd, at->last, &end) == 1 && end == at->offset)))
		return (1);
	if ((rewritten = journal_rewrite_is_of(dir, at->name, fd)) != 1)
		return (rewritten == -1 ? -1 : result);
	return (seek(dir, at));
}
