#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/str.h"
#include "common/io/jose.h"

/*
 * What a JSON Web Token says, and whether that is enough. Pure: no key, no clock, no I/O. Reading
 * is strict, so that every other reader of the same bytes (the library that checks the signature
 * among them) sees the same token: three segments in canonical base64url, RFC 8259 to the letter,
 * no name twice, nothing critical that is not understood.
 *
 * Nothing read here is to be believed before the signature was checked.
 */

#define JWT_BYTES_MAX     8192
#define JWT_TEXT_MAX      255 /* kid, iss, one aud, who it is of */
#define JWT_AUDIENCES_MAX 16
#define JWT_SKEW_S        30 /* how far two clocks may differ */

/* The claims that may say of whom a token is, the best first: RFC 7519's own; a client that acts
 * for itself (RFC 8693); the same as OpenID Connect and as Entra ID (version 1) write it. */
enum jwt_name { JWT_SUB, JWT_CLIENT_ID, JWT_AZP, JWT_APPID, JWT_NAMES };

/* What the caller is told; the log is told `why`. */
enum jwt_fault { JWT_GOOD, JWT_MALFORMED, JWT_EXPIRED, JWT_INVALID };

struct jwt_refusal {
    enum jwt_fault fault;
    const char *why; /* static string */
};

struct jwt {
    enum jose_alg alg;
    struct str kid; /* ptr NULL = none */
    struct str issuer;
    struct str names[JWT_NAMES]; /* ptr NULL = not said */
    struct str audiences[JWT_AUDIENCES_MAX];
    size_t n_audiences;
    bool has_expiry;
    bool has_not_before;
    bool has_issued_at;
    double expiry_s; /* since 1970 */
    double not_before_s;
    double issued_at_s;
    unsigned scopes;        /* those of foz, of `scope` and `scp` together */
    size_t signature_bytes; /* as sent */
    /* private: what the views point into */
    struct buf head;
    struct buf claims;
};

/* Reads a compact JWS. False: refusal is set. Release it either way. */
bool jwt_parse(struct jwt *jwt, struct str token, struct jwt_refusal *refusal);
void jwt_release(struct jwt *jwt);

/* The claims against what this service asks for, at the given wall clock. */
bool jwt_check(const struct jwt *jwt,
               const char *issuer,
               const char *audience,
               int64_t now_us,
               struct jwt_refusal *refusal);

/* Of whom the token is: the first of its names; ptr NULL = it has none. */
struct str jwt_subject(const struct jwt *jwt);

/* Sets the refusal; returns false. */
bool jwt_refuse(struct jwt_refusal *refusal, enum jwt_fault fault, const char *why);
