#include "worker/cli/args.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "common/base/str.h"

struct option_help {
    char letter;
    const char *name;
    const char *value; /* NULL = a switch */
    const char *help;
};

static const struct option_help OPTIONS[] = {
    {'c', "config", "FILE", "configuration file (else $FOZ_CONFIG, else /etc/foz/foz.yaml)"},
    {'h', "help", NULL, "show help and exit"},
    {'V', "version", NULL, "show the version and exit"},
    {'j', "json", NULL, "print JSON on stdout"},
    {'n', "dry-run", NULL, "show what would be done, change nothing"},
    {'o', "offline", NULL, "check the configuration only, contact nobody"},
    {'s', "source", "NAME", "only this source of the configuration (may be repeated)"},
    {'t', "task", "NAME", "only this task of the load (may be repeated)"},
    {'m', "mode", "MODE", "incremental, window, full or reconcile"},
    {'f', "from", "TIME",
     "start of the window: RFC 3339 or a date (midnight UTC); also --data_inicio"},
    {'u', "to", "TIME", "end of the window, exclusive; also --data_fim"},
    {'a', "allow-mass-delete", NULL, "release the fuse that holds back large deletions"},
    {'w', "no-wait", NULL, "exit with 75 if the load is running, instead of waiting"},
    {'g', "trigger", "WHO", "what the run log says of the cause: cli or timer"},
};

/* Other names of options, as POST knows them too. */
static const struct {
    char letter;
    const char *name;
} ALIASES[] = {
    {'f', "data_inicio"},
    {'u', "data_fim"},
};

static const char ALWAYS[] = "chV";

static const struct command *find_command(const char *name)
{
    for (const struct command *command = COMMANDS; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0) {
            return command;
        }
    }
    return NULL;
}

static bool fail_command(const char *name, struct error *err)
{
    const char *names[32];
    size_t n = 0;
    for (const struct command *command = COMMANDS; command->name != NULL && n < 32; command++) {
        names[n++] = command->name;
    }
    const char *near = str_nearest(name, names, n);
    return error_set(err, ERROR_CONFIG,
                     "unknown command \"%s\"%s%s%s; foz-worker --help lists them", name,
                     near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
                     near != NULL ? "\"?" : "");
}

static bool add_to_list(const char **list, size_t *n, const char *value, struct error *err)
{
    if (*n == ARGS_LIST_MAX) {
        return error_set(err, ERROR_CONFIG, "more than %d names; leave some out", ARGS_LIST_MAX);
    }
    list[(*n)++] = value;
    return true;
}

static bool take_option(struct args *args, int letter, const char *value, struct error *err)
{
    switch (letter) {
    case 'c':
        args->config_path = value;
        break;
    case 'h':
        args->help = true;
        break;
    case 'V':
        args->version = true;
        break;
    case 'j':
        args->json = true;
        break;
    case 'n':
        args->dry_run = true;
        break;
    case 'o':
        args->offline = true;
        break;
    case 's':
        return add_to_list(args->sources, &args->n_sources, value, err);
    case 't':
        return add_to_list(args->tasks, &args->n_tasks, value, err);
    case 'm':
        args->mode = value;
        break;
    case 'f':
        args->from = value;
        break;
    case 'u':
        args->to = value;
        break;
    case 'a':
        args->allow_mass_delete = true;
        break;
    case 'w':
        args->no_wait = true;
        break;
    case 'g':
        args->trigger = value;
        break;
    default:
        break;
    }
    return true;
}

static const char *long_name(char letter)
{
    for (size_t i = 0; i < ARRAY_SIZE(OPTIONS); i++) {
        if (OPTIONS[i].letter == letter) {
            return OPTIONS[i].name;
        }
    }
    return "?";
}

static bool check_command(const struct args *args, const char *given, struct error *err)
{
    const struct command *command = args->command;
    for (const char *letter = given; *letter != '\0'; letter++) {
        if (strchr(ALWAYS, *letter) == NULL && strchr(command->options, *letter) == NULL) {
            return error_set(err, ERROR_CONFIG,
                             "`%s` takes no option --%s; see foz-worker %s --help", command->name,
                             long_name(*letter), command->name);
        }
    }
    if (args->n_names > command->names_max) {
        return error_set(err, ERROR_CONFIG, "\"%s\" is one word too many; usage: foz-worker %s",
                         args->names[command->names_max], command->synopsis);
    }
    if (args->n_names < command->names_min) {
        return error_set(err, ERROR_CONFIG, "usage: foz-worker %s", command->synopsis);
    }
    return true;
}

