"""foz-sim behaves like the ServiceNow of the reference: its faults."""

import gzip
import http.client
import subprocess
import time
import unittest
from datetime import datetime
from email.utils import parsedate_to_datetime

import foz
from sim_servicenow import Sim, SimTest


class Faults(SimTest):
    def test_statuses(self):
        for kind, status in (("accepted_202", 202), ("unauthorized_401", 401), ("error_500", 500), ("cancelled_500", 500), ("bad_gateway_502", 502),
                             ("unavailable_503", 503), ("gateway_timeout_504", 504), ("not_found_404", 404), ("uri_414", 414), ("sso_redirect", 302),
                             ("rate_429", 429), ("invalid_table", 400), ("html_200", 200)):
            with self.subTest(kind):
                self.sim.fault(kind, count=1)
                answer = self.sim.table("incident", limit=1)
                self.assertEqual(status, answer.status)
                self.assertEqual(200, self.sim.table("incident", limit=1).status)
                if kind in ("html_200", "bad_gateway_502", "unavailable_503"):
                    self.assertTrue(answer.headers["Content-Type"].startswith("text/html"))
                if kind == "accepted_202":
                    self.assertEqual(b"", answer.body)

    def test_counts_delays_tables_and_sizes(self):
        self.sim.fault("error_500", table="task_sla", after=1, count=2)
        self.assertEqual([200, 500, 500, 200], [self.sim.table("task_sla", limit=1).status for _ in range(4)])
        self.sim.fault("error_500", table="task_sla")
        self.assertEqual(200, self.sim.table("incident", limit=1).status)
        self.sim.control({"clear_faults": True})
        self.sim.fault("cancelled_500", over=100)
        self.assertEqual([500, 200], [self.sim.table("incident", limit=n).status for n in (200, 100)])
        self.sim.control({"clear_faults": True})
        self.sim.fault("error_500", probability=0.5)
        found = [self.sim.table("incident", limit=1).status for _ in range(60)]
        self.assertTrue(10 < found.count(500) < 50)
        self.assertEqual(400, self.sim.request("POST", "/_control", {}, '{"fault":{"kind":"nonsense"}}').status)

    def test_retry_after(self):
        self.sim.fault("rate_429", seconds=7, mode="date", count=1)
        until = parsedate_to_datetime(self.sim.table("incident").headers["Retry-After"]).replace(tzinfo=None)
        clock = datetime.strptime(self.sim.state()["clock"][:19], "%Y-%m-%dT%H:%M:%S")
        self.assertTrue(3 <= (until - clock).total_seconds() <= 8)
        self.sim.fault("rate_429", mode="none", count=1)
        self.assertIsNone(self.sim.table("incident").headers["Retry-After"])

    def test_broken_bodies_with_status_200(self):
        self.sim.fault("partial_array", count=1)
        body = self.sim.table("incident", limit=10).json()
        self.assertIn("error", body)
        self.assertIsInstance(body["result"][-1], str)
        self.sim.fault("partial_array", mode="object", count=1)
        self.assertEqual({"result", "error", "status"}, set(self.sim.table("incident", limit=10).json()))
        for mode in ("invalid", "comma"):
            self.sim.fault("partial_array", mode=mode, count=1)
            answer = self.sim.table("incident", limit=10)
            self.assertEqual(200, answer.status)
            self.assertRaises(ValueError, answer.json)
            self.assertIn(b"Transaction cancelled", answer.body)
        self.sim.fault("cut_chunk", count=1)
        self.assertRaises((http.client.IncompleteRead, ConnectionError), self.sim.table, "incident", limit=1000)
        self.sim.fault("extra_top_level", count=1)
        self.assertIn("session", self.sim.table("incident", limit=1).json())
        self.sim.fault("wrong_content_type", count=1)
        self.assertTrue(self.sim.table("incident", limit=1).headers["Content-Type"].startswith("text/plain"))

    def test_slow_and_silent(self):
        self.sim.fault("hang", count=1)
        self.assertRaises(OSError, self.sim.table, "incident", limit=1, timeout=0.5)
        self.sim.fault("slow_drip", rate=2000, count=1)
        started = time.monotonic()
        self.assertEqual(1, len(self.sim.table("incident", limit=1).rows))
        self.assertGreater(time.monotonic() - started, 0.5)
        self.sim.fault("delay", seconds=0.4, count=1)
        started = time.monotonic()
        self.sim.table("incident", limit=1)
        self.assertGreater(time.monotonic() - started, 0.35)

    def test_a_gzip_bomb_is_small_on_the_wire(self):
        self.sim.fault("gzip_bomb", rate=64, count=1)
        answer = self.sim.table("incident", limit=1)
        self.assertLess(len(answer.body), 1 << 20)
        self.assertGreater(len(gzip.decompress(answer.body)), 64 << 20)

    def test_access_rules_come_after_the_limit_and_the_count_is_blind(self):
        self.sim.fault("acl_rows", share=0.5)
        answer = self.sim.table("incident", limit=100, query="ORDERBYsys_id", fields="sys_id")
        self.assertTrue(20 < len(answer.rows) < 80)
        self.assertEqual("3000", answer.headers["X-Total-Count"])
        self.sim.control({"clear_faults": True}, {"fault": {"kind": "acl_rows", "value": "sys_id<8", "mode": "honest"}})
        answer = self.sim.table("incident", limit=100, query="ORDERBYsys_id", fields="sys_id")
        self.assertEqual([], answer.rows)
        self.assertEqual(len(self.sim.truth("incident", "sys_id", "sys_id>=8")), int(answer.headers["X-Total-Count"]))
        self.sim.control({"clear_faults": True}, {"fault": {"kind": "acl_fields", "field": "priority;state"}})
        row = self.sim.table("incident", limit=1).rows[0]
        self.assertNotIn("priority", row)
        self.assertNotIn("state", row)
        self.assertIn("number", row)

    def test_a_forbidden_field_in_the_query_is_403(self):
        self.sim.fault("forbidden_403", field="sys_updated_on")
        self.assertEqual(403, self.sim.table("incident", query="sys_updated_on>2025-01-01 00:00:00", limit=1).status)
        self.assertEqual(403, self.sim.table("incident", query="ORDERBYsys_updated_on", limit=1).status)
        self.assertEqual(200, self.sim.table("incident", query="ORDERBYsys_id", limit=1).status)

    def test_lies(self):
        middle = "8" + "0" * 31
        query = f"sys_id>{middle}^ORDERBYsys_id"
        right = self.sim.table("incident", query=query, limit=50, fields="sys_id").rows
        self.sim.fault("silent_widening", field="sys_id", count=1)
        self.assertLess(self.sim.table("incident", query=query, limit=50, fields="sys_id").rows[0]["sys_id"], middle)
        self.sim.fault("range_ignored", field="sys_id", count=1)
        rows = [row["sys_id"] for row in self.sim.table("incident", query=query, limit=50, fields="sys_id").rows]
        self.assertNotEqual(sorted(rows), rows)
        self.sim.fault("wrong_order", count=1)
        rows = self.sim.table("incident", query=query, limit=50, fields="sys_id").rows
        self.assertEqual(right, sorted(rows, key=lambda row: row["sys_id"]))
        self.assertNotEqual(right, rows)
        self.sim.fault("empty_page", count=1)
        answer = self.sim.table("incident", query=query, limit=50)
        self.assertEqual([], answer.rows)
        self.assertGreater(int(answer.headers["X-Total-Count"]), 1000)
        self.sim.table("incident", query=query, limit=50, fields="sys_id")
        self.sim.fault("repeat_page", count=1)
        self.assertEqual(right, self.sim.table("incident", query=f"sys_id>{right[-1]['sys_id']}^ORDERBYsys_id", limit=50, fields="sys_id").rows)

    def test_bad_values(self):
        cases = {"decimal": "1.0", "fraction": "2.5", "not_integer": "abc", "not_date": "2026-13-45 99:00:00", "null": None, "number": 42, "bool": True,
                 "not_guid": "no value", "duration": "1970-01-03 14:33:00"}
        for mode, wanted in cases.items():
            with self.subTest(mode):
                self.sim.fault("bad_value", field="state", mode=mode, count=1)
                row = self.sim.table("incident", query="state=1^ORDERBYsys_id", limit=1).rows[0]
                self.assertEqual(wanted, row["state"])
        self.sim.fault("bad_value", field="state", mode="missing", count=1)
        self.assertNotIn("state", self.sim.table("incident", limit=1).rows[0])
        self.sim.fault("bad_value", field="number", mode="nul", count=1)
        self.assertIn("\0", self.sim.table("incident", limit=1).rows[0]["number"])
        self.sim.fault("bad_value", field="number", mode="emoji", count=1)
        self.assertIn("\U0001f680", self.sim.table("incident", limit=1).rows[0]["number"])
        self.sim.fault("bad_value", field="number", mode="long", count=1)
        self.assertGreater(len(self.sim.table("incident", limit=1).rows[0]["number"]), 65536)
        self.sim.fault("bad_value", field="number", mode="extra", count=1)
        self.assertIn("u_unknown_key", self.sim.table("incident", limit=1).rows[0])
        self.sim.fault("bad_value", field="number", value="same", every=10, count=2)
        hit = [{i for i, row in enumerate(self.sim.table("incident", query="ORDERBYsys_id").rows) if row["number"] == "same"} for _ in range(2)]
        self.assertEqual(hit[0], hit[1])
        self.assertTrue(200 < len(hit[0]) < 400)

    def test_faults_from_the_command_line(self):
        sim = Sim("--tickets", "50", "--fault", "error_500:count=1,table=incident", "--fault", "clock_skew:seconds=86400")
        try:
            self.assertEqual([500, 200], [sim.table("incident", limit=1).status for _ in range(2)])
            self.assertEqual("Fri, 16 Jan 2026", sim.table("incident", limit=1).headers["Date"][:16])
        finally:
            sim.stop()
        done = subprocess.run([foz.SIM, "--fault", "eror_500"], capture_output=True, text=True, check=False)
        self.assertEqual(64, done.returncode)
        self.assertIn("error_500", done.stderr)


if __name__ == "__main__":
    unittest.main()
