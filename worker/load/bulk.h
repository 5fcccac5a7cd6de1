#pragma once

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/conf/catalog.h"
#include "common/io/db.h"

/*
 * A first load into an empty table: without its indexes, which are built again from the finished
 * table in the same transaction. That takes less than half of the time of a million rows. Where the
 * role does not own the table, or others hold it, the indexes simply stay.
 */

struct bulk {
    struct db *db;
    struct buf recreate; /* statements, empty if nothing was dropped */
};

#define BULK_INIT                                                                                  \
    {                                                                                              \
        .db = NULL                                                                                 \
    }

bool bulk_begin(struct bulk *bulk, struct db *db, const struct task_def *task, struct error *err);

/* May be tried again after a rollback to a savepoint behind bulk_begin: duplicate keys are found
 * here, by SQLSTATE 23505, unless the primary key has stayed. */
bool bulk_end(struct bulk *bulk, struct error *err);
void bulk_release(struct bulk *bulk);