/* All options, wherever they stand; their letters go into `given`. */
static bool take_options(int argc,
                         char **argv,
                         struct args *args,
                         char given[ARRAY_SIZE(OPTIONS) + 1],
                         struct error *err)
{
    struct option options[ARRAY_SIZE(OPTIONS) + ARRAY_SIZE(ALIASES) + 1] = {0};
    size_t n_given = 0;
    int letter = 0;
    for (size_t i = 0; i < ARRAY_SIZE(OPTIONS); i++) {
        options[i] =
            (struct option){.name = OPTIONS[i].name,
                            .has_arg = OPTIONS[i].value != NULL ? required_argument : no_argument,
                            .val = OPTIONS[i].letter};
    }
    for (size_t i = 0; i < ARRAY_SIZE(ALIASES); i++) {
        options[ARRAY_SIZE(OPTIONS) + i] = (struct option){
            .name = ALIASES[i].name, .has_arg = required_argument, .val = ALIASES[i].letter};
    }
    opterr = 0;
    while ((letter = getopt_long(argc, argv, ":c:hV", options, NULL)) != -1) {
        if (letter == '?' || letter == ':') {
            return error_set(
                err, ERROR_CONFIG, "option \"%s\" is %s; see foz-worker --help", argv[optind - 1],
                letter == ':' ? "missing its value" : "unknown or has a value it does not take");
        }
        if (strchr(given, letter) == NULL) {
            given[n_given++] = (char)letter;
        }
        if (!take_option(args, letter, optarg, err)) {
            return false;
        }
    }
    return true;
}

bool args_parse(int argc, char **argv, struct args *ret_args, struct error *err)
{
    struct args args = {0};
    char given[ARRAY_SIZE(OPTIONS) + 1] = "";
    if (!take_options(argc, argv, &args, given, err)) {
        return false;
    }
    if (optind < argc) {
        args.command = find_command(argv[optind]);
        if (args.command == NULL) {
            return fail_command(argv[optind], err);
        }
        optind++;
    }
    while (optind < argc) {
        if (!add_to_list(args.names, &args.n_names, argv[optind++], err)) {
            return false;
        }
    }
    if (!args.help && !args.version) {
        if (args.command == NULL) {
            return error_set(err, ERROR_CONFIG, "no command given; foz-worker --help lists them");
        }
        if (!check_command(&args, given, err)) {
            return false;
        }
    }
    *ret_args = args;
    return true;
}

static void print_options(const char *letters)
{
    for (size_t i = 0; i < ARRAY_SIZE(OPTIONS); i++) {
        const struct option_help *option = &OPTIONS[i];
        if (strchr(letters, option->letter) != NULL) {
            char left[40];
            (void)snprintf(left, sizeof(left), "--%s%s%s", option->name,
                           option->value != NULL ? " " : "",
                           option->value != NULL ? option->value : "");
            printf("  %-22s %s\n", left, option->help);
        }
    }
}

void args_print_help(const struct args *args)
{
    const struct command *one = args->command;
    if (one != NULL) {
        printf("usage: foz-worker %s\n\n%s\n\noptions:\n", one->synopsis, one->summary);
        print_options(one->options);
        print_options(ALWAYS);
        return;
    }
    printf("usage: foz-worker COMMAND [options]\n\n"
           "Keeps an exact copy of ServiceNow, GLPI and Azure DevOps in PostgreSQL.\n\n");
    for (const struct command *command = COMMANDS; command->name != NULL; command++) {
        printf("  %-14s %s\n", command->name, command->summary);
    }
    printf("\noptions of every command:\n");
    print_options(ALWAYS);
    printf("\nexit codes: 0 complete, 1 a task failed, 3 partial, 4 held by the fuse, 64 usage,\n"
           "69 source or database unreachable, 75 busy, 77 credentials or rights,\n"
           "78 configuration, 143 stopped by SIGTERM\n");
}
