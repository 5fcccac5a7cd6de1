#pragma once

#include <stddef.h>

#include "common/base/cleanup.h"

/*
 * The only place that touches the malloc family. Every allocation succeeds or the process aborts:
 * one transaction per task and advisory-lock ownership make a restart safe, so an untested
 * out-of-memory branch would be the greater risk. Sizes that come from data are checked against a
 * limit before they get here.
 */

void xfree(void *memory); /* accepts NULL */
void *xmalloc(size_t size) OWNED_BY(xfree);
void *xcalloc(size_t count, size_t size) OWNED_BY(xfree); /* aborts on overflow */
void *xrealloc(void *memory, size_t size);
char *xstrdup(const char *text) OWNED_BY(xfree);
char *xstrndup(const char *text, size_t len) OWNED_BY(xfree);

/* Bounded formatting into fresh memory; for identifiers and paths, never for data. */
char *xasprintf(const char *format, ...) PRINTF_FORMAT(1, 2) OWNED_BY(xfree);

static inline void xfreep(void *pointer)
{
    xfree(*(void **)pointer);
}

#define XNEW(type) ((type *)xcalloc(1, sizeof(type)))
