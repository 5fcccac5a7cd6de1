#include "api/guard/credential.h"

#include <string.h>

#include "api/guard/keys.h"
#include "common/io/crypto.h"

static const struct credential other = {.kind = CREDENTIAL_OTHER};

/* RFC 6750: b64token. */
static bool is_token(struct str text)
{
    static const char marks[] = "-._~+/";
    size_t i = 0;
    for (; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_alphanumeric =
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_alphanumeric && (c == '\0' || strchr(marks, c) == NULL)) {
            break;
        }
    }
    size_t n_good = i;
    while (i < text.len && text.ptr[i] == '=') {
        i++;
    }
    return n_good > 0 && i == text.len;
}

static bool is_api_key(struct str text)
{
    return str_starts_with(text, STR_LITERAL(KEY_PREFIX));
}

static struct str keep(const struct request *request, const struct buf *text)
{
    const char *kept = arena_strndup(request->arena, text->ptr, text->len);
    return kept != NULL ? (struct str){kept, text->len} : STR_NONE;
}

static struct credential read_bearer(const struct request *request, struct str token)
{
    if (!is_token(token)) {
        return other;
    }
    if (is_api_key(token)) {
        return (struct credential){.kind = CREDENTIAL_MISPLACED};
    }
    struct buf value CLEANUP(buf_release) = {0};
    buf_init(&value, CREDENTIAL_BYTES_MAX + 16);
    buf_add_c(&value, "Bearer ");
    buf_add_str(&value, token);
    struct credential credential = {CREDENTIAL_BEARER, token, keep(request, &value)};
    return credential.authorization.ptr != NULL ? credential : other;
}

/* Padded standard base64, canonical; by way of the decoder for the other alphabet. */
static bool decode_base64(struct str text, struct buf *out)
{
    struct buf url CLEANUP(buf_release) = {0};
    buf_init(&url, CREDENTIAL_BYTES_MAX);
    size_t n_padding = 0;
    while (n_padding < 2 && n_padding < text.len && text.ptr[text.len - 1 - n_padding] == '=') {
        n_padding++;
    }
    for (size_t i = 0; i < text.len - n_padding; i++) {
        char c = text.ptr[i];
        if (c == '-' || c == '_') {
            return false;
        }
        c = c == '+' ? '-' : c;
        buf_add_char(&url, c == '/' ? '_' : c);
    }
    return text.len % 4 == 0 && crypto_base64url_decode(buf_str(&url), out);
}

static bool is_printable(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 127) {
            return false;
        }
    }
    return text.len > 0;
}

static struct credential read_basic(const struct request *request, struct str text)
{
    struct buf pair CLEANUP(buf_release) = {0};
    buf_init(&pair, CREDENTIAL_BYTES_MAX);
    struct credential credential = other;
    if (decode_base64(text, &pair)) {
        struct str password = buf_str(&pair);
        struct str user = str_cut(&password, ':');
        if (is_api_key(password) || is_api_key(user)) {
            credential.kind = CREDENTIAL_MISPLACED;
        } else if (user.len == 0 && is_printable(password)) {
            struct buf value CLEANUP(buf_release) = {0};
            buf_init(&value, 2UL * CREDENTIAL_BYTES_MAX);
            buf_add_c(&value, "Basic ");
            crypto_base64(buf_str(&pair), &value);
            credential.authorization = keep(request, &value);
            credential.text = credential.authorization;
            credential.kind = credential.text.ptr != NULL ? CREDENTIAL_BASIC : CREDENTIAL_OTHER;
        }
    }
    return credential;
}

static struct credential read_authorization(const struct request *request)
{
    struct str value = str_trim(request_header(request, "Authorization"));
    if (value.len > CREDENTIAL_BYTES_MAX + 8) {
        return other;
    }
    struct str rest = value;
    struct str scheme = str_cut(&rest, ' ');
    rest = str_trim(rest);
    if (str_equal_nocase(scheme, STR_LITERAL("Bearer"))) {
        return read_bearer(request, rest);
    }
    return str_equal_nocase(scheme, STR_LITERAL("Basic")) ? read_basic(request, rest) : other;
}

struct credential credential_read(const struct request *request)
{
    size_t n_keys = request_header_count(request, "X-API-Key");
    size_t n_others = request_header_count(request, "Authorization");
    if (n_keys + n_others > 1) {
        return (struct credential){.kind = CREDENTIAL_AMBIGUOUS};
    }
    if (n_keys == 1) {
        return (struct credential){.kind = CREDENTIAL_KEY,
                                   .text = request_header(request, "X-API-Key")};
    }
    if (n_others == 1) {
        return read_authorization(request);
    }
    return (struct credential){.kind = CREDENTIAL_NONE};
}
