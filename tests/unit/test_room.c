/* Connections that wait: who is overdue, who makes room, and events that come at the wrong moment. */

#include "support.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "receiver/request.h"
#include "receiver/room.h"

enum { PLACES = 3, NOW = 1000000 };

struct world {
	int epoll, timer;
	struct room *room;
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	w->room = room_new(PLACES, w->epoll, w->timer);
	assert_non_null(w->room);
	*state = w;
	return (0);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	room_free(w->room);
	close(w->epoll);
	close(w->timer);
	free(w);
	return (0);
}

/* A connection that is held; *peer is its other end. NULL: the room is full. */
static struct connection *
enter(struct world *w, int *peer, int64_t now_ms)
{
	struct connection *c;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
	    0);
	c = room_enter(w->room, fds[0], now_ms);
	if (c == NULL) {
		close(fds[0]);
		close(fds[1]);
		return (NULL);
	}
	*peer = fds[1];
	return (c);
}

/* The key of the next event, or 0 where there is none. */
static uint64_t
next_event(struct world *w)
{
	struct epoll_event event;

	return (epoll_wait(w->epoll, &event, 1, 0) == 1 ? event.data.u64 : 0);
}

static bool
ticks(const struct world *w)
{
	struct itimerspec t;

	assert_int_equal(timerfd_gettime(w->timer, &t), 0);
	return (t.it_interval.tv_sec != 0);
}

/* Goal: a request has 30 s from its first to its last byte, a kept connection two minutes. */
static void
test_overdue(void **state)
{
	static const struct {
		enum connection_state state;
		int ms;
	} cases[] = {
		{ CONNECTION_WAITING, REQUEST_MS },
		{ CONNECTION_KEPT, KEPT_MS },
		{ CONNECTION_LEAVING, LEAVING_MS },
	};
	struct world *w = *state;
	int peer;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct connection *c = enter(w, &peer, NOW);

		c->state = cases[i].state;
		assert_int_equal(room_wait(w->room, c, NOW), ROOM_WAITS);
		assert_true(ticks(w));
		assert_null(room_overdue(w->room, NOW + cases[i].ms - 1, false));
		assert_ptr_equal(room_overdue(w->room, NOW + cases[i].ms, false), c);
		/* It is held: nobody else gets it. */
		assert_null(room_overdue(w->room, NOW + 10 * cases[i].ms, false));
		assert_null(room_oldest(w->room));
		room_leave(w->room, c);
		assert_true(room_wait_empty(w->room, 0));
		close(peer);
	}
	assert_null(room_overdue(w->room, NOW, false));
	assert_false(ticks(w));
}

/* Goal: while bytes trickle in, the time of a request goes on. */
static void
test_trickling(void **state)
{
	struct world *w = *state;
	int peer;
	struct connection *c = enter(w, &peer, NOW);

	for (int ms = 0; ms < REQUEST_MS; ms += 1000) {
		assert_int_equal(room_wait(w->room, c, NOW + ms), ROOM_WAITS);
		assert_null(room_overdue(w->room, NOW + ms, false));
		assert_ptr_equal(room_oldest(w->room), c);
	}
	assert_int_equal(room_wait(w->room, c, NOW + REQUEST_MS), ROOM_WAITS);
	assert_ptr_equal(room_overdue(w->room, NOW + REQUEST_MS, false), c);
	room_leave(w->room, c);
	close(peer);
}

/* Goal: at the end, silent and kept connections are given up, and a request that has begun is not. */
static void
test_stopping(void **state)
{
	struct world *w = *state;
	struct connection *begun, *silent, *kept;
	int peers[3];

	begun = enter(w, &peers[0], NOW);
	begun->arrival.id = 1;
	silent = enter(w, &peers[1], NOW);
	kept = enter(w, &peers[2], NOW);
	kept->state = CONNECTION_KEPT;
	assert_int_equal(room_wait(w->room, begun, NOW), ROOM_WAITS);
	assert_int_equal(room_wait(w->room, silent, NOW), ROOM_WAITS);
	assert_int_equal(room_wait(w->room, kept, NOW), ROOM_WAITS);
	assert_ptr_equal(room_overdue(w->room, NOW, true), kept);
	room_leave(w->room, kept);
	assert_null(room_overdue(w->room, NOW + SILENT_MS - 1, true));
	assert_ptr_equal(room_overdue(w->room, NOW + SILENT_MS, true), silent);
	room_leave(w->room, silent);
	assert_null(room_overdue(w->room, NOW + REQUEST_MS - 1, true));
	assert_false(room_wait_empty(w->room, 0));
	assert_ptr_equal(room_oldest(w->room), begun);
	room_leave(w->room, begun);
	for (size_t i = 0; i < LENGTH(peers); i++)
		close(peers[i]);
}

