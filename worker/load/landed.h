#pragma once

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/conf/config.h"
#include "common/io/db.h"

/*
 * The landed tables as the catalog wants them against the tables as they are: for migrate.c. A
 * table is created or extended, never shrunk; what contradicts the catalog is a fault.
 */

/* One step of a migration: tells the plan and, unless it is a dry run, does it. */
struct migration {
    struct db *db;
    bool dry_run;
    struct buf *plan; /* one line a step */
    size_t n_steps;
};

/* `sql` may hold several statements. */
bool migration_step(struct migration *migration,
                    const char *sql,
                    struct error *err,
                    const char *description,
                    ...) PRINTF_FORMAT(4, 5);

/* ERROR_CONFIG lists the contradictions of all tables, cut to fit. */
bool landed_migrate(struct migration *migration, const struct config *config, struct error *err);

/* The relation $1.$2, NULL if there is none: looked up by name, it costs no join to plan. Every
 * load asks for every table, with statements that its session keeps. */
#define SQL_RELATION "to_regclass(format('%I.%I', $1::text, $2::text))"

/* Appends the qualified, quoted name of a task's landed table. */
void landed_table(struct buf *out, const struct task_def *task);
