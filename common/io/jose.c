#include "common/io/jose.h"

#include <string.h>

#include <cjose/cjose.h>

#include "common/base/alloc.h"

#define P256_BYTES         32
#define EXPONENT_BYTES_MAX 4
#define SECRET_BYTES_MAX   4096

struct jose_key {
    enum jose_alg alg;
    cjose_jwk_t *jwk;
    size_t signature_bytes;
};

static const char *const alg_names[] = {
    [JOSE_RS256] = "RS256", [JOSE_ES256] = "ES256", [JOSE_HS256] = "HS256"};

const char *jose_alg_name(enum jose_alg alg)
{
    return alg_names[alg];
}

bool jose_alg_parse(struct str name, enum jose_alg *ret_alg)
{
    for (size_t i = 0; i < ARRAY_SIZE(alg_names); i++) {
        if (str_equal_c(name, alg_names[i])) {
            *ret_alg = (enum jose_alg)i;
            return true;
        }
    }
    return false;
}

void jose_key_free(struct jose_key *key)
{
    if (key != NULL) {
        (void)cjose_jwk_release(key->jwk);
        xfree(key);
    }
}

static struct jose_key *take_jwk(cjose_jwk_t *jwk, enum jose_alg alg, size_t signature_bytes)
{
    struct jose_key *key = XNEW(struct jose_key);
    key->alg = alg;
    key->jwk = jwk;
    key->signature_bytes = signature_bytes;
    return key;
}

/* cjose wants writable memory, and does not write to it. */
static uint8_t *bytes_of(struct str bytes)
{
    return (uint8_t *)(uintptr_t)bytes.ptr;
}

static size_t bit_length(struct str number)
{
    size_t skip = 0;
    while (skip < number.len && number.ptr[skip] == '\0') {
        skip++;
    }
    if (skip == number.len) {
        return 0;
    }
    size_t bits = (number.len - skip - 1) * 8;
    for (unsigned top = (unsigned char)number.ptr[skip]; top > 0; top >>= 1) {
        bits++;
    }
    return bits;
}

static bool is_odd(struct str number)
{
    return number.len > 0 && ((unsigned char)number.ptr[number.len - 1] & 1) != 0;
}

struct jose_key *jose_key_rsa(struct str modulus, struct str exponent, struct error *err)
{
    size_t bits = bit_length(modulus);
    if (bits < JOSE_RSA_BITS_MIN || bits > JOSE_RSA_BITS_MAX || !is_odd(modulus)) {
        (void)error_set(err, ERROR_DATA,
                        "the RSA modulus has %zu bits; it must be odd, of %d to %d", bits,
                        JOSE_RSA_BITS_MIN, JOSE_RSA_BITS_MAX);
        return NULL;
    }
    if (exponent.len > EXPONENT_BYTES_MAX || bit_length(exponent) < 2 || !is_odd(exponent)) {
        (void)error_set(err, ERROR_DATA, "the RSA exponent must be odd, from 3 to 32 bits");
        return NULL;
    }
    cjose_jwk_rsa_keyspec spec = {
        .n = bytes_of(modulus), .nlen = modulus.len, .e = bytes_of(exponent), .elen = exponent.len};
    cjose_err fault = {0};
    cjose_jwk_t *jwk = cjose_jwk_create_RSA_spec(&spec, &fault);
    if (jwk == NULL) {
        (void)error_set(err, ERROR_DATA, "no RSA key (%s)", fault.message);
        return NULL;
    }
    return take_jwk(jwk, JOSE_RS256, (bits + 7) / 8);
}

struct jose_key *jose_key_p256(struct str x, struct str y, struct error *err)
{
    if (x.len != P256_BYTES || y.len != P256_BYTES) {
        (void)error_set(err, ERROR_DATA, "a coordinate on P-256 has %d bytes, not %zu and %zu",
                        P256_BYTES, x.len, y.len);
        return NULL;
    }
    cjose_jwk_ec_keyspec spec = {.crv = CJOSE_JWK_EC_P_256,
                                 .x = bytes_of(x),
                                 .xlen = x.len,
                                 .y = bytes_of(y),
                                 .ylen = y.len};
    cjose_err fault = {0};
    cjose_jwk_t *jwk = cjose_jwk_create_EC_spec(&spec, &fault);
    if (jwk == NULL) {
        (void)error_set(err, ERROR_DATA, "the point is not on the curve P-256");
        return NULL;
    }
    return take_jwk(jwk, JOSE_ES256, (size_t)2 * P256_BYTES);
}

struct jose_key *jose_key_secret(struct str secret, struct error *err)
{
    if (secret.len < JOSE_SECRET_BYTES_MIN || secret.len > SECRET_BYTES_MAX) {
        (void)error_set(err, ERROR_DATA, "the secret has %zu bytes; HS256 needs %d to %d",
                        secret.len, JOSE_SECRET_BYTES_MIN, SECRET_BYTES_MAX);
        return NULL;
    }
    cjose_err fault = {0};
    cjose_jwk_t *jwk = cjose_jwk_create_oct_spec((const uint8_t *)secret.ptr, secret.len, &fault);
    if (jwk == NULL) {
        (void)error_set(err, ERROR_DATA, "no symmetric key (%s)", fault.message);
        return NULL;
    }
    return take_jwk(jwk, JOSE_HS256, P256_BYTES);
}

enum jose_alg jose_key_alg(const struct jose_key *key)
{
    return key->alg;
}

size_t jose_signature_bytes(const struct jose_key *key)
{
    return key->signature_bytes;
}

bool jose_verify(const struct jose_key *key, struct str token)
{
    cjose_err fault = {0};
    cjose_jws_t *jws = cjose_jws_import(token.ptr, token.len, &fault);
    if (jws == NULL) {
        return false;
    }
    /* cjose takes the algorithm from here: it must be the key's in cjose's own reading too. */
    cjose_header_t *head = cjose_jws_get_protected(jws);
    const char *alg = head != NULL ? cjose_header_get(head, CJOSE_HDR_ALG, &fault) : NULL;
    bool is_good = alg != NULL && strcmp(alg, alg_names[key->alg]) == 0 &&
                   cjose_jws_verify(jws, key->jwk, &fault);
    cjose_jws_release(jws);
    return is_good;
}
