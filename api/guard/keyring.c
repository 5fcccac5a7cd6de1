#include "api/guard/keyring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/http/fetch.h"
#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/thread.h"
#include "common/conf/secret.h"

#define FETCH_TIMEOUT_US (5 * US_PER_S)
#define RETRY_MIN_US     US_PER_S

struct keyring {
    const struct jwt_config *jwt;
    struct fetch *fetch; /* the thread's */
    struct stop *stop;
    struct thread thread;
    bool was_good; /* the thread's: what the log was told last */
    struct mutex lock;
    struct condition wake;
    struct key_set *set;          /* guarded by lock */
    uint64_t generation;          /* guarded by lock */
    bool has_public;              /* guarded by lock */
    bool is_wanted;               /* guarded by lock */
    bool is_renewing;             /* guarded by lock */
    bool is_stopping;             /* guarded by lock */
    int64_t tried_us;             /* the last attempt began; guarded by lock */
    int64_t due_us;               /* the next one; guarded by lock */
    struct guard_waiter *waiters; /* guarded by lock */
};

static bool read_file(const char *path, struct buf *out, struct error *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        char words[128];
        const char *why = strerror_r(errno, words, sizeof(words));
        return error_set(err, ERROR_CONFIG, "%s cannot be read (%s)", path, why);
    }
    char chunk[4096];
    size_t n = 0;
    while (!out->overflow && (n = fread(chunk, 1, sizeof(chunk), file)) > 0) {
        buf_add(out, chunk, n);
    }
    bool is_broken = ferror(file) != 0;
    (void)fclose(file);
    if (is_broken) {
        return error_set(err, ERROR_CONFIG, "%s cannot be read to its end", path);
    }
    return !out->overflow ||
           error_set(err, ERROR_CONFIG, "%s has more than %lu bytes", path, JWKS_BYTES_MAX);
}

static bool fetch_document(struct keyring *ring, struct fetch_answer *answer, struct error *err)
{
    static const char *const headers[] = {"Accept: application/jwk-set+json, application/json",
                                          NULL};
    struct fetch_request request = {.url = ring->jwt->jwks_url,
                                    .headers = headers,
                                    .timeout_us = FETCH_TIMEOUT_US,
                                    .stop = ring->stop};
    if (!fetch_get(ring->fetch, &request, answer, err)) {
        return false;
    }
    return answer->status == 200 ||
           error_set(err, ERROR_TRANSIENT, "it answered with status %d", answer->status);
}

/* Adds the public keys as they are now. */
static bool read_public(struct keyring *ring, struct key_set *set, struct error *err)
{
    const struct jwt_config *jwt = ring->jwt;
    struct fetch_answer document CLEANUP(fetch_answer_release);
    fetch_answer_init(&document, JWKS_BYTES_MAX);
    if (jwt->jwks_file != NULL) {
        return (read_file(jwt->jwks_file, &document.body, err) &&
                key_set_add_jwks(set, buf_str(&document.body), err)) ||
               error_wrap(err, "api.auth.jwt.jwks_file");
    }
    if (jwt->jwks_url != NULL) {
        return (fetch_document(ring, &document, err) &&
                key_set_add_jwks(set, buf_str(&document.body), err)) ||
               error_wrap(err, "api.auth.jwt.jwks_url");
    }
    return true;
}

static bool read_secret(const struct jwt_config *jwt, struct key_set *set, struct error *err)
{
    if (jwt->hs256_secret == NULL) {
        return true;
    }
    struct secret secret CLEANUP(secret_release) = {0};
    return (secret_resolve(jwt->hs256_secret, &secret, err) &&
            key_set_add_secret(set, str_from(secret.value), err)) ||
           error_wrap(err, "api.auth.jwt.hs256_secret");
}

