#include "tests/sim/azure_devops/item_json.h"

#include <string.h>

#include "common/base/clock.h"
#include "tests/sim/store.h"

void azure_select_all(struct azure_selection *ret, bool long_texts)
{
    ret->all = true;
    for (int i = 0; i < AZURE_N_FIELDS; i++) {
        ret->chosen[i] = long_texts || !azure_fields[i].is_long;
    }
}

static bool select_one(struct azure_call *call, struct str name, struct azure_selection *ret)
{
    const struct fault *refused = azure_struck(call, FAULT_field_refused);
    int field = azure_find_field(str_trim(name));

    if (field < 0 ||
        (refused != NULL && fault_names(refused->field, str_from(azure_fields[field].reference)))) {
        azure_error(call, 400, "WorkItemTrackingFieldDefinitionNotFoundException",
                    "TF51535: Cannot find field %.*s.", STR_ARG(name));
        return false;
    }
    ret->chosen[field] = true;
    return true;
}

bool azure_select_text(struct azure_call *call, struct str list, struct azure_selection *ret)
{
    memset(ret, 0, sizeof(*ret));
    while (list.ptr != NULL) {
        if (!select_one(call, str_cut(&list, ','), ret)) {
            return false;
        }
    }
    return true;
}

bool azure_select_json(struct azure_call *call,
                       const struct json *array,
                       struct azure_selection *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < json_size(array); i++) {
        const char *name = json_string(json_at(array, i));

        if (name == NULL) {
            azure_bad_input(call, 400,
                            "Error converting value to type 'System.String'. Path 'fields[%zu]'.",
                            i);
            return false;
        }
        if (!select_one(call, str_from(name), ret)) {
            return false;
        }
    }
    return true;
}

/* What a bad_value fault puts in place of the value; false: it leaves the key out. */
static bool write_bad(const struct fault *fault, struct buf *out)
{
    static const struct {
        const char *mode, *json;
    } values[] = {
        {"null", "null"},
        {"number", "12.75"},
        {"not_integer", "\"twelve\""},
        {"not_date", "\"31/12/2025\""},
        {"decimal", "2.0"},
        {"fraction", "2.5"},
        {"bool", "true"},
        {"array", "[1,2]"},
        {"object", "{\"a\":1}"},
        {"nul", "\"a\\u0000b\""},
        {"lone_surrogate", "\"\\ud800\""},
        {"bad_utf8", "\"\xff\xfe\""},
        {"emoji", "\"\xF0\x9F\x98\x80\""},
        {"empty", "\"\""},
        {"huge", "123456789012345678901234567890"},
        {"never", "\"9999-01-01T00:00:00Z\""},
        {"zero", "\"0001-01-01T00:00:00Z\""},
        {"digits7", "\"2025-06-01T10:20:30.1234567Z\""},
        {"string_identity", "\"Jamal Hartnett <user000@fabrikam.example>\""},
        {"bare_identity", "\"Jamal Hartnett\""},
    };

    if (fault_mode_is(fault, "missing")) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        if (fault_mode_is(fault, values[i].mode)) {
            buf_add_c(out, values[i].json);
            return true;
        }
    }
    if (fault_mode_is(fault, "long")) {
        buf_add_char(out, '"');
        for (int i = 0; i < 10000; i++) {
            buf_add_c(out, "0123456789");
        }
        buf_add_char(out, '"');
        return true;
    }
    if (fault_mode_is(fault, "raw")) {
        buf_add_c(out, fault->value);
    } else {
        buf_add_json_string(out, str_from(fault->value));
    }
    return true;
}

static const struct fault *
bad_value_for(const struct azure_call *call, const struct azure_revision *r, const char *field)
{
    for (int i = 0; i < call->drawn.n; i++) {
        const struct fault *fault = &call->drawn.items[i];

        if (fault->kind == FAULT_bad_value && fault_names(fault->field, str_from(field)) &&
            store_mix((uint64_t)r->id * 31 + (uint64_t)r->rev, 5) %
                    (uint64_t)(fault->every > 0 ? fault->every : 1) ==
                0) {
            return fault;
        }
    }
    return NULL;
}

void azure_write_fields(struct azure_call *call,
                        const struct azure_revision *r,
                        const struct azure_selection *selection,
                        const struct azure_style *style,
                        struct buf *out)
{
    struct buf scratch CLEANUP(buf_release) = {0};
    const struct fault *all_null = azure_struck(call, FAULT_null_fields);
    bool bad = azure_struck(call, FAULT_bad_value) != NULL;
    bool first = true;

    buf_init(&scratch, 1 << 22);
    buf_add_c(out, "\"fields\":{");
    for (int i = 0; i < AZURE_N_FIELDS; i++) {
        struct azure_style mine = *style;

        if (!selection->chosen[i]) {
            continue;
        }
        buf_reset(&scratch);
        struct azure_value value = azure_get_value(&call->azure->items, r, i, &scratch);
        const struct fault *fault = bad ? bad_value_for(call, r, azure_fields[i].reference) : NULL;
        size_t before = out->len;

        mine.tag_refs = style->tag_refs && i == AZURE_TAGS;
        if (value.kind == AZURE_KIND_NONE && fault == NULL && all_null == NULL) {
            continue;
        }
        /* Ten times as quick as a format; this is where the time goes. */
        buf_add_c(out, first ? "\"" : ",\"");
        buf_add_c(out, azure_fields[i].reference);
        buf_add_c(out, "\":");
        if (fault != NULL && !write_bad(fault, out)) {
            buf_truncate(out, before);
            continue;
        }
        if (fault == NULL) {
            azure_write_value(&call->azure->items, &value, &mine, out);
        }
        first = false;
    }
    buf_add_char(out, '}');
}

