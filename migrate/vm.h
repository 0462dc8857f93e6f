/* vm.h: one VM of a migration as its QEMU tells it: state, events, memory, devices. */
#ifndef GODWIT_MIGRATE_VM_H
#define GODWIT_MIGRATE_VM_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "qmp.h"

#define VM_CALL_MS 20000 /* QEMU is silent while it loads or saves device state */

/** What query-migrate says. Figures are -1 when QEMU does not give them. */
struct vm_migration {
	char status[24]; /* "" when there was no migration yet */
	char error[256];
	int64_t downtime_ms, expected_downtime_ms, total_ms, setup_ms;
	int64_t transferred_bytes, remaining_bytes, total_bytes, normal_bytes;
	int64_t dirty_pages_rate, page_size, passes;
	double mbps; /* megabits a second, -1 unknown */
};

/** One side. Zero it, then vm_open(). One thread uses it. */
struct vm {
	const char *role; /* "source" or "destination" */
	const char *path;
	struct qmp *qmp; /* NULL before vm_open() */
	int process;	 /* pidfd of the QEMU behind the monitor, -1 unknown */
	char version[64];
	/* From the events since vm_open(): */
	double stop_at, resume_at; /* latest STOP and RESUME, seconds since 1970, 0 none */
	char migration[24];	   /* latest MIGRATION status, "" none */
	bool missed_events;	   /* the connection was lost and made again */
};

enum vm_life { VM_ALIVE, VM_ENDED, VM_UNKNOWN };

/**
 * Connect. @p role and @p path must outlive @p vm.
 * @return 0 or qmp_open()'s -errno; vm_close() is right in both cases
 */
int vm_open(struct vm *vm, const char *role, const char *path, struct err *e);
/** Disconnect; idempotent. */
void vm_close(struct vm *vm);

/** qmp_call() with VM_CALL_MS, and the role in front of the sentence. */
int vm_call(struct vm *vm, const char *command, json_t *arguments, json_t **result, struct err *e);

/** Run state ("running", "inmigrate"…) into @p state of @p size bytes. */
int vm_state(struct vm *vm, char *state, size_t size, struct err *e);

/** All figures unknown, no status. */
void vm_migration_init(struct vm_migration *m);

/** query-migrate. */
int vm_query_migration(struct vm *vm, struct vm_migration *m, struct err *e);

/**
 * Sleep until either VM says something, a signal comes, or @p timeout_ms; then take the events in.
 * A VM without a connection is skipped.
 */
void vm_wait(struct vm *a, struct vm *b, int timeout_ms);

/** True while the connection works. */
bool vm_connected(const struct vm *vm);

/**
 * Is the QEMU still there? Connects again when the connection was lost. VM_ENDED is a proof: the
 * process seen at vm_open() was a QEMU and has ended. A lost connection alone proves nothing (it
 * may have been forwarded from another host).
 */
enum vm_life vm_probe(struct vm *vm);

#endif
