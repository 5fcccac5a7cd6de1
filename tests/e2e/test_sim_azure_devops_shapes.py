"""foz-sim behaves like the Azure DevOps of the reference: recorded answers and specifications held against its own."""

import json
import os
import unittest
import urllib.parse

from sim_azure_devops import AGILE_TYPES, LINKS, PROCESSES, REVISIONS, SPECS, SimTest, fixture, official, pat, recorded


def differences(want, have, path="", optional=()):
    """What `have` lacks of the keys and kinds of `want`; of lists all elements together count."""
    if path.endswith(".fields"):
        # Which fields there are is the data's business, how they look is not.
        for key in sorted(set(want) & set(have)):
            yield from differences(want[key], have[key], f"{path}[{key}]", optional)
        return
    if isinstance(want, dict):
        if not isinstance(have, dict):
            yield f"{path}: an object became {have!r}"
            return
        for key in want:
            if key in have:
                yield from differences(want[key], have[key], f"{path}.{key}", optional)
            elif key not in optional:
                yield f"{path}: {key} is missing"
    elif isinstance(want, list):
        if not isinstance(have, list):
            yield f"{path}: a list became {have!r}"
        elif want and have and all(isinstance(item, dict) for item in want + have):
            common = [key for key in want[0] if all(key in item for item in want)]
            for item in have:
                yield from differences({key: want[0][key] for key in common}, item, path + "[]", optional)
    elif want is not None and have is not None:
        kinds = [("number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__) for value in (want, have)]
        if kinds[0] != kinds[1]:
            yield f"{path}: {want!r} became {have!r}"


class Shapes(SimTest):
    noise = {"content-length", "x-cache"}

    def assert_shape(self, want, have, optional=()):
        self.assertEqual([], sorted(set(differences(want, have, "", optional)))[:10])

    def assert_headers(self, response, answer):
        have = {name.lower() for name in answer.headers}
        self.assertEqual(set(), {name.lower() for name in response["headers"]} - self.noise - have)

    def check_recorded(self, name, answer, optional=()):
        response, body = recorded(name)
        self.assertEqual(response["status"], answer.status)
        self.assert_headers(response, answer)
        want = response["headers"].get("content-type", "").split("; api-version")[0]
        self.assertEqual(want, answer.headers["Content-Type"].split("; api-version")[0])
        self.assert_shape(body, answer.json(), optional)

    def test_connection_data(self):
        self.check_recorded("connectiondata-200", self.sim.api("_apis/ConnectionData", version="7.1-preview.1"))

    def test_projects(self):
        self.check_recorded("projects-list-200", self.sim.api("_apis/projects"))

    def test_one_project_with_its_process(self):
        self.check_recorded("project-get-capabilities-200", self.sim.api("_apis/projects/Base", includeCapabilities="true"))

    def test_a_wiql_result(self):
        answer = self.sim.api("_apis/wit/wiql", {"query": "SELECT [System.Id] FROM WorkItems WHERE ([System.Id] = 4 OR [System.Id] = 8)"})
        self.check_recorded("wiql-post-200", answer)
        self.assertEqual([4, 8], [item["id"] for item in answer.json()["workItems"]])
        text = ("Select [System.Id], [System.Title], [System.State] From WorkItems Where [System.WorkItemType] = 'Task' AND [State] <> 'Closed' "
                "AND [State] <> 'Removed' order by [Microsoft.VSTS.Common.Priority] asc, [System.CreatedDate] desc")
        self.assert_shape(official("wiql-flat"), self.sim.get("_apis/wit/wiql", {"query": text}))

    def test_a_work_item_with_everything(self):
        parent = next(link["source_id"] for link in self.sim.truth("links") if "Hierarchy" in link["rel"] and link["is_active"])
        self.check_recorded("workitem-get-expand-all-200", self.sim.api(f"_apis/wit/workItems/{parent}", **{"top_expand": "All"}))
        # Not every link has a comment; workItemHistory is gone from what was recorded later.
        self.assert_shape(official("workitems-list-expand-all"), self.sim.get("_apis/wit/workitems", ids=f"{parent},1", **{"top_expand": "all"}), ("workItemHistory", "comment"))

    def test_work_items_as_of(self):
        self.check_recorded("workitems-list-fields-asof-200", self.sim.api("_apis/wit/workItems", ids="1,2", fields="System.Id,System.WorkItemType,System.Title,System.AssignedTo,System.State,System.Tags", asOf="2026-01-15T00:00:00Z"))

    def test_a_batch(self):
        body = {"ids": [1, 2, 3], "fields": ["System.Id", "System.Title", "System.WorkItemType", "Microsoft.VSTS.Scheduling.RemainingWork"]}
        self.assert_shape(official("workitemsbatch"), self.sim.get("_apis/wit/workitemsbatch", body))

    def test_iterations(self):
        self.check_recorded("classificationnodes-iterations-depth2-200", self.sim.api("Base/_apis/wit/classificationNodes/iterations", **{"top_depth": 2}))

    def test_users(self):
        users = self.sim.get("_entitlements/_apis/userentitlements")["members"]
        answer = self.sim.api("_entitlements/_apis/UserEntitlements/" + next(user["id"] for user in users if user["lastAccessedDate"].startswith("0001-01-01")))
        self.check_recorded("userentitlement-pending-200", answer)
        self.assert_shape(official("graph-users"), self.sim.get("_graph/_apis/graph/users", version="7.1-preview.1"))
        self.assert_shape(official("profile-me"), self.sim.get("_profile/_apis/profile/profiles/me"))

    def test_teams_and_properties(self):
        project = self.sim.get("_apis/projects/Base")
        self.assert_shape(official("team-members"), self.sim.get(f"_apis/projects/{project['id']}/teams/{project['defaultTeam']['id']}/members"))
        properties = self.sim.get(f"_apis/projects/{project['id']}/properties", version="7.1-preview.1")
        self.assert_shape(official("project-properties"), properties)
        self.assertIn({"name": "System.ProcessTemplateType", "value": "b8a3a935-7e91-48b8-a94c-606d37c3e9f2"}, properties["value"])

    def test_states(self):
        self.assert_shape(official("process-workitemtypes-expand-states"), self.sim.get(AGILE_TYPES, **{"top_expand": "states"}))
        self.assert_shape(official("process-wit-states"), self.sim.get(AGILE_TYPES + "/Microsoft.VSTS.WorkItemTypes.Bug/states"))
        self.assert_shape(official("workitemtype-states"), self.sim.get("Base/_apis/wit/workitemtypes/Issue/states"))

    def test_the_revision_feed(self):
        self.assert_shape(official("reporting-workitemrevisions-get"), self.sim.get(REVISIONS))
        self.assert_shape(official("reporting-workitemrevisions-post"), self.sim.get(REVISIONS, {"types": ["Bug"], "fields": ["System.WorkItemType", "System.Title"]}))
        self.sim.fault("identity_form", mode="old")
        self.assert_shape(official("reporting-workitemrevisions-identityref"), self.sim.get(REVISIONS, includeIdentityRef="true"))

    def test_the_link_feed(self):
        self.assert_shape(official("reporting-workitemlinks"), self.sim.get(LINKS))

    def test_history(self):
        item = next(row["id"] for row in self.sim.truth("work_items") if row["rev"] >= 7 and not row["System.IsDeleted"])
        self.assert_shape(official("revisions-list"), self.sim.get(f"_apis/wit/workItems/{item}/revisions"))
        updates = self.sim.get(f"_apis/wit/workItems/{item}/updates")["value"]
        # Updates of links alone are not simulated: each of these has fields.
        self.assert_shape([update for update in official("updates-list")["value"] if "fields" in update], updates, ("name",))
        for before, after in zip(updates, updates[1:]):
            # A date that did not change is no change.
            if "System.ChangedDate" in after["fields"]:
                self.assertEqual(before["revisedDate"], after["fields"]["System.ChangedDate"]["newValue"])
        self.assertEqual("9999-01-01T00:00:00Z", updates[-1]["revisedDate"])
        comments = self.sim.get(self.project_of(item) + f"/_apis/wit/workItems/{item}/comments", version="7.1-preview.4", **{"top_top": 1})
        self.assert_shape(official("comments-page1"), comments, ("commentId",))

    def project_of(self, item):
        return urllib.parse.quote(self.sim.get(f"_apis/wit/workitems/{item}")["fields"]["System.TeamProject"])

    def test_the_recycle_bin_in_both_forms(self):
        bin_ = self.sim.get("_apis/wit/recyclebin")
        ids = [item["id"] for item in bin_["value"]]
        self.assertEqual(bin_["count"], len(ids))
        self.assertEqual({row["id"] for row in self.sim.truth("work_items") if row["System.IsDeleted"]}, set(ids))
        self.sim.fault("recyclebin_form")
        self.assert_shape(official("recyclebin-list"), self.sim.get("_apis/wit/recyclebin"))
        details = self.sim.get("_apis/wit/recyclebin", ids=f"{ids[0]},{ids[1]}")
        self.assert_shape(official("recyclebin-ids"), details)
        self.assertRegex(details[0]["deletedDate"], r"\A\d+/\d+/\d{4} \d+:\d\d:\d\d [AP]M\Z")

    def test_recorded_errors(self):
        for name, answer in (
                ("error-404-TF200016-project", self.sim.api("Nowhere/_apis/wit/workItems/1")),
                ("error-503-TF24668-org-stopped-BOM", self.stopped())):
            with self.subTest(name):
                response, body = recorded(name)
                self.assertEqual(response["status"], answer.status)
                self.assert_headers(response, answer)
                self.assertEqual(response["headers"]["content-type"], answer.headers["Content-Type"])
                self.assertEqual(response["bodyText"].startswith("\ufeff"), answer.body.startswith(b"\xef\xbb\xbf"))
                have = json.loads(answer.body.decode("utf-8-sig"))
                self.assertEqual({**body, "message": 0}, {**have, "message": 0})
                self.assertEqual(body["message"][:20], have["message"][:20])

    def stopped(self):
        self.sim.fault("org_stopped_503", count=1)
        return self.sim.api("_apis/projects")

    def test_an_unknown_route_is_plain_text(self):
        response = fixture("recorded-error-404-text-plain")["response"]
        answer = self.sim.api("Base/_apis/wit/workItems/0")
        self.assertEqual((404, response["headers"]["content-type"]), (answer.status, answer.headers["Content-Type"]))
        self.assertIn("was not found or does not implement IController", urllib.parse.unquote(answer.headers["x-tfs-serviceerror"]))
        self.assertEqual(b"The controller for path '/azure/Base/_apis/wit/workItems/0' was not found or does not implement IController.", answer.body)

    def test_a_refused_token_has_an_empty_body(self):
        response = fixture("recorded-error-401-empty-body")["response"]
        answer = self.sim.api("_apis/projects", headers=pat("wrong"))
        self.assertEqual((401, b""), (answer.status, answer.body))
        self.assert_headers(response, answer)
        self.assertIn('Basic realm="', " ".join(answer.headers.get_all("WWW-Authenticate")))
        self.assertIsNone(answer.headers["X-VSS-UserData"])

    def test_quoted_errors(self):
        cases = {case["name"]: case for case in fixture("quoted-error-bodies")}
        self.sim.control(clock={"run": False})
        for name, answer in (
                ("VS403474 (more than 200 ids)", self.sim.api("_apis/wit/workitemsbatch", {"ids": list(range(1, 460))})),
                ("WIQL time literal without timePrecision", self.sim.api("_apis/wit/wiql", {"query": "SELECT [System.Id] FROM WorkItems WHERE [System.ChangedDate] >= '2026-04-18T19:35:25Z'"})),
                ("preview flag missing", self.sim.api("_apis/connectionData")),
                ("api-version missing", self.sim.api("_apis/wit/wiql", {"query": ""}, version=None)),
                ("api-version too high", self.sim.api("_apis/projects", version="9.9")),
                ("$expand with fields", self.sim.api("_apis/wit/workitems", ids="1", fields="System.Id", **{"top_expand": "relations"}))):
            with self.subTest(name):
                body = answer.json()
                self.assertEqual((400, cases[name]["messageOnly"]), (answer.status, body["message"]))
                self.assertEqual(cases[name].get("typeKey", body["typeKey"]), body["typeKey"])
        self.sim.fault("query_limit", rate=20000)
        missing = self.sim.api("_apis/wit/workItems/27142")
        self.assertEqual((404, cases["TF401232 (work item missing, deleted or unreadable)"]["body"]), (missing.status, missing.json()))


class Specifications(SimTest):
    """Answers hold no key that the specification does not know."""

    def definition(self, file, name):
        path = os.path.join(SPECS, file)
        if not os.path.exists(path):
            self.skipTest(f"no specification {path}")
        with open(path, encoding="utf-8-sig") as text:
            definitions = json.load(text)["definitions"]

        def properties(key):
            found = dict(definitions[key].get("properties", {}))
            for part in definitions[key].get("allOf", []):
                found.update(properties(part["$ref"].split("/")[-1]))
            return found
        return properties(name)

    def test_answers_hold_known_keys(self):
        wit, core, process = "wit-7.1-workItemTracking.json", "core-7.1-core.json", "processes-7.1-workItemTrackingProcess.json"
        for file, name, rows, extra in (
                (core, "TeamProjectReference", self.sim.get("_apis/projects")["value"], set()),
                (core, "TeamProject", [self.sim.get("_apis/projects/Base", includeCapabilities="true")], set()),
                (core, "WebApiTeam", self.sim.get("_apis/projects/Base/teams")["value"], {"id", "name", "url"}),
                (wit, "WorkItem", self.sim.get("_apis/wit/workitems", ids="1,2,3", **{"top_expand": "all"})["value"], {"multilineFieldsFormat"}),
                (wit, "WorkItemQueryResult", [self.sim.wiql("", tail="ORDER BY [System.Id]").json()], set()),
                (wit, "WorkItemField2", self.sim.get("_apis/wit/fields")["value"], set()),
                (wit, "WorkItemClassificationNode", [self.sim.get("Base/_apis/wit/classificationnodes/areas", **{"top_depth": 1})], set()),
                (wit, "WorkItemType", self.sim.get("Base/_apis/wit/workitemtypes")["value"], set()),
                (wit, "WorkItemStateColor", self.sim.get("Base/_apis/wit/workitemtypes/Task/states")["value"], set()),
                (wit, "StreamedBatch", [self.sim.get(REVISIONS), self.sim.get(LINKS)], set()),
                (process, "ProcessInfo", self.sim.get(PROCESSES, **{"top_expand": "projects"})["value"], set()),
                (process, "ProcessWorkItemType", self.sim.get(AGILE_TYPES, **{"top_expand": "states"})["value"], set()),
                (process, "WorkItemStateResultModel", self.sim.get(AGILE_TYPES + "/Microsoft.VSTS.WorkItemTypes.Bug/states")["value"], set()),
                ("graph-7.1-graph.json", "GraphUser", self.sim.get("_graph/_apis/graph/users", version="7.1-preview.1")["value"], set()),
                ("memberEntitlementManagement-7.1-memberEntitlementManagement.json", "UserEntitlement", self.sim.get("_entitlements/_apis/userentitlements")["members"], {"extensions"}),
                ("profile-7.1-profile.json", "Profile", [self.sim.get("_profile/_apis/profile/profiles/me")], {"displayName", "publicAlias", "emailAddress"}),
                ("account-7.1-accounts.json", "Account", self.sim.get("_profile/_apis/accounts", memberId="x")["value"], set())):
            with self.subTest(name):
                known = set(self.definition(file, name)) | extra
                self.assertTrue(rows)
                self.assertEqual(set(), set().union(*rows) - known)

    def test_requests_are_kept_in_full(self):
        self.sim.control(forget_requests={})
        self.sim.api("Base/_apis/wit/wiql", {"query": "SELECT [System.Id] FROM WorkItems"}, **{"top_top": 5})
        seen = self.sim.truth("requests")
        self.assertEqual(1, len(seen))
        self.assertEqual(("POST", "/azure/Base/_apis/wit/wiql?%24top=5&api-version=7.1"), (seen[0]["method"], seen[0]["url"]))
        self.assertEqual({"query": "SELECT [System.Id] FROM WorkItems"}, json.loads(seen[0]["body"]))
        self.assertEqual(("Basic", "Suppress"), (seen[0]["headers"]["Authorization"], seen[0]["headers"]["X-TFS-FedAuthRedirect"]))


if __name__ == "__main__":
    unittest.main()
