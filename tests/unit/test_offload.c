/* test_offload.c: checksums and segments that the guest left to us, done here or left to a port that can. */
#include <rte_mbuf.h>

#include "path/offload.h"
#include "ring/split.h"
#include "sim_path.h"
#include "sim_tcp.h"
#include "unit.h"

#define ALL (PATH_TX_CSUM | PATH_TX_TSO4 | PATH_TX_TSO6 | PATH_TX_ECN | PATH_RX_CSUM)
#define TX_BUFFER 0x40000ull

static struct sim_path s;
static uint8_t frame[SIM_TCP_MAX], got[SIM_TCP_MAX];

static int dpdk(void **state)
{
	sim_port_dpdk();
	return 0;
}

static int setup(void **state)
{
	sim_path_new(&s, 12, true);
	path_set_offloads(s.path, ALL);
	return 0;
}

static int teardown(void **state)
{
	sim_path_free(&s);
	return 0;
}

/* The guest sends @p len bytes of frame[] behind @p h, in pieces of 4 KiB. */
static void transmit(const struct net_header *h, uint32_t len)
{
	uint32_t all = len + 12, done = 0;
	uint16_t first = s.tx_head % s.tx.size;

	sim_write(&s.guest, TX_BUFFER, h, 12);
	sim_write(&s.guest, TX_BUFFER + 12, frame, len);
	while (done < all) {
		uint16_t i = s.tx_head++ % s.tx.size;
		uint32_t n = all - done < 4096 ? all - done : 4096;

		sim_desc(&s.tx, i, TX_BUFFER + done, n, done + n < all ? RING_DESC_NEXT : 0,
			 s.tx_head % s.tx.size);
		done += n;
	}
	sim_offer(&s.tx, first);
}

static struct net_header request(const struct sim_tcp *t, uint16_t size)
{
	return (struct net_header){ .flags = NET_NEEDS_CSUM,
				    .gso_type = t->ip6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4,
				    .hdr_len = (uint16_t)sim_tcp_head(t),
				    .gso_size = size,
				    .csum_start = (uint16_t)sim_tcp_start(t),
				    .csum_offset = 16 };
}

static void send_tcp(const struct sim_tcp *t, uint16_t size)
{
	struct net_header h = request(t, size);

	transmit(&h, sim_tcp_build(t, frame));
	assert_int_equal(path_tx_poll(s.path), 1);
}

/* All segments of @p t, each with @p size bytes but the last. */
static void assert_segments(const struct sim_tcp *t, uint32_t size)
{
	uint32_t at = 0, n = 0;

	do {
		int len = sim_port_sent(&s.port, got, sizeof(got));
		uint32_t bytes;

		assert_true(len > 0);
		bytes = sim_tcp_check(t, got, (uint32_t)len, at, n++);
		at += bytes;
		assert_true(bytes == size || at == t->payload);
	} while (at < t->payload);
	assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), -1);
}

static void assert_dropped(uint64_t gso, uint64_t csum)
{
	assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), -1);
	assert_int_equal(sim_counter(&s, tx_drop_gso), gso);
	assert_int_equal(sim_counter(&s, tx_drop_csum), csum);
	assert_int_equal(sim_port_free_mbufs(&s.port), SIM_PORT_MBUFS);
}

#define BASE .flags = 0x99, .id = 0xfffe, .seq = 0xffffff00u /* FIN, PSH, ACK, CWR; wraps */

static void every_shape_is_cut_right(void **state)
{
	static const uint32_t payload[] = { 1, 999, 1000, 1001, 4096, 8191, 65000 };

	for (unsigned int i = 0; i < 2 * 3 * 2 * 2; i++) {
		for (size_t k = 0; k < COUNT(payload); k++) {
			struct sim_tcp t = { BASE,
					     .ip6 = i & 1,
					     .tags = i / 2 % 3,
					     .ip_options = i / 6 & 1 ? 24 : 0,
					     .tcp_options = i / 12 ? 12 : 0,
					     .payload = payload[k] };

			send_tcp(&t, 1000);
			assert_segments(&t, 1000);
		}
	}
	assert_int_equal(sim_counter(&s, tx_gso), 24 * COUNT(payload));
	assert_int_equal(sim_counter(&s, tx_drop_gso), 0);
}

