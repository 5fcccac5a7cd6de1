"""Every route of foz-api and every refusal, against the real program and a real database.

No worker runs here: what the API queues stays queued unless a test plays the worker in SQL.
"""

import csv
import glob
import http.client
import io
import json
import os
import re
import subprocess
import tempfile
import threading
import time
import unittest

import foz
import postgres

ALL_SCOPES = ("dash.read", "dash.admin", "dash.observability")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:2000]!r}"


class ApiCase(unittest.TestCase):
    """One cluster and one service a class; the run log is empty at the start of each test."""

    api_config = {"rate_limit": {"per_minute": 60000, "burst": 1000}}
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not os.path.exists(foz.API):
            raise AssertionError(f"{foz.API} is missing: run meson compile -C {foz.BUILD}")
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="foz-api-", dir="/tmp"))
        cls.cluster = cls.enterClassContext(postgres.Cluster())
        cls.url = cls.cluster.createdb("foz")
        cls.migrate(cls.url)
        cls.config_path = os.path.join(cls.folder, "foz.yaml")
        cls.write_config()
        cls.program = None
        cls.addClassCleanup(cls.stop_service)
        cls.start_service()
        cls.key = cls.create_key("tests", ALL_SCOPES)

    @classmethod
    def migrate(cls, url):
        """By the worker where it is built; else what the API needs, as the migrations make it."""
        if os.path.exists(foz.WORKER):
            path = os.path.join(cls.folder, "migrate.yaml")
            with open(path, "w", encoding="utf-8") as out:
                json.dump({"database": {"url": url}, "sources": {}}, out)
            done = subprocess.run([foz.WORKER, "migrate", "-c", path], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=120, check=False)
            assert done.returncode == 0, done
            return
        for path in sorted(glob.glob(os.path.join(foz.ROOT, "schema", "migrations", "*.sql"))):
            name = os.path.basename(path)
            with open(path, encoding="utf-8") as file:
                postgres.psql(url, "BEGIN;\n%s\nINSERT INTO ops.migration (version, name, checksum) VALUES (%d, '%s', 'x');\n"
                              "COMMIT;\n" % (file.read(), int(name.split("_")[0]), name))

    @classmethod
    def write_config(cls, database=None, **api):
        config = {
            "database": {"url": database or cls.url},
            "sources": {"snow": {"type": "servicenow", "url": "http://127.0.0.1:9",
                                 "auth": {"method": "basic", "username": "foz", "password": "env:FOZ_TEST_PASSWORD"}}},
            "api": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", **cls.api_config, **api},
        }
        with open(cls.config_path, "w", encoding="utf-8") as out:
            json.dump(config, out)

    @classmethod
    def start_service(cls):
        cls.program = foz.Program([foz.API, "serve", "-c", cls.config_path], cls.folder,
                                  f"foz-api-{time.monotonic_ns()}", {"FOZ_LOG_FORMAT": "json", "FOZ_LOG_LEVEL": "info"})

        def address():
            if not cls.program.is_running():
                raise AssertionError(f"foz-api ended: {cls.program.err()}")
            return re.search(r"listening on http://(\S+):(\d+), admin http://(\S+):(\d+)\n", cls.program.out())
        found = foz.wait_until(address, "foz-api says where it listens")
        cls.host, cls.port = found[1], int(found[2])
        cls.admin_port = int(found[4])

    @classmethod
    def stop_service(cls):
        if cls.program is not None:
            code = cls.program.stop()
            report = foz._SANITIZER_REPORT.search(cls.program.err())
            assert report is None, cls.program.err()[report.start():][:6000]
            assert code == foz.TERMINATED, (code, cls.program.err()[-3000:])
            cls.program = None

    @classmethod
    def command(cls, *arguments, config=None):
        return subprocess.run([foz.API, *arguments, "-c", config or cls.config_path], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, check=False, cwd=cls.folder)

    @classmethod
    def create_key(cls, name, scopes, *more):
        done = cls.command("key", "create", name, "--scope", *scopes, *more)
        assert done.returncode == 0, done
        return done.stdout.strip()

    def setUp(self):
        super().setUp()
        self.sql("TRUNCATE ops.execution_log, ops.execution_task, ops.projection_version, ops.watermark, ops.dead_letter "
                 "RESTART IDENTITY CASCADE")

    # -- shorthand

    def sql(self, text):
        return postgres.psql(self.url, text)

    def rows(self, text):
        return postgres.rows(self.url, text)

    def ask(self, method, path, body=None, key="", headers=None, admin=False, timeout_s=30):
        """One request on a connection of its own. key: "" = the class's, None = none."""
        given = dict(headers or {})
        if key is not None:
            given["X-API-Key"] = key or self.key
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            given.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port if admin else self.port, timeout=timeout_s)
        try:
            connection.request(method, path, body, given)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.ask("POST", path, body, **options)

    def form(self, path, text, **options):
        return self.post(path, text, headers={"Content-Type": "application/x-www-form-urlencoded"}, **options)

    def assert_problem(self, answer, status, code, *words):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json", answer)
        problem = answer.json()
        self.assertEqual(problem["status"], status)
        self.assertEqual(problem["code"], code, answer)
        self.assertRegex(problem["trace_id"], r"^[0-9a-f]{32}$")
        self.assertEqual(problem["trace_id"], answer.headers["traceparent"].split("-")[1])
        for word in words:
            self.assertIn(word, problem["detail"])
        return problem

    def queued(self):
        return int(self.sql("SELECT count(*) FROM ops.execution_log"))


