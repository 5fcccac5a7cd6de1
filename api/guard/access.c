#include "api/guard/access.h"

#include <stdio.h>
#include <string.h>

#include "api/guard/azure.h"
#include "api/guard/credential.h"
#include "api/guard/tokens.h"
#include "api/http/loopback.h"
#include "common/base/clock.h"
#include "common/conf/config.h"
#include "common/io/db.h"

#define KEY_CACHE_LIMIT 4096
/* How long a key is remembered that nobody can be asked about. */
#define KEY_REMEMBERED_US US_PER_H

bool guard_start(struct guard *guard, const struct config *config, struct error *err)
{
    const struct api_config *api = &config->api;
    *guard = (struct guard){
        .config = config, .keys = verdict_cache_new(KEY_CACHE_LIMIT), .limiter = limiter_new()};
    if (api->auth_enabled && api->has_jwt) {
        guard->tokens = tokens_start(&api->jwt, err);
        if (guard->tokens == NULL) {
            return false;
        }
    }
    if (api->auth_enabled && api->has_azure_devops) {
        guard->azure = azure_start(config, err);
        return guard->azure != NULL;
    }
    return true;
}

void guard_stop(struct guard *guard)
{
    tokens_stop(guard->tokens);
    azure_stop(guard->azure);
}

void guard_release(struct guard *guard)
{
    tokens_free(guard->tokens);
    azure_free(guard->azure);
    verdict_cache_free(guard->keys);
    limiter_free(guard->limiter);
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
    bool is_local = host.len == 0 || host_is_loopback(host); /* HTTP/1.0 needs no Host */
    if (!is_local || (!is_own && !access_origin_is_allowed(guard, origin))) {
        (void)problem_set(problem, 403, "origin_refused",
                          "while api.auth.enabled is false only this machine may ask, under a "
                          "loopback name and from the service's own origin: enable authentication "
                          "or add the origin to api.cors.origins");
        return ACCESS_REFUSED;
    }
    *ret_principal = (struct principal){.kind = PRINCIPAL_ANONYMOUS,
                                        .name = "anonymous",
                                        .id = "anonymous",
                                        .scopes = SCOPE_READ | SCOPE_ADMIN | SCOPE_OBSERVABILITY};
    return ACCESS_GRANTED;
}

/* --- refusing --------------------------------------------------------------------------------- */

static enum access_result
refuse(const struct guard *guard, struct problem *problem, const char *what)
{
    bool takes_more = guard->tokens != NULL || guard->azure != NULL;
    (void)problem_set(problem, 401, "unauthorized",
                      "%s: send an API key in the header X-API-Key (made with `foz-api key create "
                      "NAME --scope SCOPE`)%s%s%s",
                      what, takes_more ? ", or in Authorization " : "",
                      guard->tokens != NULL ? "a bearer token of the configured issuer" : "",
                      guard->azure == NULL    ? ""
                      : guard->tokens != NULL ? " or an Azure DevOps credential"
                                              : "an Azure DevOps credential");
    (void)snprintf(problem->internal, sizeof(problem->internal), "%s", what);
    return ACCESS_REFUSED;
}

/* A class is all that a client is told; the log is told `why`. */
static enum access_result
refuse_token(struct problem *problem, enum jwt_fault fault, const char *why, const char *kid)
{
    static const char *const classes[] = {[JWT_GOOD] = "the token is not accepted",
                                          [JWT_MALFORMED] = "the token is malformed",
                                          [JWT_EXPIRED] = "the token has expired",
                                          [JWT_INVALID] = "the token is not accepted"};
    problem->auth_error = "invalid_token";
    problem->auth_description = classes[fault];
    (void)problem_set(problem, 401, "invalid_token", "%s: get a new one and send the request again",
                      classes[fault]);
    (void)snprintf(problem->internal, sizeof(problem->internal), "%s%s%s", why,
                   kid[0] != '\0' ? "; kid " : "", kid);
    return ACCESS_REFUSED;
}

