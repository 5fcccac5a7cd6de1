"""Azure DevOps that fails, lies or stalls: an exact copy, or an honest error and an untouched target."""

import time
import unittest

import control
from azure import PROJECTS, WORK_ITEMS, AzureTest, burst, create, delete, fault, restore, update
from foz import COMPLETE, FAILED, HELD, PARTIAL, RIGHTS, SANITIZER, UNREACHABLE

BROKEN = {FAILED, UNREACHABLE}
MODES = ("full",) if SANITIZER else ("full", "incremental", "reconcile")

# What passes by itself: with `count` it costs time, without it lasts and is an honest error.
TROUBLE = [
    ("error_500", {}),
    ("bad_gateway_502", {}),
    ("unavailable_503", {}),
    ("gateway_timeout_504", {}),
    ("rate_429", {"seconds": 0.1}),
    ("rate_429", {"mode": "none"}),
    ("rate_429", {"mode": "html"}),
    ("rate_429", {"mode": "403", "seconds": 0.1}),
    ("cut_chunk", {}),
    ("partial_array", {"share": 0.5}),
    ("hang", {}),
    ("slow_drip", {"rate": 40}),
    ("server_busy", {}),
    ("wrong_content_type", {}),
]

# (name, options, exit codes) of what does not pass by itself.
LASTING = [
    ("pat_expired", {}, {RIGHTS}),
    ("pat_expired", {"mode": "html"}, {RIGHTS}),
    ("pat_expired", {"mode": "redirect"}, {RIGHTS}),
    ("pat_expired", {"mode": "json"}, {RIGHTS}),
    ("pat_expired", {"mode": "empty"}, {RIGHTS}),
    ("html_200", {}, {RIGHTS}),
    ("sso_redirect", {}, {RIGHTS}),
    ("unauthorized_401", {}, {RIGHTS}),
    ("forbidden_403", {}, {RIGHTS, FAILED}),
    ("not_found_404", {}, {FAILED}),
    ("org_stopped_503", {}, BROKEN),
    ("server_version", {"value": "6.0"}, {FAILED, 78}),
    ("gzip_bomb", {"rate": 100}, BROKEN),
]


