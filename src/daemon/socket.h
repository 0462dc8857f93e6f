/* socket.h: the listening vhost-user socket: made, guarded against a second owner, removed. */
#ifndef GODWIT_DAEMON_SOCKET_H
#define GODWIT_DAEMON_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct listener {
	int fd;
	/** What was made and is removed at the end; empty when the socket was given to us. */
	char path[128];
	char dir[128];
	bool made_dir;
	/** Which socket is ours: another process may have put its own at the path since. */
	dev_t dev;
	ino_t ino;
};

/**
 * Listen on @p path: its directory is made with mode 0750, the socket has mode 0660, both belong to
 * @p group. A socket
 * that nobody serves any more is replaced, a live one is left alone.
 * @param group           group name
 * @param group_required  false: a group that does not exist, or that this user may not give files
 *                        to, is passed over with a warning
 * @return                0, -EADDRINUSE (served by another process), -ENAMETOOLONG, or another
 *                        -errno
 */
int listener_open(struct listener *l, const char *path, const char *group, bool group_required,
		  struct err *e);
/**
 * Take an open socket. @p connected tells whether it is a connection already. Returns 0 or
 * -ENOTSOCK.
 */
int listener_adopt(struct listener *l, int fd, bool *connected, struct err *e);
/**
 * No descriptor is left for a connection that waits at @p fd: turn it away, or the loop would spin on it.
 * @param spare_fd  an open descriptor that is given up for a moment
 * @param who       for the log: "a front-end"
 */
void listener_refuse(int fd, int *spare_fd, const char *who);
/** Close, and remove what was made. Idempotent. */
void listener_close(struct listener *l);

#endif
