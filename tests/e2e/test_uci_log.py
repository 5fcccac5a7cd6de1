"""A real incident log of a ServiceNow instance, replayed: the copy equals an independent replay, row by row."""

import csv
import functools
import gzip
import hashlib
import os
import time
import unittest
from datetime import datetime, timedelta

import control
from foz import SANITIZER, FozTest, differences, test_data

DATA = test_data()
STATES = {"New": "1", "Active": "2", "Awaiting Problem": "3", "Awaiting User Info": "4", "Awaiting Evidence": "5",
          "Resolved": "6", "Closed": "7", "Awaiting Vendor": "20", "-100": "-100"}
REFERENCES = {"caller_id": "sys_user", "opened_by": "sys_user", "assigned_to": "sys_user", "assignment_group": "sys_user_group",
              "location": "cmn_location", "cmdb_ci": "cmdb_ci", "problem_id": "problem"}
COPIED = ("number", "active", "reassignment_count", "reopen_count", "sys_mod_count", "made_sla", "sys_created_by",
          "sys_updated_by", "contact_type", "category", "subcategory")
HARD_FROM, HARD_TO = datetime(2016, 3, 24, 18, 40), datetime(2016, 3, 24, 19, 2)


@functools.lru_cache(maxsize=None)
def identity(kind, value):
    return hashlib.md5(f"{kind}:{value}".encode()).hexdigest()


@functools.lru_cache(maxsize=None)
def instant(text):
    """Day first, unpadded; strptime would take most of the test's time."""
    if text == "?":
        return None
    date, clock = text.split(" ")
    day, month, year = map(int, date.split("/"))
    return datetime(year, month, day, *map(int, clock.split(":")))


def served(moment):
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment else ""


class Replay:
    """The log, replayed in Python from its description alone: state of every incident at an instant."""

    def __init__(self, folder):
        with gzip.open(os.path.join(folder, "servicenow_uci498", "incident_event_log.csv.gz"), "rt", encoding="ascii") as log:
            rows = list(csv.DictReader(log))
        rows = [(instant(row["sys_updated_at"]), index, row) for index, row in enumerate(rows)]
        self.events = sorted(rows, key=lambda event: event[:2])
        self.end = self.events[-1][0]
        resolved = {row["number"] for _, _, row in self.events if row["incident_state"] == "Resolved"}
        self.never_resolved = {row["number"] for _, _, row in self.events} - resolved
        self.made = {}  # rows as served, by what they are made of

    def at(self, moment):
        """Rows as the table API of the source would serve them."""
        last, final = {}, {}
        for stamp, index, row in self.events:
            if stamp > moment:
                break
            number = row["number"]
            last[number] = stamp, index, row
            if row["incident_state"] in ("Resolved", "Closed"):
                final.setdefault(number, {}).update(self._final(stamp, row))
        return [self._known(stamp, index, row, final.get(number, {})) for number, (stamp, index, row) in last.items()]

    def _known(self, stamp, index, row, final):
        parts = index, *final.items()
        if parts not in self.made:
            self.made[parts] = self._served(stamp, row, final)
        return self.made[parts]

    def _final(self, stamp, row):
        """The columns that the log holds in their last form everywhere come with their states, and stay."""
        who = {"resolved_by": "" if row["resolved_by"] == "?" else identity("sys_user", row["resolved_by"])}
        if row["incident_state"] == "Resolved":
            return who if row["resolved_at"] == "?" else {**who, "resolved_at": served(stamp)}
        closed = {"closed_at": served(stamp), "close_code": "" if row["closed_code"] == "?" else row["closed_code"]}
        return {**closed, **who} if row["number"] in self.never_resolved else closed

    @staticmethod
    def _served(stamp, row, final):
        now = {name: "" if row[name] == "?" else row[name] for name in COPIED}
        now["sys_id"] = identity("incident", row["number"])
        now["sys_class_name"] = "incident"
        for name, table in REFERENCES.items():
            now[name] = "" if row[name] == "?" else identity(table, row[name])
        for name in ("impact", "urgency", "priority"):
            now[name] = "" if row[name] == "?" else row[name].split(" - ")[0]
        now["state"] = now["incident_state"] = STATES[row["incident_state"]]
        now["opened_at"] = served(instant(row["opened_at"]))
        now["sys_created_on"] = served(instant(row["sys_created_at"]) or instant(row["opened_at"]))
        now["sys_updated_on"] = served(stamp)
        return {**now, "resolved_by": "", "resolved_at": "", "closed_at": "", "close_code": "", **final}


