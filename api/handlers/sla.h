#pragma once

#include "api/http/params.h"

struct call;

/* GET /v1/sla/breaches. */
void breaches_answer(struct call *call);

#define N_BREACHES_PARAMS 8
extern const struct param_spec breaches_params[N_BREACHES_PARAMS];
