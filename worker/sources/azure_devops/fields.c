#include "worker/sources/azure_devops/fields.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/io/hash.h"
#include "worker/sources/azure_devops/request.h"

#define ARENA_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define FIELDS_MAX      4000
/* Each refusal costs a request; an organisation has hundreds of board columns. */
#define REFUSALS_MAX 8

static const char IS_DELETED[] = "System.IsDeleted";

/* Stale by nature: the feed does not send a row again when the next revision ends it. */
static const char REVISED_DATE[] = "System.RevisedDate";

static int find(const struct ado_fields *fields, const char *name)
{
    for (size_t i = 0; i < fields->n; i++) {
        if (strcmp(fields->items[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static void add(struct ado_fields *fields, const char *name, int mapped)
{
    const char *copy = arena_strdup(&fields->arena, name);
    if (copy == NULL || fields->n >= FIELDS_MAX) {
        return; /* the catalog's come first and are few; what is left out is not landed */
    }
    if (fields->n == fields->capacity) {
        fields->capacity = fields->capacity == 0 ? 128 : 2 * fields->capacity;
        fields->items = xrealloc(fields->items, fields->capacity * sizeof(*fields->items));
    }
    fields->items[fields->n++] = (struct ado_field){copy, mapped, true};
}

void ado_fields_init(struct ado_fields *fields, const struct task_def *task)
{
    *fields = (struct ado_fields){.task = task};
    arena_init(&fields->arena, ARENA_BYTES_MAX);
    for (size_t i = 0; i < task->n_fields; i++) {
        if (!task->fields[i].rest) {
            add(fields, task->fields[i].name, (int)i);
        }
    }
    if (find(fields, IS_DELETED) < 0) {
        add(fields, IS_DELETED, -1);
    }
}

void ado_fields_release(struct ado_fields *fields)
{
    xfree(fields->items);
    arena_release(&fields->arena);
}

static bool has_rest(const struct task_def *task)
{
    for (size_t i = 0; i < task->n_fields; i++) {
        if (task->fields[i].rest) {
            return true;
        }
    }
    return false;
}

static bool is_word(const struct json *node, const char *word)
{
    const char *text = json_string(node);
    return text != NULL && strcmp(text, word) == 0;
}

/* A plain value of a work item, as the feeds give it. */
static bool is_reportable(const struct json *field)
{
    static const char *const LONG_TEXT[] = {"html", "plainText", "history"};
    const struct json *type = json_find(field, "type");
    const struct json *usage = json_find(field, "usage");
    for (size_t i = 0; i < ARRAY_SIZE(LONG_TEXT); i++) {
        if (is_word(type, LONG_TEXT[i])) {
            return false;
        }
    }
    return !json_bool(json_find(field, "isDeleted"), false) && !is_word(usage, "workItemLink") &&
           !is_word(usage, "tree");
}

static void take_dictionary(struct ado_fields *fields, const struct json *list)
{
    size_t n_catalog = fields->n;
    for (size_t i = 0; i < n_catalog; i++) {
        fields->items[i].asked = false;
    }
    bool with_rest = has_rest(fields->task);
    for (size_t i = 0; i < json_size(list); i++) {
        const struct json *field = json_at(list, i);
        const char *name = json_find_string(field, "referenceName");
        int known = name != NULL ? find(fields, name) : -1;
        if (known >= 0) {
            fields->items[known].asked = true;
        } else if (name != NULL && with_rest && is_reportable(field) &&
                   strcmp(name, REVISED_DATE) != 0) {
            add(fields, name, -1);
        }
    }
    /* Deletions show by it whatever the dictionary lists. */
    fields->items[find(fields, IS_DELETED)].asked = true;
}

bool ado_fields_load(struct ado_fields *fields, struct http_client *http, struct error *err)
{
    struct buf url CLEANUP(buf_release);
    buf_init(&url, ADO_URL_BYTES_MAX);
    buf_add_c(&url, "/_apis/wit/fields?" ADO_VERSION);
    struct error fault = ERROR_INIT;
    const struct json *list = NULL;
    struct json *root = ado_get_list(http, &url, NULL, &list, &fault);
    if (root == NULL) {
        if (fault.http_status == 403 || fault.http_status == 404) {
            log_debug("the field dictionary cannot be read, asking for the catalog's fields only",
                      LOG_TEXT("because", fault.msg));
            return true;
        }
        *err = fault;
        return false;
    }
    if (json_size(list) > 0) {
        take_dictionary(fields, list);
        fields->has_dictionary = true;
    }
    json_free(root);
    return true;
}

void ado_fields_write(const struct ado_fields *fields, struct buf *out)
{
    size_t n = 0;
    buf_add_char(out, '[');
    for (size_t i = 0; i < fields->n; i++) {
        if (fields->items[i].asked) {
            buf_add_c(out, n++ > 0 ? "," : "");
            buf_add_json_string(out, str_from(fields->items[i].name));
        }
    }
    buf_add_char(out, ']');
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* As a word of its own: "System.Id" is not named by "System.IdList". */
static bool is_named(const char *message, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = strcasestr(message, name); at != NULL; at = strcasestr(at + 1, name)) {
        bool begins = at == message || (!is_name_byte(at[-1]) && at[-1] != '.');
        bool ends = !is_name_byte(at[len]) && (at[len] != '.' || !is_name_byte(at[len + 1]));
        if (begins && ends) {
            return true;
        }
    }
    return false;
}

bool ado_fields_refuse(struct ado_fields *fields, const char *message)
{
    bool found = false;
    for (size_t i = 0; i < fields->n; i++) {
        struct ado_field *field = &fields->items[i];
        if (field->asked && is_named(message, field->name)) {
            log_info("a field is refused and left out", LOG_TEXT("field", field->name),
                     LOG_TEXT("because", message));
            field->asked = false;
            found = true;
        }
    }
    if (found && ++fields->n_refused >= REFUSALS_MAX) {
        for (size_t i = 0; i < fields->n; i++) {
            fields->items[i].asked = fields->items[i].asked && fields->items[i].mapped >= 0;
        }
    }
    return found;
}

void ado_fields_profile(const struct task_def *task, const char *url, struct buf *out)
{
    struct buf text CLEANUP(buf_release);
    buf_init(&text, (size_t)64 * 1024);
    buf_addf(&text, "%s|identityref,deleted,notagref", url);
    for (size_t i = 0; i < task->n_fields; i++) {
        buf_addf(&text, "|%s:%d", task->fields[i].name, (int)task->fields[i].type);
    }
    struct hash128 hash = hash128_of(buf_str(&text));
    for (size_t i = 0; i < 8; i++) {
        buf_addf(out, "%02x", hash.bytes[i]);
    }
}
