#include "api/guard/jwt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/http/router.h"
#include "common/base/clock.h"
#include "common/io/crypto.h"
#include "common/io/json_pull.h"

#define HEAD_BYTES_MAX 2048
#define MEMBERS_MAX    64
#define NUMBER_MAX     32
#define YEAR_10000_S   253402300800.0

bool jwt_refuse(struct jwt_refusal *refusal, enum jwt_fault fault, const char *why)
{
    *refusal = (struct jwt_refusal){fault, why};
    return false;
}

static bool malformed(struct jwt_refusal *refusal, const char *why)
{
    return jwt_refuse(refusal, JWT_MALFORMED, why);
}

/* --- one JSON object, member by member -------------------------------------------------------- */

/* Reads the value of one member; the pull stands before it. */
typedef bool
member_fn(struct jwt *jwt, struct str name, struct json_pull *pull, struct jwt_refusal *refusal);

static bool is_repeated(struct str name, const struct str *names, size_t n_names)
{
    for (size_t i = 0; i < n_names; i++) {
        if (str_equal(name, names[i])) {
            return true;
        }
    }
    return false;
}

static bool
read_object(struct jwt *jwt, struct buf *document, member_fn *read, struct jwt_refusal *refusal)
{
    struct json_pull pull;
    struct error err = ERROR_INIT; /* its words quote the token: they go nowhere */
    json_pull_init(&pull, document->ptr, document->len);
    if (json_pull_next(&pull, &err) != JSON_OBJECT_BEGIN) {
        return malformed(refusal, "a segment is no JSON object");
    }
    struct str names[MEMBERS_MAX];
    size_t n_names = 0;
    enum json_token token = json_pull_next(&pull, &err);
    for (; token == JSON_NAME; token = json_pull_next(&pull, &err)) {
        if (pull.has_nul || n_names == MEMBERS_MAX) {
            return malformed(refusal, "an object has too many members, or a name with NUL");
        }
        if (is_repeated(pull.text, names, n_names)) {
            return malformed(refusal, "a name stands twice in one object");
        }
        names[n_names++] = pull.text;
        if (!read(jwt, names[n_names - 1], &pull, refusal)) {
            return false;
        }
    }
    return (token == JSON_OBJECT_END && json_pull_next(&pull, &err) == JSON_END) ||
           malformed(refusal, "a segment is not one JSON object");
}

static bool skip(struct json_pull *pull, struct jwt_refusal *refusal)
{
    struct error err = ERROR_INIT;
    struct str raw;
    return json_pull_skip(pull, &raw, &err) || malformed(refusal, "a segment is not JSON");
}

static bool read_text(struct json_pull *pull,
                      struct str *ret_text,
                      const char *why,
                      struct jwt_refusal *refusal)
{
    struct error err = ERROR_INIT;
    if (json_pull_next(pull, &err) != JSON_STRING || pull->has_nul || pull->text.len == 0 ||
        pull->text.len > JWT_TEXT_MAX) {
        return malformed(refusal, why);
    }
    *ret_text = pull->text;
    return true;
}

/* --- head ------------------------------------------------------------------------------------- */

/* A token made for another purpose says so in `typ` (RFC 8725, 3.11): a logout token, for one, must
 * not open a door. */
static bool is_token_type(struct str type)
{
    static const struct str application = {"application/", 12};
    if (str_starts_with_nocase(type, application)) {
        type.ptr += application.len;
        type.len -= application.len;
    }
    return str_equal_nocase(type, STR_LITERAL("JWT")) ||
           str_equal_nocase(type, STR_LITERAL("at+jwt"));
}

static bool read_head_member(struct jwt *jwt,
                             struct str name,
                             struct json_pull *pull,
                             struct jwt_refusal *refusal)
{
    static const char *const changers[] = {"crit", "b64", "enc", "zip"};
    struct str text;
    if (str_equal_c(name, "alg")) {
        if (!read_text(pull, &text, "alg is no text", refusal)) {
            return false;
        }
        return jose_alg_parse(text, &jwt->alg) ||
               malformed(refusal, "alg is none of RS256, ES256, HS256");
    }
    if (str_equal_c(name, "kid")) {
        return read_text(pull, &jwt->kid, "kid is no text of 1 to 255 bytes", refusal);
    }
    if (str_equal_c(name, "typ")) {
        return read_text(pull, &text, "typ is no text", refusal) &&
               (is_token_type(text) || malformed(refusal, "typ is neither JWT nor at+jwt"));
    }
    for (size_t i = 0; i < ARRAY_SIZE(changers); i++) {
        if (str_equal_c(name, changers[i])) {
            return malformed(refusal, "the header has crit, b64, enc or zip");
        }
    }
    /* Among the rest jku, jwk, x5u, x5c: keys that a token brings along are never looked at. */
    return skip(pull, refusal);
}

