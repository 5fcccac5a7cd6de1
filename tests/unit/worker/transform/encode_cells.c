#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "worker/transform/row.h"

/*
 * For the database test of the encoder: reads one cell a line (its kind T, N, B, J or A for absent,
 * then its text) and writes a binary COPY of (n text, v TYPE, etl_hash uuid, etl_absent varbit) to
 * ROWS and one of the rejects to REJECTS.
 *
 *   encode_cells TYPE ROWS REJECTS
 */

enum { LIMIT_BYTES = 64 << 20 };

static bool kind_of(char letter, enum cell_kind *ret_kind)
{
    static const char letters[] = "ATNBJ";

    static const enum cell_kind kinds[] = {CELL_ABSENT, CELL_TEXT, CELL_NUMBER, CELL_BOOL,
                                           CELL_JSON};

    const char *found = letter != '\0' ? strchr(letters, letter) : NULL;
    if (found == NULL) {
        return false;
    }
    *ret_kind = kinds[found - letters];
    return true;
}

static bool type_of(const char *name, enum column_type *ret_type)
{
    static const char *const names[] = {"text",        "integer", "bigint",   "numeric", "boolean",
                                        "timestamptz", "date",    "interval", "jsonb"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret_type = (enum column_type)i;
            return true;
        }
    }
    return false;
}

static bool encode_lines(struct row_batch *batch)
{
    static char line[64 * 1024];
    for (int64_t number = 1; fgets(line, sizeof(line), stdin) != NULL; number++) {
        struct str text = str_from(line);
        text.len -= str_ends_with(text, STR_LITERAL("\n")) ? 1 : 0;
        char *key CLEANUP(xfreep) = xasprintf("%lld", (long long)number);
        struct cell cells[2] = {{CELL_TEXT, false, str_from(key)}};
        if (text.len == 0 || !kind_of(text.ptr[0], &cells[1].kind)) {
            fprintf(stderr, "encode_cells: line %s has no kind\n", key);
            return false;
        }
        cells[1].text = (struct str){text.ptr + 1, text.len - 1};
        struct error err = ERROR_INIT;
        if (!row_batch_add(batch, cells, STR_LITERAL("{\"evidence\":\"\\u0000\"}"), &err)) {
            fprintf(stderr, "encode_cells: %s\n", err.msg);
            return false;
        }
    }
    return true;
}

static bool write_file(const char *path, struct str data)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        return false;
    }
    bool written = fwrite(data.ptr, 1, data.len, file) == data.len;
    return fclose(file) == 0 && written;
}

int main(int argc, char **argv)
{
    enum column_type type = COLUMN_TEXT;
    if (argc != 4 || !type_of(argv[1], &type)) {
        fprintf(stderr, "usage: encode_cells TYPE ROWS REJECTS\n");
        return EXIT_FAILURE;
    }
    const struct column columns[] = {{"n", COLUMN_TEXT, 0, 0}, {"v", type, 1, 0}};
    static const size_t key_columns[] = {0};
    const struct task_def task = {
        .name = "cells",
        .columns = columns,
        .n_columns = ARRAY_SIZE(columns),
        .key_columns = key_columns,
        .n_key_columns = 1,
        .version_column = -1,
        .revision_column = -1,
        .window_column = -1,
    };
    struct row_batch batch CLEANUP(row_batch_release) = {0};
    row_batch_init(&batch, &task, ROW_FULL, LIMIT_BYTES);
    if (!encode_lines(&batch)) {
        return EXIT_FAILURE;
    }
    row_batch_finish(&batch);
    bool written =
        write_file(argv[2], buf_str(&batch.rows)) && write_file(argv[3], buf_str(&batch.rejects));
    return written ? EXIT_SUCCESS : EXIT_FAILURE;
}
