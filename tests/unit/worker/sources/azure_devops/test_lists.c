#include "organisation_fixture.h"
#include "worker/sources/azure_devops/request.h"

/* Projects, states, iterations and people: whole lists, and what stands in for a list that may not
 * be read. */

static void
load(struct organisation *org, const char *task, const struct fake_reply *replies, size_t n_replies)
{
    organisation_init(org, task);
    org->azure.replies = replies;
    org->azure.n_replies = n_replies;
    organisation_load(org);
}

#define WHO                                                                                        \
    {                                                                                              \
        "GET /_apis/connectionData?api-version=7.1-preview.1", 0, NULL,                            \
            "{\"authenticatedUser\":{\"id\":\"v-1\"}}"                                             \
    }
#define PROJECTS                                                                                   \
    {                                                                                              \
        "GET /_apis/projects?", 0, NULL,                                                           \
            "{\"count\":3,\"value\":[{\"id\":\"p-1\",\"name\":\"One\",\"state\":\"wellFormed\","   \
            "\"revision\":12,\"visibility\":\"organization\",\"lastUpdateTime\":"                  \
            "\"2023-07-06T09:03:15.27Z\"},{\"id\":\"p-2\",\"name\":\"Two\",\"state\":"             \
            "\"wellFormed\"},"                                                                     \
            "{\"id\":\"p-3\",\"name\":\"Three\",\"state\":\"deleting\"}]}"                         \
    }
#define PROCESSES                                                                                  \
    {                                                                                              \
        "GET " ADO_WORK "/processes?$expand=projects&api-version=7.1", 0, NULL,                    \
            "{\"count\":2,\"value\":[{\"typeId\":\"t-1\",\"name\":\"Agile\",\"projects\":["        \
            "{\"id\":\"p-1\"},{\"id\":\"p-2\"}]},{\"typeId\":\"t-2\",\"name\":\"Unused\"}]}"       \
    }

static void projects_land_with_their_process(void **state)
{
    static const struct fake_reply REPLIES[] = {WHO, PROJECTS, PROCESSES};

    struct organisation org;
    (void)state;
    load(&org, "project", REPLIES, ARRAY_SIZE(REPLIES));
    assert_ended(&org);
    assert_int_equal(org.plan.kind, WALK_ALL);
    assert_true(org.plan.confirm_missing);
    assert_int_equal(org.plan.high_us, org.azure.now_s * US_PER_S);
    assert_int_equal(org.n_rows, 3);
    assert_row(&org, "p-1|One|-|-|wellFormed|12|organization|");
    assert_string_equal(value_of(&org, 0, "process_id"), "t-1");
    assert_string_equal(value_of(&org, 1, "process_name"), "Agile");
    assert_string_equal(value_of(&org, 2, "process_id"), "-");
    organisation_release(&org);
}

static void a_project_whose_process_is_not_listed_is_asked_for_it(void **state)
{
    static const struct fake_reply REPLIES[] = {
        WHO,
        PROJECTS,
        {"GET " ADO_WORK "/processes?", 403, NULL, "{\"message\":\"no right\"}"},
        {"GET /_apis/projects/p-1?includeCapabilities=true", 0, NULL,
         "{\"id\":\"p-1\",\"capabilities\":{\"processTemplate\":{\"templateName\":\"Basic\","
         "\"templateTypeId\":\"t-9\"}}}"},
        {"GET /_apis/projects/p-2?includeCapabilities=true", 404, NULL, "{\"message\":\"gone\"}"},
    };

    struct organisation org;
    (void)state;
    load(&org, "project", REPLIES, ARRAY_SIZE(REPLIES));
    assert_ended(&org);
    assert_string_equal(value_of(&org, 0, "process_id"), "t-9");
    assert_string_equal(value_of(&org, 0, "process_name"), "Basic");
    assert_string_equal(value_of(&org, 1, "process_id"), "-");
    organisation_release(&org);
}

