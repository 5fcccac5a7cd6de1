#include "worker/sources/glpi/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/instant.h"
#include "common/base/log.h"
#include "common/conf/secret.h"
#include "common/io/json.h"
#include "worker/sources/glpi/send.h"

/* glpi_currenttime and Date are the same clock's, read at both ends of one request. */
#define ZONE_TOLERANCE_US (90 * US_PER_S)

/* What came before need not agree: two names of one zone may differ in its early history. */
#define ZONE_SAME_SINCE_US (INT64_C(946684800) * US_PER_S) /* 2000-01-01 */

#define STATUS_UNAUTHORIZED 401

#define KILL_TIMEOUT_US   (5 * US_PER_S)
#define KILL_ANSWER_BYTES ((size_t)1024 * 1024)

DEFINE_CLEANUP(struct json *, json_free);

/* What one login has learnt, before it is installed. */
struct login {
    char token[GLPI_TOKEN_MAX];
    int64_t *entities;
    size_t n_entities;
    char zone[64]; /* glpi_tz, "" = none */
    char user[80];
    int64_t local_us; /* glpi_currenttime, taken as if UTC */
    int64_t date_us;  /* of the same answer; 0 = none */
    int64_t wall_us;  /* ours then */
};

static void login_release(struct login *login)
{
    explicit_bzero(login->token, sizeof(login->token));
    xfree(login->entities);
}

struct json_call {
    struct glpi_call call;
    struct json *root;
};

static void forget(void *arg)
{
    json_free(TAKE(((struct json_call *)arg)->root));
}

static enum http_verdict read_document(void *arg, struct http_response *response, struct error *err)
{
    struct json_call *reading = arg;
    reading->root = glpi_parse_json(buf_str(response->body), err);
    return reading->root != NULL ? HTTP_ACCEPT : glpi_judge_broken(&reading->call, err);
}

/* One call with the given token (NULL: the login itself). Caller frees. */
static struct json *ask(const struct glpi_session *session,
                        struct http_client *http,
                        struct json_call *reading,
                        const char *token,
                        struct http_response *response,
                        struct error *err)
{
    reading->call.read = read_document;
    reading->call.restart = forget;
    reading->call.arg = reading;
    if (!glpi_send_with(session, http, &reading->call, token, response, err)) {
        forget(reading);
        return NULL;
    }
    return TAKE(reading->root);
}

static bool init_session(struct glpi_session *session,
                         struct http_client *http,
                         struct login *login,
                         struct error *err)
{
    struct json_call reading = {
        .call = {.url = STR_LITERAL("/initSession"), .about = "initSession", .is_login = true}};
    struct http_response response;
    struct json *root CLEANUP(json_freep) = ask(session, http, &reading, NULL, &response, err);
    if (root == NULL) {
        return false;
    }
    const char *token = json_find_string(root, "session_token");
    if (token == NULL || token[0] == '\0' || strlen(token) >= GLPI_TOKEN_MAX ||
        strpbrk(token, "\r\n") != NULL) {
        return error_set(err, ERROR_DATA,
                         "initSession: the answer holds no session_token; the url of source %s is "
                         "not the one of GLPI's apirest.php",
                         session->source->name);
    }
    (void)snprintf(login->token, sizeof(login->token), "%s", token);
    return true;
}

