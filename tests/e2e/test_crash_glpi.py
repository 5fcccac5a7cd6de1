"""Whatever ends a run of GLPI in the middle, the log says so, the next run is exact, and no session stays behind."""

import os
import random
import time
import unittest

import control
from foz import SANITIZER, TERMINATED, UNREACHABLE, wait_until
from glpi import CHILDREN, TICKETS, GlpiTest, add_actor, burst, fault, insert, purge, remove_actor, update

SEED = int(os.environ.get("FOZ_TEST_SEED", "20140103"))


class Crash(GlpiTest):
    parallel = 4
    tickets = 150
    fsync = True
    killed = 0

    def setUp(self):
        super().setUp()
        # Small pages, and a source that takes its time: there is a middle to be interrupted in.
        self.set_source(page_size=50, parallel=2)
        self.sim.do(fault("delay", seconds=0.01))

    def assert_sessions_closed(self, leftover=0):
        super().assert_sessions_closed(self.killed)  # kill -9 leaves one behind, nothing else does

    def kill(self, program):
        program.kill()
        self.killed += 1

    def mutate(self, number):
        ids = self.ids()
        self.sim.change(*(update("Ticket", identity, name=f"round {number}") for identity in ids[number::9]),
                        *(add_actor(identity, users_id=20 + number) for identity in ids[number::11]),
                        *(remove_actor(identity, type=2) for identity in ids[number + 1::13]),
                        burst("ITILFollowup", 5, content=f"round {number}"), insert("Ticket", name=f"new {number}"), purge("Ticket", ids[-1 - number]))

    def published(self):
        """Each task's rows and watermark belong together: either both moved or neither."""
        return {task: (self.snapshot(task), self.database.rows(
            f"SELECT cursor, high, execution_id FROM ops.watermark WHERE task = '{task}'")) for task in TICKETS}

    def assert_whole(self, before):
        after = self.published()
        for task in TICKETS:
            if before[task][0] != after[task][0]:
                self.assertNotEqual(before[task][1], after[task][1], f"{task}: rows without their watermark")

    def finish(self):
        self.next_run_is_exact("incremental", "reconcile")
        for row in self.database.executions():
            self.assertIn(row["status"], ("success", "interrupted", "cancelled"), row)

    def test_kill_9_at_random_instants(self):
        generator = random.Random(SEED)
        started = time.monotonic()
        self.load("tickets", "--mode", "full")
        length = time.monotonic() - started
        for number in range(3 if SANITIZER else 7):
            with self.subTest(number=number, seed=SEED):
                self.mutate(number)
                before = self.published()
                program = self.start_worker("load", "tickets", "--mode", ("incremental", "full", "reconcile")[number % 3])
                time.sleep(generator.uniform(0, length * 1.1))
                self.kill(program)
                self.assert_whole(before)
        self.finish()

    def test_kill_9_between_the_commits_of_tickets_and_their_actors(self):
        """The actors of changed tickets are owed by the ticket's own commit: no watermark would bring them back."""
        self.load("tickets")
        for number, table in enumerate(("Ticket_User", "Group_Ticket", "TicketTask")):
            with self.subTest(table=table):
                self.mutate(number)
                self.sim.do(control.advance(7200), fault("hang", table=table))
                before = self.database.one("SELECT high FROM ops.watermark WHERE task = 'ticket'")
                program = self.start_worker("load", "tickets")
                wait_until(lambda: self.database.one("SELECT high FROM ops.watermark WHERE task = 'ticket'") != before, "tickets are published")
                self.kill(program)
                self.sim.do(control.clear_faults(), control.advance(7200))
                if number < 2:
                    self.assertNotEqual([], self.differences(("ticket_user", "group_ticket")[number]), "nothing was interrupted")
                    self.assertNotEqual("0", self.database.one("SELECT count(*) FROM ops.owed"))
                self.load("tickets")
                missing = [line for task in CHILDREN for line in self.differences(task) if "is not in the source" not in line]
                self.assertEqual([], missing[:10])
        self.finish()

    def test_kill_9_of_a_first_load_leaves_nothing_half_done(self):
        generator = random.Random(SEED + 1)
        for number in range(2 if SANITIZER else 4):
            program = self.start_worker("load", "tickets")
            time.sleep(generator.uniform(0.1, 0.8 * (3 if SANITIZER else 1)))
            self.kill(program)
            for task in TICKETS:
                self.assertIn(self.count(task), (0, len(self.truth(task))), f"round {number}: half of {task} is visible")
        self.finish()

    def test_the_killed_run_is_interrupted_and_says_so(self):
        self.sim.do(fault("hang", table="Log"))
        program = self.start_worker("load", "tickets")
        wait_until(lambda: (self.database.last_execution() or {}).get("status") == "running", "the run begins")
        self.kill(program)
        self.sim.do(control.clear_faults())
        killed = self.database.last_execution()["id"]
        self.load("tickets")
        row = self.database.dicts(f"SELECT * FROM ops.execution_log WHERE id = {killed}")[0]
        self.assertEqual("interrupted", row["status"])
        self.assertTrue(row["error_message"] and row["finished_at"])
        self.finish()

    def test_sigterm_ends_with_143_publishes_nothing_half_and_closes_the_session(self):
        self.load("tickets")
        # None: the login already hangs
        for number, table in enumerate(("Ticket", "Ticket_User", "Log", None)):
            with self.subTest(table=table):
                self.mutate(number)
                before = self.published()
                self.sim.do(fault("hang", table=table, after=1) if table else fault("hang"))
                program = self.start_worker("load", "tickets", "--mode", "full")
                wait_until(lambda: self.sim.state()["faults"][-1]["struck"] > 0, "the source hangs")
                program.signal(15)
                self.assertEqual(TERMINATED, program.wait(30), program.err())
                self.sim.do(control.clear_faults())
                row = self.database.last_execution()
                self.assertEqual("interrupted", row["status"])
                self.assertIn("stopped by a signal", row["error_message"])
                self.assert_whole(before)
                self.assert_no_leftovers()
                self.assertEqual(0, self.login_state()["sessions"])
        self.finish()

    def test_sigterm_while_the_session_opens_closes_it_too(self):
        self.sim.do(fault("hang", after=2))
        program = self.start_worker("load", "tickets")
        wait_until(lambda: self.sim.state()["faults"][-1]["struck"] > 0, "the source hangs")
        self.sim.do(control.clear_faults())
        program.signal(15)
        self.assertEqual(TERMINATED, program.wait(30), program.err())
        self.assertEqual(0, self.login_state()["sessions"])
        self.finish()

    def test_a_lost_database_connection_is_what_the_log_blames(self):
        self.load("tickets")
        self.sim.do(fault("hang", table="Log"))
        program = self.start_worker("load", "tickets", "--mode", "full")
        wait_until(lambda: self.sim.state()["faults"][-1]["struck"] > 0, "the source hangs")
        self.database.one("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'foz-worker%'")
        self.assertEqual(UNREACHABLE, program.wait(30), program.err())
        self.sim.do(control.clear_faults())
        row = self.database.last_execution()
        self.assertEqual("interrupted", row["status"])
        self.assertIn("the database connection that owns the execution was lost", row["error_message"])
        self.finish()

    def test_the_source_dies_in_the_middle(self):
        self.load("tickets")
        before = {task: rows for task, (rows, _) in self.published().items()}
        self.sim.do(fault("delay", seconds=0.1))
        program = self.start_worker("load", "tickets", "--mode", "full")
        self.wait_for_requests(6)
        self.sim.kill()
        self.assertIn(program.wait(60), (1, 69), program.err())
        self.assertEqual("error", self.database.last_execution()["status"])
        self.assertEqual(before, self.snapshots())


if __name__ == "__main__":
    unittest.main()
