#include "worker/sources/glpi/filter.h"

#include <string.h>

#include "worker/transform/cell.h"

static bool is_column_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) {
            return false;
        }
    }
    return name.len > 0;
}

static bool has_control(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

static int find_column(const struct task_def *task, struct str name)
{
    for (size_t i = 0; i < task->n_columns; i++) {
        if (str_equal_c(name, task->fields[task->columns[i].field].name)) {
            return (int)i;
        }
    }
    return -1;
}

static bool is_special(struct str text)
{
    return memchr(text.ptr, '%', text.len) != NULL || memchr(text.ptr, '^', text.len) != NULL ||
           memchr(text.ptr, '$', text.len) != NULL;
}

static bool parse_condition(const struct task_def *task,
                            struct str term,
                            struct glpi_condition *condition,
                            struct error *err)
{
    struct str rest = term;
    struct str column = str_cut(&rest, '=');
    if (!is_column_name(column) || rest.len == 0 || has_control(rest)) {
        return error_set(err, ERROR_CONFIG,
                         "filter \"%s\": \"%.*s\" is no condition; write column=pattern, joined by "
                         "& (itemtype=^Ticket$)",
                         task->filter, STR_ARG(str_shorten(term, 80)));
    }
    *condition = (struct glpi_condition){
        .column = column, .pattern = rest, .cell = find_column(task, column)};
    struct str inner = {rest.ptr + 1, rest.len > 2 ? rest.len - 2 : 0};
    if (rest.len > 2 && rest.ptr[0] == '^' && rest.ptr[rest.len - 1] == '$' && !is_special(inner)) {
        condition->is_exact = true;
        condition->text = inner;
    }
    return true;
}

bool glpi_filter_parse(const struct task_def *task,
                       struct glpi_filter *ret_filter,
                       struct error *err)
{
    struct glpi_filter filter = {0};
    struct str rest = str_from(task->filter);
    while (rest.len > 0) {
        if (filter.n == GLPI_CONDITIONS_MAX) {
            return error_set(err, ERROR_CONFIG, "filter \"%s\": more than %d conditions",
                             task->filter, GLPI_CONDITIONS_MAX);
        }
        struct str term = str_cut(&rest, '&');
        if (!parse_condition(task, term, &filter.conditions[filter.n++], err)) {
            return false;
        }
    }
    *ret_filter = filter;
    return true;
}

void glpi_filter_add_one(struct str column, struct str pattern, struct buf *url)
{
    buf_add_c(url, "&searchText%5B");
    buf_add_percent(url, column, "");
    buf_add_c(url, "%5D=");
    buf_add_percent(url, pattern, "");
}

void glpi_filter_add(const struct glpi_filter *filter, struct buf *url)
{
    for (size_t i = 0; i < filter->n; i++) {
        glpi_filter_add_one(filter->conditions[i].column, filter->conditions[i].pattern, url);
    }
}

bool glpi_filter_holds(const struct glpi_filter *filter, const struct cell *cells)
{
    for (size_t i = 0; i < filter->n; i++) {
        const struct glpi_condition *condition = &filter->conditions[i];
        if (!condition->is_exact || condition->cell < 0) {
            continue;
        }
        /* MySQL compares without regard to case. */
        if (!str_equal_nocase(cells[condition->cell].text, condition->text)) {
            return false;
        }
    }
    return true;
}
