#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * A request to stop, shared by every thread that works on one thing. Tokens form a chain: a child
 * is stopped when it or any ancestor is. Waiting on a token is how foz sleeps: it ends at once
 * when a stop is requested. Thread-safe; the parent must outlive the child.
 */

enum stop_reason { STOP_NONE = 0, STOP_CANCELLED, STOP_SIGNAL, STOP_LOST };

struct stop;

struct stop *stop_new(struct stop *parent); /* parent may be NULL */
void stop_free(struct stop *stop);          /* accepts NULL; nobody may wait on it any more */

/* The first reason wins. Wakes every waiter of the token and of its descendants within 100 ms. */
void stop_request(struct stop *stop, enum stop_reason reason);

/* Same effect; async-signal-safe, so waiters learn of it at their next wake-up (100 ms at most). */
void stop_request_from_signal(struct stop *stop);

bool stop_is_requested(const struct stop *stop);
enum stop_reason stop_reason(const struct stop *stop);

/* Sleeps until deadline_us (monotonic) or until stopped; true = deadline reached, false = stop. */
bool stop_sleep_until(struct stop *stop, int64_t deadline_us);
