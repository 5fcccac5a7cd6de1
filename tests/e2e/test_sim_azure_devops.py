"""foz-sim behaves like the Azure DevOps of the reference: shapes, feeds, strictness, faults, replay.

Standard library only. FOZ_BUILD names the build directory (default: build in the checkout);
FOZ_TEST_DATA the folder with recorded logs, fixtures and specifications (default: `shared` beside the checkout).
"""

import base64
import csv
import gzip
import http.client
import io
import json
import os
import re
import subprocess
import time
import unittest
import urllib.parse
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("FOZ_BUILD", os.path.join(ROOT, "build")))
SIM = os.path.join(BUILD, "tests", "sim", "foz-sim")
SHARED = os.environ.get("FOZ_TEST_DATA") or os.path.join(os.path.dirname(ROOT), "shared")
LOG = os.path.join("volvo_bpic13", "bpic13_events.csv.gz")
DATA = next((d for d in (os.path.join(SHARED, "data"), SHARED) if os.path.exists(os.path.join(d, LOG))), None)
FIXTURES = os.path.join(SHARED, "fixtures", "azure-devops")
SPECS = os.path.join(SHARED, "specs")
SUPPRESS = {"X-TFS-FedAuthRedirect": "Suppress"}
REVISIONS = "_apis/wit/reporting/workitemrevisions"
LINKS = "_apis/wit/reporting/workitemlinks"


def pat(token):
    return {"Authorization": "Basic " + base64.b64encode(f":{token}".encode()).decode()}


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self):
        return json.loads(self.body)


class Sim:
    def __init__(self, *arguments):
        self.process = subprocess.Popen([SIM, "--listen", "127.0.0.1:0", *map(str, arguments)], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"foz-sim listening on http://(127\.0\.0\.1:(\d+))\n", line)
        if not found:
            self.stop()
            raise AssertionError(f"foz-sim said {line!r}")
        self.base, self.port = f"http://{found.group(1)}/azure", int(found.group(2))

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
        answer = self.request("POST", "/_control", {"Content-Type": "application/json"}, json.dumps({"system": "azure_devops", **operation}))
        if answer.status != 200:
            raise AssertionError(answer.body)
        return answer.json()

    def fault(self, kind, **options):
        self.control(fault={"kind": kind, "system": "azure_devops", **options})

    def reset(self):
        self.control(reset=True)

    def rows(self):
        return self.request("GET", "/_control/state").json()["rows"]["azure_devops"]

    def truth(self, table, **more):
        answer = self.request("GET", "/_control/rows?" + urllib.parse.urlencode({"system": "azure_devops", "table": table, **more}))
        if answer.status != 200:
            raise AssertionError(answer.body)
        return [json.loads(line) for line in answer.body.decode().splitlines()]

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


class SimTest(unittest.TestCase):
    """Tests share a simulator per class; each leaves it as at the start."""

    arguments = ("--tickets", "400")

    @classmethod
    def setUpClass(cls):
        cls.sim = Sim(*cls.arguments)

    @classmethod
    def tearDownClass(cls):
        if cls.sim.stop() != 0:
            raise AssertionError("foz-sim did not end well")

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


# ---------------------------------------------------------------------------------------------------------------------


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
        agile = "_apis/work/processes/adcc42ab-9882-485e-a3ed-7678f01f66bc/workItemTypes"
        self.assert_shape(official("process-workitemtypes-expand-states"), self.sim.get(agile, **{"top_expand": "states"}))
        self.assert_shape(official("process-wit-states"), self.sim.get(agile + "/Microsoft.VSTS.WorkItemTypes.Bug/states"))
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


# ---------------------------------------------------------------------------------------------------------------------


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
        agile = "_apis/work/processes/adcc42ab-9882-485e-a3ed-7678f01f66bc/workItemTypes"
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
                (process, "ProcessInfo", self.sim.get("_apis/work/processes", **{"top_expand": "projects"})["value"], set()),
                (process, "ProcessWorkItemType", self.sim.get(agile, **{"top_expand": "states"})["value"], set()),
                (process, "WorkItemStateResultModel", self.sim.get(agile + "/Microsoft.VSTS.WorkItemTypes.Bug/states")["value"], set()),
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


# ---------------------------------------------------------------------------------------------------------------------


