#include "api/guard/keys.h"

#include <stdio.h>
#include <string.h>

#include "api/http/router.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/io/db.h"

void key_generate(char out[KEY_LEN + 1])
{
    uint8_t secret[30];
    random_bytes(secret, sizeof(secret));
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, KEY_LEN);
    buf_add_c(&text, KEY_PREFIX);
    crypto_base64url((struct str){(const char *)secret, sizeof(secret)}, &text);
    memcpy(out, text.ptr, KEY_LEN + 1);
    explicit_bzero(text.ptr, text.len);
    explicit_bzero(secret, sizeof(secret));
}

bool key_is_well_formed(struct str text)
{
    if (text.len != KEY_LEN || !str_starts_with(text, STR_LITERAL(KEY_PREFIX))) {
        return false;
    }
    struct buf decoded CLEANUP(buf_release) = {0};
    buf_init(&decoded, KEY_LEN);
    size_t prefix = strlen(KEY_PREFIX);
    bool is_good =
        crypto_base64url_decode((struct str){text.ptr + prefix, text.len - prefix}, &decoded);
    explicit_bzero(decoded.ptr, decoded.len);
    return is_good;
}

static bool is_name_char(char c, bool is_first)
{
    bool is_alphanumeric =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return is_alphanumeric || (!is_first && (c == '.' || c == '_' || c == '-'));
}

bool key_name_is_valid(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_char(name.ptr[i], i == 0)) {
            return false;
        }
    }
    return name.len > 0 && name.len <= KEY_NAME_MAX && !str_equal_c(name, "anonymous");
}

/* As PostgreSQL writes and reads bytea. */
static void digest_text(const struct credential_digest *digest, struct buf *out)
{
    buf_add_c(out, "\\x");
    crypto_hex((struct str){(const char *)digest->bytes, sizeof(digest->bytes)}, out);
}

static unsigned scopes_from_text(struct str list)
{
    unsigned scopes = 0;
    while (list.ptr != NULL) {
        enum scope scope = SCOPE_NONE;
        if (scope_parse(str_cut(&list, ' '), &scope)) {
            scopes |= (unsigned)scope;
        }
    }
    return scopes;
}

enum key_result key_find(struct db *db,
                         const struct credential_digest *digest,
                         struct principal *ret_principal,
                         struct error *err)
{
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, 2 * SHA256_BYTES + 2);
    digest_text(digest, &text);
    struct db_result *result CLEANUP(db_result_freep) = db_query(
        db,
        "SELECT name, array_to_string(scopes, ' '), coalesce(per_minute, 0), "
        "key_hash::text FROM ops.api_key WHERE key_hash = $1::bytea AND revoked_at IS NULL",
        DB_PARAMS(text.ptr), err);
    if (result == NULL) {
        return KEY_ERROR;
    }
    if (db_rows(result) == 0 || db_str(result, 0, 3).len != text.len ||
        !crypto_equal(db_text(result, 0, 3), text.ptr, text.len)) {
        return KEY_UNKNOWN;
    }
    *ret_principal = (struct principal){.scopes = scopes_from_text(db_str(result, 0, 1)),
                                        .per_minute = db_int64(result, 0, 2)};
    principal_set(ret_principal, PRINCIPAL_KEY, db_str(result, 0, 0), STR_NONE,
                  db_str(result, 0, 0));
    return KEY_VALID;
}

void key_touch(struct db *db, const struct principal *principal)
{
    struct error err = ERROR_INIT;
    if (!db_execute(db,
                    "UPDATE ops.api_key SET last_used_at = clock_timestamp() WHERE name = $1 AND "
                    "(last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 "
                    "minute')",
                    DB_PARAMS(principal_key_name(principal)), NULL, &err)) {
        /* A role without UPDATE, or a standby: the key is good all the same. */
        log_debug("use of a key not noted", LOG_TEXT("error", err.msg));
    }
}

bool key_insert(struct db *db,
                const char *name,
                const struct credential_digest *digest,
                unsigned scopes,
                int64_t per_minute,
                struct error *err)
{
    struct buf hash CLEANUP(buf_release) = {0};
    buf_init(&hash, 2 * SHA256_BYTES + 2);
    digest_text(digest, &hash);
    struct buf list CLEANUP(buf_release) = {0};
    buf_init(&list, 128);

    static const enum scope all[] = {SCOPE_READ, SCOPE_ADMIN, SCOPE_OBSERVABILITY};

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if ((scopes & (unsigned)all[i]) != 0) {
            buf_addf(&list, "%s%s", list.len == 0 ? "" : " ", scope_name(all[i]));
        }
    }
    char limit[24];
    (void)snprintf(limit, sizeof(limit), "%lld", (long long)per_minute);
    int64_t n_rows = 0;
    if (!db_execute(db,
                    "INSERT INTO ops.api_key (name, key_hash, scopes, per_minute) VALUES ($1, "
                    "$2::bytea, string_to_array($3, ' '), nullif($4::int, 0)) ON CONFLICT (name) "
                    "DO NOTHING",
                    DB_PARAMS(name, hash.ptr, list.ptr, limit), &n_rows, err)) {
        return false;
    }
    return n_rows == 1 || error_set(err, ERROR_CONFIG,
                                    "a key named %s exists (see `foz-api key list`; a revoked key "
                                    "keeps its name): choose another name",
                                    name);
}

bool key_revoke(struct db *db, const char *name, bool *ret_found, struct error *err)
{
    int64_t n_rows = 0;
    if (!db_execute(db,
                    "UPDATE ops.api_key SET revoked_at = clock_timestamp() WHERE name = $1 AND "
                    "revoked_at IS NULL",
                    DB_PARAMS(name), &n_rows, err)) {
        return false;
    }
    *ret_found = n_rows > 0;
    return true;
}
