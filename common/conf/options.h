#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/io/yaml.h"

/*
 * Option tables: each struct of the configuration is described once (name, type, place, default,
 * range, help), and the table drives parsing, checking, defaults and documentation. Reading never
 * stops at a fault: each is noted as "file:line: what is wrong, what to write instead" and the
 * rest is read on.
 *
 * Knows no option by name; the tables are in config_tables.c and catalog.c.
 */

enum option_type {
    OPTION_STRING,   /* const char * */
    OPTION_WORD,     /* const char *, one of `choices` */
    OPTION_URL,      /* const char *: http or https, no user, query or trailing slash */
    OPTION_DATABASE, /* const char *: libpq URI or conninfo; never repeated */
    OPTION_LISTEN,   /* const char *: HOST:PORT or [ADDRESS]:PORT */
    OPTION_PATH,     /* const char *: relative ones start at the file's folder */
    OPTION_SECRET,   /* const char *: a reference, see secret.h; a literal is never repeated */
    OPTION_INTEGER,  /* int64_t */
    OPTION_FLOAT,    /* double */
    OPTION_DURATION, /* int64_t, microseconds */
    OPTION_SIZE,     /* int64_t, bytes */
    OPTION_BOOLEAN,  /* bool */
    OPTION_ENUM,     /* an enum, by `choices` */
    OPTION_LIST,     /* const char *const *, the count at count_offset */
    OPTION_STRUCT,   /* by `table`, at offset */
    OPTION_MAP,      /* array of structs by `table`, the count at count_offset */
    OPTION_CUSTOM,   /* by `read` */
};

struct option_choice {
    const char *name;
    int value;
};

/* What is being read. Strings and arrays are allocated in `arena`, whose cap is a programming
 * matter: files are bounded, so running out of it is a bug. */
struct option_reader {
    struct arena *arena;
    struct buf *faults; /* one line each */
    size_t n_faults;
    const char *file;   /* as it is shown */
    const char *folder; /* where relative paths start */
};

struct option_table;

/* Reads `node`, found at `where` ("sources.snow.tasks.incident.fields"), into `object`: the struct
 * the option belongs to. */
typedef void option_read_fn(struct option_reader *reader,
                            const struct yaml_node *node,
                            const char *where,
                            void *object);

struct option {
    const char *name;
    enum option_type type;
    enum option_type item; /* LIST: STRING, WORD or PATH */
    bool required;
    bool may_be_empty; /* STRING, LISTEN: "" is a value */
    size_t offset;
    size_t count_offset;       /* LIST, MAP */
    size_t present_offset;     /* STRUCT: a bool that tells whether the key is there; 0 = none */
    const char *fallback;      /* the default as one would write it; NULL = none */
    const char *fallback_help; /* what happens without a value, where that is not a value */
    int64_t min;               /* INTEGER; DURATION in microseconds; SIZE in bytes */
    int64_t max;
    double float_min;
    double float_max;
    const char *unit;
    const char *help;
    const struct option_choice *choices; /* ENUM, WORD, LIST of WORD */
    size_t n_choices;
    const struct option_table *table; /* STRUCT, MAP */
    option_read_fn *read;             /* CUSTOM */
    const char *form;                 /* CUSTOM, STRING: what to write, for the documentation */
};

struct option_table {
    const struct option *options;
    size_t n_options;
    size_t struct_size;                      /* MAP */
    size_t name_offset;                      /* MAP: const char *, the key */
    size_t line_offset;                      /* MAP: int, 0 = none */
    const char *key_word;                    /* MAP: what stands for the key in the documentation */
    bool (*name_is_valid)(const char *name); /* MAP */
    const char *name_rule;                   /* MAP: what a valid name is */
    option_read_fn *check;                   /* after all options; NULL = nothing to check */
};

/* Notes a fault; line 0 leaves file and line out. */
void options_fault(struct option_reader *reader, int line, const char *format, ...)
    PRINTF_FORMAT(3, 4);

/* `; did you mean "x"?` or "" in the arena. */
const char *options_hint(struct option_reader *reader,
                         const char *word,
                         const char *const *candidates,
                         size_t n_candidates);

/* Text of a file made fit to be shown: cut, without control characters. In the arena. */
const char *options_shown(struct option_reader *reader, const char *text);

/* Never NULL: see struct option_reader. Zeroed. */
void *options_alloc(struct option_reader *reader, size_t size);
char *options_copy(struct option_reader *reader, const char *text, size_t len);

/* "sources" and "snow" give "sources.snow". In the arena. */
const char *options_join(struct option_reader *reader, const char *where, const char *key);

/* Marks the pairs of a mapping whose key occurred before, and notes them. */
const bool *
options_repeated(struct option_reader *reader, const struct yaml_node *mapping, const char *where);

/* The node as a mapping: an empty value is an empty mapping, anything else a fault and NULL. */
const struct yaml_node *
options_mapping(struct option_reader *reader, const struct yaml_node *node, const char *where);

/* Sets every member with a default, nested structs included. */
void options_defaults(struct option_reader *reader, const struct option_table *table, void *object);

/* Reads a mapping into `object`; members whose key is absent stay as they are. */
void options_read(struct option_reader *reader,
                  const struct option_table *table,
                  const struct yaml_node *node,
                  const char *where,
                  void *object);

/* One value given as text from elsewhere (an environment variable, named by `where`). */
void options_set_text(struct option_reader *reader,
                      const struct option *option,
                      const char *where,
                      const char *text,
                      void *object);

/* Reads a list of strings. NULL after a fault. */
const char *const *options_read_list(struct option_reader *reader,
                                     const struct option *option,
                                     const struct yaml_node *node,
                                     const char *where,
                                     size_t *ret_n);

/* The tables as Markdown: one section a struct, one row an option. */
void options_describe(const struct option_table *table, const char *title, struct buf *out);