static enum access_result
refuse_for_now(struct problem *problem, int retry_after_s, const char *code, const char *why)
{
    problem->retry_after_s = retry_after_s;
    (void)snprintf(problem->internal, sizeof(problem->internal), "%s", why);
    (void)problem_set(problem, 503, code,
                      "the credential cannot be checked at the moment, because the one who knows "
                      "does not answer: send the request again after %d s",
                      retry_after_s);
    return ACCESS_REFUSED;
}

/* --- judging ---------------------------------------------------------------------------------- */

static enum access_result check_key(struct guard *guard,
                                    struct str text,
                                    struct principal *ret_principal,
                                    struct problem *problem)
{
    struct credential_digest digest = credential_digest(text);
    int64_t now_us = clock_monotonic_coarse_us();
    switch (verdict_cache_get(guard->keys, &digest, 0, now_us, ret_principal)) {
    case VERDICT_GRANTED:
        return ACCESS_GRANTED;
    case VERDICT_REFUSED:
        return refuse(guard, problem, "the API key is unknown or revoked");
    case VERDICT_UNKNOWN:
        break;
    }
    if (!key_is_well_formed(text)) {
        return refuse(guard, problem, "the API key is not of the form foz_...");
    }
    return ACCESS_ASK;
}

static enum access_result check_azure(struct guard *guard,
                                      const struct credential *credential,
                                      struct principal *ret_principal,
                                      struct problem *problem)
{
    switch (azure_recall(guard->azure, credential->authorization, ret_principal)) {
    case VERDICT_GRANTED:
        return ACCESS_GRANTED;
    case VERDICT_REFUSED:
        return refuse_token(problem, JWT_INVALID, "Azure DevOps refused it a moment ago", "");
    case VERDICT_UNKNOWN:
        break;
    }
    return ACCESS_ASK_AZURE;
}

/* What is not for us to judge goes on to Azure DevOps; a token of our issuer never does. */
static enum access_result check_bearer(struct guard *guard,
                                       const struct credential *credential,
                                       bool may_wait,
                                       struct principal *ret_principal,
                                       struct problem *problem)
{
    struct token_verdict verdict = {0};
    if (guard->tokens != NULL) {
        switch (tokens_judge(guard->tokens, credential->text, may_wait, &verdict)) {
        case TOKEN_GRANTED:
            *ret_principal = verdict.principal;
            return ACCESS_GRANTED;
        case TOKEN_NEEDS_KEYS:
            return ACCESS_ASK_KEYS;
        case TOKEN_UNAVAILABLE:
            return refuse_for_now(problem, verdict.retry_after_s, "keys_unavailable",
                                  "there were never any keys from api.auth.jwt.jwks_url");
        case TOKEN_REFUSED:
            return refuse_token(problem, verdict.refusal.fault, verdict.refusal.why, verdict.kid);
        case TOKEN_FOREIGN:
            break;
        }
    }
    if (guard->azure != NULL) {
        return check_azure(guard, credential, ret_principal, problem);
    }
    if (guard->tokens != NULL) {
        return refuse_token(problem, verdict.refusal.fault, verdict.refusal.why, verdict.kid);
    }
    return refuse(guard, problem, "this service does not take this kind of Authorization");
}

static enum access_result check_credential(struct guard *guard,
                                           const struct request *request,
                                           bool may_wait,
                                           struct principal *ret_principal,
                                           struct problem *problem)
{
    struct credential credential = credential_read(request);
    switch (credential.kind) {
    case CREDENTIAL_KEY:
        return check_key(guard, credential.text, ret_principal, problem);
    case CREDENTIAL_BEARER:
        return check_bearer(guard, &credential, may_wait, ret_principal, problem);
    case CREDENTIAL_BASIC:
        if (guard->azure != NULL) {
            return check_azure(guard, &credential, ret_principal, problem);
        }
        break;
    case CREDENTIAL_NONE:
        return refuse(guard, problem, "no credential was sent");
    case CREDENTIAL_MISPLACED:
        return refuse(guard, problem, "an API key was sent in Authorization");
    case CREDENTIAL_AMBIGUOUS:
        return refuse(guard, problem, "several credentials were sent where one is due");
    case CREDENTIAL_OTHER:
        break;
    }
    return refuse(guard, problem, "this service does not take this kind of Authorization");
}

