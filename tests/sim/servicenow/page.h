#pragma once

#include <stdbool.h>

#include "common/base/buf.h"
#include "tests/sim/fault.h"
#include "tests/sim/servicenow/query.h"

/* Rows as the JSON of the Table API: appended by hand into one buffer, since this must outrun
 * every reader. */

enum display_mode { DISPLAY_FALSE, DISPLAY_TRUE, DISPLAY_ALL };

struct page_column {
    struct path path;
    const struct column *column;
    struct str name;
    char *key; /* `"name":` */
    size_t key_len;
};

struct page_format {
    enum display_mode display;
    bool links;
    const char *origin;
    int64_t user_offset_s;
    const struct drawn *drawn; /* bad_value faults; NULL: none */
};

struct page_columns {
    struct page_column *items;
    int n;
};

/* fields: comma list, unknown names ignored; NULL ptr: every column. `hidden`: faults whose fields
 * the account cannot read. */
void page_columns_init(struct page_columns *columns,
                       const struct store *store,
                       const struct table *table,
                       struct str fields,
                       const struct drawn *drawn);
void page_columns_release(struct page_columns *columns);
void page_write_row(struct buf *out,
                    const struct page_columns *columns,
                    struct row *row,
                    const struct page_format *format);

/* What a person sees instead of the raw value; view of `out` (CELL_MAX), `raw` or a constant. */
struct str page_display(const struct store *store,
                        const struct column *column,
                        struct str raw,
                        int64_t user_offset_s,
                        char *out);
