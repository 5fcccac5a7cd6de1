#pragma once

#include "common/conf/catalog_task.h"

/*
 * How tasks hang together: parents, tasks derived from others, and the order that follows.
 */

/* Before the tasks are built: checks the tasks that drafts name, and gives the derived ones what
 * they have from their origin. */
void catalog_link_drafts(struct option_reader *reader, struct task_draft *drafts, size_t n);

/* After it, when there was no fault: checks that children hold their parents' keys. `tasks` are
 * parallel to `drafts`. */
void catalog_check_parents(struct option_reader *reader,
                           const struct task_draft *drafts,
                           const struct task_def *const *tasks,
                           size_t n);

/* Draws each parent before its children and leaves the order as it is otherwise. The parents have
 * been checked. */
void catalog_order_tasks(const struct task_def **tasks, size_t n);
