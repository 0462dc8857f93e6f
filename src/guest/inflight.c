/* inflight.c: making and mapping of the in-flight record. */
#include "guest/inflight.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/fault.h"

/* Queues share no cache line. */
#define QUEUE_ALIGN 64u

static uint64_t queue_bytes(uint16_t queue_size)
{
	uint64_t bytes = sizeof(struct inflight_queue) +
			 (uint64_t)queue_size * sizeof(struct inflight_desc);

	return (bytes + QUEUE_ALIGN - 1) / QUEUE_ALIGN * QUEUE_ALIGN;
}

uint64_t inflight_bytes(uint16_t queues, uint16_t queue_size)
{
	return queues * queue_bytes(queue_size);
}

int inflight_make(uint16_t queues, uint16_t queue_size, struct err *e)
{
	int fd = memfd_create("godwit-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING), rc;

	if (fd < 0)
		return err_set(e, -errno, "no memory for the in-flight record: %s",
			       strerror(errno));
	if (ftruncate(fd, (off_t)inflight_bytes(queues, queue_size)) < 0) {
		rc = err_set(e, -errno, "no memory for the in-flight record: %s", strerror(errno));
		close(fd);
		return rc;
	}
	return fd;
}

int inflight_map(int fd, uint64_t bytes, uint64_t offset, uint16_t queues, uint16_t queue_size,
		 struct inflight_area **out, struct err *e)
{
	uint64_t grain = (uint64_t)sysconf(_SC_PAGESIZE), front = offset % grain;
	struct inflight_area *a;
	struct stat st;

	if (bytes < inflight_bytes(queues, queue_size) || offset + bytes < offset ||
	    offset + bytes > INT64_MAX || offset % 8)
		return err_set(e, -EINVAL,
			       "in-flight record of %" PRIu64 " bytes at %" PRIu64 ", %" PRIu64
			       " bytes are needed",
			       bytes, offset, inflight_bytes(queues, queue_size));
	if (fstat(fd, &st) < 0)
		return err_set(e, -errno, "in-flight record: fstat: %s", strerror(errno));
	if (S_ISREG(st.st_mode) && offset + bytes > (uint64_t)st.st_size)
		return err_set(e, -EINVAL,
			       "in-flight record ends at %" PRIu64 " of a file of %" PRIu64
			       " bytes",
			       offset + bytes, (uint64_t)st.st_size);
	a = calloc(1, sizeof(*a));
	if (!a)
		return err_set(e, -ENOMEM, "no memory for the in-flight record");
	/* What is needed, not what is said: the rest is nobody's business. */
	a->map_bytes = front + inflight_bytes(queues, queue_size);
	a->map = mmap(NULL, a->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		      (off_t)(offset - front));
	if (a->map == MAP_FAILED) {
		int rc = -errno;

		free(a);
		return err_set(e, rc, "in-flight record: mmap: %s", strerror(-rc));
	}
	a->base = (uint8_t *)a->map + front;
	a->queues = queues;
	a->queue_size = queue_size;
	a->watch = fault_watch(a->map, a->map_bytes);
	if (a->watch < 0) {
		inflight_free(a);
		return err_set(e, -ENOSPC, "too many mappings are watched");
	}
	*out = a;
	return 0;
}

void inflight_free(struct inflight_area *a)
{
	if (!a)
		return;
	fault_unwatch(a->watch);
	munmap(a->map, a->map_bytes);
	free(a);
}

struct inflight_queue *inflight_queue(const struct inflight_area *a, unsigned int index)
{
	if (!a || index >= a->queues)
		return NULL;
	return (struct inflight_queue *)(void *)(a->base + index * queue_bytes(a->queue_size));
}
