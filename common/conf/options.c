#include "common/conf/options.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "common/conf/option_scalar.h"

#define SHOWN_MAX_BYTES 60

struct key_place {
    const char *key;
    size_t index;
};

void *options_alloc(struct option_reader *reader, size_t size)
{
    void *memory = arena_zalloc(reader->arena, size == 0 ? 1 : size);
    assert(memory != NULL);
    return memory;
}

char *options_copy(struct option_reader *reader, const char *text, size_t len)
{
    char *copy = options_alloc(reader, len + 1);
    memcpy(copy, text, len);
    return copy;
}

const char *options_shown(struct option_reader *reader, const char *text)
{
    size_t len = strlen(text);
    bool is_cut = len > SHOWN_MAX_BYTES;
    if (is_cut) {
        len = SHOWN_MAX_BYTES;
        while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80) {
            len--; /* not within a character */
        }
    }
    char *shown = options_alloc(reader, len + 4);
    for (size_t i = 0; i < len; i++) {
        bool is_control = (unsigned char)text[i] < ' ' || text[i] == 127;
        shown[i] = is_control ? '?' : text[i];
    }
    if (is_cut) {
        memcpy(shown + len, "...", sizeof("..."));
    }
    return shown;
}

/* What a file holds may stand in a message, but never end its line or move a terminal's cursor. */
static void make_printable(struct buf *text, size_t from)
{
    for (size_t i = from; i < text->len; i++) {
        if ((unsigned char)text->ptr[i] < ' ' || text->ptr[i] == 127) {
            text->ptr[i] = '?';
        }
    }
}

void options_fault(struct option_reader *reader, int line, const char *format, ...)
{
    va_list args;
    size_t start = reader->faults->len;
    reader->n_faults++;
    if (line > 0) {
        buf_addf(reader->faults, "%s:%d: ", reader->file, line);
    }
    va_start(args, format);
    buf_addv(reader->faults, format, args);
    va_end(args);
    make_printable(reader->faults, start);
    buf_add_char(reader->faults, '\n');
}

const char *options_hint(struct option_reader *reader,
                         const char *word,
                         const char *const *candidates,
                         size_t n_candidates)
{
    const char *nearest = str_nearest(word, candidates, n_candidates);
    if (nearest == NULL) {
        return "";
    }
    CLEANUP(buf_release) struct buf hint;
    buf_init(&hint, 512);
    buf_addf(&hint, "; did you mean \"%s\"?", nearest);
    return options_copy(reader, hint.ptr, hint.len);
}

const char *options_join(struct option_reader *reader, const char *where, const char *key)
{
    const char *shown = options_shown(reader, key);
    struct str head = str_from(where);
    struct str tail = str_from(shown);
    if (head.len == 0) {
        return shown;
    }
    char *joined = options_alloc(reader, head.len + 1 + tail.len + 1);
    memcpy(joined, head.ptr, head.len);
    joined[head.len] = '.';
    memcpy(joined + head.len + 1, tail.ptr, tail.len);
    return joined;
}

/* "sources.snow.auth", and words for the top of the file. */
static const char *named(const char *where)
{
    return where[0] != '\0' ? where : "the file";
}

static int compare_places(const void *a, const void *b)
{
    const struct key_place *left = a;
    const struct key_place *right = b;
    int order = strcmp(left->key, right->key);
    return order != 0 ? order : (left->index > right->index) - (left->index < right->index);
}

const bool *
options_repeated(struct option_reader *reader, const struct yaml_node *mapping, const char *where)
{
    size_t n = mapping->n_items;
    bool *repeated = options_alloc(reader, n);
    struct key_place *places = options_alloc(reader, n * sizeof(*places));
    for (size_t i = 0; i < n; i++) {
        places[i] = (struct key_place){mapping->keys[i]->scalar, i};
    }
    if (n > 1) {
        qsort(places, n, sizeof(*places), compare_places);
    }
    size_t first = 0;
    for (size_t i = 1; i < n; i++) {
        if (strcmp(places[first].key, places[i].key) != 0) {
            first = i;
            continue;
        }
        const struct yaml_node *key = mapping->keys[places[i].index];
        repeated[places[i].index] = true;
        options_fault(reader, key->line,
                      "duplicate key \"%s\" in %s, first given on line %d; keep one",
                      options_shown(reader, key->scalar), named(where),
                      mapping->keys[places[first].index]->line);
    }
    return repeated;
}

