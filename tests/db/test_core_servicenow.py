#!/usr/bin/env python3
"""The common model on landed rows of ServiceNow: every mapping, names that come late, events."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import postgres  # noqa: E402
import query  # noqa: E402
from core_case import CoreCase, at  # noqa: E402


class ServiceNow(CoreCase):
    def test_states_of_servicenow_are_mapped_and_the_rest_is_unmapped(self):
        wanted = {1: "new", 2: "in_progress", 3: "pending", 4: "pending", 5: "pending", 6: "resolved", 7: "closed", 8: "cancelled",
                  20: "unmapped", -100: "unmapped", None: "unmapped"}
        self.publish("snow", "incident", *[self.incident(f"i{state}", state=state) for state in wanted])
        for state, status in wanted.items():
            row = self.ticket(f"snow:i{state}")
            self.assertEqual((status, None if state is None else str(state)), (row["status"], row["status_raw"]))
        self.assertEqual(len(wanted), int(self.one("SELECT count(*) FROM api.ticket")))
        self.check_rebuild()

    def test_a_ticket_of_servicenow_has_every_column(self):
        self.publish("snow", "groups", {"sys_id": "g1", "name": "Network"})
        self.publish("snow", "sys_user", {"sys_id": "u1", "name": "Ana", "email": "Ana@Example.com"}, {"sys_id": "u2", "name": "Rui"})
        self.publish("snow", "incident", self.incident(state=7, resolved_at=at("02 08:00"), closed_at=at("03 08:00"), resolved_by="u1",
                                                       priority=9))
        row = self.ticket("snow:i1")
        wanted = {"source": "snow", "source_type": "servicenow", "external_id": "i1", "number": "INC1", "kind": "incident",
                  "title": "No network", "status": "closed", "priority": None, "queue": "Network", "team": "Network",
                  "category": "network", "requester": "Rui", "opened_at": "2026-03-01T08:00:00+00:00",
                  "resolved_at": "2026-03-02T08:00:00+00:00", "closed_at": "2026-03-03T08:00:00+00:00", "sla_breached": False,
                  "url": "https://snow.example.com/incident.do?sys_id=i1", "deleted_at": None, "etl_execution_id": 3}
        self.assertEqual(wanted, {name: row[name] for name in wanted})
        self.assertEqual(row["assignee_id"], row["resolved_by_id"])
        person = self.dicts(f"SELECT * FROM api.technician WHERE technician_id = '{row['assignee_id']}'")[0]
        self.assertEqual(("Ana", "ana@example.com", None), (person["name"], person["email"], person["team"]))

    def test_names_that_come_late_reach_the_tickets_that_need_them(self):
        self.publish("snow", "incident", self.incident(), self.incident("i2", assignment_group="g2", assigned_to="u9", caller_id=None))
        row = self.ticket("snow:i1")
        self.assertEqual((None, None, None, "u1"), (row["queue"], row["requester"], row["assignee_id"], row["assignee_key"]))
        self.publish("snow", "groups", {"sys_id": "g1", "name": "Network"})
        self.publish("snow", "sys_user", {"sys_id": "u1", "name": "Ana"}, {"sys_id": "u2", "name": "Rui"})
        row = self.ticket("snow:i1")
        self.assertEqual(("Network", "Rui"), (row["queue"], row["requester"]))
        by_id, other = row["assignee_id"], self.ticket("snow:i2")
        self.assertIsNotNone(by_id)
        self.assertEqual((None, None), (other["queue"], other["assignee_id"]))
        self.publish("snow", "sys_user", {"sys_id": "u1", "email": "ana@x.org"}, {"sys_id": "u2", "name": "Rui Dias"})
        self.publish("snow", "groups", {"sys_id": "g1", "name": "Networks"})
        row = self.ticket("snow:i1")
        self.assertEqual(("Networks", "Rui Dias"), (row["queue"], row["requester"]))
        self.assertNotEqual(by_id, row["assignee_id"])
        self.publish("snow", "sys_user", gone=["u1"])
        self.assertIsNone(self.ticket("snow:i1")["assignee_id"])
        self.assertEqual(["TicketCreatedV1"], self.kinds("snow:i1"))  # nothing happened to the ticket itself
        self.check_rebuild()

    def test_slas_of_servicenow_decide_and_else_made_sla(self):
        self.publish("snow", "incident", self.incident("none"), self.incident("closed", state=7, made_sla=False),
                     self.incident("resolved", state=6, made_sla=False), self.incident("sla", state=7, made_sla=False))
        sla = {"sys_id": "s1", "task": "sla", "active": True, "stage": "in_progress", "has_breached": False,
               "planned_end_time": at("02 08:00"), "sys_updated_on": at("01 09:00")}
        self.publish("snow", "incident_sla", sla)
        self.assertEqual([True, None, None, False], [self.ticket(f"snow:{key}")["sla_breached"]
                                                     for key in ("closed", "none", "resolved", "sla")])
        self.publish("snow", "incident_sla", {**sla, "has_breached": True})
        self.assertEqual((True, "2026-03-02T08:00:00+00:00"), (self.ticket("snow:sla")["sla_breached"], self.ticket("snow:sla")["sla_due_at"]))
        event = self.events("snow:sla", "TicketSlaBreachedV1")
        self.assertEqual(["2026-03-02T08:00:00+00:00"], [one["occurred_at"] for one in event])
        self.publish("snow", "incident_sla", {**sla, "has_breached": True, "stage": "paused"})
        self.assertEqual(1, len(self.events("snow:sla", "TicketSlaBreachedV1")))
        self.publish("snow", "incident_sla", {**sla, "task": "none", "has_breached": True})  # moved to another ticket
        self.assertEqual([True, True], [self.ticket(f"snow:{key}")["sla_breached"] for key in ("none", "sla")])
        self.publish("snow", "incident_sla", gone=["s1"])
        self.assertIsNone(self.ticket("snow:none")["sla_breached"])
        self.check_rebuild()

    def breaches(self):
        return sorted((event["ticket_id"], event["occurred_at"][8:16], event["payload"].get("sla") or "")
                      for event in self.events(kind="TicketSlaBreachedV1"))

    def breach(self, key, sla, task="i1", due="02 08:00"):
        return {"sys_id": key, "task": task, "sla": sla, "active": True, "has_breached": True, "planned_end_time": due and at(due),
                "sys_updated_on": at("03 08:00")}

    def test_each_sla_that_breaches_has_its_event_also_at_one_instant(self):
        self.publish("snow", "incident", self.incident(), self.incident("i2"))
        self.publish("snow", "incident_sla", self.breach("s5", "gold"), self.breach("s6", "silver"), self.breach("s7", "gold", "i2"),
                     self.breach("s8", "gold", "i2", due=None))
        wanted = [("snow:i1", "02T08:00", "gold"), ("snow:i1", "02T08:00", "silver"), ("snow:i2", "02T08:00", "gold"), ("snow:i2", "03T08:00", "gold")]
        self.assertEqual(wanted, self.breaches())
        self.publish("snow", "incident_sla", self.breach("s1", "gold"))  # a further one, of the same definition
        wanted = sorted([*wanted, ("snow:i1", "02T08:00", "gold")])
        self.assertEqual(wanted, self.breaches())
        self.publish("snow", "incident_sla", self.breach("s5", "gold"), self.breach("s6", "silver"), gone=["s1"])
        self.assertEqual(wanted, self.breaches())
        self.check_rebuild()

    def test_a_breach_recorded_without_its_record_is_that_of_one_sla(self):
        """As before ids named it, and as a deadline that passes between two loads is told."""
        for clock, sla, extra in (("sla", ', "sla": "gold"', ""), ("sla", ', "sla": null', ""), ("resolve", "", ""), ("resolve", "", ", 'resolve'")):
            with self.subTest(clock=clock, sla=sla, extra=extra):
                self.setUp()
                self.publish("snow", "incident", self.incident())
                query.script(self.url, f"""SET TimeZone TO 'UTC'; INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, payload)
                    SELECT core.event_id('snow:i1', 'TicketSlaBreachedV1', due::text{extra}), 'snow:i1', 'TicketSlaBreachedV1', due,
                           '{{"clock": "{clock}", "due_at": "2026-03-02T08:00:00Z"{sla}}}' FROM (VALUES ('{at("02 08:00")}'::timestamptz)) d (due)""")
                for number, keys in enumerate((("s5",), ("s5",), ("s5", "s6"), ("s3", "s5", "s6"), ("s6",)), 1):
                    slas = {"s3": "silver", "s5": "gold", "s6": "bronze"}
                    self.publish("snow", "incident_sla", *[self.breach(key, slas[key]) for key in keys])
                    self.assertEqual((1, 1, 2, 3, 3)[number - 1], len(self.breaches()), self.breaches())
                    self.check_rebuild()

    def test_a_deadline_that_servicenow_told_is_not_told_by_the_clock(self):
        self.publish("snow", "incident", self.incident(), self.incident("i2"))
        query.script(self.url, "UPDATE core.clock SET ticked_at = '2026-03-01'")
        self.publish("snow", "incident_sla", self.breach("s5", "gold"), {**self.breach("s6", "gold", "i2"), "has_breached": False})
        self.assertEqual("1", self.one("SELECT core.tick()"))
        self.assertEqual([("snow:i1", "02T08:00", "gold"), ("snow:i2", "02T08:00", "")], self.breaches())
        self.publish("snow", "incident_sla", self.breach("s6", "gold", "i2"))
        self.publish("snow", "incident_sla", self.breach("s7", "silver", "i2"))
        self.assertEqual(["snow:i1", "snow:i2", "snow:i2"], [one[0] for one in self.breaches()])
        self.check_rebuild()

    def test_differences_of_servicenow_become_events_once(self):
        self.publish("snow", "groups", {"sys_id": "g1", "name": "Network"})
        self.publish("snow", "sys_user", {"sys_id": "u1", "name": "Ana"})
        self.publish("snow", "incident", self.incident())
        changed = self.incident(state=2, assigned_to="u3", priority=1, short_description="Slow", sys_updated_on=at("02 08:00"))
        self.publish("snow", "incident", changed)
        self.publish("snow", "incident", changed)
        self.assertEqual(["TechnicianAssignmentChangedV1", "TicketCreatedV1", "TicketStatusChangedV1", "TicketUpdatedV1"],
                         sorted(self.kinds("snow:i1")))
        events = {event["type"]: event for event in self.events("snow:i1")}
        self.assertEqual("2026-03-01T08:00:00+00:00", events["TicketCreatedV1"]["occurred_at"])
        self.assertEqual(({"status": "new", "raw": "1"}, {"status": "in_progress", "raw": "2"}),
                         tuple(events["TicketStatusChangedV1"]["payload"][side] for side in ("old", "new")))
        self.assertEqual({"title": {"old": "No network", "new": "Slow"}, "priority": {"old": 2, "new": 1}},
                         events["TicketUpdatedV1"]["payload"]["fields"])
        assignment = events["TechnicianAssignmentChangedV1"]["payload"]
        self.assertEqual(("Ana", None, "u3"), (assignment["assignee"]["old"]["name"], assignment["assignee"]["new"]["id"],
                                               assignment["assignee"]["new"]["external_id"]))
        self.assertNotIn("team", assignment)
        self.assertTrue(all(event["occurred_at"] == "2026-03-02T08:00:00+00:00" for name, event in events.items()
                            if name != "TicketCreatedV1"))
        query.script(self.url, "INSERT INTO ops.watermark (source, task, cursor, high, execution_id)"
                               f" VALUES ('snow', 'incident', '{{}}', '{at('02 09:00')}', 1)")
        self.publish("snow", "incident", gone=["i1"])
        self.assertIsNone(self.ticket("snow:i1"))
        self.assertEqual("2026-03-02T09:00:00+00:00", self.events("snow:i1", "TicketDeletedV1")[0]["occurred_at"])
        self.publish("snow", "incident", changed)
        self.assertEqual(["TicketDeletedV1", "TicketRestoredV1"], [kind for kind in self.kinds("snow:i1")
                                                                   if kind in ("TicketDeletedV1", "TicketRestoredV1")])
        self.assertEqual(1, len(self.events("snow:i1", "TicketCreatedV1")))
        with self.assertRaises(postgres.PostgresError):
            query.script(self.url, "DELETE FROM core.ticket_event")
        self.check_rebuild()

    def test_an_extension_of_the_catalog_maps_what_it_names(self):
        self.publish("snow", "incident", self.incident(state=20), self.incident("i2", state=3))
        self.assertEqual("unmapped", self.ticket("snow:i1")["status"])
        self.write_config(self.url, 'source_type: servicenow\nmappings:\n  status: {"20": pending, "3": in_progress}\n  priority: {"2": 5}\n')
        self.assertIn("map states and priorities of servicenow", self.worker("migrate"))
        self.assertEqual(("pending", 5), tuple(self.ticket("snow:i1")[name] for name in ("status", "priority")))
        self.assertEqual("in_progress", self.ticket("snow:i2")["status"])
        self.assertEqual(["TicketCreatedV1"], self.kinds("snow:i1"))
        self.write_config(self.url, "source_type: servicenow\nmappings:\n  status: {20: waiting}\n")
        fault = self.worker("migrate", code=78)
        self.assertRegex(fault, r"more\.yaml:3: mappings\.status\.20 is \"waiting\"")


if __name__ == "__main__":
    unittest.main()
