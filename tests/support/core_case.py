"""The base of the tests of the common model on landed rows made by hand, and what such rows look like.

foz-worker is taken from FOZ_BUILD (default: build) and only migrates and rebuilds. A publish is what
the merge does: rows change, their keys lie in pg_temp.delta, core.refresh is called."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import postgres
import query

ROOT = pathlib.Path(__file__).resolve().parents[2]
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


class CoreCase(unittest.TestCase):
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
        self.url = query.copy_database(self.cluster, "migrated")
        self.write_config(self.url)
        self.execution = 0
        # GLPI's log was read before: it tells what happens.
        query.script(self.url, "INSERT INTO ops.watermark (source, task, cursor, execution_id) VALUES ('desk', 'log', '{}', 1)")

    # -- pieces

    def one(self, sql):
        return query.one(self.url, sql)

    def dicts(self, sql):
        return query.dicts(self.url, sql)

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
        query.script(self.url, ";\n".join([*sql, "COMMIT"]))

    def ticket(self, ticket_id):
        found = self.dicts(f"SELECT * FROM api.ticket WHERE ticket_id = {postgres.quote_literal(ticket_id)}")
        return found[0] if found else None

    def events(self, ticket_id=None, kind=None):
        where = [f"ticket_id = {postgres.quote_literal(ticket_id)}" if ticket_id else "true", f"type = '{kind}'" if kind else "true"]
        return self.dicts(f"SELECT * FROM api.ticket_event WHERE {' AND '.join(where)} ORDER BY occurred_at, seq")

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
        query.script(self.url, "DELETE FROM core.ticket; DELETE FROM core.technician_identity; DELETE FROM core.technician;"
                                "DELETE FROM core.azure_devops_state; DELETE FROM core.azure_devops_project; DELETE FROM core.source")
        self.worker("rebuild")
        self.assertEqual(before, self.content())
        self.assertEqual(events, self.events())
        self.check_events()

    def differing(self, before):
        after = self.content()
        return [(old, new) for table in COLUMNS for old, new in zip(before[table], after[table]) if old != new][:2]

    # -- landed rows

    def incident(self, key="i1", **more):
        return {"sys_id": key, "number": "INC1", "short_description": "No network", "state": 1, "priority": 2, "category": "network",
                "assignment_group": "g1", "assigned_to": "u1", "caller_id": "u2", "opened_at": at("01 08:00"),
                "sys_created_on": at("01 08:00"), "sys_updated_on": at("01 08:00"), "reopen_count": 0, "made_sla": True, **more}

    def glpi_ticket(self, key=1, **more):
        return {"id": key, "name": "Printer", "type": 1, "status": 2, "priority": 3, "itilcategories_id": 5, "entities_id": 0,
                "date": at("01 08:00"), "date_creation": at("01 08:05"), "date_mod": at("01 09:00"), "takeintoaccount_delay_stat": 0,
                "is_deleted": False, **more}

    def item(self, key=42, **more):
        return {"id": key, "rev": 1, "team_project": "Web", "work_item_type": "Bug", "title": "Crash", "state": "Active", "priority": 2,
                "area_path": "Web\\Front", "iteration_path": "Web\\1", "created_date": at("01 08:00"), "changed_date": at("01 08:00"),
                "assigned_to": "ana@x.org", "assigned_to_id": "vs1", "assigned_to_display": "Ana", "created_by": "rui@x.org",
                "created_by_id": "vs2", "created_by_display": "Rui", "is_deleted": False, **more}

    def state(self, name, category, kind="Bug", process="p1", seen="01 08:00"):
        return {"process_id": process, "type": kind, "state": name, "category": category, "last_seen": at(seen), "first_seen": at("01 00:00")}
