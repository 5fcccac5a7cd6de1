#pragma once

#include "api/http/params.h"

struct call;

/* GET /v1/tickets, /v1/tickets/{id}, /v1/tickets/{id}/timeline. */
void tickets_answer(struct call *call);
void ticket_answer(struct call *call);
void ticket_timeline_answer(struct call *call);

#define N_TICKETS_PARAMS 16
extern const struct param_spec tickets_params[N_TICKETS_PARAMS];