/* Odd sizes: a checksum over an odd number of bytes, buffers cut at odd places. */
static void odd_sizes(void **state)
{
	for (uint16_t size = 500; size < 520; size++) {
		struct sim_tcp t = { BASE, .ip6 = size & 1, .payload = 5000u + size };

		send_tcp(&t, size);
		assert_segments(&t, size);
	}
}

static void ecn_bit_is_taken_when_negotiated(void **state)
{
	struct sim_tcp t = { BASE, .payload = 3000 };
	struct net_header h = request(&t, 1000);

	h.gso_type |= NET_GSO_ECN;
	transmit(&h, sim_tcp_build(&t, frame));
	path_tx_poll(s.path);
	assert_segments(&t, 1000);
	path_set_offloads(s.path, ALL & ~PATH_TX_ECN);
	transmit(&h, sim_tcp_build(&t, frame));
	path_tx_poll(s.path);
	assert_dropped(1, 0);
}

/* One that needs no cutting, with its checksum open: the same as a plain frame without. */
static void checksum_only(void **state)
{
	for (uint32_t payload = 0; payload < 1400; payload += 171) {
		struct sim_tcp t = { BASE, .ip6 = payload & 1, .payload = payload };
		struct net_header h = request(&t, 0);
		uint32_t len = sim_tcp_build(&t, frame);

		h.gso_type = 0;
		transmit(&h, len);
		path_tx_poll(s.path);
		/* The shortest comes padded. */
		assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), len < 60 ? 60 : len);
		assert_int_equal(sim_tcp_check(&t, got, len, 0, 0), payload);
	}
}

static void put_request(struct net_header *h, uint8_t flags, uint8_t type, uint16_t start,
			uint16_t offset)
{
	*h = (struct net_header){
		.flags = flags, .gso_type = type, .csum_start = start, .csum_offset = offset
	};
}

/* A sum of all ones would be 0, which in UDP means "no checksum": it goes out as 0xffff. */
static void computed_zero_goes_out_as_ones(void **state)
{
	struct net_header h;

	memset(frame, 0, 100);
	frame[60] = 0xff;
	frame[61] = 0xff;
	put_request(&h, NET_NEEDS_CSUM, 0, 40, 6);
	transmit(&h, 100);
	path_tx_poll(s.path);
	assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), 100);
	assert_int_equal(got[46], 0xff);
	assert_int_equal(got[47], 0xff);
}

static void impossible_places_of_checksums(void **state)
{
	static const uint16_t at[][2] = { { 13, 0 },	 { 0, 0 },	{ 99, 0 },
					  { 100, 0 },	 { 40, 59 },	{ 65535, 65535 },
					  { 65535, 1 },	 { 1, 65535 },	{ 40, 65496 },
					  { 14, 65522 }, { 98, 0xfffe } };
	struct net_header h;

	for (size_t i = 0; i < COUNT(at); i++) {
		put_request(&h, NET_NEEDS_CSUM, 0, at[i][0], at[i][1]);
		transmit(&h, 100);
		assert_int_equal(path_tx_poll(s.path), 1);
		assert_dropped(0, i + 1);
	}
	/* The last place there is. */
	put_request(&h, NET_NEEDS_CSUM, 0, 98, 0);
	transmit(&h, 100);
	path_tx_poll(s.path);
	assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), 100);
}

/* Without CSUM the header means nothing, whatever it says. */
static void nothing_was_negotiated(void **state)
{
	struct sim_tcp t = { BASE, .payload = 1000 };
	struct net_header h = request(&t, 100);
	uint32_t len = sim_tcp_build(&t, frame);

	path_set_offloads(s.path, 0);
	transmit(&h, len);
	path_tx_poll(s.path);
	assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), len);
	assert_memory_equal(got, frame, len);
	path_set_offloads(s.path, PATH_TX_CSUM);
	transmit(&h, len);
	path_tx_poll(s.path);
	assert_dropped(1, 0);
}

