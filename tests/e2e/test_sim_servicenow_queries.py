"""foz-sim behaves like the ServiceNow of the reference: encoded queries, their forgiveness, pages."""

import random
import unittest
from datetime import datetime, timedelta

from sim_servicenow import Sim, SimTest, TASKS


class Queries(SimTest):
    def matching(self, query, table="incident"):
        return {row["sys_id"] for row in self.sim.table(table, query=query, fields="sys_id", limit=100000).rows}

    def setUp(self):
        super().setUp()
        self.rows = self.sim.truth("incident")

    def expect(self, query, predicate):
        wanted = {row["sys_id"] for row in self.rows if predicate(row)}
        with self.subTest(query):
            self.assertEqual(wanted, self.matching(query))
            self.assertEqual(len(wanted), self.sim.count("incident", query))

    def test_operators(self):
        some = self.rows[700]
        cases = [
            ("state=7", lambda r: r["state"] == "7"),
            ("state!=7", lambda r: r["state"] != "7"),
            ("priority<3", lambda r: int(r["priority"]) < 3),
            ("priority>=4", lambda r: int(r["priority"]) >= 4),
            ("calendar_stc>9000", lambda r: r["calendar_stc"] and int(r["calendar_stc"]) > 9000),
            ("short_descriptionLIKEVPN", lambda r: "VPN" in r["short_description"]),
            ("short_descriptionNOT LIKEVPN", lambda r: "VPN" not in r["short_description"]),
            ("short_descriptionSTARTSWITHCannot", lambda r: r["short_description"].startswith("Cannot")),
            ("short_descriptionENDSWITHserver", lambda r: r["short_description"].endswith("server")),
            ("stateIN1,2,3", lambda r: r["state"] in "123"),
            ("stateNOT IN1,2,3", lambda r: r["state"] not in "123"),
            ("assigned_toISEMPTY", lambda r: not r["assigned_to"]),
            ("assigned_toISNOTEMPTY", lambda r: r["assigned_to"]),
            ("resolved_at=", lambda r: not r["resolved_at"]),
            ("priorityBETWEEN2@3", lambda r: 2 <= int(r["priority"]) <= 3),
            ("opened_atBETWEEN2025-01-01 00:00:00@2025-03-01 00:00:00", lambda r: "2025-01-01 00:00:00" <= r["opened_at"] <= "2025-03-01 00:00:00"),
            ("opened_at>=2025-02-01^opened_at<2025-03-01", lambda r: "2025-02-01" <= r["opened_at"] < "2025-03-01"),
            ("impactSAMEASurgency", lambda r: r["impact"] == r["urgency"]),
            ("impactGT_FIELDurgency", lambda r: r["impact"] > r["urgency"]),
            ("state=1^ORstate=2^priority=3", lambda r: r["state"] in "12" and r["priority"] == "3"),
            ("state=1^priority=3^NQstate=2^priority=4", lambda r: (r["state"], r["priority"]) in (("1", "3"), ("2", "4"))),
            ("state=2^EQ", lambda r: r["state"] == "2"),
            (f"sys_id>{some['sys_id']}^state=3", lambda r: r["sys_id"] > some["sys_id"] and r["state"] == "3"),
            (f"sys_updated_on={some['sys_updated_on']}", lambda r: r["sys_updated_on"] == some["sys_updated_on"]),
            (f"sys_updated_on>{some['sys_updated_on']}^sys_id<8", lambda r: r["sys_updated_on"] > some["sys_updated_on"] and r["sys_id"] < "8"),
            (f"sys_created_on<{some['sys_created_on']}", lambda r: r["sys_created_on"] < some["sys_created_on"]),
            (f"sys_idIN{some['sys_id']},nonsense", lambda r: r is some),
        ]
        for query, predicate in cases:
            self.expect(query, predicate)

    def test_what_is_not_understood_widens_to_the_whole_table(self):
        everything = len(self.rows)
        for query in ("no_such_field=banana", "^^^", "no_such_fieldISNOTEMPTY", "stateFROBNICATES7", "caller_id.nothing=1"):
            self.assertEqual(everything, self.sim.count("incident", query), query)
        for query in ("state=NOT_A_NUMBER", "state==1", "sys_updated_on>2026-01-02T03:04:05Z"):
            self.assertEqual(0, self.sim.count("incident", query), query)
        self.assertNotIn("nope", self.sim.table("incident", fields="sys_id,nope", limit=1).rows[0])
        self.sim.fault("returns_no_rows")
        self.assertEqual(0, self.sim.count("incident", "no_such_field=banana"))

    def test_dot_walking(self):
        slas = self.sim.truth("task_sla", "sys_id,task,task.sys_class_name")
        wanted = {row["sys_id"] for row in slas if row["task.sys_class_name"] == "incident"}
        self.assertTrue(0 < len(wanted) < len(slas))
        self.assertEqual(wanted, self.matching("task.sys_class_name=incident", "task_sla"))
        users = {row["sys_id"]: row for row in self.sim.truth("sys_user", "sys_id,name")}
        for row in self.sim.truth("incident", "caller_id,caller_id.name,dv_caller_id")[:50]:
            self.assertEqual(users[row["caller_id"]]["name"], row["caller_id.name"])
            self.assertEqual(users[row["caller_id"]]["name"], row["dv_caller_id"])

    def test_orders(self):
        for query, key in (("ORDERBYsys_id", lambda r: r["sys_id"]), ("ORDERBYsys_updated_on^ORDERBYsys_id", lambda r: (r["sys_updated_on"], r["sys_id"])),
                           ("ORDERBYpriority^ORDERBYnumber", lambda r: (int(r["priority"]), r["number"])),
                           ("ORDERBYopened_at^ORDERBYsys_id", lambda r: (r["opened_at"], r["sys_id"]))):
            for query_, reverse in ((query, False), (query.replace("ORDERBY", "ORDERBYDESC"), True)):
                with self.subTest(query_):
                    rows = self.sim.table("incident", query=query_, fields="sys_id,sys_updated_on,priority,number,opened_at").rows
                    self.assertEqual(sorted(map(key, self.rows), reverse=reverse), list(map(key, rows)))

    def test_offset_and_limit_cut_the_same_list(self):
        whole = [row["sys_id"] for row in self.sim.table("incident", query="active=true^ORDERBYsys_id", fields="sys_id").rows]
        parts = []
        for offset in range(0, len(whole) + 50, 50):
            parts += [row["sys_id"] for row in self.sim.table("incident", query="active=true^ORDERBYsys_id", fields="sys_id", limit=50, offset=offset).rows]
        self.assertEqual(whole, parts)

    def test_javascript_dates_are_in_the_users_zone(self):
        self.assertEqual(self.matching("opened_at>=2025-02-01 00:00:00"), self.matching("opened_at>=javascript:gs.dateGenerate('2025-02-01','00:00:00')"))
        self.sim.fault("user_time_zone", seconds=7200)
        self.assertEqual(self.matching("opened_at>=2025-01-31 22:00:00"), self.matching("opened_at>=javascript:gs.dateGenerate('2025-02-01','00:00:00')"))
        row = self.sim.table("incident", limit=1, fields="opened_at", display_value="all").rows[0]["opened_at"]
        moved = datetime.strptime(row["display_value"], "%Y-%m-%d %H:%M:%S") - datetime.strptime(row["value"], "%Y-%m-%d %H:%M:%S")
        self.assertEqual(timedelta(hours=2), moved)

    def test_statistics(self):
        stats = self.sim.api("stats/incident", count="true", min_fields="sys_updated_on", max_fields="priority", sum_fields="priority").json()["result"]["stats"]
        self.assertEqual(str(len(self.rows)), stats["count"])
        self.assertEqual(min(r["sys_updated_on"] for r in self.rows), stats["min"]["sys_updated_on"])
        self.assertEqual("5", stats["max"]["priority"])
        self.assertEqual(str(sum(int(r["priority"]) for r in self.rows)), stats["sum"]["priority"])
        groups = self.sim.api("stats/incident", count="true", group_by="state").json()["result"]
        self.assertEqual(len(self.rows), sum(int(group["stats"]["count"]) for group in groups))
        self.assertEqual({r["state"] for r in self.rows}, {group["groupby_fields"][0]["value"] for group in groups})
        empty = self.sim.api("stats/incident", count="true", min_fields="sys_created_on", query="number=none").json()["result"]["stats"]
        self.assertEqual({"count": "0", "min": {"sys_created_on": ""}}, empty)


