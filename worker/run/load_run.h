#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/io/db.h"
#include "worker/run/board.h"
#include "worker/run/hub.h"
#include "worker/run/report.h"

/*
 * One claimed execution from start to finish: its tasks, its lanes, its heartbeat, its last line in
 * the log. Runs in the calling thread, which owns the claim's connection.
 */

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
