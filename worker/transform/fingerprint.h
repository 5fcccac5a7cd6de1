#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "worker/transform/row.h"

/*
 * A fingerprint of a set of rows: how many there are, and two sums without carry over the hashes of
 * their content, keys included. It does not depend on their order, and that of two sets together
 * can be made from those of both. Pure.
 *
 * PostgreSQL makes the same of a landed table (FINGERPRINT_SQL), with its hash_bytes_extended()
 * (src/common/hashfn.c, Bob Jenkins' lookup3 with a seed), which is made here for little-endian
 * machines. Should the two ever differ, sets that are equal look different, never the reverse.
 */

struct fingerprint {
    int64_t n_rows;
    int64_t n_hashed; /* rows with a hash; one that was edited by hand has none */
    uint64_t sums[2];
};

/* Four columns over the alias' etl_hash, in the order of the members. */
#define FINGERPRINT_SQL(alias)                                                                     \
    "count(*), count(" alias ".etl_hash),"                                                         \
    " coalesce(bit_xor(uuid_hash_extended(" alias ".etl_hash, 0)), 0),"                            \
    " coalesce(bit_xor(uuid_hash_extended(" alias ".etl_hash, 1)), 0)"

/* A row whose hash has ROW_HASH_BYTES at `hash`. */
void fingerprint_add(struct fingerprint *print, const char *hash);

/* As if every row of `more` had been added. */
void fingerprint_join(struct fingerprint *print, const struct fingerprint *more);

bool fingerprint_equal(const struct fingerprint *a, const struct fingerprint *b);
