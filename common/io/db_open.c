#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/io/db_private.h"

#define DEFAULT_CONNECT_TIMEOUT_S 10

static void conninfo_free(PQconninfoOption **options)
{
    PQconninfoFree(*options);
}

static const char *find_option(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (strcmp(option->keyword, keyword) == 0) {
            return option->val;
        }
    }
    return NULL;
}

static bool is_port_list(const char *text)
{
    return text == NULL || strspn(text, "0123456789,") == strlen(text);
}

static bool has_bad_timeout(const PQconninfoOption *options, int64_t *timeout_s)
{
    const char *timeout = find_option(options, "connect_timeout");
    return timeout != NULL && !str_to_int64(str_from(timeout), 0, 3600, timeout_s);
}

/* libpq's own complaint about a malformed URL can quote a piece of the password, so it is not
 * shown; a password with an unescaped '/' or '@' ends up in the port or the database name. */
static const char *find_fault(const char *url, int64_t *timeout_s)
{
    PQconninfoOption *options CLEANUP(conninfo_free) = PQconninfoParse(url, NULL);
    if (options == NULL) {
        return "is no database address; write postgresql://USER@HOST:PORT/DATABASE or \"host=... "
               "dbname=...\", with special characters of a URI percent-encoded";
    }
    const char *dbname = find_option(options, "dbname");
    if (!is_port_list(find_option(options, "port")) ||
        (dbname != NULL && strchr(dbname, '@') != NULL)) {
        return "has no valid port or database name; special characters of a user or password in a "
               "URI must be percent-encoded (%2F, %40)";
    }
    return has_bad_timeout(options, timeout_s)
               ? "has a connect_timeout that is not whole seconds; write 0 to 3600"
               : NULL;
}

const char *db_url_fault(const char *url)
{
    int64_t ignored = 0;
    return find_fault(url, &ignored);
}

static PGconn *start_connecting(const struct db_settings *settings)
{
    /* What stands before dbname can be overridden by the URL, what follows cannot. */
    const char *keywords[] = {"keepalives",       "keepalives_idle",  "keepalives_interval",
                              "keepalives_count", "tcp_user_timeout", "dbname",
                              "application_name", "client_encoding",  NULL};
    const char *values[] = {
        "1", "30", "10", "3", "30000", settings->url, settings->application_name, "UTF8", NULL};
    return PQconnectStartParams(keywords, values, 1);
}

