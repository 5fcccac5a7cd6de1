#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A borrowed, read-only view of bytes. Never NUL-dependent; `ptr` may be NULL only when len is 0.
 * This module only looks at bytes: building text is the job of buf.h.
 */

struct str {
    const char *ptr;
    size_t len;
};

#define STR_LITERAL(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NONE             ((struct str){NULL, 0})
#define STR_ARG(view)        (int)(view).len, (view).ptr /* for "%.*s" */

struct str str_from(const char *text); /* NULL gives STR_NONE */
bool str_equal(struct str a, struct str b);
bool str_equal_c(struct str a, const char *text);
bool str_equal_nocase(struct str a, struct str b); /* ASCII */
int str_compare(struct str a, struct str b);       /* bytewise, like memcmp then length */
int str_compare_nocase(struct str a, struct str b);
bool str_starts_with(struct str text, struct str prefix);
bool str_starts_with_nocase(struct str text, struct str prefix);
bool str_ends_with(struct str text, struct str suffix);
bool str_contains_nocase(struct str text, struct str needle);
struct str str_trim(struct str text); /* ASCII white space, both ends */

/* Cuts at the first `separator`: returns what stands before it and moves *rest behind it; with no
 * separator left returns everything and leaves *rest empty with ptr NULL. */
struct str str_cut(struct str *rest, char separator);

/* Whole view is a decimal number in [min, max], optional sign; no white space. */
bool str_to_int64(struct str text, int64_t min, int64_t max, int64_t *ret_value);

/* Strict UTF-8 (RFC 3629). */
bool str_is_utf8(struct str text);

/* Bytes of the valid UTF-8 character at the front of a non-empty view, 0 if it is not one. */
size_t str_utf8_step(struct str text);

/* The longest prefix of at most max_bytes that does not cut a UTF-8 character in two. */
struct str str_shorten(struct str text, size_t max_bytes);

/* The candidate nearest to `word` by edit distance, or NULL if none is near: for "did you mean". */
const char *str_nearest(const char *word, const char *const *candidates, size_t n_candidates);
