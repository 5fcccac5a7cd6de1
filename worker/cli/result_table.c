#include "worker/cli/result_table.h"

#include <stdio.h>

#include "common/base/alloc.h"
#include "worker/cli/table.h"

#define CELL_BYTES_SHOWN 160

/* Long texts are cut: who wants all of them asks for JSON. */
static const char *result_cell(const void *arg, size_t row, size_t column)
{
    static char shown[CELL_BYTES_SHOWN + 4];
    struct str text = db_str(arg, row, column);
    if (text.len <= CELL_BYTES_SHOWN) {
        return db_text(arg, row, column);
    }
    struct str front = str_shorten(text, CELL_BYTES_SHOWN);
    (void)snprintf(shown, sizeof(shown), "%.*s...", STR_ARG(front));
    return shown;
}

void result_table_print(const struct db_result *result)
{
    size_t n = db_columns(result);
    const char **heads = xcalloc(n, sizeof(const char *));
    for (size_t i = 0; i < n; i++) {
        heads[i] = db_column_name(result, i);
    }
    table_print(heads, n, db_rows(result), result_cell, result);
    xfree(heads);
}
