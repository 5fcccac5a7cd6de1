"""foz-sim behaves like the ServiceNow of the reference: a real log, replayed."""

import csv
import gzip
import hashlib
import os
import time
import unittest
from datetime import datetime

from sim_servicenow import DATA, LOG, SimTest

STATES = {"New": "1", "Active": "2", "Awaiting Problem": "3", "Awaiting User Info": "4", "Awaiting Evidence": "5",
          "Resolved": "6", "Closed": "7", "Awaiting Vendor": "20", "-100": "-100"}
REFERENCES = {"caller_id": "sys_user", "opened_by": "sys_user", "assigned_to": "sys_user", "assignment_group": "sys_user_group", "location": "cmn_location",
              "cmdb_ci": "cmdb_ci", "problem_id": "problem", "rfc": "change_request", "caused_by": "change_request", "vendor": "core_company"}
PLAIN = ("number", "active", "reassignment_count", "reopen_count", "sys_mod_count", "made_sla", "sys_created_by", "sys_updated_by", "contact_type",
         "category", "subcategory", "u_symptom", "knowledge", "u_priority_confirmation")


def instant(text):
    return "" if text == "?" else datetime.strptime(text, "%d/%m/%Y %H:%M").strftime("%Y-%m-%d %H:%M:00")


def reference(table, value):
    return "" if value == "?" else hashlib.md5(f"{table}:{value}".encode()).hexdigest()


@unittest.skipUnless(DATA, "the recorded logs are absent: FOZ_TEST_DATA names their folder")
class RecordedLog(SimTest):
    arguments = ("--data", DATA)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with gzip.open(os.path.join(DATA, LOG), "rt", encoding="ascii") as log:
            rows = list(csv.DictReader(log))
        cls.events = sorted(((instant(row["sys_updated_at"]), index, row) for index, row in enumerate(rows)), key=lambda event: event[:2])
        cls.never_resolved = {row["number"] for row in rows} - {row["number"] for row in rows if row["incident_state"] == "Resolved"}

    def replay(self, moment):
        shown, outcome = {}, {}
        for stamp, _, row in self.events:
            if stamp > moment:
                break
            number = row["number"]
            kept = outcome.setdefault(number, {"resolved_by": "", "resolved_at": "", "closed_at": "", "close_code": ""})
            if row["incident_state"] == "Resolved":
                kept["resolved_by"] = reference("sys_user", row["resolved_by"])
                if row["resolved_at"] != "?":
                    kept["resolved_at"] = stamp
            if row["incident_state"] == "Closed":
                kept.update(closed_at=stamp, close_code=row["closed_code"].replace("?", ""))
                if number in self.never_resolved:
                    kept["resolved_by"] = reference("sys_user", row["resolved_by"])
            shown[number] = stamp, row
        result = {}
        for number, (stamp, row) in shown.items():
            served = {name: row[name].replace("?", "") for name in PLAIN}
            served.update({name: reference(table, row[name]) for name, table in REFERENCES.items()})
            served.update({name: row[name][0].replace("?", "") for name in ("impact", "urgency", "priority")})
            served.update(state=STATES[row["incident_state"]], incident_state=STATES[row["incident_state"]], opened_at=instant(row["opened_at"]),
                          sys_created_on=instant(row["sys_created_at"]) or instant(row["opened_at"]), sys_updated_on=stamp,
                          sys_id=reference("incident", number), **outcome[number])
            result[served["sys_id"]] = served
        return result

    def assert_shows(self, moment):
        self.sim.control({"clock": moment.replace(" ", "T") + "Z"})
        wanted = self.replay(moment)
        fields = ",".join(next(iter(wanted.values()))) if wanted else "sys_id"
        found = {row["sys_id"]: row for row in self.sim.truth("incident", fields)}
        self.assertEqual(wanted, found)
        return wanted

    def test_the_end_equals_an_independent_replay(self):
        wanted = self.assert_shows(self.events[-1][0])
        self.assertEqual(24918, len(wanted))
        last = {row["number"]: row for _, _, row in self.events}
        for row in wanted.values():
            self.assertEqual(instant(last[row["number"]]["resolved_at"]), row["resolved_at"])
            self.assertEqual(instant(last[row["number"]]["closed_at"]), row["closed_at"])
        self.assertEqual(24918, len(self.sim.walk_by_id("incident", page=5000)))
        audit = {}
        for row in self.sim.truth("sys_audit", "fieldname"):
            audit[row["fieldname"]] = audit.get(row["fieldname"], 0) + 1
        # One more change of state than the log's description counts: that counted in file order, where one
        # incident's rows are not in the order of their times.
        self.assertEqual((64034, 24942, 23321, 14006, 436), tuple(audit[name] for name in ("state", "active", "assignment_group", "assigned_to", "priority")))
        self.assertEqual(185644, sum(audit.values()))

    def test_moments_on_the_way_and_back(self):
        for moment in ("2016-03-08 00:00:00", "2016-03-24 18:39:00", "2016-03-24 18:40:00", "2016-03-24 19:02:00", "2016-03-01 12:00:00", "2015-12-31 00:00:00"):
            with self.subTest(moment):
                self.assert_shows(moment)

    def test_dimensions_and_what_the_log_does_not_have(self):
        self.sim.control({"clock": "2016-03-08T00:00:00Z"})
        sizes = self.sim.state()["rows"]["servicenow"]
        self.assertEqual((78, 224, 50, 4), tuple(sizes[name] for name in ("sys_user_group", "cmn_location", "cmdb_ci", "core_company")))
        self.assertEqual(0, sizes["task_sla"])
        row = self.sim.table("incident", query="assignment_groupISNOTEMPTY^ORDERBYsys_id", limit=1, display_value="all", fields="assignment_group,impact").rows[0]
        self.assertRegex(row["assignment_group"]["display_value"], r"\AGroup \d+\Z")
        self.assertRegex(row["impact"]["display_value"], r"\A[123] - \w+\Z")

    def test_the_clock_stands_still_until_it_is_moved(self):
        first = self.sim.state()["clock"]
        time.sleep(0.05)
        self.assertEqual(first, self.sim.state()["clock"])


if __name__ == "__main__":
    unittest.main()
