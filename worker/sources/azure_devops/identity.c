#include "worker/sources/azure_devops/identity.h"

#include <string.h>

static const struct cell NOBODY = {CELL_NULL, false, {NULL, 0}};

static struct cell text_cell(struct str text, bool has_nul)
{
    return text.len > 0 ? (struct cell){CELL_TEXT, has_nul, text} : NOBODY;
}

/* "Name <unique>" gives both; false for any other text. */
static bool split(struct str text, struct str *ret_name, struct str *ret_unique)
{
    const char *open = text.len > 0 ? memrchr(text.ptr, '<', text.len) : NULL;
    if (open == NULL || text.ptr[text.len - 1] != '>') {
        return false;
    }
    size_t at = (size_t)(open - text.ptr);
    *ret_name = str_trim((struct str){text.ptr, at});
    *ret_unique = str_trim((struct str){open + 1, text.len - at - 2});
    return ret_unique->len > 0;
}

/* A name alone stands for both: a column that is NULL would look like nobody. */
static void settle(struct ado_identity *identity)
{
    struct str name;
    struct str unique;
    bool has_nul = identity->unique_name.has_nul;
    if (split(identity->unique_name.text, &name, &unique)) {
        identity->unique_name = text_cell(unique, has_nul);
        if (identity->display_name.kind == CELL_NULL) {
            identity->display_name = text_cell(name, has_nul);
        }
    }
    if (identity->unique_name.kind == CELL_NULL) {
        identity->unique_name = identity->display_name;
    }
    if (identity->display_name.kind == CELL_NULL) {
        identity->display_name = identity->unique_name;
    }
}

static struct cell *cell_of(struct ado_identity *identity, struct str name)
{
    if (str_equal_c(name, "uniqueName")) {
        return &identity->unique_name;
    }
    if (str_equal_c(name, "displayName")) {
        return &identity->display_name;
    }
    return str_equal_c(name, "id") ? &identity->id : NULL;
}

/* Behind the opening brace. */
static bool read_object(struct json_pull *pull, struct ado_identity *identity, struct error *err)
{
    for (;;) {
        enum json_token token = json_pull_next(pull, err);
        if (token == JSON_OBJECT_END) {
            return true;
        }
        if (token != JSON_NAME) {
            return false;
        }
        struct cell *cell = cell_of(identity, pull->text);
        struct str ignored;
        if (cell == NULL) {
            if (!json_pull_skip(pull, &ignored, err)) {
                return false;
            }
            continue;
        }
        struct json_pull before = *pull;
        token = json_pull_next(pull, err);
        if (token == JSON_ERROR) {
            return false;
        }
        if (token == JSON_STRING) {
            *cell = text_cell(pull->text, pull->has_nul);
        } else {
            *pull = before;
            if (!json_pull_skip(pull, &ignored, err)) {
                return false;
            }
        }
    }
}

bool ado_identity_read(struct json_pull *pull, struct ado_identity *ret_identity, struct error *err)
{
    struct ado_identity identity = {NOBODY, NOBODY, NOBODY};
    enum json_token token = json_pull_next(pull, err);
    if (token == JSON_STRING) {
        identity.unique_name = text_cell(pull->text, pull->has_nul);
    } else if (token == JSON_OBJECT_BEGIN) {
        if (!read_object(pull, &identity, err)) {
            return false;
        }
    } else if (token != JSON_NULL) {
        return token != JSON_ERROR &&
               error_set(err, ERROR_DATA, "byte %zu: not a person", json_pull_offset(pull));
    }
    settle(&identity);
    *ret_identity = identity;
    return true;
}
