#include "common/conf/catalog_mapping.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/base/str.h"

static const char *const kinds[] = {"status", "priority"};
static const char *const statuses[] = {"new",    "in_progress", "pending", "resolved",
                                       "closed", "cancelled",   "unmapped"};
static const char *const priorities[] = {"1", "2", "3", "4", "5"};

struct words {
    const char *const *items;
    size_t n;
    const char *rule;
};

static const struct words words_of_kind[ARRAY_SIZE(kinds)] = {
    {statuses, ARRAY_SIZE(statuses),
     "new, in_progress, pending, resolved, closed, cancelled or unmapped"},
    {priorities, ARRAY_SIZE(priorities), "a number from 1 (critical) to 5 (lowest)"},
};

static const char *find_word(const char *const *words, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(words[i], word) == 0) {
            return words[i];
        }
    }
    return NULL;
}

static void put(struct mapping_drafts *drafts, const struct mapping_def *mapping)
{
    for (size_t i = 0; i < drafts->n; i++) {
        const struct mapping_def *known = &drafts->items[i];
        if (strcmp(known->source_type, mapping->source_type) == 0 &&
            strcmp(known->kind, mapping->kind) == 0 && strcmp(known->raw, mapping->raw) == 0) {
            drafts->items[i] = *mapping;
            return;
        }
    }
    drafts->items = xrealloc(drafts->items, (drafts->n + 1) * sizeof(drafts->items[0]));
    drafts->items[drafts->n++] = *mapping;
}

static void read_kind(struct option_reader *reader,
                      const char *source_type,
                      size_t kind,
                      const struct yaml_node *node,
                      struct mapping_drafts *drafts)
{
    const struct words *words = &words_of_kind[kind];
    const char *where = options_join(reader, "mappings", kinds[kind]);
    const struct yaml_node *mapping = options_mapping(reader, node, where);
    if (mapping == NULL) {
        return;
    }
    const bool *repeated = options_repeated(reader, mapping, where);
    for (size_t i = 0; i < mapping->n_items; i++) {
        const struct yaml_node *value = mapping->items[i];
        const char *word = value->kind == YAML_KIND_SCALAR
                               ? find_word(words->items, words->n, value->scalar)
                               : NULL;
        if (repeated[i]) {
            continue;
        }
        if (word == NULL) {
            const char *given = value->kind == YAML_KIND_SCALAR ? value->scalar : "";
            options_fault(reader, value->line, "%s is \"%s\"; it must be %s%s",
                          options_join(reader, where, mapping->keys[i]->scalar),
                          options_shown(reader, given), words->rule,
                          options_hint(reader, given, words->items, words->n));
            continue;
        }
        put(drafts, &(struct mapping_def){.source_type = source_type,
                                          .kind = kinds[kind],
                                          .raw = mapping->keys[i]->scalar,
                                          .mapped = word});
    }
}

void catalog_read_mappings(struct option_reader *reader,
                           const char *source_type,
                           const struct yaml_node *node,
                           struct mapping_drafts *drafts)
{
    const bool *repeated = options_repeated(reader, node, "mappings");
    for (size_t i = 0; i < node->n_items; i++) {
        const char *name = node->keys[i]->scalar;
        size_t kind = 0;
        while (kind < ARRAY_SIZE(kinds) && strcmp(kinds[kind], name) != 0) {
            kind++;
        }
        if (repeated[i]) {
            continue;
        }
        if (kind == ARRAY_SIZE(kinds)) {
            options_fault(reader, node->keys[i]->line,
                          "mappings: unknown key \"%s\"; status and priority can be mapped%s",
                          options_shown(reader, name),
                          options_hint(reader, name, kinds, ARRAY_SIZE(kinds)));
            continue;
        }
        read_kind(reader, source_type, kind, node->items[i], drafts);
    }
}

void catalog_build_mappings(struct option_reader *reader,
                            const struct mapping_drafts *drafts,
                            struct catalog *catalog)
{
    struct mapping_def *items = options_alloc(reader, drafts->n * sizeof(*items));
    for (size_t i = 0; i < drafts->n; i++) {
        items[i] = drafts->items[i];
    }
    catalog->mappings = items;
    catalog->n_mappings = drafts->n;
}

void catalog_release_mappings(struct mapping_drafts *drafts)
{
    xfree(drafts->items);
}
