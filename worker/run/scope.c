#include "worker/run/scope.h"

static bool has_owed_partition(const struct task_run *task)
{
    for (size_t i = 0; i < task->plan.n_partitions; i++) {
        if (task->plan.partitions[i].kind == WALK_OWED) {
            return true;
        }
    }
    return false;
}

struct merge_request scope_of(const struct board *board, const struct task_run *task)
{
    const struct plan *plan = &task->plan;
    /* Unless the source says otherwise, an answer without any record never deletes, whatever the
     * operator allows. */
    bool is_credible = task->counters.proven_records > 0 || plan->empty_may_delete;
    struct merge_request request = {
        .staging = task->staging,
        .source = task->source->name,
        .deletes = MERGE_DELETE_NONE,
        .parent = task->task->latest_of == NULL ? task->parent : NULL,
        .owed_up_to = task->owed.up_to,
        /* Increments of a history come from a feed, which may repeat what it sent before. */
        .keeps_newer =
            plan->kind == WALK_CHANGES && task->task->is_history && task->task->version_column >= 0,
        .hold = plan->hold != NULL,
        .allow_mass_delete = board->allow_mass_delete && is_credible,
        .max_delete_fraction = board->config->worker.max_delete_fraction,
    };
    /* What is hidden looks gone. */
    if (task->counters.hidden > 0 || task->task->is_history) {
        return request;
    }
    switch (plan->kind) {
    case WALK_ALL:
        request.deletes = plan->keeps_missing ? MERGE_DELETE_NONE : MERGE_DELETE_MISSING;
        break;
    case WALK_WINDOW:
        request.deletes = MERGE_DELETE_MISSING;
        request.has_window = true;
        request.window_from_us = board->claim->from_us;
        request.window_to_us = board->claim->to_us;
        break;
    case WALK_KEYS:
        request.deletes = MERGE_DELETE_UNLISTED;
        break;
    case WALK_CHANGES:
        /* Increments go on while deletions wait; what was owed stays owed. */
        if (has_owed_partition(task) && (plan->hold == NULL || request.allow_mass_delete)) {
            request.deletes = MERGE_DELETE_OWED;
        }
        break;
    case WALK_GIVEN:
    case WALK_OWED:
        break;
    }
    /* Rows that were derived into staging must not make an empty answer look like a full one. */
    if (!is_credible &&
        (request.deletes == MERGE_DELETE_MISSING || request.deletes == MERGE_DELETE_UNLISTED)) {
        request.hold = true;
    }
    return request;
}

/* Their debts are told from the staged rows. */
static bool has_children(const struct board *board, const struct task_def *task)
{
    const struct catalog *catalog = &board->config->catalog;
    for (size_t i = 0; i < catalog->n_tasks; i++) {
        if (task_is_child_of(catalog->tasks[i], task)) {
            return true;
        }
    }
    return false;
}

bool scope_is_staged_for_merge(const struct board *board, const struct task_run *task)
{
    const struct task_def *def = task->task;
    bool compares = task->plan.kind == WALK_ALL || task->plan.kind == WALK_WINDOW;
    bool is_looked_at = task->parent != NULL || def->latest_of != NULL || def->people_of != NULL ||
                        def->last_seen_column != NULL || has_children(board, def);
    return compares && !def->is_history && !task->plan.keeps_missing && !is_looked_at;
}

bool scope_is_whole(const struct merge_request *request)
{
    return request->deletes == MERGE_DELETE_UNLISTED ||
           (request->deletes == MERGE_DELETE_MISSING && !request->has_window);
}
