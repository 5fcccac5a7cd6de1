#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/conf/config.h"
#include "common/io/db.h"

/*
 * What both programs know of an execution: its states, how a request is checked and how it is
 * queued. `ops.execution_log` is log and queue in one; running an execution is the worker's.
 */

#define EXECUTION_QUEUE_CHANNEL  "foz_queue"      /* NOTIFY: payload = execution id */
#define EXECUTION_CANCEL_CHANNEL "foz_cancel"     /* NOTIFY: payload = execution id */
#define PROJECTION_CHANNEL       "foz_projection" /* NOTIFY: payload = "source task version" */

enum load_mode { MODE_INCREMENTAL, MODE_WINDOW, MODE_FULL, MODE_RECONCILE, MODE_RETRY };

const char *load_mode_name(enum load_mode mode);
bool load_mode_parse(const char *text, enum load_mode *ret_mode); /* the four public ones */

/* A request for a load as it came from a command line or an HTTP request, before it is checked.
 * Strings are borrowed; absent ones NULL. */
struct load_request {
    const char *load;
    const char *mode;
    const char *from; /* RFC 3339 or a date */
    const char *to;
    const char *const *sources; /* restriction, empty = all of the load's type */
    size_t n_sources;
    const char *const *tasks;
    size_t n_tasks;
    bool allow_mass_delete;
    const char *trigger; /* cli, api, timer */
    const char *requested_by;
    const char *trace_id;
    const char *idempotency_key;
};

/* Checked and complete. */
struct load_order {
    const struct load_def *load;
    enum load_mode mode;
    bool has_from;
    bool has_to;
    int64_t from_us;
    int64_t to_us;
    char params[4096]; /* {"source":[...sorted],"task":[...sorted],"allow_mass_delete":true}, only
                          what is set */
};

/* Checks names, mode and dates against the configuration. The mode defaults to window when a date
 * is given, else incremental. ERROR_CONFIG names the bad value and the valid ones (nearest first):
 * unknown load, source, task or mode; source of another type; unreadable date; from >= to; dates
 * with a mode other than window; window without any date. An absent `to` means open-ended. */
bool load_request_check(const struct config *config,
                        const struct load_request *request,
                        struct load_order *ret_order,
                        struct error *err);

/* Queues or joins (ops.enqueue) and commits. */
bool execution_enqueue(struct db *db,
                       const struct load_request *request,
                       const struct load_order *order,
                       int64_t *ret_execution_id,
                       bool *ret_joined,
                       struct error *err);

enum cancel_result {
    CANCEL_ERROR = -1,
    CANCEL_UNKNOWN,
    CANCEL_FINISHED,
    CANCEL_DONE,
    CANCEL_REQUESTED
};

/* A queued execution becomes cancelled at once (DONE), a running one is asked to stop (REQUESTED).
 */
enum cancel_result
execution_cancel(struct db *db, int64_t execution_id, const char *requested_by, struct error *err);
