#include "worker/sources/azure_devops/page.h"

#include <string.h>

#include "common/base/alloc.h"
#include "worker/sources/json_cell.h"

/* A page on its way. */
struct reading {
    struct ado_reader *reader;
    ado_on_record on_record;
    void *arg;
    struct ado_page page;
    bool has_list;
    bool wrong; /* err comes from on_record, not from the syntax */
};

/* Behind the name of the list. */
static bool read_list(struct reading *reading, struct json_pull *pull, struct error *err)
{
    if (reading->has_list || json_pull_next(pull, err) != JSON_ARRAY_BEGIN) {
        return error_is_set(err) ? false : error_set(err, ERROR_DATA, "not one list of records");
    }
    reading->has_list = true;
    for (;;) {
        enum json_token token = json_pull_next(pull, err);
        struct ado_record record;
        if (token == JSON_ARRAY_END) {
            return true;
        }
        if (token == JSON_NULL) {
            continue;
        }
        if (token != JSON_OBJECT_BEGIN) {
            return error_is_set(err) ? false : error_set(err, ERROR_DATA, "a record is no object");
        }
        if (!ado_reader_read(reading->reader, pull, &record, err)) {
            return false;
        }
        reading->page.records++;
        if (!reading->on_record(reading->arg, &record, err)) {
            reading->wrong = true;
            return false;
        }
    }
}

static bool copy_text(struct json_pull *pull, char out[ADO_TOKEN_BYTES_MAX], struct error *err)
{
    struct cell cell;
    if (!json_cell_read(pull, &cell, err)) {
        return false;
    }
    if (cell.text.len >= ADO_TOKEN_BYTES_MAX || cell.has_nul || cell.kind == CELL_JSON) {
        return error_set(err, ERROR_DATA, "an unusable continuation token of %zu bytes",
                         cell.text.len);
    }
    memcpy(out, cell.text.len > 0 ? cell.text.ptr : "", cell.text.len);
    out[cell.text.len] = '\0';
    return true;
}

/* Only a page without continuationToken needs its link, so nothing in it breaks a page. */
static bool view_link(struct json_pull *pull, struct str *out, struct error *err)
{
    struct cell cell;
    if (!json_cell_read(pull, &cell, err)) {
        return false;
    }
    *out = cell.kind == CELL_TEXT && !cell.has_nul ? cell.text : STR_NONE;
    return true;
}

static bool read_page_member(struct reading *reading, struct json_pull *pull, struct error *err)
{
    struct str name = pull->text;
    struct str ignored;
    if (str_equal_c(name, "values") || str_equal_c(name, "value")) {
        return read_list(reading, pull, err);
    }
    if (str_equal_c(name, "continuationToken")) {
        return copy_text(pull, reading->page.token, err);
    }
    if (str_equal_c(name, "nextLink")) {
        return view_link(pull, &reading->page.next_link, err);
    }
    if (!str_equal_c(name, "isLastBatch")) {
        return json_pull_skip(pull, &ignored, err);
    }
    enum json_token token = json_pull_next(pull, err);
    reading->page.has_last = token == JSON_TRUE || token == JSON_FALSE;
    reading->page.is_last = token == JSON_TRUE;
    return reading->page.has_last ||
           (!error_is_set(err) && error_set(err, ERROR_DATA, "\"isLastBatch\" is no boolean"));
}

static bool read_envelope(struct reading *reading, struct json_pull *pull, struct error *err)
{
    if (json_pull_next(pull, err) != JSON_OBJECT_BEGIN) {
        return error_is_set(err) ? false : error_set(err, ERROR_DATA, "not a JSON object");
    }
    for (;;) {
        enum json_token token = json_pull_next(pull, err);
        if (token == JSON_OBJECT_END) {
            break;
        }
        if (token != JSON_NAME || !read_page_member(reading, pull, err)) {
            return false;
        }
    }
    return json_pull_next(pull, err) == JSON_END &&
           (reading->has_list || error_set(err, ERROR_DATA, "no list of records"));
}

