#include "worker/run/publish.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/instant.h"
#include "common/base/log.h"

#define NUMBER_TEXT_MAX  24
#define KEYS_PER_REQUEST 200

struct number {
    char text[NUMBER_TEXT_MAX];
};

static struct number number_of(int64_t value)
{
    struct number number;
    (void)snprintf(number.text, sizeof(number.text), "%" PRId64, value);
    return number;
}

/* Instants as parameters; NULL for "none". */
static const char *instant_param(int64_t us, char out[INSTANT_TEXT_MAX])
{
    return us == INT64_MIN || us == INT64_MAX ? NULL : instant_format_rfc3339(us, out);
}

static const char *mode_of(const struct board *board, const struct task_run *task)
{
    if (task->plan.partitions == NULL) {
        return load_mode_name(board->claim->mode); /* it failed before it was planned */
    }
    switch (task->plan.kind) {
    case WALK_ALL:
        return "full";
    case WALK_WINDOW:
        return "window";
    case WALK_CHANGES:
        return "incremental";
    case WALK_KEYS:
        return "reconcile";
    case WALK_GIVEN:
        return "retry";
    }
    return "full";
}

/* Progress is worth no wait for the disk: what a crash of the server takes from it, the sweep says.
 */
static const char SQL_NO_WAIT[] = "SET LOCAL synchronous_commit TO off";

