#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "test_data.h"
#include "tests/unit/worker/http/cmocka_all.h"
#include "worker/sources/glpi/criteria.h"

/* Criteria of the search endpoint, checked because it forgives what it should refuse. */

static void assert_url(const struct glpi_criterion *criteria, size_t n, const char *expected)
{
    struct buf url CLEANUP(buf_release);
    struct error err = ERROR_INIT;
    buf_init(&url, 4096);
    if (!glpi_criteria_add(criteria, n, &url, &err)) {
        fail_msg("%s", err.msg);
    }
    assert_string_equal(expected, url.ptr);
}

static void criteria_are_numbered_linked_and_escaped(void **state)
{
    (void)state;
    static const struct glpi_criterion CRITERIA[] = {
        {.field = 19, .type = GLPI_MORETHAN, .value = "2026-11-10 12:00:00"},
        {.link = GLPI_OR, .field = 1, .type = GLPI_CONTAINS, .value = "^a&b=[c]$"},
        {.link = GLPI_AND_NOT, .field = 12, .type = GLPI_EQUALS, .value = "notold"},
        {.link = GLPI_OR_NOT, .field = 5, .type = GLPI_EQUALS, .value = "7"},
    };
    assert_url(CRITERIA, ARRAY_SIZE(CRITERIA),
               "criteria%5B0%5D%5Blink%5D=AND&criteria%5B0%5D%5Bfield%5D=19"
               "&criteria%5B0%5D%5Bsearchtype%5D=morethan"
               "&criteria%5B0%5D%5Bvalue%5D=2026-11-10%2012%3A00%3A00"
               "&criteria%5B1%5D%5Blink%5D=OR&criteria%5B1%5D%5Bfield%5D=1"
               "&criteria%5B1%5D%5Bsearchtype%5D=contains"
               "&criteria%5B1%5D%5Bvalue%5D=%5Ea%26b%3D%5Bc%5D%24"
               "&criteria%5B2%5D%5Blink%5D=AND%20NOT&criteria%5B2%5D%5Bfield%5D=12"
               "&criteria%5B2%5D%5Bsearchtype%5D=equals&criteria%5B2%5D%5Bvalue%5D=notold"
               "&criteria%5B3%5D%5Blink%5D=OR%20NOT&criteria%5B3%5D%5Bfield%5D=5"
               "&criteria%5B3%5D%5Bsearchtype%5D=equals&criteria%5B3%5D%5Bvalue%5D=7");
}

static void groups_nest(void **state)
{
    (void)state;
    static const struct glpi_criterion INNER[] = {
        {.field = 3, .type = GLPI_EQUALS, .value = "5"},
        {.link = GLPI_OR, .field = 3, .type = GLPI_EQUALS, .value = "6"},
    };
    static const struct glpi_criterion OUTER[] = {
        {.field = 80, .type = GLPI_UNDER, .value = "0"},
        {.link = GLPI_AND, .group = INNER, .n_group = ARRAY_SIZE(INNER)},
    };
    assert_url(OUTER, ARRAY_SIZE(OUTER),
               "criteria%5B0%5D%5Blink%5D=AND&criteria%5B0%5D%5Bfield%5D=80"
               "&criteria%5B0%5D%5Bsearchtype%5D=under&criteria%5B0%5D%5Bvalue%5D=0"
               "&criteria%5B1%5D%5Blink%5D=AND"
               "&criteria%5B1%5D%5Bcriteria%5D%5B0%5D%5Blink%5D=AND"
               "&criteria%5B1%5D%5Bcriteria%5D%5B0%5D%5Bfield%5D=3"
               "&criteria%5B1%5D%5Bcriteria%5D%5B0%5D%5Bsearchtype%5D=equals"
               "&criteria%5B1%5D%5Bcriteria%5D%5B0%5D%5Bvalue%5D=5"
               "&criteria%5B1%5D%5Bcriteria%5D%5B1%5D%5Blink%5D=OR"
               "&criteria%5B1%5D%5Bcriteria%5D%5B1%5D%5Bfield%5D=3"
               "&criteria%5B1%5D%5Bcriteria%5D%5B1%5D%5Bsearchtype%5D=equals"
               "&criteria%5B1%5D%5Bcriteria%5D%5B1%5D%5Bvalue%5D=6");
}

static void comparisons_of_numbers_are_written_as_patterns(void **state)
{
    (void)state;
    static const struct glpi_criterion MORE = {.field = 2, .type = GLPI_MORETHAN, .value = "100"};
    static const struct glpi_criterion LESS = {
        .field = 150, .type = GLPI_LESSTHAN, .value = "3600"};
    assert_url(&MORE, 1,
               "criteria%5B0%5D%5Blink%5D=AND&criteria%5B0%5D%5Bfield%5D=2"
               "&criteria%5B0%5D%5Bsearchtype%5D=contains&criteria%5B0%5D%5Bvalue%5D=%3E100");
    assert_url(&LESS, 1,
               "criteria%5B0%5D%5Blink%5D=AND&criteria%5B0%5D%5Bfield%5D=150"
               "&criteria%5B0%5D%5Bsearchtype%5D=contains&criteria%5B0%5D%5Bvalue%5D=%3C3600");
}

