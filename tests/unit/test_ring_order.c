/* test_ring_order.c: order, wrap-around, the available index, unpop, and notifications of a split ring. */
#include "ring/split.h"
#include "sim_guest.h"
#include "unit.h"

struct fixture {
	struct sim_guest guest;
	struct sim_ring ring;
	struct ring r;
	struct ring_chain chain;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	sim_guest_new(&f->guest);
	sim_ring_new(&f->ring, &f->guest, 256, 0);
	for (uint16_t i = 0; i < 256; i++)
		sim_desc(&f->ring, i, SIM_R2 + i * 64u, 64, 0, 0);
	sim_ring_bind(&f->ring, &f->r, NULL, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sim_ring_free(&f->ring);
	sim_guest_free(&f->guest);
	free(f);
	return 0;
}

/* Heads in no simple order: 0 to 255 times an odd number. */
static uint16_t head_of(uint32_t n)
{
	return (uint16_t)(n * 37u % 256u);
}

/* More than twice round the 16-bit index, in bursts of changing size. */
static void order_holds_over_the_wrap(void **state)
{
	struct fixture *f = *state;
	uint32_t offered = 0, popped = 0, used = 0, burst = 1;

	while (used < 140000) {
		burst = burst * 7 % 257;
		for (uint32_t i = 0; i < burst && offered - used < 256; i++)
			sim_offer(&f->ring, head_of(offered++));
		while (ring_pop(&f->r, &f->chain) == 1) {
			assert_int_equal(f->chain.head, head_of(popped));
			assert_int_equal(f->chain.seg[0].gpa.v, SIM_R2 + head_of(popped) * 64u);
			ring_push(&f->r, f->chain.head, popped++);
		}
		assert_int_equal(popped, offered);
		ring_publish(&f->r);
		for (uint32_t id, len; sim_used(&f->ring, &id, &len); used++) {
			assert_int_equal(id, head_of(used));
			assert_int_equal(len, used);
		}
		assert_int_equal(used, popped);
	}
}

static void empty_ring_pops_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ring_available(&f->r), 0);
	assert_int_equal(ring_pop(&f->r, &f->chain), 0);
	assert_int_equal(f->r.next_avail, 0);
	assert_int_equal(f->r.broken, 0);
}

static void full_ring_is_available(void **state)
{
	struct fixture *f = *state;

	for (uint16_t i = 0; i < 256; i++)
		sim_offer(&f->ring, i);
	assert_int_equal(ring_available(&f->r), 256);
	for (uint16_t i = 0; i < 256; i++)
		assert_int_equal(ring_pop(&f->r, &f->chain), 1);
	assert_int_equal(ring_pop(&f->r, &f->chain), 0);
}

/* Spec: 2.7.6: idx moves forward, by at most the queue's size. */
static void bad_moves_of_the_index_break_the_ring(void **state)
{
	/* entries offered and popped before, and the index that follows */
	static const struct {
		uint16_t offered, popped, idx;
	} moves[] = {
		{ 0, 0, 257 },	   { 0, 0, 32768 },   { 0, 0, 65535 },	 { 10, 0, 9 },
		{ 10, 0, 0 },	   { 10, 4, 9 },      { 10, 4, 3 },	 { 10, 10, 9 },
		{ 10, 10, 267 },   { 256, 0, 257 },   { 256, 0, 255 },	 { 256, 256, 0 },
		{ 256, 256, 513 }, { 200, 100, 357 }, { 200, 100, 199 },
	};

	for (size_t i = 0; i < COUNT(moves); i++) {
		struct fixture *f;
		void *mine;

		setup(&mine);
		f = mine;
		for (uint16_t n = 0; n < moves[i].offered; n++)
			sim_offer(&f->ring, n);
		assert_int_equal(ring_available(&f->r), moves[i].offered);
		for (uint16_t n = 0; n < moves[i].popped; n++)
			assert_int_equal(ring_pop(&f->r, &f->chain), 1);
		sim_set_avail_idx(&f->ring, moves[i].idx);
		if (ring_available(&f->r) != -EPROTO || f->r.broken != -EPROTO)
			fail_msg("%u offered, %u popped, index %u was taken", moves[i].offered,
				 moves[i].popped, moves[i].idx);
		teardown(&mine);
	}
}

static void good_moves_of_the_index_do_not(void **state)
{
	struct fixture *f = *state;

	for (uint16_t i = 0; i < 200; i++)
		sim_offer(&f->ring, i);
	for (int i = 0; i < 100; i++)
		assert_int_equal(ring_pop(&f->r, &f->chain), 1);
	/* To the very limit: a whole ring ahead of what was taken. */
	sim_set_avail_idx(&f->ring, 356);
	assert_int_equal(ring_available(&f->r), 256);
}

/* "Only a new start mends it": not the guest, by putting the descriptor right afterwards. */
static void broken_stays_broken(void **state)
{
	struct fixture *f = *state;

	sim_desc(&f->ring, 1, SIM_HOLE, 64, 0, 0);
	for (uint16_t i = 0; i < 4; i++)
		sim_offer(&f->ring, i);
	assert_int_equal(ring_pop(&f->r, &f->chain), 1);
	assert_int_equal(ring_pop(&f->r, &f->chain), -EPROTO);
	assert_int_equal(f->r.next_avail, 1);
	sim_desc(&f->ring, 1, SIM_R2, 64, 0, 0);
	assert_int_equal(ring_available(&f->r), -EPROTO);
	assert_int_equal(ring_pop(&f->r, &f->chain), -EPROTO);
}

