#include "worker/run/load_run.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/io/db_watch.h"
#include "common/io/json.h"
#include "common/ops/readers.h"
#include "worker/load/project.h"
#include "worker/run/lane.h"
#include "worker/run/sources.h"
#include "worker/run/standing.h"
#include "worker/run/task_record.h"

#define PLAN_BYTES_MAX     ((size_t)256 * 1024 * 1024)
#define HEARTBEAT_US       US_PER_S
#define PROGRESS_US        (200 * US_PER_MS)
#define FINISH_PATIENCE_US (60 * US_PER_S)
/* What a statement may take on once the execution is to stop: a publish is rather finished. */
#define STATEMENT_PATIENCE_US (10 * US_PER_S)

struct load_running {
    const struct config *config;
    struct hub *hub;
    struct db *owner;
    const struct claim *claim;
    const struct load_run_options *options;
    struct stop *stop; /* of this execution; child of the process's */
    struct board board;
    struct task_run *tasks;
    size_t n_tasks;
    const struct load_def *load;
    struct error lost; /* why the execution is not ours any more */
};

/* No restriction, or the name is among the strings of params' `key`. */
static bool is_wanted(const struct json *params, const char *key, const char *name)
{
    const struct json *list = json_find(params, key);
    for (size_t i = 0; i < json_size(list); i++) {
        const char *item = json_string(json_at(list, i));
        if (item != NULL && strcmp(item, name) == 0) {
            return true;
        }
    }
    return json_size(list) == 0;
}

static void
add_task(struct load_running *running, size_t source_index, const struct task_def *shipped)
{
    const struct source_config *source = &running->config->sources[source_index];
    const struct task_config *config = source_task(source, shipped->name);
    struct task_run *task = &running->tasks[running->n_tasks];
    *task = (struct task_run){
        .index = running->n_tasks,
        .source = source,
        .source_index = source_index,
        .task = config_task(running->config, source, shipped->name),
        .allow_hidden = config != NULL && config->allow_hidden,
        .connector = connector_find(source->type),
        .watermark_high_us = INT64_MIN,
    };
    mutex_init(&task->staging_mutex);
    arena_init(&task->plan.arena, PLAN_BYTES_MAX);
    arena_init(&task->confirm_arena, PLAN_BYTES_MAX);
    task->plan.high_us = INT64_MIN;
    task->plan.unsettled_us = INT64_MAX;
    running->n_tasks++;
}

static const struct task_def *
landed(const struct load_running *running, const struct task_def *task, const char *name)
{
    const struct task_def *found =
        name == NULL ? NULL : catalog_task(&running->config->catalog, task->source_type, name);
    return found == NULL ? NULL : config_landed_task(running->config, found);
}

/* Which tasks need what others have landed, and which of those are of this execution. */
static void tie_tasks(struct load_running *running)
{
    for (size_t i = 0; i < running->n_tasks; i++) {
        struct task_run *task = &running->tasks[i];
        const struct task_def *def = task->task;
        task->parent = landed(running, def, def->parent);
        task->origin =
            landed(running, def, def->latest_of != NULL ? def->latest_of : def->people_of);
        for (size_t k = 0; k < running->n_tasks && def->parent != NULL; k++) {
            const struct task_run *other = &running->tasks[k];
            if (other->source == task->source && strcmp(other->task->name, def->parent) == 0) {
                task->waits_on = other;
            }
        }
    }
}

/* Fills running->tasks from the load, the sources of its type and the request's restrictions. */
static bool gather_tasks(struct load_running *running, bool *ret_mass_delete, struct error *err)
{
    const struct config *config = running->config;
    running->load = catalog_find_load(&config->catalog, running->claim->load);
    if (running->load == NULL) {
        return error_set(err, ERROR_CONFIG, "load %s is not in this worker's catalog",
                         running->claim->load);
    }
    struct json *params = json_parse(str_from(running->claim->params), err);
    if (params == NULL) {
        return error_wrap(err, "params of execution %" PRId64, running->claim->id);
    }
    *ret_mass_delete = json_bool(json_find(params, "allow_mass_delete"), false);
    running->tasks =
        xcalloc(config->n_sources * running->load->n_tasks + 1, sizeof(*running->tasks));
    for (size_t s = 0; s < config->n_sources; s++) {
        const struct source_config *source = &config->sources[s];
        if (strcmp(source->type, running->load->source_type) != 0 ||
            !is_wanted(params, "source", source->name) || connector_find(source->type) == NULL) {
            continue;
        }
        for (size_t t = 0; t < running->load->n_tasks; t++) {
            const struct task_def *task = running->load->tasks[t];
            if (is_wanted(params, "task", task->name) &&
                config_task_is_enabled(config, source, task->name)) {
                add_task(running, s, task);
            }
        }
    }
    json_free(params);
    tie_tasks(running);
    return running->n_tasks > 0 ||
           error_set(err, ERROR_CONFIG,
                     "load %s has nothing to do: the configuration names no source of type %s with "
                     "an enabled task that was asked for",
                     running->load->name, running->load->source_type);
}