/* Requests that contradict the frame, one defect each. */
static void hostile_requests(void **state)
{
	struct sim_tcp t = { BASE, .payload = 5000 }, t6 = { BASE, .ip6 = true, .payload = 5000 };
	struct net_header good = request(&t, 1000), good6 = request(&t6, 1000), bad[12];
	uint32_t len;

	for (size_t i = 0; i < COUNT(bad); i++)
		bad[i] = good;
	bad[0].gso_size = 0;
	bad[1].gso_size = 1;
	bad[2].flags = 0;
	bad[3].csum_start++;
	bad[4].csum_start = 65535;
	bad[5].csum_offset = 6;
	bad[6].gso_type = NET_GSO_TCPV6;
	bad[7].gso_type = 3;
	bad[8].gso_type = 5;
	bad[9].gso_type = 0x7f;
	bad[10].gso_type = NET_GSO_ECN;
	bad[11].gso_size = 15;
	for (size_t i = 0; i < COUNT(bad); i++) {
		transmit(&bad[i], sim_tcp_build(&t, frame));
		assert_int_equal(path_tx_poll(s.path), 1);
		assert_dropped(i + 1, 0);
	}
	good6.gso_type = NET_GSO_TCPV4;
	transmit(&good6, sim_tcp_build(&t6, frame));
	path_tx_poll(s.path);
	assert_dropped(13, 0);
	/* hdr_len is nobody's business. */
	for (uint32_t lie = 0; lie < 65536; lie += 21845) {
		len = sim_tcp_build(&t, frame);
		good.hdr_len = (uint16_t)lie;
		transmit(&good, len);
		path_tx_poll(s.path);
		assert_segments(&t, 1000);
	}
}

/* Frames that are not what the request says, one byte changed each; at: from IP's first byte. */
static void hostile_frames(void **state)
{
	static const struct {
		int at;
		uint8_t value;
	} v4[] = { { -2, 0x86 }, { -1, 0x06 }, { 0, 0x65 },  { 0, 0x44 },	{ 0, 0x4f },
		   { 9, 17 },	 { 9, 1 },     { 6, 0x20 },  { 7, 1 },		{ 32, 0x40 },
		   { 33, 0x02 }, { 33, 0x04 }, { 33, 0x20 }, { -14 + 12, 0x81 } },
	  v6[] = { { 0, 0x45 }, { 6, 17 }, { 6, 44 }, { 6, 43 }, { 6, 0 }, { 6, 60 }, { 52, 0x40 } };
	struct sim_tcp t = { BASE, .payload = 5000 };
	struct net_header h = request(&t, 1000);
	uint64_t dropped = 0;

	for (size_t i = 0; i < COUNT(v4); i++) {
		uint32_t len = sim_tcp_build(&t, frame);

		frame[14 + v4[i].at] = v4[i].value;
		transmit(&h, len);
		path_tx_poll(s.path);
		assert_dropped(++dropped, 0);
	}
	t.ip6 = true;
	h = request(&t, 1000);
	for (size_t i = 0; i < COUNT(v6); i++) {
		uint32_t len = sim_tcp_build(&t, frame);

		frame[14 + v6[i].at] = v6[i].value;
		transmit(&h, len);
		path_tx_poll(s.path);
		assert_dropped(++dropped, 0);
	}
}

/* A TSO request on less than its headers, at every length. */
static void headers_cut_short(void **state)
{
	struct sim_tcp t = { BASE, .tags = 2, .ip_options = 40, .tcp_options = 40, .payload = 100 };
	struct net_header h = request(&t, 1000);
	uint64_t dropped = 0;

	for (uint32_t len = 14; len < sim_tcp_head(&t); len++) {
		sim_tcp_build(&t, frame);
		transmit(&h, len);
		path_tx_poll(s.path);
		assert_dropped(++dropped, 0);
	}
}

/* The most segments of one frame, and one more; the largest frame, and one byte more. */
static void limits(void **state)
{
	struct sim_tcp t = { BASE, .payload = 256 * 200 };

	send_tcp(&t, 200);
	assert_segments(&t, 200);
	t.payload++;
	send_tcp(&t, 200);
	assert_dropped(1, 0);
	t.payload = 65535 - 40;
	send_tcp(&t, 1460);
	assert_segments(&t, 1460);
	t.payload++;
	send_tcp(&t, 1460);
	assert_dropped(2, 0);
	t = (struct sim_tcp){ BASE, .ip6 = true, .payload = 65535 - 20 };
	send_tcp(&t, 1440);
	assert_segments(&t, 1440);
	t.payload++;
	send_tcp(&t, 1440);
	assert_dropped(3, 0);
	/* A segment that is larger than the port takes. */
	t.payload = 3000;
	send_tcp(&t, 1500);
	assert_int_equal(sim_counter(&s, tx_drop_long), 1);
	assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), -1);
}

