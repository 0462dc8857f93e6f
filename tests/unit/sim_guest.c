/* sim_guest.c: simulated guest memory, ring driver and dirty log. */
#include "sim_guest.h"

#include <dirent.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "ring/split.h"
#include "unit.h"

void sim_guest_new(struct sim_guest *g)
{
	static const struct guest_region_spec layout[SIM_REGIONS] = {
		{ { SIM_R0 }, { SIM_UVA(0) }, SIM_R0_BYTES, 0 },
		{ { SIM_R1 }, { SIM_UVA(1) }, SIM_R1_BYTES, 0 },
		{ { SIM_R2 }, { SIM_UVA(2) }, SIM_R2_BYTES, SIM_R2_OFFSET },
	};
	struct err e = { "" };

	memcpy(g->spec, layout, sizeof(layout));
	for (int i = 0; i < SIM_REGIONS; i++) {
		const struct guest_region_spec *s = &g->spec[i];

		g->fd[i] = memfd_create("sim-guest", MFD_CLOEXEC);
		assert_true(g->fd[i] >= 0);
		assert_int_equal(ftruncate(g->fd[i], (off_t)(s->fd_offset + s->size_bytes)), 0);
		g->map[i] = mmap(NULL, s->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, g->fd[i],
				 (off_t)s->fd_offset);
		assert_ptr_not_equal(g->map[i], MAP_FAILED);
	}
	assert_ok(guest_memory_new(g->spec, g->fd, SIM_REGIONS, &g->mem, &e), e);
}

void sim_guest_free(struct sim_guest *g)
{
	guest_memory_free(g->mem);
	g->mem = NULL;
	for (int i = 0; i < SIM_REGIONS; i++) {
		munmap(g->map[i], g->spec[i].size_bytes);
		close(g->fd[i]);
	}
}

void *sim_at(struct sim_guest *g, uint64_t gpa)
{
	for (int i = 0; i < SIM_REGIONS; i++)
		if (gpa >= g->spec[i].gpa.v && gpa - g->spec[i].gpa.v < g->spec[i].size_bytes)
			return g->map[i] + (gpa - g->spec[i].gpa.v);
	fail_msg("the test uses 0x%llx, which is no memory", (unsigned long long)gpa);
	return NULL;
}

void sim_write(struct sim_guest *g, uint64_t gpa, const void *from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*(uint8_t *)sim_at(g, gpa + i) = ((const uint8_t *)from)[i];
}

void sim_read(struct sim_guest *g, uint64_t gpa, void *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)to)[i] = *(uint8_t *)sim_at(g, gpa + i);
}

struct uva sim_uva(uint64_t gpa)
{
	if (gpa >= SIM_R2)
		return (struct uva){ SIM_UVA(2) + gpa - SIM_R2 };
	if (gpa >= SIM_R1)
		return (struct uva){ SIM_UVA(1) + gpa - SIM_R1 };
	return (struct uva){ SIM_UVA(0) + gpa };
}

static uint64_t page_up(uint64_t v)
{
	return (v + 4095) / 4096 * 4096;
}

void sim_ring_new(struct sim_ring *s, struct sim_guest *g, uint16_t size, uint64_t gpa)
{
	*s = (struct sim_ring){ .guest = g, .size = size, .desc = gpa };
	s->avail = s->desc + ring_desc_bytes(size);
	s->used = page_up(s->avail + ring_avail_bytes(size, 1));
	memset(sim_at(g, gpa), 0, s->used + ring_used_bytes(size, 1) - gpa);
	s->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(s->call_fd >= 0);
	s->cfg = (struct ring_config){ .size = size,
				       .desc = sim_uva(s->desc),
				       .avail = sim_uva(s->avail),
				       .used = sim_uva(s->used),
				       .used_log = { s->used },
				       .indirect = true,
				       .call_fd = s->call_fd };
}

void sim_ring_free(struct sim_ring *s)
{
	close(s->call_fd);
}

void sim_ring_bind(struct sim_ring *s, struct ring *r, struct dirty_log *log, uint16_t base)
{
	struct err e = { "" };

	assert_ok(ring_bind(r, &s->cfg, s->guest->mem, log, false, base, &e), e);
}