class Health(ApiCase):
    def test_three_paths_say_that_the_service_is_healthy(self):
        for path in ("/", "/health", "/healthz"):
            answer = self.get(path, key=None)
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(answer.json()["status"], "healthy")
            self.assertRegex(answer.json()["version"], r"^\d+\.\d+\.\d+$")

    def test_head_answers_like_get_without_a_body(self):
        answer = self.ask("HEAD", "/health", key=None)
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.headers["Content-Length"], str(len(self.get("/health", key=None).body)))

    def test_the_admin_listener_tells_life_from_readiness(self):
        self.assertEqual(self.get("/livez", key=None, admin=True).body, b"ok\n")
        self.assertEqual(self.get("/readyz", key=None, admin=True).body, b"ok\n")
        self.assert_problem(self.get("/v1/loads", admin=True), 404, "unknown_path")
        self.assert_problem(self.get("/metrics"), 404, "unknown_path")

    def test_an_unknown_path_is_404_and_a_wrong_method_405_with_allow(self):
        self.assert_problem(self.get("/nope", key=None), 404, "unknown_path", "/openapi.json")
        answer = self.get("/load-incidents/")
        self.assert_problem(answer, 405, "method_not_allowed", "POST")
        self.assertEqual(answer.headers["Allow"], "POST, OPTIONS")
        answer = self.ask("DELETE", "/v1/executions")
        self.assert_problem(answer, 405, "method_not_allowed")
        self.assertEqual(answer.headers["Allow"], "GET, HEAD, OPTIONS")

    def test_options_lists_the_methods(self):
        answer = self.ask("OPTIONS", "/v1/executions", key=None)
        self.assertEqual((answer.status, answer.headers["Allow"]), (204, "GET, HEAD, OPTIONS"))
        self.assertIsNone(answer.headers["Access-Control-Allow-Origin"])

    def test_paths_must_be_good_utf8(self):
        for path in ("/v1/executions/%ff", "/v1/executions/%0", "/v1/executions/%00", "/v1/executions/%zz"):
            self.assert_problem(self.get(path), 400, "bad_encoding")

    def test_openapi_describes_every_route_and_is_the_same_on_the_command_line(self):
        answer = self.get("/openapi.json", key=None)
        document = answer.json()
        self.assertEqual(document["openapi"], "3.1.0")
        self.assertEqual(self.command("openapi").stdout.encode(), answer.body)
        self.assertLessEqual({"/", "/health", "/healthz", "/openapi.json", "/load-{load}/", "/v1/loads/{load}", "/v1/loads",
                              "/v1/executions", "/v1/executions/{id}", "/v1/executions/{id}/cancel"},
                             set(document["paths"]))
        trigger = document["paths"]["/v1/loads/{load}"]["post"]
        self.assertEqual(trigger["security"], [{scheme: ["dash.admin"]} for scheme in ("apiKey", "bearer", "azureDevOps")])
        self.assertLessEqual({"load", "from", "to", "mode", "source", "task"}, {p["name"] for p in trigger["parameters"]})
        operations = [op["operationId"] for path in document["paths"].values() for op in path.values()]
        self.assertEqual(len(operations), len(set(operations)))
        for name in re.findall(r'#/components/schemas/(\w+)', answer.body.decode()):
            self.assertIn(name, document["components"]["schemas"])
        again = self.get("/openapi.json", key=None, headers={"If-None-Match": answer.headers["ETag"]})
        self.assertEqual((again.status, again.body), (304, b""))


