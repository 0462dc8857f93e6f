/*
 * fault.c: SIGBUS on guest memory.
 *
 * The front-end owns the files behind guest memory and can truncate them after we mapped them. The
 * next access then
 * raises SIGBUS in whichever thread made it. The handler maps anonymous pages over the whole range
 * (a part of a hugetlb
 * mapping cannot be replaced), so the access completes on zeroes, and the mark makes the vNIC drop
 * that connection.
 * Watches are a fixed table of atomics, since a signal handler may not take a lock.
 */
#include "guest/fault.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

/*
 * All memory slots, a table that replaces them, and beside each a dirty log and an in-flight record.
 */
#define WATCHES 528

static struct {
	_Atomic uintptr_t base;
	atomic_size_t len;
	atomic_bool lost;
} watch[WATCHES];

static atomic_bool any;

static void fault_handler(int sig, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	int saved = errno;

	for (int i = 0; i < WATCHES; i++) {
		uintptr_t base = atomic_load(&watch[i].base);
		size_t len = atomic_load(&watch[i].len);

		if (!base || at < base || at - base >= len)
			continue;
		if (mmap((void *)base, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
			 0) == MAP_FAILED)
			break;
		atomic_store(&watch[i].lost, true);
		atomic_store(&any, true);
		errno = saved;
		return;
	}
	signal(SIGBUS, SIG_DFL);
	errno = saved;
}

int fault_install(void)
{
	struct sigaction sa = { .sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO };

	sigemptyset(&sa.sa_mask);
	return sigaction(SIGBUS, &sa, NULL) < 0 ? -errno : 0;
}

int fault_watch(void *base, size_t len)
{
	for (int i = 0; i < WATCHES; i++) {
		if (atomic_load(&watch[i].base))
			continue;
		atomic_store(&watch[i].lost, false);
		atomic_store(&watch[i].len, len);
		atomic_store(&watch[i].base, (uintptr_t)base);
		return i;
	}
	return -ENOSPC;
}

void fault_unwatch(int slot)
{
	if (slot >= 0)
		atomic_store(&watch[slot].base, 0);
}

bool fault_lost(int slot)
{
	return slot >= 0 && atomic_load_explicit(&watch[slot].lost, memory_order_relaxed);
}

bool fault_any(void)
{
	return atomic_load_explicit(&any, memory_order_relaxed);
}
