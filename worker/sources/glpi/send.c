#include "worker/sources/glpi/send.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "worker/transform/jsonb.h"

enum {
    STATUS_OK = 200,
    STATUS_PARTIAL = 206,
    STATUS_UNAUTHORIZED = 401,
    STATUS_FORBIDDEN = 403,
    STATUS_NOT_FOUND = 404,
    STATUS_INTERNAL = 500,
    STATUS_UNAVAILABLE = 503,
};

#define WORDS_MAX 160

/* What GLPI's error codes mean to a reader of lists. */
static const struct ruling {
    const char *code;
    enum http_verdict verdict;
    enum error_code error;
    const char *cure;
} RULINGS[] = {
    {"ERROR_GLPI_LOGIN_USER_TOKEN", HTTP_REAUTH, ERROR_DENIED, "the login was refused"},
    {"ERROR_GLPI_LOGIN", HTTP_REAUTH, ERROR_DENIED, "the login was refused"},
    {"ERROR_LOGIN_PARAMETERS_MISSING", HTTP_FAIL, ERROR_DENIED,
     "the Authorization header did not arrive; let the web server pass it on to PHP (Apache: "
     "CGIPassAuth On)"},
    {"ERROR_LOGIN_WITH_CREDENTIALS_DISABLED", HTTP_FAIL, ERROR_DENIED,
     "login by password is switched off; use auth.method user_token, or enable it under Setup, "
     "General, API"},
    {"ERROR_APP_TOKEN_PARAMETERS_MISSING", HTTP_FAIL, ERROR_DENIED,
     "set auth.app_token to the App-Token of an API client that allows this machine's address "
     "(Setup, General, API)"},
    {"ERROR_WRONG_APP_TOKEN_PARAMETER", HTTP_FAIL, ERROR_DENIED,
     "auth.app_token is wrong: copy the App-Token of the API client that allows this machine's "
     "address (Setup, General, API)"},
    {"ERROR_NOT_ALLOWED_IP", HTTP_FAIL, ERROR_DENIED,
     "no API client allows this machine's address; add it under Setup, General, API"},
    {"ERROR_SESSION_TOKEN_MISSING", HTTP_FAIL, ERROR_CONFIG,
     "the header Session-Token did not arrive; let the proxies on the way pass it"},
    {"ERROR_RIGHT_MISSING", HTTP_FAIL, ERROR_CONFIG,
     "the profile of the account lacks the right to read this; grant it, or disable the task"},
    {"ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM", HTTP_FAIL, ERROR_CONFIG,
     "this GLPI has no such itemtype (older version, or a plugin is missing); disable the task"},
    {"ERROR_RESOURCE_MISSING", HTTP_FAIL, ERROR_CONFIG,
     "this GLPI has no such itemtype; check the table in the catalog and the source's url"},
    {"ERROR_ITEMTYPE_NOT_FOUND_NOR_COMMONDBTM", HTTP_FAIL, ERROR_CONFIG,
     "this GLPI has no such itemtype (older version, or a plugin is missing); disable the task"},
    {"ERROR_FIELD_NOT_FOUND", HTTP_FAIL, ERROR_CONFIG,
     "the filter names a column this GLPI does not have; correct the filter"},
    {"ERROR_ITEM_NOT_FOUND", HTTP_FAIL, ERROR_DATA, "there is no such item"},
    {"ERROR_SQL", HTTP_RETRY, ERROR_TRANSIENT, "its database failed"},
    {"ERROR_UNKNOWN", HTTP_RETRY, ERROR_TRANSIENT, "it failed internally"},
    {"ERROR", HTTP_FAIL, ERROR_CONFIG,
     "check that the API is enabled (Setup, General, API) and the task's table and fields exist in "
     "this version"},
};

/* What GLPI shows people while it serves nobody. */
static const struct {
    struct str sign;
    const char *words;
} PAGES[] = {
    {{"MAINTENANCE MODE", 16}, "it is in maintenance mode: end that when its work is done"},
    {{"Update needed", 13}, "its files are newer than its database: finish the update"},
    {{"Mysql Error", 11},
     "it cannot reach its database: start that, or correct GLPI's config_db.php"},
};

/* The code and the message of ["CODE", "message; view documentation..."]; "" if it is none. */
struct error_body {
    struct json *root;
    const char *code;
    struct str words;
};

static void error_body_release(struct error_body *body)
{
    json_free(body->root);
}

