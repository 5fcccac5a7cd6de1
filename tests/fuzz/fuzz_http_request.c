/*
 * Request parsing and routing of foz-api on arbitrary bytes. The input is read as the head of a
 * request (lines that end with a line feed), an empty line and a body. Whatever it is, it must be
 * refused with a 4xx or 505 that names itself in valid JSON, or give parameters that are valid
 * UTF-8 and written back the same way each time.
 */

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "api/http/cursor.h"
#include "api/http/list.h"
#include "api/http/params.h"
#include "api/http/request.h"
#include "api/http/response.h"
#include "api/http/router.h"
#include "common/io/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const modes[] = {"incremental", "window", "full", "reconcile", NULL};
static const char *const formats[] = {"json", "csv", "ndjson", NULL};

static const struct param_spec specs[] = {
    {.name = "from", .alias = "data_inicio", .type = PARAM_INSTANT},
    {.name = "to", .alias = "data_fim", .type = PARAM_INSTANT},
    {.name = "mode", .type = PARAM_CHOICE, .choices = modes},
    {.name = "source", .type = PARAM_LIST},
    {.name = "task", .type = PARAM_LIST},
    {.name = "status", .type = PARAM_LIST, .choices = modes},
    {.name = "allow_mass_delete", .type = PARAM_BOOL},
    {.name = "limit", .type = PARAM_INTEGER, .min = 1, .max = 1000},
    {.name = "cursor", .type = PARAM_TEXT},
    {.name = "format", .type = PARAM_CHOICE, .choices = formats},
};

static const struct route routes[] = {
    {.method = "GET", .pattern = "/"},
    {.method = "POST", .pattern = "/load-{load}[/]"},
    {.method = "GET", .pattern = "/v1/executions"},
    {.method = "GET", .pattern = "/v1/tickets/overview"},
    {.method = "GET", .pattern = "/v1/tickets/{id}"},
    {.method = "GET", .pattern = "/v1/tickets/{id}/timeline"},
    {.method = "GET", .pattern = "/v1/executions/{id}"},
    {.method = "POST", .pattern = "/v1/executions/{id}/cancel"},
};

static void check_problem(struct request *request, const struct problem *problem)
{
    assert((problem->status >= 400 && problem->status < 500) || problem->status == 505);
    assert(problem->code != NULL && problem->detail[0] != '\0');
    struct response response;
    response_init(&response);
    response_problem(&response, request, problem);
    struct error err = ERROR_INIT;
    struct json *document = json_parse(buf_str(&response.body), &err);
    assert(document != NULL);
    json_free(document);
    response_release(&response);
}

static void check_params(struct request *request, const struct params *params)
{
    static const char *const none[] = {NULL};
    struct buf query CLEANUP(buf_release) = {0};
    buf_init(&query, 4 * 1024 * 1024);
    params_write_query(params, none, &query);
    struct request again = {.arena = request->arena, .query = buf_str(&query)};
    struct params parsed;
    struct problem problem = {0};
    assert(params_parse(&parsed, specs, ARRAY_SIZE(specs), &again, &problem));
    struct buf same CLEANUP(buf_release) = {0};
    buf_init(&same, 4 * 1024 * 1024);
    params_write_query(&parsed, none, &same);
    assert(str_equal(buf_str(&query), buf_str(&same)));
    const char *cursor = params_text(params, "cursor");
    struct buf position CLEANUP(buf_release) = {0};
    buf_init(&position, CURSOR_POSITION_MAX);
    if (cursor != NULL && cursor_read(STR_LITERAL("q"), str_from(cursor), &position)) {
        struct buf text CLEANUP(buf_release) = {0};
        buf_init(&text, 1024);
        cursor_write(STR_LITERAL("q"), buf_str(&position), &text);
        assert(strcmp(text.ptr, cursor) == 0);
    }
}

static void read_head(struct request *request, struct str *rest)
{
    struct str line = str_cut(rest, '\n');
    request->method = str_cut(&line, ' ');
    request_set_target(request, str_cut(&line, ' '));
    request->version = line;
    while (rest->ptr != NULL && request->n_headers < REQUEST_HEADERS_MAX) {
        struct str value = str_cut(rest, '\n');
        if (value.len == 0) {
            return;
        }
        struct str name = str_cut(&value, ':');
        request->headers[request->n_headers++] = (struct header){name, value};
    }
}

static void examine(struct request *request)
{
    struct problem problem = {0};
    trace_start(&request->trace, request_header(request, "traceparent"));
    (void)trace_request_id_is_valid(request_header(request, "X-Request-Id"));
    if (!request_check(request, &problem)) {
        check_problem(request, &problem);
    }
    struct buf allow CLEANUP(buf_release) = {0};
    buf_init(&allow, 127);
    struct route_match match = {0};
    enum route_result found = route_find(routes, ARRAY_SIZE(routes), request, &match, &allow);
    assert(found != ROUTE_FOUND || match.route != NULL);
    assert(match.values[0].ptr == NULL || str_is_utf8(match.values[0]));
    enum list_format format = LIST_JSON;
    problem = (struct problem){0};
    if (!list_negotiate(request, NULL, &format, &problem)) {
        check_problem(request, &problem);
    }
    struct params params;
    problem = (struct problem){0};
    if (params_parse(&params, specs, ARRAY_SIZE(specs), request, &problem)) {
        check_params(request, &params);
    } else {
        check_problem(request, &problem);
    }
    struct response response;
    response_init(&response);
    (void)response_validate(&response, request, STR_LITERAL("v1"), 60);
    response_release(&response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 64 * 1024) {
        return 0;
    }
    struct arena arena;
    arena_init(&arena, 8 * 1024 * 1024);
    static struct header headers[REQUEST_HEADERS_MAX];
    struct request request = {.arena = &arena, .headers = headers};
    struct str rest = {(const char *)data, size};
    read_head(&request, &rest);
    request.body = rest.ptr != NULL ? rest : STR_LITERAL("");
    examine(&request);
    arena_release(&arena);
    return 0;
}
