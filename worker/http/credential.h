#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/stop.h"
#include "common/base/thread.h"
#include "common/conf/config.h"
#include "worker/http/oauth.h"
#include "worker/http/wait_clock.h"

/*
 * What a source shows to prove who asks, shared by its lanes: one header, and for OAuth its renewal
 * with a single flight. A user_token opens a session, whose token is the connector's business.
 * Secrets are wiped when they are replaced or released. Thread-safe.
 */

struct credential {
    const struct auth_config *auth;
    const struct wait_clock *clock;
    struct stop *stop;
    struct str host; /* for messages */
    struct mutex lock;
    struct condition changed;
    char *value;          /* guarded by lock: of the header; NULL until known */
    char *refresh_token;  /* guarded by lock */
    uint64_t generation;  /* guarded by lock: of `value`, 0 = none yet */
    int64_t renew_at_us;  /* guarded by lock: monotonic, WAIT_FOREVER_US for what never expires */
    bool in_flight;       /* guarded by lock: somebody renews */
    uint64_t flights;     /* guarded by lock: ended renewals */
    struct error landing; /* guarded by lock: how the last one failed, clear if it did not */
};

/* Asks the OAuth endpoint; the caller brings the wire. */
struct credential_wire {
    bool (*fetch)(void *arg, struct str form, struct oauth_exchange *exchange, struct error *err);
    void *arg;
    struct stop *stop; /* of the caller, beside the credential's own; may be NULL */
};

/* Resolves every secret of the method, for ERROR_CONFIG to name a missing or unusable one. All
 * pointers must outlive it. */
NODISCARD bool credential_init(struct credential *credential,
                               const struct auth_config *auth,
                               struct str host,
                               const struct wait_clock *clock,
                               struct stop *stop,
                               struct error *err);
void credential_release(struct credential *credential);

/* "Authorization", "x-sn-apikey", or NULL: this method has no header. Static string. */
const char *credential_header_name(const struct credential *credential);

/* Appends the header's value to `out`, renewing first what is due; may block on the wire or on
 * another lane's renewal. *ret_generation names this value in later calls. */
NODISCARD bool credential_get(struct credential *credential,
                              const struct credential_wire *wire,
                              struct buf *out,
                              uint64_t *ret_generation,
                              struct error *err);

/* After a long wait: should the caller get the credential again? */
bool credential_is_due(struct credential *credential);

enum credential_renewal {
    CREDENTIAL_RENEWED, /* by this lane or by another: try again */
    CREDENTIAL_SAME,    /* nothing newer is to be had: the refusal is final */
    CREDENTIAL_FAILED,  /* err says why */
};

/* The source refused the value of `generation`. A static secret is read again: only a changed one
 * is worth another try, since every try with a wrong password brings the account nearer to a lock.
 */
enum credential_renewal credential_renew(struct credential *credential,
                                         uint64_t generation,
                                         const struct credential_wire *wire,
                                         struct error *err);

/* Makes `err` the final refusal: ERROR_DENIED, who was refused where, and what to look at. */
void credential_explain_refusal(const struct credential *credential, struct error *err);
