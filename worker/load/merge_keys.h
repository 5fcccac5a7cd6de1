#pragma once

#include "worker/load/merge.h"

/*
 * The keys that have to be looked at one by one before a merge may act on them. on_key gets each as
 * row_record_key's text and must not use `db`.
 */

/* The landed rows in scope that a merge of `request` would take for gone. */
bool merge_missing_keys(struct db *db,
                        const struct merge_request *request,
                        void (*on_key)(void *arg, struct str key),
                        void *arg,
                        struct error *err);

/* The keys of the census that are not landed or landed with another version. */
bool merge_differing_keys(struct db *db,
                          const struct merge_request *request,
                          void (*on_key)(void *arg, struct str key),
                          void *arg,
                          struct error *err);

/* The rows in scope, and how many of them the merge would take for gone. */
bool merge_count_missing(struct db *db,
                         const struct merge_request *request,
                         int64_t *ret_scope,
                         int64_t *ret_missing,
                         struct error *err);
