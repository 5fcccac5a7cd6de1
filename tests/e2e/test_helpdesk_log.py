"""A real help desk log, replayed as GLPI: the copy equals an independent replay, row by row."""

import collections
import csv
import gzip
import os
import time
import unittest
from datetime import datetime

import control
import foz
from foz import SANITIZER
from glpi import TICKETS, GlpiTest, helpdesk_log

SHARED = os.environ.get("FOZ_TEST_DATA") or os.path.join(os.path.dirname(foz.ROOT), "shared")
DATA = helpdesk_log(SHARED)
STATUS = {"Take in charge ticket": 2, "Schedule intervention": 3, "Require upgrade": 3, "Create SW anomaly": 3, "Wait": 4,
          "Resolve ticket": 5, "RESOLVED": 5, "Resolve SW anomaly": 5, "DUPLICATE": 5, "INVALID": 5, "VERIFIED": 5, "Closed": 6,
          "Assign seriousness": 1, "Insert ticket": 1}
SOLVING = ("Resolve ticket", "RESOLVED", "Resolve SW anomaly", "DUPLICATE", "INVALID")
FIRST_RESOURCE = 100


def number(text):
    return int(text.split(" ")[1])


class Replay:
    """The log, replayed in Python from its description alone: the state of every ticket at an instant."""

    def __init__(self, folder):
        with gzip.open(os.path.join(folder, "helpdesk_italian", "finale.csv.gz"), "rt", encoding="ascii") as log:
            rows = list(csv.DictReader(log))
        stamped = [(datetime.strptime(row["Complete Timestamp"][:19], "%Y/%m/%d %H:%M:%S"), index, row) for index, row in enumerate(rows)]
        self.events = sorted(stamped, key=lambda event: event[:2])
        self.end = self.events[-1][0]

    def at(self, moment):
        """Per ticket: what the log alone knows."""
        tickets = {}
        for stamp, _, row in self.events:
            if stamp > moment:
                break
            text = stamp.strftime("%Y-%m-%d %H:%M:%S")
            ticket = tickets.setdefault(number(row["Case ID"]), {
                "date": text, "users": set(), "groups": set(), "solutions": 0, "name": f"Product {number(row['product'])}, customer {number(row['customer'])}",
                "entities_id": number(row["customer"]), "itilcategories_id": number(row["product"]),
                "type": 1 if number(row["service_type"]) == 1 else 2, "solvedate": None, "closedate": None})
            activity = row["Activity"]
            status = STATUS.get(activity, ticket.get("status", 1))
            self._dates(ticket, status, text)
            ticket.update(status=status, date_mod=text, users_id_lastupdater=FIRST_RESOURCE + number(row["Resource"]))
            ticket["groups"].add(number(row["workgroup"]))
            ticket["solutions"] += activity in SOLVING
            if activity == "Take in charge ticket":
                ticket["users"].add(FIRST_RESOURCE + number(row["Resource"]))
        return tickets

    @staticmethod
    def _dates(ticket, status, text):
        """Solving and closing set their dates; reopening clears them, going back from closed to solved does not."""
        before = ticket.get("status")
        if status != before and status in (5, 6):
            ticket["solvedate"] = ticket["solvedate"] or text
            ticket["closedate"] = text if status == 6 else ticket["closedate"]
        elif status != before and before in (5, 6):
            ticket.update(solvedate=None, closedate=None)


@unittest.skipUnless(DATA, "the real logs are absent; FOZ_TEST_DATA names their folder")
@unittest.skipIf(SANITIZER, "the log is replayed without a sanitizer only")
class RealLog(GlpiTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.replay = Replay(DATA)

    def start_sim(self, *arguments, **options):
        return super().start_sim("--data", DATA, *arguments, **{"tickets": None, **options})

    def show(self, moment):
        self.sim.do(control.set_clock(moment.strftime("%Y-%m-%dT%H:%M:%SZ")))

    def grouped(self, table, value):
        found = collections.defaultdict(set)
        for ticket, who in self.database.rows(f"SELECT tickets_id, {value} FROM glpi.{table} WHERE type = 2"):
            found[int(ticket)].add(int(who))
        return found

    def assert_equals_replay(self, moment):
        """The log's own facts against the landed rows, and everything against the simulator."""
        wanted = self.replay.at(moment)
        landed = {row["id"]: row for row in self.database.dicts("SELECT * FROM glpi.ticket")}
        self.assertEqual(wanted.keys(), landed.keys())
        users, groups = self.grouped("ticket_user", "users_id"), self.grouped("group_ticket", "groups_id")
        solutions = {int(ticket): int(n) for ticket, n in self.database.rows("SELECT items_id, count(*) FROM glpi.itil_solution GROUP BY 1")}
        found = []
        for identity, ticket in wanted.items():
            row = landed[identity]
            have = {name: row[name] if not name.startswith("date") and not name.endswith("date") else row[name] and row[name][:19].replace("T", " ")
                    for name in ticket if name not in ("users", "groups", "solutions")}
            have.update(users=users.get(identity, set()), groups=groups.get(identity, set()), solutions=solutions.get(identity, 0))
            found += [f"{identity}.{name}: landed {have[name]!r}, the log says {value!r}" for name, value in ticket.items() if have[name] != value]
        self.assertEqual([], found[:20], f"{len(found)} differences")
        self.assert_copies(*TICKETS, may_be_empty=("itil_followup", "ticket_task"))
        return len(wanted)

    def test_a_full_load_as_of_the_end(self):
        self.assertEqual(21348, len(self.replay.events))
        self.show(self.replay.end)
        started = time.monotonic()
        self.load("tickets", "--mode", "full")
        seconds = time.monotonic() - started
        self.assertEqual(4580, self.assert_equals_replay(self.replay.end))
        self.assert_ledger()
        tasks = self.last_tasks()
        self.assertEqual((4580, 4580), (tasks["ticket"]["records_read"], tasks["ticket"]["records_inserted"]))
        print(f"help desk log, full: {sum(task['records_read'] for task in tasks.values())} rows of 7 tables, {seconds:.1f} s, "
              f"{sum(task['requests'] for task in tasks.values())} requests")

    def test_a_chain_of_increments_through_its_years(self):
        reopened = datetime(2011, 6, 8, 17, 5, 32)  # a closed ticket is solved again, in this second
        moments = [datetime(2010, 3, 1), datetime(2010, 3, 2, 12), datetime(2010, 7, 15, 9, 30), reopened, self.replay.end]
        for index, moment in enumerate(moments):
            with self.subTest(moment=str(moment)):
                self.show(moment)
                self.load("tickets")
                if index:
                    self.assertEqual("incremental", self.database.last_execution()["mode"])
                self.assert_equals_replay(moment)
                self.assert_ledger()


if __name__ == "__main__":
    unittest.main()
