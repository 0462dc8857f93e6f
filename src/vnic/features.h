/* features.h: the feature bits that a vNIC offers, as one table. */
#ifndef GODWIT_VNIC_FEATURES_H
#define GODWIT_VNIC_FEATURES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

/** One row of the table. */
struct vnic_feature {
	/** As QEMU's property is called, where it has one. */
	const char *name;
	unsigned int bit;
	/** Offered unless it is switched off. */
	bool on;
	/** No vNIC works, or no migration, without it: it cannot be switched off. */
	bool fixed;
	/** Masks of bits: all of the first, and one of the second (when it is not 0). */
	uint64_t needs_all, needs_one;
	/** Where it is done, and what it is. */
	const char *where, *what;
};

/** The table, ended by a row without a name. */
extern const struct vnic_feature vnic_feature_table[];

/** The mask of bits that are off unless they are switched on. */
uint64_t vnic_features_off(void);
/**
 * Read switches: "csum=off,host_tso4=off", "-csum", "csum=on"; later ones win.
 * @param off  in: what is off so far; out: with the switches applied; unchanged on failure
 * @return     0, or -EINVAL with a sentence that lists the names
 */
int vnic_features_parse(const char *text, uint64_t *off, struct err *e);
/** The table without @p off, and without what needs something that is missing. Spec: 5.1.3.1 */
uint64_t vnic_features_offer(uint64_t off);
/** Print the names that can be switched, in lines of at most @p columns, each after @p indent. */
void vnic_features_names(FILE *to, const char *indent, unsigned int columns);
/** What of @p acked the path has to do, as a mask of enum path_offload. */
unsigned int vnic_features_offloads(uint64_t acked);

#endif
