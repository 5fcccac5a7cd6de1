#include "worker/sources/azure_devops/judge.h"

#include <string.h>

#include "common/io/json.h"

#define TEXT_BYTES_MAX 300

enum {
    STATUS_OK = 200,
    STATUS_NON_AUTHORITATIVE = 203,
    STATUS_FOUND = 302,
    STATUS_BAD_REQUEST = 400,
    STATUS_UNAUTHORIZED = 401,
    STATUS_FORBIDDEN = 403,
    STATUS_NOT_FOUND = 404,
    STATUS_TOO_MANY_REQUESTS = 429,
    STATUS_UNAVAILABLE = 503,
};

struct str ado_without_bom(struct str body)
{
    static const char BOM[] = "\xEF\xBB\xBF";
    if (str_starts_with(body, STR_LITERAL(BOM))) {
        return (struct str){body.ptr + 3, body.len - 3};
    }
    return body;
}

bool ado_is_data(const struct http_response *response)
{
    struct str body = str_trim(ado_without_bom(buf_str(response->body)));
    return response->status == STATUS_OK &&
           str_starts_with_nocase(response->content_type, STR_LITERAL("application/json")) &&
           body.len > 0 && (body.ptr[0] == '{' || body.ptr[0] == '[');
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One line of text whatever it was. */
static void add_plain(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len && out->len < TEXT_BYTES_MAX;) {
        struct str rest = {text.ptr + i, text.len - i};
        size_t step = str_utf8_step(rest);
        bool is_control = (unsigned char)rest.ptr[0] < 0x20 || rest.ptr[0] == 0x7f;
        buf_add(out, step == 0 || is_control ? " " : rest.ptr, step == 0 || is_control ? 1 : step);
        i += step == 0 ? 1 : step;
    }
}

static void add_decoded(struct buf *out, struct str text)
{
    struct buf decoded CLEANUP(buf_release);
    buf_init(&decoded, text.len + 1);
    for (size_t i = 0; i < text.len; i++) {
        int high = text.ptr[i] == '%' && i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.ptr[i + 2]) : -1;
        bool is_code = low >= 0;
        buf_add_char(&decoded, is_code ? (char)(high * 16 + low) : text.ptr[i]);
        i += is_code ? 2 : 0;
    }
    add_plain(out, buf_str(&decoded));
}

/* The usual envelope, that of model binding, and OData's. */
static const char *find_message(const struct json *root)
{
    const char *message = json_find_string(root, "message");
    message = message != NULL ? message : json_find_string(json_find(root, "value"), "Message");
    message = message != NULL ? message : json_find_string(json_find(root, "error"), "message");
    return message != NULL ? message : json_find_string(root, "Message");
}

void ado_error_text(struct str body, struct str service_error, struct buf *out)
{
    struct error ignored = ERROR_INIT; /* an answer that is not JSON is shown as it is */
    struct str text = str_trim(ado_without_bom(body));
    struct json *root = text.len > 0 ? json_parse(text, &ignored) : NULL;
    const char *message = find_message(root);
    if (message != NULL) {
        add_plain(out, str_from(message));
    } else if (service_error.len > 0) {
        add_decoded(out, service_error);
    } else if (text.len > 0 && text.ptr[0] != '<') {
        add_plain(out, text);
    }
    json_free(root);
}

static bool has(const struct buf *text, const char *code)
{
    return str_contains_nocase(buf_str(text), str_from(code));
}

static enum http_verdict
fail(struct error *err, enum error_code code, int status, const struct buf *text, const char *cure)
{
    (void)error_set(err, code, "%d%s%s%s%s", status, text->len > 0 ? ": " : "", text->ptr,
                    cure[0] != '\0' ? "; " : "", cure);
    err->http_status = status;
    return HTTP_FAIL;
}

/* Slows the whole source down: by Retry-After, else by what the client makes of the cool-down. */
static enum http_verdict throttle(struct error *err, int status, const struct buf *text)
{
    (void)error_set(err, ERROR_THROTTLED, "%d: the organisation asks to slow down%s%s", status,
                    text->len > 0 ? ": " : "", text->ptr);
    err->http_status = status;
    err->retry_after_ms = ADO_COOL_DOWN_MS;
    return HTTP_THROTTLE;
}

static enum http_verdict judge_sign_in(int status, const struct buf *text, struct error *err)
{
    return fail(err, ERROR_DENIED, status, text,
                "PAT expired or invalid: the service answers with its sign-in page; create a new "
                "token for this organisation (scopes Work items: read, Project and team: read) and "
                "put it where auth.token points");
}

