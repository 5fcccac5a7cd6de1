#pragma once

#include "worker/load/merge.h"
#include "worker/run/board.h"

/* What publishing a task may change and delete, from its plan and from what its walks have shown.
 */
struct merge_request scope_of(const struct board *board, const struct task_run *task);

/* Is a row staged for nothing but to be held against the landed one? */
bool scope_is_staged_for_merge(const struct board *board, const struct task_run *task);

/* Does the request compare the whole table, and so carry out every deletion there is? */
bool scope_is_whole(const struct merge_request *request);
