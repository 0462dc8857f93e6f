/* test_session_wire.c: framing of vhost-user messages: sizes, flags, pieces, hang-ups, descriptors, acknowledgements. */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "sim_frontend.h"
#include "unit.h"

/* Every request with the payload sizes and descriptors it may have, from the vhost-user specification. */
static const struct {
	uint32_t request, min, max;
	unsigned int fds;
} requests[] = {
	{ VHOST_GET_FEATURES, 0, 0, 0 },
	{ VHOST_SET_FEATURES, 8, 8, 0 },
	{ VHOST_SET_OWNER, 0, 0, 0 },
	{ VHOST_RESET_OWNER, 0, 0, 0 },
	{ VHOST_SET_MEM_TABLE, 8, 8 + 8 * 32, 8 },
	{ VHOST_SET_LOG_BASE, 16, 16, 1 },
	{ VHOST_SET_LOG_FD, 0, 0, 1 },
	{ VHOST_SET_VRING_NUM, 8, 8, 0 },
	{ VHOST_SET_VRING_ADDR, 40, 40, 0 },
	{ VHOST_SET_VRING_BASE, 8, 8, 0 },
	{ VHOST_GET_VRING_BASE, 8, 8, 0 },
	{ VHOST_SET_VRING_KICK, 8, 8, 1 },
	{ VHOST_SET_VRING_CALL, 8, 8, 1 },
	{ VHOST_SET_VRING_ERR, 8, 8, 1 },
	{ VHOST_GET_PROTOCOL_FEATURES, 0, 0, 0 },
	{ VHOST_SET_PROTOCOL_FEATURES, 8, 8, 0 },
	{ VHOST_GET_QUEUE_NUM, 0, 0, 0 },
	{ VHOST_SET_VRING_ENABLE, 8, 8, 0 },
	{ VHOST_SEND_RARP, 8, 8, 0 },
};

/* One header (and zeroes behind it) on a connection of its own; gives why it ended, "" when it did not. */
static const char *after_header(uint32_t request, uint32_t flags, uint32_t size, uint32_t sent,
				unsigned int fd_count)
{
	static char reason[512];
	uint8_t bytes[1024] = { 0 };
	struct vhost_header h = { request, flags, size };
	unsigned int open_fds = sim_fds_open();
	struct sim_frontend f;
	int fds[64];

	sim_frontend_new(&f);
	for (unsigned int i = 0; i < fd_count; i++)
		fds[i] = f.guest.fd[0];
	memcpy(bytes, &h, sizeof(h));
	sim_send_raw(&f, bytes, sizeof(h) + sent, fds, fd_count);
	sim_pump(&f);
	snprintf(reason, sizeof(reason), "%s", f.reason);
	sim_frontend_free(&f);
	assert_int_equal(sim_fds_open(), open_fds);
	return reason;
}

static void assert_says(const char *reason, const char *word)
{
	if (!strstr(reason, word))
		fail_msg("the reason '%s' does not say '%s'", reason, word);
}

static void sizes_of_every_request(void **state)
{
	for (size_t i = 0; i < COUNT(requests); i++) {
		uint32_t min = requests[i].min, max = requests[i].max;
		const uint32_t wrong[] = { min - 1, max + 1, max + 8, 4096, UINT32_MAX, 1u << 31 };

		for (size_t k = 0; k < COUNT(wrong); k++)
			assert_says(after_header(requests[i].request, VHOST_FLAG_VERSION, wrong[k],
						 0, 0),
				    " bytes, ");
	}
}

static void one_descriptor_too_many(void **state)
{
	for (size_t i = 0; i < COUNT(requests); i++) {
		unsigned int fds = requests[i].fds + 1;

		assert_says(after_header(requests[i].request, VHOST_FLAG_VERSION, requests[i].min,
					 requests[i].min, fds),
			    "descriptors");
	}
	assert_says(after_header(VHOST_SET_MEM_TABLE, VHOST_FLAG_VERSION, 8, 8, 64), "descriptors");
	/* They may come with the header alone. */
	assert_says(after_header(VHOST_SET_FEATURES, VHOST_FLAG_VERSION, 8, 0, 40), "descriptors");
}

