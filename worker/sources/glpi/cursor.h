#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/conf/catalog.h"
#include "common/conf/config.h"
#include "worker/sources/glpi/session.h"

/*
 * What a task remembers of its last run:
 * {"high": newest change read, "log": highest id of the log, "read_at": the server's clock then,
 *  "entities": "0-2,5", "missing": those of them that were out of sight then,
 *  "fingerprint": what it was read with}.
 */

struct glpi_cursor {
    bool is_usable; /* else why_not says so */
    const char *why_not;
    int64_t high_us;
    int64_t read_at_us;   /* INT64_MIN if unknown */
    int64_t log_id;       /* -1 if unknown */
    const char *entities; /* in the arena; NULL if unknown */
    const char *missing;  /* in the arena; NULL if none */
};

/* `text` may be NULL. Strings come from the arena. */
void glpi_cursor_read(const char *text,
                      const struct source_config *source,
                      const struct task_def *task,
                      struct arena *arena,
                      struct glpi_cursor *ret_cursor);

/* The JSON of a cursor with this list of entities; NULL when the arena is full. */
const char *glpi_cursor_write(const struct glpi_cursor *cursor,
                              const struct source_config *source,
                              const struct task_def *task,
                              struct str entities,
                              struct arena *arena);

/* Ascending ids as "0-2,5". */
void glpi_entities_write(const int64_t *ids, size_t n, struct buf *out);

/* What the union of both sets is, and which of `old` (text) are not in `ids` any more: their number
 * and, in `lost`, their text. An unreadable old set loses nothing. */
size_t glpi_entities_compare(
    const char *old, const int64_t *ids, size_t n, struct buf *all, struct buf *lost);

/* Are there `ids` that the run of `cursor` did not see? An unreadable set gains nothing. */
bool glpi_entities_gained(const struct glpi_cursor *cursor, const int64_t *ids, size_t n);
