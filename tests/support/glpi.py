"""End-to-end tests of GLPI: its tasks, the truth of each, and the changes its users make."""

import collections
import os

import control
from foz import COMPLETE, FozTest, differences, wait_until

# Landed table -> itemtype.
TICKETS = {"ticket": "Ticket", "ticket_user": "Ticket_User", "group_ticket": "Group_Ticket", "itil_followup": "ITILFollowup",
           "ticket_task": "TicketTask", "itil_solution": "ITILSolution", "log": "Log"}
DIRECTORY = {"user": "User", "user_email": "UserEmail", "group": "Group", "entity": "Entity", "itil_category": "ITILCategory",
             "location": "Location", "sla": "SLA"}
ITEMTYPES = {**TICKETS, **DIRECTORY}
CHILDREN = {"ticket_user": "tickets_id", "group_ticket": "tickets_id", "itil_followup": "items_id", "ticket_task": "tickets_id",
            "itil_solution": "items_id", "log": "items_id"}


# Commands of foz-sim's control interface; control.py has those that every system knows.

def op(verb, table=None, **values):
    return {verb: {"system": "glpi", **({"table": table} if table else {}), **values}}


def insert(table, **values):
    return op("insert", table, set=values)


def update(table, identity, **values):
    return op("update", table, id=identity, set=values)


def silent_update(table, identity, **values):
    """As a script does it in the database: no stamp moves, no history is written."""
    return op("update", table, id=identity, set=values, silent=True)


def purge(table, identity):
    return op("purge", table, id=identity)


def trash(identity, table="Ticket"):
    return op("trash", table, id=identity)


def restore(identity, table="Ticket"):
    return op("restore", table, id=identity)


def burst(table, count, kind="update", same_second=True, **values):
    return op("burst", table, n=count, kind=kind, same_second=same_second, set=values)


def add_actor(ticket, **values):
    return op("add_actor", ticket=ticket, **values)


def remove_actor(ticket, **values):
    return op("remove_actor", ticket=ticket, **values)


def rename(table, identity, name):
    return op("rename", table, id=identity, name=name)


def fault(kind, **options):
    return control.fault(kind, system="glpi", **options)


def on_request(number, *commands, table=None):
    """Just before the number-th request to GLPI; with `table` the number-th list of that itemtype."""
    return {"on_request": number, "system": "glpi", **({"table": table} if table else {}), "do": list(commands)}


class GlpiTest(FozTest):
    """One GLPI server, the source `desk`."""

    source_name = "desk"
    tickets = 300

    def setUp(self):
        super().setUp()
        self.env.update({"FOZ_TEST_TOKEN": "foz-glpi-token", "FOZ_TEST_APP_TOKEN": "foz-app-token"})

    def tearDown(self):
        self.assert_sessions_closed()
        super().tearDown()

    def source_of(self, sim):
        return {"type": "glpi", "url": f"{sim.url}/glpi/apirest.php",
                "auth": {"method": "user_token", "user_token": "env:FOZ_TEST_TOKEN", "app_token": "env:FOZ_TEST_APP_TOKEN"}}

    # -- the source

    def source_rows(self, itemtype, sim=None, **parameters):
        return (sim or self.sim).rows(itemtype, system="glpi", **parameters)

    def ids(self, itemtype="Ticket", trashed=False, sim=None):
        """In ascending order; of itemtypes with a trash the live ones, or those in it."""
        return sorted(row["id"] for row in self.source_rows(itemtype, sim) if bool(row.get("is_deleted")) == trashed)

    def children(self, itemtype, ticket):
        key = "tickets_id" if itemtype in ("Ticket_User", "Group_Ticket", "TicketTask") else "items_id"
        return [row for row in self.source_rows(itemtype) if row[key] == ticket and row.get("itemtype", "Ticket") == "Ticket"]

    def ticket_with(self, itemtype, at_least=1):
        """A live ticket that has so many rows of the itemtype."""
        live = set(self.ids())
        key = "tickets_id" if itemtype in ("Ticket_User", "Group_Ticket", "TicketTask") else "items_id"
        counts = collections.Counter(row[key] for row in self.source_rows(itemtype) if row.get("itemtype", "Ticket") == "Ticket")
        return min(ticket for ticket, n in counts.items() if n >= at_least and ticket in live)

    def now(self):
        return self.sim.state()["clock"].replace("T", " ")[:19]

    def wait_for_requests(self, number):
        """Until the source has been asked so many times from now."""
        before = self.sim.state()["requests"]
        wait_until(lambda: self.sim.state()["requests"] >= before + number, f"{number} requests")

    def login_state(self, sim=None):
        return (sim or self.sim).state()["glpi"]

    # -- truth against target

    def truth(self, task, sim=None, account=None):
        seen = {"account": account} if account else {}
        rows = self.source_rows(ITEMTYPES[task], sim, **seen)
        if task in CHILDREN:
            tickets = {row["id"] for row in self.source_rows("Ticket", sim, fields="id", **seen)}
            rows = [row for row in rows if row.get("itemtype", "Ticket") == "Ticket" and row[CHILDREN[task]] in tickets]
        return rows

    def differences(self, task, source=None, sim=None, account=None):
        return differences(self.database, task, self.truth(task, sim, account), source or self.source_name, "id", "glpi")

    def assert_copies(self, *tasks, source=None, sim=None, account=None, may_be_empty=()):
        """The landed tables equal the source, row by row and field by field."""
        for task in tasks or ITEMTYPES:
            truth = self.truth(task, sim, account)
            found = differences(self.database, task, truth, source or self.source_name, "id", "glpi")
            self.assertEqual([], found[:20], f"{len(found)} differences in {task}")
            if task not in may_be_empty:
                self.assertGreater(len(truth), 0, f"{task} is empty in the source: nothing was compared")

    def assert_sessions_closed(self, leftover=0):
        """Whatever was opened at the server was closed there."""
        for sim in {program for program in self._programs if program.name.startswith("foz-sim") and program.is_running()}:
            state = self.login_state(sim)
            self.assertLessEqual(state["sessions"], leftover, f"sessions left open at the server: {state}")

    def snapshot(self, task, etl=True):
        return self.database.snapshot(task, "glpi", etl, "id")

    def snapshots(self, tasks=tuple(TICKETS)):
        return {task: self.snapshot(task) for task in tasks}

    def landed(self, column, identity, task="ticket"):
        return self.database.one(f"SELECT {column} FROM glpi.\"{task}\" WHERE id = {identity}")

    def count(self, task):
        return int(self.database.one(f"SELECT count(*) FROM glpi.\"{task}\""))

    def last_tasks(self):
        return self.database.tasks(self.database.last_execution()["id"])

    def next_run_is_exact(self, *modes):
        """What moved under the run before is caught up with; purges need a reconciliation."""
        self.sim.do(control.clear_requests(), control.clear_faults())
        self.sim.change()
        for mode in modes or ("incremental",):
            self.load("tickets", "--mode", mode, expect=COMPLETE)
        self.assert_copies(*TICKETS)
        self.assert_ledger()
        self.assert_no_leftovers()


def helpdesk_log(test_data_folder):
    """The recorded help desk log below the folder of real logs, or None."""
    for folder in (os.path.join(test_data_folder, "data"), test_data_folder):
        if os.path.exists(os.path.join(folder, "helpdesk_italian", "finale.csv.gz")):
            return folder
    return None
