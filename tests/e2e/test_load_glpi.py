"""Every mode of a load of GLPI leaves an exact copy, and says so truthfully."""

import unittest

import control
from foz import COMPLETE, FAILED, HELD, PARTIAL, RIGHTS, TERMINATED
from glpi import (CHILDREN, DIRECTORY, ITEMTYPES, TICKETS, GlpiTest, burst, fault, insert, on_request, purge, silent_update, trash,
                  update)


class Full(GlpiTest):
    tickets = 200

    def test_a_full_load_of_both_loads_equals_the_source(self):
        self.load("tickets", "directory", "--mode", "full")
        self.assert_copies(*ITEMTYPES)
        for load, expected in (("tickets", TICKETS), ("directory", DIRECTORY)):
            execution = self.database.last_execution(load)
            self.assertEqual(("success", "full"), (execution["status"], execution["mode"]))
            self.assert_ledger(execution)
            tasks = self.database.tasks(execution["id"])
            self.assertEqual(set(expected), set(tasks))
            for name, task in tasks.items():
                self.assertEqual((len(self.truth(name)), 0), (task["records_inserted"], task["records_rejected"]), name)
        self.assert_no_leftovers()

    def test_what_is_compared_is_not_empty_by_chance(self):
        """Trash, people known by e-mail only, encoded text, rows of changes: the source has them all."""
        self.load("tickets", "directory")
        for what in ("ticket WHERE is_deleted", "ticket WHERE NOT is_deleted", "ticket_user WHERE users_id = 0 AND alternative_email IS NOT NULL",
                     "\"user\" WHERE is_deleted", "itil_followup WHERE content LIKE '%<%'", "ticket WHERE name LIKE '%&%'",
                     "ticket WHERE content LIKE '%&amp;%'", "itil_category WHERE completename LIKE '% > %&%'"):
            self.assertNotEqual("0", self.database.one(f"SELECT count(*) FROM glpi.{what}"), what)
        for itemtype in ("ITILFollowup", "ITILSolution", "Log"):
            others = [row for row in self.source_rows(itemtype) if row["itemtype"] != "Ticket"]
            self.assertGreater(len(others), 0, itemtype)
        self.assertEqual("0", self.database.one("SELECT count(*) FROM glpi.log WHERE itemtype <> 'Ticket'"))

    def test_a_second_run_of_each_mode_changes_no_row(self):
        self.load("tickets", "directory")
        before = self.snapshots(ITEMTYPES)
        for mode in ("incremental", "full", "reconcile"):
            with self.subTest(load_mode=mode):
                self.load("tickets", "directory", "--mode", mode)
                self.assertEqual(before, self.snapshots(ITEMTYPES))  # etl_updated_at included
                for load in ("tickets", "directory"):
                    self.assert_ledger(self.database.last_execution(load))

    def test_small_pages_and_many_lanes_lose_nothing(self):
        self.config["worker"]["parallel"] = 4
        self.set_source(page_size=7)
        self.load("tickets", "directory", "--mode", "full")
        self.assert_copies(*ITEMTYPES)

    def test_a_full_load_removes_what_is_gone(self):
        self.load("tickets", "directory")
        gone = self.ids()[::10]
        entries = self.ids("UserEmail")[::20]
        self.sim.change(*(purge("Ticket", identity) for identity in gone), *(purge("UserEmail", identity) for identity in entries))
        self.load("tickets", "directory", "--mode", "full")
        self.assert_copies(*ITEMTYPES)
        self.assertEqual(len(gone), self.database.tasks(self.database.last_execution("tickets")["id"])["ticket"]["records_deleted"])

    def test_two_servers_in_one_load_stay_apart(self):
        other = self.start_sim(tickets=120, seed=8)
        self.config["sources"]["second"] = {**self.source_config, **self.source_of(other)}
        self.write_config()
        for mode in ("full", "reconcile"):
            with self.subTest(load_mode=mode):
                self.load("tickets", "directory", "--mode", mode)
                self.assert_copies(*ITEMTYPES)
                self.assert_copies(*ITEMTYPES, source="second", sim=other)
                self.assert_ledger()
            other.do(purge("Ticket", self.ids(sim=other)[3]), update("Ticket", self.ids(sim=other)[9], urgency=5), control.advance(60))
            self.sim.change(update("Ticket", self.ids()[9], urgency=5))
        other.do(fault("error_500", table="Ticket"))
        self.load("tickets", expect=FAILED)
        other.do(control.clear_faults())
        self.assert_copies(*TICKETS)
        self.assertEqual({"desk": "success", "second": "error"}, dict(self.database.rows(
            f"SELECT source, status FROM ops.execution_task WHERE task = 'ticket' AND execution_id = {self.database.last_execution()['id']}")))

    def test_one_child_alone_is_read_against_the_tickets_that_are_there(self):
        self.load("tickets", "--task", "ticket_user")
        task = self.last_tasks()["ticket_user"]
        self.assertEqual((0, "success"), (self.count("ticket_user"), task["status"]), "rows without a ticket")
        self.assertEqual((0, len(self.source_rows("Ticket_User"))), (task["records_read"], task["records_foreign"]))
        self.assert_ledger()
        self.load("tickets")
        self.assert_copies(*TICKETS)
        identity = self.ticket_with("Ticket_User")
        self.sim.change(*(update("Ticket_User", row["id"], type=3) for row in self.children("Ticket_User", identity)))
        self.load("tickets", "--task", "ticket_user", "--mode", "full")
        self.assert_copies("ticket_user")


