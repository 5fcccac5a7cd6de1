#include "worker/run/lane.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/io/db_watch.h"
#include "worker/load/known.h"
#include "worker/run/confirm.h"
#include "worker/run/policy.h"
#include "worker/run/publish.h"
#include "worker/run/scope.h"
#include "worker/run/task_record.h"

/* What the thread owns. */
struct lane_state {
    struct lane *lane;
    struct board *board;
    struct db *db;                /* NULL until needed */
    struct http_client **clients; /* per source index; NULL until needed */
    struct row_batch batch;
    const struct task_def *batch_task; /* what `batch` was made for, NULL = not made */
    enum row_shape batch_shape;
};

static bool ready_db(struct lane_state *state, struct error *err)
{
    if (state->db != NULL && !db_is_alive(state->db)) {
        db_close(TAKE(state->db));
    }
    if (state->db != NULL) {
        return true;
    }
    char name[32];
    (void)snprintf(name, sizeof(name), "foz-worker lane %u", state->lane->number);
    struct db_settings settings = {.url = state->board->config->database_url,
                                   .application_name = name};
    state->db = db_open(&settings, err);
    if (state->db == NULL) {
        return false;
    }
    db_watch_add(state->board->watch, state->db);
    return true;
}

static struct http_client *ready_client(struct lane_state *state, const struct task_run *task)
{
    struct http_client **client = &state->clients[task->source_index];
    if (*client == NULL) {
        *client = http_client_new(state->lane->http_sources[task->source_index], state->board->stop,
                                  (size_t)state->board->config->worker.page_memory_bytes);
    }
    return *client;
}

static void ready_batch(struct lane_state *state, const struct task_def *task, enum row_shape shape)
{
    if (state->batch_task == task && state->batch_shape == shape) {
        return;
    }
    if (state->batch_task != NULL) {
        row_batch_release(&state->batch);
    }
    row_batch_init(&state->batch, task, shape,
                   (size_t)state->board->config->worker.page_memory_bytes);
    state->batch_task = task;
    state->batch_shape = shape;
}

/* Adds what the client has cost since `before` to the task. */
static void count_requests(struct lane_state *state,
                           struct task_run *task,
                           const struct http_counters *before,
                           struct task_counters *delta)
{
    struct http_counters now;
    http_client_counters(state->clients[task->source_index], &now);
    delta->requests = now.requests - before->requests;
    delta->retries = now.retries - before->retries;
    delta->throttled_us = now.throttled_us - before->throttled_us;
    delta->bytes_received = now.bytes_received - before->bytes_received;
    delta->fetch_us = now.fetch_us - before->fetch_us;
    board_count(state->board, task, delta);
}

static enum walk_kind wanted_walk(const struct board *board, const struct task_run *task)
{
    switch (board->claim->mode) {
    case MODE_FULL:
        return WALK_ALL;
    case MODE_RECONCILE:
        return task->watermark_cursor == NULL ? WALK_ALL : WALK_KEYS;
    case MODE_WINDOW:
        return task->task->window_column >= 0 ? WALK_WINDOW : WALK_CHANGES;
    case MODE_INCREMENTAL:
    case MODE_RETRY:
        break;
    }
    return WALK_CHANGES;
}

/* The open dead letters of the task, to be read again by key. */
static bool plan_retry(struct lane_state *state, struct task_run *task, struct error *err)
{
    struct db_result *rows CLEANUP(db_result_freep) =
        db_query(state->db,
                 "SELECT record_key FROM ops.dead_letter WHERE source = $1 AND task = $2"
                 " AND resolved_at IS NULL ORDER BY record_key",
                 DB_PARAMS(task->source->name, task->task->name), err);
    if (rows == NULL) {
        return false;
    }
    size_t n = db_rows(rows);
    struct partition *partition = arena_zalloc(&task->plan.arena, sizeof(*partition));
    struct str *keys = arena_alloc(&task->plan.arena, (n + 1) * sizeof(*keys));
    if (partition == NULL || keys == NULL) {
        return error_set(err, ERROR_LIMIT, "too many dead letters to retry at once");
    }
    for (size_t i = 0; i < n; i++) {
        struct str key = db_str(rows, i, 0);
        char *copy = arena_strndup(&task->plan.arena, key.ptr, key.len);
        if (copy == NULL) {
            return error_set(err, ERROR_LIMIT, "too many dead letters to retry at once");
        }
        keys[i] = (struct str){copy, key.len};
    }
    *partition = (struct partition){.kind = WALK_GIVEN, .keys = keys, .n_keys = n};
    task->plan.kind = WALK_GIVEN;
    task->plan.high_us = INT64_MIN;
    task->plan.partitions = partition;
    task->plan.n_partitions = n > 0 ? 1 : 0;
    return true;
}