static bool is_empty_scalar(const struct yaml_node *node)
{
    return node->kind == YAML_KIND_SCALAR && !node->quoted && node->scalar[0] == '\0';
}

const struct yaml_node *
options_mapping(struct option_reader *reader, const struct yaml_node *node, const char *where)
{
    if (node->kind == YAML_KIND_MAPPING) {
        return node;
    }
    if (is_empty_scalar(node)) {
        struct yaml_node *empty = options_alloc(reader, sizeof(*empty));
        *empty = (struct yaml_node){.kind = YAML_KIND_MAPPING, .line = node->line, .scalar = ""};
        return empty;
    }
    options_fault(reader, node->line, "%s must be a mapping: one \"key: value\" a line",
                  named(where));
    return NULL;
}

static void *member(const struct option *option, void *object)
{
    return (char *)object + option->offset;
}

static void set_count(const struct option *option, void *object, size_t n)
{
    memcpy((char *)object + option->count_offset, &n, sizeof(n));
}

const char *const *options_read_list(struct option_reader *reader,
                                     const struct option *option,
                                     const struct yaml_node *node,
                                     const char *where,
                                     size_t *ret_n)
{
    size_t n = is_empty_scalar(node) ? 0 : node->n_items;
    if (node->kind != YAML_KIND_SEQUENCE && !is_empty_scalar(node)) {
        options_fault(reader, node->line, "%s must be a list; write [first, second]", where);
        return NULL;
    }
    const struct option element = {.type = option->item,
                                   .choices = option->choices,
                                   .n_choices = option->n_choices,
                                   .form = option->form};
    size_t n_before = reader->n_faults;
    const char **items = options_alloc(reader, (n + 1) * sizeof(*items));
    for (size_t i = 0; i < n; i++) {
        option_read_scalar(reader, &element, node->items[i], where, &items[i]);
    }
    if (reader->n_faults != n_before) {
        return NULL;
    }
    *ret_n = n;
    return items;
}

static void read_list(struct option_reader *reader,
                      const struct option *option,
                      const struct yaml_node *node,
                      const char *where,
                      void *object)
{
    size_t n = 0;
    const char *const *items = options_read_list(reader, option, node, where, &n);
    if (items != NULL) {
        memcpy(member(option, object), &items, sizeof(items));
        set_count(option, object, n);
    }
}

static void read_map(struct option_reader *reader,
                     const struct option *option,
                     const struct yaml_node *node,
                     const char *where,
                     void *object)
{
    const struct option_table *table = option->table;
    const struct yaml_node *mapping = options_mapping(reader, node, where);
    if (mapping == NULL) {
        return;
    }
    const bool *repeated = options_repeated(reader, mapping, where);
    char *items = options_alloc(reader, mapping->n_items * table->struct_size);
    size_t n = 0;
    for (size_t i = 0; i < mapping->n_items; i++) {
        const struct yaml_node *key = mapping->keys[i];
        const char *inner = options_join(reader, where, key->scalar);
        if (repeated[i]) {
            continue;
        }
        if (table->name_is_valid != NULL && !table->name_is_valid(key->scalar)) {
            options_fault(reader, key->line, "%s: a name here must be %s", inner, table->name_rule);
        }
        void *item = items + n++ * table->struct_size;
        memcpy((char *)item + table->name_offset, &key->scalar, sizeof(key->scalar));
        if (table->line_offset != 0) {
            memcpy((char *)item + table->line_offset, &key->line, sizeof(key->line));
        }
        options_defaults(reader, table, item);
        options_read(reader, table, mapping->items[i], inner, item);
    }
    memcpy(member(option, object), &items, sizeof(items));
    set_count(option, object, n);
}

