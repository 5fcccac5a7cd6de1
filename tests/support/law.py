"""The law of every load, for tests that break the source: never success with wrong data."""

import json

import control
from foz import COMPLETE, FAILED, HELD, PARTIAL, UNREACHABLE, FozTest, differences

BROKEN = {FAILED, UNREACHABLE}
HONEST = {COMPLETE, FAILED, PARTIAL, HELD, UNREACHABLE}


class LawTest(FozTest):
    tickets = 400

    def setUp(self):
        super().setUp()
        self.set_source(page_size=60, parallel=2, timeout="2s", connect_timeout="2s",
                        breaker={"failures": 100, "open_for": "1s"})

    def never_wrong(self, result, before, tasks=("incident",)):
        """The law: success means exact; everything else means no wrong row, no lost row, and a message."""
        execution = self.database.last_execution()
        status = execution["status"]
        if result.code == COMPLETE:
            self.assertEqual("success", status)
            if execution["mode"] == "incremental":
                self.load("incidents", "--mode", "reconcile", "--task", "incident")  # deletions are not an increment's matter
            self.assert_copies(*tasks)
            return
        self.assertIn(status, ("error", "partial", "held"))
        self.assertTrue(execution["error_message"], "an end without success and without a message")
        self.assert_ledger(execution)
        self.assert_no_leftovers()
        for task in tasks:
            after = self.database.snapshot(task)
            if status == "error":
                self.assertEqual(before[task], after, task)
                continue
            # Partial and held may bring new versions, but lose nothing and invent nothing.
            kept = set(before[task])
            changed = {json.loads(row)["sys_id"] for row in after if row not in kept}
            truth = self.truth(task)
            wrong = differences(self.database, task, truth)
            known = {json.loads(row)["sys_id"] for row in before[task]}
            for line in wrong:
                identity = line.split()[1].split(".")[0].rstrip(":")
                self.assertNotIn(identity, changed, f"wrong data: {line}")
                if "is missing" in line:
                    self.assertNotIn(identity, known, f"a row was lost: {line}")

    def snapshots(self, tasks=("incident",)):
        return {task: self.database.snapshot(task) for task in tasks}

    def change_something(self):
        rows = [row["sys_id"] for row in self.sim.rows("incident", fields="sys_id")]
        self.sim.change(*(control.update("incident", identity, urgency="1") for identity in rows[:150]),
                        *(control.delete("incident", identity) for identity in rows[150:160]),
                        *(control.insert("incident", short_description=f"new {i}", state="1") for i in range(10)))

    def strike(self, kind, options, mode, codes):
        """Changes the source, loads while the fault lasts, and holds the result against the law."""
        self.change_something()
        before = self.snapshots()
        self.sim.do(control.fault(kind, **{"table": "incident", "after": 1, **options}))
        result = self.load("incidents", "--mode", mode, "--task", "incident", expect=codes)
        self.sim.do(control.clear_faults())
        self.never_wrong(result, before)
        if result.code != COMPLETE:
            self.assertIn("incident", result.text)
            self.load("incidents", "--mode", "full", "--task", "incident", "--allow-mass-delete")  # the next one starts exact
            self.assert_copies("incident")
