#include "worker/http/headers.h"

#include <string.h>

void headers_init(struct headers *headers)
{
    buf_init(&headers->text, HEADERS_LIMIT_BYTES);
}

void headers_release(struct headers *headers)
{
    buf_release(&headers->text);
}

void headers_reset(struct headers *headers)
{
    buf_reset(&headers->text);
}

bool headers_add_line(struct headers *headers, struct str line)
{
    if (line.len == 0 || memchr(line.ptr, '\0', line.len) != NULL ||
        memchr(line.ptr, ':', line.len) == NULL) {
        return true;
    }
    struct str value = line;
    struct str name = str_trim(str_cut(&value, ':'));

    value = str_trim(value);
    if (!buf_reserve(&headers->text, name.len + value.len + 2)) {
        return false;
    }
    buf_add_str(&headers->text, name);
    buf_add_char(&headers->text, '\0');
    buf_add_str(&headers->text, value);
    buf_add_char(&headers->text, '\0');
    return true;
}

struct str headers_find(const struct headers *headers, const char *name)
{
    struct str wanted = str_from(name);
    struct str found = STR_NONE;
    struct str rest = buf_str(&headers->text);

    while (rest.len > 0) {
        struct str field = str_cut(&rest, '\0');
        struct str value = str_cut(&rest, '\0');

        if (str_equal_nocase(field, wanted)) {
            found = value;
        }
    }
    return found;
}
