"""foz-sim behaves like the Azure DevOps of the reference: projects, processes, iterations, people."""

import unittest

from sim_azure_devops import PROCESSES, SimTest


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
        processes = self.sim.get(PROCESSES, **{"top_expand": "projects"})["value"]
        mine = next(process for process in processes if process["name"] == "Fabrikam Agile")
        self.assertEqual(["Fabrikam-Fiber-Git", "Série Brasil"], [project["name"] for project in mine["projects"]])
        types = self.sim.get(f"{PROCESSES}/{mine['typeId']}/workitemtypes", **{"top_expand": "states"})["value"]
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


if __name__ == "__main__":
    unittest.main()
