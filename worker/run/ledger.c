#include "worker/run/ledger.h"

#include <inttypes.h>

static int64_t at_least(int64_t value, int64_t least)
{
    return value > least ? value : least;
}

static int64_t settled_of(const struct merge_result *merged)
{
    return merged->inserted + merged->updated + merged->unchanged + merged->rejected;
}

/* A census counts its keys. Those that vanished between census and reading are not counted at all;
 * keys that were asked for because nothing showed them, and were not found, are the deleted. */
static void balance_census(struct task_run *task)
{
    struct merge_result *merged = &task->merged;
    int64_t vanished = task->asked_keys - settled_of(merged) - merged->deleted;
    merged->inserted += task->derived.inserted;
    merged->updated += task->derived.updated;
    int64_t written = merged->inserted + merged->updated + merged->rejected;
    task->records_read = task->counters.keys_sent - at_least(vanished, 0);
    task->records_read = at_least(task->records_read, written);
    merged->unchanged = task->records_read - written;
}

static bool check_staged(const struct task_run *task, struct error *err)
{
    const struct merge_result *merged = &task->merged;
    const struct task_counters *counters = &task->counters;
    int64_t sent = counters->rows_sent + counters->rejects;
    if (merged->staged != counters->rows_sent + task->people ||
        merged->rejected > counters->rejects ||
        counters->proven_records != sent + counters->keys_sent) {
        return error_set(err, ERROR_BUG,
                         "the ledger does not add up: %" PRId64 " records proven, %" PRId64
                         " rows and %" PRId64 " rejects sent, %" PRId64 " and %" PRId64 " staged",
                         counters->proven_records, counters->rows_sent + counters->keys_sent,
                         counters->rejects, merged->staged, merged->rejected);
    }
    return true;
}

bool ledger_balance(struct task_run *task, struct error *err)
{
    struct merge_result *merged = &task->merged;
    const struct merge_result *derived = &task->derived;
    if (!check_staged(task, err)) {
        return false;
    }
    int64_t sent = task->counters.rows_sent + task->counters.rejects + task->people;
    task->records_read = settled_of(merged);
    if (task->plan.kind != WALK_KEYS &&
        task->records_read + merged->foreign + merged->duplicates != sent) {
        return error_set(err, ERROR_BUG,
                         "the ledger does not add up: %" PRId64 " received, %" PRId64
                         " inserted, updated, unchanged or rejected, %" PRId64
                         " of no landed parent, %" PRId64 " duplicates",
                         sent, task->records_read, merged->foreign, merged->duplicates);
    }
    if (task->plan.kind == WALK_KEYS) {
        balance_census(task);
    } else {
        merged->inserted += derived->inserted;
        merged->updated += derived->updated;
        merged->unchanged += derived->unchanged;
        task->records_read += settled_of(derived);
    }
    return true;
}

static void set_error(struct board *board, struct task_run *task, const struct error *why)
{
    MUTEX_GUARD(&board->mutex);
    task->error = *why;
}

enum task_status ledger_explain(struct board *board, struct task_run *task)
{
    const struct merge_result *merged = &task->merged;
    struct error why = ERROR_INIT;
    enum task_status status = TASK_SUCCESS;
    if (merged->rejected > 0) {
        status = TASK_PARTIAL;
        (void)error_set(&why, ERROR_DATA,
                        "%" PRId64 " records rejected, their last good version stays; see "
                        "foz-worker dead-letters list",
                        merged->rejected);
    }
    if (task->counters.hidden > 0 && !task->allow_hidden) {
        status = TASK_PARTIAL;
        if (error_is_set(&why)) {
            error_append(&why, "%" PRId64 " records hidden", task->counters.hidden);
        } else {
            (void)error_set(&why, ERROR_DENIED,
                            "%" PRId64 " records are counted by the source but hidden from the "
                            "account, so nothing was deleted; grant it read access, or set "
                            "allow_hidden: true for this task if that is intended",
                            task->counters.hidden);
        }
    }
    set_error(board, task, &why);
    return status;
}

void ledger_explain_held(struct board *board,
                         struct task_run *task,
                         const struct merge_result *held)
{
    struct error why = ERROR_INIT;
    bool is_empty = task->counters.proven_records == 0;
    if (task->plan.hold != NULL) {
        (void)error_set(&why, ERROR_LIMIT,
                        "held: %" PRId64 " of %" PRId64 " rows in scope would be deleted, but %s; "
                        "nothing was published; if it is right, run the load again with "
                        "--allow-mass-delete",
                        held->gone_rows, held->scope_rows, task->plan.hold);
    } else if (is_empty) {
        (void)error_set(&why, ERROR_LIMIT,
                        "held: the source answers without any record while %" PRId64
                        " rows are in scope here; %s; check the account's rights and the task's "
                        "filter",
                        held->scope_rows,
                        task->plan.empty_may_delete
                            ? "if it is right, run the load again with --allow-mass-delete"
                            : "an empty answer never deletes");
    } else {
        (void)error_set(&why, ERROR_LIMIT,
                        "held: %" PRId64 " of %" PRId64 " rows in scope would be deleted (allowed: "
                        "a share of %g from 50 rows on, and never all); nothing was published; if "
                        "it is right, run the load again with --allow-mass-delete",
                        held->gone_rows, held->scope_rows,
                        board->config->worker.max_delete_fraction);
    }
    set_error(board, task, &why);
}
