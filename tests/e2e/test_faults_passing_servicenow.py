"""Trouble that passes by itself costs time and nothing else."""

import unittest

import control
from law import LawTest
from trouble import TROUBLE


class FaultsThatPass(LawTest):
    def test_trouble_that_passes_costs_nothing_but_time(self):
        for number, (kind, options) in enumerate(TROUBLE):
            for mode in ("full", "incremental"):
                with self.subTest(kind=kind, load_mode=mode, **options):
                    self.sim.change(control.insert("incident", short_description=f"{kind} {number} {mode}", state="1"))
                    self.sim.do(control.fault(kind, table="incident", after=1, count=1 if kind in ("hang", "slow_drip") else 2, **options))
                    self.load("incidents", "--mode", mode, "--task", "incident")
                    self.assertEqual([], self.sim.state()["faults"], "the fault struck fewer requests than it should")
                    self.assert_copies("incident")
                    self.assert_ledger()


if __name__ == "__main__":
    unittest.main()
