#pragma once

#include "common/base/error.h"
#include "common/io/json.h"
#include "tests/sim/fault.h"
#include "tests/sim/server.h"
#include "tests/sim/sim_clock.h"

/*
 * What main.c and control.c know about a simulated system, so that neither knows which there are:
 * main.c lists them once. All functions are thread-safe; those marked optional may be NULL.
 */

struct simulated_options {
    uint64_t seed;
    int64_t n_tickets;    /* generated */
    int64_t base_s;       /* the generated data leads up to this instant */
    bool recorded;        /* nothing is generated: some system replays a log */
    const char *data_dir; /* with this system's recorded log, or NULL: without one it is empty */
};

struct simulated {
    const char *name;         /* "system" of /_control's operations */
    const char *prefix;       /* of its paths: "/servicenow" */
    const char *const *verbs; /* operations for `mutate`; ends with NULL */
    void *self;
    int64_t recorded_until_s; /* after it the recorded data does not change; 0 without */

    void (*answer)(void *self, const struct request *request, struct reply *reply);
    /* {VERB: what}; appends what it did to `out` as one JSON value, or nothing. */
    bool (*mutate)(
        void *self, const char *verb, const struct json *what, struct buf *out, struct error *err);
    void (*reset)(void *self);
    /* GET /_control/rows?system=...&table=...: NDJSON */
    void (*truth)(void *self, const struct request *request, struct reply *reply);
    void (*write_counts)(void *self, struct buf *out); /* "incident":24000,... */
    void (*write_state)(void *self, struct buf *out);  /* optional: JSON members of its own */
    /* Where clients reach it, "127.0.0.1:45123"; before the first request. */
    void (*set_address)(void *self, const char *address);
    void (*free)(void *self);
};

/* Fills *ret_system; on failure nothing is left to free. */
typedef bool simulated_open(struct simulated *ret_system,
                            const struct simulated_options *options,
                            struct sim_clock *clock,
                            struct faults *faults,
                            struct error *err);
