#include "api/key_command.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "api/guard/keys.h"
#include "api/http/list.h"
#include "api/http/router.h"
#include "common/base/output.h"
#include "common/io/db.h"

#define EXIT_FAILED      1
#define EXIT_USAGE       64
#define EXIT_UNREACHABLE 69
#define EXIT_DENIED      77
#define EXIT_CONFIG      78

const char key_command_usage[] =
    "  foz-api [-c FILE] key create NAME --scope SCOPE... [--per-minute N] [--json]\n"
    "  foz-api [-c FILE] key list [--json]\n"
    "  foz-api [-c FILE] key revoke NAME\n"
    "\n"
    "SCOPE is dash.read, dash.admin or dash.observability.\n";

struct key_options {
    const char *verb;
    const char *name;
    unsigned scopes;
    int64_t per_minute;
    bool json;
};

static int usage_error(const char *what, const char *culprit)
{
    (void)fprintf(stderr, "foz-api key: %s%s%s%s\n\nusage:\n%s", what, culprit != NULL ? " \"" : "",
                  culprit != NULL ? culprit : "", culprit != NULL ? "\"" : "", key_command_usage);
    return EXIT_USAGE;
}

static int fail(const struct error *err)
{
    if (strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0) {
        (void)fprintf(stderr,
                      "foz-api: the database has no foz schema: run `foz-worker migrate`\n");
        return EXIT_CONFIG;
    }
    (void)fprintf(stderr, "foz-api: %s\n", err->msg);
    switch (err->code) {
    case ERROR_TRANSIENT:
    case ERROR_THROTTLED:
    case ERROR_UNCERTAIN:
    case ERROR_CANCELLED:
        return EXIT_UNREACHABLE;
    case ERROR_DENIED:
        return EXIT_DENIED;
    case ERROR_CONFIG:
        return EXIT_CONFIG;
    case ERROR_NONE:
    case ERROR_DATA:
    case ERROR_LIMIT:
    case ERROR_BUG:
        break;
    }
    return EXIT_FAILED;
}

/* "dash.read,dash.admin" */
static bool add_scopes(unsigned *scopes, const char *text)
{
    struct str rest = str_from(text);
    while (rest.ptr != NULL) {
        enum scope scope = SCOPE_NONE;
        if (!scope_parse(str_cut(&rest, ','), &scope)) {
            return false;
        }
        *scopes |= (unsigned)scope;
    }
    return true;
}

/* The word behind an option, or what follows its equals sign; NULL if there is none. */
static const char *option_value(int argc, char **argv, int *i, const char *option)
{
    size_t len = strlen(option);
    if (strncmp(argv[*i], option, len) != 0) {
        return NULL;
    }
    if (argv[*i][len] == '=') {
        return argv[*i] + len + 1;
    }
    if (argv[*i][len] != '\0' || *i + 1 >= argc) {
        return NULL;
    }
    return argv[++*i];
}

/* --scope takes every word up to the next option. */
static int parse_scope(struct key_options *options, int argc, char **argv, int *i)
{
    const char *value = option_value(argc, argv, i, "--scope");
    if (value == NULL) {
        return usage_error("--scope needs a scope", NULL);
    }
    if (!add_scopes(&options->scopes, value)) {
        return usage_error("unknown scope", value);
    }
    while (*i + 1 < argc && strncmp(argv[*i + 1], "dash.", 5) == 0) {
        *i += 1;
        if (!add_scopes(&options->scopes, argv[*i])) {
            return usage_error("unknown scope", argv[*i]);
        }
    }
    return 0;
}

static int parse_argument(struct key_options *options, int argc, char **argv, int *i)
{
    const char *word = argv[*i];
    if (strncmp(word, "--scope", 7) == 0) {
        return parse_scope(options, argc, argv, i);
    }
    if (strncmp(word, "--per-minute", 12) == 0) {
        const char *value = option_value(argc, argv, i, "--per-minute");
        if (value == NULL || !str_to_int64(str_from(value), 1, 1000000, &options->per_minute)) {
            return usage_error("--per-minute needs a number from 1 to 1000000", value);
        }
        return 0;
    }
    if (strcmp(word, "--json") == 0) {
        options->json = true;
        return 0;
    }
    if (word[0] == '-') {
        return usage_error("unknown option", word);
    }
    if (options->verb == NULL) {
        options->verb = word;
        return 0;
    }
    if (options->name == NULL) {
        options->name = word;
        return 0;
    }
    return usage_error("too many arguments:", word);
}

static struct db *open_database(const struct config *config, struct error *err)
{
    struct db_settings settings = {.url = config->database_url,
                                   .application_name = "foz-api key",
                                   .connect_timeout_s = 10,
                                   .statement_timeout_ms = 10000,
                                   .lock_timeout_ms = 5000};
    return db_open(&settings, err);
}

static bool show_key(const struct key_options *options, const char *key)
{
    if (options->json) {
        (void)printf("{\"name\":\"%s\",\"key\":\"%s\"}\n", options->name, key);
    } else {
        (void)printf("%s\n", key);
    }
    if (!output_flush("foz-api")) {
        return false;
    }
    if (!options->json) {
        (void)fprintf(stderr, "The key %s is shown this once; only its digest is stored.\n",
                      options->name);
    }
    return true;
}