/* Makes `set` (if it says anything new) the current one. */
static void publish(struct keyring *ring, struct key_set *set, bool has_public)
{
    bool is_new = false;
    {
        MUTEX_GUARD(&ring->lock);
        is_new = ring->set == NULL || !key_set_is_equal(ring->set, set);
        ring->has_public = ring->has_public || has_public;
        if (is_new) {
            key_set_drop(ring->set);
            ring->set = key_set_hold(set);
            ring->generation++;
        }
    }
    if (is_new) {
        log_info("keys for tokens changed", LOG_INT("keys", key_set_size(set)));
    }
}

/* Said once when it begins and once when it is over. */
static void report(struct keyring *ring, bool is_good, const struct error *err)
{
    if (!is_good && err->code == ERROR_CANCELLED) {
        return;
    }
    static const char msg[] = "keys for tokens not renewed, the last good ones stay in use";
    if (!is_good && ring->was_good) {
        log_warn(msg, LOG_TEXT("error", err->msg));
    } else if (!is_good) {
        log_debug(msg, LOG_TEXT("error", err->msg));
    } else if (!ring->was_good) {
        log_info("keys for tokens can be read again");
    }
    ring->was_good = is_good;
}

static bool renew(struct keyring *ring)
{
    struct key_set *set CLEANUP(key_set_dropp) = key_set_new();
    uint64_t generation = 0;
    struct key_set *old CLEANUP(key_set_dropp) = keyring_get(ring, &generation);
    struct error public_err = ERROR_INIT;
    struct error secret_err = ERROR_INIT;
    struct key_set *public CLEANUP(key_set_dropp) = key_set_new();
    bool has_public = read_public(ring, public, &public_err);
    /* A document that is bad at its end must not leave its first keys. */
    key_set_share_public(set, has_public ? public : old);
    bool has_secret = read_secret(ring->jwt, set, &secret_err);
    if (!has_secret) {
        key_set_share_secret(set, old);
    }
    publish(ring, set, has_public);
    report(ring, has_public && has_secret, has_public ? &secret_err : &public_err);
    return has_public && has_secret;
}

static void tell_all(struct guard_waiter *waiter, enum wait_outcome outcome)
{
    while (waiter != NULL) {
        struct guard_waiter *next = waiter->next; /* it is gone after done */
        waiter->outcome = outcome;
        waiter->done(waiter);
        waiter = next;
    }
}

/* Waits until it is time to renew; false = stop. */
static bool wait_for_turn(struct keyring *ring)
{
    MUTEX_GUARD(&ring->lock);
    while (!ring->is_stopping && !ring->is_wanted && clock_monotonic_us() < ring->due_us) {
        (void)condition_wait_until(&ring->wake, &ring->lock, ring->due_us);
    }
    ring->is_wanted = false;
    ring->is_renewing = true;
    ring->tried_us = clock_monotonic_us();
    return !ring->is_stopping;
}

static int64_t pause_us(const struct jwt_config *jwt, bool is_good)
{
    if (is_good) {
        return jwt->jwks_refresh_us;
    }
    return jwt->jwks_cooldown_us > RETRY_MIN_US ? jwt->jwks_cooldown_us : RETRY_MIN_US;
}

static void *keyring_main(void *arg)
{
    struct keyring *ring = arg;
    while (wait_for_turn(ring)) {
        bool is_good = renew(ring);

        struct guard_waiter *waiters = NULL;
        {
            MUTEX_GUARD(&ring->lock);
            ring->is_renewing = false;
            ring->due_us = clock_monotonic_us() + pause_us(ring->jwt, is_good);
            waiters = TAKE(ring->waiters);
        }

        tell_all(waiters, WAIT_AGAIN);
    }
    return NULL;
}

