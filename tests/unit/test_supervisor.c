/*
 * The process of --listen that holds the socket. It runs in a thread, and the program that it executes is this one: a
 * process that notes its start, says that it is ready, and ends on SIGTERM.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "receiver/listen.h"
#include "receiver/supervisor.h"

struct world {
	char *directory, *conf_file, *address;
	struct supervision how;
	struct conf *conf;
	pthread_t thread;
	int status;
	bool running;
};

/* The executed program: append "PID\n" to CONF.pids, be ready, wait. With CONF.dies there, it dies before. */
static int
serve_nothing(const char *conf_file)
{
	struct supervised by = supervised_by();
	char path[300], line[32];
	sigset_t signals;
	int fd, number;

	snprintf(path, sizeof(path), "%s.dies", conf_file);
	if (access(path, F_OK) == 0)
		return (3);
	supervised_end_together(&by);
	snprintf(path, sizeof(path), "%s.pids", conf_file);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	snprintf(line, sizeof(line), "%d\n", (int)getpid());
	if (!listen_is_listening(STDIN_FILENO) || by.ready_fd == -1 ||
	    write(fd, line, strlen(line)) == -1 || write(by.ready_fd, "", 1) != 1)
		return (1);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	sigwait(&signals, &number);
	return (0);
}

static void *
run(void *user)
{
	struct world *w = user;

	w->status = supervise(&w->how, w->conf);
	return (NULL);
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->directory = directory_make();
	file_text(w->directory, "secrets", "dws_one\n", 0600);
	w->conf = conf_make(w->directory, "state_dir = state\n[droplet]\nsecrets = secrets\n");
	w->conf_file = strdup(w->conf->file);
	assert_true(asprintf(&w->address, "unix:%s/socket", w->directory) > 0);
	w->how = (struct supervision){ .listen = { .address = w->address, .mode = 0600 },
		.program = "/proc/self/exe",
		.conf_file = w->conf_file,
		.descriptors = { .threads = 2, .connections = 10 } };
	*state = w;
	return (0);
}

static void
start(struct world *w)
{
	stderr_capture(w->directory, "log");
	assert_int_equal(pthread_create(&w->thread, NULL, run, w), 0);
	w->running = true;
}

/* Tell it to stop. Its status. */
static int
stop(struct world *w)
{
	kill(getpid(), SIGTERM);
	pthread_join(w->thread, NULL);
	w->running = false;
	stderr_restore();
	return (w->status);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	if (w->running)
		stop(w);
	free(w->address);
	free(w->conf_file);
	directory_remove(w->directory);
	free(w);
	return (0);
}

/* Wait until a file has this text, and return all of it, kept until the next call. */
static const char *
await(struct world *w, const char *name, const char *text)
{
	static struct buf got;

	for (int i = 0; i < 6000; i++) {
		buf_reset(&got);
		if (file_exists(w->directory, name))
			file_read(w->directory, name, &got);
		if (got.len && strstr(got.data, text))
			return (got.data);
		usleep(10000);
	}
	fail_msg("%s does not say \"%s\"", name, text);
	return (NULL);
}

/* Wait until so many processes have been started. Returns the last one. */
static pid_t
await_started(struct world *w, int n)
{
	static const char name[] = "fluidhook.conf.pids";

	for (int i = 0; i < 6000; i++) {
		const char *text = file_exists(w->directory, name) ? await(w, name, "\n") : "";
		int lines = 0;
		pid_t last = 0;

		for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
			lines++;
		if (lines == n) {
			for (const char *p = text; *p; p = strchr(p, '\n') + 1)
				last = atoi(p);
			return (last);
		}
		usleep(10000);
	}
	fail_msg("%d processes are not started", n);
	return (0);
}

/* Wait until a process is gone. */
static void
await_gone(pid_t pid)
{
	for (int i = 0; i < 6000; i++) {
		if (kill(pid, 0) && errno == ESRCH)
			return;
		usleep(10000);
	}
	fail_msg("%d is still there", (int)pid);
}

/* Goal: one process serves on the socket; SIGTERM ends it, and the socket's file goes. */
static void
test_start_and_stop(void **state)
{
	struct world *w = *state;
	pid_t pid;

	start(w);
	pid = await_started(w, 1);
	assert_true(file_exists(w->directory, "socket"));
	assert_int_equal(stop(w), 0);
	await_gone(pid);
	assert_false(file_exists(w->directory, "socket"));
}

/* Goal: SIGHUP starts another process with the new configuration, and ends the old one once that is ready. */
static void
test_reload(void **state)
{
	struct world *w = *state;
	pid_t first, second;

	start(w);
	first = await_started(w, 1);
	kill(getpid(), SIGHUP);
	second = await_started(w, 2);
	await_gone(first);
	assert_int_equal(kill(second, 0), 0);
	await(w, "log", "configuration read");
	/* A configuration that is wrong starts nothing. */
	file_text(w->directory, "fluidhook.conf", "nonsense = 1\n", 0600);
	kill(getpid(), SIGHUP);
	await(w, "log", "configuration not taken, the old one stays");
	assert_int_equal(await_started(w, 2), second);
	assert_int_equal(kill(second, 0), 0);
	assert_int_equal(stop(w), 0);
}

/* Goal: a serving process that dies is replaced, and the log says how it died. */
static void
test_death(void **state)
{
	struct world *w = *state;
	pid_t first;

	start(w);
	first = await_started(w, 1);
	kill(first, SIGKILL);
	await_started(w, 2);
	await(w, "log", "why=\"signal 9\"");
	assert_int_equal(stop(w), 0);
}

/* Goal: a program that dies at its start is given a rest after some tries, and started again when it works. */
static void
test_short_lives(void **state)
{
	struct world *w = *state;

	file_text(w->directory, "fluidhook.conf.dies", "", 0600);
	start(w);
	await(w, "log", "why=\"status 3\"");
	assert_int_equal(unlink(path_in(w->directory, "fluidhook.conf.dies")), 0);
	await_started(w, 1);
	assert_int_equal(stop(w), 0);
}

/* Goal: a program that is missing while it is replaced is no outage: the one that runs is executed. */
static void
test_program_missing(void **state)
{
	struct world *w = *state;

	w->how.program = "/no/such/program";
	start(w);
	await_started(w, 1);
	await(w, "log", "program cannot be executed, the running one serves on");
	assert_int_equal(stop(w), 0);
}

/* Goal: a socket whose file was removed is made again, and served by a new process. */
static void
test_socket_removed(void **state)
{
	struct world *w = *state;

	start(w);
	await_started(w, 1);
	assert_int_equal(unlink(path_in(w->directory, "socket")), 0);
	await_started(w, 2);
	await(w, "log", "the socket was removed: made again");
	assert_true(file_exists(w->directory, "socket"));
	assert_int_equal(stop(w), 0);
}

/* Goal: an address that cannot be listened on is the end, with status 1. */
static void
test_no_socket(void **state)
{
	struct world *w = *state;
	const char *said;
	int status;

	file_text(w->directory, "socket", "", 0600);
	capture_begin();
	status = supervise(&w->how, w->conf);
	said = capture_end();
	CHECK(status == 1 && strstr(said, "exists and is no socket"), "%d %s", status, said);
	conf_free(w->conf);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_start_and_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_death, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_lives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_program_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_socket_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_socket, setup, teardown),
	};
	sigset_t signals;

	if (argc > 2 && strcmp(argv[1], "-c") == 0)
		return (serve_nothing(argv[2]));
	/* For signalfd: in all threads. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
