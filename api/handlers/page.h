#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/http/list.h"
#include "api/http/params.h"
#include "common/base/buf.h"
#include "common/base/str.h"

/*
 * One page of a list: from `limit`, `cursor` and `format` to rows, `page` and `Link`. Where a page
 * ends is told by some columns of its last row, the list's order; a cursor carries their values.
 */

#define PAGE_KEYS_MAX  2
#define PAGE_LIMIT     100
#define PAGE_LIMIT_MAX 1000

extern const char *const page_formats[];

/* The parameters every list has; for tables of param_spec. */
#define PAGE_PARAMS                                                                                \
    {.name = "limit",                                                                              \
     .type = PARAM_INTEGER,                                                                        \
     .min = 1,                                                                                     \
     .max = PAGE_LIMIT_MAX,                                                                        \
     .fallback = "100",                                                                            \
     .help = "Rows of one page."},                                                                 \
        {.name = "cursor", .type = PARAM_TEXT, .help = "page.next_cursor of the page before."},    \
    {                                                                                              \
        .name = "format", .type = PARAM_CHOICE, .choices = page_formats,                           \
        .help = "Wins over the Accept header."                                                     \
    }

struct call;
struct db_result;

struct page_key {
    size_t column;
    enum cell_kind kind; /* CELL_TEXT, CELL_NUMBER (from 1 on), CELL_INSTANT */
};

struct page {
    const struct page_key *keys;
    size_t n_keys;
    int64_t limit;
    char rows[24];       /* limit + 1, for the statement: one more says that there is more */
    struct buf question; /* what a cursor is bound to */
    const char *after[PAGE_KEYS_MAX]; /* of the last row before; NULL: NULL, or the first page */
    bool is_first;
};

/* False: the problem is set. Release either way. */
bool page_init(struct page *page, struct call *call, const struct page_key *keys, size_t n_keys);
void page_release(struct page *page);

/* How rows look: columns, and for JSON and NDJSON, where set, a writer of whole objects. */
struct page_rows {
    const struct list_column *columns;
    size_t n_columns;
    void (*write_row)(struct buf *out, const struct db_result *rows, size_t row);
};

/* Writes rows and `page` as the call's format has them, up to the comma before `meta`; sets content
 * type and the link to the next page. Rows whose first column is NULL are none. */
void page_write(const struct page *page,
                struct call *call,
                const struct list_column *columns,
                size_t n_columns,
                const struct db_result *rows);

/* The same for rows that JSON has in another form than CSV. */
void page_write_rows(const struct page *page,
                     struct call *call,
                     const struct page_rows *form,
                     const struct db_result *rows);
