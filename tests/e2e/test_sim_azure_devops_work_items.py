"""foz-sim behaves like the Azure DevOps of the reference: batches, history, WIQL."""

import unittest

from sim_azure_devops import SimTest


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


if __name__ == "__main__":
    unittest.main()