class Feed(SimTest):
    def setUp(self):
        self.sim.fault("page_size", rate=150)

    def test_a_walk_reads_every_revision_once_in_order(self):
        rows, token = self.sim.walk()
        keys = keys_of(rows)
        self.assertEqual(len(keys), len(set(keys)))
        truth = {(row["id"], row["rev"]): row for row in self.sim.truth("revisions")}
        self.assertEqual(set(truth), set(keys))
        marks = [row["fields"]["System.Watermark"] for row in rows]
        self.assertEqual(sorted(marks), marks)
        for row in rows:
            want = truth[row["id"], row["rev"]]
            for name in ("System.State", "System.TeamProject", "System.AreaPath", "System.IterationPath", "System.ChangedDate", "System.IsDeleted", "System.Title", "System.Tags", "Custom.TeamName"):
                self.assertEqual(want.get(name), row["fields"].get(name))
            assigned = row["fields"].get("System.AssignedTo")
            self.assertEqual(want.get("System.AssignedTo"), assigned and assigned["uniqueName"])
            self.assertEqual(want.get("System.AssignedTo.id"), assigned and assigned["id"])
        again = self.sim.batch(token)
        self.assertEqual(([], True, token), (again["values"], again["isLastBatch"], again["continuationToken"]))

    def test_revisions_of_one_item_come_in_order(self):
        last = {}
        for id_, rev in keys_of(self.sim.walk()[0]):
            self.assertEqual(last.get(id_, 0) + 1, rev)
            last[id_] = rev

    def test_the_token_moves_over_rows_that_a_filter_takes(self):
        body = {"types": ["Incident"], "includeDeleted": True, "fields": ["System.WorkItemType"]}
        page = self.sim.batch(None, body)
        self.assertLess(len(page["values"]), 150)
        self.assertTrue(page["continuationToken"].startswith("150;"))
        rows, token = self.sim.walk(None, body)
        self.assertEqual({"Incident"}, {row["fields"]["System.WorkItemType"] for row in rows})
        self.assertEqual(len(rows), sum(row["System.WorkItemType"] == "Incident" for row in self.sim.truth("revisions")))
        self.assertTrue(token.startswith(str(self.sim.rows()["revisions"])))

    def test_a_filter_makes_empty_pages_that_are_not_the_last(self):
        self.sim.control(clear_faults=True)
        self.sim.fault("page_size", rate=5)
        page = next(page for page in self.pages({"types": ["Epic"], "includeDeleted": True}) if not page["values"])
        self.assertFalse(page["isLastBatch"])

    def pages(self, body):
        token = None
        while True:
            page = self.sim.batch(token, body)
            yield page
            token = page["continuationToken"]
            if page["isLastBatch"]:
                return

    def test_the_next_link_keeps_the_parameters(self):
        page = self.sim.get(REVISIONS, includeIdentityRef="true", **{"top_maxPageSize": 10})
        link = urllib.parse.urlsplit(page["nextLink"])
        query = urllib.parse.parse_qs(link.query)
        self.assertEqual(self.sim.base, f"{link.scheme}://{link.netloc}/azure")
        self.assertEqual(([page["continuationToken"]], ["true"], ["7.1"]), (query["continuationToken"], query["includeIdentityRef"], query["api-version"]))

    def test_deleted_items_come_only_when_asked_for(self):
        deleted = {row["id"] for row in self.sim.truth("work_items") if row["System.IsDeleted"]}
        self.assertTrue(deleted)
        without = self.sim.walk(None, {"includeIdentityRef": True})[0]
        self.assertEqual(set(), deleted & {row["id"] for row in without})
        self.assertNotIn("System.IsDeleted", without[0]["fields"])
        with_ = self.sim.walk()[0]
        self.assertEqual(deleted, {row["id"] for row in with_} - {row["id"] for row in without})

    def test_identities_and_tags_follow_the_options(self):
        plain = self.sim.get(REVISIONS)["values"][0]["fields"]["System.CreatedBy"]
        self.assertRegex(plain, r"\A.+ <.+>\Z")
        reference = self.sim.get(REVISIONS, includeIdentityRef="true")["values"][0]["fields"]["System.CreatedBy"]
        self.assertEqual({"displayName", "url", "_links", "id", "uniqueName", "imageUrl", "descriptor"}, set(reference))
        self.assertEqual(plain, f"{reference['displayName']} <{reference['uniqueName']}>")
        self.sim.control(clear_faults="page_size")
        rows = self.sim.get(REVISIONS, includeTagRef="true", includeDeleted="true")["values"]
        tags = next(row["fields"]["System.Tags"] for row in rows if "System.Tags" in row["fields"])
        self.assertEqual({"id", "name", "url"}, set(tags[0]))

    def test_long_texts_come_only_when_expanded(self):
        self.assertNotIn("System.Description", self.sim.get(REVISIONS)["values"][0]["fields"])
        self.assertIn("<b>", self.sim.get(REVISIONS, **{"top_expand": "fields"})["values"][0]["fields"]["System.Description"])

    def test_the_latest_only(self):
        rows = self.sim.walk(None, {"includeLatestOnly": True, "includeDeleted": True})[0]
        self.assertEqual({(row["id"], row["rev"]) for row in self.sim.truth("work_items")}, set(keys_of(rows)))

    def test_a_start_date(self):
        start = "2025-06-01T00:00:00Z"
        rows = self.sim.get(REVISIONS, {"includeDeleted": True}, startDateTime=start)["values"]
        self.assertTrue(rows)
        self.assertTrue(all(row["fields"]["System.ChangedDate"] >= start[:19] for row in rows))

    def test_project_scope_loses_the_history_of_moved_items(self):
        item = next(row["id"] for row in self.sim.truth("work_items") if row["System.TeamProject"] == "Base" and not row["System.IsDeleted"])
        self.sim.control(move={"id": item, "project": "Operations"})
        scoped = [rev for id_, rev in keys_of(self.sim.walk(project="Base/")[0]) if id_ == item]
        everywhere = [rev for id_, rev in keys_of(self.sim.walk()[0]) if id_ == item]
        self.assertEqual(everywhere[:-1], scoped)

    def test_links_are_read_in_pages(self):
        state, token, pages = {}, None, 0
        while True:
            page = self.sim.get(LINKS, **({"continuationToken": token} if token else {}))
            for link in page["values"]:
                state[link["rel"], link["sourceId"], link["targetId"]] = link["isActive"]
            token, pages = page["continuationToken"], pages + 1
            if page["isLastBatch"]:
                break
        self.assertGreater(pages, 2)
        self.assertEqual({(row["rel"], row["source_id"], row["target_id"]): row["is_active"] for row in self.sim.truth("links")}, state)
        self.assertIn(False, state.values())
        self.sim.control(add_link={"source": 1, "target": 30, "rel": "Related"})
        self.sim.control(remove_link={"source": 1, "target": 30, "rel": "Related"})
        page = self.sim.get(LINKS, continuationToken=token)
        self.assertEqual([True, False], [link["isActive"] for link in page["values"]])


