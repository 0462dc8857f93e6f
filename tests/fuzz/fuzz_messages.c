/* fuzz_messages.c: making of vhost-user messages from an input. */
#include "fuzz_messages.h"

#include "vhost/session.h"

static const uint64_t offered = 1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_F_INDIRECT_DESC |
				1ull << VIRTIO_F_EVENT_IDX | 1ull << VIRTIO_F_VERSION_1 |
				1ull << VHOST_F_LOG_ALL | 1ull << VHOST_USER_F_PROTOCOL_FEATURES;

bool fuzz_odd(struct fuzz_input *in, bool wild, uint32_t n)
{
	return wild && fuzz_below(in, n) == 0;
}

static uint64_t value(struct fuzz_input *in, bool wild, uint64_t good)
{
	if (!fuzz_odd(in, wild, 60))
		return good;
	switch (fuzz_below(in, 4)) {
	case 0:
		return fuzz_bytes(in, 8);
	case 1:
		return 0ull - 0x1000 * fuzz_below(in, 4);
	case 2:
		return good + fuzz_below(in, 32);
	default:
		return good + 0x1000 * fuzz_below(in, 8);
	}
}

static uint32_t memory_table(struct fuzz_input *in, bool wild, struct vhost_mem_table *t)
{
	t->count = fuzz_odd(in, wild, 24) ? fuzz_below(in, 10) : 1 + fuzz_below(in, 2);
	for (uint32_t i = 0; i < t->count && i < GUEST_MAX_REGIONS; i++)
		t->region[i] = (struct vhost_region){
			.gpa = value(in, wild, i * 0x8000),
			.size = value(in, wild, FUZZ_FILE_BYTES),
			.uva = value(in, wild, 0x100000 + i * 0x10000),
			.mmap_offset = value(in, wild, 0),
		};
	return (uint32_t)offsetof(struct vhost_mem_table, region) +
	       (t->count < GUEST_MAX_REGIONS ? t->count : GUEST_MAX_REGIONS) *
		       (uint32_t)sizeof(t->region[0]);
}

static uint64_t features(struct fuzz_input *in, bool wild)
{
	uint64_t optional = 1ull << VIRTIO_F_INDIRECT_DESC | 1ull << VIRTIO_F_EVENT_IDX |
			    1ull << VHOST_F_LOG_ALL;

	if (fuzz_odd(in, wild, 8))
		return fuzz_bytes(in, 5);
	return offered & ~(optional & fuzz_bytes(in, 4));
}

uint32_t fuzz_payload(struct fuzz_input *in, bool wild, uint32_t request, uint32_t ring,
		      union vhost_payload *p)
{
	uint64_t at = 0x100000 + (ring & 1) * 0x3000;

