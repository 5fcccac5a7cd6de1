#include "worker/cli/commands.h"
#include "worker/cli/session.h"
#include "worker/run/daemon.h"

int command_run(const struct args *args)
{
    struct config config;
    int failed = session_config(args, &config);
    if (failed != 0) {
        return failed;
    }
    config_release(&config); /* it was good; the daemon keeps one of its own */
    struct stop *stop = stop_new(NULL);
    struct signals *signals = signals_start(stop);
    int code = daemon_run(args->config_path, stop, signals);
    signals_stop(signals);
    stop_free(stop);
    return code;
}
