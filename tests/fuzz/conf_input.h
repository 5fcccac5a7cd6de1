#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/claim.h"

/*
 * The fuzzers' input as a file in memory: readers of configuration and catalog take paths.
 */

static inline const char *conf_input(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("input", MFD_CLOEXEC);
        CLAIM(fd >= 0);
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    CLAIM(ftruncate(fd, 0) == 0);
    CLAIM(pwrite(fd, data, size, 0) == (ssize_t)size);
    return path;
}
