#pragma once

#include "common/base/error.h"
#include "common/io/json.h"
#include "tests/sim/servicenow/system.h"

/* Changes that are stamped now and become visible later, and the recorded ones that are due. */

struct pending *pending_new(void);
void pending_free(struct pending *pending); /* accepts NULL */
void pending_clear(struct pending *pending);

/* Makes visible what is due at now_s. Takes the exclusive lock only if anything is. */
void pending_apply(struct servicenow *sn, int64_t now_s);

/* What /_control asks for: {"insert": ...}, {"update": ...}, {"delete": ...}, {"burst": ...};
 * appends what it did to `out` as a JSON object. */
bool servicenow_mutate(struct servicenow *sn,
                       const char *verb,
                       const struct json *what,
                       struct buf *out,
                       struct error *err);
