/* fault.h: survive SIGBUS on guest memory whose file was truncated under us. */
#ifndef GODWIT_GUEST_FAULT_H
#define GODWIT_GUEST_FAULT_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Take SIGBUS. A fault inside a watched range replaces the whole range by private zero pages and
 * marks it lost; any
 * other SIGBUS ends the process as usual.
 * @return  0 or -errno
 * Thread:  once, at start.
 */
int fault_install(void);

/** Watch [@p base, @p base + @p len). Returns a slot (0 or more), or -ENOSPC. Thread: control. */
int fault_watch(void *base, size_t len);
/** End a watch before the range is unmapped. A negative slot is fine. Thread: control. */
void fault_unwatch(int slot);
/** True once a fault hit this watch. Negative slots are never lost. Thread: any. */
bool fault_lost(int slot);
/**
 * True once any fault was survived in this process: a cheap first look for the data path. Thread:
 * any.
 */
bool fault_any(void);

#endif
