#include "worker/http/internal.h"

enum {
    STATUS_OK = 200,
    STATUS_ACCEPTED = 202,
    STATUS_REDIRECTION = 300,
    STATUS_CLIENT_ERROR = 400,
    STATUS_UNAUTHORIZED = 401,
    STATUS_FORBIDDEN = 403,
    STATUS_REQUEST_TIMEOUT = 408,
    STATUS_TOO_MANY_REQUESTS = 429,
    STATUS_CLIENT_CLOSED = 499, /* nginx and ServiceNow: the request was given up */
    STATUS_INTERNAL = 500,
    STATUS_BAD_GATEWAY = 502,
    STATUS_UNAVAILABLE = 503,
    STATUS_GATEWAY_TIMEOUT = 504,
};

struct ruling {
    int status;
    enum http_verdict verdict;
    enum error_code code;
    const char *words;
};

/* Every status with a meaning of its own; the rest goes by its class. */
static const struct ruling rulings[] = {
    {STATUS_ACCEPTED, HTTP_RETRY_FRESH, ERROR_TRANSIENT,
     "dropped, the queue of this session was full"},
    {STATUS_UNAUTHORIZED, HTTP_REAUTH, ERROR_DENIED, "the credential was not accepted"},
    {STATUS_FORBIDDEN, HTTP_FAIL, ERROR_DENIED,
     "not allowed; grant the configured account the right to read this"},
    {STATUS_REQUEST_TIMEOUT, HTTP_RETRY, ERROR_TRANSIENT, "the source waited too long for us"},
    {STATUS_TOO_MANY_REQUESTS, HTTP_THROTTLE, ERROR_THROTTLED, "the source asks to slow down"},
    {STATUS_CLIENT_CLOSED, HTTP_RETRY, ERROR_TRANSIENT, "the source gave the request up"},
    {STATUS_INTERNAL, HTTP_RETRY, ERROR_TRANSIENT, "the source failed internally"},
    {STATUS_BAD_GATEWAY, HTTP_RETRY, ERROR_TRANSIENT, "the source is behind a failing gateway"},
    {STATUS_UNAVAILABLE, HTTP_RETRY, ERROR_TRANSIENT, "the source is unavailable"},
    {STATUS_GATEWAY_TIMEOUT, HTTP_RETRY, ERROR_TRANSIENT,
     "the source was too slow for its gateway"},
};

static const struct ruling *find_ruling(int status)
{
    for (size_t i = 0; i < ARRAY_SIZE(rulings); i++) {
        if (rulings[i].status == status) {
            return &rulings[i];
        }
    }
    return NULL;
}

/* The host a Location points to: another one says what is wrong (login page, developer portal). */
static struct str location_host(struct str location, const struct url *own)
{
    struct url url = {0};
    struct error ignored = ERROR_INIT; /* a relative Location is no fault */

    return url_parse(location, &url, &ignored) ? url.host : own->host;
}

static enum http_verdict judge_redirect(const struct http_response *response,
                                        const struct http_subject *subject,
                                        struct error *err)
{
    struct str location = http_response_header(response, "Location");
    struct str host = location_host(location, &subject->url);

    error_set(err, ERROR_CONFIG,
              "%s %.*s: %d: redirects to %.*s, which is not followed; the source's url is not the "
              "one of its API, or the instance is hibernating or asks for a login page",
              subject->method, STR_ARG(subject->url.path), response->status, STR_ARG(host));
    return HTTP_FAIL;
}

static enum http_verdict judge_by_status(const struct http_response *response, struct error *err)
{
    const struct http_subject *subject = http_client_subject(response->client);
    const struct ruling *ruling = find_ruling(response->status);
    int status = response->status;

    if (ruling != NULL) {
        error_set(err, ruling->code, "%s %.*s: %d: %s", subject->method, STR_ARG(subject->url.path),
                  status, ruling->words);
        return ruling->verdict;
    }
    if (status >= STATUS_OK && status < STATUS_REDIRECTION) {
        return HTTP_ACCEPT;
    }
    if (status >= STATUS_REDIRECTION && status < STATUS_CLIENT_ERROR) {
        return judge_redirect(response, subject, err);
    }
    error_set(err, ERROR_CONFIG,
              "%s %.*s: %d: the source does not know or accept this request; check the source's "
              "url, its version and the task's table",
              subject->method, STR_ARG(subject->url.path), status);
    return HTTP_FAIL;
}

enum http_verdict http_judge_status(struct http_response *response, struct error *err)
{
    enum http_verdict verdict = judge_by_status(response, err);

    if (verdict == HTTP_ACCEPT) {
        return verdict;
    }
    err->http_status = response->status;
    if (response->status == STATUS_UNAVAILABLE &&
        http_response_header(response, "Retry-After").len > 0) {
        err->code = ERROR_THROTTLED;
        return HTTP_THROTTLE;
    }
    return verdict;
}