/* Goal: a full room gives up what waits longest, and a kept connection last. */
static void
test_full(void **state)
{
	struct world *w = *state;
	struct connection *c[PLACES];
	int peers[PLACES + 1];

	for (int i = 0; i < PLACES; i++)
		c[i] = enter(w, &peers[i], NOW + i);
	assert_null(enter(w, &peers[PLACES], NOW));
	/* All are held: there is nothing to give up. */
	assert_null(room_oldest(w->room));
	c[0]->state = CONNECTION_KEPT;
	for (int i = 0; i < PLACES; i++)
		assert_int_equal(room_wait(w->room, c[i], NOW + i), ROOM_WAITS);
	assert_null(enter(w, &peers[PLACES], NOW));
	assert_ptr_equal(room_oldest(w->room), c[1]);
	assert_ptr_equal(room_oldest(w->room), c[2]);
	assert_ptr_equal(room_oldest(w->room), c[0]);
	room_leave(w->room, c[1]);
	assert_non_null(c[1] = enter(w, &peers[PLACES], NOW));
	for (int i = 0; i < PLACES; i++)
		room_leave(w->room, c[i]);
	for (int i = 0; i <= PLACES; i++)
		close(peers[i]);
}

/* Goal: an event during the work is not lost, and one of an earlier connection reaches nobody. */
static void
test_events(void **state)
{
	struct world *w = *state;
	struct connection *c;
	uint64_t key;
	int peer, other;

	c = enter(w, &peer, NOW);
	assert_int_equal(room_wait(w->room, c, NOW), ROOM_WAITS);
	assert_int_equal(next_event(w), 0);
	assert_int_equal(send(peer, "a", 1, 0), 1);
	assert_int_not_equal(key = next_event(w), 0);
	assert_true(key >> 32 != 0);
	assert_int_equal(next_event(w), 0);
	assert_ptr_equal(room_take(w->room, key), c);
	assert_int_equal(send(peer, "b", 1, 0), 1);
	assert_true(next_event(w) == key);
	assert_null(room_take(w->room, key));
	assert_int_equal(room_wait(w->room, c, NOW), ROOM_LOOK_AGAIN);
	assert_int_equal(room_wait(w->room, c, NOW), ROOM_WAITS);
	assert_ptr_equal(room_take(w->room, key), c);
	room_leave(w->room, c);
	assert_null(room_take(w->room, key));
	assert_ptr_equal(enter(w, &other, NOW), c);
	assert_int_equal(room_wait(w->room, c, NOW), ROOM_WAITS);
	assert_null(room_take(w->room, key));
	assert_ptr_equal(room_oldest(w->room), c);
	room_leave(w->room, c);
	close(peer);
	close(other);
}

/* Goal: incomplete requests take 64 MB of memory at most; the one that waits longest makes room. */
static void
test_memory(void **state)
{
	struct world *w = *state;
	struct connection *c[PLACES];
	int peers[PLACES];

	for (int i = 0; i < PLACES; i++) {
		c[i] = enter(w, &peers[i], NOW);
		/* Not touched, so it costs nothing. */
		assert_int_equal(buf_reserve(&c[i]->spool, 20u << 20), 0);
		assert_int_equal(room_wait(w->room, c[i], NOW), ROOM_WAITS);
		assert_ptr_equal(room_over_memory(w->room), i < 2 ? NULL : c[0]);
	}
	room_leave(w->room, c[0]);
	assert_null(room_over_memory(w->room));
	for (int i = 1; i < PLACES; i++) {
		assert_ptr_equal(room_oldest(w->room), c[i]);
		room_leave(w->room, c[i]);
	}
	for (int i = 0; i < PLACES; i++)
		close(peers[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_overdue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trickling, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopping, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
