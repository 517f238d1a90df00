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
	PID_LEN = 10,
	TICKS_LEN = 20,
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

/*
 * End what one line tells of, if it still runs. "<" stands before a time at which it had started; versions before 0.2 wrote
 * when it started. Returns 0, or -1 with errno EBUSY.
 */
static int
end_left(const struct running *r, const char *line)
{
	char boot[BOOT_SIZE], delivery[UUID_SIZE];
	unsigned long long start;
	struct process p;
	long pid;
	bool had_started = sscanf(line, "%ld <%llu %39s %36s", &pid, &start, boot, delivery) == 4;

	if ((!had_started &&
		sscanf(line, "%ld %llu %39s %36s", &pid, &start, boot, delivery) != 4) ||
	    pid <= 1)
		return (0);
	if (strcmp(boot, r->boot) != 0 || process_read((pid_t)pid, &p) ||
	    (had_started ? p.start > start : p.start != start))
		return (0);
	return (end_group((pid_t)pid, delivery));
}

struct running *
running_open(int dir)
{
	struct running *r = calloc(1, sizeof(*r));
	char line[RUNNING_LINE_LEN + 1] = "";
	int saved;

	if (r == NULL)
		return (NULL);
	if ((r->fd = openat(dir, "running", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)) == -1)
		goto err;
	read_boot(r->boot);
	for (unsigned slot = 0; slot < RUNNING_SLOTS; slot++) {
		ssize_t n = pread(r->fd, line, RUNNING_LINE_LEN, (off_t)slot * RUNNING_LINE_LEN);

		if (n == -1)
			goto err;
		if (n < RUNNING_LINE_LEN)
			break;
		if (end_left(r, line))
			goto err;
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

void
running_prepare(const struct running *r, unsigned slot, const char *delivery,
    struct running_note *note)
{
	char text[RUNNING_LINE_LEN];

	note->fd = r->fd;
	note->at = (off_t)slot * RUNNING_LINE_LEN;
	note->worker = getpid();
	snprintf(text, sizeof(text), "%*s <%*s %s %s", PID_LEN, "", TICKS_LEN, "", r->boot,
	    delivery);
	snprintf(note->line, sizeof(note->line), "%-*.*s\n", RUNNING_LINE_LEN - 1,
	    RUNNING_LINE_LEN - 1, text);
}

/* Write a number into a field of blanks, at its end. */
static void
put_number(char *field, size_t len, unsigned long long n)
{
	do
		field[--len] = (char)('0' + n % 10);
	while ((n /= 10) && len);
}

int
running_write(struct running_note *note)
{
	unsigned long long per_second = (unsigned long long)sysconf(_SC_CLK_TCK);
	struct timespec now;
	ssize_t n;

	/* The clock of /proc/PID/stat, in its steps. */
	clock_gettime(CLOCK_BOOTTIME, &now);
	put_number(note->line, PID_LEN, (unsigned long long)getpid());
	put_number(note->line + PID_LEN + 2, TICKS_LEN,
	    (unsigned long long)now.tv_sec * per_second +
		(unsigned long long)now.tv_nsec / (1000000000 / per_second));
	if ((n = pwrite(note->fd, note->line, RUNNING_LINE_LEN, note->at)) != RUNNING_LINE_LEN) {
		errno = n >= 0 ? ENOSPC : errno;
		return (-1);
	}
	if (getppid() != note->worker) {
		errno = ESRCH;
		return (-1);
	}
	return (0);
}
