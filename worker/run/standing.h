#pragma once

#include <stdbool.h>

#include "common/base/error.h"
#include "common/io/db.h"
#include "worker/run/board.h"

/*
 * Where the tasks of an execution stand before any of them is planned: their watermarks and the
 * forms of their landed tables. Nobody else moves either meanwhile: two executions of a load never
 * run at once, and a task belongs to one load. Read on one connection, for the first statement of
 * its kind costs a session far more than the next.
 */
bool standing_read(struct db *db, struct board *board, struct error *err);

/* Frees what the task got. */
void standing_release(struct task_run *task);
