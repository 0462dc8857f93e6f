/* split_oracle.h: what a split ring must do, worked out a second time from the specification, for the fuzz target. */
#ifndef GODWIT_TESTS_SPLIT_ORACLE_H
#define GODWIT_TESTS_SPLIT_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE 4096u
/* Region 0 holds the rings and buffers; region 1 follows it at once; a hole; region 2. */
#define REGIONS 3
#define PAGES 10
#define LOG_PAGES 64

/** One byte of memory for each byte of the guest's: an image without mappings. */
struct image {
	uint8_t bytes[PAGES * PAGE];
};

/** Region @p i: guest physical address, offset in the image, size. */
struct image_region {
	uint64_t gpa;
	uint32_t offset, bytes;
};
extern const struct image_region image_regions[REGIONS];

/** Offset in the image of @p gpa; -1 when it is no memory. @p left: bytes up to the region's end. */
int64_t image_at(uint64_t gpa, uint64_t *left);

/** What the oracle has to know of a ring. All in region 0, where gpa and image offset are the same. */
struct oracle {
	uint32_t size, desc, avail, used;
	bool indirect, device_writes;
	uint16_t next, outstanding;
	bool broken;
};

/** A run of bytes of a chain. */
struct run {
	uint64_t gpa;
	uint32_t len;
};

#define RUNS_MAX 1025

struct runs {
	uint32_t count;
	uint64_t bytes;
	uint16_t head;
	struct run run[RUNS_MAX];
};

/** What ring_available() must return. */
int oracle_available(struct oracle *o, const struct image *m);
/** What ring_pop() must return, and the runs that it must give, cut at region borders. */
int oracle_pop(struct oracle *o, const struct image *m, struct runs *r);

#endif
