#include "worker/sources/json_cell.h"

bool json_cell_read(struct json_pull *pull, struct cell *ret_cell, struct error *err)
{
    struct json_pull before = *pull;
    switch (json_pull_next(pull, err)) {
    case JSON_STRING:
        *ret_cell = (struct cell){CELL_TEXT, pull->has_nul, pull->text};
        return true;
    case JSON_NUMBER:
        *ret_cell = (struct cell){CELL_NUMBER, false, pull->text};
        return true;
    case JSON_TRUE:
        *ret_cell = (struct cell){CELL_BOOL, false, STR_LITERAL("true")};
        return true;
    case JSON_FALSE:
        *ret_cell = (struct cell){CELL_BOOL, false, STR_LITERAL("false")};
        return true;
    case JSON_NULL:
        *ret_cell = (struct cell){CELL_NULL, false, STR_NONE};
        return true;
    case JSON_OBJECT_BEGIN:
    case JSON_ARRAY_BEGIN:
        *pull = before;
        *ret_cell = (struct cell){CELL_JSON, false, STR_NONE};
        return json_pull_skip(pull, &ret_cell->text, err);
    case JSON_ERROR:
    case JSON_END:
    case JSON_OBJECT_END:
    case JSON_ARRAY_END:
    case JSON_NAME:
        break;
    }
    return false;
}
