#include "worker/http/credential.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/conf/secret.h"
#include "common/io/crypto.h"

/* A token is renewed that long before it expires, or at half of a shorter life: instances hand out
 * the current token again, and its rest may be short. */
#define RENEW_BEFORE_US (60 * US_PER_S)

/* An instance may hand out a token that has no life left by its own account: to ask for another one
 * at once would only bring the same. It is used, and a 401 decides. */
#define LIFE_MIN_US US_PER_S

/* Reserved at once, so that growing leaves no copies of secrets behind. */
#define SECRET_BUFFER_BYTES ((size_t)32 * 1024)

static void wipe_buf(struct buf *buf)
{
    explicit_bzero(buf->ptr, buf->len);
    buf_release(buf);
}

static void secret_buf_init(struct buf *buf)
{
    buf_init(buf, SECRET_BUFFER_BYTES);
    (void)buf_reserve(buf, SECRET_BUFFER_BYTES);
}

static bool is_oauth(const struct auth_config *auth)
{
    return auth->method == AUTH_OAUTH_PASSWORD || auth->method == AUTH_OAUTH_CLIENT_CREDENTIALS;
}

/* Resolves `reference` and refuses what cannot stand in a header. */
static bool
resolve(const char *name, const char *reference, struct secret *ret_secret, struct error *err)
{
    if (reference == NULL) {
        return error_set(err, ERROR_CONFIG, "auth.%s is missing", name);
    }
    if (!secret_resolve(reference, ret_secret, err)) {
        return error_wrap(err, "auth.%s", name);
    }
    for (const char *c = ret_secret->value; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            secret_release(ret_secret);
            return error_set(err, ERROR_CONFIG,
                             "auth.%s (%s) holds a line break or another control character; the "
                             "secret must be the only line",
                             name, reference);
        }
    }
    return true;
}

static bool add_basic(const char *user,
                      const char *secret_name,
                      const char *reference,
                      struct buf *out,
                      struct error *err)
{
    struct secret secret CLEANUP(secret_release) = {0};

    if (!resolve(secret_name, reference, &secret, err)) {
        return false;
    }
    struct buf pair CLEANUP(wipe_buf) = {0};

    secret_buf_init(&pair);
    buf_add_c(&pair, user);
    buf_add_char(&pair, ':');
    buf_add_c(&pair, secret.value);
    buf_add_c(out, "Basic ");
    crypto_base64(buf_str(&pair), out);
    out->overflow = out->overflow || pair.overflow;
    return true;
}

static bool add_plain(const char *prefix,
                      const char *secret_name,
                      const char *reference,
                      struct buf *out,
                      struct error *err)
{
    struct secret secret CLEANUP(secret_release) = {0};

    if (!resolve(secret_name, reference, &secret, err)) {
        return false;
    }
    buf_add_c(out, prefix);
    buf_add_c(out, secret.value);
    return true;
}

/* The header's value of the methods that know it without asking anybody. */
static bool add_static(const struct auth_config *auth, struct buf *out, struct error *err)
{
    switch (auth->method) {
    case AUTH_BASIC:
        return add_basic(auth->username, "password", auth->password, out, err);
    case AUTH_PAT:
        return add_basic("", "token", auth->token, out, err);
    case AUTH_BEARER:
        return add_plain("Bearer ", "token", auth->token, out, err);
    case AUTH_API_KEY:
        return add_plain("", "key", auth->key, out, err);
    case AUTH_USER_TOKEN:
        return auth->user_token == NULL ||
               add_plain("user_token ", "user_token", auth->user_token, out, err);
    case AUTH_OAUTH_PASSWORD:
    case AUTH_OAUTH_CLIENT_CREDENTIALS:
        return true;
    }
    return true;
}

static bool build_static(const struct auth_config *auth, struct buf *out, struct error *err)
{
    if (!add_static(auth, out, err)) {
        return false;
    }
    if (out->overflow) {
        return error_set(err, ERROR_CONFIG,
                         "the secret under auth is longer than any server accepts in a header; "
                         "check the file it is read from");
    }
    return true;
}

/* The connector resolves this itself; a missing one should be known at the start. */
static bool check_connector_secrets(const struct auth_config *auth, struct error *err)
{
    struct secret app_token CLEANUP(secret_release) = {0};

    return auth->app_token == NULL || resolve("app_token", auth->app_token, &app_token, err);
}

