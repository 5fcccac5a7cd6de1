#include "common/io/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <yaml.h>

#include "common/base/alloc.h"
#include "common/base/buf.h"

#define MAX_DEPTH   64
#define CHUNK_BYTES 8192UL

/* An open collection: its node and where its children begin on the stack. */
struct level {
    struct yaml_node *node;
    size_t first_child;
};

struct builder {
    yaml_parser_t parser;
    const char *name;
    struct arena *arena;
    struct level levels[MAX_DEPTH];
    size_t depth;
    const struct yaml_node **stack; /* finished children of the open collections */
    size_t n_stack;
    size_t stack_capacity;
    const struct yaml_node *root;
};

static void builder_release(struct builder *builder)
{
    yaml_parser_delete(&builder->parser);
    xfree(builder->stack);
}

static void event_release(yaml_event_t *event)
{
    yaml_event_delete(event);
}

static bool fail(const struct builder *builder, int line, const char *what, struct error *err)
{
    return error_set(err, ERROR_CONFIG, "%s:%d: %s", builder->name, line, what);
}

static bool out_of_memory(const struct builder *builder, int line, struct error *err)
{
    return error_set(err, ERROR_LIMIT, "%s:%d: the document needs too much memory; split the file",
                     builder->name, line);
}

static struct yaml_node *
node_new(struct builder *builder, enum yaml_kind kind, int line, struct error *err)
{
    struct yaml_node *node = arena_zalloc(builder->arena, sizeof(*node));
    if (node == NULL) {
        (void)out_of_memory(builder, line, err);
        return NULL;
    }
    node->kind = kind;
    node->line = line;
    node->scalar = "";
    return node;
}

static void push(struct builder *builder, const struct yaml_node *node)
{
    if (builder->depth == 0) {
        builder->root = node;
        return;
    }
    if (builder->n_stack == builder->stack_capacity) {
        builder->stack_capacity = builder->stack_capacity == 0 ? 64 : builder->stack_capacity * 2;
        builder->stack =
            xrealloc(builder->stack, builder->stack_capacity * sizeof(const struct yaml_node *));
    }
    builder->stack[builder->n_stack++] = node;
}

static bool add_scalar(struct builder *builder, const yaml_event_t *event, struct error *err)
{
    int line = (int)event->start_mark.line + 1;
    const char *text = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    if (event->data.scalar.anchor != NULL) {
        return fail(builder, line, "anchors (&name) are not supported; write the value out", err);
    }
    if (event->data.scalar.tag != NULL) {
        return fail(builder, line, "tags (!type) are not supported; remove the tag", err);
    }
    if (memchr(text, '\0', len) != NULL) {
        return fail(builder, line, "a value holds a NUL character; remove it", err);
    }
    struct yaml_node *node = node_new(builder, YAML_KIND_SCALAR, line, err);
    if (node == NULL) {
        return false;
    }
    node->scalar = arena_strndup(builder->arena, text, len);
    if (node->scalar == NULL) {
        return out_of_memory(builder, line, err);
    }
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    push(builder, node);
    return true;
}

static bool open_collection(struct builder *builder,
                            enum yaml_kind kind,
                            const yaml_event_t *event,
                            struct error *err)
{
    bool is_sequence = kind == YAML_KIND_SEQUENCE;
    const void *anchor =
        is_sequence ? event->data.sequence_start.anchor : event->data.mapping_start.anchor;
    const void *tag = is_sequence ? event->data.sequence_start.tag : event->data.mapping_start.tag;
    int line = (int)event->start_mark.line + 1;
    if (anchor != NULL) {
        return fail(builder, line, "anchors (&name) are not supported; write the value out", err);
    }
    if (tag != NULL) {
        return fail(builder, line, "tags (!type) are not supported; remove the tag", err);
    }
    /* Checked event by event: libyaml has no limit and takes quadratic time on "[[[[". */
    if (builder->depth == MAX_DEPTH) {
        return fail(builder, line, "nested deeper than 64 levels", err);
    }
    struct yaml_node *node = node_new(builder, kind, line, err);
    if (node == NULL) {
        return false;
    }
    push(builder, node);
    builder->levels[builder->depth++] = (struct level){node, builder->n_stack};
    return true;
}

static bool close_mapping(struct builder *builder, const struct level *level, struct error *err)
{
    struct yaml_node *node = level->node;
    const struct yaml_node **children = builder->stack + level->first_child;
    node->n_items = (builder->n_stack - level->first_child) / 2;
    node->keys =
        arena_alloc(builder->arena, (node->n_items + 1) * sizeof(const struct yaml_node *));
    node->items =
        arena_alloc(builder->arena, (node->n_items + 1) * sizeof(const struct yaml_node *));
    if (node->keys == NULL || node->items == NULL) {
        return out_of_memory(builder, node->line, err);
    }
    for (size_t i = 0; i < node->n_items; i++) {
        const struct yaml_node *key = children[2 * i];
        if (key->kind != YAML_KIND_SCALAR) {
            return fail(builder, key->line, "a key must be a plain word", err);
        }
        node->keys[i] = key;
        node->items[i] = children[2 * i + 1];
    }
    return true;
}

