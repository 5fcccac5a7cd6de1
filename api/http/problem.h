#pragma once

#include <stdbool.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/str.h"

/*
 * Why a request is refused, in the terms of RFC 9457: what the client did or met, and what to do
 * about it. It plays the part of struct error between the HTTP layers: last parameter, set once at
 * the origin, answered by the one who finishes the exchange.
 */

struct problem {
    int status;         /* HTTP status; 0 = no problem */
    const char *code;   /* static, for programs: "unknown_parameter" */
    int retry_after_s;  /* 0 = no Retry-After */
    char parameter[64]; /* the parameter at fault, "" if none */
    char detail[640];   /* for people: culprit and cure, never a secret */
    /* Of a refused credential, all static or empty: */
    const char *auth_error; /* "invalid_token", "insufficient_scope" (RFC 6750); NULL = none */
    const char *auth_description; /* its class, for the challenge; NULL = none */
    const char *auth_scope;       /* the scope that was missing; NULL = none */
    char internal[160];           /* for the log only */
};

/* Sets a clear problem. Returns false so that callers can return it. */
bool problem_set(struct problem *problem, int status, const char *code, const char *format, ...)
    PRINTF_FORMAT(4, 5);

/* 400 about one parameter. Returns false. */
bool problem_set_parameter(struct problem *problem,
                           struct str parameter,
                           const char *code,
                           const char *format,
                           ...) PRINTF_FORMAT(4, 5);

/* What a client is told about a failure below: a database that is away, a schema that is older than
 * this program, a bug. Never quotes connection data. Returns false. */
bool problem_from_error(struct problem *problem, const struct error *err);

/* "Not Found". Static string. */
const char *problem_status_text(int status);