static bool prepare(struct credential *credential, struct error *err)
{
    const struct auth_config *auth = credential->auth;
    struct buf value CLEANUP(wipe_buf) = {0};

    secret_buf_init(&value);
    if (!check_connector_secrets(auth, err)) {
        return false;
    }
    if (is_oauth(auth)) {
        return oauth_build_form(auth, NULL, &value, err);
    }
    if (!build_static(auth, &value, err)) {
        return false;
    }
    credential->value = xstrndup(value.ptr, value.len);
    credential->generation = 1;
    credential->renew_at_us = WAIT_FOREVER_US;
    return true;
}

bool credential_init(struct credential *credential,
                     const struct auth_config *auth,
                     struct str host,
                     const struct wait_clock *clock,
                     struct stop *stop,
                     struct error *err)
{
    struct credential fresh = {
        .auth = auth, .host = host, .clock = clock, .stop = stop, .renew_at_us = INT64_MIN};

    if (!prepare(&fresh, err)) {
        return false;
    }
    *credential = fresh;
    mutex_init(&credential->lock);
    condition_init(&credential->changed);
    return true;
}

void credential_release(struct credential *credential)
{
    oauth_wipe_string(credential->value);
    oauth_wipe_string(credential->refresh_token);
    condition_release(&credential->changed);
    mutex_release(&credential->lock);
}

const char *credential_header_name(const struct credential *credential)
{
    switch (credential->auth->method) {
    case AUTH_API_KEY:
        return "x-sn-apikey";
    case AUTH_USER_TOKEN:
        return credential->auth->user_token != NULL ? "Authorization" : NULL;
    case AUTH_BASIC:
    case AUTH_PAT:
    case AUTH_BEARER:
    case AUTH_OAUTH_PASSWORD:
    case AUTH_OAUTH_CLIENT_CREDENTIALS:
        return "Authorization";
    }
    return NULL;
}

static bool fetch_with(struct credential *credential,
                       const struct credential_wire *wire,
                       const char *refresh_token,
                       struct oauth_exchange *exchange,
                       struct error *err)
{
    struct buf form CLEANUP(wipe_buf) = {0};

    secret_buf_init(&form);
    return oauth_build_form(credential->auth, refresh_token, &form, err) &&
           wire->fetch(wire->arg, buf_str(&form), exchange, err);
}

/* One renewal on the wire; a refused refresh token falls back to the full grant. */
static bool fetch_token(struct credential *credential,
                        const struct credential_wire *wire,
                        char *refresh_token,
                        struct oauth_exchange *exchange,
                        struct error *err)
{
    if (refresh_token != NULL) {
        struct error fault = ERROR_INIT;

        if (fetch_with(credential, wire, refresh_token, exchange, &fault)) {
            return true;
        }
        if (fault.code != ERROR_DENIED) {
            *err = fault;
            return false;
        }
    }
    return fetch_with(credential, wire, NULL, exchange, err);
}

/* With the lock held. */
static void install_token(struct credential *credential, const struct oauth_token *token)
{
    struct buf value CLEANUP(wipe_buf) = {0};
    int64_t life_us = token->expires_in_us;
    int64_t early_us = life_us / 2 < RENEW_BEFORE_US ? life_us / 2 : RENEW_BEFORE_US;
    int64_t lasts_us = life_us - early_us > LIFE_MIN_US ? life_us - early_us : LIFE_MIN_US;

    secret_buf_init(&value);
    buf_add_c(&value, "Bearer ");
    buf_add_c(&value, token->access_token);
    oauth_wipe_string(credential->value);
    oauth_wipe_string(credential->refresh_token);
    credential->value = xstrndup(value.ptr, value.len);
    credential->refresh_token = token->refresh_token == NULL ? NULL : xstrdup(token->refresh_token);
    credential->generation++;
    credential->renew_at_us = wait_clock_now_us(credential->clock) + lasts_us;
}

/* With the lock held, which is given up while the wire is busy. */
static bool
fly(struct credential *credential, const struct credential_wire *wire, struct error *err)
{
    struct oauth_exchange exchange = {.auth = credential->auth, .host = credential->host};
    struct error fault = ERROR_INIT;
    char *refresh_token = TAKE(credential->refresh_token);

    credential->in_flight = true;
    mutex_unlock(&credential->lock);
    bool fetched = fetch_token(credential, wire, refresh_token, &exchange, &fault);

    oauth_wipe_string(refresh_token);
    mutex_lock(&credential->lock);
    if (fetched) {
        install_token(credential, &exchange.token);
    }
    oauth_token_release(&exchange.token);
    credential->landing = fault;
    credential->in_flight = false;
    credential->flights++;
    condition_broadcast(&credential->changed);
    if (!fetched) {
        *err = fault;
    }
    return fetched;
}

