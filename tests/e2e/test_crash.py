"""Whatever ends a run in the middle, the log says so and the next run is exact."""

import os
import random
import signal
import time
import unittest

import psycopg2

import control
from foz import COMPLETE, INCIDENTS, RIGHTS, SANITIZER, TERMINATED, FozTest, wait_until

SEED = int(os.environ.get("FOZ_TEST_SEED", "20160324"))


class Crash(FozTest):
    parallel = 4
    tickets = 1500
    fsync = True

    def setUp(self):
        super().setUp()
        # Small pages, and a source that takes its time: there is a middle to be interrupted in.
        self.set_source(page_size=100, parallel=2)
        self.sim.do(control.latency(15))

    def next_run_is_exact(self):
        self.sim.do(control.clear_faults())
        self.load("incidents", "--mode", "incremental")
        self.load("incidents", "--mode", "reconcile")
        self.assert_copies(*INCIDENTS)
        self.assert_no_leftovers()

    def mutate(self, number):
        rows = [row["sys_id"] for row in self.sim.rows("incident", fields="sys_id")]
        self.sim.change(*(control.update("incident", identity, short_description=f"round {number}") for identity in rows[number::9]),
                        control.insert("incident", short_description=f"new {number}", state="1"),
                        control.delete("incident", rows[number]))

    def published(self):
        """Each task's rows and watermark belong together: either both moved or neither."""
        return {task: (self.database.snapshot(task), self.database.rows(
            f"SELECT cursor, high, execution_id FROM ops.watermark WHERE task = '{task}'")) for task in INCIDENTS}

    def test_kill_9_at_random_instants(self):
        generator = random.Random(SEED)
        started = time.monotonic()
        self.load("incidents", "--mode", "full")
        length = time.monotonic() - started
        rounds = 4 if SANITIZER else 10
        for number in range(rounds):
            with self.subTest(number=number, seed=SEED):
                self.mutate(number)
                before = self.published()
                program = self.start_worker("load", "incidents", "--mode", ("full", "incremental", "reconcile")[number % 3])
                time.sleep(generator.uniform(0, length * 1.1))
                program.kill()
                after = self.published()
                for task in INCIDENTS:
                    rows_moved, mark_moved = (before[task][i] != after[task][i] for i in (0, 1))
                    if rows_moved:
                        self.assertTrue(mark_moved, f"{task}: rows without their watermark")
                last = self.database.last_execution()
                self.load("incidents", "--mode", "incremental")
                if last["status"] in ("running", "queued"):  # it was in the middle
                    row = self.database.dicts(f"SELECT status, finished_at, error_message FROM ops.execution_log WHERE id = {last['id']}")[0]
                    self.assertIn(row["status"], ("interrupted", "cancelled") if last["status"] == "running" else ("queued", "interrupted", "cancelled", "success"))
                self.assert_no_leftovers()
        self.next_run_is_exact()

    def test_kill_9_of_a_first_load_leaves_nothing_half_done(self):
        generator = random.Random(SEED + 1)
        for number in range(3 if SANITIZER else 6):
            program = self.start_worker("load", "incidents")
            time.sleep(generator.uniform(0.05, 0.6 * (3 if SANITIZER else 1)))
            program.kill()
            for task in INCIDENTS:
                count = int(self.database.one(f"SELECT count(*) FROM servicenow.{task}"))
                self.assertIn(count, (0, len(self.truth(task))), f"round {number}: half of {task} is visible")
        self.next_run_is_exact()

    def test_the_killed_run_is_interrupted_and_says_so(self):
        program = self.start_worker("load", "incidents", "--mode", "full")
        wait_until(lambda: (self.database.last_execution() or {}).get("status") == "running", "the run begins")
        program.kill()
        self.assertEqual("running", self.database.last_execution()["status"])  # nobody has looked yet
        killed = self.database.last_execution()["id"]
        self.load("incidents")
        row = self.database.dicts(f"SELECT * FROM ops.execution_log WHERE id = {killed}")[0]
        self.assertEqual("interrupted", row["status"])
        self.assertEqual("0", self.database.one("SELECT count(*) FROM ops.execution_task WHERE status = 'interrupted' AND error_message IS NULL"))
        self.assertIsNotNone(row["finished_at"])
        self.assertTrue(row["error_message"])
        for task in self.database.tasks(killed).values():
            self.assertNotIn(task["status"], ("running", "queued"))

    def test_sigterm_in_the_middle_ends_with_143_and_publishes_nothing_half(self):
        self.load("incidents", "--mode", "full")
        self.mutate(1)
        before = self.published()
        program = self.start_worker("load", "incidents", "--mode", "full")
        wait_until(lambda: self.database.last_execution()["status"] == "running", "the run begins")
        asked = time.monotonic()
        program.signal(signal.SIGTERM)
        self.assertEqual(TERMINATED, program.wait(30), program.err())
        self.assertLess(time.monotonic() - asked, 10 * (4 if SANITIZER else 1))
        self.assertIn(self.database.last_execution()["status"], ("interrupted", "cancelled"))
        after = self.published()
        for task in INCIDENTS:
            if before[task][0] != after[task][0]:
                self.assertNotEqual(before[task][1], after[task][1], f"{task}: rows without their watermark")
        self.assert_no_leftovers()
        self.next_run_is_exact()

    def stop_behind_a_lock(self, table, *arguments):
        """SIGTERM for a worker that waits for somebody's lock on a table."""
        holder = psycopg2.connect(self.database.url)
        try:
            holder.cursor().execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            program = self.start_worker("load", "incidents", *arguments)
            wait_until(lambda: self.database.one("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                                                 " AND wait_event_type = 'Lock'") != "0", "the worker waits for the lock")
            program.signal(signal.SIGTERM)
            self.assertEqual(TERMINATED, program.wait(60), program.err())
        finally:
            holder.close()
        self.assertEqual("interrupted", self.database.last_execution()["status"])
        self.assert_no_leftovers()

    def test_sigterm_is_obeyed_while_somebody_locks_a_landed_table(self):
        self.load("incidents", "--mode", "full")
        self.mutate(1)
        self.stop_behind_a_lock("servicenow.incident", "--mode", "full")
        self.next_run_is_exact()

    def test_sigterm_is_obeyed_while_somebody_locks_the_common_model(self):
        self.load("incidents")
        self.database.run("INSERT INTO core.owed (source, task) VALUES ('snow', 'incident')")
        self.stop_behind_a_lock("core.ticket", "--task", "task_time_worked")
        self.assertIn("core is not up to what was loaded from snow", self.database.last_execution()["error_message"])
        self.assertEqual("1", self.database.one("SELECT count(*) FROM core.owed"))
        self.next_run_is_exact()
        self.assertEqual("0", self.database.one("SELECT count(*) FROM core.owed"))

    def test_a_failure_of_the_common_model_hides_no_other(self):
        self.load("incidents")
        self.database.run("""
            UPDATE core.ticket SET title = 'by hand';
            INSERT INTO core.owed (source, task) VALUES ('snow', 'incident');
            CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$;
            CREATE TRIGGER no BEFORE UPDATE ON core.ticket EXECUTE FUNCTION public.no()""")
        self.sim.do(control.fault("forbidden_403", table="task_time_worked", every=1))
        self.load("incidents", expect=RIGHTS)
        execution = self.database.last_execution()
        self.assertEqual("error", execution["status"])
        self.assertIn("core is not up to what was loaded from snow", execution["error_message"])
        self.assertIn("task_time_worked", execution["error_message"])
        self.database.run("DROP TRIGGER no ON core.ticket")
        self.next_run_is_exact()
        self.assertEqual("0", self.database.one("SELECT count(*) FROM core.ticket WHERE title = 'by hand'"))

    def test_postgresql_restarts_in_the_middle(self):
        self.load("incidents", "--mode", "full")
        generator = random.Random(SEED + 2)
        for number in range(2 if SANITIZER else 4):
            with self.subTest(number=number, seed=SEED):
                self.mutate(number)
                program = self.start_worker("load", "incidents", "--mode", ("full", "incremental")[number % 2])
                time.sleep(generator.uniform(0.05, 0.5 * (3 if SANITIZER else 1)))
                self.cluster.crash()
                time.sleep(0.2)
                self.cluster.recover()
                code = program.wait(90)
                if code == COMPLETE:
                    self.assertEqual("success", self.database.last_execution()["status"])
                else:
                    self.assertTrue(program.err().strip(), "an error without a word")
                self.load("incidents")
                self.assertEqual("success", self.database.last_execution()["status"])
                self.assert_no_leftovers()
        self.next_run_is_exact()

    def test_a_backend_that_is_terminated_costs_a_run_not_the_truth(self):
        self.load("incidents", "--mode", "full")
        self.mutate(3)
        program = self.start_worker("load", "incidents", "--mode", "full")
        wait_until(lambda: self.database.last_execution()["status"] == "running", "the run begins")
        self.database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        program.wait(90)
        self.next_run_is_exact()

    def test_the_source_dies_in_the_middle(self):
        self.load("incidents", "--mode", "full")
        before = self.published()
        program = self.start_worker("load", "incidents", "--mode", "full")
        wait_until(lambda: self.database.last_execution()["status"] == "running", "the run begins")
        self.sim.kill()
        self.assertIn(program.wait(60), (1, 69), program.err())
        self.assertEqual("error", self.database.last_execution()["status"])
        after = self.published()
        for task in INCIDENTS:
            self.assertEqual(before[task][0], after[task][0])


if __name__ == "__main__":
    unittest.main()
