#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/str.h"

/*
 * The written forms of single values: durations, sizes, numbers, URLs and addresses. Pure
 * functions; who wrote the value and where is the business of options.c.
 */

/* "500ms", "30s", "10m", "24h", "7d", or "0". Microseconds; false on another form or overflow. */
bool option_parse_duration(struct str text, int64_t *ret_us);
void option_format_duration(int64_t us, struct buf *out);

/* "64KiB", "16MiB", "1GiB" or plain bytes. */
bool option_parse_size(struct str text, int64_t *ret_bytes);
void option_format_size(int64_t bytes, struct buf *out);

/* Decimal, no exponent, no sign. */
bool option_parse_float(const char *text, double *ret_value);

/* NULL if `text` is an absolute http or https URL without user info, query and fragment; else what
 * is wrong with it. The message does not repeat the URL, which may hold a password. */
const char *option_url_fault(const char *text);

/* NULL if `text` is HOST:PORT or [ADDRESS]:PORT with a port from 0 to 65535; else what is wrong. */
const char *option_listen_fault(const char *text);

/* Is the address (as accepted by option_listen_fault) reachable from this machine only? */
bool option_listen_is_loopback(const char *text);