class Traces(ApiCase):
    def test_a_traceparent_is_continued_and_lands_in_the_run_log(self):
        answer = self.post("/load-incidents/", headers={"traceparent": TRACE, "X-Request-Id": "req-17"})
        version, trace, span, flags = answer.headers["traceparent"].split("-")
        self.assertEqual((version, trace, flags), ("00", TRACE.split("-")[1], "01"))
        self.assertNotEqual(span, TRACE.split("-")[2])
        self.assertEqual(answer.headers["X-Request-Id"], "req-17")
        self.assertEqual(self.rows("SELECT trace_id, requested_by, trigger FROM ops.execution_log"), [(trace, "key:tests", "api")])
        self.assertIn(trace, self.program.err())

    def test_a_bad_traceparent_starts_a_new_trace(self):
        for bad in ("00-" + "0" * 32 + "-b7ad6b7169203331-01", "nonsense", TRACE.upper(), "ff" + TRACE[2:], TRACE + "-x"):
            trace = self.get("/health", key=None, headers={"traceparent": bad}).headers["traceparent"]
            self.assertRegex(trace, r"^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$")
            self.assertNotIn(trace.split("-")[1], bad.lower())

    def test_a_request_id_that_cannot_be_echoed_is_not(self):
        self.assertIsNone(self.get("/health", key=None, headers={"X-Request-Id": "a b"}).headers["X-Request-Id"])
        self.assertIsNone(self.get("/health", key=None, headers={"X-Request-Id": "x" * 129}).headers["X-Request-Id"])