class Faults(AzureTest):
    tickets = 60

    def setUp(self):
        super().setUp()
        self.set_source(timeout="3s" if SANITIZER else "1s", connect_timeout="1s", parallel=2, breaker={"failures": 100, "open_for": "1s"})
        self.load("work-items", "projects")

    def change(self):
        ids = self.items()
        self.sim.change(*(update(identity) for identity in ids[:20]), create(), delete(ids[-1]))

    def struck(self, kind, options, mode, codes, before):
        """One load under a fault of every request; it ends in an error and leaves everything as it was."""
        self.sim.do(fault(kind, **options))
        result = self.load("work-items", "--mode", mode, expect=codes)
        self.sim.do(control.clear_faults())
        execution = self.database.last_execution()
        self.assertEqual("error", execution["status"])
        self.assertIn("ado.work_item", execution["error_message"])
        self.assertEqual(before, self.digest())
        return result, execution["error_message"]

    def test_trouble_that_passes_costs_nothing_but_time(self):
        for kind, options in TROUBLE:
            mode = ("full", "incremental", "reconcile")[TROUBLE.index((kind, options)) % 3]
            with self.subTest(kind=kind, load_mode=mode, **options):
                self.change()
                self.sim.do(fault(kind, count=1 if kind in ("hang", "slow_drip") else 3, **options))
                self.load("work-items", "--mode", mode)
                self.assertEqual([], self.sim.state()["faults"], "the fault struck fewer requests than it should")
                self.assert_copies(*WORK_ITEMS)
                self.assert_ledger()

    def test_trouble_that_lasts_is_an_honest_error_and_leaves_the_target(self):
        self.set_source(timeout="300ms", retry={"attempts": 2, "base_delay": "5ms", "max_delay": "20ms", "max_wait": "1s"})
        self.change()
        before = self.digest()
        for kind, options in TROUBLE:
            for mode in MODES:
                with self.subTest(kind=kind, load_mode=mode, **options):
                    self.struck(kind, options, mode, BROKEN, before)
        self.assert_no_leftovers()
        self.load("work-items")
        self.assert_copies(*WORK_ITEMS)

    def test_what_does_not_pass_is_named_and_leaves_the_target(self):
        self.change()
        before = self.digest()
        for kind, options, codes in LASTING:
            for mode in ("full",) if kind == "gzip_bomb" else MODES:
                with self.subTest(kind=kind, load_mode=mode, **options):
                    requests = self.sim.state()["requests"]
                    result, message = self.struck(kind, options, mode, codes, before)
                    self.assertLess(self.sim.state()["requests"] - requests, 20, "what does not pass is not asked again and again")
                    if kind == "pat_expired" and options.get("mode") in ("html", "redirect") or kind in ("html_200", "sso_redirect"):
                        self.assertIn("PAT expired or invalid", message)
                    if kind == "forbidden_403":
                        self.assertIn("vso.work", message)
                    if kind == "org_stopped_503":
                        self.assertIn("stopped", message)
                    if kind == "server_version":
                        self.assertIn("7.1", message)
                    self.assertNotIn(self.token, result.text)
        self.assert_no_leftovers()
        self.load("work-items")
        self.assert_copies(*WORK_ITEMS)

    def test_a_wrong_or_expired_token_is_exit_77_and_named(self):
        before = self.digest()
        for token in ("foz-expired-pat", "s3cr3t-and-wrong"):
            with self.subTest(token=token):
                result = self.load("work-items", "projects", expect=RIGHTS, env={"FOZ_TEST_PAT": token, "FOZ_LOG_LEVEL": "debug"})
                self.assertRegex(result.text, "(?i)expired|invalid|refused|not authorized")
                self.assertNotIn(token, result.text + str(self.database.executions()))
                self.assertEqual(before, self.digest())

    def test_an_organisation_that_answers_anybody_is_not_read_by_nobody(self):
        """Anonymous visitors are shown its public projects alone: everything else would look destroyed."""
        self.sim.do(fault("public_organisation"))
        before, requests = self.digest(), self.sim.state()["requests"]
        for mode in MODES:
            with self.subTest(load_mode=mode):
                self.load("work-items", "projects", "--mode", mode, expect=RIGHTS, env={"FOZ_TEST_PAT": "s3cr3t-and-wrong"})
                for name, task in self.last_tasks().items():
                    self.assertEqual(("error", 0), (task["status"], task["records_read"]), name)
                    self.assertIn("anonymous visitor", task["error_message"], name)
                self.assertEqual(before, self.digest())
        self.assertEqual(2 * len(MODES), self.sim.state()["requests"] - requests, "nothing but who it is was asked, once for each load")
        self.assertIn("anonymous visitor", self.worker("check", expect=RIGHTS, env={"FOZ_TEST_PAT": "s3cr3t-and-wrong"}).text)

    def test_the_token_never_runs_ahead_of_its_rows(self):
        """A fault on each page in turn: what was read before it is not kept, or kept together with its token."""
        self.set_source(retry={"attempts": 1, "base_delay": "5ms", "max_delay": "20ms", "max_wait": "1s"})
        self.sim.change(burst(55))
        for after in range(4):
            before, tokens = self.snapshots(("work_item_revision",)), self.tokens()
            self.sim.do(control.clear_faults(), fault("page_size", rate=15), fault("cut_chunk", table="workitemrevisions", after=after))
            self.load("work-items", expect=(COMPLETE, FAILED, UNREACHABLE))
            if self.database.last_execution()["status"] == "error":
                self.assertEqual(before, self.snapshots(("work_item_revision",)))
                self.assertEqual(tokens["work_item_revision"], self.tokens()["work_item_revision"])
        self.sim.do(control.clear_faults())
        self.load("work-items")
        self.assert_copies(*WORK_ITEMS)

    def test_a_failed_feed_stops_what_is_made_from_it_and_nothing_else(self):
        self.sim.do(fault("error_500", table="workitemrevisions"))
        self.load("work-items", expect=FAILED)
        tasks = self.last_tasks()
        self.assertEqual({"work_item_revision": "error", "work_item": "error", "work_item_link": "success"},
                         {name: task["status"] for name, task in tasks.items()})
        self.assertIn("work_item_revision", tasks["work_item"]["error_message"])

    def test_lists_that_fail_leave_their_tables(self):
        before = self.snapshots(PROJECTS)
        for kind, options in (("error_500", {}), ("html_200", {}), ("forbidden_403", {"route": "nodes"}), ("forbidden_403", {"route": "projects"}),
                              ("cut_chunk", {}), ("partial_array", {"share": 0.5})):
            with self.subTest(kind=kind, **options):
                self.sim.do(control.clear_faults(), fault(kind, **options))
                self.load("projects", "--mode", "full", expect=BROKEN | {RIGHTS})
                after = self.snapshots(("project", "iteration"))
                self.assertEqual({task: before[task] for task in after}, after)
        self.sim.do(control.clear_faults())
        self.load("projects")
        self.assert_copies(*PROJECTS)

    def test_states_without_the_right_to_read_processes(self):
        """By project then: what projects use is there, hidden states are not shown."""
        before = set(self.landed("work_item_type_state"))
        self.database.run("TRUNCATE azure_devops.work_item_type_state; DELETE FROM ops.watermark WHERE task = 'work_item_type_state'")
        self.sim.do(fault("forbidden_403", table="processes"))
        self.load("projects", "--task", "work_item_type_state")
        after = set(self.landed("work_item_type_state"))
        self.assertGreater(len(after), 40)
        self.assertEqual(set(), after - before)


