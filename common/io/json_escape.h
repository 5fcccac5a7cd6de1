#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * What the escapes of a JSON string mean (RFC 8259, section 7): for json_pull.c, which inlines it.
 */

/* 0 to 15, -1 if it is no hex digit. */
static inline int json_hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Writes one to four bytes and returns how many; the code point is no surrogate and at most
 * 0x10ffff. */
static inline size_t json_encode_utf8(uint32_t code_point, char out[4])
{
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    size_t len = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    static const unsigned char lead_marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code_point & 0x3f));
        code_point >>= 6;
    }
    out[0] = (char)(lead_marks[len] | code_point);
    return len;
}

/* What the letter behind a backslash stands for, NUL if for nothing. */
static inline char json_escape_meaning(char letter)
{
    switch (letter) {
    case '"':
    case '\\':
    case '/':
        return letter;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return '\0';
    }
}
