#include "common/io/json_pull.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/io/json_escape.h"
#include "common/io/json_scan.h"

/*
 * Two facts carry the speed. The document ends in a NUL that no token may contain, so everything
 * but the wide string scan reads on without asking for the end. And a string is handed out where
 * it lies: most have neither an escape nor a byte above 0x7f, and one wide scan finds their end.
 *
 * json_pull_next and json_pull_skip run the same code; `in_place` only says whether escapes are
 * replaced by what they mean. It is a constant wherever it is passed, so each gets its own copy.
 */

#define ALWAYS_INLINE __attribute__((always_inline)) inline
#define COLD          __attribute__((cold, noinline))

enum pull_state {
    STATE_VALUE,         /* a value: at the start, or behind "name": */
    STATE_FIRST_ELEMENT, /* behind [ */
    STATE_FIRST_NAME,    /* behind { */
    STATE_AFTER_MEMBER,  /* behind a value in an object */
    STATE_AFTER_ELEMENT, /* behind a value in an array */
    STATE_AFTER_ROOT,    /* behind the value that is the document */
    STATE_END,
    STATE_FAILED, /* cursor stands on the byte that was refused */
};

_Static_assert(JSON_PULL_DEPTH_MAX <= 64, "is_object_bits holds one bit per open level");

/* Every refusal ends here: moves the cursor to the culprit, where it stays. */
COLD static enum json_token
refuse(struct json_pull *pull, char *at, const char *why, struct error *err)
{
    pull->cursor = at;
    pull->state = STATE_FAILED;
    (void)error_set(err, ERROR_DATA, "byte %zu: %s", json_pull_offset(pull), why);
    return JSON_ERROR;
}

COLD static enum json_token refuse_again(const struct json_pull *pull, struct error *err)
{
    if (!error_is_set(err)) {
        (void)error_set(err, ERROR_DATA, "byte %zu: the document was refused here before",
                        json_pull_offset(pull));
    }
    return JSON_ERROR;
}

/* The byte at `at` is not `expected`, or the document ends there, `inside` something. */
COLD static enum json_token refuse_unexpected(
    struct json_pull *pull, char *at, const char *expected, const char *inside, struct error *err)
{
    char why[160];
    unsigned char found = (unsigned char)*at;
    if (at == pull->end) {
        (void)snprintf(why, sizeof(why), "the document ends inside %s", inside);
    } else if (found > 0x20 && found < 0x7f) {
        (void)snprintf(why, sizeof(why), "expected %s, found '%c'", expected, found);
    } else {
        (void)snprintf(why, sizeof(why), "expected %s, found byte 0x%02x", expected, found);
    }
    return refuse(pull, at, why, err);
}

static bool in_object(const struct json_pull *pull)
{
    return (pull->is_object_bits & 1) != 0;
}

/* What follows a value of the innermost level. */
static ALWAYS_INLINE void end_value(struct json_pull *pull, char *behind)
{
    pull->cursor = behind;
    pull->state = in_object(pull)   ? STATE_AFTER_MEMBER
                  : pull->depth > 0 ? STATE_AFTER_ELEMENT
                                    : STATE_AFTER_ROOT;
}

static const char *container_name(const struct json_pull *pull)
{
    return in_object(pull) ? "an object" : "an array";
}

COLD static enum json_token refuse_value(struct json_pull *pull, char *at, struct error *err)
{
    if (pull->depth == 0 && at == pull->end) {
        return refuse(pull, at, "the document ends before its value", err);
    }
    if (at == pull->start && strncmp(at, "\xef\xbb\xbf", 3) == 0) {
        return refuse(pull, at, "expected a value, found a byte order mark: strip it first", err);
    }
    return refuse_unexpected(pull, at, "a value", container_name(pull), err);
}