class Throttling(AzureTest):
    tickets = 60

    def test_retry_after_is_honoured_on_refusals_and_on_good_answers(self):
        for kind, options in (("rate_429", {"seconds": 2}), ("rate_429", {"seconds": 2, "mode": "date"}), ("retry_after_200", {"seconds": 2})):
            with self.subTest(kind=kind, **options):
                self.sim.change(burst(5))
                self.sim.do(fault(kind, table="workitemrevisions" if kind == "rate_429" else "fields", count=1, **options))
                result = self.load("work-items", "--task", "work_item_revision", "--mode", "full")
                self.assertGreaterEqual(result.seconds, 1.0 if "mode" in options else 1.9)
                self.assert_copies("work_item_revision")
                self.assertGreater(self.last_tasks()["work_item_revision"]["throttled_ms"], 500)

    def test_a_pause_longer_than_max_wait_ends_the_task_whatever_answer_asks_for_it(self):
        for kind, table in (("rate_429", "workitemrevisions"), ("retry_after_200", "fields")):
            with self.subTest(kind=kind):
                self.set_source(retry={"attempts": 3, "base_delay": "20ms", "max_delay": "100ms", "max_wait": "1s"})
                self.sim.do(control.clear_faults(), fault(kind, table=table, count=1, seconds=30))
                result = self.load("work-items", "--task", "work_item_revision", "--mode", "full", expect=FAILED)
                self.assertLess(result.seconds, 20)
                self.assertIn("asks for", self.last_tasks()["work_item_revision"]["error_message"])
                self.assertIn("retry.max_wait of source", self.last_tasks()["work_item_revision"]["error_message"])

    def test_without_a_header_the_whole_source_cools_down_for_max_delay(self):
        self.set_source(retry={"attempts": 4, "base_delay": "20ms", "max_delay": "1500ms", "max_wait": "10s"})
        self.sim.do(fault("rate_429", mode="none", table="workitemrevisions", count=1))
        result = self.load("work-items")
        self.assertTrue(1.4 <= result.seconds < 30, result)
        self.assert_copies(*WORK_ITEMS)

    def test_an_endless_retry_after_is_not_waited_for(self):
        self.sim.do(fault("rate_429", seconds=86400))
        started = time.monotonic()
        self.load("work-items", expect=BROKEN)
        self.assertLess(time.monotonic() - started, 30)
        self.assertIn("max_wait", self.database.last_execution()["error_message"])


