#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "tests/sim/glpi/system.h"

/* Logging in and out. */

#define APP_TOKEN "foz-app-token"

enum { SESSIONS_MAX = 4096 };

struct glpi_sessions {
    struct mutex lock;
    struct session items[SESSIONS_MAX]; /* guarded by lock */
    int n;                              /* guarded by lock */
    uint64_t random;                    /* guarded by lock */
    int64_t opened, closed, refused;    /* guarded by lock: ever */
};

struct glpi_sessions *glpi_sessions_new(uint64_t seed)
{
    struct glpi_sessions *sessions = XNEW(struct glpi_sessions);

    mutex_init(&sessions->lock);
    sessions->random = seed ^ 0x61c8864680b583eb;
    return sessions;
}

void glpi_sessions_free(struct glpi_sessions *sessions)
{
    if (sessions != NULL) {
        mutex_release(&sessions->lock);
        xfree(sessions);
    }
}

void glpi_sessions_clear(struct glpi_sessions *sessions)
{
    MUTEX_GUARD(&sessions->lock);
    sessions->n = 0;
}

void glpi_sessions_write(struct glpi_sessions *sessions, struct buf *out)
{
    MUTEX_GUARD(&sessions->lock);
    buf_addf(out,
             "\"sessions\":%d,\"sessions_opened\":%lld,\"sessions_closed\":%lld,"
             "\"logins_refused\":%lld",
             sessions->n, (long long)sessions->opened, (long long)sessions->closed,
             (long long)sessions->refused);
}

/* Lock held. */
static struct session *find(struct glpi_sessions *sessions, const char *token)
{
    for (int i = 0; i < sessions->n; i++) {
        if (strcmp(sessions->items[i].token, token) == 0) {
            return &sessions->items[i];
        }
    }
    return NULL;
}

static bool open_session(struct call *call, int account)
{
    struct glpi_sessions *sessions = call->glpi->sessions;
    MUTEX_GUARD(&sessions->lock);

    if (sessions->n == SESSIONS_MAX) {
        return false;
    }
    struct session *session = &sessions->items[sessions->n++];
    uint64_t words[2];

    for (int i = 0; i < 2; i++) {
        sessions->random = glpi_mix(sessions->random, (uint64_t)sessions->opened);
        words[i] = sessions->random;
    }
    sessions->opened++;
    memset(session, 0, sizeof(*session));
    snprintf(session->token, sizeof(session->token), "%013llx%013llx",
             (unsigned long long)(words[0] >> 12), (unsigned long long)(words[1] >> 12));
    session->account = account;
    /* A session starts on the default entity alone: who does not change it sees little. */
    session->entity = call->glpi->accounts[account].entity;
    call->session = *session;
    return true;
}

static void close_session(struct call *call)
{
    struct glpi_sessions *sessions = call->glpi->sessions;
    MUTEX_GUARD(&sessions->lock);
    struct session *session = find(sessions, call->session.token);

    if (session != NULL) {
        *session = sessions->items[--sessions->n];
        sessions->closed++;
    }
}

static struct str credential(const struct call *call, const char *header, const char *parameter)
{
    const char *value = request_header(call->request, header);
    struct str text = STR_NONE;

    if (value != NULL) {
        return str_from(value);
    }
    (void)request_param(call->request, parameter, &text);
    return text;
}

bool glpi_app_token_fits(struct call *call)
{
    struct str token = credential(call, "App-Token", "app_token");

    if (glpi_mode(call->glpi, FAULT_no_app_token, NULL) || str_equal_c(token, APP_TOKEN)) {
        return true;
    }
    if (token.len == 0) {
        respond_glpi_refusal(call, "ERROR_APP_TOKEN_PARAMETERS_MISSING",
                             "missing parameter app_token");
    } else {
        respond_glpi_refusal(call, "ERROR_WRONG_APP_TOKEN_PARAMETER",
                             "parameter app_token seems wrong");
    }
    return false;
}

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c == '\0' ? NULL : strchr(digits, c);

    return found == NULL ? -1 : (int)(found - digits);
}

static void decode_base64(struct str text, char *out, size_t size)
{
    unsigned bits = 0;
    int n_bits = 0;
    size_t len = 0;

    for (size_t i = 0; i < text.len && base64_digit(text.ptr[i]) >= 0; i++) {
        bits = bits << 6 | (unsigned)base64_digit(text.ptr[i]);
        n_bits += 6;
        if (n_bits >= 8 && len + 1 < size) {
            n_bits -= 8;
            out[len++] = (char)(bits >> n_bits & 0xff);
        }
    }
    out[len] = '\0';
}

