/* sim_port.c: the simulated VF. */
#include "sim_port.h"

#include <pthread.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "unit.h"
#include "vf/eal.h"

#define PORT 9

struct stack {
	pthread_mutex_t lock;
	unsigned int count;
	void *object[];
};

static int stack_alloc(struct rte_mempool *mp)
{
	struct stack *s = calloc(1, sizeof(*s) + mp->size * sizeof(s->object[0]));

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	mp->pool_data = s;
	return 0;
}

static void stack_free(struct rte_mempool *mp)
{
	free(mp->pool_data);
}

static int stack_enqueue(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	struct stack *s = mp->pool_data;

	pthread_mutex_lock(&s->lock);
	memcpy(s->object + s->count, objects, n * sizeof(objects[0]));
	s->count += n;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static int stack_dequeue(struct rte_mempool *mp, void **objects, unsigned int n)
{
	struct stack *s = mp->pool_data;
	int rc = -ENOBUFS;

	pthread_mutex_lock(&s->lock);
	if (s->count >= n) {
		s->count -= n;
		memcpy(objects, s->object + s->count, n * sizeof(objects[0]));
		rc = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static unsigned int stack_count(const struct rte_mempool *mp)
{
	struct stack *s = mp->pool_data;
	unsigned int n;

	pthread_mutex_lock(&s->lock);
	n = s->count;
	pthread_mutex_unlock(&s->lock);
	return n;
}

static const struct rte_mempool_ops stack_ops = { .name = "sim_stack",
						  .alloc = stack_alloc,
						  .free = stack_free,
						  .enqueue = stack_enqueue,
						  .dequeue = stack_dequeue,
						  .get_count = stack_count };

RTE_MEMPOOL_REGISTER_OPS(stack_ops);

static uint16_t queue_put(struct sim_queue *q, struct rte_mbuf **m, uint16_t n, unsigned int room)
{
	unsigned int tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
	unsigned int used = tail - atomic_load_explicit(&q->head, memory_order_acquire);
	uint16_t done = 0;

	while (done < n && used + done < room)
		q->slot[(tail + done) % SIM_PORT_QUEUE] = m[done], done++;
	atomic_store_explicit(&q->tail, tail + done, memory_order_release);
	return done;
}

static uint16_t queue_get(struct sim_queue *q, struct rte_mbuf **m, uint16_t n)
{
	unsigned int head = atomic_load_explicit(&q->head, memory_order_relaxed);
	unsigned int have = atomic_load_explicit(&q->tail, memory_order_acquire) - head;
	uint16_t done = 0;

	while (done < n && done < have)
		m[done] = q->slot[(head + done) % SIM_PORT_QUEUE], done++;
	atomic_store_explicit(&q->head, head + done, memory_order_release);
	return done;
}

static uint16_t port_rx(void *queue, struct rte_mbuf **m, uint16_t n)
{
	struct sim_port *p = queue;

	atomic_fetch_add(&p->bursts, 1);
	return queue_get(&p->rx, m, n);
}

static uint16_t port_tx(void *queue, struct rte_mbuf **m, uint16_t n)
{
	struct sim_port *p = queue;

	atomic_fetch_add(&p->bursts, 1);
	return queue_put(&p->tx, m, n, atomic_load(&p->tx_room));
}

/* A descriptor is done with once the wire has taken its frame. */
static int port_tx_status(void *queue, uint16_t offset)
{
	struct sim_port *p = queue;
	unsigned int left = atomic_load(&p->tx.tail) - atomic_load(&p->tx.head);
	unsigned int back = p->vf.tx_depth - 1u - offset;

	return back < left ? RTE_ETH_TX_DESC_FULL : RTE_ETH_TX_DESC_DONE;
}

void sim_port_dpdk(void)
{
	/* More than can be free: it takes ordinary pages whatever the machine has reserved. */
	struct eal_config cfg = { .memory_mib = 64, .name = "unit" };
	struct eal_facts facts;
	struct err e = { "" };

	assert_ok(eal_start(&cfg, &facts, &e), e);
}

static void port_register(struct sim_port *p, uint16_t number)
{
	struct rte_eth_fp_ops *ops = &rte_eth_fp_ops[number];

	memset(p, 0, sizeof(*p));
	p->number = number;
	atomic_store(&p->tx_room, SIM_PORT_QUEUE);
	p->vf = (struct vf){ .attached = true,
			     .port = number,
			     .rx_depth = 64,
			     .tx_depth = 64,
			     .mtu = 1500,
			     .max_frame_bytes = 1522 };
	p->queue[0] = p;
	ops->rxq.data = p->queue;
	ops->rxq.clbk = p->callbacks;
	ops->txq.data = p->queue;
	ops->txq.clbk = p->callbacks;
	ops->rx_pkt_burst = port_rx;
	ops->tx_pkt_burst = port_tx;
	ops->tx_descriptor_status = port_tx_status;
}

void sim_port_new(struct sim_port *p)
{
	port_register(p, PORT);
	p->vf.pool = rte_pktmbuf_pool_create_by_ops("sim", SIM_PORT_MBUFS, 0, 0,
						    RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY,
						    "sim_stack");
	assert_non_null(p->vf.pool);
}

void sim_port_new_beside(struct sim_port *p, struct sim_port *first)
{
	port_register(p, (uint16_t)(first->number + 1));
	p->beside = true;
	p->vf.pool = first->vf.pool;
}

void sim_port_free(struct sim_port *p)
{
	struct rte_mbuf *m;

	while (queue_get(&p->rx, &m, 1) || queue_get(&p->tx, &m, 1))
		rte_pktmbuf_free(m);
	if (p->beside)
		return;
	assert_int_equal(sim_port_free_mbufs(p), SIM_PORT_MBUFS);
	rte_mempool_free(p->vf.pool);
}

bool sim_port_arrive(struct sim_port *p, const void *bytes, uint32_t len, uint32_t segment)
{
	struct rte_mbuf *first = NULL;
	const uint8_t *from = bytes;
	uint32_t done = 0;

	while (done < len) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(p->vf.pool);
		uint32_t n = segment && segment < len - done ? segment : len - done;

		if (!m) {
			rte_pktmbuf_free(first);
			return false;
		}
		memcpy(rte_pktmbuf_append(m, (uint16_t)n), from + done, n);
		if (!first)
			first = m;
		else
			assert_int_equal(rte_pktmbuf_chain(first, m), 0);
		done += n;
	}
	if (queue_put(&p->rx, &first, 1, SIM_PORT_QUEUE) == 1)
		return true;
	rte_pktmbuf_free(first);
	return false;
}

bool sim_port_arrive_stripped(struct sim_port *p, const void *bytes, uint32_t len, uint16_t vlan)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->vf.pool);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), bytes, len);
	m->vlan_tci = vlan;
	m->ol_flags = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	return queue_put(&p->rx, &m, 1, SIM_PORT_QUEUE) == 1;
}

int sim_port_sent(struct sim_port *p, void *bytes, uint32_t size)
{
	struct rte_mbuf *m;
	int len;

	if (queue_get(&p->tx, &m, 1) == 0)
		return -1;
	len = (int)m->pkt_len;
	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(m->data_len, len);
	assert_true((uint32_t)len <= size);
	memcpy(bytes, rte_pktmbuf_mtod(m, void *), (size_t)len);
	rte_pktmbuf_free(m);
	return len;
}

unsigned int sim_port_free_mbufs(const struct sim_port *p)
{
	return rte_mempool_avail_count(p->vf.pool);
}

unsigned int sim_port_waiting(const struct sim_port *p)
{
	return atomic_load(&p->rx.tail) - atomic_load(&p->rx.head);
}
