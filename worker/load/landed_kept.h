#pragma once

#include <stdbool.h>

#include "worker/load/landed.h"

/*
 * The columns of a landed table that publishing keeps beside those of the fields (gone, first and
 * last seen), and the trigger that notices when somebody edits a row by hand: for landed.c.
 */

/* A column that publishing keeps beside those of the fields. */
struct kept_column {
    const char *name; /* NULL: the task has none */
    bool is_null;     /* may be NULL; else it begins as the present */
    const char *comment;
};

enum { N_KEPT_COLUMNS = 3 };

/* Entries without a name: the task has no such column. */
void kept_list(const struct task_def *task, struct kept_column ret_kept[N_KEPT_COLUMNS]);

/* Creates or replaces the trigger. */
bool kept_ensure_trigger(struct migration *migration,
                         const struct task_def *task,
                         struct error *err);