static enum http_verdict
judge_forbidden(struct http_response *response, const struct buf *text, struct error *err)
{
    if (has(text, "TF400733")) {
        return throttle(err, response->status, text);
    }
    return fail(err, ERROR_DENIED, response->status, text,
                "the token is valid but may not read this: give it the scopes Work items: read "
                "(vso.work) and Project and team: read (vso.project), and its user the right to "
                "view the project");
}

static enum http_verdict
judge_bad_request(struct http_response *response, const struct buf *text, struct error *err)
{
    int status = response->status;
    if (has(text, "VS402337")) {
        return fail(err, ERROR_LIMIT, status, text, "");
    }
    if (has(text, "VS402335")) { /* out of time: the same may do better later, less surely does */
        (void)fail(err, ERROR_LIMIT, status, text, "");
        return HTTP_RETRY;
    }
    if (has(text, "VS402490") || has(text, "VS402491") || has(text, "TF400733")) {
        return throttle(err, status, text);
    }
    if (has(text, "out of range for this server")) {
        return fail(err, ERROR_CONFIG, status, text,
                    "foz needs REST API 7.1: Azure DevOps Services or Azure DevOps Server 2022.1 "
                    "and later; upgrade the server");
    }
    if (has(text, "under preview") || has(text, "No api-version was supplied")) {
        return fail(err, ERROR_CONFIG, status, text,
                    "foz sends api-version with every request, so something on the way drops or "
                    "changes it; check the url of the source and the proxies");
    }
    return fail(err, ERROR_CONFIG, status, text, "");
}

static enum http_verdict
judge_not_found(struct http_response *response, const struct buf *text, struct error *err)
{
    bool is_route =
        !str_starts_with_nocase(response->content_type, STR_LITERAL("application/json"));
    return fail(err, ERROR_CONFIG, response->status, text,
                is_route ? "no such address: url must be that of the organisation "
                           "(https://dev.azure.com/ORG) or of the collection "
                           "(https://SERVER/tfs/COLLECTION)"
                         : "it does not exist, or the token may not see it");
}

static enum http_verdict
judge_unavailable(struct http_response *response, const struct buf *text, struct error *err)
{
    bool is_offline = http_response_header(response, "X-VSS-HostOfflineError").len > 0;
    if (is_offline || has(text, "TF24668")) {
        return fail(err, ERROR_CONFIG, response->status, text,
                    "the organisation is stopped and does not start by itself; an owner must "
                    "sign in to it in a browser");
    }
    return http_judge_status(response, err);
}

static enum http_verdict judge_rest(struct http_response *response, struct error *err)
{
    enum http_verdict verdict = http_judge_status(response, err);
    if (verdict == HTTP_RETRY_FRESH || verdict == HTTP_ACCEPT) {
        error_clear(err);
        (void)error_set(err, ERROR_DATA,
                        "status %d with %.*s is no answer of the REST API; check the url of the "
                        "source and the proxies on the way",
                        response->status, STR_ARG(response->content_type));
        err->http_status = response->status;
        return HTTP_FAIL;
    }
    return verdict;
}

static bool is_sign_in(struct http_response *response)
{
    struct str location = http_response_header(response, "Location");
    bool is_html = str_starts_with_nocase(response->content_type, STR_LITERAL("text/html"));
    return response->status == STATUS_NON_AUTHORITATIVE || response->status == STATUS_FOUND ||
           (response->status == STATUS_OK && is_html) ||
           (response->status / 100 == 3 && str_contains_nocase(location, STR_LITERAL("_signin")));
}

enum http_verdict ado_judge_failure(struct http_response *response, struct error *err)
{
    struct buf text CLEANUP(buf_release);
    buf_init(&text, (size_t)2 * TEXT_BYTES_MAX);
    ado_error_text(buf_str(response->body), http_response_header(response, "X-TFS-ServiceError"),
                   &text);
    if (is_sign_in(response)) {
        return judge_sign_in(response->status, &text, err);
    }
    switch (response->status) {
    case STATUS_BAD_REQUEST:
        return judge_bad_request(response, &text, err);
    case STATUS_UNAUTHORIZED:
        (void)fail(err, ERROR_DENIED, response->status, &text, "");
        return HTTP_REAUTH;
    case STATUS_FORBIDDEN:
        return judge_forbidden(response, &text, err);
    case STATUS_NOT_FOUND:
        return judge_not_found(response, &text, err);
    case STATUS_TOO_MANY_REQUESTS:
        return throttle(err, response->status, &text);
    case STATUS_UNAVAILABLE:
        return judge_unavailable(response, &text, err);
    case STATUS_OK:
        (void)error_set(err, ERROR_TRANSIENT, "the answer (%.*s, %zu bytes) is not JSON",
                        STR_ARG(response->content_type), response->body->len);
        err->http_status = response->status;
        return HTTP_RETRY;
    default:
        return judge_rest(response, err);
    }
}