/* `at` is a byte that no string may hold as it is. */
COLD static enum json_token refuse_string_byte(struct json_pull *pull, char *at, struct error *err)
{
    char why[120];
    unsigned char lead = (unsigned char)*at;
    if (at != pull->end && lead < 0x20) {
        (void)snprintf(why, sizeof(why),
                       "the control character 0x%02x stands bare in a string: it must be escaped",
                       lead);
        return refuse(pull, at, why, err);
    }
    char *rest = at + 1;
    while (at != pull->end && rest != pull->end && is_continuation(*rest)) {
        rest++;
    }
    ptrdiff_t wanted = lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 1;
    if (at == pull->end || (rest == pull->end && rest - at < wanted)) {
        return refuse(pull, pull->end, "the document ends inside a string", err);
    }
    (void)snprintf(why, sizeof(why), "a string holds invalid UTF-8, starting with 0x%02x", lead);
    return refuse(pull, at, why, err);
}

/* The first byte behind a run of UTF-8 sequences, NULL with err set if none is valid at `cursor` or
 * the run ends in an invalid one. */
static char *pass_utf8(struct json_pull *pull, char *cursor, struct error *err)
{
    size_t len;
    do {
        len = utf8_sequence_len(cursor);
        cursor += len;
    } while (len > 0 && (unsigned char)*cursor >= 0x80);
    if (len == 0) {
        (void)refuse_string_byte(pull, cursor, err);
        return NULL;
    }
    return cursor;
}

/* Reads the four digits at `cursor`; false with err set if one is missing. */
static bool read_hex4(struct json_pull *pull, char *cursor, uint32_t *ret_unit, struct error *err)
{
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        int digit = json_hex_digit(cursor[i]);
        if (digit < 0) {
            (void)refuse_unexpected(pull, cursor + i, "four hex digits behind \\u", "a string",
                                    err);
            return false;
        }
        unit = unit << 4 | (uint32_t)digit;
    }
    *ret_unit = unit;
    return true;
}

/* One escape: what it means, at most four bytes, never more than it is long. */
struct escape {
    char *after;
    char bytes[4];
    size_t len;
};

/* The escape \uXXXX at `cursor`, joined with a second one if it is a high surrogate. */
static bool read_unicode_escape(struct json_pull *pull,
                                char *cursor,
                                struct escape *ret_escape,
                                struct error *err)
{
    uint32_t unit;
    if (!read_hex4(pull, cursor + 2, &unit, err)) {
        return false;
    }
    char *after = cursor + 6;
    if (unit >= 0xd800 && unit <= 0xdbff) {
        bool cut = after == pull->end || (after[0] == '\\' && after + 1 == pull->end);
        if (cut) {
            (void)refuse(pull, pull->end, "the document ends inside a string", err);
            return false;
        }
        uint32_t low = 0;
        if (after[0] == '\\' && after[1] == 'u' && !read_hex4(pull, after + 2, &low, err)) {
            return false;
        }
        if (low < 0xdc00 || low > 0xdfff) {
            (void)refuse(pull, cursor, "a high surrogate without its low one", err);
            return false;
        }
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        after += 6;
    } else if (unit >= 0xdc00 && unit <= 0xdfff) {
        (void)refuse(pull, cursor, "a low surrogate without its high one", err);
        return false;
    }
    pull->has_nul = pull->has_nul || unit == 0;
    ret_escape->len = json_encode_utf8(unit, ret_escape->bytes);
    ret_escape->after = after;
    return true;
}

/* The escape whose backslash is at `cursor`. */
static bool
read_escape(struct json_pull *pull, char *cursor, struct escape *ret_escape, struct error *err)
{
    if (cursor[1] == 'u') {
        return read_unicode_escape(pull, cursor, ret_escape, err);
    }
    char meaning = json_escape_meaning(cursor[1]);
    if (meaning == '\0') {
        (void)refuse_unexpected(pull, cursor + 1, "one of \" \\ / b f n r t u behind a backslash",
                                "a string", err);
        return false;
    }
    ret_escape->bytes[0] = meaning;
    ret_escape->len = 1;
    ret_escape->after = cursor + 2;
    return true;
}

