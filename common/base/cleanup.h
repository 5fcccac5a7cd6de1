#pragma once

/*
 * Ownership in the language: scope-bound release, hand-over, and the attributes that let the
 * compiler check what the comments promise. Nothing here allocates or logs.
 *
 * Rules: declare and assign in one statement; release order is LIFO; no goto anywhere.
 */

#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Marks a fallible function: its result must be looked at. */
#define NODISCARD __attribute__((warn_unused_result))

#define PRINTF_FORMAT(fmt_index, args_index) __attribute__((format(printf, fmt_index, args_index)))

/* On constructors: gcc's analyzer then sees leaks and mismatched frees of our own types. */
#if defined(__GNUC__) && !defined(__clang__)
#define OWNED_BY(free_fn) __attribute__((malloc(free_fn, 1)))
#else
#define OWNED_BY(free_fn)
#endif

/* Moves a pointer out of its owner, which is left NULL. */
#define TAKE(pointer)                                                                              \
    ({                                                                                             \
        __typeof__(pointer) *take_from_ = &(pointer);                                              \
        __typeof__(pointer) taken_ = *take_from_;                                                  \
        *take_from_ = NULL;                                                                        \
        taken_;                                                                                    \
    })

/* Defines `NAMEp(T *)` for use with CLEANUP on a pointer variable: DEFINE_CLEANUP(struct db *,
 * db_close) makes db_closep. `fn` must accept NULL. */
#define DEFINE_CLEANUP(type, fn)                                                                   \
    static inline void fn##p(type *pointer) /* NOLINT(bugprone-macro-parentheses) */               \
    {                                                                                              \
        fn(*pointer);                                                                              \
    }                                                                                              \
    struct fn##p_needs_a_semicolon

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
