"""foz-sim behaves like the ServiceNow of the reference: shapes, forgiveness, traps, faults, replay.

Standard library only. FOZ_BUILD names the build directory (default: build in the checkout);
FOZ_TEST_DATA the folder with recorded logs and fixtures (default: `shared` beside the checkout).
"""

import base64
import csv
import gzip
import hashlib
import http.client
import json
import os
import random
import re
import subprocess
import time
import unittest
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("FOZ_BUILD", os.path.join(ROOT, "build")))
SIM = os.path.join(BUILD, "tests", "sim", "foz-sim")
SHARED = os.environ.get("FOZ_TEST_DATA") or os.path.join(os.path.dirname(ROOT), "shared")
DATA = next((d for d in (os.path.join(SHARED, "data"), SHARED)
             if os.path.exists(os.path.join(d, "servicenow_uci498", "incident_event_log.csv.gz"))), None)
FIXTURES = os.path.join(SHARED, "fixtures", "servicenow")
BASIC = "Basic " + base64.b64encode(b"foz:foz-secret").decode()
TASKS = ("incident", "task_sla", "incident_task", "task_time_worked", "contract_sla", "sys_user_group", "core_company",
         "sys_user", "cmdb_ci_network_link")


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self):
        return json.loads(self.body)

    @property
    def rows(self):
        return self.json()["result"]


