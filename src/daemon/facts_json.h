/* facts_json.h: a vNIC's facts as JSON. docs/protocol.md describes each member. */
#ifndef GODWIT_DAEMON_FACTS_JSON_H
#define GODWIT_DAEMON_FACTS_JSON_H

#include <jansson.h>

#include "vnic/facts.h"

/** The result of `show`. New reference, or NULL (no memory). */
json_t *facts_json_show(const struct vnic_facts *f);
/** The result of `stats`. New reference, or NULL (no memory). */
json_t *facts_json_stats(const struct vnic_facts *f);

#endif
