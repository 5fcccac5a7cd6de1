#include "api/http/peers.h"

#include <stdatomic.h>

#include "api/http/listen.h"
#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/thread.h"

#define REAP_INTERVAL_US (250 * US_PER_MS)

struct peer {
    struct peer *next;  /* guarded by lock */
    struct peer **link; /* guarded by lock */
    int fd;
    char remote[PEER_TEXT_MAX];
    _Atomic int64_t deadline_us; /* monotonic */
};

struct peers {
    int64_t request_limit_us;
    struct mutex lock;
    struct condition changed;
    struct peer *first; /* guarded by lock */
    bool is_stopping;   /* guarded by lock */
    struct thread reaper;
    _Atomic int64_t n_open;
    _Atomic int64_t n_total;
    _Atomic int64_t n_slow_closed;
};

struct peer *peers_add(struct peers *peers, int fd, const struct sockaddr *address)
{
    struct peer *peer = XNEW(struct peer);
    peer->fd = fd;
    listen_peer_text(address, peer->remote, sizeof(peer->remote));
    peer_limit(peer, peers->request_limit_us);
    atomic_fetch_add(&peers->n_open, 1);
    atomic_fetch_add(&peers->n_total, 1);
    MUTEX_GUARD(&peers->lock);
    peer->next = peers->first;
    peer->link = &peers->first;
    if (peer->next != NULL) {
        peer->next->link = &peer->next;
    }
    peers->first = peer;
    return peer;
}

void peers_remove(struct peers *peers, struct peer *peer)
{
    {
        MUTEX_GUARD(&peers->lock);
        *peer->link = peer->next;
        if (peer->next != NULL) {
            peer->next->link = peer->link;
        }
    }
    atomic_fetch_sub(&peers->n_open, 1);
    xfree(peer);
}

void peer_limit(struct peer *peer, int64_t limit_us)
{
    int64_t deadline_us =
        limit_us == PEER_TIME_IS_OURS ? INT64_MAX : clock_monotonic_coarse_us() + limit_us;
    atomic_store_explicit(&peer->deadline_us, deadline_us, memory_order_relaxed);
}

const char *peer_remote(const struct peer *peer)
{
    return peer->remote;
}

static void reap(struct peers *peers)
{
    int64_t now_us = clock_monotonic_us();
    for (struct peer *peer = peers->first; peer != NULL; peer = peer->next) {
        if (atomic_load_explicit(&peer->deadline_us, memory_order_relaxed) < now_us) {
            /* The polling thread wakes up, reads the end and closes. */
            (void)shutdown(peer->fd, SHUT_RDWR);
            atomic_store(&peer->deadline_us, INT64_MAX);
            atomic_fetch_add(&peers->n_slow_closed, 1);
        }
    }
}

static void *reaper_main(void *arg)
{
    struct peers *peers = arg;
    MUTEX_GUARD(&peers->lock);
    while (!peers->is_stopping) {
        (void)condition_wait_until(&peers->changed, &peers->lock,
                                   clock_monotonic_us() + REAP_INTERVAL_US);
        reap(peers);
    }
    return NULL;
}

struct peers *peers_start(int64_t request_limit_us)
{
    struct peers *peers = XNEW(struct peers);
    peers->request_limit_us = request_limit_us;
    mutex_init(&peers->lock);
    condition_init(&peers->changed);
    thread_start(&peers->reaper, "http reaper", reaper_main, peers);
    return peers;
}

void peers_stop(struct peers *peers)
{
    if (peers == NULL) {
        return;
    }
    {
        MUTEX_GUARD(&peers->lock);
        peers->is_stopping = true;
        condition_broadcast(&peers->changed);
    }
    thread_join(&peers->reaper);
    condition_release(&peers->changed);
    mutex_release(&peers->lock);
    xfree(peers);
}

struct peers_counters peers_counters(struct peers *peers)
{
    return (struct peers_counters){
        .open = atomic_load(&peers->n_open),
        .total = atomic_load(&peers->n_total),
        .slow_closed_total = atomic_load(&peers->n_slow_closed),
    };
}
