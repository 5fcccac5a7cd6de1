"""foz-sim behaves like the Azure DevOps of the reference: accounts, versions, methods, what it refuses."""

import base64
import gzip
import json
import unittest
import urllib.parse

from sim_azure_devops import REVISIONS, SUPPRESS, SimTest, pat


class Strictness(SimTest):
    def test_accounts(self):
        for name, headers, expected in (
                ("token", pat("foz-pat"), 200), ("bearer", {"Authorization": "Bearer foz-bearer"}, 200), ("expired", pat("foz-expired-pat"), 401), ("wrong bearer", {"Authorization": "Bearer x"}, 401)):
            with self.subTest(name):
                self.assertEqual(expected, self.sim.api("_apis/projects", headers=headers).status)
        who = [self.sim.get("_apis/connectionData", version="7.1-preview", headers=pat(token))["authenticatedUser"] for token in ("foz-pat", "foz-caller-pat")]
        self.assertEqual(["foz@fabrikam.example", "paula.caller@fabrikam.example"], [user["properties"]["Account"]["$value"] for user in who])
        self.assertNotEqual(base64.b64decode(who[0]["subjectDescriptor"][4:] + "==").decode(), who[0]["id"])

    def test_a_narrow_token_reads_work_items_only(self):
        headers = pat("foz-narrow-pat")
        self.assertEqual(200, self.sim.api(REVISIONS, {}, headers=headers).status)
        self.assert_error(self.sim.api("_graph/_apis/graph/users", version="7.1-preview.1", headers=headers), 403, "AccessCheckException", "Access Denied")
        self.assert_error(self.sim.api("_entitlements/_apis/userentitlements", headers=headers), 403, "AccessCheckException", "Access Denied")
        self.assertEqual(401, self.sim.api("_profile/_apis/profile/profiles/me", headers=headers).status)

    def test_sign_in_depends_on_the_suppress_header(self):
        path = "/azure/_apis/projects?api-version=7.1"
        plain = self.sim.request("GET", path, pat("wrong"))
        self.assertEqual((203, "text/html; charset=utf-8"), (plain.status, plain.headers["Content-Type"]))
        self.assertIn(b"Sign In", plain.body)
        anonymous = self.sim.request("GET", path)
        self.assertEqual(302, anonymous.status)
        self.assertIn("_signin?realm=", anonymous.headers["Location"])
        suppressed = self.sim.request("GET", path, SUPPRESS)
        self.assertEqual((401, b""), (suppressed.status, suppressed.body))
        expired = self.sim.request("GET", path, {**SUPPRESS, **pat("foz-expired-pat")})
        self.assertIn("has expired", urllib.parse.unquote(expired.headers["X-TFS-ServiceError"]))

    def test_an_organisation_with_public_projects_knows_anybody(self):
        self.sim.fault("public_organisation")
        who = self.sim.get("_apis/connectionData", version="7.1-preview", headers=pat("wrong"))
        self.assertTrue(who["authenticatedUser"]["id"].startswith("aaaaaaaa-aaaa"))
        self.assertEqual("foz@fabrikam.example", self.sim.get("_apis/connectionData", version="7.1-preview")["authenticatedUser"]["properties"]["Account"]["$value"])

    def test_versions(self):
        for version, status in (("7.1", 200), ("5.0", 200), ("7.1-preview.4", 200), ("7.2", 400), ("7.2-preview.4", 200), ("8.0", 400), ("seven", 400)):
            with self.subTest(version):
                self.assertEqual(status, self.sim.api("_apis/projects", version=version).status)
        answer = self.sim.api("_apis/projects", version=None, headers={"Accept": "application/json;api-version=6.0"})
        self.assertEqual("application/json; charset=utf-8; api-version=6.0", answer.headers["Content-Type"])
        self.sim.fault("server_version", value="6.0")
        body = self.assert_error(self.sim.api("_apis/projects"), 400, "VssVersionOutOfRangeException", "The requested REST API version of 7.1")
        self.assertIn("supports is 6.0.", body["message"])

    def test_methods_and_bodies(self):
        self.assertEqual(405, self.sim.api("_apis/projects", method="PATCH").status)
        self.assert_error(self.sim.api("_apis/wit/wiql", "query=1", headers={"Content-Type": "application/x-www-form-urlencoded"}), 415, "VssRequestContentTypeNotSupportedException", "The request indicated")
        broken = self.sim.api(REVISIONS, "{]")
        self.assertEqual((400, {"count", "value"}), (broken.status, set(broken.json())))
        self.assertEqual(404, self.sim.api("_apis/wit/workitemsbatch").status)
        self.assertEqual(200, self.sim.api("_apis/projects", nonsense="1").status)

    def test_paths_ignore_case(self):
        self.assertEqual(self.sim.get("base/_APIS/WIT/workItemTypes/TASK/States"), self.sim.get("Base/_apis/wit/workitemtypes/task/states"))

    def test_unknown_fields_and_values(self):
        self.assert_error(self.sim.api(REVISIONS, {"fields": ["System.Id", "No.Such"]}), 400, "WorkItemTrackingFieldDefinitionNotFoundException", "TF51535: Cannot find field No.Such.")
        self.assertEqual(400, self.sim.api("_apis/wit/workitems", ids="1", errorPolicy="skip").status)
        self.assertEqual(404, self.sim.api("_apis/wit/workitems", ids="1,999999", **{"$errorPolicy": "omit"}).status)
        self.assertEqual(400, self.sim.api(REVISIONS, {}, continuationToken="x;1;1").status)
        self.assertEqual(400, self.sim.api(REVISIONS, {}, continuationToken="5;1;1", startDateTime="2025-01-01T00:00:00Z").status)
        self.assertEqual(400, self.sim.api(REVISIONS, fields="System.Id", **{"top_expand": "fields"}).status)

    def test_gzip(self):
        answer = self.sim.api("_apis/projects", headers={"Accept-Encoding": "gzip"})
        self.assertEqual("gzip", answer.headers["Content-Encoding"])
        self.assertEqual(self.sim.get("_apis/projects"), json.loads(gzip.decompress(answer.body)))


if __name__ == "__main__":
    unittest.main()
