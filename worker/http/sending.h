#pragma once

#include "worker/http/internal.h"

/*
 * One http_send under way: client.c begins and ends it, attempt.c takes its steps.
 */

struct http_client {
    struct http_source *source;
    struct stop *stop; /* of this client, NULL = the source's alone */
    struct http_transport transport;
    struct transport_answer answer;
    struct http_counters counters;
    const struct http_subject *subject; /* of the exchange under way or last answered */
    struct http_subject last_subject;
    struct buf last_url; /* what last_subject's views point into */
    uint64_t random_state;
};

struct sending {
    struct http_client *client;
    const struct http_request *request;
    struct http_subject subject;
    struct buf url;
    struct buf credential; /* the header's value */
    uint64_t generation;   /* of that value */
    bool has_credential;
    bool was_renewed;
    bool has_waited;   /* longer than the credential lasts: taken once more before it is used */
    int64_t tries;     /* judged by the retry policy */
    struct error last; /* why the last of them failed */
    int64_t not_before_us;
};

enum sending_step { SENDING_DONE, SENDING_AGAIN, SENDING_FAILED };

/* Credential, gate, one attempt and what follows from it. Fills *ret_response with DONE and err
 * with FAILED; leaves err in any state with AGAIN. Blocks. */
enum sending_step
sending_try(struct sending *sending, struct http_response *ret_response, struct error *err);
