/* fd.c: descriptors that somebody else gave us. */
#include "base/fd.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

bool fd_is_eventfd(int fd)
{
	static const char want[] = "anon_inode:[eventfd]";
	char path[40], link[sizeof(want) + 1];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link));
	return n == (ssize_t)sizeof(want) - 1 && memcmp(link, want, sizeof(want) - 1) == 0;
}

int fd_drain(int fd)
{
	uint64_t ticks;
	struct iovec to = { .iov_base = &ticks, .iov_len = sizeof(ticks) };

	/* O_NONBLOCK is shared with whoever holds the other copy, who can clear it at any time. */
	if (preadv2(fd, &to, 1, -1, RWF_NOWAIT) >= 0 || errno == EAGAIN || errno == EINTR)
		return 0;
	return -errno;
}
