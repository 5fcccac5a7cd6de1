#pragma once

#include "api/http/params.h"

struct call;

/* GET /v1/tickets/overview and /v1/tickets/metrics: tickets counted and timed. */
void overview_answer(struct call *call);
void ticket_metrics_answer(struct call *call);

#define N_OVERVIEW_PARAMS       4
#define N_TICKET_METRICS_PARAMS 12
extern const struct param_spec overview_params[N_OVERVIEW_PARAMS];
extern const struct param_spec ticket_metrics_params[N_TICKET_METRICS_PARAMS];
