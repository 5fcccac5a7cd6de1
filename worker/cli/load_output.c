#include "worker/cli/load_output.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "worker/cli/table.h"

#define LINE_BYTES_MAX 4096
#define LINE_WIDTH     150

void load_progress_init(struct load_progress *progress)
{
    *progress = (struct load_progress){.enabled = isatty(STDERR_FILENO) == 1,
                                       .started_us = clock_monotonic_us()};
}

static void update_rate(struct load_progress *progress, int64_t records)
{
    int64_t now_us = clock_monotonic_us();
    int64_t passed_us = now_us - progress->last_us;
    if (progress->last_us != 0 && passed_us > 0) {
        double rate =
            (double)(records - progress->last_records) * (double)US_PER_S / (double)passed_us;
        progress->rate = progress->rate == 0 ? rate : 0.7 * progress->rate + 0.3 * rate;
    }
    progress->last_us = now_us;
    progress->last_records = records;
}

void load_progress_show(void *arg, struct board *board)
{
    struct load_progress *progress = arg;
    struct buf line CLEANUP(buf_release);
    buf_init(&line, LINE_BYTES_MAX);
    int64_t records = 0;
    int64_t pages = 0;
    size_t n_running = 0;
    for (size_t i = 0; i < board->n_tasks; i++) {
        struct task_progress task;
        board_progress(board, i, &task);
        records += task.records;
        pages += task.pages;
        if (task.status == TASK_RUNNING && line.len < LINE_WIDTH) {
            buf_addf(&line, "%s%s %" PRId64, n_running++ > 0 ? ", " : "", task.task, task.records);
        }
    }
    update_rate(progress, records);
    (void)fprintf(stderr, "\r\033[K%.0f s  %" PRId64 " rows, %.0f/s, %" PRId64 " pages  %s",
                  (double)(clock_monotonic_us() - progress->started_us) / (double)US_PER_S, records,
                  progress->rate, pages, line.ptr);
}

void load_progress_clear(struct load_progress *progress)
{
    if (progress->enabled) {
        (void)fputs("\r\033[K", stderr);
    }
}

static int64_t number_at(const struct task_report *task, size_t column)
{
    const int64_t numbers[] = {task->read,    task->inserted, task->updated, task->unchanged,
                               task->deleted, task->rejected, task->hidden,  task->requests};
    return numbers[column];
}

static const char *report_cell(const void *arg, size_t row, size_t column)
{
    static char numbers[2][24]; /* the table asks for a cell at a time */
    static unsigned turn;
    const struct run_report *report = arg;
    const struct task_report *task = &report->tasks[row];
    switch (column) {
    case 0:
        return task->source;
    case 1:
        return task->task;
    case 2:
        return task_status_name(task->status);
    default:
        turn ^= 1U;
        (void)snprintf(numbers[turn], sizeof(numbers[turn]), "%" PRId64,
                       number_at(task, column - 3));
        return numbers[turn];
    }
}

void load_output_table(const struct run_report *report, const char *load)
{
    static const char *const HEADS[] = {"source",   "task",    "status",    "read",
                                        "inserted", "updated", "unchanged", "deleted",
                                        "rejected", "hidden",  "requests"};
    printf("execution %" PRId64 "  %s  %s  %.1f s\n", report->execution_id, load,
           task_status_name(report->status), (double)report->duration_us / (double)US_PER_S);
    if (report->n_tasks > 0) {
        table_print(HEADS, sizeof(HEADS) / sizeof(HEADS[0]), report->n_tasks, report_cell, report);
    }
    (void)fflush(stdout);
    if (report->message != NULL) {
        (void)fprintf(stderr, "foz-worker: %s: %s\n", load, report->message);
    }
}

static void add_text(struct buf *out, const char *name, const char *text)
{
    buf_addf(out, "\"%s\":", name);
    buf_add_json_string(out, str_from(text));
}

static void add_task(struct buf *out, const struct task_report *task)
{
    static const char *const NAMES[] = {"records_read",      "records_inserted", "records_updated",
                                        "records_unchanged", "records_deleted",  "records_rejected",
                                        "records_hidden",    "requests"};
    buf_add_char(out, '{');
    add_text(out, "source", task->source);
    buf_add_char(out, ',');
    add_text(out, "task", task->task);
    buf_add_char(out, ',');
    add_text(out, "status", task_status_name(task->status));
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        buf_addf(out, ",\"%s\":%" PRId64, NAMES[i], number_at(task, i));
    }
    if (error_is_set(&task->error)) {
        buf_add_char(out, ',');
        add_text(out, "error_class", error_code_name(task->error.code));
        buf_add_char(out, ',');
        add_text(out, "error_message", task->error.msg);
    }
    buf_add_char(out, '}');
}

void load_output_json(const struct run_report *reports, const char *const *loads, size_t n)
{
    struct buf out CLEANUP(buf_release);
    buf_init(&out, (size_t)16 * 1024 * 1024);
    buf_add_c(&out, "{\"executions\":[");
    for (size_t i = 0; i < n; i++) {
        const struct run_report *report = &reports[i];
        buf_addf(&out, "%s{\"id\":%" PRId64 ",", i > 0 ? "," : "", report->execution_id);
        add_text(&out, "load", loads[i]);
        buf_add_char(&out, ',');
        add_text(&out, "status", task_status_name(report->status));
        buf_addf(&out, ",\"exit_code\":%d,\"duration_ms\":%" PRId64 ",", report->exit_code,
                 report->duration_us / US_PER_MS);
        add_text(&out, "error_message", run_report_message(report));
        buf_add_c(&out, ",\"tasks\":[");
        for (size_t t = 0; t < report->n_tasks; t++) {
            buf_add_c(&out, t > 0 ? "," : "");
            add_task(&out, &report->tasks[t]);
        }
        buf_add_c(&out, "]}");
    }
    buf_add_c(&out, "]}");
    printf("%s\n", out.ptr);
}
