#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "common/base/buf.h"
#include "common/io/crypto.h"

/*
 * The other side of a token for tests: keys made at run time, their JWKs, and signatures, right or
 * wrong, by OpenSSL directly and not by the code under test.
 */

struct signer {
    EVP_PKEY *key;
    const char *kid;
    char jwk[1400];
};

static inline struct str
signer_number(EVP_PKEY *key, const char *param, size_t width, struct buf *out)
{
    BIGNUM *number = NULL;
    int ok = EVP_PKEY_get_bn_param(key, param, &number);
    assert(ok == 1);
    unsigned char bytes[1024];
    int len = width > 0 ? BN_bn2binpad(number, bytes, (int)width) : BN_bn2bin(number, bytes);
    assert(len > 0);
    BN_free(number);
    buf_init(out, 4096);
    crypto_base64url((struct str){(const char *)bytes, (size_t)len}, out);
    return buf_str(out);
}

static inline void signer_init_rsa(struct signer *signer, const char *kid, unsigned bits)
{
    struct buf n;
    struct buf e;
    signer->key = EVP_RSA_gen(bits);
    assert(signer->key != NULL);
    signer->kid = kid;
    (void)signer_number(signer->key, OSSL_PKEY_PARAM_RSA_N, 0, &n);
    (void)signer_number(signer->key, OSSL_PKEY_PARAM_RSA_E, 0, &e);
    (void)snprintf(signer->jwk, sizeof(signer->jwk),
                   "{\"kty\":\"RSA\",\"kid\":\"%s\",\"n\":\"%s\",\"e\":\"%s\"}", kid, n.ptr, e.ptr);
    buf_release(&n);
    buf_release(&e);
}

/* curve: "P-256", "P-384" */
static inline void signer_init_ec(struct signer *signer, const char *kid, const char *curve)
{
    size_t width = strcmp(curve, "P-256") == 0 ? 32 : 48;
    struct buf x;
    struct buf y;
    signer->key = EVP_EC_gen(curve);
    assert(signer->key != NULL);
    signer->kid = kid;
    (void)signer_number(signer->key, OSSL_PKEY_PARAM_EC_PUB_X, width, &x);
    (void)signer_number(signer->key, OSSL_PKEY_PARAM_EC_PUB_Y, width, &y);
    (void)snprintf(signer->jwk, sizeof(signer->jwk),
                   "{\"kty\":\"EC\",\"crv\":\"%s\",\"kid\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}",
                   curve, kid, x.ptr, y.ptr);
    buf_release(&x);
    buf_release(&y);
}

static inline void signer_release(struct signer *signer)
{
    EVP_PKEY_free(signer->key);
}

/* ECDSA: DER as OpenSSL makes it, or raw r and s as RFC 7518 wants it. */
static inline void signer_to_raw(unsigned char *signature, size_t *len, size_t width)
{
    const unsigned char *cursor = signature;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &cursor, (long)*len);
    assert(pair != NULL);
    unsigned char raw[128];
    (void)BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, (int)width);
    (void)BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + width, (int)width);
    ECDSA_SIG_free(pair);
    memcpy(signature, raw, 2 * width);
    *len = 2 * width;
}

static inline void signer_add_segment(struct buf *token, const char *text)
{
    crypto_base64url(str_from(text), token);
    buf_add_char(token, '.');
}

enum signer_form { SIGNER_AS_RFC, SIGNER_DER };

/* head.claims.signature by the key's own kind with SHA-256. */
static inline void signer_sign(const struct signer *signer,
                               enum signer_form form,
                               const char *head,
                               const char *claims,
                               struct buf *token)
{
    buf_init(token, 64UL * 1024);
    signer_add_segment(token, head);
    crypto_base64url(str_from(claims), token);
    unsigned char signature[1024];
    size_t len = sizeof(signature);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int ok = EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, signer->key);
    assert(ok == 1);
    ok = EVP_DigestSign(context, signature, &len, (const unsigned char *)token->ptr, token->len);
    assert(ok == 1);
    EVP_MD_CTX_free(context);
    if (EVP_PKEY_get_base_id(signer->key) == EVP_PKEY_EC && form == SIGNER_AS_RFC) {
        signer_to_raw(signature, &len, (size_t)(EVP_PKEY_get_bits(signer->key) + 7) / 8);
    }
    buf_add_char(token, '.');
    crypto_base64url((struct str){(const char *)signature, len}, token);
}

static inline void
signer_hmac(struct str secret, const char *head, const char *claims, struct buf *token)
{
    uint8_t mac[SHA256_BYTES];
    buf_init(token, 64UL * 1024);
    signer_add_segment(token, head);
    crypto_base64url(str_from(claims), token);
    crypto_hmac_sha256(secret, buf_str(token), mac);
    buf_add_char(token, '.');
    crypto_base64url((struct str){(const char *)mac, sizeof(mac)}, token);
}
