"""Every kind of change that GLPI's users and scripts make arrives with the next increment."""

import unittest

import control
import postgres
from foz import HELD, http
from glpi import (ITEMTYPES, TICKETS, GlpiTest, add_actor, burst, fault, insert, op, purge, remove_actor, rename, restore, silent_update,
                  trash, update)


class Changes(GlpiTest):
    tickets = 120

    def setUp(self):
        super().setUp()
        self.load("tickets")

    def lands(self, *changes, tasks=tuple(TICKETS)):
        """The changes land with one increment that deletes no ticket, and the next one is quiet."""
        self.sim.change(*changes)
        self.load("tickets")
        self.assert_copies(*tasks)
        self.assert_ledger()
        self.assert_no_leftovers()

    def test_a_ticket_through_all_its_states(self):
        identity = self.ids()[0]
        for status in (2, 3, 4, 2, 5, 6, 1, 99, 10):
            with self.subTest(status=status):
                self.lands(update("Ticket", identity, status=status))
                self.assertEqual(str(status), self.landed("status", identity))

    def test_fields_of_a_ticket(self):
        first, second, third = self.ids()[:3]
        self.lands(update("Ticket", first, priority=6, urgency=5, type=2, itilcategories_id=0, locations_id=3),
                   update("Ticket", second, name="<b>R&D</b> &amp; \"x\" 'y' > z", content="<p>a &lt; b &amp; c &#38; d</p>\n\ttab ünï 🚒"),
                   update("Ticket", third, name="", entities_id=1, time_to_resolve=None, date="2025-03-30 02:30:00"))
        self.assertEqual("6", self.landed("priority", first))
        self.assertEqual("<b>R&D</b> &amp; \"x\" 'y' > z", self.landed("name", second))
        self.assertIsNone(self.landed("name", third))

    def test_actors_added_removed_and_replaced(self):
        added, removed, replaced, mailed, emptied = self.ids()[:5]
        self.lands(add_actor(added, users_id=7, type=2), add_actor(added, groups_id=3, type=2), add_actor(added, users_id=7, type=3),
                   remove_actor(removed, type=1), add_actor(removed, users_id=9, type=1),
                   remove_actor(replaced, type=2), add_actor(replaced, users_id=11, type=2),
                   add_actor(mailed, users_id=0, type=1, alternative_email="somebody@example.org"),
                   add_actor(mailed, users_id=0, type=1, alternative_email="else@example.org"),
                   remove_actor(emptied), remove_actor(emptied, groups_id=0))
        self.assertEqual("2", self.database.one(f"SELECT count(*) FROM glpi.ticket_user WHERE tickets_id = {mailed} AND alternative_email LIKE '%example.org'"))
        self.assertEqual("0", self.database.one(f"SELECT count(*) FROM glpi.ticket_user WHERE tickets_id = {emptied}"))
        self.lands(remove_actor(added, users_id=7), remove_actor(added, groups_id=3), remove_actor(mailed))

    def test_actors_of_more_tickets_than_are_asked_one_by_one(self):
        self.lands(burst("Ticket", 110), *(add_actor(identity, users_id=5, type=3) for identity in self.ids()[::2]),
                   *(remove_actor(identity, type=2) for identity in self.ids()[::3]))

    def test_a_follow_up_edited_added_and_made_private(self):
        follow_up = self.truth("itil_followup")[0]
        ticket = self.ids()[4]
        self.lands(update("ITILFollowup", follow_up["id"], content="<p>edited &amp; changed</p>", is_private=1),
                   insert("ITILFollowup", itemtype="Ticket", items_id=ticket, content="new"),
                   insert("ITILFollowup", itemtype="Change", items_id=ticket, content="of a change"))
        self.assertEqual("0", self.database.one("SELECT count(*) FROM glpi.itil_followup WHERE content = 'of a change'"))

    def test_a_solution_edited_without_a_trace_on_its_ticket(self):
        solution = self.truth("itil_solution")[0]
        before = self.landed("date_mod", solution["items_id"])
        self.lands(op("update", "ITILSolution", id=solution["id"], set={"content": "the real cause"}, touch=False, history=False))
        self.assertEqual(before, self.landed("date_mod", solution["items_id"]))
        self.assertEqual("the real cause", self.landed("content", solution["id"], "itil_solution"))

    def test_tasks_solutions_and_history(self):
        first, second = self.ids()[5:7]
        task = self.truth("ticket_task")[0]
        self.lands(insert("TicketTask", tickets_id=first, content="call", actiontime=3600, state=1),
                   update("TicketTask", task["id"], state=2, actiontime=7200),
                   insert("ITILSolution", itemtype="Ticket", items_id=second, content="reboot", status=2))

    def test_a_ticket_trashed_and_restored(self):
        first, second = self.ids()[:2]
        trashed = self.ids(trashed=True)[0]
        self.lands(trash(first), trash(second), restore(trashed))
        self.assertEqual(("t", "f"), (self.landed("is_deleted", first), self.landed("is_deleted", trashed)))
        self.lands(restore(first), update("Ticket", second, name="edited in the trash"))
        self.lands(trash(first), restore(first), trash(trashed))

    def test_a_new_ticket_with_all_its_children(self):
        self.sim.change(insert("Ticket", name="brand new"))
        identity = self.ids()[-1]
        self.lands(add_actor(identity, users_id=6, type=1), add_actor(identity, groups_id=2, type=2),
                   insert("ITILFollowup", itemtype="Ticket", items_id=identity, content="first"),
                   insert("TicketTask", tickets_id=identity, content="second"),
                   insert("ITILSolution", itemtype="Ticket", items_id=identity, content="third"))

    def test_a_change_that_only_the_history_shows(self):
        """A plugin that writes the history but moves no stamp: the log is the second feed."""
        identity = self.ids()[8]
        self.lands(op("update", "Ticket", id=identity, set={"urgency": 5, "impact": 4, "name": "by a plugin"}, touch=False))
        self.assertEqual("by a plugin", self.landed("name", identity))

    def test_nothing_is_lost_behind_a_clock_that_went_back(self):
        """Watermarks of the hours that come again must not hide what is written in them."""
        before = self.sim.state()["clock"]
        ticket = self.ids()[4]
        self.lands(control.advance(7200), insert("ITILFollowup", itemtype="Ticket", items_id=ticket, content="late"))
        self.sim.change(control.set_clock(before))
        for content in ("everything is read", "changes only", "once more"):
            with self.subTest(content):
                self.lands(control.advance(60), update("Ticket", self.ids()[5], name=content),
                           insert("ITILFollowup", itemtype="Ticket", items_id=ticket, content=content))
        self.assertEqual("0", self.database.one("SELECT count(*) FROM ops.watermark WHERE high > "
                                                f"{postgres.quote_literal(self.sim.state()['clock'])}::timestamptz + interval '5 s'"))

    def test_the_last_of_a_list_is_asked_for_before_it_goes(self):
        """All others stay as they are: what is missing must be told without their being staged."""
        self.load("directory")
        self.load("directory", "--mode", "full")
        last = max(row["id"] for row in self.truth("location"))
        self.sim.change(purge("Location", last))
        self.sim.do({"reset_counters": True})
        self.load("directory", "--task", "location", "--mode", "full")
        self.assert_copies("location")
        self.assertEqual(1, self.last_tasks()["location"]["records_deleted"])
        asked = [entry["url"] for entry in http("GET", self.sim.url + "/_control/state?last=4096").json()["last"]]
        self.assertEqual(1, sum(f"/Location/{last}" in url for url in asked), asked)

    def test_purges_are_found_by_reconcile_and_take_the_children_along(self):
        first, second = self.ids()[:2]
        trashed = self.ids(trashed=True)[0]
        follow_up = next(row for row in self.truth("itil_followup") if row["items_id"] not in (first, second, trashed))
        self.sim.change(purge("Ticket", first), purge("Ticket", second), purge("Ticket", trashed), purge("ITILFollowup", follow_up["id"]))
        self.load("tickets")
        self.assertEqual("3", self.database.one(f"SELECT count(*) FROM glpi.ticket WHERE id IN ({first}, {second}, {trashed})"))
        self.load("tickets", "--mode", "reconcile")
        self.assert_copies(*TICKETS)
        self.assertEqual(3, self.last_tasks()["ticket"]["records_deleted"])

    def test_an_id_that_comes_back_after_a_purge(self):
        """Restored from a backup: the row returns with its children, and its stamp is old."""
        identity = self.ids()[3]
        row = next(row for row in self.source_rows("Ticket") if row["id"] == identity)
        self.sim.change(purge("Ticket", identity))
        self.load("tickets", "--mode", "reconcile")
        self.assert_copies(*TICKETS)
        kept = {key: value for key, value in row.items() if value is not None}
        self.sim.change(op("insert", "Ticket", set=kept, silent=True))
        self.load("tickets", "--mode", "reconcile")
        self.assert_copies(*TICKETS)


