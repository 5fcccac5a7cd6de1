#include <stdio.h>
#include <string.h>

#include "tests/unit/worker/http/cmocka_all.h"
#include "tests/unit/worker/sources/task_of.h"
#include "worker/sources/servicenow/query.h"

static void
assert_joined(const char *expected, const char *filter, const char *terms, const char *order)
{
    struct buf out CLEANUP(buf_release);
    buf_init(&out, 4096);
    servicenow_query_join(&out, str_from(filter), str_from(terms), str_from(order));
    assert_string_equal(expected, out.ptr);
}

static void terms_follow_the_filter(void **state)
{
    (void)state;
    assert_joined("", "", "", "");
    assert_joined("a=1", "a=1", "", "");
    assert_joined("sys_id>x", "", "sys_id>x", "");
    assert_joined("ORDERBYsys_id", "", "", "ORDERBYsys_id");
    assert_joined("a=1^sys_id>x^ORDERBYsys_id", "a=1", "sys_id>x", "ORDERBYsys_id");
}

static void an_or_chain_stays_one_condition(void **state)
{
    (void)state;
    assert_joined("a=1^ORa=2^b=3^sys_id>x^ORDERBYsys_id", "a=1^ORa=2^b=3", "sys_id>x",
                  "ORDERBYsys_id");
}

static void every_branch_of_a_new_query_gets_the_terms(void **state)
{
    (void)state;
    assert_joined("a=1^sys_id>x^NQb=2^ORb=3^sys_id>x^ORDERBYsys_id", "a=1^NQb=2^ORb=3", "sys_id>x",
                  "ORDERBYsys_id");
    assert_joined("a=1^t^NQb=2^t^NQc=3^t", "a=1^NQb=2^NQc=3", "t", "");
}

static void what_the_user_interface_adds_is_cut(void **state)
{
    (void)state;
    assert_joined("a=1^t^ORDERBYk", "a=1^EQ", "t", "ORDERBYk");
    assert_joined("a=1^t^ORDERBYk", "a=1^ORDERBYDESCnumber", "t", "ORDERBYk");
    assert_joined("a=1^t^ORDERBYk", "ORDERBYnumber^a=1^GROUPBYstate^EQ", "t", "ORDERBYk");
    assert_joined("a=1^b=2^t", "a=1^EQ^b=2", "t", "");
    assert_joined("a=1^t", "^a=1^", "t", "");
    assert_joined("t^ORDERBYk", "ORDERBYsys_updated_on", "t", "ORDERBYk");
}

static void assert_refused(const char *filter, const char *quoted)
{
    struct error err = ERROR_INIT;
    assert_false(servicenow_filter_check(str_from(filter), &err));
    assert_int_equal(ERROR_CONFIG, err.code);
    assert_non_null(strstr(err.msg, quoted));
}

static void good_filters_pass(void **state)
{
    (void)state;
    static const char *const FILTERS[] = {
        "",
        "active=true",
        "active=true^ORstate=6",
        "active=true^NQpriority=1^EQ",
        "stateIN1,2,3^ORDERBYDESCnumber",
        "short_descriptionLIKEnetwork down",
        "assigned_toISEMPTY",
        "assigned_to.companyISNOTEMPTY",
        "sys_created_on>javascript:gs.daysAgoStart(30)",
        "123TEXTQUERY321=printer",
        "a=1^RLQUERYtask_sla.task,>=1^ENDRLQUERY",
        "order=1",
        "category=",
        "category!=",
        "u_2nd_line.nameISEMPTY",
        "priority<=2^priority>=1^priority<3^priority>0^priority!=2",
        "numberSTARTSWITHINC^ORnumberENDSWITH7^number%7",
        "short_description*net^description!*net^closeNOT LIKEnet",
        "short_descriptionCONTAINSnet^descriptionDOES NOT CONTAINnet",
        "stateNOT IN6,7,8",
        "close_notesEMPTYSTRING^stateANYTHING",
        "priorityBETWEEN1@3",
        "caller_idSAMEASopened_by^caller_idNSAMEASassigned_to",
        "reassignment_countGT_FIELDreopen_count^aLT_FIELDb",
        "aGT_OR_EQUALS_FIELDb^aLT_OR_EQUALS_FIELDb",
        "opened_atONToday@javascript:gs.daysAgoStart(0)@javascript:gs.daysAgoEnd(0)",
        "opened_atNOTONToday@javascript:gs.daysAgoStart(0)@javascript:gs.daysAgoEnd(0)",
        "sla_dueMORETHANactivity_due@day@before@1^sla_dueLESSTHANactivity_due@day@before@3",
        "sla_dueDATEPARTMonday@javascript:gs.datePart('dayofweek','monday','GE')",
        "aRELATIVEGT@hour@ago@1^aRELATIVEGE@hour@ago@1^aRELATIVELT@hour@ago@1",
        "aRELATIVELE@hour@ago@1^aRELATIVEEE@hour@ago@1",
        "stateVALCHANGES^stateCHANGESFROM4^stateCHANGESTO4",
        "caller_idDYNAMIC54635e965f510100a9ad2572f2b4774c",
        "managerIN_HIERARCHYa@b^managerIN_HIERARCHY_DYNAMICa@b",
        "sys_class_nameINSTANCEOFcmdb_ci_server",
        "numberMATCH_PATINC*^numberMATCH_RGXINC[0-9]+",
    };
    for (size_t i = 0; i < ARRAY_SIZE(FILTERS); i++) {
        struct error err = ERROR_INIT;
        if (!servicenow_filter_check(str_from(FILTERS[i]), &err)) {
            fail_msg("%s: %s", FILTERS[i], err.msg);
        }
    }
}