/* Answers a page of `n` projects beginning at `from`. */
static char *project_page(int from, int n)
{
    struct buf body;
    buf_init(&body, 65536);
    buf_addf(&body, "{\"count\":%d,\"value\":[", n);
    for (int i = from; i < from + n; i++) {
        buf_addf(&body, "%s{\"id\":\"p-%d\",\"name\":\"P%d\"}", i > from ? "," : "", i, i);
    }
    buf_add_c(&body, "]}");
    return buf_take(&body);
}

static void projects_are_read_by_token_and_beyond_a_lost_token(void **state)
{
    char *first = project_page(0, 100);
    char *second = project_page(100, 100);
    char *third = project_page(200, 7);
    const struct fake_reply replies[] = {
        WHO,
        PROCESSES,
        {"GET /_apis/projects?stateFilter=all&$top=100&continuationToken=100", 0, NULL, second},
        {"GET /_apis/projects?stateFilter=all&$top=100&$skip=200", 0, NULL, third},
        {"GET /_apis/projects?stateFilter=all&$top=100&api-version", 0,
         "x-ms-continuationtoken: 100", first},
        {"GET /_apis/projects/", 404, NULL, "{}"},
    };

    struct organisation org;
    (void)state;
    load(&org, "project", replies, ARRAY_SIZE(replies));
    assert_ended(&org);
    assert_int_equal(org.n_rows, 207);
    assert_row(&org, "p-0|");
    assert_row(&org, "p-206|");
    organisation_release(&org);
    xfree(first);
    xfree(second);
    xfree(third);
}

static void projects_whose_token_leads_nowhere_are_an_error(void **state)
{
    static const struct fake_reply REPLIES[] = {
        WHO,
        PROCESSES,
        {"GET /_apis/projects?", 0, "x-ms-continuationtoken: 1",
         "{\"value\":[{\"id\":\"p-1\",\"name\":\"P\"}]}"},
    };

    struct organisation org;
    (void)state;
    load(&org, "project", REPLIES, ARRAY_SIZE(REPLIES));
    assert_fails(&org, ERROR_DATA, "does not end");
    organisation_release(&org);
}

static void given_projects_are_asked_for_one_by_one(void **state)
{
    static const struct fake_reply REPLIES[] = {
        PROCESSES,
        {"GET /_apis/projects/p-1?includeCapabilities=true", 0, NULL,
         "{\"id\":\"p-1\",\"name\":\"One\"}"},
        {"GET /_apis/projects/p-8", 404, NULL, "{\"message\":\"TF200016\"}"},
    };
    static const char *const KEYS[] = {"p-8", "p-1"};

    struct organisation org;
    (void)state;
    organisation_init_with(&org, "project", REPLIES, ARRAY_SIZE(REPLIES));
    organisation_walk_given(&org, KEYS, ARRAY_SIZE(KEYS));
    assert_ended(&org);
    assert_int_equal(org.n_rows, 1);
    assert_row(&org, "p-1|One|");
    organisation_release(&org);
}

#define TYPES_OF_T1                                                                                \
    {                                                                                              \
        "GET " ADO_WORK "/processes/t-1/workitemtypes?$expand=states&api-version=7.1", 0, NULL,    \
            "{\"count\":1,\"value\":[{\"name\":\"Bug\",\"referenceName\":\"M.Bug\",\"states\":["   \
            "{\"name\":\"New\",\"stateCategory\":\"Proposed\"},"                                   \
            "{\"name\":\"\\u65b0\\u5efa\",\"stateCategory\":\"InProgress\",\"hidden\":true}]}]}"   \
    }

