#include "worker/run/sources.h"

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "worker/http/client.h"
#include "worker/run/policy.h"
#include "worker/run/publish.h"

static void fail_task(struct sources *sources, struct task_run *task, const struct error *why)
{
    struct error trouble = ERROR_INIT;
    task->error = *why;
    task->phase = PHASE_DONE;
    task->status = policy_failure_status(why, stop_reason(sources->board->stop));
    if (!publish_failure(sources->owner, sources->board, task, task->status, &trouble)) {
        log_warn("the end of a task could not be recorded", LOG_TEXT("error", trouble.msg));
    }
    log_fail("task failed", LOG_TEXT("source", task->source->name),
             LOG_TEXT("task", task->task->name), LOG_TEXT("error", why->msg));
}

static void fail_tasks_of(struct sources *sources, size_t source_index, const struct error *why)
{
    for (size_t i = 0; i < sources->board->n_tasks; i++) {
        if (sources->board->tasks[i].source_index == source_index) {
            fail_task(sources, &sources->board->tasks[i], why);
        }
    }
}

static void open_source(struct sources *sources, const struct task_run *task)
{
    struct board *board = sources->board;
    size_t s = task->source_index;
    if (sources->hub->sources[s] == NULL) {
        fail_tasks_of(sources, s, &sources->hub->errors[s]);
        return;
    }
    if (task->connector->open == NULL) {
        return;
    }
    struct error err = ERROR_INIT;
    sources->clients[s] = http_client_new(sources->hub->sources[s], board->stop,
                                          (size_t)board->config->worker.page_memory_bytes);
    sources->is_open[s] =
        task->connector->open(task->source, sources->clients[s], &board->sessions[s], &err);
    if (!sources->is_open[s]) {
        fail_tasks_of(sources, s, &err);
    }
}

void sources_open(struct sources *sources,
                  struct board *board,
                  const struct hub *hub,
                  struct db *owner)
{
    size_t n = board->config->n_sources + 1;
    *sources = (struct sources){.board = board, .hub = hub, .owner = owner};
    sources->clients = xcalloc(n, sizeof(struct http_client *));
    sources->is_open = xcalloc(n, sizeof(*sources->is_open));
    board->sessions = xcalloc(n, sizeof(*board->sessions));
    for (size_t i = 0; i < board->n_tasks; i++) {
        const struct task_run *task = &board->tasks[i];
        if (sources->clients[task->source_index] == NULL && task->phase != PHASE_DONE) {
            open_source(sources, task);
        }
    }
}

/* A session is ended also when everything else is told to stop, so this listens to no one. */
static void close_source(struct sources *sources, const struct task_run *task)
{
    struct board *board = sources->board;
    size_t s = task->source_index;
    struct stop *never = stop_new(NULL);
    struct http_client *client = http_client_new(sources->hub->sources[s], never,
                                                 (size_t)board->config->worker.page_memory_bytes);
    task->connector->close(board->sessions[s], client);
    http_client_free(client);
    stop_free(never);
}

void sources_close(struct sources *sources)
{
    struct board *board = sources->board;
    for (size_t i = 0; i < board->n_tasks; i++) {
        const struct task_run *task = &board->tasks[i];
        size_t s = task->source_index;
        if (sources->clients[s] != NULL) {
            if (sources->is_open[s]) {
                close_source(sources, task);
            }
            http_client_free(TAKE(sources->clients[s]));
        }
    }
    xfree(board->sessions);
    xfree(sources->clients);
    xfree(sources->is_open);
}
