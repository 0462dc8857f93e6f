/*
 * unblock.h: break writes that another process makes block.
 *
 * Whether a write to an eventfd blocks is a flag of the open file, and the front-end that gave it to us
 * can change that flag at any time, and fill the counter. eventfds know no write that ignores the flag
 * (RWF_NOWAIT is refused), and a look before each write costs a system call and leaves a gap. So the
 * write is made as it is, and a signal breaks the one in a lifetime that blocks.
 */
#ifndef GODWIT_BASE_UNBLOCK_H
#define GODWIT_BASE_UNBLOCK_H

#include <sys/types.h>

/**
 * Take SIGUSR2, which then does nothing but end a blocking system call with EINTR.
 * @return  0 or -errno
 * Thread:  control; the calls below are good after it. Any number of times.
 */
int unblock_init(void);

/**
 * From now on the calling thread blocks in no system call for longer than 100 ms at a time, until
 * unblock_end(). Around the one write only: other system calls may not be made for it. Thread: control.
 */
void unblock_begin(void);
void unblock_end(void);

/** Break the system call in which @p thread (gettid()) may hang. 0 or less is fine. Thread: any. */
void unblock_thread(pid_t thread);

#endif
