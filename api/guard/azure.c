#include "api/guard/azure.h"

#include <stdio.h>
#include <string.h>

#include "api/guard/connection_data.h"
#include "api/guard/map.h"
#include "api/http/router.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/thread.h"
#include "common/conf/secret.h"

#define THREADS              4
#define QUESTIONS_MAX        64
#define CACHE_LIMIT          4096
#define ANSWER_BYTES_MAX     (256UL * 1024)
#define ASK_TIMEOUT_US       (5 * US_PER_S)
#define REFUSED_FOR_US       (10 * US_PER_S)
#define PAUSE_UNREACHABLE_US (2 * US_PER_S)
#define PAUSE_MAX_US         US_PER_MIN

/* One credential that is being asked about, and who waits for the answer. */
struct question {
    struct credential_digest digest;
    char *authorization; /* wiped when it goes */
    struct guard_waiter *waiters;
    struct question *next; /* in the queue */
    UT_hash_handle hh;
};

/* What a question came to. */
struct outcome {
    enum wait_outcome outcome;
    struct principal principal;
    const char *why;
    int retry_after_s;
};

struct azure {
    const struct source_config *source;
    const struct api_azure_config *settings;
    unsigned scopes;
    char *url;
    struct verdict_cache *granted;
    struct verdict_cache *refused; /* apart, so that guessing does not push out what is known */
    struct stop *stop;
    struct thread threads[THREADS];
    struct mutex lock;
    struct condition wake;
    struct question *questions;         /* by digest; guarded by lock */
    struct question *first;             /* not begun; guarded by lock */
    struct question **last;             /* guarded by lock */
    int64_t paused_until_us;            /* guarded by lock */
    bool is_stopping;                   /* guarded by lock */
    bool was_away;                      /* what the log was told last; guarded by lock */
    char organisation_id[GUID_LEN + 1]; /* "" = not learnt yet; guarded by lock */
};

/* --- asking ----------------------------------------------------------------------------------- */

/* For so long nobody is asked any more. */
static void pause_asking(struct azure *azure, int64_t for_us, const char *why, const char *detail)
{
    bool is_new = false;
    {
        MUTEX_GUARD(&azure->lock);
        is_new = !azure->was_away && !azure->is_stopping;
        azure->was_away = true;
        azure->paused_until_us = clock_monotonic_us() + for_us;
    }
    if (is_new) {
        log_warn("Azure DevOps credentials cannot be checked",
                 LOG_TEXT("source", azure->source->name), LOG_TEXT("reason", why),
                 LOG_TEXT("error", detail));
    }
}

static void note_reached(struct azure *azure)
{
    bool was_away = false;
    {
        MUTEX_GUARD(&azure->lock);
        was_away = azure->was_away;
        azure->was_away = false;
    }
    if (was_away) {
        log_info("Azure DevOps credentials can be checked again",
                 LOG_TEXT("source", azure->source->name));
    }
}

/* The other side is ill, which concerns everybody; a throttled or odd request only its sender. */
static bool concerns_all(int status)
{
    return status >= 500 || status == 408;
}

static enum connection_result ask(struct azure *azure,
                                  struct fetch *fetch,
                                  const char *authorization,
                                  struct connection_data *ret_data,
                                  struct outcome *outcome)
{
    char *header = xasprintf("Authorization: %s", authorization);
    const char *const headers[] = {header, "Accept: application/json",
                                   "X-TFS-FedAuthRedirect: Suppress", NULL};
    struct fetch_request request = {
        .url = azure->url, .headers = headers, .timeout_us = ASK_TIMEOUT_US, .stop = azure->stop};
    struct fetch_answer answer CLEANUP(fetch_answer_release);
    fetch_answer_init(&answer, ANSWER_BYTES_MAX);
    struct error err = ERROR_INIT;
    bool is_answered = fetch_get(fetch, &request, &answer, &err);
    explicit_bzero(header, strlen(header));
    xfree(header);
    if (!is_answered) {
        outcome->why = "Azure DevOps does not answer";
        pause_asking(azure, PAUSE_UNREACHABLE_US, outcome->why, err.msg);
        return CONNECTION_UNAVAILABLE;
    }
    int64_t wait_us = answer.retry_after_s < PAUSE_MAX_US / US_PER_S
                          ? answer.retry_after_s * US_PER_S
                          : PAUSE_MAX_US;
    outcome->retry_after_s = (int)(wait_us / US_PER_S);
    enum connection_result result = connection_data_read(&answer, ret_data, &outcome->why);
    if (result == CONNECTION_UNAVAILABLE && concerns_all(answer.status)) {
        char status[32];
        (void)snprintf(status, sizeof(status), "status %d", answer.status);
        pause_asking(azure, wait_us > 0 ? wait_us : PAUSE_UNREACHABLE_US, outcome->why, status);
    }
    return result;
}

