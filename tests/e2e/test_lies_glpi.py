"""A GLPI that answers 200, well-formed and wrong: never success with wrong data, never a row lost."""

import json
import unittest

import control
from foz import COMPLETE, FAILED, HELD, PARTIAL, RIGHTS, SANITIZER, UNREACHABLE
from glpi import TICKETS, burst, fault
from glpi_law import GlpiLawTest

# Status 200, well-formed, wrong.
LIES = [("wrong_order", {}), ("repeat_page", {}), ("empty_page", {}), ("empty_page", {"count": 1}), ("empty_list", {}),
        ("empty_list", {"count": 1}), ("total_larger", {}), ("total_larger", {"rate": 500}), ("duplicate_rows", {})]



class Lies(GlpiLawTest):
    def test_lies_never_become_success_with_wrong_data(self):
        self.load("tickets")
        for number, (kind, options) in enumerate(LIES):
            for mode in ("full", ("incremental", "reconcile")[number % 2]):
                with self.subTest(kind=kind, load_mode=mode, **options):
                    self.change_something()
                    before = self.snapshots()
                    self.sim.do(fault(kind, table="Ticket", after=1, **options))
                    result = self.load("tickets", "--mode", mode, expect={COMPLETE, FAILED, PARTIAL, HELD})
                    self.sim.do(control.clear_faults())
                    self.never_wrong(result, before)
                    if result.code != COMPLETE:
                        self.load("tickets", "--mode", "reconcile")
                        self.assert_copies("ticket", "ticket_user")

    def test_entities_that_vanish_for_a_while_delete_nothing(self):
        self.load("tickets")
        for mode in ("full", "reconcile", "incremental"):
            with self.subTest(load_mode=mode):
                known = self.count("ticket")
                self.change_something()
                before = self.snapshots()
                self.sim.do(fault("entities_shrunk", value=2))
                result = self.load("tickets", "--mode", mode, expect=COMPLETE if mode == "incremental" else HELD)
                self.sim.do(control.clear_faults())
                self.assertGreaterEqual(self.count("ticket"), known)
                if mode != "incremental":
                    self.never_wrong(result, before)
        self.load("tickets", "--mode", "reconcile")
        self.assert_copies(*TICKETS)

    def test_entities_that_come_in_sight_bring_all_that_lies_in_them(self):
        self.sim.do(fault("entities_shrunk", value=2))
        self.load("tickets")
        self.load("directory")
        few = self.count("ticket")
        self.sim.do(control.clear_faults(), control.advance(7200))
        self.assertIn("sees more entities", self.load("tickets").text)
        self.load("directory")
        self.assertLess(few, self.count("ticket"))
        self.assert_copies()
        self.assertNotIn("sees more entities", self.load("tickets").text)

    def test_what_happened_in_entities_that_were_out_of_sight_comes_with_them(self):
        self.load("tickets")
        self.sim.do(fault("entities_shrunk", value=2))
        self.sim.change(burst("Ticket", 90, urgency=4), burst("ITILFollowup", 20, content="meanwhile"))
        self.load("tickets")
        self.sim.do(control.advance(7200))
        self.sim.change(burst("Ticket", 9, urgency=5), burst("ITILFollowup", 9, content="later"))
        self.load("tickets")
        self.sim.do(control.clear_faults(), control.advance(7200))
        self.load("tickets")
        self.assert_copies(*TICKETS)

    def test_entities_changed_for_others_bring_theirs_and_delete_nothing(self):
        one, other = [row["id"] for row in self.source_rows("Entity") if row["entities_id"] == 0 and row["id"] != 0][:2]
        self.sim.do(fault("entities_shrunk", value=one))
        self.load("tickets")
        before = {json.loads(row)["id"] for row in self.snapshot("ticket")}
        self.sim.do(control.clear_faults(), control.advance(7200), fault("entities_shrunk", value=other))
        self.load("tickets")
        after = {json.loads(row)["id"] for row in self.snapshot("ticket")}
        theirs = {row["id"] for row in self.source_rows("Ticket") if row["entities_id"] == other}
        self.assertTrue(theirs and theirs <= after and before <= after and not theirs & before)
        self.assert_ledger()
        self.load("tickets", "--mode", "full", expect=HELD)
        self.sim.do(control.clear_faults())
        self.load("tickets")
        self.assert_copies(*TICKETS)

    def test_a_window_waits_for_lost_entities_until_they_are_let_go(self):
        self.load("tickets")
        everything = ("--from", "2000-01-01", "--to", "2100-01-01")
        before = self.snapshots()
        self.sim.do(fault("entities_shrunk", value=1))
        result = self.load("tickets", *everything, expect=HELD)
        self.never_wrong(result, before)
        self.assertIn("entities", result.text)
        self.load("tickets", *everything, "--allow-mass-delete")
        self.assertTrue(0 < self.count("ticket") < len(before["ticket"]))
        self.assertEqual("0", self.database.one("SELECT count(*) FROM glpi.ticket WHERE entities_id = 0"))
        self.assertEqual("0", self.database.one("SELECT count(*) FROM glpi.ticket_user u WHERE NOT EXISTS (SELECT FROM glpi.ticket t WHERE t.id = u.tickets_id)"))
        self.sim.do(control.clear_faults())
        self.load("tickets", "--mode", "full")
        self.assert_copies(*TICKETS)

    def test_lies_from_the_first_load_on(self):
        for kind, options in LIES:
            with self.subTest(kind=kind, **options):
                self.database.run("TRUNCATE " + ", ".join(f"glpi.{task}" for task in TICKETS) + "; DELETE FROM ops.watermark; DELETE FROM ops.owed")
                before = self.snapshots()
                self.sim.do(fault(kind, table="Ticket", after=2 if kind == "repeat_page" else 0, **options))
                result = self.load("tickets", expect={COMPLETE, FAILED, PARTIAL, HELD})
                self.sim.do(control.clear_faults())
                if result.code == COMPLETE and self.count("ticket") == 0:
                    self.assertIn(kind, ("empty_list", "empty_page"))  # a list of nothing is believed where nothing was known
                else:
                    self.never_wrong(result, before)
                self.load("tickets", "--mode", "full")
                self.assert_copies(*TICKETS)

    def test_an_empty_list_for_a_filled_table_is_held_until_allowed(self):
        self.load("tickets")
        for mode in ("full", "reconcile"):
            with self.subTest(load_mode=mode):
                before = self.snapshots()
                self.sim.do(fault("empty_list", table="Ticket"))
                result = self.load("tickets", "--mode", mode, expect=HELD)
                self.assertIn("--allow-mass-delete", result.text)
                self.assertEqual(before["ticket"], self.snapshot("ticket"))
                self.sim.do(control.clear_faults())
        self.sim.do(fault("empty_list", table="ITILSolution"))
        self.load("tickets", "--mode", "full", expect=HELD)
        self.load("tickets", "--mode", "full", "--allow-mass-delete")
        self.sim.do(control.clear_faults())
        self.assertEqual(0, self.count("itil_solution"))
        self.load("tickets", "--mode", "full")
        self.assert_copies(*TICKETS)

    def test_a_list_that_showed_rows_and_then_none_deletes_nothing_and_loses_nothing(self):
        self.load("tickets")
        for table, mode, after in (("Ticket_User", "full", 3), ("ITILFollowup", "full", 3), ("Ticket", "full", 4), ("Ticket", "incremental", 3)):
            with self.subTest(table=table, load_mode=mode):
                self.sim.change(burst("Ticket", 90, same_second=False, urgency=after))
                marks = self.database.rows("SELECT task, high FROM ops.watermark ORDER BY task")
                before = self.snapshots()
                self.sim.do(fault("empty_list", table=table, after=after))
                result = self.load("tickets", "--mode", mode, expect=FAILED)
                self.sim.do(control.clear_faults())
                task = next(name for name, itemtype in TICKETS.items() if itemtype == table)
                self.assertIn("now comes without any", self.last_tasks()[task]["error_message"])
                self.never_wrong(result, before)
                kept = dict(self.database.rows("SELECT task, high FROM ops.watermark"))
                self.assertEqual(dict(marks)[task], kept[task], "the watermark moved")
                self.sim.do(control.advance(7200))
                self.load("tickets")
                self.assert_copies(*TICKETS)

    def test_entities_that_cannot_be_opened_are_no_empty_source(self):
        self.load("tickets")
        before = self.snapshots()
        self.sim.do(fault("change_entities_false"))
        for mode in ("full", "incremental"):
            result = self.load("tickets", "--mode", mode, expect={RIGHTS, 78})
            self.assertIn("changeActiveEntities", result.text)
            self.assertEqual(before, self.snapshots())

    def test_several_faults_at_random(self):
        self.load("tickets")
        kinds = ["error_500", "bad_gateway_502", "maintenance_200", "empty_206", "cut_chunk", "empty_page", "repeat_page", "wrong_order",
                 "duplicate_rows", "total_larger", "empty_list", "wrong_content_type"]
        for seed in range(3 if SANITIZER else 6):
            with self.subTest(seed=seed):
                self.change_something()
                before = self.snapshots()
                self.sim.do(*(fault(kind, probability=0.03 * (seed + 1)) for kind in kinds[seed::3]))
                result = self.load("tickets", "--mode", ("full", "incremental", "reconcile")[seed % 3], expect={COMPLETE, FAILED, PARTIAL, HELD, UNREACHABLE})
                self.sim.do(control.clear_faults())
                self.never_wrong(result, before)


if __name__ == "__main__":
    unittest.main()
