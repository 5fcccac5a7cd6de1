#include <assert.h>
#include <string.h>

#include "common/conf/option_scalar.h"
#include "common/conf/options.h"

static const char *type_name(const struct option *option)
{
    if (option->form != NULL) {
        return option->form;
    }
    switch (option->type) {
    case OPTION_STRING:
        return "text";
    case OPTION_WORD:
    case OPTION_ENUM:
        return "word";
    case OPTION_URL:
        return "URL";
    case OPTION_DATABASE:
        return "libpq URI or conninfo";
    case OPTION_LISTEN:
        return "HOST:PORT";
    case OPTION_PATH:
        return "path";
    case OPTION_SECRET:
        return "secret reference";
    case OPTION_INTEGER:
        return "integer";
    case OPTION_FLOAT:
        return "number";
    case OPTION_DURATION:
        return "duration";
    case OPTION_SIZE:
        return "size";
    case OPTION_BOOLEAN:
        return "boolean";
    case OPTION_LIST:
        return option->item == OPTION_PATH ? "list of paths" : "list of text";
    case OPTION_STRUCT:
    case OPTION_MAP:
    case OPTION_CUSTOM:
        break;
    }
    return "mapping";
}

static void describe_default(const struct option *option, struct buf *out)
{
    if (option->required) {
        buf_add_c(out, "required");
    } else if (option->fallback_help != NULL) {
        buf_add_c(out, option->fallback_help);
    } else if (option->fallback != NULL && option->type == OPTION_LIST) {
        buf_addf(out, "`[%s]`", option->fallback);
    } else if (option->fallback != NULL) {
        buf_addf(out, "`%s`", option->fallback);
    } else {
        buf_add_c(out, "none");
    }
}

static void describe_allowed(const struct option *option, struct buf *out)
{
    if (option->n_choices > 0) {
        for (size_t i = 0; i < option->n_choices; i++) {
            buf_addf(out, "%s`%s`", i > 0 ? " " : "", option->choices[i].name);
        }
        return;
    }
    switch (option->type) {
    case OPTION_INTEGER:
    case OPTION_FLOAT:
    case OPTION_DURATION:
    case OPTION_SIZE:
        option_format_range(option, out);
        if (option->unit != NULL) {
            buf_addf(out, " %s", option->unit);
        }
        return;
    case OPTION_BOOLEAN:
        buf_add_c(out, "`true` `false`");
        return;
    case OPTION_STRING:
    case OPTION_WORD:
    case OPTION_URL:
    case OPTION_DATABASE:
    case OPTION_LISTEN:
    case OPTION_PATH:
    case OPTION_SECRET:
    case OPTION_ENUM:
    case OPTION_LIST:
    case OPTION_STRUCT:
    case OPTION_MAP:
    case OPTION_CUSTOM:
        return;
    }
}

static bool is_nested(const struct option *option)
{
    return option->type == OPTION_STRUCT || option->type == OPTION_MAP;
}

static void describe_rows(const struct option_table *table, struct buf *out)
{
    buf_add_c(out, "| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < table->n_options; i++) {
        const struct option *option = &table->options[i];
        if (is_nested(option)) {
            const char *needed = option->required ? "required" : "";
            buf_addf(out, "| `%s` | mapping | %s | | %s |\n", option->name, needed, option->help);
            continue;
        }
        buf_addf(out, "| `%s` | %s | ", option->name, type_name(option));
        describe_default(option, out);
        buf_add_c(out, " | ");
        describe_allowed(option, out);
        buf_addf(out, " | %s |\n", option->help);
    }
    buf_add_char(out, '\n');
}

void options_describe(const struct option_table *table, const char *title, struct buf *out)
{
    if (title[0] == '\0') {
        buf_add_c(out, "### Top of the file\n\n");
    } else {
        buf_addf(out, "### `%s`\n\n", title);
    }
    describe_rows(table, out);
    for (size_t i = 0; i < table->n_options; i++) {
        const struct option *option = &table->options[i];
        if (!is_nested(option)) {
            continue;
        }
        CLEANUP(buf_release) struct buf inner;
        buf_init(&inner, 4096);
        buf_addf(&inner, "%s%s%s", title, title[0] != '\0' ? "." : "", option->name);
        if (option->type == OPTION_MAP) {
            buf_addf(&inner, ".%s", option->table->key_word);
        }
        options_describe(option->table, inner.ptr, out);
    }
}
