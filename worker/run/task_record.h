#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/io/db.h"
#include "worker/run/board.h"

/*
 * A task's row of ops.execution_task: opened with the execution, started when a lane plans the
 * task, ended in the transaction that publishes it or says why nothing was published.
 */

/* Makes the rows of an execution's tasks. */
bool task_record_open(struct db *db, const struct board *board, struct error *err);

bool task_record_started(struct db *db,
                         const struct board *board,
                         const struct task_run *task,
                         struct error *err);

/* Writes status, counters and task->error, unless the execution is another worker's by now.
 * watermark_us: the watermark after it, INT64_MIN if the task has none. */
bool task_record_end(struct db *db,
                     const struct board *board,
                     const struct task_run *task,
                     enum task_status status,
                     int64_t watermark_us,
                     struct error *err);