class Directory(GlpiTest):
    tickets = 10

    def setUp(self):
        super().setUp()
        self.load("tickets", "directory")

    def lands(self, *changes, mode="incremental", tasks=("user", "user_email", "group", "entity", "itil_category", "location", "sla")):
        self.sim.change(*changes)
        self.load("directory", "--mode", mode)
        self.assert_copies(*tasks)
        self.assert_ledger()

    def test_renames_reach_the_directory(self):
        self.lands(rename("User", self.ids("User")[5], "Müller & Söhne"), rename("ITILCategory", self.ids("ITILCategory")[3], "Net <wide>"),
                   rename("Group", self.ids("Group")[1], "Second & third"), rename("Location", self.ids("Location")[2], "Attic"),
                   rename("SLA", self.ids("SLA")[0], "Gold"))

    def test_an_entity_that_moves_and_tickets_that_move_with_it(self):
        entity = self.ids("Entity")[4]
        ticket = self.ids()[2]
        self.sim.change(update("Ticket", ticket, entities_id=entity))
        self.load("tickets")
        self.lands(update("Entity", entity, entities_id=1, completename="Root > Elsewhere & more", level=2))
        self.assert_copies(*TICKETS)

    def test_users_trashed_restored_deactivated_and_their_addresses(self):
        users = self.ids("User")
        trashed = self.ids("User", trashed=True)[0]
        address = self.source_rows("UserEmail")[0]
        self.lands(trash(users[3], "User"), restore(trashed, "User"), update("User", users[4], is_active=0, phone="+55 11"),
                   update("UserEmail", address["id"], email="new@example.org"), insert("UserEmail", users_id=users[6], email="x@example.org"))
        self.assertEqual("t", self.landed("is_deleted", users[3], "user"))

    def test_purged_users_and_groups_go_with_reconcile(self):
        self.lands(purge("User", self.ids("User")[8]), purge("Group", self.ids("Group")[-1]), purge("Location", self.ids("Location")[-1]),
                   mode="reconcile")


