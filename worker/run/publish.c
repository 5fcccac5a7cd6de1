#include "worker/run/publish.h"

#include <inttypes.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/ops/locks.h"
#include "worker/load/derive.h"
#include "worker/load/owed.h"
#include "worker/load/project.h"
#include "worker/run/ledger.h"
#include "worker/run/param.h"
#include "worker/run/scope.h"
#include "worker/run/task_record.h"

/* The execution must still be ours. With `until_commit` nobody can take it before we commit. */
static bool
check_fence(struct db *db, const struct claim *claim, bool until_commit, struct error *err)
{
    struct number id = number_of(claim->id);
    struct number fence = number_of(claim->fence);
    struct db_result *row CLEANUP(db_result_freep) =
        db_query(db,
                 until_commit ? "SELECT FROM ops.execution_log WHERE id = $1 AND fence = $2"
                                " AND status = 'running' FOR SHARE"
                              : "SELECT FROM ops.execution_log WHERE id = $1 AND fence = $2"
                                " AND status = 'running'",
                 DB_PARAMS(id.text, fence.text), err);
    if (row == NULL) {
        return false;
    }
    return db_rows(row) == 1 ||
           error_set(err, ERROR_CANCELLED,
                     "execution %" PRId64 " was declared dead or taken over by another worker; "
                     "nothing was published",
                     claim->id);
}

/* The watermark promises that every record up to it was seen. Those that are hidden were not: the
 * next run reads as much again, until they show or the operator says that they need not. */
static bool moves_watermark(const struct task_run *task)
{
    if (task->task->latest_of != NULL) {
        return task->plan.kind != WALK_GIVEN; /* as far as the task it is made from */
    }
    return task->plan.high_us != INT64_MIN && task->plan.cursor != NULL &&
           (task->counters.hidden == 0 || task->allow_hidden);
}

/* *ret_high_us: what the watermark is afterwards. That of a derived task is its origin's. */
static bool write_watermark(struct db *db,
                            const struct board *board,
                            const struct task_run *task,
                            const struct merge_request *request,
                            int64_t *ret_high_us,
                            struct error *err)
{
    *ret_high_us = task->watermark_high_us;
    if (!moves_watermark(task)) {
        return true;
    }
    const struct plan *plan = &task->plan;
    const char *cursor = plan->cursor != NULL ? plan->cursor : "{}";
    if (plan->cursor_after_deletions != NULL && scope_is_whole(request)) {
        cursor = plan->cursor_after_deletions;
    }
    struct number id = number_of(board->claim->id);
    char high[INSTANT_TEXT_MAX];
    struct db_result *written CLEANUP(db_result_freep) = db_query(
        db,
        "INSERT INTO ops.watermark (source, task, cursor, high, profile, execution_id)"
        " VALUES ($1, $2, $3, coalesce($4::timestamptz, (SELECT o.high"
        "    FROM ops.watermark o WHERE o.source = $1 AND o.task = $6)), $7, $5)"
        " ON CONFLICT (source, task) DO UPDATE SET cursor = excluded.cursor,"
        "   high = excluded.high, profile = excluded.profile,"
        "   execution_id = excluded.execution_id, updated_at = clock_timestamp()"
        " RETURNING (extract(epoch FROM high) * 1000000)::bigint",
        DB_PARAMS(task->source->name, task->task->name, cursor, instant_param(plan->high_us, high),
                  id.text, task->task->latest_of, plan->profile),
        err);
    if (written == NULL) {
        return false;
    }
    *ret_high_us = db_is_null(written, 0, 0) ? INT64_MIN : db_int64(written, 0, 0);
    return true;
}

static bool write_version(struct db *db,
                          const struct task_run *task,
                          const struct merge_result *merged,
                          struct error *err)
{
    bool changed = merged->inserted + merged->updated + merged->deleted > 0;
    return db_execute(
        db,
        "WITH bumped AS ("
        "  INSERT INTO ops.projection_version AS p"
        "    (source, task, version, changed_at, checked_at)"
        "  VALUES ($1, $2, nextval('ops.projection_version_seq'), clock_timestamp(),"
        "          clock_timestamp())"
        "  ON CONFLICT (source, task) DO UPDATE SET checked_at = clock_timestamp(),"
        "    version = CASE WHEN $3::boolean THEN excluded.version ELSE p.version END,"
        "    changed_at = CASE WHEN $3::boolean THEN clock_timestamp()"
        "                      ELSE p.changed_at END"
        "  RETURNING version)"
        " SELECT pg_notify('" PROJECTION_CHANNEL "',"
        "   concat_ws(' ', $1::text, $2::text, version)) FROM bumped",
        DB_PARAMS(task->source->name, task->task->name, changed ? "true" : "false"), NULL, err);
}

