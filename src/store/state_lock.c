#include <errno.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/lock.h"
#include "store/state.h"

const char state_lock_file[] = "installations/.lock";

/*
 * Another program has the lock. Let other threads of this process try, too, and look at the lock again
 * after a pause. Returns whether there was time left.
 */
static bool
pause_for_other(struct state *s, struct lock_wait *w)
{
	bool again;

	pthread_mutex_unlock(&s->mutex);
	again = lock_wait_pause(w);
	pthread_mutex_lock(&s->mutex);
	return (again);
}

/* Who has the lock leaves the time in its file. Another program does not. */
static int64_t
read_turn(const struct state *s)
{
	int64_t turn = 0;

	return (pread(s->lock_fd, &turn, sizeof(turn), 0) == (ssize_t)sizeof(turn) ? turn : 0);
}

void
state_lock_renew(const struct state *s)
{
	int64_t turn = clock_monotonic_ns();

	/* On a full disk this may fail: then others wait for the usual time. */
	if (pwrite(s->lock_fd, &turn, sizeof(turn), 0) != (ssize_t)sizeof(turn))
		log_errno(LOG_LEVEL_DEBUG, "lock file not written", "file", state_lock_file, NULL);
}

int
state_lock(struct state *s)
{
	struct lock_wait w;
	int result = -1;

	lock_wait_begin(&w, LOCK_WAIT_MS);
	pthread_mutex_lock(&s->mutex);
	for (;;) {
		while (s->held)
			pthread_cond_wait(&s->freed, &s->mutex);
		if ((result = lock_try(s->lock_fd)) == 0 || errno != EWOULDBLOCK)
			break;
		lock_wait_saw(&w, read_turn(s));
		if (!pause_for_other(s, &w) && !s->held) {
			errno = ETIMEDOUT;
			break;
		}
	}
	s->held = result == 0;
	if (s->held)
		state_lock_renew(s);
	pthread_mutex_unlock(&s->mutex);
	if (result)
		log_errno(LOG_LEVEL_ERROR,
		    errno == ETIMEDOUT ? "another program holds the lock" : "cannot be locked",
		    "state_dir", s->path, "file", state_lock_file, NULL);
	return (result);
}

void
state_unlock(struct state *s)
{
	pthread_mutex_lock(&s->mutex);
	flock(s->lock_fd, LOCK_UN);
	s->held = false;
	pthread_cond_signal(&s->freed);
	pthread_mutex_unlock(&s->mutex);
}