COMPARED = (*COPIED, *REFERENCES, "sys_id", "impact", "urgency", "priority", "state", "incident_state", "opened_at",
            "sys_created_on", "sys_updated_on", "resolved_by", "resolved_at", "closed_at", "close_code")


@unittest.skipUnless(DATA, "the real logs are absent; FOZ_TEST_DATA names their folder")
@unittest.skipIf(SANITIZER, "141,712 events are replayed without a sanitizer only")
class RealLog(FozTest):
    replay = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.replay = Replay(DATA)

    def start_sim(self, *arguments, **options):
        return super().start_sim("--data", DATA, *arguments, **{"tickets": None, **options})

    def show(self, moment):
        """The source as of this minute; a little later, so that no visibility lag hides its last second."""
        self.sim.do(control.set_clock((moment + timedelta(seconds=59)).strftime("%Y-%m-%dT%H:%M:%SZ")))

    def assert_knows_the_log(self, moment):
        """What the log says of each incident is landed."""
        found = differences(self.database, "incident", self.replay.at(moment))
        self.assertEqual([], found[:20], f"{len(found)} differences")

    def assert_equals_replay(self, moment):
        """The simulator shows what the log says, and everything that it shows is landed."""
        truth = self.replay.at(moment)
        found = []
        columns = self.database.columns("servicenow", "incident")
        for name in COMPARED:
            self.assertIn(name, columns)
        # Only what the log knows is compared with the replay; everything is compared with the simulator.
        wanted = {row["sys_id"]: row for row in truth}
        fields = ",".join(name for name in columns if name != "source" and not name.startswith("etl_"))
        shown = {row["sys_id"]: row for row in self.sim.rows("incident", fields=fields)}
        self.assertEqual(wanted.keys(), shown.keys())
        for key, row in wanted.items():
            found += [f"{row['number']}.{name}: the simulator shows {shown[key][name]!r}, the replay {row[name]!r}"
                      for name in COMPARED if shown[key][name] != row[name]]
        self.assertEqual([], found[:20])
        merged = [{**shown[key], **row} for key, row in wanted.items()]
        found = differences(self.database, "incident", merged)
        self.assertEqual([], found[:20], f"{len(found)} differences")
        return len(truth)

    def test_a_full_load_as_of_the_end(self):
        self.assertEqual(141712, len(self.replay.events))
        self.show(self.replay.end)
        started = time.monotonic()
        self.load("incidents", "--task", "incident", "--mode", "full")
        seconds = time.monotonic() - started
        self.assertEqual(24918, self.assert_equals_replay(self.replay.end))
        self.assert_ledger()
        task = self.database.tasks(self.database.last_execution()["id"])["incident"]
        self.assertEqual((24918, 24918), (task["records_read"], task["records_inserted"]))
        print(f"UCI log, full: {task['records_read']} rows, {seconds:.1f} s, {task['requests']} requests, "
              f"{task['peak_page_bytes']} bytes in the largest page")
        before = self.database.snapshot("incident")
        self.load("incidents", "--task", "incident", "--mode", "full")
        self.assertEqual(before, self.database.snapshot("incident"))

    def test_a_chain_of_increments_through_the_hardest_minutes(self):
        self.show(HARD_FROM)
        self.load("incidents", "--task", "incident")
        self.assert_equals_replay(HARD_FROM)
        moment = HARD_FROM
        changed = 0
        while moment < HARD_TO:
            moment += timedelta(minutes=1)
            self.show(moment)
            self.load("incidents", "--task", "incident")
            execution = self.database.last_execution()
            self.assertEqual("incremental", execution["mode"])
            changed += execution["records_inserted"] + execution["records_updated"]
            self.assert_knows_the_log(moment)
        self.assert_equals_replay(HARD_TO)
        events = {row["number"] for stamp, _, row in self.replay.events if HARD_FROM < stamp <= HARD_TO}
        self.assertGreaterEqual(changed, len(events))

    def test_increments_with_long_gaps(self):
        for moment in (datetime(2016, 3, 8), datetime(2016, 3, 30, 12), datetime(2016, 6, 1), self.replay.end):
            self.show(moment)
            self.load("incidents", "--task", "incident")
            self.assert_equals_replay(moment)


if __name__ == "__main__":
    unittest.main()
