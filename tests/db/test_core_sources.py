#!/usr/bin/env python3
"""The common model across sources: people, what large publishes leave, deadlines, roles, and that a rebuild
arrives where the publishes did."""
import pathlib
import random
import subprocess
import sys
import unittest

import psycopg2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import postgres  # noqa: E402
import query  # noqa: E402
from core_case import CoreCase, ROOT, SOURCES, URLS, at, key_of  # noqa: E402


class Sources(CoreCase):
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

    # -- very large publishes

    def settle(self, source):
        kind = SOURCES[source]
        return self.one(f"SELECT core.settle('{source}', '{kind}', '{URLS[kind]}', 7, 'trace')")

    def leave(self, source, task, *rows):
        self.publish(source, task, *rows, refresh=False)
        query.script(self.url, f"INSERT INTO core.owed (source, task) VALUES ('{source}', '{task}')")

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
        query.script(self.url, "BEGIN; CREATE TEMPORARY TABLE delta ON COMMIT DROP AS SELECT n::text AS sys_id, 'i'::\"char\" AS kind"
                                " FROM generate_series(1, 20001) n;"
                                f" SELECT core.refresh('snow', 'servicenow', '{URLS['servicenow']}', 'incident', 7, 'trace'); COMMIT")
        self.assertEqual("incident", self.one("SELECT task FROM core.owed WHERE source = 'snow'"))
        self.assertEqual("t", self.settle("snow"))
        self.assertEqual("0", self.one("SELECT count(*) FROM core.owed"))
        self.check_rebuild()

    INDEXES = """SELECT string_agg(pg_get_indexdef(indexrelid), '|' ORDER BY indexrelid::regclass::text) FROM pg_index
                  WHERE indrelid IN ('core.ticket'::regclass, 'core.ticket_event'::regclass)"""
    KEYS = """SELECT string_agg(conname || conindid, ',' ORDER BY conname) FROM pg_constraint WHERE contype = 'p'
               AND conrelid IN ('core.ticket'::regclass, 'core.ticket_event'::regclass)"""

    def test_an_empty_core_is_filled_without_indexes_and_gets_them_back(self):
        indexes, keys = self.one(self.INDEXES), self.one(self.KEYS)
        self.publish("snow", "incident", self.incident("i1"), self.incident("i2"))
        self.assertEqual(indexes, self.one(self.INDEXES))
        self.assertNotEqual(keys, self.one(self.KEYS))
        keys = self.one(self.KEYS)
        self.publish("desk", "ticket", self.glpi_ticket(1))
        self.assertEqual(keys, self.one(self.KEYS), "a second source finds tickets there")
        self.check_rebuild()

    def test_readers_and_views_of_an_empty_core_do_not_stop_its_first_fill(self):
        keys = self.one(self.KEYS)
        query.script(self.url, "CREATE VIEW public.theirs AS SELECT t.*, count(*) AS n FROM core.ticket t GROUP BY t.ticket_id")
        holder = psycopg2.connect(self.url)
        try:
            holder.cursor().execute("SELECT FROM core.ticket_event")
            self.publish("snow", "incident", self.incident("i1"))
        finally:
            holder.close()
        self.assertEqual(keys, self.one(self.KEYS))
        self.assertEqual(["TicketCreatedV1"], self.kinds("snow:i1"))
        self.check_rebuild()

    # -- time

    def test_a_deadline_that_passes_is_told_once_and_again_when_it_moved(self):
        soon = "(clock_timestamp() + interval '3 seconds')"
        self.publish("desk", "ticket", self.glpi_ticket(1, time_to_resolve="2099-01-01"), self.glpi_ticket(2, time_to_resolve="2099-01-01", status=4),
                     self.glpi_ticket(3, time_to_own="2099-01-01"))
        self.assertEqual("0", self.one("SELECT core.tick()"))
        for moved in (1, 2):
            query.script(self.url, f"UPDATE glpi.ticket SET time_to_resolve = {soon} WHERE id < 3; UPDATE glpi.ticket SET time_to_own = {soon} WHERE id = 3")
            self.publish("desk", "ticket", {"id": 1}, {"id": 2}, {"id": 3})
            self.assertEqual(2 * (moved - 1), len(self.events(kind="TicketSlaBreachedV1")))
            query.script(self.url, "SELECT pg_sleep_until(max(greatest(time_to_resolve, time_to_own))) FROM glpi.ticket")
            self.assertEqual("2", self.one("SELECT core.tick()"))
            self.assertEqual("0", self.one("SELECT core.tick()"))
            self.assertEqual({"desk:1": moved, "desk:3": moved}, {row[0]: int(row[1]) for row in query.rows(
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
                self.url = query.copy_database(self.cluster, "migrated")
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
        query.script(self.url, (ROOT / "deploy" / "roles.sql").read_text("utf-8"))
        self.publish("snow", "incident", self.incident())
        self.assertEqual("1", self.one("SET ROLE foz_reader; SELECT count(*) FROM api.ticket t JOIN api.ticket_event e USING (ticket_id)").split("\n")[-1])
        for view in ("technician", "technician_identity"):
            self.assertEqual("0", self.one(f"SET ROLE foz_api; SELECT count(*) FROM api.{view}").split("\n")[-1])
        self.assertEqual("0", query.script(self.url, "SET ROLE foz_worker; SELECT core.tick()"))
        self.assertEqual("1", query.script(self.url, "SET ROLE foz_worker; SELECT tickets FROM core.rebuild('[]')"))
        columns = {row[0] for row in query.rows(self.url, "SELECT attname FROM pg_attribute WHERE attrelid = 'core.ticket'::regclass AND attnum > 0")}
        for kind in SOURCES.values():
            names = [row[0] for row in query.rows(self.url, f"SELECT attname FROM pg_attribute WHERE attrelid = 'core.{kind}_ticket'::regclass AND attnum > 0")]
            self.assertEqual(columns | {"created_at", "key"}, set(names))


if __name__ == "__main__":
    unittest.main()