static struct error_body error_body_read(struct str text)
{
    struct error ignored = ERROR_INIT; /* not JSON: the status alone has to do */
    struct error_body body = {.root = json_parse(text, &ignored), .code = ""};
    const char *code = json_string(json_at(body.root, 0));
    const char *words = json_string(json_at(body.root, 1));
    if (code != NULL && json_kind(body.root) == JSON_KIND_ARRAY) {
        struct str rest = str_from(words);
        body.code = code;
        body.words = str_shorten(str_cut(&rest, ';'), WORDS_MAX);
    }
    return body;
}

static void set_status(struct error *err, int status)
{
    err->http_status = status;
}

/* 200 and 206 without JSON: GLPI itself is not there. */
static enum http_verdict
judge_page(const struct glpi_call *call, struct http_response *response, struct error *err)
{
    const char *words = "a login page or a proxy's page: set the source's url to the one that ends "
                        "with apirest.php, and let it pass without a login page in front";
    struct str body = buf_str(response->body);
    body.len = body.len < 4096 ? body.len : 4096;
    for (size_t i = 0; i < ARRAY_SIZE(PAGES); i++) {
        words = str_contains_nocase(body, PAGES[i].sign) ? PAGES[i].words : words;
    }
    (void)error_set(err, ERROR_TRANSIENT,
                    "%s: GLPI answered %.*s instead of JSON: %s; nothing was changed, the next run "
                    "goes on from the same watermark",
                    call->about, STR_ARG(str_shorten(response->content_type, 60)), words);
    /* The status that GLPI should have sent. */
    set_status(err, STATUS_UNAVAILABLE);
    return HTTP_RETRY;
}

/* PHP ran out of memory or time: less at once may do. */
static enum http_verdict judge_empty(const struct glpi_call *call, int status, struct error *err)
{
    (void)error_set(err, call->can_shrink ? ERROR_LIMIT : ERROR_TRANSIENT,
                    "%s: status %d without a body: PHP ran out of memory or time; raise its "
                    "memory_limit, or lower page_size",
                    call->about, status);
    set_status(err, status);
    return call->can_shrink ? HTTP_FAIL : HTTP_RETRY;
}

static enum http_verdict judge_code(const struct glpi_call *call,
                                    struct http_response *response,
                                    const struct error_body *body,
                                    struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(RULINGS); i++) {
        const struct ruling *ruling = &RULINGS[i];
        if (strcmp(body->code, ruling->code) == 0) {
            (void)error_set(err, ruling->error, "%s: %d %s \"%.*s\": %s", call->about,
                            response->status, body->code, STR_ARG(body->words), ruling->cure);
            set_status(err, response->status);
            return ruling->verdict;
        }
    }
    enum http_verdict verdict = http_judge_status(response, err);
    if (verdict != HTTP_ACCEPT && body->code[0] != '\0') {
        (void)error_wrap(err, "%s: %s \"%.*s\"", call->about, body->code, STR_ARG(body->words));
    }
    return verdict;
}

/* Any status but 200 and 206. */
static enum http_verdict
judge_failure(struct glpi_call *call, struct http_response *response, struct error *err)
{
    struct error_body body CLEANUP(error_body_release) = error_body_read(buf_str(response->body));
    int status = response->status;
    if (status == STATUS_UNAUTHORIZED && strcmp(body.code, "ERROR_SESSION_TOKEN_INVALID") == 0) {
        call->session_lost = true;
        (void)error_set(err, ERROR_TRANSIENT,
                        "%s: the server does not know the session any more; raise PHP's "
                        "session.gc_maxlifetime, and let all web servers of this GLPI share their "
                        "sessions",
                        call->about);
        set_status(err, status);
        return HTTP_FAIL;
    }
    if (strcmp(body.code, "ERROR_RANGE_EXCEED_TOTAL") == 0) {
        call->answer = GLPI_PAST_END;
        return HTTP_ACCEPT;
    }
    if (call->may_miss && status == STATUS_NOT_FOUND &&
        strcmp(body.code, "ERROR_ITEM_NOT_FOUND") == 0) {
        call->answer = GLPI_NOT_FOUND;
        return HTTP_ACCEPT;
    }
    if (call->may_miss && status == STATUS_FORBIDDEN &&
        strcmp(body.code, "ERROR_RIGHT_MISSING") == 0) {
        call->answer = GLPI_FORBIDDEN;
        return HTTP_ACCEPT;
    }
    if (status == STATUS_INTERNAL && str_trim(buf_str(response->body)).len == 0) {
        return judge_empty(call, status, err);
    }
    enum http_verdict verdict = judge_code(call, response, &body, err);
    if (verdict == HTTP_ACCEPT) {
        (void)error_set(err, ERROR_DATA,
                        "%s: status %d is no answer of GLPI's API; check the url of the source and "
                        "the proxies on the way",
                        call->about, status);
        return HTTP_FAIL;
    }
    return verdict;
}

