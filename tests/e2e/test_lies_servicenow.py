"""A source that answers 200, well-formed and wrong: never success with wrong data, never a row lost."""

import unittest

import control
from foz import COMPLETE, FAILED, HELD, PARTIAL, RIGHTS
from law import HONEST, LawTest

# Lies: status 200, well-formed, wrong.
LIES = [
    ("silent_widening", {"field": "sys_id"}),
    ("silent_widening", {"field": "sys_updated_on"}),
    ("silent_widening", {"field": "*"}),
    ("returns_no_rows", {}),
    ("range_ignored", {}),
    ("range_ignored", {"field": "sys_id"}),
    ("range_ignored", {"field": "sys_updated_on"}),
    ("wrong_order", {}),
    ("repeat_page", {}),
    ("empty_page", {}),
    ("empty_page", {"count": 1}),
    ("acl_all", {}),
    ("acl_rows", {}),
]


class Lies(LawTest):
    def test_lies_never_become_success_with_wrong_data(self):
        self.load("incidents")
        for kind, options in LIES:
            for mode in ("full", "incremental", "reconcile"):
                with self.subTest(kind=kind, load_mode=mode, **options):
                    self.strike(kind, options, mode, HONEST)

    def test_lies_from_the_first_load_on(self):
        for kind, options in LIES:
            with self.subTest(kind=kind, **options):
                self.database.run("TRUNCATE servicenow.incident; DELETE FROM ops.watermark; DELETE FROM ops.dead_letter")
                # A page can only be repeated once there was one.
                self.strike(kind, {"after": 2 if kind == "repeat_page" else 0, **options}, "full", HONEST)

    def test_silent_denial_never_deletes(self):
        """No right to read: status 200 and no rows, whatever the count says."""
        self.load("incidents")
        for count in ("blind", "zero"):
            for mode in ("full", "reconcile", "incremental"):
                with self.subTest(count=count, mode=mode):
                    before = self.snapshots()
                    self.sim.do(control.deny("incident", count))
                    result = self.load("incidents", "--mode", mode, "--task", "incident", expect=HONEST | {RIGHTS})
                    self.sim.do(control.clear_faults())
                    self.assertEqual(before, self.snapshots(), result)
                    if mode != "incremental":
                        self.assertNotEqual(COMPLETE, result.code, result)

    def test_rights_that_end_in_the_middle_of_a_walk(self):
        """Behind good pages: no row, and a count of 0. That is not the end of the table."""
        self.load("incidents")
        for after in (2, 4):
            for mode in ("full", "reconcile", "incremental"):
                with self.subTest(after=after, mode=mode):
                    self.change_something()
                    before = self.snapshots()
                    self.sim.do(control.fault("acl_all", table="incident", mode="honest", after=after))
                    result = self.load("incidents", "--mode", mode, "--task", "incident", expect=HONEST | {RIGHTS})
                    self.sim.do(control.clear_faults())
                    if result.code == RIGHTS:
                        self.assertEqual(before, self.snapshots(), result)
                    else:
                        self.never_wrong(result, before)

    def test_what_the_first_load_was_not_shown_comes_with_the_rights(self):
        """Nothing of a table, or a part of it, before the account has its rights: old rows all the same."""
        for lie in (control.deny("incident", "zero"), control.deny("incident"), control.hide("incident", 0.3)):
            with self.subTest(lie=lie):
                self.database.run("TRUNCATE servicenow.incident; DELETE FROM ops.watermark")
                self.sim.do(lie)
                self.load("incidents", "--task", "incident", expect=HONEST | {RIGHTS})
                self.assertEqual("0", self.database.one("SELECT count(*) FROM ops.watermark"))
                self.sim.do(control.clear_faults())
                self.load("incidents", "--task", "incident")
                self.assert_copies("incident")
                self.assertEqual("1", self.database.one("SELECT count(*) FROM ops.watermark"))

    def test_a_dropped_filter_is_noticed(self):
        """An unknown or forbidden part of a query is ignored by the source: the answer is too wide."""
        self.load("incidents")
        before = self.snapshots(("incident_sla",))
        self.sim.do(control.fault("silent_widening", table="task_sla", field="task.sys_class_name"))
        result = self.load("incidents", "--mode", "full", "--task", "incident_sla", expect=(FAILED, PARTIAL, HELD))
        self.sim.do(control.clear_faults())
        self.never_wrong(result, before, ("incident_sla",))


if __name__ == "__main__":
    unittest.main()