class Keys(ApiCase):
    def test_a_missing_or_wrong_key_is_401_with_a_challenge(self):
        good = self.key
        for headers in ({}, {"X-API-Key": "foz_short"}, {"X-API-Key": good[:-1] + ("A" if good[-1] != "A" else "B")},
                        {"X-API-Key": ""}, {"Authorization": "Bearer abc"}, {"Authorization": "Basic Zm9vOmJhcg=="},
                        {"X-API-Key": good, "Authorization": "Bearer abc"}):
            answer = self.post("/load-incidents/", key=None, headers=headers)
            self.assert_problem(answer, 401, "unauthorized")
            self.assertIn("ApiKey", answer.headers["WWW-Authenticate"])
        self.assertEqual(self.queued(), 0)

    def test_a_key_without_the_scope_is_403_and_names_the_scope(self):
        reader = self.create_key("reader", ["dash.read"])
        observer = self.create_key("observer", ["dash.observability"])
        self.assert_problem(self.post("/load-incidents/", key=reader), 403, "scope_missing", "dash.admin")
        self.assert_problem(self.post("/v1/loads/incidents", key=observer), 403, "scope_missing", "dash.admin")
        self.assert_problem(self.post("/v1/executions/1/cancel", key=observer), 403, "scope_missing", "dash.admin")
        self.assert_problem(self.get("/v1/executions", key=reader), 403, "scope_missing", "dash.observability")
        self.assertEqual(self.get("/v1/executions", key=observer).status, 200)
        self.assertEqual(self.queued(), 0)

    def test_only_the_digest_is_stored_and_the_key_is_nowhere_in_the_log(self):
        key = self.create_key("digest", ["dash.read"])
        self.assertRegex(key, r"^foz_[A-Za-z0-9_-]{40}$")
        stored = self.rows("SELECT encode(key_hash, 'hex') = encode(sha256('%s'), 'hex') FROM ops.api_key "
                           "WHERE name = 'digest'" % key)
        self.assertEqual(stored, [("t",)])
        self.assertEqual(self.sql("SELECT count(*) FROM ops.api_key k WHERE k::text LIKE '%" + key[4:] + "%'"), "0")
        self.get("/v1/executions", key=key)
        self.assertNotIn(key[4:], self.program.err())

    def test_a_revoked_key_is_refused_within_ten_seconds(self):
        key = self.create_key("leaver", ALL_SCOPES)
        self.assertEqual(self.get("/v1/executions", key=key).status, 200)
        self.assertEqual(self.command("key", "revoke", "leaver").returncode, 0)
        started = time.monotonic()
        foz.wait_until(lambda: self.get("/v1/executions", key=key).status == 401, "the key is refused", 10)
        self.assertLess(time.monotonic() - started, 10)
        listed = json.loads(self.command("key", "list", "--json").stdout)
        self.assertIsNotNone(next(row for row in listed if row["name"] == "leaver")["revoked_at"])

    def test_the_use_of_a_key_is_noted(self):
        key = self.create_key("used", ["dash.observability"])
        self.get("/v1/executions", key=key)
        self.assertEqual(self.sql("SELECT last_used_at > now() - interval '1 minute' FROM ops.api_key WHERE name = 'used'"), "t")

    def test_key_commands_refuse_bad_arguments(self):
        for arguments, word in ((["key"], "create"), (["key", "frobnicate"], "frobnicate"), (["key", "create", "x"], "--scope"),
                                (["key", "create", "x", "--scope", "dash.everything"], "dash.everything"),
                                (["key", "create", "a b", "--scope", "dash.read"], "a b"),
                                (["key", "create", "anonymous", "--scope", "dash.read"], "anonymous"),
                                (["key", "create", "x", "--scope", "dash.read", "--per-minute", "0"], "per-minute"),
                                (["key", "create", "x", "y", "--scope", "dash.read"], "y"),
                                (["key", "create", "tests", "--scope", "dash.read"], "tests"),
                                (["key", "revoke", "nobody"], "nobody"), (["key", "list", "extra"], "list"),
                                (["serve", "now"], "now"), (["frobnicate"], "frobnicate"), (["--frobnicate"], "frobnicate")):
            done = self.command(*arguments)
            self.assertEqual(done.returncode, foz.USAGE, (arguments, done))
            self.assertIn(word, done.stderr)
            self.assertEqual(done.stdout, "")

    def test_commands_tell_configuration_from_database_faults(self):
        missing = self.command("key", "list", config="/nonexistent/foz.yaml")
        self.assertEqual(missing.returncode, foz.CONFIGURATION, missing)
        away = os.path.join(self.folder, "away.yaml")
        with open(away, "w", encoding="utf-8") as out:
            out.write("database: {url: 'postgresql://127.0.0.1:1/foz'}\nsources: {}\n")
        done = self.command("key", "list", config=away)
        self.assertEqual(done.returncode, foz.UNREACHABLE, done)
        empty = os.path.join(self.folder, "empty.yaml")
        with open(empty, "w", encoding="utf-8") as out:
            json.dump({"database": {"url": self.cluster.createdb()}, "sources": {}}, out)
        done = self.command("key", "list", config=empty)
        self.assertEqual(done.returncode, foz.CONFIGURATION, done)
        self.assertIn("foz-worker migrate", done.stderr)

    def test_help_and_version_need_no_configuration(self):
        for option in ("--help", "--version"):
            done = subprocess.run([foz.API, option], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("foz-api", done.stdout)


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

    def test_wait_gives_up_after_its_time_and_answers_202(self):
        started = time.monotonic()
        answer = self.post("/v1/loads/incidents", headers={"Prefer": "wait=1"})
        self.assertGreaterEqual(time.monotonic() - started, 1)
        self.assertEqual((answer.status, answer.headers["Preference-Applied"]), (202, "wait=1"), answer)
        self.assertEqual(answer.json()["status"], "accepted")

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


class Executions(ApiCase):
    def fill(self, count=7):
        self.sql("INSERT INTO ops.execution_log (load, mode, trigger, status, queued_at, error_message, requested_by) "
                 "SELECT CASE WHEN i %% 2 = 0 THEN 'incidents' ELSE 'configurations' END, 'full', 'cli', "
                 "CASE WHEN i %% 3 = 0 THEN 'error' ELSE 'success' END, timestamptz '2026-01-01 00:00:00Z' + i * interval '1 hour', "
                 "CASE WHEN i %% 3 = 0 THEN E'said \"no\",\\nthen left' END, 'someone' FROM generate_series(1, %d) i;"
                 "INSERT INTO ops.execution_task (execution_id, source, task, status, records_expected, fields_unreadable) "
                 "VALUES (2, 'snow', 'incident', 'success', 12, '{secret_field}'), (2, 'snow', 'incident_sla', 'partial', NULL, NULL)"
                 % count)

    def ids(self, path):
        answer = self.get(path)
        self.assertEqual(answer.status, 200, answer)
        return [row["id"] for row in answer.json()["data"]]

    def test_the_list_is_newest_first_with_page_and_meta(self):
        self.fill()
        answer = self.get("/v1/executions")
        body = answer.json()
        self.assertEqual([row["id"] for row in body["data"]], [7, 6, 5, 4, 3, 2, 1])
        self.assertEqual(body["page"], {"limit": 100, "next_cursor": None, "has_more": False})
        self.assertEqual(set(body["meta"]), {"as_of", "version", "lag_seconds", "fresh"})
        self.assertEqual(body["data"][0]["queued_at"], "2026-01-01T07:00:00Z")
        self.assertEqual(answer.headers["Cache-Control"], "private, max-age=0")
        self.assertIsNone(answer.headers["Link"])

    def test_filters_choose_rows(self):
        self.fill()
        self.assertEqual(self.ids("/v1/executions?load=incidents"), [6, 4, 2])
        self.assertEqual(self.ids("/v1/executions?status=error"), [6, 3])
        self.assertEqual(self.ids("/v1/executions?source=snow"), [2])
        self.assertEqual(self.ids("/v1/executions?since=2026-01-01T06:00:00Z"), [7, 6])
        self.assertEqual(self.ids("/v1/executions?since=2026-01-01T07:00:00%2B01:00&load=incidents"), [6])
        self.assertEqual(self.ids("/v1/executions?load=incidents&status=success"), [4, 2])

    def test_bad_filters_are_named(self):
        for query, parameter in (("load=incident", "load"), ("status=done", "status"), ("since=then", "since"),
                                 ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("limit=", "limit"),
                                 ("format=xml", "format"), ("cursor=abc", "cursor"), ("page=2", "page"),
                                 ("limit=1&limit=2", "limit")):
            answer = self.get("/v1/executions?" + query)
            self.assertEqual((answer.status, answer.json().get("parameter")), (400, parameter), (query, answer))

    def test_cursors_walk_every_row_once_while_rows_arrive(self):
        self.fill(25)
        seen, path = [], "/v1/executions?load=incidents&limit=5"
        while path:
            answer = self.get(path)
            self.assertEqual(answer.status, 200, answer)
            seen += [row["id"] for row in answer.json()["data"]]
            self.sql("INSERT INTO ops.execution_log (load, mode, trigger) VALUES ('incidents', 'full', 'cli')")
            link = answer.headers["Link"]
            cursor = answer.json()["page"]["next_cursor"]
            self.assertEqual(link is not None, cursor is not None)
            path = re.fullmatch(r'<(\S+)>; rel="next"', link)[1] if link else None
            if path:
                self.assertIn("cursor=" + cursor, path)
        self.assertEqual(seen, list(range(24, 0, -2)))

    def test_an_altered_or_foreign_cursor_is_refused(self):
        self.fill()
        cursor = self.get("/v1/executions?limit=2").json()["page"]["next_cursor"]
        self.assertEqual(self.ids("/v1/executions?limit=3&cursor=" + cursor), [5, 4, 3])
        for position in range(len(cursor)):
            altered = cursor[:position] + ("A" if cursor[position] != "A" else "B") + cursor[position + 1:]
            self.assert_problem(self.get("/v1/executions?limit=2&cursor=" + altered), 400, "invalid_cursor")
        for text in (cursor[:-1], cursor + "A", "%20" + cursor, "A" * 5000):
            self.assert_problem(self.get("/v1/executions?cursor=" + text), 400, "invalid_cursor")
        self.assert_problem(self.get("/v1/executions?load=incidents&cursor=" + cursor), 400, "invalid_cursor", "filters")

    def test_csv_and_ndjson_by_format_or_accept(self):
        self.fill()
        for options in ({"path": "/v1/executions?format=csv"}, {"path": "/v1/executions", "headers": {"Accept": "text/csv"}},
                        {"path": "/v1/executions", "headers": {"Accept": "application/json;q=0.2, text/*;q=0.8"}}):
            answer = self.get(**options)
            self.assertEqual(answer.headers["Content-Type"], "text/csv; charset=utf-8", answer)
            table = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
            self.assertEqual([row["id"] for row in table], ["7", "6", "5", "4", "3", "2", "1"])
            self.assertEqual(table[1]["error_message"], 'said "no",\nthen left')
            self.assertEqual(table[0]["error_message"], "")
        answer = self.get("/v1/executions?limit=3", headers={"Accept": "application/x-ndjson"})
        self.assertEqual(answer.headers["Content-Type"], "application/x-ndjson")
        self.assertEqual([json.loads(line)["id"] for line in answer.body.splitlines()], [7, 6, 5])
        self.assertIn('rel="next"', answer.headers["Link"])
        self.assert_problem(self.get("/v1/executions", headers={"Accept": "text/html"}), 406, "not_acceptable", "text/csv")
        self.assertEqual(self.get("/v1/executions", headers={"Accept": "text/html, */*;q=0.1"}).headers["Content-Type"],
                         "application/json")

    def test_an_etag_answers_304_until_something_changes(self):
        self.fill()
        for path in ("/v1/executions", "/v1/executions?format=csv", "/v1/executions/2", "/v1/loads"):
            first = self.get(path)
            etag = first.headers["ETag"]
            for given in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
                again = self.get(path, headers={"If-None-Match": given})
                self.assertEqual((again.status, again.body, again.headers["ETag"]), (304, b"", etag), path)
            self.assertEqual(self.get(path, headers={"If-None-Match": '"other"'}).status, 200)
        etags = [self.get(path).headers["ETag"] for path in ("/v1/executions", "/v1/executions/2", "/v1/loads")]
        self.sql("UPDATE ops.execution_log SET records_read = 5 WHERE id = 2;"
                 "INSERT INTO ops.projection_version VALUES ('snow', 'incident', 41, now(), now())")
        changed = [self.get(path).headers["ETag"] for path in ("/v1/executions", "/v1/executions/2", "/v1/loads")]
        for before, after in zip(etags, changed):
            self.assertNotEqual(before, after)
        self.assertEqual(self.get("/v1/executions").json()["meta"]["version"], 41)

    def test_one_execution_comes_with_its_tasks(self):
        self.fill()
        body = self.get("/v1/executions/2").json()
        self.assertEqual((body["data"]["id"], body["data"]["load"]), (2, "incidents"))
        self.assertEqual([(task["task"], task["status"], task["records_expected"], task["fields_unreadable"])
                          for task in body["data"]["tasks"]],
                         [("incident", "success", 12, ["secret_field"]), ("incident_sla", "partial", None, None)])
        self.assert_problem(self.get("/v1/executions/99"), 404, "unknown_execution", "99")
        for bad in ("x", "0", "-1", "1.5", "99999999999999999999"):
            self.assert_problem(self.get("/v1/executions/" + bad), 400, "invalid_parameter", bad)

    def test_cancel_ends_a_queued_and_asks_a_running_execution(self):
        self.post("/load-incidents/")
        answer = self.post("/v1/executions/1/cancel")
        self.assertEqual((answer.status, answer.json()["status"]), (200, "cancelled"), answer)
        self.assertEqual(self.sql("SELECT status FROM ops.execution_log"), "cancelled")
        self.assert_problem(self.post("/v1/executions/1/cancel"), 409, "execution_finished")
        self.sql("INSERT INTO ops.execution_log (load, mode, trigger, status) VALUES ('incidents', 'full', 'cli', 'running')")
        answer = self.post("/v1/executions/2/cancel")
        self.assertEqual((answer.status, answer.json()["status"]), (202, "cancelling"), answer)
        self.assertEqual(self.rows("SELECT status, cancel_requested_by FROM ops.execution_log WHERE id = 2"), [("running", "key:tests")])
        self.assert_problem(self.post("/v1/executions/77/cancel"), 404, "unknown_execution")
        self.assert_problem(self.post("/v1/executions/x/cancel"), 400, "invalid_parameter")
        self.assert_problem(self.post("/v1/executions/1/cancel?force=true"), 400, "unknown_parameter")

    def test_loads_tell_tasks_and_freshness(self):
        self.sql("INSERT INTO ops.projection_version VALUES ('snow', 'incident', 7, now() - interval '1 hour', now() - interval '10 seconds'),"
                 " ('snow', 'incident_sla', 8, now() - interval '1 hour', now() - interval '20 minutes')")
        body = self.get("/v1/loads").json()
        incidents = next(load for load in body["data"] if load["load"] == "incidents")
        self.assertEqual([task["task"] for task in incidents["tasks"]],
                         ["incident", "incident_sla", "incident_task", "task_time_worked"])
        self.assertEqual(next(load for load in body["data"] if load["load"] == "configurations")["parallel"], 3)
        tasks = {task["task"]: task for task in incidents["tasks"]}
        self.assertTrue(tasks["incident"]["fresh"])
        self.assertIn(tasks["incident"]["lag_seconds"], range(9, 60))
        self.assertFalse(tasks["incident_sla"]["fresh"])
        self.assertEqual((tasks["incident_task"]["lag_seconds"], tasks["incident_task"]["fresh"]), (None, False))
        self.assertEqual(body["meta"]["version"], 8)
        self.assertFalse(body["meta"]["fresh"])

    def test_metrics_show_http_process_and_run_log(self):
        self.fill()
        self.sql("INSERT INTO ops.execution_log (load, mode, trigger) VALUES ('incidents', 'full', 'cli');"
                 "INSERT INTO ops.dead_letter (execution_id, source, task, record_key, reason) VALUES (1, 'snow', 'incident', 'k', 'r');"
                 "INSERT INTO ops.projection_version VALUES ('snow', 'incident', 7, now(), now() - interval '100 seconds')")
        self.get("/v1/executions")
        answer = self.get("/metrics", key=None, admin=True)
        self.assertEqual(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        samples, types = {}, {}
        for line in answer.body.decode().splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.assertNotIn(name, types)
                types[name] = kind
            elif not line.startswith("#"):
                found = re.fullmatch(r'([a-z_]+)(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? (\S+)', line)
                self.assertIsNotNone(found, line)
                self.assertIn(re.sub("_(bucket|sum|count)$", "", found[1]) if found[1] not in types else found[1], types)
                samples[found[1] + (found[2] or "")] = float(found[4])
        self.assertEqual(samples["foz_database_up"], 1)
        self.assertEqual(samples["foz_queue_length"], 1)
        self.assertEqual(samples['foz_executions{load="incidents",status="success"}'], 2)
        self.assertEqual(samples['foz_dead_letters{source="snow",task="incident"}'], 1)
        self.assertEqual(samples['foz_task_fresh{source="snow",task="incident"}'], 1)
        self.assertGreaterEqual(samples['foz_task_lag_seconds{source="snow",task="incident"}'], 100)
        self.assertGreaterEqual(samples['foz_http_requests_total{route="/v1/executions",status="200"}'], 1)
        self.assertGreater(samples["process_resident_memory_bytes"], 1e6)
        self.assertAlmostEqual(samples["process_start_time_seconds"], time.time(), delta=3600)


class Cors(ApiCase):
    api_config = {**ApiCase.api_config, "cors": {"origins": ["https://dash.example.com"]}}

    def test_a_configured_origin_may_read_and_another_may_not(self):
        answer = self.get("/v1/executions", headers={"Origin": "https://dash.example.com"})
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "https://dash.example.com")
        self.assertIn("Origin", answer.headers.get_all("Vary"))
        self.assertIn("ETag", answer.headers["Access-Control-Expose-Headers"])
        answer = self.get("/v1/executions", headers={"Origin": "https://evil.example.com"})
        self.assertIsNone(answer.headers["Access-Control-Allow-Origin"])

    def test_a_preflight_is_answered_without_credentials(self):
        answer = self.ask("OPTIONS", "/v1/executions", key=None, headers={
            "Origin": "https://dash.example.com", "Access-Control-Request-Method": "GET"})
        self.assertEqual(answer.status, 204)
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "https://dash.example.com")
        self.assertIn("GET", answer.headers["Access-Control-Allow-Methods"])
        self.assertIn("X-API-Key", answer.headers["Access-Control-Allow-Headers"])


