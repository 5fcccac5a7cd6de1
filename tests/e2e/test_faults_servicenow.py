"""A source that fails, lies or stalls: an exact copy, or an honest error and an untouched target."""

import unittest

import control
from foz import (COMPLETE, FAILED, HELD, PARTIAL, RIGHTS, UNREACHABLE, INCIDENTS, FozTest, differences)

# Faults that pass: with retries the load must end complete and exact. (name, options)
PASSING = [
    ("status_500", {"message": "Exception while executing request: null"}),
    ("cancelled_500", {}),
    ("status_502", {}),
    ("status_503", {}),
    ("status_504", {}),
    ("accepted_202", {}),
    ("throttled_429", {"retry_after": 1}),
    ("throttled_429", {}),
    ("closed_499", {}),
    ("cut_body", {}),
    ("reset", {}),
    ("broken_json", {}),
    ("error_in_200", {}),
    ("string_element_in_200", {}),
    ("error_in_200_invalid", {}),
    ("slow_drip", {}),
]

# The same without end: an honest error, an untouched target. (name, options, exit codes)
LASTING = [
    ("status_500", {"message": "Exception while executing request: null"}, {FAILED, UNREACHABLE}),
    ("cancelled_500", {}, {FAILED, UNREACHABLE}),
    ("status_503", {}, {FAILED, UNREACHABLE}),
    ("accepted_202", {}, {FAILED, UNREACHABLE}),
    ("throttled_429", {}, {FAILED, UNREACHABLE}),
    ("throttled_429", {"retry_after": 86400}, {FAILED, UNREACHABLE}),
    ("cut_body", {}, {FAILED, UNREACHABLE}),
    ("reset", {}, {FAILED, UNREACHABLE}),
    ("broken_json", {}, {FAILED, UNREACHABLE}),
    ("error_in_200", {}, {FAILED, UNREACHABLE}),
    ("string_element_in_200", {}, {FAILED, UNREACHABLE}),
    ("error_in_200_invalid", {}, {FAILED, UNREACHABLE}),
    ("html_200", {}, {FAILED, UNREACHABLE}),
    ("hibernating", {}, {FAILED, UNREACHABLE}),
    ("redirect_other_host", {}, {FAILED, UNREACHABLE}),
    ("not_an_object", {}, {FAILED}),
    ("unauthorized_401", {}, {RIGHTS}),
    ("mfa_401", {}, {RIGHTS}),
    ("forbidden_403", {}, {FAILED, RIGHTS}),
    ("api_acl_403", {}, {FAILED, RIGHTS}),
    ("no_such_uri_404", {}, {FAILED}),
    ("uri_too_long_414", {}, {FAILED}),
    ("not_acceptable_406", {}, {FAILED}),
    ("ignore_sort", {}, {FAILED}),
    ("ignore_range", {}, {FAILED}),
    ("ignore_filter", {}, {FAILED}),
    ("repeat_page", {}, {FAILED}),
]


