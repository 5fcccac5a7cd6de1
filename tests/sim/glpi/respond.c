#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/instant.h"
#include "tests/sim/glpi/system.h"
#include "tests/sim/gzip.h"

static const struct fault *struck_by(const struct call *call, enum fault_kind kind)
{
    return drawn_find(&call->drawn, kind);
}

bool glpi_mode(struct glpi *glpi, enum fault_kind kind, struct fault *ret_fault)
{
    struct fault_target target = {.system = "glpi", .route = "list", .rows = 1};
    struct drawn *drawn CLEANUP(xfreep) = xmalloc(sizeof(*drawn)); /* large */

    faults_peek(glpi->faults, kind, &target, drawn);
    if (drawn->n > 0 && ret_fault != NULL) {
        *ret_fault = drawn->items[drawn->n - 1];
    }
    return drawn->n > 0;
}

void glpi_read_look(struct glpi *glpi, struct look *look)
{
    memset(look, 0, sizeof(*look));
    look->version11 = glpi_mode(glpi, FAULT_glpi11, NULL);
    look->encoded_95 = glpi_mode(glpi, FAULT_encoding_95, NULL);
}

static void add_headers(struct call *call, const char *content_type)
{
    struct reply *reply = call->reply;
    const struct fault *skew = struck_by(call, FAULT_clock_skew);
    const struct fault *type = struck_by(call, FAULT_wrong_content_type);
    int64_t shown_us = (call->now_s + (skew != NULL ? (int64_t)skew->seconds : 0)) * US_PER_S;
    bool forbidden_body = strcmp(call->request->method, "GET") == 0 && call->request->body.len > 0;
    char date[INSTANT_TEXT_MAX];

    if (type != NULL) {
        content_type = type->value[0] != '\0' ? type->value : "text/html; charset=UTF-8";
    }
    reply_header(reply, "Date", "%s", instant_format_http_date(shown_us, date));
    reply_header(reply, "X-Powered-By", "PHP/8.2.36");
    if (strcmp(call->request->method, "GET") == 0) {
        reply_header(reply, "Access-Control-Expose-Headers",
                     "content-type, content-range, accept-range");
    }
    if (!forbidden_body) {
        reply_header(reply, "Pragma", "no-cache");
    }
    reply_header(reply, "Content-Type", "%s", content_type);
    reply_header(reply, "Cache-Control", "no-store, no-cache, must-revalidate");
    reply_header(reply, "Expires", "Mon, 26 Jul 1997 05:00:00 GMT");
}

void respond_glpi_json(struct call *call, int status)
{
    call->reply->status = status;
    add_headers(call, "application/json; charset=UTF-8");
}

void respond_glpi_error(struct call *call, int status, const char *code, const char *message)
{
    struct buf *body = &call->reply->body;

    buf_reset(body);
    buf_addf(body, "[\"%s\",", code);
    buf_add_json_string(body, str_from(message));
    buf_add_char(body, ']');
    respond_glpi_json(call, status);
}

void respond_glpi_refusal(struct call *call, const char *code, const char *message)
{
    struct buf text CLEANUP(buf_release) = {0};

    buf_init(&text, 65536);
    buf_addf(&text, "%s; view documentation in your browser at %s/#%s", message,
             strcmp(code, "ERROR_JSON_PAYLOAD_FORBIDDEN") == 0 ? "" : call->origin, code);
    respond_glpi_error(call, 400, code, text.ptr);
}

static void respond_page(struct call *call, int status, const char *title)
{
    call->reply->status = status;
    buf_reset(&call->reply->body);
    buf_addf(&call->reply->body,
             "\n\n\n               \n\n\n\n<!DOCTYPE html>\n<html lang=\"\"       >\n<head>\n"
             "   <title>%s</title>\n</head>\n<body><p>%s</p></body>\n</html>\n",
             title, title);
    add_headers(call, "text/html; charset=UTF-8");
}

static bool page_fault(struct call *call)
{
    static const struct {
        enum fault_kind kind;
        int status;
        const char *title;
    } pages[] = {
        {FAULT_maintenance_200, 200, "MAINTENANCE MODE - GLPI"},
        {FAULT_update_needed_200, 200, "Update needed - GLPI"},
        {FAULT_mysql_error_200, 200, "Mysql Error - GLPI"},
        {FAULT_login_page_200, 200, "Authentication - GLPI"},
        {FAULT_html_200, 200, "Proxy"},
        {FAULT_bad_gateway_502, 502, "502 Bad Gateway"},
        {FAULT_gateway_timeout_504, 504, "504 Gateway Time-out"},
        {FAULT_unavailable_503, 503, "503 Service Unavailable"},
        {FAULT_rate_429, 429, "429 Too Many Requests"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
        const struct fault *fault = struck_by(call, pages[i].kind);

        if (fault != NULL) {
            if (pages[i].status >= 429 && fault->seconds > 0) {
                reply_header(call->reply, "Retry-After", "%.0f", fault->seconds);
            }
            respond_page(call, pages[i].status, pages[i].title);
            return true;
        }
    }
    return false;
}

static bool end_session(struct call *call)
{
    if (struck_by(call, FAULT_expire_sessions) == NULL) {
        return false;
    }
    glpi_sessions_clear(call->glpi->sessions);
    respond_glpi_error(call, 401, "ERROR_SESSION_TOKEN_INVALID", "session_token seems invalid");
    return true;
}

bool respond_glpi_fault(struct call *call)
{
    const struct fault *delay = struck_by(call, FAULT_delay);
    const struct fault *redirect = struck_by(call, FAULT_sso_redirect);

    if (delay != NULL) {
        call->reply->wait_us = (int64_t)(delay->seconds * (double)US_PER_S);
    }
    if (struck_by(call, FAULT_hang) != NULL) {
        call->reply->never = true;
        call->reply->status = 200;
        return true;
    }
    if (redirect != NULL) {
        call->reply->status = 302;
        reply_header(call->reply, "Location", "%s",
                     redirect->value[0] != '\0' ? redirect->value : "https://sso.example.test/");
        return true;
    }
    if (page_fault(call) || end_session(call)) {
        return true;
    }
    if (struck_by(call, FAULT_empty_500) != NULL) {
        call->reply->status = 500;
        add_headers(call, "text/html; charset=UTF-8");
        return true;
    }
    if (struck_by(call, FAULT_error_500) != NULL) {
        respond_glpi_error(call, 500, "ERROR_SQL", "SQL error");
        return true;
    }
    if (struck_by(call, FAULT_forbidden_403) != NULL) {
        respond_glpi_error(call, 403, "ERROR_RIGHT_MISSING",
                           "You don't have permission to perform this action.");
        return true;
    }
    return false;
}

void respond_glpi_finish(struct call *call)
{
    struct reply *reply = call->reply;
    const struct fault *cut = struck_by(call, FAULT_cut_chunk);
    const struct fault *drip = struck_by(call, FAULT_slow_drip);
    const char *accepts = request_header(call->request, "Accept-Encoding");

    if (struck_by(call, FAULT_empty_206) != NULL && reply->status < 300) {
        buf_reset(&reply->body);
    }
    if (struck_by(call, FAULT_gzip_answers) != NULL && accepts != NULL &&
        strstr(accepts, "gzip") != NULL && reply->body.len > 0) {
        gzip_replace(&reply->body);
        reply_header(reply, "Content-Encoding", "gzip");
    }
    if (cut != NULL) {
        reply->cut_after_bytes = (int64_t)((double)reply->body.len * cut->share);
    }
    if (drip != NULL) {
        reply->bytes_per_second = drip->rate > 0 ? drip->rate : 100;
    }
}