class WorkItems(SimTest):
    def test_a_batch_omits_what_is_not_there_in_both_ways(self):
        gone = [row["id"] for row in self.sim.truth("work_items") if row["System.IsDeleted"]] + [999998, 999999]
        page = self.sim.get("_apis/wit/workitemsbatch", {"ids": [1, 2, *gone], "errorPolicy": "omit"})
        self.assertIn(None, page["value"])
        self.assertEqual({1, 2}, {item["id"] for item in page["value"] if item})
        self.assertLess(len(page["value"]), 2 + len(gone))
        self.assert_error(self.sim.api("_apis/wit/workitemsbatch", {"ids": [1, 999999]}), 404, "WorkItemUnauthorizedAccessException", "TF401232: Work item 999999")

    def test_the_past(self):
        item = next(row for row in self.sim.truth("work_items") if row["rev"] >= 4 and not row["System.IsDeleted"])
        revisions = [row for row in self.sim.truth("revisions") if row["id"] == item["id"]]
        then = self.sim.get("_apis/wit/workitems", ids=item["id"], asOf=revisions[1]["System.ChangedDate"])["value"][0]
        self.assertIn(then["rev"], (2, 3))
        self.assertEqual(revisions[then["rev"] - 1]["System.State"], then["fields"]["System.State"])

    def test_history_is_paged(self):
        item = next(row for row in self.sim.truth("work_items") if row["rev"] >= 5 and not row["System.IsDeleted"])
        page = self.sim.get(f"_apis/wit/workItems/{item['id']}/revisions", **{"top_top": 2, "top_skip": 3})
        self.assertEqual([4, 5], [revision["rev"] for revision in page["value"]])

    def test_wiql_walks_all_live_ids_by_keyset(self):
        ids, last = [], 0
        while True:
            found = [item["id"] for item in self.sim.wiql(f"[System.Id] > {last}", top=70, tail="ORDER BY [System.Id]").json()["workItems"]]
            ids += found
            if len(found) < 70:
                break
            last = found[-1]
        self.assertEqual([row["id"] for row in self.sim.truth("work_items") if not row["System.IsDeleted"]], ids)

    def test_wiql_walks_by_watermark(self):
        live = {row["id"]: row["System.Watermark"] for row in self.sim.truth("work_items") if not row["System.IsDeleted"]}
        where = "((System.Watermark > 841) OR (System.Watermark = 841 AND System.Id > 5))"
        found = [item["id"] for item in self.sim.wiql(where, tail="ORDER BY System.Watermark, System.Id").json()["workItems"]]
        self.assertEqual(sorted((id_ for id_ in live if live[id_] > 841), key=live.get), found)

    def test_wiql_conditions(self):
        live = [row for row in self.sim.truth("work_items") if not row["System.IsDeleted"]]
        for where, holds in (
                ("[System.State] = 'Active' AND [System.WorkItemType] IN ('Bug', 'Task')", lambda row: row["System.State"] == "Active" and row["System.WorkItemType"] in ("Bug", "Task")),
                ("[System.AssignedTo] = ''", lambda row: "System.AssignedTo" not in row),
                ("NOT [System.TeamProject] = 'Base'", lambda row: row["System.TeamProject"] != "Base"),
                ("[System.IterationPath] UNDER 'Base\\Release 1'", lambda row: row["System.IterationPath"].startswith("Base\\Release 1")),
                ("[System.ChangedDate] >= '2025-06-01T00:00:00Z'", lambda row: row["System.ChangedDate"] >= "2025-06-01T00:00:00"),
                ("[System.Title] CONTAINS 'sign in'", lambda row: "sign in" in row["System.Title"]),
                ("[System.AssignedTo] = 'user007@fabrikam.example' OR [Microsoft.VSTS.Common.Priority] <= 1", lambda row: row.get("System.AssignedTo") == "user007@fabrikam.example" or row["Microsoft.VSTS.Common.Priority"] <= 1)):
            with self.subTest(where):
                answer = self.sim.wiql(where)
                self.assertEqual(200, answer.status, answer.body)
                want = [row["id"] for row in live if holds(row)]
                self.assertTrue(want)
                self.assertEqual(want, [item["id"] for item in answer.json()["workItems"]])

    def test_wiql_as_of(self):
        instant = "2025-03-01T00:00:00Z"
        live = {row["id"] for row in self.sim.truth("work_items") if not row["System.IsDeleted"]}
        states = {}
        for row in self.sim.truth("revisions"):
            if row["id"] in live and row["System.ChangedDate"] <= instant[:19]:
                states[row["id"]] = row["System.State"]
        answer = self.sim.wiql("[System.State] = 'Active'", tail=f"ASOF '{instant}'").json()
        self.assertEqual(sorted(id_ for id_, state in states.items() if state == "Active"), [item["id"] for item in answer["workItems"]])
        self.assertEqual(instant, answer["asOf"])

    def test_wiql_has_a_limit(self):
        self.sim.fault("query_limit", rate=100)
        self.assert_error(self.sim.wiql(""), 400, "WorkItemTrackingQueryResultSizeLimitExceededException", "VS402337: The number of work items returned exceeds the size limit of 100.")
        self.assertEqual(99, len(self.sim.wiql("", top=99).json()["workItems"]))

    def test_wiql_refuses_nonsense(self):
        for text in ("SELECT [System.Id] FROM WorkItemLinks", "SELECT", "SELECT [System.Id] FROM WorkItems WHERE", "SELECT [No.Such] FROM WorkItems",
                     "SELECT [System.Id] FROM WorkItems WHERE [System.Id] > 1 extra", "SELECT [System.Id] FROM WorkItems WHERE [System.TeamProject] = @project"):
            with self.subTest(text):
                self.assertEqual(400, self.sim.api("_apis/wit/wiql", {"query": text}).status)


