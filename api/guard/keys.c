#include "api/guard/keys.h"

#include <stdio.h>
#include <string.h>

#include "api/guard/map.h"
#include "api/http/router.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/base/thread.h"
#include "common/io/db.h"

#define CACHE_LIMIT 4096

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

struct key_digest key_digest(struct str text)
{
    struct key_digest digest;
    crypto_sha256(text, digest.bytes);
    return digest;
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
static void digest_text(const struct key_digest *digest, struct buf *out)
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
                         const struct key_digest *digest,
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
    (void)snprintf(ret_principal->name, sizeof(ret_principal->name), "%s", db_text(result, 0, 0));
    ret_principal->scopes = scopes_from_text(db_str(result, 0, 1));
    ret_principal->per_minute = db_int64(result, 0, 2);
    return KEY_VALID;
}

void key_touch(struct db *db, const struct principal *principal)
{
    struct error err = ERROR_INIT;
    if (!db_execute(db,
                    "UPDATE ops.api_key SET last_used_at = clock_timestamp() WHERE name = $1 AND "
                    "(last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 "
                    "minute')",
                    DB_PARAMS(principal->name), NULL, &err)) {
        /* A role without UPDATE, or a standby: the key is good all the same. */
        log_debug("use of a key not noted", LOG_TEXT("error", err.msg));
    }
}

bool key_insert(struct db *db,
                const char *name,
                const struct key_digest *digest,
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

/* --- cache ------------------------------------------------------------------------------------ */

struct cache_entry {
    struct key_digest digest;
    struct principal principal;
    bool is_known;
    int64_t until_us;
    UT_hash_handle hh;
};

struct key_cache {
    struct mutex lock;
    struct cache_entry *entries; /* oldest first; guarded by lock */
};

struct key_cache *key_cache_new(void)
{
    struct key_cache *cache = XNEW(struct key_cache);
    mutex_init(&cache->lock);
    return cache;
}

static void drop_entry(struct key_cache *cache, struct cache_entry *entry)
{
    HASH_DEL(cache->entries, entry);
    xfree(entry);
}

void key_cache_free(struct key_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    struct cache_entry *entry = NULL;
    struct cache_entry *next = NULL;
    HASH_ITER (hh, cache->entries, entry, next) {
        drop_entry(cache, entry);
    }
    mutex_release(&cache->lock);
    xfree(cache);
}

/* NOLINTNEXTLINE(readability-function-size): the depth is that of uthash's macros */
enum key_cache_result key_cache_get(struct key_cache *cache,
                                    const struct key_digest *digest,
                                    int64_t now_us,
                                    struct principal *ret_principal)
{
    MUTEX_GUARD(&cache->lock);
    struct cache_entry *entry = NULL;
    HASH_FIND(hh, cache->entries, digest, sizeof(*digest), entry);
    if (entry == NULL || now_us >= entry->until_us) {
        return KEY_CACHE_MISS;
    }
    if (!entry->is_known) {
        return KEY_CACHE_UNKNOWN;
    }
    *ret_principal = entry->principal;
    return KEY_CACHE_VALID;
}

/* NOLINTNEXTLINE(readability-function-size): the depth is that of uthash's macros */
void key_cache_put(struct key_cache *cache,
                   const struct key_digest *digest,
                   const struct principal *principal,
                   int64_t now_us)
{
    MUTEX_GUARD(&cache->lock);
    struct cache_entry *entry = NULL;
    HASH_FIND(hh, cache->entries, digest, sizeof(*digest), entry);
    if (entry != NULL) {
        drop_entry(cache, entry);
    } else if (HASH_COUNT(cache->entries) >= CACHE_LIMIT) {
        drop_entry(cache, cache->entries);
    }
    entry = XNEW(struct cache_entry);
    entry->digest = *digest;
    entry->is_known = principal != NULL;
    if (principal != NULL) {
        entry->principal = *principal;
    }
    entry->until_us = now_us + (principal != NULL ? KEY_CACHE_FOR_US : KEY_UNKNOWN_FOR_US);
    HASH_ADD(hh, cache->entries, digest, sizeof(entry->digest), entry);
}
