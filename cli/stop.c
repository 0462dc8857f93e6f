/* stop.c: signals that ask the tool to stop. */
#include "stop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t wanted;

static void on_signal(int number)
{
	static const char first[] = "\ngodwit: stopping: the migration is taken back\n";
	static const char again[] = "\ngodwit: patience: the VM must be seen running first\n";
	int saved = errno;
	ssize_t n;

	(void)number;
	n = wanted ? write(2, again, sizeof(again) - 1) : write(2, first, sizeof(first) - 1);
	(void)n; /* nobody to tell */
	wanted = 1;
	errno = saved;
}

void stop_catch(void)
{
	/* Without SA_RESTART, so that a poll(2) ends and the wish is seen at once. */
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	/* A reader of our output that went away must not end a migration half-way. */
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
}

bool stop_wanted(void)
{
	return wanted;
}
