#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"

/*
 * YAML documents as a tree with line numbers: configuration and catalog files. The one wrapper of
 * libyaml. Bounded: 256 KiB a file, 64 levels; aliases, anchors, tags and several documents are
 * refused. Duplicate keys are kept so that the reader can report both lines.
 */

#define YAML_FILE_MAX_BYTES (256UL * 1024)

enum yaml_kind { YAML_KIND_SCALAR, YAML_KIND_SEQUENCE, YAML_KIND_MAPPING };

struct yaml_node {
    enum yaml_kind kind;
    int line;                       /* 1-based */
    const char *scalar;             /* SCALAR; "" for an empty one */
    bool quoted;                    /* SCALAR written in quotes: always text */
    size_t n_items;                 /* SEQUENCE: items; MAPPING: pairs */
    const struct yaml_node **keys;  /* MAPPING: scalar nodes */
    const struct yaml_node **items; /* SEQUENCE items or MAPPING values */
};

/* Parses `text`; nodes live in `arena`. An empty document gives an empty mapping. NULL and
 * ERROR_CONFIG "NAME:LINE: what" on failure. */
const struct yaml_node *
yaml_parse(struct str text, const char *name, struct arena *arena, struct error *err);

/* Reads and parses a file. */
const struct yaml_node *yaml_read(const char *path, struct arena *arena, struct error *err);

/* The first value under `key`, NULL if none or not a mapping. */
const struct yaml_node *yaml_find(const struct yaml_node *mapping, const char *key);
