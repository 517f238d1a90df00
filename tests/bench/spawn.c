/*
 * Runs a program many times with posix_spawn, for script/bench: the rate at which a loop that does
 * nothing else can start programs, and how long one takes from its start to its answer.
 *
 * Usage: spawn COUNT AT-ONCE INPUT PROGRAM [ARGUMENT...]
 *
 * Each run gets the file INPUT as its standard input. With AT-ONCE = 1, each run's standard output
 * is a pipe, and the time until its first bytes is measured. With more, it is /dev/null. A run
 * that fails, or that has to answer and does not, ends the loop with status 1.
 */
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void
die(const char *what)
{
	fprintf(stderr, "spawn: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x < y ? -1 : x > y);
}

/* out: the descriptor that becomes standard output; -1: /dev/null. */
static pid_t
start(const char *input, int out, char **argv)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0);
	if (out == -1)
		posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	else
		posix_spawn_file_actions_adddup2(&actions, out, 1);
	if ((errno = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ)) != 0)
		die(argv[0]);
	posix_spawn_file_actions_destroy(&actions);
	return (pid);
}

static void
reap(const char *program)
{
	int status;

	while (wait(&status) == -1)
		if (errno != EINTR)
			die("wait");
	if (status != 0) {
		fprintf(stderr, "spawn: %s: status %d\n", program, status);
		exit(1);
	}
}

/* One run; returns the seconds from its start to its answer. */
static double
answer(const char *input, char **argv)
{
	char buffer[4096];
	double begun;
	int ends[2];
	ssize_t n;

	if (pipe2(ends, O_CLOEXEC) != 0)
		die("pipe");
	begun = now();
	start(input, ends[1], argv);
	close(ends[1]);
	if ((n = read(ends[0], buffer, sizeof(buffer))) <= 0) {
		fprintf(stderr, "spawn: %s does not answer\n", argv[0]);
		exit(1);
	}
	begun = now() - begun;
	while (n > 0)
		n = read(ends[0], buffer, sizeof(buffer));
	close(ends[0]);
	reap(argv[0]);
	return (begun);
}

int
main(int argc, char **argv)
{
	long count = argc > 4 ? strtol(argv[1], NULL, 10) : 0, running = 0, i;
	long at_once = argc > 4 ? strtol(argv[2], NULL, 10) : 0;
	double *taken, begun;

	if (count < 1 || at_once < 1) {
		fprintf(stderr, "usage: spawn COUNT AT-ONCE INPUT PROGRAM [ARGUMENT...]\n");
		return (2);
	}
	if ((taken = calloc((size_t)count, sizeof(*taken))) == NULL)
		die("memory");
	begun = now();
	for (i = 0; i < count; i++) {
		if (at_once == 1) {
			taken[i] = answer(argv[3], argv + 4);
			continue;
		}
		if (running == at_once) {
			reap(argv[4]);
			running--;
		}
		start(argv[3], -1, argv + 4);
		running++;
	}
	for (; running > 0; running--)
		reap(argv[4]);
	begun = now() - begun;
	qsort(taken, (size_t)count, sizeof(*taken), compare);
	printf("{\"count\":%ld,\"seconds\":%.6f,\"p50_us\":%.1f}\n", count, begun,
	    taken[count / 2] * 1e6);
	return (0);
}
