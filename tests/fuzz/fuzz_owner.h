/* fuzz_owner.h: the owner of the rings behind a fuzzed session: binds and moves them as a vNIC does, and checks its calls. */
#ifndef GODWIT_TESTS_FUZZ_OWNER_H
#define GODWIT_TESTS_FUZZ_OWNER_H

#include <stdbool.h>

#include "vhost/session.h"

/** Ops for a session; their argument is not used. */
extern const struct vhost_ops fuzz_owner_ops;

/** Forget the last session. */
void fuzz_owner_reset(void);
/** True once the session has ended. */
bool fuzz_owner_closed(void);

#endif
