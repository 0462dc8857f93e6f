/* split_oracle.c: the second reading of virtio 1.2, 2.7: slow, flat, and sharing no line with src/ring. */
#include "split_oracle.h"

#include <errno.h>
#include <string.h>

const struct image_region image_regions[REGIONS] = {
	{ 0x0, 0, 8 * PAGE },
	{ 0x8000, 8 * PAGE, PAGE },
	{ 0x20000, 9 * PAGE, PAGE },
};

int64_t image_at(uint64_t gpa, uint64_t *left)
{
	for (int i = 0; i < REGIONS; i++) {
		const struct image_region *r = &image_regions[i];

		if (gpa >= r->gpa && gpa < r->gpa + r->bytes) {
			*left = r->gpa + r->bytes - gpa;
			return (int64_t)(r->offset + (gpa - r->gpa));
		}
	}
	return -1;
}

static uint16_t word(const struct image *m, uint32_t at)
{
	return (uint16_t)(m->bytes[at] | m->bytes[at + 1] << 8);
}

int oracle_available(struct oracle *o, const struct image *m)
{
	uint32_t step;

	if (o->broken)
		return -EPROTO;
	/* How far the index moved forward since it was last looked at: only free entries may be filled. */
	step = (uint16_t)(word(m, o->avail + 2) - (uint16_t)(o->next + o->outstanding));
	if (step && o->outstanding + step > o->size) {
		o->broken = true;
		return -EPROTO;
	}
	o->outstanding = (uint16_t)(o->outstanding + step);
	return o->outstanding;
}

struct descriptor {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* Byte by byte, since a table may lie across regions. */
static bool read_descriptor(const struct image *m, uint64_t gpa, struct descriptor *d)
{
	uint8_t raw[16];

	for (uint32_t i = 0; i < 16; i++) {
		uint64_t left;
		int64_t at = gpa + i < gpa ? -1 : image_at(gpa + i, &left);

		if (at < 0)
			return false;
		raw[i] = m->bytes[at];
	}
	memcpy(&d->addr, raw, 8);
	memcpy(&d->len, raw + 8, 4);
	memcpy(&d->flags, raw + 12, 2);
	memcpy(&d->next, raw + 14, 2);
	return true;
}

static bool add(struct runs *r, const struct oracle *o, const struct descriptor *d)
{
	uint64_t done = 0;

	if (!(d->flags & 2) == o->device_writes)
		return false;
	/* Empty buffers are refused, as QEMU does. */
	if (!d->len || d->addr > UINT64_MAX - (d->len - 1))
		return false;
	while (done < d->len) {
		uint64_t left, n = d->len - done;

		if (image_at(d->addr + done, &left) < 0 || r->count == RUNS_MAX - 1)
			return false;
		n = n < left ? n : left;
		r->run[r->count++] = (struct run){ d->addr + done, (uint32_t)n };
		r->bytes += n;
		done += n;
	}
	return true;
}

/* A list of `count` descriptors at `table`, begun at `i`. Within a ring's own table one may name an indirect table. */
/* NOLINTNEXTLINE(misc-no-recursion): an indirect table names no other, so one level */
static bool walk(const struct oracle *o, const struct image *m, struct runs *r, uint64_t table,
		 uint32_t count, uint32_t i, bool own)
{
	for (uint32_t steps = 0; steps < count && i < count; steps++) {
		struct descriptor d;

		if (!read_descriptor(m, table + 16ull * i, &d))
			return false;
		if (d.flags & 4) {
			if (!own || !o->indirect || d.flags & 1 || !d.len || d.len % 16 ||
			    d.len / 16 > 32768 || d.addr > UINT64_MAX - 15)
				return false;
			return walk(o, m, r, d.addr, d.len / 16, 0, false);
		}
		if (!add(r, o, &d))
			return false;
		if (!(d.flags & 1))
			return true;
		i = d.next;
	}
	return false;
}

int oracle_pop(struct oracle *o, const struct image *m, struct runs *r)
{
	if (o->broken)
		return -EPROTO;
	if (!o->outstanding) {
		int n = oracle_available(o, m);

		if (n <= 0)
			return n;
	}
	r->count = 0;
	r->bytes = 0;
	r->head = word(m, o->avail + 4 + 2 * (o->next % o->size));
	if (r->head >= o->size || !walk(o, m, r, o->desc, o->size, r->head, true)) {
		o->broken = true;
		return -EPROTO;
	}
	o->next++;
	o->outstanding--;
	return 1;
}
