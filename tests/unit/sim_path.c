/* sim_path.c: the guest's network driver, simulated, and a path to serve it. */
#include "sim_path.h"

#include "ring/split.h"
#include "unit.h"

void sim_path_new(struct sim_path *s, uint8_t header_bytes, bool mergeable)
{
	struct err e = { "" };

	memset(s, 0, sizeof(*s));
	s->header_bytes = header_bytes;
	sim_guest_new(&s->guest);
	sim_port_new(&s->port);
	sim_ring_new(&s->rx, &s->guest, 256, 0x0);
	sim_ring_new(&s->tx, &s->guest, 256, 0x10000);
	s->rx.cfg.device_writes = true;
	assert_ok(path_new(&s->port.vf, &s->path, &e), e);
	path_set_layout(s->path, header_bytes, mergeable);
	sim_path_bind(s, NULL);
	for (int d = 0; d < PATH_DIRECTIONS; d++) {
		path_activate(s->path, d, true);
		path_enable(s->path, d, true);
	}
}

void sim_path_bind(struct sim_path *s, struct dirty_log *log)
{
	s->rx.cfg.log_used = log != NULL;
	s->tx.cfg.log_used = log != NULL;
	sim_ring_bind(&s->rx, path_ring(s->path, PATH_RX), log, s->rx.avail_idx);
	sim_ring_bind(&s->tx, path_ring(s->path, PATH_TX), log, s->tx.avail_idx);
}

void sim_path_free(struct sim_path *s)
{
	path_free(s->path);
	sim_port_free(&s->port);
	sim_ring_free(&s->rx);
	sim_ring_free(&s->tx);
	sim_guest_free(&s->guest);
}

void sim_frame(uint8_t *bytes, uint32_t len, uint32_t number)
{
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i < 4 ? number >> 8 * i : number * 31 + i * 7);
}

void sim_post(struct sim_path *s, uint32_t len)
{
	uint16_t i = s->rx_head++ % s->rx.size;

	sim_desc(&s->rx, i, SIM_RX_BUFFER(i), len, RING_DESC_WRITE, 0);
	/* What is not written must not be taken for something. */
	memset(sim_at(&s->guest, SIM_RX_BUFFER(i)), 0xa5, 2048);
	sim_offer(&s->rx, i);
}

void sim_transmit(struct sim_path *s, const uint8_t *frame, uint32_t len, uint32_t piece)
{
	uint32_t all = len + s->header_bytes, done = 0;
	uint16_t first = s->tx_head % s->tx.size;
	uint64_t gpa = SIM_TX_BUFFER(first);

	memset(sim_at(&s->guest, gpa), 0, s->header_bytes);
	sim_write(&s->guest, gpa + s->header_bytes, frame, len);
	if (!piece)
		piece = all;
	do {
		uint16_t i = s->tx_head++ % s->tx.size;
		uint32_t n = piece < all - done ? piece : all - done;
		bool more = done + n < all;

		sim_desc(&s->tx, i, gpa + done, n, more ? RING_DESC_NEXT : 0,
			 s->tx_head % s->tx.size);
		done += n;
	} while (done < all);
	sim_offer(&s->tx, first);
}

int sim_receive(struct sim_path *s, uint8_t *frame, uint32_t size, unsigned int *buffers)
{
	uint32_t id, written, len = 0;
	uint8_t header[12];
	uint16_t count = 1;

	if (!sim_used(&s->rx, &id, &written))
		return -1;
	assert_true(written >= s->header_bytes);
	sim_read(&s->guest, SIM_RX_BUFFER(id), header, sizeof(header));
	for (int i = 0; i < 10; i++)
		assert_int_equal(header[i], 0);
	if (s->header_bytes == 12)
		memcpy(&count, header + 10, sizeof(count));
	assert_true(count >= 1);
	for (unsigned int i = 0; i < count; i++) {
		uint32_t skip = i ? 0 : s->header_bytes;

		if (i)
			assert_true(sim_used(&s->rx, &id, &written));
		assert_true(len + written - skip <= size);
		sim_read(&s->guest, SIM_RX_BUFFER(id) + skip, frame + len, written - skip);
		len += written - skip;
	}
	if (buffers)
		*buffers = count;
	return (int)len;
}
