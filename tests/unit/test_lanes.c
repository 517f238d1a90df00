/* Whose turn it is: the order of an installation's deliveries, and that installations and retries take turns. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include "worker/lanes.h"

static struct handover all[200];

static int
setup(void **state)
{
	memset(all, 0, sizeof(all));
	*state = lanes_new();
	return (*state == NULL);
}

static unsigned dropped;

static void
drop(struct handover *h)
{
	(void)h;
	dropped++;
}

static int
teardown(void **state)
{
	lanes_free(*state, drop);
	return (0);
}

static void
add(struct lanes *l, unsigned number, const char *owner, enum lane_row row)
{
	assert_int_equal(lanes_add(l, owner, row, &all[number]), 0);
}

/* The number of the one whose turn it is, or -1. */
static int
take(struct lanes *l, enum lane_row row)
{
	struct handover *h = lanes_take(l, row);

	return (h ? (int)(h - all) : -1);
}

/* Goal: an installation's deliveries come in their order, one at a time; others go on meanwhile. */
static void
test_one_at_a_time(void **state)
{
	struct lanes *l = *state;

	add(l, 0, "a", LANE_FRESH);
	add(l, 1, "a", LANE_FRESH);
	add(l, 2, "b", LANE_FRESH);
	add(l, 3, "a", LANE_FRESH);
	assert_int_equal(lanes_behind(&all[0], LANE_FRESH), 3);
	assert_int_equal(take(l, LANE_FRESH), 0);
	assert_int_equal(take(l, LANE_FRESH), 2);
	assert_int_equal(take(l, LANE_FRESH), -1);
	assert_false(lanes_is_ready(l, LANE_FRESH));
	assert_int_equal(lanes_count(l), 2);
	/* What is added while its lane has a turn waits, too. */
	add(l, 4, "b", LANE_FRESH);
	assert_false(lanes_is_ready(l, LANE_FRESH));
	lanes_end(l, &all[0]);
	assert_int_equal(take(l, LANE_FRESH), 1);
	assert_int_equal(take(l, LANE_FRESH), -1);
	lanes_end(l, &all[2]);
	assert_int_equal(take(l, LANE_FRESH), 4);
	lanes_end(l, &all[1]);
	assert_int_equal(take(l, LANE_FRESH), 3);
	lanes_end(l, &all[3]);
	lanes_end(l, &all[4]);
	assert_int_equal(lanes_count(l), 0);
}

/* Goal: an installation with many deliveries gets one turn of each round. */
static void
test_rounds(void **state)
{
	struct lanes *l = *state;
	char order[64] = "";
	int number;

	for (unsigned i = 0; i < 6; i++)
		add(l, i, "a", LANE_FRESH);
	add(l, 6, "b", LANE_FRESH);
	add(l, 7, "c", LANE_FRESH);
	add(l, 8, "b", LANE_FRESH);
	while ((number = take(l, LANE_FRESH)) != -1) {
		snprintf(order + strlen(order), sizeof(order) - strlen(order), "%d ", number);
		lanes_end(l, &all[number]);
	}
	assert_string_equal(order, "0 6 7 1 8 2 3 4 5 ");
}

/* Goal: retries are a row of their own, but share the installation's one turn. */
static void
test_retries(void **state)
{
	struct lanes *l = *state;

	add(l, 0, "a", LANE_FRESH);
	add(l, 1, "a", LANE_RETRIES);
	add(l, 2, "b", LANE_RETRIES);
	assert_int_equal(take(l, LANE_RETRIES), 1);
	assert_false(lanes_is_ready(l, LANE_FRESH));
	assert_int_equal(take(l, LANE_RETRIES), 2);
	lanes_end(l, &all[1]);
	assert_int_equal(take(l, LANE_FRESH), 0);
	add(l, 3, "a", LANE_RETRIES);
	assert_false(lanes_is_ready(l, LANE_RETRIES));
	lanes_end(l, &all[0]);
	assert_int_equal(take(l, LANE_RETRIES), 3);
	lanes_end(l, &all[3]);
	lanes_end(l, &all[2]);
}

/* Goal: what is put back has the next turn of its lane, which may rest until a time. */
static void
test_put_back(void **state)
{
	struct lanes *l = *state;

	add(l, 0, "a", LANE_FRESH);
	add(l, 1, "a", LANE_FRESH);
	add(l, 2, "b", LANE_FRESH);
	assert_int_equal(take(l, LANE_FRESH), 0);
	lanes_put_back(l, &all[0], LANE_FRESH, 100);
	assert_int_equal(take(l, LANE_FRESH), 2);
	assert_false(lanes_is_ready(l, LANE_FRESH));
	assert_int_equal(lanes_wake(l, 99), 100);
	assert_false(lanes_is_ready(l, LANE_FRESH));
	assert_int_equal(lanes_wake(l, 100), 0);
	assert_int_equal(take(l, LANE_FRESH), 0);
	lanes_put_back(l, &all[0], LANE_FRESH, 0);
	lanes_put_back(l, &all[2], LANE_FRESH, 0);
	assert_int_equal(take(l, LANE_FRESH), 0);
	lanes_end(l, &all[0]);
	assert_int_equal(take(l, LANE_FRESH), 2);
	assert_int_equal(take(l, LANE_FRESH), 1);
	lanes_end(l, &all[1]);
	lanes_end(l, &all[2]);
}

/* Goal: at the end nothing that waits is lost. */
static void
test_ended(void **state)
{
	struct lanes *l = *state;
	char owner[OWNER_SIZE];

	for (unsigned i = 0; i < 200; i++) {
		snprintf(owner, sizeof(owner), "%u", i / 2);
		add(l, i, owner, i % 3 ? LANE_FRESH : LANE_RETRIES);
	}
	dropped = 0;
	lanes_free(l, drop);
	assert_int_equal(dropped, 200);
	*state = NULL;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_retries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_put_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ended, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
