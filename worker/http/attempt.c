#include <assert.h>

#include "common/base/clock.h"
#include "common/base/instant.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "worker/http/retry.h"
#include "worker/http/sending.h"

#define HEADERS_MAX         16
#define STATUS_SERVER_ERROR 500

static int64_t now_us(const struct http_client *client)
{
    return wait_clock_now_us(client->source->seams.clock);
}

static bool
fetch_token(void *arg, struct str form, struct oauth_exchange *exchange, struct error *err)
{
    struct http_client *client = arg;
    struct http_response response = {0};
    const struct http_request request = {
        .method = "POST",
        .url = STR_LITERAL(OAUTH_PATH),
        .body = form,
        .content_type = OAUTH_CONTENT_TYPE,
        .no_credential = true,
        .judge = oauth_judge,
        .judge_arg = exchange,
    };

    return http_send(client, &request, &response, err);
}

static struct credential_wire wire_of(struct http_client *client)
{
    return (struct credential_wire){.fetch = fetch_token, .arg = client, .stop = client->stop};
}

/* Puts method and path in front. */
static bool wrap(const struct sending *sending, struct error *err)
{
    return error_wrap(err, "%s %.*s", sending->subject.method, STR_ARG(sending->subject.url.path));
}

static enum sending_step give_up(const struct sending *sending, struct error *err)
{
    struct http_source *source = sending->client->source;
    int64_t failures = limiter_open_after_failures(&source->gate->limiter);

    error_append(err, "gave up after %lld %s at %.*s", (long long)sending->tries,
                 sending->tries == 1 ? "try" : "tries", STR_ARG(sending->subject.url.host));
    if (failures > 0) {
        error_append(err, "the circuit breaker of source %s is open after %lld failures in a row",
                     source->config->name, (long long)failures);
    }
    return SENDING_FAILED;
}

/* Another lane's probe failed while this one waited: as good as a failed try of its own. */
static enum sending_step after_failed_probe(struct sending *sending, struct error *err)
{
    struct http_source *source = sending->client->source;

    sending->tries++;
    if (sending->tries < source->config->retry.attempts) {
        return SENDING_AGAIN;
    }
    error_set(err, ERROR_TRANSIENT, "%s %.*s: %.*s does not recover", sending->subject.method,
              STR_ARG(sending->subject.url.path), STR_ARG(sending->subject.url.host));
    return give_up(sending, err);
}

/* Nothing has ever answered there: the last try's own fault says why, if there was one. */
static enum sending_step after_no_answer(struct sending *sending, struct error *err)
{
    if (sending->tries > 0) {
        *err = sending->last;
    } else {
        error_set(err, ERROR_TRANSIENT, "%s %.*s: %.*s cannot be reached", sending->subject.method,
                  STR_ARG(sending->subject.url.path), STR_ARG(sending->subject.url.host));
    }
    return give_up(sending, err);
}

static bool set_silenced(const struct sending *sending, int64_t wait_us, struct error *err)
{
    const struct http_source *source = sending->client->source;

    if (!error_is_set(err)) {
        error_set(err, ERROR_THROTTLED, "%s %.*s: not sent", sending->subject.method,
                  STR_ARG(sending->subject.url.path));
    }
    err->code = ERROR_THROTTLED;
    err->retry_after_ms = wait_us / US_PER_MS;
    error_append(
        err, "%.*s asks for %lld s of silence (Retry-After), retry.max_wait of source %s is %lld s",
        STR_ARG(sending->subject.url.host), (long long)((wait_us + US_PER_S - 1) / US_PER_S),
        source->config->name, (long long)(source->config->retry.max_wait_us / US_PER_S));
    return false;
}

