#include "tests/sim/servicenow/world.h"

#include <string.h>

#include "common/base/alloc.h"

#define DAY_S INT64_C(86400)

struct size {
    const char *name;
    const struct generator *generator;
    int64_t fixed;                          /* rows, or */
    int64_t per_ticket_num, per_ticket_den; /* share of the incidents */
    int64_t lag_max_s;
};

static const struct size sizes[] = {
    {"incident", &generate_task, 0, 1, 1, 41 * DAY_S},
    {"task_sla", &generate_sla, 0, 2, 1, 6 * DAY_S},
    {"incident_task", &generate_task, 0, 1, 4, 41 * DAY_S},
    {"change_request", &generate_task, 0, 1, 4, 41 * DAY_S},
    {"problem", &generate_task, 0, 1, 20, 41 * DAY_S},
    {"task_time_worked", &generate_time, 0, 1, 2, 2 * DAY_S},
    {"sys_user", &generate_person, WORLD_USERS, 0, 1, 300 * DAY_S},
    {"sys_user_group", &generate_directory, WORLD_GROUPS, 0, 1, 300 * DAY_S},
    {"core_company", &generate_directory, WORLD_COMPANIES, 0, 1, 300 * DAY_S},
    {"cmn_location", &generate_directory, WORLD_LOCATIONS, 0, 1, 300 * DAY_S},
    {"cmdb_ci_network_link", &generate_directory, WORLD_LINKS, 0, 1, 300 * DAY_S},
    {"contract_sla", &generate_directory, WORLD_SLAS, 0, 1, 300 * DAY_S},
};

static void
build_table(struct store *store, struct table *table, const struct shape *shape, bool empty)
{
    int64_t n_base = 0;

    table->name = shape->name;
    table->columns = shape->columns;
    table->n_columns = shape->n_columns;
    table->empty_for_user = shape->empty_for_user;
    table->forbidden_for_user = shape->forbidden_for_user;
    table->audited = shape->audited;
    table->col_display =
        shape->display == NULL ? -1 : table_column(table, str_from(shape->display));
    table->span_s = 730 * DAY_S;
    table->first_s = store->base_s - table->span_s;
    table->lag_max_s = table->span_s;
    for (size_t i = 0; i < ARRAY_SIZE(sizes) && !empty; i++) {
        if (strcmp(sizes[i].name, shape->name) == 0) {
            n_base = sizes[i].fixed +
                     store->n_tickets * sizes[i].per_ticket_num / sizes[i].per_ticket_den;
            table->generator = sizes[i].generator;
            table->lag_max_s = sizes[i].lag_max_s;
        }
    }
    table_init(table, store, n_base);
}

void world_build(struct store *store, struct world *world, bool empty)
{
    store->tables = xcalloc((size_t)n_shapes, sizeof(*store->tables));
    store->n_tables = n_shapes;
    store->world = world;
    for (int i = 0; i < n_shapes; i++) {
        build_table(store, &store->tables[i], &shapes[i], empty);
    }
    world->incident = store_table(store, STR_LITERAL("incident"));
    world->incident_task = store_table(store, STR_LITERAL("incident_task"));
    world->change_request = store_table(store, STR_LITERAL("change_request"));
    world->problem = store_table(store, STR_LITERAL("problem"));
    world->sys_user = store_table(store, STR_LITERAL("sys_user"));
    world->sys_user_group = store_table(store, STR_LITERAL("sys_user_group"));
    world->core_company = store_table(store, STR_LITERAL("core_company"));
    world->cmn_location = store_table(store, STR_LITERAL("cmn_location"));
    world->contract_sla = store_table(store, STR_LITERAL("contract_sla"));
}
