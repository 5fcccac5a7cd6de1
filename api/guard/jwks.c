#include "api/guard/jwks.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/io/crypto.h"
#include "common/io/json.h"

#define MEMBERS_MAX 32
#define KID_MAX     255
#define NUMBER_MAX  2048

/* A key of its own count of users: a refresh that fails in part hands on what it could not renew.
 */
struct shared_key {
    atomic_int users;
    struct jose_key *key;
    char *kid; /* NULL = none */
    uint8_t digest[SHA256_BYTES];
};

struct key_set {
    atomic_int users;
    size_t n_keys;
    struct shared_key *keys[JWKS_KEYS_MAX + 1]; /* public ones, and the secret */
};

struct key_set *key_set_new(void)
{
    struct key_set *set = XNEW(struct key_set);
    atomic_init(&set->users, 1);
    return set;
}

struct key_set *key_set_hold(struct key_set *set)
{
    (void)atomic_fetch_add(&set->users, 1);
    return set;
}

static void drop_key(struct shared_key *shared)
{
    if (atomic_fetch_sub(&shared->users, 1) == 1) {
        jose_key_free(shared->key);
        xfree(shared->kid);
        xfree(shared);
    }
}

void key_set_drop(struct key_set *set)
{
    if (set == NULL || atomic_fetch_sub(&set->users, 1) > 1) {
        return;
    }
    for (size_t i = 0; i < set->n_keys; i++) {
        drop_key(set->keys[i]);
    }
    xfree(set);
}

static void add_key(struct key_set *set, struct jose_key *key, const char *kid, struct str material)
{
    struct shared_key *shared = XNEW(struct shared_key);
    atomic_init(&shared->users, 1);
    shared->key = key;
    shared->kid = kid != NULL ? xstrdup(kid) : NULL;
    crypto_sha256(material, shared->digest);
    set->keys[set->n_keys++] = shared;
}

/* --- one JWK ---------------------------------------------------------------------------------- */

/* Why a key is passed over; NULL = it is not. */
static const char *unfit(const struct json *jwk, enum jose_alg alg)
{
    static const char *const secrets[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
    const char *use = json_find_string(jwk, "use");
    const char *wanted = json_find_string(jwk, "alg");
    const struct json *operations = json_find(jwk, "key_ops");
    for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
        if (json_find(jwk, secrets[i]) != NULL) {
            return "it holds private material, so anybody may have it";
        }
    }
    if (use != NULL && strcmp(use, "sig") != 0) {
        return "its use is not sig";
    }
    if (wanted != NULL && strcmp(wanted, jose_alg_name(alg)) != 0) {
        return "its alg is not the one foz uses with its type";
    }
    for (size_t i = 0; operations != NULL && i < json_size(operations) && i < MEMBERS_MAX; i++) {
        const char *operation = json_string(json_at(operations, i));
        if (operation != NULL && strcmp(operation, "verify") == 0) {
            return NULL;
        }
    }
    return operations != NULL ? "its key_ops lack verify" : NULL;
}

static bool
read_number(const struct json *jwk, const char *name, struct buf *out, struct error *err)
{
    const char *text = json_find_string(jwk, name);
    buf_init(out, NUMBER_MAX);
    if (text == NULL || !crypto_base64url_decode(str_from(text), out) || out->overflow) {
        return error_set(err, ERROR_DATA, "%s is not a number in base64url of at most %d bytes",
                         name, NUMBER_MAX);
    }
    return true;
}

static struct jose_key *make_key(const struct json *jwk, enum jose_alg alg, struct error *err)
{
    bool is_rsa = alg == JOSE_RS256;
    struct buf first CLEANUP(buf_release) = {0};
    struct buf second CLEANUP(buf_release) = {0};
    if (!read_number(jwk, is_rsa ? "n" : "x", &first, err) ||
        !read_number(jwk, is_rsa ? "e" : "y", &second, err)) {
        return NULL;
    }
    return is_rsa ? jose_key_rsa(buf_str(&first), buf_str(&second), err)
                  : jose_key_p256(buf_str(&first), buf_str(&second), err);
}

/* false: the whole document cannot be trusted. */
static bool check_members(const struct json *jwk, struct error *err)
{
    if (json_kind(jwk) != JSON_KIND_OBJECT || json_size(jwk) > MEMBERS_MAX) {
        return error_set(err, ERROR_DATA, "a key, or the whole, is no object of at most %d members",
                         MEMBERS_MAX);
    }
    for (size_t i = 0; i < json_size(jwk); i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(json_name_at(jwk, i), json_name_at(jwk, k)) == 0) {
                return error_set(err, ERROR_DATA, "an object has a member twice");
            }
        }
    }
    const struct json *kid = json_find(jwk, "kid");
    if (kid != NULL && (json_string(kid) == NULL || strlen(json_string(kid)) > KID_MAX)) {
        return error_set(err, ERROR_DATA, "a kid is no text of at most %d bytes", KID_MAX);
    }
    return true;
}

static bool kid_is_taken(const struct key_set *set, enum jose_alg alg, const char *kid)
{
    for (size_t i = 0; kid != NULL && i < set->n_keys; i++) {
        if (jose_key_alg(set->keys[i]->key) == alg && set->keys[i]->kid != NULL &&
            strcmp(set->keys[i]->kid, kid) == 0) {
            return true;
        }
    }
    return false;
}

