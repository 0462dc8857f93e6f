/* test_state.c: all pairs of the life-cycle table, against a list that was written without looking at it. */
#include "unit.h"
#include "vnic/state.h"

/*
 * From the design: a front-end connects and negotiates; its rings start, are logged, and stop in any order; it can go at any
 * time; the process can end at any time, and that is the end.
 */
static const enum vnic_state allowed[][2] = {
	/* a front-end comes */
	{ VNIC_WAITING, VNIC_NEGOTIATING },
	/* rings start; with LOG_ALL at once when the guest resets in mid-migration */
	{ VNIC_NEGOTIATING, VNIC_RUNNING },
	{ VNIC_NEGOTIATING, VNIC_LOGGING },
	{ VNIC_STOPPED, VNIC_RUNNING },
	{ VNIC_STOPPED, VNIC_LOGGING },
	/* a migration begins, and is cancelled */
	{ VNIC_RUNNING, VNIC_LOGGING },
	{ VNIC_LOGGING, VNIC_RUNNING },
	/* rings stop */
	{ VNIC_RUNNING, VNIC_STOPPED },
	{ VNIC_LOGGING, VNIC_STOPPED },
	/* the front-end goes */
	{ VNIC_NEGOTIATING, VNIC_WAITING },
	{ VNIC_RUNNING, VNIC_WAITING },
	{ VNIC_LOGGING, VNIC_WAITING },
	{ VNIC_STOPPED, VNIC_WAITING },
	/* the process ends */
	{ VNIC_WAITING, VNIC_CLOSING },
	{ VNIC_NEGOTIATING, VNIC_CLOSING },
	{ VNIC_RUNNING, VNIC_CLOSING },
	{ VNIC_LOGGING, VNIC_CLOSING },
	{ VNIC_STOPPED, VNIC_CLOSING },
	/* nothing changes */
	{ VNIC_WAITING, VNIC_WAITING },
	{ VNIC_NEGOTIATING, VNIC_NEGOTIATING },
	{ VNIC_RUNNING, VNIC_RUNNING },
	{ VNIC_LOGGING, VNIC_LOGGING },
	{ VNIC_STOPPED, VNIC_STOPPED },
};

static bool listed(int from, int to)
{
	for (size_t i = 0; i < COUNT(allowed); i++)
		if ((int)allowed[i][0] == from && (int)allowed[i][1] == to)
			return true;
	return false;
}

static void every_pair_is_as_listed(void **state)
{
	/* A new state needs its lines above. */
	assert_int_equal(VNIC_STATES, 6);
	for (int from = 0; from < VNIC_STATES; from++)
		for (int to = 0; to < VNIC_STATES; to++)
			if (vnic_state_allowed((enum vnic_state)from, (enum vnic_state)to) !=
			    listed(from, to))
				fail_msg("%s to %s is %s", vnic_state_name((enum vnic_state)from),
					 vnic_state_name((enum vnic_state)to),
					 listed(from, to) ? "refused" : "allowed");
}

static void what_is_no_state_is_refused(void **state)
{
	static const int none[] = { -1, VNIC_STATES, VNIC_STATES + 1, 31, 32, 33, 1000 };

	for (size_t i = 0; i < COUNT(none); i++) {
		for (int s = 0; s < VNIC_STATES; s++) {
			assert_false(
				vnic_state_allowed((enum vnic_state)none[i], (enum vnic_state)s));
			assert_false(
				vnic_state_allowed((enum vnic_state)s, (enum vnic_state)none[i]));
		}
		assert_string_equal(vnic_state_name((enum vnic_state)none[i]), "?");
	}
}

static void names_differ(void **state)
{
	assert_string_equal(vnic_state_name(VNIC_RUNNING), "running");
	for (int a = 0; a < VNIC_STATES; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(vnic_state_name((enum vnic_state)a),
						vnic_state_name((enum vnic_state)b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_is_as_listed),
		cmocka_unit_test(what_is_no_state_is_refused),
		cmocka_unit_test(names_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
