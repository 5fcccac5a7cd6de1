#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/conf/catalog.h"
#include "worker/http/client.h"

/*
 * May the account ask what the walks ask? Reading a record is one right, to query and sort by a
 * field another; without the second a plain read succeeds and every load ends with 403.
 */

/* Asks for one record under the conditions and the order of the task's walks: its filter, its
 * version and window fields, its key. One request; some more after a 403, whose text names no
 * field, to find out which. ERROR_DENIED names the fields and the cure. `now_us` by the source's
 * clock. May block. */
bool servicenow_rights_ask(const struct task_def *task,
                           struct http_client *http,
                           int64_t now_us,
                           struct error *err);
