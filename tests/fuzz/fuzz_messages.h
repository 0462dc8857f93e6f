/* fuzz_messages.h: vhost-user messages that are right, or a little wrong, as the input wants it. */
#ifndef GODWIT_TESTS_FUZZ_MESSAGES_H
#define GODWIT_TESTS_FUZZ_MESSAGES_H

#include <stdbool.h>

#include "fuzz.h"
#include "vhost/message.h"

#define FUZZ_FILES 2
#define FUZZ_FILE_BYTES 0x8000u
#define FUZZ_LOG_BYTES 64u
#define FUZZ_FDS 20

/** What the front-end can send: two files of memory, a log, an eventfd. */
struct fuzz_fds {
	int file[FUZZ_FILES], log, event;
};

/** True once in @p n times, and never in an input that is to be tame: else few would get as far as running rings. */
bool fuzz_odd(struct fuzz_input *in, bool wild, uint32_t n);
/** Fill @p p for @p request and virtqueue @p ring; returns the payload's size. */
uint32_t fuzz_payload(struct fuzz_input *in, bool wild, uint32_t request, uint32_t ring,
		      union vhost_payload *p);
/** The descriptors that belong to the message, or others; returns their number, up to FUZZ_FDS. */
uint32_t fuzz_descriptors(struct fuzz_input *in, bool wild, uint32_t request,
			  const union vhost_payload *p, const struct fuzz_fds *have, int *fds);

#endif