	if (fuzz_odd(in, wild, 24))
		ring = (uint32_t)fuzz_bytes(in, 4);
	switch (request) {
	case VHOST_SET_MEM_TABLE:
		return memory_table(in, wild, &p->mem);
	case VHOST_SET_LOG_BASE:
		p->log.mmap_size = value(in, wild, FUZZ_LOG_BYTES - fuzz_below(in, 2) * 60);
		p->log.mmap_offset = fuzz_odd(in, wild, 8) ? fuzz_below(in, 100) : 0;
		return 16;
	case VHOST_SET_VRING_ADDR:
		p->addr = (struct vhost_vring_addr){ .index = ring,
						     .flags = fuzz_below(in, wild ? 3 : 2),
						     .desc = value(in, wild, at),
						     .avail = value(in, wild, at + 0x1000),
						     .used = value(in, wild, at + 0x2000),
						     .log = value(in, wild, 0x2000) };
		return 40;
	case VHOST_SET_VRING_NUM:
		p->state.index = ring;
		p->state.num = fuzz_odd(in, wild, 8) ? (uint32_t)fuzz_bytes(in, 4) :
						       1u << (3 + fuzz_below(in, 6));
		return 8;
	case VHOST_SET_FEATURES:
		p->u64 = features(in, wild);
		return 8;
	case VHOST_SET_VRING_KICK:
	case VHOST_SET_VRING_CALL:
	case VHOST_SET_VRING_ERR:
		p->u64 = ring | (fuzz_below(in, 4) ? 0 : VHOST_VRING_NO_FD);
		return 8;
	case VHOST_GET_VRING_BASE:
	case VHOST_SET_VRING_BASE:
	case VHOST_SET_VRING_ENABLE:
		p->state.index = ring;
		p->state.num = fuzz_odd(in, wild, 4) ? (uint32_t)fuzz_bytes(in, 3) : 0;
		return 8;
	case VHOST_SET_PROTOCOL_FEATURES:
		p->u64 = (0x1b01fu & ~fuzz_below(in, 16)) | fuzz_odd(in, wild, 16) << 5;
		return 8;
	case VHOST_ADD_MEM_REG:
	case VHOST_REM_MEM_REG:
		memset(&p->mem_region, 0, sizeof(p->mem_region));
		p->mem_region.region = (struct vhost_region){
			.gpa = value(in, wild, 0x10000 + fuzz_below(in, 8) * 0x1000),
			.size = value(in, wild, 0x1000),
			.uva = value(in, wild, 0x200000 + fuzz_below(in, 8) * 0x1000),
			.mmap_offset = value(in, wild, 0x1000),
		};
		return 40;
	case VHOST_GET_INFLIGHT_FD:
	case VHOST_SET_INFLIGHT_FD:
		p->inflight = (struct vhost_inflight){
			.mmap_size = value(in, wild, FUZZ_FILE_BYTES),
			.mmap_offset = value(in, wild, 0),
			.num_queues = (uint16_t)(fuzz_odd(in, wild, 8) ? fuzz_bytes(in, 2) : 2),
			.queue_size = (uint16_t)(fuzz_odd(in, wild, 8) ? fuzz_bytes(in, 2) :
									 1u << fuzz_below(in, 10)),
		};
		return VHOST_INFLIGHT_BYTES + 4 * fuzz_below(in, 2);
	case VHOST_SET_STATUS:
		p->u64 = fuzz_odd(in, wild, 8) ? fuzz_bytes(in, 8) : fuzz_below(in, 16);
		return 8;
	case VHOST_NET_SET_MTU:
		p->u64 = fuzz_bytes(in, 2);
		return 8;
	case VHOST_SEND_RARP:
		return 8;
	default:
		return 0;
	}
}

uint32_t fuzz_descriptors(struct fuzz_input *in, bool wild, uint32_t request,
			  const union vhost_payload *p, const struct fuzz_fds *have, int *fds)
{
	for (uint32_t i = 0; i < FUZZ_FDS; i++)
		fds[i] = request == VHOST_SET_MEM_TABLE	  ? have->file[i % FUZZ_FILES] :
			 request == VHOST_ADD_MEM_REG	  ? have->file[1] :
			 request == VHOST_SET_INFLIGHT_FD ? have->file[1] :
			 request == VHOST_SET_LOG_BASE	  ? have->log :
							    have->event;
	if (fuzz_odd(in, wild, 32)) {
		fds[fuzz_below(in, 4)] = have->file[1];
		return fuzz_below(in, FUZZ_FDS);
	}
	switch (request) {
	case VHOST_SET_MEM_TABLE:
		return p->mem.count < FUZZ_FDS ? p->mem.count : 0;
	case VHOST_SET_LOG_BASE:
	case VHOST_SET_LOG_FD:
	case VHOST_ADD_MEM_REG:
	case VHOST_SET_INFLIGHT_FD:
		return 1;
	case VHOST_REM_MEM_REG:
		return fuzz_below(in, 2);
	case VHOST_SET_VRING_KICK:
	case VHOST_SET_VRING_CALL:
	case VHOST_SET_VRING_ERR:
		return !(p->u64 & VHOST_VRING_NO_FD);
	default:
		return 0;
	}
}
