#pragma once

#include "worker/load/merge_state.h"

/*
 * The fuse: may this many rows go without the operator's word? Decides, deletes nothing.
 */

/* Is this share of the rows in scope more than may go without the operator's word? gone: without
 * those that come back under new keys. */
bool merge_fuse_blows(const struct merge_request *request, int64_t gone, int64_t scope);

/* With delta and scope counted, sets result.held if too much would go. */
bool merge_check_fuse(struct merge *merge, struct error *err);
