#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/stop.h"
#include "worker/run/board.h"

/*
 * What is told of an execution when it has ended: its status, its message and its exit code, made
 * by policy.c from its tasks' ends. It needs nothing of the execution any more.
 */

/* What became of one task, for the people who wait for it. */
struct task_report {
    char source[64];
    char task[64];
    enum task_status status;
    int64_t read;
    int64_t inserted;
    int64_t updated;
    int64_t unchanged;
    int64_t deleted;
    int64_t rejected;
    int64_t hidden;
    int64_t requests;
    int64_t pages;
    int64_t bytes_received;
    struct error error;
};

struct run_report {
    int64_t execution_id;
    enum task_status status; /* of the execution */
    int exit_code;           /* of the contract: 0, 1, 3, 4, 69, 77, 78, 143 */
    int64_t duration_us;
    char *message; /* the tasks' joined, whatever their length; owned; NULL = none */
    struct task_report *tasks;
    size_t n_tasks;
};

void run_report_release(struct run_report *report);

/* "" where there is none. */
const char *run_report_message(const struct run_report *report);

/* From the board's tasks, whose lanes have ended. `stopped`: what the execution was asked to stop
 * for; `lost`: why it is not ours any more. */
void run_report_end(struct run_report *report,
                    const struct board *board,
                    enum stop_reason stopped,
                    const char *lost);

/* Behind run_report_end: what followed the tasks failed, such as bringing core up to them. */
void run_report_add_failure(struct run_report *report,
                            const struct error *err,
                            enum stop_reason stopped);

/* Instead of run_report_end: nothing was begun. */
void run_report_refuse(struct run_report *report, const struct error *err);
