#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"

/*
 * Points in time as text. An instant is int64 microseconds since 1970-01-01T00:00:00Z in the
 * proleptic Gregorian calendar, years 0001 to 9999; no locale, no time zone database.
 */

#define INSTANT_TEXT_MAX 40 /* room for every format below with its NUL */

/* RFC 3339 ("2026-01-02T03:04:05.123Z", "+01:00", a space for T), or a bare date, which means
 * midnight UTC. 0 to 9 fractional digits; beyond microseconds they are cut. */
bool instant_parse_rfc3339(struct str text, int64_t *ret_us);

/* "YYYY-MM-DD HH:MM:SS" taken as UTC, as ServiceNow sends it; exact form only. */
bool instant_parse_plain(struct str text, int64_t *ret_us);

/* "YYYY-MM-DD": days since 1970-01-01. */
bool instant_parse_date(struct str text, int32_t *ret_days);

/* The three HTTP-date forms of RFC 9110 section 5.6.7. */
bool instant_parse_http_date(struct str text, int64_t *ret_us);

/* "2026-01-02T03:04:05Z", with six fractional digits only if there are any. Returns `out`. */
const char *instant_format_rfc3339(int64_t us, char out[INSTANT_TEXT_MAX]);

/* "2026-01-02 03:04:05"; fractions are cut downwards. */
const char *instant_format_plain(int64_t us, char out[INSTANT_TEXT_MAX]);

/* "Tue, 14 Jul 2026 00:30:28 GMT". */
const char *instant_format_http_date(int64_t us, char out[INSTANT_TEXT_MAX]);

/* Days since 1970-01-01 of a civil date and back; month 1-12, day 1-31. */
int64_t instant_days_from_civil(int64_t year, unsigned month, unsigned day);
void instant_civil_from_days(int64_t days,
                             int64_t *ret_year,
                             unsigned *ret_month,
                             unsigned *ret_day);
