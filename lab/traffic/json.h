/* Writes JSON to a stdio stream: nothing but the quoting and the small tables that the roles
 * share. */
#ifndef GWTRAFFIC_JSON_H
#define GWTRAFFIC_JSON_H

#include "flow.h"
#include "stream.h"

#include <stdio.h>

/**
 * Writes @len bytes as one JSON string, quotes included; bytes that are not printable ASCII
 * become \u00XX.
 */
void json_bytes(FILE *out, const char *s, size_t len);

/** The same for a C string. */
void json_string(FILE *out, const char *s);

/** "[[seq, when_ns], ...]" */
void json_events(FILE *out, const struct track_events *e);

/** "[[from_ns, to_ns], ...]" */
void json_gaps(FILE *out, const struct track_gaps *g);

/**
 * The numbers that never came, up to the highest that did: "[[first, last, before_ns, after_ns],
 * ...]", where the last two are the arrivals around the hole (before_ns is 0 when nothing came
 * before it).
 */
void json_missing(FILE *out, const struct track *t);

/** The state of a stream as one object; "null" when none was asked for. */
void json_stream(FILE *out, const struct stream *s);

#endif
