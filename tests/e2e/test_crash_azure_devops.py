"""Whatever ends a run of Azure DevOps in the middle, the log says so and the next run is exact."""

import os
import random
import signal
import time
import unittest

import control
from azure import WORK_ITEMS, AzureTest, burst, create, delete, fault, update
from foz import COMPLETE, SANITIZER, TERMINATED, wait_until

SEED = int(os.environ.get("FOZ_TEST_SEED", "20130413"))


class Crash(AzureTest):
    parallel = 4
    tickets = 120
    fsync = True

    def setUp(self):
        super().setUp()
        # Small pages, and a source that takes its time: there is a middle to be interrupted in.
        self.slow()
        self.set_source(parallel=2)

    def slow(self):
        self.sim.do(control.clear_faults(), fault("page_size", rate=60), fault("delay", seconds=0.02))

    def mutate(self):
        ids = self.items()
        self.sim.change(burst(80), create(), delete(ids[-1]), update(ids[0]))
        self.destroy(ids[-2])

    def published(self):
        """Each feed's rows and token belong together: either both moved or neither."""
        return {task: (self.snapshot(task), self.tokens().get(task)) for task in ("work_item_revision", "work_item_link")}

    def assert_together(self, before, after):
        for task, (rows, token) in before.items():
            if rows != after[task][0]:
                self.assertNotEqual(token, after[task][1], f"{task}: rows without their token")
            if token != after[task][1]:
                self.assertNotEqual(rows, after[task][0], f"{task}: a token ahead of its rows")

    def exact(self):
        self.sim.do(control.clear_faults())
        self.load("work-items")
        self.load("work-items", "--mode", "reconcile")
        self.assert_copies(*WORK_ITEMS)
        self.assert_no_leftovers()

    def test_kill_9_at_random_instants(self):
        generator = random.Random(SEED)
        started = time.monotonic()
        self.load("work-items", "--mode", "full")
        length = time.monotonic() - started
        self.mutate()
        for number in range(3 if SANITIZER else 9):
            with self.subTest(number=number, seed=SEED):
                self.sim.change(burst(70))
                before = self.published()
                program = self.start_worker("load", "work-items", "--mode", ("full", "incremental", "reconcile")[number % 3])
                time.sleep(generator.uniform(0, length))
                program.kill()
                after = self.published()
                if number % 3:  # a full read ends where it began when nothing is new
                    self.assert_together(before, after)
                last = self.database.last_execution()
                if number % 2:
                    self.load("work-items")
                    row = self.database.dicts(f"SELECT status, error_message FROM ops.execution_log WHERE id = {last['id']}")[0]
                    self.assertNotEqual("running", row["status"])
                    if last["status"] == "running":
                        self.assertEqual("interrupted", row["status"])
                        self.assertTrue(row["error_message"])
                    self.assert_no_leftovers()
        self.exact()

    def test_kill_9_of_a_first_load_leaves_nothing_half_done(self):
        generator = random.Random(SEED + 1)
        whole = len(self.truth("work_item_revision"))
        for _ in range(2 if SANITIZER else 5):
            program = self.start_worker("load", "work-items")
            time.sleep(generator.uniform(0.05, 0.8 * (3 if SANITIZER else 1)))
            program.kill()
            self.assertIn(self.count("work_item_revision"), (0, whole))
            self.assertEqual(self.count("work_item_revision") > 0, "work_item_revision" in self.tokens(), "rows and token come together")
        self.exact()

    def test_kill_9_between_the_two_commits_of_work_item(self):
        """What the revisions made is committed, the census is not: the next run makes up for it."""
        self.load("work-items")
        for mode in ("reconcile", "full"):
            with self.subTest(load_mode=mode):
                self.mutate()
                self.sim.do(fault("hang", table="wiql", seconds=60), {"forget_requests": {"system": "azure_devops"}})
                program = self.start_worker("load", "work-items", "--mode", mode)
                wait_until(lambda: any("wiql" in request["url"] for request in self.requests()), "the census begins")
                program.kill()
                landed = {key: row["rev"] for key, row in self.landed("work_item").items()}
                for key, row in self.truth("work_item").items():
                    self.assertEqual(row["rev"], landed[key], "the first commit made all work items current")
                self.slow()
                self.exact()

    def test_sigterm_in_the_middle_ends_with_143(self):
        self.load("work-items", "--mode", "full")
        self.mutate()
        before = self.published()
        self.sim.do(fault("delay", table="workitemrevisions", seconds=0.5))
        program = self.start_worker("load", "work-items")
        wait_until(lambda: self.database.last_execution()["status"] == "running", "the run begins")
        asked = time.monotonic()
        program.signal(signal.SIGTERM)
        self.assertEqual(TERMINATED, program.wait(30), program.err())
        self.assertLess(time.monotonic() - asked, 10 * (4 if SANITIZER else 1))
        self.assertIn(self.database.last_execution()["status"], ("interrupted", "cancelled"))
        self.assert_together(before, self.published())
        self.assert_no_leftovers()
        self.exact()

    def test_postgresql_restarts_in_the_middle(self):
        self.load("work-items", "--mode", "full")
        self.mutate()
        program = self.start_worker("load", "work-items", "--mode", "full")
        time.sleep(random.Random(SEED + 2).uniform(0.1, 0.4))
        self.cluster.crash()
        time.sleep(0.2)
        self.cluster.recover()
        if program.wait(90) == COMPLETE:
            self.assertEqual("success", self.database.last_execution()["status"])
        else:
            self.assertTrue(program.err().strip(), "an error without a word")
        self.exact()


if __name__ == "__main__":
    unittest.main()
