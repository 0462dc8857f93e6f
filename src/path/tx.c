/*
 * tx.c: guest to port, by copy.
 *
 * A frame is copied whole, and its buffers go back at once: so nothing of the guest's is in the
 * port's hands, ever. When
 * the port has no room, the copied frames are held and no more are taken: the guest's own ring is
 * the queue.
 */
#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include "base/clock.h"
#include "path/internal.h"

bool path_tx_push(struct path *p)
{
	uint16_t sent;

	if (!p->tx_count)
		return true;
	if (!p->vf)
		return false;
	sent = rte_eth_tx_burst(p->vf->port, 0, p->tx_held, p->tx_count);
	p->tx_given += sent;
	p->tx_count = (uint16_t)(p->tx_count - sent);
	memmove(p->tx_held, p->tx_held + sent, p->tx_count * sizeof(p->tx_held[0]));
	return p->tx_count == 0;
}

/* Some cards take a runt for an attack and shut the VF down: pad as the hardware would. */
static void frame_pad(struct rte_mbuf *m)
{
	const uint16_t least = RTE_ETHER_MIN_LEN - RTE_ETHER_CRC_LEN;

	if (m->data_len >= least)
		return;
	memset(rte_pktmbuf_mtod_offset(m, void *, m->data_len), 0, (size_t)(least - m->data_len));
	m->data_len = least;
	m->pkt_len = least;
}

/* Returns 1 copied, 0 no host buffer now, -1 not to be sent (counted). */
static int frame_take(struct path *p)
{
	uint64_t bytes = p->chain.len_bytes - p->header_bytes;
	struct ring_cursor at = { 0 };
	uint8_t header[16];
	struct rte_mbuf *m;

	if (p->chain.len_bytes < (uint64_t)p->header_bytes + RTE_ETHER_HDR_LEN) {
		path_count(&p->counters.tx_drop_short, 1);
		return -1;
	}
	if (!p->vf) {
		path_count(&p->counters.tx_drop_no_device, 1);
		return -1;
	}
	if (bytes > p->vf->max_frame_bytes) {
		path_count(&p->counters.tx_drop_long, 1);
		return -1;
	}
	if (!p->enabled[PATH_TX]) {
		path_count(&p->counters.tx_drop_disabled, 1);
		return -1;
	}
	m = rte_pktmbuf_alloc(p->vf->pool);
	if (!m) {
		path_count(&p->counters.tx_wait_mbuf, 1);
		return 0;
	}
	/* No offload was offered, so nothing in the header means anything. */
	ring_copy_from(&p->chain, &at, header, p->header_bytes);
	ring_copy_from(&p->chain, &at, rte_pktmbuf_mtod(m, void *), bytes);
	m->data_len = (uint16_t)bytes;
	m->pkt_len = (uint32_t)bytes;
	frame_pad(m);
	if (p->vf->vlan_filter)
		path_vlan_note(p, m);
	path_count(&p->counters.tx_frames, 1);
	path_count(&p->counters.tx_bytes, bytes);
	p->tx_held[p->tx_count++] = m;
	return 1;
}

unsigned int path_tx_poll(struct path *p)
{
	struct ring *r = &p->ring[PATH_TX];
	unsigned int done = 0;

	if (!p->active[PATH_TX] || (!p->vf && p->hold && p->enabled[PATH_TX]))
		return 0;
	done = p->tx_count;
	if (!path_tx_push(p))
		return done - p->tx_count;
	done = 0;
	while (done < PATH_BURST) {
		int rc = r->broken ? 0 : ring_pop(r, &p->chain);

		if (rc < 0)
			path_alarm(p);
		if (rc <= 0)
			break;
		if (frame_take(p) == 0) {
			ring_unpop(r, 1);
			break;
		}
		ring_push(r, p->chain.head, 0);
		done++;
	}
	ring_publish(r);
	path_tx_push(p);
	return done;
}

void path_flush_tx(struct path *p, uint64_t limit_ns)
{
	uint64_t end = clock_now_ns() + limit_ns;

	while (!path_tx_push(p) && p->vf && clock_now_ns() < end)
		;
	path_count(&p->counters.tx_drop_stopped, p->tx_count);
	while (p->tx_count)
		rte_pktmbuf_free(p->tx_held[--p->tx_count]);
}

/*
 * A reverse ARP request for its own address, to everybody: what QEMU and switches use to say "here
 * now". RFC 903.
 */
void path_rarp_send(struct path *p)
{
	static const uint8_t fixed[] = { 0x80, 0x35, 0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, 0x03 };
	struct rte_mbuf *m;
	uint8_t *b;

	/* With no port there is nobody to tell: whoever attaches one announces anew. */
	if (!p->vf) {
		p->announce = false;
		return;
	}
	m = rte_pktmbuf_alloc(p->vf->pool);
	if (!m)
		return;
	b = rte_pktmbuf_mtod(m, uint8_t *);
	m->data_len = 60;
	m->pkt_len = 60;
	memset(b, 0, 60);
	memset(b, 0xff, 6);
	memcpy(b + 6, p->announce_mac, 6);
	memcpy(b + 12, fixed, sizeof(fixed));
	memcpy(b + 22, p->announce_mac, 6);
	memcpy(b + 32, p->announce_mac, 6);
	if (rte_eth_tx_burst(p->vf->port, 0, &m, 1) != 1) {
		rte_pktmbuf_free(m);
		return;
	}
	p->tx_given++;
	p->announce = false;
	path_count(&p->counters.announcements, 1);
}
