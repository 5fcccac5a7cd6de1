"""The routes of foz-api that need no run: health, description, traces, other origins, the schema's version."""

import re
import unittest

import postgres
from api_case import ApiCase

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Health(ApiCase):
    def test_three_paths_say_that_the_service_is_healthy(self):
        for path in ("/", "/health", "/healthz"):
            answer = self.get(path, key=None)
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(answer.json()["status"], "healthy")
            self.assertRegex(answer.json()["version"], r"^\d+\.\d+\.\d+$")

    def test_health_has_an_etag_like_every_get(self):
        for path in ("/", "/health", "/healthz"):
            tag = self.get(path, key=None).headers["ETag"]
            self.assertEqual(self.get(path, key=None, headers={"If-None-Match": tag}).status, 304)

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
        for bad in (b"x" * 257, b"\xff", b"\xc3", b""):
            answer = self.get("/health", key=None, headers={"X-Request-Id": bad})
            self.assertEqual((answer.status, answer.headers["X-Request-Id"]), (200, None), bad)
        for bad in (b"a\x1b[2J", b"a\x00b", b"a\x7f"):
            self.assertEqual(self.get("/health", key=None, headers={"X-Request-Id": bad}).status, 400, bad)

    def test_every_request_id_that_can_stand_in_a_header_is_echoed(self):
        for good in ("req-17", "a b  c", "a\tb", 'x"; y=<z>, 1', "São João \u3042", "x" * 256):
            for path in ("/health", "/openapi.json"):
                answer = self.get(path, key=None, headers={"X-Request-Id": good.encode()})
                self.assertEqual(answer.headers["X-Request-Id"].encode("latin-1").decode(), good, path)


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
