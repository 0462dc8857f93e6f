/* test_plan.c: a plan's order, its undoing in reverse, interruption, and the point of no return. */
#include "../unit/unit.h"

#include "migrate/plan.h"

/* What the steps did, as letters: a b c run, A B C undone. And what they are to return. */
struct script {
	char trace[64];
	int run[3], undo[3];
	int heals_after;  /* step 1 fails this often, then works */
	int interrupt_at; /* after that many steps; -1 never */
	int left_ms;
	struct plan_run *plan;
};

static void note(struct script *s, char letter)
{
	size_t n = strlen(s->trace);

	assert_true(n + 1 < sizeof(s->trace));
	s->trace[n] = letter;
}

static int step(struct script *s, int i, struct err *e)
{
	note(s, (char)('a' + i));
	if (i == 1 && s->heals_after > 0 && --s->heals_after == 0)
		s->run[1] = 0;
	else if (s->run[i])
		return err_set(e, s->run[i], "step %c failed", 'a' + i);
	return 0;
}

static int undo(struct script *s, int i, struct err *e)
{
	note(s, (char)('A' + i));
	return s->undo[i] ? err_set(e, s->undo[i], "undo %c failed", 'a' + i) : 0;
}

static int run_a(void *c, struct err *e)
{
	return step(c, 0, e);
}

static int run_b(void *c, struct err *e)
{
	return step(c, 1, e);
}

static int run_c(void *c, struct err *e)
{
	return step(c, 2, e);
}

static int undo_a(void *c, struct err *e)
{
	return undo(c, 0, e);
}

static int undo_b(void *c, struct err *e)
{
	return undo(c, 1, e);
}

static int undo_c(void *c, struct err *e)
{
	return undo(c, 2, e);
}

static const struct plan_step steps[] = {
	{ "a", run_a, undo_a, 10 },
	{ "b", run_b, undo_b, 0 },
	{ "c", run_c, undo_c, 10 },
};

static bool interrupted(void *ctx)
{
	struct script *s = ctx;

	return s->interrupt_at >= 0 && strlen(s->trace) >= (size_t)s->interrupt_at;
}

static int go(struct script *s, struct plan_run *r, struct err *e)
{
	*r = (struct plan_run){ .steps = steps, .count = 3, .ctx = s, .interrupted = interrupted };
	s->plan = r;
	e->text[0] = '\0';
	return plan_run(r, e);
}

static void in_order(void **state)
{
	struct script s = { .interrupt_at = -1 };
	struct plan_run r;
	struct err e;

	assert_ok(go(&s, &r, &e), e);
	assert_string_equal(s.trace, "abc");
	assert_int_equal(r.phase_count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_true(r.phases[i].start_ms <= r.phases[i].end_ms);
		assert_true(!i || r.phases[i - 1].end_ms <= r.phases[i].start_ms);
		assert_true(r.phases[i].start_at > 1.6e9);
	}
}

static void a_failure_undoes_in_reverse_with_the_failed_step(void **state)
{
	struct script s = { .interrupt_at = -1, .run = { 0, -EIO, 0 } };
	struct plan_run r;
	struct err e;

	assert_err(go(&s, &r, &e), -EIO, e, "step b failed");
	assert_string_equal(s.trace, "abBA");
	assert_string_equal(r.phases[2].name, "undo b");
	assert_false(r.undo_failed);
}

static void a_failed_undo_does_not_stop_the_others(void **state)
{
	struct script s = { .interrupt_at = -1,
			    .run = { 0, 0, -EIO },
			    .undo = { -ENOENT, -EPERM, 0 } };
	struct plan_run r;
	struct err e;

	assert_err(go(&s, &r, &e), -EIO, e, "step c failed");
	assert_string_equal(s.trace, "abcCBA");
	assert_true(r.undo_failed);
	assert_string_equal(r.undo_err.text, "undo b failed");
}

static void an_interruption_undoes(void **state)
{
	struct script s = { .interrupt_at = 1 };
	struct plan_run r;
	struct err e;

	assert_err(go(&s, &r, &e), -ECANCELED, e, "cancelled before b");
	assert_string_equal(s.trace, "aBA");
}

static void too_late_to_undo_goes_on_to_the_end(void **state)
{
	struct script s = { .interrupt_at = 2, .undo = { 0, -EALREADY, 0 } };
	struct plan_run r;
	struct err e;

	/* Interrupted before c; undoing c works, b says that it is done: c runs, unheeding. */
	assert_ok(go(&s, &r, &e), e);
	assert_string_equal(s.trace, "abCBc");
	assert_true(r.committed);
}

static void the_failed_step_is_tried_again_once(void **state)
{
	struct script s = { .interrupt_at = -1,
			    .run = { 0, -EIO, 0 },
			    .undo = { 0, -EALREADY, 0 },
			    .heals_after = 2 };
	struct plan_run r;
	struct err e;

	assert_ok(go(&s, &r, &e), e);
	assert_string_equal(s.trace, "abBbc");
}

static void no_way_forth_and_none_back_ends(void **state)
{
	struct script s = { .interrupt_at = -1,
			    .run = { 0, -EIO, 0 },
			    .undo = { 0, -EALREADY, 0 } };
	struct plan_run r;
	struct err e;

	assert_err(go(&s, &r, &e), -EIO, e, "step b failed");
	assert_string_equal(s.trace, "abBbBA");
	assert_true(r.undo_failed);
}

static void deadlines(void **state)
{
	struct script s = { .interrupt_at = -1 };
	struct plan_run r;
	struct err e;

	assert_ok(go(&s, &r, &e), e);
	r.deadline_ns = 0;
	assert_int_equal(plan_left_ms(&r, 250), 250);
	r.deadline_ns = r.start_ns;
	assert_int_equal(plan_left_ms(&r, 250), 0);
	r.deadline_ns = r.start_ns + 3600000000000ull;
	assert_int_equal(plan_left_ms(&r, 250), 250);
	assert_in_range(plan_left_ms(&r, 10000000), 3500000, 3600000);
}

static void more_phases_than_there_is_room_for(void **state)
{
	struct plan_step many[PLAN_PHASES_MAX + 5];
	struct script s = { .interrupt_at = -1 };
	struct plan_run r = { .steps = many, .count = COUNT(many), .ctx = &s };
	struct err e;

	for (size_t i = 0; i < COUNT(many); i++)
		many[i] = steps[0];
	assert_ok(plan_run(&r, &e), e);
	assert_int_equal(r.phase_count, PLAN_PHASES_MAX);
	assert_int_equal(strlen(s.trace), COUNT(many));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(a_failure_undoes_in_reverse_with_the_failed_step),
		cmocka_unit_test(a_failed_undo_does_not_stop_the_others),
		cmocka_unit_test(an_interruption_undoes),
		cmocka_unit_test(too_late_to_undo_goes_on_to_the_end),
		cmocka_unit_test(the_failed_step_is_tried_again_once),
		cmocka_unit_test(no_way_forth_and_none_back_ends),
		cmocka_unit_test(deadlines),
		cmocka_unit_test(more_phases_than_there_is_room_for),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
