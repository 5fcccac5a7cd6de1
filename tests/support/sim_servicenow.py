"""Tests of foz-sim as ServiceNow: a client of it and the base of its test classes."""

import base64
import os
import urllib.parse

import sim_process
from sim_process import SHARED

LOG = os.path.join("servicenow_uci498", "incident_event_log.csv.gz")
DATA = sim_process.data_with(LOG)
FIXTURES = os.path.join(SHARED, "fixtures", "servicenow")
BASIC = "Basic " + base64.b64encode(b"foz:foz-secret").decode()
TASKS = ("incident", "task_sla", "incident_task", "task_time_worked", "contract_sla", "sys_user_group", "core_company",
         "sys_user", "cmdb_ci_network_link")


class Sim(sim_process.Sim):
    def api(self, path, headers=None, timeout=60, **parameters):
        query = urllib.parse.urlencode({f"sysparm_{k}": v for k, v in parameters.items()}, quote_via=urllib.parse.quote)
        return self.request("GET", f"/servicenow/api/now/{path}" + ("?" + query if query else ""),
                            {"Authorization": BASIC, "Accept": "application/json", **(headers or {})}, timeout=timeout)

    def table(self, name, **parameters):
        return self.api(f"v2/table/{name}", **{"exclude_reference_link": "true", **parameters})

    def count(self, name, query=""):
        return int(self.api(f"stats/{name}", count="true", query=query).json()["result"]["stats"]["count"])

    def control(self, *operations):
        return self.post_control(list(operations))

    def fault(self, kind, **options):
        self.control({"fault": {"kind": kind, **options}})

    def truth(self, name, fields="", query=""):
        return self.rows_of(table=name, fields=fields, query=query)

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


class SimTest(sim_process.SimTest):
    simulator = Sim
    arguments = ("--tickets", "3000")

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