/* Moves [run, run_end) down to `out`, unless it lies there already. Between two escapes there are
 * mostly a few bytes: too few for a call. */
static char *move_run(char *out, const char *run, const char *run_end)
{
    size_t len = (size_t)(run_end - run);
    if (out == run) {
        return out + len;
    }
    if (len >= 8 && len <= 16) {
        uint64_t head;
        uint64_t tail;
        memcpy(&head, run, 8);
        memcpy(&tail, run_end - 8, 8);
        memcpy(out, &head, 8);
        memcpy(out + len - 8, &tail, 8);
    } else if (len < 8) {
        for (size_t i = 0; i < len; i++) {
            out[i] = run[i];
        }
    } else {
        memmove(out, run, len);
    }
    return out + len;
}

static ALWAYS_INLINE char *skip_space(char *cursor)
{
    if ((unsigned char)*cursor > ' ') {
        return cursor; /* most sources send none */
    }
    while (*cursor == ' ' || *cursor == '\n' || *cursor == '\r' || *cursor == '\t') {
        cursor++;
    }
    return cursor;
}

/* `behind` follows the closing quote. A name takes its colon along, so that a value is what follows
 * every name. */
static ALWAYS_INLINE enum json_token
end_string(struct json_pull *pull, char *behind, bool is_name, struct error *err)
{
    if (!is_name) {
        end_value(pull, behind);
        return JSON_STRING;
    }
    char *colon = skip_space(behind);
    if (*colon != ':') {
        return refuse_unexpected(pull, colon, "':' behind a member name", "an object", err);
    }
    pull->cursor = colon + 1;
    pull->state = STATE_VALUE;
    return JSON_NAME;
}

/* A string while its escapes are replaced where it lies. */
struct rewrite {
    char *out;       /* end of what is final */
    const char *run; /* begin of what follows it and needs no change */
};

/* The byte behind the escape at `cursor`, NULL with err set. `rewrite` is NULL to only check it. */
static char *
pass_escape(struct json_pull *pull, char *cursor, struct rewrite *rewrite, struct error *err)
{
    struct escape escape;
    if (!read_escape(pull, cursor, &escape, err)) {
        return NULL;
    }
    if (rewrite != NULL) {
        rewrite->out = move_run(rewrite->out, rewrite->run, cursor);
        memcpy(rewrite->out, escape.bytes, escape.len);
        rewrite->out += escape.len;
        rewrite->run = escape.after;
    }
    return escape.after;
}

/* The rest of a string that begins at `begin` and whose byte at `cursor` needs a closer look.
 * It ends the token itself, so that the short way through json_pull_next calls nothing. */
static enum json_token read_hard_string(struct json_pull *pull,
                                        char *begin,
                                        char *cursor,
                                        bool is_name,
                                        bool in_place,
                                        struct error *err)
{
    struct rewrite rewrite;
    rewrite.out = begin;
    rewrite.run = begin;
    while (*cursor != '"') {
        cursor = *cursor == '\\' ? pass_escape(pull, cursor, in_place ? &rewrite : NULL, err)
                                 : pass_utf8(pull, cursor, err);
        if (cursor == NULL) {
            return JSON_ERROR;
        }
        cursor = find_special(cursor, pull->end);
    }
    char *text_end = move_run(rewrite.out, rewrite.run, cursor);
    pull->text = (struct str){begin, (size_t)(text_end - begin)};
    return end_string(pull, cursor + 1, is_name, err);
}