static bool close_sequence(struct builder *builder, const struct level *level, struct error *err)
{
    struct yaml_node *node = level->node;
    node->n_items = builder->n_stack - level->first_child;
    node->items =
        arena_alloc(builder->arena, (node->n_items + 1) * sizeof(const struct yaml_node *));
    if (node->items == NULL) {
        return out_of_memory(builder, node->line, err);
    }
    for (size_t i = 0; i < node->n_items; i++) {
        node->items[i] = builder->stack[level->first_child + i];
    }
    return true;
}

static bool close_collection(struct builder *builder, struct error *err)
{
    struct level level = builder->levels[--builder->depth];
    bool done = level.node->kind == YAML_KIND_MAPPING ? close_mapping(builder, &level, err)
                                                      : close_sequence(builder, &level, err);
    builder->n_stack = level.first_child;
    return done;
}

/* Where and why libyaml gave up. Its problem texts are constants: they quote nothing of the file.
 */
static bool fail_syntax(const struct builder *builder, struct str text, struct error *err)
{
    const yaml_parser_t *parser = &builder->parser;
    size_t line = parser->problem_mark.line + 1;
    if (parser->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; text.ptr != NULL && i < parser->problem_offset && i < text.len; i++) {
            line += text.ptr[i] == '\n';
        }
    }
    return error_set(err, ERROR_CONFIG, "%s:%zu: not valid YAML: %s%s%s", builder->name, line,
                     parser->problem != NULL ? parser->problem : "cannot be read",
                     parser->context != NULL ? ", " : "",
                     parser->context != NULL ? parser->context : "");
}

static bool take_event(struct builder *builder, const yaml_event_t *event, struct error *err)
{
    int line = (int)event->start_mark.line + 1;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (builder->root != NULL) {
            return fail(builder, line, "a second document begins here; one file holds one", err);
        }
        return true;
    case YAML_SCALAR_EVENT:
        return add_scalar(builder, event, err);
    case YAML_SEQUENCE_START_EVENT:
        return open_collection(builder, YAML_KIND_SEQUENCE, event, err);
    case YAML_MAPPING_START_EVENT:
        return open_collection(builder, YAML_KIND_MAPPING, event, err);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_collection(builder, err);
    case YAML_ALIAS_EVENT:
        return fail(builder, line, "aliases (*name) are not supported; write the value out", err);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return true;
    }
    return true;
}

const struct yaml_node *
yaml_parse(struct str text, const char *name, struct arena *arena, struct error *err)
{
    if (text.len > YAML_FILE_MAX_BYTES) {
        (void)error_set(err, ERROR_CONFIG, "%s:1: larger than 256 KiB; split the file", name);
        return NULL;
    }
    CLEANUP(builder_release) struct builder builder = {.name = name, .arena = arena};
    if (!yaml_parser_initialize(&builder.parser)) {
        (void)error_set(err, ERROR_LIMIT, "%s:1: no memory for the YAML parser", name);
        return NULL;
    }
    /* Some editors begin a file with it; told the encoding, libyaml does not pass over it. */
    if (str_starts_with(text, STR_LITERAL("\xEF\xBB\xBF"))) {
        text = (struct str){text.ptr + 3, text.len - 3};
    }
    const char *input = text.ptr != NULL ? text.ptr : "";
    yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&builder.parser, (const unsigned char *)input, text.len);
    for (bool at_end = false; !at_end;) {
        CLEANUP(event_release) yaml_event_t event = {0};
        if (!yaml_parser_parse(&builder.parser, &event)) {
            (void)fail_syntax(&builder, text, err);
            return NULL;
        }
        if (!take_event(&builder, &event, err)) {
            return NULL;
        }
        at_end = event.type == YAML_STREAM_END_EVENT;
    }
    const struct yaml_node *root = builder.root;
    bool is_empty = root == NULL ||
                    (root->kind == YAML_KIND_SCALAR && !root->quoted && root->scalar[0] == '\0');
    return is_empty ? node_new(&builder, YAML_KIND_MAPPING, 1, err) : root;
}

static void fd_close(const int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd); /* only read from: nothing can be lost */
    }
}

static bool fail_read(const char *path, int error_number, struct error *err)
{
    char words[128];
    return error_set(err, ERROR_CONFIG, "cannot read %s: %s", path,
                     strerror_r(error_number, words, sizeof(words)));
}

/* Reads at most one byte more than a file may have, so that yaml_parse refuses it. */
static bool read_file(const char *path, struct buf *out, struct error *err)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return fail_read(path, errno, err);
    }
    char chunk[CHUNK_BYTES];
    while (out->len <= YAML_FILE_MAX_BYTES) {
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got == 0) {
            return true;
        }
        if (got < 0 && errno != EINTR) {
            return fail_read(path, errno, err);
        }
        if (got > 0) {
            buf_add(out, chunk, (size_t)got);
        }
    }
    return true;
}

const struct yaml_node *yaml_read(const char *path, struct arena *arena, struct error *err)
{
    CLEANUP(buf_release) struct buf text;
    buf_init(&text, YAML_FILE_MAX_BYTES + 2 * CHUNK_BYTES);
    if (!read_file(path, &text, err)) {
        return NULL;
    }
    return yaml_parse(buf_str(&text), path, arena, err);
}

const struct yaml_node *yaml_find(const struct yaml_node *mapping, const char *key)
{
    if (mapping == NULL || mapping->kind != YAML_KIND_MAPPING) {
        return NULL;
    }
    for (size_t i = 0; i < mapping->n_items; i++) {
        if (strcmp(mapping->keys[i]->scalar, key) == 0) {
            return mapping->items[i];
        }
    }
    return NULL;
}
