#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/conf/catalog.h"
#include "worker/http/client.h"

/*
 * One record of a table without naming fields, with the count: the cheapest request that tells
 * whether the table exists and may be read, what the server's clock says, how many records there
 * are, and which fields the account can see.
 */

struct servicenow_probe {
    struct arena arena;
    int64_t date_us;    /* 0 if the answer had no Date */
    int64_t local_us;   /* our clock when it came */
    int64_t total;      /* -1 if the source does not say */
    int64_t records;    /* 0 or 1 */
    const char **names; /* fields of the record seen */
    size_t n_names;
    size_t names_capacity;
};

void servicenow_probe_init(struct servicenow_probe *probe);
void servicenow_probe_release(struct servicenow_probe *probe);

bool servicenow_probe_table(const struct task_def *task,
                            struct http_client *http,
                            struct servicenow_probe *probe,
                            struct error *err);

bool servicenow_probe_has(const struct servicenow_probe *probe, struct str field);

/* Every field the filter names must be one the account sees: an unknown one would be dropped by
 * the platform without a word and the filter would widen to the whole table. Passes when no record
 * was seen. */
bool servicenow_probe_check_filter(const struct servicenow_probe *probe,
                                   const struct task_def *task,
                                   struct error *err);