class Refusals(AzureTest):
    """Fields, rows and keys that are not given: what is there is exact, and what is missing is never deleted for that."""

    tickets = 60

    def test_a_refused_field_is_left_out_and_what_is_stored_stays(self):
        self.load("work-items")
        before = dict(self.database.rows("SELECT id, priority FROM azure_devops.work_item"))
        ids = self.items()
        self.sim.change(*(update(identity, {"System.Title": "with a refused field"}) for identity in ids[:5]))
        self.sim.do(fault("field_refused", field="Microsoft.VSTS.Common.Priority"))
        self.load("work-items")
        self.assertEqual("5", self.database.one("SELECT count(*) FROM azure_devops.work_item WHERE title = 'with a refused field'"))
        self.load("work-items", "--mode", "full")
        self.assertEqual({key: value for key, value in before.items() if int(key) not in ids[:5]},
                         {key: value for key, value in self.database.rows("SELECT id, priority FROM azure_devops.work_item") if int(key) not in ids[:5]})
        self.sim.do(control.clear_faults())
        self.load("work-items", "--mode", "full")
        self.assert_copies(*WORK_ITEMS)

    def test_a_refused_field_does_not_cost_the_token_whatever_it_is_called(self):
        self.sim.do(fault("field_refused", field="System.Watermark"))
        self.load("work-items")
        self.sim.change(update(self.items()[0]))
        self.load("work-items")
        self.assertEqual(1, self.last_tasks()["work_item_revision"]["records_read"])

    def test_deletions_that_the_feed_does_not_tell_are_found_in_the_bins(self):
        self.sim.do(fault("field_refused", field="System.IsDeleted"))
        self.load("work-items")
        deleted, again = self.items()[:2]
        self.sim.change(delete(deleted), delete(again))
        self.load("work-items", "--mode", "reconcile")
        gone = f"work_item WHERE is_deleted AND gone_since IS NULL AND id IN ({deleted}, {again})"
        self.assertEqual(2, self.count(gone))
        self.assertEqual(0, self.count("work_item WHERE title IS NULL"))
        self.load("work-items", "--mode", "full")
        self.assertEqual(2, self.count(gone))
        before = self.snapshot("work_item")
        self.load("work-items", "--mode", "reconcile")
        self.assertEqual(before, self.snapshot("work_item"), "what was known is not written again")
        self.sim.change(restore(again))
        self.load("work-items")
        self.assertEqual(1, self.count(gone))
        self.assertIn("System.IsDeleted", self.worker("check").out)

    def test_check_says_when_a_recycle_bin_may_not_be_read(self):
        self.sim.do(fault("forbidden_403", route="recyclebin"))
        self.assertRegex(self.worker("check").out, "warning .*work_item: the recycle bin of project .* cannot be read")

    def test_rows_that_a_census_or_batch_lacks(self):
        """Found again by id, so nothing goes; a batch that lacks them too means hidden, and history stays."""
        self.load("work-items")
        revisions = self.snapshot("work_item_revision")
        for options in ({"table": "wiql", "every": 7}, {"table": "wiql", "every": 7, "mode": "null"}):
            with self.subTest(**options):
                self.sim.do(control.clear_faults(), fault("missing_rows", **options))
                self.load("work-items", "--mode", "reconcile", expect=(COMPLETE, FAILED))
                self.sim.do(control.clear_faults())
                self.assert_copies(*WORK_ITEMS)
        self.sim.do(fault("acl_rows", every=2))
        self.load("work-items", "--mode", "reconcile", expect=(COMPLETE, HELD))
        self.assertEqual(revisions, self.snapshot("work_item_revision"))
        self.sim.do(control.clear_faults())
        self.load("work-items", "--mode", "reconcile")
        self.assert_copies(*WORK_ITEMS)

    def test_an_empty_census_is_held(self):
        self.load("work-items")
        before = self.snapshots()
        self.sim.do(fault("missing_rows", every=1))
        self.load("work-items", "--mode", "reconcile", expect=(COMPLETE, HELD, FAILED))
        self.assertEqual(before["work_item_revision"], self.snapshot("work_item_revision"))
        self.sim.do(control.clear_faults())
        self.load("work-items", "--mode", "reconcile")
        self.assert_copies(*WORK_ITEMS)

    def test_a_recycle_bin_that_may_not_be_read_is_an_error(self):
        self.load("work-items")
        before = self.snapshots(("work_item",))
        self.sim.do(fault("forbidden_403", route="recyclebin"))
        self.load("work-items", "--mode", "reconcile", expect={RIGHTS, FAILED})
        self.assertEqual(before, self.snapshots(("work_item",)))

    def test_bad_values_are_dead_letters_or_land(self):
        self.load("work-items")
        for mode, field, reject in (("not_integer", "Microsoft.VSTS.Common.Priority", True), ("not_date", "System.CreatedDate", True),
                                    ("huge", "Microsoft.VSTS.Common.Priority", True), ("string_identity", "System.AssignedTo", False),
                                    ("bare_identity", "System.AssignedTo", False), ("emoji", "System.Title", False),
                                    ("nul", "System.Title", False), ("digits7", "System.ChangedDate", False),
                                    ("zero", "System.CreatedDate", False), ("null", "System.State", False)):
            with self.subTest(mode=mode, field=field):
                self.sim.do(fault("bad_value", table="workitemrevisions", field=field, mode=mode, every=10))
                self.load("work-items", "--mode", "full", expect=PARTIAL if reject else COMPLETE)
                self.assert_ledger()
                rejected = self.database.last_execution()["records_rejected"]
                self.assertEqual(reject, rejected > 0)
                self.assertEqual(str(rejected), self.database.one("SELECT count(*) FROM ops.dead_letter WHERE resolved_at IS NULL"))
                self.sim.do(control.clear_faults())
                self.load("work-items", "--mode", "full")
                self.assert_copies(*WORK_ITEMS)
                self.assertEqual("0", self.database.one("SELECT count(*) FROM ops.dead_letter WHERE resolved_at IS NULL"))


if __name__ == "__main__":
    unittest.main()
