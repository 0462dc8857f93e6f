/* sim_guest.h: a simulated guest: its memory in three regions, and the driver's side of a split virtqueue. */
#ifndef GODWIT_TESTS_SIM_GUEST_H
#define GODWIT_TESTS_SIM_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/dirty.h"
#include "guest/memory.h"
#include "ring/ring.h"

/*
 * Regions 0 and 1 lie side by side for the guest, and apart for the front-end and for us; a hole follows; region 2 starts
 * in the middle of its file.
 */
#define SIM_REGIONS 3
#define SIM_R0 0x0ull
#define SIM_R0_BYTES 0x100000ull
#define SIM_R1 0x100000ull
#define SIM_R1_BYTES 0x10000ull
#define SIM_HOLE 0x110000ull
#define SIM_R2 0x200000ull
#define SIM_R2_BYTES 0x100000ull
#define SIM_R2_OFFSET 0x2000ull
#define SIM_END (SIM_R2 + SIM_R2_BYTES)
#define SIM_UVA(region) (0x7f0000000000ull + ((uint64_t)(region) << 36))

struct sim_guest {
	int fd[SIM_REGIONS];
	/** The guest's own mapping, another one than that of @p mem. */
	uint8_t *map[SIM_REGIONS];
	struct guest_region_spec spec[SIM_REGIONS];
	struct guest_memory *mem;
};

/** Make the memory, all zeroes, and map it through guest_memory_new(). Ends the test when that fails. */
void sim_guest_new(struct sim_guest *g);
void sim_guest_free(struct sim_guest *g);
/** The guest's own pointer to @p gpa; ends the test when it lies in no region. */
void *sim_at(struct sim_guest *g, uint64_t gpa);
/** Byte by byte, across regions. */
void sim_write(struct sim_guest *g, uint64_t gpa, const void *from, size_t len);
void sim_read(struct sim_guest *g, uint64_t gpa, void *to, size_t len);
/** The front-end's address of @p gpa. */
struct uva sim_uva(uint64_t gpa);

/** A split virtqueue as its driver sees it. Addresses are guest physical. */
struct sim_ring {
	struct sim_guest *guest;
	uint16_t size;
	uint64_t desc, avail, used;
	/** Entries made available, and used entries taken back. */
	uint16_t avail_idx, used_idx;
	int call_fd;
	struct ring_config cfg;
};

/** Lay a ring of @p size out at @p gpa (its used ring on a page of its own), zeroed, with cfg for a transmit ring. */
void sim_ring_new(struct sim_ring *s, struct sim_guest *g, uint16_t size, uint64_t gpa);
void sim_ring_free(struct sim_ring *s);
/** Bind @p r afresh at entry @p base. Ends the test when that fails. */
void sim_ring_bind(struct sim_ring *s, struct ring *r, struct dirty_log *log, uint16_t base);
/** The driver begins at entry @p at, avail and used alike. */
void sim_ring_start_at(struct sim_ring *s, uint16_t at);
void sim_desc(struct sim_ring *s, uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags,
	      uint16_t next);
/** One descriptor of an indirect table at @p table. */
void sim_indirect(struct sim_guest *g, uint64_t table, uint16_t i, uint64_t gpa, uint32_t len,
		  uint16_t flags, uint16_t next);
/** Make a chain available. */
void sim_offer(struct sim_ring *s, uint16_t head);
/** Store the available index only. */
void sim_set_avail_idx(struct sim_ring *s, uint16_t idx);
void sim_set_avail_flags(struct sim_ring *s, uint16_t flags);
void sim_set_used_event(struct sim_ring *s, uint16_t event);
uint16_t sim_used_idx(struct sim_ring *s);
uint16_t sim_used_flags(struct sim_ring *s);
/** Take the next used entry; false when there is none. */
bool sim_used(struct sim_ring *s, uint32_t *id, uint32_t *len);
/** Notifications since the last look. */
uint64_t sim_calls(struct sim_ring *s);

/** A dirty log as the front-end holds it. */
struct sim_log {
	int fd;
	uint64_t pages;
	uint8_t *bits;
	struct dirty_log *log;
};

void sim_log_new(struct sim_log *l, uint64_t pages);
void sim_log_free(struct sim_log *l);
bool sim_logged(const struct sim_log *l, uint64_t page);
/** Pages marked since the last clear. */
uint64_t sim_log_count(const struct sim_log *l);
void sim_log_clear(struct sim_log *l);

/** Open descriptors of this process: a leak shows as a difference. */
unsigned int sim_fds_open(void);

#endif