/* What a plan forgets would be struck off as read. */
static bool check_debts(const struct task_run *task, const struct owed *owed, struct error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < task->plan.n_partitions; i++) {
        const struct partition *partition = &task->plan.partitions[i];
        n += partition->kind == WALK_OWED ? partition->n_keys : 0;
    }
    return task->plan.kind != WALK_CHANGES || (!owed->is_cut && n >= owed->n) ||
           error_set(err, ERROR_BUG, "the plan of %s does not read what the task owes",
                     task->task->name);
}

static bool plan_walk(struct lane_state *state, struct task_run *task, struct error *err)
{
    struct board *board = state->board;
    struct http_client *client = ready_client(state, task);
    struct http_counters before;
    http_client_counters(client, &before);
    /* A derived task settles its debts from what is landed. */
    struct owed owed = task->task->latest_of == NULL ? task->owed : (struct owed){0};
    struct walk_request request = {
        .task = task->task,
        .kind = wanted_walk(board, task),
        .from_us = board->claim->from_us,
        .to_us = board->claim->to_us,
        .cursor = task->watermark_cursor,
        .profile = task->watermark_profile,
        .owed = owed.keys,
        .n_owed = owed.n,
        .owed_is_cut = owed.is_cut,
        .max_partitions = board->config->worker.parallel,
    };
    bool planned = task->connector->plan(board->sessions[task->source_index], task->source, client,
                                         &request, &task->plan, err);
    struct task_counters delta = {0};
    count_requests(state, task, &before, &delta);
    if (planned && task->plan.why_all != NULL) {
        log_info("reading the whole table", LOG_TEXT("reason", task->plan.why_all));
    }
    return planned && check_debts(task, &owed, err);
}

/* Makes the task's staging unless it is there: with the plan, or by the first lane with a page. */
static bool ready_staging(struct lane_state *state, struct task_run *task, struct error *err)
{
    MUTEX_GUARD(&task->staging_mutex);
    if (task->staging != NULL) {
        return true;
    }
    task->staging = staging_create(state->db, state->board->claim->id, task->source->name,
                                   task->task, task->plan.kind == WALK_KEYS, err);
    if (task->staging != NULL && scope_is_staged_for_merge(state->board, task)) {
        staging_keep_spans(task->staging);
    }
    return task->staging != NULL;
}

/* Most increments bring nothing; they make their staging with the first page. But where records
 * may be missing, none at all says something too. */
static bool needs_staging(const struct task_run *task)
{
    bool needed = task->plan.kind != WALK_CHANGES;
    for (size_t i = 0; i < task->plan.n_partitions; i++) {
        needed = needed || task->plan.partitions[i].kind == WALK_OWED;
    }
    return needed;
}

/* Rows that are made from landed ones are published first, then the walk finds them there. */
static bool derive(struct lane_state *state, struct task_run *task, struct error *err)
{
    if (!ready_staging(state, task, err) || !publish_derived(state->db, state->board, task, err) ||
        !staging_drop(state->db, task->staging, err)) {
        return false;
    }
    staging_free(TAKE(task->staging));
    return true;
}

static bool read_debts(struct lane_state *state, struct task_run *task, struct error *err)
{
    return task->parent == NULL || owed_read(state->db, task->source->name, task->task->name,
                                             &task->plan.arena, &task->owed, err);
}

static bool do_plan(struct lane_state *state, struct task_run *task, struct error *err)
{
    bool is_retry = state->board->claim->mode == MODE_RETRY;
    if (!ready_db(state, err) || !read_debts(state, task, err) ||
        !task_record_started(state->db, state->board, task, err) ||
        !(is_retry ? plan_retry(state, task, err) : plan_walk(state, task, err))) {
        return false;
    }
    if (publish_has_derived(state->board, task) && !derive(state, task, err)) {
        return false;
    }
    return !needs_staging(task) || ready_staging(state, task, err);
}

