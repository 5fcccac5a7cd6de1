"""Every request that foz sends to Azure DevOps is one that the official specifications of REST API 7.1 know."""

import os
import unittest
import urllib.parse

import control
from azure import AzureTest, delete, fault, update
from foz import COMPLETE, HELD, ROOT
from swagger import Specification

SHARED = os.environ.get("FOZ_TEST_DATA") or os.path.join(os.path.dirname(ROOT), "shared")
SPECS = next((path for path in (os.path.join(SHARED, "specs"), os.path.join(os.path.dirname(SHARED), "specs")) if os.path.isdir(path)), None)
HOSTS = {"_graph": "vssps.dev.azure.com", "_entitlements": "vsaex.dev.azure.com", "_profile": "app.vssps.visualstudio.com"}
# No document describes it; recorded exchanges do.
UNDESCRIBED = {("GET", "/_apis/connectionData", "7.1-preview.1")}


@unittest.skipUnless(SPECS, "the specifications are absent; FOZ_TEST_DATA names the folder beside them")
class Specified(AzureTest):
    tickets = 60
    specification = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.specification = Specification(SPECS)

    def check_requests(self):
        """Returns how many there were."""
        requests = self.requests()
        routes = set()
        for request in requests:
            parts = urllib.parse.urlsplit(request["url"])
            query = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
            path = parts.path.removeprefix("/azure")
            prefix = path.split("/")[1]
            path = path.removeprefix("/" + prefix) if prefix in HOSTS else path
            routes.add(request["route"])
            self.assertEqual("Suppress", request["headers"]["X-TFS-FedAuthRedirect"])
            self.assertEqual("application/json" if request["method"] == "POST" else None, request["headers"]["Content-Type"])
            self.assertIn(request["method"], ("GET", "POST"), "foz only reads")
            if (request["method"], path, dict(query).get("api-version")) in UNDESCRIBED:
                continue
            host = HOSTS.get(prefix, "dev.azure.com")
            found = self.specification.faults(host, request["method"], "/organization" + path, query, request["body"])
            self.assertEqual([], found, request)
        self.sim.control({"forget_requests": {"system": "azure_devops"}})
        return routes

    def test_every_request_of_every_mode_and_of_check(self):
        self.load("work-items", "projects", "--mode", "full")
        self.assertEqual({"fields", "revisions", "links", "wiql", "recyclebin", "projects", "processes", "nodes", "connection", "entitlements"},
                         self.check_requests())
        ids = self.items()
        self.sim.change(update(ids[0]), delete(ids[1]))
        self.load("work-items", "projects")
        self.check_requests()
        self.sim.do(fault("missing_rows", table="wiql", every=9))
        self.destroy(ids[2])
        self.load("work-items", "--mode", "reconcile")
        self.assertIn("items", self.check_requests())
        self.sim.do(control.clear_faults(), fault("forbidden_403", route="entitlements"), fault("forbidden_403", table="processes"))
        self.load("projects", expect=(COMPLETE, HELD))
        self.assertIn("graph", self.check_requests())
        self.load("projects", expect=(COMPLETE, HELD), env={"FOZ_TEST_PAT": "foz-narrow-pat"})
        self.worker("check", expect=COMPLETE)
        self.check_requests()
        self.sim.do(control.clear_faults(), fault("bad_value", table="workitemrevisions", field="Microsoft.VSTS.Common.Priority", mode="not_integer", every=30))
        self.load("work-items", "--mode", "full", expect=3)
        self.worker("dead-letters", "retry", expect=COMPLETE)
        self.check_requests()

    def test_the_validator_finds_what_is_wrong(self):
        """So that it cannot pass by being blind."""
        revisions = "/organization/_apis/wit/reporting/workitemrevisions"
        version = ("api-version", "7.1")
        for request in (("POST", "/organization/_apis/wit/reporting/workitemrevision", [version], "{}"),
                        ("DELETE", revisions, [version], None), ("POST", revisions, [version], '{"field": []}'),
                        ("POST", revisions, [version], '{"fields": "System.Id"}'), ("POST", revisions, [version, ("$maxPageSize", "5")], "{}"),
                        ("POST", revisions, [], "{}"), ("POST", revisions, [("api-version", "7.2")], "{}"),
                        ("POST", "/organization/_apis/wit/wiql", [version, ("$top", "many")], '{"query": ""}'),
                        ("POST", "/organization/_apis/wit/workitemsbatch", [version], '{"ids": [1], "errorPolicy": "skip"}'),
                        ("GET", "/organization/_apis/projects", [version, ("stateFilter", "none at all")], None)):
            with self.subTest(request=request):
                self.assertNotEqual([], self.specification.faults("dev.azure.com", *request))
        self.assertEqual([], self.specification.faults("dev.azure.com", "POST", revisions, [version], '{"fields": ["System.Id"]}'))


if __name__ == "__main__":
    unittest.main()
