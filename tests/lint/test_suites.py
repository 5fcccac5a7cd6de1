"""What tests/run says of itself: every test is counted once."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
import suites  # noqa: E402
from runner import Totals  # noqa: E402


class Counting(unittest.TestCase):
    def test_a_build_that_many_suites_use_is_counted_with_the_first_alone(self):
        builds = suites.Builds()
        builds._make = lambda *_: (0, "")
        for expected in (1, 0, 0):
            ok, totals = builds.get("build")
            self.assertEqual((True, expected), (ok, totals.passed))
            totals.add(Totals(passed=100))  # as a suite does


if __name__ == "__main__":
    unittest.main()
