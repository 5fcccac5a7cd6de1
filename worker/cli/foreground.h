#pragma once

#include <stdbool.h>

#include "common/conf/config.h"
#include "common/io/db.h"
#include "common/ops/execution.h"
#include "worker/cli/load_output.h"
#include "worker/run/hub.h"

/*
 * One execution in the foreground: reserved in the log, started when its load is free, run. Shared
 * by `load` and `dead-letters retry`.
 */

struct foreground {
    const struct config *config;
    struct hub *hub;
    struct stop *stop;
    struct db *owner;
    bool no_wait;
    struct load_progress progress;
};

/* Fills the report and returns its exit code; 75 when busy and no_wait, 143 when stopped while
 * waiting. Trouble before the execution has begun is printed on stderr. */
int foreground_run(struct foreground *foreground,
                   const struct load_request *request,
                   const struct load_order *order,
                   struct run_report *ret_report);
