#pragma once

#include "api/http/params.h"

struct call;

/* POST /load-{load}/ and /v1/loads/{load}: queues an execution. The row is committed before the
 * answer; `Prefer: wait=N` on the second waits for the execution without holding a thread. */
void load_trigger_answer(struct call *call);
void load_trigger_v1_answer(struct call *call);

/* GET /v1/loads: what can be loaded, and how fresh it is. */
void loads_answer(struct call *call);

#define N_TRIGGER_PARAMS 6
extern const struct param_spec load_trigger_params[N_TRIGGER_PARAMS];
