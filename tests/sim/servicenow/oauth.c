#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "tests/sim/servicenow/system.h"

#define USER           "foz"
#define PASSWORD       "foz-secret"
#define CLIENT_ID      "foz-client"
#define CLIENT_SECRET  "foz-client-secret"
#define API_KEY        "foz-api-key"
#define BASIC          "Basic Zm96OmZvei1zZWNyZXQ=" /* foz:foz-secret */
#define ACCESS_LIFE_S  1800
#define REFRESH_LIFE_S 8640000

/* Tokens live by the real clock: moving the simulated one must not log everybody out. */
struct oauth {
    struct mutex lock;
    uint64_t seed;
    uint64_t n_issued;      /* guarded by lock */
    char access[33];        /* guarded by lock; "" none */
    int64_t access_ends_us; /* guarded by lock, monotonic */
    char refresh[33];       /* guarded by lock */
    int64_t refresh_ends_us;
};

struct oauth *oauth_new(uint64_t seed)
{
    struct oauth *oauth = XNEW(struct oauth);

    mutex_init(&oauth->lock);
    oauth->seed = seed;
    return oauth;
}

void oauth_free(struct oauth *oauth)
{
    if (oauth != NULL) {
        mutex_release(&oauth->lock);
        xfree(oauth);
    }
}

void oauth_expire(struct oauth *oauth)
{
    MUTEX_GUARD(&oauth->lock);
    oauth->access[0] = '\0';
}

static void fresh_token(struct oauth *oauth, char out[33])
{
    uint64_t a = store_mix(oauth->seed, ++oauth->n_issued);

    snprintf(out, 33, "%016llx%016llx", (unsigned long long)a, (unsigned long long)store_mix(a, 5));
}

static bool param_is(const struct param *params, int n, const char *name, const char *value)
{
    for (int i = 0; i < n; i++) {
        if (str_equal_c(params[i].name, name)) {
            return str_equal_c(params[i].value, value);
        }
    }
    return false;
}

/* Lock held. One answer for every fault, as the real thing gives. */
static bool grant(struct oauth *oauth, const struct param *params, int n, bool *ret_refreshable)
{
    if (!param_is(params, n, "client_id", CLIENT_ID) ||
        !param_is(params, n, "client_secret", CLIENT_SECRET)) {
        return false;
    }
    *ret_refreshable = !param_is(params, n, "grant_type", "client_credentials");
    if (!*ret_refreshable) {
        return true;
    }
    if (param_is(params, n, "grant_type", "password")) {
        return param_is(params, n, "username", USER) && param_is(params, n, "password", PASSWORD);
    }
    return param_is(params, n, "grant_type", "refresh_token") && oauth->refresh[0] != '\0' &&
           clock_monotonic_us() < oauth->refresh_ends_us &&
           param_is(params, n, "refresh_token", oauth->refresh);
}

static void deny(struct call *call)
{
    buf_reset(&call->reply->body);
    buf_add_c(&call->reply->body,
              "{\"error_description\":\"access_denied\",\"error\":\"server_error\"}");
    respond_json(call, 401);
}

/* Lock held. A request within a token's life returns that token. */
static void issue(struct call *call, struct oauth *oauth, bool refreshable)
{
    const struct fault *brief = drawn_find(&call->drawn, FAULT_oauth_short_life);
    int64_t life_s = brief != NULL ? (int64_t)brief->seconds : ACCESS_LIFE_S;
    int64_t now_us = clock_monotonic_us();

    if (oauth->access[0] == '\0' || now_us >= oauth->access_ends_us) {
        fresh_token(oauth, oauth->access);
        oauth->access_ends_us = now_us + life_s * US_PER_S;
    } else if (brief != NULL && oauth->access_ends_us > now_us + life_s * US_PER_S) {
        oauth->access_ends_us = now_us + life_s * US_PER_S;
    }
    if (refreshable && (oauth->refresh[0] == '\0' || now_us >= oauth->refresh_ends_us)) {
        fresh_token(oauth, oauth->refresh);
        oauth->refresh_ends_us = now_us + REFRESH_LIFE_S * US_PER_S;
    }
    buf_addf(&call->reply->body,
             "{\"scope\":\"useraccount\",\"token_type\":\"Bearer\",\"expires_in\":%lld,",
             (long long)((oauth->access_ends_us - now_us) / US_PER_S));
    if (refreshable) {
        buf_addf(&call->reply->body, "\"refresh_token\":\"%s\",", oauth->refresh);
    }
    buf_addf(&call->reply->body, "\"access_token\":\"%s\"}", oauth->access);
}

void oauth_answer(struct call *call)
{
    struct oauth *oauth = call->sn->oauth;
    const char *type = request_header(call->request, "Content-Type");
    struct param params[REQUEST_MAX_PARAMS];
    bool refreshable = false;
    char *form CLEANUP(xfreep) = xstrndup(call->request->body.ptr, call->request->body.len);
    int n = params_decode(form, call->request->body.len, params, REQUEST_MAX_PARAMS);

    if (strcmp(call->request->method, "POST") != 0 || type == NULL ||
        strncmp(type, "application/x-www-form-urlencoded", 33) != 0 ||
        drawn_find(&call->drawn, FAULT_oauth_refuse) != NULL) {
        deny(call);
        return;
    }
    mutex_lock(&oauth->lock);
    bool granted = grant(oauth, params, n, &refreshable);

    if (granted) {
        issue(call, oauth, refreshable);
    }
    mutex_unlock(&oauth->lock);
    if (granted) {
        respond_json(call, 200);
    } else {
        deny(call);
    }
}

static bool bearer_is_valid(struct oauth *oauth, const char *token)
{
    MUTEX_GUARD(&oauth->lock);
    return oauth->access[0] != '\0' && strcmp(token, oauth->access) == 0 &&
           clock_monotonic_us() < oauth->access_ends_us;
}

bool oauth_authorise(struct call *call)
{
    const char *authorization = request_header(call->request, "Authorization");
    const char *key = request_header(call->request, "x-sn-apikey");
    bool valid = key != NULL && strcmp(key, API_KEY) == 0;

    if (authorization != NULL) {
        valid = strcmp(authorization, BASIC) == 0 ||
                (strncmp(authorization, "Bearer ", 7) == 0 &&
                 bearer_is_valid(call->sn->oauth, authorization + 7));
    }
    if (!valid) {
        reply_header(call->reply, "WWW-Authenticate", "Basic realm=\"Service-now\"");
        respond_error(call, 401, "User Not Authenticated", "Required to provide Auth information");
    }
    return valid;
}