static bool broken(struct error *err)
{
    if (err->code != ERROR_LIMIT) {
        err->code = ERROR_TRANSIENT;
    }
    return error_wrap(err, "broken answer");
}

/* NOLINTNEXTLINE(readability-function-size): a callback and its argument count as two */
bool ado_page_read(struct ado_reader *reader,
                   char *document,
                   size_t len,
                   ado_on_record on_record,
                   void *arg,
                   struct ado_page *ret_page,
                   struct error *err)
{
    struct reading reading = {.reader = reader, .on_record = on_record, .arg = arg};
    struct json_pull pull;
    json_pull_init(&pull, document, len);
    if (!read_envelope(&reading, &pull, err)) {
        return reading.wrong ? false : broken(err);
    }
    *ret_page = reading.page;
    return true;
}

/* Does the document's outermost object have this member? Read on a copy, since reading moves the
 * bytes of strings. */
static bool find_resource(const char *document, size_t len, struct str *ret_raw, struct error *err)
{
    char *copy CLEANUP(xfreep) = xstrndup(document, len);
    struct json_pull pull;
    *ret_raw = STR_NONE;
    json_pull_init(&pull, copy, len);
    if (json_pull_next(&pull, err) != JSON_OBJECT_BEGIN) {
        return error_is_set(err) ? false : error_set(err, ERROR_DATA, "not a JSON object");
    }
    enum json_token token;
    while ((token = json_pull_next(&pull, err)) == JSON_NAME) {
        bool is_resource = str_equal_c(pull.text, "resource");
        struct str raw;
        if (!json_pull_skip(&pull, &raw, err)) {
            return false;
        }
        if (is_resource && raw.ptr[0] == '{') {
            *ret_raw = (struct str){document + (raw.ptr - copy), raw.len};
        }
    }
    return token == JSON_OBJECT_END && json_pull_next(&pull, err) == JSON_END;
}

/* Is the outermost object a work item? */
static bool has_fields(const char *document, size_t len)
{
    char *copy CLEANUP(xfreep) = xstrndup(document, len);
    struct json_pull pull;
    struct error ignored = ERROR_INIT; /* it has been read before */
    struct str raw;
    json_pull_init(&pull, copy, len);
    (void)json_pull_next(&pull, &ignored);
    while (json_pull_next(&pull, &ignored) == JSON_NAME) {
        if (str_equal_c(pull.text, "fields")) {
            return true;
        }
        if (!json_pull_skip(&pull, &raw, &ignored)) {
            return false;
        }
    }
    return false;
}

/* NOLINTNEXTLINE(readability-function-size): a callback and its argument count as two */
bool ado_page_read_one(struct ado_reader *reader,
                       char *document,
                       size_t len,
                       ado_on_record on_record,
                       void *arg,
                       bool *ret_found,
                       struct error *err)
{
    struct str resource;
    struct json_pull pull;
    struct ado_record record;
    if (!find_resource(document, len, &resource, err)) {
        return broken(err);
    }
    size_t at = resource.len > 0 ? (size_t)(resource.ptr - document) : 0;
    size_t n = resource.len > 0 ? resource.len : len;
    *ret_found = has_fields(document + at, n);
    if (!*ret_found) {
        return true;
    }
    json_pull_init(&pull, document + at, n);
    if (json_pull_next(&pull, err) != JSON_OBJECT_BEGIN ||
        !ado_reader_read(reader, &pull, &record, err)) {
        return broken(err);
    }
    return on_record(arg, &record, err);
}

/* One element of a list of ids. */
struct id_element {
    int64_t id;   /* 0 = none that is usable */
    int64_t code; /* 200 if it says none */
};

static bool read_number(struct json_pull *pull, int64_t max, int64_t *ret_number, struct error *err)
{
    struct cell cell;
    *ret_number = 0;
    if (!json_cell_read(pull, &cell, err)) {
        return false;
    }
    if (!str_to_int64(cell.text, 1, max, ret_number)) {
        *ret_number = 0;
    }
    return true;
}