class Increments(GlpiTest):
    tickets = 150

    def test_a_chain_of_increments_keeps_the_copy_exact(self):
        self.load("tickets", "directory")
        for number in range(3):
            with self.subTest(number=number):
                self.sim.change(burst("Ticket", 20, urgency=number + 1), burst("Ticket", 5, "insert", name=f"new {number}"),
                                burst("ITILFollowup", 7, content=f"edited {number}"), burst("User", 9, comment=f"round {number}"),
                                burst("Ticket", 2, "trash"))
                self.load("tickets", "directory")
                self.assert_copies(*ITEMTYPES)
                execution = self.database.last_execution("tickets")
                self.assertEqual("incremental", execution["mode"])
                self.assertEqual(5, self.database.tasks(execution["id"])["ticket"]["records_inserted"])
                self.assert_ledger(execution)

    def test_an_increment_without_changes_asks_little_and_writes_nothing(self):
        self.load("tickets", "directory")
        self.sim.do(control.advance(3600))
        self.load("tickets", "directory")
        self.sim.do(control.advance(3600))
        before = self.snapshots(ITEMTYPES)
        self.load("tickets", "directory")
        self.assertEqual(before, self.snapshots(ITEMTYPES))
        for load, requests in (("tickets", 3 * 7), ("directory", 3 * 7)):
            tasks = self.database.tasks(self.database.last_execution(load)["id"])
            for name, task in tasks.items():
                self.assertEqual((0, 0, 0), tuple(task["records_" + part] for part in ("inserted", "updated", "deleted")), name)
                # Tickets: two lists, begun at their newest row; the history; a count to hold it all against.
                self.assertLessEqual(task["requests"], {"ticket": 7, "user": 4}.get(name, 3), name)
            self.assertLessEqual(sum(task["requests"] for task in tasks.values()), requests)

    def test_only_changed_rows_move_their_stamp(self):
        self.load("tickets")
        identity = self.ids()[3]
        before = dict(self.database.rows("SELECT id, etl_updated_at FROM glpi.ticket"))
        self.sim.change(update("Ticket", identity, urgency=5, impact=1))
        self.load("tickets")
        after = dict(self.database.rows("SELECT id, etl_updated_at FROM glpi.ticket"))
        self.assertEqual([str(identity)], [key for key in after if after[key] != before[key]])

    def test_what_moves_no_stamp_is_found_by_a_full_load(self):
        """A script in the database: no stamp and no history. Increments cannot know."""
        self.load("tickets")
        identity = self.ids()[5]
        self.sim.change(silent_update("Ticket", identity, name="silent"))
        self.load("tickets")
        self.assertNotEqual("silent", self.landed("name", identity))
        self.load("tickets", "--mode", "full")
        self.assert_copies(*TICKETS)


