#pragma once

#include <stdbool.h>

#include "common/base/error.h"
#include "worker/load/merge.h"
#include "worker/run/board.h"

/*
 * The ledger of a task: what the walks proved, what was sent, what staging held and what became of
 * it must be one number. And what its result means to the operator.
 */

/* ERROR_BUG if it does not add up. Sets task->records_read and completes task->merged: rows that
 * were derived and published before are added. */
bool ledger_balance(struct task_run *task, struct error *err);

/* SUCCESS or PARTIAL; sets task->error to the reason. */
enum task_status ledger_explain(struct board *board, struct task_run *task);

/* The fuse blew: sets task->error to the reason. */
void ledger_explain_held(struct board *board,
                         struct task_run *task,
                         const struct merge_result *held);
