/* Checks the parts that judge traffic against known answers, so that a verdict can be trusted. */
#include "digest.h"
#include "frame.h"
#include "roles.h"
#include "track.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define CHECK(what)                                                         \
	do {                                                                \
		if (!(what)) {                                              \
			fprintf(stderr, "selftest: not true: %s\n", #what); \
			failures++;                                         \
		}                                                           \
	} while (0)

/* The published test vectors of XXH64 with seed 0. */
static void check_digest(void)
{
	static uint8_t data[1000];
	struct digest d;

	pattern_fill(7, 0, data, sizeof(data));
	CHECK(digest_of("", 0) == 0xEF46DB3751D8E999ull);
	CHECK(digest_of("a", 1) == 0xD24EC4F1A98C6E5Bull);
	CHECK(digest_of("abc", 3) == 0x44BC2CF5AD770999ull);
	digest_init(&d);
	for (size_t at = 0, step = 1; at < sizeof(data); at += step, step = step % 67 + 1) {
		if (step > sizeof(data) - at)
			step = sizeof(data) - at;
		digest_add(&d, data + at, step);
	}
	CHECK(d.total == sizeof(data) && digest_value(&d) == digest_of(data, sizeof(data)));
	data[500] ^= 1;
	CHECK(digest_value(&d) != digest_of(data, sizeof(data)));
}

static void check_pattern(void)
{
	uint8_t whole[100], part[100];

	pattern_fill(3, 5, whole, 100);
	pattern_fill(3, 5, part, 13);
	pattern_fill(3, 18, part + 13, 87);
	CHECK(!memcmp(whole, part, 100));
	pattern_fill(4, 5, part, 100);
	CHECK(memcmp(whole, part, 100));
}

static void check_frames(void)
{
	static const uint8_t A[6] = { 2, 0, 0, 0, 0, 1 }, B[6] = { 2, 0, 0, 0, 0, 2 };
	struct frame_status st = { .received = 9 };
	uint8_t buf[FRAME_MAX], shortest = 0, longest = 0;

	for (uint32_t seq = 1; seq < 1000; seq++) {
		size_t len = frame_build(buf, A, B, 5, seq, &st);

		shortest |= len == FRAME_MIN;
		longest |= len == FRAME_MAX;
		CHECK(len >= FRAME_MIN && len <= FRAME_MAX);
		CHECK(frame_judge(buf, len, A, 5) == FRAME_OK);
		CHECK(frame_judge(buf, len, B, 5) == FRAME_FOREIGN);
		CHECK(frame_judge(buf, len, A, 6) == FRAME_FOREIGN);
		CHECK(frame_judge(buf, len - 1, A, 5) == FRAME_CORRUPT);
		buf[18 + seq % (len - 18)] ^= 0x40;
		CHECK(frame_judge(buf, len, A, 5) == FRAME_CORRUPT);
	}
	CHECK(shortest && longest);
}

static void check_tracking(void)
{
	static const uint32_t CAME[] = { 1, 2, 5, 4, 5, 9 };
	struct track t;

	CHECK(!track_init(&t, 25));
	for (unsigned int i = 0; i < sizeof(CAME) / sizeof(CAME[0]); i++)
		track_arrival(&t, CAME[i], 10 * (i + 1) + (CAME[i] == 9 ? 100 : 0));
	CHECK(t.highest == 9 && t.distinct == 5);
	CHECK(t.duplicated.count == 1 && t.duplicated.list[0].seq == 5);
	CHECK(t.reordered.count == 1 && t.reordered.list[0].seq == 4);
	CHECK(t.gaps.count == 1 && t.gaps.list[0].from_ns == 50 && t.gaps.list[0].to_ns == 160);
	CHECK(!t.when_ns[3] && !t.when_ns[8] && t.when_ns[9] == 160);
}

int role_selftest(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	check_digest();
	check_pattern();
	check_frames();
	check_tracking();
	printf("gwtraffic selftest: %d wrong\n", failures);
	return failures ? 1 : 0;
}
