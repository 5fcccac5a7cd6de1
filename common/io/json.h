#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/str.h"

/*
 * Small JSON documents as a tree: error bodies, token answers, API request bodies, parameters. The
 * one wrapper of cJSON. Pages of records never come here (json_pull.h): cJSON keeps numbers as
 * doubles and forgives what an exact copy must not.
 *
 * A tree belongs to one thread. Nodes are borrowed from their root.
 */

struct json;

/* NULL and ERROR_DATA if `text` is not one JSON document (trailing white space allowed, nothing
 * else; NUL bytes refused). Caller frees the root with json_free. */
struct json *json_parse(struct str text, struct error *err);
void json_free(struct json *root); /* accepts NULL */

enum json_kind {
    JSON_KIND_NULL,
    JSON_KIND_BOOL,
    JSON_KIND_NUMBER,
    JSON_KIND_STRING,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT
};

enum json_kind json_kind(const struct json *node);
size_t json_size(const struct json *node); /* elements or members; 0 for scalars */
const struct json *json_at(const struct json *node, size_t index); /* NULL when out of range */
const char *json_name_at(const struct json *object, size_t index); /* member name */
const struct json *
json_find(const struct json *object,
          const char *name); /* case-sensitive; NULL if absent or not an object */
const char *json_string(const struct json *node); /* NULL unless a string */
bool json_bool(const struct json *node, bool fallback);
bool json_int64(const struct json *node, int64_t *ret_value); /* exact integers within 2^53 only */

/* Shorthand: the string member `name` of `object`, or NULL. */
const char *json_find_string(const struct json *object, const char *name);

/* Appends the node as compact JSON. */
void json_write(const struct json *node, struct buf *out);
