#pragma once

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/conf/config.h"
#include "common/io/db.h"

/*
 * Brings a database to what this program needs: the numbered migrations of schema/migrations
 * (embedded, recorded with their SHA-256 in ops.migration), the landed schemas and tables of every
 * task in the catalog, then the views of schema/projections. Idempotent, one transaction, under an
 * advisory lock. Tables are created and extended, never shrunk: a column or table the catalog no
 * longer names stays.
 */

/* With dry_run nothing is changed. Every statement's one-line description ("create table
 * servicenow.incident", "add column ...") is appended to `plan`, one a line; an empty plan means
 * up to date. Fails with ERROR_CONFIG when an applied migration differs from the embedded one, the
 * database is newer than the program, or a column's type contradicts the catalog. */
bool migrate_run(
    struct db *db, const struct config *config, bool dry_run, struct buf *plan, struct error *err);

/* Is the database at this program's version? ERROR_CONFIG with the cure ("run foz-worker migrate")
 * if older, newer or absent. Reads only. */
bool migrate_check(struct db *db, const struct config *config, struct error *err);
