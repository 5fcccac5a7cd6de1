#pragma once

#include <stddef.h>

#include "common/base/error.h"
#include "worker/run/report.h"

/*
 * What follows from what happened: an execution's status and exit code from its tasks' ends, and an
 * exit code from an error. Pure; nobody else decides this.
 */

enum exit_code {
    EXIT_COMPLETE = 0,
    EXIT_TASK_FAILED = 1,
    EXIT_PARTIAL = 3,
    EXIT_HELD = 4,
    EXIT_BAD_USAGE = 64,
    EXIT_UNREACHABLE = 69,
    EXIT_BUSY = 75,
    EXIT_DENIED = 77,
    EXIT_BAD_CONFIG = 78,
    EXIT_STOPPED = 143,
};

/* Of a failed task, or of a source that cannot be checked. */
int policy_exit_of_error(const struct error *err);

/* The one that counts where causes mix: the first of 143, 77, 78, 69, 1, 4, 3. What was
 * stopped says so first: it did not get to see the rest. */
int policy_exit_worse(int a, int b);

/* Of a task that ended with `err`; `stopped`: what its execution was asked to stop for. */
enum task_status policy_failure_status(const struct error *err, enum stop_reason stopped);

enum task_status
policy_execution_status(const struct task_report *tasks, size_t n_tasks, enum stop_reason stopped);
int policy_execution_exit(const struct task_report *tasks,
                          size_t n_tasks,
                          enum task_status status,
                          enum stop_reason stopped);
