#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/io/yaml.h"

#define ARENA_BYTES (64UL << 20)

static void assert_refused(const char *text, size_t len, const char *words)
{
    struct arena arena;
    struct error err = ERROR_INIT;
    arena_init(&arena, ARENA_BYTES);
    if (yaml_parse((struct str){text, len}, "t.yaml", &arena, &err) != NULL) {
        fail_msg("accepted: %.60s", text);
    }
    assert_int_equal(err.code, ERROR_CONFIG);
    if (strstr(err.msg, words) == NULL || strstr(err.msg, "t.yaml:") != err.msg) {
        fail_msg("of %.60s said: %s", text, err.msg);
    }
    arena_release(&arena);
}

static void nodes_carry_their_lines_and_quotes(void **state)
{
    (void)state;
    struct arena arena;
    struct error err = ERROR_INIT;
    arena_init(&arena, ARENA_BYTES);
    struct str text = STR_LITERAL("a: 1\nb:\n  - x\n  - \"y\"\nc: {d: e}\nf:\n");
    const struct yaml_node *root = yaml_parse(text, "t", &arena, &err);
    assert_non_null(root);
    assert_int_equal(root->n_items, 4);
    const struct yaml_node *b = yaml_find(root, "b");
    assert_int_equal(b->kind, YAML_KIND_SEQUENCE);
    assert_int_equal(b->line, 3);
    assert_int_equal(b->items[1]->line, 4);
    assert_true(b->items[1]->quoted && !b->items[0]->quoted);
    assert_string_equal(yaml_find(yaml_find(root, "c"), "d")->scalar, "e");
    assert_string_equal(yaml_find(root, "f")->scalar, "");
    assert_int_equal(root->keys[3]->line, 6);
    assert_null(yaml_find(root, "g"));
    assert_null(yaml_find(b, "g"));
    assert_null(yaml_find(NULL, "g"));
    arena_release(&arena);
}

static void a_byte_order_mark_is_passed_over(void **state)
{
    (void)state;
    struct arena arena;
    struct error err = ERROR_INIT;
    arena_init(&arena, ARENA_BYTES);
    struct str text = STR_LITERAL("\xEF\xBB\xBF"
                                  "a: 1\nb: 2\n");
    const struct yaml_node *root = yaml_parse(text, "t", &arena, &err);
    assert_non_null(root);
    assert_string_equal(yaml_find(root, "a")->scalar, "1");
    assert_int_equal(yaml_find(root, "b")->line, 2);
    root = yaml_parse(STR_LITERAL("\xEF\xBB\xBF"), "t", &arena, &err);
    assert_non_null(root);
    assert_int_equal(root->n_items, 0);
    arena_release(&arena);
    assert_refused("\xEF\xBB\xBF"
                   "a: 1\nb: \xFF\n",
                   13, ":2: not valid YAML");
}

static void duplicate_keys_are_kept_and_the_first_is_found(void **state)
{
    (void)state;
    struct arena arena;
    struct error err = ERROR_INIT;
    arena_init(&arena, ARENA_BYTES);
    const struct yaml_node *root = yaml_parse(STR_LITERAL("a: 1\na: 2\n"), "t", &arena, &err);
    assert_int_equal(root->n_items, 2);
    assert_string_equal(yaml_find(root, "a")->scalar, "1");
    arena_release(&arena);
}

static void an_empty_document_is_an_empty_mapping(void **state)
{
    (void)state;
    static const char *const empty[] = {"", "\n\n", "# nothing\n", "---\n", "\xef\xbb\xbf"};
    for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
        struct arena arena;
        struct error err = ERROR_INIT;
        arena_init(&arena, ARENA_BYTES);
        const struct yaml_node *root = yaml_parse(str_from(empty[i]), "t", &arena, &err);
        assert_non_null(root);
        assert_int_equal(root->kind, YAML_KIND_MAPPING);
        assert_int_equal(root->n_items, 0);
        arena_release(&arena);
    }
}

