#include "worker/running.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/uuid.h"

enum {
	LINE_LEN = 128, /* divides a page: a write of one line is not cut in two */
	BOOT_SIZE = 40,
	STAT_SIZE = 1024,
	START_FIELD = 22, /* of /proc/PID/stat, see proc(5) */
	END_MS = 10,
	END_TRIES = 1000, /* how long to wait for those that were killed */
};

struct running {
	int fd;
	char boot[BOOT_SIZE];
};

/* What /proc/PID/stat says of a process. */
struct process {
	char state;
	int group;
	unsigned long long start; /* clock ticks since the boot */
};

/* Returns 0, or -1 if there is no such process. */
static int
process_read(pid_t pid, struct process *p)
{
	char path[64], text[STAT_SIZE], *field;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (-1);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return (-1);
	text[n] = '\0';
	/* The second field is the program's name, in parentheses, with whatever is in it. */
	if ((field = strrchr(text, ')')) == NULL ||
	    sscanf(field + 1, " %c %*d %d", &p->state, &p->group) != 2)
		return (-1);
	for (int i = 2; i < START_FIELD && field; i++)
		field = strchr(field + 1, ' ');
	return (field && sscanf(field, "%llu", &p->start) == 1 ? 0 : -1);
}

static void
read_boot(char boot[BOOT_SIZE])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd == -1 ? -1 : read(fd, boot, BOOT_SIZE - 1);

	if (fd != -1)
		close(fd);
	boot[n > 0 ? n : 0] = '\0';
	boot[strcspn(boot, " \n")] = '\0';
	if (*boot == '\0')
		memcpy(boot, "-", 2);
}

/*
 * Whether a process of the group runs. Those that have ended and wait for their parent do not, unless /proc cannot show
 * which ones these are.
 */
static bool
group_runs(pid_t group)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	struct process p;
	bool runs = false;

	while (proc && !runs && (errno = 0, entry = readdir(proc)) != NULL)
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    process_read((pid_t)atol(entry->d_name), &p) == 0)
			runs = p.group == group && p.state != 'Z' && p.state != 'X';
	if (!runs && (proc == NULL || errno))
		runs = kill(-group, 0) == 0;
	if (proc)
		closedir(proc);
	return (runs);
}

/* Kill the group and wait for its end. Returns 0, or -1 with errno EBUSY. */
static int
end_group(pid_t pid, const char *delivery)
{
	const struct timespec pause = { .tv_nsec = END_MS * 1000000L };
	char number[24];

	snprintf(number, sizeof(number), "%ld", (long)pid);
	log_line(LOG_LEVEL_WARN, "a worker that was killed left a hook running; ending it",
	    "delivery", delivery, "pid", number, NULL);
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	for (int i = 0; i < END_TRIES; i++) {
		if (!group_runs(pid))
			return (0);
		nanosleep(&pause, NULL);
	}
	log_line(LOG_LEVEL_ERROR, "a hook that was left running cannot be ended", "delivery",
	    delivery, "pid", number, NULL);
	errno = EBUSY;
	return (-1);
}

/* End what one line tells of, if it still runs. Returns 0, or -1 with errno EBUSY. */
static int
end_left(const struct running *r, const char *line)
{
	char boot[BOOT_SIZE], delivery[UUID_SIZE];
	unsigned long long start;
	struct process p;
	long pid;

	if (sscanf(line, "%ld %llu %39s %36s", &pid, &start, boot, delivery) != 4 || pid <= 1)
		return (0);
	if (strcmp(boot, r->boot) != 0 || process_read((pid_t)pid, &p) || p.start != start)
		return (0);
	return (end_group((pid_t)pid, delivery));
}

struct running *
running_open(int dir)
{
	struct running *r = calloc(1, sizeof(*r));
	char line[LINE_LEN + 1] = "";
	int saved;

	if (r == NULL)
		return (NULL);
	if ((r->fd = openat(dir, "running", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)) == -1)
		goto err;
	read_boot(r->boot);
	for (unsigned slot = 0; slot < RUNNING_SLOTS; slot++) {
		ssize_t n = pread(r->fd, line, LINE_LEN, (off_t)slot * LINE_LEN);

		if (n == -1)
			goto err;
		if (n < LINE_LEN)
			break;
		if (end_left(r, line))
			goto err;
		running_clear(r, slot);
	}
	return (r);

err:
	saved = errno;
	running_close(r);
	errno = saved;
	return (NULL);
}

void
running_close(struct running *r)
{
	if (r == NULL)
		return;
	if (r->fd != -1)
		close(r->fd);
	free(r);
}

/* Write a slot's line, filled up with blanks. Returns 0, or -1 with errno set. */
static int
write_line(struct running *r, unsigned slot, const char *text)
{
	char line[LINE_LEN + 1];
	ssize_t n;

	snprintf(line, sizeof(line), "%-*.*s\n", LINE_LEN - 1, LINE_LEN - 1, text);
	if ((n = pwrite(r->fd, line, LINE_LEN, (off_t)slot * LINE_LEN)) == LINE_LEN)
		return (0);
	if (n >= 0)
		errno = ENOSPC;
	return (-1);
}

int
running_note(struct running *r, unsigned slot, pid_t pid, const char *delivery)
{
	char text[LINE_LEN];
	struct process p;

	/* Without /proc nobody can tell later whether it is the same process: it is left alone then. */
	if (process_read(pid, &p))
		p.start = 0;
	snprintf(text, sizeof(text), "%ld %llu %s %s", (long)pid, p.start, r->boot, delivery);
	return (write_line(r, slot, text));
}

void
running_clear(struct running *r, unsigned slot)
{
	if (write_line(r, slot, ""))
		log_errno(LOG_LEVEL_WARN, "end of a hook not noted", "file", "queue/running", NULL);
}
