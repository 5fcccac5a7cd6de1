#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/str.h"

/* The wrapper of OpenSSL's libcrypto: digests, comparison in constant time, base64. */

#define SHA256_BYTES 32

void crypto_sha256(struct str data, uint8_t out[SHA256_BYTES]);
void crypto_hmac_sha256(struct str key, struct str data, uint8_t out[SHA256_BYTES]);
bool crypto_equal(const void *a, const void *b, size_t len);    /* constant time */
void crypto_base64(struct str data, struct buf *out);           /* RFC 4648 section 4, padded */
void crypto_base64url(struct str data, struct buf *out);        /* section 5, unpadded */
bool crypto_base64url_decode(struct str text, struct buf *out); /* strict; false if malformed */
void crypto_hex(struct str data, struct buf *out);              /* lower case */
