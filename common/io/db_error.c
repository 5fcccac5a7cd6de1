#include <string.h>

#include "common/io/db_private.h"

static bool starts_with(const char *sqlstate, const char *prefix)
{
    return strncmp(sqlstate, prefix, strlen(prefix)) == 0;
}

struct sqlstate_rule {
    const char *prefix;
    enum error_code code;
};

/* The first match wins. */
static const struct sqlstate_rule sqlstate_rules[] = {
    {"08", ERROR_TRANSIENT},    {"57P0", ERROR_TRANSIENT}, {"53", ERROR_TRANSIENT},
    {"40", ERROR_TRANSIENT},    {"28", ERROR_DENIED},      {"42501", ERROR_DENIED},
    {"22", ERROR_DATA},         {"23", ERROR_DATA},        {"55P03", ERROR_TRANSIENT},
    {"25P03", ERROR_TRANSIENT}, /* the server ended an idle transaction */
    {"3D000", ERROR_CONFIG},    /* no such database */
    {"25006", ERROR_CONFIG},    /* a read-only server */
};

enum error_code db_error_code(const char *sqlstate, bool statement_timed)
{
    if (strcmp(sqlstate, "57014") == 0) {
        return statement_timed ? ERROR_TRANSIENT : ERROR_CANCELLED;
    }
    for (size_t i = 0; i < ARRAY_SIZE(sqlstate_rules); i++) {
        if (starts_with(sqlstate, sqlstate_rules[i].prefix)) {
            return sqlstate_rules[i].code;
        }
    }
    return ERROR_BUG;
}

struct sqlstate_words {
    const char *sqlstate;
    const char *words;
};

/* Class 22 quotes the offending value in its primary message, so ours replaces it. */
static const struct sqlstate_words data_words[] = {
    {"22001", "a value is too long"},
    {"22003", "a number is out of range"},
    {"22007", "a date or time is malformed"},
    {"22008", "a date or time is out of range"},
    {"22012", "division by zero"},
    {"22021", "a byte sequence is invalid in the database's encoding"},
    {"22P02", "a text does not fit its type"},
    {"22P03", "a binary value does not fit its type"},
    {"22P04", "the COPY data is malformed"},
    {"22P05", "a character does not exist in the database's encoding"},
};

static const char *words_for_data(const char *sqlstate)
{
    for (size_t i = 0; i < ARRAY_SIZE(data_words); i++) {
        if (strcmp(sqlstate, data_words[i].sqlstate) == 0) {
            return data_words[i].words;
        }
    }
    return "a value does not fit";
}

static const char *cure_for(const char *sqlstate)
{
    if (strcmp(sqlstate, "42501") == 0) {
        return "; grant the right, or use a role that has it";
    }
    if (strcmp(sqlstate, "25006") == 0) {
        return "; database.url must name a server that accepts writes";
    }
    if (strcmp(sqlstate, "57014") == 0) {
        return "";
    }
    return starts_with(sqlstate, "53") ? "; the server is out of a resource" : "";
}

/* "COPY incident, line 3, column x: "value"": only what stands before the value. */
static int context_len(const char *context)
{
    return context == NULL || strncmp(context, "COPY ", 5) != 0 ? 0 : (int)strcspn(context, ":\n");
}

bool db_error_from(const struct db *db, const PGresult *result, struct error *err)
{
    const char *sqlstate = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (sqlstate == NULL) {
        if (PQstatus(db->conn) == CONNECTION_BAD) {
            return error_set(err, ERROR_TRANSIENT,
                             "lost the connection to PostgreSQL, %s; see the server's log",
                             db->server);
        }
        return error_set(err, ERROR_BUG, "libpq failed without a word of the server, %s",
                         db->server);
    }
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY);
    const char *primary = starts_with(sqlstate, "22")
                              ? words_for_data(sqlstate)
                              : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *schema = PQresultErrorField(result, PG_DIAG_SCHEMA_NAME);
    const char *table = PQresultErrorField(result, PG_DIAG_TABLE_NAME);
    const char *column = PQresultErrorField(result, PG_DIAG_COLUMN_NAME);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
    int n_context = context_len(context);
    error_set(err, db_error_code(sqlstate, db->statement_timeout_ms > 0),
              "PostgreSQL %s %s: %s%s%s%s%s%s%s%s%s%s%.*s%s", severity == NULL ? "ERROR" : severity,
              sqlstate, primary == NULL ? "no message" : primary, table == NULL ? "" : ", table ",
              schema == NULL ? "" : schema, schema == NULL ? "" : ".", table == NULL ? "" : table,
              column == NULL ? "" : ", column ", column == NULL ? "" : column,
              constraint == NULL ? "" : ", constraint ", constraint == NULL ? "" : constraint,
              n_context == 0 ? "" : ", in ", n_context, context == NULL ? "" : context,
              cure_for(sqlstate));
    size_t n = strnlen(sqlstate, sizeof(err->sqlstate) - 1);
    memcpy(err->sqlstate, sqlstate, n);
    err->sqlstate[n] = '\0';
    return false;
}
