#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/io/db.h"
#include "worker/run/board.h"
#include "worker/run/hub.h"

/*
 * One claimed execution from start to finish: its tasks, its lanes, its heartbeat, its last line in
 * the log. Runs in the calling thread, which owns the claim's connection.
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
    int exit_code;           /* of the contract: 0, 1, 3, 4, 69, 77, 143 */
    int64_t duration_us;
    char message[4096];
    struct task_report *tasks;
    size_t n_tasks;
};

void run_report_release(struct run_report *report);

struct load_run_options {
    struct stop *stop; /* of the process */
    /* Called about five times a second with the board; NULL for none. */
    void (*on_progress)(void *arg, struct board *board);
    void *arg;
    bool retry_when_stopped; /* a stop by signal leaves the execution to be retried by `run` */
};

/* Runs the execution of `claim`, whose lock `owner` holds. Everything that goes wrong is in the
 * log and in the report. */
void load_run(const struct config *config,
              struct hub *hub,
              struct db *owner,
              const struct claim *claim,
              const struct load_run_options *options,
              struct run_report *ret_report);
