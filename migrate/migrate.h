/* migrate.h: moving a VM: what is asked, what is told meanwhile, what came of it. */
#ifndef GODWIT_MIGRATE_MIGRATE_H
#define GODWIT_MIGRATE_MIGRATE_H

#include <stdbool.h>
#include <stdint.h>

#include "plan.h"
#include "vm.h"

/** Strings belong to the caller and outlive the run. */
struct migrate_request {
	const char *mode;	    /* "vnic" */
	const char *name;	    /* the VM's, as QEMU's -name has it */
	const char *qmp, *to_qmp;   /* monitors of source and destination */
	const char *uri;	    /* tcp:HOST:PORT or unix:PATH */
	unsigned int downtime_ms;   /* longest stop that QEMU aims at */
	unsigned int bandwidth_mib; /* MiB/s, 0: leave QEMU's limit */
	unsigned int timeout_s;	    /* for the copy while the VM runs, 0: none */
};

/** Where it stands, several times a second while memory is copied. */
struct migrate_progress {
	const char *phase;
	double elapsed_s;
	const struct vm_migration *figures; /* NULL outside of the copy */
	int eta_s;			    /* until the copy is done, -1 unknown */
	const char *stall; /* why it does not converge and what to do; NULL when it does */
};

/** How the run talks to its caller; functions may be NULL. They are called in the run's thread. */
struct migrate_hooks {
	void *arg;
	void (*progress)(void *arg, const struct migrate_progress *p);
	void (*notice)(void *arg, const char *text); /* one sentence worth showing */
	bool (*interrupted)(void *arg);		     /* the user asked to stop */
};

enum migrate_outcome { MIGRATE_OK, MIGRATE_FAILED, MIGRATE_CANCELLED };

#define MIGRATE_NOTICES_MAX 8

/** What came of it. Needs no freeing. */
struct migrate_result {
	enum migrate_outcome outcome;
	struct err reason;				  /* why not, "" when ok */
	struct err state;				  /* where the VM is now, one sentence */
	char source_version[64], destination_version[64]; /* "" unknown */
	char source_state[24], destination_state[24]; /* run states at the end, "gone", "unknown" */
	double stop_at, resume_at;   /* seconds since 1970 by each QEMU's clock, 0 did not happen */
	struct vm_migration figures; /* the last that were seen */
	struct plan_phase phases[PLAN_PHASES_MAX];
	size_t phase_count;
	char notices[MIGRATE_NOTICES_MAX][256];
	size_t notice_count;
};

/**
 * Move a VM. Blocks until the VM has moved, or until everything is undone.
 * Never starts a VM that may be running at the other side too.
 * @param hooks  may be NULL
 * @param out    filled in, also on failure
 * @return       0 moved; -ECANCELED, or another -errno with out->reason
 * Thread:       one run at a time per thread; no global state.
 */
int migrate_run(const struct migrate_request *req, const struct migrate_hooks *hooks,
		struct migrate_result *out);

/** A sentence when the request cannot work in itself (usage): 0, or -EINVAL. */
int migrate_check(const struct migrate_request *req, struct err *e);

#endif