static void lose(struct load_running *running, struct error *why)
{
    log_fail("the execution is lost", LOG_TEXT("error", why->msg));
    running->lost = *why;
    stop_request(running->stop, STOP_LOST);
}

static void lose_connection(struct load_running *running, struct error *why)
{
    (void)error_wrap(why, "the database connection that owns the execution was lost");
    lose(running, why);
}

/* Heartbeat, cancellation, loss of the connection that proves ownership. */
static void beat(struct load_running *running)
{
    struct claim_pulse pulse = {0};
    struct error err = ERROR_INIT;
    if (!claim_heartbeat(running->owner, running->claim, board_records(&running->board), &pulse,
                         &err)) {
        lose_connection(running, &err);
    } else if (pulse.lost) {
        (void)error_set(&err, ERROR_UNCERTAIN, "another worker has taken over the execution");
        lose(running, &err);
    } else if (pulse.cancel_requested) {
        stop_request(running->stop, STOP_CANCELLED);
    }
}

static void watch(struct load_running *running)
{
    int64_t next_beat_us = clock_monotonic_us() + HEARTBEAT_US;
    while (!board_is_deserted(&running->board)) {
        int64_t now_us = clock_monotonic_us();
        bool notified = false;
        struct error err = ERROR_INIT;
        int64_t deadline_us =
            running->options->on_progress != NULL ? now_us + PROGRESS_US : next_beat_us;
        if (stop_reason(running->stop) == STOP_LOST) {
            clock_sleep_us(PROGRESS_US);
            continue;
        }
        if (!db_wait_notify(running->owner, deadline_us, running->board.wake_fd, &notified, &err)) {
            lose_connection(running, &err);
            continue;
        }
        now_us = clock_monotonic_us();
        if (notified || now_us >= next_beat_us) {
            beat(running);
            next_beat_us = now_us + HEARTBEAT_US;
        }
        if (running->options->on_progress != NULL) {
            running->options->on_progress(running->options->arg, &running->board);
        }
    }
}

static void run_lanes(struct load_running *running)
{
    int64_t wanted = config_load_parallel(running->config, running->load);
    if (wanted > running->config->worker.parallel) {
        wanted = running->config->worker.parallel;
    }
    size_t n = (size_t)(wanted > 0 ? wanted : 1);
    struct lane *lanes = xcalloc(n, sizeof(*lanes));
    for (size_t i = 0; i < n; i++) {
        lanes[i] = (struct lane){.board = &running->board,
                                 .http_sources = running->hub->sources,
                                 .n_sources = running->config->n_sources,
                                 .number = (unsigned)i + 1};
        lane_start(&lanes[i]);
    }
    watch(running);
    for (size_t i = 0; i < n; i++) {
        lane_join(&lanes[i]);
    }
    xfree(lanes);
}

/* The owner's connection may be gone: the log is worth a few more tries. A row that another worker
 * has taken meanwhile stays as it is. */
static void finish(struct load_running *running, const struct run_report *report, bool retry_due)
{
    struct error err = ERROR_INIT;
    const char *status = task_status_name(report->status);
    if (db_is_alive(running->owner) && claim_finish(running->owner, running->claim, status,
                                                    run_report_message(report), retry_due, &err)) {
        return;
    }
    int64_t give_up_us = clock_monotonic_us() + FINISH_PATIENCE_US;
    while (clock_monotonic_us() < give_up_us) {
        error_clear(&err);
        struct db_settings settings = {.url = running->config->database_url,
                                       .application_name = "foz-worker finish"};
        struct db *db CLEANUP(db_closep) = db_open(&settings, &err);
        if (db != NULL &&
            claim_finish(db, running->claim, status, run_report_message(report), retry_due, &err)) {
            return;
        }
        clock_sleep_us(US_PER_S);
    }
    log_fail("the end of an execution could not be recorded; the next worker will mark it as "
             "interrupted",
             LOG_TEXT("error", err.msg));
}

static bool has_changed_rows(const struct load_running *running)
{
    int64_t changed = 0;
    for (size_t i = 0; i < running->n_tasks; i++) {
        const struct merge_result *merged = &running->tasks[i].merged;
        changed += merged->inserted + merged->updated + merged->deleted;
    }
    return changed > 0;
}

/* Whoever learns that the execution has ended, and asks, is answered what it brought. */
static void wait_for_readers(const struct load_running *running)
{
    if (has_changed_rows(running) && !stop_is_requested(running->stop) &&
        db_is_alive(running->owner)) {
        (void)readers_wait(running->owner, READERS_PATIENCE_US);
    }
}

static void drop_left_over(struct load_running *running)
{
    for (size_t i = 0; i < running->n_tasks; i++) {
        struct task_run *task = &running->tasks[i];
        if (task->staging != NULL && task->phase != PHASE_DONE) {
            struct error ignored = ERROR_INIT; /* swept at the next start */
            (void)staging_drop(running->owner, task->staging, &ignored);
        }
    }
}

