"""What loads make of the common model: it equals what the sources say, follows every change, and a
rebuild arrives at the same."""

import collections
import csv
import gzip
import json
import os
import pathlib
import signal
import unittest
from datetime import datetime, timedelta, timezone

import azure
import control
import glpi
from foz import SANITIZER, FozTest, test_data, wait_until

DATA = test_data()
ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLES = ("core.ticket", "core.technician", "core.technician_identity")
SERVICENOW_STATUS = {"1": "new", "2": "in_progress", "3": "pending", "4": "pending", "5": "pending", "6": "resolved", "7": "closed",
                     "8": "cancelled"}


class CoreMixin:
    def check_rebuild(self):
        """A rebuild changes nothing, records nothing, and from nothing makes the same."""
        before = {table: self.database.dicts(f"SELECT * FROM {table} t ORDER BY t::text") for table in TABLES}
        events = self.database.one("SELECT md5(string_agg(e::text, '|' ORDER BY ticket_id, event_id)) FROM core.ticket_event e")
        totals = self.worker("rebuild", "--json", expect=0).json()
        self.assertEqual((0, 0), (totals["changed"], totals["events"]))
        self.database.run("DELETE FROM core.ticket; DELETE FROM core.technician_identity; DELETE FROM core.technician; DELETE FROM core.source")
        self.worker("rebuild", expect=0)
        for table, rows in before.items():
            self.assertEqual(rows, self.database.dicts(f"SELECT * FROM {table} t ORDER BY t::text"), table)
        self.assertEqual(events, self.database.one("SELECT md5(string_agg(e::text, '|' ORDER BY ticket_id, event_id)) FROM core.ticket_event e"))

    def counts(self, sql):
        return {row[0]: int(row[1]) for row in self.database.rows(sql)}

    def events(self, ticket_id):
        return self.database.dicts(f"SELECT * FROM api.ticket_event WHERE ticket_id = '{ticket_id}' ORDER BY occurred_at, seq")