static void bad_filters_are_quoted(void **state)
{
    (void)state;
    assert_refused("active=true^^state=1", "filter: \"\"");
    assert_refused("Active is true", "\"Active is true\"");
    assert_refused("active=true^state", "\"state\"");
    assert_refused("a=1^OR", "\"OR\"");
    assert_refused("a=1\nb=2", "control character");
}

/* Whatever the platform would drop, and then send the whole table. */
static void operators_that_do_not_exist_are_quoted(void **state)
{
    (void)state;
    static const char *const TERMS[] = {
        "priority is 1",    "state IN 1,2",     "number STARTSWITH INC",
        "priorityISONEOF1", "priority = 1",     "priority ISEMPTY",
        "priority~1",       "priorityis1",      "stateNOTIN1,2",
        "numberSTARTSWITH", "stateIN",          "stateNOT IN",
        "priority>",        "priority>=",       "priority!1",
        "priorityISEMPTY1", "priorityBETWEEN1", "opened_atONToday",
        "aRELATIVEGT1",     "aSAMEAS",          ".state=1",
        "state.=1",         "a..b=1",           "=1",
        "ISEMPTY",          "stateISNOT1",
    };
    for (size_t i = 0; i < ARRAY_SIZE(TERMS); i++) {
        char quoted[80];
        (void)snprintf(quoted, sizeof(quoted), "filter: \"%s\" is not a term", TERMS[i]);
        assert_refused(TERMS[i], quoted);
        char behind[80];
        (void)snprintf(behind, sizeof(behind), "active=true^%s", TERMS[i]);
        assert_refused(behind, quoted);
        (void)snprintf(behind, sizeof(behind), "active=true^OR%s", TERMS[i]);
        (void)snprintf(quoted, sizeof(quoted), "filter: \"OR%s\" is not a term", TERMS[i]);
        assert_refused(behind, quoted);
    }
}

static void the_cure_survives_a_long_term(void **state)
{
    (void)state;
    char filter[2000];
    memset(filter, 'x', sizeof(filter));
    filter[sizeof(filter) - 1] = '\0';
    assert_refused(filter, "x...\" is not a term");
    assert_refused(filter, "write priority=1, stateIN1,2 or numberSTARTSWITHINC");
    assert_refused(filter, "with the whole table");
}

static void collect(void *arg, struct str field)
{
    struct buf *out = arg;
    buf_addf(out, "%.*s,", STR_ARG(field));
}

static void assert_fields(const char *expected, const char *filter)
{
    struct buf out CLEANUP(buf_release);
    buf_init(&out, 4096);
    servicenow_filter_fields(str_from(filter), collect, &out);
    assert_string_equal(expected, out.ptr);
}

static void the_fields_of_a_filter_are_named(void **state)
{
    (void)state;
    assert_fields("", "");
    assert_fields("active,", "active=true");
    assert_fields("active,state,priority,", "active=true^ORstate=6^NQpriority=1^EQ");
    assert_fields("task,", "task.sys_class_name=incident");
    assert_fields("state,", "stateIN1,2^ORDERBYnumber^GROUPBYpriority");
    assert_fields("order,", "order=1");
    assert_fields("", "123TEXTQUERY321=printer");
    assert_fields("a,", "a=1^RLQUERYtask_sla.task,>=1^ENDRLQUERY");
    assert_fields("u_2nd_line,", "u_2nd_lineISEMPTY");
}

static void assert_equality(const char *filter, const char *field, const char *value)
{
    struct str found_field = STR_NONE;
    struct str found_value = STR_NONE;
    bool found = servicenow_filter_equality(str_from(filter), &found_field, &found_value);
    assert_int_equal(field != NULL, found);
    if (found) {
        assert_true(str_equal_c(found_field, field));
        assert_true(str_equal_c(found_value, value));
    }
}

