/*
 * socket.c: opening the vhost-user socket.
 *
 * connect() tells a live socket from a dead one. Between bind() and listen() a live one looks dead, so
 * all that happens under a lock on the directory: two processes that start at once get one answer each.
 */
#include "daemon/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

#define LOCK_TRIES 100
#define LOCK_PAUSE_US 20000

static int group_id(const char *name, bool required, gid_t *out, struct err *e)
{
	const struct group *g = getgrnam(name);

	if (g) {
		*out = g->gr_gid;
		return 0;
	}
	if (required)
		return err_set(e, -ENOENT,
			       "group '%s' does not exist: make it, or name another with --group",
			       name);
	log_warning("group '%s' does not exist: the socket stays with the group of this process",
		    name);
	return 0;
}

/* Gives @p path to the group: an error only where that group was asked for by name. */
static int group_give(const char *path, gid_t gid, bool required, struct err *e)
{
	if (gid == (gid_t)-1 || chown(path, (uid_t)-1, gid) == 0)
		return 0;
	if (required)
		return err_set(e, -errno,
			       "%s cannot be given to the group (%s): join it, run as root, or name "
			       "another with --group",
			       path, strerror(errno));
	log_warning("%s cannot be given to the group (%s): it keeps this process's", path,
		    strerror(errno));
	return 0;
}

/* Only the last component, and /run/godwit above it, are ours to make. */
static int dir_make(struct listener *l, const char *path, gid_t gid, bool required, struct err *e)
{
	bool default_dir;
	char *slash;

	snprintf(l->dir, sizeof(l->dir), "%s", path);
	slash = strrchr(l->dir, '/');
	if (!slash || slash == l->dir) {
		snprintf(l->dir, sizeof(l->dir), "%s", slash ? "/" : ".");
		return 0;
	}
	*slash = 0;
	default_dir = strncmp(l->dir, "/run/godwit/", 12) == 0;
	if (default_dir && mkdir("/run/godwit", 0755) < 0 && errno != EEXIST)
		return err_set(e, -errno, "directory /run/godwit cannot be made: %s",
			       strerror(errno));
	l->made_dir = mkdir(l->dir, 0750) == 0;
	if (!l->made_dir && errno != EEXIST)
		return err_set(e, -errno, "directory %s cannot be made: %s", l->dir,
			       strerror(errno));
	/* One of ours that a killed process left behind is put right, and goes at the end. */
	l->made_dir = l->made_dir || default_dir;
	if (!l->made_dir)
		return 0;
	/* Whatever the umask is: the group must get through. */
	if (chmod(l->dir, 0750) < 0)
		return err_set(e, -errno, "directory %s: chmod: %s", l->dir, strerror(errno));
	return group_give(l->dir, gid, required, e);
}

/* Returns a descriptor that holds the lock, or -errno. Others hold it for moments only. */
static int dir_lock(const char *dir, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, -errno, "directory %s: %s", dir, strerror(errno));
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (i == LOCK_TRIES) {
			close(fd);
			return err_set(e, -EADDRINUSE, "directory %s is locked by another process",
				       dir);
		}
		usleep(LOCK_PAUSE_US);
	}
	return fd;
}

/* Returns 0 when the path is free (a dead socket is removed), or -EADDRINUSE. */
static int path_free(const char *path, const struct sockaddr_un *sa, struct err *e)
{
	struct stat st;
	int fd, rc;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ?
			       0 :
			       err_set(e, -errno, "socket path %s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return err_set(
			e, -EADDRINUSE,
			"socket path %s is there, and is no socket: remove it, or take another path",
			path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(e, -errno, "socket: %s", strerror(errno));
	rc = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 ? -errno : 0;
	close(fd);
	/* EAGAIN: its backlog is full, so somebody lives behind it. */
	if (rc != -ECONNREFUSED)
		return err_set(
			e, rc == 0 || rc == -EAGAIN ? -EADDRINUSE : rc,
			"socket path %s is served by another process%s: end that, or take another --name or --socket-path",
			path, rc == -EACCES ? " (or not permitted)" : "");
	log_info("dead socket %s is replaced", path);
	return unlink(path) < 0 ? err_set(e, -errno, "dead socket %s cannot be removed: %s", path,
					  strerror(errno)) :
				  0;
}

static int bind_at(struct listener *l, const char *path, const struct sockaddr_un *sa, gid_t gid,
		   bool required, struct err *e)
{
	struct stat st;
	mode_t mask;
	int rc;

	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return err_set(e, -errno, "socket: %s", strerror(errno));
	/* Never wider than meant, not even for a moment. */
	mask = umask(0117);
	rc = bind(l->fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 ? -errno : 0;
	umask(mask);
	if (rc)
		return err_set(e, rc, "socket path %s: %s", path, strerror(-rc));
	if (lstat(path, &st) < 0)
		return err_set(e, -errno, "socket path %s: %s", path, strerror(errno));
	snprintf(l->path, sizeof(l->path), "%s", path);
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	if (listen(l->fd, 16) < 0)
		return err_set(e, -errno, "socket %s: listen: %s", path, strerror(errno));
	return group_give(path, gid, required, e);
}

static int take_path(struct listener *l, const char *path, const struct sockaddr_un *sa, gid_t gid,
		     bool required, struct err *e)
{
	int lock = dir_lock(l->dir, e), rc;

	if (lock < 0)
		return lock;
	rc = path_free(path, sa, e);
	if (!rc)
		rc = bind_at(l, path, sa, gid, required, e);
	close(lock);
	return rc;
}

int listener_open(struct listener *l, const char *path, const char *group, bool group_required,
		  struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	gid_t gid = (gid_t)-1;
	int rc;

	*l = (struct listener){ .fd = -1 };
	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(e, -ENAMETOOLONG, "socket path %s is longer than %zu characters",
			       path, sizeof(sa.sun_path) - 1);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	rc = group_id(group, group_required, &gid, e);
	if (!rc)
		rc = dir_make(l, path, gid, group_required, e);
	if (!rc)
		rc = take_path(l, path, &sa, gid, group_required, e);
	if (rc)
		listener_close(l);
	return rc;
}

int listener_adopt(struct listener *l, int fd, bool *connected, struct err *e)
{
	int listening = 0, type = 0, domain = 0;
	socklen_t len = sizeof(listening);

	*l = (struct listener){ .fd = -1 };
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return err_set(e, -ENOTSOCK, "--fd %d is no open socket", fd);
	if (type != SOCK_STREAM || domain != AF_UNIX)
		return err_set(e, -ENOTSOCK, "--fd %d is no UNIX stream socket", fd);
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_set(e, -errno, "--fd %d: %s", fd, strerror(errno));
	l->fd = fd;
	*connected = !listening;
	return 0;
}

void listener_refuse(int fd, int *spare_fd, const char *who)
{
	log_error("%s is refused: no file descriptors are left", who);
	if (*spare_fd >= 0)
		close(*spare_fd);
	close(accept4(fd, NULL, NULL, SOCK_CLOEXEC));
	*spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void listener_close(struct listener *l)
{
	struct stat st;

	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	if (l->path[0] && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	l->path[0] = 0;
	if (l->made_dir)
		rmdir(l->dir);
	l->made_dir = false;
}
