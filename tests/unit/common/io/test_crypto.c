#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/io/crypto.h"

static void expect_hex(const uint8_t *bytes, const char *hex)
{
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, 1024);
    crypto_hex((struct str){(const char *)bytes, SHA256_BYTES}, &text);
    assert_string_equal(text.ptr, hex);
}

static void sha256_agrees_with_fips_180(void **state)
{
    (void)state;
    uint8_t digest[SHA256_BYTES];
    crypto_sha256(STR_LITERAL("abc"), digest);
    expect_hex(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256(STR_NONE, digest);
    expect_hex(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void hmac_agrees_with_rfc_4231(void **state)
{
    (void)state;
    uint8_t mac[SHA256_BYTES];
    crypto_hmac_sha256(STR_LITERAL("Jefe"), STR_LITERAL("what do ya want for nothing?"), mac);
    expect_hex(mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    crypto_hmac_sha256(STR_NONE, STR_NONE, mac);
    expect_hex(mac, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static const struct {
    const char *plain;
    const char *padded;
    const char *url;
} vectors[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/", "-_-_"},
};

static void base64_agrees_with_rfc_4648_and_decodes_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        struct buf out CLEANUP(buf_release) = {0};
        buf_init(&out, 64);
        crypto_base64(str_from(vectors[i].plain), &out);
        assert_string_equal(out.ptr, vectors[i].padded);
        buf_reset(&out);
        crypto_base64url(str_from(vectors[i].plain), &out);
        assert_string_equal(out.ptr, vectors[i].url);
        buf_reset(&out);
        assert_true(crypto_base64url_decode(str_from(vectors[i].url), &out));
        assert_string_equal(out.ptr, vectors[i].plain);
    }
}

static void malformed_base64url_is_refused_and_adds_nothing(void **state)
{
    (void)state;
    const char *bad[] = {"Zg==", "Z", "Zm9vY", "Zm9v+", "Zm/v", "Zh", "Zm9", " Zg", "Zg\n"};
    struct buf out CLEANUP(buf_release) = {0};
    buf_init(&out, 64);
    buf_add_c(&out, "kept");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(crypto_base64url_decode(str_from(bad[i]), &out));
        assert_string_equal(out.ptr, "kept");
    }
}

static void equal_compares_every_byte(void **state)
{
    (void)state;
    assert_true(crypto_equal("abcd", "abcd", 4));
    assert_false(crypto_equal("abcd", "abce", 4));
    assert_false(crypto_equal("abcd", "bbcd", 4));
    assert_true(crypto_equal("a", "b", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_agrees_with_fips_180),
        cmocka_unit_test(hmac_agrees_with_rfc_4231),
        cmocka_unit_test(base64_agrees_with_rfc_4648_and_decodes_back),
        cmocka_unit_test(malformed_base64url_is_refused_and_adds_nothing),
        cmocka_unit_test(equal_compares_every_byte),
    };
    return cmocka_run_group_tests_name("crypto", tests, NULL, NULL);
}
