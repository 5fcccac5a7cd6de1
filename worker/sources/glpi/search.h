#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/conf/catalog.h"
#include "worker/sources/glpi/criteria.h"
#include "worker/sources/glpi/session.h"

/*
 * Counting with GLPI's search endpoint. It renders every cell it returns, so foz only ever asks it
 * for numbers: range=0-0 and the total.
 */

/* How many tickets satisfy the criteria. May block. */
bool glpi_search_count(struct glpi_session *session,
                       struct http_client *http,
                       const struct glpi_criterion *criteria,
                       size_t n,
                       int64_t *ret_count,
                       struct error *err);

/* After the changes in (from_us, to_us] were read: does the search count more of them than the
 * `n_read` of the list? Only for tickets, and only if there were any: the one column that is
 * indexed makes it cheap. What fails or differs is counted in the session and logged; the load goes
 * on. */
void glpi_search_cross_check(struct glpi_session *session,
                             struct http_client *http,
                             const struct task_def *task,
                             int64_t from_us,
                             int64_t to_us,
                             int64_t n_read);
