#pragma once

#include <stdint.h>

/*
 * Time as int64 microseconds. Monotonic time measures durations; wall time is only for display and
 * for talking to others. Pure modules take `now_us` as an argument instead of calling these.
 */

#define US_PER_MS  INT64_C(1000)
#define US_PER_S   INT64_C(1000000)
#define US_PER_MIN (60 * US_PER_S)
#define US_PER_H   (60 * US_PER_MIN)
#define US_PER_DAY (24 * US_PER_H)

int64_t clock_monotonic_us(void);
int64_t
clock_monotonic_coarse_us(void); /* the same some milliseconds late; costs next to nothing */
int64_t clock_wall_us(void);     /* since 1970-01-01T00:00:00Z */
int64_t clock_thread_cpu_us(void);

/* Sleeps; only where no stop token exists (stop.h is how foz waits). */
void clock_sleep_us(int64_t duration_us);
