#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "common/conf/config.h"
#include "worker/http/credential.h"

/*
 * How a source is logged in to: its credential, with copies of all that this needs from the
 * configuration, so that it may outlive it. Sources of a later configuration that log in the same
 * way share it, and with it the token.
 */

struct login {
    atomic_int users;        /* the last may leave in any thread */
    struct auth_config auth; /* the configuration's with its names resolved */
    char *host;
    struct credential credential;
};

/* With one user. ERROR_CONFIG names a secret that is missing or unusable. */
struct login *login_new(const struct auth_config *auth,
                        struct str host,
                        const struct wait_clock *clock,
                        struct stop *stop,
                        struct error *err);

/* One user more; returns it. */
struct login *login_share(struct login *login);

/* One user less; the last one frees it. */
void login_leave(struct login *login);

/* Is there a token, got in the way the other one would get it? What is in the configuration or
 * behind a reference of it needs no keeping, and may have changed. */
bool login_has_token_for(const struct login *login, const struct login *other);