class Paging(SimTest):
    arguments = ("--tickets", "13000", "--seed", "5")

    def test_keyset_pages_give_every_row_once(self):
        for name in TASKS:
            with self.subTest(name):
                walked = [row["sys_id"] for row in self.sim.walk_by_id(name, page=997)]
                truth = sorted(row["sys_id"] for row in self.sim.truth(name, "sys_id"))
                self.assertEqual(truth, walked)

    def test_stamps_tie_and_windows_give_every_row_once(self):
        rows = self.sim.truth("incident", "sys_id,sys_updated_on")
        stamps = [row["sys_updated_on"] for row in rows]
        self.assertGreater(max(stamps.count(stamp) for stamp in set(stamps[6000:8000])), 1000)
        low, high = "2024-06-01 00:00:00", "2025-06-01 00:00:00"
        wanted = sorted((row["sys_updated_on"], row["sys_id"]) for row in rows if low <= row["sys_updated_on"] <= high)
        self.assertEqual(wanted, [(row["sys_updated_on"], row["sys_id"]) for row in self.sim.walk_by_stamp("incident", low, high)])

    def test_every_row_after_random_changes(self):
        chance = random.Random(3)
        for _ in range(3):
            ids = [row["sys_id"] for row in self.sim.truth("incident", "sys_id")]
            self.sim.control(*({"update": {"table": "incident", "sys_id": i, "set": {"state": "2"}}} for i in chance.sample(ids, 40)),
                             *({"delete": {"table": "incident", "sys_id": i}} for i in chance.sample(ids, 1) + [ids[0]]),
                             *({"insert": {"table": "incident", "set": {"short_description": f"n{k}"}}} for k in range(15)),
                             {"insert": {"table": "incident", "set": {"sys_id": f"special.{chance.random()}"}}},
                             {"burst": {"table": "incident", "n": 420, "kind": "update"}},
                             {"burst": {"table": "incident", "n": 30, "kind": "delete"}}, {"advance_s": 30})
            truth = self.sim.truth("incident", "sys_id,sys_updated_on,state")
            by_id = sorted((row["sys_id"], row["state"]) for row in truth)
            self.assertEqual(by_id, [(row["sys_id"], row["state"]) for row in self.sim.walk_by_id("incident", fields="sys_id,state")])
            by_stamp = sorted((row["sys_updated_on"], row["sys_id"]) for row in truth)
            self.assertEqual(by_stamp, [(row["sys_updated_on"], row["sys_id"]) for row in self.sim.walk_by_stamp("incident", "2000-01-01 00:00:00", "2030-01-01 00:00:00")])
            for query in ("", "sys_id>8", "sys_updated_on>2025-06-01 00:00:00", "state=2"):
                self.assertEqual(len(self.sim.truth("incident", "sys_id", query)), self.sim.count("incident", query))

    def test_the_same_seed_gives_the_same_data(self):
        first = self.sim.truth("incident")
        other = Sim(*self.arguments)
        try:
            self.assertEqual(first, other.truth("incident"))
        finally:
            other.stop()
        other = Sim("--tickets", "13000", "--seed", "6")
        try:
            self.assertNotEqual(first[0], other.truth("incident")[0])
        finally:
            other.stop()

    def test_rows_are_believable(self):
        users = {row["sys_id"] for row in self.sim.truth("sys_user", "sys_id")}
        groups = {row["sys_id"] for row in self.sim.truth("sys_user_group", "sys_id")}
        ids = set()
        for row in self.sim.truth("incident"):
            ids.add(row["sys_id"])
            self.assertLessEqual(row["opened_at"], row["sys_created_on"])
            self.assertLessEqual(row["sys_created_on"], row["sys_updated_on"])
            self.assertLess(row["sys_updated_on"], "2026-01-15 12:00:01")
            self.assertEqual(row["state"] in ("7", "8"), row["active"] == "false")
            self.assertEqual(row["state"] in ("6", "7"), bool(row["resolved_at"]))
            self.assertIn(row["caller_id"], users)
            self.assertIn(row["assignment_group"], groups)
        for name, field in (("incident_task", "incident"), ("task_sla", "task")):
            known = [row for row in self.sim.truth(name, f"{field},{field}.sys_class_name") if row[f"{field}.sys_class_name"] == "incident"]
            self.assertTrue(known and all(row[field] in ids for row in known))


if __name__ == "__main__":
    unittest.main()
