/* foz-api: the HTTP service and the commands that belong to it. */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "api/handlers/routes.h"
#include "api/http/openapi.h"
#include "api/key_command.h"
#include "api/serve.h"
#include "common/base/log.h"
#include "common/base/output.h"
#include "common/conf/config.h"

#define EXIT_USAGE  64
#define EXIT_CONFIG 78

static const char usage_head[] = "foz-api: triggers loads and serves what foz knows over HTTP.\n"
                                 "\n"
                                 "usage:\n"
                                 "  foz-api [-c FILE] [serve]\n";

static const char usage_tail[] =
    "\n"
    "  foz-api openapi       prints the OpenAPI 3.1 document\n"
    "  foz-api --help | --version\n"
    "\n"
    "FILE is the configuration; default: $FOZ_CONFIG, else /etc/foz/foz.yaml.\n"
    "\n"
    "exit codes: 0 done, 1 the output could not be written, 64 usage, 69 database unreachable, 77 "
    "rights, 78 configuration,\n"
    "143 ended by SIGTERM after a clean stop\n";

struct command {
    const char *config_path;
    const char *verb; /* "serve", "key", "openapi" */
    int argc;         /* what follows the verb */
    char **argv;
};

static int usage_error(const char *what, const char *culprit)
{
    (void)fprintf(stderr, "foz-api: %s \"%s\": see foz-api --help\n", what, culprit);
    return EXIT_USAGE;
}

static void print_usage(void)
{
    (void)printf("%s%s%s", usage_head, key_command_usage, usage_tail);
}

/* Takes -c FILE, -cFILE, --config FILE and --config=FILE out of argv wherever they stand. */
static bool take_config(struct command *command, int *argc, char **argv)
{
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "-c") == 0 || strcmp(word, "--config") == 0) {
            if (i + 1 == *argc) {
                return false;
            }
            command->config_path = argv[++i];
        } else if (strncmp(word, "--config=", 9) == 0) {
            command->config_path = word + 9;
        } else if (strncmp(word, "-c", 2) == 0) {
            command->config_path = word + 2;
        } else {
            argv[kept++] = argv[i];
        }
    }
    *argc = kept;
    return true;
}

static bool has_word(int argc, char **argv, const char *word, const char *other)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], word) == 0 || strcmp(argv[i], other) == 0) {
            return true;
        }
    }
    return false;
}

static int run_with_config(const struct command *command)
{
    struct config config = {0};
    struct error err = ERROR_INIT;
    struct buf faults CLEANUP(buf_release) = {0};
    buf_init(&faults, 256UL * 1024);
    if (!config_load(&config, command->config_path, &faults, &err)) {
        (void)fprintf(stderr, "%sfoz-api: %s\n", faults.ptr, err.msg);
        config_release(&config);
        return EXIT_CONFIG;
    }
    log_configure(config.log_level, config.log_format);
    int code = strcmp(command->verb, "key") == 0
                   ? key_command(&config, command->argc, command->argv)
                   : serve(&config);
    config_release(&config);
    return code;
}

static int print_openapi(void)
{
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, 1024UL * 1024);
    openapi_write(public_routes, public_routes_count, &text);
    (void)fputs(text.ptr, stdout);
    return 0;
}

static int run(int argc, char **argv)
{
    struct command command = {.verb = "serve"};
    argc--;
    argv++;
    if (has_word(argc, argv, "--help", "-h")) {
        print_usage();
        return 0;
    }
    if (has_word(argc, argv, "--version", "-V")) {
        (void)printf("foz-api %s\n", FOZ_VERSION);
        return 0;
    }
    if (!take_config(&command, &argc, argv)) {
        return usage_error("a file name must follow", "-c");
    }
    if (argc > 0) {
        command.verb = argv[0];
        command.argc = argc - 1;
        command.argv = argv + 1;
    }
    bool is_key = strcmp(command.verb, "key") == 0;
    bool is_openapi = strcmp(command.verb, "openapi") == 0;
    if (!is_key && !is_openapi && strcmp(command.verb, "serve") != 0) {
        return usage_error(command.verb[0] == '-' ? "unknown option" : "unknown command",
                           command.verb);
    }
    if (!is_key && command.argc > 0) {
        return usage_error("unexpected argument", command.argv[0]);
    }
    return is_openapi ? print_openapi() : run_with_config(&command);
}

int main(int argc, char **argv)
{
    return output_exit_code("foz-api", run(argc, argv));
}
