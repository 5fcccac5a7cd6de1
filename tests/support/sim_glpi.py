"""Tests of foz-sim as GLPI: a session on it and the base of its test classes."""

import os
import tempfile
import unittest
import urllib.parse

import foz
from sim_process import SHARED, data_with

FIXTURES = os.path.join(SHARED, "fixtures", "glpi")
LOG = os.path.join("helpdesk_italian", "finale.csv.gz")
HELPDESK = data_with(LOG)
CHILDREN = ("Ticket_User", "Group_Ticket", "Supplier_Ticket", "ITILFollowup", "TicketTask", "ITILSolution",
            "TicketValidation", "TicketSatisfaction", "TicketCost", "Log")
DIRECTORY = ("User", "UserEmail", "Group", "Group_User", "Entity", "ITILCategory", "Location", "SLA", "OLA", "SLM", "Calendar",
             "CalendarSegment", "RequestType", "TaskCategory", "SolutionType", "PendingReason", "Profile_User")


def glpi(operation, **values):
    return {operation: {"system": "glpi", **values}}


class Client:
    """A session on the simulated server."""

    def __init__(self, sim, token="foz-glpi-token", whole=True):
        self.sim, self.headers = sim, {"App-Token": "foz-app-token"}
        login = self.get("initSession", {"Authorization": f"user_token {token}"})
        self.headers["Session-Token"] = login.json()["session_token"]
        if whole:
            assert self.post("changeActiveEntities", {"is_recursive": True}).json() is True

    def request(self, method, path, headers=None, body=None, **parameters):
        query = urllib.parse.urlencode(parameters)
        return foz.http(method, f"{self.sim.url}/glpi/apirest.php/{path}" + ("?" + query if query else ""), body,
                        {**self.headers, **(headers or {})}, timeout_s=120)

    def get(self, path, headers=None, **parameters):
        return self.request("GET", path, headers, **parameters)

    def post(self, path, body):
        return self.request("POST", path, body=body)

    def page(self, itemtype, start, rows, **parameters):
        return self.get(itemtype, {"X-GLPI-Sanitized-Content": "false"},
                        **{"range": f"{start}-{start + rows - 1}", "get_hateoas": "false", **parameters})

    def walk(self, itemtype, page=500, between=None, **parameters):
        """All pages by offset, as a naive reader goes."""
        rows = []
        while True:
            found = self.page(itemtype, len(rows), page, **parameters)
            if found.status == 400:
                return rows
            found = found.json()
            rows += found
            if len(found) < page:
                return rows
            if between:
                between()
                between = None

    def total(self, itemtype, **parameters):
        span = self.page(itemtype, 0, 1, only_id="true", **parameters).headers["Content-Range"]
        return 0 if span is None else int(span.split("/")[1])


class GlpiTest(unittest.TestCase):
    tickets = 3000
    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.sim = foz.Sim(cls.folder.name, *cls.arguments, tickets=cls.tickets)
        cls.addClassCleanup(cls.folder.cleanup)
        cls.addClassCleanup(cls.sim.stop)

    def setUp(self):
        self.sim.do({"reset": True}, {"run": False})
        self.client = Client(self.sim)

    def truth(self, table, **parameters):
        return self.sim.rows(table, system="glpi", **parameters)

    def fault(self, kind, **options):
        self.sim.do({"fault": {"kind": kind, "system": "glpi", **options}})

    def now(self):
        return self.sim.state()["clock"].replace("T", " ")[:19]

    def change(self, *operations):
        return self.sim.do(*operations)


def kind_of(value):
    return {bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "dict"}.get(type(value), "null")
