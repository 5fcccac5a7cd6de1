"""foz-api queues, foz-worker run claims: the way from a POST to rows in the table."""

import signal
import threading
import time
import unittest

import control
from foz import COMPLETE, INCIDENTS, SANITIZER, TERMINATED, UNREACHABLE, FozTest, http, wait_until

END = ("success", "partial", "held", "error", "interrupted", "cancelled")


class Daemon(FozTest):
    parallel = 4
    tickets = 500

    def setUp(self):
        super().setUp()
        self.set_source(page_size=100)
        self.start_api()
        self.key = self.create_key()

    def call(self, method, path, body=None, key=True, **headers):
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            given["X-API-Key"] = self.key
        return http(method, self.api_url + path, body, given)

    def post(self, path="/load-incidents/", body=None):
        reply = self.call("POST", path, body)
        self.assertEqual(200, reply.status, reply)
        return reply.json()

    def execution(self, identity):
        return self.database.dicts(f"SELECT * FROM ops.execution_log WHERE id = {identity}")[0]

    def finished(self, identity, timeout_s=60):
        return wait_until(lambda: (row := self.execution(identity))["status"] in END and row, f"execution {identity} ends", timeout_s)

    def slow_down(self, milliseconds=150):
        self.sim.do(control.latency(milliseconds))

    def start_daemon(self):
        program = self.start_worker("run")
        return program

    def running(self, identity):
        wait_until(lambda: self.execution(identity)["status"] == "running", f"execution {identity} runs")

    # -- from POST to rows

    def test_a_post_is_claimed_within_a_second_and_ends_exact(self):
        self.start_daemon()
        warm = self.post()["execution_id"]
        self.finished(warm)
        self.sim.change(control.insert("incident", short_description="new", state="1"))
        answer = self.post()
        self.assertEqual(("accepted", "incidents", False), (answer["status"], answer["load"], answer["joined"]))
        self.assertEqual(f"/v1/executions/{answer['execution_id']}", answer["location"])
        row = self.finished(answer["execution_id"])
        self.assertEqual(("success", "api", "incremental"), (row["status"], row["trigger"], row["mode"]))
        waited = self.database.one(f"SELECT extract(epoch FROM started_at - queued_at) FROM ops.execution_log WHERE id = {row['id']}")
        self.assertLess(float(waited), 1.0 * (4 if SANITIZER else 1))
        self.assert_copies(*INCIDENTS)
        self.assert_ledger(row)

    def test_the_row_is_committed_before_the_answer_and_waits_for_a_daemon(self):
        answer = self.post("/load-incidents")
        self.assertEqual("queued", self.execution(answer["execution_id"])["status"])
        self.start_daemon()
        self.assertEqual("success", self.finished(answer["execution_id"])["status"])

    def test_every_way_to_say_it(self):
        self.start_daemon()
        for path, body, headers in (
                ("/load-incidents/?mode=full&task=incident", None, {}),
                ("/load-incidents/", {"mode": "full", "task": ["incident"]}, {}),
                ("/load-incidents/", b"mode=full&task=incident", {"Content_Type": "application/x-www-form-urlencoded"})):
            with self.subTest(path=path, body=body):
                reply = self.call("POST", path, body, **headers)
                self.assertEqual(200, reply.status, reply)
                row = self.finished(reply.json()["execution_id"])
                self.assertEqual(("success", "full"), (row["status"], row["mode"]))
                self.assertEqual({"incident"}, set(self.database.tasks(row["id"])))
        reply = self.call("POST", "/load-incidents/", {"data_inicio": "2020-01-01", "data_fim": "2030-01-01"})
        row = self.finished(reply.json()["execution_id"])
        self.assertEqual(("window", "2020-01-01T00:00:00+00:00", "2030-01-01T00:00:00+00:00"),
                         (row["mode"], row["window_from"], row["window_to"]))
        reply = self.call("POST", "/v1/loads/configurations")
        self.assertEqual(202, reply.status, reply)
        self.assertEqual(f"/v1/executions/{reply.json()['execution_id']}", reply.headers["Location"])
        self.assertEqual("success", self.finished(reply.json()["execution_id"])["status"])

    def test_bad_requests_name_culprit_and_queue_nothing(self):
        for path, body, word in (
                ("/load-incidents/?mode=fast", None, "mode"),
                ("/load-incidents/?task=ticket", None, "ticket"),
                ("/load-incidents/?source=nowhere", None, "nowhere"),
                ("/load-incidents/?from=2026-02-01&to=2026-01-01", None, "from"),
                ("/load-incidents/?from=yesterday", None, "yesterday"),
                ("/load-incidents/?colour=red", None, "colour"),
                ("/load-incidents/", b"{not json", "JSON")):
            with self.subTest(path=path, body=body):
                reply = self.call("POST", path, body, Content_Type="application/json")
                self.assertEqual(400, reply.status, reply)
                self.assertEqual("application/problem+json", reply.headers.get_content_type())
                self.assertIn(word, reply.body.decode())
                self.assertTrue(reply.json()["code"] and reply.json()["trace_id"])
        self.assertEqual(404, self.call("POST", "/load-nothing/").status)
        self.assertEqual(401, self.call("POST", "/load-incidents/", key=False).status)
        self.assertEqual(413, self.call("POST", "/load-incidents/", b"{" + b" " * (4 << 20) + b"}", Content_Type="application/json").status)
        self.assertEqual("0", self.database.one("SELECT count(*) FROM ops.execution_log"))

    def test_a_scope_is_asked_for(self):
        self.key = self.create_key("reader", scopes=("dash.read",))
        self.assertEqual(403, self.call("POST", "/load-incidents/").status)

    def test_prefer_wait_answers_when_it_is_done(self):
        self.start_daemon()
        reply = self.call("POST", "/v1/loads/incidents", None, Prefer="wait=30")
        self.assertIn(reply.status, (200, 202))
        self.assertEqual("success", self.execution(reply.json()["execution_id"])["status"])

    def test_an_idempotency_key_queues_once(self):
        first = self.call("POST", "/v1/loads/incidents", None, Idempotency_Key="k-1").json()
        self.start_daemon()
        self.finished(first["execution_id"])
        again = self.call("POST", "/v1/loads/incidents", None, Idempotency_Key="k-1").json()
        self.assertEqual(first["execution_id"], again["execution_id"])
        self.assertEqual("1", self.database.one("SELECT count(*) FROM ops.execution_log"))

    def test_the_trace_leads_from_request_to_row_and_log(self):
        program = self.start_daemon()
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        reply = self.call("POST", "/load-incidents/", None, traceparent=f"00-{trace}-00f067aa0ba902b7-01")
        row = self.finished(reply.json()["execution_id"])
        self.assertEqual(trace, row["trace_id"])
        wait_until(lambda: trace in program.err(), "the trace id in the worker's log")

    # -- joining, queueing, cancelling

    def test_the_same_request_joins_while_queued_and_queues_behind_a_running_one(self):
        first, second = self.post(), self.post()
        self.assertEqual((first["execution_id"], True), (second["execution_id"], second["joined"]))
        other = self.post("/load-incidents/?mode=full")
        self.assertFalse(other["joined"])
        self.slow_down()
        self.start_daemon()
        self.running(first["execution_id"])
        behind = self.post()
        self.assertFalse(behind["joined"])
        self.assertNotEqual(first["execution_id"], behind["execution_id"])
        self.assertEqual("queued", self.execution(behind["execution_id"])["status"])
        self.sim.do(control.clear_faults())
        for identity in (first["execution_id"], other["execution_id"], behind["execution_id"]):
            self.assertEqual("success", self.finished(identity)["status"])
        overlapping = self.database.one("SELECT count(*) FROM ops.execution_log a JOIN ops.execution_log b ON a.id < b.id AND a.load = b.load "
                                        "AND a.started_at < b.finished_at AND b.started_at < a.finished_at")
        self.assertEqual("0", overlapping)

    def test_cancelling_a_queued_and_a_running_execution(self):
        queued = self.post()["execution_id"]
        reply = self.call("POST", f"/v1/executions/{queued}/cancel")
        self.assertIn(reply.status, (200, 202), reply)
        self.assertEqual("cancelled", self.execution(queued)["status"])
        self.slow_down(300)
        self.start_daemon()
        running = self.post("/load-incidents/?mode=full")["execution_id"]
        self.running(running)
        self.assertIn(self.call("POST", f"/v1/executions/{running}/cancel").status, (200, 202))
        asked = time.monotonic()
        self.assertEqual("cancelled", self.finished(running)["status"])
        self.assertLess(time.monotonic() - asked, 5 * (4 if SANITIZER else 1))
        self.sim.do(control.clear_faults())
        self.assertEqual("success", self.finished(self.post()["execution_id"])["status"])
        self.assert_copies(*INCIDENTS)
        self.assert_no_leftovers()
        self.assertEqual(404, self.call("POST", "/v1/executions/999999/cancel").status)

    # -- several daemons, ends and beginnings

    def test_two_daemons_share_the_work_and_never_a_load(self):
        self.start_daemon()
        self.start_daemon()
        identities = set()
        for _ in range(6):
            for path in ("/load-incidents/", "/load-configurations/", "/load-incidents/?mode=full"):
                identities.add(self.post(path)["execution_id"])
            time.sleep(0.05)
        for identity in identities:
            self.assertEqual("success", self.finished(identity)["status"])
        self.assertEqual("0", self.database.one(
            "SELECT count(*) FROM ops.execution_log a JOIN ops.execution_log b ON a.id < b.id AND a.load = b.load "
            "AND a.started_at < b.finished_at AND b.started_at < a.finished_at"))
        self.assert_copies(*INCIDENTS)

    def test_an_interrupted_run_is_retried_once_by_the_daemon(self):
        self.slow_down(200)
        first = self.start_daemon()
        identity = self.post("/load-incidents/?mode=full")["execution_id"]
        self.running(identity)
        first.kill()
        self.sim.do(control.clear_faults())
        self.start_daemon()
        self.assertEqual("interrupted", self.finished(identity)["status"])
        retried = wait_until(lambda: self.database.dicts(f"SELECT * FROM ops.execution_log WHERE id > {identity} ORDER BY id"), "a retry is queued")
        self.assertEqual((2, "full"), (retried[0]["attempt"], retried[0]["mode"]))
        self.assertEqual("success", self.finished(retried[0]["id"])["status"])
        self.assert_copies(*INCIDENTS)

    def test_a_retry_that_dies_too_is_not_retried_again(self):
        self.slow_down(200)
        previous = self.post("/load-incidents/?mode=full")["execution_id"] - 1
        for _ in range(2):
            program = self.start_daemon()
            latest = wait_until(lambda: (row := self.database.last_execution())["status"] == "running" and row["id"] > previous and row,
                                "a run begins")
            previous = latest["id"]
            program.kill()
        self.sim.do(control.clear_faults())
        self.start_daemon()
        self.assertEqual("interrupted", self.finished(latest["id"])["status"])
        self.assertEqual(2, latest["attempt"])
        done = self.post()["execution_id"]
        self.finished(done)
        self.assertEqual("0", self.database.one(f"SELECT count(*) FROM ops.execution_log WHERE id > {latest['id']} AND id <> {done}"))

    def interrupted(self, window, status, *twins):
        """An execution that is due for a retry, and later ones of the same request; returns its id."""
        insert = ("INSERT INTO ops.execution_log (load, mode, window_from, params, trigger, status, retry_due) VALUES"
                  " ('incidents', 'window', '{}', '{{\"task\": [\"task_time_worked\"]}}', 'api', '{}', {}) RETURNING id")
        identity = self.database.one(insert.format(window, "interrupted", True))
        for twin in (status, *twins):
            self.database.one(insert.format(window, twin.removesuffix(" and due"), twin.endswith(" and due")))
        return int(identity)

    def test_only_a_result_stands_in_for_the_retry(self):
        retried = [self.interrupted("2020-01-01", "cancelled"), self.interrupted("2020-01-02", "interrupted"),
                   self.interrupted("2020-01-03", "cancelled", "interrupted")]
        for window, status in (("2020-02-01", "success"), ("2020-02-02", "partial"), ("2020-02-03", "held"), ("2020-02-04", "error")):
            self.interrupted(window, status)
        self.interrupted("2020-02-05", "cancelled", "success")
        self.interrupted("2020-02-06", "queued")
        # Of two that are due one is enough: the later.
        retried.append(self.interrupted("2020-03-01", "interrupted and due") + 1)
        self.start_daemon()
        wait_until(lambda: self.database.one("SELECT count(*) FROM ops.execution_log WHERE retry_due OR status IN ('queued', 'running')") == "0",
                   "nothing is due or queued")
        self.assertEqual([(str(identity), "2", "success") for identity in retried], self.database.rows(
            "SELECT retry_of, attempt, status FROM ops.execution_log WHERE retry_of IS NOT NULL ORDER BY 1"))

    def test_a_retry_waits_for_what_may_bring_the_result_instead(self):
        self.slow_down()
        first = self.start_worker("load", "incidents", "--mode", "full")
        wait_until(lambda: (self.database.last_execution() or {}).get("status") == "running", "a load runs")
        identity = self.interrupted("2020-01-01", "queued")
        look = self.interrupted("2020-01-02", "success")
        self.start_daemon()
        wait_until(lambda: not self.execution(look)["retry_due"], "the daemon has looked")
        self.assertTrue(self.execution(identity)["retry_due"])
        self.assertIn(self.call("POST", f"/v1/executions/{identity + 1}/cancel").status, (200, 202))
        retry = wait_until(lambda: self.database.dicts(f"SELECT * FROM ops.execution_log WHERE retry_of = {identity}"), "the retry is queued")
        self.sim.do(control.clear_faults())
        self.assertEqual(0, first.wait())
        self.assertEqual("success", self.finished(retry[0]["id"])["status"])

    def adopt(self):
        """An order that a foreground load has adopted and waits with, behind a slow one; all three."""
        self.slow_down()
        first = self.start_worker("load", "incidents", "--mode", "full")
        wait_until(lambda: (self.database.last_execution() or {}).get("status") == "running", "a load runs")
        identity = self.post()["execution_id"]
        waiting = self.start_worker("load", "incidents")
        wait_until(lambda: self.execution(identity)["worker"], "the order is adopted")
        return first, waiting, identity

    def assert_is_kept(self, first, identity):
        """The order is in the queue as if nobody had adopted it, and is run."""
        row = self.execution(identity)
        self.assertEqual(("queued", None, None, False), tuple(row[name] for name in ("status", "worker", "error_message", "retry_due")))
        self.sim.do(control.clear_faults())
        self.start_daemon()
        row = self.finished(identity)
        self.assertEqual(("success", "api", 1), (row["status"], row["trigger"], row["attempt"]))
        self.assertEqual(0, first.wait())

    def test_an_order_outlives_a_foreground_that_is_stopped_while_it_waits(self):
        first, waiting, identity = self.adopt()
        waiting.signal(signal.SIGTERM)
        self.assertEqual(TERMINATED, waiting.wait(20), waiting.err())
        self.assertIn("stays queued", waiting.err())
        self.assert_is_kept(first, identity)

    def test_an_order_outlives_a_foreground_that_is_killed_while_it_waits(self):
        first, waiting, identity = self.adopt()
        waiting.kill()
        self.worker("status", expect=COMPLETE)
        self.assert_is_kept(first, identity)

    def test_an_order_outlives_the_session_of_a_foreground_that_waits(self):
        first, waiting, identity = self.adopt()
        self.database.run(f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = {identity}"
                          " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
        self.assertEqual(UNREACHABLE, waiting.wait(20), waiting.err())
        self.worker("status", expect=COMPLETE)
        self.assert_is_kept(first, identity)

    def test_an_order_that_its_foreground_had_begun_is_retried(self):
        self.slow_down()
        for end in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(end=end):
                identity = self.post("/load-incidents/?mode=full")["execution_id"]
                foreground = self.start_worker("load", "incidents", "--mode", "full")
                self.running(identity)
                foreground.signal(end)
                foreground.wait(30)
                self.worker("status", expect=COMPLETE)
                row = self.execution(identity)
                self.assertEqual(("interrupted", True), (row["status"], row["retry_due"]))
        self.sim.do(control.clear_faults())
        self.start_daemon()
        retry = wait_until(lambda: self.database.dicts(f"SELECT * FROM ops.execution_log WHERE retry_of = {identity}"), "the retry is queued")
        self.assertEqual("success", self.finished(retry[0]["id"])["status"])

    def test_what_a_foreground_made_for_itself_ends_with_it(self):
        self.slow_down()
        first = self.start_worker("load", "incidents", "--mode", "full")
        wait_until(lambda: (self.database.last_execution() or {}).get("status") == "running", "a load runs")
        for number, (end, status) in enumerate(((signal.SIGTERM, "cancelled"), (signal.SIGKILL, "interrupted")), 2):
            waiting = self.start_worker("load", "incidents")
            wait_until(lambda: len(self.database.executions()) == number and self.execution(number)["worker"], "its execution waits")
            waiting.signal(end)
            waiting.wait(20)
            self.worker("status", expect=COMPLETE)
            self.assertEqual((status, False), (self.execution(number)["status"], self.execution(number)["retry_due"]))
        self.sim.do(control.clear_faults())
        self.assertEqual(0, first.wait())

    def test_a_daemon_drains_on_sigterm(self):
        self.slow_down(100)
        program = self.start_daemon()
        identity = self.post("/load-incidents/?mode=full")["execution_id"]
        self.running(identity)
        program.signal(signal.SIGTERM)
        self.assertEqual(TERMINATED, program.wait(30), program.err())
        self.assertIn(self.execution(identity)["status"], ("interrupted", "cancelled", "success"))
        self.assert_no_leftovers()
        self.sim.do(control.clear_faults())
        self.start_daemon()
        done = self.post()["execution_id"]
        self.assertEqual("success", self.finished(done)["status"])
        self.assert_copies(*INCIDENTS)

    def test_an_idle_daemon_ends_at_once(self):
        program = self.start_daemon()
        identity = self.post()["execution_id"]
        self.finished(identity)
        asked = time.monotonic()
        program.signal(signal.SIGTERM)
        self.assertEqual(TERMINATED, program.wait(20), program.err())
        self.assertLess(time.monotonic() - asked, 3 * (4 if SANITIZER else 1))

    def test_a_daemon_survives_a_restart_of_the_database(self):
        program = self.start_daemon()
        self.finished(self.post()["execution_id"])
        self.cluster.crash()
        time.sleep(0.3)
        self.cluster.recover()

        def accepted():
            reply = self.call("POST", "/load-incidents/")
            return reply.status == 200 and reply.json()
        answer = wait_until(accepted, "foz-api recovers")
        self.assertEqual("success", self.finished(answer["execution_id"])["status"])
        self.assertTrue(program.is_running())

    def test_a_changed_configuration_is_read_on_sighup(self):
        del self.env["FOZ_LOG_FORMAT"]  # it would win over the file
        program = self.start_daemon()
        self.finished(self.post()["execution_id"])
        second = self.start_sim(tickets=50, seed=9)
        self.config["sources"]["second"] = {**self.source_config, "url": f"{second.url}/servicenow"}
        self.write_config()
        program.signal(signal.SIGHUP)

        def sees_it():
            row = self.finished(self.post("/load-incidents/?mode=full")["execution_id"])
            return int(self.database.one(f"SELECT count(*) FROM ops.execution_task WHERE execution_id = {row['id']} AND source = 'second'"))
        wait_until(sees_it, "the daemon loads from the new source")
        for format_, begin in (("json", "{"), ("text", "20")):
            self.config["log"] = {"format": format_}
            self.write_config()
            program.signal(signal.SIGHUP)
            wait_until(lambda: program.err().splitlines()[-1].startswith(begin), f"the log's format is {format_}")

    def reload(self, program):
        before = program.err().count("configuration reloaded")
        program.signal(signal.SIGHUP)
        wait_until(lambda: program.err().count("configuration reloaded") > before, "the daemon has reloaded")

    def test_a_reload_gives_a_source_no_second_budget(self):
        self.set_source(page_size=10, rate_limit=4)
        program = self.start_daemon()
        self.running(self.post("/load-incidents/?mode=full")["execution_id"])
        self.reload(program)
        self.running(self.post("/load-configurations/?mode=full")["execution_id"])
        self.sim.do({"reset_counters": True})
        began = time.monotonic()
        wait_until(lambda: self.sim.state()["requests"] >= 12, "both loads send")
        self.assertGreater(time.monotonic() - began, 10 / 4)

    def test_a_reload_breaks_no_silence(self):
        self.set_source(parallel=1, retry={**self.source_config["retry"], "max_wait": "60s"})
        program = self.start_daemon()
        self.sim.do(control.fault("rate_429", count=1, seconds=4))
        first = self.post()["execution_id"]
        wait_until(lambda: self.sim.state()["requests"] >= 1, "the source asks for silence")
        began = time.monotonic()
        self.set_source(rate_limit=100)
        self.reload(program)
        seen = self.sim.state()["requests"]
        second = self.post("/load-configurations/")["execution_id"]
        self.running(second)
        wait_until(lambda: self.sim.state()["requests"] > seen, "the source is asked again")
        self.assertGreater(time.monotonic() - began, 3)
        for identity in (first, second):
            self.assertEqual("success", self.finished(identity)["status"])

    def test_a_configuration_that_the_database_has_no_room_for_is_not_taken(self):
        program = self.start_daemon()
        self.finished(self.post()["execution_id"])
        self.config["sources"]["snow"]["tasks"] = {"incident": {"fields": {"u_not_migrated": "text"}}}
        self.write_config()
        program.signal(signal.SIGHUP)
        wait_until(lambda: "the old configuration stays" in program.err(), "the daemon refuses it")
        self.assertIn("migrate", program.err())
        self.assertEqual("success", self.finished(self.post()["execution_id"])["status"])

    def test_a_signal_that_means_nothing_leaves_it_listening_to_others(self):
        program = self.start_daemon()
        self.finished(self.post()["execution_id"])
        program.signal(signal.SIGUSR1)
        self.finished(self.post("/load-incidents/?mode=full")["execution_id"])
        program.signal(signal.SIGTERM)
        self.assertEqual(TERMINATED, program.wait(30))

    def test_command_and_daemon_take_turns(self):
        self.slow_down(100)
        self.start_daemon()
        identity = self.post("/load-incidents/?mode=full")["execution_id"]
        self.running(identity)
        self.assertEqual(75, self.worker("load", "incidents", "--no-wait").code)
        results = []
        thread = threading.Thread(target=lambda: results.append(self.worker("load", "incidents")))
        thread.start()
        self.sim.do(control.clear_faults())
        thread.join(120)
        self.assertEqual([0], [result.code for result in results], results)
        self.assertEqual("success", self.finished(identity)["status"])


if __name__ == "__main__":
    unittest.main()