/* --- claims ----------------------------------------------------------------------------------- */

static bool
read_time(struct json_pull *pull, bool *ret_has, double *ret_s, struct jwt_refusal *refusal)
{
    struct error err = ERROR_INIT;
    char text[NUMBER_MAX + 1];
    if (json_pull_next(pull, &err) != JSON_NUMBER || pull->text.len > NUMBER_MAX) {
        return malformed(refusal, "exp, nbf or iat is no number");
    }
    memcpy(text, pull->text.ptr, pull->text.len);
    text[pull->text.len] = '\0';
    double seconds = strtod(text, NULL); /* the tokenizer checked its form */
    if (!isfinite(seconds) || seconds < 0 || seconds >= YEAR_10000_S) {
        return malformed(refusal, "exp, nbf or iat is out of range");
    }
    *ret_has = true;
    *ret_s = seconds;
    return true;
}

static void add_scopes(struct jwt *jwt, struct str list)
{
    while (list.ptr != NULL) {
        enum scope scope = SCOPE_NONE;
        if (scope_parse(str_cut(&list, ' '), &scope)) {
            jwt->scopes |= (unsigned)scope; /* words of other services mean nothing here */
        }
    }
}

static bool add_audience(struct jwt *jwt, struct str audience, struct jwt_refusal *refusal)
{
    if (audience.len == 0 || audience.len > JWT_TEXT_MAX || jwt->n_audiences == JWT_AUDIENCES_MAX) {
        return malformed(refusal, "aud has too many or too long members");
    }
    jwt->audiences[jwt->n_audiences++] = audience;
    return true;
}

/* A text, or a list of texts. */
static bool
read_texts(struct jwt *jwt, struct json_pull *pull, bool is_audience, struct jwt_refusal *refusal)
{
    struct error err = ERROR_INIT;
    enum json_token token = json_pull_next(pull, &err);
    bool is_list = token == JSON_ARRAY_BEGIN;
    if (is_list) {
        token = json_pull_next(pull, &err);
    }
    while (token == JSON_STRING && !pull->has_nul) {
        if (!is_audience) {
            add_scopes(jwt, pull->text);
        } else if (!add_audience(jwt, pull->text, refusal)) {
            return false;
        }
        if (!is_list) {
            return true;
        }
        token = json_pull_next(pull, &err);
    }
    return (is_list && token == JSON_ARRAY_END) ||
           malformed(refusal, "aud, scope or scp is neither text nor a list of texts");
}

/* Claims that other services have a use for: one of another form is nobody's name. */
static bool
read_other_name(struct json_pull *pull, struct str *ret_name, struct jwt_refusal *refusal)
{
    struct json_pull value = *pull; /* to look ahead: a string is unescaped where it stands */
    struct error err = ERROR_INIT;
    enum json_token token = json_pull_next(&value, &err);
    if (token == JSON_ERROR) { /* never to be read again: some of it may have been unescaped */
        return malformed(refusal, "a segment is not JSON");
    }
    if (token != JSON_STRING) {
        return skip(pull, refusal);
    }
    *pull = value;
    if (!value.has_nul && value.text.len > 0 && value.text.len <= JWT_TEXT_MAX) {
        *ret_name = value.text;
    }
    return true;
}