/* A burst ends once its share of frames is out, however the guest packs them. */
static void a_burst_is_bounded(void **state)
{
	struct sim_tcp t = { BASE, .payload = 200 * 30 };
	struct net_header h = request(&t, 200);
	uint32_t len = sim_tcp_build(&t, frame);

	for (int i = 0; i < 4; i++)
		transmit(&h, len);
	assert_int_equal(path_tx_poll(s.path), 2);
	for (int i = 0; i < 60; i++)
		assert_true(sim_port_sent(&s.port, got, sizeof(got)) > 0);
	assert_int_equal(path_tx_poll(s.path), 2);
}

/* All of a frame's segments, or none: it waits in the ring until there are buffers for it. */
static void waits_for_buffers(void **state)
{
	struct sim_tcp t = { BASE, .payload = 10000 };
	struct net_header h = request(&t, 1000);
	uint32_t held = 0;

	while (sim_port_free_mbufs(&s.port) > 9 && sim_port_arrive(&s.port, frame, 60, 0))
		held++;
	transmit(&h, sim_tcp_build(&t, frame));
	assert_int_equal(path_tx_poll(s.path), 0);
	assert_int_equal(sim_port_free_mbufs(&s.port), 9);
	assert_int_equal(sim_counter(&s, tx_wait_mbuf), 1);
	path_enable(s.path, PATH_RX, false);
	path_rx_poll(s.path);
	assert_int_equal(path_tx_poll(s.path), 1);
	assert_segments(&t, 1000);
}

/* The port takes five of them: the rest is held, in order, and nothing more is taken from the guest. */
static void full_port_holds_segments(void **state)
{
	struct sim_tcp t = { BASE, .payload = 20000 };
	uint32_t at = 0, n = 0;

	atomic_store(&s.port.tx_room, 5);
	send_tcp(&t, 1000);
	while (at < t.payload) {
		int len = sim_port_sent(&s.port, got, sizeof(got));

		assert_true(len > 0);
		at += sim_tcp_check(&t, got, (uint32_t)len, at, n++);
		path_tx_poll(s.path);
	}
	assert_int_equal(n, 20);
}

static void port_computes_checksums(void **state)
{
	struct sim_tcp t = { BASE, .payload = 100 };
	struct net_header h = request(&t, 0);
	uint32_t len = sim_tcp_build(&t, frame);

	s.port.vf.offloads = VF_TX_TCP_CSUM | VF_TX_UDP_CSUM;
	h.gso_type = 0;
	transmit(&h, len);
	path_tx_poll(s.path);
	assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), len);
	/* The pseudo-header's sum stays in the field. */
	assert_memory_equal(got, frame, len);
	assert_int_equal(s.port.sent.flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM);
	assert_int_equal(s.port.sent.l2_bytes, 14);
	assert_int_equal(s.port.sent.l3_bytes, 20);
	assert_int_equal(sim_counter(&s, tx_by_port), 1);
	assert_int_equal(sim_counter(&s, tx_csum), 0);
	/* A length that is not the frame's: the port would compute something else than was asked for. */
	frame[17]--;
	transmit(&h, len);
	path_tx_poll(s.path);
	sim_port_sent(&s.port, got, sizeof(got));
	assert_int_equal(s.port.sent.flags, 0);
	assert_int_equal(sim_counter(&s, tx_csum), 1);
}

/* Cut here, and TCP's checksums left to the port. */
static void assert_cut_with_checksums_open(int len)
{
	assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), len);
	assert_int_equal(s.port.sent.flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM);
	assert_int_equal(s.port.sent.l4_bytes, 20);
	while (sim_port_sent(&s.port, got, sizeof(got)) > 0)
		;
}

