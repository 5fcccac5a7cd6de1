#pragma once

#include <stdbool.h>

#include "common/base/str.h"

/*
 * One value of a record as a connector found it, before it is typed. Views point into the page.
 * ABSENT is not NULL: the source left the field out (no right to read it), so what is stored stays.
 */

enum cell_kind {
    CELL_ABSENT,
    CELL_NULL,
    CELL_TEXT,
    CELL_NUMBER, /* text as written in the JSON */
    CELL_BOOL,   /* text "true" or "false" */
    CELL_JSON,   /* an object or array as received */
};

struct cell {
    enum cell_kind kind;
    bool has_nul; /* TEXT: holds U+0000 */
    struct str text;
};
