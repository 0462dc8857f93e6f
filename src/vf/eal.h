/* eal.h: DPDK's environment, started lean: own memory, own CPUs, no shared files, no telemetry. */
#ifndef GODWIT_VF_EAL_H
#define GODWIT_VF_EAL_H

#include <stdbool.h>

#include "base/err.h"

struct eal_config {
	/**
	 * DPDK memory in MiB, from huge pages when there are enough free ones, else from ordinary
	 * pages. Huge pages are taken at the start, and more when they run out; of ordinary ones it
	 * is the most, and what is not used costs nothing. 0: HUGE_MIB or ORDINARY_MIB of eal.c.
	 */
	unsigned int memory_mib;
	/** CPU list for the worker ("2", "2-3,6"); NULL: those the process may use. */
	const char *cpus;
	/** Names the process in DPDK's messages. */
	const char *name;
};

/** What was chosen, for the log. */
struct eal_facts {
	bool huge_pages;
	const char *dpdk_version;
};

/**
 * Start DPDK. Once a process. The calling thread becomes lcore 0 (control), a second thread lcore 1
 * (the worker).
 * DPDK's own messages go to our log, at level debug, errors at level info.
 * @return  0, -EINVAL (CPU list), -ENOMEM, or -EIO
 */
int eal_start(const struct eal_config *cfg, struct eal_facts *facts, struct err *e);
/**
 * Let this thread take the signals by which net_tap's driver learns of frames (the first real-time
 * signal that is free), or leave them to others. The driver finds no frame before its handler has
 * run, so the worker takes them; eal_start() leaves them, for the threads that DPDK starts too.
 */
void eal_signals(bool take);
/** Give DPDK's memory back. After every vf_detach(). */
void eal_stop(void);
/** The first error line of DPDK's own since eal_error_clear(), or "". For sentences only. */
const char *eal_error(void);
void eal_error_clear(void);

#endif