/* What needs no network is checked before the service starts. */
static bool read_at_start(struct keyring *ring, struct error *err)
{
    const struct jwt_config *jwt = ring->jwt;
    if (jwt->jwks_url != NULL && strncmp(jwt->jwks_url, "https://", 8) != 0 &&
        !fetch_url_is_loopback(jwt->jwks_url)) {
        return error_set(err, ERROR_CONFIG,
                         "api.auth.jwt.jwks_url: keys that come unprotected could be anybody's: "
                         "use https://");
    }
    ring->set = key_set_new();
    ring->has_public = jwt->jwks_url == NULL;
    if (!read_secret(jwt, ring->set, err) ||
        (jwt->jwks_file != NULL && !read_public(ring, ring->set, err))) {
        err->code = ERROR_CONFIG;
        return false;
    }
    int64_t now_us = clock_monotonic_us();
    ring->tried_us = now_us;
    ring->due_us = jwt->jwks_url != NULL ? now_us : now_us + jwt->jwks_refresh_us;
    return true;
}

void keyring_stop(struct keyring *ring)
{
    stop_request(ring->stop, STOP_SIGNAL);

    struct guard_waiter *waiters = NULL;
    {
        MUTEX_GUARD(&ring->lock);
        ring->is_stopping = true;
        waiters = TAKE(ring->waiters);
        condition_signal(&ring->wake);
    }

    tell_all(waiters, WAIT_STOPPED);
    thread_join(&ring->thread);
}

void keyring_free(struct keyring *ring)
{
    if (ring == NULL) {
        return;
    }
    keyring_stop(ring);
    fetch_close(ring->fetch);
    stop_free(ring->stop);
    key_set_drop(ring->set);
    condition_release(&ring->wake);
    mutex_release(&ring->lock);
    xfree(ring);
}

struct keyring *keyring_start(const struct jwt_config *jwt, struct error *err)
{
    struct keyring *ring = XNEW(struct keyring);
    ring->jwt = jwt;
    ring->was_good = true;
    ring->generation = 1;
    mutex_init(&ring->lock);
    condition_init(&ring->wake);
    ring->stop = stop_new(NULL);
    ring->fetch = fetch_open(jwt->jwks_ca_file);
    if (!read_at_start(ring, err)) {
        keyring_free(ring);
        return NULL;
    }
    thread_start(&ring->thread, "foz-keys", keyring_main, ring);
    return ring;
}

struct key_set *keyring_get(struct keyring *ring, uint64_t *ret_generation)
{
    MUTEX_GUARD(&ring->lock);
    *ret_generation = ring->generation;
    return key_set_hold(ring->set);
}

bool keyring_is_complete(struct keyring *ring)
{
    MUTEX_GUARD(&ring->lock);
    return ring->has_public;
}

/* Under the lock. */
static bool may_renew(const struct keyring *ring, int64_t now_us)
{
    bool has_public = ring->jwt->jwks_url != NULL || ring->jwt->jwks_file != NULL;
    return has_public && (ring->is_wanted || ring->is_renewing || now_us >= ring->due_us ||
                          now_us - ring->tried_us >= ring->jwt->jwks_cooldown_us);
}

bool keyring_may_renew(struct keyring *ring, int64_t now_us)
{
    MUTEX_GUARD(&ring->lock);
    return may_renew(ring, now_us);
}

int keyring_retry_after_s(struct keyring *ring, int64_t now_us)
{
    MUTEX_GUARD(&ring->lock);
    int64_t wait_us = ring->tried_us + ring->jwt->jwks_cooldown_us - now_us;
    return wait_us > US_PER_S ? (int)((wait_us + US_PER_S - 1) / US_PER_S) : 1;
}

/* false: there is nothing to wait for. */
static bool join(struct keyring *ring, struct guard_waiter *waiter)
{
    MUTEX_GUARD(&ring->lock);
    if (ring->is_stopping || !may_renew(ring, clock_monotonic_us())) {
        waiter->outcome = ring->is_stopping ? WAIT_STOPPED : WAIT_AGAIN;
        return false;
    }
    waiter->next = ring->waiters;
    ring->waiters = waiter;
    ring->is_wanted = ring->is_wanted || !ring->is_renewing;
    condition_signal(&ring->wake);
    return true;
}

void keyring_wait(struct keyring *ring, struct guard_waiter *waiter)
{
    if (!join(ring, waiter)) {
        waiter->done(waiter);
    }
}
