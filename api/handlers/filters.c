#include "api/handlers/filters.h"

#include <string.h>

#include "api/handlers/call.h"
#include "common/base/clock.h"

#define PERIOD_MAX_DAYS 36600

const char *const filter_priorities[] = {"1", "2", "3", "4", "5", "unknown", NULL};
const char *const filter_statuses[] = {"new",    "in_progress", "pending",  "resolved",
                                       "closed", "cancelled",   "unmapped", NULL};

static void add_element(struct buf *out, const char *text, bool lower)
{
    buf_add_char(out, '"');
    for (; *text != '\0'; text++) {
        char c = *text;
        if (c == '"' || c == '\\') {
            buf_add_char(out, '\\');
        }
        bool is_upper = lower && c >= 'A' && c <= 'Z';
        buf_add_char(out, is_upper ? (char)(c - 'A' + 'a') : c);
    }
    buf_add_char(out, '"');
}

static const char *array_of(struct call *call, const char *name, bool lower)
{
    size_t n_values = 0;
    const char *const *values = params_list(&call->params, name, &n_values);
    if (n_values == 0) {
        return NULL;
    }
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, 1024UL * 1024);
    buf_add_char(&text, '{');
    for (size_t i = 0; i < n_values; i++) {
        buf_add_c(&text, i == 0 ? "" : ",");
        add_element(&text, values[i], lower);
    }
    buf_add_char(&text, '}');
    const char *copy = arena_strndup(call->arena, text.ptr, text.len);
    /* The head of a request is far smaller than its arena. */
    return copy != NULL ? copy : "{}";
}

const char *filter_array(struct call *call, const char *name)
{
    return array_of(call, name, false);
}

const char *filter_array_lower(struct call *call, const char *name)
{
    return array_of(call, name, true);
}

static int64_t instant_of(struct call *call, const char *name, int64_t fallback_us)
{
    const char *text = params_text(&call->params, name);
    int64_t us = fallback_us;
    if (text != NULL) {
        (void)instant_parse_rfc3339(str_from(text), &us);
    }
    return us;
}

bool filter_order(struct call *call, const char *from_name, const char *to_name)
{
    if (instant_of(call, from_name, INT64_MIN) < instant_of(call, to_name, INT64_MAX)) {
        return true;
    }
    return problem_set_parameter(&call->problem, str_from(from_name), "invalid_parameter",
                                 "%s is not before %s: nothing can lie between them", from_name,
                                 to_name);
}

static bool parse_period(const char *text, int64_t *ret_us)
{
    size_t len = strlen(text);
    int64_t count = 0;
    if (len < 2 || !str_to_int64((struct str){text, len - 1}, 1, 100000, &count) ||
        text[0] == '+') {
        return false;
    }
    switch (text[len - 1]) {
    case 'h':
        *ret_us = count * US_PER_H;
        break;
    case 'd':
        *ret_us = count * US_PER_DAY;
        break;
    case 'w':
        *ret_us = count * 7 * US_PER_DAY;
        break;
    default:
        return false;
    }
    return *ret_us <= PERIOD_MAX_DAYS * US_PER_DAY;
}

bool filter_span(struct call *call,
                 const char *period_name,
                 int default_days,
                 struct span *ret_span)
{
    const char *period = params_text(&call->params, period_name);
    bool has_bounds =
        params_text(&call->params, "from") != NULL || params_text(&call->params, "to") != NULL;
    int64_t length_us = default_days * US_PER_DAY;
    if (period != NULL && has_bounds) {
        return problem_set_parameter(&call->problem, str_from(period_name), "conflicting_parameter",
                                     "give %s, or from and to", period_name);
    }
    if (period != NULL && !parse_period(period, &length_us)) {
        return problem_set_parameter(&call->problem, str_from(period_name), "invalid_parameter",
                                     "%s \"%.64s\" is not a span of time: write 12h, 7d or 4w, at "
                                     "most %d days",
                                     period_name, period, PERIOD_MAX_DAYS);
    }
    int64_t to_us = instant_of(call, "to", clock_wall_us());
    int64_t from_us = instant_of(call, "from", to_us - length_us);
    if (from_us >= to_us) {
        return problem_set_parameter(&call->problem, STR_LITERAL("from"), "invalid_parameter",
                                     "from is not before to: nothing can lie between them");
    }
    (void)instant_format_rfc3339(from_us, ret_span->from);
    (void)instant_format_rfc3339(to_us, ret_span->to);
    return true;
}