static void states_come_with_one_request_a_process(void **state)
{
    static const struct fake_reply REPLIES[] = {
        WHO,
        PROCESSES,
        TYPES_OF_T1,
        {"GET " ADO_WORK "/processes/t-2/workitemtypes", 404, NULL, "{\"message\":\"none\"}"},
    };

    struct organisation org;
    (void)state;
    load(&org, "work_item_type_state", REPLIES, ARRAY_SIZE(REPLIES));
    assert_ended(&org);
    assert_int_equal(org.n_rows, 2);
    assert_row(&org, "t-1|Agile|Bug|M.Bug|New|Proposed|no");
    assert_row(&org, "t-1|Agile|Bug|M.Bug|\xe6\x96\xb0\xe5\xbb\xba|InProgress|yes");
    assert_int_equal(fake_azure_count(&org.azure, "GET " ADO_WORK "/processes/t-1/"), 1);
    organisation_release(&org);
}

static void states_come_type_by_type_where_processes_are_closed(void **state)
{
    static const struct fake_reply REPLIES[] = {
        WHO,
        PROJECTS,
        {"GET " ADO_WORK "/processes?", 404, NULL, "{\"message\":\"none\"}"},
        {"GET /_apis/projects/p-", 0, NULL,
         "{\"id\":\"p\",\"capabilities\":{\"processTemplate\":{\"templateName\":\"Scrum\","
         "\"templateTypeId\":\"t-5\"}}}"},
        {"GET /p-1/_apis/wit/workitemtypes?api-version=7.1", 0, NULL,
         "{\"count\":2,\"value\":[{\"name\":\"Bug\",\"referenceName\":\"M.Bug\"},"
         "{\"name\":\"Product Backlog Item\"}]}"},
        {"GET /p-1/_apis/wit/workitemtypes/Bug/states?api-version=7.1", 0, NULL,
         "{\"count\":1,\"value\":[{\"name\":\"New\",\"color\":\"b2\",\"category\":\"Proposed\"}]}"},
        {"GET /p-1/_apis/wit/workitemtypes/Product%20Backlog%20Item/states?api-version=7.1", 0,
         NULL, "{\"count\":1,\"value\":[{\"name\":\"Done\",\"category\":\"Completed\"}]}"},
    };

    struct organisation org;
    (void)state;
    load(&org, "work_item_type_state", REPLIES, ARRAY_SIZE(REPLIES));
    assert_ended(&org);
    assert_int_equal(org.n_rows, 2);
    assert_row(&org, "t-5|Scrum|Bug|M.Bug|New|Proposed|");
    assert_row(&org, "t-5|Scrum|Product Backlog Item|-|Done|Completed|");
    organisation_release(&org);
}

static void a_project_that_does_not_name_its_process_has_properties_that_do(void **state)
{
    static const struct fake_reply REPLIES[] = {
        WHO,
        PROJECTS,
        {"GET " ADO_WORK "/processes?", 404, NULL, "{\"message\":\"none\"}"},
        {"GET /_apis/projects/p-1?includeCapabilities=true", 0, NULL,
         "{\"id\":\"p-1\",\"capabilities\":{\"processTemplate\":{\"templateName\":\"Own\"}}}"},
        {"GET /_apis/projects/p-2?includeCapabilities=true", 403, NULL, "{\"message\":\"no\"}"},
        {"GET /_apis/projects/p-1/properties?keys=System.ProcessTemplateType,"
         "System.Process%20Template&api-version=7.1-preview.1",
         0, NULL,
         "{\"count\":3,\"value\":[{\"name\":\"System.CurrentProcessTemplateId\",\"value\":\"v\"},"
         "{\"name\":\"System.ProcessTemplateType\",\"value\":\"t-7\"},"
         "{\"name\":\"System.Process Template\",\"value\":\"Own\"}]}"},
        {"GET /_apis/projects/p-2/properties", 0, NULL,
         "{\"count\":1,\"value\":[{\"name\":\"System.ProcessTemplateType\",\"value\":\"t-8\"}]}"},
    };

    struct organisation org;
    (void)state;
    load(&org, "project", REPLIES, ARRAY_SIZE(REPLIES));
    assert_ended(&org);
    assert_string_equal(value_of(&org, 0, "process_id"), "t-7");
    assert_string_equal(value_of(&org, 0, "process_name"), "Own");
    assert_string_equal(value_of(&org, 1, "process_id"), "t-8");
    organisation_release(&org);
}