static uint16_t *avail_word(struct sim_ring *s, unsigned int word)
{
	return sim_at(s->guest, s->avail + 2ull * word);
}

void sim_ring_start_at(struct sim_ring *s, uint16_t at)
{
	s->avail_idx = at;
	s->used_idx = at;
	sim_set_avail_idx(s, at);
	memcpy(sim_at(s->guest, s->used + RING_USED_IDX), &at, sizeof(at));
}

void sim_desc(struct sim_ring *s, uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags,
	      uint16_t next)
{
	sim_indirect(s->guest, s->desc, i, gpa, len, flags, next);
}

void sim_indirect(struct sim_guest *g, uint64_t table, uint16_t i, uint64_t gpa, uint32_t len,
		  uint16_t flags, uint16_t next)
{
	struct ring_desc d = { .addr = gpa, .len = len, .flags = flags, .next = next };

	sim_write(g, table + sizeof(d) * i, &d, sizeof(d));
}

void sim_offer(struct sim_ring *s, uint16_t head)
{
	*avail_word(s, RING_AVAIL_RING + (s->avail_idx & (s->size - 1u))) = head;
	sim_set_avail_idx(s, ++s->avail_idx);
}

void sim_set_avail_idx(struct sim_ring *s, uint16_t idx)
{
	__atomic_store_n(avail_word(s, RING_AVAIL_IDX), idx, __ATOMIC_RELEASE);
}

void sim_set_avail_flags(struct sim_ring *s, uint16_t flags)
{
	*avail_word(s, RING_AVAIL_FLAGS) = flags;
}

void sim_set_used_event(struct sim_ring *s, uint16_t event)
{
	*avail_word(s, RING_AVAIL_RING + s->size) = event;
}

uint16_t sim_used_idx(struct sim_ring *s)
{
	return __atomic_load_n((uint16_t *)sim_at(s->guest, s->used + RING_USED_IDX),
			       __ATOMIC_ACQUIRE);
}

uint16_t sim_used_flags(struct sim_ring *s)
{
	return *(volatile uint16_t *)sim_at(s->guest, s->used + RING_USED_FLAGS);
}

bool sim_used(struct sim_ring *s, uint32_t *id, uint32_t *len)
{
	struct ring_used_elem elem;

	if (sim_used_idx(s) == s->used_idx)
		return false;
	sim_read(s->guest, s->used + RING_USED_RING + sizeof(elem) * (s->used_idx & (s->size - 1u)),
		 &elem, sizeof(elem));
	s->used_idx++;
	*id = elem.id;
	*len = elem.len;
	return true;
}

uint64_t sim_calls(struct sim_ring *s)
{
	uint64_t n;

	return read(s->call_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

void sim_log_new(struct sim_log *l, uint64_t pages)
{
	struct err e = { "" };

	assert_int_equal(pages % 8, 0);
	l->pages = pages;
	l->fd = memfd_create("sim-log", MFD_CLOEXEC);
	assert_true(l->fd >= 0);
	assert_int_equal(ftruncate(l->fd, (off_t)(pages / 8)), 0);
	l->bits = mmap(NULL, pages / 8, PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, 0);
	assert_ptr_not_equal(l->bits, MAP_FAILED);
	assert_ok(dirty_log_new(l->fd, pages / 8, 0, &l->log, &e), e);
}

void sim_log_free(struct sim_log *l)
{
	dirty_log_free(l->log);
	munmap(l->bits, l->pages / 8);
	close(l->fd);
}

bool sim_logged(const struct sim_log *l, uint64_t page)
{
	return l->bits[page / 8] >> (page % 8) & 1;
}

uint64_t sim_log_count(const struct sim_log *l)
{
	uint64_t n = 0;

	for (uint64_t page = 0; page < l->pages; page++)
		n += sim_logged(l, page);
	return n;
}

void sim_log_clear(struct sim_log *l)
{
	memset(l->bits, 0, l->pages / 8);
}

unsigned int sim_fds_open(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}