static void only_a_single_equality_can_be_checked_on_rows(void **state)
{
    (void)state;
    assert_equality("task.sys_class_name=incident", "task.sys_class_name", "incident");
    assert_equality("active=true", "active", "true");
    assert_equality("a=b=c", "a", "b=c");
    assert_equality("", NULL, NULL);
    assert_equality("active", NULL, NULL);
    assert_equality("active=", NULL, NULL);
    assert_equality("active!=true", NULL, NULL);
    assert_equality("priority>=1", NULL, NULL);
    assert_equality("stateIN1,2", NULL, NULL);
    assert_equality("active=true^state=1", NULL, NULL);
    assert_equality("opened_by=javascript:gs.getUserID()", NULL, NULL);
}

static const struct field FIELDS[] = {
    {.name = "sys_id", .type = COLUMN_TEXT},
    {.name = "company", .type = COLUMN_TEXT, .display = true, .ref = "core_company"},
    {.name = "sys_updated_on", .type = COLUMN_TIMESTAMPTZ},
};
static const struct column COLUMNS[] = {
    {"sys_id", COLUMN_TEXT, 0, 0},
    {"company", COLUMN_TEXT, 1, 0},
    {"dv_company", COLUMN_TEXT, 1, 1},
    {"sys_updated_on", COLUMN_TIMESTAMPTZ, 2, 0},
};
static const size_t KEY[] = {0};
static const struct task_def TASK = {
    .name = "t",
    .table = "u_t",
    TASK_OF(FIELDS, COLUMNS, KEY),
    .version_column = 3,
    .revision_column = -1,
    .window_column = -1,
};

static void assert_url(const char *expected, struct servicenow_page_request request)
{
    struct buf out CLEANUP(buf_release);
    buf_init(&out, 4096);
    request.task = &TASK;
    servicenow_page_url(&out, &request);
    assert_string_equal(expected, out.ptr);
}

#define FIXED                                                                                      \
    "&sysparm_exclude_reference_link=true&sysparm_suppress_pagination_header=true&sysparm_no_"     \
    "count="

static void urls_are_encoded_and_ask_for_what_is_needed(void **state)
{
    (void)state;
    assert_url("/api/now/v2/table/u_t?sysparm_limit=5&sysparm_display_value=all" FIXED
               "true&sysparm_fields=sys_id,company,sys_updated_on"
               "&sysparm_query=a%3D1%5Eb%3E%3D2026-01-02%2003%3A04%3A05%5EORDERBYsys_id",
               (struct servicenow_page_request){
                   .limit = 5, .query = STR_LITERAL("a=1^b>=2026-01-02 03:04:05^ORDERBYsys_id")});
    assert_url("/api/now/v2/table/u_t?sysparm_limit=7&sysparm_display_value=false" FIXED
               "false&sysparm_fields=sys_id,sys_updated_on",
               (struct servicenow_page_request){.limit = 7, .keys_only = true, .count = true});
    assert_url("/api/now/v2/table/u_t?sysparm_limit=1&sysparm_display_value=false" FIXED "false",
               (struct servicenow_page_request){.limit = 1, .all_fields = true, .count = true});
}

static void the_checked_field_is_asked_for_once(void **state)
{
    (void)state;
    assert_url(
        "/api/now/v2/table/u_t?sysparm_limit=7&sysparm_display_value=false" FIXED
        "true&sysparm_fields=sys_id,sys_updated_on,task.x",
        (struct servicenow_page_request){.limit = 7, .keys_only = true, .extra_field = "task.x"});
    assert_url(
        "/api/now/v2/table/u_t?sysparm_limit=7&sysparm_display_value=false" FIXED
        "true&sysparm_fields=sys_id,sys_updated_on,company",
        (struct servicenow_page_request){.limit = 7, .keys_only = true, .extra_field = "company"});
    assert_url("/api/now/v2/table/u_t?sysparm_limit=7&sysparm_display_value=all" FIXED
               "true&sysparm_fields=sys_id,company,sys_updated_on",
               (struct servicenow_page_request){.limit = 7, .extra_field = "company"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_follow_the_filter),
        cmocka_unit_test(an_or_chain_stays_one_condition),
        cmocka_unit_test(every_branch_of_a_new_query_gets_the_terms),
        cmocka_unit_test(what_the_user_interface_adds_is_cut),
        cmocka_unit_test(good_filters_pass),
        cmocka_unit_test(bad_filters_are_quoted),
        cmocka_unit_test(operators_that_do_not_exist_are_quoted),
        cmocka_unit_test(the_cure_survives_a_long_term),
        cmocka_unit_test(the_fields_of_a_filter_are_named),
        cmocka_unit_test(only_a_single_equality_can_be_checked_on_rows),
        cmocka_unit_test(urls_are_encoded_and_ask_for_what_is_needed),
        cmocka_unit_test(the_checked_field_is_asked_for_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
