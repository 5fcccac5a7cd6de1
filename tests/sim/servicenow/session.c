#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "tests/sim/servicenow/system.h"

/*
 * Two queues every call stands in. A session (cookie JSESSIONID) runs one transaction at a time;
 * with ten waiting, the next one is dropped with 202. A node runs `slots` REST transactions at a
 * time; with a full queue the next one is 429.
 */

enum { SESSIONS_MAX = 64, SESSION_ID_MAX = 64, SESSION_QUEUE = 10 };

struct session {
    char id[SESSION_ID_MAX];
    bool busy;
    int waiting;
};

struct sessions {
    struct mutex lock;
    struct condition changed;
    struct session items[SESSIONS_MAX]; /* guarded by lock; free when neither busy nor waited for */
    int n_running, n_queued;            /* guarded by lock: the node's semaphore */
};

struct sessions *sessions_new(void)
{
    struct sessions *sessions = XNEW(struct sessions);

    mutex_init(&sessions->lock);
    condition_init(&sessions->changed);
    return sessions;
}

void sessions_free(struct sessions *sessions)
{
    if (sessions == NULL) {
        return;
    }
    condition_release(&sessions->changed);
    mutex_release(&sessions->lock);
    xfree(sessions);
}

static struct str session_id(const struct call *call)
{
    const char *cookies = request_header(call->request, "Cookie");
    const char *found = cookies == NULL ? NULL : strstr(cookies, "JSESSIONID=");
    struct str id = STR_NONE;

    if (found != NULL) {
        id.ptr = found + strlen("JSESSIONID=");
        id.len = strcspn(id.ptr, "; ");
        id.len = id.len < SESSION_ID_MAX ? id.len : SESSION_ID_MAX - 1;
    }
    return id;
}

static struct session *find_session(struct sessions *sessions, struct str id)
{
    struct session *idle = NULL;

    for (int i = 0; i < SESSIONS_MAX; i++) {
        struct session *session = &sessions->items[i];

        if (str_equal_c(id, session->id)) {
            return session;
        }
        if (idle == NULL && !session->busy && session->waiting == 0) {
            idle = session;
        }
    }
    if (idle != NULL) {
        memcpy(idle->id, id.ptr, id.len);
        idle->id[id.len] = '\0';
    }
    return idle;
}

/* Lock held. */
static bool wait_for_session(struct call *call, struct sessions *sessions)
{
    struct str id = session_id(call);

    if (id.len == 0) {
        return true;
    }
    struct session *session = find_session(sessions, id);

    if (session == NULL) {
        return true;
    }
    if (session->waiting >= SESSION_QUEUE) {
        return false;
    }
    int64_t since_us = clock_monotonic_us();

    session->waiting++;
    while (session->busy && !stop_is_requested(call->request->stop)) {
        (void)condition_wait_until(&sessions->changed, &sessions->lock,
                                   clock_monotonic_us() + 100 * US_PER_MS);
    }
    session->waiting--;
    session->busy = true;
    call->session_wait_ms = (clock_monotonic_us() - since_us) / US_PER_MS;
    return true;
}

/* Lock held. */
static bool
wait_for_slot(struct call *call, struct sessions *sessions, int64_t slots, int64_t queue)
{
    int64_t since_us = clock_monotonic_us();

    if (sessions->n_running >= slots && sessions->n_queued >= queue) {
        return false;
    }
    sessions->n_queued++;
    while (sessions->n_running >= slots && !stop_is_requested(call->request->stop)) {
        (void)condition_wait_until(&sessions->changed, &sessions->lock,
                                   clock_monotonic_us() + 100 * US_PER_MS);
    }
    sessions->n_queued--;
    sessions->n_running++;
    call->sem_wait_ms = (clock_monotonic_us() - since_us) / US_PER_MS;
    return true;
}

static void free_session(struct call *call, struct sessions *sessions)
{
    struct str id = session_id(call);

    for (int i = 0; id.len > 0 && i < SESSIONS_MAX; i++) {
        if (str_equal_c(id, sessions->items[i].id)) {
            sessions->items[i].busy = false;
        }
    }
    condition_broadcast(&sessions->changed);
}

bool session_enter(struct call *call)
{
    struct sessions *sessions = call->sn->sessions;
    const struct fault *fault = drawn_find(&call->drawn, FAULT_semaphores);
    int64_t slots = 4;
    int64_t queue = 50;
    bool session;
    bool slot = false;

    if (fault != NULL) {
        struct str rest = str_from(fault->value[0] != '\0' ? fault->value : "1/50");
        struct str first = str_cut(&rest, '/');

        (void)str_to_int64(first, 1, 1000, &slots);
        (void)str_to_int64(rest, 0, 1000, &queue);
    }
    mutex_lock(&sessions->lock);
    session = wait_for_session(call, sessions);
    if (session) {
        slot = wait_for_slot(call, sessions, slots, queue);
        if (!slot) {
            free_session(call, sessions);
        }
    }
    mutex_unlock(&sessions->lock);
    if (!session) {
        call->reply->status = 202;
        respond_headers(call);
    } else if (!slot) {
        respond_error(call, 429, "Rate limit exceeded", "API_INT semaphore queue is full");
    }
    return session && slot;
}

void session_leave(struct call *call)
{
    struct sessions *sessions = call->sn->sessions;
    MUTEX_GUARD(&sessions->lock);

    sessions->n_running--;
    free_session(call, sessions);
}