bool azure_read_expand(struct azure_call *call, struct str text, enum azure_expand *ret)
{
    static const char *const names[] = {"none", "relations", "fields", "links", "all"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (str_equal_nocase(text, str_from(names[i]))) {
            *ret = (enum azure_expand)i;
            return true;
        }
    }
    azure_bad_input(call, 400, "The value '%.*s' is not valid for $expand.", STR_ARG(text));
    return false;
}

struct relations {
    struct azure_call *call;
    const struct azure_revision *revision;
    bool any;
};

static void add_relation(void *context, const struct azure_link *link)
{
    struct relations *relations = context;
    struct buf *out = &relations->call->reply->body;
    int64_t id = relations->revision->id;
    bool forward = link->source == id;

    if (!link->active || (link->source != id && link->target != id)) {
        return;
    }
    bool tree = strstr(link->rel, "Hierarchy") != NULL;
    bool related = strstr(link->rel, "Related") != NULL;

    buf_addf(out,
             "%s{\"rel\":\"%s%s\",\"url\":\"%s/_apis/wit/workItems/"
             "%lld\",\"attributes\":{\"isLocked\":false,\"name\":\"%s\"}}",
             relations->any ? "," : "", link->rel,
             related   ? ""
             : forward ? "-Forward"
                       : "-Reverse",
             relations->call->azure->world.origin,
             (long long)(forward ? link->target : link->source),
             tree      ? (forward ? "Child" : "Parent")
             : related ? "Related"
                       : (forward ? "Successor" : "Predecessor"));
    relations->any = true;
}

static void write_relations(struct azure_call *call, const struct azure_revision *r)
{
    struct relations relations = {call, r, false};
    struct azure_links unit = call->azure->links;
    struct buf *out = &call->reply->body;
    size_t before = out->len;

    buf_add_c(out, ",\"relations\":[");
    /* Computed links stay within their 16 items. */
    for (int64_t n = (r->id - 1) / AZURE_UNIT * AZURE_UNIT;
         n < unit.n_base && n / AZURE_UNIT == (r->id - 1) / AZURE_UNIT; n++) {
        struct azure_link link;

        azure_link_at(&unit, n, &link);
        if (n % AZURE_UNIT != 5 && !azure_link_is_held(&unit, &link)) {
            add_relation(&relations, &link);
        }
    }
    unit.n_base = 0;
    azure_links_each(&unit, add_relation, &relations);
    buf_add_char(out, ']');
    if (!relations.any) {
        buf_truncate(out, before);
    }
}

static void write_links(struct azure_call *call, const struct azure_revision *r, const char *url)
{
    struct buf *out = &call->reply->body;
    const char *origin = call->azure->world.origin;

    buf_addf(out,
             ",\"_links\":{\"self\":{\"href\":\"%s\"},\"workItemUpdates\":{\"href\":\"%s/"
             "updates\"},\"workItemRevisions\":{\"href\":\"%s/revisions\"},"
             "\"workItemComments\":{\"href\":\"%s/comments\"},\"html\":{\"href\":\"%s/%s/"
             "_workitems/edit/%lld\"},\"workItemType\":{\"href\":\"%s/%s/_apis/wit/workItemTypes/",
             url, url, url, url, origin, call->azure->world.projects[r->project].id,
             (long long)r->id, origin, call->azure->world.projects[r->project].id);
    buf_add_percent(out, str_from(r->type), "");
    buf_addf(out, "\"},\"fields\":{\"href\":\"%s/%s/_apis/wit/fields\"}}", origin,
             call->azure->world.projects[r->project].id);
}

void azure_write_item(struct azure_call *call,
                      const struct azure_revision *r,
                      const struct azure_selection *selection,
                      enum azure_expand expand,
                      bool as_revision)
{
    const struct fault *digits = azure_struck(call, FAULT_date_digits);
    struct azure_style style = {.identities = AZURE_IDENTITY_REF,
                                .date_digits = digits != NULL ? (int)digits->rate : 0};
    struct buf *out = &call->reply->body;
    struct buf url CLEANUP(buf_release) = {0};

    buf_init(&url, 4096);
    buf_addf(&url, "%s/%s/_apis/wit/workItems/%lld", call->azure->world.origin,
             call->azure->world.projects[r->project].id, (long long)r->id);
    if (as_revision) {
        buf_addf(&url, "/revisions/%d", r->rev);
    }
    buf_addf(out, "{\"id\":%lld,\"rev\":%d,", (long long)r->id, r->rev);
    azure_write_fields(call, r, selection, &style, out);
    if (expand == AZURE_EXPAND_ALL || expand == AZURE_EXPAND_RELATIONS) {
        if (!as_revision) {
            buf_add_c(out, ",\"multilineFieldsFormat\":{}");
            write_relations(call, r);
        }
    }
    if (expand == AZURE_EXPAND_ALL || expand == AZURE_EXPAND_LINKS) {
        write_links(call, r, url.ptr);
    }
    buf_addf(out, ",\"url\":\"%s\"}", url.ptr);
}

struct json *azure_body(struct azure_call *call)
{
    struct error err = ERROR_INIT;
    struct json *body = json_parse(call->request->body, &err);

    if (body == NULL || json_kind(body) != JSON_KIND_OBJECT) {
        json_free(body);
        azure_bad_input(
            call, 400,
            "Unexpected character encountered while parsing value. Path '', line 1, position 1.");
        return NULL;
    }
    return body;
}
