"""foz-sim behaves like the ServiceNow of the reference: what its users do, at the control interface."""

import json
import time
import unittest

from sim_servicenow import SimTest


class Control(SimTest):
    def one(self, identity, table="incident"):
        return self.sim.truth(table, "", f"sys_id={identity}")

    def test_insert_update_delete(self):
        inserted = self.sim.control({"insert": {"table": "incident", "set": {"short_description": "déjà \"vu\"", "priority": "1"}}})[0]["insert"]["sys_id"]
        row = self.one(inserted)[0]
        self.assertEqual(("déjà \"vu\"", "0", "true", "1"), (row["short_description"], row["sys_mod_count"], row["active"], row["state"]))
        self.sim.control({"advance_s": 100}, {"update": {"table": "incident", "sys_id": inserted, "set": {"state": "2"}}})
        after = self.one(inserted)[0]
        self.assertEqual(("2", "1"), (after["state"], after["sys_mod_count"]))
        self.assertGreater(after["sys_updated_on"], row["sys_updated_on"])
        self.sim.control({"advance_s": 100}, {"update": {"table": "incident", "nth": 5, "set": {"state": "3"}, "silent": True}})
        silent = sorted(self.sim.truth("incident"), key=lambda r: r["sys_id"])[5]
        self.assertEqual("3", silent["state"])
        self.assertLess(silent["sys_updated_on"], row["sys_updated_on"])
        self.sim.control({"delete": {"table": "incident", "sys_id": inserted}})
        self.assertEqual([], self.one(inserted))
        self.assertEqual(404, self.sim.api(f"table/incident/{inserted}").status)
        self.assertIn((inserted, "incident"), {(r["documentkey"], r["tablename"]) for r in self.sim.truth("sys_audit_delete")})
        self.assertEqual(400, self.sim.request("POST", "/_control", {}, json.dumps({"delete": {"table": "incident", "sys_id": inserted}})).status)

    def test_slas_of_a_deleted_incident_leave_the_filter(self):
        sla = self.sim.truth("task_sla", "sys_id,task", "task.sys_class_name=incident")[0]
        before = self.sim.count("task_sla", "task.sys_class_name=incident")
        self.sim.control({"delete": {"table": "incident", "sys_id": sla["task"]}})
        self.assertLess(self.sim.count("task_sla", "task.sys_class_name=incident"), before)
        self.assertEqual(1, self.sim.count("task_sla", f"sys_id={sla['sys_id']}"))

    def test_a_burst_in_one_second(self):
        for kind, sign in (("update", 0), ("insert", 1), ("delete", -1)):
            before = self.sim.truth("incident", "sys_id,sys_updated_on")
            self.sim.control({"advance_s": 60}, {"burst": {"table": "incident", "n": 420, "same_second": True, "kind": kind}})
            after = self.sim.truth("incident", "sys_id,sys_updated_on")
            self.assertEqual(len(before) + sign * 420, len(after))
            if sign >= 0:
                old = {(r["sys_id"], r["sys_updated_on"]) for r in before}
                fresh = [r for r in after if (r["sys_id"], r["sys_updated_on"]) not in old]
                self.assertEqual((420, 1), (len(fresh), len({r["sys_updated_on"] for r in fresh})))

    def test_rows_that_become_visible_late(self):
        inserted = self.sim.control({"run": False}, {"insert": {"table": "incident", "set": {"state": "1"}, "visible_after_s": 120}})[1]["insert"]["sys_id"]
        stamp = self.sim.state()["clock"]
        self.assertEqual([], self.one(inserted))
        self.sim.control({"advance_s": 121})
        self.assertEqual(stamp[:19].replace("T", " "), self.one(inserted)[0]["sys_updated_on"])
        self.sim.fault("late_visible", seconds=60)
        before = self.sim.table("incident", query="ORDERBYsys_id", limit=1).rows[0]
        self.sim.control({"update": {"table": "incident", "sys_id": before["sys_id"], "set": {"state": "2", "category": "late"}}})
        self.assertEqual(before["category"], self.one(before["sys_id"])[0]["category"])
        self.sim.control({"clock": {"advance": "61s"}})
        self.assertEqual("late", self.one(before["sys_id"])[0]["category"])

    def test_changes_exactly_between_two_requests(self):
        self.sim.control({"on_request": 2, "do": [{"delete": {"table": "incident", "nth": 0}}]},
                         {"on_request": 1, "table": "task_sla", "do": [{"insert": {"table": "incident"}}]})
        self.assertEqual([3000, 2999, 2999], [self.sim.count("incident") for _ in range(3)])
        self.sim.count("task_sla")
        self.assertEqual(3000, self.sim.count("incident"))

    def test_the_state_tells_what_was_asked(self):
        self.sim.control({"reset_counters": True}, {"fault": {"kind": "error_500", "count": 3}})
        self.sim.table("incident", query="state=1", limit=7)
        state = self.sim.state()
        self.assertEqual(1, state["requests"])
        self.assertEqual({"/servicenow/api/now/v2/table/incident": {"requests": 1, "failures": 1}}, state["routes"])
        self.assertIn("sysparm_limit=7", state["last"][0]["url"])
        self.assertEqual(500, state["last"][0]["status"])
        self.assertEqual(("error_500", 2, 1), tuple(state["faults"][0][k] for k in ("kind", "count", "struck")))
        self.assertEqual(3000, state["rows"]["servicenow"]["incident"])

    def test_the_clock(self):
        self.sim.control({"run": False}, {"clock": "2026-02-01T00:00:00Z"})
        self.assertEqual("Sun, 01 Feb 2026 00:00:00 GMT", self.sim.table("incident", limit=1).headers["Date"])
        self.sim.control({"clock": {"advance": "2h"}})
        self.assertEqual("2026-02-01T02:00:00Z", self.sim.state()["clock"])
        self.sim.control({"run": True})
        first = self.sim.state()["clock"]
        deadline = time.monotonic() + 10
        while self.sim.state()["clock"] == first:
            self.assertLess(time.monotonic(), deadline)

    def test_wrong_commands_are_refused(self):
        for command in ({"nonsense": 1}, {"insert": {"table": "nope"}}, {"insert": {"table": "incident", "set": {"nope": "1"}}}, {"clock": "yesterday"},
                        {"update": {"table": "incident", "sys_id": "0", "set": {}}}, {"on_request": 0, "do": []}):
            answer = self.sim.request("POST", "/_control", {}, json.dumps(command))
            self.assertEqual(400, answer.status, command)
            self.assertTrue(answer.json()["error"])
        self.assertEqual(400, self.sim.request("GET", "/_control/rows?table=incident&fields=nope").status)
        self.assertEqual(400, self.sim.request("GET", "/_control/rows?table=incident&query=nope=1").status)


if __name__ == "__main__":
    unittest.main()