static void port_cuts(void **state)
{
	struct sim_tcp t = { .flags = 0x18, .id = 7, .seq = 9, .payload = 60000 };
	struct headers head;

	s.port.vf.offloads = VF_TX_TCP_CSUM | VF_TX_IP_CSUM | VF_TX_TSO | VF_TX_SCATTER;
	for (int i = 0; i < 2; i++) {
		uint32_t len, start;

		t.ip6 = i;
		t.tags = (unsigned int)i;
		len = sim_tcp_build(&t, frame);
		start = sim_tcp_start(&t);
		send_tcp(&t, 1400);
		assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), len);
		assert_int_equal(s.port.sent.flags,
				 RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM |
					 (i ? RTE_MBUF_F_TX_IPV6 :
					      RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM));
		assert_int_equal(s.port.sent.size, 1400);
		assert_int_equal(s.port.sent.l2_bytes, 14 + 4 * i);
		assert_int_equal(s.port.sent.l3_bytes, i ? 40 : 20);
		assert_int_equal(s.port.sent.l4_bytes, 20);
		assert_int_equal(s.port.sent.segments, (len + 2047) / 2048);
		assert_int_equal(headers_read(got, len, &head), 0);
		assert_int_equal(head.ip_bytes, len - 14 - 4 * (uint32_t)i);
		assert_memory_equal(got + start + 18, frame + start + 18, len - start - 18);
	}
	/* What it might get wrong is cut here: CWR, small segments, extension headers, too many buffers. */
	t = (struct sim_tcp){ BASE, .payload = 50000 };
	send_tcp(&t, 1400);
	assert_cut_with_checksums_open(1400 + 54);
	t.flags = 0x18;
	send_tcp(&t, 255);
	assert_cut_with_checksums_open(255 + 54);
	s.port.vf.tx_segments_max = 8;
	send_tcp(&t, 1400);
	assert_cut_with_checksums_open(1400 + 54);
	s.port.vf.tx_segments_max = 255;
	s.port.vf.tx_frame_segments_max = 1;
	send_tcp(&t, 1400);
	assert_cut_with_checksums_open(1400 + 54);
	/* Behind an extension header the port finds no TCP: all is done here. */
	s.port.vf.tx_frame_segments_max = 8;
	t.ip6 = true;
	t.ip_options = 8;
	send_tcp(&t, 1400);
	assert_segments(&t, 1400);
}

/* Held for a port that goes: what comes to the next port is finished, or gone and counted. */
static void another_port_gets_finished_frames(void **state)
{
	struct sim_tcp t = { BASE, .payload = 100 }, t6 = { BASE, .ip6 = true, .payload = 101 };
	struct sim_tcp large = { .flags = 0x18, .payload = 30000 };
	struct net_header h = request(&t, 0), h6 = request(&t6, 0), cut = request(&large, 1400);
	uint32_t len, len6;

	s.port.vf.offloads = VF_TX_TCP_CSUM | VF_TX_IP_CSUM | VF_TX_TSO | VF_TX_SCATTER;
	h.gso_type = 0;
	h6.gso_type = 0;
	atomic_store(&s.port.tx_room, 0);
	transmit(&h, len = sim_tcp_build(&t, frame));
	path_tx_poll(s.path);
	/* One at a time: all use the same guest memory, and the port takes none. */
	path_settle_tx(s.path);
	s.port.vf.offloads = 0;
	atomic_store(&s.port.tx_room, 10);
	path_tx_poll(s.path);
	assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), len);
	assert_int_equal(s.port.sent.flags, 0);
	assert_int_equal(sim_tcp_check(&t, got, len, 0, 0), 100);

	s.port.vf.offloads = VF_TX_TCP_CSUM | VF_TX_IP_CSUM | VF_TX_TSO | VF_TX_SCATTER;
	atomic_store(&s.port.tx_room, 0);
	transmit(&cut, sim_tcp_build(&large, frame));
	path_tx_poll(s.path);
	assert_int_equal(s.path->tx_count, 1);
	path_settle_tx(s.path);
	assert_int_equal(s.path->tx_count, 0);
	assert_int_equal(sim_counter(&s, tx_drop_stopped), 1);

	transmit(&h6, len6 = sim_tcp_build(&t6, frame));
	path_tx_poll(s.path);
	path_settle_tx(s.path);
	atomic_store(&s.port.tx_room, 10);
	path_tx_poll(s.path);
	assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), len6);
	assert_int_equal(sim_tcp_check(&t6, got, len6, 0, 0), 101);
}