class Entities(GlpiTest):
    """Rights that shrink look like a purge: deletions are held, everything else goes on."""

    tickets = 200

    def test_entities_lost_hold_deletions_while_increments_go_on(self):
        self.load("tickets", "directory")
        before = self.snapshots(ITEMTYPES)
        self.sim.do(op("rights", account="foz", entity=2, recursive=True))
        for mode in ("full", "reconcile"):
            with self.subTest(load_mode=mode):
                result = self.load("tickets", "--mode", mode, expect=HELD)
                self.assertIn("entities", result.text)
                self.assertIn("--allow-mass-delete", result.text)
                self.assertEqual(before["ticket"], self.snapshot("ticket"))
        visible = sorted(row["id"] for row in self.truth("ticket", account="foz"))
        self.assertTrue(0 < len(visible) < len(before["ticket"]))
        self.sim.change(update("Ticket", visible[0], urgency=5, name="still read"))
        self.load("tickets")
        self.assertEqual("still read", self.landed("name", visible[0]))
        self.assertEqual(len(before["ticket"]), self.count("ticket"))
        self.load("tickets", "--mode", "full", expect=HELD)  # an increment must not make it forget
        self.load("tickets", "--mode", "full", "--allow-mass-delete")
        self.assert_copies(*TICKETS, account="foz", may_be_empty=("group_ticket", "itil_solution", "ticket_task"))
        self.load("tickets", "--mode", "full")

    def test_entities_given_back_release_what_was_held(self):
        self.load("tickets")
        self.sim.do(op("rights", account="foz", entity=1, recursive=True))
        self.load("tickets", "--mode", "reconcile", expect=HELD)
        self.sim.do(op("rights", account="foz", entity=0, recursive=True))
        self.load("tickets", "--mode", "reconcile")
        self.assert_copies(*TICKETS)

    def test_more_entities_bring_their_old_tickets_with_the_next_full_read(self):
        self.sim.do(op("rights", account="foz", entity=2, recursive=True))
        self.load("tickets")
        self.sim.do(op("rights", account="foz", entity=0, recursive=True), control.advance(60))
        self.load("tickets", "--mode", "full")
        self.assert_copies(*TICKETS)