/* With the lock held: waits until the renewal another lane has under way has ended. */
static bool
await_flight(struct credential *credential, const struct credential_wire *wire, struct error *err)
{
    uint64_t flight = credential->flights;

    while (credential->flights == flight) {
        if (stop_is_requested(credential->stop) || stop_is_requested(wire->stop)) {
            return error_set(err, ERROR_CANCELLED,
                             "stopped while waiting for a new OAuth token of %.*s",
                             STR_ARG(credential->host));
        }
        credential->clock->wait(credential->clock->arg, &credential->changed, &credential->lock,
                                WAIT_FOREVER_US);
    }
    return true;
}

/* With the lock held: renews, or shares what the lane that is renewing brings home. */
static bool
renew_once(struct credential *credential, const struct credential_wire *wire, struct error *err)
{
    while (credential->in_flight) {
        if (!await_flight(credential, wire, err)) {
            return false;
        }
        if (!error_is_set(&credential->landing)) {
            return true;
        }
        /* That lane was stopped, this one was not: its turn. */
        if (credential->landing.code != ERROR_CANCELLED) {
            *err = credential->landing;
            return false;
        }
    }
    return fly(credential, wire, err);
}

static bool is_due(const struct credential *credential)
{
    return credential->generation == 0 ||
           wait_clock_now_us(credential->clock) >= credential->renew_at_us;
}

bool credential_get(struct credential *credential,
                    const struct credential_wire *wire,
                    struct buf *out,
                    uint64_t *ret_generation,
                    struct error *err)
{
    MUTEX_GUARD(&credential->lock);
    if (is_due(credential) && !renew_once(credential, wire, err)) {
        return false;
    }
    buf_add_c(out, credential->value);
    *ret_generation = credential->generation;
    return true;
}

bool credential_is_due(struct credential *credential)
{
    MUTEX_GUARD(&credential->lock);
    return is_due(credential);
}

/* With the lock held. */
static enum credential_renewal reread(struct credential *credential, struct error *err)
{
    struct buf value CLEANUP(wipe_buf) = {0};

    secret_buf_init(&value);
    if (!build_static(credential->auth, &value, err)) {
        return CREDENTIAL_FAILED;
    }
    if (str_equal_c(buf_str(&value), credential->value)) {
        return CREDENTIAL_SAME;
    }
    oauth_wipe_string(credential->value);
    credential->value = xstrndup(value.ptr, value.len);
    credential->generation++;
    return CREDENTIAL_RENEWED;
}

enum credential_renewal credential_renew(struct credential *credential,
                                         uint64_t generation,
                                         const struct credential_wire *wire,
                                         struct error *err)
{
    MUTEX_GUARD(&credential->lock);
    if (credential->generation != generation) {
        return CREDENTIAL_RENEWED;
    }
    if (!is_oauth(credential->auth)) {
        return reread(credential, err);
    }
    return renew_once(credential, wire, err) ? CREDENTIAL_RENEWED : CREDENTIAL_FAILED;
}

void credential_explain_refusal(const struct credential *credential, struct error *err)
{
    const struct auth_config *auth = credential->auth;
    struct str host = credential->host;

    err->code = ERROR_DENIED;
    switch (auth->method) {
    case AUTH_BASIC:
    case AUTH_OAUTH_PASSWORD:
        error_wrap(err,
                   "user %s at %.*s refused: wrong password, locked or inactive account, or this "
                   "kind of login is not allowed for it (MFA, basic authentication restricted)",
                   auth->username, STR_ARG(host));
        return;
    case AUTH_OAUTH_CLIENT_CREDENTIALS:
        error_wrap(err,
                   "client_id %s at %.*s refused: its OAuth application user is missing, locked "
                   "or inactive, or its scope does not cover this",
                   auth->client_id, STR_ARG(host));
        return;
    case AUTH_API_KEY:
        error_wrap(err,
                   "the API key at %.*s refused: wrong or inactive key, or no inbound "
                   "authentication profile and REST access policy for it",
                   STR_ARG(host));
        return;
    case AUTH_PAT:
    case AUTH_BEARER:
        error_wrap(err, "the token at %.*s refused: wrong, expired or revoked, or its user locked",
                   STR_ARG(host));
        return;
    case AUTH_USER_TOKEN:
        error_wrap(err,
                   "the user_token at %.*s refused: wrong, regenerated or revoked (the user's "
                   "settings, Remote access keys, API token), or its user is inactive",
                   STR_ARG(host));
        return;
    }
}