#define STATES_OF(project)                                                                         \
    {"GET /" project "/_apis/wit/workitemtypes?", 0, NULL,                                         \
     "{\"count\":1,\"value\":[{\"name\":\"Bug\",\"referenceName\":\"M.Bug\"}]}"},                  \
    {                                                                                              \
        "GET /" project "/_apis/wit/workitemtypes/Bug/states?", 0, NULL,                           \
            "{\"count\":1,\"value\":[{\"name\":\"New\",\"category\":\"Proposed\"}]}"               \
    }

static void states_of_a_project_whose_process_nobody_tells_are_its_own(void **state)
{
    static const struct fake_reply REPLIES[] = {
        WHO,
        PROJECTS,
        {"GET " ADO_WORK "/processes?", 404, NULL, "{\"message\":\"none\"}"},
        {"GET /_apis/projects/p-1?includeCapabilities=true", 0, NULL, "{\"id\":\"p-1\"}"},
        {"GET /_apis/projects/p-2?includeCapabilities=true", 403, NULL, "{\"message\":\"no\"}"},
        {"GET /_apis/projects/p-1/properties", 404, NULL, "{\"message\":\"none\"}"},
        {"GET /_apis/projects/p-2/properties", 403, NULL, "{\"message\":\"no\"}"},
        STATES_OF("p-1"),
        STATES_OF("p-2"),
    };

    struct organisation org;
    (void)state;
    load(&org, "work_item_type_state", REPLIES, ARRAY_SIZE(REPLIES));
    assert_ended(&org);
    assert_int_equal(org.n_rows, 2);
    assert_row(&org, "p-1|One|Bug|M.Bug|New|Proposed|");
    assert_row(&org, "p-2|Two|Bug|M.Bug|New|Proposed|");
    organisation_release(&org);
    load(&org, "project", REPLIES, ARRAY_SIZE(REPLIES)); /* and what is stored of them stays */
    assert_string_equal(value_of(&org, 0, "process_id"), "-");
    organisation_release(&org);
}

static void states_that_may_not_be_read_are_an_error(void **state)
{
    static const int REFUSALS[] = {403, 404};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(REFUSALS); i++) {
        const struct fake_reply replies[] = {
            WHO,
            PROJECTS,
            {"GET " ADO_WORK "/processes?", 403, NULL, "{\"message\":\"no\"}"},
            {"GET /_apis/projects/p-1?", 0, NULL, "{\"id\":\"p-1\"}"},
            {"GET /_apis/projects/p-1/properties", 403, NULL, "{\"message\":\"no\"}"},
            {"GET /p-1/_apis/wit/workitemtypes", REFUSALS[i], NULL, "{\"message\":\"no\"}"},
        };
        struct organisation org;
        load(&org, "work_item_type_state", replies, ARRAY_SIZE(replies));
        assert_fails(&org, REFUSALS[i] == 403 ? ERROR_DENIED : ERROR_CONFIG,
                     "View project-level information");
        assert_non_null(strstr(org.err.msg, "project p-1 (process One)"));
        organisation_release(&org);
    }
}

static void a_process_is_read_from_another_project_if_the_first_went(void **state)
{
    static const struct fake_reply REPLIES[] = {
        WHO,
        PROCESSES,
        {"GET " ADO_WORK "/processes/t-1/workitemtypes", 404, NULL, "{\"message\":\"none\"}"},
        {"GET " ADO_WORK "/processes/t-2/workitemtypes", 404, NULL, "{\"message\":\"none\"}"},
        {"GET /p-1/_apis/wit/workitemtypes", 404, NULL, "{\"message\":\"TF200016\"}"},
        {"GET /_apis/projects/p-1?", 404, NULL, "{\"message\":\"TF200016\"}"},
        STATES_OF("p-2"),
    };

    struct organisation org;
    (void)state;
    load(&org, "work_item_type_state", REPLIES, ARRAY_SIZE(REPLIES));
    assert_ended(&org);
    assert_int_equal(org.n_rows, 1);
    assert_row(&org, "t-1|Agile|Bug|M.Bug|New|Proposed|");
    organisation_release(&org);
}

