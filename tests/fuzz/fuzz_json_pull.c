#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/io/json_pull.h"
#include "tests/fuzz/claim.h"

/*
 * The tokenizer against cJSON, against its own output and against its own skip:
 *   - what both accept has the same shape, the same strings and the same numbers;
 *   - what only cJSON accepts is one of the laxities it is known for;
 *   - what the tokenizer accepts reads the same after it was written out again;
 *   - skip accepts what next accepts, refuses it at the same byte, and leaves the bytes alone.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 1 << 16 };

struct token {
    enum json_token kind;
    struct str text;
    bool has_nul;
};

struct tokens {
    char *document; /* the texts lie in it */
    struct token *items;
    size_t n_items;
    struct error err; /* why the document was refused, if it was */
    size_t refused_at;
};

static void tokens_release(struct tokens *tokens)
{
    xfree(tokens->document);
    xfree(tokens->items);
}

static char *copy_document(struct str text)
{
    return xstrndup(text.len == 0 ? "" : text.ptr, text.len);
}

static void tokens_init(struct tokens *tokens, struct str text)
{
    struct json_pull pull;
    *tokens = (struct tokens){.document = copy_document(text)};
    /* One byte makes one token at most, the end is one more. */
    tokens->items = xcalloc(text.len + 1, sizeof(tokens->items[0]));
    json_pull_init(&pull, tokens->document, text.len);
    enum json_token kind;
    do {
        kind = json_pull_next(&pull, &tokens->err);
        CLAIM(tokens->n_items <= text.len);
        bool has_text = kind == JSON_NAME || kind == JSON_STRING || kind == JSON_NUMBER;
        bool is_string = kind == JSON_NAME || kind == JSON_STRING;
        tokens->items[tokens->n_items++] = (struct token){
            .kind = kind,
            .text = has_text ? pull.text : STR_NONE,
            .has_nul = is_string && pull.has_nul,
        };
    } while (kind != JSON_END && kind != JSON_ERROR);
    tokens->refused_at = json_pull_offset(&pull);
    CLAIM((kind == JSON_ERROR) == error_is_set(&tokens->err));
    CLAIM(tokens->refused_at <= text.len);
}

static bool was_accepted(const struct tokens *tokens)
{
    return !error_is_set(&tokens->err);
}

/* cJSON ends a text at \u0000, so that is as far as the two can be compared. */
static void claim_same_text(const struct token *token, const char *text)
{
    size_t len = strnlen(token->text.ptr, token->text.len);
    CLAIM((len != token->text.len) == token->has_nul);
    CLAIM(strlen(text) == len && memcmp(text, token->text.ptr, len) == 0);
}

static void claim_same_number(const struct token *token, double value)
{
    char *text CLEANUP(xfreep) = copy_document(token->text);
    double expected = strtod(text, NULL);
    CLAIM(memcmp(&expected, &value, sizeof(value)) == 0);
}

static const struct token *claim_same_tree(const struct token *token, const cJSON *item);

static const struct token *claim_same_children(const struct token *token, const cJSON *item)
{
    bool is_object = cJSON_IsObject(item);
    for (const cJSON *child = item->child; child != NULL; child = child->next) {
        if (is_object) {
            CLAIM(token->kind == JSON_NAME);
            claim_same_text(token++, child->string);
        }
        token = claim_same_tree(token, child);
    }
    CLAIM(token->kind == (is_object ? JSON_OBJECT_END : JSON_ARRAY_END));
    return token + 1;
}

/* Returns the token behind the value. */
static const struct token *claim_same_tree(const struct token *token, const cJSON *item)
{
    switch (token->kind) {
    case JSON_OBJECT_BEGIN:
        CLAIM(cJSON_IsObject(item));
        return claim_same_children(token + 1, item);
    case JSON_ARRAY_BEGIN:
        CLAIM(cJSON_IsArray(item));
        return claim_same_children(token + 1, item);
    case JSON_STRING:
        CLAIM(cJSON_IsString(item));
        claim_same_text(token, item->valuestring);
        return token + 1;
    case JSON_NUMBER:
        CLAIM(cJSON_IsNumber(item));
        claim_same_number(token, item->valuedouble);
        return token + 1;
    case JSON_TRUE:
        CLAIM(cJSON_IsTrue(item));
        return token + 1;
    case JSON_FALSE:
        CLAIM(cJSON_IsFalse(item));
        return token + 1;
    case JSON_NULL:
        CLAIM(cJSON_IsNull(item));
        return token + 1;
    case JSON_OBJECT_END:
    case JSON_ARRAY_END:
    case JSON_NAME:
    case JSON_END:
    case JSON_ERROR:
        break;
    }
    CLAIM(false); /* a value starts here */
    return token;
}

/* Older releases of cJSON read a number of at most 63 characters. */
static bool holds_long_number(const struct tokens *tokens)
{
    for (size_t i = 0; i < tokens->n_items; i++) {
        if (tokens->items[i].kind == JSON_NUMBER && tokens->items[i].text.len > 63) {
            return true;
        }
    }
    return false;
}

