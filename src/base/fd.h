/* fd.h: descriptors that somebody else gave us. */
#ifndef GODWIT_BASE_FD_H
#define GODWIT_BASE_FD_H

#include <stdbool.h>

/**
 * Is @p fd an eventfd? Asks nothing of whoever serves the file behind it: a file of a file system
 * in user space may answer fstat() or poll() when it likes. False where there is no /proc.
 */
bool fd_is_eventfd(int fd);

/**
 * Take what waits in an eventfd. Never blocks, whatever its flags are and whoever else reads it.
 * @return  0 taken or empty, -errno it cannot be read so
 */
int fd_drain(int fd);

#endif
