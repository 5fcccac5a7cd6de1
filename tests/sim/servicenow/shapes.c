#include "tests/sim/servicenow/shapes.h"

#include "common/base/cleanup.h"

/* clang-format off */
#define CHOICES(name) static const struct choice name##_choices[] =

CHOICES(state) {{"1", "New"}, {"2", "In Progress"}, {"3", "On Hold"}, {"4", "Awaiting User Info"},
    {"5", "Awaiting Evidence"}, {"6", "Resolved"}, {"7", "Closed"}, {"8", "Canceled"},
    {"20", "Awaiting Vendor"}, {NULL, NULL}};
CHOICES(priority) {{"1", "1 - Critical"}, {"2", "2 - High"}, {"3", "3 - Moderate"},
    {"4", "4 - Low"}, {"5", "5 - Planning"}, {NULL, NULL}};
CHOICES(impact) {{"1", "1 - High"}, {"2", "2 - Medium"}, {"3", "3 - Low"}, {NULL, NULL}};
CHOICES(escalation) {{"0", "Normal"}, {"1", "Moderate"}, {"2", "High"}, {"3", "Overdue"},
    {NULL, NULL}};
CHOICES(contact) {{"phone", "Phone"}, {"email", "Email"}, {"self-service", "Self-service"},
    {"walk-in", "Walk-in"}, {"chat", "Chat"}, {NULL, NULL}};
CHOICES(approval) {{"not requested", "Not Yet Requested"}, {"approved", "Approved"},
    {NULL, NULL}};
CHOICES(upon) {{"proceed", "Proceed to Next Task"}, {"cancel", "Cancel all future Tasks"},
    {NULL, NULL}};
CHOICES(class) {{"incident", "Incident"}, {"incident_task", "Incident Task"},
    {"change_request", "Change Request"}, {"problem", "Problem"}, {"contract_sla", "SLA Definition"},
    {"core_company", "Company"}, {"sys_user", "User"}, {"cmdb_ci_network_link", "Network Link"},
    {NULL, NULL}};
CHOICES(category) {{"inquiry", "Inquiry / Help"}, {"software", "Software"},
    {"hardware", "Hardware"}, {"network", "Network"}, {"database", "Database"},
    {"password_reset", "Password Reset"}, {NULL, NULL}};
CHOICES(notify) {{"1", "Do Not Notify"}, {"2", "Send Email"}, {"3", "Telephone"}, {NULL, NULL}};
CHOICES(hold) {{"1", "Awaiting Caller"}, {"2", "Awaiting Change"}, {"3", "Awaiting Problem"},
    {"4", "Awaiting Vendor"}, {NULL, NULL}};
CHOICES(stage) {{"in_progress", "In progress"}, {"paused", "Paused"}, {"completed", "Completed"},
    {"cancelled", "Cancelled"}, {NULL, NULL}};
CHOICES(target) {{"response", "Response"}, {"resolution", "Resolution"}, {NULL, NULL}};
CHOICES(install) {{"1", "Installed"}, {"3", "In Maintenance"}, {"7", "Retired"}, {NULL, NULL}};
CHOICES(operational) {{"1", "Operational"}, {"2", "Non-Operational"}, {NULL, NULL}};

#define PLAIN(name, type)           {#name, FIELD_##name, COLUMN_##type, NULL, NULL}
#define REF(name, target)           {#name, FIELD_##name, COLUMN_REFERENCE, target, NULL}
#define CHOICE(name, type, choices) {#name, FIELD_##name, COLUMN_##type, NULL, choices}

#include "tests/sim/servicenow/columns.def"
/* clang-format on */

const int n_shapes = (int)ARRAY_SIZE(shapes);