static int create_key(const struct config *config, const struct key_options *options)
{
    if (options->name == NULL || !key_name_is_valid(str_from(options->name))) {
        return usage_error("a key needs a name of 1 to 64 letters, digits, '.', '_' or '-' (not "
                           "\"anonymous\"), not",
                           options->name != NULL ? options->name : "");
    }
    if (options->scopes == 0) {
        return usage_error("a key needs at least one --scope", NULL);
    }
    struct error err = ERROR_INIT;
    struct db *db CLEANUP(db_closep) = open_database(config, &err);
    if (db == NULL) {
        return fail(&err);
    }
    char key[KEY_LEN + 1];
    key_generate(key);
    struct credential_digest digest = credential_digest(str_from(key));
    if (!db_begin(db, &err)) {
        return fail(&err);
    }
    if (!key_insert(db, options->name, &digest, options->scopes, options->per_minute, &err)) {
        if (err.code == ERROR_CONFIG && err.sqlstate[0] == '\0') { /* the name is taken */
            (void)fprintf(stderr, "foz-api: %s\n", err.msg);
            return EXIT_USAGE;
        }
        return fail(&err);
    }
    bool is_shown = show_key(options, key);
    explicit_bzero(key, sizeof(key));
    if (!is_shown) { /* nobody has seen it: it must not exist */
        db_rollback(db);
        return EXIT_FAILED;
    }
    return db_commit(db, &err) ? 0 : fail(&err);
}

static const struct list_column key_columns[] = {
    {"name", CELL_TEXT},          {"scopes", CELL_JSON},          {"per_minute", CELL_NUMBER},
    {"created_at", CELL_INSTANT}, {"last_used_at", CELL_INSTANT}, {"revoked_at", CELL_INSTANT},
};

static int list_keys(const struct config *config, const struct key_options *options)
{
    if (options->name != NULL || options->scopes != 0 || options->per_minute != 0) {
        return usage_error("key list takes no more than --json", NULL);
    }
    struct error err = ERROR_INIT;
    struct db *db CLEANUP(db_closep) = open_database(config, &err);
    struct db_result *rows CLEANUP(db_result_freep) = NULL;
    if (db != NULL) {
        rows = db_query(db,
                        "SELECT name, to_json(scopes), per_minute, date_trunc('second', "
                        "created_at), date_trunc('second', last_used_at), date_trunc('second', "
                        "revoked_at) FROM ops.api_key ORDER BY name",
                        DB_NO_PARAMS, &err);
    }
    if (rows == NULL) {
        return fail(&err);
    }
    if (options->json) {
        struct buf text CLEANUP(buf_release) = {0};
        buf_init(&text, 16UL * 1024 * 1024);
        list_write(&text, LIST_JSON, key_columns, ARRAY_SIZE(key_columns), rows, db_rows(rows));
        (void)printf("%s\n", text.ptr);
        return 0;
    }
    (void)printf("%-24s %-10s %-22s %-22s %s\n", "NAME", "PER MINUTE", "LAST USED", "STATE",
                 "SCOPES");
    for (size_t row = 0; row < db_rows(rows); row++) {
        (void)printf("%-24s %-10s %-22s %-22s %s\n", db_text(rows, row, 0),
                     db_is_null(rows, row, 2) ? "default" : db_text(rows, row, 2),
                     db_is_null(rows, row, 4) ? "never" : db_text(rows, row, 4),
                     db_is_null(rows, row, 5) ? "active" : "revoked", db_text(rows, row, 1));
    }
    return 0;
}

static int revoke_key(const struct config *config, const struct key_options *options)
{
    if (options->name == NULL) {
        return usage_error("key revoke needs the name of a key", NULL);
    }
    struct error err = ERROR_INIT;
    struct db *db CLEANUP(db_closep) = open_database(config, &err);
    bool found = false;
    if (db == NULL || !key_revoke(db, options->name, &found, &err)) {
        return fail(&err);
    }
    if (!found) {
        (void)fprintf(stderr, "foz-api: there is no active key %s: see `foz-api key list`\n",
                      options->name);
        return EXIT_USAGE;
    }
    (void)fprintf(stderr, "The key %s is revoked; running services refuse it within 10 seconds.\n",
                  options->name);
    return 0;
}

int key_command(const struct config *config, int argc, char **argv)
{
    struct key_options options = {0};
    for (int i = 0; i < argc; i++) {
        int failure = parse_argument(&options, argc, argv, &i);
        if (failure != 0) {
            return failure;
        }
    }
    if (options.verb == NULL) {
        return usage_error("create, list or revoke?", NULL);
    }
    if (strcmp(options.verb, "create") == 0) {
        return create_key(config, &options);
    }
    if (strcmp(options.verb, "list") == 0) {
        return list_keys(config, &options);
    }
    if (strcmp(options.verb, "revoke") == 0) {
        return revoke_key(config, &options);
    }
    return usage_error("unknown verb", options.verb);
}
