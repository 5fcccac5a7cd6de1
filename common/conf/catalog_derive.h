#pragma once

#include "common/conf/catalog_task.h"

/*
 * From a built task to another, as the configuration needs them: more fields for a table, fewer
 * fields for a source. All members stay consistent; indexes of columns are moved.
 */

/* One more field of the configuration, and where it stands. */
struct extra_field {
    struct field field;
    int line;
};

/* `base` with the extra fields' columns behind its own, whose positions stay. A field that exists
 * must have the same type; `display` may be added. NULL after a fault, which begins with `where`.
 */
const struct task_def *catalog_extend_task(struct option_reader *reader,
                                           const struct task_def *base,
                                           const struct extra_field *extras,
                                           size_t n_extras,
                                           const char *where);

/* `base` with only the fields marked in `keep` (those that key, version, revision, window, created
 * or parent name stay in any case), their display columns where marked in `display`, and the
 * indexes that remain whole. */
const struct task_def *catalog_select_task(struct option_reader *reader,
                                           const struct task_def *base,
                                           const bool *keep,
                                           const bool *display);

/* `derived` with the fields and columns of `origin`, which begin with its own. */
const struct task_def *catalog_follow_task(struct option_reader *reader,
                                           const struct task_def *derived,
                                           const struct task_def *origin);

/* Does loading need the field, whatever a source copies? */
bool catalog_field_has_role(const struct task_def *task, size_t field);
