#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Plain text tables on stdout: a head line, columns as wide as their widest cell, numbers to the
 * right.
 */

/* Returns the text of a cell; lives until the next call for the same cell at least. */
typedef const char *(*table_cell)(const void *arg, size_t row, size_t column);

void table_print(
    const char *const *heads, size_t n_columns, size_t n_rows, table_cell cell, const void *arg);
