#pragma once

#include <stdbool.h>

#include "common/base/error.h"
#include "common/io/db.h"
#include "worker/run/board.h"

/*
 * The end of a task: one transaction that checks the fence, merges staging into the landed table,
 * and writes watermark, ledger, dead letters and projection version together. A reader sees the
 * state before or the state after; a crash anywhere leaves one of the two.
 */

/* Publishes. On success *ret_status is SUCCESS, PARTIAL or HELD (then nothing but the task's record
 * was written) and task->merged, task->records_read are set. */
bool publish_task(struct db *db,
                  struct board *board,
                  struct task_run *task,
                  enum task_status *ret_status,
                  struct error *err);

/* Records a task that ended without publishing: error, interrupted, cancelled. */
bool publish_failure(struct db *db,
                     struct board *board,
                     struct task_run *task,
                     enum task_status status,
                     struct error *err);

/* Makes the rows of ops.execution_task for an execution's tasks. */
bool publish_open_tasks(struct db *db, const struct board *board, struct error *err);
bool publish_task_started(struct db *db,
                          const struct board *board,
                          const struct task_run *task,
                          struct error *err);

/* The keys that have to be read one by one before the task can be published (reconcile: what
 * differs; window: what would be deleted), as GIVEN partitions in task->confirm_arena. None: *ret_n
 * is 0. */
bool publish_keys_to_confirm(struct db *db,
                             struct board *board,
                             struct task_run *task,
                             const struct partition **ret_partitions,
                             size_t *ret_n,
                             struct error *err);
