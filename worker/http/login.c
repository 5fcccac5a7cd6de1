#include "worker/http/login.h"

#include <stddef.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/conf/secret.h"

/* The strings of an auth_config. User names and client ids, the first two, may stand in the file as
 * they are or be references like secrets; of the others only the reference is kept. */
static const size_t STRINGS[] = {
    offsetof(struct auth_config, username),   offsetof(struct auth_config, client_id),
    offsetof(struct auth_config, password),   offsetof(struct auth_config, client_secret),
    offsetof(struct auth_config, key),        offsetof(struct auth_config, token),
    offsetof(struct auth_config, user_token), offsetof(struct auth_config, app_token),
};
#define N_NAMES 2

static const char *string_of(const struct auth_config *auth, size_t i)
{
    const char *text = NULL;
    memcpy(&text, (const char *)auth + STRINGS[i], sizeof(text));
    return text;
}

static bool copy_string(struct auth_config *copy, size_t i, const char *text, struct error *err)
{
    struct secret name CLEANUP(secret_release) = {0};
    if (i < N_NAMES && text != NULL) {
        if (!secret_resolve_text(text, &name, err)) {
            return false;
        }
        text = name.value;
    }
    const char *own = text == NULL ? NULL : xstrdup(text);
    memcpy((char *)copy + STRINGS[i], &own, sizeof(own));
    return true;
}

static void release_strings(struct login *login)
{
    for (size_t i = 0; i < ARRAY_SIZE(STRINGS); i++) {
        char *text = NULL;
        memcpy(&text, (const char *)&login->auth + STRINGS[i], sizeof(text));
        oauth_wipe_string(text);
    }
    xfree(login->host);
}

static bool login_init(struct login *login,
                       const struct auth_config *auth,
                       const struct wait_clock *clock,
                       struct stop *stop,
                       struct error *err)
{
    login->auth.method = auth->method;
    for (size_t i = 0; i < ARRAY_SIZE(STRINGS); i++) {
        if (!copy_string(&login->auth, i, string_of(auth, i), err)) {
            return false;
        }
    }
    return credential_init(&login->credential, &login->auth, str_from(login->host), clock, stop,
                           err);
}

struct login *login_new(const struct auth_config *auth,
                        struct str host,
                        const struct wait_clock *clock,
                        struct stop *stop,
                        struct error *err)
{
    struct login *login = XNEW(struct login);
    atomic_init(&login->users, 1);
    login->host = xstrndup(host.ptr, host.len);
    if (!login_init(login, auth, clock, stop, err)) {
        release_strings(login);
        xfree(login);
        return NULL;
    }
    return login;
}

struct login *login_share(struct login *login)
{
    (void)atomic_fetch_add(&login->users, 1);
    return login;
}

void login_leave(struct login *login)
{
    if (atomic_fetch_sub(&login->users, 1) > 1) {
        return;
    }
    credential_release(&login->credential);
    release_strings(login);
    xfree(login);
}

static bool is_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool login_has_token_for(const struct login *login, const struct login *other)
{
    bool same = login->auth.method == other->auth.method && is_same(login->host, other->host) &&
                (login->auth.method == AUTH_OAUTH_PASSWORD ||
                 login->auth.method == AUTH_OAUTH_CLIENT_CREDENTIALS);
    for (size_t i = 0; same && i < ARRAY_SIZE(STRINGS); i++) {
        same = is_same(string_of(&login->auth, i), string_of(&other->auth, i));
    }
    return same;
}
