"""Trouble of a GLPI that passes by itself costs time and nothing else."""

import unittest

import control
from glpi import TICKETS, burst, fault
from glpi_law import BROKEN, GlpiLawTest

# What passes by itself. (kind, options)
PASSING = [("maintenance_200", {}), ("update_needed_200", {}), ("mysql_error_200", {}), ("login_page_200", {}), ("html_200", {}),
           ("empty_206", {}), ("empty_500", {}), ("error_500", {}), ("bad_gateway_502", {}), ("unavailable_503", {}),
           ("unavailable_503", {"seconds": 1}), ("gateway_timeout_504", {}), ("rate_429", {"seconds": 1}), ("rate_429", {}),
           ("cut_chunk", {}), ("cut_chunk", {"share": 0.01}), ("wrong_content_type", {}), ("slow_drip", {"rate": 50}), ("hang", {})]


class Passing(GlpiLawTest):
    def test_what_passes_costs_time_and_nothing_else(self):
        for number, (kind, options) in enumerate(PASSING):
            mode = ("full", "incremental")[number % 2]
            with self.subTest(kind=kind, load_mode=mode, **options):
                self.sim.change(burst("Ticket", 50, urgency=number % 5 + 1))
                self.sim.do(fault(kind, table="Ticket", after=1, count=1 if kind in ("hang", "slow_drip") else 2, **options))
                self.load("tickets", "--mode", mode)
                self.assertEqual([], self.sim.state()["faults"], "the fault struck fewer requests than it should")
                self.assert_copies("ticket", "ticket_user", "log")
                self.assert_ledger()

    def test_pages_too_large_for_the_server_or_its_gateway_are_made_smaller(self):
        self.set_source(page_size=100)
        for kind in ("empty_206", "empty_500", "error_500", "bad_gateway_502", "unavailable_503", "gateway_timeout_504", "cut_chunk"):
            with self.subTest(kind=kind):
                self.sim.do(fault(kind, over=30))
                self.load("tickets", "--mode", "full")
                self.sim.do(control.clear_faults())
                self.assert_copies(*TICKETS)

    def test_a_session_lost_in_the_middle_is_opened_once_more(self):
        for table in ("Ticket", "Ticket_User", "Log"):
            with self.subTest(table=table):
                before = self.login_state()["sessions_opened"]
                self.sim.do(fault("expire_sessions", table=table, after=2, count=1))
                self.load("tickets", "--mode", "full")
                self.assertEqual([], self.sim.state()["faults"])
                self.assertEqual(2, self.login_state()["sessions_opened"] - before)
                self.assert_copies(*TICKETS)

    def test_retry_after_is_honoured(self):
        self.sim.do(fault("unavailable_503", table="Ticket", count=1, seconds=2))
        self.assertGreaterEqual(self.load("tickets", "--task", "ticket").seconds, 2)


class Endless(GlpiLawTest):
    def assert_sessions_closed(self, leftover=0):
        super().assert_sessions_closed(1)  # who asks for a day's silence is not asked to close a session

    def test_an_endless_retry_after_is_not_waited_for(self):
        self.sim.do(fault("rate_429", seconds=86400))
        result = self.load("tickets", expect=BROKEN)
        self.assertLess(result.seconds, 30)
        self.assertIn("max_wait", result.text)


if __name__ == "__main__":
    unittest.main()
