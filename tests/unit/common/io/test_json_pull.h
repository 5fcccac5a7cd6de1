#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/io/json_pull.h"

/*
 * Shared by the tests of the tokenizer: a document is read from memory of exactly its size, so that
 * a sanitizer sees a look past its end, and its tokens are written as a line to compare with:
 *
 *   { }  [ ]  name=  "text"  #number  true  false  null    each followed by a blank
 *
 * A refusal ends the line with its message.
 */

enum { LINE_BYTES_MAX = 1 << 20 };

static inline char *copy_exactly(struct str text)
{
    char *copy = xmalloc(text.len + 1);
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    copy[text.len] = '!'; /* the sentinel is the tokenizer's to set */
    return copy;
}

static inline void add_token(struct buf *line, enum json_token token, struct str text)
{
    static const char *const signs[] = {
        [JSON_OBJECT_BEGIN] = "{", [JSON_OBJECT_END] = "}", [JSON_ARRAY_BEGIN] = "[",
        [JSON_ARRAY_END] = "]",    [JSON_TRUE] = "true",    [JSON_FALSE] = "false",
        [JSON_NULL] = "null",
    };
    if (token == JSON_NAME) {
        buf_add_str(line, text);
        buf_add_c(line, "= ");
    } else if (token == JSON_STRING) {
        buf_add_char(line, '"');
        buf_add_str(line, text);
        buf_add_c(line, "\" ");
    } else if (token == JSON_NUMBER) {
        buf_add_char(line, '#');
        buf_add_str(line, text);
        buf_add_char(line, ' ');
    } else {
        buf_add_c(line, signs[token]);
        buf_add_char(line, ' ');
    }
}

/* Reads to the end or to the refusal; true if the document was accepted. */
static inline bool read_document(struct str text, struct buf *line)
{
    char *document CLEANUP(xfreep) = copy_exactly(text);
    struct error err = ERROR_INIT;
    struct json_pull pull;
    json_pull_init(&pull, document, text.len);
    enum json_token token = json_pull_next(&pull, &err);
    while (token != JSON_END && token != JSON_ERROR) {
        add_token(line, token, pull.text);
        token = json_pull_next(&pull, &err);
    }
    if (token == JSON_ERROR) {
        assert_int_equal(err.code, ERROR_DATA);
        buf_add_c(line, err.msg);
    }
    return token == JSON_END;
}

static inline void assert_reads_str(struct str text, bool is_accepted, const char *expected)
{
    struct buf line CLEANUP(buf_release);
    buf_init(&line, LINE_BYTES_MAX);
    bool accepted = read_document(text, &line);
    if (accepted != is_accepted) {
        print_error("%.*s\n", STR_ARG(text));
    }
    assert_string_equal(line.ptr, expected);
    assert_int_equal(accepted, is_accepted);
}

struct reading {
    struct str text;
    const char *line;
};

#define READING(literal, expected_line)                                                            \
    {                                                                                              \
        {(literal), sizeof(literal) - 1}, (expected_line)                                          \
    }

#define assert_all_accepted(readings)                                                              \
    do {                                                                                           \
        for (size_t i_ = 0; i_ < ARRAY_SIZE(readings); i_++) {                                     \
            assert_reads_str((readings)[i_].text, true, (readings)[i_].line);                      \
        }                                                                                          \
    } while (0)

#define assert_all_refused(readings)                                                               \
    do {                                                                                           \
        for (size_t i_ = 0; i_ < ARRAY_SIZE(readings); i_++) {                                     \
            assert_reads_str((readings)[i_].text, false, (readings)[i_].line);                     \
        }                                                                                          \
    } while (0)
