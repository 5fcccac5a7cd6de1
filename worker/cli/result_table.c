#include "worker/cli/result_table.h"

#include "common/base/alloc.h"
#include "worker/cli/table.h"

static const char *result_cell(const void *arg, size_t row, size_t column)
{
    return db_text(arg, row, column);
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