class Organisation(SimTest):
    def test_projects_are_paged(self):
        self.sim.fault("page_size", rate=3)
        names, token = [], None
        while True:
            answer = self.sim.api("_apis/projects", **({"continuationToken": token} if token else {}))
            names += [project["name"] for project in answer.json()["value"]]
            token = answer.headers["x-ms-continuationtoken"]
            if token is None:
                break
        self.assertEqual([row["name"] for row in self.sim.truth("projects") if row["state"] == "wellFormed"], names)
        self.assertEqual(["Old Attic"], [project["name"] for project in self.sim.get("_apis/projects", stateFilter="deleted")["value"]])

    def test_processes_name_their_projects_and_hide_states(self):
        processes = self.sim.get("_apis/work/processes", **{"top_expand": "projects"})["value"]
        mine = next(process for process in processes if process["name"] == "Fabrikam Agile")
        self.assertEqual(["Fabrikam-Fiber-Git", "Série Brasil"], [project["name"] for project in mine["projects"]])
        types = self.sim.get(f"_apis/work/processes/{mine['typeId']}/workitemtypes", **{"top_expand": "states"})["value"]
        story = next(type_ for type_ in types if type_["name"] == "User Story")
        self.assertEqual([True], [state["hidden"] for state in story["states"] if state["name"] == "Resolved"])
        shown = self.sim.get("Fabrikam-Fiber-Git/_apis/wit/workitemtypes/User%20Story/states")["value"]
        self.assertNotIn("Resolved", [state["name"] for state in shown])

    def test_iterations_and_the_field_that_names_them(self):
        tree = self.sim.get("Base/_apis/wit/classificationnodes/iterations", **{"top_depth": 20})
        release = tree["children"][0]
        self.assertEqual("\\Base\\Iteration\\Release 1\\Sprint 1", release["children"][0]["path"])
        self.assertEqual({"startDate", "finishDate"}, set(release["children"][0]["attributes"]))
        shallow = self.sim.get("Base/_apis/wit/classificationnodes/iterations")
        self.assertEqual((True, False), (shallow["hasChildren"], "children" in shallow))
        paths = {row["path"] for row in self.sim.truth("iterations")}
        self.assertTrue({row["System.IterationPath"] for row in self.sim.truth("work_items")} <= paths)

    def test_people_are_paged_and_converted(self):
        users, token = [], None
        while True:
            answer = self.sim.api("_graph/_apis/graph/users", version="7.1-preview.1", **({"continuationToken": token} if token else {}))
            users += answer.json()["value"]
            token = answer.headers["X-MS-ContinuationToken"]
            if token is None:
                break
        self.assertEqual([row["descriptor"] for row in self.sim.truth("identities") if not row["group"]], [user["descriptor"] for user in users])
        person = self.sim.truth("identities")[5]
        self.assertEqual(person["id"], self.sim.get("_graph/_apis/graph/storagekeys/" + person["descriptor"])["value"])
        self.assertEqual(person["descriptor"], self.sim.get("_graph/_apis/graph/descriptors/" + person["id"])["value"])
        first = self.sim.get("_entitlements/_apis/userentitlements")
        rest = []
        token = first["continuationToken"]
        while token:
            page = self.sim.get("_entitlements/_apis/userentitlements", continuationToken=token)
            rest, token = rest + page["members"], page["continuationToken"]
        self.assertEqual(first["totalCount"], len(first["members"]) + len(rest))


