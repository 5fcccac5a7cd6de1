#include "api/guard/access.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/conf/config.h"
#include "common/io/db.h"

void guard_init(struct guard *guard, const struct config *config)
{
    *guard = (struct guard){.config = config, .keys = key_cache_new(), .limiter = limiter_new()};
}

void guard_release(struct guard *guard)
{
    key_cache_free(guard->keys);
    limiter_free(guard->limiter);
}

enum credential_kind { CREDENTIAL_NONE, CREDENTIAL_KEY, CREDENTIAL_OTHER, CREDENTIAL_AMBIGUOUS };

struct credential {
    enum credential_kind kind;
    struct str text;
};

/* The one place that knows where credentials are written. A bearer token (JWT) becomes another kind
 * here and another judge in access_check. */
static struct credential read_credential(const struct request *request)
{
    size_t n_keys = request_header_count(request, "X-API-Key");
    size_t n_others = request_header_count(request, "Authorization");
    if (n_keys + n_others > 1) {
        return (struct credential){CREDENTIAL_AMBIGUOUS, STR_NONE};
    }
    if (n_keys == 1) {
        return (struct credential){CREDENTIAL_KEY, request_header(request, "X-API-Key")};
    }
    if (n_others == 1) {
        return (struct credential){CREDENTIAL_OTHER, request_header(request, "Authorization")};
    }
    return (struct credential){CREDENTIAL_NONE, STR_NONE};
}

static bool host_is_loopback(struct str host)
{
    if (str_starts_with(host, STR_LITERAL("[::1]"))) {
        return true;
    }
    struct str name = str_cut(&host, ':');
    return str_equal_nocase(name, STR_LITERAL("localhost")) ||
           str_starts_with(name, STR_LITERAL("127.")) || name.len == 0;
}

bool access_origin_is_allowed(const struct guard *guard, struct str origin)
{
    for (size_t i = 0; i < guard->config->api.n_cors_origins; i++) {
        if (str_equal_c(origin, guard->config->api.cors_origins[i])) {
            return true;
        }
    }
    return false;
}

/* Without authentication a browser on this machine would be a way in for any page it shows. */
static enum access_result check_anonymous(struct guard *guard,
                                          const struct request *request,
                                          struct principal *ret_principal,
                                          struct problem *problem)
{
    struct str host = request_header(request, "Host");
    struct str origin = request_header(request, "Origin");
    struct str rest = origin;
    (void)str_cut(&rest, '/');
    (void)str_cut(&rest, '/');
    bool is_own = origin.ptr == NULL || str_equal_nocase(rest, host);
    if (!host_is_loopback(host) || (!is_own && !access_origin_is_allowed(guard, origin))) {
        (void)problem_set(problem, 403, "origin_refused",
                          "while api.auth.enabled is false only this machine may ask, under a "
                          "loopback name and from the service's own origin: enable authentication "
                          "or add the origin to api.cors.origins");
        return ACCESS_REFUSED;
    }
    *ret_principal = (struct principal){.scopes = SCOPE_READ | SCOPE_ADMIN | SCOPE_OBSERVABILITY};
    (void)snprintf(ret_principal->name, sizeof(ret_principal->name), "anonymous");
    return ACCESS_GRANTED;
}

static enum access_result refuse_credential(struct problem *problem, const char *what)
{
    (void)problem_set(problem, 401, "unauthorized",
                      "%s: send an API key in the header X-API-Key (made with `foz-api key create "
                      "NAME --scope SCOPE`)",
                      what);
    return ACCESS_REFUSED;
}

static enum access_result check_key(struct guard *guard,
                                    struct str text,
                                    struct principal *ret_principal,
                                    struct problem *problem)
{
    if (!key_is_well_formed(text)) {
        return refuse_credential(problem, "the API key is not of the form foz_...");
    }
    struct key_digest digest = key_digest(text);
    int64_t now_us = clock_monotonic_us();
    switch (key_cache_get(guard->keys, &digest, now_us, ret_principal)) {
    case KEY_CACHE_VALID:
        return ACCESS_GRANTED;
    case KEY_CACHE_UNKNOWN:
        return refuse_credential(problem, "the API key is unknown or revoked");
    case KEY_CACHE_MISS:
        break;
    }
    return ACCESS_ASK;
}

enum access_result access_check(struct guard *guard,
                                const struct request *request,
                                struct principal *ret_principal,
                                struct problem *problem)
{
    if (!guard->config->api.auth_enabled) {
        return check_anonymous(guard, request, ret_principal, problem);
    }
    struct credential credential = read_credential(request);
    switch (credential.kind) {
    case CREDENTIAL_KEY:
        return check_key(guard, credential.text, ret_principal, problem);
    case CREDENTIAL_NONE:
        return refuse_credential(problem, "no credential was sent");
    case CREDENTIAL_OTHER:
        return refuse_credential(problem, "this service does not take this kind of Authorization");
    case CREDENTIAL_AMBIGUOUS:
        return refuse_credential(problem, "several credentials were sent where one is due");
    }
    return ACCESS_REFUSED;
}

bool access_ask(struct guard *guard,
                const struct request *request,
                struct db *reader,
                struct principal *ret_principal,
                struct problem *problem,
                struct error *err)
{
    struct credential credential = read_credential(request);
    struct key_digest digest = key_digest(credential.text);
    int64_t now_us = clock_monotonic_us();
    switch (key_find(reader, &digest, ret_principal, err)) {
    case KEY_VALID:
        key_cache_put(guard->keys, &digest, ret_principal, now_us);
        return true;
    case KEY_UNKNOWN:
        key_cache_put(guard->keys, &digest, NULL, now_us);
        (void)refuse_credential(problem, "the API key is unknown or revoked");
        return false;
    case KEY_ERROR:
        break;
    }
    return false;
}

bool access_permits(const struct principal *principal, enum scope scope, struct problem *problem)
{
    if (((unsigned)scope & ~principal->scopes) == 0) {
        return true;
    }
    return problem_set(problem, 403, "scope_missing",
                       "the key %s lacks the scope %s: make one with `foz-api key create NAME "
                       "--scope %s`",
                       principal->name, scope_name(scope), scope_name(scope));
}

bool access_rate(struct guard *guard,
                 const struct principal *principal,
                 struct rate_headers *ret_headers,
                 struct problem *problem)
{
    const struct api_config *api = &guard->config->api;
    int64_t per_minute = principal->per_minute > 0 ? principal->per_minute : api->rate_per_minute;
    int64_t burst = api->rate_burst > 0 ? api->rate_burst : 1;
    if (per_minute <= 0) {
        return true;
    }
    struct limiter_verdict verdict =
        limiter_take(guard->limiter, principal->name, per_minute, burst, clock_monotonic_us());
    int64_t reset_s = (verdict.wait_us + US_PER_S - 1) / US_PER_S;
    (void)snprintf(ret_headers->policy, sizeof(ret_headers->policy),
                   "\"default\";q=%lld;w=60;b=%lld", (long long)per_minute, (long long)burst);
    (void)snprintf(ret_headers->limit, sizeof(ret_headers->limit), "\"default\";r=%lld;t=%lld",
                   (long long)verdict.remaining, (long long)reset_s);
    if (verdict.is_granted) {
        return true;
    }
    problem->retry_after_s = (int)(reset_s > 0 ? reset_s : 1);
    return problem_set(problem, 429, "rate_limited",
                       "%s may send %lld requests a minute, at most %lld at once: wait %d s",
                       principal->name, (long long)per_minute, (long long)burst,
                       problem->retry_after_s);
}