static void iterations_are_written_as_work_items_name_them(void **state)
{
    static const struct fake_reply REPLIES[] = {
        WHO,
        PROJECTS,
        {"GET /p-1/_apis/wit/classificationnodes/iterations?$depth=20&api-version=7.1", 0, NULL,
         "{\"id\":1,\"identifier\":\"i-1\",\"name\":\"One\",\"hasChildren\":true,\"children\":["
         "{\"id\":2,\"identifier\":\"i-2\",\"name\":\"Sprint 1\",\"hasChildren\":false,"
         "\"attributes\":{\"startDate\":\"2019-06-17T00:00:00Z\",\"finishDate\":"
         "\"2019-06-28T00:00:00Z\"},\"path\":\"\\\\One\\\\Iteration\\\\Sprint 1\"},"
         "{\"id\":3,\"identifier\":\"i-3\",\"name\":\"R/1\",\"hasChildren\":true,"
         "\"path\":\"\\\\One\\\\Iteration\\\\R/1\"}]}"},
        {"GET /p-1/_apis/wit/classificationnodes/iterations/R%2F1?$depth=20&api-version=7.1", 0,
         NULL,
         "{\"id\":3,\"identifier\":\"i-3\",\"name\":\"R/1\",\"hasChildren\":true,\"children\":["
         "{\"id\":4,\"identifier\":\"i-4\",\"name\":\"Deep\",\"hasChildren\":false}]}"},
        {"GET /p-2/_apis/wit/classificationnodes/iterations?", 0, NULL,
         "{\"id\":9,\"identifier\":\"i-9\",\"name\":\"Two\",\"hasChildren\":false,"
         "\"path\":\"\\\\Two\\\\Iteration\"}"},
    };

    struct organisation org;
    (void)state;
    load(&org, "iteration", REPLIES, ARRAY_SIZE(REPLIES));
    assert_ended(&org);
    assert_int_equal(org.n_rows, 5);
    assert_row(&org, "i-1|p-1|1|One|One|-|-|-|0");
    assert_row(&org, "i-2|p-1|2|Sprint 1|One\\Sprint 1|");
    assert_row(&org, "i-3|p-1|3|R/1|One\\R/1|-|-|1|1");
    assert_row(&org, "i-4|p-1|4|Deep|One\\R/1\\Deep|-|-|3|2");
    assert_row(&org, "i-9|p-2|9|Two|Two|-|-|-|0");
    organisation_release(&org);
}

static void iterations_of_a_project_that_went_are_none(void **state)
{
    static const struct fake_reply GONE[] = {
        WHO,
        PROJECTS,
        {"GET /p-1/_apis/wit/classificationnodes/", 404, NULL, "{\"message\":\"TF200016\"}"},
        {"GET /_apis/projects/p-1?api-version=7.1", 404, NULL, "{\"message\":\"TF200016\"}"},
        {"GET /p-2/_apis/wit/classificationnodes/", 0, NULL,
         "{\"id\":9,\"identifier\":\"i-9\",\"name\":\"Two\"}"},
    };
    static const struct fake_reply REFUSED[] = {
        WHO,
        PROJECTS,
        {"GET /p-1/_apis/wit/classificationnodes/", 404, NULL, "{\"message\":\"TF200016\"}"},
        {"GET /_apis/projects/p-1?api-version=7.1", 0, NULL, "{\"id\":\"p-1\"}"},
    };

    struct organisation org;
    (void)state;
    load(&org, "iteration", GONE, ARRAY_SIZE(GONE));
    assert_ended(&org);
    assert_int_equal(org.n_rows, 1);
    organisation_release(&org);
    load(&org, "iteration", REFUSED, ARRAY_SIZE(REFUSED));
    assert_fails(&org, ERROR_CONFIG, "iterations of project One");
    organisation_release(&org);
}

