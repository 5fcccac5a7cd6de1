#include "common/base/alloc.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FORMATTED_BYTES_MAX = 1 << 20 };

static _Noreturn void die_out_of_memory(void)
{
    static const char message[] =
        "foz: out of memory; give the process more or lower page_memory\n";
    /* Nothing is left to do if even this fails. */
    ssize_t written = write(STDERR_FILENO, message, sizeof(message) - 1);
    (void)written;
    abort();
}

void xfree(void *memory)
{
    free(memory);
}

void *xmalloc(size_t size)
{
    void *memory = malloc(size > 0 ? size : 1);
    if (memory == NULL) {
        die_out_of_memory();
    }
    return memory;
}

void *xcalloc(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size > 0 ? size : 1);
    if (memory == NULL) {
        die_out_of_memory();
    }
    return memory;
}

void *xrealloc(void *memory, size_t size)
{
    void *moved = realloc(memory, size > 0 ? size : 1);
    if (moved == NULL) {
        die_out_of_memory();
    }
    return moved;
}

char *xstrdup(const char *text)
{
    return xstrndup(text, strlen(text));
}

char *xstrndup(const char *text, size_t len)
{
    char *copy = xmalloc(len + 1);
    if (len > 0) {
        memcpy(copy, text, len);
    }
    copy[len] = '\0';
    return copy;
}

char *xasprintf(const char *format, ...)
{
    assert(format != NULL); /* gcc's sanitizer builds doubt it */
    va_list args;
    va_start(args, format);
    va_list measured;
    va_copy(measured, args);
    int len = vsnprintf(NULL, 0, format, measured);
    va_end(measured);
    assert(len >= 0 && len < FORMATTED_BYTES_MAX);
    char *text = xmalloc((size_t)len + 1);
    (void)vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return text;
}