/* Behind JSON_OBJECT_BEGIN. */
static bool
read_id_element(struct json_pull *pull, struct id_element *ret_element, struct error *err)
{
    *ret_element = (struct id_element){.code = 200};
    for (;;) {
        enum json_token token = json_pull_next(pull, err);
        struct str ignored;
        if (token == JSON_OBJECT_END) {
            return true;
        }
        if (token != JSON_NAME) {
            return false;
        }
        bool good =
            str_equal_c(pull->text, "id")     ? read_number(pull, ADO_ID_MAX, &ret_element->id, err)
            : str_equal_c(pull->text, "code") ? read_number(pull, 999, &ret_element->code, err)
                                              : json_pull_skip(pull, &ignored, err);
        if (!good) {
            return false;
        }
    }
}

struct id_reading {
    bool (*on_id)(void *arg, int64_t id, struct error *err);
    void *arg;
    bool may_lack; /* elements that stand for nothing are skipped */
    bool has_list;
    bool wrong;
};

/* Behind JSON_ARRAY_BEGIN. */
static bool read_ids(struct id_reading *reading, struct json_pull *pull, struct error *err)
{
    reading->has_list = true;
    for (;;) {
        enum json_token token = json_pull_next(pull, err);
        struct id_element element;
        if (token == JSON_ARRAY_END) {
            return true;
        }
        if (token == JSON_NULL && reading->may_lack) {
            continue;
        }
        if (token != JSON_OBJECT_BEGIN) {
            return error_is_set(err) ? false
                                     : error_set(err, ERROR_DATA, "an element is no object");
        }
        if (!read_id_element(pull, &element, err)) {
            return false;
        }
        if (reading->may_lack && element.code != 200) {
            continue;
        }
        if (element.id == 0) {
            return error_set(err, ERROR_DATA, "an element without a usable id");
        }
        if (!reading->on_id(reading->arg, element.id, err)) {
            reading->wrong = true;
            return false;
        }
    }
}

static bool read_id_envelope(struct id_reading *reading, struct json_pull *pull, struct error *err)
{
    enum json_token token = json_pull_next(pull, err);
    if (token == JSON_ARRAY_BEGIN) {
        return read_ids(reading, pull, err) && json_pull_next(pull, err) == JSON_END;
    }
    if (token != JSON_OBJECT_BEGIN) {
        return false;
    }
    while ((token = json_pull_next(pull, err)) == JSON_NAME) {
        bool is_list = str_equal_c(pull->text, "value") || str_equal_c(pull->text, "workItems");
        struct str ignored;
        if (!is_list) {
            if (!json_pull_skip(pull, &ignored, err)) {
                return false;
            }
        } else if (reading->has_list || json_pull_next(pull, err) != JSON_ARRAY_BEGIN ||
                   !read_ids(reading, pull, err)) {
            return false;
        }
    }
    return token == JSON_OBJECT_END && json_pull_next(pull, err) == JSON_END;
}

static bool read_whole(struct id_reading *reading, char *document, size_t len, struct error *err)
{
    struct json_pull pull;
    json_pull_init(&pull, document, len);
    if (read_id_envelope(reading, &pull, err) && reading->has_list) {
        return true;
    }
    if (reading->wrong) {
        return false;
    }
    if (!error_is_set(err)) {
        (void)error_set(err, ERROR_DATA, "no list of ids");
    }
    return broken(err);
}

bool ado_page_read_ids(char *document,
                       size_t len,
                       bool (*on_id)(void *arg, int64_t id, struct error *err),
                       void *arg,
                       struct error *err)
{
    struct id_reading reading = {.on_id = on_id, .arg = arg};
    return read_whole(&reading, document, len, err);
}

bool ado_page_read_found(char *document,
                         size_t len,
                         bool (*on_id)(void *arg, int64_t id, struct error *err),
                         void *arg,
                         struct error *err)
{
    struct id_reading reading = {.on_id = on_id, .arg = arg, .may_lack = true};
    return read_whole(&reading, document, len, err);
}