static void keep_reason(char *reason, size_t size, const char *kid, const char *why)
{
    (void)snprintf(reason, size, "; the key %.40s: %.180s", kid != NULL ? kid : "without a kid",
                   why);
}

/* Adds one key, or says in `reason` why not. false: see check_members. */
static bool
add_jwk(struct key_set *set, const struct json *jwk, char *reason, size_t size, struct error *err)
{
    if (!check_members(jwk, err)) {
        return false;
    }
    const char *kid = json_find_string(jwk, "kid");
    const char *type = json_find_string(jwk, "kty");
    const char *curve = json_find_string(jwk, "crv");
    bool is_rsa = type != NULL && strcmp(type, "RSA") == 0;
    bool is_p256 =
        type != NULL && strcmp(type, "EC") == 0 && curve != NULL && strcmp(curve, "P-256") == 0;
    enum jose_alg alg = is_rsa ? JOSE_RS256 : JOSE_ES256;
    const char *why = is_rsa || is_p256 ? unfit(jwk, alg) : "it is neither RSA nor EC on P-256";
    if (why != NULL) {
        keep_reason(reason, size, kid, why);
        return true;
    }
    struct error fault = ERROR_INIT;
    struct jose_key *key = make_key(jwk, alg, &fault);
    if (key == NULL) {
        keep_reason(reason, size, kid, fault.msg);
        return true;
    }
    if (kid_is_taken(set, alg, kid)) {
        jose_key_free(key);
        return error_set(err, ERROR_DATA, "two keys have the kid %.40s", kid);
    }
    struct buf material CLEANUP(buf_release) = {0};
    buf_init(&material, JWKS_BYTES_MAX);
    json_write(jwk, &material);
    add_key(set, key, kid, buf_str(&material));
    return true;
}

/* --- the set ---------------------------------------------------------------------------------- */

static const struct json *find_keys(const struct json *root, struct error *err)
{
    const struct json *keys = json_find(root, "keys");
    if (!check_members(root, err)) {
        return NULL;
    }
    if (keys == NULL || json_kind(keys) != JSON_KIND_ARRAY) {
        (void)error_set(err, ERROR_DATA, "the document has no list \"keys\"");
        return NULL;
    }
    if (json_size(keys) > JWKS_KEYS_MAX) {
        (void)error_set(err, ERROR_DATA, "the document has %zu keys, at most %d are taken",
                        json_size(keys), JWKS_KEYS_MAX);
        return NULL;
    }
    return keys;
}

DEFINE_CLEANUP(struct json *, json_free);

bool key_set_add_jwks(struct key_set *set, struct str document, struct error *err)
{
    if (document.len > JWKS_BYTES_MAX) {
        return error_set(err, ERROR_DATA, "the document has more than %lu bytes", JWKS_BYTES_MAX);
    }
    struct json *root CLEANUP(json_freep) = json_parse(document, err);
    const struct json *keys = root != NULL ? find_keys(root, err) : NULL;
    if (keys == NULL) {
        return false;
    }
    char reason[256] = "";
    size_t before = set->n_keys;
    for (size_t i = 0; i < json_size(keys); i++) {
        if (!add_jwk(set, json_at(keys, i), reason, sizeof(reason), err)) {
            return false;
        }
    }
    return set->n_keys > before ||
           error_set(err, ERROR_DATA, "the document has no key for RS256 or ES256%s", reason);
}

bool key_set_add_secret(struct key_set *set, struct str secret, struct error *err)
{
    struct jose_key *key = jose_key_secret(secret, err);
    if (key == NULL) {
        return false;
    }
    add_key(set, key, NULL, secret);
    return true;
}

static void share(struct key_set *set, const struct key_set *other, bool secret)
{
    for (size_t i = 0; other != NULL && i < other->n_keys; i++) {
        if ((jose_key_alg(other->keys[i]->key) == JOSE_HS256) == secret) {
            (void)atomic_fetch_add(&other->keys[i]->users, 1);
            set->keys[set->n_keys++] = other->keys[i];
        }
    }
}

void key_set_share_public(struct key_set *set, const struct key_set *other)
{
    share(set, other, false);
}

void key_set_share_secret(struct key_set *set, const struct key_set *other)
{
    share(set, other, true);
}

size_t key_set_size(const struct key_set *set)
{
    return set->n_keys;
}

bool key_set_is_equal(const struct key_set *a, const struct key_set *b)
{
    bool is_equal = a->n_keys == b->n_keys;
    for (size_t i = 0; is_equal && i < a->n_keys; i++) {
        is_equal = memcmp(a->keys[i]->digest, b->keys[i]->digest, SHA256_BYTES) == 0;
    }
    return is_equal;
}

enum key_choice key_set_choose(const struct key_set *set,
                               enum jose_alg alg,
                               struct str kid,
                               const struct jose_key **ret_key)
{
    size_t n_found = 0;
    for (size_t i = 0; i < set->n_keys; i++) {
        const struct shared_key *shared = set->keys[i];
        bool is_named = kid.ptr == NULL || alg == JOSE_HS256 ||
                        (shared->kid != NULL && str_equal_c(kid, shared->kid));
        if (jose_key_alg(shared->key) == alg && is_named) {
            *ret_key = shared->key;
            n_found++;
        }
    }
    if (n_found == 0) {
        return KEY_NONE;
    }
    return n_found == 1 ? KEY_CHOSEN : KEY_AMBIGUOUS;
}