/* The string whose opening quote is at `cursor`: sets text and has_nul. */
static ALWAYS_INLINE enum json_token
read_string(struct json_pull *pull, char *cursor, bool is_name, bool in_place, struct error *err)
{
    char *begin = cursor + 1;
    char *special = find_special(begin, pull->end);
    if (in_place) {
        pull->has_nul = false; /* a skip gathers it over all its strings */
    }
    if (*special == '"') {
        pull->text = (struct str){begin, (size_t)(special - begin)};
        return end_string(pull, special + 1, is_name, err);
    }
    return read_hard_string(pull, begin, special, is_name, in_place, err);
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* The byte behind at least one digit, NULL with err set. */
static char *skip_digits(struct json_pull *pull, char *cursor, struct error *err)
{
    if (!is_digit(*cursor)) {
        (void)refuse_unexpected(pull, cursor, "a digit of a number", "a number", err);
        return NULL;
    }
    while (is_digit(*cursor)) {
        cursor++;
    }
    return cursor;
}

static enum json_token read_number(struct json_pull *pull, char *cursor, struct error *err)
{
    char *begin = cursor;
    cursor += *cursor == '-';
    if (*cursor == '0' && is_digit(cursor[1])) {
        return refuse(pull, cursor, "a number has a leading zero", err);
    }
    cursor = skip_digits(pull, cursor, err);
    if (cursor != NULL && *cursor == '.') {
        cursor = skip_digits(pull, cursor + 1, err);
    }
    if (cursor != NULL && (*cursor == 'e' || *cursor == 'E')) {
        cursor++;
        cursor += *cursor == '+' || *cursor == '-';
        cursor = skip_digits(pull, cursor, err);
    }
    if (cursor == NULL) {
        return JSON_ERROR;
    }
    pull->text = (struct str){begin, (size_t)(cursor - begin)};
    end_value(pull, cursor);
    return JSON_NUMBER;
}

static enum json_token read_literal(struct json_pull *pull,
                                    char *cursor,
                                    const char *literal,
                                    enum json_token token,
                                    struct error *err)
{
    for (; *literal != '\0'; literal++, cursor++) {
        if (*cursor != *literal) {
            return refuse_unexpected(pull, cursor, "true, false or null", "true, false or null",
                                     err);
        }
    }
    end_value(pull, cursor);
    return token;
}

static enum json_token
open_container(struct json_pull *pull, char *cursor, bool is_object, struct error *err)
{
    if (pull->depth == JSON_PULL_DEPTH_MAX) {
        char why[80];
        (void)snprintf(why, sizeof(why), "nested deeper than the %d levels allowed",
                       JSON_PULL_DEPTH_MAX);
        return refuse(pull, cursor, why, err);
    }
    pull->depth++;
    pull->is_object_bits = pull->is_object_bits << 1 | is_object;
    pull->cursor = cursor + 1;
    pull->state = is_object ? STATE_FIRST_NAME : STATE_FIRST_ELEMENT;
    return is_object ? JSON_OBJECT_BEGIN : JSON_ARRAY_BEGIN;
}

/* `cursor` must be on the bracket that closes the innermost level. */
static enum json_token close_container(struct json_pull *pull, char *cursor, struct error *err)
{
    bool is_object = in_object(pull);
    if (*cursor != (is_object ? '}' : ']')) {
        return refuse_unexpected(pull, cursor, is_object ? "',' or '}'" : "',' or ']'",
                                 container_name(pull), err);
    }
    pull->depth--;
    pull->is_object_bits >>= 1;
    end_value(pull, cursor + 1);
    return is_object ? JSON_OBJECT_END : JSON_ARRAY_END;
}

static enum json_token read_other_value(struct json_pull *pull, char *cursor, struct error *err)
{
    switch (*cursor) {
    case '{':
        return open_container(pull, cursor, true, err);
    case '[':
        return open_container(pull, cursor, false, err);
    case 't':
        return read_literal(pull, cursor, "true", JSON_TRUE, err);
    case 'f':
        return read_literal(pull, cursor, "false", JSON_FALSE, err);
    case 'n':
        return read_literal(pull, cursor, "null", JSON_NULL, err);
    default:
        return *cursor == '-' || is_digit(*cursor) ? read_number(pull, cursor, err)
                                                   : refuse_value(pull, cursor, err);
    }
}

static ALWAYS_INLINE enum json_token
read_value(struct json_pull *pull, char *cursor, bool in_place, struct error *err)
{
    return *cursor == '"' ? read_string(pull, cursor, false, in_place, err)
                          : read_other_value(pull, cursor, err);
}

static ALWAYS_INLINE enum json_token
read_name(struct json_pull *pull, char *cursor, bool in_place, struct error *err)
{
    return *cursor == '"'
               ? read_string(pull, cursor, true, in_place, err)
               : refuse_unexpected(pull, cursor, "a member name in quotes", "an object", err);
}

static enum json_token finish(struct json_pull *pull, char *cursor, struct error *err)
{
    if (cursor != pull->end) {
        return refuse_unexpected(pull, cursor, "the end of the document", "it", err);
    }
    pull->cursor = cursor;
    pull->state = STATE_END;
    return JSON_END;
}

static ALWAYS_INLINE enum json_token
advance(struct json_pull *pull, bool in_place, struct error *err)
{
    char *cursor = skip_space(pull->cursor);
    /* Names and their values take turns: told apart by a branch that is foreseen, not by a table.
     */
    if (pull->state == STATE_VALUE) {
        return read_value(pull, cursor, in_place, err);
    }
    switch ((enum pull_state)pull->state) {
    case STATE_VALUE:
        break;
    case STATE_AFTER_MEMBER:
        return *cursor == ',' ? read_name(pull, skip_space(cursor + 1), in_place, err)
                              : close_container(pull, cursor, err);
    case STATE_AFTER_ELEMENT:
        return *cursor == ',' ? read_value(pull, skip_space(cursor + 1), in_place, err)
                              : close_container(pull, cursor, err);
    case STATE_FIRST_NAME:
        return *cursor == '}' ? close_container(pull, cursor, err)
                              : read_name(pull, cursor, in_place, err);
    case STATE_FIRST_ELEMENT:
        return *cursor == ']' ? close_container(pull, cursor, err)
                              : read_value(pull, cursor, in_place, err);
    case STATE_AFTER_ROOT:
        return finish(pull, cursor, err);
    case STATE_END:
        return JSON_END;
    case STATE_FAILED:
        return refuse_again(pull, err);
    }
    __builtin_unreachable();
}

/* Where the value begins that advance() is about to read. */
static char *find_value(const struct json_pull *pull)
{
    char *cursor = skip_space(pull->cursor);
    if (pull->state == STATE_AFTER_ELEMENT && *cursor == ',') {
        cursor = skip_space(cursor + 1);
    }
    return cursor;
}

void json_pull_init(struct json_pull *pull, char *document, size_t document_len)
{
    if (document[document_len] != '\0') { /* the empty buffer's byte is shared: do not write it */
        document[document_len] = '\0';
    }
    *pull = (struct json_pull){
        .start = document,
        .cursor = document,
        .end = document + document_len,
        .state = STATE_VALUE,
    };
}

enum json_token json_pull_next(struct json_pull *pull, struct error *err)
{
    return advance(pull, true, err);
}

bool json_pull_skip(struct json_pull *pull, struct str *ret_raw, struct error *err)
{
    /* Elsewhere a name or the end comes next: only a caller that lost count asks for a value. */
    assert(pull->state == STATE_VALUE || pull->state == STATE_FIRST_ELEMENT ||
           pull->state == STATE_AFTER_ELEMENT || pull->state == STATE_FAILED);

    char *begin = find_value(pull);
    uint8_t depth = pull->depth;
    pull->has_nul = false;
    enum json_token token = advance(pull, false, err);
    if (token == JSON_ARRAY_END) {
        return refuse_value(pull, begin, err) != JSON_ERROR;
    }
    while (token != JSON_ERROR && pull->depth > depth) {
        token = advance(pull, false, err);
    }
    if (token == JSON_ERROR) {
        return false;
    }
    *ret_raw = (struct str){begin, (size_t)(pull->cursor - begin)};
    return true;
}

size_t json_pull_offset(const struct json_pull *pull)
{
    return (size_t)(pull->cursor - pull->start);
}