#define ENTITLEMENTS_URL "http://ado.test/acme/_entitlements"
#define GRAPH_URL        "http://ado.test/acme/_graph"

static void
load_people(struct organisation *org, const struct fake_reply *replies, size_t n_replies)
{
    organisation_init(org, "identity");
    org->config.entitlements_url = ENTITLEMENTS_URL;
    org->config.graph_url = GRAPH_URL;
    org->azure.replies = replies;
    org->azure.n_replies = n_replies;
    organisation_load(org);
}

static void people_come_from_entitlements_by_token(void **state)
{
    static const struct fake_reply REPLIES[] = {
        WHO,
        {"GET /_entitlements/_apis/userentitlements?api-version=7.1&continuationToken=a%20b", 0,
         NULL,
         "{\"items\":[{\"id\":\"v-2\",\"user\":{\"principalName\":\"b@x.test\"},"
         "\"accessLevel\":{\"status\":\"disabled\"}}],\"continuationToken\":null}"},
        {"GET /_entitlements/_apis/userentitlements?api-version=7.1", 0, NULL,
         "{\"members\":[{\"id\":\"v-1\",\"user\":{\"principalName\":\"a@x.test\",\"mailAddress\":"
         "\"a@mail.test\",\"displayName\":\"A\",\"origin\":\"aad\",\"originId\":\"o-1\","
         "\"descriptor\":\"aad.x\"},\"accessLevel\":{\"status\":\"active\"}}],"
         "\"continuationToken\":\"a b\",\"totalCount\":2}"},
    };

    struct organisation org;
    (void)state;
    load_people(&org, REPLIES, ARRAY_SIZE(REPLIES));
    assert_ended(&org);
    assert_int_equal(org.plan.kind, WALK_ALL);
    assert_false(org.plan.confirm_missing); /* the engine adds whom work items name */
    assert_false(org.plan.keeps_missing);
    assert_int_equal(org.n_rows, 2);
    assert_row(&org, "v-1|a@x.test|A|a@mail.test|aad.x|aad|o-1|yes");
    assert_row(&org, "v-2|b@x.test|-|-|-|-|-|no");
    organisation_release(&org);
}

static void people_come_from_graph_where_entitlements_are_closed(void **state)
{
    static const struct fake_reply REPLIES[] = {
        WHO,
        {"GET /_entitlements/", 401, NULL, ""},
        {"GET /_graph/_apis/graph/users?api-version=7.1-preview.1&continuationToken=t2", 0, NULL,
         "{\"count\":1,\"value\":[{\"descriptor\":\"aad.none\"}]}"},
        {"GET /_graph/_apis/graph/users?api-version=7.1-preview.1", 0, "X-MS-ContinuationToken: t2",
         "{\"count\":1,\"value\":[{\"descriptor\":\"aad.x\",\"principalName\":\"a@x.test\","
         "\"displayName\":\"A\",\"mailAddress\":\"\",\"origin\":\"aad\",\"originId\":\"o-1\"}]}"},
        {"GET /_graph/_apis/graph/storagekeys/aad.x?api-version=7.1", 0, NULL,
         "{\"value\":\"v-1\"}"},
        {"GET /_graph/_apis/graph/storagekeys/aad.none", 404, NULL, "{\"message\":\"none\"}"},
    };

    struct organisation org;
    (void)state;
    load_people(&org, REPLIES, ARRAY_SIZE(REPLIES));
    assert_ended(&org);
    assert_int_equal(org.n_rows, 1);
    assert_row(&org, "v-1|a@x.test|A|-|aad.x|aad|o-1|-");
    organisation_release(&org);
}

