#include "worker/http/oauth.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/conf/secret.h"
#include "common/io/json.h"

/* When the answer does not say how long its token lives. */
#define EXPIRES_IN_DEFAULT_S 300
#define EXPIRES_IN_MAX_S     (INT64_C(366) * 24 * 3600)

#define TOKEN_MAX_BYTES ((size_t)16 * 1024)

#define STATUS_OK           200
#define STATUS_BAD_REQUEST  400
#define STATUS_UNAUTHORIZED 401
#define STATUS_FORBIDDEN    403

DEFINE_CLEANUP(struct json *, json_free);

void oauth_wipe_string(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        xfree(text);
    }
}

void oauth_token_release(struct oauth_token *token)
{
    oauth_wipe_string(token->access_token);
    oauth_wipe_string(token->refresh_token);
    *token = (struct oauth_token){0};
}

static void add_parameter(struct buf *form, const char *name, const char *value)
{
    if (form->len > 0) {
        buf_add_char(form, '&');
    }
    buf_add_c(form, name);
    buf_add_char(form, '=');
    buf_add_percent(form, str_from(value), "");
}

static bool add_secret(struct buf *form, const char *name, const char *reference, struct error *err)
{
    struct secret secret CLEANUP(secret_release) = {0};

    if (!secret_resolve(reference, &secret, err)) {
        return error_wrap(err, "auth.%s", name);
    }
    add_parameter(form, name, secret.value);
    return true;
}

bool oauth_build_form(const struct auth_config *auth,
                      const char *refresh_token,
                      struct buf *form,
                      struct error *err)
{
    bool has_user = auth->method == AUTH_OAUTH_PASSWORD;
    const char *grant = has_user ? "password" : "client_credentials";

    add_parameter(form, "grant_type", refresh_token != NULL ? "refresh_token" : grant);
    add_parameter(form, "client_id", auth->client_id);
    if (!add_secret(form, "client_secret", auth->client_secret, err)) {
        return false;
    }
    if (refresh_token != NULL) {
        add_parameter(form, "refresh_token", refresh_token);
    } else if (has_user) {
        add_parameter(form, "username", auth->username);
        if (!add_secret(form, "password", auth->password, err)) {
            return false;
        }
    }
    if (form->overflow) {
        return error_set(err, ERROR_CONFIG,
                         "the OAuth credential is longer than any instance accepts; check the "
                         "files it is read from");
    }
    return true;
}

static int64_t lifetime_us(const struct json *answer)
{
    const struct json *member = json_find(answer, "expires_in");
    int64_t seconds = EXPIRES_IN_DEFAULT_S;

    if (member != NULL && json_kind(member) == JSON_KIND_STRING) {
        (void)str_to_int64(str_from(json_string(member)), 0, EXPIRES_IN_MAX_S, &seconds);
    } else if (member != NULL) {
        (void)json_int64(member, &seconds);
    }
    if (seconds < 0) {
        seconds = 0;
    }
    return (seconds < EXPIRES_IN_MAX_S ? seconds : EXPIRES_IN_MAX_S) * US_PER_S;
}

/* A token goes into a header: a line break in it would be a header of the server's choosing. */
static bool is_header_safe(const char *text)
{
    if (strlen(text) > TOKEN_MAX_BYTES) {
        return false;
    }
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

static enum http_verdict
take_token(struct oauth_exchange *exchange, struct http_response *response, struct error *err)
{
    struct error fault = ERROR_INIT; /* its words would quote the answer */
    struct json *answer CLEANUP(json_freep) = json_parse(buf_str(response->body), &fault);
    const char *access = answer == NULL ? NULL : json_find_string(answer, "access_token");

    if (access == NULL || *access == '\0' || !is_header_safe(access)) {
        error_set(err, ERROR_CONFIG,
                  "POST " OAUTH_PATH ": %.*s answered 200 without an access token: it is no "
                  "ServiceNow instance, or a hibernating one; check the source's url",
                  STR_ARG(exchange->host));
        return HTTP_FAIL;
    }
    const char *refresh = json_find_string(answer, "refresh_token");

    oauth_token_release(&exchange->token);
    exchange->token.access_token = xstrdup(access);
    if (refresh != NULL && *refresh != '\0') {
        exchange->token.refresh_token = xstrdup(refresh);
    }
    exchange->token.expires_in_us = lifetime_us(answer);
    explicit_bzero(response->body->ptr, response->body->len);
    return HTTP_ACCEPT;
}

static void set_refused(const struct oauth_exchange *exchange, int status, struct error *err)
{
    const struct auth_config *auth = exchange->auth;
    bool has_user = auth->method == AUTH_OAUTH_PASSWORD;

    error_set(err, ERROR_DENIED,
              "POST " OAUTH_PATH ": %d: %.*s refused an OAuth token to client_id %s%s%s. One of: "
              "wrong client_id or client_secret; wrong user name or password; the grant %s is "
              "disabled%s; the scope is not allowed; the user is locked, inactive or may not log "
              "in interactively",
              status, STR_ARG(exchange->host), auth->client_id, has_user ? ", user " : "",
              has_user ? auth->username : "", has_user ? "password" : "client_credentials",
              has_user ? "" : " (glide.oauth.inbound.client.credential.grant_type.enabled)");
    err->http_status = status;
}

enum http_verdict oauth_judge(void *arg, struct http_response *response, struct error *err)
{
    struct oauth_exchange *exchange = arg;

    switch (response->status) {
    case STATUS_OK:
        return take_token(exchange, response, err);
    case STATUS_BAD_REQUEST:
    case STATUS_UNAUTHORIZED:
    case STATUS_FORBIDDEN:
        set_refused(exchange, response->status, err);
        return HTTP_FAIL;
    default:
        return http_judge_status(response, err);
    }
}
