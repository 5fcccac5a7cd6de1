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

/* Of a walk of everything: adds the people whom landed records name (task->task->people_of) to what
 * was staged, once, before it is asked for what is missing. Sets task->people. */
bool publish_collect_people(struct db *db, struct task_run *task, struct error *err);

/* Is there anything for publish_derived to do? */
bool publish_has_derived(const struct board *board, const struct task_run *task);

/* A derived task (task->task->latest_of): publishes the rows that can be made from what is landed,
 * those it owes or all of them, in a transaction of its own, before its walk (a census) is
 * compared with them. Sets task->derived. task->staging was created and is empty; it is left full.
 */
bool publish_derived(struct db *db, struct board *board, struct task_run *task, struct error *err);
