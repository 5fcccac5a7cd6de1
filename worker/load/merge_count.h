#pragma once

#include "worker/load/merge_state.h"

/*
 * What is staged and what is in scope, before a merge asks what differs: numbers and fingerprints.
 * Writes nothing but rows that are remembered as spans (span.h), into staging.
 */

/* Fills in print, is_same, n_known, n_census, and of the result staged and scope_rows. Afterwards
 * rows that are remembered as spans are staged, unless nothing can be learnt from them. */
bool merge_count(struct merge *merge, struct error *err);

/* Before a question about staged rows: rows that are remembered as spans (span.h) are staged,
 * unless *ret_same: staging and scope hold the same rows, so nothing is missing. In a transaction
 * of its own. */
bool merge_settle_spans(struct db *db,
                        const struct merge_request *request,
                        bool *ret_same,
                        struct error *err);