/* What depends on this task's records owes a reading of them again. A task that is switched off
 * keeps no account: should it be switched on again, it starts anew. */
static bool record_debts(struct db *db,
                         const struct board *board,
                         const struct task_run *task,
                         const struct merge_request *request,
                         struct error *err)
{
    const struct catalog *catalog = &board->config->catalog;
    for (size_t i = 0; i < catalog->n_tasks; i++) {
        const struct task_def *child = catalog->tasks[i];
        if (!task_is_child_of(child, task->task)) {
            continue;
        }
        bool is_enabled = config_task_is_enabled(board->config, task->source, child->name);
        bool ok =
            is_enabled
                ? owed_record(db, request, config_task(board->config, task->source, child->name),
                              task->plan.unsettled_us, err)
                : db_execute(db, "DELETE FROM ops.watermark WHERE source = $1 AND task = $2",
                             DB_PARAMS(task->source->name, child->name), NULL, err);
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* A walk of changes or of everything has read what was owed, unless some of it was hidden, or what
 * it showed as gone has to wait. */
static bool settle_debts(struct db *db,
                         const struct task_run *task,
                         const struct merge_request *request,
                         struct error *err)
{
    bool is_waiting = request->hold && !request->allow_mass_delete;
    bool has_read = task->plan.kind == WALK_ALL || (task->plan.kind == WALK_CHANGES && !is_waiting);
    bool has_seen = task->counters.hidden == 0 || task->allow_hidden;
    return !has_read || !has_seen ||
           owed_clear(db, task->source->name, task->task->name, task->owed.up_to, err);
}

bool publish_collect_people(struct db *db, struct task_run *task, struct error *err)
{
    return task->task->people_of == NULL || task->is_confirming || task->plan.kind != WALK_ALL ||
           task->staging == NULL ||
           derive_people(db, task->staging, task->source->name, task->origin, &task->people, err);
}

static bool lock_task(struct db *db, const struct task_run *task, struct error *err)
{
    return db_execute(db, "SELECT pg_advisory_xact_lock(" LOCK_TASK ", hashtext($1 || '.' || $2))",
                      DB_PARAMS(task->source->name, task->task->name), NULL, err);
}

/* A column that tells when a row was last seen moves in unchanged rows too. */
static bool refresh_core(struct db *db,
                         const struct board *board,
                         const struct task_run *task,
                         const struct merge_result *merged,
                         struct error *err)
{
    bool changed = merged->inserted + merged->updated + merged->deleted > 0 ||
                   (merged->staged > 0 && task->task->last_seen_column != NULL);
    if (changed && task->plan.high_us > 0 && !project_set_time(db, task->plan.high_us, err)) {
        return false;
    }
    return !changed || project_refresh(db, task->source, task->task->name, board->claim->id,
                                       board->claim->trace_id, err);
}

static bool publish_rows(struct db *db,
                         struct board *board,
                         struct task_run *task,
                         const struct merge_request *request,
                         enum task_status *ret_status,
                         struct error *err)
{
    if (task->staging != NULL && !merge_apply(db, request, &task->merged, err)) {
        return false;
    }
    if (task->merged.held) {
        *ret_status = TASK_HELD;
        return true;
    }
    /* Before the ledger adds what an earlier commit derived: core has that already. */
    if ((task->staging != NULL && (!record_debts(db, board, task, request, err) ||
                                   !refresh_core(db, board, task, &task->merged, err))) ||
        !settle_debts(db, task, request, err) || !ledger_balance(task, err)) {
        return false;
    }
    *ret_status = ledger_explain(board, task);
    return true;
}

static bool publish_in_transaction(struct db *db,
                                   struct board *board,
                                   struct task_run *task,
                                   enum task_status *ret_status,
                                   struct error *err)
{
    if (!check_fence(db, board->claim, false, err) || !lock_task(db, task, err)) {
        return false;
    }
    struct merge_request request = scope_of(board, task);
    if (!publish_rows(db, board, task, &request, ret_status, err)) {
        return false;
    }
    int64_t watermark_us = INT64_MIN;
    return *ret_status == TASK_HELD ||
           (write_watermark(db, board, task, &request, &watermark_us, err) &&
            task_record_end(db, board, task, *ret_status, watermark_us, err) &&
            write_version(db, task, &task->merged, err) &&
            check_fence(db, board->claim, true, err));
}

/* Nothing of the walk counts, but what was derived before it is published. */
static void forget_walk(struct task_run *task)
{
    task->merged = task->derived;
    task->records_read = task->derived.inserted + task->derived.updated + task->derived.unchanged;
}

static bool
publish_held(struct db *db, struct board *board, struct task_run *task, struct error *err)
{
    struct merge_result held = task->merged;
    ledger_explain_held(board, task, &held);
    forget_walk(task);
    return task_record_end(db, board, task, TASK_HELD, task->watermark_high_us, err);
}

/* The answer to a COMMIT was lost: what does the database say? */
static bool read_back(struct db *db,
                      const struct board *board,
                      const struct task_run *task,
                      enum task_status status,
                      struct error *err)
{
    struct error trouble = ERROR_INIT;
    struct db_settings settings = {.url = board->config->database_url,
                                   .application_name = "foz-worker read-back"};
    struct db *fresh CLEANUP(db_closep) = db_open(&settings, &trouble);
    (void)db;
    struct number id = number_of(board->claim->id);
    struct db_result *row CLEANUP(db_result_freep) =
        fresh == NULL ? NULL
                      : db_query(fresh,
                                 "SELECT FROM ops.execution_task WHERE execution_id = $1"
                                 " AND source = $2 AND task = $3 AND status = $4",
                                 DB_PARAMS(id.text, task->source->name, task->task->name,
                                           task_status_name(status)),
                                 &trouble);
    if (row != NULL && db_rows(row) == 1) {
        error_clear(err);
        return true;
    }
    return false;
}

bool publish_task(struct db *db,
                  struct board *board,
                  struct task_run *task,
                  enum task_status *ret_status,
                  struct error *err)
{
    enum task_status status = TASK_SUCCESS;
    if (!db_begin(db, err)) {
        return false;
    }
    if (!publish_in_transaction(db, board, task, &status, err)) {
        db_rollback(db);
        return false;
    }
    if (status == TASK_HELD) {
        db_rollback(db);
        if (!publish_held(db, board, task, err)) {
            return false;
        }
    } else if (!db_commit(db, err) &&
               (err->code != ERROR_UNCERTAIN || !read_back(db, board, task, status, err))) {
        db_rollback(db);
        return false;
    }
    *ret_status = status;
    struct error ignored = ERROR_INIT; /* left-over staging is swept at the next start */
    if (task->staging != NULL) {
        (void)staging_drop(db, task->staging, &ignored);
    }
    return true;
}

static bool derive_in_transaction(
    struct db *db, struct board *board, struct task_run *task, bool all, struct error *err)
{
    struct derivation derivation = {.staging = task->staging,
                                    .source = task->source->name,
                                    .origin = task->origin,
                                    .all = all,
                                    .owed_up_to = task->owed.up_to};
    struct merge_request request = {.staging = task->staging, .source = task->source->name};
    return check_fence(db, board->claim, false, err) && lock_task(db, task, err) &&
           derive_latest(db, &derivation, NULL, err) &&
           merge_apply(db, &request, &task->derived, err) &&
           record_debts(db, board, task, &request, err) &&
           refresh_core(db, board, task, &task->derived, err) &&
           owed_clear(db, task->source->name, task->task->name, task->owed.up_to, err) &&
           write_version(db, task, &task->derived, err) && check_fence(db, board->claim, true, err);
}

static bool derives_all(const struct board *board, const struct task_run *task)
{
    return (task->watermark_cursor == NULL && board->claim->mode != MODE_RETRY) ||
           board->claim->mode == MODE_FULL;
}

bool publish_has_derived(const struct board *board, const struct task_run *task)
{
    return task->task->latest_of != NULL && (derives_all(board, task) || task->owed.up_to > 0);
}

bool publish_derived(struct db *db, struct board *board, struct task_run *task, struct error *err)
{
    if (!db_begin(db, err)) {
        return false;
    }
    if (!derive_in_transaction(db, board, task, derives_all(board, task), err) ||
        !db_commit(db, err)) {
        db_rollback(db);
        task->derived = (struct merge_result){0};
        return false;
    }
    return true;
}

bool publish_failure(struct db *db,
                     struct board *board,
                     struct task_run *task,
                     enum task_status status,
                     struct error *err)
{
    forget_walk(task);
    return task_record_end(db, board, task, status, task->watermark_high_us, err) &&
           (task->staging == NULL || staging_drop(db, task->staging, err));
}
