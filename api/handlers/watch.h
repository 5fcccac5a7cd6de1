#pragma once

#include "api/http/cache.h"

/*
 * Tells the cache what is true: one thread listens for publishes and reads the version that answers
 * have from now on. Where reading goes to a standby, a publish counts when the standby has it.
 * Without a listening connection nothing is kept.
 */

struct watch;

struct watch_settings {
    const char *write_url; /* a standby cannot be listened to */
    const char *read_url;
    struct cache *cache;
};

struct watch *watch_start(const struct watch_settings *settings);
void watch_stop(struct watch *watch); /* accepts NULL */
