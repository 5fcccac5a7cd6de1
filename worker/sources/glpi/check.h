#pragma once

#include "worker/sources/connector.h"

/* `foz-worker check` of a GLPI source: login and App-Token, version, time zone and clock, entities,
 * and for each task its right and the columns this version lacks; the right to read the log, and
 * the search options that foz uses. See connector.h for the contract. */
void glpi_check(const struct source_config *source,
                struct http_client *http,
                const struct task_def *const *tasks,
                size_t n_tasks,
                finding_sink sink,
                void *arg);
