#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/str.h"

/*
 * The page decoder's tokenizer: strict RFC 8259, single pass, pull style, in place.
 *
 * It reads a whole document held in writable memory and hands out one token at a time. Strings are
 * unescaped in place (the result is never longer), so views stay valid as long as the document.
 * Numbers stay text: nothing is rounded. Refused: trailing commas, comments, leading zeros, raw
 * control characters, invalid UTF-8, lone surrogates, anything behind the document, more than
 * JSON_PULL_DEPTH_MAX levels. `\u0000` is legal JSON: it yields a NUL byte in the view and is
 * reported by has_nul, so the reader decides. A leading UTF-8 byte order mark is an error here;
 * connectors whose source sends one strip it first.
 *
 * One thread per instance; no allocation.
 */

#define JSON_PULL_DEPTH_MAX 64

enum json_token {
    JSON_ERROR = -1,
    JSON_END, /* the document is complete and nothing but white space follows */
    JSON_OBJECT_BEGIN,
    JSON_OBJECT_END,
    JSON_ARRAY_BEGIN,
    JSON_ARRAY_END,
    JSON_NAME,   /* member name; text = the unescaped name */
    JSON_STRING, /* text = the unescaped value */
    JSON_NUMBER, /* text = the number as written */
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
};

struct json_pull {
    char *start;
    char *cursor;
    char *end;
    struct str text; /* of the last NAME, STRING or NUMBER */
    bool has_nul;  /* the last NAME or STRING, or anything in the last skipped value, held \u0000 */
    uint8_t state; /* private */
    uint8_t depth;
    uint64_t is_object_bits; /* private: one bit per open level */
};

/* `document[document_len]` must be readable and writable: it is set to NUL as a sentinel (a
 * struct buf always has that byte). */
void json_pull_init(struct json_pull *pull, char *document, size_t document_len);

/* The next token. On JSON_ERROR sets err (ERROR_DATA with byte offset and what was expected);
 * every further call returns JSON_ERROR again with the same position. */
enum json_token json_pull_next(struct json_pull *pull, struct error *err);

/* After a NAME, or where a value is expected: consumes one whole value and returns the bytes it
 * occupied in *ret_raw. The bytes are as received except that strings inside must not be unescaped
 * in place: the raw text stays valid JSON. Checks it as strictly as next does. */
bool json_pull_skip(struct json_pull *pull, struct str *ret_raw, struct error *err);

/* Byte offset of the cursor in the document. */
size_t json_pull_offset(const struct json_pull *pull);