/* Waits for the gate of the source. */
static enum sending_step
enter(struct sending *sending, struct limiter_permit *permit, struct error *err)
{
    struct http_client *client = sending->client;
    struct limiter *limiter = &client->source->gate->limiter;

    switch (limiter_enter(limiter, client->stop, sending->not_before_us, permit,
                          &client->counters.throttled_us)) {
    case LIMITER_ADMITTED:
        return SENDING_DONE;
    case LIMITER_STOPPED:
        error_set(err, ERROR_CANCELLED, "stopped while waiting to send to %.*s",
                  STR_ARG(sending->subject.url.host));
        wrap(sending, err);
        return SENDING_FAILED;
    case LIMITER_SILENCED:
        set_silenced(sending, limiter_silence_left_us(limiter), err);
        return SENDING_FAILED;
    case LIMITER_PROBE_FAILED:
        return after_failed_probe(sending, err);
    case LIMITER_UNREACHABLE:
        return after_no_answer(sending, err);
    }
    return SENDING_FAILED;
}

/* Accept, Content-Type, the credential, then the request's own. */
static size_t collect_headers(const struct sending *sending, struct http_header out[HEADERS_MAX])
{
    const struct http_request *request = sending->request;
    bool has_accept = false;
    size_t n = 0;

    assert(request->n_headers + 3 <= HEADERS_MAX);
    for (size_t i = 0; i < request->n_headers; i++) {
        const struct http_header *header = &request->headers[i];

        has_accept = has_accept || str_equal_nocase(str_from(header->name), STR_LITERAL("Accept"));
        out[n++] = *header;
    }
    if (!has_accept) {
        out[n++] = (struct http_header){"Accept", "application/json"};
    }
    if (request->content_type != NULL) {
        out[n++] = (struct http_header){"Content-Type", request->content_type};
    }
    if (sending->has_credential) {
        out[n++] = (struct http_header){
            credential_header_name(&sending->client->source->login->credential),
            sending->credential.ptr};
    }
    return n;
}

static enum transport_result
perform(struct sending *sending, struct http_response *response, struct error *err)
{
    struct http_client *client = sending->client;
    const struct http_request *request = sending->request;
    struct transport_answer *answer = &client->answer;
    struct http_header headers[HEADERS_MAX];
    const struct transport_request wire_request = {
        .method = request->method,
        .url = sending->url.ptr,
        .headers = headers,
        .n_headers = collect_headers(sending, headers),
        .body = request->body,
        .timeout_us =
            request->timeout_us > 0 ? request->timeout_us : client->source->config->timeout_us,
    };
    int64_t started_us = now_us(client);
    enum transport_result result =
        client->transport.perform(client->transport.self, &wire_request, answer, err);
    int64_t elapsed_us = now_us(client) - started_us;
    struct str content_type = headers_find(&answer->headers, "Content-Type");
    int64_t date_us = 0;

    (void)instant_parse_http_date(headers_find(&answer->headers, "Date"), &date_us);
    client->counters.requests += answer->was_sent ? 1 : 0;
    client->counters.bytes_received += answer->wire_bytes;
    client->counters.fetch_us += elapsed_us;
    *response = (struct http_response){
        .status = answer->status,
        .body = &answer->body,
        .content_type = content_type.ptr == NULL ? STR_LITERAL("") : content_type,
        .date_us = date_us,
        .elapsed_us = elapsed_us,
        .client = client,
    };
    return result;
}

/* The transport's result, or the judge's word on an answer. */
static enum http_verdict judge(const struct sending *sending,
                               enum transport_result result,
                               struct http_response *response,
                               struct error *err)
{
    const struct http_request *request = sending->request;
    enum http_verdict verdict = HTTP_FAIL;

    switch (result) {
    case TRANSPORT_ANSWERED:
        verdict = request->judge != NULL ? request->judge(request->judge_arg, response, err)
                                         : http_judge_status(response, err);
        assert(verdict == HTTP_ACCEPT || error_is_set(err));
        if (verdict != HTTP_ACCEPT && err->http_status == 0) {
            err->http_status = response->status;
        }
        return verdict;
    case TRANSPORT_TIMED_OUT:
        wrap(sending, err);
        if (request->timeout_is_limit) {
            err->code = ERROR_LIMIT;
            return HTTP_FAIL;
        }
        return HTTP_RETRY;
    case TRANSPORT_BROKEN:
        wrap(sending, err);
        if (request->cut_is_limit && sending->tries > 0) {
            err->code = ERROR_LIMIT;
            return HTTP_FAIL;
        }
        return HTTP_RETRY;
    case TRANSPORT_UNREACHABLE:
        wrap(sending, err);
        return HTTP_RETRY;
    case TRANSPORT_FAILED:
        wrap(sending, err);
        return HTTP_FAIL;
    }
    return verdict;
}

