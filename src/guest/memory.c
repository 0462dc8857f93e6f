/*
 * memory.c: checking and mapping of the memory table. Everything in it comes from the front-end and
 * is not trusted.
 */
#include "guest/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "guest/fault.h"

static bool wraps(uint64_t start, uint64_t len)
{
	return start + len < start;
}

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

static int spec_check(const struct guest_region_spec *s, struct err *e)
{
	uint64_t all = s->gpa.v | s->uva.v | s->size_bytes | s->fd_offset;

	if (!s->size_bytes)
		return err_set(e, -EINVAL, "memory region at 0x%" PRIx64 " is empty", s->gpa.v);
	if (all % GUEST_PAGE_BYTES)
		return err_set(e, -EINVAL, "memory region at 0x%" PRIx64 " is not aligned to pages",
			       s->gpa.v);
	if (wraps(s->gpa.v, s->size_bytes) || wraps(s->uva.v, s->size_bytes) ||
	    wraps(s->fd_offset, s->size_bytes) || s->fd_offset + s->size_bytes > INT64_MAX)
		return err_set(e, -EINVAL, "memory region at 0x%" PRIx64 " wraps around", s->gpa.v);
	return 0;
}

static bool specs_overlap(const struct guest_region_spec *a, const struct guest_region_spec *b)
{
	return overlap(a->gpa.v, a->size_bytes, b->gpa.v, b->size_bytes) ||
	       overlap(a->uva.v, a->size_bytes, b->uva.v, b->size_bytes);
}

static int specs_check(const struct guest_region_spec *spec, unsigned int count, struct err *e)
{
	if (count == 0 || count > GUEST_MAX_REGIONS)
		return err_set(e, -EINVAL, "%u memory regions, 1 to %d are possible", count,
			       GUEST_MAX_REGIONS);
	for (unsigned int i = 0; i < count; i++) {
		int rc = spec_check(&spec[i], e);

		if (rc)
			return rc;
		for (unsigned int j = 0; j < i; j++) {
			if (specs_overlap(&spec[i], &spec[j]))
				return err_set(e, -EINVAL, "memory regions %u and %u overlap", j,
					       i);
		}
	}
	return 0;
}

/* Maps from the offset rounded down to the file's page size: hugetlb maps nothing smaller. */
static int region_map(struct guest_region *r, const struct guest_region_spec *s, int fd,
		      struct err *e)
{
	struct stat st;
	uint64_t grain, front;

	if (fstat(fd, &st) < 0)
		return err_set(e, -errno, "memory region at 0x%" PRIx64 ": fstat: %s", s->gpa.v,
			       strerror(errno));
	if ((S_ISREG(st.st_mode) && s->fd_offset + s->size_bytes > (uint64_t)st.st_size) ||
	    st.st_blksize <= 0)
		return err_set(e, -EINVAL,
			       "memory region at 0x%" PRIx64 " ends at %" PRIu64
			       " of a file of %" PRIu64 " bytes",
			       s->gpa.v, s->fd_offset + s->size_bytes, (uint64_t)st.st_size);
	grain = (uint64_t)st.st_blksize;
	front = s->fd_offset % grain;
	r->map_bytes = (front + s->size_bytes + grain - 1) / grain * grain;
	r->map = mmap(NULL, r->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		      (off_t)(s->fd_offset - front));
	if (r->map == MAP_FAILED) {
		r->map = NULL;
		return err_set(e, -errno, "memory region at 0x%" PRIx64 ": mmap: %s", s->gpa.v,
			       strerror(errno));
	}
	/* Guest memory has no place in a core file. */
	madvise(r->map, r->map_bytes, MADV_DONTDUMP);
	r->host = (uint8_t *)r->map + front;
	r->gpa = s->gpa;
	r->uva = s->uva;
	r->size_bytes = s->size_bytes;
	r->watch = fault_watch(r->map, r->map_bytes);
	if (r->watch < 0)
		return err_set(e, r->watch, "too many memory regions are mapped");
	return 0;
}

static int region_order(const void *a, const void *b)
{
	const struct guest_region *x = a, *y = b;

	return x->gpa.v < y->gpa.v ? -1 : x->gpa.v > y->gpa.v;
}

int guest_memory_new(const struct guest_region_spec *spec, const int *fds, unsigned int count,
		     struct guest_memory **out, struct err *e)
{
	struct guest_memory *m;
	int rc = specs_check(spec, count, e);