class ServiceNow(CoreMixin, FozTest):
    tickets = 300

    def test_tickets_equal_the_source_whatever_comes_first(self):
        incidents = {row["sys_id"]: row for row in self.sim.rows("incident")}
        users = {row["sys_id"]: row for row in self.sim.rows("sys_user")}
        groups = {row["sys_id"]: row["name"] for row in self.sim.rows("sys_user_group")}
        self.load("incidents", "configurations")
        landed = self.database.dicts("SELECT t.*, a.name AS assignee, a.email FROM api.ticket t LEFT JOIN api.technician a ON a.technician_id = t.assignee_id")
        self.assertEqual(incidents.keys(), {row["external_id"] for row in landed})
        for row in landed:
            truth = incidents[row["external_id"]]
            person = users.get(truth["assigned_to"], {})
            self.assertEqual((SERVICENOW_STATUS.get(truth["state"], "unmapped"), truth["number"], truth["category"] or None,
                              groups.get(truth["assignment_group"]), (person.get("email") or "").lower() or None),
                             (row["status"], row["number"], row["category"], row["queue"], row["email"]), truth["number"])
        breached = {row["task"] for row in self.truth("incident_sla") if row["has_breached"] in ("true", "1")}
        self.assertEqual(breached, {row["external_id"] for row in landed if row["sla_breached"] and row["external_id"] in breached})
        self.assertEqual(len(breached), int(self.database.one("SELECT count(DISTINCT ticket_id) FROM api.ticket_event WHERE type = 'TicketSlaBreachedV1'")))
        before = self.database.dicts("SELECT * FROM core.ticket ORDER BY ticket_id")
        self.check_rebuild()
        self.database.run("DELETE FROM ops.watermark; TRUNCATE core.ticket, core.technician_identity, core.technician, core.source;"
                          "TRUNCATE servicenow.incident, servicenow.incident_sla, servicenow.sys_user, servicenow.groups")
        self.load("configurations")
        self.load("incidents")
        after = self.database.dicts("SELECT * FROM core.ticket ORDER BY ticket_id")
        self.assertEqual([{**row, "etl_execution_id": 0} for row in before], [{**row, "etl_execution_id": 0} for row in after])

    def test_a_change_shows_with_its_load_and_becomes_an_event(self):
        self.load("incidents", "configurations")
        first, second, third = [row["sys_id"] for row in self.sim.rows("incident")[:3]]
        user = self.sim.rows("sys_user")[5]["sys_id"]
        version = self.database.one("SELECT max(version) FROM ops.projection_version")
        self.sim.change(control.update("incident", first, state="8", short_description="changed"),
                        control.update("incident", second, assigned_to=user), control.delete("incident", third))
        self.load("incidents")
        self.load("incidents", "--mode", "reconcile")
        kinds = {event["type"]: event for event in self.events(f"snow:{first}")}
        self.assertEqual("cancelled", kinds["TicketStatusChangedV1"]["payload"]["new"]["status"])
        self.assertEqual("changed", kinds["TicketUpdatedV1"]["payload"]["fields"]["title"]["new"])
        self.assertEqual(self.database.last_execution()["id"] - 1, kinds["TicketUpdatedV1"]["execution_id"])
        self.assertEqual(user, [event for event in self.events(f"snow:{second}") if event["type"] == "TechnicianAssignmentChangedV1"]
                         [-1]["payload"]["assignee"]["new"]["external_id"])
        self.assertEqual("0", self.database.one(f"SELECT count(*) FROM api.ticket WHERE external_id = '{third}'"))
        gone = [event for event in self.events(f"snow:{third}") if event["type"] == "TicketDeletedV1"]
        self.assertEqual(["2026-01-15T12:"], [event["occurred_at"][:14] for event in gone], "not by the source's clock")
        self.assertGreater(int(self.database.one("SELECT max(version) FROM ops.projection_version")), int(version))
        before = self.database.one("SELECT count(*) FROM core.ticket_event")
        self.load("incidents", "--mode", "full")
        self.assertEqual(before, self.database.one("SELECT count(*) FROM core.ticket_event"))
        self.check_rebuild()

    def test_the_daemon_tells_of_deadlines_that_pass(self):
        self.load("incidents")
        ticket = self.database.one("SELECT ticket_id FROM core.ticket LIMIT 1")
        self.database.run("UPDATE core.ticket SET sla_met = NULL, sla_done_at = NULL, sla_waits = false, deleted_at = NULL, sla_due_at = "
                          f"clock_timestamp() - interval '1 second' WHERE ticket_id = '{ticket}';"
                          "UPDATE core.clock SET ticked_at = clock_timestamp() - interval '1 minute'")
        due = self.database.one(f"SELECT sla_due_at FROM core.ticket WHERE ticket_id = '{ticket}'")
        self.start_worker("run")
        found = wait_until(lambda: self.database.rows("SELECT execution_id FROM core.ticket_event WHERE type = 'TicketSlaBreachedV1' "
                                                      f"AND ticket_id = '{ticket}' AND occurred_at = '{due}'"), "the daemon ticks")
        self.assertEqual([[None]], [list(row) for row in found])

    def test_a_killed_publish_leaves_core_and_copy_as_they_were(self):
        self.load("incidents")
        self.sim.change(control.burst("incident", 200))
        self.database.run("CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$;"
                          "CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON core.ticket FOR EACH ROW EXECUTE FUNCTION public.slow()")
        before = self.database.one("SELECT md5(string_agg(t::text, '|' ORDER BY ticket_id)) FROM core.ticket t")
        worker = self.start_worker("load", "incidents")
        wait_until(lambda: self.database.rows("SELECT pid FROM pg_stat_activity WHERE query LIKE '%core.refresh%' AND state = 'active' "
                                              "AND pid <> pg_backend_pid() AND wait_event = 'PgSleep'"), "the refresh has begun")
        worker.signal(signal.SIGKILL)
        worker.wait()
        wait_until(lambda: not self.database.rows("SELECT pid FROM pg_stat_activity WHERE query LIKE '%core.refresh%' AND state = 'active' "
                                                  "AND pid <> pg_backend_pid()"), "the server has noticed")
        self.assertEqual(before, self.database.one("SELECT md5(string_agg(t::text, '|' ORDER BY ticket_id)) FROM core.ticket t"))
        self.database.run("DROP TRIGGER slow ON core.ticket")
        self.load("incidents")
        self.assert_copies("incident")
        self.check_rebuild()