/* The source's own credential as a header value; NULL: err is set. Caller wipes and frees. */
static char *own_authorization(const struct source_config *source, struct error *err)
{
    struct secret token CLEANUP(secret_release) = {0};
    if (!secret_resolve(source->auth.token, &token, err)) {
        return NULL;
    }
    if (source->auth.method == AUTH_BEARER) {
        return xasprintf("Bearer %s", token.value);
    }
    char *pair = xasprintf(":%s", token.value);
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, 128UL * 1024);
    buf_add_c(&text, "Basic ");
    crypto_base64(str_from(pair), &text);
    explicit_bzero(pair, strlen(pair));
    xfree(pair);
    return buf_take(&text);
}

static bool recall_organisation(struct azure *azure, char out[GUID_LEN + 1])
{
    MUTEX_GUARD(&azure->lock);
    memcpy(out, azure->organisation_id, GUID_LEN + 1);
    return out[0] != '\0';
}

/* Which organisation the source is of. Several threads may ask at once: they learn the same. */
static bool learn_organisation(struct azure *azure, struct fetch *fetch, char out[GUID_LEN + 1])
{
    if (recall_organisation(azure, out)) {
        return true;
    }
    struct error err = ERROR_INIT;
    char *authorization = own_authorization(azure->source, &err);
    if (authorization == NULL) {
        pause_asking(azure, PAUSE_UNREACHABLE_US, "the source's own credential is missing",
                     err.msg);
        return false;
    }
    struct connection_data own = {0};
    struct outcome outcome = {.why = ""};
    enum connection_result result = ask(azure, fetch, authorization, &own, &outcome);
    explicit_bzero(authorization, strlen(authorization));
    xfree(authorization);
    if (result != CONNECTION_KNOWN) {
        pause_asking(azure, PAUSE_UNREACHABLE_US,
                     "the organisation cannot be learnt with the source's own credential",
                     outcome.why);
        return false;
    }
    MUTEX_GUARD(&azure->lock);
    memcpy(azure->organisation_id, own.organisation_id, GUID_LEN + 1);
    memcpy(out, own.organisation_id, GUID_LEN + 1);
    return true;
}

static struct outcome
answer_question(struct azure *azure, struct fetch *fetch, const char *authorization)
{
    char organisation_id[GUID_LEN + 1];
    struct connection_data data = {0};
    struct outcome outcome = {.outcome = WAIT_UNAVAILABLE, .why = "Azure DevOps cannot be asked"};
    if (!learn_organisation(azure, fetch, organisation_id)) {
        return outcome;
    }
    switch (ask(azure, fetch, authorization, &data, &outcome)) {
    case CONNECTION_UNAVAILABLE:
        return outcome;
    case CONNECTION_REFUSED:
        note_reached(azure);
        outcome.outcome = WAIT_REFUSED;
        return outcome;
    case CONNECTION_KNOWN:
        note_reached(azure);
        break;
    }
    if (strcmp(data.organisation_id, organisation_id) != 0) {
        return (struct outcome){.outcome = WAIT_REFUSED, .why = "it is of another organisation"};
    }
    outcome.outcome = WAIT_GRANTED;
    outcome.principal.scopes = azure->scopes;
    principal_set(&outcome.principal, PRINCIPAL_AZURE, str_from(data.account),
                  str_from(data.organisation_id), str_from(data.user_id));
    return outcome;
}

