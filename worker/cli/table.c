#include "worker/cli/table.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"

/* Characters, not bytes: continuation bytes of UTF-8 take no room. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (const char *at = text; *at != '\0'; at++) {
        width += ((unsigned char)*at & 0xc0) != 0x80 ? 1 : 0;
    }
    return width;
}

static bool is_number(const char *text)
{
    return text[0] != '\0' && strspn(text, "0123456789.,") == strlen(text);
}

static void print_cell(const char *text, size_t width, bool right, bool last)
{
    size_t own = width_of(text);
    int pad = own < width ? (int)(width - own) : 0;
    if (right) {
        printf("%*s%s", pad, "", text);
    } else {
        printf("%s%*s", text, last ? 0 : pad, "");
    }
    printf(last ? "\n" : "  ");
}

void table_print(
    const char *const *heads, size_t n_columns, size_t n_rows, table_cell cell, const void *arg)
{
    size_t *widths = xcalloc(n_columns, sizeof(*widths));
    bool *right = xcalloc(n_columns, sizeof(*right));
    for (size_t c = 0; c < n_columns; c++) {
        widths[c] = width_of(heads[c]);
        right[c] = n_rows > 0;
        for (size_t r = 0; r < n_rows; r++) {
            const char *text = cell(arg, r, c);
            size_t width = width_of(text);
            widths[c] = width > widths[c] ? width : widths[c];
            right[c] = right[c] && (is_number(text) || text[0] == '\0');
        }
    }
    for (size_t c = 0; c < n_columns; c++) {
        print_cell(heads[c], widths[c], right[c], c + 1 == n_columns);
    }
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t c = 0; c < n_columns; c++) {
            print_cell(cell(arg, r, c), widths[c], right[c], c + 1 == n_columns);
        }
    }
    xfree(widths);
    xfree(right);
}
