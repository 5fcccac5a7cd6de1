#pragma once

#include "tests/sim/servicenow/system.h"

/* Changes that are stamped now and become visible later, and the recorded ones that are due. */

struct pending *pending_new(void);
void pending_free(struct pending *pending); /* accepts NULL */
void pending_clear(struct pending *pending);

/* Makes visible what is due at now_s. Takes the exclusive lock only if anything is. */
void pending_apply(struct servicenow *sn, int64_t now_s);
