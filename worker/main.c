#include <stdio.h>

#include "common/base/log.h"
#include "common/base/output.h"
#include "common/base/thread.h"
#include "worker/cli/args.h"
#include "worker/run/policy.h"

static int run(int argc, char **argv)
{
    struct args args;
    struct error err = ERROR_INIT;
    if (!args_parse(argc, argv, &args, &err)) {
        (void)fprintf(stderr, "foz-worker: %s\n", err.msg);
        return EXIT_BAD_USAGE;
    }
    if (args.version) {
        printf("foz-worker %s\n", FOZ_VERSION);
        return EXIT_COMPLETE;
    }
    if (args.help) {
        args_print_help(&args);
        return EXIT_COMPLETE;
    }
    return args.command->run(&args);
}

int main(int argc, char **argv)
{
    thread_block_signals();
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    return output_exit_code("foz-worker", run(argc, argv));
}
