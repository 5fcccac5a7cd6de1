"""The source changes while it is being read: after the next run nothing is lost and nothing doubled."""

import random
import unittest

import control
from foz import INCIDENTS, SANITIZER, FozTest


class Moving(FozTest):
    parallel = 4
    tickets = 900
    page = 50

    def setUp(self):
        super().setUp()
        self.set_source(page_size=self.page, parallel=2)

    def ids(self, table="incident"):
        return sorted(row["sys_id"] for row in self.sim.rows(table, fields="sys_id"))

    def next_run_is_exact(self, *modes):
        """One increment catches what moved under the run before; deletions need a reconciliation."""
        self.sim.change()
        for mode in modes or ("incremental",):
            self.load("incidents", "--mode", mode)
        self.assert_copies(*INCIDENTS)
        doubled = self.database.one("SELECT count(*) - count(DISTINCT (source, sys_id)) FROM servicenow.incident")
        self.assertEqual("0", doubled)
        self.assert_ledger()
        self.assert_no_leftovers()

    def test_rows_inserted_between_the_pages_of_a_full_load(self):
        for number in range(2, 16, 3):
            self.sim.do(control.on_request(number, control.advance(3),
                                           *(control.insert("incident", short_description=f"late {number}.{i}", state="1")
                                             for i in range(7))))
        self.load("incidents", "--mode", "full")
        self.next_run_is_exact()

    def test_rows_updated_between_the_pages_of_a_full_load(self):
        chosen = random.Random(1).sample(self.ids(), 60)
        for number in range(2, 14):
            part = chosen[(number - 2) * 5:(number - 1) * 5]
            self.sim.do(control.on_request(number, control.advance(2),
                                           *(control.update("incident", identity, urgency="1", short_description="moved")
                                             for identity in part)))
        self.load("incidents", "--mode", "full")
        self.next_run_is_exact()

    def test_rows_deleted_between_the_pages_of_a_full_load(self):
        chosen = random.Random(2).sample(self.ids(), 24)
        for number in range(2, 14):
            part = chosen[(number - 2) * 2:(number - 1) * 2]
            self.sim.do(control.on_request(number, *(control.delete("incident", identity) for identity in part)))
        self.load("incidents", "--mode", "full")
        self.next_run_is_exact("incremental", "reconcile")

    def test_rows_that_change_between_the_pages_of_an_increment(self):
        self.load("incidents")
        first = self.ids()[:400]
        self.sim.change(*(control.update("incident", identity, urgency="2") for identity in first))
        chosen = random.Random(3).sample(first, 40)
        for number in range(2, 10):
            part = chosen[(number - 2) * 5:(number - 1) * 5]
            self.sim.do(control.on_request(number, control.advance(1),
                                           *(control.update("incident", identity, urgency="3") for identity in part),
                                           control.insert("incident", short_description=f"during {number}", state="1")))
        self.load("incidents")
        self.next_run_is_exact()

    def test_a_burst_of_420_rows_in_one_second_while_an_increment_reads(self):
        self.load("incidents")
        self.sim.change(*(control.update("incident", identity, urgency="2") for identity in self.ids()[:150]))
        self.sim.do(control.on_request(3, control.burst("incident", 420)))
        self.load("incidents")
        self.next_run_is_exact()

    def test_a_burst_larger_than_a_page_is_read_whole(self):
        self.load("incidents")
        self.sim.change(control.burst("incident", 420))
        self.load("incidents")
        self.assertEqual(420, self.database.last_execution()["records_updated"])
        self.assert_copies("incident")

    def test_a_burst_while_a_full_load_reads(self):
        self.sim.do(control.on_request(5, control.burst("incident", 420)))
        self.load("incidents", "--mode", "full")
        self.next_run_is_exact()

    def test_a_row_that_becomes_visible_later_than_its_stamp(self):
        self.load("incidents")
        self.sim.do(control.insert("incident", short_description="slow rule", state="1", visible_after_s=240))
        self.sim.do(control.advance(60))
        self.load("incidents")
        self.sim.do(control.advance(300))
        self.load("incidents")
        self.assert_copies("incident")

    def test_a_source_that_never_rests(self):
        """Every request changes something, over several runs of every kind."""
        generator = random.Random(4)
        rounds = 2 if SANITIZER else 4
        for number in range(rounds):
            ids = self.ids()
            for request in range(1, 30):
                victims = generator.sample(ids, 3)
                self.sim.do(control.on_request(
                    request, control.advance(1),
                    control.update("incident", victims[0], short_description=f"restless {number}.{request}"),
                    control.update("incident_task", generator.choice(self.ids("incident_task")), state="3"),
                    control.delete("incident", victims[1]) if request % 5 == 0 else control.update("incident", victims[2], priority="2"),
                    control.insert("incident", short_description=f"arrived {number}.{request}", state="1")))
            self.load("incidents", "--mode", ("full", "incremental", "reconcile", "incremental")[number])
            self.assert_no_leftovers()
            self.sim.do(control.clear_requests())
        self.next_run_is_exact("incremental", "reconcile")


if __name__ == "__main__":
    unittest.main()
