#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/stop.h"
#include "common/base/str.h"
#include "common/conf/config.h"

/*
 * The HTTP side of a source. It alone retries, limits, waits and breaks; connectors never sleep.
 *
 * struct http_source is what all lanes share about one source: the limiter (requests in flight,
 * rate, `not_before` from Retry-After), the circuit breaker and the credential with single-flight
 * renewal. struct http_client is one lane's handle: one libcurl easy handle, one cookie jar, one
 * response at a time, owned by one thread.
 *
 * Redirects are never followed, TLS is always verified, URLs and errors never carry secrets.
 */

struct http_source;

/* Copies nothing: `config` must outlive it. max_in_flight >= 1. `stop` ends every wait. Resolves
 * the secrets of `config->auth` (ERROR_CONFIG names a missing one). */
struct http_source *http_source_new(const struct source_config *config,
                                    int64_t max_in_flight,
                                    struct stop *stop,
                                    struct error *err);
void http_source_free(struct http_source *source); /* after its clients; accepts NULL */

/* Puts `source`, which nobody uses yet, in the place of `before`, which stays in use: a source of
 * the same url keeps to one budget. They share silence, breaker, requests in flight and rate, with
 * the limits of `source` for both from now on, and an OAuth token if both log in the same way. Both
 * have the same `stop`. */
void http_source_continue(struct http_source *source, struct http_source *before);

struct http_client;

/* `stop` ends this client's waits and transfers instead of the source's. A child of the source's
 * lets one execution be cancelled while others go on; NULL = the source's. */
struct http_client *
http_client_new(struct http_source *source, struct stop *stop, size_t max_response_bytes);
void http_client_free(struct http_client *client); /* accepts NULL */
struct http_source *http_client_source(const struct http_client *client);

struct http_header {
    const char *name;
    const char *value;
};

/* What has been received. Views live until the client's next http_send. */
struct http_response {
    int status;
    struct buf *body;        /* decoded; writable in place */
    struct str content_type; /* "" if none */
    int64_t date_us;         /* of the Date header, 0 if none */
    int64_t elapsed_us;
    struct http_client *client;
};

/* The value of a response header (case-insensitive, the last one if repeated), STR_NONE if none. */
struct str http_response_header(const struct http_response *response, const char *name);

enum http_verdict {
    HTTP_ACCEPT,      /* this is the answer */
    HTTP_RETRY,       /* transient: again after backoff */
    HTTP_RETRY_FRESH, /* the same with a new session: the cookie jar is dropped */
    HTTP_REAUTH,      /* the credential was refused: renew once, then fail with err */
    /* Slow down the whole source: by Retry-After, else by err->retry_after_ms as far as
     * retry.max_delay, else by backoff; counts as retry. */
    HTTP_THROTTLE,
    HTTP_FAIL, /* final: err says why */
};

/* Judges an answer of any status; sets err for every verdict but ACCEPT. Runs inside http_send once
 * per attempt and may decode the body: what it produced for a refused attempt must be discarded by
 * itself. */
typedef enum http_verdict (*http_judge)(void *arg,
                                        struct http_response *response,
                                        struct error *err);

/* The verdict most answers deserve, by status alone: 2xx ACCEPT (202 RETRY_FRESH), 401 REAUTH, 403
 * FAIL (DENIED), 429 THROTTLE, 408/499/500/502/503/504 RETRY, 3xx FAIL (CONFIG: names the Location
 * host), other FAIL (CONFIG). 503 with Retry-After is THROTTLE. Messages begin with method, path
 * and status. Judges call it for what they do not know better. */
enum http_verdict http_judge_status(struct http_response *response, struct error *err);

struct http_request {
    const char *method; /* "GET" */
    struct str url;     /* absolute, or beginning with "/" and then relative to the source's url */
    const struct http_header *headers; /* beside Accept: application/json and the credential */
    size_t n_headers;
    struct str body; /* with POST */
    const char *content_type;
    bool no_credential;    /* do not send the source's credential */
    bool timeout_is_limit; /* a timeout is ERROR_LIMIT at once: the caller will ask for less */
    bool cut_is_limit;     /* the same for an answer that is cut off a second time */
    /* Where any 5xx may mean that it was too much: at this try a 5xx without Retry-After, or an
     * answer that is cut off, is ERROR_LIMIT, and the breaker is told nothing. 0 = never. Where the
     * judge knows which status means that, it says so itself, and cut_is_limit is enough. */
    int64_t tries_before_limit;
    int64_t timeout_us; /* 0 = the source's */
    http_judge judge;   /* NULL = http_judge_status */
    void *judge_arg;
};

/* Sends until the judge accepts, a final verdict, or attempts, max_wait or the breaker end it. On
 * success fills *ret_response. Failure codes: TRANSIENT (attempts used up or unreachable; the
 * message counts the tries and names the host), THROTTLED (longer than max_wait), DENIED, DATA,
 * CONFIG (TLS trouble, unknown host, wrong URL included), LIMIT (timeout_is_limit,
 * cut_is_limit, tries_before_limit, or the body passed max_response_bytes), CANCELLED. */
bool http_send(struct http_client *client,
               const struct http_request *request,
               struct http_response *ret_response,
               struct error *err);

/* What this client has cost since it was made. */
struct http_counters {
    int64_t requests; /* attempts that reached the wire */
    int64_t retries;
    int64_t throttled_us;
    int64_t bytes_received; /* on the wire */
    int64_t fetch_us;       /* time inside transfers */
};

void http_client_counters(const struct http_client *client, struct http_counters *ret_counters);
