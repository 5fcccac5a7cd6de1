#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/thread.h"
#include "tests/sim/server.h"

/* What was asked of the simulator: counters per route, the last requests, how many at once. */

enum { JOURNAL_LAST = 4096, JOURNAL_ROUTES = 128 };

struct journal_entry {
    uint64_t number; /* from 1 */
    char *uri;       /* NULL: slot unused */
    char method[8];
    int status; /* 0: still running */
    int64_t started_us, duration_us;
    int64_t bytes;
    bool cookie, gzip, authorization;
};

struct journal_route {
    char name[96];
    int64_t requests, failures;
};

struct journal {
    struct mutex lock;
    struct journal_entry entries[JOURNAL_LAST];  /* guarded by lock, a ring */
    struct journal_route routes[JOURNAL_ROUTES]; /* guarded by lock */
    int n_routes;
    uint64_t n_requests;
    int in_flight, in_flight_max;
};

struct journal *journal_new(void);
void journal_free(struct journal *journal);
uint64_t journal_begin(struct journal *journal, const struct request *request);
void journal_end(struct journal *journal, uint64_t number, const struct reply *reply);
void journal_reset(struct journal *journal); /* counters and list; not what is in flight */
void journal_write(struct journal *journal, int64_t last, struct buf *out); /* JSON members */
