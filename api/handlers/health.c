#include "api/handlers/health.h"

#include "api/handlers/call.h"

static bool database_answers(struct call *call)
{
    struct db_result *result CLEANUP(db_result_freep) =
        call_query(call, "api_ping.sql", DB_NO_PARAMS);
    return result != NULL;
}

void health_answer(struct call *call)
{
    if (!database_answers(call)) {
        return;
    }
    call->response->content_type = "application/json";
    buf_addf(&call->response->body,
             "{\"status\":\"healthy\",\"version\":\"%s\",\"schema_version\":%lld}\n", FOZ_VERSION,
             (long long)call->service->schema_version);
    char digest[RESPONSE_ETAG_MAX];
    response_digest(buf_str(&call->response->body), digest);
    (void)response_validate(call->response, call->request, str_from(digest), 0);
}

void livez_answer(struct call *call)
{
    call->response->content_type = "text/plain; charset=utf-8";
    buf_add_c(&call->response->body, "ok\n");
    response_header(call->response, call->request, "Cache-Control", "no-store");
}

void readyz_answer(struct call *call)
{
    if (database_answers(call)) {
        livez_answer(call);
    }
}
