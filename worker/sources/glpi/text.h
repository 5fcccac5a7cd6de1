#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"
#include "common/io/zone.h"

/*
 * What GLPI's strings mean: the one level of HTML entities that versions before 11 store, and local
 * clock readings without an offset. Pure; works in place on the page.
 */

/* Which columns of a server come encoded although X-GLPI-Sanitized-Content: false was sent. */
enum glpi_encoding {
    GLPI_PLAIN,         /* 11: nothing is encoded */
    GLPI_ENCODED_TREES, /* 10: completename, whose raw " > " makes the server take it for decoded */
    GLPI_ENCODED,       /* 9.5 and before: everything, the header is not known */
};

enum glpi_encoding glpi_encoding_of(int version_major);

/* Decodes &#60; &#62; &#38; &lt; &gt; &amp; once, in place: what comes out is not looked at again.
 * `text` must be writable. Returns the shorter view. */
struct str glpi_decode(struct str text);

/* Must this value of this field be decoded? */
bool glpi_is_encoded(enum glpi_encoding encoding, struct str field, struct str text);

#define GLPI_TIME_LEN 19 /* 2026-11-22 01:09:45 */

enum glpi_time { GLPI_TIME_NONE, GLPI_TIME_GOOD, GLPI_TIME_BAD };

/* An instant as far as a clock reading tells: two of them in the hour that comes twice. */
struct glpi_moment {
    int64_t first_us;
    int64_t last_us;
};

/* Empty and 0000-00-00 00:00:00 are NONE. */
enum glpi_time
glpi_read_time(const struct zone *zone, struct str text, struct glpi_moment *ret_moment);

/* Writes UTC over the reading; the earlier instant where it stands for two. `text` has
 * GLPI_TIME_LEN writable bytes. */
void glpi_write_time(int64_t us, char *text);