static void release_tasks(struct load_running *running)
{
    for (size_t i = 0; i < running->n_tasks; i++) {
        struct task_run *task = &running->tasks[i];
        staging_free(task->staging);
        arena_release(&task->plan.arena);
        arena_release(&task->confirm_arena);
        mutex_release(&task->staging_mutex);
        standing_release(task);
    }
    xfree(running->tasks);
}

static bool has_published(const struct load_running *running, size_t source_index)
{
    for (size_t i = 0; i < running->n_tasks; i++) {
        const struct task_run *task = &running->tasks[i];
        if (task->source_index == source_index &&
            (task->status == TASK_SUCCESS || task->status == TASK_PARTIAL)) {
            return true;
        }
    }
    return false;
}

/* What the publishes left to the end, since it was too much for one of them. A load that is to stop
 * leaves it to the next. */
static bool settle_core(struct load_running *running, struct error *err)
{
    struct db_settings settings = {.url = running->config->database_url,
                                   .application_name = "foz-worker core"};
    struct db *db CLEANUP(db_closep) = NULL;
    for (size_t s = 0; s < running->config->n_sources; s++) {
        const char *source = running->config->sources[s].name;
        bool owes = false;
        if (!has_published(running, s) || stop_is_requested(running->stop)) {
            continue;
        }
        if (!project_owes(running->owner, source, &owes, err)) {
            return false;
        }
        if (!owes) {
            continue;
        }
        if (db == NULL && (db = db_open(&settings, err)) != NULL) {
            db_watch_add(running->board.watch, db);
        }
        int64_t started_us = clock_monotonic_us();
        bool settled = false;
        if (db == NULL || !project_settle(db, &running->config->sources[s], running->claim->id,
                                          running->claim->trace_id, &settled, err)) {
            return false;
        }
        if (settled) {
            log_info("tickets, people and events brought up to the load",
                     LOG_TEXT("source", source),
                     LOG_INT("duration_ms", (clock_monotonic_us() - started_us) / US_PER_MS));
        }
    }
    return true;
}

static bool prepare(struct load_running *running, struct error *err)
{
    bool mass_delete = false;
    bool gathered = gather_tasks(running, &mass_delete, err);
    board_init(&running->board, running->config, running->claim, running->stop, running->tasks,
               running->n_tasks);
    running->board.allow_mass_delete = mass_delete;
    return gathered &&
           db_execute(running->owner, "LISTEN " EXECUTION_CANCEL_CHANNEL, DB_NO_PARAMS, NULL,
                      err) &&
           task_record_open(running->owner, &running->board, err) &&
           standing_read(running->owner, &running->board, err);
}

void load_run(const struct config *config,
              struct hub *hub,
              struct db *owner,
              const struct claim *claim,
              const struct load_run_options *options,
              struct run_report *ret_report)
{
    int64_t started_us = clock_monotonic_us();
    *ret_report = (struct run_report){.execution_id = claim->id};
    struct load_running running = {.config = config,
                                   .hub = hub,
                                   .owner = owner,
                                   .claim = claim,
                                   .options = options,
                                   .stop = stop_new(options->stop)};
    log_info("execution started", LOG_INT("execution_id", claim->id), LOG_TEXT("load", claim->load),
             LOG_TEXT("mode", load_mode_name(claim->mode)), LOG_TEXT("trace_id", claim->trace_id));
    struct error err = ERROR_INIT;
    enum stop_reason stopped = STOP_NONE;
    if (prepare(&running, &err)) {
        running.board.watch = db_watch_new(running.stop, STATEMENT_PATIENCE_US);
        struct sources sources;
        sources_open(&sources, &running.board, hub, owner);
        run_lanes(&running);
        sources_close(&sources);
        drop_left_over(&running);
        bool settled = settle_core(&running, &err);
        db_watch_free(TAKE(running.board.watch));
        wait_for_readers(&running);
        stopped = stop_reason(running.stop);
        run_report_end(ret_report, &running.board, stopped, running.lost.msg);
        if (!settled) {
            run_report_add_failure(ret_report, &err, stopped);
        }
    } else {
        run_report_refuse(ret_report, &err);
    }
    bool retry_due = ret_report->status == TASK_INTERRUPTED && claim->attempt == 1 &&
                     (stopped == STOP_LOST || options->retry_when_stopped);
    finish(&running, ret_report, retry_due);
    ret_report->duration_us = clock_monotonic_us() - started_us;
    log_info("execution finished", LOG_INT("execution_id", claim->id),
             LOG_TEXT("load", claim->load),
             LOG_TEXT("status", task_status_name(ret_report->status)),
             LOG_INT("duration_ms", ret_report->duration_us / US_PER_MS),
             LOG_TEXT("message", run_report_message(ret_report)));
    board_release(&running.board);
    release_tasks(&running);
    stop_free(running.stop);
}
