/* memory.c: the messages that share the guest's memory and the dirty log over it. */
#include <errno.h>
#include <inttypes.h>

#include "vhost/internal.h"

int vhost_memory_logged(const struct guest_memory *m, const struct dirty_log *l, struct err *e)
{
	for (unsigned int i = 0; m && i < m->count; i++) {
		if (!dirty_log_covers(l, m->region[i].gpa, m->region[i].size_bytes))
			return err_set(e, -EINVAL,
				       "the dirty log of %" PRIu64
				       " pages is too small for guest memory up to 0x%" PRIx64,
				       l->pages, m->region[i].gpa.v + m->region[i].size_bytes);
	}
	return 0;
}

static bool is_logging(const struct vhost_session *s)
{
	return vhost_has(&s->state, VHOST_F_LOG_ALL) && s->state.log;
}

static struct guest_region_spec spec_of(const struct vhost_region *r)
{
	return (struct guest_region_spec){ .gpa = { r->gpa },
					   .uva = { r->uva },
					   .size_bytes = r->size,
					   .fd_offset = r->mmap_offset };
}

int vhost_set_mem_table(struct vhost_session *s, struct err *e)
{
	const struct vhost_mem_table *t = &s->payload.mem;
	struct guest_region_spec spec[GUEST_MAX_REGIONS];
	struct guest_memory *m;
	int rc;

	if (t->count == 0 || t->count > GUEST_MAX_REGIONS ||
	    s->header.size <
		    offsetof(struct vhost_mem_table, region) + t->count * sizeof(t->region[0]))
		return err_set(e, -EINVAL, "%" PRIu32 " regions in a message of %" PRIu32 " bytes",
			       t->count, s->header.size);
	if (s->fd_count != t->count)
		return err_set(e, -EINVAL, "%u descriptors for %" PRIu32 " regions", s->fd_count,
			       t->count);
	for (uint32_t i = 0; i < t->count; i++)
		spec[i] = spec_of(&t->region[i]);
	rc = guest_memory_new(spec, s->fds, t->count, &m, e);
	if (rc)
		return rc;
	if (is_logging(s)) {
		rc = vhost_memory_logged(m, s->state.log, e);
		if (rc) {
			guest_memory_free(m);
			return rc;
		}
	}
	guest_memory_free(s->state.mem);
	s->state.mem = m;
	return 0;
}

int vhost_get_max_mem_slots(struct vhost_session *s, struct err *e)
{
	return vhost_reply_u64(s, GUEST_MAX_SLOTS);
}

int vhost_add_mem_reg(struct vhost_session *s, struct err *e)
{
	struct guest_region_spec spec = spec_of(&s->payload.mem_region.region);

	if (s->fd_count != 1)
		return err_set(e, -EINVAL, "needs one descriptor, %u came", s->fd_count);
	if (is_logging(s) && !dirty_log_covers(s->state.log, spec.gpa, spec.size_bytes))
		return err_set(e, -EINVAL,
			       "the dirty log of %" PRIu64
			       " pages is too small for a region at 0x%" PRIx64,
			       s->state.log->pages, spec.gpa.v);
	return guest_memory_add(&s->state.mem, &spec, s->fds[0], e);
}

static bool ring_in(const struct vhost_vring *v, const struct guest_region *r)
{
	const struct uva part[] = { v->desc, v->avail, v->used };

	for (unsigned int i = 0; i < 3; i++)
		if (part[i].v >= r->uva.v && part[i].v - r->uva.v < r->size_bytes)
			return true;
	return false;
}

/* A descriptor may come, from front-ends that got it wrong: the session closes it, unused. */
int vhost_rem_mem_reg(struct vhost_session *s, struct err *e)
{
	struct guest_region_spec spec = spec_of(&s->payload.mem_region.region);
	int index = guest_memory_find(s->state.mem, &spec);

	if (index < 0)
		return err_set(e, index, "there is no region at 0x%" PRIx64 " of %" PRIu64 " bytes",
			       spec.gpa.v, spec.size_bytes);
	for (unsigned int i = 0; i < VHOST_VRINGS; i++)
		if (s->state.vring[i].started &&
		    ring_in(&s->state.vring[i], &s->state.mem->region[index]))
			return err_set(e, -EBUSY, "virtqueue %u runs in the region at 0x%" PRIx64,
				       i, spec.gpa.v);
	guest_memory_remove(&s->state.mem, (unsigned int)index);
	return 0;
}

int vhost_set_log_base(struct vhost_session *s, struct err *e)
{
	struct dirty_log *l;
	int rc;

	if (s->fd_count != 1)
		return err_set(e, -EINVAL, "needs one descriptor, %u came", s->fd_count);
	rc = dirty_log_new(s->fds[0], s->payload.log.mmap_size, s->payload.log.mmap_offset, &l, e);
	if (rc)
		return rc;
	rc = vhost_memory_logged(s->state.mem, l, e);
	if (rc) {
		dirty_log_free(l);
		return rc;
	}
	dirty_log_free(s->state.log);
	s->state.log = l;
	return vhost_reply_u64(s, 0);
}