class Rates(ApiCase):
    api_config = {"rate_limit": {"per_minute": 60, "burst": 5}}

    def test_each_principal_has_its_own_bucket(self):
        one, two = self.create_key("one", ALL_SCOPES), self.create_key("two", ALL_SCOPES)
        answers = [self.get("/v1/executions", key=one) for _ in range(8)]
        self.assertEqual([answer.status for answer in answers[:5]], [200] * 5)
        refused = [answer for answer in answers if answer.status == 429]
        self.assertGreaterEqual(len(refused), 2)
        self.assert_problem(refused[0], 429, "rate_limited", "one")
        self.assertIn(int(refused[0].headers["Retry-After"]), (1, 2))
        self.assertIn("q=60", refused[0].headers["RateLimit-Policy"])
        self.assertIn("r=0", refused[0].headers["RateLimit"])
        self.assertIn("r=4", answers[0].headers["RateLimit"])
        self.assertEqual(self.get("/v1/executions", key=two).status, 200)
        self.assertEqual(self.get("/health", key=None).status, 200)

    def test_a_key_may_have_its_own_limit(self):
        fast = self.create_key("fast", ALL_SCOPES, "--per-minute", "6000")
        self.assertIn("q=6000", self.get("/v1/executions", key=fast).headers["RateLimit-Policy"])


