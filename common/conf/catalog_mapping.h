#pragma once

#include "common/conf/catalog.h"
#include "common/conf/options.h"

/*
 * The section `mappings` of catalog files: which value of a source is which value of the common
 * model. A later file overrides single entries.
 */

struct mapping_drafts {
    struct mapping_def *items; /* heap: catalog_release_mappings */
    size_t n;
};

/* Reads {status: {VALUE: WORD, ...}, priority: {VALUE: 1..5, ...}}. */
void catalog_read_mappings(struct option_reader *reader,
                           const char *source_type,
                           const struct yaml_node *node,
                           struct mapping_drafts *drafts);

void catalog_build_mappings(struct option_reader *reader,
                            const struct mapping_drafts *drafts,
                            struct catalog *catalog);

void catalog_release_mappings(struct mapping_drafts *drafts);
