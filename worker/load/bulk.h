#pragma once

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/conf/catalog.h"
#include "common/io/db.h"

/*
 * A first load into an empty table: without its secondary indexes, which are built again from the
 * finished table in the same transaction. That halves the time of a million rows. Where the role
 * does not own the table, or others hold it, the indexes simply stay.
 */

struct bulk {
    struct db *db;
    struct buf recreate; /* CREATE INDEX statements, empty if nothing was dropped */
};

#define BULK_INIT                                                                                  \
    {                                                                                              \
        .db = NULL                                                                                 \
    }

bool bulk_begin(struct bulk *bulk, struct db *db, const struct task_def *task, struct error *err);
bool bulk_end(struct bulk *bulk, struct error *err);
void bulk_release(struct bulk *bulk);
