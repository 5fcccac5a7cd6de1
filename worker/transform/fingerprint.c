#include "worker/transform/fingerprint.h"

#include <string.h>

enum { WORDS = ROW_HASH_BYTES / sizeof(uint32_t) };

struct state {
    uint32_t a, b, c;
};

static uint32_t rotate(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

static void mix(struct state *s)
{
    s->a = (s->a - s->c) ^ rotate(s->c, 4);
    s->c += s->b;
    s->b = (s->b - s->a) ^ rotate(s->a, 6);
    s->a += s->c;
    s->c = (s->c - s->b) ^ rotate(s->b, 8);
    s->b += s->a;
    s->a = (s->a - s->c) ^ rotate(s->c, 16);
    s->c += s->b;
    s->b = (s->b - s->a) ^ rotate(s->a, 19);
    s->a += s->c;
    s->c = (s->c - s->b) ^ rotate(s->b, 4);
    s->b += s->a;
}

static void finish(struct state *s)
{
    s->c = (s->c ^ s->b) - rotate(s->b, 14);
    s->a = (s->a ^ s->c) - rotate(s->c, 11);
    s->b = (s->b ^ s->a) - rotate(s->a, 25);
    s->c = (s->c ^ s->b) - rotate(s->b, 16);
    s->a = (s->a ^ s->c) - rotate(s->c, 4);
    s->b = (s->b ^ s->a) - rotate(s->a, 14);
    s->c = (s->c ^ s->b) - rotate(s->b, 24);
}

/* hash_bytes_extended(hash, 16, seed) */
static uint64_t hash_of_hash(const uint32_t words[WORDS], uint32_t seed)
{
    uint32_t start = UINT32_C(0x9e3779b9) + ROW_HASH_BYTES + 3923095;
    struct state s = {start, start, start};
    if (seed != 0) {
        s.b += seed;
        mix(&s);
    }
    s.a += words[0];
    s.b += words[1];
    s.c += words[2];
    mix(&s);
    s.a += words[3];
    finish(&s);
    return (uint64_t)s.b << 32 | s.c;
}

void fingerprint_add(struct fingerprint *print, const char *hash)
{
    uint32_t words[WORDS];
    memcpy(words, hash, sizeof(words));
    print->n_rows++;
    print->n_hashed++;
    for (uint32_t i = 0; i < ARRAY_SIZE(print->sums); i++) {
        print->sums[i] ^= hash_of_hash(words, i);
    }
}

void fingerprint_join(struct fingerprint *print, const struct fingerprint *more)
{
    print->n_rows += more->n_rows;
    print->n_hashed += more->n_hashed;
    for (size_t i = 0; i < ARRAY_SIZE(print->sums); i++) {
        print->sums[i] ^= more->sums[i];
    }
}

bool fingerprint_equal(const struct fingerprint *a, const struct fingerprint *b)
{
    return a->n_rows == b->n_rows && a->n_hashed == b->n_hashed && a->sums[0] == b->sums[0] &&
           a->sums[1] == b->sums[1];
}
