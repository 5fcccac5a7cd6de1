"""A source that fails, lies or stalls: an exact copy, or an honest error and an untouched target."""

import unittest

import control
from foz import COMPLETE, FAILED, INCIDENTS, PARTIAL, RIGHTS, SANITIZER, UNREACHABLE
from law import BROKEN, HONEST, LawTest

# What a source does under load and during upgrades; with `count` it passes, without it lasts.
TROUBLE = [
    ("error_500", {}),
    ("cancelled_500", {}),
    ("bad_gateway_502", {}),
    ("unavailable_503", {}),
    ("unavailable_503", {"seconds": 1}),
    ("gateway_timeout_504", {}),
    ("accepted_202", {}),
    ("rate_429", {"seconds": 1}),
    ("rate_429", {"seconds": 1, "mode": "date"}),
    ("rate_429", {"mode": "none"}),
    ("cut_chunk", {}),
    ("cut_chunk", {"share": 0.01}),
    ("partial_array", {}),
    ("partial_array", {"mode": "object"}),
    ("partial_array", {"mode": "comma"}),
    ("partial_array", {"mode": "invalid"}),
    ("slow_drip", {"rate": 50}),
    ("hang", {}),
]

# What does not pass by itself. (name, options, exit codes)
LASTING = [
    ("html_200", {}, BROKEN),
    ("wrong_content_type", {}, BROKEN),
    ("sso_redirect", {}, BROKEN),
    ("sso_redirect", {"value": "http://127.0.0.1:9/elsewhere"}, BROKEN),
    ("unauthorized_401", {}, {RIGHTS}),
    ("unauthorized_401", {"mode": "mfa"}, {RIGHTS}),
    ("forbidden_403", {}, {FAILED, RIGHTS}),
    ("forbidden_403", {"mode": "api"}, {FAILED, RIGHTS}),
    ("forbidden_403", {"field": "sys_updated_on"}, {COMPLETE, FAILED, RIGHTS}),
    ("not_found_404", {}, {FAILED}),
    ("invalid_table", {}, {FAILED}),
    ("uri_414", {}, {FAILED}),
    ("bad_value", {"field": "short_description", "mode": "lone_surrogate", "every": 50}, {FAILED, PARTIAL}),
    ("bad_value", {"field": "short_description", "mode": "bad_utf8", "every": 50}, {FAILED, PARTIAL}),
]

# Odd, but right: the copy is exact all the same.
HARMLESS = [
    ("negative_prev", {}),
    ("foreign_link_host", {}),
    ("extra_top_level", {}),
    ("delay", {"seconds": 0.05}),
    ("clock_skew", {"seconds": 7200}),
    ("clock_skew", {"seconds": -7200}),
    ("bad_value", {"field": "correlation_display", "mode": "extra", "every": 3}),
    ("semaphores", {"value": "1/1"}),
]


class Faults(LawTest):
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

    def test_trouble_that_lasts_is_an_honest_error_and_leaves_the_target(self):
        self.load("incidents")
        for kind, options in TROUBLE:
            for mode in ("full",) if kind in ("hang", "slow_drip") or SANITIZER else ("full", "incremental", "reconcile"):
                with self.subTest(kind=kind, load_mode=mode, **options):
                    self.strike(kind, options, mode, BROKEN)

    def test_what_does_not_pass_is_an_honest_error_and_leaves_the_target(self):
        self.load("incidents")
        for kind, options, codes in LASTING:
            for mode in ("full", "incremental", "reconcile"):
                with self.subTest(kind=kind, load_mode=mode, **options):
                    self.strike(kind, options, mode, codes | ({COMPLETE} if mode == "reconcile" and kind == "bad_value" else set()))

    def test_harmless_oddities_change_nothing(self):
        self.load("incidents")
        for kind, options in HARMLESS:
            for mode in ("full", "incremental", "reconcile"):
                with self.subTest(kind=kind, load_mode=mode, **options):
                    self.strike(kind, {"after": 0, **options}, mode, {COMPLETE})

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
