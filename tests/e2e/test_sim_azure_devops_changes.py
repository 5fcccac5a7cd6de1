"""foz-sim behaves like the Azure DevOps of the reference: what its users do, and what the feed tells of it."""

import json
import unittest

from sim_azure_devops import SimTest, keys_of


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


if __name__ == "__main__":
    unittest.main()