static enum http_verdict judge(void *arg, struct http_response *response, struct error *err)
{
    struct glpi_call *call = arg;
    call->answer = GLPI_ANSWERED;
    call->session_lost = false;
    if (call->restart != NULL) {
        call->restart(call->arg);
    }
    if (response->status != STATUS_OK && response->status != STATUS_PARTIAL) {
        return judge_failure(call, response, err);
    }
    if (!str_starts_with_nocase(response->content_type, STR_LITERAL("application/json"))) {
        return judge_page(call, response, err);
    }
    if (str_trim(buf_str(response->body)).len == 0) {
        return judge_empty(call, response->status, err);
    }
    return call->read(call->arg, response, err);
}

enum http_verdict glpi_judge_broken(const struct glpi_call *call, struct error *err)
{
    err->code = call->can_shrink ? ERROR_LIMIT : ERROR_TRANSIENT;
    (void)error_wrap(err, "%s: broken answer", call->about);
    set_status(err, STATUS_OK);
    return call->can_shrink ? HTTP_FAIL : HTTP_RETRY;
}

bool glpi_send_with(const struct glpi_session *session,
                    struct http_client *http,
                    struct glpi_call *call,
                    const char *token,
                    struct http_response *ret_response,
                    struct error *err)
{
    struct http_header headers[3];
    size_t n = 0;
    /* Without it versions 10 send texts as their database holds them, HTML-encoded. */
    headers[n++] = (struct http_header){"X-GLPI-Sanitized-Content", "false"};
    if (token != NULL) {
        headers[n++] = (struct http_header){"Session-Token", token};
    }
    if (session->app_token != NULL) {
        headers[n++] = (struct http_header){"App-Token", session->app_token};
    }
    struct http_request request = {
        .method = call->method != NULL ? call->method : "GET",
        .url = call->url,
        .headers = headers,
        .n_headers = n,
        .body = call->body,
        .content_type = call->body.len > 0 ? "application/json" : NULL,
        .no_credential = !call->is_login,
        .timeout_is_limit = call->timeout_is_limit,
        .tries_before_limit = call->tries_before_limit,
        .timeout_us = call->timeout_us,
        .judge = judge,
        .judge_arg = call,
    };
    return http_send(http, &request, ret_response, err);
}

bool glpi_send(struct glpi_session *session,
               struct http_client *http,
               struct glpi_call *call,
               struct http_response *ret_response,
               struct error *err)
{
    char token[GLPI_TOKEN_MAX];
    for (;;) {
        uint64_t generation = glpi_session_token(session, token);
        call->session_lost = token[0] == '\0';
        if (!call->session_lost && glpi_send_with(session, http, call, token, ret_response, err)) {
            return true;
        }
        if (!call->session_lost) {
            return false;
        }
        error_clear(err);
        if (!glpi_session_renew(session, http, generation, err)) {
            return error_wrap(err, "%s", call->about);
        }
    }
}

struct json *glpi_parse_json(struct str text, struct error *err)
{
    struct buf kept CLEANUP(buf_release);
    int64_t removed_nul = 0;
    buf_init(&kept, text.len);
    bool is_kept = jsonb_append_document(&kept, text, &removed_nul);
    return json_parse(is_kept ? buf_str(&kept) : text, err);
}

struct json_reading {
    const struct glpi_call *call;
    struct json *root;
};

static void forget_json(void *arg)
{
    struct json_reading *reading = arg;
    json_free(TAKE(reading->root));
}

static enum http_verdict read_json(void *arg, struct http_response *response, struct error *err)
{
    struct json_reading *reading = arg;
    reading->root = glpi_parse_json(buf_str(response->body), err);
    return reading->root != NULL ? HTTP_ACCEPT : glpi_judge_broken(reading->call, err);
}

struct json *glpi_get_json(struct glpi_session *session,
                           struct http_client *http,
                           struct str url,
                           const char *about,
                           struct http_response *ret_response,
                           struct error *err)
{
    struct json_reading reading = {0};
    struct glpi_call call = {
        .url = url, .about = about, .read = read_json, .restart = forget_json, .arg = &reading};
    reading.call = &call;
    if (!glpi_send(session, http, &call, ret_response, err)) {
        json_free(reading.root);
        return NULL;
    }
    if (call.answer == GLPI_PAST_END) {
        return json_parse(STR_LITERAL("[]"), err);
    }
    return reading.root;
}