/* A page into staging. *ret_rows counts its rows, those that were landed already too. */
static bool stage_page(struct lane_state *state,
                       struct task_run *task,
                       struct known *known,
                       int64_t *ret_rows,
                       struct error *err)
{
    int64_t n_known = 0;
    if (!ready_staging(state, task, err) ||
        (known != NULL && !known_take(state->db, known, &state->batch, &n_known, err)) ||
        !staging_add(state->db, task->staging, &state->batch, err)) {
        return false;
    }
    *ret_rows = state->batch.n_rows + n_known;
    return true;
}

/* One page from the source to staging; `known` is NULL where nothing landed is expected. */
static enum page_result do_page(struct lane_state *state,
                                struct task_run *task,
                                struct walk *walk,
                                struct known *known,
                                struct error *err)
{
    struct http_client *client = ready_client(state, task);
    struct http_counters before;
    http_client_counters(client, &before);
    int64_t started_us = clock_monotonic_us();
    enum page_result result = task->connector->fetch(walk, client, &state->batch, err);
    int64_t fetched_us = clock_monotonic_us();
    struct task_counters delta = {0};
    if (result == PAGE_READY) {
        int64_t *sent = state->batch_shape == ROW_KEYS ? &delta.keys_sent : &delta.rows_sent;
        delta.peak_page_bytes = (int64_t)(state->batch.rows.len + state->batch.rejects.len);
        if (!stage_page(state, task, known, sent, err)) {
            result = PAGE_ERROR;
        } else {
            delta.rejects = state->batch.n_rejects;
            delta.nul_removed = state->batch.n_nul_removed;
            delta.pages = 1;
            memcpy(delta.absent_columns, state->batch.absent_columns, sizeof(delta.absent_columns));
        }
    }
    delta.load_us = clock_monotonic_us() - fetched_us;
    struct http_counters after;
    http_client_counters(client, &after);
    int64_t waiting_us =
        after.fetch_us - before.fetch_us + after.throttled_us - before.throttled_us;
    int64_t transform_us = fetched_us - started_us - waiting_us;
    delta.transform_us = transform_us > 0 ? transform_us : 0;
    count_requests(state, task, &before, &delta);
    return result;
}

/* A feed is one partition, so nobody else looks at the plan's watermark now. */
static bool keep_cursor(struct task_run *task, const struct walk_proof *proof, struct error *err)
{
    task->plan.cursor = arena_strdup(&task->plan.arena, proof->cursor);
    task->plan.high_us = proof->high_us != INT64_MIN ? proof->high_us : task->plan.high_us;
    return task->plan.cursor != NULL ||
           error_set(err, ERROR_LIMIT, "the cursor of %s is too long", task->task->name);
}

static bool do_walk(struct lane_state *state,
                    struct task_run *task,
                    const struct partition *partition,
                    struct walk_proof *ret_proof,
                    struct error *err)
{
    if (!ready_db(state, err)) {
        return false;
    }
    enum row_shape shape = partition->kind == WALK_KEYS ? ROW_KEYS : ROW_FULL;
    ready_batch(state, task->task, shape);
    state->batch.form = task->form;
    struct walk *walk = task->connector->walk_open(state->board->sessions[task->source_index],
                                                   task->source, task->task, partition);
    /* Who reads everything may read it again. The staging is there: such plans make it. */
    bool rereads = partition->kind == WALK_ALL || partition->kind == WALK_WINDOW;
    struct known known CLEANUP(known_release);
    known_init(&known, rereads ? task->staging : NULL);
    enum page_result result = PAGE_READY;
    while (result == PAGE_READY) {
        if (stop_is_requested(state->board->stop)) {
            (void)error_set(err, ERROR_CANCELLED, "stopped before the task was complete");
            result = PAGE_ERROR;
        } else if (board_has_failed(state->board, task)) {
            (void)error_set(err, ERROR_CANCELLED, "another part of the task failed");
            result = PAGE_ERROR;
        } else {
            result = do_page(state, task, walk, rereads ? &known : NULL, err);
        }
    }
    if (result == PAGE_END && rereads && !known_flush(state->db, &known, err)) {
        result = PAGE_ERROR;
    }
    task->connector->proof(walk, ret_proof);
    bool ended =
        result == PAGE_END && (ret_proof->cursor == NULL || keep_cursor(task, ret_proof, err));
    ret_proof->cursor = NULL; /* it goes with the walk */
    task->connector->walk_close(walk);
    return ended;
}

