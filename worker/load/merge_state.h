#pragma once

#include "worker/load/merge.h"
#include "worker/load/merge_sql.h"
#include "worker/transform/fingerprint.h"

/* A merge under way: what merge.c and the files beside it hand to each other. */

struct merge {
    struct db *db;
    struct merge_sql sql;
    struct buf text;
    int64_t n_rejects;
    int64_t n_census;
    int64_t n_known; /* staged rows that were landed as they are when their page was read */
    int64_t n_new;   /* rows of delta by kind */
    bool is_same;    /* staging and scope hold the same rows */
    struct fingerprint print; /* of the staged rows, those of spans included */
    int64_t n_changed;        /* other hash, before it is known whether the content differs */
    struct merge_result result;
};

struct merge merge_of(struct db *db, const struct merge_request *request);
void merge_release(struct merge *merge);

/* Statements from templates (merge_sql.h). */
bool merge_run(struct merge *merge, const char *template, int64_t *ret_rows, struct error *err);
struct db_result *merge_ask(struct merge *merge, const char *template, struct error *err);
bool merge_ask_number(struct merge *merge,
                      const char *template,
                      int64_t *ret_value,
                      struct error *err);

/* ERROR_BUG if it contradicts the task. */
bool merge_check_request(const struct merge_request *request, struct error *err);