enum access_result access_check(struct guard *guard,
                                const struct request *request,
                                struct principal *ret_principal,
                                struct problem *problem)
{
    if (!guard->config->api.auth_enabled) {
        return check_anonymous(guard, request, ret_principal, problem);
    }
    return check_credential(guard, request, true, ret_principal, problem);
}

bool access_ask(struct guard *guard,
                const struct request *request,
                struct db *reader,
                struct principal *ret_principal,
                struct problem *problem,
                struct error *err)
{
    struct credential credential = credential_read(request);
    struct credential_digest digest = credential_digest(credential.text);
    int64_t now_us = clock_monotonic_us();
    switch (key_find(reader, &digest, ret_principal, err)) {
    case KEY_VALID:
        verdict_cache_put(guard->keys, &digest, 0, ret_principal, now_us + KEY_CACHE_FOR_US);
        return true;
    case KEY_UNKNOWN:
        verdict_cache_put(guard->keys, &digest, 0, NULL, now_us + KEY_UNKNOWN_FOR_US);
        (void)refuse(guard, problem, "the API key is unknown or revoked");
        return false;
    case KEY_ERROR:
        break;
    }
    return false;
}

bool access_remember(struct guard *guard,
                     const struct request *request,
                     struct principal *ret_principal)
{
    struct credential credential = credential_read(request);
    struct credential_digest digest = credential_digest(credential.text);
    return verdict_cache_get(guard->keys, &digest, 0, clock_monotonic_us() - KEY_REMEMBERED_US,
                             ret_principal) == VERDICT_GRANTED;
}

void access_wait(struct guard *guard,
                 enum access_result asked,
                 const struct request *request,
                 struct guard_waiter *waiter)
{
    if (asked == ACCESS_ASK_KEYS) {
        tokens_wait(guard->tokens, waiter);
    } else {
        azure_ask(guard->azure, credential_read(request).authorization, waiter);
    }
}

enum access_result access_conclude(struct guard *guard,
                                   const struct request *request,
                                   const struct guard_waiter *waiter,
                                   struct principal *ret_principal,
                                   struct problem *problem)
{
    switch (waiter->outcome) {
    case WAIT_AGAIN:
        return check_credential(guard, request, false, ret_principal, problem);
    case WAIT_GRANTED:
        *ret_principal = waiter->principal;
        return ACCESS_GRANTED;
    case WAIT_REFUSED:
        return refuse_token(problem, JWT_INVALID, waiter->why, "");
    case WAIT_UNAVAILABLE:
        return refuse_for_now(problem, waiter->retry_after_s, "azure_devops_unavailable",
                              waiter->why);
    case WAIT_STOPPED:
        break;
    }
    problem->retry_after_s = 1;
    (void)problem_set(problem, 503, "stopping", "the service is stopping: send the request again");
    return ACCESS_REFUSED;
}

/* --- answering -------------------------------------------------------------------------------- */

static void add_error(const struct problem *problem, struct buf *out)
{
    if (problem->auth_error != NULL) {
        buf_addf(out, ", error=\"%s\"", problem->auth_error);
    }
    if (problem->auth_description != NULL) {
        buf_addf(out, ", error_description=\"%s\"", problem->auth_description);
    }
    if (problem->auth_scope != NULL) {
        buf_addf(out, ", scope=\"%s\"", problem->auth_scope);
    }
}