class Glpi(CoreMixin, glpi.GlpiTest):
    tickets = 120

    def test_tickets_follow_every_change_and_the_log_is_their_history(self):
        self.load("tickets", "directory")
        self.check_rebuild()
        first, second, third, fourth = self.ids()[:4]
        self.sim.change(glpi.update("Ticket", first, status=4, priority=6), glpi.add_actor(second, users_id=7, type=2), glpi.trash(third),
                        glpi.purge("Ticket", fourth))
        self.load("tickets", "directory")
        self.load("tickets", "--mode", "reconcile")
        row = self.database.dicts(f"SELECT * FROM api.ticket WHERE external_id = '{first}'")[0]
        self.assertEqual(("pending", 1), (row["status"], row["priority"]))
        self.assertIsNotNone(self.database.one(f"SELECT deleted_at FROM api.ticket WHERE external_id = '{third}'"))
        self.assertEqual("0", self.database.one(f"SELECT count(*) FROM api.ticket WHERE external_id = '{fourth}'"))
        self.assertEqual("TicketDeletedV1", self.events(f"desk:{fourth}")[-1]["type"])
        self.check_rebuild()

    def timeline(self, ticket_id):
        query = (ROOT / "schema" / "queries" / "api_timeline.sql").read_text("utf-8")
        return self.database.dicts(query.replace("$1", f"'{ticket_id}'"))[0]["json_build_object"]["events"]

    def test_what_happened_within_one_second_is_told_in_its_order(self):
        self.load("tickets")
        self.sim.do({"run": False})
        tickets, states = self.ids()[:12], ("3", "4", "1", "2", "5", "6", "2", "4")
        for part in (states[:5], states[5:]):
            self.sim.change(*(glpi.update("Ticket", ticket, status=int(state)) for state in part for ticket in tickets))
            self.load("tickets")
        for ticket in tickets:
            changes = [event for event in self.timeline(f"desk:{ticket}") if event["type"] == "TicketStatusChangedV1"]
            told = [event["payload"]["new"]["raw"] for event in changes]
            self.assertEqual(states, tuple(told[-len(states):]), ticket)
            self.assertEqual(told[:-1], [event["payload"]["old"]["raw"] for event in changes[1:]], ticket)
            self.assertLessEqual(len({event["occurred_at"] for event in changes[-len(states):]}), 2, "they share their times")
        self.check_rebuild()

    def test_history_and_breaches_are_those_of_the_landed_rows(self):
        self.load("tickets", "directory")
        wanted = self.counts("SELECT 'desk:' || items_id, count(*) FROM glpi.log WHERE id_search_option = 12 AND linked_action = 0 GROUP BY 1")
        self.assertEqual(wanted, self.counts("SELECT ticket_id, count(*) FROM api.ticket_event WHERE type = 'TicketStatusChangedV1' GROUP BY 1"))
        self.assertGreater(len(wanted), 10)
        self.assertEqual("0", self.database.one("""
            SELECT count(*) FROM glpi.ticket t JOIN api.ticket a ON a.source = t.source AND a.external_id = t.id::text
             WHERE coalesce(a.sla_breached, false) IS DISTINCT FROM (t.status <> 4 AND (
               coalesce(t.solvedate > t.time_to_resolve, false) OR coalesce(t.solvedate IS NULL AND t.time_to_resolve < now(), false)
               OR coalesce(t.takeintoaccountdate > t.time_to_own, false)
               OR coalesce(t.takeintoaccountdate IS NULL AND t.takeintoaccount_delay_stat > extract(epoch FROM t.time_to_own - t.date), false)
               OR coalesce(t.takeintoaccount_delay_stat = 0 AND t.time_to_own < now(), false)))"""))
        people = "SELECT count(*) FROM glpi.ticket_user u JOIN glpi.\"user\" p ON p.id = u.users_id WHERE u.type = 2"
        self.assertGreater(int(self.database.one(people)), 0)
        self.assertEqual("0", self.database.one("SELECT count(*) FROM api.ticket WHERE assignee_key IS NOT NULL AND assignee_id IS NULL "
                                                "AND assignee_key IN (SELECT id::text FROM glpi.\"user\")"))


