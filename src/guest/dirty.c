/* dirty.c: mapping of the dirty log. */
#include "guest/dirty.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/fault.h"

int dirty_log_new(int fd, uint64_t bytes, uint64_t offset, struct dirty_log **out, struct err *e)
{
	uint64_t grain = (uint64_t)sysconf(_SC_PAGESIZE), front = offset % grain;
	struct dirty_log *l;
	struct stat st;

	if (!bytes || offset + bytes < offset || offset + bytes > INT64_MAX)
		return err_set(e, -EINVAL, "dirty log of %" PRIu64 " bytes at %" PRIu64, bytes,
			       offset);
	if (fstat(fd, &st) < 0)
		return err_set(e, -errno, "dirty log: fstat: %s", strerror(errno));
	if (S_ISREG(st.st_mode) && offset + bytes > (uint64_t)st.st_size)
		return err_set(e, -EINVAL,
			       "dirty log ends at %" PRIu64 " of a file of %" PRIu64 " bytes",
			       offset + bytes, (uint64_t)st.st_size);
	l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(e, -ENOMEM, "no memory for the dirty log");
	l->watch = -1;
	l->map_bytes = front + bytes;
	l->map = mmap(NULL, l->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		      (off_t)(offset - front));
	if (l->map == MAP_FAILED) {
		int rc = -errno;

		free(l);
		return err_set(e, rc, "dirty log: mmap: %s", strerror(-rc));
	}
	l->bits = (uint8_t *)l->map + front;
	/* A log too large to count in pages covers everything there is. */
	l->pages = bytes > UINT64_MAX / 8 ? UINT64_MAX : bytes * 8;
	l->watch = fault_watch(l->map, l->map_bytes);
	if (l->watch < 0) {
		dirty_log_free(l);
		return err_set(e, -ENOSPC, "too many mappings are watched");
	}
	*out = l;
	return 0;
}

void dirty_log_free(struct dirty_log *l)
{
	if (!l)
		return;
	fault_unwatch(l->watch);
	munmap(l->map, l->map_bytes);
	free(l);
}

bool dirty_log_lost(const struct dirty_log *l)
{
	return fault_lost(l->watch);
}

bool dirty_log_covers(const struct dirty_log *l, struct gpa gpa, uint64_t len)
{
	return len == 0 || (gpa.v + len - 1 >= gpa.v && (gpa.v + len - 1) / 4096 < l->pages);
}
