#include "common/base/output.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static bool has_no_reader(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

bool output_flush(const char *program)
{
    errno = 0;
    bool is_whole = fflush(stdout) == 0 && ferror(stdout) == 0;
    char reason[128] = ""; /* of an earlier write that failed it is gone */
    if (errno != 0) {
        (void)snprintf(reason, sizeof(reason), ": %m");
    }
    if (is_whole || has_no_reader()) {
        return true;
    }
    (void)fprintf(stderr,
                  "%s: cannot write to standard output%s; what it was to print is not whole: make "
                  "room or give it another place\n",
                  program, reason);
    return false;
}

int output_exit_code(const char *program, int code)
{
    return output_flush(program) || code != 0 ? code : 1;
}