static void flags_of_a_request(void **state)
{
	static const uint32_t bad[] = { 0, 2, 3, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY };

	for (size_t i = 0; i < COUNT(bad); i++)
		assert_says(after_header(VHOST_GET_FEATURES, bad[i], 0, 0, 0), "flags 0x");
	assert_string_equal(after_header(VHOST_GET_FEATURES, VHOST_FLAG_VERSION, 0, 0, 0), "");
}

static void unknown_requests(void **state)
{
	static const uint32_t bad[] = { 0, 21, 22, 33, 41, 255, UINT32_MAX };

	for (size_t i = 0; i < COUNT(bad); i++)
		assert_says(after_header(bad[i], VHOST_FLAG_VERSION, 0, 0, 0), "unknown request (");
}

static void missing_descriptors(void **state)
{
	static const uint32_t wants_one[] = { VHOST_SET_LOG_BASE, VHOST_SET_VRING_KICK,
					      VHOST_SET_VRING_CALL, VHOST_SET_VRING_ERR };

	for (size_t i = 0; i < COUNT(wants_one); i++) {
		uint32_t size = wants_one[i] == VHOST_SET_LOG_BASE ? 16 : 8;

		assert_says(after_header(wants_one[i], VHOST_FLAG_VERSION, size, size, 0),
			    "descriptor");
	}
}

/* A whole start in single bytes: the state is the same, and the descriptor comes with any of them. */
static void byte_by_byte(void **state)
{
	uint8_t bytes[sizeof(struct vhost_header) + 8];
	struct sim_frontend f;

	for (size_t with = 0; with < sizeof(bytes); with++) {
		struct vhost_header h = { VHOST_SET_VRING_CALL, VHOST_FLAG_VERSION, 8 };
		uint64_t index = 1;

		sim_frontend_new(&f);
		memcpy(bytes, &h, sizeof(h));
		memcpy(bytes + sizeof(h), &index, 8);
		for (size_t i = 0; i < sizeof(bytes); i++) {
			assert_int_equal(f.count, 0);
			sim_send_raw(&f, bytes + i, 1, f.guest.fd, i == with);
			sim_pump(&f);
		}
		assert_string_equal(sim_calls_seen(&f), "PA");
		assert_true(f.applied.vring[1].call_fd >= 0);
		sim_frontend_free(&f);
	}
}

static void many_messages_at_once(void **state)
{
	struct vhost_header h = { VHOST_SET_OWNER, VHOST_FLAG_VERSION, 0 };
	uint8_t bytes[300 * sizeof(h)];
	struct sim_frontend f;

	sim_frontend_new(&f);
	for (int i = 0; i < 300; i++)
		memcpy(bytes + i * sizeof(h), &h, sizeof(h));
	sim_send_raw(&f, bytes, sizeof(bytes), NULL, 0);
	sim_pump(&f);
	assert_int_equal(vhost_session_stats(f.session).messages, 300);
	sim_frontend_free(&f);
}

/* A message is cut anywhere, with descriptors on the way; then the peer is gone. */
static void hang_up_within_a_message(void **state)
{
	struct vhost_header h = { VHOST_SET_VRING_CALL, VHOST_FLAG_VERSION, 8 };
	uint8_t bytes[sizeof(h) + 8] = { 0 };
	unsigned int open_fds = sim_fds_open();

	memcpy(bytes, &h, sizeof(h));
	for (size_t cut = 0; cut < sizeof(bytes); cut++) {
		struct sim_frontend f;

		sim_frontend_new(&f);
		if (cut)
			sim_send_raw(&f, bytes, cut, f.guest.fd, SIM_REGIONS);
		close(f.fd);
		f.fd = -1;
		sim_pump(&f);
		assert_true(f.closed);
		assert_string_equal(sim_calls_seen(&f), "PAC");
		assert_string_equal(f.reason, cut ? "the front-end hung up within a message" :
						    "the front-end hung up");
		sim_frontend_free(&f);
		assert_int_equal(sim_fds_open(), open_fds);
	}
}

