#pragma once

#include <stdint.h>

#include "common/base/str.h"

/*
 * Who asks, and what that one may do. `name` is for people: the log, the run log, messages. `id` is
 * what stays the same of one caller and differs from every other's; limits go by it.
 */

#define PRINCIPAL_NAME_MAX 127
#define PRINCIPAL_ID_MAX   79

enum principal_kind { PRINCIPAL_ANONYMOUS, PRINCIPAL_KEY, PRINCIPAL_JWT, PRINCIPAL_AZURE };

struct principal {
    enum principal_kind kind;
    char name[PRINCIPAL_NAME_MAX + 1]; /* "key:grafana", "jwt:alice", "azure:jane@acme.com" */
    char id[PRINCIPAL_ID_MAX + 1];
    unsigned scopes;    /* bits of enum scope */
    int64_t per_minute; /* own rate limit; 0 = the configured one */
};

/* Fills kind, name and id: the name from `who`, made fit to be shown (what had to be cut or
 * replaced is told apart by a digest behind it), the id from the digest of `realm` and `identity`.
 */
void principal_set(struct principal *principal,
                   enum principal_kind kind,
                   struct str who,
                   struct str realm,
                   struct str identity);

/* The name without "key:": the key's own. */
const char *principal_key_name(const struct principal *principal);
