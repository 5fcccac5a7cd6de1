"""Tests of foz-sim as Azure DevOps: a client of it, the base of its test classes, recorded answers."""

import base64
import json
import os
import unittest
import urllib.parse

import sim_process
from sim_process import SHARED

LOG = os.path.join("volvo_bpic13", "bpic13_events.csv.gz")
DATA = sim_process.data_with(LOG)
FIXTURES = os.path.join(SHARED, "fixtures", "azure-devops")
SPECS = os.path.join(SHARED, "specs")
SUPPRESS = {"X-TFS-FedAuthRedirect": "Suppress"}
REVISIONS = "_apis/wit/reporting/workitemrevisions"
LINKS = "_apis/wit/reporting/workitemlinks"
WORK = "_apis/work"
PROCESSES = f"{WORK}/processes"
AGILE_TYPES = f"{PROCESSES}/adcc42ab-9882-485e-a3ed-7678f01f66bc/workItemTypes"


def pat(token):
    return {"Authorization": "Basic " + base64.b64encode(f":{token}".encode()).decode()}


class Sim(sim_process.Sim):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.base = f"http://{self.address}/azure"

    def api(self, path, body=None, headers=None, version="7.1", method=None, timeout=60, **parameters):
        """A call with the sync account; a body makes it a POST."""
        if version:
            parameters["api-version"] = version
        query = urllib.parse.urlencode({k.replace("top_", "$"): v for k, v in parameters.items()}, quote_via=urllib.parse.quote)
        sent = {**pat("foz-pat"), **SUPPRESS, "Accept": "application/json", **(headers or {})}
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
            body = body if isinstance(body, (str, bytes)) else json.dumps(body)
        return self.request(method or ("POST" if body is not None else "GET"), f"/azure/{path}" + ("?" + query if query else ""), sent, body, timeout)

    def get(self, path, body=None, **parameters):
        answer = self.api(path, body, **parameters)
        if answer.status != 200:
            raise AssertionError((answer.status, answer.body[:500]))
        return answer.json()

    def control(self, **operation):
        return self.post_control({"system": "azure_devops", **operation})

    def fault(self, kind, **options):
        self.control(fault={"kind": kind, "system": "azure_devops", **options})

    def reset(self):
        self.control(reset=True)

    def rows(self):
        return self.state()["rows"]["azure_devops"]

    def truth(self, table, **more):
        return self.rows_of(system="azure_devops", table=table, **more)

    def batch(self, token=None, body=None, project="", **parameters):
        if token:
            parameters["continuationToken"] = token
        return self.get(project + REVISIONS, {"includeDeleted": True, "includeIdentityRef": True} if body is None else body, **parameters)

    def walk(self, token=None, body=None, project="", limit=10000):
        """All rows behind the token, as a client must read them, and the last token."""
        rows = []
        for _ in range(limit):
            page = self.batch(token, body, project)
            rows += page["values"]
            token = page.get("continuationToken") or urllib.parse.parse_qs(urllib.parse.urlsplit(page["nextLink"]).query)["continuationToken"][0]
            if page["isLastBatch"]:
                return rows, token
        raise AssertionError("the feed does not end")

    def wiql(self, where, top=None, tail="", project="", **parameters):
        if top is not None:
            parameters["top_top"] = top
        return self.api(project + "_apis/wit/wiql", {"query": f"SELECT [System.Id] FROM WorkItems {'WHERE ' + where if where else ''} {tail}"}, timePrecision="true", **parameters)


def keys_of(rows):
    return [(row["id"], row["rev"]) for row in rows]


class SimTest(sim_process.SimTest):
    """Each test leaves the simulator as at the start."""

    simulator = Sim
    arguments = ("--tickets", "400")

    def tearDown(self):
        self.sim.reset()

    def assert_error(self, answer, status, type_key, begins):
        self.assertEqual(status, answer.status, answer.body[:300])
        self.assertEqual("application/json; charset=utf-8", answer.headers["Content-Type"])
        body = answer.json()
        self.assertEqual(["$id", "innerException", "message", "typeName", "typeKey", "errorCode", "eventId"], list(body))
        self.assertEqual((type_key, 0), (body["typeKey"], body["errorCode"]))
        self.assertTrue(body["message"].startswith(begins), body["message"])
        return body


def fixture(name):
    path = os.path.join(FIXTURES, name + ".json")
    if not os.path.exists(path):
        raise unittest.SkipTest(f"no fixture {path}")
    with open(path, encoding="utf-8-sig") as file:
        return json.load(file)


def recorded(name):
    response = fixture("recorded-" + name)["response"]
    return response, json.loads(response["bodyText"].lstrip("\ufeff"))


def official(name):
    return fixture("official-" + name)["responses"]["200"]["body"]