static void what_could_surprise_is_refused_with_its_line(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        {"a: 1\nb: *x\n", ":2: aliases"},
        {"a: &x 1\n", ":1: anchors"},
        {"a: &x [1]\n", ":1: anchors"},
        {"a: &x {b: 1}\n", ":1: anchors"},
        {"a: !!str 1\n", ":1: tags"},
        {"a: ! 1\n", ":1: tags"},
        {"a: !x [1]\n", ":1: tags"},
        {"a: !x {b: 1}\n", ":1: tags"},
        {"a: 1\n---\nb: 1\n", ":2: a second document"},
        {"? [a]\n: 1\n", ":1: a key must be a plain word"},
        {"a: \"x\\0y\"\n", ":1: a value holds a NUL"},
        {"a: 1\nb: [\n", "not valid YAML"},
        {"a: 1\n b: 2\n", ":2: not valid YAML"},
        {"a: 1\nb: \xff\n", ":2: not valid YAML"},
        {"a: 1\n\tb: 2\n", "not valid YAML"},
        {"a: \x01\n", ":1: not valid YAML"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_refused(cases[i].text, strlen(cases[i].text), cases[i].words);
    }
}

static void depth_is_bounded_at_64_levels(void **state)
{
    (void)state;
    static char text[200000];
    struct arena arena;
    struct error err = ERROR_INIT;
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    arena_init(&arena, ARENA_BYTES);
    assert_non_null(yaml_parse((struct str){text, 128}, "t", &arena, &err));
    arena_release(&arena);
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    assert_refused(text, 130, "deeper than 64 levels");
    /* Would take libyaml minutes if it were read to its end. */
    memset(text, '[', sizeof(text));
    assert_refused(text, sizeof(text), "deeper than 64 levels");
    memset(text, '{', sizeof(text));
    assert_refused(text, sizeof(text), "deeper than 64 levels");
}

static void size_is_bounded(void **state)
{
    (void)state;
    static char text[YAML_FILE_MAX_BYTES + 1];
    memset(text, '#', sizeof(text));
    struct arena arena;
    struct error err = ERROR_INIT;
    arena_init(&arena, ARENA_BYTES);
    assert_non_null(yaml_parse((struct str){text, sizeof(text) - 1}, "t", &arena, &err));
    arena_release(&arena);
    assert_refused(text, sizeof(text), "larger than 256 KiB");
}

static void an_exhausted_arena_is_a_limit(void **state)
{
    (void)state;
    struct arena arena;
    struct error err = ERROR_INIT;
    arena_init(&arena, 64);
    assert_null(yaml_parse(STR_LITERAL("a: [1, 2, 3]\n"), "t", &arena, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    arena_release(&arena);
}

static void an_unreadable_file_is_named(void **state)
{
    (void)state;
    struct arena arena;
    struct error err = ERROR_INIT;
    arena_init(&arena, ARENA_BYTES);
    assert_null(yaml_read("/nonexistent/x.yaml", &arena, &err));
    assert_string_equal(err.msg, "cannot read /nonexistent/x.yaml: No such file or directory");
    error_clear(&err);
    assert_null(yaml_read("/", &arena, &err));
    assert_non_null(strstr(err.msg, "Is a directory"));
    error_clear(&err);
    assert_null(yaml_read("/dev/zero", &arena, &err));
    assert_non_null(strstr(err.msg, "larger than 256 KiB"));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_carry_their_lines_and_quotes),
        cmocka_unit_test(a_byte_order_mark_is_passed_over),
        cmocka_unit_test(duplicate_keys_are_kept_and_the_first_is_found),
        cmocka_unit_test(an_empty_document_is_an_empty_mapping),
        cmocka_unit_test(what_could_surprise_is_refused_with_its_line),
        cmocka_unit_test(depth_is_bounded_at_64_levels),
        cmocka_unit_test(size_is_bounded),
        cmocka_unit_test(an_exhausted_arena_is_a_limit),
        cmocka_unit_test(an_unreadable_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