void access_challenge(const struct guard *guard,
                      const struct principal *principal,
                      const struct problem *problem,
                      struct buf *out)
{
    static const char by_key[] = "ApiKey realm=\"foz\", header=\"X-API-Key\"";
    bool takes_bearer = guard->tokens != NULL || guard->azure != NULL;
    if (problem->status == 403 && problem->auth_error != NULL) {
        bool is_key = principal->kind == PRINCIPAL_KEY;
        buf_add_c(out, is_key ? by_key : "Bearer realm=\"foz\"");
        add_error(problem, out);
    } else if (problem->status == 401) {
        /* No challenge for Basic: a browser would ask people for a password. */
        if (takes_bearer) {
            buf_add_c(out, "Bearer realm=\"foz\"");
            add_error(problem, out);
            buf_add_c(out, ", ");
        }
        buf_add_c(out, by_key);
    }
}

bool access_permits(const struct principal *principal, enum scope scope, struct problem *problem)
{
    if (((unsigned)scope & ~principal->scopes) == 0) {
        return true;
    }
    const char *name = scope_name(scope);
    problem->auth_error = "insufficient_scope";
    problem->auth_scope = name;
    (void)snprintf(problem->internal, sizeof(problem->internal), "the scope %s is missing", name);
    if (principal->kind == PRINCIPAL_KEY) {
        return problem_set(problem, 403, "scope_missing",
                           "%s lacks the scope %s: make another with `foz-api key create NAME "
                           "--scope %s`",
                           principal->name, name, name);
    }
    return problem_set(problem, 403, "scope_missing", "%s lacks the scope %s: ask for it where %s",
                       principal->name, name,
                       principal->kind == PRINCIPAL_AZURE ? "api.auth.azure_devops.scopes is set"
                                                          : "the token comes from");
}

/* Each answer has them: no printf. */
static void write_rate(int64_t per_minute,
                       int64_t burst,
                       int64_t remaining,
                       int64_t reset_s,
                       struct rate_headers *ret_headers)
{
    struct buf text;
    buf_borrow(&text, ret_headers->policy, sizeof(ret_headers->policy));
    buf_add_c(&text, "\"default\";q=");
    buf_add_int(&text, per_minute);
    buf_add_c(&text, ";w=60;b=");
    buf_add_int(&text, burst);
    buf_borrow(&text, ret_headers->limit, sizeof(ret_headers->limit));
    buf_add_c(&text, "\"default\";r=");
    buf_add_int(&text, remaining);
    buf_add_c(&text, ";t=");
    buf_add_int(&text, reset_s);
}

bool access_rate(struct guard *guard,
                 const struct principal *principal,
                 struct rate_headers *ret_headers,
                 struct problem *problem)
{
    const struct api_config *api = &guard->config->api;
    int64_t per_minute = principal->per_minute > 0 ? principal->per_minute : api->rate_per_minute;
    int64_t burst = api->rate_burst > 0 ? api->rate_burst : 1;
    /* A key that was given little may not send the many at once that are meant for others. */
    burst =
        principal->per_minute > 0 && principal->per_minute < burst ? principal->per_minute : burst;
    if (per_minute <= 0) {
        return true;
    }
    struct limiter_verdict verdict =
        limiter_take(guard->limiter, principal->id, per_minute, burst, clock_monotonic_us());
    int64_t reset_s = (verdict.wait_us + US_PER_S - 1) / US_PER_S;
    write_rate(per_minute, burst, verdict.remaining, reset_s, ret_headers);
    if (verdict.is_granted) {
        return true;
    }
    problem->retry_after_s = (int)(reset_s > 0 ? reset_s : 1);
    return problem_set(problem, 429, "rate_limited",
                       "%s may send %lld requests a minute, at most %lld at once: wait %d s",
                       principal->name, (long long)per_minute, (long long)burst,
                       problem->retry_after_s);
}