/* What an attempt says about the source itself, for the breaker. */
static enum breaker_outcome outcome_of(enum transport_result result,
                                       enum http_verdict verdict,
                                       const struct http_response *response,
                                       const struct error *err)
{
    bool is_retry = verdict == HTTP_RETRY || verdict == HTTP_RETRY_FRESH;

    if (result == TRANSPORT_ANSWERED) {
        /* A 5xx the judge made sense of is a word about the request, not about the source. */
        return is_retry && response->status >= STATUS_SERVER_ERROR ? BREAKER_FAILURE
                                                                   : BREAKER_SUCCESS;
    }
    if (is_retry) {
        return BREAKER_FAILURE;
    }
    /* It sent more than we take: too big, but alive. */
    return err->code == ERROR_LIMIT && result == TRANSPORT_FAILED ? BREAKER_SUCCESS
                                                                  : BREAKER_UNKNOWN;
}

/* Would less at once do? Who asked for much wants to know that before the tries are used up. */
static bool is_too_much(const struct sending *sending,
                        enum transport_result result,
                        enum http_verdict verdict,
                        const struct http_response *response)
{
    int64_t limit = sending->request->tries_before_limit;
    int64_t attempts = sending->client->source->config->retry.attempts;
    bool is_last = sending->tries + 1 >= limit || sending->tries + 1 >= attempts;
    bool is_sign = result == TRANSPORT_BROKEN ||
                   (result == TRANSPORT_ANSWERED && response->status >= STATUS_SERVER_ERROR);

    return limit > 0 && is_last && is_sign && verdict == HTTP_RETRY;
}

static enum sending_step renew(struct sending *sending, struct error *err)
{
    struct http_client *client = sending->client;
    struct credential *credential = &client->source->login->credential;
    struct error fault = ERROR_INIT;

    if (!sending->has_credential) {
        err->code = ERROR_DENIED;
        return SENDING_FAILED;
    }
    if (!sending->was_renewed) {
        const struct credential_wire wire = wire_of(client);

        sending->was_renewed = true;
        switch (credential_renew(credential, sending->generation, &wire, &fault)) {
        case CREDENTIAL_RENEWED:
            client->transport.forget_cookies(client->transport.self);
            client->counters.retries++;
            return SENDING_AGAIN;
        case CREDENTIAL_FAILED:
            *err = fault;
            return SENDING_FAILED;
        case CREDENTIAL_SAME:
            break;
        }
    }
    credential_explain_refusal(credential, err);
    return SENDING_FAILED;
}

static int64_t asked_silence_us(const struct http_client *client,
                                enum transport_result result,
                                const struct http_response *response)
{
    const struct wait_clock *clock = client->source->seams.clock;

    if (result != TRANSPORT_ANSWERED) {
        return RETRY_AFTER_NONE;
    }
    return retry_after_us(http_response_header(response, "Retry-After"), response->date_us,
                          clock->wall_us(clock->arg));
}

/* Where a source throttles without a word about how long, its judge may know better than backoff
 * does. */
static int64_t
cool_down_us(const struct http_client *client, enum http_verdict verdict, const struct error *err)
{
    int64_t max_us = client->source->config->retry.max_delay_us;
    int64_t wanted_us = err->retry_after_ms * US_PER_MS;

    if (verdict != HTTP_THROTTLE || wanted_us <= 0) {
        return RETRY_AFTER_NONE;
    }
    return wanted_us < max_us ? wanted_us : max_us;
}

