/* err.h: one sentence that says what failed and what to do, for start-up and control code. */
#ifndef GODWIT_BASE_ERR_H
#define GODWIT_BASE_ERR_H

#include <stddef.h>

/** A sentence for the person who has to mend it. Owned by the caller, usually on its stack. */
struct err {
	char text[512];
};

/**
 * Write the sentence and give back the code, so that a failing function ends with
 * `return err_set(e, -ENODEV, "…")`.
 * @param e     where the sentence goes; may be NULL
 * @param code  negative errno
 * @return      @p code
 * Thread:      any.
 */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** Put "…: " in front of the sentence that is already there. Returns @p code. */
int err_prefix(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