class AzureDevOps(CoreMixin, azure.AzureTest):
    def test_status_history_equals_the_revisions(self):
        self.load("work-items", "projects")
        self.check_rebuild()
        self.sim.change(*(azure.op("update", nth=number, set={"System.State": state}) for number, state in
                          ((3, "Active"), (4, "Closed"), (3, "Closed"), (5, "New"))),
                        azure.op("unassign", nth=6), azure.op("delete", nth=8), azure.op("destroy", nth=9))
        self.load("work-items", "projects")
        self.load("work-items", "--mode", "reconcile")
        truth, last = collections.defaultdict(list), {}
        for row in sorted(self.source_rows("revisions"), key=lambda row: (row["id"], row["rev"])):
            if row["id"] in last and last[row["id"]] != row["System.State"]:
                truth[f"ado:{row['id']}"].append((row["System.ChangedDate"][:19], row["System.State"]))
            last[row["id"]] = row["System.State"]
        found = collections.defaultdict(list)
        for event in self.database.dicts("SELECT * FROM api.ticket_event WHERE type = 'TicketStatusChangedV1' ORDER BY occurred_at, event_id"):
            found[event["ticket_id"]].append((event["occurred_at"][:19], event["payload"]["new"]["raw"]))
        self.assertGreater(len(truth), 10)
        for ticket, history in truth.items():
            self.assertEqual(sorted(history), sorted(found[ticket]), ticket)
        self.assertGreater(int(self.database.one("SELECT count(*) FROM api.ticket WHERE deleted_at IS NOT NULL")), 0)
        self.assertGreater(int(self.database.one("SELECT count(*) FROM api.ticket WHERE assignee_id IS NOT NULL")), 0)
        self.check_rebuild()

    def test_a_category_that_changes_changes_the_tickets(self):
        self.load("work-items", "projects")
        kind, state, process = self.database.rows("""
            SELECT w.work_item_type, w.state, p.process_name FROM azure_devops.work_item w JOIN azure_devops.project p ON p.name = w.team_project
             WHERE w.state NOT IN ('Removed') GROUP BY 1, 2, 3 ORDER BY count(*) DESC, 1, 2, 3 LIMIT 1""")[0]
        where = f"kind = '{kind}' AND status_raw = '{state}' AND category IN (SELECT name FROM azure_devops.project WHERE process_name = '{process}')"
        self.assertNotIn("cancelled", self.counts(f"SELECT status, count(*) FROM api.ticket WHERE {where} GROUP BY 1"))
        self.sim.change(azure.op("set_category", process=process, type=kind, state=state, category="Removed"))
        self.load("projects")
        self.assertEqual(["cancelled"], list(self.counts(f"SELECT status, count(*) FROM api.ticket WHERE {where} GROUP BY 1")))
        self.check_rebuild()


@unittest.skipUnless(DATA, "the real logs are absent; FOZ_TEST_DATA names their folder")
@unittest.skipIf(SANITIZER, "24,918 incidents are counted without a sanitizer only")
class RealLog(CoreMixin, FozTest):
    states = {"New": "new", "Active": "in_progress", "Awaiting Problem": "pending", "Awaiting User Info": "pending",
              "Awaiting Evidence": "pending", "Resolved": "resolved", "Closed": "closed"}

    def start_sim(self, *arguments, **options):
        return super().start_sim("--data", DATA, *arguments, **{"tickets": None, **options})

    def test_counts_equal_those_of_the_raw_file(self):
        def moment(text):
            return datetime.strptime(text, "%d/%m/%Y %H:%M")
        last = {}
        with gzip.open(os.path.join(DATA, "servicenow_uci498", "incident_event_log.csv.gz"), "rt", encoding="ascii") as log:
            for index, row in enumerate(csv.DictReader(log)):
                stamp = moment(row["sys_updated_at"]), index
                if row["number"] not in last or stamp > last[row["number"]][0]:
                    last[row["number"]] = stamp, row
        end = max(stamp for (stamp, _), _ in last.values())
        rows = [row for _, row in last.values()]
        self.sim.do(control.set_clock((end + timedelta(minutes=1)).replace(tzinfo=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")))
        self.load("incidents", "--task", "incident")

        def landed(column):
            return collections.Counter(self.counts(f"SELECT coalesce({column}::text, '-'), count(*) FROM api.ticket GROUP BY 1"))
        self.assertEqual(collections.Counter(self.states.get(row["incident_state"], "unmapped") for row in rows), landed("status"))
        self.assertEqual(collections.Counter(row["priority"].split(" ")[0] for row in rows), landed("priority"))
        self.assertEqual(collections.Counter("-" if row["category"] == "?" else row["category"] for row in rows), landed("category"))
        self.assertEqual(collections.Counter(moment(row["opened_at"]).strftime("%Y-%m") for row in rows), landed("to_char(opened_at, 'YYYY-MM')"))
        closed = [row for row in rows if row["incident_state"] == "Closed"]
        late = sum(row["made_sla"] == "false" for row in closed)
        self.assertEqual({key: count for key, count in (("t", late), ("f", len(closed) - late), ("-", len(rows) - len(closed))) if count},
                         {{"true": "t", "false": "f"}.get(key, key): count for key, count in landed("sla_breached").items()})
        self.assertEqual(len(rows), int(self.database.one("SELECT count(*) FROM api.ticket_event WHERE type = 'TicketCreatedV1'")))
        totals = self.worker("rebuild", "--json", expect=0)
        self.assertEqual((len(rows), 0, 0), tuple(json.loads(totals.out)[name] for name in ("tickets", "changed", "events")))


if __name__ == "__main__":
    unittest.main()
