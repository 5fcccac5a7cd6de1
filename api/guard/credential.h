#pragma once

#include "api/http/request.h"

/*
 * The one place that knows where a caller writes a credential: X-API-Key, or Authorization with
 * Bearer or Basic. It says what was written; whether it is any good is for others.
 */

#define CREDENTIAL_BYTES_MAX 8192

enum credential_kind {
    CREDENTIAL_NONE,
    CREDENTIAL_KEY,       /* text = the key */
    CREDENTIAL_BEARER,    /* text = the token */
    CREDENTIAL_BASIC,     /* an Azure DevOps PAT: no user, the token as the password */
    CREDENTIAL_OTHER,     /* another scheme, a user name, or no credential's form */
    CREDENTIAL_MISPLACED, /* an API key in Authorization: it must go nowhere from here */
    CREDENTIAL_AMBIGUOUS, /* several */
};

struct credential {
    enum credential_kind kind;
    struct str text;
    /* BEARER, BASIC: the header value in its one canonical form, "Basic OjEyMw==" */
    struct str authorization;
};

/* Views into the request or its arena. */
struct credential credential_read(const struct request *request);
