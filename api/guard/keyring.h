#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api/guard/jwks.h"
#include "api/guard/waiter.h"
#include "common/conf/config.h"

/*
 * Keeps the keys of api.auth.jwt current: one thread reads the JWKS file or URL and the secret
 * again every `jwks_refresh`, and earlier when a token names a key that is not there, but never
 * more often than every `jwks_cooldown`. However many requests ask, one fetch serves them. What
 * cannot be read stays as it was: the last good keys are good until newer ones come.
 */

struct keyring;

/* Reads file and secret at once (ERROR_CONFIG names what is wrong with them); a URL is asked in the
 * background. `jwt` must outlive the ring. */
NODISCARD struct keyring *keyring_start(const struct jwt_config *jwt, struct error *err);

/* Ends the thread; waiters, also later ones, are told WAIT_STOPPED. What is known stays known. */
void keyring_stop(struct keyring *ring);
void keyring_free(struct keyring *ring); /* stops it first; accepts NULL */

/* The keys now, held for the caller: give back with key_set_drop. *ret_generation grows with every
 * change. */
NODISCARD struct key_set *keyring_get(struct keyring *ring, uint64_t *ret_generation);

/* false while public keys are configured and none could ever be read. */
bool keyring_is_complete(struct keyring *ring);

/* Would asking for newer keys be allowed now (monotonic)? */
bool keyring_may_renew(struct keyring *ring, int64_t now_us);

/* Seconds until it is allowed, at least 1. */
int keyring_retry_after_s(struct keyring *ring, int64_t now_us);

/* Has the keys renewed, then calls waiter->done; at once, and on this thread, when that is not
 * allowed any more or the ring stops. */
void keyring_wait(struct keyring *ring, struct guard_waiter *waiter);
