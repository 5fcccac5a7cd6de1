#include "worker/run/report.h"

#include <stdio.h>

#include "common/base/alloc.h"
#include "worker/run/policy.h"

void run_report_release(struct run_report *report)
{
    xfree(report->tasks);
    report->tasks = NULL;
    xfree(report->message);
    report->message = NULL;
}

const char *run_report_message(const struct run_report *report)
{
    return report->message != NULL ? report->message : "";
}

static void fill_tasks(struct run_report *report, const struct board *board)
{
    report->tasks = xcalloc(board->n_tasks + 1, sizeof(*report->tasks));
    report->n_tasks = board->n_tasks;
    for (size_t i = 0; i < board->n_tasks; i++) {
        const struct task_run *task = &board->tasks[i];
        const struct merge_result *merged = &task->merged;
        struct task_report *row = &report->tasks[i];
        *row = (struct task_report){
            .status = task->status,
            .read = task->records_read,
            .inserted = merged->inserted,
            .updated = merged->updated,
            .unchanged = merged->unchanged,
            .deleted = merged->deleted,
            .rejected = merged->rejected,
            .hidden = task->counters.hidden,
            .requests = task->counters.requests,
            .pages = task->counters.pages,
            .bytes_received = task->counters.bytes_received,
            .error = task->error,
        };
        (void)snprintf(row->source, sizeof(row->source), "%s", task->source->name);
        (void)snprintf(row->task, sizeof(row->task), "%s", task->task->name);
    }
}

/* Why the whole of it ended early; "" if it did not. */
static const char *cause_of(enum stop_reason stopped, const char *lost)
{
    switch (stopped) {
    case STOP_NONE:
        break;
    case STOP_CANCELLED:
        return "cancelled on request";
    case STOP_SIGNAL:
        return "stopped by a signal before it was complete; run it again";
    case STOP_LOST:
        return lost;
    }
    return "";
}

/* "snow.incident: ...; snow.groups: ..." over all tasks with something to say, behind the cause. */
static void join_messages(struct run_report *report, const char *cause)
{
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, strlen(cause) + (report->n_tasks + 1) * sizeof(struct task_report));
    buf_add_c(&text, cause);
    for (size_t i = 0; i < report->n_tasks; i++) {
        const struct task_report *task = &report->tasks[i];
        if (error_is_set(&task->error)) {
            buf_addf(&text, "%s%s.%s: %s", text.len > 0 ? "; " : "", task->source, task->task,
                     task->error.msg);
        }
    }
    report->message = text.len > 0 ? buf_take(&text) : NULL;
}

void run_report_end(struct run_report *report,
                    const struct board *board,
                    enum stop_reason stopped,
                    const char *lost)
{
    fill_tasks(report, board);
    report->status = policy_execution_status(report->tasks, report->n_tasks, stopped);
    bool is_cut_short = report->status == TASK_INTERRUPTED || report->status == TASK_CANCELLED;
    join_messages(report, is_cut_short ? cause_of(stopped, lost) : "");
    report->exit_code =
        policy_execution_exit(report->tasks, report->n_tasks, report->status, stopped);
}

void run_report_add_failure(struct run_report *report,
                            const struct error *err,
                            enum stop_reason stopped)
{
    enum task_status status = policy_failure_status(err, stopped);
    int exit_code = status == TASK_INTERRUPTED ? EXIT_STOPPED : policy_exit_of_error(err);
    if (report->status != TASK_INTERRUPTED && report->status != TASK_CANCELLED) {
        report->status = status;
    }
    report->exit_code = policy_exit_worse(report->exit_code, exit_code);
    char *before CLEANUP(xfreep) = TAKE(report->message);
    report->message = before == NULL ? xstrdup(err->msg) : xasprintf("%s; %s", err->msg, before);
}

void run_report_refuse(struct run_report *report, const struct error *err)
{
    report->status = TASK_FAILED;
    report->exit_code = policy_exit_of_error(err);
    report->message = xstrdup(err->msg);
}