	if (rc)
		return rc;
	m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(e, -ENOMEM, "no memory for the memory table");
	for (unsigned int i = 0; i < count; i++) {
		m->region[i].watch = -1;
		m->count++;
		rc = region_map(&m->region[i], &spec[i], fds[i], e);
		if (rc) {
			guest_memory_free(m);
			return rc;
		}
	}
	qsort(m->region, m->count, sizeof(m->region[0]), region_order);
	*out = m;
	return 0;
}

static void region_unmap(struct guest_region *r)
{
	fault_unwatch(r->watch);
	if (r->map)
		munmap(r->map, r->map_bytes);
}

static struct guest_region_spec spec_of(const struct guest_region *r)
{
	return (struct guest_region_spec){ .gpa = r->gpa,
					   .uva = r->uva,
					   .size_bytes = r->size_bytes };
}

static int add_check(const struct guest_memory *m, const struct guest_region_spec *spec,
		     struct err *e)
{
	int rc = spec_check(spec, e);

	if (rc)
		return rc;
	if (m && m->count == GUEST_MAX_SLOTS)
		return err_set(e, -ENOSPC, "all %d memory slots are taken", GUEST_MAX_SLOTS);
	for (unsigned int i = 0; m && i < m->count; i++) {
		struct guest_region_spec there = spec_of(&m->region[i]);

		if (specs_overlap(spec, &there))
			return err_set(e, -EINVAL,
				       "memory region at 0x%" PRIx64
				       " overlaps the one at 0x%" PRIx64,
				       spec->gpa.v, there.gpa.v);
	}
	return 0;
}

int guest_memory_add(struct guest_memory **m, const struct guest_region_spec *spec, int fd,
		     struct err *e)
{
	struct guest_memory *all = *m ? *m : calloc(1, sizeof(*all));
	struct guest_region r = { .watch = -1 };
	unsigned int at;
	int rc;

	if (!all)
		return err_set(e, -ENOMEM, "no memory for the memory table");
	rc = add_check(*m, spec, e);
	if (!rc)
		rc = region_map(&r, spec, fd, e);
	if (rc) {
		region_unmap(&r);
		if (!*m)
			free(all);
		return rc;
	}
	*m = all;
	for (at = all->count++; at && all->region[at - 1].gpa.v > r.gpa.v; at--)
		all->region[at] = all->region[at - 1];
	all->region[at] = r;
	return 0;
}

int guest_memory_find(const struct guest_memory *m, const struct guest_region_spec *spec)
{
	for (unsigned int i = 0; m && i < m->count; i++) {
		const struct guest_region *r = &m->region[i];

		if (r->gpa.v == spec->gpa.v && r->uva.v == spec->uva.v &&
		    r->size_bytes == spec->size_bytes)
			return (int)i;
	}
	return -ENOENT;
}

void guest_memory_remove(struct guest_memory **m, unsigned int index)
{
	struct guest_memory *left = *m;

	region_unmap(&left->region[index]);
	left->count--;
	memmove(&left->region[index], &left->region[index + 1],
		(left->count - index) * sizeof(left->region[0]));
	if (left->count)
		return;
	free(left);
	*m = NULL;
}

void guest_memory_free(struct guest_memory *m)
{
	if (!m)
		return;
	for (unsigned int i = 0; i < m->count; i++)
		region_unmap(&m->region[i]);
	free(m);
}

bool guest_memory_lost(const struct guest_memory *m)
{
	for (unsigned int i = 0; i < m->count; i++)
		if (fault_lost(m->region[i].watch))
			return true;
	return false;
}

void *guest_at_uva(const struct guest_memory *m, struct uva uva, uint64_t len)
{
	for (unsigned int i = 0; i < m->count; i++) {
		const struct guest_region *r = &m->region[i];

		if (uva.v < r->uva.v || uva.v - r->uva.v >= r->size_bytes)
			continue;
		if (len > r->size_bytes - (uva.v - r->uva.v))
			return NULL;
		return r->host + (uva.v - r->uva.v);
	}
	return NULL;
}

bool guest_gpa_of(const struct guest_memory *m, const void *host, struct gpa *out)
{
	const uint8_t *p = host;

	for (unsigned int i = 0; i < m->count; i++) {
		const struct guest_region *r = &m->region[i];

		if (p < r->host || (uint64_t)(p - r->host) >= r->size_bytes)
			continue;
		out->v = r->gpa.v + (uint64_t)(p - r->host);
		return true;
	}
	return false;
}

int guest_read(const struct guest_memory *m, struct gpa gpa, void *to, size_t len)
{
	uint8_t *p = to;

	while (len) {
		uint64_t piece = len;
		const void *from = guest_at(m, gpa, &piece);

		if (!from)
			return -EFAULT;
		memcpy(p, from, piece);
		p += piece;
		gpa.v += piece;
		len -= piece;
	}
	return 0;
}
