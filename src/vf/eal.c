/* eal.c: start of DPDK's environment abstraction layer. */
#include "vf/eal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_version.h>

#include "base/log.h"
#include "vf/drivers.h"

#define HUGE_PAGE_KIB 2048
/* Packet buffers and a card's rings take 7 to 10 MiB. */
#define HUGE_MIB 16
#define ORDINARY_MIB 64

static char first_error[256];

const char *eal_error(void)
{
	return first_error;
}

void eal_error_clear(void)
{
	first_error[0] = 0;
}

/* DPDK writes whole lines. The first that speaks of a failure is kept for our own sentence. */
static ssize_t eal_log_line(void *cookie, const char *buf, size_t size)
{
	int n = (int)size;

	while (n > 0 && isspace((unsigned char)buf[n - 1]))
		n--;
	if (n == 0)
		return (ssize_t)size;
	if (rte_log_cur_msg_loglevel() <= (int)RTE_LOG_ERR && rte_log_cur_msg_loglevel() > 0) {
		if (!first_error[0])
			snprintf(first_error, sizeof(first_error), "%.*s", n, buf);
		log_info("dpdk: %.*s", n, buf);
	} else {
		log_debug("dpdk: %.*s", n, buf);
	}
	return (ssize_t)size;
}

static FILE *eal_log_open(void)
{
	cookie_io_functions_t io = { .write = eal_log_line };
	FILE *f = fopencookie(NULL, "w", io);

	if (f)
		setvbuf(f, NULL, _IOLBF, 0);
	return f;
}

static unsigned long huge_pages_count(const char *name)
{
	unsigned long pages = 0;
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-2048kB/%s", name);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%lu", &pages) != 1)
		pages = 0;
	fclose(f);
	return pages;
}

/* Free, and promised to nobody: a VM on huge pages has its own reserved before it touches them. */
static unsigned long huge_pages_free_kib(void)
{
	unsigned long all = huge_pages_count("free_hugepages");
	unsigned long promised = huge_pages_count("resv_hugepages");

	return all > promised ? (all - promised) * HUGE_PAGE_KIB : 0;
}

/* "0,2-3" of the CPUs that this process may run on. */
static int cpus_allowed(char *text, size_t size)
{
	cpu_set_t set;
	size_t used = 0;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return -errno;
	text[0] = 0;
	for (int cpu = 0, last; cpu < CPU_SETSIZE; cpu = last + 1) {
		int n;

		last = cpu;
		if (!CPU_ISSET(cpu, &set))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &set))
			last++;
		n = snprintf(text + used, size - used, "%s%d-%d", used ? "," : "", cpu, last);
		if (n < 0 || (size_t)n >= size - used)
			return -E2BIG;
		used += (size_t)n;
	}
	return used ? 0 : -EINVAL;
}

/* "2-3,6", of CPUs that this process may use: DPDK's own parser says less. */
static int cpus_check(const char *list, struct err *e)
{
	const char *at = list;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return err_set(e, -errno, "cannot tell the CPUs that may be used");
	do {
		int first = -1, last, n = 0;

		if (!isdigit((unsigned char)*at) || sscanf(at, "%4d%n", &first, &n) != 1)
			break;
		at += n;
		last = first;
		if (*at == '-' && isdigit((unsigned char)at[1]) &&
		    sscanf(at + 1, "%4d%n", &last, &n) == 1)
			at += n + 1;
		for (int cpu = first; cpu <= last; cpu++)
			if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &set))
				return err_set(
					e, -EINVAL,
					"CPU list '%s': CPU %d is not among those this process may use",
					list, cpu);
		if (last >= first && !*at)
			return 0;
	} while (*at++ == ',');
	return err_set(e, -EINVAL, "CPU list '%s': give numbers and ranges, such as 2 or 2-3,6",
		       list);
}

/*
 * DPDK prints its usage to standard output and alerts to standard error when it does not like to
 * start. Both are sent
 * away while it starts: the reason comes back through its log, and we say it in one sentence.
 */
static int eal_init_quietly(int argc, char **argv)
{
	int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3),
	    error = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), rc;

	fflush(stdout);
	if (out >= 0 && error >= 0 && null >= 0) {
		log_to(error);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	drivers_begin();
	rc = rte_eal_init(argc, argv);
	drivers_end();
	fflush(stdout);
	if (out >= 0 && error >= 0 && null >= 0) {
		dup2(out, STDOUT_FILENO);
		dup2(error, STDERR_FILENO);
		log_to(STDERR_FILENO);
	}
	if (out >= 0)
		close(out);
	if (error >= 0)
		close(error);
	if (null >= 0)
		close(null);
	return rc;
}

void eal_signals(bool take)
{
	sigset_t set;

	sigemptyset(&set);
	for (int i = SIGRTMIN; i <= SIGRTMAX; i++)
		sigaddset(&set, i);
	pthread_sigmask(take ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

int eal_start(const struct eal_config *cfg, struct eal_facts *facts, struct err *e)
{
	/* DPDK keeps pointers to its arguments: they live as long as the process. */
	static char program[72], lcores[4400], memory[24];
	unsigned int wanted = cfg->memory_mib ? cfg->memory_mib : HUGE_MIB;
	bool huge = huge_pages_free_kib() >= wanted * 1024ul;
	char *argv[] = {
		program,
		/* Without huge pages DPDK has a memory model of its own, which --in-memory excludes. */
		huge ? "--in-memory" : "--no-shconf",
		"--no-telemetry",
		"--iova-mode=va",
		/* Nothing is probed at the start: devices come by name. The address is no device's. */
		"-a",
		"ffff:ff:1f.7",
		"--lcores",
		lcores,
		"-m",
		memory,
		huge ? NULL : "--no-huge",
		NULL,
	};
	int argc = (int)(sizeof(argv) / sizeof(argv[0])) - (huge ? 2 : 1), rc;
	char allowed[2048];
	FILE *f;

	rc = cpus_allowed(allowed, sizeof(allowed));
	if (rc)
		return err_set(e, rc, "cannot tell the CPUs that may be used");
	if (cfg->cpus) {
		rc = cpus_check(cfg->cpus, e);
		if (rc)
			return rc;
	}
	snprintf(program, sizeof(program), "%s", cfg->name);
	snprintf(lcores, sizeof(lcores), "0@(%s),1@(%s)", allowed, cfg->cpus ? cfg->cpus : allowed);
	snprintf(memory, sizeof(memory), "%u", huge || cfg->memory_mib ? wanted : ORDINARY_MIB);
	f = eal_log_open();
	if (f)
		rte_openlog_stream(f);
	eal_signals(false);
	rc = eal_init_quietly(argc, argv);
	if (rc < 0)
		return err_set(e, rte_errno == ENOMEM ? -ENOMEM : -EIO, "DPDK does not start%s%s",
			       first_error[0] ? ": " : "", first_error);
	facts->huge_pages = huge;
	facts->dpdk_version = rte_version();
	return 0;
}

void eal_stop(void)
{
	rte_eal_cleanup();
}
