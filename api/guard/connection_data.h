#pragma once

#include <stdbool.h>

#include "api/http/fetch.h"

/*
 * Reads what Azure DevOps answers to GET _apis/connectionData: whose credential it was, and of
 * which organisation. Pure. An answer counts only when it is 200, JSON, and names a person or
 * service that is active and not anonymous: organisations with public projects answer 200 to
 * anybody, and sign-in pages come with 203 or 200.
 */

#define GUID_LEN    36
#define ACCOUNT_MAX 255

enum connection_result {
    CONNECTION_KNOWN,
    CONNECTION_REFUSED,    /* the credential is no good */
    CONNECTION_UNAVAILABLE /* this is no statement about the credential */
};

struct connection_data {
    char user_id[GUID_LEN + 1]; /* VSID, lower case */
    char organisation_id[GUID_LEN + 1];
    char
        account[ACCOUNT_MAX + 1]; /* e-mail or other unique name; else the display name or the id */
};

/* *ret_why: for the log; static string. ret_data is set when the credential is known. */
enum connection_result connection_data_read(const struct fetch_answer *answer,
                                            struct connection_data *ret_data,
                                            const char **ret_why);