/* The non-blocking form is the only one that lets us ask for SQLSTATEs in connection errors. */
static bool finish_connecting(PGconn *conn, int64_t timeout_s)
{
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    int64_t deadline_us = clock_monotonic_us() + timeout_s * US_PER_S;
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (PQstatus(conn) != CONNECTION_BAD) {
        int64_t left_ms = (deadline_us - clock_monotonic_us()) / US_PER_MS;
        if (left_ms <= 0) {
            return false;
        }
        struct pollfd socket = {.fd = PQsocket(conn),
                                .events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int n = poll(&socket, 1, (int)left_ms);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        if (n <= 0) {
            continue;
        }
        status = PQconnectPoll(conn);
        if (status == PGRES_POLLING_OK) {
            PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
            return true;
        }
        if (status == PGRES_POLLING_FAILED) {
            return false;
        }
    }
    return false;
}

/* "connection to ... failed: FATAL:  28P01: password ..." holds the SQLSTATE after a severity in
 * the server's language. */
static const char *find_sqlstate(const char *text, char sqlstate[6])
{
    for (const char *p = strstr(text, ":  "); p != NULL; p = strstr(p + 1, ":  ")) {
        const char *code = p + 3;
        if (strspn(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && code[5] == ':') {
            memcpy(sqlstate, code, 5);
            sqlstate[5] = '\0';
            return code + 6 + strspn(code + 6, " ");
        }
    }
    return NULL;
}

static const char *connect_cure(const char *sqlstate, enum error_code code)
{
    if (strcmp(sqlstate, "3D000") == 0) {
        return "create it with createdb, or correct database.url";
    }
    if (strcmp(sqlstate, "28P01") == 0) {
        return "correct user and password of database.url, ~/.pgpass or PGPASSWORD";
    }
    if (strcmp(sqlstate, "28000") == 0) {
        return "create the role, allow it in pg_hba.conf, or correct database.url";
    }
    if (code == ERROR_DENIED) {
        return "grant the role CONNECT on the database, or give a password in database.url, "
               "~/.pgpass or PGPASSWORD";
    }
    if (sqlstate[0] != '\0') {
        return "try again when the server accepts connections";
    }
    return "start PostgreSQL there, or correct database.url";
}

static bool fail_connecting(const struct db *db, struct error *err)
{
    const char *text =
        PQstatus(db->conn) == CONNECTION_BAD ? PQerrorMessage(db->conn) : "no answer in time";
    char sqlstate[6] = "";
    const char *message = find_sqlstate(text, sqlstate);
    enum error_code code = ERROR_TRANSIENT;
    if (message != NULL) {
        code = db_error_code(sqlstate, false);
        code = code == ERROR_BUG ? ERROR_CONFIG : code;
    } else if (PQconnectionNeedsPassword(db->conn)) {
        code = ERROR_DENIED;
        message = "the server asks for a password";
    } else {
        const char *failed = strstr(text, " failed: ");
        message = failed != NULL ? failed + strlen(" failed: ") : text;
    }
    error_set(err, code, "cannot connect to %s: %.*s; %s", db->server, (int)strcspn(message, "\n"),
              message, connect_cure(sqlstate, code));
    memcpy(err->sqlstate, sqlstate, sizeof(sqlstate));
    return false;
}

static void describe_server(struct db *db)
{
    const char *host = PQhost(db->conn);
    const char *port = PQport(db->conn);
    const char *name = PQdb(db->conn);
    const char *user = PQuser(db->conn);
    (void)snprintf(db->server, sizeof(db->server), "database \"%s\" at %s port %s as \"%s\"",
                   name == NULL ? "" : name,
                   host == NULL || host[0] == '\0' ? "its default host" : host,
                   port == NULL || port[0] == '\0' ? "5432" : port, user == NULL ? "" : user);
}

/* Nothing we rely on is left to what a server, database or role may preset.
 *
 * READ COMMITTED: a publish takes its locks and then looks at what others have committed before.
 *
 * Without compiling: staging tables have no statistics, so statements on them look costly, and
 * compiling each of their many columns takes longer than it saves.
 *
 * The server, too, must notice that a host is gone: its session holds the locks by which the
 * execution is owned. (Over a Unix socket the settings are without effect.) */
static bool set_session(struct db *db, const struct db_settings *settings, struct error *err)
{
    char sql[1024];
    (void)snprintf(
        sql, sizeof(sql),
        "SET default_transaction_isolation TO 'read committed'; SET quote_all_identifiers TO off; "
        "SET tcp_keepalives_idle TO 30; SET tcp_keepalives_interval TO 10; "
        "SET tcp_keepalives_count TO 3; SET tcp_user_timeout TO 30000; "
        "SET TimeZone TO 'UTC'; SET DateStyle TO 'ISO, YMD'; SET IntervalStyle TO 'postgres'; "
        "SET standard_conforming_strings TO on; SET bytea_output TO 'hex'; SET jit TO off; "
        "SET client_min_messages TO warning; SET statement_timeout TO %lld; "
        "SET lock_timeout TO %lld",
        (long long)settings->statement_timeout_ms, (long long)settings->lock_timeout_ms);
    return db_script(db, sql, err);
}

static void ignore_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

struct db *db_open(const struct db_settings *settings, struct error *err)
{
    int64_t timeout_s = settings->connect_timeout_s;
    const char *fault = find_fault(settings->url, &timeout_s);
    if (fault != NULL) {
        error_set(err, ERROR_CONFIG, "the database's URL %s", fault);
        return NULL;
    }
    struct db *db CLEANUP(db_closep) = XNEW(struct db);
    db->conn = start_connecting(settings);
    if (db->conn == NULL) {
        error_set(err, ERROR_BUG, "libpq cannot allocate a connection");
        return NULL;
    }
    bool connected =
        finish_connecting(db->conn, timeout_s == 0 ? DEFAULT_CONNECT_TIMEOUT_S : timeout_s);
    describe_server(db);
    if (!connected) {
        fail_connecting(db, err);
        return NULL;
    }
    PQsetNoticeReceiver(db->conn, ignore_notice, NULL);
    if (!set_session(db, settings, err)) {
        return NULL;
    }
    db->statement_timeout_ms = settings->statement_timeout_ms;
    return TAKE(db);
}

void db_close(struct db *db)
{
    if (db != NULL) {
        db_unwatch(db);
        db_forget_prepared(db);
        PQfinish(db->conn);
        xfree(db);
    }
}
