#include <string.h>

#include "tests/sim/glpi/search.h"

const struct search_option search_options[] = {
#define SECTION(key, label) {0, key, label, "", "", "", false, false, "", ""},
#define OPTION(id, label, table, field, datatype, nosearch, nodisplay, types, uid)                 \
    {id, NULL, label, table, field, datatype, nosearch, nodisplay, types, uid},
#include "tests/sim/glpi/search_options.def"
#undef SECTION
#undef OPTION
};

const size_t n_search_options = ARRAY_SIZE(search_options);

const struct search_option *search_option(int64_t id)
{
    for (size_t i = 0; i < n_search_options; i++) {
        if (search_options[i].section == NULL && search_options[i].id == id) {
            return &search_options[i];
        }
    }
    return NULL;
}

static void write_types(const char *types, struct buf *out)
{
    static const struct {
        char letter;
        const char *json;
    } names[] = {{'c', "\"contains\",\"notcontains\""},
                 {'e', "\"equals\""},
                 {'E', "\"equals\",\"notequals\""},
                 {'l', "\"lessthan\",\"morethan\""},
                 {'u', "\"under\",\"notunder\""}};

    for (size_t t = 0; types[t] != '\0'; t++) {
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
            if (names[i].letter == types[t]) {
                buf_add_c(out, t > 0 ? "," : "");
                buf_add_c(out, names[i].json);
            }
        }
    }
}

void glpi_search_options_answer(struct call *call)
{
    struct buf *out = &call->reply->body;

    if (!str_equal_c(call->rest, "Ticket")) {
        respond_glpi_refusal(call, "ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM",
                             "resource not found or not an instance of CommonDBTM");
        return;
    }
    for (size_t i = 0; i < n_search_options; i++) {
        const struct search_option *option = &search_options[i];

        buf_add_char(out, i == 0 ? '{' : ',');
        if (option->section != NULL) {
            buf_addf(out, "\"%s\":{\"name\":\"%s\"}", option->section, option->label);
            continue;
        }
        buf_addf(out, "\"%lld\":{\"name\":\"%s\",\"table\":\"%s\",\"field\":\"%s\",",
                 (long long)option->id, option->label, option->table, option->field);
        buf_addf(out, "\"datatype\":\"%s\",\"nosearch\":%s,\"nodisplay\":%s,", option->datatype,
                 option->nosearch ? "true" : "false", option->nodisplay ? "true" : "false");
        buf_add_c(out, "\"available_searchtypes\":[");
        write_types(option->types, out);
        buf_addf(out, "],\"uid\":\"%s\"}", option->uid);
    }
    buf_add_char(out, '}');
    respond_glpi_json(call, 200);
}