class Mutations(SimTest):
    def setUp(self):
        self.token = self.sim.walk()[1]

    def news(self):
        return self.sim.walk(self.token)[0]

    def test_each_change_of_an_item_is_a_revision(self):
        made = self.sim.control(create={"type": "Bug", "set": {"System.Title": "New", "System.AssignedTo": "user003@fabrikam.example"}})["create"]
        id_ = made["id"]
        self.sim.control(update={"id": id_, "set": {"System.State": "Active", "Custom.TeamName": None, "Microsoft.VSTS.Common.Severity": "1 - Critical"}})
        self.sim.control(unassign={"id": id_})
        self.sim.control(delete={"id": id_})
        self.sim.control(restore={"id": id_})
        self.sim.control(move={"id": id_, "project": "Base"})
        rows = self.news()
        self.assertEqual([(id_, rev) for rev in range(1, 7)], keys_of(rows))
        fields = [row["fields"] for row in rows]
        self.assertEqual([False, False, False, True, False, False], [f["System.IsDeleted"] for f in fields])
        self.assertEqual("user003@fabrikam.example", fields[1]["System.AssignedTo"]["uniqueName"])
        self.assertNotIn("System.AssignedTo", fields[2])
        self.assertEqual(("Active", "1 - Critical"), (fields[1]["System.State"], fields[1]["Microsoft.VSTS.Common.Severity"]))
        self.assertEqual(("Fabrikam-Fiber-Git", "Base", "Base"), (fields[4]["System.TeamProject"], fields[5]["System.TeamProject"], fields[5]["System.AreaPath"]))

    def test_a_destroyed_item_says_no_farewell(self):
        item = next(row["id"] for row in self.sim.truth("work_items") if not row["System.IsDeleted"])
        self.sim.control(destroy={"id": item})
        self.assertEqual([], self.news())
        self.assertIn({"id": item}, self.sim.truth("destroyed"))
        self.assertEqual(404, self.sim.api(f"_apis/wit/workitems/{item}").status)
        self.assertNotIn(item, [row["id"] for row in self.sim.walk()[0]])

    def test_a_burst_changes_many_items_at_once(self):
        self.sim.control(clock={"run": False})
        self.sim.control(burst={"n": 300})
        rows = self.news()
        self.assertEqual(300, len(rows))
        self.assertEqual(1, len({row["fields"]["System.ChangedDate"] for row in rows}))

    def test_changes_between_two_pages(self):
        self.sim.fault("page_size", rate=200)
        self.sim.control(on_request=3, table="workitemrevisions", do=[{"system": "azure_devops", "burst": {"n": 40}}, {"system": "azure_devops", "destroy": {"nth": 5}}])
        rows, _ = self.sim.walk()
        held = set(keys_of(rows))
        self.assertEqual(set(), {(row["id"], row["rev"]) for row in self.sim.truth("revisions")} - held)
        self.assertEqual(1600 + 40, self.sim.rows()["revisions"])

    def test_states_change_their_names_and_categories(self):
        where = {"process": "Agile", "type": "Bug"}
        self.sim.control(rename_state={**where, "state": "Active", "to": "Doing it"})
        self.sim.control(set_category={**where, "state": "Resolved", "category": "Completed"})
        self.sim.control(add_state={**where, "state": "Waiting", "category": "InProgress"})
        states = {row["state"]: row["category"] for row in self.sim.truth("states") if row["process_name"] == "Agile" and row["type"] == "Bug"}
        self.assertEqual({"New": "Proposed", "Resolved": "Completed", "Closed": "Completed", "Doing it": "InProgress", "Waiting": "InProgress"}, states)
        shown = self.sim.get("Operations/_apis/wit/workitemtypes/Bug/states")["value"]
        self.assertEqual(states, {state["name"]: state["category"] for state in shown})
        # Old revisions name the old state.
        self.assertIn("Active", {row["System.State"] for row in self.sim.truth("revisions") if row["System.WorkItemType"] == "Bug" and row["System.TeamProject"] == "Operations"})

    def test_projects_and_people_change_their_names(self):
        self.sim.control(rename_project={"project": "Base", "name": "Base Camp"})
        self.assertEqual(404, self.sim.api("_apis/projects/Base").status)
        self.assertEqual("Base Camp", self.sim.get("_apis/projects/Base", includeHistory="true")["name"])
        self.assertEqual([], self.news())
        self.sim.control(rename_identity={"identity": "user003@fabrikam.example", "display": "Another Name"})
        self.assertIn("Another Name", [row["display_name"] for row in self.sim.truth("identities")])

    def test_a_deleted_project_takes_its_items_along(self):
        items = [row["id"] for row in self.sim.truth("work_items") if row["System.TeamProject"] == "Operations"]
        self.sim.control(delete_project={"project": "Operations"})
        self.assertEqual(404, self.sim.api("_apis/projects/Operations").status)
        left = {row["id"] for row in self.sim.wiql("").json()["workItems"]} | {row["id"] for row in self.sim.walk()[0]}
        self.assertEqual(set(), left & set(items))

    def test_mistakes_are_told(self):
        for operation in ({"update": {"id": 999999}}, {"create": {"type": "No"}}, {"update": {"id": 1, "set": {"No.Such": 1}}}, {"move": {"id": 1, "project": "No"}}, {"add_link": {"source": 1}}, {"burst": {}}):
            with self.subTest(operation):
                answer = self.sim.request("POST", "/_control", {}, json.dumps({"system": "azure_devops", **operation}))
                self.assertEqual(400, answer.status)