static void what_the_endpoint_would_misread_is_refused(void **state)
{
    (void)state;
    static const struct glpi_criterion SELF[] = {{.field = 2, .type = GLPI_CONTAINS, .value = "1"}};
    static const struct glpi_criterion DEEP[] = {
        {.group = &DEEP[0], .n_group = 1}, /* without an end */
    };

    static const struct {
        struct glpi_criterion criterion;
        const char *words;
    } CASES[] = {
        {{.field = 99999, .type = GLPI_EQUALS, .value = "1"}, "no such search option"},
        {{.field = 151, .type = GLPI_CONTAINS, .value = "1"}, "only be displayed"},
        {{.field = 1, .type = GLPI_EQUALS, .value = "x"}, "does not take"},
        {{.field = 12, .type = GLPI_NOTEQUALS, .value = "1"}, "does not take"},
        {{.field = 5, .type = GLPI_UNDER, .value = "1"}, "does not take"},
        {{.field = 5, .type = GLPI_EQUALS, .value = "ana"}, "not an id"},
        {{.field = 5, .type = GLPI_EQUALS, .value = ""}, "empty value"},
        {{.field = 5, .type = GLPI_EQUALS, .value = NULL}, "empty value"},
        {{.field = 2, .type = GLPI_MORETHAN, .value = "1 or 1"}, "not a number"},
        {{.field = 19, .type = GLPI_MORETHAN, .value = "tomorrow"}, "YYYY-MM-DD"},
        {{.field = 1, .type = GLPI_CONTAINS, .value = "a\nb"}, "control character"},
        {{.link = GLPI_OR, .field = 2, .type = GLPI_CONTAINS, .value = "1"}, "linked"},
        {{.group = SELF, .n_group = 0}, "empty group"},
        {{.group = DEEP, .n_group = 1}, "nested too deep"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct buf url CLEANUP(buf_release);
        struct error err = ERROR_INIT;
        buf_init(&url, 4096);
        buf_add_c(&url, "/search/Ticket?");
        assert_false(glpi_criteria_add(&CASES[i].criterion, 1, &url, &err));
        assert_int_equal(ERROR_CONFIG, err.code);
        if (strstr(err.msg, CASES[i].words) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", err.msg, CASES[i].words);
        }
        assert_string_equal("/search/Ticket?", url.ptr);
    }
}

static bool has_type(const struct json *option, const char *type)
{
    const struct json *types = json_find(option, "available_searchtypes");
    for (size_t i = 0; i < json_size(types); i++) {
        if (strcmp(json_string(json_at(types, i)), type) == 0) {
            return true;
        }
    }
    return false;
}

static void the_options_are_those_that_glpi_lists(void **state)
{
    (void)state;
    struct buf body CLEANUP(buf_release);
    struct error err = ERROR_INIT;
    if (!test_data_body("fixtures/glpi/listSearchOptions_Ticket.json", &body)) {
        print_message("no recorded answers here (FOZ_TEST_DATA): skipped\n");
        skip();
    }
    struct json *root = json_parse(buf_str(&body), &err);
    size_t n = 0;
    for (size_t i = 0; i < json_size(root); i++) {
        const struct json *listed = json_at(root, i);
        int64_t id = 0;
        if (!str_to_int64(str_from(json_name_at(root, i)), 1, 100000, &id)) {
            continue; /* a heading */
        }
        const struct glpi_search_option *option = glpi_search_option((int)id);
        char what[160];
        n++;
        assert_non_null(option);
        (void)snprintf(what, sizeof(what), "%s.%s", json_find_string(listed, "table") + 5,
                       json_find_string(listed, "field"));
        assert_string_equal(what, option->what);
        if (json_bool(json_find(listed, "nosearch"), false)) {
            assert_int_equal(SEARCH_NEVER, option->types);
            continue;
        }
        assert_int_equal(has_type(listed, "contains"), (option->types & SEARCH_CONTAINS) != 0);
        assert_int_equal(has_type(listed, "equals"), (option->types & SEARCH_EQUALS) != 0);
        assert_int_equal(has_type(listed, "notequals"), (option->types & SEARCH_NOTEQUALS) != 0);
        assert_int_equal(has_type(listed, "morethan"), (option->types & SEARCH_COMPARES) != 0);
        assert_int_equal(has_type(listed, "under"), (option->types & SEARCH_UNDER) != 0);
    }
    assert_int_equal(128, n);
    json_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(criteria_are_numbered_linked_and_escaped),
        cmocka_unit_test(groups_nest),
        cmocka_unit_test(comparisons_of_numbers_are_written_as_patterns),
        cmocka_unit_test(what_the_endpoint_would_misread_is_refused),
        cmocka_unit_test(the_options_are_those_that_glpi_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