static int find_login(const struct glpi *glpi, const char *pair)
{
    char expected[128];

    for (int i = 0; i < N_ACCOUNTS; i++) {
        snprintf(expected, sizeof(expected), "%s:%s", glpi->accounts[i].login,
                 glpi->accounts[i].password);
        if (strcmp(pair, expected) == 0) {
            return i;
        }
    }
    return -1;
}

static void count_refusal(struct call *call)
{
    MUTEX_GUARD(&call->glpi->sessions->lock);
    call->glpi->sessions->refused++;
}

/* The account that the credentials are of; -1: refused, and answered. */
static int log_in(struct call *call)
{
    struct str header = str_from(request_header(call->request, "Authorization"));
    struct str token = STR_NONE;
    char pair[256];

    if (str_starts_with_nocase(header, STR_LITERAL("user_token "))) {
        token = str_trim((struct str){header.ptr + 11, header.len - 11});
    } else if (header.ptr == NULL) {
        (void)request_param(call->request, "user_token", &token);
    }
    if (token.len > 0) {
        for (int i = 0; i < N_ACCOUNTS; i++) {
            if (str_equal_c(token, call->glpi->accounts[i].user_token)) {
                return i;
            }
        }
        count_refusal(call);
        respond_glpi_error(call, 401, "ERROR_GLPI_LOGIN_USER_TOKEN",
                           "parameter user_token seems invalid");
        return -1;
    }
    if (!str_starts_with_nocase(header, STR_LITERAL("basic "))) {
        respond_glpi_refusal(call, "ERROR_LOGIN_PARAMETERS_MISSING",
                             "parameter(s) login, password or user_token are missing");
        return -1;
    }
    decode_base64(str_trim((struct str){header.ptr + 6, header.len - 6}), pair, sizeof(pair));
    int account = find_login(call->glpi, pair);

    if (account < 0) {
        count_refusal(call);
        respond_glpi_error(call, 401, "ERROR_GLPI_LOGIN", "Incorrect username or password");
    }
    return account;
}

bool glpi_session_enter(struct call *call)
{
    struct str token = credential(call, "Session-Token", "session_token");
    struct glpi_sessions *sessions = call->glpi->sessions;
    char text[64];

    if (token.len == 0) {
        respond_glpi_refusal(call, "ERROR_SESSION_TOKEN_MISSING",
                             "parameter session_token is missing or empty");
        return false;
    }
    snprintf(text, sizeof(text), "%.*s", STR_ARG(token));
    mutex_lock(&sessions->lock);
    struct session *session = find(sessions, text);

    if (session != NULL) {
        call->session = *session;
    }
    mutex_unlock(&sessions->lock);
    if (session == NULL) {
        respond_glpi_error(call, 401, "ERROR_SESSION_TOKEN_INVALID", "session_token seems invalid");
        return false;
    }
    return true;
}

void glpi_session_store(struct call *call, const struct session *wanted)
{
    struct glpi_sessions *sessions = call->glpi->sessions;
    MUTEX_GUARD(&sessions->lock);
    struct session *session = find(sessions, call->session.token);

    if (session != NULL) {
        *session = *wanted;
    }
}

static void init_session(struct call *call)
{
    int account = log_in(call);

    if (account < 0) {
        return;
    }
    if (!open_session(call, account)) {
        respond_glpi_error(call, 500, "ERROR_UNKNOWN", "too many sessions");
        return;
    }
    buf_addf(&call->reply->body, "{\"session_token\":\"%s\"", call->session.token);
    if (glpi_flag(call->request, "get_full_session", false)) {
        glpi_rights_read(call);
        buf_add_c(&call->reply->body, ",\"session\":");
        glpi_session_write(call, &call->reply->body);
    }
    buf_add_char(&call->reply->body, '}');
    respond_glpi_json(call, 200);
}

bool glpi_session_answer(struct call *call)
{
    struct str name = call->itemtype;

    if (str_equal_c(name, "initSession")) {
        init_session(call);
        return true;
    }
    static const char *const others[] = {
        "killSession",       "getFullSession",       "getGlpiConfig",
        "getActiveEntities", "getMyEntities",        "getActiveProfile",
        "getMyProfiles",     "changeActiveEntities", "changeActiveProfile"};
    bool mine = false;

    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        mine = mine || str_equal_c(name, others[i]);
    }
    if (!mine) {
        return false;
    }
    if (!glpi_session_enter(call)) {
        return true;
    }
    glpi_rights_read(call);
    if (str_equal_c(name, "changeActiveEntities")) {
        glpi_session_change_entities(call);
    } else if (glpi_session_about(call, name, &call->reply->body)) {
        respond_glpi_json(call, 200);
    } else {
        if (str_equal_c(name, "killSession")) {
            close_session(call);
        }
        buf_add_c(&call->reply->body, "true");
        respond_glpi_json(call, 200);
    }
    return true;
}