class Anonymous(ApiCase):
    api_config = {**ApiCase.api_config, "auth": {"enabled": False}}

    def test_local_requests_need_no_key_and_are_logged_as_anonymous(self):
        self.assertEqual(self.post("/load-incidents/", key=None).status, 200)
        self.assertEqual(self.sql("SELECT requested_by FROM ops.execution_log"), "anonymous")

    def test_pages_of_other_origins_and_other_host_names_are_refused(self):
        for headers in ({"Origin": "https://evil.example.com"}, {"Origin": "null"}, {"Host": "evil.example.com:8080"},
                        {"Host": "127.evil.example.com"}):
            self.assert_problem(self.post("/load-incidents/", key=None, headers=headers), 403, "origin_refused")
        own = {"Origin": f"http://127.0.0.1:{self.port}"}
        self.assertEqual(self.post("/load-incidents/", key=None, headers=own).status, 200)

    def test_it_is_refused_on_an_address_others_can_reach(self):
        path = os.path.join(self.folder, "open.yaml")
        with open(self.config_path, encoding="utf-8") as file:
            config = json.load(file)
        config["api"]["listen"] = "0.0.0.0:0"
        with open(path, "w", encoding="utf-8") as out:
            json.dump(config, out)
        done = self.command("serve", config=path)
        self.assertEqual(done.returncode, foz.CONFIGURATION, done)
        self.assertIn("0.0.0.0", done.stderr)


