/*
 * notify.h: what a port's driver noticed (a reset, a removal, a link change), carried from DPDK's
 * interrupt thread to the control thread.
 */
#ifndef GODWIT_VF_NOTIFY_H
#define GODWIT_VF_NOTIFY_H

#include <stdatomic.h>

struct vf;

enum vf_news {
	/** The PF or the VF was reset: the port has to be started anew. */
	VF_NEWS_RESET = 1,
	/** The device goes away: it has to be given back. */
	VF_NEWS_REMOVED = 2,
	/** The link may have changed. */
	VF_NEWS_LINK = 4,
};

/** Any thread sets bits and makes the eventfd readable; the control thread takes them. */
struct vf_notify {
	int fd;
	atomic_uint news;
};

/** Make the eventfd. Returns 0 or -errno. Ended with vf_notify_end(). */
int vf_notify_init(struct vf_notify *n);
/** Close it. One whose fd is -1 is fine. No port may be watched. */
void vf_notify_end(struct vf_notify *n);
/** Say that @p news (bits of enum vf_news) came. Thread: any; never blocks. */
void vf_notify_raise(struct vf_notify *n, unsigned int news);
/** Take what came since the last call, and clear the eventfd. Thread: control. */
unsigned int vf_notify_take(struct vf_notify *n);

/** Have what happens to an attached port raised in its vf->notify. Thread: control. */
int vf_watch(struct vf *vf);
/** No more of it: when it returns, no callback runs. Idempotent. Thread: control. */
void vf_unwatch(struct vf *vf);

#endif