class Unclean(GlpiTest):
    """What does not fit is a dead letter; what is only odd lands."""

    tickets = 120

    def test_bad_dates_are_dead_letters_and_the_good_version_stays(self):
        self.load("tickets")
        before = self.snapshot("ticket")
        self.sim.do(fault("bad_value", table="Ticket", field="solvedate", mode="not_date", every=10))
        for _ in range(2):
            self.load("tickets", "--mode", "full", expect=3)
            self.assertEqual(before, self.snapshot("ticket"))
            self.assert_ledger()
        letters = self.database.dicts("SELECT * FROM ops.dead_letter WHERE resolved_at IS NULL")
        self.assertEqual(self.database.last_execution()["records_rejected"], len(letters))
        self.assertGreater(len(letters), 3)
        self.assertEqual({"ticket"}, {letter["task"] for letter in letters})
        self.assertTrue(all("solvedate" in letter["reason"] for letter in letters))
        self.sim.do(control.clear_faults())
        self.worker("dead-letters", "retry", expect=0)
        self.assertEqual("0", self.database.one("SELECT count(*) FROM ops.dead_letter WHERE resolved_at IS NULL"))
        self.load("tickets", "--mode", "full")
        self.assert_copies(*TICKETS)

    def test_the_children_of_a_rejected_ticket_land_when_it_does(self):
        self.sim.do(fault("bad_value", table="Ticket", field="date", mode="not_date", every=10))
        self.load("tickets", expect=3)
        self.assertLess(self.count("ticket"), len(self.truth("ticket")))
        self.assertGreater(self.last_tasks()["ticket_user"]["records_foreign"], 0)
        self.sim.do(control.clear_faults())
        self.load("tickets")
        self.worker("dead-letters", "retry", expect=0)
        self.load("tickets")
        self.assert_copies(*TICKETS)

    def test_odd_values(self):
        self.load("tickets")
        for field, mode, table in (("status", "string_int", "Ticket"), ("solvedate", "zero_date", "Ticket"), ("urgency", "bool", "Ticket"),
                                   ("name", "nul", "Ticket"), ("requesttypes_id", "null", "Ticket"), ("name", "extra", "Ticket"),
                                   ("locations_id", "missing", "Ticket"), ("priority", "fraction", "Ticket"), ("id", "object", "Ticket"),
                                   ("type", "array", "Ticket_User"), ("date", "not_date", "ITILFollowup"), ("name", "lone_surrogate", "Ticket"),
                                   ("name", "bad_utf8", "Ticket")):
            with self.subTest(field=field, mode=mode):
                before = self.snapshots()
                self.sim.do(fault("bad_value", table=table, field=field, mode=mode, every=7))
                result = self.load("tickets", "--mode", "full", expect=(0, 1, 3))
                self.assert_ledger()
                if result.code == 1:
                    self.assertEqual(before, self.snapshots())
                if result.code == 3:
                    self.assertNotEqual("0", self.database.one("SELECT count(*) FROM ops.dead_letter WHERE resolved_at IS NULL"))
                self.sim.do(control.clear_faults())
                self.load("tickets", "--mode", "full")
                self.assert_copies(*TICKETS)

    def test_values_outside_the_enumerations_land_as_they_are(self):
        self.load("tickets")
        first, second = self.ids()[:2]
        self.sim.change(silent_update("Ticket", first, status=99, priority=6, type=7), update("Ticket", second, global_validation=9))
        self.load("tickets", "--mode", "full")
        self.assert_copies(*TICKETS)
        self.assertEqual(("99", "6"), (self.landed("status", first), self.landed("priority", first)))


if __name__ == "__main__":
    unittest.main()
