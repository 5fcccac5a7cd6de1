#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"

/*
 * Time zones: local clock readings to instants. The one wrapper of GLib, which reads the system's
 * time zone database; everything is read when the zone is opened, afterwards a zone is constant
 * and shared by all threads.
 *
 * A local reading is microseconds since 1970-01-01T00:00:00 on that clock. In the hour that a
 * clock shows twice it stands for two instants, in the hour that it leaves out for none.
 */

struct zone;

/* A name of the time zone database ("America/Sao_Paulo"), "UTC", or an offset ("-03:00").
 * ERROR_CONFIG names what is not known. */
struct zone *zone_open(const char *name, struct error *err);
void zone_close(struct zone *zone); /* accepts NULL */

/* Minutes would do, but history has offsets in seconds. East of Greenwich is positive. */
int64_t zone_offset_us(const struct zone *zone, int64_t instant_us);

/* The first and the last instant at which the clock shows `local_us`; they differ only in an hour
 * that comes twice. A reading that never was counts on from before the jump: both are the same. */
void zone_instants(const struct zone *zone,
                   int64_t local_us,
                   int64_t *ret_first_us,
                   int64_t *ret_last_us);

/* Do both clocks show the same from `since_us` on, whatever they are called? */
bool zone_is_same(const struct zone *a, const struct zone *b, int64_t since_us);

/* Has the clock shown UTC ever since 1970? */
bool zone_is_utc(const struct zone *zone);