class Windows(GlpiTest):
    """The window field of a ticket is `date`; tasks without one run incrementally."""

    def dates(self):
        return sorted((row["date"], row["id"]) for row in self.source_rows("Ticket"))

    def window(self, low, high, *arguments, **options):
        return self.load("tickets", "--from", low.replace(" ", "T") + "Z", "--to", high.replace(" ", "T") + "Z", *arguments, **options)

    def test_a_window_equals_the_source_deletions_included_and_leaves_the_rest_alone(self):
        self.load("tickets")
        dates = self.dates()
        low, high = dates[100][0], dates[200][0]
        live = set(self.ids())
        inside = [identity for stamp, identity in dates if low <= stamp < high and identity in live]
        outside = [identity for stamp, identity in dates if not low <= stamp < high and identity in live]
        self.sim.change(purge("Ticket", inside[0]), purge("Ticket", outside[0]), silent_update("Ticket", inside[1], name="silent inside"),
                        silent_update("Ticket", outside[1], name="silent outside"))
        before = {row["id"]: row for row in self.database.dicts("SELECT * FROM glpi.ticket")}
        self.window(low, high)
        task = self.last_tasks()["ticket"]
        self.assertEqual(("success", 1, 1), (task["status"], task["records_deleted"], task["records_updated"]))
        after = {row["id"]: row for row in self.database.dicts("SELECT * FROM glpi.ticket")}
        self.assertNotIn(inside[0], after)
        self.assertEqual("silent inside", after[inside[1]]["name"])
        for identity in outside:
            self.assertEqual(before[identity], after[identity])
        self.load("tickets", "--mode", "full")
        self.assert_copies(*TICKETS)

    def test_the_lower_bound_is_inside_and_the_upper_outside(self):
        self.load("tickets")
        live = set(self.ids())
        dates = [(stamp, identity) for stamp, identity in self.dates() if identity in live]
        (low, first), (high, last) = dates[20], dates[60]
        self.sim.change(silent_update("Ticket", first, name="on the edge"), silent_update("Ticket", last, name="on the edge"))
        self.window(low, high, "--task", "ticket")
        self.assertEqual("on the edge", self.landed("name", first))
        self.assertNotEqual("on the edge", self.landed("name", last))

    def test_trashed_tickets_belong_to_the_window_too(self):
        self.load("tickets")
        dates = self.dates()
        trashed = set(self.ids(trashed=True))
        chosen = next(identity for stamp, identity in dates[50:] if identity in trashed)
        self.sim.change(silent_update("Ticket", chosen, name="in the trash"), silent_update("Ticket", chosen, is_deleted=1))
        self.window(dates[0][0], dates[-1][0], "--task", "ticket")
        self.assertEqual("in the trash", self.landed("name", chosen))
        self.assertEqual(0, self.last_tasks()["ticket"]["records_deleted"])

    def test_a_ticket_whose_date_moved_out_of_the_window_is_not_lost(self):
        self.load("tickets")
        dates = self.dates()
        live = set(self.ids())
        identity = next(identity for _, identity in dates[30:] if identity in live)
        self.sim.change(silent_update("Ticket", identity, date=dates[-1][0]))
        self.window(dates[0][0], dates[150][0], "--task", "ticket")
        self.assert_copies("ticket")

    def test_edges_of_a_window_are_instants_whatever_zone_the_source_shows(self):
        """Two local hours earlier or later would move tickets across the edge."""
        self.load("tickets")
        live = set(self.ids())
        dates = [(stamp, identity) for stamp, identity in self.dates() if identity in live]
        picked = dates[40:120:2]
        low, high = picked[0][0], picked[-1][0]
        for zone, name in (("America/Sao_Paulo", "west"), ("Asia/Tokyo", "east"), ("Europe/Berlin", "changing")):
            with self.subTest(zone=zone):
                self.sim.do(fault("user_time_zone", value=zone))
                self.sim.change(*(silent_update("Ticket", identity, name=name) for _, identity in dates))
                self.window(low, high, "--task", "ticket")
                changed = {row[0] for row in self.database.rows(f"SELECT id FROM glpi.ticket WHERE name = '{name}'")}
                self.assertEqual({str(identity) for stamp, identity in dates if low <= stamp < high}, changed)
                self.sim.do(control.clear_faults())


class Reconciliation(GlpiTest):
    def test_a_reconciliation_finds_what_left_no_trace(self):
        self.load("tickets", "directory")
        ids = self.ids()
        follow_up = self.truth("itil_followup")[4]["id"]
        self.sim.change(purge("Ticket", ids[2]), purge("Ticket", self.ids(trashed=True)[0]), purge("ITILFollowup", follow_up),
                        purge("UserEmail", self.ids("UserEmail")[7]), insert("Ticket", name="new"), update("Ticket", ids[8], impact=5))
        lost = ids[20]
        self.database.run(f"DELETE FROM glpi.ticket WHERE id = {lost}")  # by accident, in the target
        self.load("tickets", "directory", "--mode", "reconcile")
        task = self.database.tasks(self.database.last_execution("tickets")["id"])["ticket"]
        self.assertEqual((2, 2), (task["records_inserted"], task["records_deleted"]))
        self.assert_copies(*ITEMTYPES)
        self.assert_ledger(self.database.last_execution("tickets"))

    def test_nine_tenths_gone_is_held_until_allowed(self):
        self.load("tickets")
        before = self.snapshots()
        ids = self.ids() + self.ids(trashed=True)
        self.sim.change(*(purge("Ticket", identity) for identity in ids[:270]))
        for mode in ("full", "reconcile"):
            self.load("tickets", "--mode", mode, expect=HELD)
            self.assertEqual("held", self.database.last_execution()["status"])
            self.assertEqual(before["ticket"], self.snapshot("ticket"))
        self.load("tickets", "--mode", "full", "--allow-mass-delete")
        self.assert_copies(*TICKETS)


