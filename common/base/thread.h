#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

/*
 * Threads, mutexes and conditions with the decisions made once: threads are named and joined,
 * signals are blocked in all but the main thread, conditions wait on the monotonic clock.
 * Creation failures abort: they mean the machine is out of resources at start-up.
 */

struct thread {
    pthread_t id;
    bool started;
};

/* name: at most 15 bytes. */
void thread_start(struct thread *thread,
                  const char *name,
                  void *(*main_function)(void *),
                  void *arg);
void thread_join(struct thread *thread); /* no-op if not started */

/* Blocks every signal for the calling thread and those it starts; main calls it first of all. */
void thread_block_signals(void);

struct mutex {
    pthread_mutex_t native;
};

void mutex_init(struct mutex *mutex);
void mutex_release(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

static inline void mutex_unlockp(struct mutex **mutex)
{
    mutex_unlock(*mutex);
}

/* Holds `mutex` until the end of the block. */
#define MUTEX_GUARD(mutex_pointer)                                                                 \
    struct mutex *mutex_guard_ __attribute__((unused)) CLEANUP(mutex_unlockp) =                    \
        (mutex_lock(mutex_pointer), (mutex_pointer))

struct condition {
    pthread_cond_t native;
};

void condition_init(struct condition *condition);
void condition_release(struct condition *condition);
void condition_wait(struct condition *condition, struct mutex *mutex);
/* false when deadline_us (monotonic) passed. */
bool condition_wait_until(struct condition *condition, struct mutex *mutex, int64_t deadline_us);
void condition_signal(struct condition *condition);
void condition_broadcast(struct condition *condition);
