/* unblock.c: SIGUSR2 as a way to end a system call, once or by a timer. */
#include "base/unblock.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_NS 100000000

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static timer_t timer;
static bool ready;

static void nothing(int sig)
{
}

int unblock_init(void)
{
	/* Without SA_RESTART: the system call is to end. */
	struct sigaction sa = { .sa_handler = nothing };
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2 };

	if (ready)
		return 0;
	sigemptyset(&sa.sa_mask);
	ev.sigev_notify_thread_id = gettid();
	if (sigaction(SIGUSR2, &sa, NULL) < 0 || timer_create(CLOCK_MONOTONIC, &ev, &timer) < 0)
		return -errno;
	ready = true;
	return 0;
}

static void timer_arm(long ns)
{
	struct itimerspec its = { .it_value.tv_nsec = ns, .it_interval.tv_nsec = ns };

	if (ready)
		timer_settime(timer, 0, &its, NULL);
}

void unblock_begin(void)
{
	timer_arm(PATIENCE_NS);
}

void unblock_end(void)
{
	timer_arm(0);
}

void unblock_thread(pid_t thread)
{
	if (ready && thread > 0)
		syscall(SYS_tgkill, getpid(), thread, SIGUSR2);
}