static bool insert_tasks(struct db *db, const struct board *board, struct error *err)
{
    struct number id = number_of(board->claim->id);
    for (size_t i = 0; i < board->n_tasks; i++) {
        const struct task_run *task = &board->tasks[i];
        if (!db_execute(db,
                        "INSERT INTO ops.execution_task (execution_id, source, task)"
                        " VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                        DB_PARAMS(id.text, task->source->name, task->task->name), NULL, err)) {
            return false;
        }
    }
    return true;
}

bool publish_open_tasks(struct db *db, const struct board *board, struct error *err)
{
    if (!db_begin(db, err) || !db_script(db, SQL_NO_WAIT, err) || !insert_tasks(db, board, err) ||
        !db_commit(db, err)) {
        db_rollback(db);
        return false;
    }
    return true;
}

bool publish_task_started(struct db *db,
                          const struct board *board,
                          const struct task_run *task,
                          struct error *err)
{
    struct number id = number_of(board->claim->id);
    char before[INSTANT_TEXT_MAX];
    bool done =
        db_begin(db, err) && db_script(db, SQL_NO_WAIT, err) &&
        db_execute(
            db,
            "UPDATE ops.execution_task SET status = 'running', started_at = clock_timestamp(),"
            " watermark_before = $4"
            " WHERE execution_id = $1 AND source = $2 AND task = $3",
            DB_PARAMS(id.text, task->source->name, task->task->name,
                      instant_param(task->watermark_high_us, before)),
            NULL, err) &&
        db_commit(db, err);
    if (!done) {
        db_rollback(db);
    }
    return done;
}

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

static struct merge_request merge_request_of(const struct board *board, const struct task_run *task)
{
    struct merge_request request = {
        .staging = task->staging,
        .source = task->source->name,
        .deletes = MERGE_DELETE_NONE,
        /* An answer without any record never deletes, whatever the operator allows. */
        .allow_mass_delete = board->allow_mass_delete && task->counters.proven_records > 0,
        .max_delete_fraction = board->config->worker.max_delete_fraction,
    };
    if (task->counters.hidden > 0) {
        return request; /* what is hidden looks gone */
    }
    switch (task->plan.kind) {
    case WALK_ALL:
        request.deletes = MERGE_DELETE_MISSING;
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
    case WALK_GIVEN:
        break;
    }
    return request;
}

/* The ledger: what the walk proved, what was sent, what staging held and what became of it must be
 * one number. Sets records_read and the merge's `unchanged` for a census. */
static bool balance(struct task_run *task, struct error *err)
{
    struct merge_result *merged = &task->merged;
    const struct task_counters *counters = &task->counters;
    int64_t sent = counters->rows_sent + counters->rejects;
    if (merged->staged != counters->rows_sent || merged->rejected > counters->rejects ||
        counters->proven_records != sent + counters->keys_sent) {
        return error_set(err, ERROR_BUG,
                         "the ledger does not add up: %" PRId64 " records proven, %" PRId64
                         " rows and %" PRId64 " rejects sent, %" PRId64 " and %" PRId64 " staged",
                         counters->proven_records, counters->rows_sent + counters->keys_sent,
                         counters->rejects, merged->staged, merged->rejected);
    }
    int64_t settled = merged->inserted + merged->updated + merged->unchanged + merged->rejected;
    task->records_read = settled;
    if (task->plan.kind == WALK_KEYS) {
        /* Keys that vanished between census and reading are not counted at all. */
        int64_t vanished = task->asked_keys - settled;
        task->records_read = counters->keys_sent - (vanished > 0 ? vanished : 0);
        merged->unchanged =
            task->records_read - merged->inserted - merged->updated - merged->rejected;
        return merged->unchanged >= 0 ||
               error_set(err, ERROR_BUG, "the ledger of the census does not add up");
    }
    return settled + merged->duplicates == sent ||
           error_set(err, ERROR_BUG,
                     "the ledger does not add up: %" PRId64 " received, %" PRId64
                     " inserted, updated, unchanged or rejected, %" PRId64 " duplicates",
                     sent, settled, merged->duplicates);
}

/* The watermark promises that every change up to it was seen. Changes that are hidden were not: the
 * next increment asks for them again, until they show or the operator says that they need not. */
static bool moves_watermark(const struct task_run *task)
{
    bool is_blind = task->plan.kind == WALK_CHANGES || task->counters.proven_records == 0;
    return task->plan.high_us != INT64_MIN && task->plan.cursor != NULL &&
           (task->counters.hidden == 0 || task->allow_hidden || !is_blind);
}

static bool write_watermark(struct db *db,
                            const struct board *board,
                            const struct task_run *task,
                            struct error *err)
{
    if (!moves_watermark(task)) {
        return true;
    }
    struct number id = number_of(board->claim->id);
    char high[INSTANT_TEXT_MAX];
    return db_execute(db,
                      "INSERT INTO ops.watermark (source, task, cursor, high, execution_id)"
                      " VALUES ($1, $2, $3, $4, $5)"
                      " ON CONFLICT (source, task) DO UPDATE SET cursor = excluded.cursor,"
                      "   high = excluded.high, execution_id = excluded.execution_id,"
                      "   updated_at = clock_timestamp()",
                      DB_PARAMS(task->source->name, task->task->name, task->plan.cursor,
                                instant_param(task->plan.high_us, high), id.text),
                      NULL, err);
}

static bool write_version(struct db *db, const struct task_run *task, struct error *err)
{
    const struct merge_result *merged = &task->merged;
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

/* The names of fields that some record lacked, as a PostgreSQL array literal. */
static void absent_fields(const struct task_run *task, struct buf *out)
{
    buf_add_char(out, '{');
    size_t n = 0;
    for (size_t i = 0; i < task->task->n_columns && i < 512; i++) {
        if ((task->counters.absent_columns[i / 64] >> (i % 64) & 1) != 0 &&
            task->task->columns[i].part == 0) {
            buf_addf(out, "%s\"%s\"", n++ > 0 ? "," : "",
                     task->task->fields[task->task->columns[i].field].name);
        }
    }
    buf_add_char(out, '}');
}

static const char SQL_TASK_END[] =
    "UPDATE ops.execution_task SET status = $4, mode = $5, records_read = $6, records_inserted = "
    "$7,"
    " records_updated = $8, records_unchanged = $9, records_deleted = $10, records_rejected = $11,"
    " records_expected = $12, records_hidden = $13, records_duplicate = $14, nul_removed = $15,"
    " fields_unreadable = nullif($16::text[], '{}'), requests = $17, retries = $18,"
    " throttled_ms = $19, bytes_received = $20, fetch_ms = $21, transform_ms = $22, load_ms = $23,"
    " peak_page_bytes = $24, watermark_after = $25, error_class = $26, error_message = $27,"
    " finished_at = clock_timestamp()"
    " WHERE execution_id = $1 AND source = $2 AND task = $3";

static bool write_task_end(struct db *db,
                           const struct board *board,
                           const struct task_run *task,
                           enum task_status status,
                           struct error *err)
{
    const struct task_counters *counters = &task->counters;
    const struct merge_result *merged = &task->merged;
    bool published = status == TASK_SUCCESS || status == TASK_PARTIAL;
    struct buf absent CLEANUP(buf_release);
    buf_init(&absent, (size_t)64 * 1024);
    absent_fields(task, &absent);
    char after[INSTANT_TEXT_MAX];
    int64_t after_us =
        published && moves_watermark(task) ? task->plan.high_us : task->watermark_high_us;
    struct number id = number_of(board->claim->id);
    struct number read = number_of(task->records_read);
    struct number inserted = number_of(merged->inserted);
    struct number updated = number_of(merged->updated);
    struct number unchanged = number_of(merged->unchanged);
    struct number deleted = number_of(merged->deleted);
    struct number rejected = number_of(published ? merged->rejected : 0);
    struct number expected = number_of(task->records_read + counters->hidden);
    struct number hidden = number_of(counters->hidden);
    struct number duplicates = number_of(merged->duplicates);
    struct number nul_removed = number_of(counters->nul_removed);
    struct number requests = number_of(counters->requests);
    struct number retries = number_of(counters->retries);
    struct number throttled = number_of(counters->throttled_us / 1000);
    struct number bytes = number_of(counters->bytes_received);
    struct number fetch = number_of(counters->fetch_us / 1000);
    struct number transform = number_of(counters->transform_us / 1000);
    struct number load = number_of(counters->load_us / 1000);
    struct number peak = number_of(counters->peak_page_bytes);
    bool has_error = error_is_set(&task->error);
    const char *params[] = {id.text,
                            task->source->name,
                            task->task->name,
                            task_status_name(status),
                            mode_of(board, task),
                            read.text,
                            inserted.text,
                            updated.text,
                            unchanged.text,
                            deleted.text,
                            rejected.text,
                            published && task->can_count ? expected.text : NULL,
                            hidden.text,
                            duplicates.text,
                            nul_removed.text,
                            absent.ptr,
                            requests.text,
                            retries.text,
                            throttled.text,
                            bytes.text,
                            fetch.text,
                            transform.text,
                            load.text,
                            peak.text,
                            instant_param(after_us, after),
                            has_error ? error_code_name(task->error.code) : NULL,
                            has_error ? task->error.msg : NULL};
    return db_execute(db, SQL_TASK_END, params, ARRAY_SIZE(params), NULL, err);
}

bool publish_failure(struct db *db,
                     struct board *board,
                     struct task_run *task,
                     enum task_status status,
                     struct error *err)
{
    task->merged = (struct merge_result){0};
    task->records_read = 0;
    return write_task_end(db, board, task, status, err) &&
           (task->staging == NULL || staging_drop(db, task->staging, err));
}

/* Why a task that was published is not a plain success; the message an operator reads. */
static enum task_status explain(struct board *board, struct task_run *task)
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
    mutex_lock(&board->mutex);
    task->error = why;
    mutex_unlock(&board->mutex);
    return status;
}

/* Why the fuse blew, for the operator. */
static void explain_held(const struct board *board,
                         const struct task_run *task,
                         const struct merge_result *held,
                         struct error *why)
{
    if (task->counters.proven_records == 0) {
        (void)error_set(why, ERROR_LIMIT,
                        "held: the source answers without any record while %" PRId64
                        " rows are in scope here; an empty answer never deletes; check the "
                        "account's rights and the task's filter",
                        held->scope_rows);
        return;
    }
    (void)error_set(why, ERROR_LIMIT,
                    "held: %" PRId64 " of %" PRId64 " rows in scope would be deleted (allowed: a "
                    "share of %g from 50 rows on, and never all); nothing was published; if it is "
                    "right, run the load again with --allow-mass-delete",
                    held->gone_rows, held->scope_rows, board->config->worker.max_delete_fraction);
}

static bool
publish_held(struct db *db, struct board *board, struct task_run *task, struct error *err)
{
    struct merge_result held = task->merged;
    struct error why = ERROR_INIT;
    explain_held(board, task, &held, &why);
    task->merged = (struct merge_result){0};
    task->records_read = 0;
    mutex_lock(&board->mutex);
    task->error = why;
    mutex_unlock(&board->mutex);
    return write_task_end(db, board, task, TASK_HELD, err);
}

static bool publish_in_transaction(struct db *db,
                                   struct board *board,
                                   struct task_run *task,
                                   enum task_status *ret_status,
                                   struct error *err)
{
    struct merge_request request = merge_request_of(board, task);
    if (!check_fence(db, board->claim, false, err) ||
        !db_execute(db, "SELECT pg_advisory_xact_lock(1718581763, hashtext($1 || '.' || $2))",
                    DB_PARAMS(task->source->name, task->task->name), NULL, err) ||
        (task->staging != NULL && !merge_apply(db, &request, &task->merged, err))) {
        return false;
    }
    if (task->merged.held) {
        *ret_status = TASK_HELD;
        return true;
    }
    if (!balance(task, err)) {
        return false;
    }
    *ret_status = explain(board, task);
    return write_watermark(db, board, task, err) &&
           write_task_end(db, board, task, *ret_status, err) && write_version(db, task, err) &&
           check_fence(db, board->claim, true, err);
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

struct key_list {
    struct arena *arena;
    struct str *keys;
    size_t n;
    size_t capacity;
    bool overflow;
};

static void add_key(void *arg, struct str key)
{
    struct key_list *list = arg;
    char *copy = arena_strndup(list->arena, key.ptr, key.len);
    if (copy == NULL) {
        list->overflow = true;
        return;
    }
    if (list->n == list->capacity) {
        list->capacity = list->capacity == 0 ? 1024 : 2 * list->capacity;
        list->keys = xrealloc(list->keys, list->capacity * sizeof(*list->keys));
    }
    list->keys[list->n++] = (struct str){copy, key.len};
}

static bool cut_given(struct task_run *task,
                      const struct key_list *list,
                      const struct partition **ret_partitions,
                      size_t *ret_n,
                      struct error *err)
{
    size_t n = (list->n + KEYS_PER_REQUEST - 1) / KEYS_PER_REQUEST;
    struct str *keys = arena_alloc(&task->confirm_arena, (list->n + 1) * sizeof(*keys));
    struct partition *partitions =
        arena_zalloc(&task->confirm_arena, (n + 1) * sizeof(*partitions));
    if (list->overflow || keys == NULL || partitions == NULL) {
        return error_set(err, ERROR_LIMIT,
                         "more keys differ than fit in memory; run a full load instead");
    }
    if (list->n > 0) {
        memcpy(keys, list->keys, list->n * sizeof(*keys));
    }
    for (size_t i = 0; i < n; i++) {
        size_t left = list->n - i * KEYS_PER_REQUEST;
        partitions[i] =
            (struct partition){.kind = WALK_GIVEN,
                               .keys = keys + i * KEYS_PER_REQUEST,
                               .n_keys = left < KEYS_PER_REQUEST ? left : KEYS_PER_REQUEST};
    }
    *ret_partitions = partitions;
    *ret_n = n;
    task->asked_keys = (int64_t)list->n;
    return true;
}

bool publish_keys_to_confirm(struct db *db,
                             struct board *board,
                             struct task_run *task,
                             const struct partition **ret_partitions,
                             size_t *ret_n,
                             struct error *err)
{
    *ret_n = 0;
    bool is_window = task->plan.kind == WALK_WINDOW;
    if (task->is_confirming || (!is_window && task->plan.kind != WALK_KEYS) ||
        (is_window && task->counters.hidden > 0)) {
        return true;
    }
    struct merge_request request = merge_request_of(board, task);
    struct key_list list = {.arena = &task->confirm_arena};
    bool read = is_window ? merge_missing_keys(db, &request, add_key, &list, err)
                          : merge_differing_keys(db, &request, add_key, &list, err);
    bool done = read && cut_given(task, &list, ret_partitions, ret_n, err);
    xfree(list.keys);
    return done;
}
