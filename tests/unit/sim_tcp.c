/*
 * sim_tcp.c: frames byte by byte, from the RFCs, with nothing of src/path/. Spec: RFC 791, 1071, 8200, 9293; 802.1Q.
 */
#include "sim_tcp.h"

#include "unit.h"

#define FIN 0x01
#define PSH 0x08
#define CWR 0x80

static void put(uint8_t *b, int bytes, uint64_t v)
{
	for (int i = 0; i < bytes; i++)
		b[i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
}

static uint64_t get(const uint8_t *b, int bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < bytes; i++)
		v = v << 8 | b[i];
	return v;
}

/* Ones' complement sum of big-endian words, carried on from @p sum. */
static uint32_t sum_on(uint32_t sum, const uint8_t *b, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		sum += i % 2 ? b[i] : (uint32_t)b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t l2_bytes(const struct sim_tcp *t)
{
	return 14 + 4 * t->tags;
}

uint32_t sim_tcp_start(const struct sim_tcp *t)
{
	return l2_bytes(t) + (t->ip6 ? 40 : 20) + t->ip_options;
}

uint32_t sim_tcp_head(const struct sim_tcp *t)
{
	return sim_tcp_start(t) + 20 + t->tcp_options;
}

uint8_t sim_tcp_byte(uint32_t i)
{
	return (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16));
}

static uint32_t pseudo(const struct sim_tcp *t, const uint8_t *ip, uint32_t tcp_bytes)
{
	uint8_t rest[8] = { 0 };

	put(rest, 4, tcp_bytes);
	rest[7] = 6;
	return sum_on(t->ip6 ? sum_on(0, ip + 8, 32) : sum_on(0, ip + 12, 8), rest, 8);
}

static void build_ipv4(const struct sim_tcp *t, uint8_t *ip, uint32_t bytes)
{
	uint32_t head = 20 + t->ip_options;

	put(ip, 2, (0x40 | head / 4) << 8 | 0x02);
	put(ip + 2, 2, bytes);
	put(ip + 4, 2, t->id);
	put(ip + 6, 2, 0x4000);
	put(ip + 8, 4, 64 << 24 | 6 << 16);
	put(ip + 12, 4, 0x0a000001);
	put(ip + 16, 4, 0xc0a8fffe);
	memset(ip + 20, 1, t->ip_options);
	put(ip + 10, 2, 0xffff & ~sum_on(0, ip, head));
}

static void build_ipv6(const struct sim_tcp *t, uint8_t *ip, uint32_t bytes)
{
	put(ip, 4, 0x60212345);
	put(ip + 4, 2, bytes - 40);
	put(ip + 6, 2, (t->ip_options ? 60 : 6) << 8 | 64);
	for (int i = 0; i < 32; i++)
		ip[8 + i] = (uint8_t)(0xfe - 3 * i);
	if (!t->ip_options)
		return;
	put(ip + 40, 2, 6 << 8 | (t->ip_options / 8 - 1));
	/* PadN over all of it. */
	put(ip + 42, 2, 1 << 8 | (t->ip_options - 4));
	memset(ip + 44, 0, t->ip_options - 4);
}

uint32_t sim_tcp_build(const struct sim_tcp *t, uint8_t *frame)
{
	uint8_t *ip = frame + l2_bytes(t), *tcp = frame + sim_tcp_start(t);
	uint32_t head = sim_tcp_head(t), bytes = head + t->payload;

	put(frame, 6, 0x525400aabb02);
	put(frame + 6, 6, 0x525400aabb01);
	for (unsigned int i = 0; i < t->tags; i++)
		put(frame + 12 + 4 * i, 4, (i + 1 < t->tags ? 0x88a80000 : 0x81000000) + 42 + i);
	put(ip - 2, 2, t->ip6 ? 0x86dd : 0x0800);
	put(tcp, 4, 0x1f90c001);
	put(tcp + 4, 4, t->seq);
	put(tcp + 8, 4, 0x01020304);
	put(tcp + 12, 2, (20 + t->tcp_options) / 4 << 12 | t->flags);
	put(tcp + 14, 2, 0x7210);
	put(tcp + 18, 2, 0);
	memset(tcp + 20, 1, t->tcp_options);
	for (uint32_t i = 0; i < t->payload; i++)
		frame[head + i] = sim_tcp_byte(i);
	if (t->ip6)
		build_ipv6(t, ip, bytes - l2_bytes(t));
	else
		build_ipv4(t, ip, bytes - l2_bytes(t));
	put(tcp + 16, 2, pseudo(t, ip, bytes - sim_tcp_start(t)));
	return bytes;
}

/* Zeroes the fields that may differ from segment to segment, which are checked one by one. */
static void blank(const struct sim_tcp *t, uint8_t *head)
{
	uint8_t *ip = head + l2_bytes(t), *tcp = head + sim_tcp_start(t);

	memset(ip + (t->ip6 ? 4 : 2), 0, t->ip6 ? 2 : 4);
	if (!t->ip6)
		memset(ip + 10, 0, 2);
	memset(tcp + 4, 0, 4);
	tcp[13] &= (uint8_t) ~(FIN | PSH | CWR);
	memset(tcp + 16, 0, 2);
}

static void check_lengths(const struct sim_tcp *t, const uint8_t *ip, uint32_t ip_bytes, uint32_t n)
{
	if (t->ip6) {
		assert_int_equal(get(ip + 4, 2), ip_bytes - 40);
		return;
	}
	assert_int_equal(get(ip + 2, 2), ip_bytes);
	assert_int_equal(get(ip + 4, 2), (t->id + n) & 0xffff);
	assert_int_equal(sum_on(0, ip, 20 + t->ip_options), 0xffff);
}

uint32_t sim_tcp_check(const struct sim_tcp *t, const uint8_t *frame, uint32_t len, uint32_t at,
		       uint32_t n)
{
	static uint8_t whole[SIM_TCP_MAX], want[512], got[512];
	uint32_t head = sim_tcp_head(t), start = sim_tcp_start(t), bytes = len - head;
	const uint8_t *ip = frame + l2_bytes(t), *tcp = frame + start;
	bool last;

	assert_true(len >= head && at + bytes <= t->payload && head <= sizeof(want));
	last = at + bytes == t->payload;
	sim_tcp_build(t, whole);
	memcpy(want, whole, head);
	memcpy(got, frame, head);
	blank(t, want);
	blank(t, got);
	assert_memory_equal(got, want, head);
	check_lengths(t, ip, len - l2_bytes(t), n);
	assert_int_equal(get(tcp + 4, 4), (t->seq + at) & 0xffffffff);
	assert_int_equal(tcp[13], t->flags & ~(last ? 0 : FIN | PSH) & ~(n ? CWR : 0));
	assert_int_equal(sum_on(pseudo(t, ip, len - start), tcp, len - start), 0xffff);
	assert_memory_equal(frame + head, whole + head + at, bytes);
	return bytes;
}
