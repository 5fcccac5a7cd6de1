#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/instant.h"
#include "tests/sim/gzip.h"
#include "tests/sim/servicenow/system.h"

static const struct fault *struck_by(const struct call *call, enum fault_kind kind)
{
    return drawn_find(&call->drawn, kind);
}

void respond_rules(const struct call *call, struct query_rules *ret_rules)
{
    const struct fault *widening = struck_by(call, FAULT_silent_widening);
    const struct fault *range = struck_by(call, FAULT_range_ignored);
    const struct fault *forbidden = struck_by(call, FAULT_forbidden_403);
    const struct fault *zone = struck_by(call, FAULT_user_time_zone);

    memset(ret_rules, 0, sizeof(*ret_rules));
    ret_rules->now_s = call->now_s;
    ret_rules->user_offset_s = zone != NULL ? (int64_t)zone->seconds : 0;
    ret_rules->invalid_returns_none = struck_by(call, FAULT_returns_no_rows) != NULL;
    ret_rules->widened_field = widening != NULL ? widening->field : NULL;
    ret_rules->range_denied_field =
        range != NULL ? (range->field[0] != '\0' ? range->field : "*") : NULL;
    ret_rules->unreadable_field = forbidden != NULL ? forbidden->field : NULL;
}

void respond_headers(struct call *call)
{
    struct reply *reply = call->reply;
    const struct fault *skew = struck_by(call, FAULT_clock_skew);
    int64_t shown_us =
        call->now_s * US_PER_S + (skew != NULL ? (int64_t)skew->seconds * US_PER_S : 0);
    char date[INSTANT_TEXT_MAX];
    const char *cookies = request_header(call->request, "Cookie");

    reply_header(reply, "Server", "snow_adc");
    reply_header(reply, "Date", "%s", instant_format_http_date(shown_us, date));
    reply_header(reply, "Server-Timing",
                 "t;desc=\"%012llx\", sem_wait;dur=%lld, sesh_wait;dur=%lld",
                 (unsigned long long)(call->transaction & 0xffffffffffff),
                 (long long)call->sem_wait_ms, (long long)call->session_wait_ms);
    if (cookies == NULL || strstr(cookies, "JSESSIONID=") == NULL) {
        unsigned long long id = (unsigned long long)store_mix(call->transaction, 99);

        reply_header(reply, "Set-Cookie", "JSESSIONID=%016llX; Path=/; HttpOnly", id);
        reply_header(reply, "Set-Cookie", "glide_user=; Max-Age=0; Path=/; HttpOnly");
        reply_header(reply, "Set-Cookie",
                     "glide_user_route=glide.%016llx; Max-Age=2147483647; Path=/; HttpOnly", id);
        reply_header(reply, "Set-Cookie", "glide_node_id_for_js=%016llx; Path=/", id);
        reply_header(reply, "Set-Cookie",
                     "glide_session_store=%016llX; Max-Age=1800; Path=/; HttpOnly", id);
    }
    reply_header(reply, "X-Is-Logged-In", "true");
    reply_header(reply, "X-Transaction-ID", "%012llx",
                 (unsigned long long)(call->transaction & 0xffffffffffff));
    reply_header(reply, "Pragma", "no-store,no-cache");
    reply_header(reply, "Cache-Control", "no-cache,no-store,must-revalidate,max-age=-1");
    reply_header(reply, "Expires", "0");
    reply_header(reply, "X-Content-Type-Options", "nosniff");
}

void respond_json(struct call *call, int status)
{
    const struct fault *type = struck_by(call, FAULT_wrong_content_type);

    call->reply->status = status;
    reply_header(call->reply, "Content-Type", "%s",
                 type == NULL             ? "application/json;charset=UTF-8"
                 : type->value[0] == '\0' ? "text/plain;charset=UTF-8"
                                          : type->value);
    respond_headers(call);
}

void respond_error(struct call *call, int status, const char *message, const char *detail)
{
    struct buf *body = &call->reply->body;

    buf_reset(body);
    buf_add_c(body, "{\"error\":{\"message\":");
    buf_add_json_string(body, str_from(message));
    buf_add_c(body, ",\"detail\":");
    if (detail != NULL) {
        buf_add_json_string(body, str_from(detail));
    } else {
        buf_add_c(body, "null");
    }
    buf_add_c(body, "},\"status\":\"failure\"}");
    respond_json(call, status);
}

void respond_html(struct call *call, int status, const char *title)
{
    buf_reset(&call->reply->body);
    buf_addf(
        &call->reply->body,
        "<!DOCTYPE html>\n<html><head><title>%s</title></head><body><h1>%s</h1></body></html>\n",
        title, title);
    call->reply->status = status;
    reply_header(call->reply, "Content-Type", "text/html;charset=UTF-8");
    respond_headers(call);
}

static void respond_rate_limit(struct call *call, const struct fault *fault)
{
    int64_t seconds = fault->seconds > 0 ? (int64_t)fault->seconds : 1;
    char date[INSTANT_TEXT_MAX];

    if (!fault_mode_is(fault, "none")) {
        if (fault_mode_is(fault, "date")) {
            reply_header(call->reply, "Retry-After", "%s",
                         instant_format_http_date((call->now_s + seconds) * US_PER_S, date));
        } else {
            reply_header(call->reply, "Retry-After", "%lld", (long long)seconds);
        }
        reply_header(call->reply, "X-RateLimit-Limit", "100");
        reply_header(call->reply, "X-RateLimit-Reset", "%lld", (long long)(call->now_s + seconds));
        reply_header(call->reply, "X-RateLimit-Rule", "0123456789abcdef0123456789abcdef");
    }
    respond_error(call, 429, "Rate limit exceeded",
                  "Rate limit of 100 requests per hour for Table API exceeded");
}