class Sim:
    def __init__(self, *arguments):
        self.process = subprocess.Popen([SIM, "--listen", "127.0.0.1:0", *map(str, arguments)],
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"foz-sim listening on http://(127\.0\.0\.1:(\d+))\n", line)
        if not found:
            self.stop()
            raise AssertionError(f"foz-sim said {line!r}")
        self.address, self.port = found.group(1), int(found.group(2))

    def stop(self):
        self.process.terminate()
        code = self.process.wait(30)
        self.process.stdout.close()
        return code

    def request(self, method, path, headers=None, body=None, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def api(self, path, headers=None, timeout=60, **parameters):
        query = urllib.parse.urlencode({f"sysparm_{k}": v for k, v in parameters.items()}, quote_via=urllib.parse.quote)
        return self.request("GET", f"/servicenow/api/now/{path}" + ("?" + query if query else ""),
                            {"Authorization": BASIC, "Accept": "application/json", **(headers or {})}, timeout=timeout)

    def table(self, name, **parameters):
        return self.api(f"v2/table/{name}", **{"exclude_reference_link": "true", **parameters})

    def count(self, name, query=""):
        return int(self.api(f"stats/{name}", count="true", query=query).json()["result"]["stats"]["count"])

    def control(self, *operations):
        answer = self.request("POST", "/_control", {"Content-Type": "application/json"}, json.dumps(list(operations)))
        if answer.status != 200:
            raise AssertionError(answer.body)
        return answer.json()

    def fault(self, kind, **options):
        self.control({"fault": {"kind": kind, **options}})

    def state(self):
        return self.request("GET", "/_control/state").json()

    def truth(self, name, fields="", query=""):
        answer = self.request("GET", "/_control/rows?" + urllib.parse.urlencode({"table": name, "fields": fields, "query": query}))
        if answer.status != 200:
            raise AssertionError(answer.body)
        return [json.loads(line) for line in answer.body.decode().splitlines()]

    def walk_by_id(self, name, filter_="", page=500, fields="sys_id"):
        rows, last = [], ""
        while True:
            terms = [part for part in (filter_, f"sys_id>{last}" if last else "") if part]
            found = self.table(name, query="^".join([*terms, "ORDERBYsys_id"]), limit=page, fields=fields, no_count="true").rows
            if not found:
                return rows
            rows += found
            last = found[-1]["sys_id"]

    def walk_by_stamp(self, name, low, high, page=300):
        """Drain the second that was begun, then take the next ones."""
        rows, stamp, last = [], None, None
        while True:
            found = []
            if stamp:
                found = self.table(name, query=f"sys_updated_on={stamp}^sys_id>{last}^ORDERBYsys_id", limit=page,
                                   fields="sys_id,sys_updated_on", no_count="true").rows
            if not found:
                bound = f"sys_updated_on>{stamp}" if stamp else f"sys_updated_on>={low}"
                found = self.table(name, query=f"{bound}^sys_updated_on<={high}^ORDERBYsys_updated_on^ORDERBYsys_id",
                                   limit=page, fields="sys_id,sys_updated_on", no_count="true").rows
            if not found:
                return rows
            rows += found
            stamp, last = found[-1]["sys_updated_on"], found[-1]["sys_id"]


class SimTest(unittest.TestCase):
    arguments = ("--tickets", "3000")

    @classmethod
    def setUpClass(cls):
        cls.sim = Sim(*cls.arguments)

    @classmethod
    def tearDownClass(cls):
        code = cls.sim.stop()
        assert code == 0, f"foz-sim ended with {code} after SIGTERM"

    def setUp(self):
        self.sim.control({"reset": True})

    def assert_error(self, answer, status, message, detail="any"):
        self.assertEqual(status, answer.status, answer.body)
        body = answer.json()
        self.assertEqual({"error", "status"}, set(body))
        self.assertEqual("failure", body["status"])
        self.assertEqual(message, body["error"]["message"])
        if detail != "any":
            self.assertEqual(detail, body["error"]["detail"])


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


class Accounts(SimTest):
    FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}

    def token(self, **form):
        given = {"client_id": "foz-client", "client_secret": "foz-client-secret", **form}
        return self.sim.request("POST", "/servicenow/oauth_token.do", self.FORM, urllib.parse.urlencode(given))

    def get(self, headers):
        return self.sim.request("GET", "/servicenow/api/now/table/incident?sysparm_limit=1", {"Accept": "application/json", **headers}).status

    def test_basic_and_api_key(self):
        self.assertEqual(200, self.get({"Authorization": BASIC}))
        self.assertEqual(200, self.get({"x-sn-apikey": "foz-api-key"}))
        self.assertEqual(401, self.get({"x-sn-apikey": "wrong"}))
        self.assertEqual(401, self.get({"Authorization": "Basic Zm96OndlYWs="}))

    def test_tokens(self):
        answer = self.token(grant_type="password", username="foz", password="foz-secret").json()
        self.assertEqual({"scope", "token_type", "expires_in", "refresh_token", "access_token"}, set(answer))
        self.assertEqual(200, self.get({"Authorization": "Bearer " + answer["access_token"]}))
        again = self.token(grant_type="password", username="foz", password="foz-secret").json()
        self.assertEqual(answer["access_token"], again["access_token"])
        self.sim.fault("expire_tokens", count=1)
        self.assertEqual(401, self.get({"Authorization": "Bearer " + answer["access_token"]}))
        fresh = self.token(grant_type="refresh_token", refresh_token=answer["refresh_token"]).json()
        self.assertNotEqual(answer["access_token"], fresh["access_token"])
        self.assertEqual(200, self.get({"Authorization": "Bearer " + fresh["access_token"]}))
        self.assertNotIn("refresh_token", self.token(grant_type="client_credentials").json())

    def test_refusals_all_look_the_same(self):
        denied = {"error_description": "access_denied", "error": "server_error"}
        query = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": "foz-client", "client_secret": "foz-client-secret"})
        for answer in (self.token(grant_type="password", username="foz", password="wrong"),
                       self.token(grant_type="client_credentials", client_secret="wrong"),
                       self.token(grant_type="refresh_token", refresh_token="wrong"),
                       self.sim.request("POST", "/servicenow/oauth_token.do?" + query, self.FORM, "")):
            self.assertEqual((401, denied), (answer.status, answer.json()))
        self.sim.fault("oauth_refuse", count=1)
        self.assertEqual(401, self.token(grant_type="client_credentials").status)

    def test_a_short_life(self):
        self.sim.fault("oauth_short_life", seconds=1)
        token = self.token(grant_type="client_credentials").json()
        self.assertLessEqual(token["expires_in"], 1)
        deadline = time.monotonic() + 20
        while self.get({"Authorization": "Bearer " + token["access_token"]}) != 401:
            self.assertLess(time.monotonic(), deadline)

    def test_one_request_at_a_time_in_one_session(self):
        self.sim.fault("delay", seconds=0.1)
        self.sim.fault("semaphores", value="1/2")
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: self.sim.table("task_sla", query="task.sys_class_name=incident^ORDERBYpercentage", limit=1).status, range(8)))
        self.assertLessEqual(set(found), {200, 429})
        self.sim.control({"clear_faults": True})
        with ThreadPoolExecutor(24) as pool:
            found = list(pool.map(lambda _: self.sim.api("v2/table/task_sla", {"Cookie": "JSESSIONID=SHARED"}, limit=1, query="task.sys_class_name=incident^ORDERBYpercentage").status, range(24)))
        self.assertLessEqual(set(found), {200, 202})
        self.assertGreater(self.sim.state()["in_flight_max"], 4)


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
        done = subprocess.run([SIM, "--fault", "eror_500"], capture_output=True, text=True, check=False)
        self.assertEqual(64, done.returncode)
        self.assertIn("error_500", done.stderr)


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
        with gzip.open(os.path.join(DATA, "servicenow_uci498", "incident_event_log.csv.gz"), "rt", encoding="ascii") as log:
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
