#!/usr/bin/env python3
"""The common model on landed rows of GLPI: every mapping, actors, breaches, the log."""
import datetime
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import query  # noqa: E402
from core_case import CoreCase, at  # noqa: E402


class Glpi(CoreCase):
    def test_values_of_glpi_are_mapped(self):
        statuses = {1: "new", 10: "new", 2: "in_progress", 3: "in_progress", 4: "pending", 5: "resolved", 6: "closed", 99: "unmapped"}
        priorities = {6: 1, 5: 2, 4: 2, 3: 3, 2: 4, 1: 5, 0: None}
        self.publish("desk", "ticket", *[self.glpi_ticket(100 + status, status=status) for status in statuses],
                     *[self.glpi_ticket(200 + priority, priority=priority, type=2) for priority in priorities])
        self.assertEqual(statuses, {status: self.ticket(f"desk:{100 + status}")["status"] for status in statuses})
        self.assertEqual(priorities, {value: self.ticket(f"desk:{200 + value}")["priority"] for value in priorities})
        self.assertEqual(("incident", "request"), (self.ticket("desk:101")["kind"], self.ticket("desk:201")["kind"]))
        self.check_rebuild()

    def test_actors_of_glpi_follow_the_ticket(self):
        self.publish("desk", "ticket", self.glpi_ticket(), self.glpi_ticket(2))
        self.publish("desk", "ticket_user", {"id": 10, "tickets_id": 1, "users_id": 7, "type": 2}, {"id": 11, "tickets_id": 1, "users_id": 8, "type": 2},
                     {"id": 12, "tickets_id": 1, "users_id": 0, "type": 1, "alternative_email": "guest@x.org"})
        self.publish("desk", "group_ticket", {"id": 20, "tickets_id": 1, "groups_id": 3, "type": 2})
        self.publish("desk", "user", {"id": 7, "name": "ana"}, {"id": 8, "name": "bo"})
        self.publish("desk", "group", {"id": 3, "name": "N1", "completename": "Desk > N1"})
        self.publish("desk", "itil_category", {"id": 5, "completename": "Hardware > Printer"})
        row = self.ticket("desk:1")
        self.assertEqual(("Desk > N1", "Desk > N1", "Hardware > Printer", "guest@x.org", "7", "1",
                          "https://desk.example.com/glpi/front/ticket.form.php?id=1"),
                         tuple(row[name] for name in ("queue", "team", "category", "requester", "assignee_key", "number", "url")))
        ana = row["assignee_id"]
        self.assertIsNotNone(ana)
        self.publish("desk", "ticket_user", {"id": 10, "tickets_id": 2}, gone=[12])  # moved, and one removed
        row, other = self.ticket("desk:1"), self.ticket("desk:2")
        self.assertEqual(("8", None, ana), (row["assignee_key"], row["requester"], other["assignee_id"]))
        self.publish("desk", "group_ticket", gone=[20])
        self.publish("desk", "itil_solution", {"id": 30, "items_id": 1, "users_id": 8, "status": 3}, {"id": 31, "items_id": 1, "users_id": 7, "status": 4})
        self.assertEqual((None, None), (self.ticket("desk:1")["queue"], self.ticket("desk:1")["resolver_key"]))
        self.publish("desk", "ticket", self.glpi_ticket(solvedate=at("02 08:00"), status=5))
        self.assertEqual("8", self.ticket("desk:1")["resolver_key"])
        self.check_rebuild()

    def test_breaches_of_glpi_are_its_own_rule(self):
        chance = random.Random(5)
        now = datetime.datetime.now(datetime.timezone.utc)

        def moment():
            return None if chance.random() < 0.3 else (now + datetime.timedelta(minutes=chance.choice([-300, -200, -100, 100, 200]))).isoformat()
        rows = []
        for key in range(1, 400):
            opened = (now - datetime.timedelta(minutes=chance.choice([150, 250, 350]))).isoformat()
            rows.append(self.glpi_ticket(key, date=opened, status=chance.choice([1, 2, 4, 5, 6]), solvedate=moment(), time_to_resolve=moment(),
                                         time_to_own=moment(), takeintoaccountdate=moment(),
                                         takeintoaccount_delay_stat=chance.choice([0, 60, 9000, 20000])))
        self.publish("desk", "ticket", *rows)
        # The rule as GLPI's own columns state it, term by term.
        wrong = self.dicts("""
            SELECT t.id, a.sla_breached FROM glpi.ticket t JOIN api.ticket a ON a.ticket_id = 'desk:' || t.id
             WHERE a.sla_breached IS DISTINCT FROM CASE WHEN t.time_to_resolve IS NULL AND t.time_to_own IS NULL THEN NULL ELSE
               coalesce(t.time_to_resolve IS NOT NULL AND t.status <> 4
                 AND (t.solvedate > t.time_to_resolve OR (t.solvedate IS NULL AND t.time_to_resolve < now())), false)
               OR coalesce(t.time_to_own IS NOT NULL AND t.status <> 4 AND (
                    (t.takeintoaccountdate IS NOT NULL AND t.takeintoaccountdate > t.time_to_own)
                 OR (t.takeintoaccountdate IS NULL AND t.takeintoaccount_delay_stat > extract(epoch FROM t.time_to_own - t.date))
                 OR (t.takeintoaccount_delay_stat = 0 AND t.time_to_own < now())), false) END""")
        self.assertEqual([], wrong)
        self.assertEqual({"t", "f", None}, {row[0] for row in query.rows(self.url, "SELECT DISTINCT sla_breached FROM api.ticket")})
        late = {row[0] for row in query.rows(self.url, "SELECT ticket_id FROM api.ticket WHERE sla_breached")}
        self.assertEqual(late, {event["ticket_id"] for event in self.events(kind="TicketSlaBreachedV1")})
        self.check_rebuild()

    def test_two_clocks_that_run_out_at_once_are_two_breaches(self):
        late = {"time_to_own": at("02 08:00"), "time_to_resolve": at("02 08:00")}
        self.publish("desk", "ticket", self.glpi_ticket(1, **late), *[self.glpi_ticket(key, time_to_own="2099-01-01") for key in (2, 3)])
        # As ids were before they named the clock.
        query.script(self.url, f"""SET TimeZone TO 'UTC'; INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, payload)
            SELECT core.event_id(t, 'TicketSlaBreachedV1', due::text), t, 'TicketSlaBreachedV1', due,
                   jsonb_build_object('clock', clock, 'due_at', due)
              FROM (VALUES ('desk:2', 'own', '{at("02 08:00")}'::timestamptz), ('desk:3', 'resolve', '{at("02 08:00")}')) e (t, clock, due)""")
        for _ in range(2):
            self.publish("desk", "ticket", *[self.glpi_ticket(key, **late) for key in (1, 2, 3)])
            self.assertEqual(sorted((f"desk:{key}", clock) for key in (1, 2, 3) for clock in ("own", "resolve")),
                             sorted((event["ticket_id"], event["payload"]["clock"]) for event in self.events(kind="TicketSlaBreachedV1")))
            self.check_rebuild()

    def test_without_a_log_the_differences_tell(self):
        """Switched off, or refused to the account; but not while it is only late."""
        for case, rows, tells in (
                ("switched off", "", True),
                ("refused", "(1, 'desk', 'log', 'error', 'denied', now())", True),
                ("failed", "(1, 'desk', 'log', 'error', 'transient', now())", False),
                ("part of the same execution", "(3, 'desk', 'log', 'running', NULL, NULL)", False)):
            with self.subTest(case):
                self.setUp()
                query.script(self.url, "DELETE FROM ops.watermark" + (
                    "; SET session_replication_role TO replica; INSERT INTO ops.execution_task (execution_id, source, task, status, error_class, finished_at) VALUES "
                    f"{rows}; RESET session_replication_role" if rows else ""))
                self.execution = 2
                for day, changes in enumerate(({}, {"status": 4}, {"is_deleted": True}, {"is_deleted": False, "name": "again"})):
                    self.execution = 2
                    self.publish("desk", "ticket", self.glpi_ticket(date_mod=at(f"0{day + 2} 08:00"), **changes))
                expected = ["TicketCreatedV1", "TicketStatusChangedV1", "TicketDeletedV1", "TicketRestoredV1", "TicketUpdatedV1"]
                found = sorted(self.kinds("desk:1"))
                self.assertEqual(sorted(expected[:1] if not tells else [*expected, "TicketStatusChangedV1"]), found)
                self.check_events()
                self.check_rebuild()

    def test_the_log_of_glpi_is_its_history(self):
        self.publish("desk", "user", {"id": 7, "name": "ana"})
        self.publish("desk", "ticket", self.glpi_ticket())
        log = [(12, 0, "1", "2"), (5, 15, "", "Souza Ana (7)"), (8, 15, "", "N1 (3)"), (12, 0, "2", "5"), (12, 0, "5", "2"),
               (5, 16, "Souza Ana (7)", ""), (3, 0, "3", "5"), (0, 20, "", ""), (0, 17, "", "a follow-up")]
        self.publish("desk", "log", *[{"id": 50 + n, "items_id": 1, "itemtype": "Ticket", "id_search_option": option, "linked_action": action,
                                       "old_value": old, "new_value": new, "date_mod": at(f"02 08:{n:02}")}
                                      for n, (option, action, old, new) in enumerate(log)])
        self.publish("desk", "ticket", self.glpi_ticket(status=5, priority=5, is_deleted=True, date_mod=at("03 08:00")))
        self.publish("desk", "log", {"id": 90, "items_id": 1, "linked_action": 13, "id_search_option": 0, "date_mod": at("02 20:00")})
        self.assertEqual(["TicketCreatedV1", "TicketStatusChangedV1", "TechnicianAssignmentChangedV1", "TechnicianAssignmentChangedV1",
                          "TicketStatusChangedV1", "TicketStatusChangedV1", "TechnicianAssignmentChangedV1", "TicketUpdatedV1",
                          "TicketDeletedV1"], self.kinds("desk:1"))
        events = self.events("desk:1")
        self.assertEqual("2026-03-01T08:05:00+00:00", events[0]["occurred_at"])
        self.assertEqual(("ana", "7"), tuple(events[2]["payload"]["assignee"]["new"][name] for name in ("name", "external_id")))
        self.assertEqual(("N1", "3"), tuple(events[3]["payload"]["team"]["new"][name] for name in ("name", "external_id")))
        self.assertIsNone(events[6]["payload"]["assignee"]["new"])
        row = self.ticket("desk:1")
        self.assertEqual((1, "2026-03-02T20:00:00+00:00"), (row["reopen_count"], row["deleted_at"]))
        self.publish("desk", "log", gone=[50 + n for n in range(len(log))])
        self.publish("desk", "ticket", gone=[1])  # purged out of the trash: it was gone already
        self.assertEqual(1, len(self.events("desk:1", "TicketDeletedV1")))
        self.publish("desk", "ticket", self.glpi_ticket(2))
        self.publish("desk", "ticket", gone=[2])
        self.assertEqual([{"how": "deleted"}], [event["payload"] for event in self.events("desk:2", "TicketDeletedV1")])
        self.check_rebuild()


if __name__ == "__main__":
    unittest.main()