static bool
read_claim(struct jwt *jwt, struct str name, struct json_pull *pull, struct jwt_refusal *refusal)
{
    static const char *const other_names[] = {
        [JWT_CLIENT_ID] = "client_id", [JWT_AZP] = "azp", [JWT_APPID] = "appid"};
    if (str_equal_c(name, "iss")) {
        return read_text(pull, &jwt->issuer, "iss is no text of 1 to 255 bytes", refusal);
    }
    if (str_equal_c(name, "sub")) {
        return read_text(pull, &jwt->names[JWT_SUB], "sub is no text of 1 to 255 bytes", refusal);
    }
    if (str_equal_c(name, "exp")) {
        return read_time(pull, &jwt->has_expiry, &jwt->expiry_s, refusal);
    }
    if (str_equal_c(name, "nbf")) {
        return read_time(pull, &jwt->has_not_before, &jwt->not_before_s, refusal);
    }
    if (str_equal_c(name, "iat")) {
        return read_time(pull, &jwt->has_issued_at, &jwt->issued_at_s, refusal);
    }
    if (str_equal_c(name, "aud")) {
        return read_texts(jwt, pull, true, refusal);
    }
    if (str_equal_c(name, "scope") || str_equal_c(name, "scp")) {
        return read_texts(jwt, pull, false, refusal);
    }
    for (size_t i = JWT_CLIENT_ID; i < JWT_NAMES; i++) {
        if (str_equal_c(name, other_names[i])) {
            return read_other_name(pull, &jwt->names[i], refusal);
        }
    }
    return skip(pull, refusal);
}

/* --- whole ------------------------------------------------------------------------------------ */

static bool decode(struct str segment, struct buf *out, size_t limit, struct jwt_refusal *refusal)
{
    buf_init(out, limit);
    if (segment.len == 0 || !crypto_base64url_decode(segment, out)) {
        return malformed(refusal, "a segment is empty or not canonical base64url");
    }
    return !out->overflow || malformed(refusal, "a segment is too long");
}

bool jwt_parse(struct jwt *jwt, struct str token, struct jwt_refusal *refusal)
{
    *jwt = (struct jwt){0};
    if (token.len > JWT_BYTES_MAX) {
        return malformed(refusal, "the token is too long");
    }
    struct str rest = token;
    struct str head = str_cut(&rest, '.');
    struct str claims = str_cut(&rest, '.');
    if (rest.ptr == NULL || memchr(rest.ptr, '.', rest.len) != NULL) {
        return malformed(refusal, "the token has not exactly three segments");
    }
    struct buf signature CLEANUP(buf_release) = {0};
    if (!decode(head, &jwt->head, HEAD_BYTES_MAX, refusal) ||
        !decode(claims, &jwt->claims, JWT_BYTES_MAX, refusal) ||
        !decode(rest, &signature, JWT_BYTES_MAX, refusal)) {
        return false;
    }
    jwt->signature_bytes = signature.len;
    jwt->alg = (enum jose_alg) - 1;
    if (!read_object(jwt, &jwt->head, read_head_member, refusal)) {
        return false;
    }
    if (jwt->alg == (enum jose_alg) - 1) {
        return malformed(refusal, "the header has no alg");
    }
    return read_object(jwt, &jwt->claims, read_claim, refusal);
}

void jwt_release(struct jwt *jwt)
{
    buf_release(&jwt->head);
    buf_release(&jwt->claims);
}

struct str jwt_subject(const struct jwt *jwt)
{
    for (size_t i = 0; i < JWT_NAMES; i++) {
        if (jwt->names[i].ptr != NULL) {
            return jwt->names[i];
        }
    }
    return STR_NONE;
}

static bool has_audience(const struct jwt *jwt, const char *audience)
{
    for (size_t i = 0; i < jwt->n_audiences; i++) {
        if (str_equal_c(jwt->audiences[i], audience)) {
            return true;
        }
    }
    return false;
}

bool jwt_check(const struct jwt *jwt,
               const char *issuer,
               const char *audience,
               int64_t now_us,
               struct jwt_refusal *refusal)
{
    double now_s = (double)now_us / (double)US_PER_S;
    if (jwt->issuer.ptr == NULL || !str_equal_c(jwt->issuer, issuer)) {
        return jwt_refuse(refusal, JWT_INVALID, "iss is not the configured issuer");
    }
    if (!has_audience(jwt, audience)) {
        return jwt_refuse(refusal, JWT_INVALID, "aud does not name this service");
    }
    if (!jwt->has_expiry) {
        return jwt_refuse(refusal, JWT_INVALID, "exp is missing");
    }
    if (now_s >= jwt->expiry_s + JWT_SKEW_S) {
        return jwt_refuse(refusal, JWT_EXPIRED, "exp has passed");
    }
    if (jwt->has_not_before && now_s + JWT_SKEW_S < jwt->not_before_s) {
        return jwt_refuse(refusal, JWT_INVALID, "nbf is in the future");
    }
    if (jwt->has_issued_at && now_s + JWT_SKEW_S < jwt->issued_at_s) {
        return jwt_refuse(refusal, JWT_INVALID, "iat is in the future");
    }
    return true;
}
