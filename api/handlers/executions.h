#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/http/params.h"
#include "common/base/buf.h"

struct call;

/* GET /v1/executions, /v1/executions/{id}; POST /v1/executions/{id}/cancel. */
void executions_answer(struct call *call);
void execution_answer(struct call *call);
void execution_cancel_answer(struct call *call);

#define N_EXECUTIONS_PARAMS 7
extern const struct param_spec executions_params[N_EXECUTIONS_PARAMS];

/* Appends the execution with its tasks as a JSON object; `extra` (members, may be "") comes first.
 * False: no such execution (or the problem is set). *ret_version: of the projections. */
bool execution_write(struct call *call,
                     int64_t id,
                     const char *extra,
                     struct buf *out,
                     struct buf *ret_as_of,
                     int64_t *ret_version);
