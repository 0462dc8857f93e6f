/*
 * split.h: the layout of a split virtqueue in guest memory. Spec: virtio 1.2, 2.7. Little-endian,
 * as the hosts we run on.
 */
#ifndef GODWIT_RING_SPLIT_H
#define GODWIT_RING_SPLIT_H

#include <stdint.h>

#define RING_DESC_NEXT 1u
#define RING_DESC_WRITE 2u
#define RING_DESC_INDIRECT 4u
#define RING_AVAIL_NO_INTERRUPT 1u
#define RING_USED_NO_NOTIFY 1u

/** Spec: 2.7.5 */
struct ring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/** Spec: 2.7.8 */
struct ring_used_elem {
	uint32_t id;
	uint32_t len;
};

/* Offsets in 16-bit words of the available ring: flags, idx, ring[size], used_event. Spec: 2.7.6 */
#define RING_AVAIL_FLAGS 0
#define RING_AVAIL_IDX 1
#define RING_AVAIL_RING 2
/* Offsets in bytes of the used ring: flags, idx, ring[size], avail_event. Spec: 2.7.8 */
#define RING_USED_FLAGS 0
#define RING_USED_IDX 2
#define RING_USED_RING 4

static inline uint64_t ring_desc_bytes(uint32_t size)
{
	return 16ull * size;
}

/*
 * The event words at the ends exist only with VIRTIO_F_EVENT_IDX: a front-end need not have mapped
 * them.
 */
static inline uint64_t ring_avail_bytes(uint32_t size, int event_idx)
{
	return 4 + 2ull * size + (event_idx ? 2 : 0);
}

static inline uint64_t ring_used_bytes(uint32_t size, int event_idx)
{
	return 4 + 8ull * size + (event_idx ? 2 : 0);
}

/* Spec: 2.7.7.2: notify when the event index lies within [old, new). */
static inline int ring_need_event(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

#endif