static void people_come_from_teams_where_directories_are_closed(void **state)
{
    static const struct fake_reply REPLIES[] = {
        WHO,
        PROJECTS,
        {"GET /_entitlements/", 203, NULL, "<html>"},
        {"GET /_graph/", 403, NULL, "{}"},
        {"GET /_apis/projects/p-1/teams?$top=100&$skip=0&api-version=7.1", 0, NULL,
         "{\"value\":[{\"id\":\"t-1\"},{\"id\":\"t-2\"}],\"count\":2}"},
        {"GET /_apis/projects/p-1/teams/t-1/members?$top=100&$skip=0&api-version=7.1", 0, NULL,
         "{\"value\":[{\"isTeamAdmin\":false,\"identity\":{\"id\":\"v-1\",\"displayName\":\"A\","
         "\"uniqueName\":\"a@x.test\"}},{\"identity\":{\"id\":\"g\",\"isContainer\":true}}]}"},
        {"GET /_apis/projects/p-1/teams/t-2/members", 0, NULL,
         "{\"value\":[{\"identity\":{\"id\":\"v-2\",\"displayName\":\"B\",\"inactive\":true}}]}"},
        {"GET /_apis/projects/p-2/teams", 403, NULL, "{\"message\":\"no right\"}"},
    };

    struct organisation org;
    (void)state;
    load_people(&org, REPLIES, ARRAY_SIZE(REPLIES));
    assert_ended(&org);
    assert_int_equal(org.n_rows, 2);
    assert_true(org.plan.keeps_missing); /* who is in no team is somebody all the same */
    assert_row(&org, "v-1|a@x.test|A|-|-|-|-|-");
    assert_row(&org, "v-2|-|B|-|-|-|-|no");
    organisation_release(&org);
}

static void servers_without_directories_are_not_asked_for_them(void **state)
{
    static const struct fake_reply REPLIES[] = {
        WHO, {"GET /_apis/projects?", 0, NULL, "{\"count\":0,\"value\":[]}"}};

    struct organisation org;
    (void)state;
    load(&org, "identity", REPLIES, ARRAY_SIZE(REPLIES));
    assert_ended(&org);
    assert_int_equal(org.n_rows, 0);
    assert_int_equal(org.azure.n_requests, 2);
    organisation_release(&org);
}

static void answer_without_a_list_once(struct fake_azure *azure, size_t index)
{
    static const struct fake_reply BROKEN[] = {
        {"GET /_apis/projects?", 0, NULL, "{}"},
    };
    static const struct fake_reply WHOLE[] = {
        {"GET " ADO_WORK "/processes?", 0, NULL, "{\"count\":0,\"value\":[]}"},
        {"GET /_apis/projects?", 0, NULL,
         "{\"count\":1,\"value\":[{\"id\":\"p-1\",\"name\":\"A\"}]}"},
        {"GET /_apis/projects/p-1?", 404, NULL, "{\"message\":\"TF200016\"}"},
    };
    bool is_first = fake_azure_count(azure, "GET /_apis/projects?") == 0 && index > 0;
    azure->replies = is_first ? BROKEN : WHOLE;
    azure->n_replies = is_first ? ARRAY_SIZE(BROKEN) : ARRAY_SIZE(WHOLE);
}

static void an_answer_without_its_list_is_asked_for_again(void **state)
{
    static const struct partition ALL = {
        .kind = WALK_ALL, .from_us = INT64_MIN, .to_us = INT64_MAX};

    struct organisation org;
    (void)state;
    organisation_init(&org, "project");
    org.azure.before = answer_without_a_list_once;
    organisation_walk(&org, &ALL);
    assert_ended(&org);
    assert_int_equal(org.n_rows, 1);
    assert_int_equal(fake_azure_count(&org.azure, "GET /_apis/projects?"), 2);
    organisation_release(&org);
}

