#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/io/db.h"

/*
 * Time passes: deadlines run out without any change in a source. One of the workers looks once a
 * minute; what it finds becomes events.
 */

/* Looks when *next_us (monotonic; 0 at first) has come, and sets it anew. */
bool tick_when_due(struct db *db, int64_t *next_us, struct error *err);