static void unpop_takes_the_same_again(void **state)
{
	struct fixture *f = *state;

	sim_ring_start_at(&f->ring, 65534);
	sim_ring_bind(&f->ring, &f->r, NULL, 65534);
	for (uint16_t i = 0; i < 8; i++)
		sim_offer(&f->ring, (uint16_t)(100 + i));
	for (int i = 0; i < 5; i++)
		assert_int_equal(ring_pop(&f->r, &f->chain), 1);
	ring_unpop(&f->r, 3);
	assert_int_equal(ring_available(&f->r), 6);
	for (uint16_t i = 2; i < 8; i++) {
		assert_int_equal(ring_pop(&f->r, &f->chain), 1);
		assert_int_equal(f->chain.head, 100 + i);
	}
	assert_int_equal(ring_pop(&f->r, &f->chain), 0);
	ring_unpop(&f->r, 8);
	/* More made available meanwhile is not seen as a jump. */
	sim_offer(&f->ring, 108);
	assert_int_equal(ring_available(&f->r), 9);
	assert_int_equal(ring_pop(&f->r, &f->chain), 1);
	assert_int_equal(f->chain.head, 100);
}

static void used_is_hidden_until_published(void **state)
{
	struct fixture *f = *state;

	sim_offer(&f->ring, 3);
	assert_int_equal(ring_pop(&f->r, &f->chain), 1);
	ring_push(&f->r, 3, 0);
	assert_int_equal(sim_used_idx(&f->ring), 0);
	assert_int_equal(sim_calls(&f->ring), 0);
	ring_publish(&f->r);
	assert_int_equal(sim_used_idx(&f->ring), 1);
	assert_int_equal(sim_calls(&f->ring), 1);
	ring_publish(&f->r);
	assert_int_equal(sim_calls(&f->ring), 0);
	assert_int_equal(f->r.calls, 1);
}

static void push_one(struct fixture *f)
{
	sim_offer(&f->ring, 0);
	assert_int_equal(ring_pop(&f->r, &f->chain), 1);
	ring_push(&f->r, 0, 0);
	ring_publish(&f->r);
}

static void no_interrupt_flag_is_heeded(void **state)
{
	struct fixture *f = *state;

	sim_set_avail_flags(&f->ring, RING_AVAIL_NO_INTERRUPT);
	push_one(f);
	assert_int_equal(sim_calls(&f->ring), 0);
	/* Other bits of the word mean nothing. */
	sim_set_avail_flags(&f->ring, 0xfffe);
	push_one(f);
	assert_int_equal(sim_calls(&f->ring), 1);
	/* Whether it asked or not. */
	sim_set_avail_flags(&f->ring, RING_AVAIL_NO_INTERRUPT);
	ring_call(&f->r);
	assert_int_equal(sim_calls(&f->ring), 1);
}

static void no_call_descriptor_is_no_call(void **state)
{
	struct fixture *f = *state;

	f->ring.cfg.call_fd = -1;
	sim_ring_bind(&f->ring, &f->r, NULL, 0);
	push_one(f);
	ring_call(&f->r);
	assert_int_equal(f->r.calls, 0);
}

/* With EVENT_IDX the flag means nothing, and a call comes when used_event is passed. */
static void used_event_is_heeded(void **state)
{
	struct fixture *f = *state;

	f->ring.cfg.event_idx = true;
	sim_ring_bind(&f->ring, &f->r, NULL, 0);
	sim_set_avail_flags(&f->ring, RING_AVAIL_NO_INTERRUPT);
	sim_set_used_event(&f->ring, 2);
	for (int i = 0; i < 6; i++) {
		push_one(f);
		assert_int_equal(sim_calls(&f->ring), i == 2);
	}
	/* Passed in the middle of a burst. */
	sim_set_used_event(&f->ring, 8);
	for (uint16_t i = 0; i < 5; i++) {
		sim_offer(&f->ring, i);
		assert_int_equal(ring_pop(&f->r, &f->chain), 1);
		ring_push(&f->r, i, 0);
	}
	ring_publish(&f->r);
	assert_int_equal(sim_calls(&f->ring), 1);
}

/* The oracle steps one by one: is the entry with the event's index among those shown from old to now? */
static int oracle(uint16_t event, uint16_t now, uint16_t old)
{
	for (uint16_t i = old; i != now; i++)
		if (i == event)
			return 1;
	return 0;
}

static void need_event_equals_the_oracle(void **state)
{
	static const uint16_t olds[] = { 0, 1, 255, 32767, 32768, 65280, 65534, 65535 };
	static const uint16_t steps[] = { 0, 1, 2, 3, 255, 256, 32767, 32768, 65535 };

	for (size_t o = 0; o < COUNT(olds); o++) {
		for (size_t s = 0; s < COUNT(steps); s++) {
			uint16_t old = olds[o], now = (uint16_t)(old + steps[s]);

			for (int d = -4; d <= 4; d++) {
				uint16_t near[] = { (uint16_t)(old + d), (uint16_t)(now + d),
						    (uint16_t)(old + 32768 + d) };

				for (int k = 0; k < 3; k++)
					assert_int_equal(ring_need_event(near[k], now, old),
							 oracle(near[k], now, old));
			}
		}
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(order_holds_over_the_wrap),
		T(empty_ring_pops_nothing),
		T(full_ring_is_available),
		cmocka_unit_test(bad_moves_of_the_index_break_the_ring),
		T(good_moves_of_the_index_do_not),
		T(broken_stays_broken),
		T(unpop_takes_the_same_again),
		T(used_is_hidden_until_published),
		T(no_interrupt_flag_is_heeded),
		T(no_call_descriptor_is_no_call),
		T(used_event_is_heeded),
		cmocka_unit_test(need_event_equals_the_oracle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
