#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"
#include "common/io/db.h"
#include "worker/run/board.h"

/* The keys that have to be read one by one before the task can be published (reconcile: what
 * differs; window, and wherever the plan asks for it: what would be deleted), as GIVEN partitions
 * in task->confirm_arena. None: *ret_n is 0. */
bool confirm_keys(struct db *db,
                  struct board *board,
                  struct task_run *task,
                  const struct partition **ret_partitions,
                  size_t *ret_n,
                  struct error *err);
