#include "api/handlers/routes.h"

#include "api/handlers/call.h"
#include "api/handlers/executions.h"
#include "api/handlers/health.h"
#include "api/handlers/loads.h"
#include "api/handlers/metrics_page.h"

#define N_TRIGGER_PARAMS    6
#define N_EXECUTIONS_PARAMS 7

static void openapi_answer(struct call *call)
{
    struct buf *body = &call->response->body;
    buf_add_c(body, call->service->openapi);
    call->response->content_type = "application/json";
    char digest[RESPONSE_ETAG_MAX];
    response_digest(buf_str(body), digest);
    (void)response_validate(call->response, call->request, str_from(digest),
                            call->match.route->ttl_s);
}

const struct route public_routes[] = {
    {.method = "GET",
     .pattern = "/",
     .status = 200,
     .operation = "getRoot",
     .summary = "Is the service able to work?",
     .schema = "Health",
     .answer = health_answer},
    {.method = "GET",
     .pattern = "/health",
     .status = 200,
     .operation = "getHealth",
     .summary = "Is the service able to work?",
     .schema = "Health",
     .answer = health_answer},
    {.method = "GET",
     .pattern = "/healthz",
     .status = 200,
     .operation = "getHealthz",
     .summary = "Is the service able to work?",
     .schema = "Health",
     .answer = health_answer},
    {.method = "GET",
     .pattern = "/openapi.json",
     .status = 200,
     .ttl_s = 300,
     .from_memory = true,
     .operation = "getOpenapi",
     .summary = "This document.",
     .schema = "Document",
     .answer = openapi_answer},
    {.method = "POST",
     .pattern = "/load-{load}[/]",
     .scope = SCOPE_ADMIN,
     .status = 200,
     .params = load_trigger_params,
     .n_params = N_TRIGGER_PARAMS,
     .operation = "triggerLoadShort",
     .summary = "Queues a load; answers as soon as the order is committed.",
     .schema = "Accepted",
     .answer = load_trigger_answer},
    {.method = "POST",
     .pattern = "/v1/loads/{load}",
     .scope = SCOPE_ADMIN,
     .status = 202,
     .params = load_trigger_params,
     .n_params = N_TRIGGER_PARAMS,
     .operation = "triggerLoad",
     .summary = "Queues a load. `Prefer: wait=N` waits up to N (at most 60) seconds for its end; "
                "`Idempotency-Key` makes a repetition safe.",
     .schema = "Accepted",
     .answer = load_trigger_v1_answer},
    {.method = "GET",
     .pattern = "/v1/loads",
     .scope = SCOPE_OBSERVABILITY,
     .status = 200,
     .operation = "listLoads",
     .summary = "Loads with their tasks and how fresh each copy is.",
     .schema = "Loads",
     .answer = loads_answer},
    {.method = "GET",
     .pattern = "/v1/executions",
     .scope = SCOPE_OBSERVABILITY,
     .status = 200,
     .is_list = true,
     .params = executions_params,
     .n_params = N_EXECUTIONS_PARAMS,
     .operation = "listExecutions",
     .summary = "The run log, newest first.",
     .schema = "Executions",
     .answer = executions_answer},
    {.method = "GET",
     .pattern = "/v1/executions/{id}",
     .scope = SCOPE_OBSERVABILITY,
     .status = 200,
     .operation = "getExecution",
     .summary = "One execution with its tasks.",
     .schema = "ExecutionAnswer",
     .answer = execution_answer},
    {.method = "POST",
     .pattern = "/v1/executions/{id}/cancel",
     .scope = SCOPE_ADMIN,
     .status = 200,
     .operation = "cancelExecution",
     .summary = "Cancels a queued execution at once (200), asks a running one to stop (202).",
     .schema = "Cancelled",
     .answer = execution_cancel_answer},
};
const size_t public_routes_count = ARRAY_SIZE(public_routes);

const struct route admin_routes[] = {
    {.method = "GET",
     .pattern = "/livez",
     .status = 200,
     .from_memory = true,
     .answer = livez_answer},
    {.method = "GET", .pattern = "/readyz", .status = 200, .answer = readyz_answer},
    {.method = "GET", .pattern = "/metrics", .status = 200, .answer = metrics_answer},
};
const size_t admin_routes_count = ARRAY_SIZE(admin_routes);