class Sessions(GlpiTest):
    """One session a run, closed whatever happens."""

    tickets = 100

    def opened(self):
        state = self.login_state()
        return state["sessions_opened"], state["sessions"]

    def test_one_session_per_load_is_opened_and_closed(self):
        self.set_source(parallel=4, page_size=20)
        self.load("tickets")
        self.assertEqual((1, 0), self.opened())
        self.load("tickets", "directory")
        self.assertLessEqual(self.opened()[0], 3)
        self.assertEqual(0, self.opened()[1])

    def test_sessions_are_closed_after_failures_refusals_and_rejects(self):
        self.load("tickets")
        for spec, code in ((fault("error_500", table="Ticket"), FAILED), (fault("maintenance_200", table="Ticket"), None),
                           (fault("forbidden_403", table="Log"), FAILED), (fault("empty_list", table="Ticket"), HELD),
                           (fault("change_entities_false"), None), (fault("user_time_zone", seconds=3600), 78),
                           (fault("bad_value", table="Ticket", field="date", mode="not_date", every=10), PARTIAL)):
            with self.subTest(fault=spec["fault"]["kind"]):
                self.sim.do(spec)
                result = self.load("tickets", "--mode", "full", expect=code)
                self.assertNotEqual(COMPLETE, result.code)
                self.sim.do(control.clear_faults())
                self.assertEqual(0, self.opened()[1])
                self.assertEqual(self.login_state()["sessions_opened"], self.login_state()["sessions_closed"])

    def test_a_refused_login_is_told_as_such_and_not_repeated(self):
        for name, value in (("FOZ_TEST_TOKEN", "wrong"), ("FOZ_TEST_APP_TOKEN", "wrong")):
            with self.subTest(secret=name):
                good = self.env[name]
                self.env[name] = value
                before = self.sim.state()["requests"]
                result = self.load("tickets", expect=RIGHTS)
                self.assertIn("desk", result.text)
                self.assertLessEqual(self.sim.state()["requests"] - before, 2)
                self.env[name] = good
        self.assertEqual(0, self.opened()[1])

    def test_basic_works_and_no_secret_is_told(self):
        self.env["FOZ_TEST_PASSWORD"] = "foz-secret"
        self.set_source(auth={"method": "basic", "username": "foz", "password": "env:FOZ_TEST_PASSWORD", "app_token": "env:FOZ_TEST_APP_TOKEN"})
        result = self.load("tickets", env={"FOZ_LOG_LEVEL": "debug"})
        self.assert_copies(*TICKETS)
        for secret in ("foz-secret", "foz-app-token", "foz-glpi-token"):
            self.assertNotIn(secret, result.text)
            self.assertFalse([entry for entry in self.sim.state()["last"] if secret in str(entry.get("url", ""))])

    def test_sigterm_closes_the_session(self):
        self.load("tickets")
        self.set_source(page_size=20)
        self.sim.do(fault("delay", seconds=0.03), on_request(12, burst("Ticket", 3)))
        program = self.start_worker("load", "tickets", "--mode", "full")
        self.wait_for_requests(10)
        program.signal(15)
        self.assertEqual(TERMINATED, program.wait(30), program.err())
        self.sim.do(control.clear_faults())
        self.assertEqual(0, self.opened()[1])


class Children(GlpiTest):
    def test_a_failing_ticket_task_keeps_its_children_and_names_itself(self):
        self.load("tickets")
        self.sim.change(burst("Ticket", 10), burst("ITILFollowup", 5, content="edited"))
        before = self.snapshots()
        self.sim.do(fault("error_500", table="Ticket"))
        self.load("tickets", "--mode", "full", expect=FAILED)
        self.sim.do(control.clear_faults())
        self.assertEqual(before, self.snapshots())
        tasks = self.last_tasks()
        for child in CHILDREN:
            self.assertEqual("error", tasks[child]["status"], child)
            self.assertIn("ticket", tasks[child]["error_message"])
        self.load("tickets")
        self.assert_copies(*TICKETS)

    def test_a_trashed_tickets_children_stay(self):
        self.load("tickets")
        identity = self.ticket_with("ITILFollowup")
        self.sim.change(trash(identity))
        self.load("tickets")
        self.assert_copies(*TICKETS)
        self.assertEqual("t", self.landed("is_deleted", identity))
        self.assertNotEqual("0", self.database.one(f"SELECT count(*) FROM glpi.itil_followup WHERE items_id = {identity}"))


if __name__ == "__main__":
    unittest.main()
