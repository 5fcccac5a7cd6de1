#pragma once

#include "common/base/str.h"
#include "common/conf/catalog_task.h"

/*
 * The columns that fields land in: their names, and which of them two fields cannot share.
 */

#define FIELD_MAX_COLUMNS 3

/* The columns of a task as they come to be. */
struct columns {
    const char *source_type;
    const char *const *kept; /* N_KEPT names that fields may not take, NULL for none */
    struct column *items;    /* room for FIELD_MAX_COLUMNS a field */
    size_t n;
};

/* Adds all columns of a field. false after a fault. */
bool columns_add_field(struct option_reader *reader,
                       struct columns *columns,
                       const struct field *field,
                       size_t field_index,
                       int line);

/* Adds the columns of a field beside the one that holds its value. false after a fault. */
bool columns_add_further(struct option_reader *reader,
                         struct columns *columns,
                         struct column value,
                         const struct field *field,
                         int line);

/* Faults a table of more than TASK_MAX_COLUMNS. `where`: "tasks.incident". */
void columns_check_count(struct option_reader *reader,
                         const struct columns *columns,
                         const char *where,
                         int line);

/* The column that holds a field's value, -1 if there is none. */
int columns_find_value(const struct task_def *task, int field);

/* Is it a column of the landed table, a field's or one that the engine keeps? */
bool columns_has_landed(const struct task_def *task, struct str name);

/* Has every PostgreSQL table a column of this name? */
bool columns_is_system(const char *name);
