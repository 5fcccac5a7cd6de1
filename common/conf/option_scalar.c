#include "common/conf/option_scalar.h"

#include <assert.h>
#include <string.h>

#include "common/base/str.h"
#include "common/conf/option_value.h"
#include "common/conf/secret.h"
#include "common/io/db.h"

/* A scalar on its way into a member. */
struct value {
    const struct option *option;
    const char *where;
    const char *text;
    int line;
};

static void *member(const struct option *option, void *object)
{
    return (char *)object + option->offset;
}

static void fault_value(struct option_reader *reader, const struct value *value, const char *cure)
{
    options_fault(reader, value->line, "%s is \"%s\"; write %s", value->where,
                  options_shown(reader, value->text), cure);
}

static const struct option_choice *find_choice(struct option_reader *reader,
                                               const struct value *value)
{
    const struct option *option = value->option;
    const char *names[32];
    CLEANUP(buf_release) struct buf list;
    buf_init(&list, 1024);
    assert(option->n_choices <= ARRAY_SIZE(names));
    for (size_t i = 0; i < option->n_choices; i++) {
        names[i] = option->choices[i].name;
        buf_addf(&list, "%s%s", i > 0 ? ", " : "", names[i]);
        if (strcmp(names[i], value->text) == 0) {
            return &option->choices[i];
        }
    }
    options_fault(reader, value->line, "%s is \"%s\"%s%s one of: %s", value->where,
                  options_shown(reader, value->text),
                  options_hint(reader, value->text, names, option->n_choices),
                  str_nearest(value->text, names, option->n_choices) != NULL ? " Write" : "; write",
                  list.ptr);
    return NULL;
}

static void format_quantity(enum option_type type, int64_t quantity, struct buf *out)
{
    if (type == OPTION_DURATION) {
        option_format_duration(quantity, out);
    } else if (type == OPTION_SIZE) {
        option_format_size(quantity, out);
    } else {
        buf_add_int(out, quantity);
    }
}

void option_format_range(const struct option *option, struct buf *out)
{
    if (option->type == OPTION_FLOAT) {
        buf_addf(out, "%g to %g", option->float_min, option->float_max);
        return;
    }
    format_quantity(option->type, option->min, out);
    buf_add_c(out, " to ");
    format_quantity(option->type, option->max, out);
}

const char *option_form(enum option_type type)
{
    switch (type) {
    case OPTION_DURATION:
        return "a duration such as 500ms, 30s, 10m, 24h or 7d";
    case OPTION_SIZE:
        return "a size such as 64KiB, 16MiB or plain bytes";
    case OPTION_FLOAT:
        return "a number such as 0.3";
    case OPTION_BOOLEAN:
        return "true or false";
    case OPTION_INTEGER:
        return "a whole number";
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
        break;
    }
    return "text";
}

static void fault_range(struct option_reader *reader, const struct value *value)
{
    CLEANUP(buf_release) struct buf range;
    buf_init(&range, 128);
    buf_add_c(&range, "a value from ");
    option_format_range(value->option, &range);
    fault_value(reader, value, range.ptr);
}

static bool parse_quantity(enum option_type type, struct str text, int64_t *ret_value)
{
    if (type == OPTION_DURATION) {
        return option_parse_duration(text, ret_value);
    }
    if (type == OPTION_SIZE) {
        return option_parse_size(text, ret_value);
    }
    return text.len > 0 && text.ptr[0] != '+' &&
           str_to_int64(text, INT64_MIN, INT64_MAX, ret_value);
}

static void set_quantity(struct option_reader *reader, const struct value *value, void *object)
{
    const struct option *option = value->option;
    int64_t quantity = 0;
    if (!parse_quantity(option->type, str_from(value->text), &quantity)) {
        fault_value(reader, value, option_form(option->type));
        return;
    }
    if (quantity < option->min || quantity > option->max) {
        fault_range(reader, value);
        return;
    }
    memcpy(member(option, object), &quantity, sizeof(quantity));
}

static void set_float(struct option_reader *reader, const struct value *value, void *object)
{
    double number = 0;
    if (!option_parse_float(value->text, &number)) {
        fault_value(reader, value, option_form(OPTION_FLOAT));
        return;
    }
    if (number < value->option->float_min || number > value->option->float_max) {
        fault_range(reader, value);
        return;
    }
    memcpy(member(value->option, object), &number, sizeof(number));
}

static void set_boolean(struct option_reader *reader, const struct value *value, void *object)
{
    bool is_true = strcmp(value->text, "true") == 0;
    if (!is_true && strcmp(value->text, "false") != 0) {
        fault_value(reader, value, option_form(OPTION_BOOLEAN));
        return;
    }
    memcpy(member(value->option, object), &is_true, sizeof(is_true));
}

static void set_pointer(const struct option *option, const char *text, void *object)
{
    memcpy(member(option, object), &text, sizeof(text));
}

static const char *absolute(struct option_reader *reader, const char *path)
{
    if (path[0] == '/' || reader->folder == NULL || reader->folder[0] == '\0') {
        return options_copy(reader, path, strlen(path));
    }
    size_t size = strlen(reader->folder) + strlen(path) + 2;
    CLEANUP(buf_release) struct buf joined;
    buf_init(&joined, size);
    buf_addf(&joined, "%s/%s", reader->folder, path);
    return options_copy(reader, joined.ptr, joined.len);
}

