/* stop.h: Ctrl-C and its kin: ask once, then be patient. */
#ifndef GODWIT_CLI_STOP_H
#define GODWIT_CLI_STOP_H

#include <stdbool.h>

/**
 * Take SIGINT, SIGTERM and SIGHUP as a wish to stop, instead of dying in mid-work. The first says on
 * standard error that things are put back, each further one asks for patience.
 */
void stop_catch(void);

/** True once one of them came. Thread: any. */
bool stop_wanted(void);

#endif