/* What the driver refuses is dropped and counted: offered again and again it would block all that follows. */
static void port_refuses(void **state)
{
	struct sim_tcp t = { .flags = 0x18, .payload = 60000 };
	struct net_header h;

	s.port.refuses = true;
	s.port.vf.offloads = VF_TX_TCP_CSUM | VF_TX_IP_CSUM | VF_TX_TSO | VF_TX_SCATTER;
	send_tcp(&t, 1400);
	assert_int_equal(sim_counter(&s, tx_drop_refused), 1);
	t.payload = 100;
	h = request(&t, 0);
	h.gso_type = 0;
	transmit(&h, sim_tcp_build(&t, frame));
	path_tx_poll(s.path);
	assert_int_equal(sim_counter(&s, tx_drop_refused), 2);
	s.port.vf.offloads &= ~(unsigned int)VF_TX_TSO;
	t.payload = 3000;
	send_tcp(&t, 1000);
	assert_int_equal(sim_counter(&s, tx_drop_refused), 5);
	assert_dropped(0, 0);
	/* One that leaves nothing to the port still goes. */
	s.path->offloads = 0;
	send_tcp(&(struct sim_tcp){ .payload = 10 }, 0);
	assert_true(sim_port_sent(&s.port, got, sizeof(got)) > 0);
}

/* Frames larger than a host buffer, where the port's MTU is that large: plain, with a checksum, cut. */
static void jumbo(void **state)
{
	struct sim_tcp t = { BASE, .payload = 8000 };
	struct net_header h = request(&t, 0);
	uint32_t len = sim_tcp_build(&t, frame);

	s.port.vf.max_frame_bytes = 9022;
	h.gso_type = 0;
	transmit(&h, len);
	path_tx_poll(s.path);
	assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), len);
	assert_int_equal(s.port.sent.segments, 4);
	assert_int_equal(sim_tcp_check(&t, got, len, 0, 0), 8000);
	h.flags = 0;
	transmit(&h, len);
	path_tx_poll(s.path);
	assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), len);
	assert_memory_equal(got, frame, len);
	t.payload = 60000;
	send_tcp(&t, 8948);
	assert_segments(&t, 8948);
}

static void receive_flags(void **state)
{
	static const struct {
		uint64_t port;
		bool negotiated;
		uint8_t want;
	} cases[] = {
		{ RTE_MBUF_F_RX_L4_CKSUM_GOOD, true, NET_DATA_VALID },
		{ RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD, true, NET_DATA_VALID },
		{ RTE_MBUF_F_RX_L4_CKSUM_GOOD, false, 0 },
		{ RTE_MBUF_F_RX_L4_CKSUM_BAD, true, 0 },
		{ RTE_MBUF_F_RX_L4_CKSUM_NONE, true, 0 },
		{ 0, true, 0 },
		{ RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_BAD, true, 0 },
		{ RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_OUTER_L4_CKSUM_BAD, true, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint8_t header[12];
		uint32_t id, len;

		path_set_offloads(s.path, cases[i].negotiated ? ALL : ALL & ~PATH_RX_CSUM);
		sim_post(&s, 2048);
		s.port.rx_flags = cases[i].port;
		assert_true(sim_port_arrive(&s.port, frame, 100, 0));
		assert_int_equal(path_rx_poll(s.path), 1);
		assert_true(sim_used(&s.rx, &id, &len));
		sim_read(&s.guest, SIM_RX_BUFFER(id), header, sizeof(header));
		assert_int_equal(header[0], cases[i].want);
		for (int k = 1; k < 10; k++)
			assert_int_equal(header[k], 0);
		assert_int_equal(header[10], 1);
		assert_int_equal(header[11], 0);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_shape_is_cut_right),
		T(odd_sizes),
		T(ecn_bit_is_taken_when_negotiated),
		T(checksum_only),
		T(computed_zero_goes_out_as_ones),
		T(impossible_places_of_checksums),
		T(nothing_was_negotiated),
		T(hostile_requests),
		T(hostile_frames),
		T(headers_cut_short),
		T(limits),
		T(a_burst_is_bounded),
		T(waits_for_buffers),
		T(full_port_holds_segments),
		T(port_computes_checksums),
		T(port_cuts),
		T(another_port_gets_finished_frames),
		T(port_refuses),
		T(jumbo),
		T(receive_flags),
	};

	return cmocka_run_group_tests(tests, dpdk, NULL);
}