class Schema(ApiCase):
    def test_a_database_without_or_with_an_older_schema_names_the_cure(self):
        url = self.cluster.createdb()
        self.stop_service()
        self.write_config(database=url)
        self.start_service()
        try:
            for path in ("/health", "/v1/loads"):
                self.assert_problem(self.get(path), 503, "schema_mismatch", "foz-worker migrate")
            self.assert_problem(self.post("/load-incidents/"), 503, "schema_mismatch", "foz-worker migrate")
            self.assert_problem(self.get("/readyz", key=None, admin=True), 503, "schema_mismatch", "foz-worker migrate")
            self.assertEqual(self.get("/livez", key=None, admin=True).status, 200)
            self.assertIn(b"foz_database_up 0", self.get("/metrics", key=None, admin=True).body)
            self.migrate(url)
            postgres.psql(url, "UPDATE ops.migration SET version = version - 1000")
            self.assert_problem(self.get("/health"), 503, "schema_mismatch", "has version", "foz-worker migrate")
            postgres.psql(url, "UPDATE ops.migration SET version = version + 1000")
            self.assertEqual(self.get("/health").status, 200)
            postgres.psql(url, "DROP SCHEMA ops CASCADE")
            self.assert_problem(self.get("/v1/executions"), 503, "schema_mismatch", "foz-worker migrate")
        finally:
            self.stop_service()
            self.write_config()
            self.start_service()


if __name__ == "__main__":
    unittest.main()
