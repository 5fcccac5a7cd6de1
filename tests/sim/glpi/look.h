#pragma once

#include "common/base/buf.h"
#include "tests/sim/glpi/world.h"

/*
 * How stored values look on the wire: the session's time zone, HTML-encoded text, and which
 * columns the simulated version has.
 */

struct look {
    bool version11;    /* raw text, other columns */
    bool encoded_95;   /* &lt; instead of &#60; */
    bool decoded;      /* X-GLPI-Sanitized-Content: false */
    int64_t offset_s;  /* of the user's zone, without summer time */
    bool european_dst; /* an hour more from the last Sunday of March to that of October */
    const char *zone;  /* its name, or NULL */
};

/* Sets the zone by name and, where the name is not known, by its offset. */
void look_set_zone(struct look *look, const char *name, int64_t offset_s);
int64_t look_local_s(const struct look *look, int64_t utc_s);
bool look_shows(const struct look *look, const struct column *column);
/* One JSON value. */
void look_write(const struct look *look,
                const struct column *column,
                const struct cell *cell,
                struct buf *out);
/* The value as text, as searchText sees it; false: null. */
bool look_text(const struct look *look,
               const struct column *column,
               const struct cell *cell,
               struct buf *out);
void look_encode(const struct look *look, struct str text, struct buf *out);