class Faults(FozTest):
    tickets = 400

    def setUp(self):
        super().setUp()
        self.set_source(page_size=60, parallel=2, timeout="2s", connect_timeout="2s",
                        breaker={"failures": 100, "open_for": "1s"})

    def never_wrong(self, result, before, tasks=("incident",)):
        """The law: success means exact, everything else means untouched and a message."""
        execution = self.database.last_execution()
        if result.code == COMPLETE:
            self.assertEqual("success", execution["status"])
            self.assert_copies(*tasks)
        else:
            self.assertIn(execution["status"], ("error", "partial", "held"))
            self.assertTrue(execution["error_message"], "an error without a message")
            for task in tasks:
                self.assertEqual(before[task], self.database.snapshot(task), task)
        self.assert_ledger(execution)
        self.assert_no_leftovers()

    def snapshots(self, tasks=("incident",)):
        return {task: self.database.snapshot(task) for task in tasks}

    def change_something(self):
        rows = [row["sys_id"] for row in self.sim.rows("incident", fields="sys_id")]
        self.sim.change(*(control.update("incident", identity, urgency="1") for identity in rows[:150]),
                        *(control.delete("incident", identity) for identity in rows[150:160]),
                        *(control.insert("incident", short_description=f"new {i}", state="1") for i in range(10)))

    def test_a_fault_that_passes_costs_nothing_but_time(self):
        for number, (kind, options) in enumerate(PASSING):
            for mode in ("full", "incremental"):
                with self.subTest(kind=kind, mode=mode, **options):
                    self.sim.change(control.insert("incident", short_description=f"{kind} {number} {mode}", state="1"))
                    self.sim.do(control.fault(kind, table="incident", after=2, times=2, **options))
                    result = self.load("incidents", "--mode", mode, "--task", "incident", expect=COMPLETE)
                    self.sim.do(control.clear_faults())
                    self.assert_copies("incident")
                    self.assert_ledger()
                    task = self.database.tasks(self.database.last_execution()["id"])["incident"]
                    self.assertGreater(task["retries"], 0, result)

    def test_a_fault_that_lasts_is_an_honest_error_and_leaves_the_target(self):
        self.load("incidents")
        for kind, options, codes in LASTING:
            for mode in ("full", "incremental", "reconcile"):
                with self.subTest(kind=kind, mode=mode, **options):
                    self.change_something()
                    before = self.snapshots()
                    self.sim.do(control.fault(kind, table="incident", after=1, **options))
                    result = self.load("incidents", "--mode", mode, "--task", "incident", expect=codes)
                    self.sim.do(control.clear_faults())
                    self.never_wrong(result, before)
                    self.assertIn("incident", result.text)

    def test_a_failed_task_does_not_stop_the_others(self):
        self.sim.do(control.fault("status_500", table="incident"))
        self.load("incidents", expect=FAILED)
        self.sim.do(control.clear_faults())
        self.assert_copies("incident_task", "incident_sla", "task_time_worked")
        self.assertEqual("0", self.database.one("SELECT count(*) FROM servicenow.incident"))
        self.assertIn("incident", self.database.last_execution()["error_message"])
        tasks = self.database.tasks(self.database.last_execution()["id"])
        self.assertEqual("error", tasks["incident"]["status"])
        self.assertEqual({"success"}, {task["status"] for name, task in tasks.items() if name != "incident"})

    def test_after_a_failure_the_next_run_is_exact(self):
        self.load("incidents")
        self.change_something()
        self.sim.do(control.fault("broken_json", table="incident", after=3))
        self.load("incidents", expect=(FAILED, UNREACHABLE))
        self.sim.do(control.clear_faults())
        self.load("incidents")
        self.load("incidents", "--mode", "reconcile")
        self.assert_copies(*INCIDENTS)

    def test_silent_denial_never_deletes(self):
        """No right to read: status 200 and no rows, whatever the count says."""
        self.load("incidents")
        for count in ("blind", "zero"):
            for mode in ("full", "reconcile", "incremental"):
                with self.subTest(count=count, mode=mode):
                    before = self.snapshots()
                    self.sim.do(control.fault("denied_table", table="incident", count=count))
                    result = self.load("incidents", "--mode", mode, "--task", "incident",
                                       expect={COMPLETE, FAILED, PARTIAL, HELD, RIGHTS} if mode == "incremental" else {FAILED, PARTIAL, HELD, RIGHTS})
                    self.sim.do(control.clear_faults())
                    self.assertEqual(before, self.snapshots(), result)

    def test_a_dropped_filter_is_noticed(self):
        """An unknown or forbidden part of a query is ignored by the source: the answer is too wide."""
        self.load("incidents")
        before = self.snapshots(("incident_sla",))
        self.sim.do(control.fault("ignore_filter", table="task_sla"))
        result = self.load("incidents", "--mode", "full", "--task", "incident_sla", expect=(FAILED, PARTIAL, HELD))
        self.sim.do(control.clear_faults())
        self.never_wrong(result, before, ("incident_sla",))

    def test_a_page_that_is_too_slow_is_made_smaller(self):
        """The 60 s quota of the source: large pages are cancelled, small ones pass."""
        self.set_source(page_size=200)
        self.sim.do(control.fault("cancelled_500", table="incident", above_limit=70))
        self.load("incidents", "--task", "incident")
        self.assert_copies("incident")

    def test_an_endless_retry_after_is_not_waited_for(self):
        self.sim.do(control.fault("throttled_429", retry_after=86400))
        result = self.load("incidents", expect=(FAILED, UNREACHABLE))
        self.assertLess(result.seconds, 30)
        self.assertIn("Retry-After", result.text + (self.database.last_execution()["error_message"] or ""))

    def test_retry_after_is_honoured(self):
        self.sim.do(control.fault("throttled_429", table="incident", times=1, retry_after=2))
        result = self.load("incidents", "--task", "incident")
        self.assertGreaterEqual(result.seconds, 2)
        self.assertGreaterEqual(self.database.tasks(self.database.last_execution()["id"])["incident"]["throttled_ms"], 1500)
        self.assert_copies("incident")

    def test_a_token_that_expires_in_the_middle_is_renewed(self):
        self.set_source(auth={"method": "oauth_password", "client_id": "foz-client", "client_secret": "env:FOZ_TEST_SECRET",
                              "username": "foz", "password": "env:FOZ_TEST_PASSWORD"})
        self.env["FOZ_TEST_SECRET"] = "foz-secret"
        self.sim.do(control.fault("unauthorized_401", table="incident", after=2, times=1))
        self.load("incidents", "--task", "incident")
        self.assert_copies("incident")

    def test_client_credentials_and_api_keys_work(self):
        self.env["FOZ_TEST_SECRET"] = "foz-secret"
        self.set_source(auth={"method": "oauth_client_credentials", "client_id": "foz-client", "client_secret": "env:FOZ_TEST_SECRET"})
        self.load("incidents", "--task", "incident")
        self.assert_copies("incident")
        self.env["FOZ_TEST_KEY"] = "foz-api-key"
        self.set_source(auth={"method": "api_key", "key": "env:FOZ_TEST_KEY"})
        self.load("incidents", "--task", "incident_task")
        self.assert_copies("incident_task")

    def test_a_compressed_answer_is_read_and_a_bomb_refused(self):
        self.sim.do(control.fault("gzip", table="incident"))
        self.load("incidents", "--task", "incident")
        self.assert_copies("incident")
        self.sim.do(control.clear_faults())
        before = self.snapshots()
        self.sim.do(control.fault("gzip_bomb", table="incident"))
        result = self.load("incidents", "--mode", "full", "--task", "incident", expect=(FAILED, UNREACHABLE))
        self.sim.do(control.clear_faults())
        self.never_wrong(result, before)

    def test_harmless_oddities_change_nothing(self):
        for kind in ("extra_top_level_key", "extra_fields", "negative_prev_link", "number_values", "missing_keys_when_empty"):
            with self.subTest(kind):
                self.sim.do(control.fault(kind, table="incident"))
                self.load("incidents", "--mode", "full", "--task", "incident")
                self.sim.do(control.clear_faults())
                self.assert_copies("incident")

    def test_several_faults_at_random_never_lead_to_wrong_data(self):
        self.load("incidents")
        for seed in range(6):
            with self.subTest(seed=seed):
                self.change_something()
                before = self.snapshots()
                self.sim.do(control.fault("random", probability=0.25, seed=seed))
                result = self.load("incidents", "--mode", ("full", "reconcile")[seed % 2], "--task", "incident",
                                   expect={COMPLETE, FAILED, PARTIAL, HELD, UNREACHABLE, RIGHTS})
                self.sim.do(control.clear_faults())
                self.never_wrong(result, before)

    def test_secrets_appear_in_no_message(self):
        self.env["FOZ_TEST_PASSWORD"] = "s3cr3t-and-wrong"
        result = self.load("incidents", expect=RIGHTS, env={"FOZ_LOG_LEVEL": "debug"})
        self.assertNotIn("s3cr3t-and-wrong", result.text)
        self.assertNotIn("s3cr3t", str(self.database.executions()))
        self.assertNotIn("Basic ", result.text)


if __name__ == "__main__":
    unittest.main()
