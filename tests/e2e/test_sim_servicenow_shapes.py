"""foz-sim behaves like the ServiceNow of the reference: answers, headers, errors."""

import gzip
import json
import os
import unittest
from datetime import datetime
from email.utils import parsedate_to_datetime

from sim_servicenow import BASIC, FIXTURES, SimTest, TASKS


class Shapes(SimTest):
    def test_error_envelopes_are_the_recorded_ones(self):
        with_fixture = {}
        if os.path.exists(os.path.join(FIXTURES, "error_bodies.json")):
            with open(os.path.join(FIXTURES, "error_bodies.json"), encoding="utf-8") as file:
                with_fixture = {case["name"]: case for case in json.load(file)}
        sim = self.sim
        answers = {
            "unauthenticated": sim.request("GET", "/servicenow/api/now/table/incident", {"Accept": "application/json"}),
            "record_not_found_or_acl": sim.api("table/incident/" + "0" * 32),
            "invalid_table": sim.api("table/no_such_table"),
            "bad_limit": sim.table("incident", limit=0),
            "empty_list": sim.table("incident", query="number=none"),
        }
        for name, faults in {"field_acl_in_query": {"kind": "forbidden_403"}, "api_level_acl": {"kind": "forbidden_403", "mode": "api"},
                             "transaction_cancelled_500": {"kind": "cancelled_500"},
                             "rate_limited_with_rule": {"kind": "rate_429", "seconds": 1187},
                             "acl_hidden_list": {"kind": "acl_all"}}.items():
            sim.control({"fault": {"count": 1, **faults}})
            answers[name] = sim.table("incident", limit=5)
        answers["oauth_denied"] = sim.request("POST", "/servicenow/oauth_token.do", {}, "{}")
        for name, answer in answers.items():
            case = with_fixture.get(name)
            if case:
                with self.subTest(name):
                    self.assertEqual(case["status"], answer.status)
                    self.assertEqual(case["body"], answer.json())
                    for header in case["headers"]:
                        self.assertIn(header, answer.headers)
        self.assertEqual("3000", answers["acl_hidden_list"].headers["X-Total-Count"])
        self.assertEqual("0", answers["empty_list"].headers["X-Total-Count"])
        self.assertEqual("1187", answers["rate_limited_with_rule"].headers["Retry-After"])

    def test_headers_of_a_page(self):
        answer = self.sim.table("incident", limit=10)
        for header in ("Server", "Date", "Server-Timing", "X-Transaction-ID", "X-Is-Logged-In", "Cache-Control", "Pragma", "Expires"):
            self.assertIn(header, answer.headers)
        self.assertEqual("application/json;charset=UTF-8", answer.headers["Content-Type"])
        self.assertEqual("chunked", answer.headers["Transfer-Encoding"])
        self.assertNotIn("Content-Length", answer.headers)
        self.assertEqual(1, len(answer.headers.get_all("Date")))
        cookies = " ".join(answer.headers.get_all("Set-Cookie"))
        self.assertIn("JSESSIONID=", cookies)
        self.assertIn("glide_user_route=", cookies)
        shown = parsedate_to_datetime(answer.headers["Date"]).replace(tzinfo=None)
        clock = datetime.strptime(self.sim.state()["clock"][:19], "%Y-%m-%dT%H:%M:%S")
        self.assertLess(abs((shown - clock).total_seconds()), 3)

    def test_gzip_only_when_asked(self):
        plain = self.sim.table("incident", limit=50)
        packed = self.sim.api("v2/table/incident", {"Accept-Encoding": "gzip"}, limit=50, exclude_reference_link="true")
        self.assertIsNone(plain.headers["Content-Encoding"])
        self.assertEqual("gzip", packed.headers["Content-Encoding"])
        self.assertEqual(plain.json(), json.loads(gzip.decompress(packed.body)))

    def test_link_header(self):
        links = dict(reversed(part.split(">;rel=")) for part in self.sim.table("incident", limit=1000, offset=1000).headers["Link"].lstrip("<").split(",<"))
        self.assertEqual({'"first"', '"prev"', '"next"', '"last"'}, set(links))
        self.assertIn("sysparm_offset=2000", links['"next"'])
        self.assertNotIn('rel="next"', self.sim.table("incident", limit=1000, offset=2000).headers["Link"])
        self.assertNotIn('rel="prev"', self.sim.table("incident", limit=1000).headers["Link"])
        self.assertIsNone(self.sim.table("incident", limit=3000).headers["Link"])
        self.assertIsNone(self.sim.table("incident", limit=10, suppress_pagination_header="true").headers["Link"])
        self.assertIsNone(self.sim.table("incident", limit=10, no_count="true").headers["X-Total-Count"])
        self.sim.fault("negative_prev")
        self.assertIn("sysparm_offset=-10", self.sim.table("incident", limit=10).headers["Link"])

    def test_value_shapes_of_the_six_modes(self):
        def one(display, exclude):
            return self.sim.api("table/incident", query="caller_idISNOTEMPTY^state=7^ORDERBYsys_id", limit=1, display_value=display,
                                exclude_reference_link=exclude, fields="state,caller_id,parent_incident,caller_id.name").rows[0]
        raw = one("false", "true")
        identity, name = raw["caller_id"], raw["caller_id.name"]
        link = f"http://{self.sim.address}/servicenow/api/now/table/sys_user/{identity}"
        self.assertRegex(identity, r"\A[0-9a-f]{32}\Z")
        self.assertEqual({"state": "7", "caller_id": {"link": link, "value": identity}, "parent_incident": "", "caller_id.name": name}, one("false", "false"))
        self.assertEqual({"state": "Closed", "caller_id": {"display_value": name, "link": link}, "parent_incident": "", "caller_id.name": name}, one("true", "false"))
        self.assertEqual({"state": "Closed", "caller_id": name, "parent_incident": "", "caller_id.name": name}, one("true", "true"))
        empty = {"display_value": "", "value": ""}
        self.assertEqual({"state": {"display_value": "Closed", "value": "7"}, "caller_id": {"display_value": name, "value": identity},
                          "parent_incident": empty, "caller_id.name": {"display_value": name, "value": name}}, one("all", "true"))
        self.assertEqual({"display_value": name, "link": link, "value": identity}, one("all", "false")["caller_id"])

    def test_journal_text_is_only_in_the_display_value(self):
        query = "commentsISNOTEMPTY^ORDERBYsys_id"
        self.assertEqual("", self.sim.table("incident", query=query, limit=1, fields="comments").rows[0]["comments"])
        shown = self.sim.table("incident", query=query, limit=1, fields="comments", display_value="all").rows[0]["comments"]
        self.assertEqual("", shown["value"])
        self.assertTrue(shown["display_value"])

    def test_single_records_and_versions(self):
        identity = self.sim.table("incident", limit=1).rows[0]["sys_id"]
        self.assertEqual(identity, self.sim.api(f"table/incident/{identity}").rows["sys_id"])
        self.assertEqual([], self.sim.api("table/incident", query="number=none").rows)
        self.assertEqual([], self.sim.api("v2/table/incident", query="number=none").rows)
        self.assert_error(self.sim.api("v1/table/incident", query="number=none"), 404, "No Record found")
        self.assert_error(self.sim.api("v2/tables/incident"), 400, "Requested URI does not represent any resource")

    def test_tables_of_a_non_admin(self):
        for name in TASKS:
            self.assertGreater(self.sim.count(name), 0, name)
        self.assert_error(self.sim.table("sys_company"), 400, "Invalid table sys_company", None)
        self.assertEqual([], self.sim.table("sys_dictionary").rows)
        self.assertEqual(403, self.sim.table("sys_db_object").status)

    def test_accept_and_limits(self):
        path = "/servicenow/api/now/table/incident?sysparm_limit=1"
        self.assertEqual(400, self.sim.request("GET", path, {"Authorization": BASIC}).status)
        self.assertEqual(406, self.sim.request("GET", path, {"Authorization": BASIC, "Accept": "text/csv"}).status)
        self.assertEqual(200, self.sim.request("GET", path, {"Authorization": BASIC, "Accept": "*/*"}).status)
        self.assert_error(self.sim.table("incident", limit="-1"), 400, "Invalid value given for sysparm_limit")
        self.assert_error(self.sim.table("incident", limit="x"), 400, "Invalid value given for sysparm_limit")
        self.assertEqual(10000, len(self.sim.table("task_sla", fields="sys_id").rows) + 4000)
        prefix = len("/servicenow/api/now/v2/table/incident?sysparm_exclude_reference_link=true&sysparm_limit=1&sysparm_query=number%3D")
        self.assertEqual(200, self.sim.table("incident", limit=1, query="number=" + "x" * (8192 - prefix)).status)
        self.assertEqual(414, self.sim.table("incident", limit=1, query="number=" + "x" * (8193 - prefix)).status)


if __name__ == "__main__":
    unittest.main()
