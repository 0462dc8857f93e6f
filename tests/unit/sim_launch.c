/*
 * sim_launch.c: makes visible to ThreadSanitizer what DPDK does in code that was not built for it: all that a worker did
 * comes before the return of rte_eal_wait_lcore(). The real functions are called; the linker's --wrap puts these in front.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <rte_launch.h>

static struct {
	lcore_function_t *fn;
	void *arg;
	atomic_bool done;
} launched;

int __real_rte_eal_remote_launch(lcore_function_t *fn, void *arg, unsigned int lcore);
int __real_rte_eal_wait_lcore(unsigned int lcore);
int __wrap_rte_eal_remote_launch(lcore_function_t *fn, void *arg, unsigned int lcore);
int __wrap_rte_eal_wait_lcore(unsigned int lcore);

static int run(void *unused)
{
	int rc = launched.fn(launched.arg);

	atomic_store_explicit(&launched.done, true, memory_order_release);
	return rc;
}

int __wrap_rte_eal_remote_launch(lcore_function_t *fn, void *arg, unsigned int lcore)
{
	launched.fn = fn;
	launched.arg = arg;
	atomic_store(&launched.done, false);
	return __real_rte_eal_remote_launch(run, NULL, lcore);
}

int __wrap_rte_eal_wait_lcore(unsigned int lcore)
{
	int rc = __real_rte_eal_wait_lcore(lcore);

	while (!atomic_load_explicit(&launched.done, memory_order_acquire))
		;
	return rc;
}
