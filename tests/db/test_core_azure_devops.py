#!/usr/bin/env python3
"""The common model on landed rows of Azure DevOps: categories of states, every column, revisions as history."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import query  # noqa: E402
from core_case import CoreCase, at  # noqa: E402


class AzureDevOps(CoreCase):
    def test_a_revision_that_comes_late_tells_what_the_next_one_did(self):
        """Rejected at first, or read again with a field that was refused before."""
        self.publish("devops", "work_item_revision", self.item(), self.item(rev=3, changed_date=at("03 08:00")))
        self.publish("devops", "work_item", self.item(rev=3, changed_date=at("03 08:00")))
        self.publish("devops", "work_item_revision", self.item(rev=2, state="Done", changed_date=at("02 08:00")))
        changes = [(event["occurred_at"][:10], event["payload"]["new"]["raw"]) for event in self.events("devops:42", "TicketStatusChangedV1")]
        self.assertEqual([("2026-03-02", "Done"), ("2026-03-03", "Active")], changes)
        self.publish("devops", "work_item_revision", self.item(rev=3, changed_date=at("03 08:00"), tags="urgent"))
        self.assertEqual("urgent", self.events("devops:42", "TicketUpdatedV1")[-1]["payload"]["fields"]["tags"]["new"])
        self.check_rebuild()

    def test_categories_of_states_decide_by_process_and_type(self):
        self.publish("devops", "work_item", self.item(1, state="New"), self.item(2), self.item(3, state="Resolved", resolved_date=at("02 08:00")),
                     self.item(4, state="Resolved", work_item_type="Task"), self.item(5, state="Closed", closed_date=at("03 08:00")),
                     self.item(6, state="Removed"), self.item(7, team_project="Other"), self.item(8, state="Renamed"))
        self.assertEqual({"unmapped"}, {row[0] for row in query.rows(self.url, "SELECT DISTINCT status FROM api.ticket")})
        self.publish("devops", "project", {"id": "a", "name": "Web", "process_id": "p1"}, {"id": "b", "name": "Other", "process_id": "p2"})
        self.publish("devops", "work_item_type_state", self.state("New", "Proposed"), self.state("Active", "InProgress"),
                     self.state("Resolved", "Resolved"), self.state("Resolved", "InProgress", kind="Task"), self.state("Closed", "Completed"),
                     self.state("Removed", "Removed"), self.state("Active", "Completed", process="p2"))

        def status():
            return {int(row[0]): row[1] for row in query.rows(self.url, "SELECT external_id, status FROM api.ticket")}
        wanted = {1: "new", 2: "in_progress", 3: "resolved", 4: "in_progress", 5: "closed", 6: "cancelled", 7: "closed", 8: "unmapped"}
        self.assertEqual(wanted, status())
        self.assertEqual(("2026-03-02T08:00:00+00:00", None), tuple(self.ticket(f"devops:{key}")["resolved_at"] for key in (3, 4)))
        self.check_rebuild()
        self.publish("devops", "work_item_type_state", self.state("Active", "Resolved", seen="02 08:00"))
        self.assertEqual({**wanted, 2: "resolved"}, status())
        self.publish("devops", "work_item_type_state", self.state("Active", "InProgress", seen="03 08:00"))
        self.assertEqual(wanted, status())
        self.publish("devops", "project", {"id": "a", "process_id": "p2"})
        self.assertEqual("closed", status()[2])
        self.check_rebuild()

    def test_a_renamed_project_leaves_its_tickets_their_states(self):
        self.publish("devops", "project", {"id": "a", "name": "Web", "process_id": "p1"})
        self.publish("devops", "work_item_type_state", self.state("Active", "InProgress"))
        self.publish("devops", "work_item", self.item(1), self.item(2), self.item(3, team_project="Never listed"))
        self.publish("devops", "project", {"id": "a", "name": "Web II", "process_id": "p1"})
        self.publish("devops", "work_item", self.item(2, team_project="Web II", rev=2))

        def status():
            return sorted(tuple(row) for row in query.rows(self.url, "SELECT external_id, status FROM api.ticket"))
        self.assertEqual([("1", "in_progress"), ("2", "in_progress"), ("3", "in_progress")], status())
        self.check_rebuild()
        self.publish("devops", "work_item_type_state", self.state("Active", "Resolved", process="p2"))
        self.assertEqual([("1", "in_progress"), ("2", "in_progress"), ("3", "unmapped")], status(), "processes do not agree about a project nobody knows")
        self.check_rebuild()
        self.publish("devops", "work_item_type_state", self.state("Active", "InProgress", process="p2", seen="03 08:00"))
        self.assertEqual([("1", "in_progress"), ("2", "in_progress"), ("3", "in_progress")], status())
        self.check_rebuild()

    def test_a_name_is_that_of_the_project_that_has_it_now(self):
        self.publish("devops", "project", {"id": "a", "name": "Web", "process_id": "p1"})
        self.publish("devops", "work_item_type_state", self.state("Active", "InProgress"), self.state("Active", "Resolved", process="p2"))
        self.publish("devops", "work_item", self.item(1), self.item(2, team_project="Shop"))

        def status():
            return [row[0] for row in query.rows(self.url, "SELECT status FROM api.ticket ORDER BY external_id")]
        self.assertEqual(["in_progress", "unmapped"], status())
        self.publish("devops", "project", {"id": "a", "name": "Shop", "process_id": "p1"})
        self.assertEqual(["in_progress", "in_progress"], status(), "either name is its")
        self.check_rebuild()
        self.publish("devops", "project", {"id": "b", "name": "Web", "process_id": "p2"})
        self.assertEqual(["resolved", "in_progress"], status(), "another project has taken the old name")
        self.publish("devops", "project", {"id": "b", "name": "Web III", "process_id": "p2"}, {"id": "a", "name": "Web", "process_id": "p1"})
        self.assertEqual(["in_progress", "in_progress"], status(), "and given it back")
        self.check_rebuild()

    def test_a_person_in_another_form_is_no_assignment(self):
        ana = {"assigned_to": "Ana@x.org", "assigned_to_id": "vs1", "assigned_to_display": "Ana"}
        text = {**ana, "assigned_to": "ana@x.org", "assigned_to_id": None}
        rui = {"assigned_to": "rui@x.org", "assigned_to_id": None, "assigned_to_display": "Rui"}
        steps = [ana, text, ana, rui, text]
        self.publish("devops", "work_item_revision", *(self.item(**step, rev=number, changed_date=at(f"02 08:{number:02}"))
                                                       for number, step in enumerate(steps, 1)))
        self.assertEqual(["2026-03-02T08:01", "2026-03-02T08:04", "2026-03-02T08:05"],
                         [event["occurred_at"][:16] for event in self.events("devops:42", "TechnicianAssignmentChangedV1")])

    def test_a_ticket_of_azure_devops_has_every_column(self):
        self.publish("devops", "identity", {"id": "vs1", "display_name": "Ana", "unique_name": "ana@x.org"})
        self.publish("devops", "work_item", self.item(due_date=at("02 08:00")), self.item(43, due_date="2099-01-01", priority=1))
        row = self.ticket("devops:42")
        wanted = {"number": "42", "kind": "Bug", "title": "Crash", "priority": 2, "queue": "Web\\Front", "team": "Front", "category": "Web",
                  "requester": "Rui", "url": "https://dev.azure.com/acme/_workitems/edit/42", "sla_breached": True}
        self.assertEqual(wanted, {name: row[name] for name in wanted})
        self.assertIsNotNone(row["assignee_id"])
        self.assertEqual((False, 1), tuple(self.ticket("devops:43")[name] for name in ("sla_breached", "priority")))
        self.assertEqual(["devops:42"], [event["ticket_id"] for event in self.events(kind="TicketSlaBreachedV1")])
        self.publish("devops", "work_item", self.item(gone_since=at("05 08:00")))
        self.assertEqual("2026-03-05T08:00:00+00:00", self.ticket("devops:42")["deleted_at"])
        self.assertEqual([{"how": "destroyed"}], [event["payload"] for event in self.events("devops:42", "TicketDeletedV1")])
        self.publish("devops", "work_item", self.item(gone_since=None))
        self.assertEqual(1, len(self.events("devops:42", "TicketRestoredV1")))
        self.check_rebuild()

    def test_revisions_are_the_history_of_azure_devops(self):
        steps = [{}, {"state": "Resolved"}, {"assigned_to": None, "assigned_to_id": None, "assigned_to_display": None}, {"is_deleted": True},
                 {"is_deleted": False, "state": "Active"}, {"title": "Crash on start", "priority": 1, "assigned_to_id": "vs9"}, {}]
        revisions, now = [], self.item()
        for number, step in enumerate(steps, 1):
            now = {**now, **step, "rev": number, "changed_date": at(f"02 08:{number:02}")}
            revisions.append(now)
        self.publish("devops", "work_item_revision", *revisions[:2])
        self.publish("devops", "work_item_revision", *revisions[2:])
        self.publish("devops", "work_item_revision", *revisions)
        self.publish("devops", "work_item", revisions[-1])
        events = self.events("devops:42")
        self.assertEqual(["TicketCreatedV1", "TechnicianAssignmentChangedV1", "TicketStatusChangedV1", "TechnicianAssignmentChangedV1",
                          "TicketDeletedV1", "TicketRestoredV1", "TicketStatusChangedV1", "TechnicianAssignmentChangedV1", "TicketUpdatedV1"],
                         [event["type"] for event in events])
        stamps = [event["occurred_at"][:16] for event in events]
        self.assertEqual("2026-03-01T08:00", stamps[0])
        self.assertEqual([f"2026-03-02T08:0{number}" for number in (1, 2, 3, 4, 5, 5, 6, 6)], stamps[1:])
        self.assertEqual(["Resolved", "Active"], [event["payload"]["new"]["raw"] for event in events if event["type"] == "TicketStatusChangedV1"])
        self.assertIsNone(events[3]["payload"]["assignee"]["new"])
        self.assertEqual({"title": {"old": "Crash", "new": "Crash on start"}, "priority": {"old": 2, "new": 1}}, events[-1]["payload"]["fields"])
        self.check_rebuild()

    def test_a_rebuild_adds_history_that_is_missing(self):
        self.publish("devops", "work_item_revision", self.item(), self.item(rev=2, state="Closed", changed_date=at("02 08:00")), refresh=False)
        self.publish("devops", "work_item", self.item(rev=2, state="Closed", changed_date=at("02 08:00")), refresh=False)
        totals = json.loads(self.worker("rebuild", "--json"))
        self.assertEqual((1, 3), (totals["tickets"], totals["events"]))
        self.check_rebuild()


if __name__ == "__main__":
    unittest.main()