# ---------------------------------------------------------------------------------------------------------------------


class Faults(SimTest):
    def test_the_feed_breaks_in_the_known_ways(self):
        first = self.sim.batch(None)["continuationToken"]
        calm = self.sim.batch(first)
        for kind, options, holds in (
                ("token_in_nextlink", {}, lambda page: "continuationToken" not in page and "continuationToken=" in page["nextLink"]),
                ("token_missing", {}, lambda page: "continuationToken" not in page and "nextLink" not in page),
                ("token_stuck", {}, lambda page: page["continuationToken"] == first and not page["isLastBatch"]),
                ("feed_never_ends", {}, lambda page: not page["isLastBatch"] and page["continuationToken"] != first),
                ("early_last", {}, lambda page: page["isLastBatch"]),
                ("empty_page", {}, lambda page: page["values"] == [] and not page["isLastBatch"] and page["continuationToken"] != first),
                ("repeat_rows", {"rate": 7}, lambda page: keys_of(page["values"])[-5:] == keys_of(calm["values"])[-5:] and len(page["values"]) > len(calm["values"])),
                ("skip_rows", {"rate": 9}, lambda page: len(page["values"]) < len(calm["values"]) and page["continuationToken"] == calm["continuationToken"]),
                ("null_row", {}, lambda page: None in page["values"]),
                ("missing_key", {"field": "rev", "every": 3}, lambda page: any("rev" not in row for row in page["values"]) and any("rev" in row for row in page["values"])),
                ("missing_key", {"field": "id;rev"}, lambda page: all("rev" not in row and "id" not in row for row in page["values"])),
                ("null_fields", {}, lambda page: any(value is None for value in page["values"][0]["fields"].values())),
                ("acl_rows", {"every": 2}, lambda page: all(row["id"] % 2 for row in page["values"])),
                ("foreign_link_host", {}, lambda page: page["nextLink"].startswith("https://elsewhere.invalid/")),
                ("identity_form", {"mode": "mixed"}, lambda page: len({type(row["fields"]["System.CreatedBy"]) for row in page["values"]}) == 2),
                ("date_digits", {"rate": 7}, lambda page: re.search(r"\.\d{7}Z\Z", page["values"][0]["fields"]["System.CreatedDate"])),
                ("bad_value", {"field": "System.ChangedDate", "mode": "not_date"}, lambda page: page["values"][0]["fields"]["System.ChangedDate"] == "31/12/2025"),
                ("bad_value", {"field": "System.State", "mode": "missing"}, lambda page: "System.State" not in page["values"][0]["fields"])):
            with self.subTest(kind, **options):
                self.sim.fault(kind, **options)
                self.assertTrue(holds(self.sim.batch(first)), kind)
                self.sim.control(clear_faults=True)
        self.sim.fault("repeat_page", after=1, count=1)
        rows, _ = self.sim.walk()
        self.assertGreater(len(rows), len(set(keys_of(rows))))

    def test_answers_break_in_the_known_ways(self):
        for kind, options, status, type_ in (
                ("html_200", {}, 200, "text/html"), ("sso_redirect", {}, 302, "text/html"), ("pat_expired", {"mode": "html"}, 203, "text/html"), ("pat_expired", {"mode": "redirect"}, 302, "text/html"),
                ("pat_expired", {"mode": "json"}, 401, "application/json"), ("unauthorized_401", {}, 401, None), ("forbidden_403", {}, 403, "application/json"), ("error_500", {}, 500, "application/json"),
                ("bad_gateway_502", {}, 502, "text/html"), ("unavailable_503", {}, 503, "text/html"), ("gateway_timeout_504", {}, 504, "text/html"), ("org_stopped_503", {}, 503, "application/json"),
                ("not_found_404", {}, 404, "application/json"), ("query_timeout", {}, 400, "application/json"), ("server_busy", {}, 400, "application/json"), ("rate_429", {}, 429, "application/json"),
                ("rate_429", {"mode": "html"}, 429, "text/html"), ("rate_429", {"mode": "403"}, 403, "application/json"), ("wrong_content_type", {}, 200, "text/plain"), ("refuse_token", {}, 400, "application/json")):
            with self.subTest(kind, **options):
                self.sim.fault(kind, count=1, **options)
                answer = self.sim.api(REVISIONS, {}, continuationToken="0;0;0")
                self.assertEqual((status, type_), (answer.status, (answer.headers["Content-Type"] or "").split(";")[0] or None))
                self.assertEqual(200, self.sim.api(REVISIONS, {}, continuationToken="0;0;0").status)

    def test_throttling(self):
        self.sim.fault("rate_429", count=1, seconds=5)
        answer = self.sim.api("_apis/projects")
        self.assertEqual("5", answer.headers["Retry-After"])
        self.assertTrue({"x-ratelimit-resource", "x-ratelimit-delay", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= {name.lower() for name in answer.headers})
        self.assertTrue(answer.json()["message"].startswith("TF400733: The request has been canceled: Request was blocked due to exceeding usage of resource"))
        self.sim.fault("rate_429", count=1, mode="none")
        bare = self.sim.api("_apis/projects")
        self.assertEqual((429, False), (bare.status, any(name.lower().startswith(("retry", "x-ratelimit")) for name in bare.headers)))
        self.sim.fault("retry_after_200", count=1, seconds=2)
        slow = self.sim.api("_apis/projects")
        self.assertEqual((200, "2", "4.123"), (slow.status, slow.headers["Retry-After"], slow.headers["X-RateLimit-Delay"]))

    def test_bodies_break(self):
        self.sim.fault("bom", count=1)
        self.assertTrue(self.sim.api("_apis/projects").body.startswith(b'\xef\xbb\xbf{"count"'))
        self.sim.fault("partial_array", count=1)
        with self.assertRaises(ValueError):
            self.sim.api("_apis/projects").json()
        self.sim.fault("cut_chunk", count=1)
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            self.sim.api("_apis/projects")
        self.sim.fault("slow_drip", count=1, rate=20000)
        self.assertEqual(200, self.sim.api("_apis/projects").status)
        self.sim.fault("hang", count=1)
        with self.assertRaises(TimeoutError):
            self.sim.api("_apis/projects", timeout=0.3)

    def test_faults_strike_by_route_table_and_match(self):
        self.sim.fault("forbidden_403", route="graph")
        self.assertEqual((200, 403), (self.sim.api("_apis/projects").status, self.sim.api("_graph/_apis/graph/users", version="7.1-preview.1").status))
        self.sim.control(clear_faults=True)
        self.sim.fault("error_500", table="workitemlinks")
        self.assertEqual((500, 200), (self.sim.api(LINKS).status, self.sim.api(REVISIONS).status))
        self.sim.control(clear_faults=True)
        self.sim.fault("not_found_404", match="/Base/")
        self.assertEqual((404, 200), (self.sim.api("Base/_apis/wit/workitemtypes").status, self.sim.api("Operations/_apis/wit/workitemtypes").status))
        self.sim.control(clear_faults=True)
        self.sim.fault("field_refused", field="System.Watermark")
        self.assertEqual((400, 200), (self.sim.api(REVISIONS, {"fields": ["System.Watermark"]}).status, self.sim.api(REVISIONS, {"fields": ["System.Id"]}).status))
        self.assertEqual(400, self.sim.wiql("[System.Watermark] > 5").status)

    def test_rows_go_missing(self):
        self.sim.fault("missing_rows", every=2, route="items")
        self.assertEqual([1, 3], [item["id"] for item in self.sim.get("_apis/wit/workitemsbatch", {"ids": [1, 2, 3, 4]})["value"]])
        self.sim.control(clear_faults=True)
        self.sim.fault("missing_rows", every=2, mode="null", route="items")
        self.assertEqual(2, self.sim.get("_apis/wit/workitemsbatch", {"ids": [1, 2, 3, 4]})["value"].count(None))

    def test_the_clock_may_be_wrong(self):
        self.sim.control(clock={"run": False})
        true = parsedate_to_datetime(self.sim.api("_apis/projects").headers["Date"])
        self.sim.fault("clock_skew", seconds=900)
        self.assertEqual(900, (parsedate_to_datetime(self.sim.api("_apis/projects").headers["Date"]) - true).total_seconds())


class MillionRevisions(SimTest):
    arguments = ("--tickets", "250000")

    def test_the_last_page_costs_what_the_first_costs(self):
        total = self.sim.rows()["revisions"]
        self.assertGreaterEqual(total, 1_000_000)
        body = {"includeDeleted": True, "includeIdentityRef": True, "fields": ["System.Id", "System.Rev", "System.State", "System.ChangedDate", "System.AssignedTo"]}

        def cost(first):
            took = []
            for i in range(9):
                started = time.monotonic()
                page = self.sim.batch(f"{first + i * 1000};1;1", body)
                took.append(time.monotonic() - started)
                self.assertGreater(len(page["values"]), 900)
            return sorted(took)[1]

        ratios = sorted(cost(total - 12000) / cost(0) for _ in range(3))
        self.assertLess(ratios[0], 3.0)

    def test_memory_is_flat(self):
        def resident():
            with open(f"/proc/{self.sim.process.pid}/status", encoding="ascii") as file:
                return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))
        if not os.path.exists(f"/proc/{self.sim.process.pid}/status") or os.environ.get("FOZ_SANITIZER"):
            self.skipTest("needs /proc and no sanitizer")
        self.sim.batch("1;1;1")
        before = resident()
        for first in range(0, 1_000_000, 25_000):
            self.sim.batch(f"{first};1;1")
        self.assertLess(resident() - before, 32 << 10)


