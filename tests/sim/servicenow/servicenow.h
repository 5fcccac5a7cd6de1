#pragma once

#include "common/base/error.h"
#include "common/io/json.h"
#include "tests/sim/fault.h"
#include "tests/sim/server.h"
#include "tests/sim/sim_clock.h"

/*
 * A simulated ServiceNow instance under /servicenow: the Table and Aggregate APIs, OAuth, access
 * rules and everything that goes wrong, over generated or recorded rows. Thread-safe.
 */

struct servicenow;

struct servicenow_options {
    uint64_t seed;
    int64_t n_tickets;
    int64_t base_s;       /* the generated data leads up to this instant */
    const char *data_dir; /* recorded logs to replay, or NULL */
};

struct servicenow *servicenow_new(const struct servicenow_options *options,
                                  struct sim_clock *clock,
                                  struct faults *faults,
                                  struct error *err);
void servicenow_free(struct servicenow *sn);

/* Where clients reach it: "127.0.0.1:45123". Before the first request. */
void servicenow_set_address(struct servicenow *sn, const char *address);

/* The instant after which the recorded data does not change any more; 0 without recorded data. */
int64_t servicenow_recorded_until_s(const struct servicenow *sn);

void servicenow_answer(struct servicenow *sn, const struct request *request, struct reply *reply);

/* {"insert": ...}, {"update": ...}, {"delete": ...}, {"burst": ...}; appends what it did to `out`
 * as a JSON object. */
bool servicenow_mutate(struct servicenow *sn,
                       const char *verb,
                       const struct json *what,
                       struct buf *out,
                       struct error *err);
void servicenow_reset(struct servicenow *sn);

/* GET /_control/rows: the truth as NDJSON. */
void servicenow_truth(struct servicenow *sn, const struct request *request, struct reply *reply);
/* Appends `"incident":24000,...`: live rows per table. */
void servicenow_write_counts(struct servicenow *sn, struct buf *out);
