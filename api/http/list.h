#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "api/http/problem.h"
#include "api/http/request.h"
#include "common/base/buf.h"

/*
 * Rows of a statement as JSON objects, NDJSON or CSV, from one table of columns. Values are copied
 * as the database wrote them, so integers and decimals stay exact.
 */

struct db_result;

enum cell_kind {
    CELL_TEXT,
    CELL_NUMBER,
    CELL_BOOL,
    CELL_INSTANT, /* timestamptz in UTC */
    CELL_JSON,
};

struct list_column {
    const char *name; /* result columns come in the same order */
    enum cell_kind kind;
};

enum list_format { LIST_JSON, LIST_CSV, LIST_NDJSON };

/* `format` (json, csv, ndjson; NULL = by Accept). 406 if nothing acceptable is left. */
bool list_negotiate(const struct request *request,
                    const char *format,
                    enum list_format *ret_format,
                    struct problem *problem);
const char *list_content_type(enum list_format format);

/* One row as an object, braces included. */
void list_write_object(struct buf *out,
                       const struct list_column *columns,
                       size_t n_columns,
                       const struct db_result *result,
                       size_t row);

/* The members of that object alone, for objects that hold more. */
void list_write_members(struct buf *out,
                        const struct list_column *columns,
                        size_t n_columns,
                        const struct db_result *result,
                        size_t row);

/* One member, `"name":value`, from this column of the result. */
void list_write_member(struct buf *out,
                       const struct list_column *column,
                       const struct db_result *result,
                       size_t row,
                       size_t result_column);

/* The first n_rows: a JSON array, one object a line, or CSV with a header line (RFC 4180). */
void list_write(struct buf *out,
                enum list_format format,
                const struct list_column *columns,
                size_t n_columns,
                const struct db_result *result,
                size_t n_rows);

/* One CSV field, quoted where needed. */
void list_write_csv_field(struct buf *out, struct str text);

/* The same for text that people wrote: what a spreadsheet would take for a formula (it begins with
 * = + - @, a tab or a carriage return) gets an apostrophe in front, which is how spreadsheets mark
 * text. Who opens a ticket must not run code on the desk of who reads the list. */
void list_write_csv_text(struct buf *out, struct str text);

/* "2026-01-02 03:04:05.123+00" as RFC 3339 with Z. */
void list_write_instant(struct buf *out, struct str text);