@unittest.skipIf(DATA is None, f"no recorded log below {SHARED}: set FOZ_TEST_DATA")
class Replay(SimTest):
    arguments = ("--data", DATA)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with gzip.open(os.path.join(DATA, LOG), "rb") as file:
            cls.events = list(csv.DictReader(io.StringIO(file.read().decode("utf-8-sig"))))

    def expected(self, moment=None):
        """{(log, case): events} as of a moment."""
        cases = {}
        for event in self.events:
            if moment is None or event["ts_utc"] <= moment:
                cases.setdefault((event["log"], event["case"]), []).append(event)
        return cases

    def test_the_whole_log(self):
        cases = self.expected()
        self.assertEqual({"revisions": 74544, "work_items": 9860, "projects": 2}, {k: v for k, v in self.sim.rows().items() if k in ("revisions", "work_items", "projects")})
        truth = {}
        for row in self.sim.truth("revisions"):
            truth.setdefault(row["id"], []).append(row)
        ranked = sorted(cases.items(), key=lambda item: (min(e["ts_utc"] for e in item[1]), item[0][1]))
        titles = {rows[0]["System.Title"] for rows in truth.values()}
        self.assertEqual({f"{events[0]['product']} {case}" for (_, case), events in cases.items()}, titles)
        self.assertEqual(sorted(len(events) for events in cases.values()), sorted(len(rows) for rows in truth.values()))
        first = truth[1]
        (log, case), events = ranked[0]
        self.assertEqual(f"{events[0]['product']} {case}", first[0]["System.Title"])
        for event, row in zip(sorted(events, key=lambda e: int(e["seq"])), first):
            self.assertEqual((int(event["seq"]), event["ts_utc"], event["status"], event["substatus"]), (row["rev"], row["System.ChangedDate"], row["System.State"], row["System.Reason"]))
            self.assertEqual({"Major": 1, "High": 2, "Medium": 3, "Low": 4}[event["impact"]], row["Microsoft.VSTS.Common.Priority"])
            self.assertEqual(f"{'VINST' if log == 'incidents' else 'VINST-Problems'}\\{event['org_line']}\\{event['group']}", row["System.AreaPath"])
            self.assertEqual(None if event["owner"] in ("Siebel", "-") else event["owner"], row.get("System.AssignedTo.display"))
        by_status = {}
        for event in self.events:
            by_status[event["status"]] = by_status.get(event["status"], 0) + 1
        have = {}
        for rows in truth.values():
            for row in rows:
                have[row["System.State"]] = have.get(row["System.State"], 0) + 1
        self.assertEqual(by_status, have)

    def test_the_feed_replays_it_in_order(self):
        rows, token = self.sim.walk(body={"includeDeleted": True, "fields": ["System.Watermark", "System.ChangedDate"]})
        self.assertEqual(list(range(1, 74545)), [row["fields"]["System.Watermark"] for row in rows])
        dates = [row["fields"]["System.ChangedDate"] for row in rows]
        self.assertEqual(sorted(dates), dates)
        self.assertTrue(token.startswith("74544;"))

    def test_moments_on_the_way_and_back(self):
        for moment in ("2012-04-01T00:00:00Z", "2012-05-11T00:00:00Z", "2010-04-01T00:00:00Z", "2005-01-01T00:00:00Z"):
            with self.subTest(moment):
                self.sim.control(clock=moment)
                cases = self.expected(moment)
                rows = self.sim.rows()
                self.assertEqual((sum(map(len, cases.values())), len(cases)), (rows["revisions"], rows["work_items"]))

    def test_an_increment_is_what_happened_since(self):
        self.sim.control(clock="2012-05-01T00:00:00Z")
        body = {"includeDeleted": True, "fields": ["System.ChangedDate"]}
        token = self.sim.walk(body=body)[1]
        self.sim.control(clock="2012-05-02T00:00:00Z")
        rows, _ = self.sim.walk(token, body)
        day = [event["ts_utc"] for event in self.events if "2012-05-01T00:00:00Z" < event["ts_utc"] <= "2012-05-02T00:00:00Z"]
        self.assertEqual(sorted(day), [row["fields"]["System.ChangedDate"] for row in rows])

    def test_the_process_maps_the_log_s_states(self):
        states = {row["state"]: row["category"] for row in self.sim.truth("states") if row["process_name"] == "VINST" and row["type"] == "Issue"}
        self.assertEqual({"Queued": "Proposed", "Unmatched": "Proposed", "Accepted": "InProgress", "Completed": "Completed"}, states)


if __name__ == "__main__":
    unittest.main()
