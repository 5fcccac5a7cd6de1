#include "common/conf/catalog_field.h"

#include "common/conf/option_scalar.h"

/* A type that a file may name but no single column has. */
enum { TYPE_IDENTITY = COLUMN_JSONB + 1 };

static const struct option_choice type_choices[] = {
    {"text", COLUMN_TEXT},       {"integer", COLUMN_INTEGER},   {"bigint", COLUMN_BIGINT},
    {"numeric", COLUMN_NUMERIC}, {"boolean", COLUMN_BOOLEAN},   {"timestamptz", COLUMN_TIMESTAMPTZ},
    {"date", COLUMN_DATE},       {"interval", COLUMN_INTERVAL}, {"jsonb", COLUMN_JSONB},
    {"identity", TYPE_IDENTITY},
};

/* A field as it is written. */
struct field_form {
    int type;
    bool display;
    bool rest;
    const char *ref;
};

static const struct option field_options[] = {
    {.name = "type",
     .type = OPTION_ENUM,
     .offset = offsetof(struct field_form, type),
     .choices = type_choices,
     .n_choices = ARRAY_SIZE(type_choices),
     .help = "type of the column"},
    {.name = "display",
     .type = OPTION_BOOLEAN,
     .offset = offsetof(struct field_form, display),
     .help = "a second column dv_NAME holds the display value"},
    {.name = "rest",
     .type = OPTION_BOOLEAN,
     .offset = offsetof(struct field_form, rest),
     .help = "the column holds whatever no other field names"},
    {.name = "ref",
     .type = OPTION_STRING,
     .offset = offsetof(struct field_form, ref),
     .help = "the table this field refers to"},
};

static const struct option_table field_table = {.options = field_options,
                                                .n_options = ARRAY_SIZE(field_options)};

const char *column_type_name(enum column_type type)
{
    for (size_t i = 0; i < ARRAY_SIZE(type_choices); i++) {
        if (type_choices[i].value == (int)type) {
            return type_choices[i].name;
        }
    }
    return "text";
}

const char *catalog_field_type(const struct field *field)
{
    return field->identity ? "identity" : column_type_name(field->type);
}

bool catalog_same_type(const struct field *a, const struct field *b)
{
    return a->type == b->type && a->identity == b->identity;
}

static struct field_form form_of(const struct field *field)
{
    return (struct field_form){.type = field->identity ? TYPE_IDENTITY : (int)field->type,
                               .display = field->display,
                               .rest = field->rest,
                               .ref = field->ref};
}

static struct field field_of(const char *name, const struct field_form *form)
{
    bool identity = form->type == TYPE_IDENTITY;
    return (struct field){.name = name,
                          .type = identity ? COLUMN_TEXT : (enum column_type)form->type,
                          .display = form->display,
                          .identity = identity,
                          .rest = form->rest,
                          .ref = form->ref};
}

static void
check_form(struct option_reader *reader, int line, const char *where, const struct field_form *form)
{
    if (form->rest && form->type != COLUMN_JSONB) {
        options_fault(reader, line,
                      "%s takes the rest of the record, so its type must be jsonb; write {type: "
                      "jsonb, rest: true}",
                      where);
    }
    if (form->display && form->type == TYPE_IDENTITY) {
        options_fault(reader, line,
                      "%s is an identity, which has a column for the display name already; remove "
                      "display",
                      where);
    }
}

bool catalog_read_field(struct option_reader *reader,
                        const struct yaml_node *node,
                        const char *where,
                        const struct field *known,
                        struct field *ret_field)
{
    size_t n_before = reader->n_faults;
    struct field_form form = {0};
    if (known != NULL) {
        form = form_of(known);
    }
    bool is_word = node->kind == YAML_KIND_SCALAR && node->scalar[0] != '\0';
    if (is_word) {
        option_read_scalar(reader, &field_options[0], node, where, &form);
    } else if (node->kind == YAML_KIND_MAPPING) {
        options_read(reader, &field_table, node, where, &form);
    }
    bool has_type = known != NULL || is_word || yaml_find(node, "type") != NULL;
    if (!has_type || node->kind == YAML_KIND_SEQUENCE) {
        options_fault(reader, node->line,
                      "%s needs a type; write NAME: text, or NAME: {type: text, ref: TABLE}",
                      where);
    }
    if (reader->n_faults == n_before) {
        check_form(reader, node->line, where, &form);
    }
    if (reader->n_faults != n_before) {
        return false;
    }
    *ret_field = field_of(known != NULL ? known->name : ret_field->name, &form);
    return true;
}