static void nothing_leaks_after_a_full_life(void **state)
{
	unsigned int open_fds = sim_fds_open();
	struct sim_frontend f;
	unsigned int running;

	sim_frontend_new(&f);
	sim_start(&f, SIM_PLAIN, 0xf);
	running = sim_fds_open();
	/* Sent again and again, descriptors replace each other. */
	for (int i = 0; i < 20; i++) {
		sim_send_memory(&f, 0);
		sim_send_eventfd(&f, VHOST_SET_VRING_CALL, 0);
		sim_send_eventfd(&f, VHOST_SET_VRING_KICK, 1);
		sim_send_log(&f, 0, SIM_LOG_PAGES);
		sim_reply_u64(&f, VHOST_SET_LOG_BASE);
		sim_send(&f, VHOST_SET_LOG_FD, 0, NULL, 0, f.guest.fd, 1);
		sim_calls_seen(&f);
	}
	assert_int_equal(sim_fds_open(), running);
	sim_frontend_free(&f);
	assert_int_equal(sim_fds_open(), open_fds);
}

static void acknowledged_when_asked(void **state)
{
	struct sim_frontend f;

	sim_frontend_new(&f);
	/* Not before it was negotiated. */
	sim_send_u64(&f, VHOST_SET_PROTOCOL_FEATURES, 0, 0);
	sim_send_u64(&f, VHOST_SET_FEATURES, VHOST_FLAG_NEED_REPLY, SIM_PLAIN);
	assert_true(sim_no_reply(&f));
	sim_send_u64(&f, VHOST_SET_PROTOCOL_FEATURES, 0, 1 << VHOST_PROTOCOL_REPLY_ACK);
	assert_true(sim_no_reply(&f));
	sim_send_memory(&f, VHOST_FLAG_NEED_REPLY);
	assert_int_equal(sim_reply_u64(&f, VHOST_SET_MEM_TABLE), 0);
	/* A request with a reply of its own has no other. */
	sim_send(&f, VHOST_GET_FEATURES, VHOST_FLAG_NEED_REPLY, NULL, 0, NULL, 0);
	assert_int_equal(sim_reply_u64(&f, VHOST_GET_FEATURES), SIM_FEATURES);
	assert_true(sim_no_reply(&f));
	/* A negative one says why, and is the last word. */
	sim_send_u64(&f, VHOST_SET_FEATURES, VHOST_FLAG_NEED_REPLY, 1);
	assert_int_equal(sim_reply_u64(&f, VHOST_SET_FEATURES), EINVAL);
	assert_true(f.closed);
	sim_frontend_free(&f);
}

static void not_acknowledged_when_not_asked(void **state)
{
	struct sim_frontend f;

	sim_frontend_new(&f);
	sim_send_u64(&f, VHOST_SET_PROTOCOL_FEATURES, 0, 0xf);
	sim_send_memory(&f, 0);
	assert_true(sim_no_reply(&f));
	sim_send_u64(&f, VHOST_SET_FEATURES, 0, 1);
	assert_true(f.closed);
	assert_true(sim_no_reply(&f));
	sim_frontend_free(&f);
}

static void memory_tables_with_wrong_counts(void **state)
{
	/* count told, bytes and descriptors sent */
	static const struct {
		uint32_t count, bytes;
		unsigned int fds;
		const char *word;
	} bad[] = {
		{ 0, 8, 0, "0 regions" },
		{ 1, 8, 1, "1 regions in a message of 8" },
		{ 1, 39, 1, "1 regions in a message of 39" },
		{ 2, 40, 2, "2 regions in a message of 40" },
		{ 9, 264, 8, "9 regions" },
		{ UINT32_MAX, 264, 8, "regions in a message" },
		{ 1, 40, 0, "0 descriptors for 1" },
		{ 1, 40, 2, "2 descriptors for 1" },
	};
	struct vhost_mem_table t = { 0 };
	int fds[8];

	for (int i = 0; i < 8; i++)
		t.region[i] = (struct vhost_region){ i * 0x1000u, 0x1000, i * 0x1000u, 0 };
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct sim_frontend f;

		sim_frontend_new(&f);
		for (int k = 0; k < 8; k++)
			fds[k] = f.guest.fd[0];
		t.count = bad[i].count;
		sim_send(&f, VHOST_SET_MEM_TABLE, 0, &t, bad[i].bytes, fds, bad[i].fds);
		assert_true(f.closed);
		assert_says(f.reason, bad[i].word);
		assert_null(f.applied.mem);
		sim_frontend_free(&f);
	}
}

