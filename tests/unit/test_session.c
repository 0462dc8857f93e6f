/* test_session.c: what vhost-user messages do to a session's state, and in which order its owner hears of it. */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "sim_frontend.h"
#include "unit.h"

static int setup(void **state)
{
	struct sim_frontend *f = malloc(sizeof(*f));

	assert_non_null(f);
	sim_frontend_new(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	sim_frontend_free(*state);
	free(*state);
	return 0;
}

/* The connection has ended, the owner heard it in order, and the reason names what was wrong. */
static void ended(struct sim_frontend *f, const char *calls, const char *word)
{
	assert_true(f->closed);
	assert_string_equal(sim_calls_seen(f), calls);
	if (!strstr(f->reason, word))
		fail_msg("the reason '%s' does not say '%s'", f->reason, word);
}

static void features_are_negotiated(void **state)
{
	struct sim_frontend *f = *state;

	sim_send(f, VHOST_GET_FEATURES, 0, NULL, 0, NULL, 0);
	assert_int_equal(sim_reply_u64(f, VHOST_GET_FEATURES), SIM_FEATURES);
	sim_send(f, VHOST_GET_PROTOCOL_FEATURES, 0, NULL, 0, NULL, 0);
	assert_int_equal(sim_reply_u64(f, VHOST_GET_PROTOCOL_FEATURES), 0x1b01f);
	sim_send(f, VHOST_GET_QUEUE_NUM, 0, NULL, 0, NULL, 0);
	assert_int_equal(sim_reply_u64(f, VHOST_GET_QUEUE_NUM), 1);
	assert_string_equal(sim_calls_seen(f), "");
	sim_send_u64(f, VHOST_SET_PROTOCOL_FEATURES, 0, 0xd);
	sim_send_u64(f, VHOST_SET_FEATURES, 0, SIM_PLAIN);
	assert_string_equal(sim_calls_seen(f), "PA");
	assert_int_equal(f->applied.features, SIM_PLAIN);
	assert_true(f->applied.features_set);
	assert_int_equal(f->applied.protocol_features, 0xd);
	assert_true(sim_no_reply(f));
}

static void features_not_offered(void **state)
{
	struct sim_frontend *f = *state;

	sim_send_u64(f, VHOST_SET_FEATURES, 0, SIM_PLAIN | 1);
	ended(f, "PAPAC", "SET_FEATURES (2): features 0x1 were not offered");
	assert_int_equal(f->applied.features, 0);
}

static void protocol_features_not_offered(void **state)
{
	struct sim_frontend *f = *state;

	sim_send_u64(f, VHOST_SET_PROTOCOL_FEATURES, 0, 0x20);
	ended(f, "PAC", "protocol features 0x20 were not offered");
}

/* Spec: vhost-user, Ring states: without the protocol features a ring is enabled from the start, with them it is not. */
static void rings_are_enabled_by_the_features(void **state)
{
	struct sim_frontend *f = *state;

	sim_send_u64(f, VHOST_SET_FEATURES, 0, SIM_PLAIN);
	assert_false(f->applied.vring[0].enabled || f->applied.vring[1].enabled);
	sim_send_state(f, VHOST_SET_VRING_ENABLE, 1, 1);
	assert_true(f->applied.vring[1].enabled);
	assert_false(f->applied.vring[0].enabled);
	sim_send_state(f, VHOST_SET_VRING_ENABLE, 1, 0);
	assert_false(f->applied.vring[1].enabled);
	sim_send_u64(f, VHOST_SET_FEATURES, 0, 1ull << VIRTIO_F_VERSION_1);
	assert_true(f->applied.vring[0].enabled && f->applied.vring[1].enabled);
}

static void each_change_is_bracketed(void **state)
{
	struct sim_frontend *f = *state;

	sim_start(f, SIM_PLAIN, 0xf);
	assert_true(f->applied.vring[0].started && f->applied.vring[1].started);
	assert_true(f->applied.vring[0].kick_fd >= 0 && f->applied.vring[1].call_fd >= 0);
	sim_send_memory(f, 0);
	assert_string_equal(sim_calls_seen(f), "PA");
	sim_send_addr(f, 0, VHOST_VRING_LOG);
	assert_string_equal(sim_calls_seen(f), "PA");
	assert_true(f->applied.vring[0].log_used);
	assert_int_equal(f->applied.vring[0].used_log.v, f->ring[0].used);
	sim_send_eventfd(f, VHOST_SET_VRING_CALL, 0);
	assert_string_equal(sim_calls_seen(f), "PA");
	sim_send_eventfd(f, VHOST_SET_VRING_ERR, 1);
	assert_string_equal(sim_calls_seen(f), "PA");
	assert_true(f->applied.vring[1].err_fd >= 0);
}

static void addresses_arrive_unmixed(void **state)
{
	struct sim_frontend *f = *state;
	struct vhost_vring_addr a = { 1, 1, 0x10, 0x20, 0x30, 0x40 };
	const struct vhost_vring *v = &f->applied.vring[1];

	sim_send(f, VHOST_SET_VRING_ADDR, 0, &a, sizeof(a), NULL, 0);
	assert_int_equal(v->desc.v, 0x10);
	assert_int_equal(v->used.v, 0x20);
	assert_int_equal(v->avail.v, 0x30);
	assert_int_equal(v->used_log.v, 0x40);
	assert_false(f->applied.vring[0].has_addr);
}

/* Spec: vhost-user, Starting and stopping rings: GET_VRING_BASE stops, and its answer starts the ring again. */
static void vring_base_stops_and_is_kept(void **state)
{
	struct sim_frontend *f = *state;
	struct vhost_vring_state got;

	sim_start(f, SIM_PLAIN, 0xf);
	f->base[1] = 777;
	sim_send_state(f, VHOST_GET_VRING_BASE, 1, 0);
	assert_string_equal(sim_calls_seen(f), "PBA");
	sim_reply(f, VHOST_GET_VRING_BASE, &got, sizeof(got));
	assert_int_equal(got.index, 1);
	assert_int_equal(got.num, 777);
	assert_false(f->applied.vring[1].started);
	assert_int_equal(f->applied.vring[1].kick_fd, -1);
	assert_true(f->applied.vring[0].started);
	/* Of a stopped ring: the same again, and no stop. */
	sim_send_state(f, VHOST_GET_VRING_BASE, 1, 0);
	assert_string_equal(sim_calls_seen(f), "PA");
	sim_reply(f, VHOST_GET_VRING_BASE, &got, sizeof(got));
	assert_int_equal(got.num, 777);
	sim_send_eventfd(f, VHOST_SET_VRING_KICK, 1);
	assert_true(f->applied.vring[1].started);
	assert_int_equal(f->applied.vring[1].base, 777);
}

static void set_base_is_told_back(void **state)
{
	struct sim_frontend *f = *state;
	struct vhost_vring_state got;

	sim_send_state(f, VHOST_SET_VRING_BASE, 0, 65535);
	sim_send_state(f, VHOST_GET_VRING_BASE, 0, 0);
	sim_reply(f, VHOST_GET_VRING_BASE, &got, sizeof(got));
	assert_int_equal(got.num, 65535);
	sim_send_state(f, VHOST_SET_VRING_BASE, 0, 65536);
	ended(f, "PAPAPAPAC", "no 16-bit number");
}

static void kick_without_a_descriptor_starts_too(void **state)
{
	struct sim_frontend *f = *state;

	sim_start(f, SIM_PLAIN, 0xf);
	sim_send_state(f, VHOST_GET_VRING_BASE, 0, 0);
	sim_send_u64(f, VHOST_SET_VRING_KICK, 0, 0 | VHOST_VRING_NO_FD);
	assert_false(f->closed);
	assert_true(f->applied.vring[0].started);
	assert_int_equal(f->applied.vring[0].kick_fd, -1);
	sim_send_u64(f, VHOST_SET_VRING_CALL, 0, 0 | VHOST_VRING_NO_FD);
	assert_int_equal(f->applied.vring[0].call_fd, -1);
}

/* The worker writes to it: a front-end that hands out a blocking descriptor must not be able to stop the worker. */
static void signalling_never_blocks(void **state)
{
	static const uint32_t requests[] = { VHOST_SET_VRING_CALL, VHOST_SET_VRING_ERR };
	struct sim_frontend *f = *state;

	for (size_t i = 0; i < COUNT(requests); i++) {
		uint64_t index = 0;
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		sim_send(f, requests[i], 0, &index, sizeof(index), pair, 1);
		assert_true(fcntl(pair[0], F_GETFL) & O_NONBLOCK);
		close(pair[0]);
		close(pair[1]);
	}
}

static void kick_needs_all_before_it(void **state)
{
	/* Which of FEATURES, MEMORY, NUM, ADDR is left out. */
	for (int left_out = 0; left_out < 5; left_out++) {
		struct sim_frontend f;

		sim_frontend_new(&f);
		if (left_out != 0)
			sim_send_u64(&f, VHOST_SET_FEATURES, 0, SIM_PLAIN);
		if (left_out != 1)
			sim_send_memory(&f, 0);
		if (left_out != 2)
			sim_send_state(&f, VHOST_SET_VRING_NUM, 0, 256);
		if (left_out != 3)
			sim_send_addr(&f, 0, 0);
		sim_send_eventfd(&f, VHOST_SET_VRING_KICK, 0);
		assert_int_equal(f.closed, left_out != 4);
		sim_frontend_free(&f);
	}
}

static void running_ring_keeps_size_and_base(void **state)
{
	static const uint32_t requests[] = { VHOST_SET_VRING_NUM, VHOST_SET_VRING_BASE };

	for (size_t i = 0; i < COUNT(requests); i++) {
		struct sim_frontend f;

		sim_frontend_new(&f);
		sim_start(&f, SIM_PLAIN, 0xf);
		sim_send_state(&f, requests[i], 0, 128);
		ended(&f, "PAPBBAC", "the ring runs");
		sim_frontend_free(&f);
	}
}

static void log_base_has_one_reply_of_its_own(void **state)
{
	struct sim_frontend *f = *state;

	sim_start(f, SIM_PLAIN, 0xf);
	sim_send_log(f, 0, SIM_LOG_PAGES);
	assert_string_equal(sim_calls_seen(f), "PA");
	assert_int_equal(sim_reply_u64(f, VHOST_SET_LOG_BASE), 0);
	assert_true(sim_no_reply(f));
	/* An acknowledgement asked for does not make two of it. */
	sim_send_log(f, VHOST_FLAG_NEED_REPLY, SIM_LOG_PAGES);
	assert_int_equal(sim_reply_u64(f, VHOST_SET_LOG_BASE), 0);
	assert_true(sim_no_reply(f));
	assert_non_null(f->applied.log);
	sim_send_u64(f, VHOST_SET_FEATURES, 0, SIM_PLAIN | 1ull << VHOST_F_LOG_ALL);
	assert_non_null(f->applied.log);
	/* The end of logging ends the log. */
	sim_send_u64(f, VHOST_SET_FEATURES, 0, SIM_PLAIN);
	assert_null(f->applied.log);
}

/* The front-end gives the log up with the device, and sends another after the next start. */
static void log_ends_with_the_last_ring(void **state)
{
	struct sim_frontend *f = *state;
	struct vhost_vring_state got;

	sim_start(f, SIM_PLAIN | 1ull << VHOST_F_LOG_ALL, 0xf);
	sim_send_log(f, 0, SIM_LOG_PAGES);
	sim_reply_u64(f, VHOST_SET_LOG_BASE);
	sim_send_state(f, VHOST_GET_VRING_BASE, 0, 0);
	sim_reply(f, VHOST_GET_VRING_BASE, &got, sizeof(got));
	assert_non_null(f->applied.log);
	sim_send_state(f, VHOST_GET_VRING_BASE, 1, 0);
	sim_reply(f, VHOST_GET_VRING_BASE, &got, sizeof(got));
	assert_null(f->applied.log);
	sim_send_eventfd(f, VHOST_SET_VRING_KICK, 0);
	assert_true(f->applied.vring[0].started);
	assert_null(f->applied.log);
}

static void log_too_small_for_the_memory(void **state)
{
	struct sim_frontend *f = *state;

	sim_start(f, SIM_PLAIN, 0xf);
	/* SIM_END is page 768. */
	sim_send_log(f, 0, 768);
	assert_int_equal(sim_reply_u64(f, VHOST_SET_LOG_BASE), 0);
	sim_calls_seen(f);
	sim_send_log(f, 0, 760);
	ended(f, "PAPBBAC", "760 pages is too small for guest memory up to 0x300000");
	assert_true(sim_no_reply(f));
}

static void memory_larger_than_the_log(void **state)
{
	struct sim_frontend *f = *state;

	sim_send_u64(f, VHOST_SET_FEATURES, 0, SIM_PLAIN | 1ull << VHOST_F_LOG_ALL);
	sim_send_log(f, 0, 64);
	sim_reply_u64(f, VHOST_SET_LOG_BASE);
	sim_send_memory(f, 0);
	ended(f, "PAPAPAPAC", "too small for guest memory");
}

static void logging_with_a_log_too_small(void **state)
{
	struct sim_frontend *f = *state;

	sim_send_log(f, 0, 64);
	sim_reply_u64(f, VHOST_SET_LOG_BASE);
	sim_send_memory(f, 0);
	assert_false(f->closed);
	sim_send_u64(f, VHOST_SET_FEATURES, 0, SIM_PLAIN | 1ull << VHOST_F_LOG_ALL);
	ended(f, "PAPAPAPAC", "too small for guest memory");
}

static void announce_is_told_at_once(void **state)
{
	static const uint8_t mac[8] = { 0x52, 0x54, 0x00, 1, 2, 3, 0xee, 0xee };
	struct sim_frontend *f = *state;

	sim_send(f, VHOST_SEND_RARP, 0, mac, 8, NULL, 0);
	assert_string_equal(sim_calls_seen(f), "R");
	assert_memory_equal(f->mac, mac, 6);
}

static void owner_that_fails_ends_the_connection(void **state)
{
	struct sim_frontend *f = *state;

	sim_send_u64(f, VHOST_SET_PROTOCOL_FEATURES, 0, 0xf);
	f->apply_rc = -EINVAL;
	sim_send_u64(f, VHOST_SET_FEATURES, VHOST_FLAG_NEED_REPLY, SIM_PLAIN);
	assert_int_equal(sim_reply_u64(f, VHOST_SET_FEATURES), EINVAL);
	ended(f, "PAPAC", "the simulated owner does not want it");
}

static void closed_from_our_side(void **state)
{
	struct sim_frontend *f = *state;
	char byte;

	sim_start(f, SIM_PLAIN, 0xf);
	vhost_session_close(f->session, "enough");
	ended(f, "PBBAC", "enough");
	assert_int_equal(read(f->fd, &byte, 1), 0);
	vhost_session_close(NULL, "nothing");
}

static void messages_are_counted(void **state)
{
	struct sim_frontend *f = *state;

	sim_send(f, VHOST_GET_FEATURES, 0, NULL, 0, NULL, 0);
	sim_send_u64(f, VHOST_SET_FEATURES, 0, SIM_PLAIN);
	assert_int_equal(vhost_session_stats(f->session).messages, 2);
	assert_int_equal(vhost_session_stats(f->session).replies, 1);
	assert_string_equal(vhost_request_name(VHOST_SET_MEM_TABLE), "SET_MEM_TABLE");
	assert_string_equal(vhost_request_name(0), "unknown request");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(features_are_negotiated),
		T(features_not_offered),
		T(protocol_features_not_offered),
		T(rings_are_enabled_by_the_features),
		T(each_change_is_bracketed),
		T(addresses_arrive_unmixed),
		T(vring_base_stops_and_is_kept),
		T(set_base_is_told_back),
		T(kick_without_a_descriptor_starts_too),
		T(signalling_never_blocks),
		cmocka_unit_test(kick_needs_all_before_it),
		cmocka_unit_test(running_ring_keeps_size_and_base),
		T(log_base_has_one_reply_of_its_own),
		T(log_ends_with_the_last_ring),
		T(log_too_small_for_the_memory),
		T(memory_larger_than_the_log),
		T(logging_with_a_log_too_small),
		T(announce_is_told_at_once),
		T(owner_that_fails_ends_the_connection),
		T(closed_from_our_side),
		T(messages_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