/* --- questions -------------------------------------------------------------------------------- */

static int pause_left_s(int64_t paused_until_us, int64_t now_us)
{
    int64_t left_us = paused_until_us - now_us;
    return left_us > US_PER_S ? (int)((left_us + US_PER_S - 1) / US_PER_S) : 1;
}

/* What a question comes to without being asked: the service stops, or silence is kept. */
static bool is_moot(struct azure *azure, struct outcome *ret_outcome)
{
    MUTEX_GUARD(&azure->lock);
    int64_t now_us = clock_monotonic_us();
    if (azure->is_stopping) {
        *ret_outcome = (struct outcome){.outcome = WAIT_STOPPED, .why = ""};
        return true;
    }
    if (now_us < azure->paused_until_us) {
        *ret_outcome =
            (struct outcome){.outcome = WAIT_UNAVAILABLE,
                             .why = "Azure DevOps could not be asked a moment ago",
                             .retry_after_s = pause_left_s(azure->paused_until_us, now_us)};
        return true;
    }
    return false;
}

static void tell_all(struct guard_waiter *waiter, const struct outcome *outcome)
{
    while (waiter != NULL) {
        struct guard_waiter *next = waiter->next; /* it is gone after done */
        waiter->outcome = outcome->outcome;
        waiter->principal = outcome->principal;
        waiter->why = outcome->why;
        waiter->retry_after_s = outcome->retry_after_s > 0 ? outcome->retry_after_s : 1;
        waiter->done(waiter);
        waiter = next;
    }
}

static void
keep(struct azure *azure, const struct question *question, const struct outcome *outcome)
{
    int64_t now_us = clock_monotonic_us();
    int64_t cache_us = azure->settings->cache_us;
    if (outcome->outcome == WAIT_GRANTED) {
        verdict_cache_put(azure->granted, &question->digest, 0, &outcome->principal,
                          now_us + cache_us);
    } else if (outcome->outcome == WAIT_REFUSED) {
        int64_t for_us = cache_us < REFUSED_FOR_US ? cache_us : REFUSED_FOR_US;
        verdict_cache_put(azure->refused, &question->digest, 0, NULL, now_us + for_us);
    }
}

/* Kept first, then taken off the table: who comes between finds one or the other. */
static void
/* NOLINTNEXTLINE(readability-function-size): the depth is that of uthash's macros */
close_question(struct azure *azure, struct question *question, const struct outcome *outcome)
{
    keep(azure, question, outcome);
    {
        MUTEX_GUARD(&azure->lock);
        HASH_DEL(azure->questions, question);
    }
    tell_all(question->waiters, outcome);
    explicit_bzero(question->authorization, strlen(question->authorization));
    xfree(question->authorization);
    xfree(question);
}

static struct question *next_question(struct azure *azure)
{
    MUTEX_GUARD(&azure->lock);
    while (azure->first == NULL && !azure->is_stopping) {
        condition_wait(&azure->wake, &azure->lock);
    }
    struct question *question = azure->first;
    if (question != NULL) {
        azure->first = question->next;
        azure->last = azure->first == NULL ? &azure->first : azure->last;
    }
    return question;
}

