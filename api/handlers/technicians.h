#pragma once

#include "api/http/params.h"

struct call;

/* GET /v1/technicians/ranking, /v1/technicians/{id}/productivity. */
void ranking_answer(struct call *call);
void productivity_answer(struct call *call);

#define N_RANKING_PARAMS      9
#define N_PRODUCTIVITY_PARAMS 3
extern const struct param_spec ranking_params[N_RANKING_PARAMS];
extern const struct param_spec productivity_params[N_PRODUCTIVITY_PARAMS];
