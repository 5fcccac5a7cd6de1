#include "worker/run/task_record.h"

#include "worker/run/param.h"

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
    case WALK_OWED:
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

bool task_record_open(struct db *db, const struct board *board, struct error *err)
{
    if (!db_begin(db, err) || !db_script(db, SQL_NO_WAIT, err) || !insert_tasks(db, board, err) ||
        !db_commit(db, err)) {
        db_rollback(db);
        return false;
    }
    return true;
}

bool task_record_started(struct db *db,
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

/* The names of fields that some record lacked, as a PostgreSQL array literal. */
static void absent_fields(const struct task_run *task, struct buf *out)
{
    buf_add_char(out, '{');
    size_t n = 0;
    for (size_t i = 0; i < task->task->n_columns; i++) {
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
    " records_foreign = $28,"
    " finished_at = clock_timestamp()"
    " WHERE execution_id = $1 AND source = $2 AND task = $3"
    /* A worker that lost the execution has no more say in it. */
    "   AND EXISTS (SELECT FROM ops.execution_log l"
    "                WHERE l.id = $1 AND l.fence = $29 AND l.status = 'running')";

bool task_record_end(struct db *db,
                     const struct board *board,
                     const struct task_run *task,
                     enum task_status status,
                     int64_t watermark_us,
                     struct error *err)
{
    const struct task_counters *counters = &task->counters;
    const struct merge_result *merged = &task->merged;
    bool published = status == TASK_SUCCESS || status == TASK_PARTIAL;
    struct buf absent CLEANUP(buf_release);
    buf_init(&absent, (size_t)64 * 1024);
    absent_fields(task, &absent);
    char after[INSTANT_TEXT_MAX];
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
    struct number foreign = number_of(merged->foreign);
    struct number fence = number_of(board->claim->fence);
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
                            instant_param(watermark_us, after),
                            has_error ? error_code_name(task->error.code) : NULL,
                            has_error ? task->error.msg : NULL,
                            foreign.text,
                            fence.text};
    return db_execute(db, SQL_TASK_END, params, ARRAY_SIZE(params), NULL, err);
}