static void set_secret(struct option_reader *reader, const struct value *value, void *object)
{
    if (!secret_is_reference(value->text)) {
        options_fault(reader, value->line,
                      "%s must be a reference, not the secret itself; write env:NAME, file:PATH "
                      "or credential:NAME",
                      value->where);
        return;
    }
    if (strncmp(value->text, "file:", 5) != 0) {
        set_pointer(value->option, value->text, object);
        return;
    }
    const char *path = absolute(reader, value->text + 5);
    CLEANUP(buf_release) struct buf reference;
    buf_init(&reference, strlen(path) + 8);
    buf_addf(&reference, "file:%s", path);
    set_pointer(value->option, options_copy(reader, reference.ptr, reference.len), object);
}

static void set_url(struct option_reader *reader, const struct value *value, void *object)
{
    const char *fault = option_url_fault(value->text);
    if (fault != NULL) {
        options_fault(reader, value->line, "%s %s; write something like https://host.example/path",
                      value->where, fault);
        return;
    }
    size_t len = strlen(value->text);
    while (value->text[len - 1] == '/') {
        len--;
    }
    set_pointer(value->option, options_copy(reader, value->text, len), object);
}

static void set_database(struct option_reader *reader, const struct value *value, void *object)
{
    const char *fault = db_url_fault(value->text);
    if (fault != NULL) {
        options_fault(reader, value->line, "%s %s", value->where, fault);
        return;
    }
    set_pointer(value->option, value->text, object);
}

static void set_listen(struct option_reader *reader, const struct value *value, void *object)
{
    const char *fault = option_listen_fault(value->text);
    if (fault != NULL) {
        options_fault(reader, value->line,
                      "%s is \"%s\": it %s; write HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080",
                      value->where, options_shown(reader, value->text), fault);
        return;
    }
    set_pointer(value->option, value->text, object);
}

static void set_enum(struct option_reader *reader, const struct value *value, void *object)
{
    const struct option_choice *choice = find_choice(reader, value);
    if (choice != NULL) {
        memcpy(member(value->option, object), &choice->value, sizeof(choice->value));
    }
}

static void set_word(struct option_reader *reader, const struct value *value, void *object)
{
    const struct option_choice *choice = find_choice(reader, value);
    if (choice != NULL) {
        set_pointer(value->option, choice->name, object);
    }
}

static void set_path(struct option_reader *reader, const struct value *value, void *object)
{
    set_pointer(value->option, absolute(reader, value->text), object);
}

static void set_string(struct option_reader *reader, const struct value *value, void *object)
{
    (void)reader; /* any text will do */
    set_pointer(value->option, value->text, object);
}

typedef void set_fn(struct option_reader *reader, const struct value *value, void *object);

static set_fn *const setters[] = {
    [OPTION_STRING] = set_string,     [OPTION_WORD] = set_word,
    [OPTION_URL] = set_url,           [OPTION_LISTEN] = set_listen,
    [OPTION_DATABASE] = set_database, [OPTION_PATH] = set_path,
    [OPTION_SECRET] = set_secret,     [OPTION_INTEGER] = set_quantity,
    [OPTION_FLOAT] = set_float,       [OPTION_DURATION] = set_quantity,
    [OPTION_SIZE] = set_quantity,     [OPTION_BOOLEAN] = set_boolean,
    [OPTION_ENUM] = set_enum,
};

static void set_text(struct option_reader *reader, const struct value *value, void *object)
{
    if (value->text[0] == '\0' && value->option->may_be_empty) {
        set_pointer(value->option, "", object);
        return;
    }
    assert(value->option->type < ARRAY_SIZE(setters));
    setters[value->option->type](reader, value, object);
}

void options_set_text(struct option_reader *reader,
                      const struct option *option,
                      const char *where,
                      const char *text,
                      void *object)
{
    const struct value value = {option, where, options_copy(reader, text, strlen(text)), 0};
    set_text(reader, &value, object);
}

/* A quoted "3" or "true" is text and not meant as a number; a duration or size has one reading. */
static bool is_spoilt_by_quotes(enum option_type type)
{
    return type == OPTION_INTEGER || type == OPTION_FLOAT || type == OPTION_BOOLEAN;
}

void option_read_scalar(struct option_reader *reader,
                        const struct option *option,
                        const struct yaml_node *node,
                        const char *where,
                        void *object)
{
    if (node->kind != YAML_KIND_SCALAR) {
        options_fault(reader, node->line, "%s must be a single value, not a %s; write %s", where,
                      node->kind == YAML_KIND_SEQUENCE ? "list" : "mapping",
                      option->form != NULL ? option->form : option_form(option->type));
        return;
    }
    bool is_empty = node->scalar[0] == '\0' && !(node->quoted && option->may_be_empty);
    if (is_empty ||
        (!node->quoted && (strcmp(node->scalar, "null") == 0 || strcmp(node->scalar, "~") == 0))) {
        options_fault(reader, node->line, "%s has no value; write one or remove the key", where);
        return;
    }
    if (node->quoted && is_spoilt_by_quotes(option->type)) {
        options_fault(reader, node->line, "%s is quoted text; write %s without quotes", where,
                      option_form(option->type));
        return;
    }
    const struct value value = {option, where, node->scalar, node->line};
    set_text(reader, &value, object);
}
