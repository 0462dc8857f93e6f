/* loop.h: the control thread's event loop over epoll: file descriptors, timers, signals. */
#ifndef GODWIT_BASE_LOOP_H
#define GODWIT_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

/**
 * Called when @p fd is ready; @p events as of epoll(7). It may remove itself or any other source.
 */
typedef void loop_fn(void *arg, int fd, uint32_t events);

/** Make a loop. Returns 0 or -errno. The caller owns *out and frees it with loop_free(). */
int loop_new(struct loop **out);
/**
 * Free a loop. File descriptors that were added stay open, except those the loop made itself. NULL
 * is fine.
 */
void loop_free(struct loop *l);

/**
 * Watch a file descriptor. The loop does not own it: call loop_remove() before closing it.
 * @param events  EPOLLIN, EPOLLOUT…
 * @return        0 or -errno
 * Thread:        the loop's, as all calls here.
 */
int loop_add(struct loop *l, int fd, uint32_t events, loop_fn *fn, void *arg);
/** Change what is watched. Returns 0 or -errno. */
int loop_modify(struct loop *l, int fd, uint32_t events);
/** Stop watching; a callback that is already due is not called any more. Unknown @p fd is fine. */
void loop_remove(struct loop *l, int fd);

/**
 * A one-shot or periodic timer.
 * @return  its file descriptor (owned by the loop, end it with loop_timer_free()), or -errno
 */
int loop_timer(struct loop *l, loop_fn *fn, void *arg);
/** Arm: first after @p after_ns (0 disarms), then every @p every_ns (0: once). */
int loop_timer_set(struct loop *l, int timer, uint64_t after_ns, uint64_t every_ns);
/** End a timer. Negative @p timer is fine. */
void loop_timer_free(struct loop *l, int timer);

/**
 * Take signals through the loop. Blocks them in the calling thread (make threads afterwards, so
 * that they inherit it).
 * The callback's @p events is the signal's number.
 * @param signals  zero-terminated list
 */
int loop_signals(struct loop *l, const int *signals, loop_fn *fn, void *arg);

/** Run until loop_stop(). Returns 0, or -errno when epoll fails. */
int loop_run(struct loop *l);
/** Ask the loop to end after the callback at hand. */
void loop_stop(struct loop *l);

#endif
