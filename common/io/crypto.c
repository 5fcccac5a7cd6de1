#include "common/io/crypto.h"

#include <assert.h>
#include <limits.h>
#include <pthread.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static const char standard_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* libcrypto dislikes NULL even for nothing. */
static const unsigned char *bytes_of(struct str data)
{
    return data.len == 0 ? (const unsigned char *)"" : (const unsigned char *)data.ptr;
}

/* Fetched once: OpenSSL 3 otherwise searches its providers at each use, under a lock. The context
 * is each thread's own and used again: it takes longer to make than a short text to digest. */
static EVP_MD *sha256;
static pthread_key_t sha256_context;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void free_context(void *context)
{
    EVP_MD_CTX_free(context);
}

static void free_sha256(void)
{
    EVP_MD_free(sha256);
}

static void start_sha256(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    int failed = pthread_key_create(&sha256_context, free_context);
    assert(sha256 != NULL && failed == 0);
    OPENSSL_atexit(free_sha256);
}

void crypto_sha256(struct str data, uint8_t out[SHA256_BYTES])
{
    (void)pthread_once(&sha256_once, start_sha256);
    EVP_MD_CTX *context = pthread_getspecific(sha256_context);
    if (context == NULL) {
        context = EVP_MD_CTX_new();
        assert(context != NULL);
        (void)pthread_setspecific(sha256_context, context);
    }
    unsigned len = 0;
    bool ok = EVP_DigestInit_ex(context, sha256, NULL) == 1 &&
              EVP_DigestUpdate(context, bytes_of(data), data.len) == 1 &&
              EVP_DigestFinal_ex(context, out, &len) == 1;
    assert(ok && len == SHA256_BYTES);
}

void crypto_hmac_sha256(struct str key, struct str data, uint8_t out[SHA256_BYTES])
{
    assert(key.len <= INT_MAX);
    unsigned len = 0;
    const unsigned char *mac =
        HMAC(EVP_sha256(), bytes_of(key), (int)key.len, bytes_of(data), data.len, out, &len);
    assert(mac != NULL && len == SHA256_BYTES);
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
    return len == 0 || CRYPTO_memcmp(a, b, len) == 0;
}

static void encode_base64(struct str data, const char *alphabet, bool padded, struct buf *out)
{
    const unsigned char *in = bytes_of(data);
    for (size_t i = 0; i < data.len; i += 3) {
        size_t n = data.len - i < 3 ? data.len - i : 3;
        uint32_t group = (uint32_t)in[i] << 16;
        group |= n > 1 ? (uint32_t)in[i + 1] << 8 : 0;
        group |= n > 2 ? (uint32_t)in[i + 2] : 0;
        char quad[4];
        for (size_t k = 0; k < 4; k++) {
            quad[k] = k <= n ? alphabet[group >> (18 - 6 * k) & 63] : '=';
        }
        buf_add(out, quad, padded ? 4 : n + 1);
    }
}

void crypto_base64(struct str data, struct buf *out)
{
    encode_base64(data, standard_alphabet, true, out);
}

void crypto_base64url(struct str data, struct buf *out)
{
    encode_base64(data, url_alphabet, false, out);
}

static int url_digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == '-') {
        return 62;
    }
    return c == '_' ? 63 : -1;
}

bool crypto_base64url_decode(struct str text, struct buf *out)
{
    size_t start = out->len;
    uint32_t bits = 0;
    unsigned n_bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = url_digit(text.ptr[i]);
        if (digit < 0) {
            buf_truncate(out, start);
            return false;
        }
        bits = bits << 6 | (uint32_t)digit;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            buf_add_char(out, (char)(bits >> n_bits & 0xff));
        }
    }
    /* One spare digit encodes nothing, and spare bits that are set would make two texts of one
     * value. */
    if (text.len % 4 == 1 || (bits & ((1U << n_bits) - 1)) != 0) {
        buf_truncate(out, start);
        return false;
    }
    return true;
}

void crypto_hex(struct str data, struct buf *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = bytes_of(data);
    for (size_t i = 0; i < data.len; i++) {
        char pair[2] = {digits[in[i] >> 4], digits[in[i] & 15]};
        buf_add(out, pair, sizeof(pair));
    }
}
