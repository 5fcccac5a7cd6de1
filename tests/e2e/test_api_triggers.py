"""What starts a load over HTTP: parameters, refusals, joining, waiting."""

import http.client
import threading
import time
import unittest
import urllib.parse

import foz
import openapi
import query
from api_case import ApiCase


class Triggers(ApiCase):
    def test_both_forms_of_the_short_path_queue_each_load(self):
        for number, path in enumerate(("/load-incidents/", "/load-configurations"), 1):
            answer = self.post(path)
            self.assertEqual(answer.status, 200, answer)
            load = path.strip("/")[5:]
            self.assertEqual(answer.json(), {"status": "accepted", "execution_id": number, "load": load,
                                             "location": f"/v1/executions/{number}", "joined": False})
            self.assertEqual(self.rows("SELECT load, mode, status FROM ops.execution_log WHERE id = %d" % number),
                             [(load, "incremental", "queued")])
        again = self.post("/load-incidents").json()
        self.assertEqual((again["execution_id"], again["joined"]), (1, True))

    def test_a_database_that_takes_no_writes_is_named_as_the_cause(self):
        name = urllib.parse.urlsplit(self.url).path.lstrip("/")

        def set_read_only(on):
            self.sql(f"ALTER DATABASE {name} SET default_transaction_read_only TO {on};"
                     " SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'foz-api%'")

        set_read_only("on")
        try:
            self.assert_problem(foz.wait_until(lambda: self.refusal("/load-incidents/", "database_read_only"), "it is told"),
                                503, "database_read_only", "database.url", "primary")
        finally:
            self.sql("SET default_transaction_read_only TO off")
            set_read_only("off")
        foz.wait_until(lambda: self.post("/load-incidents/").status == 200, "writes are taken again")

    def refusal(self, path, code):
        answer = self.post(path)
        return answer if answer.json().get("code") == code else None

    def test_the_v1_path_answers_202_with_location(self):
        answer = self.post("/v1/loads/incidents")
        self.assertEqual((answer.status, answer.headers["Location"]), (202, "/v1/executions/1"), answer)
        self.assertEqual(answer.json()["execution_id"], 1)
        self.assert_problem(self.post("/v1/loads/incidents/"), 404, "unknown_path")

    def test_parameters_come_from_json_form_and_query_alike(self):
        wanted = [("window", "2016-03-01 00:00:00+00", "2016-03-24 18:40:00+00",
                   '{"task": ["incident", "incident_sla"], "source": ["snow"], "allow_mass_delete": true}')]
        window = {"from": "2016-03-01", "to": "2016-03-24T18:40:00Z"}
        more = {"source": "snow", "task": ["incident_sla", "incident"], "allow_mass_delete": True}
        query = "source=snow&task=incident&task=incident_sla&allow_mass_delete=true"
        ways = [
            lambda: self.post("/load-incidents/", {**window, **more, "mode": "window"}),
            lambda: self.form("/load-incidents/", "from=2016-03-01&to=2016-03-24T18%3A40%3A00Z&" + query),
            lambda: self.post("/load-incidents/?from=2016-03-01&to=2016-03-24T18:40:00Z&" + query),
            lambda: self.post("/load-incidents/", {"data_inicio": "2016-03-01", "data_fim": "2016-03-24T18:40:00Z", **more}),
            lambda: self.form("/load-incidents/?data_inicio=2016-03-01&source=snow&task=incident",
                              "to=2016-03-24T18%3A40%3A00%2B00%3A00&task=incident_sla&allow_mass_delete=true"),
            lambda: self.post("/load-incidents/?to=2016-03-24T19:40:00+01:00", {"from": "2016-03-01", **more}),
            lambda: self.post("/load-incidents/?from=2016-03-01", {"from": "2016-03-01", "data_inicio": "2016-03-01",
                                                                   "to": "2016-03-24 18:40:00Z", "mode": None, **more}),
        ]
        for number, way in enumerate(ways):
            self.setUp()
            answer = way()
            self.assertEqual(answer.status, 200, (number, answer))
            self.assertEqual(self.rows("SELECT mode, window_from, window_to, params FROM ops.execution_log"),
                             wanted, number)

    def test_bad_parameters_are_400_naming_parameter_and_cure_and_queue_nothing(self):
        for body, parameter, words in (
                ({"mod": "full"}, "mod", ["mode"]),
                ({"mode": "ful"}, "mode", ["ful", "full"]),
                ({"mode": ""}, "mode", ["empty"]),
                ({"mode": 3}, "mode", ["string"]),
                ({"mode": ["full"]}, "mode", ["string"]),
                ({"mode": {"a": 1}}, "mode", ["string"]),
                ({"from": "yesterday"}, "from", ["yesterday", "2026-01-31"]),
                ({"from": "2026-02-30"}, "from", ["2026-02-30"]),
                ({"from": "2026-01-02", "to": "2026-01-01"}, "from", ["2026-01-0"]),
                ({"from": "2026-01-01", "to": "2026-01-01"}, "from", ["2026-01-01"]),
                ({"from": "2026-01-01", "mode": "full"}, "mode", ["full"]),
                ({"mode": "window"}, "mode", ["window"]),
                ({"from": "2026-01-01", "data_inicio": "2026-01-02"}, "data_inicio", ["two different"]),
                ({"data_inicio": "yesterday"}, "data_inicio", ["not a time"]),
                ({"source": "sno"}, "source", ["sno", "snow"]),
                ({"task": "incidents"}, "task", ["incident"]),
                ({"task": ["sys_user"]}, "task", ["sys_user"]),
                ({"task": [1]}, "task", ["list of strings"]),
                ({"source": 5}, "source", ["list of strings"]),
                ({"allow_mass_delete": "maybe"}, "allow_mass_delete", ["true or false"]),
                ({"allow_mass_delete": 1}, "allow_mass_delete", ["true or false"])):
            answer = self.post("/load-incidents/", body)
            self.assertEqual(answer.status, 400, (body, answer))
            self.assertEqual(answer.json().get("parameter"), parameter, answer)
            for word in words:
                self.assertIn(word, answer.json()["detail"], body)
        self.assert_problem(self.post("/load-incidents/?from=2026-01-01&from=2026-01-02"), 400, "conflicting_parameter", "from")
        self.assert_problem(self.post("/load-incidents/?mode=full", {"mode": "reconcile"}), 400, "conflicting_parameter", "mode")
        self.assert_problem(self.get("/v1/loads?load=incidents"), 400, "unknown_parameter", "load")
        self.assertEqual(self.queued(), 0)

    def test_bad_bodies_are_refused(self):
        json_type = {"Content-Type": "application/json"}
        for text in ("{", "[1]", '"x"', '{"mode":"full"} x', '{"mode":"full"', "\ufeff{}", "null"):
            self.assert_problem(self.post("/load-incidents/", text.encode(), headers=json_type), 400, "bad_json")
        self.assert_problem(self.form("/load-incidents/", "mode=%zz"), 400, "bad_encoding")
        self.assert_problem(self.form("/load-incidents/", "mode=%ff"), 400, "bad_encoding")
        self.assert_problem(self.form("/load-incidents/", "mode=full%00"), 400, "bad_encoding")
        self.assert_problem(self.form("/load-incidents/", '{"mode":"full"}'), 400, "unknown_parameter", "application/json")
        for media in ("text/plain", "multipart/form-data; boundary=x", "application/xml"):
            self.assert_problem(self.post("/load-incidents/", "mode=full", headers={"Content-Type": media}), 415,
                                "unsupported_media_type", "application/json")
        self.assertEqual(self.queued(), 0)

    def test_an_unknown_load_is_404_and_names_the_nearest(self):
        for path in ("/load-incidnets/", "/load-incidnets", "/v1/loads/incidnets"):
            self.assert_problem(self.post(path), 404, "unknown_load", "incidnets", "incidents", "configurations")

    def test_an_idempotency_key_never_queues_twice(self):
        first = self.post("/v1/loads/incidents", {"mode": "full"}, headers={"Idempotency-Key": "a-1"}).json()
        self.sql("UPDATE ops.execution_log SET status = 'success', finished_at = now()")
        second = self.post("/v1/loads/incidents", {"mode": "full"}, headers={"Idempotency-Key": "a-1"}).json()
        self.assertEqual((first["execution_id"], first["joined"]), (1, False))
        self.assertEqual((second["execution_id"], second["joined"]), (1, True))
        self.assert_problem(self.post("/v1/loads/incidents", {"mode": "reconcile"}, headers={"Idempotency-Key": "a-1"}),
                            422, "idempotency_key_reused")
        other = self.post("/v1/loads/incidents", {"mode": "full"}, headers={"Idempotency-Key": "a-2"}).json()
        self.assertEqual((other["execution_id"], other["joined"]), (2, False))
        for bad in ("", "x" * 256):
            self.assert_problem(self.post("/v1/loads/incidents", headers={"Idempotency-Key": bad}), 400, "invalid_header")

    def test_a_key_that_joins_is_remembered_whatever_keys_the_execution_has(self):
        other = self.create_key("other", ["dash.admin"])
        asked = [("a-1", self.key), ("a-2", self.key), ("a-1", other), (None, other), ("a-3", other)]

        def ask(name, key, mode="full"):
            return self.post("/v1/loads/incidents", {"mode": mode}, key=key, headers={"Idempotency-Key": name} if name else {})
        self.assertEqual([(1, False)] + 4 * [(1, True)],
                         [(answer["execution_id"], answer["joined"]) for answer in (ask(*one).json() for one in asked)])
        self.sql("UPDATE ops.execution_log SET status = 'success', finished_at = now()")
        for name, key in asked:
            if name:
                answer = ask(name, key).json()
                self.assertEqual((1, True), (answer["execution_id"], answer["joined"]), name)
                self.assert_problem(ask(name, key, "reconcile"), 422, "idempotency_key_reused", "execution 1")
        self.assertEqual(1, self.queued())
        self.assertEqual(2, ask("a-4", other).json()["execution_id"])
        self.sql("DELETE FROM ops.execution_log")
        self.assertEqual(3, ask("a-1", other).json()["execution_id"])

    def test_many_at_once_join_one_execution(self):
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.post("/load-incidents/"))) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertEqual({answer.json()["execution_id"] for answer in answers}, {1})
        self.assertEqual(sum(not answer.json()["joined"] for answer in answers), 1)

    def test_wait_ends_with_the_execution(self):
        answers = []
        waiter = threading.Thread(target=lambda: answers.append(
            self.post("/v1/loads/incidents", headers={"Prefer": "respond-async, wait=30"})))
        waiter.start()
        foz.wait_until(self.queued, "the execution is queued")
        self.assertEqual(answers, [])
        self.sql("INSERT INTO ops.execution_task (execution_id, source, task, status) VALUES (1, 'snow', 'incident', 'success');"
                 "UPDATE ops.execution_log SET status = 'success', finished_at = now(), records_read = 9007199254740993")
        started = time.monotonic()
        waiter.join(20)
        self.assertLess(time.monotonic() - started, 2)
        answer = answers[0]
        self.assertEqual((answer.status, answer.headers["Preference-Applied"]), (200, "wait=30"), answer)
        self.assertEqual(answer.headers["Location"], "/v1/executions/1")
        execution = answer.json()
        self.assertEqual((execution["execution_id"], execution["status"], execution["records_read"]),
                         (1, "success", 9007199254740993))
        self.assertEqual(execution["tasks"][0]["task"], "incident")
        openapi.Document(self.get("/openapi.json").json()).check_answer("/v1/loads/incidents", answer, "post")

    def test_a_standby_that_is_behind_does_not_hide_what_was_just_queued(self):
        """A database that never hears of anything stands for it."""
        behind = self.cluster.createdb("behind")
        self.migrate(behind)
        ((digest, scopes),) = self.rows("SELECT key_hash, scopes FROM ops.api_key WHERE name = 'tests'")
        query.script(behind, f"INSERT INTO ops.api_key (name, key_hash, scopes) VALUES ('tests', '{digest}', '{scopes}')")
        self.stop_service()
        self.write_config(read_url=behind)
        try:
            self.start_service()
            answer = self.post("/v1/loads/incidents")
            self.assertEqual(self.get(answer.headers["Location"]).json()["data"]["status"], "queued")
            self.sql("UPDATE ops.execution_log SET status = 'success', finished_at = now()")
            answer = self.post("/v1/loads/configurations", headers={"Prefer": "wait=1"})
            self.assertEqual(answer.status, 202)
            self.sql("UPDATE ops.execution_log SET status = 'success', finished_at = now()")
            self.assertEqual(self.get(answer.headers["Location"]).json()["data"]["status"], "success")
        finally:
            self.stop_service()
            self.write_config()
            self.start_service()

    def test_wait_gives_up_after_its_time_and_answers_202(self):
        started = time.monotonic()
        answer = self.post("/v1/loads/incidents", headers={"Prefer": "wait=1"})
        self.assertGreaterEqual(time.monotonic() - started, 1)
        self.assertEqual((answer.status, answer.headers["Preference-Applied"]), (202, "wait=1"), answer)
        self.assertEqual(answer.json()["status"], "accepted")

    def test_a_preference_may_stand_on_a_line_of_its_own(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        started = time.monotonic()
        connection.putrequest("POST", "/v1/loads/incidents")
        for name, value in (("X-API-Key", self.key), ("Prefer", "respond-async"), ("Content-Length", "0"), ("Prefer", "wait=1")):
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.headers["Preference-Applied"]), (202, "wait=1"))
        self.assertGreaterEqual(time.monotonic() - started, 1)
        connection.close()

    def test_waiting_holds_no_thread(self):
        done = []
        waiters = [threading.Thread(target=lambda: done.append(
            self.post("/v1/loads/incidents", headers={"Prefer": "wait=60"}, timeout_s=90))) for _ in range(40)]
        for waiter in waiters:
            waiter.start()
        try:
            foz.wait_until(self.queued, "the execution is queued")
            for _ in range(20):
                started = time.monotonic()
                self.assertEqual(self.get("/v1/executions").status, 200)
                self.assertLess(time.monotonic() - started, 1 if not foz.SANITIZER else 5)
            self.assertEqual(done, [])
        finally:
            self.sql("UPDATE ops.execution_log SET status = 'success', finished_at = now()")
            for waiter in waiters:
                waiter.join(30)
        self.assertEqual([answer.status for answer in done], [200] * 40)

    def test_an_unreadable_preference_is_no_preference(self):
        for wish in ("wait", "wait=x", "wait=-1", "handling=strict", "wait=0"):
            started = time.monotonic()
            answer = self.post("/v1/loads/incidents", headers={"Prefer": wish})
            self.assertEqual((answer.status, answer.headers["Preference-Applied"]), (202, None))
            self.assertLess(time.monotonic() - started, 5)


if __name__ == "__main__":
    unittest.main()
