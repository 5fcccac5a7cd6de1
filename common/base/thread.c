#include "common/base/thread.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"

enum { THREAD_NAME_MAX = 15 };

/* Errors of these calls mean misuse or an exhausted machine. */
static void must(int result)
{
    if (result != 0) {
        abort();
    }
}

/* Faults stay deliverable: they belong to the thread that caused them. */
static void fill_with_blockable(sigset_t *set)
{
    must(sigfillset(set));
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        must(sigdelset(set, faults[i]));
    }
}

void thread_start(struct thread *thread,
                  const char *name,
                  void *(*main_function)(void *),
                  void *arg)
{
    assert(strlen(name) <= THREAD_NAME_MAX);
    sigset_t blocked;
    sigset_t previous;
    fill_with_blockable(&blocked);
    must(pthread_sigmask(SIG_BLOCK, &blocked, &previous));
    must(pthread_create(&thread->id, NULL, main_function, arg));
    must(pthread_sigmask(SIG_SETMASK, &previous, NULL));
    thread->started = true;
    /* Only for people who look at the process: a thread that has already ended has no name. */
    (void)pthread_setname_np(thread->id, name);
}

void thread_join(struct thread *thread)
{
    if (!thread->started) {
        return;
    }
    must(pthread_join(thread->id, NULL));
    thread->started = false;
}

void thread_block_signals(void)
{
    sigset_t blocked;
    fill_with_blockable(&blocked);
    must(pthread_sigmask(SIG_BLOCK, &blocked, NULL));
}

void mutex_init(struct mutex *mutex)
{
    must(pthread_mutex_init(&mutex->native, NULL));
}

void mutex_release(struct mutex *mutex)
{
    must(pthread_mutex_destroy(&mutex->native));
}

void mutex_lock(struct mutex *mutex)
{
    must(pthread_mutex_lock(&mutex->native));
}

void mutex_unlock(struct mutex *mutex)
{
    must(pthread_mutex_unlock(&mutex->native));
}

void condition_init(struct condition *condition)
{
    pthread_condattr_t attributes;
    must(pthread_condattr_init(&attributes));
    must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC));
    must(pthread_cond_init(&condition->native, &attributes));
    must(pthread_condattr_destroy(&attributes));
}

void condition_release(struct condition *condition)
{
    must(pthread_cond_destroy(&condition->native));
}

void condition_wait(struct condition *condition, struct mutex *mutex)
{
    must(pthread_cond_wait(&condition->native, &mutex->native));
}

bool condition_wait_until(struct condition *condition, struct mutex *mutex, int64_t deadline_us)
{
    int64_t positive_us = deadline_us > 0 ? deadline_us : 0;
    struct timespec deadline = {
        .tv_sec = (time_t)(positive_us / US_PER_S),
        .tv_nsec = (long)(positive_us % US_PER_S) * 1000,
    };
    int result = pthread_cond_timedwait(&condition->native, &mutex->native, &deadline);
    if (result == ETIMEDOUT) {
        return false;
    }
    must(result);
    return true;
}

void condition_signal(struct condition *condition)
{
    must(pthread_cond_signal(&condition->native));
}

void condition_broadcast(struct condition *condition)
{
    must(pthread_cond_broadcast(&condition->native));
}
