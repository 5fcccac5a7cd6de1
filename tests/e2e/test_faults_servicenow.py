"""A source that fails, lies or stalls: an exact copy, or an honest error and an untouched target."""

import unittest

import control
from foz import COMPLETE, FAILED, INCIDENTS, PARTIAL, RIGHTS, SANITIZER, UNREACHABLE
from law import BROKEN, HONEST, LawTest
from trouble import TROUBLE


class Faults(LawTest):
    def test_a_failed_task_does_not_stop_the_others(self):
        self.sim.do(control.fault("error_500", table="incident"))
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
        self.sim.do(control.fault("partial_array", table="incident", after=3))
        self.load("incidents", expect=(FAILED, UNREACHABLE))
        self.sim.do(control.clear_faults())
        self.load("incidents")
        self.load("incidents", "--mode", "reconcile")
        self.assert_copies(*INCIDENTS)

    def test_a_page_that_is_too_slow_is_made_smaller(self):
        """The 60 s quota of the source: large pages are cancelled, small ones pass."""
        self.set_source(page_size=200)
        self.sim.do(control.fault("cancelled_500", table="incident", over=70))
        self.load("incidents", "--task", "incident")
        self.assert_copies("incident")

    def test_an_endless_retry_after_is_not_waited_for(self):
        self.sim.do(control.fault("rate_429", seconds=86400))
        result = self.load("incidents", expect=(FAILED, UNREACHABLE))
        self.assertLess(result.seconds, 30)
        self.assertIn("max_wait", result.text + (self.database.last_execution()["error_message"] or ""))

    def test_retry_after_is_honoured(self):
        self.sim.do(control.fault("rate_429", table="incident", count=1, seconds=2))
        result = self.load("incidents", "--task", "incident")
        self.assertGreaterEqual(result.seconds, 2)
        self.assertGreaterEqual(self.database.tasks(self.database.last_execution()["id"])["incident"]["throttled_ms"], 1500)
        self.assert_copies("incident")

    def test_a_token_that_expires_in_the_middle_is_renewed(self):
        self.set_source(auth={"method": "oauth_password", "client_id": "foz-client", "client_secret": "env:FOZ_TEST_SECRET",
                              "username": "foz", "password": "env:FOZ_TEST_PASSWORD"})
        self.env["FOZ_TEST_SECRET"] = "foz-client-secret"
        self.sim.do(control.fault("expire_tokens", table="incident", after=2, count=1))
        self.load("incidents", "--task", "incident")
        self.assert_copies("incident")

    def test_client_credentials_and_api_keys_work(self):
        self.env["FOZ_TEST_SECRET"] = "foz-client-secret"
        self.set_source(auth={"method": "oauth_client_credentials", "client_id": "foz-client", "client_secret": "env:FOZ_TEST_SECRET"})
        self.load("incidents", "--task", "incident")
        self.assert_copies("incident")
        self.env["FOZ_TEST_KEY"] = "foz-api-key"
        self.set_source(auth={"method": "api_key", "key": "env:FOZ_TEST_KEY"})
        self.load("incidents", "--task", "incident_task")
        self.assert_copies("incident_task")

    def test_a_refused_or_short_lived_token(self):
        self.set_source(auth={"method": "oauth_client_credentials", "client_id": "foz-client", "client_secret": "env:FOZ_TEST_SECRET"})
        self.env["FOZ_TEST_SECRET"] = "foz-client-secret"
        self.sim.do(control.fault("oauth_short_life", seconds=1))
        self.load("incidents", "--task", "incident")
        self.assert_copies("incident")
        self.sim.do(control.clear_faults(), control.fault("oauth_refuse"))
        result = self.load("incidents", "--task", "incident", expect=RIGHTS)
        self.assertIn("snow", result.text)

    def test_a_gzip_bomb_is_refused(self):
        self.load("incidents")
        self.sim.do(control.fault("gzip_bomb", table="incident", rate=300))
        before = self.snapshots()
        result = self.load("incidents", "--mode", "full", "--task", "incident", expect=BROKEN)
        self.sim.do(control.clear_faults())
        self.never_wrong(result, before)

    def test_odd_values_land_or_become_dead_letters(self):
        for mode, field, reject in (("decimal", "reassignment_count", False), ("number", "reassignment_count", False),
                                    ("null", "category", False), ("nul", "short_description", False),
                                    ("emoji", "short_description", False), ("long", "close_notes", False),
                                    ("not_guid", "assigned_to", False), ("fraction", "reassignment_count", True),
                                    ("not_integer", "priority", True), ("not_date", "opened_at", True)):
            with self.subTest(mode=mode, field=field):
                self.sim.do(control.fault("bad_value", table="incident", field=field, mode=mode, every=10))
                self.load("incidents", "--mode", "full", "--task", "incident", expect=PARTIAL if reject else COMPLETE)
                self.assert_ledger()
                rejected = self.database.last_execution()["records_rejected"]
                self.assertEqual(reject, rejected > 0)
                self.assertEqual(rejected, int(self.database.one("SELECT count(*) FROM ops.dead_letter WHERE resolved_at IS NULL "
                                                                 f"AND reason LIKE '%{field}%'")))
                self.sim.do(control.clear_faults())
                self.load("incidents", "--mode", "full", "--task", "incident")
                self.assert_copies("incident")
                self.assertEqual("0", self.database.one("SELECT count(*) FROM ops.dead_letter WHERE resolved_at IS NULL"))

    def test_several_faults_at_random_never_lead_to_wrong_data(self):
        self.load("incidents")
        kinds = [kind for kind, options in TROUBLE if not options and kind not in ("hang", "slow_drip")] + \
                ["html_200", "wrong_content_type", "empty_page", "repeat_page", "wrong_order"]
        for seed in range(3 if SANITIZER else 8):
            with self.subTest(seed=seed):
                self.change_something()
                before = self.snapshots()
                self.sim.do(*(control.fault(kind, probability=0.02 * (seed + 1)) for kind in kinds[seed::3]))
                result = self.load("incidents", "--mode", ("full", "reconcile", "incremental")[seed % 3], "--task", "incident",
                                   expect=HONEST | {RIGHTS})
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
