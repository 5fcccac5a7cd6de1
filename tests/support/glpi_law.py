"""The law of every load of GLPI, for tests that break it: never success with wrong data."""

import json

import control
from foz import COMPLETE, FAILED, UNREACHABLE
from glpi import TICKETS, GlpiTest, add_actor, burst, fault, insert, purge, remove_actor

BROKEN = {FAILED, UNREACHABLE}


class GlpiLawTest(GlpiTest):
    tickets = 120

    def setUp(self):
        super().setUp()
        self.set_source(page_size=40, parallel=2, timeout="2s", connect_timeout="2s",
                        retry={"attempts": 4, "base_delay": "10ms", "max_delay": "50ms", "max_wait": "3s"},
                        breaker={"failures": 100, "open_for": "1s"})

    def change_something(self):
        ids = self.ids()
        self.sim.change(burst("Ticket", 50, urgency=2), purge("Ticket", ids[-4]), insert("Ticket", name="new"), burst("ITILFollowup", 5, content="e"),
                        *(remove_actor(identity, type=2) for identity in ids[:4]), *(add_actor(identity, users_id=7) for identity in ids[2:9]))

    def never_wrong(self, result, before):
        """Success means exact; everything else no wrong row, no lost row, and a message."""
        execution = self.database.last_execution()
        if result.code == COMPLETE:
            if execution["mode"] == "incremental":
                self.load("tickets", "--mode", "reconcile")  # purges are not an increment's matter
            self.assert_copies(*TICKETS)
            return
        self.assertTrue(execution["error_message"], "an end without success and without a message")
        self.assert_ledger(execution)
        self.assert_no_leftovers()
        for name, task in self.database.tasks(execution["id"]).items():
            after = self.snapshot(name)
            if task["status"] == "error":
                self.assertEqual(before[name], after, name)
            elif task["status"] in ("held", "partial"):
                left = {json.loads(row)["id"] for row in after}
                lost = {json.loads(row)["id"] for row in before[name]} - left
                known = {row["id"] for row in self.truth(name)}
                self.assertEqual(set(), lost & known, f"rows of {name} were lost")

    def strike(self, kind, options, mode, codes):
        self.change_something()
        before = self.snapshots()
        self.sim.do(fault(kind, **{"table": "Ticket", "after": 1, **options}))
        result = self.load("tickets", "--mode", mode, expect=codes)
        self.sim.do(control.clear_faults())
        self.never_wrong(result, before)
        if result.code != COMPLETE:
            self.assertIn("ticket", result.text)
            self.load("tickets", "--mode", "reconcile")  # the next one starts exact
            self.assert_copies("ticket", "ticket_user")
        return result