static void an_anonymous_visitor_is_refused_before_anything_is_read(void **state)
{
    static const struct {
        const char *body;
        bool is_good;
    } CASES[] = {
        {"{\"authenticatedUser\":{\"id\":\"7c2a3f10-0000-4000-8000-000000000001\"}}", true},
        {"{\"authenticatedUser\":{\"id\":\"aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa\","
         "\"isActive\":true}}",
         false},
        {"{\"authenticatedUser\":{\"id\":\"00000000-0000-0000-0000-000000000000\"}}", false},
        {"{\"authenticatedUser\":{}}", false},
        {"{}", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        const struct fake_reply reply = {"GET /_apis/connectionData", 0, NULL, CASES[i].body};
        void *session = NULL;
        struct organisation org;
        organisation_init_with(&org, "project", &reply, 1);
        organisation_connect(&org);
        bool is_open = azure_devops_connector.open(&org.config, org.client, &session, &org.err);
        assert_int_equal(is_open, CASES[i].is_good);
        if (!is_open) {
            assert_fails(&org, ERROR_DENIED, "anonymous visitor");
            assert_false(organisation_plan(&org)); /* nor later, if the token expires meanwhile */
            assert_fails(&org, ERROR_DENIED, "anonymous visitor");
        }
        organisation_release(&org);
    }
}

static void only_the_url_of_an_organisation_is_taken(void **state)
{
    static const struct {
        const char *url;
        bool is_good;
    } CASES[] = {
        {"https://dev.azure.com/acme", true},
        {"https://dev.azure.com/acme/", true},
        {"https://dev.azure.com/acme/Project", false},
        {"https://dev.azure.com/acme/_apis", false},
        {"https://dev.azure.com", false},
        {"https://acme.visualstudio.com", true},
        {"https://acme.visualstudio.com/DefaultCollection", true},
        {"https://acme.visualstudio.com/Project", false},
        {"https://server.test/tfs/DefaultCollection", true}, /* may be anything */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct error err = ERROR_INIT;
        struct source_config source = fake_config();
        source.url = CASES[i].url;
        assert_int_equal(ado_check_url(&source, &err), CASES[i].is_good);
        assert_int_equal(err.code, CASES[i].is_good ? ERROR_NONE : ERROR_CONFIG);
    }
}

static void a_table_nobody_knows_is_a_fault_of_the_catalog(void **state)
{
    struct organisation org;
    struct task_def task;
    (void)state;
    organisation_init(&org, "project");
    task = *org.task;
    task.table = "dashboard";
    org.request.task = &task;
    assert_false(organisation_plan(&org));
    assert_fails(&org, ERROR_CONFIG, "no table \"dashboard\"");
    organisation_release(&org);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(projects_land_with_their_process),
        cmocka_unit_test(a_project_whose_process_is_not_listed_is_asked_for_it),
        cmocka_unit_test(projects_are_read_by_token_and_beyond_a_lost_token),
        cmocka_unit_test(projects_whose_token_leads_nowhere_are_an_error),
        cmocka_unit_test(given_projects_are_asked_for_one_by_one),
        cmocka_unit_test(states_come_with_one_request_a_process),
        cmocka_unit_test(states_come_type_by_type_where_processes_are_closed),
        cmocka_unit_test(a_project_that_does_not_name_its_process_has_properties_that_do),
        cmocka_unit_test(states_of_a_project_whose_process_nobody_tells_are_its_own),
        cmocka_unit_test(states_that_may_not_be_read_are_an_error),
        cmocka_unit_test(a_process_is_read_from_another_project_if_the_first_went),
        cmocka_unit_test(iterations_are_written_as_work_items_name_them),
        cmocka_unit_test(iterations_of_a_project_that_went_are_none),
        cmocka_unit_test(people_come_from_entitlements_by_token),
        cmocka_unit_test(people_come_from_graph_where_entitlements_are_closed),
        cmocka_unit_test(people_come_from_teams_where_directories_are_closed),
        cmocka_unit_test(servers_without_directories_are_not_asked_for_them),
        cmocka_unit_test(an_answer_without_its_list_is_asked_for_again),
        cmocka_unit_test(an_anonymous_visitor_is_refused_before_anything_is_read),
        cmocka_unit_test(only_the_url_of_an_organisation_is_taken),
        cmocka_unit_test(a_table_nobody_knows_is_a_fault_of_the_catalog),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
