#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "worker/run/load_run.h"

/* What `load` shows: a progress line on a terminal, a table or JSON at the end. */

/* Rewrites one line on stderr: what each running task has read so far, and how fast. */
struct load_progress {
    bool enabled; /* stderr is a terminal */
    int64_t started_us;
    int64_t last_us; /* of the last repaint */
    int64_t last_records;
    double rate; /* records per second, smoothed */
};

void load_progress_init(struct load_progress *progress);
void load_progress_show(void *arg, struct board *board); /* arg: the struct load_progress */
void load_progress_clear(struct load_progress *progress);

/* The reports of all executions of one command on stdout. */
void load_output_table(const struct run_report *report, const char *load);
void load_output_json(const struct run_report *reports, const char *const *loads, size_t n);