static void read_option(struct option_reader *reader,
                        const struct option *option,
                        const struct yaml_node *node,
                        const char *where,
                        void *object)
{
    switch (option->type) {
    case OPTION_LIST:
        read_list(reader, option, node, where, object);
        return;
    case OPTION_MAP:
        read_map(reader, option, node, where, object);
        return;
    case OPTION_CUSTOM:
        option->read(reader, node, where, object);
        return;
    case OPTION_STRUCT:
        if (option->present_offset != 0) {
            memcpy((char *)object + option->present_offset, &(bool){true}, sizeof(bool));
        }
        options_read(reader, option->table, node, where, member(option, object));
        return;
    case OPTION_STRING:
    case OPTION_WORD:
    case OPTION_URL:
    case OPTION_DATABASE:
    case OPTION_LISTEN:
    case OPTION_PATH:
    case OPTION_SECRET:
    case OPTION_INTEGER:
    case OPTION_FLOAT:
    case OPTION_DURATION:
    case OPTION_SIZE:
    case OPTION_BOOLEAN:
    case OPTION_ENUM:
        option_read_scalar(reader, option, node, where, object);
        return;
    }
}

static const struct option *find_option(const struct option_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_options; i++) {
        if (strcmp(table->options[i].name, name) == 0) {
            return &table->options[i];
        }
    }
    return NULL;
}

static void fault_unknown(struct option_reader *reader,
                          const struct option_table *table,
                          const struct yaml_node *key,
                          const char *where)
{
    const char *names[64];
    CLEANUP(buf_release) struct buf list;
    buf_init(&list, 2048);
    assert(table->n_options <= ARRAY_SIZE(names));
    for (size_t i = 0; i < table->n_options; i++) {
        names[i] = table->options[i].name;
        buf_addf(&list, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    const char *hint = options_hint(reader, key->scalar, names, table->n_options);
    options_fault(reader, key->line, "unknown key \"%s\" in %s%s%s",
                  options_shown(reader, key->scalar), named(where),
                  hint[0] != '\0' ? hint : "; valid keys: ", hint[0] != '\0' ? "" : list.ptr);
}

void options_read(struct option_reader *reader,
                  const struct option_table *table,
                  const struct yaml_node *node,
                  const char *where,
                  void *object)
{
    const struct yaml_node *mapping = options_mapping(reader, node, where);
    if (mapping == NULL) {
        return;
    }
    const bool *repeated = options_repeated(reader, mapping, where);
    for (size_t i = 0; i < mapping->n_items; i++) {
        const struct yaml_node *key = mapping->keys[i];
        const struct option *option = find_option(table, key->scalar);
        if (option == NULL) {
            fault_unknown(reader, table, key, where);
        } else if (!repeated[i]) {
            const char *inner = options_join(reader, where, key->scalar);
            read_option(reader, option, mapping->items[i], inner, object);
        }
    }
    for (size_t i = 0; i < table->n_options; i++) {
        const struct option *option = &table->options[i];
        if (option->required && yaml_find(mapping, option->name) == NULL) {
            options_fault(reader, mapping->line, "%s lacks the key \"%s\": %s", named(where),
                          option->name, option->help);
        }
    }
    if (table->check != NULL) {
        table->check(reader, mapping, where, object);
    }
}

static void default_list(struct option_reader *reader, const struct option *option, void *object)
{
    const char **items = options_alloc(reader, 2 * sizeof(*items));
    items[0] = option->fallback;
    memcpy(member(option, object), &items, sizeof(items));
    set_count(option, object, 1);
}

static void default_option(struct option_reader *reader, const struct option *option, void *object)
{
    if (option->type == OPTION_STRUCT) {
        options_defaults(reader, option->table, member(option, object));
    } else if (option->fallback != NULL && option->type == OPTION_LIST) {
        default_list(reader, option, object);
    } else if (option->fallback != NULL) {
        size_t n_before = reader->n_faults;
        options_set_text(reader, option, option->name, option->fallback, object);
        assert(reader->n_faults == n_before);
    }
}

void options_defaults(struct option_reader *reader, const struct option_table *table, void *object)
{
    for (size_t i = 0; i < table->n_options; i++) {
        default_option(reader, &table->options[i], object);
    }
}
