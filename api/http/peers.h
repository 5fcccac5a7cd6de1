#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * The open connections, and who cuts those that take too long: libmicrohttpd's own timeout starts
 * again with each byte, so that a client who sends one now and then would stay for ever.
 * Thread-safe.
 */

struct peers;
struct peer;

#define PEER_TIME_IS_OURS INT64_MAX

/* `request_limit_us`: how long a new connection may take for its first request. */
struct peers *peers_start(int64_t request_limit_us);
void peers_stop(struct peers *peers); /* none may be left; accepts NULL */

struct peer *peers_add(struct peers *peers, int fd, const struct sockaddr *address);

/* Before the descriptor is closed: a reused one is never cut. */
void peers_remove(struct peers *peers, struct peer *peer);

/* From now on it has so long, or PEER_TIME_IS_OURS. */
void peer_limit(struct peer *peer, int64_t limit_us);

/* Its address, numeric. */
const char *peer_remote(const struct peer *peer);

struct peers_counters {
    int64_t open;
    int64_t total;
    int64_t slow_closed_total;
};

struct peers_counters peers_counters(struct peers *peers);
