#include "tests/sim/md5.h"

#include <stdint.h>
#include <string.h>

static const uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static uint32_t mix(int round, const uint32_t s[4], int *ret_word)
{
    switch (round / 16) {
    case 0:
        *ret_word = round;
        return (s[1] & s[2]) | (~s[1] & s[3]);
    case 1:
        *ret_word = (5 * round + 1) % 16;
        return (s[3] & s[1]) | (~s[3] & s[2]);
    case 2:
        *ret_word = (3 * round + 5) % 16;
        return s[1] ^ s[2] ^ s[3];
    default:
        *ret_word = 7 * round % 16;
        return s[2] ^ (s[1] | ~s[3]);
    }
}

static void absorb(uint32_t state[4], const unsigned char block[64])
{
    static const int turns[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t words[16];
    uint32_t s[4];

    memcpy(words, block, 64);
    memcpy(s, state, sizeof(s));
    for (int round = 0; round < 64; round++) {
        int word;
        uint32_t f = mix(round, s, &word) + s[0] + sines[round] + words[word];
        int turn = turns[round / 16][round % 4];

        s[0] = s[3];
        s[3] = s[2];
        s[2] = s[1];
        s[1] += f << turn | f >> (32 - turn);
    }
    for (int i = 0; i < 4; i++) {
        state[i] += s[i];
    }
}

void md5_hex(struct str text, char out[33])
{
    static const char digits[] = "0123456789abcdef";
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    unsigned char tail[128] = {0};
    size_t whole = text.len / 64 * 64;
    size_t rest = text.len - whole;
    size_t tail_len = rest < 56 ? 64 : 128;
    uint64_t bits = (uint64_t)text.len * 8;
    unsigned char bytes[16];

    for (size_t at = 0; at < whole; at += 64) {
        absorb(state, (const unsigned char *)text.ptr + at);
    }
    memcpy(tail, text.ptr + whole, rest);
    tail[rest] = 0x80;
    memcpy(tail + tail_len - 8, &bits, 8);
    for (size_t at = 0; at < tail_len; at += 64) {
        absorb(state, tail + at);
    }
    memcpy(bytes, state, 16);
    for (int i = 0; i < 16; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[32] = '\0';
}
