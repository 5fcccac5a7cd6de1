"""What tests/run says of itself: every test is counted once, and nothing is left running."""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
import builds  # noqa: E402
from runner import Totals  # noqa: E402


class Counting(unittest.TestCase):
    def test_a_build_that_many_suites_use_is_counted_with_the_first_alone(self):
        directories = builds.Builds(builds.Commands())
        directories._make = lambda *_: (0, "", 0)
        for expected in (1, 0, 0):
            ok, totals = directories.get("build")
            self.assertEqual((True, expected), (ok, totals.passed))
            totals.add(Totals(passed=100))  # as a suite does


class Early(unittest.TestCase):
    def setUp(self):
        self.commands = builds.Commands()
        self.addCleanup(self.commands.close)

    def test_what_was_begun_is_not_made_twice(self):
        made = []
        self.commands.begin("it", lambda prefix: made.append(prefix) or "made early")
        self.assertEqual("made early", self.commands.result("it", lambda prefix: made.append(prefix) or "made late"))
        self.assertEqual("made early", self.commands.result("it", None))
        self.assertEqual("made late", self.commands.result("other", lambda prefix: made.append(prefix) or "made late"))
        self.assertEqual([builds.LOW_PRIORITY, ()], made)

    def test_a_build_that_fails_early_fails_at_its_turn(self):
        directories = builds.Builds(self.commands)
        directories._make = lambda *_: (1, "why", 0)
        directories.begin("build-asan")
        ok, totals = directories.get("build-asan")
        self.assertEqual((False, 1), (ok, totals.failed))

    def test_the_end_stops_what_is_under_way(self):
        started = time.monotonic()
        self.commands.begin("sleep", lambda prefix: self.commands.run([*prefix, "sh", "-c", "sleep 60; sleep 60"]))
        self.commands.begin("next", lambda prefix: self.commands.run([*prefix, "sleep", "60"]))
        while not self.commands.processes:
            time.sleep(0.01)
        self.commands.close()
        self.assertLess(time.monotonic() - started, 30)
        self.assertEqual(-9, self.commands.result("sleep", None)[0])
        self.assertTrue(self.commands.early["next"].cancelled())


if __name__ == "__main__":
    unittest.main()
