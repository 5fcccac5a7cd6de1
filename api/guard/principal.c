#include "api/guard/principal.h"

#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/io/crypto.h"

#define ID_DIGEST_BYTES   16
#define NAME_DIGEST_BYTES 4

static const char *const prefixes[] = {[PRINCIPAL_ANONYMOUS] = "",
                                       [PRINCIPAL_KEY] = "key:",
                                       [PRINCIPAL_JWT] = "jwt:",
                                       [PRINCIPAL_AZURE] = "azure:"};

static void identity_hex(struct str realm, struct str identity, char out[2 * SHA256_BYTES + 1])
{
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, 4096);
    buf_addf(&text, "%zu:", realm.len); /* or "ab" + "c" would be "a" + "bc" */
    buf_add_str(&text, realm);
    buf_add_str(&text, identity);
    uint8_t digest[SHA256_BYTES];
    crypto_sha256(buf_str(&text), digest);
    struct buf hex CLEANUP(buf_release) = {0};
    buf_init(&hex, 2 * sizeof(digest));
    crypto_hex((struct str){(const char *)digest, sizeof(digest)}, &hex);
    memcpy(out, hex.ptr, hex.len + 1);
}

/* Printable ASCII, and whole characters beyond it but the control characters U+0080 to U+009F.
 * *ret_changed: something was replaced. */
static void add_visible(struct buf *out, struct str text, bool *ret_changed)
{
    while (text.len > 0) {
        size_t step = str_utf8_step(text);
        unsigned char first = (unsigned char)text.ptr[0];
        unsigned char second = step > 1 ? (unsigned char)text.ptr[1] : 0;
        bool is_control = first < ' ' || first == 127 || (first == 0xc2 && second < 0xa0);
        if (step == 0 || is_control) {
            buf_add_char(out, '?');
            *ret_changed = true;
            step = step > 0 ? step : 1;
        } else {
            buf_add(out, text.ptr, step);
        }
        text.ptr += step;
        text.len -= step;
    }
}

void principal_set(struct principal *principal,
                   enum principal_kind kind,
                   struct str who,
                   struct str realm,
                   struct str identity)
{
    char hex[2 * SHA256_BYTES + 1];
    identity_hex(realm, identity, hex);
    principal->kind = kind;
    (void)snprintf(principal->id, sizeof(principal->id), "%s%.*s", prefixes[kind],
                   2 * ID_DIGEST_BYTES, hex);
    bool is_changed = false;
    struct buf name CLEANUP(buf_release) = {0};
    buf_init(&name, 4096);
    buf_add_c(&name, prefixes[kind]);
    add_visible(&name, who, &is_changed);
    if (!is_changed && name.len <= PRINCIPAL_NAME_MAX) {
        memcpy(principal->name, name.ptr, name.len + 1);
        return;
    }
    struct str kept = str_shorten(buf_str(&name), PRINCIPAL_NAME_MAX - 1 - 2 * NAME_DIGEST_BYTES);
    (void)snprintf(principal->name, sizeof(principal->name), "%.*s~%.*s", STR_ARG(kept),
                   2 * NAME_DIGEST_BYTES, hex);
}

const char *principal_key_name(const struct principal *principal)
{
    return principal->name + strlen(prefixes[principal->kind]);
}
