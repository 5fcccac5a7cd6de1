#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/io/db.h"

/*
 * Binary COPY FROM STDIN of one page. An error inside COPY shows only at its end, so one COPY
 * carries at most one page and its row count is compared with what was sent.
 */

/* Header and trailer of the binary COPY format, to frame tuples encoded elsewhere. */
enum { DB_COPY_HEADER_BYTES = 19 };

void db_copy_begin(struct buf *out);
void db_copy_end(struct buf *out);

/* Runs `sql` ("COPY t (a, b) FROM STDIN (FORMAT binary)") and sends `data` (already framed) in
 * chunks of 64 KiB. Fails unless exactly expected_rows arrived. */
bool db_copy_in(
    struct db *db, const char *sql, struct str data, int64_t expected_rows, struct error *err);

/* Streams the rows of a query to a callback as text COPY lines without the newline; for exports.
 * The callback returns false to stop (the COPY is then cancelled). */
bool db_copy_out(struct db *db,
                 const char *sql,
                 bool (*on_line)(void *arg, struct str line),
                 void *arg,
                 struct error *err);
