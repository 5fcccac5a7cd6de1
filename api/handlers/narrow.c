#include "api/handlers/narrow.h"

#include <assert.h>

#include "common/base/str.h"

#define TEXT_MAX ((size_t)64 * 1024)

static char cut_byte(struct str *text)
{
    char byte = text->ptr[0];
    *text = (struct str){text->ptr + 1, text->len - 1};
    return byte;
}

/* The digits at the beginning of `text`, cut off; 0 = none. */
static size_t cut_number(struct str *text)
{
    size_t number = 0;
    while (text->len > 0 && text->ptr[0] >= '0' && text->ptr[0] <= '9') {
        number = number * 10 + (size_t)(cut_byte(text) - '0');
    }
    return number;
}

/* The place that parameter `number` has in what is left. */
static size_t place_of(struct narrowed *narrowed,
                       const char *const *params,
                       size_t places[NARROW_PARAMS_MAX],
                       size_t number)
{
    size_t *place = &places[number - 1];
    if (*place == 0) {
        narrowed->params[narrowed->n_params++] = params[number - 1];
        *place = narrowed->n_params;
    }
    return *place;
}

static void add_line(struct narrowed *narrowed,
                     struct str line,
                     const char *const *params,
                     size_t n_params,
                     size_t places[NARROW_PARAMS_MAX])
{
    struct buf *text = &narrowed->text;
    while (line.len > 0) {
        char byte = cut_byte(&line);
        size_t number = byte == '$' ? cut_number(&line) : 0;
        assert(number <= n_params);
        if (number == 0) {
            buf_add_char(text, byte);
        } else if (number == n_params) {
            buf_add_c(text, params[number - 1]);
        } else {
            buf_addf(text, "$%zu", place_of(narrowed, params, places, number));
        }
    }
    buf_add_char(text, '\n');
}

void narrow(const char *sql,
            const char *const *params,
            size_t n_params,
            struct narrowed *ret_narrowed)
{
    assert(n_params > 0 && n_params <= NARROW_PARAMS_MAX);
    size_t places[NARROW_PARAMS_MAX] = {0};
    *ret_narrowed = (struct narrowed){.n_params = 0};
    buf_init(&ret_narrowed->text, TEXT_MAX);
    for (size_t i = 0; i < n_params; i++) {
        ret_narrowed->given |= params[i] != NULL ? UINT32_C(1) << i : 0;
    }
    struct str rest = str_from(sql);
    while (rest.ptr != NULL) {
        struct str line = str_trim(str_cut(&rest, '\n'));
        if (str_starts_with(line, STR_LITERAL("--$"))) {
            line = (struct str){line.ptr + 3, line.len - 3};
            size_t number = cut_number(&line);
            assert(number > 0 && number <= n_params);
            line = params[number - 1] != NULL ? str_trim(line) : STR_NONE;
        } else if (str_starts_with(line, STR_LITERAL("--"))) {
            line = STR_NONE;
        }
        if (line.len > 0) {
            add_line(ret_narrowed, line, params, n_params, places);
        }
    }
    assert(!ret_narrowed->text.overflow); /* statements are the program's own */
}

void narrowed_release(struct narrowed *narrowed)
{
    buf_release(&narrowed->text);
}
