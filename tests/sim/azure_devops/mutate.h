#pragma once

#include "common/io/json.h"
#include "tests/sim/azure_devops/system.h"
#include "tests/sim/azure_devops/value.h"

/* One operation of /_control on a locked organisation. */

struct mutation {
    struct azure *azure;
    int64_t now_us;
};

/* Operations on projects, states, people and iterations. */
bool azure_reshape(struct mutation *m,
                   const char *verb,
                   const struct json *what,
                   struct error *err);
