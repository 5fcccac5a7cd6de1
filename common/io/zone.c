#include "common/io/zone.h"

#include <glib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/instant.h"

#define DAY_S        INT64_C(86400)
#define FIRST_YEAR   1970
#define LAST_YEAR    2100
#define NAME_LEN_MAX 64
#define CHANGES_MAX  1024

/* From `from_us` on the clock is `offset_us` ahead of UTC. */
struct change {
    int64_t from_us;
    int64_t offset_us;
};

struct zone {
    size_t n_changes; /* at least 1: the first holds since ever */
    struct change changes[];
};

static void unref_source(GTimeZone **source)
{
    if (*source != NULL) {
        g_time_zone_unref(*source);
    }
}

static int64_t offset_at(GTimeZone *source, int64_t instant_s)
{
    return g_time_zone_get_offset(
        source, g_time_zone_find_interval(source, G_TIME_TYPE_UNIVERSAL, instant_s));
}

/* The second in (before_s, after_s] with which the offset changes to what it is at after_s. */
static int64_t find_change(GTimeZone *source, int64_t before_s, int64_t after_s)
{
    int64_t offset = offset_at(source, after_s);
    while (after_s - before_s > 1) {
        int64_t middle_s = before_s + (after_s - before_s) / 2;
        *(offset_at(source, middle_s) == offset ? &after_s : &before_s) = middle_s;
    }
    return after_s;
}

/* Looks at every third day: no clock has been changed twice within so little time. */
static size_t read_changes(GTimeZone *source, struct change *out, size_t capacity)
{
    int64_t at_s = instant_days_from_civil(FIRST_YEAR, 1, 1) * DAY_S;
    int64_t end_s = instant_days_from_civil(LAST_YEAR, 1, 1) * DAY_S;
    int64_t offset_s = offset_at(source, at_s);
    size_t n = 0;
    out[n++] = (struct change){INT64_MIN, offset_s * US_PER_S};
    for (; at_s < end_s && n < capacity; at_s += 3 * DAY_S) {
        int64_t next_s = at_s + 3 * DAY_S;
        int64_t next_offset_s = offset_at(source, next_s);
        if (next_offset_s != offset_s) {
            offset_s = next_offset_s;
            out[n++] =
                (struct change){find_change(source, at_s, next_s) * US_PER_S, offset_s * US_PER_S};
        }
    }
    return n;
}

struct zone *zone_open(const char *name, struct error *err)
{
    /* GLib takes anything that begins with a slash or a colon for a file. */
    bool is_name = name[0] != '\0' && strlen(name) <= NAME_LEN_MAX && name[0] != '/' &&
                   name[0] != ':' && strstr(name, "..") == NULL;
    GTimeZone *source CLEANUP(unref_source) = is_name ? g_time_zone_new_identifier(name) : NULL;
    if (source == NULL) {
        (void)error_set(err, ERROR_CONFIG,
                        "time zone \"%.64s\" is not known; write a name of the time zone database "
                        "(America/Sao_Paulo, UTC), and install the package tzdata if it is missing",
                        name);
        return NULL;
    }
    struct change *changes CLEANUP(xfreep) = xcalloc(CHANGES_MAX, sizeof(*changes));
    size_t n = read_changes(source, changes, CHANGES_MAX);
    struct zone *zone = xmalloc(sizeof(*zone) + n * sizeof(*changes));
    zone->n_changes = n;
    memcpy(zone->changes, changes, n * sizeof(*changes));
    return zone;
}

void zone_close(struct zone *zone)
{
    xfree(zone);
}

/* The last change at or before the instant. */
static const struct change *change_at(const struct zone *zone, int64_t instant_us)
{
    size_t low = 0;
    size_t high = zone->n_changes;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        *(zone->changes[middle].from_us <= instant_us ? &low : &high) = middle;
    }
    return &zone->changes[low];
}

int64_t zone_offset_us(const struct zone *zone, int64_t instant_us)
{
    return change_at(zone, instant_us)->offset_us;
}

void zone_instants(const struct zone *zone,
                   int64_t local_us,
                   int64_t *ret_first_us,
                   int64_t *ret_last_us)
{
    /* No offset reaches a day, so these are the one before and the one after any change nearby. */
    int64_t before_us = zone_offset_us(zone, local_us - US_PER_DAY);
    int64_t after_us = zone_offset_us(zone, local_us + US_PER_DAY);
    int64_t one_us = local_us - before_us;
    int64_t other_us = local_us - after_us;
    bool is_one = zone_offset_us(zone, one_us) == before_us;
    bool is_other = zone_offset_us(zone, other_us) == after_us;
    if (!is_other || other_us == one_us) {
        *ret_first_us = *ret_last_us = one_us; /* or never shown */
    } else if (!is_one) {
        *ret_first_us = *ret_last_us = other_us;
    } else {
        *ret_first_us = one_us < other_us ? one_us : other_us;
        *ret_last_us = one_us < other_us ? other_us : one_us;
    }
}

bool zone_is_same(const struct zone *a, const struct zone *b, int64_t since_us)
{
    const struct change *x = change_at(a, since_us);
    const struct change *y = change_at(b, since_us);
    const struct change *x_end = a->changes + a->n_changes;
    const struct change *y_end = b->changes + b->n_changes;
    if (x->offset_us != y->offset_us || x_end - x != y_end - y) {
        return false;
    }
    for (x++, y++; x < x_end; x++, y++) {
        if (x->from_us != y->from_us || x->offset_us != y->offset_us) {
            return false;
        }
    }
    return true;
}

bool zone_is_utc(const struct zone *zone)
{
    return zone->n_changes == 1 && zone->changes[0].offset_us == 0;
}