static void *azure_main(void *arg)
{
    struct azure *azure = arg;
    struct fetch *fetch CLEANUP(fetch_closep) = fetch_open(azure->source->ca_file);
    struct question *question = NULL;
    while ((question = next_question(azure)) != NULL) {
        struct outcome outcome;
        if (!is_moot(azure, &outcome)) {
            outcome = answer_question(azure, fetch, question->authorization);
        }
        if (outcome.outcome == WAIT_UNAVAILABLE && stop_is_requested(azure->stop)) {
            outcome.outcome = WAIT_STOPPED;
        }
        close_question(azure, question, &outcome);
    }
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------- */

static unsigned scopes_of(const struct api_azure_config *settings)
{
    unsigned scopes = 0;
    for (size_t i = 0; i < settings->n_scopes; i++) {
        enum scope scope = SCOPE_NONE;
        if (scope_parse(str_from(settings->scopes[i]), &scope)) {
            scopes |= (unsigned)scope;
        }
    }
    return scopes;
}

struct azure *azure_start(const struct config *config, struct error *err)
{
    const struct source_config *source = config_source(config, config->api.azure_devops.source);
    if (source == NULL) {
        (void)error_set(err, ERROR_CONFIG, "api.auth.azure_devops.source names no source: %s",
                        config->api.azure_devops.source);
        return NULL;
    }
    struct azure *azure = XNEW(struct azure);
    azure->source = source;
    azure->settings = &config->api.azure_devops;
    azure->scopes = scopes_of(azure->settings);
    azure->url = xasprintf("%s/_apis/connectionData?api-version=7.1-preview.1", source->url);
    azure->granted = verdict_cache_new(CACHE_LIMIT);
    azure->refused = verdict_cache_new(CACHE_LIMIT);
    azure->stop = stop_new(NULL);
    azure->last = &azure->first;
    mutex_init(&azure->lock);
    condition_init(&azure->wake);
    for (size_t i = 0; i < THREADS; i++) {
        thread_start(&azure->threads[i], "foz-azure", azure_main, azure);
    }
    return azure;
}

void azure_stop(struct azure *azure)
{
    if (azure == NULL) {
        return;
    }
    stop_request(azure->stop, STOP_SIGNAL);
    {
        MUTEX_GUARD(&azure->lock);
        azure->is_stopping = true;
        condition_broadcast(&azure->wake);
    }
    /* What is queued is still taken, and ends at once. */
    for (size_t i = 0; i < THREADS; i++) {
        thread_join(&azure->threads[i]);
    }
}

void azure_free(struct azure *azure)
{
    if (azure == NULL) {
        return;
    }
    azure_stop(azure);
    verdict_cache_free(azure->granted);
    verdict_cache_free(azure->refused);
    stop_free(azure->stop);
    condition_release(&azure->wake);
    mutex_release(&azure->lock);
    xfree(azure->url);
    xfree(azure);
}

enum verdict_result
azure_recall(struct azure *azure, struct str authorization, struct principal *ret_principal)
{
    struct credential_digest digest = credential_digest(authorization);
    int64_t now_us = clock_monotonic_us();
    if (verdict_cache_get(azure->granted, &digest, 0, now_us, ret_principal) == VERDICT_GRANTED) {
        return VERDICT_GRANTED;
    }
    return verdict_cache_get(azure->refused, &digest, 0, now_us, ret_principal);
}

/* Adds the waiter to the question of this credential, a new one if need be; false when there are
 * too many. */
/* NOLINTNEXTLINE(readability-function-size): the depth is that of uthash's macros */
static bool join(struct azure *azure, struct str authorization, struct guard_waiter *waiter)
{
    struct credential_digest digest = credential_digest(authorization);
    MUTEX_GUARD(&azure->lock);
    struct question *question = NULL;
    HASH_FIND(hh, azure->questions, &digest, sizeof(digest), question);
    if (question == NULL) {
        if (HASH_COUNT(azure->questions) >= QUESTIONS_MAX || azure->is_stopping) {
            return false;
        }
        question = XNEW(struct question);
        question->digest = digest;
        question->authorization = xstrndup(authorization.ptr, authorization.len);
        HASH_ADD(hh, azure->questions, digest, sizeof(question->digest), question);
        *azure->last = question;
        azure->last = &question->next;
        condition_signal(&azure->wake);
    }
    waiter->next = question->waiters;
    question->waiters = waiter;
    return true;
}

void azure_ask(struct azure *azure, struct str authorization, struct guard_waiter *waiter)
{
    struct outcome outcome = {.outcome = WAIT_UNAVAILABLE,
                              .why = "too many credentials are being checked"};
    if (!is_moot(azure, &outcome) && join(azure, authorization, waiter)) {
        return;
    }
    waiter->next = NULL;
    tell_all(waiter, &outcome);
}
