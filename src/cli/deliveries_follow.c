#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/deliveries_wanted.h"
#include "cli/lib/cli.h"
#include "cli/lib/entry_print.h"
#include "store/journal_files.h"

/* Following the journal: what is appended to its files, and to new ones. */

/*
 * CHUNK: so much is read at once, and more where a line is longer. WAIT_MS: a file system of another machine tells
 * nothing of a change, so the files are looked at that often.
 */
enum { CHUNK = 1 << 20, WAIT_MS = 1000 };

struct followed {
	char name[JOURNAL_NAME_SIZE];
	off_t at; /* what is before was there at the start, or was printed */
	bool failed;
};

struct following {
	const struct conf *conf;
	const struct deliveries_wanted *wanted;
	int dir;
	struct table *table; /* NULL: JSON */
	struct followed *files;
	size_t n;
	bool started;
	unsigned long printed;
	struct buf data, texts, row;
};

static bool
is_over(const struct following *f)
{
	return ((f->wanted->limit && f->printed == f->wanted->limit) || ferror(stdout));
}

static void
print_line(struct following *f, const char *line, size_t len)
{
	struct entry e;

	buf_reset(&f->texts);
	if (len == 0 || (entry_read(&e, line, len, &f->texts) && errno != ENOKEY) ||
	    !deliveries_are_wanted(f->wanted, &e))
		return;
	if (f->table) {
		deliveries_row(f->table, &e, &f->row);
		table_print_row(f->table, stdout, f->row.data);
	} else {
		entry_print_json(&e, NULL);
	}
	f->printed++;
}

/* Read the file from `at`, at most `most` bytes. Returns 0, or -1 with errno set. */
static int
read_chunk(struct following *f, int fd, off_t at, size_t most)
{
	ssize_t n;

	if (f->data.cap <= most)
		buf_wipe(&f->data);
	buf_reset(&f->data);
	if (buf_reserve(&f->data, most))
		return (-1);
	do {
		n = pread(fd, f->data.data, most, at);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return (-1);
	f->data.len = (size_t)n;
	return (0);
}

/* Print the whole lines from file->at on. Returns 0, or -1 with errno set. */
static int
print_new(struct following *f, struct followed *file, int fd, off_t size)
{
	const char *end, *line;
	size_t most = CHUNK;

	while (file->at < size && !is_over(f)) {
		if (read_chunk(f, fd, file->at, most))
			return (-1);
		if (f->data.len == 0)
			break;
		line = f->data.data;
		while (!is_over(f) &&
		    (end = memchr(line, '\n', f->data.len - (size_t)(line - f->data.data))) !=
			NULL) {
			print_line(f, line, (size_t)(end - line));
			line = end + 1;
		}
		file->at += line - f->data.data;
		if (line == f->data.data && f->data.len < most)
			break; /* its last line is not whole yet */
		if (line == f->data.data)
			most *= 2;
	}
	return (0);
}

/* Where the last line that is not whole begins. Returns 0, or -1 with errno set. */
static int
skip_what_is_there(struct following *f, struct followed *file, int fd, off_t size)
{
	const char *newline = NULL;
	off_t start;

	for (size_t most = CHUNK; newline == NULL; most *= 2) {
		start = size > (off_t)most ? size - (off_t)most : 0;
		if (read_chunk(f, fd, start, (size_t)(size - start)))
			return (-1);
		newline = memrchr(f->data.data, '\n', f->data.len);
		file->at = newline ? start + (newline + 1 - f->data.data) : 0;
		if (start == 0)
			break;
	}
	return (0);
}

static void
look_at_file(struct following *f, struct followed *file)
{
	int fd = openat(f->dir, file->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int result = -1;

	if (fd == -1 && errno == ENOENT)
		return;
	if (fd == -1 || fstat(fd, &st)) {
		result = -1;
	} else if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
	} else {
		/* What a failed append left was cut off. */
		if (st.st_size < file->at)
			file->at = st.st_size;
		result = f->started ? print_new(f, file, fd, st.st_size) :
				      skip_what_is_there(f, file, fd, st.st_size);
	}
	if (result && !file->failed)
		cli_fail("%s/journal/%s: %s", f->conf->state_dir, file->name, file_problem(errno));
	file->failed = result != 0;
	file_close(fd);
}

static struct followed *
followed(struct following *f, const char *name)
{
	struct followed *more;

	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->files[i].name, name) == 0)
			return (&f->files[i]);
	if ((more = reallocarray(f->files, f->n + 1, sizeof(*more))) == NULL)
		return (NULL);
	f->files = more;
	f->files[f->n] = (struct followed){ .at = 0 };
	snprintf(f->files[f->n].name, JOURNAL_NAME_SIZE, "%s", name);
	return (&f->files[f->n++]);
}

/* Look at the files of the newest day there was at the start, and of later ones. Returns the exit status. */
static int
look(struct following *f)
{
	char(*names)[JOURNAL_NAME_SIZE], first[JOURNAL_NAME_SIZE] = "";
	struct followed *file;
	int status = CLI_DONE;
	size_t n;

	if ((names = journal_files(f->dir, &n)) == NULL)
		return (cli_fail("%s/journal: %s", f->conf->state_dir, strerror(errno)));
	if (f->n)
		memcpy(first, f->files[0].name, sizeof(first));
	else if (!f->started && n)
		memcpy(first, names[n - 1], sizeof(first));
	for (size_t i = 0; i < n && status == CLI_DONE && !is_over(f); i++) {
		if (strncmp(names[i], first, JOURNAL_DAY_LEN) < 0)
			continue;
		if ((file = followed(f, names[i])) == NULL)
			status = cli_fail("out of memory");
		else
			look_at_file(f, file);
	}
	free(names);
	fflush(stdout);
	return (status);
}

/* Wait until a file changes, or for a while. Returns whether anybody reads what is printed. */
static bool
wait_for_change(int notes)
{
	struct pollfd fds[] = { { .fd = notes, .events = POLLIN }, { .fd = STDOUT_FILENO } };
	char events[4096];

	poll(fds, 2, WAIT_MS);
	while (notes != -1 && read(notes, events, sizeof(events)) > 0)
		;
	return (!(fds[1].revents & (POLLERR | POLLNVAL)));
}

int
deliveries_follow(const struct conf *conf, const struct deliveries_wanted *wanted)
{
	struct following f = { .conf = conf, .wanted = wanted };
	char path[] = "/proc/self/fd/2147483647";
	int status = CLI_FAILED, notes = -1;

	if ((f.dir = cli_directory(conf, "journal")) == -1)
		return (CLI_FAILED);
	if (!wanted->json &&
	    ((f.table = deliveries_table()) == NULL ||
		table_print_titles(f.table, stdout) != CLI_DONE))
		goto out;
	if ((status = look(&f)) != CLI_DONE)
		goto out;
	f.started = true;
	/* Where there is no inotify, the files are looked at every second. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f.dir);
	if ((notes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) != -1)
		inotify_add_watch(notes, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO);
	while ((status = look(&f)) == CLI_DONE && !is_over(&f) && wait_for_change(notes))
		;
out:
	file_close(notes);
	file_close(f.dir);
	table_free(f.table);
	free(f.files);
	buf_wipe(&f.data);
	buf_wipe(&f.texts);
	buf_free(&f.row);
	return (status);
}
