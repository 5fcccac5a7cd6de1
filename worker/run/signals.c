#include "worker/run/signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/thread.h"

struct signals {
    struct stop *stop;
    struct thread thread;
    int fd;
    atomic_bool reload;
    atomic_bool ends;
};

static sigset_t awaited_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGUSR1); /* wakes the thread at the end; from others it means nothing */
    return set;
}

static void *signals_main(void *arg)
{
    struct signals *signals = arg;
    sigset_t set = awaited_signals();
    int number = 0;
    while (sigwait(&set, &number) == 0 && !atomic_load(&signals->ends)) {
        if (number == SIGUSR1) {
            continue;
        }
        if (number == SIGHUP) {
            atomic_store(&signals->reload, true);
        } else {
            log_info("stopping", LOG_TEXT("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
            stop_request(signals->stop, STOP_SIGNAL);
        }
        uint64_t one = 1;
        (void)!write(signals->fd, &one, sizeof(one));
    }
    return NULL;
}

struct signals *signals_start(struct stop *stop)
{
    struct signals *signals = XNEW(struct signals);
    signals->stop = stop;
    signals->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_init(&signals->reload, false);
    thread_start(&signals->thread, "signals", signals_main, signals);
    return signals;
}

void signals_stop(struct signals *signals)
{
    if (signals != NULL) {
        atomic_store(&signals->ends, true);
        (void)pthread_kill(signals->thread.id, SIGUSR1);
        thread_join(&signals->thread);
        (void)close(signals->fd);
        xfree(signals);
    }
}

int signals_fd(const struct signals *signals)
{
    return signals->fd;
}

bool signals_take_reload(struct signals *signals)
{
    uint64_t drained;
    (void)!read(signals->fd, &drained, sizeof(drained));
    return atomic_exchange(&signals->reload, false);
}
