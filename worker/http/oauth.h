#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/conf/config.h"
#include "worker/http/client.h"

/*
 * ServiceNow's OAuth endpoint: what is asked of it and what it answers. No state, no waiting; that
 * is the credential's job.
 */

#define OAUTH_PATH         "/oauth_token.do"
#define OAUTH_CONTENT_TYPE "application/x-www-form-urlencoded"

struct oauth_token {
    char *access_token;
    char *refresh_token; /* NULL if none */
    int64_t expires_in_us;
};

void oauth_token_release(struct oauth_token *token); /* wipes; accepts a zeroed struct */

/* Overwrites and frees a heap string; accepts NULL. */
void oauth_wipe_string(char *text);

/* Appends the form of the configured grant, or of a refresh if refresh_token is not NULL. The
 * parameters belong into the body: instances refuse them in the query. Secrets are resolved here,
 * so a rotated file is picked up; ERROR_CONFIG names a missing one. */
NODISCARD bool oauth_build_form(const struct auth_config *auth,
                                const char *refresh_token,
                                struct buf *form,
                                struct error *err);

/* What the judge needs and makes. */
struct oauth_exchange {
    const struct auth_config *auth;
    struct str host;
    struct oauth_token token; /* owned by the caller after HTTP_ACCEPT */
};

/* The http_judge of a token answer (arg is a struct oauth_exchange). The instance gives one answer
 * for five different faults; the message names all five. Wipes the body it accepts. */
enum http_verdict oauth_judge(void *arg, struct http_response *response, struct error *err);
