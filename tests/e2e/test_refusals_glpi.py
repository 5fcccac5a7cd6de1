"""Trouble of a GLPI that does not pass is an honest error and leaves the target."""

import unittest

import control
from foz import FAILED, UNREACHABLE
from glpi import CHILDREN, TICKETS, add_actor, burst, fault, remove_actor, update
from glpi_law import BROKEN, GlpiLawTest

# What does not, and with which code a load may end.
LASTING = [("maintenance_200", {}, {UNREACHABLE}), ("update_needed_200", {}, {UNREACHABLE}), ("mysql_error_200", {}, {UNREACHABLE}),
           ("login_page_200", {}, {UNREACHABLE}), ("html_200", {}, {UNREACHABLE}), ("empty_206", {}, {FAILED}), ("empty_500", {}, BROKEN),
           ("error_500", {}, {FAILED}), ("bad_gateway_502", {}, {UNREACHABLE}), ("unavailable_503", {}, {UNREACHABLE}),
           ("gateway_timeout_504", {}, {UNREACHABLE}), ("rate_429", {"seconds": 1}, {FAILED}), ("cut_chunk", {}, BROKEN),
           ("wrong_content_type", {}, BROKEN), ("sso_redirect", {}, BROKEN), ("forbidden_403", {}, {FAILED}),
           ("expire_sessions", {}, {FAILED}), ("hang", {}, BROKEN)]


# And what its message says to do.
CURES = {"maintenance_200": "end that", "update_needed_200": "finish the update", "mysql_error_200": "config_db.php",
         "login_page_200": "set the source's url", "html_200": "set the source's url"}


class Lasting(GlpiLawTest):
    def test_what_lasts_is_an_honest_error_and_leaves_the_target(self):
        self.load("tickets")
        for number, (kind, options, codes) in enumerate(LASTING):
            mode = ("full", "incremental", "reconcile")[number % 3]
            with self.subTest(kind=kind, load_mode=mode, **options):
                self.assertIn(CURES.get(kind, ""), self.strike(kind, options, mode, codes).text)

    def test_a_session_that_never_lasts_is_not_reopened_for_ever(self):
        self.load("tickets")
        before, state = self.snapshots(), self.login_state()
        self.sim.do(fault("expire_sessions", table="Ticket"))
        result = self.load("tickets", "--mode", "full", expect=FAILED)
        self.sim.do(control.clear_faults())
        self.assertLessEqual(self.login_state()["sessions_opened"] - state["sessions_opened"], 2)
        self.assertIn("session", result.text)
        self.assertEqual(before, self.snapshots())

    def test_a_task_without_rights_fails_alone(self):
        self.load("tickets")
        for table, task in (("Log", "log"), ("TicketTask", "ticket_task"), ("Group_Ticket", "group_ticket")):
            with self.subTest(table=table):
                before = self.snapshot(task)
                self.sim.change(burst("Ticket", 9, urgency=3), burst("ITILFollowup", 3, content=table), update("Ticket", self.ids()[0], name=table))
                self.sim.do(fault("forbidden_403", table=table))
                result = self.load("tickets", "--mode", "full", expect=FAILED)
                self.sim.do(control.clear_faults())
                self.assertIn(task, result.text)
                self.assertEqual(before, self.snapshot(task))
                self.assertEqual({task}, {name for name, row in self.last_tasks().items() if row["status"] != "success"})
                self.assert_copies(*(name for name in TICKETS if name != task))
                self.load("tickets")
                self.load("tickets", "--mode", "full", "--task", task)

    def test_without_the_right_to_read_the_history_tickets_still_come(self):
        self.sim.do(fault("forbidden_403", table="Log"))
        self.set_task("log", enabled=False)
        self.load("tickets")
        self.sim.change(burst("Ticket", 9, urgency=3), add_actor(self.ids()[0], users_id=4))
        self.load("tickets")
        self.assert_copies(*(name for name in TICKETS if name != "log"))

    def test_a_failing_child_leaves_its_debts_to_the_next_run(self):
        self.load("tickets")
        for table in ("Ticket_User", "Group_Ticket"):
            with self.subTest(table=table):
                ids = self.ids()
                self.sim.change(*(add_actor(identity, users_id=21) for identity in ids[:5]), *(add_actor(identity, groups_id=6) for identity in ids[:5]),
                                *(remove_actor(identity, type=1) for identity in ids[3:8]))
                self.sim.do(fault("error_500", table=table))
                self.load("tickets", expect=FAILED)
                self.sim.do(control.clear_faults(), control.advance(7200))
                self.load("tickets")
                self.assert_copies(*TICKETS)

    def test_a_failing_ticket_task_fails_its_children_with_its_name(self):
        self.load("tickets")
        self.change_something()
        before = self.snapshots()
        for mode in ("full", "incremental", "reconcile"):
            with self.subTest(load_mode=mode):
                self.sim.do(fault("unavailable_503", table="Ticket", after=1))
                self.load("tickets", "--mode", mode, expect=UNREACHABLE)
                self.sim.do(control.clear_faults())
                self.assertEqual(before, self.snapshots())
                tasks = self.last_tasks()
                for child in CHILDREN:
                    self.assertEqual("error", tasks[child]["status"])
                    self.assertRegex(tasks[child]["error_message"], r"\bticket\b")


if __name__ == "__main__":
    unittest.main()
