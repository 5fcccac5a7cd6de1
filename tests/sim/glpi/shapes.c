#include "tests/sim/glpi/world.h"

#define INT  TYPE_INT
#define TEXT TYPE_TEXT
#define TREE TYPE_TREE
#define TIME TYPE_TIME
#define BOTH IN_BOTH
#define V10  IN_V10
#define V11  IN_V11

#define TABLE_BEGIN(table)                          static const struct column table##_columns[] = {
#define COLUMN(table, name, type, target, versions) {#name, type, target, versions},
#define TABLE_END(table)                                                                           \
    }                                                                                              \
    ;
#include "tests/sim/glpi/tables.def"
#undef TABLE_BEGIN
#undef COLUMN
#undef TABLE_END

#define TABLE_BEGIN(table) {ITEM_##table, #table, table##_columns, N_##table##_COLUMNS},
#define COLUMN(table, name, type, target, versions)
#define TABLE_END(table)

const struct shape itemtypes[N_ITEMTYPES] = {
#include "tests/sim/glpi/tables.def"
};
