/* unit.h: what every unit test includes: cmocka, and assertions that show the sentence of a struct err. */
#ifndef GODWIT_TESTS_UNIT_H
#define GODWIT_TESTS_UNIT_H

/* cmocka.h wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/** Fails with the sentence in @p e unless @p rc is 0. */
#define assert_ok(rc, e)                                                                 \
	do {                                                                             \
		int rc_ = (rc);                                                          \
		if (rc_)                                                                 \
			fail_msg("returned %d (%s): %s", rc_, strerror(-rc_), (e).text); \
	} while (0)

/** Fails unless @p rc is @p code, and a sentence that holds @p word came with it. */
#define assert_err(rc, code, e, word)                                                      \
	do {                                                                               \
		int rc_ = (rc);                                                            \
		if (rc_ != (code))                                                         \
			fail_msg("returned %d, not %d: %s", rc_, (code), (e).text);        \
		if (!strstr((e).text, (word)))                                             \
			fail_msg("the sentence '%s' does not say '%s'", (e).text, (word)); \
	} while (0)

#endif