static void respond_forbidden(struct call *call, const struct fault *fault)
{
    if (fault_mode_is(fault, "api")) {
        respond_error(call, 403, "User Not Authorized", "Failed API level ACL Validation");
    } else {
        respond_error(call, 403, "Insufficient rights to query records",
                      "Field(s) present in the query do not have permission to be read");
    }
}

static bool respond_status_fault(struct call *call)
{
    static const struct {
        enum fault_kind kind;
        int status;
        const char *message, *detail; /* detail NULL: an HTML page */
    } answers[] = {
        {FAULT_bad_gateway_502, 502, "502 Bad Gateway", NULL},
        {FAULT_unavailable_503, 503, "Service Unavailable", NULL},
        {FAULT_gateway_timeout_504, 504, "504 Gateway Time-out", NULL},
        {FAULT_html_200, 200, "Instance Hibernating page", NULL},
        {FAULT_cancelled_500, 500, "Transaction cancelled: maximum execution time exceeded",
         "Transaction cancelled: maximum execution time exceeded Check logs for error trace or "
         "enable "
         "glide.rest.debug property to verify REST request processing"},
        {FAULT_error_500, 500, "Exception while executing request: null",
         "Check logs for error trace or enable glide.rest.debug property to verify REST request "
         "processing"},
        {FAULT_not_found_404, 404, "Requested URI does not represent any resource",
         "Requested URI does not represent any resource"},
        {FAULT_unauthorized_401, 401, "User Not Authenticated",
         "Required to provide Auth information"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        const struct fault *fault = struck_by(call, answers[i].kind);

        if (fault == NULL) {
            continue;
        }
        if (fault->seconds > 0 && answers[i].status == 503) {
            reply_header(call->reply, "Retry-After", "%lld", (long long)fault->seconds);
        }
        if (answers[i].status == 401) {
            reply_header(call->reply, "WWW-Authenticate", "Basic realm=\"Service-now\"");
            if (fault_mode_is(fault, "mfa")) {
                reply_header(call->reply, "X-MFA_TOKEN", "invalid");
            }
        }
        if (answers[i].detail == NULL) {
            respond_html(call, answers[i].status, answers[i].message);
        } else {
            respond_error(call, answers[i].status, answers[i].message, answers[i].detail);
        }
        return true;
    }
    return false;
}

bool respond_fault(struct call *call)
{
    const struct fault *fault;

    if (struck_by(call, FAULT_hang) != NULL) {
        call->reply->never = true;
        return true;
    }
    if ((fault = struck_by(call, FAULT_delay)) != NULL) {
        call->reply->wait_us = (int64_t)(fault->seconds * 1e6);
    }
    if ((fault = struck_by(call, FAULT_sso_redirect)) != NULL) {
        reply_header(call->reply, "Location", "%s",
                     fault->value[0] != '\0' ? fault->value : "https://sso.example.invalid/login");
        respond_html(call, 302, "Redirecting");
        return true;
    }
    if (struck_by(call, FAULT_accepted_202) != NULL) {
        buf_reset(&call->reply->body);
        call->reply->status = 202;
        respond_headers(call);
        return true;
    }
    if ((fault = struck_by(call, FAULT_rate_429)) != NULL) {
        respond_rate_limit(call, fault);
        return true;
    }
    if (struck_by(call, FAULT_expire_tokens) != NULL) {
        oauth_expire(call->sn->oauth);
    }
    if ((fault = struck_by(call, FAULT_forbidden_403)) != NULL && fault->field[0] == '\0') {
        respond_forbidden(call, fault);
        return true;
    }
    if (struck_by(call, FAULT_invalid_table) != NULL) {
        char message[128];

        snprintf(message, sizeof(message), "Invalid table %.*s", STR_ARG(call->table_name));
        respond_error(call, 400, message, NULL);
        return true;
    }
    return respond_status_fault(call);
}

void respond_finish(struct call *call)
{
    struct reply *reply = call->reply;
    const struct fault *fault;
    const char *accepted = request_header(call->request, "Accept-Encoding");

    if ((fault = struck_by(call, FAULT_gzip_bomb)) != NULL) {
        gzip_bomb(&reply->body, fault->rate > 0 ? fault->rate : 256);
        reply_header(reply, "Content-Encoding", "gzip");
    } else if (accepted != NULL && strstr(accepted, "gzip") != NULL && reply->body.len > 0 &&
               reply->source == NULL) {
        gzip_replace(&reply->body);
        reply_header(reply, "Content-Encoding", "gzip");
    }
    if ((fault = struck_by(call, FAULT_cut_chunk)) != NULL) {
        reply->cut_after_bytes = (int64_t)((double)reply->body.len * fault->share);
    }
    if ((fault = struck_by(call, FAULT_slow_drip)) != NULL) {
        reply->bytes_per_second = fault->rate > 0 ? fault->rate : 100;
    }
}