static void log_end(const struct task_run *task, enum task_status status)
{
    if (status == TASK_FAILED) {
        log_fail("task failed", LOG_TEXT("class", error_code_name(task->error.code)),
                 LOG_TEXT("error", task->error.msg));
        return;
    }
    if (status == TASK_HELD || status == TASK_PARTIAL) {
        log_warn("task not complete", LOG_TEXT("status", task_status_name(status)),
                 LOG_TEXT("reason", task->error.msg));
    }
    log_info("task finished", LOG_TEXT("status", task_status_name(status)),
             LOG_INT("read", task->records_read), LOG_INT("inserted", task->merged.inserted),
             LOG_INT("updated", task->merged.updated), LOG_INT("deleted", task->merged.deleted),
             LOG_INT("requests", task->counters.requests));
}

/* The last lane on a failed task writes its end. */
static void end_failed(struct lane_state *state, struct task_run *task)
{
    enum task_status status = policy_failure_status(&task->error, stop_reason(state->board->stop));
    struct error trouble = ERROR_INIT;
    task->merged = (struct merge_result){0};
    if (!ready_db(state, &trouble) ||
        !publish_failure(state->db, state->board, task, status, &trouble)) {
        log_warn("the end of a task could not be recorded", LOG_TEXT("error", trouble.msg));
    }
    log_end(task, status);
    board_done(state->board, task, status);
}

static void do_settle(struct lane_state *state, struct task_run *task)
{
    struct board *board = state->board;
    struct error err = ERROR_INIT;
    const struct partition *partitions = NULL;
    size_t n = 0;
    enum task_status status = TASK_FAILED;
    bool last = false;
    if (error_is_set(&task->error)) {
        end_failed(state, task);
        return;
    }
    int64_t started_us = clock_monotonic_us();
    bool good = ready_db(state, &err) && publish_collect_people(state->db, task, &err) &&
                confirm_keys(state->db, board, task, &partitions, &n, &err);
    if (good && n > 0) {
        board_confirm(board, task, partitions, n);
        return;
    }
    struct task_counters delta = {.load_us = clock_monotonic_us() - started_us};
    board_count(board, task, &delta);
    if (good && stop_is_requested(board->stop)) {
        good = error_set(&err, ERROR_CANCELLED, "stopped before the task was published");
    }
    if (good && publish_task(state->db, board, task, &status, &err)) {
        log_end(task, status);
        board_done(board, task, status);
        return;
    }
    board_failed(board, task, &err, &last);
    end_failed(state, task);
}

static void do_step(struct lane_state *state, struct step step)
{
    while (step.kind != STEP_NONE) {
        struct task_run *task = step.task;
        LOG_SCOPE(LOG_TEXT("source", task->source->name));
        LOG_SCOPE(LOG_TEXT("task", task->task->name));
        struct error err = ERROR_INIT;
        struct walk_proof proof = {0};
        struct step next = {.kind = STEP_NONE};
        bool last = false;
        switch (step.kind) {
        case STEP_PLAN:
            if (do_plan(state, task, &err)) {
                board_planned(state->board, task, &next);
            } else {
                board_failed(state->board, task, &err, &last);
            }
            break;
        case STEP_WALK:
            if (do_walk(state, task, step.partition, &proof, &err)) {
                board_walked(state->board, task, &proof, &next);
            } else {
                board_failed(state->board, task, &err, &last);
            }
            break;
        case STEP_SETTLE:
            do_settle(state, task);
            break;
        case STEP_NONE:
            break;
        }
        if (last) {
            end_failed(state, task);
        }
        step = next;
    }
}

static void *lane_main(void *arg)
{
    struct lane *lane = arg;
    LOG_SCOPE(LOG_INT("execution_id", lane->board->claim->id));
    LOG_SCOPE(LOG_TEXT("trace_id", lane->board->claim->trace_id));
    struct lane_state state = {
        .lane = lane,
        .board = lane->board,
        .clients = xcalloc(lane->n_sources + 1, sizeof(struct http_client *)),
    };
    for (;;) {
        struct step step = board_take(lane->board);
        if (step.kind == STEP_NONE) {
            break;
        }
        do_step(&state, step);
    }
    for (size_t i = 0; i < lane->n_sources; i++) {
        http_client_free(state.clients[i]);
    }
    if (state.batch_task != NULL) {
        row_batch_release(&state.batch);
    }
    xfree(state.clients);
    db_close(state.db);
    board_leave(lane->board);
    return NULL;
}

void lane_start(struct lane *lane)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "lane-%u", lane->number);
    board_enter(lane->board);
    thread_start(&lane->thread, name, lane_main, lane);
}

void lane_join(struct lane *lane)
{
    thread_join(&lane->thread);
}