/* Without entities_id all entities of the account are meant; "all" would be taken for the root. */
static bool open_entities(const struct glpi_session *session,
                          struct http_client *http,
                          const struct login *login,
                          struct error *err)
{
    struct json_call reading = {.call = {.method = "POST",
                                         .url = STR_LITERAL("/changeActiveEntities"),
                                         .body = STR_LITERAL("{\"is_recursive\":true}"),
                                         .about = "changeActiveEntities"}};
    struct http_response response;
    struct json *root CLEANUP(json_freep) =
        ask(session, http, &reading, login->token, &response, err);
    if (root == NULL) {
        return false;
    }
    return json_bool(root, false) ||
           error_set(err, ERROR_CONFIG,
                     "GLPI does not let the account of source %s work in its entities "
                     "(changeActiveEntities answered false); give its profile at least one entity, "
                     "recursively",
                     session->source->name);
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool read_entities(const struct glpi_session *session,
                          struct http_client *http,
                          struct login *login,
                          struct error *err)
{
    struct json_call reading = {
        .call = {.url = STR_LITERAL("/getActiveEntities"), .about = "getActiveEntities"}};
    struct http_response response;
    struct json *root CLEANUP(json_freep) =
        ask(session, http, &reading, login->token, &response, err);
    if (root == NULL) {
        return false;
    }
    const struct json *list = json_find(json_find(root, "active_entity"), "active_entities");
    size_t n = json_size(list);
    login->entities = xcalloc(n + 1, sizeof(*login->entities));
    for (size_t i = 0; i < n; i++) {
        const struct json *id = json_find(json_at(list, i), "id");
        int64_t value = 0;
        const char *text = json_string(id);
        if (json_int64(id, &value) ||
            (text != NULL && str_to_int64(str_from(text), 0, INT64_MAX, &value))) {
            login->entities[login->n_entities++] = value;
        }
    }
    if (login->n_entities == 0 || login->n_entities != n) {
        return error_set(err, ERROR_DATA,
                         "getActiveEntities: the answer names no entities, so nothing tells what "
                         "the account of source %s sees",
                         session->source->name);
    }
    qsort(login->entities, n, sizeof(*login->entities), compare_ids);
    return true;
}

static bool read_session(const struct glpi_session *session,
                         struct http_client *http,
                         struct login *login,
                         struct error *err)
{
    struct json_call reading = {
        .call = {.url = STR_LITERAL("/getFullSession"), .about = "getFullSession"}};
    struct http_response response;
    struct json *root CLEANUP(json_freep) =
        ask(session, http, &reading, login->token, &response, err);
    if (root == NULL) {
        return false;
    }
    const struct json *members = json_find(root, "session");
    const char *zone = json_find_string(members, "glpi_tz");
    const char *user = json_find_string(members, "glpiname");
    const char *now = json_find_string(members, "glpi_currenttime");
    (void)snprintf(login->zone, sizeof(login->zone), "%s", zone != NULL ? zone : "");
    (void)snprintf(login->user, sizeof(login->user), "%s", user != NULL ? user : "");
    login->date_us = response.date_us;
    login->wall_us = clock_wall_us();
    return (now != NULL && instant_parse_plain(str_from(now), &login->local_us)) ||
           error_set(err, ERROR_DATA,
                     "getFullSession: the answer has no glpi_currenttime, so the zone of GLPI's "
                     "times cannot be checked");
}

/* Also when everything is told to stop: the request listens to no one. */
static void
end_session(const struct glpi_session *session, struct http_client *http, const char *token)
{
    /* Whoever stops foz waits for this, so a source that does not answer is not waited for. */
    struct json_call reading = {.call = {.url = STR_LITERAL("/killSession"),
                                         .about = "killSession",
                                         .timeout_is_limit = true,
                                         .timeout_us = KILL_TIMEOUT_US}};
    struct http_response response;
    struct error err = ERROR_INIT;
    struct stop *never = stop_new(NULL);
    struct http_client *client =
        http_client_new(http_client_source(http), never, KILL_ANSWER_BYTES);
    struct json *root CLEANUP(json_freep) = ask(session, client, &reading, token, &response, &err);
    if (!json_bool(root, false)) {
        log_info("the session at the source was not closed; it expires there",
                 LOG_TEXT("source", session->source->name),
                 LOG_TEXT("error", error_is_set(&err) ? err.msg : "killSession answered no"));
    }
    http_client_free(client);
    stop_free(never);
}

static bool read_version(struct glpi_session *session,
                         struct http_client *http,
                         const struct login *login,
                         struct error *err)
{
    struct json_call reading = {
        .call = {.url = STR_LITERAL("/getGlpiConfig"), .about = "getGlpiConfig"}};
    struct http_response response;
    struct json *root CLEANUP(json_freep) =
        ask(session, http, &reading, login->token, &response, err);
    if (root == NULL) {
        return false;
    }
    const char *version = json_find_string(json_find(root, "cfg_glpi"), "version");
    struct str rest = str_from(version);
    int64_t major = 0;
    if (!str_to_int64(str_cut(&rest, '.'), 9, 99, &major)) {
        return error_set(err, ERROR_DATA,
                         "getGlpiConfig: version \"%.20s\" is none that foz knows; GLPI 9.5 to 11 "
                         "are supported",
                         version != NULL ? version : "");
    }
    session->version_major = (int)major;
    (void)snprintf(session->version, sizeof(session->version), "%s", version);
    return true;
}

static bool is_lost(const struct error *err)
{
    return err->code == ERROR_TRANSIENT && err->http_status == STATUS_UNAUTHORIZED;
}

/* Everything a new token needs; a token that is not good for all of it is closed again. */
static bool log_in(struct glpi_session *session,
                   struct http_client *http,
                   struct login *login,
                   struct error *err)
{
    if (!init_session(session, http, login, err)) {
        return false;
    }
    if (open_entities(session, http, login, err) && read_entities(session, http, login, err) &&
        read_session(session, http, login, err) &&
        (session->version_major > 0 || read_version(session, http, login, err))) {
        return true;
    }
    if (!is_lost(err)) {
        end_session(session, http, login->token);
    }
    return false;
}

/* A session may be lost at once: the run's one new login then comes before its first list. */
static bool start(struct glpi_session *session,
                  struct http_client *http,
                  struct login *login,
                  struct error *err)
{
    if (log_in(session, http, login, err)) {
        return true;
    }
    if (!is_lost(err)) {
        return false;
    }
    log_info("the source ended the session; logging in again",
             LOG_TEXT("source", session->source->name));
    login_release(login);
    *login = (struct login){0};
    error_clear(err);
    session->was_renewed = true;
    return log_in(session, http, login, err);
}

static void format_offset(int64_t offset_us, char out[16])
{
    int64_t minutes = (offset_us < 0 ? -offset_us : offset_us) / US_PER_MIN;
    (void)snprintf(out, 16, "%c%02" PRId64 ":%02" PRId64, offset_us < 0 ? '-' : '+', minutes / 60,
                   minutes % 60);
}

static bool is_near(int64_t a_us, int64_t b_us)
{
    return a_us - b_us <= ZONE_TOLERANCE_US && b_us - a_us <= ZONE_TOLERANCE_US;
}

/* The configured name and the server's must mean one zone. */
static bool
compare_names(const struct glpi_session *session, const struct login *login, struct error *err)
{
    struct error unknown = ERROR_INIT; /* a zone that only the server knows: its clock decides */
    struct zone *zone = zone_open(login->zone, &unknown);
    bool is_same = zone == NULL || zone_is_same(zone, session->zone, ZONE_SAME_SINCE_US);
    zone_close(zone);
    return is_same ||
           error_set(err, ERROR_CONFIG,
                     "source %s: time_zone is %s, but GLPI shows user %s times in %s; set "
                     "sources.%s.time_zone to %s, or the user's time zone to %s",
                     session->source->name, session->source->time_zone, login->user, login->zone,
                     session->source->name, login->zone, session->source->time_zone);
}

/* The zone's offset must be the one between GLPI's times and the Date beside them. */
static bool
compare_clocks(const struct glpi_session *session, const struct login *login, struct error *err)
{
    int64_t now_us = login->date_us != 0 ? login->date_us : login->wall_us;
    int64_t offset_us = login->local_us - now_us;
    char expected[16];
    char measured[16];
    if (is_near(offset_us, zone_offset_us(session->zone, now_us))) {
        return true;
    }
    format_offset(zone_offset_us(session->zone, now_us), expected);
    format_offset(offset_us, measured);
    return error_set(err, ERROR_CONFIG,
                     "source %s: times of zone %s are %s from UTC now, but GLPI's are %s (its "
                     "glpi_currenttime against the Date header); set sources.%s.time_zone to the "
                     "zone in which GLPI shows times to user %s, or that user's time zone to UTC",
                     session->source->name, session->zone_name, expected, measured,
                     session->source->name, login->user);
}

static bool learn_zone(struct glpi_session *session, const struct login *login, struct error *err)
{
    const char *configured = session->source->time_zone;
    const char *name = configured != NULL       ? configured
                       : login->zone[0] != '\0' ? login->zone
                                                : "UTC";
    (void)snprintf(session->zone_name, sizeof(session->zone_name), "%s", name);
    session->zone = zone_open(name, err);
    if (session->zone == NULL) {
        return error_wrap(err, "source %s: %s", session->source->name,
                          configured != NULL ? "time_zone" : "the time zone that GLPI names");
    }
    if (configured != NULL && login->zone[0] != '\0' && !compare_names(session, login, err)) {
        return false;
    }
    if (configured == NULL && login->zone[0] == '\0') {
        int64_t now_us = login->date_us != 0 ? login->date_us : login->wall_us;
        char measured[16];
        format_offset(login->local_us - now_us, measured);
        return is_near(login->local_us, now_us) ||
               error_set(
                   err, ERROR_CONFIG,
                   "source %s: GLPI shows times %s from UTC and does not say in which zone; "
                   "set sources.%s.time_zone to that zone (such as America/Sao_Paulo), or set "
                   "the time zone of user %s to UTC in GLPI",
                   session->source->name, measured, session->source->name, login->user);
    }
    return compare_clocks(session, login, err);
}

/* Takes over what the login learnt. */
static void install(struct glpi_session *session, struct login *login)
{
    memcpy(session->token, login->token, sizeof(session->token));
    session->generation++;
}

static bool read_app_token(struct glpi_session *session, struct error *err)
{
    const char *reference = session->source->auth.app_token;
    struct secret secret CLEANUP(secret_release) = {0};
    if (reference == NULL) {
        return true;
    }
    if (!secret_resolve(reference, &secret, err)) {
        return error_wrap(err, "auth.app_token");
    }
    session->app_token = xstrdup(secret.value);
    return true;
}

static void session_free(struct glpi_session *session)
{
    if (session == NULL) {
        return;
    }
    if (session->app_token != NULL) {
        explicit_bzero(session->app_token, strlen(session->app_token));
    }
    explicit_bzero(session->token, sizeof(session->token));
    xfree(session->app_token);
    xfree(session->entities);
    zone_close(session->zone);
    condition_release(&session->changed);
    mutex_release(&session->lock);
    xfree(session);
}

DEFINE_CLEANUP(struct glpi_session *, session_free);

struct glpi_session *
glpi_session_open(const struct source_config *source, struct http_client *http, struct error *err)
{
    struct glpi_session *session CLEANUP(session_freep) = XNEW(struct glpi_session);
    struct login login CLEANUP(login_release) = {0};
    session->source = source;
    mutex_init(&session->lock);
    condition_init(&session->changed);
    if (!read_app_token(session, err) || !start(session, http, &login, err)) {
        (void)error_wrap(err, "source %s", source->name);
        return NULL;
    }
    if (!learn_zone(session, &login, err)) {
        end_session(session, http, login.token);
        return NULL;
    }
    session->entities = TAKE(login.entities);
    session->n_entities = login.n_entities;
    (void)snprintf(session->user, sizeof(session->user), "%s", login.user);
    session->has_date = login.date_us != 0;
    session->clock_us = session->has_date ? login.date_us : login.wall_us;
    session->skew_us = session->clock_us - login.wall_us;
    session->monotonic_us = clock_monotonic_us();
    install(session, &login);
    return TAKE(session);
}

void glpi_session_close(struct glpi_session *session, struct http_client *http)
{
    if (session == NULL) {
        return;
    }
    if (session->token[0] != '\0') {
        end_session(session, http, session->token);
    }
    if (session->n_searches_failed > 0) {
        log_warn("cross-checks with the search endpoint failed",
                 LOG_TEXT("source", session->source->name),
                 LOG_INT("failed", session->n_searches_failed), LOG_INT("of", session->n_searches));
    }
    session_free(session);
}

uint64_t glpi_session_token(struct glpi_session *session, char out[GLPI_TOKEN_MAX])
{
    MUTEX_GUARD(&session->lock);
    while (session->is_renewing) {
        condition_wait(&session->changed, &session->lock);
    }
    memcpy(out, session->token, GLPI_TOKEN_MAX);
    return session->generation;
}

/* The new session must show what the old one showed, or a walk would be half of each. */
static bool
check_same(const struct glpi_session *session, const struct login *login, struct error *err)
{
    bool is_same = login->n_entities == session->n_entities &&
                   memcmp(login->entities, session->entities,
                          session->n_entities * sizeof(*session->entities)) == 0;
    return (is_same || error_set(err, ERROR_TRANSIENT,
                                 "the entities the account sees changed while it was read; run "
                                 "again")) &&
           compare_clocks(session, login, err);
}

/* Logs in again, with the lock given up meanwhile. */
static void renew(struct glpi_session *session, struct http_client *http)
{
    struct login login CLEANUP(login_release) = {0};
    struct error err = ERROR_INIT;
    session->is_renewing = true;
    session->was_renewed = true;
    session->token[0] = '\0';
    mutex_unlock(&session->lock);
    log_info("the source ended the session; logging in again",
             LOG_TEXT("source", session->source->name));
    bool good = log_in(session, http, &login, &err);
    if (good && !check_same(session, &login, &err)) {
        end_session(session, http, login.token);
        good = false;
    }
    mutex_lock(&session->lock);
    if (good) {
        install(session, &login);
    }
    session->renewal = err;
    session->is_renewing = false;
    condition_broadcast(&session->changed);
}

bool glpi_session_renew(struct glpi_session *session,
                        struct http_client *http,
                        uint64_t generation,
                        struct error *err)
{
    MUTEX_GUARD(&session->lock);
    if (session->generation == generation && !session->was_renewed) {
        renew(session, http);
    }
    while (session->is_renewing) {
        condition_wait(&session->changed, &session->lock);
    }
    if (error_is_set(&session->renewal)) {
        *err = session->renewal;
        return false;
    }
    if (session->generation != generation) {
        return true;
    }
    (void)error_set(err, ERROR_TRANSIENT,
                    "GLPI ended the session a second time within one run; raise PHP's "
                    "session.gc_maxlifetime, and let all web servers of this GLPI share their "
                    "sessions");
    err->http_status = STATUS_UNAUTHORIZED;
    return false;
}

int64_t glpi_session_now_us(const struct glpi_session *session)
{
    return session->clock_us + clock_monotonic_us() - session->monotonic_us;
}

void glpi_session_count_search(struct glpi_session *session, bool has_failed)
{
    MUTEX_GUARD(&session->lock);
    session->n_searches++;
    session->n_searches_failed += has_failed ? 1 : 0;
}
