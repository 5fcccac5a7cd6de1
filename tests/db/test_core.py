#!/usr/bin/env python3
"""The common model on landed rows made by hand: every mapping, people and dimensions that come late,
events against their schemas, and that a rebuild arrives where the publishes did.

foz-worker is taken from FOZ_BUILD (default: build) and only migrates and rebuilds. A publish is what
the merge does: rows change, their keys lie in pg_temp.delta, core.refresh is called."""
import datetime
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
import postgres  # noqa: E402

BUILD = pathlib.Path(os.environ.get("FOZ_BUILD", ROOT / "build"))
WORKER = BUILD / "worker" / "foz-worker"
URLS = {"servicenow": "https://snow.example.com", "glpi": "https://desk.example.com/glpi/apirest.php",
        "azure_devops": "https://dev.azure.com/acme"}
SOURCES = {"snow": "servicenow", "desk": "glpi", "devops": "azure_devops"}
KEYS = {"work_item_revision": ("id", "rev"), "work_item_type_state": ("process_id", "type", "state", "category")}
TICKETS = {"incident_sla": "task", "ticket_user": "tickets_id", "group_ticket": "tickets_id", "itil_solution": "items_id",
           "log": "items_id"}
COLUMNS = "core.ticket", "core.technician", "core.technician_identity"


def key_of(task):
    if task in KEYS:
        return KEYS[task]
    return ("sys_id",) if task in ("incident", "incident_sla", "groups", "sys_user") else ("id",)


def at(text):
    return "2026-03-" + text + "+00"


class Schema:
    """As much of JSON Schema 2020-12 as schema/events uses; an unknown keyword is an error."""

    KNOWN = {"$schema", "$id", "title", "description", "type", "properties", "required", "additionalProperties", "const", "enum",
             "format", "pattern", "oneOf", "minProperties"}
    TYPES = {"string": str, "object": dict, "null": type(None), "integer": int}
    FORMATS = {"uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
               "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)"}

    @classmethod
    def faults(cls, schema, value, where="event"):
        if set(schema) - cls.KNOWN:
            raise AssertionError(f"{where}: unknown keywords {set(schema) - cls.KNOWN}")
        found = []
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if kinds and not any(isinstance(value, cls.TYPES[kind]) for kind in kinds):
            return [f"{where}: {value!r} is not {kinds}"]
        if "const" in schema and value != schema["const"] or "enum" in schema and value not in schema["enum"]:
            found.append(f"{where}: {value!r}")
        if "oneOf" in schema and sum(not cls.faults(one, value, where) for one in schema["oneOf"]) != 1:
            found.append(f"{where}: {value!r} is not one of them")
        if isinstance(value, str):
            patterns = [schema.get("pattern"), cls.FORMATS[schema["format"]] + "$" if "format" in schema else None]
            found += [f"{where}: {value!r}" for pattern in patterns if pattern and not re.match(pattern, value)]
        if isinstance(value, dict):
            found += cls._object_faults(schema, value, where)
        return found

    @classmethod
    def _object_faults(cls, schema, value, where):
        properties = schema.get("properties", {})
        more = schema.get("additionalProperties", True)
        found = [f"{where} lacks {name}" for name in schema.get("required", []) if name not in value]
        if len(value) < schema.get("minProperties", 0):
            found.append(f"{where} is empty")
        for name, member in value.items():
            if name in properties:
                found += cls.faults(properties[name], member, f"{where}.{name}")
            elif more is False:
                found.append(f"{where} has {name}")
            elif isinstance(more, dict):
                found += cls.faults(more, member, f"{where}.{name}")
        return found


class CoreTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = postgres.Cluster()
        cls.cluster.__enter__()
        cls.addClassCleanup(cls.cluster.__exit__, None, None, None)
        cls.folder = tempfile.mkdtemp(prefix="foz-core-", dir="/tmp")
        cls.schemas = {path.stem: json.loads(path.read_text("utf-8")) for path in (ROOT / "schema" / "events").glob("*.json")}
        cls.config = os.path.join(cls.folder, "foz.yaml")
        cls.write_config(cls.cluster.createdb("migrated"))
        cls.worker("migrate")

    @classmethod
    def tearDownClass(cls):
        for name in os.listdir(cls.folder):
            os.remove(os.path.join(cls.folder, name))
        os.rmdir(cls.folder)

    @classmethod
    def write_config(cls, url, catalog=None):
        auth = {"servicenow": {"method": "basic", "username": "u", "password": "env:X"},
                "glpi": {"method": "user_token", "user_token": "env:X"}, "azure_devops": {"method": "pat", "token": "env:X"}}
        config = {"database": {"url": url},
                  "sources": {name: {"type": kind, "url": URLS[kind], "auth": auth[kind]} for name, kind in SOURCES.items()}}
        if catalog:
            path = os.path.join(cls.folder, "more.yaml")
            with open(path, "w", encoding="utf-8") as out:
                out.write(catalog)
            config["catalog"] = [path]
        with open(cls.config, "w", encoding="utf-8") as out:
            json.dump(config, out)

    @classmethod
    def worker(cls, *arguments, code=0):
        done = subprocess.run([WORKER, *arguments, "-c", cls.config], capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL)
        if done.returncode != code:
            raise AssertionError(f"{arguments}: {done.returncode} {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def setUp(self):
        self.url = self.cluster.createdb(template="migrated")
        self.write_config(self.url)
        self.execution = 0

    # -- pieces

    def one(self, sql):
        return postgres.one(self.url, sql)

    def dicts(self, sql):
        text = postgres.psql(self.url, f"SET TimeZone = 'UTC'; SELECT row_to_json(q) FROM ({sql}) q")
        return [json.loads(line) for line in text.split("\n") if line]

    def publish(self, source, task, *rows, gone=(), refresh=True):
        """Rows are written whole or in part; `gone` are keys. One transaction, as a publish is."""
        kind = SOURCES.get(source, "servicenow")
        table = f'{kind}."{task}"'
        keys = key_of(task)
        ticket = f', {TICKETS[task]}::text AS etl_ticket' if task in TICKETS else ""
        listed = ", ".join(f"t.{key}" for key in keys)
        self.execution += 1
        gone = [value if isinstance(value, dict) else {keys[0]: value} for value in gone]

        def match(row):
            return "t.source = %s AND %s" % (postgres.quote_literal(source), " AND ".join(
                f"t.{key} = {postgres.quote_literal(str(row[key]))}" for key in keys))
        sql = ["SET client_min_messages TO warning; SET TimeZone TO 'UTC'; BEGIN",
               f"CREATE TEMPORARY TABLE delta ON COMMIT DROP AS SELECT {listed}, 'u'::\"char\" AS kind{ticket} FROM {table} t"
               f" WHERE {' OR '.join('(' + match(row) + ')' for row in [*rows, *gone])}"]
        for row in rows:
            names = ", ".join(f'"{name}"' for name in row)
            document = postgres.quote_literal(json.dumps(row))
            same = " AND ".join(f"d.{key} = t.{key}" for key in keys)
            updates = "".join(f', "{name}" = excluded."{name}"' for name in row)
            sql.append(f"INSERT INTO {table} (source, etl_execution_id, {names}) SELECT {postgres.quote_literal(source)}, {self.execution}, {names}"
                       f" FROM jsonb_populate_record(NULL::{table}, {document})"
                       f" ON CONFLICT (source, {', '.join(keys)}) DO UPDATE SET etl_execution_id = excluded.etl_execution_id{updates}")
            sql.append(f"INSERT INTO pg_temp.delta SELECT {listed}, 'i'{ticket} FROM {table} t WHERE {match(row)}"
                       f" AND NOT EXISTS (SELECT FROM pg_temp.delta d WHERE {same})")
        for row in gone:
            same = " AND ".join(f"{key} = {postgres.quote_literal(str(row[key]))}" for key in keys)
            sql += [f"DELETE FROM {table} t WHERE {match(row)}", f"UPDATE pg_temp.delta SET kind = 'd' WHERE {same}"]
        if refresh:
            sql.append(f"SELECT core.refresh('{source}', '{kind}', '{URLS[kind]}', '{task}', {self.execution}, 'trace')")
        postgres.psql(self.url, ";\n".join([*sql, "COMMIT"]))

    def ticket(self, ticket_id):
        found = self.dicts(f"SELECT * FROM api.ticket WHERE ticket_id = {postgres.quote_literal(ticket_id)}")
        return found[0] if found else None

    def events(self, ticket_id=None, kind=None):
        where = [f"ticket_id = {postgres.quote_literal(ticket_id)}" if ticket_id else "true", f"type = '{kind}'" if kind else "true"]
        return self.dicts(f"SELECT * FROM api.ticket_event WHERE {' AND '.join(where)} ORDER BY occurred_at, type, event_id")

    def kinds(self, ticket_id):
        return [event["type"] for event in self.events(ticket_id)]

    def check_events(self):
        found = []
        events = self.events()
        for event in events:
            found += Schema.faults(self.schemas[event["type"]], event, f"{event['type']} of {event['ticket_id']}")
        self.assertEqual([], found[:10])
        return events

    def content(self):
        return {table: self.dicts(f"SELECT * FROM {table} t ORDER BY t::text") for table in COLUMNS}

    def check_rebuild(self):
        """Whatever the publishes made, a rebuild of it and one from nothing make too; events stay."""
        before, events = self.content(), self.events()
        totals = json.loads(self.worker("rebuild", "--json"))
        self.assertEqual((0, 0), (totals["changed"], totals["events"]), self.differing(before))
        self.assertEqual(before, self.content())
        postgres.psql(self.url, "DELETE FROM core.ticket; DELETE FROM core.technician_identity; DELETE FROM core.technician;"
                                "DELETE FROM core.azure_devops_state; DELETE FROM core.azure_devops_project; DELETE FROM core.source")
        self.worker("rebuild")
        self.assertEqual(before, self.content())
        self.assertEqual(events, self.events())
        self.check_events()

    def differing(self, before):
        after = self.content()
        return [(old, new) for table in COLUMNS for old, new in zip(before[table], after[table]) if old != new][:2]

    def incident(self, key="i1", **more):
        return {"sys_id": key, "number": "INC1", "short_description": "No network", "state": 1, "priority": 2, "category": "network",
                "assignment_group": "g1", "assigned_to": "u1", "caller_id": "u2", "opened_at": at("01 08:00"),
                "sys_created_on": at("01 08:00"), "sys_updated_on": at("01 08:00"), "reopen_count": 0, "made_sla": True, **more}

    # -- ServiceNow

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
        self.publish("snow", "incident", gone=["i1"])
        self.assertIsNone(self.ticket("snow:i1"))
        self.publish("snow", "incident", changed)
        self.assertEqual(["TicketDeletedV1", "TicketRestoredV1"], [kind for kind in self.kinds("snow:i1")
                                                                   if kind in ("TicketDeletedV1", "TicketRestoredV1")])
        self.assertEqual(1, len(self.events("snow:i1", "TicketCreatedV1")))
        with self.assertRaises(postgres.PostgresError):
            postgres.psql(self.url, "DELETE FROM core.ticket_event")
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

    # -- people

    def test_one_person_has_one_row_across_sources(self):
        self.publish("snow", "sys_user", {"sys_id": "u1", "name": "Ana S.", "email": "ANA@x.org"}, {"sys_id": "u2", "name": "No mail"})
        self.publish("desk", "group", {"id": 3, "completename": "Desk > N1"})
        self.publish("desk", "user", {"id": 7, "name": "ana", "realname": "Souza", "firstname": "Ana", "groups_id": 3})
        self.publish("desk", "user_email", {"id": 1, "users_id": 7, "email": "other@x.org", "is_default": False},
                     {"id": 2, "users_id": 7, "email": "ana@x.org", "is_default": True})
        self.publish("devops", "identity", {"id": "vsid", "display_name": "Ana Souza", "unique_name": "ana@X.org"})
        people = self.dicts("SELECT * FROM api.technician ORDER BY name")
        self.assertEqual([("No mail", None, None), ("Souza Ana", "ana@x.org", "Desk > N1")],
                         [(one["name"], one["email"], one["team"]) for one in people])
        self.assertEqual("3", self.one(f"SELECT count(*) FROM api.technician_identity WHERE technician_id = '{people[1]['technician_id']}'"))
        self.publish("desk", "user_email", {"id": 2, "is_default": False, "email": "ana2@x.org"})
        self.assertEqual("3", self.one("SELECT count(*) FROM api.technician"))
        self.publish("devops", "identity", gone=["vsid"])
        self.publish("desk", "group", {"id": 3, "completename": "Desk > N2"})
        self.assertEqual("Desk > N2", self.one("SELECT team FROM api.technician WHERE email = 'other@x.org'"))
        self.check_rebuild()

    def test_a_work_item_that_names_an_address_only_finds_its_person(self):
        self.publish("devops", "work_item", self.item(assigned_to="Bo@x.org", assigned_to_id=None))
        self.assertIsNone(self.ticket("devops:42")["assignee_id"])
        self.publish("snow", "sys_user", {"sys_id": "u1", "name": "Bo", "email": "bo@x.org"})
        technician = self.one("SELECT technician_id FROM api.technician")
        self.assertEqual(technician, self.ticket("devops:42")["assignee_id"])
        self.check_rebuild()
        self.publish("snow", "sys_user", {"sys_id": "u1", "email": "bo@y.org"})
        self.assertIsNone(self.ticket("devops:42")["assignee_id"])
        self.check_rebuild()

    # -- GLPI

    def glpi_ticket(self, key=1, **more):
        return {"id": key, "name": "Printer", "type": 1, "status": 2, "priority": 3, "itilcategories_id": 5, "entities_id": 0,
                "date": at("01 08:00"), "date_creation": at("01 08:05"), "date_mod": at("01 09:00"), "takeintoaccount_delay_stat": 0,
                "is_deleted": False, **more}

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
        self.assertEqual({"t", "f", None}, {row[0] for row in postgres.rows(self.url, "SELECT DISTINCT sla_breached FROM api.ticket")})
        late = {row[0] for row in postgres.rows(self.url, "SELECT ticket_id FROM api.ticket WHERE sla_breached")}
        self.assertEqual(late, {event["ticket_id"] for event in self.events(kind="TicketSlaBreachedV1")})
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

    # -- Azure DevOps

    def item(self, key=42, **more):
        return {"id": key, "rev": 1, "team_project": "Web", "work_item_type": "Bug", "title": "Crash", "state": "Active", "priority": 2,
                "area_path": "Web\\Front", "iteration_path": "Web\\1", "created_date": at("01 08:00"), "changed_date": at("01 08:00"),
                "assigned_to": "ana@x.org", "assigned_to_id": "vs1", "assigned_to_display": "Ana", "created_by": "rui@x.org",
                "created_by_id": "vs2", "created_by_display": "Rui", "is_deleted": False, **more}

    def state(self, name, category, kind="Bug", process="p1", seen="01 08:00"):
        return {"process_id": process, "type": kind, "state": name, "category": category, "last_seen": at(seen), "first_seen": at("01 00:00")}

    def test_categories_of_states_decide_by_process_and_type(self):
        self.publish("devops", "work_item", self.item(1, state="New"), self.item(2), self.item(3, state="Resolved", resolved_date=at("02 08:00")),
                     self.item(4, state="Resolved", work_item_type="Task"), self.item(5, state="Closed", closed_date=at("03 08:00")),
                     self.item(6, state="Removed"), self.item(7, team_project="Other"), self.item(8, state="Renamed"))
        self.assertEqual({"unmapped"}, {row[0] for row in postgres.rows(self.url, "SELECT DISTINCT status FROM api.ticket")})
        self.publish("devops", "project", {"id": "a", "name": "Web", "process_id": "p1"}, {"id": "b", "name": "Other", "process_id": "p2"})
        self.publish("devops", "work_item_type_state", self.state("New", "Proposed"), self.state("Active", "InProgress"),
                     self.state("Resolved", "Resolved"), self.state("Resolved", "InProgress", kind="Task"), self.state("Closed", "Completed"),
                     self.state("Removed", "Removed"), self.state("Active", "Completed", process="p2"))

        def status():
            return {int(row[0]): row[1] for row in postgres.rows(self.url, "SELECT external_id, status FROM api.ticket")}
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

    # -- very large publishes

    def settle(self, source):
        kind = SOURCES[source]
        return self.one(f"SELECT core.settle('{source}', '{kind}', '{URLS[kind]}', 7, 'trace')")

    def leave(self, source, task, *rows):
        self.publish(source, task, *rows, refresh=False)
        postgres.psql(self.url, f"INSERT INTO core.owed (source, task) VALUES ('{source}', '{task}')")

    def test_what_publishes_left_is_settled_once(self):
        self.leave("snow", "incident", self.incident("i1"), self.incident("i2"))
        self.leave("snow", "incident_sla", {"sys_id": "s1", "task": "i1", "has_breached": True})
        self.leave("snow", "sys_user", {"sys_id": "u1", "name": "Ana"})
        self.assertIsNone(self.ticket("snow:i1"))
        self.assertEqual(["t", "f"], [self.settle("snow"), self.settle("snow")])
        self.assertEqual((True, "new"), (self.ticket("snow:i1")["sla_breached"], self.ticket("snow:i1")["status"]))
        self.assertEqual(["TicketCreatedV1"], self.kinds("snow:i2"))
        self.leave("snow", "incident", self.incident("i2", state=2, sys_updated_on=at("02 08:00")))
        self.assertEqual("t", self.settle("snow"))
        self.assertEqual(["TicketCreatedV1", "TicketStatusChangedV1"], self.kinds("snow:i2"))
        self.check_rebuild()

    def test_a_publish_of_very_many_rows_is_left_to_the_end(self):
        many = [self.incident(f"i{n}") for n in range(2)]
        self.publish("snow", "incident", *many)
        postgres.psql(self.url, "BEGIN; CREATE TEMPORARY TABLE delta ON COMMIT DROP AS SELECT n::text AS sys_id, 'i'::\"char\" AS kind"
                                " FROM generate_series(1, 20001) n;"
                                f" SELECT core.refresh('snow', 'servicenow', '{URLS['servicenow']}', 'incident', 7, 'trace'); COMMIT")
        self.assertEqual("incident", self.one("SELECT task FROM core.owed WHERE source = 'snow'"))
        self.assertEqual("t", self.settle("snow"))
        self.assertEqual("0", self.one("SELECT count(*) FROM core.owed"))
        self.check_rebuild()

    # -- time

    def test_a_deadline_that_passes_is_told_once_and_again_when_it_moved(self):
        soon = "(clock_timestamp() + interval '3 seconds')"
        self.publish("desk", "ticket", self.glpi_ticket(1, time_to_resolve="2099-01-01"), self.glpi_ticket(2, time_to_resolve="2099-01-01", status=4),
                     self.glpi_ticket(3, time_to_own="2099-01-01"))
        self.assertEqual("0", self.one("SELECT core.tick()"))
        for moved in (1, 2):
            postgres.psql(self.url, f"UPDATE glpi.ticket SET time_to_resolve = {soon} WHERE id < 3; UPDATE glpi.ticket SET time_to_own = {soon} WHERE id = 3")
            self.publish("desk", "ticket", {"id": 1}, {"id": 2}, {"id": 3})
            self.assertEqual(2 * (moved - 1), len(self.events(kind="TicketSlaBreachedV1")))
            postgres.psql(self.url, "SELECT pg_sleep_until(max(greatest(time_to_resolve, time_to_own))) FROM glpi.ticket")
            self.assertEqual("2", self.one("SELECT core.tick()"))
            self.assertEqual("0", self.one("SELECT core.tick()"))
            self.assertEqual({"desk:1": moved, "desk:3": moved}, {row[0]: int(row[1]) for row in postgres.rows(
                self.url, "SELECT ticket_id, count(*) FROM api.ticket_event WHERE type = 'TicketSlaBreachedV1' GROUP BY 1")})
        self.assertEqual([True, False, True], [self.ticket(f"desk:{key}")["sla_breached"] for key in (1, 2, 3)])
        self.check_rebuild()

    def test_a_tick_waits_for_nobody(self):
        holder = subprocess.Popen([postgres.find_binaries() / "psql", "-X", "-q", self.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            holder.stdin.write("BEGIN; SELECT core.lock(); \\echo held\n")
            holder.stdin.flush()
            while "held" not in holder.stdout.readline():
                pass
            self.assertEqual("t", self.one("SELECT core.tick() IS NULL"))
        finally:
            holder.stdin.close()
            holder.wait(30)
            holder.stdout.close()

    # -- everything at once

    def test_a_rebuild_arrives_where_any_history_of_publishes_did(self):
        for seed in range(3):
            with self.subTest(seed=seed):
                self.url = self.cluster.createdb(template="migrated")
                self.write_config(self.url)
                self.random_history(random.Random(seed))
                self.check_rebuild()

    def random_history(self, chance):
        pick = chance.choice
        made = {"incident": lambda key: self.incident(f"i{key}", state=pick([1, 2, 3, 6, 7, 20]), priority=pick([1, 2, None]),
                                                      assignment_group=pick(["g1", "g2", None]), assigned_to=pick(["u1", "u2", "u3", None]),
                                                      caller_id=pick(["u1", "u4"]), resolved_by=pick(["u1", None]),
                                                      sys_updated_on=at(f"0{pick('123456789')} 08:00")),
                "incident_sla": lambda key: {"sys_id": f"s{key}", "task": f"i{pick('12345')}", "active": pick([True, False]), "stage": pick(["paused", "in_progress"]),
                                             "has_breached": pick([True, False, None]), "planned_end_time": at(f"0{pick('123')} 10:00")},
                "groups": lambda key: {"sys_id": f"g{key}", "name": f"Group {pick('ab')}"},
                "sys_user": lambda key: {"sys_id": f"u{key}", "name": pick(["Ana", "Bo", None]), "email": pick(["a@x.org", "B@x.org", "c@x.org", None])},
                "ticket": lambda key: self.glpi_ticket(key, status=pick([1, 2, 4, 5, 99]), solvedate=pick([None, at("02 08:00")]), is_deleted=pick([True, False, False]),
                                                       time_to_resolve=pick([None, at("02 07:00")]), itilcategories_id=pick([0, 1])),
                "ticket_user": lambda key: {"id": key, "tickets_id": pick([1, 2, 3]), "users_id": pick([0, 1, 2]), "type": pick([1, 2, 3]), "alternative_email": "g@x.org"},
                "group_ticket": lambda key: {"id": key, "tickets_id": pick([1, 2, 3]), "groups_id": pick([1, 2]), "type": 2},
                "itil_solution": lambda key: {"id": key, "items_id": pick([1, 2, 3]), "users_id": pick([1, 2]), "status": pick([2, 3, 4])},
                "log": lambda key: {"id": key, "items_id": pick([1, 2, 3]), "id_search_option": pick([12, 12, 5, 3]), "linked_action": pick([0, 0, 13, 14]),
                                    "old_value": pick(["5", "2"]), "new_value": pick(["2", "5"]), "date_mod": at(f"0{pick('123')} 11:00")},
                "itil_category": lambda key: {"id": key, "completename": pick(["A", "A > B"])},
                "group": lambda key: {"id": key, "name": pick(["N1", "N2"])},
                "user": lambda key: {"id": key, "name": f"login{key}", "realname": pick([None, "Souza"]), "groups_id": pick([0, 1, 2])},
                "user_email": lambda key: {"id": key, "users_id": pick([1, 2]), "email": pick(["a@x.org", "d@x.org", "no mail"]), "is_default": pick([True, False])},
                "work_item": lambda key: self.item(key, state=pick(["New", "Active", "Closed"]), assigned_to=pick(["a@x.org", "c@x.org"]), team_project=pick(["Web", "Other"]),
                                                   assigned_to_id=pick([None, "1", "2"]), resolved_by=pick([None, "a@x.org"]), due_date=pick([None, at("04 08:00")]),
                                                   gone_since=pick([None, None, at("05 08:00")])),
                "project": lambda key: {"id": str(key), "name": pick(["Web", "Other", "Third"]), "process_id": pick(["p1", "p2", None])},
                "work_item_type_state": lambda key: self.state(pick(["New", "Active", "Closed"]), pick(["Proposed", "InProgress", "Completed"]), process=pick(["p1", "p2"]),
                                                               seen=f"0{pick('123456789')} 08:00"),
                "identity": lambda key: {"id": str(key), "display_name": pick(["Ana", "Cy"]), "unique_name": pick(["a@x.org", "DOM\\cy"]), "mail": pick([None, "c@x.org"])}}
        source_of = {task: "snow" if task in ("incident", "incident_sla", "groups", "sys_user") else
                     "devops" if task in ("work_item", "project", "work_item_type_state", "identity") else "desk" for task in made}
        for turn in range(120):
            task = pick(sorted(made))
            keys = chance.sample(range(1, 6), pick([1, 1, 2, 3]))
            if task == "log":  # which only grows
                keys = [turn * 10 + key for key in keys]
            rows = [made[task](key) for key in keys]
            if task == "work_item_type_state":
                rows = rows[:1]
                self.publish(source_of[task], task, *rows)
            elif chance.random() < 0.25 and task not in ("work_item", "log"):
                self.publish(source_of[task], task, gone=[row[key_of(task)[0]] for row in rows])
            else:
                self.publish(source_of[task], task, *rows)

    def test_readers_and_the_owner_of_tables_may_do_their_part(self):
        postgres.psql(self.url, (ROOT / "deploy" / "roles.sql").read_text("utf-8"))
        self.publish("snow", "incident", self.incident())
        self.assertEqual("1", self.one("SET ROLE foz_reader; SELECT count(*) FROM api.ticket t JOIN api.ticket_event e USING (ticket_id)").split("\n")[-1])
        for view in ("technician", "technician_identity"):
            self.assertEqual("0", self.one(f"SET ROLE foz_api; SELECT count(*) FROM api.{view}").split("\n")[-1])
        out = postgres.psql(self.url, "SET ROLE foz_worker; SELECT core.tick(); SELECT tickets FROM core.rebuild('[]')")
        self.assertEqual(["0", "1"], [line for line in out.split("\n") if line])
        columns = {row[0] for row in postgres.rows(self.url, "SELECT attname FROM pg_attribute WHERE attrelid = 'core.ticket'::regclass AND attnum > 0")}
        for kind in SOURCES.values():
            names = [row[0] for row in postgres.rows(self.url, f"SELECT attname FROM pg_attribute WHERE attrelid = 'core.{kind}_ticket'::regclass AND attnum > 0")]
            self.assertEqual(columns | {"created_at", "key"}, set(names))


if __name__ == "__main__":
    unittest.main()