/* Fields out of range, each on a connection of its own. */
static void values_out_of_range(void **state)
{
	static const struct {
		uint32_t request, index, num;
	} bad[] = {
		{ VHOST_SET_VRING_NUM, 2, 256 },    { VHOST_SET_VRING_NUM, UINT32_MAX, 256 },
		{ VHOST_SET_VRING_NUM, 0, 0 },	    { VHOST_SET_VRING_NUM, 0, 100 },
		{ VHOST_SET_VRING_NUM, 0, 65536 },  { VHOST_SET_VRING_NUM, 0, UINT32_MAX },
		{ VHOST_SET_VRING_BASE, 2, 0 },	    { VHOST_SET_VRING_BASE, 0, 65536 },
		{ VHOST_GET_VRING_BASE, 2, 0 },	    { VHOST_GET_VRING_BASE, 1u << 31, 0 },
		{ VHOST_SET_VRING_ENABLE, 2, 1 },   { VHOST_SET_VRING_ENABLE, 0, 2 },
		{ VHOST_SET_VRING_KICK, 0x102, 0 }, { VHOST_SET_VRING_CALL, 0x102, 0 },
		{ VHOST_SET_VRING_ERR, 0x102, 0 },  { VHOST_SET_VRING_CALL, 0x300, 0 },
		{ VHOST_SET_VRING_CALL, 0x100, 1 },
	};
	struct vhost_vring_addr flags = { .flags = 2 }, index = { .index = 2 };
	struct sim_frontend f;

	for (size_t i = 0; i < COUNT(bad); i++) {
		sim_frontend_new(&f);
		sim_send_state(&f, bad[i].request, bad[i].index, bad[i].num);
		if (!f.closed)
			fail_msg("case %zu was taken", i);
		assert_true(sim_no_reply(&f));
		sim_frontend_free(&f);
	}
	sim_frontend_new(&f);
	sim_send(&f, VHOST_SET_VRING_ADDR, 0, &flags, sizeof(flags), NULL, 0);
	assert_says(f.reason, "unknown flags 0x2");
	sim_frontend_free(&f);
	sim_frontend_new(&f);
	sim_send(&f, VHOST_SET_VRING_ADDR, 0, &index, sizeof(index), NULL, 0);
	assert_says(f.reason, "virtqueue 2 does not exist");
	sim_frontend_free(&f);
}

/* A peer that never reads must not stop us: it is let go. */
static void replies_that_are_not_read(void **state)
{
	struct sim_frontend f;
	int small = 1, rounds = 0;

	sim_frontend_new(&f);
	assert_int_equal(setsockopt(f.session_fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	while (!f.closed && rounds++ < 20000)
		sim_send(&f, VHOST_GET_FEATURES, 0, NULL, 0, NULL, 0);
	assert_true(f.closed);
	assert_says(f.reason, "its reply is not read");
	sim_frontend_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_of_every_request),
		cmocka_unit_test(one_descriptor_too_many),
		cmocka_unit_test(flags_of_a_request),
		cmocka_unit_test(unknown_requests),
		cmocka_unit_test(missing_descriptors),
		cmocka_unit_test(byte_by_byte),
		cmocka_unit_test(many_messages_at_once),
		cmocka_unit_test(hang_up_within_a_message),
		cmocka_unit_test(nothing_leaks_after_a_full_life),
		cmocka_unit_test(acknowledged_when_asked),
		cmocka_unit_test(not_acknowledged_when_not_asked),
		cmocka_unit_test(memory_tables_with_wrong_counts),
		cmocka_unit_test(values_out_of_range),
		cmocka_unit_test(replies_that_are_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
