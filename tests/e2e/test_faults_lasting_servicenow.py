"""Trouble that does not pass: an honest error and an untouched target."""

import unittest

from foz import SANITIZER
from law import BROKEN, LawTest
from trouble import TROUBLE


class FaultsThatLast(LawTest):
    def test_trouble_that_lasts_is_an_honest_error_and_leaves_the_target(self):
        self.load("incidents")
        for kind, options in TROUBLE:
            for mode in ("full",) if kind in ("hang", "slow_drip") or SANITIZER else ("full", "incremental", "reconcile"):
                with self.subTest(kind=kind, load_mode=mode, **options):
                    self.strike(kind, options, mode, BROKEN)


if __name__ == "__main__":
    unittest.main()
