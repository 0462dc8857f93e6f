/* sim_vnic.c: a vNIC with a simulated front-end and guest. */
#include "sim_vnic.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "base/clock.h"
#include "ring/split.h"
#include "unit.h"
#include "vf/eal.h"

#define RX_BUFFER(i) (SIM_R2 + 2048ull * (i))
#define TX_BUFFER(i) (SIM_R0 + 0x40000 + 2048ull * (i))
#define HEADER 12

int sim_vnic_dpdk(void **state)
{
	struct eal_config cfg = { .memory_mib = 64, .name = "unit" };
	struct eal_facts facts;
	struct err e = { "" };

	assert_ok(eal_start(&cfg, &facts, &e), e);
	return 0;
}

static void on_event(void *arg, const struct vnic_event *ev)
{
	struct sim_vnic *s = arg;
	size_t used = strlen(s->events);

	assert_non_null(ev->detail);
	if (strcmp(ev->name, "state") == 0)
		return;
	snprintf(s->events + used, sizeof(s->events) - used, "%s ", ev->name);
}

static int vnic_make(struct sim_vnic *s, const char *device, const uint8_t *mac)
{
	struct vnic_config cfg = { .name = "unit", .device = device, .mac = mac };
	struct err e = { "" };
	int fd;

	memset(s, 0, sizeof(*s));
	fd = sim_frontend_alone(&s->f);
	assert_ok(vnic_new(s->f.loop, &cfg, &s->v, &e), e);
	vnic_on_event(s->v, on_event, s);
	return fd;
}

void sim_vnic_idle(struct sim_vnic *s, const char *device, const uint8_t *mac)
{
	close(vnic_make(s, device, mac));
}

void sim_vnic_new(struct sim_vnic *s, const char *device)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 0x33, 0x44, 0x55 };
	int fd = vnic_make(s, device, mac);

	s->f.ring[0].cfg.device_writes = true;
	assert_int_equal(vnic_connect(s->v, fd), 0);
	sim_start(&s->f, SIM_FEATURES & ~(1ull << VHOST_F_LOG_ALL), 0xf);
}

void sim_vnic_free(struct sim_vnic *s)
{
	vnic_free(s->v);
	sim_frontend_free(&s->f);
}

void sim_vnic_run(struct sim_vnic *s, unsigned int ms)
{
	uint64_t end = clock_now_ns() + ms * 1000000ull;

	do {
		sim_pump(&s->f);
		usleep(500);
	} while (clock_now_ns() < end);
}

void sim_vnic_send(struct sim_vnic *s, unsigned int n)
{
	struct sim_ring *r = &s->f.ring[1];

	for (; n; n--) {
		uint16_t i = (uint16_t)(s->sent % r->size);
		uint8_t *at = sim_at(&s->f.guest, TX_BUFFER(i));

		memset(at, 0, HEADER + 64);
		memset(at + HEADER, 0xff, 6);
		memcpy(at + HEADER + 6, s->v->dev.mac, 6);
		at[HEADER + 12] = 0x88;
		at[HEADER + 13] = 0xb5;
		memcpy(at + HEADER + 14, &s->sent, 4);
		sim_desc(r, i, TX_BUFFER(i), HEADER + 64, 0, 0);
		sim_offer(r, i);
		s->sent++;
	}
}

uint32_t sim_vnic_consumed(struct sim_vnic *s, uint32_t n)
{
	uint64_t end = clock_now_ns() + 2000000000ull;

	while (sim_used_idx(&s->f.ring[1]) != (uint16_t)n && clock_now_ns() < end)
		sim_pump(&s->f);
	return sim_used_idx(&s->f.ring[1]);
}

void sim_vnic_post(struct sim_vnic *s, unsigned int n)
{
	struct sim_ring *r = &s->f.ring[0];

	for (; n; n--) {
		uint16_t i = s->rx_head++ % r->size;

		sim_desc(r, i, RX_BUFFER(i), 2048, RING_DESC_WRITE, 0);
		sim_offer(r, i);
	}
}

int sim_vnic_receive(struct sim_vnic *s, uint8_t frame[2048], unsigned int ms)
{
	uint64_t end = clock_now_ns() + ms * 1000000ull;
	uint32_t id, written;

	while (!sim_used(&s->f.ring[0], &id, &written)) {
		if (clock_now_ns() > end)
			return -1;
		sim_pump(&s->f);
	}
	assert_true(written >= HEADER && written <= 2048);
	sim_read(&s->f.guest, RX_BUFFER(id) + HEADER, frame, written - HEADER);
	return (int)written - HEADER;
}

void sim_vnic_arrive(struct sim_vnic *s, uint32_t number)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(s->v->vf.pool);
	uint8_t *bytes;

	assert_non_null(m);
	bytes = (uint8_t *)rte_pktmbuf_append(m, 64);
	assert_non_null(bytes);
	memset(bytes, 0xff, 64);
	bytes[12] = 0x88;
	bytes[13] = 0xb5;
	memcpy(bytes + 14, &number, 4);
	assert_int_equal(rte_eth_tx_burst(s->v->vf.port, 0, &m, 1), 1);
}

void sim_vnic_works(struct sim_vnic *s)
{
	uint32_t want = s->sent, number;
	uint8_t frame[2048];

	sim_vnic_post(s, 8);
	sim_vnic_send(s, 1);
	/* What was under way before, and announcements, come first. */
	do {
		assert_int_not_equal(sim_vnic_receive(s, frame, 2000), -1);
		sim_vnic_post(s, 1);
		memcpy(&number, frame + 14, 4);
	} while (memcmp(frame + 12, "\x88\xb5", 2) != 0 || number != want);
}