/* An attempt was refused: again, later, or never. */
static enum sending_step
retry(struct sending *sending, enum http_verdict verdict, int64_t silence_us, struct error *err)
{
    struct http_client *client = sending->client;
    struct http_source *source = client->source;
    const struct retry_step step = retry_decide(&source->config->retry, ++sending->tries, verdict,
                                                silence_us, random_next(&client->random_state));

    if (verdict == HTTP_RETRY_FRESH) {
        client->transport.forget_cookies(client->transport.self);
    }
    switch (step.action) {
    case RETRY_GIVE_UP:
        if (step.wait_us > 0) {
            limiter_silence(&source->gate->limiter, step.wait_us);
            err->retry_after_ms = step.wait_us / US_PER_MS;
        }
        return give_up(sending, err);
    case RETRY_TOO_LONG:
        limiter_silence(&source->gate->limiter, step.wait_us);
        set_silenced(sending, step.wait_us, err);
        return SENDING_FAILED;
    case RETRY_SILENCE:
        limiter_silence(&source->gate->limiter, step.wait_us);
        break;
    case RETRY_WAIT:
        sending->not_before_us = now_us(client) + step.wait_us;
        break;
    }
    sending->last = *err;
    client->counters.retries++;
    log_debug("request is tried again", LOG_TEXT("source", source->config->name),
              LOG_TEXT("because", err->msg), LOG_INT("wait_ms", step.wait_us / US_PER_MS));
    return SENDING_AGAIN;
}

/* One attempt that has been admitted. */
static enum sending_step attempt(struct sending *sending,
                                 struct limiter_permit permit,
                                 struct http_response *ret_response,
                                 struct error *err)
{
    struct http_client *client = sending->client;
    struct limiter *limiter = &client->source->gate->limiter;
    struct http_response response = {0};
    enum transport_result result = perform(sending, &response, err);

    if (result == TRANSPORT_ANSWERED) {
        limiter_note_answer(limiter);
    } else if (result == TRANSPORT_TIMED_OUT) {
        /* The source may still be at it, and then holds the session: the next try would queue. */
        client->transport.forget_cookies(client->transport.self);
    }
    limiter_leave(limiter); /* judging may decode a page: that is no request in flight */
    enum http_verdict verdict = judge(sending, result, &response, err);

    enum breaker_outcome outcome = outcome_of(result, verdict, &response, err);

    if (is_too_much(sending, result, verdict, &response)) {
        /* Of the source or of the request? The smaller one will tell. */
        outcome = BREAKER_UNKNOWN;
        verdict = HTTP_FAIL;
        err->code = ERROR_LIMIT;
    }
    limiter_report(limiter, permit, outcome);
    int64_t silence_us = asked_silence_us(client, result, &response);

    switch (verdict) {
    case HTTP_ACCEPT:
        /* Azure DevOps asks for a pause with an answer that is good. If it is longer than may be
         * waited for, the next request fails instead of this one. */
        if (silence_us > 0) {
            limiter_silence(limiter, silence_us);
        }
        *ret_response = response;
        return SENDING_DONE;
    case HTTP_REAUTH:
        return renew(sending, err);
    case HTTP_RETRY:
    case HTTP_RETRY_FRESH:
    case HTTP_THROTTLE:
        if (silence_us == RETRY_AFTER_NONE) {
            silence_us = cool_down_us(client, verdict, err);
        }
        return retry(sending, verdict, silence_us, err);
    case HTTP_FAIL:
        return SENDING_FAILED;
    }
    return SENDING_FAILED;
}

/* Credential, gate, attempt. */
enum sending_step
sending_try(struct sending *sending, struct http_response *ret_response, struct error *err)
{
    struct http_client *client = sending->client;
    struct credential *credential = &client->source->login->credential;
    struct limiter *limiter = &client->source->gate->limiter;
    struct limiter_permit permit = {0};

    if (sending->has_credential) {
        const struct credential_wire wire = wire_of(client);

        buf_reset(&sending->credential);
        if (!credential_get(credential, &wire, &sending->credential, &sending->generation, err)) {
            return SENDING_FAILED;
        }
    }
    client->subject = &sending->subject;
    enum sending_step step = enter(sending, &permit, err);

    if (step != SENDING_DONE) {
        return step;
    }
    /* The wait may have been longer than the token's life. A token of a shorter life than any wait
     * is used all the same. */
    if (sending->has_credential && !sending->has_waited && credential_is_due(credential)) {
        sending->has_waited = true;
        limiter_leave(limiter);
        limiter_report(limiter, permit, BREAKER_UNKNOWN);
        return SENDING_AGAIN;
    }
    sending->has_waited = false;
    return attempt(sending, permit, ret_response, err);
}
