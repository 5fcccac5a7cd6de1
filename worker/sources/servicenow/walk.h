#pragma once

#include "worker/sources/connector.h"

/*
 * Walking one partition of a ServiceNow table, page by page, with proof.
 *
 * Full reads go by key: sys_id > last, ordered by sys_id. Changes go by (sys_updated_on, sys_id)
 * inside a closed window: after a full page that ends at (T, S) the rest of second T is drained by
 * sys_id before the walk goes on behind T. Every row is held against the order and the predicate
 * that were asked for, because the platform drops query parts it does not like without a word.
 *
 * The limit is applied before access rules, so a short or empty page proves nothing: whenever a
 * page is short the same page is asked for with a count. The difference is what is hidden. A block
 * of hidden rows as long as a page is stepped over by splitting the key range at the next digit.
 */

/* Longest sys_id that is walked by; they have 32 digits but for a few names such as "global". */
#define SERVICENOW_KEY_MAX 128

struct walk *servicenow_walk_open(void *session,
                                  const struct source_config *source,
                                  const struct task_def *task,
                                  const struct partition *partition);
enum page_result servicenow_walk_fetch(struct walk *walk,
                                       struct http_client *http,
                                       struct row_batch *batch,
                                       struct error *err);
void servicenow_walk_proof(const struct walk *walk, struct walk_proof *ret_proof);
void servicenow_walk_close(struct walk *walk);

/* What the status alone does not tell: ServiceNow's error envelopes. For answers that are not
 * 200 with JSON; sets err and returns the verdict. */
enum http_verdict servicenow_judge_failure(const struct task_def *task,
                                           struct http_response *response,
                                           struct error *err);

/* For a request that cannot be made smaller: turns "ask for less" into "ask again". */
enum http_verdict servicenow_retry_smallest(struct error *err);
