#include "api/http/response.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/io/hash.h"

/* The longest header value that is formatted. */
#define VALUE_MAX 4096

void response_init(struct response *response)
{
    *response = (struct response){.status = 200};
    buf_init(&response->body, RESPONSE_BODY_MAX);
}

void response_release(struct response *response)
{
    buf_release(&response->body);
}

void response_reset(struct response *response)
{
    response->status = 200;
    response->content_type = NULL;
    response->n_headers = 0;
    response->origin = (struct response_origin){0};
    response->left_out_bytes = 0;
    response->close = false;
    buf_reset(&response->body);
}

void response_header_text(struct response *response,
                          const struct request *request,
                          const char *name,
                          struct str value,
                          bool is_own)
{
    if (response->n_headers == RESPONSE_HEADERS_MAX || memchr(value.ptr, '\r', value.len) != NULL ||
        memchr(value.ptr, '\n', value.len) != NULL) {
        return;
    }
    const char *copy = arena_strndup(request->arena, value.ptr, value.len);
    if (copy != NULL) {
        response->headers[response->n_headers++] = (struct response_header){name, copy, is_own};
    }
}

void response_header(struct response *response,
                     const struct request *request,
                     const char *name,
                     const char *format,
                     ...)
{
    char text[VALUE_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, VALUE_MAX, format, args);
    va_end(args);
    if (len >= 0 && len < VALUE_MAX) {
        response_header_text(response, request, name, (struct str){text, (size_t)len}, false);
    }
}

void response_trace(struct response *response, const struct request *request)
{
    char traceparent[TRACE_PARENT_LEN + 1];
    trace_format(&request->trace, traceparent);
    response_header_text(response, request, "traceparent",
                         (struct str){traceparent, TRACE_PARENT_LEN}, true);
    if (request->request_id.ptr != NULL) {
        response_header_text(response, request, "X-Request-Id", request->request_id, true);
    }
}

void response_problem(struct response *response,
                      const struct request *request,
                      const struct problem *problem)
{
    response_reset(response);
    response->status = problem->status;
    response->content_type = "application/problem+json";
    struct buf *body = &response->body;
    buf_add_c(body, "{\"type\":\"about:blank\",\"title\":");
    buf_add_json_string(body, str_from(problem_status_text(problem->status)));
    buf_addf(body, ",\"status\":%d,\"code\":", problem->status);
    buf_add_json_string(body, str_from(problem->code));
    buf_add_c(body, ",\"detail\":");
    buf_add_json_string(body, str_from(problem->detail));
    if (problem->parameter[0] != '\0') {
        buf_add_c(body, ",\"parameter\":");
        buf_add_json_string(body, str_from(problem->parameter));
    }
    buf_add_c(body, ",\"trace_id\":");
    buf_add_json_string(body, str_from(request->trace.trace_id));
    buf_add_c(body, "}\n");
    if (problem->retry_after_s > 0) {
        response_header(response, request, "Retry-After", "%d", problem->retry_after_s);
    }
    response_header(response, request, "Cache-Control", "no-store");
}

/* RFC 9110 section 13.1.2: weak comparison against a list. */
static bool etag_matches(const struct request *request, const char *etag)
{
    struct str rest = request_header(request, "If-None-Match");
    struct str opaque = str_from(etag + 2);
    while (rest.ptr != NULL) {
        struct str candidate = str_trim(str_cut(&rest, ','));
        if (str_equal_c(candidate, "*")) {
            return true;
        }
        if (str_starts_with(candidate, STR_LITERAL("W/"))) {
            candidate = (struct str){candidate.ptr + 2, candidate.len - 2};
        }
        if (str_equal(candidate, opaque)) {
            return true;
        }
    }
    return false;
}

bool response_validate(struct response *response,
                       const struct request *request,
                       struct str basis,
                       int ttl_s)
{
    char etag[RESPONSE_ETAG_MAX + 8];
    struct buf text;
    buf_borrow(&text, etag, sizeof(etag));
    buf_add_c(&text, "W/\"");
    buf_add_str(&text, basis);
    buf_add_char(&text, '"');
    response_header_text(response, request, "ETag", buf_str(&text), false);
    char cache_control[48];
    buf_borrow(&text, cache_control, sizeof(cache_control));
    buf_add_c(&text, "private, max-age=");
    buf_add_int(&text, ttl_s > 0 ? ttl_s : 0);
    response_header_text(response, request, "Cache-Control", buf_str(&text), false);
    if (!etag_matches(request, etag)) {
        return false;
    }
    response->status = 304;
    response->content_type = NULL;
    response->origin.variant = RESPONSE_NOT_MODIFIED;
    buf_reset(&response->body);
    return true;
}

void response_digest(struct str content, char out[RESPONSE_ETAG_MAX])
{
    struct hash128 hash = hash128_of(content);
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof(hash.bytes); i++) {
        out[2 * i] = digits[hash.bytes[i] >> 4];
        out[2 * i + 1] = digits[hash.bytes[i] & 15];
    }
    out[2 * sizeof(hash.bytes)] = '\0';
}
