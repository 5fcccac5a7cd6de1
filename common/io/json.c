#include "common/io/json.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "common/base/alloc.h"
#include "common/base/cleanup.h"
#include "common/io/json_pull.h"

/*
 * cJSON alone would take leading zeros, bare control characters and invalid UTF-8, and cut strings
 * at \u0000. So the strict tokenizer reads every document first and cJSON only builds the tree of
 * what has passed. The documents are small: reading them twice costs nothing that can be measured.
 *
 * Depth is bounded by the tokenizer, which bounds the recursions below.
 */

static cJSON *as_cjson(struct json *node)
{
    return (cJSON *)(void *)node;
}

static const cJSON *as_const_cjson(const struct json *node)
{
    return (const cJSON *)(const void *)node;
}

static const struct json *as_json(const cJSON *item)
{
    return (const struct json *)(const void *)item;
}

static bool check_strictly(char *text, size_t len, struct error *err)
{
    struct json_pull pull;
    struct str raw;
    json_pull_init(&pull, text, len);
    if (!json_pull_skip(&pull, &raw, err)) {
        return false;
    }
    if (pull.has_nul) {
        return error_set(err, ERROR_DATA, "the document holds \\u0000, which no text may contain");
    }
    return json_pull_next(&pull, err) == JSON_END;
}

static bool holds_infinity(const cJSON *item)
{
    for (; item != NULL; item = item->next) {
        bool is_infinite = cJSON_IsNumber(item) && !isfinite(item->valuedouble);
        if (is_infinite || holds_infinity(item->child)) {
            return true;
        }
    }
    return false;
}

struct json *json_parse(struct str text, struct error *err)
{
    char *copy CLEANUP(xfreep) = xstrndup(text.ptr, text.len);
    if (!check_strictly(copy, text.len, err)) {
        return NULL;
    }
    cJSON *root = cJSON_ParseWithLengthOpts(copy, text.len + 1, NULL, 1);
    if (root == NULL) { /* releases without CVE-2023-26819's fix */
        (void)error_set(err, ERROR_DATA,
                        "this release of cJSON reads no number of more than 63 characters: shorten "
                        "it or update cJSON");
        return NULL;
    }
    if (holds_infinity(root)) {
        cJSON_Delete(root);
        (void)error_set(err, ERROR_DATA, "the document holds a number beyond 1.8e308");
        return NULL;
    }
    return (struct json *)(void *)root;
}

void json_free(struct json *root)
{
    cJSON_Delete(as_cjson(root));
}

enum json_kind json_kind(const struct json *node)
{
    const cJSON *item = as_const_cjson(node);
    if (cJSON_IsNull(item)) {
        return JSON_KIND_NULL;
    }
    if (cJSON_IsBool(item)) {
        return JSON_KIND_BOOL;
    }
    if (cJSON_IsNumber(item)) {
        return JSON_KIND_NUMBER;
    }
    if (cJSON_IsString(item)) {
        return JSON_KIND_STRING;
    }
    if (cJSON_IsArray(item)) {
        return JSON_KIND_ARRAY;
    }
    assert(cJSON_IsObject(item));
    return JSON_KIND_OBJECT;
}

/* The first element or member; NULL for scalars, whose child is NULL, and for NULL itself. */
static const cJSON *first_child(const struct json *node)
{
    return node == NULL ? NULL : as_const_cjson(node)->child;
}

static const cJSON *child_at(const struct json *node, size_t index)
{
    const cJSON *child = first_child(node);
    while (child != NULL && index > 0) {
        child = child->next;
        index--;
    }
    return child;
}

size_t json_size(const struct json *node)
{
    size_t size = 0;
    for (const cJSON *child = first_child(node); child != NULL; child = child->next) {
        size++;
    }
    return size;
}

const struct json *json_at(const struct json *node, size_t index)
{
    return as_json(child_at(node, index));
}

const char *json_name_at(const struct json *object, size_t index)
{
    const cJSON *child = child_at(object, index);
    return child == NULL ? NULL : child->string;
}

const struct json *json_find(const struct json *object, const char *name)
{
    if (!cJSON_IsObject(as_const_cjson(object))) {
        return NULL;
    }
    const cJSON *child = first_child(object);
    while (child != NULL && strcmp(child->string, name) != 0) {
        child = child->next;
    }
    return as_json(child);
}

const char *json_string(const struct json *node)
{
    return cJSON_GetStringValue(as_const_cjson(node));
}

bool json_bool(const struct json *node, bool fallback)
{
    const cJSON *item = as_const_cjson(node);
    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : fallback;
}

/* 2^53 itself is left out: 2^53 + 1 is read as the same double. */
static bool is_exact_integer(double value)
{
    const double limit = 9007199254740992.0;
    return value > -limit && value < limit && value == (double)(int64_t)value;
}

bool json_int64(const struct json *node, int64_t *ret_value)
{
    const cJSON *item = as_const_cjson(node);
    if (!cJSON_IsNumber(item) || !is_exact_integer(item->valuedouble)) {
        return false;
    }
    *ret_value = (int64_t)item->valuedouble;
    return true;
}

const char *json_find_string(const struct json *object, const char *name)
{
    return json_string(json_find(object, name));
}

/* The shortest of the usual precisions that reads back as the same double. */
static void write_number(double value, struct buf *out)
{
    if (is_exact_integer(value)) {
        buf_add_int(out, (int64_t)value);
        return;
    }
    char digits[32];
    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(digits, sizeof(digits), "%.*g", precision, value);
        if (strtod(digits, NULL) == value) {
            break;
        }
    }
    buf_add_c(out, digits);
}

static void write_children(const struct json *node, bool are_members, struct buf *out)
{
    buf_add_char(out, are_members ? '{' : '[');
    for (const cJSON *child = first_child(node); child != NULL; child = child->next) {
        if (child->prev->next != NULL) { /* the first one's prev is the last one */
            buf_add_char(out, ',');
        }
        if (are_members) {
            buf_add_json_string(out, str_from(child->string));
            buf_add_char(out, ':');
        }
        json_write(as_json(child), out);
    }
    buf_add_char(out, are_members ? '}' : ']');
}

void json_write(const struct json *node, struct buf *out)
{
    switch (json_kind(node)) {
    case JSON_KIND_NULL:
        buf_add_c(out, "null");
        break;
    case JSON_KIND_BOOL:
        buf_add_c(out, json_bool(node, false) ? "true" : "false");
        break;
    case JSON_KIND_NUMBER:
        write_number(as_const_cjson(node)->valuedouble, out);
        break;
    case JSON_KIND_STRING:
        buf_add_json_string(out, str_from(json_string(node)));
        break;
    case JSON_KIND_ARRAY:
        write_children(node, false, out);
        break;
    case JSON_KIND_OBJECT:
        write_children(node, true, out);
        break;
    }
}
