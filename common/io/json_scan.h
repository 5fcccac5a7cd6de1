#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__) && !defined(JSON_PULL_PORTABLE)
#include <emmintrin.h>
#define JSON_SCAN_SSE2 1
#else
#define JSON_SCAN_SSE2 0
#endif

/*
 * How json_pull.c looks at the bytes of a string: private to it. The wide scan has an SSE2 and a
 * portable form that must agree; JSON_PULL_PORTABLE chooses the second where both would do, for
 * the tests and the benchmark.
 *
 * Everything here relies on the NUL behind the document: no scan passes it.
 */

static inline bool is_plain(char byte)
{
    unsigned char value = (unsigned char)byte;
    return value >= 0x20 && value < 0x80 && value != '"' && value != '\\';
}

static inline char *find_special_bytewise(char *cursor)
{
    while (is_plain(*cursor)) {
        cursor++;
    }
    return cursor;
}

/* A two-byte sequence of UTF-8 begins so. */
static inline bool is_pair_lead(char byte)
{
    unsigned char value = (unsigned char)byte;
    return value >= 0xc2 && value < 0xe0;
}

/* The first byte of a string that needs a look: a quote, a backslash, a control character (the NUL
 * at `end` at the latest) or a byte above 0x7f. The wide scan passes valid UTF-8 sequences of two
 * bytes, which accented texts are full of; one it stops at may be of any kind, valid or not. */
static inline char *find_special(char *cursor, const char *end);

#if JSON_SCAN_SSE2

/* The bytes of valid two-byte sequences that are whole within the block. */
static inline unsigned pairs_in(__m128i block)
{
    __m128i is_lead = _mm_and_si128(_mm_cmpgt_epi8(block, _mm_set1_epi8((char)0xc1)),
                                    _mm_cmplt_epi8(block, _mm_set1_epi8((char)0xe0)));
    __m128i is_rest = _mm_cmplt_epi8(block, _mm_set1_epi8((char)0xc0));
    unsigned leads = (unsigned)_mm_movemask_epi8(is_lead);
    unsigned rests = (unsigned)_mm_movemask_epi8(is_rest);
    unsigned first = leads & rests >> 1;
    return first | first << 1;
}

static inline char *find_special(char *cursor, const char *end)
{
    while (end - cursor >= 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)cursor);
        /* Signed and saturating: what ends up negative is a control character or above 0x7f. */
        __m128i special = _mm_subs_epi8(block, _mm_set1_epi8(0x20));
        special = _mm_or_si128(special, _mm_cmpeq_epi8(block, _mm_set1_epi8('"')));
        special = _mm_or_si128(special, _mm_cmpeq_epi8(block, _mm_set1_epi8('\\')));
        unsigned mask = (unsigned)_mm_movemask_epi8(special);
        if (mask != 0 && _mm_movemask_epi8(block) != 0) {
            mask &= ~pairs_in(block);
            if (mask == 0x8000 && is_pair_lead(cursor[15])) {
                cursor += 15; /* it is looked at with what follows */
                continue;
            }
        }
        if (mask != 0) {
            return cursor + (unsigned)__builtin_ctz(mask);
        }
        cursor += 16;
    }
    return find_special_bytewise(cursor);
}

#else

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Sets the high bit of every byte of `word` that is zero; a borrow may also set one above it. */
static inline uint64_t zero_bytes(uint64_t word)
{
    return (word - EACH_BYTE(0x01)) & ~word & EACH_BYTE(0x80);
}

static inline char *find_special(char *cursor, const char *end)
{
    while (end - cursor >= 8) {
        uint64_t word;
        memcpy(&word, cursor, sizeof(word));
        uint64_t control = (word - EACH_BYTE(0x20)) & ~word & EACH_BYTE(0x80);
        uint64_t above_ascii = word & EACH_BYTE(0x80);
        uint64_t quotes = zero_bytes(word ^ EACH_BYTE('"'));
        uint64_t backslashes = zero_bytes(word ^ EACH_BYTE('\\'));
        /* Which byte it is depends on the byte order, and borrows blur it: look at them singly. */
        if ((control | above_ascii | quotes | backslashes) != 0) {
            break;
        }
        cursor += 8;
    }
    return find_special_bytewise(cursor);
}

#endif

static inline bool is_between(char byte, unsigned char low, unsigned char high)
{
    return (unsigned char)byte >= low && (unsigned char)byte <= high;
}

static inline bool is_continuation(char byte)
{
    return is_between(byte, 0x80, 0xbf);
}

/* The length of the UTF-8 sequence that starts above 0x7f at `cursor`, 0 if RFC 3629 has no such
 * sequence. Never reads past the NUL at the end: it is no continuation byte. */
static inline size_t utf8_sequence_len(const char *cursor)
{
    unsigned char lead = (unsigned char)*cursor;
    if (lead < 0xc2) {
        return 0; /* a continuation byte, or an overlong form of ASCII */
    }
    if (lead < 0xe0) {
        return is_continuation(cursor[1]) ? 2 : 0;
    }
    if (lead < 0xf0) {
        unsigned char low = lead == 0xe0 ? 0xa0 : 0x80;  /* overlong below */
        unsigned char high = lead == 0xed ? 0x9f : 0xbf; /* surrogates above */
        return is_between(cursor[1], low, high) && is_continuation(cursor[2]) ? 3 : 0;
    }
    if (lead < 0xf5) {
        unsigned char low = lead == 0xf0 ? 0x90 : 0x80;  /* overlong below */
        unsigned char high = lead == 0xf4 ? 0x8f : 0xbf; /* beyond U+10FFFF above */
        return is_between(cursor[1], low, high) && is_continuation(cursor[2]) &&
                       is_continuation(cursor[3])
                   ? 4
                   : 0;
    }
    return 0;
}