/* What cJSON forgives, by the words with which the tokenizer refuses it. */
static bool is_known_laxity(const struct tokens *tokens)
{
    static const char *const laxities[] = {
        "control character", "invalid UTF-8", "leading zero",  "digit of a number", "hex digits",
        "byte order mark",   "levels",        "found byte 0x", "inside a number",
    };
    for (size_t i = 0; i < ARRAY_SIZE(laxities); i++) {
        if (strstr(tokens->err.msg, laxities[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static void compare_with_cjson(const struct tokens *tokens, struct str text)
{
    char *copy CLEANUP(xfreep) = copy_document(text);
    cJSON *root = cJSON_ParseWithLengthOpts(copy, text.len + 1, NULL, 1);
    if (was_accepted(tokens)) {
        CLAIM(root != NULL || holds_long_number(tokens));
        if (root != NULL) {
            CLAIM(claim_same_tree(tokens->items, root)->kind == JSON_END);
        }
    } else {
        CLAIM(root == NULL || is_known_laxity(tokens));
    }
    cJSON_Delete(root);
}

static void write_token(const struct token *token, struct buf *out)
{
    switch (token->kind) {
    case JSON_OBJECT_BEGIN:
        buf_add_char(out, '{');
        break;
    case JSON_OBJECT_END:
        buf_add_char(out, '}');
        break;
    case JSON_ARRAY_BEGIN:
        buf_add_char(out, '[');
        break;
    case JSON_ARRAY_END:
        buf_add_char(out, ']');
        break;
    case JSON_NAME:
        buf_add_json_string(out, token->text);
        buf_add_char(out, ':');
        break;
    case JSON_STRING:
        buf_add_json_string(out, token->text);
        break;
    case JSON_NUMBER:
        buf_add_str(out, token->text);
        break;
    case JSON_TRUE:
        buf_add_c(out, "true");
        break;
    case JSON_FALSE:
        buf_add_c(out, "false");
        break;
    case JSON_NULL:
        buf_add_c(out, "null");
        break;
    case JSON_END:
    case JSON_ERROR:
        break;
    }
}

static bool needs_comma(const struct token *before, const struct token *next)
{
    bool is_first = before->kind == JSON_OBJECT_BEGIN || before->kind == JSON_ARRAY_BEGIN;
    bool is_last = next->kind == JSON_OBJECT_END || next->kind == JSON_ARRAY_END;
    return !is_first && !is_last && before->kind != JSON_NAME && next->kind != JSON_END;
}

static void write_and_read_again(const struct tokens *tokens)
{
    struct buf out CLEANUP(buf_release);
    buf_init(&out, 8 * INPUT_BYTES_MAX);
    for (size_t i = 0; i < tokens->n_items; i++) {
        if (i > 0 && needs_comma(&tokens->items[i - 1], &tokens->items[i])) {
            buf_add_char(&out, ',');
        }
        write_token(&tokens->items[i], &out);
    }
    CLAIM(!out.overflow);
    struct tokens again CLEANUP(tokens_release);
    tokens_init(&again, buf_str(&out));
    CLAIM(was_accepted(&again));
    CLAIM(again.n_items == tokens->n_items);
    for (size_t i = 0; i < again.n_items; i++) {
        CLAIM(again.items[i].kind == tokens->items[i].kind);
        CLAIM(again.items[i].has_nul == tokens->items[i].has_nul);
        CLAIM(str_equal(again.items[i].text, tokens->items[i].text));
    }
}

/* The whole document in one skip. */
static void skip_document(const struct tokens *tokens, struct str text)
{
    char *copy CLEANUP(xfreep) = copy_document(text);
    struct error err = ERROR_INIT;
    struct json_pull pull;
    struct str raw = STR_NONE;
    json_pull_init(&pull, copy, text.len);
    bool accepted = json_pull_skip(&pull, &raw, &err) && json_pull_next(&pull, &err) == JSON_END;
    CLAIM(accepted == was_accepted(tokens));
    CLAIM(text.len == 0 || memcmp(copy, text.ptr, text.len) == 0);
    if (accepted) {
        struct tokens again CLEANUP(tokens_release);
        tokens_init(&again, raw);
        CLAIM(was_accepted(&again) && again.n_items == tokens->n_items);
    } else {
        CLAIM(json_pull_offset(&pull) == tokens->refused_at);
        CLAIM(strcmp(err.msg, tokens->err.msg) == 0);
    }
}

/* Reads the document with next, but skips the value behind every name. */
static void skip_members(const struct tokens *tokens, struct str text)
{
    char *copy CLEANUP(xfreep) = copy_document(text);
    struct error err = ERROR_INIT;
    struct json_pull pull;
    json_pull_init(&pull, copy, text.len);
    enum json_token kind = json_pull_next(&pull, &err);
    while (kind != JSON_END && kind != JSON_ERROR) {
        struct str raw;
        if (kind == JSON_NAME && json_pull_skip(&pull, &raw, &err)) {
            CLAIM(memcmp(raw.ptr, text.ptr + (raw.ptr - copy), raw.len) == 0);
            struct tokens value CLEANUP(tokens_release);
            tokens_init(&value, raw);
            CLAIM(was_accepted(&value));
        }
        kind = json_pull_next(&pull, &err);
    }
    CLAIM((kind == JSON_END) == was_accepted(tokens));
    CLAIM(json_pull_offset(&pull) == tokens->refused_at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_BYTES_MAX) {
        return 0;
    }
    struct str text = {(const char *)data, size};
    struct tokens tokens CLEANUP(tokens_release);
    tokens_init(&tokens, text);
    compare_with_cjson(&tokens, text);
    if (was_accepted(&tokens)) {
        write_and_read_again(&tokens);
    }
    skip_document(&tokens, text);
    skip_members(&tokens, text);
    return 0;
}
