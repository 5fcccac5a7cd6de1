#pragma once

#include "worker/sources/connector.h"

/* `foz-worker check` of a ServiceNow source: credentials, clock, the account's time zone, and for
 * each task its table, its fields and what is hidden. See connector.h for the contract. */
void servicenow_check(const struct source_config *source,
                      struct http_client *http,
                      const struct task_def *const *tasks,
                      size_t n_tasks,
                      finding_sink sink,
                      void *arg);
