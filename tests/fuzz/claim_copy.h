#pragma once

#include "worker/transform/row.h"

/*
 * What holds of every batch that a page became, whatever its source: two well-formed COPY streams
 * whose tuples are as many as the batch says; values as wide as their columns' types, texts in
 * UTF-8 without NUL, keys never NULL; rejects with a reason.
 */

/* Finishes a batch of whole rows; returns how many records are in it, rows and rejects. */
int64_t claim_batch(struct row_batch *batch);
