"""Bad parameters of every route, the state of the system, the document and the page that shows it."""

import json
import os
import re
import shutil
import subprocess
import unittest
import urllib.parse

import foz
import query
import reading

ROUTES = ("/v1/tickets", "/v1/tickets/overview", "/v1/tickets/metrics", "/v1/tickets/{id}", "/v1/tickets/{id}/timeline",
          "/v1/technicians/ranking", "/v1/technicians/{id}/productivity", "/v1/sla/breaches", "/v1/system/health", "/v1/system/usage",
          "/v1/executions", "/v1/loads")
NASTY = ("'", "''", "'; DROP TABLE core.ticket; --", '"', "\\", "$1", "%", "_", "{a,b}", "{", "NULL", "null", "1) OR (1=1", "/*", "--", "*",
         "a\nb", "\t", "\u00e7", "\U0001f525", "\u202e", "x" * 3000, "-1", "0", "1e9", "0x1", "NaN", "infinity", "true", "[]", "()", "../..")


class Parameters(reading.ReadingCase):
    n_tickets = 30

    def test_unknown_parameters_are_named_with_the_nearest(self):
        for path, bad, nearest in (("/v1/tickets", "stauts", "status"), ("/v1/tickets", "open_from", "opened_from"),
                                   ("/v1/tickets/overview", "prio", None), ("/v1/tickets/overview", "sources", "source"),
                                   ("/v1/tickets/metrics", "groupby", "group_by"), ("/v1/technicians/ranking", "metrics", "metric"),
                                   ("/v1/sla/breaches", "timewindow", "timeWindow"), ("/v1/tickets/snow:1", "x", None),
                                   ("/v1/system/health", "limit", None), ("/v1/technicians/x/productivity", "perod", "period")):
            problem = self.assert_problem(self.get(f"{path}?{bad}=1"), 400, "unknown_parameter", bad)
            self.assertEqual(problem["parameter"], bad)
            if nearest:
                self.assertIn(f'did you mean "{nearest}"', problem["detail"])

    def test_bad_values_are_named_with_what_is_right(self):
        for path, parameter, bad, word in (
                ("/v1/tickets", "limit", "0", "1 to 1000"), ("/v1/tickets", "limit", "1001", "1 to 1000"),
                ("/v1/tickets", "limit", "9" * 30, "1 to 1000"), ("/v1/tickets", "limit", "1.5", "1 to 1000"),
                ("/v1/tickets", "limit", "", "empty"), ("/v1/tickets", "status", "opn", "new"), ("/v1/tickets", "status", "new,opn", "opn"),
                ("/v1/tickets", "status", "new,", "empty"), ("/v1/tickets", "priority", "6", "unknown"), ("/v1/tickets", "priority", "1;2", "1"),
                ("/v1/tickets", "opened_from", "yesterday", "2026-01-31"), ("/v1/tickets", "opened_to", "2026-02-30", "2026-01-31"),
                ("/v1/tickets", "updated_since", "2026-01-01T25:00:00Z", "2026-01-31"), ("/v1/tickets", "format", "xml", "csv"),
                ("/v1/tickets", "opened_from", "0000-01-01", "2026-01-31"), ("/v1/tickets", "opened_from", "10000-01-01", "2026-01-31"),
                ("/v1/tickets", "include_deleted", "maybe", "true"), ("/v1/tickets/metrics", "group_by", "team", "queue"),
                ("/v1/technicians/ranking", "metric", "speed", "handled"), ("/v1/technicians/ranking", "period", "30", "7d"),
                ("/v1/technicians/ranking", "period", "-3d", "7d"), ("/v1/technicians/ranking", "period", "999999d", "7d"),
                ("/v1/technicians/x/productivity", "period", "1y", "7d"), ("/v1/sla/breaches", "severity", "hgih", "high"),
                ("/v1/sla/breaches", "timeWindow", "d", "7d")):
            answer = self.get(f"{path}?{urllib.parse.urlencode({parameter: bad})}")
            problem = self.assert_problem(answer, 400, "invalid_parameter", word)
            self.assertEqual(problem["parameter"], parameter, answer)
        for path in ("/v1/technicians/ranking?period=3d&from=2026-01-01", "/v1/sla/breaches?timeWindow=3d&to=2026-01-01",
                     "/v1/tickets?limit=5&limit=6", "/v1/tickets?q=a&q=b"):
            self.assert_problem(self.get(path), 400, "conflicting_parameter")
        for path in ("/v1/tickets?opened_from=2026-02-01&opened_to=2026-01-01", "/v1/tickets/metrics?from=2026-01-01&to=2026-01-01",
                     "/v1/technicians/ranking?from=2026-02-01&to=2026-01-01", "/v1/sla/breaches?from=2090-01-01"):
            self.assert_problem(self.get(path), 400, "invalid_parameter", "before")

    def test_extreme_times_are_understood(self):
        for path in ("/v1/tickets?opened_from=0001-01-01&opened_to=9999-12-31", "/v1/technicians/ranking?from=0001-01-01&to=9999-12-31",
                     "/v1/sla/breaches?from=0001-01-01&to=9999-12-31T23:59:59.999999Z", "/v1/technicians/ranking?to=0001-01-02",
                     f"/v1/technicians/{self.desk.technicians[0].technician_id}/productivity?from=0001-01-01&to=9999-12-31"):
            self.read(path)

    def test_nothing_a_parameter_says_is_ever_run(self):
        """Every text in every parameter of every route: good, empty or refused, and the tickets are still there."""
        rows = self.sql("SELECT count(*) FROM core.ticket")
        document = json.loads(self.command("openapi").stdout)
        for route in ROUTES:
            names = [p["name"] for p in document["paths"][route]["get"].get("parameters", []) if p["in"] == "query"]
            for text in NASTY:
                path = route.replace("{id}", urllib.parse.quote(text, safe=""))
                for name in names or [None]:
                    target = path + ("?" + urllib.parse.urlencode({name: text}) if name else "")
                    answer = self.get(target)
                    self.assertIn(answer.status, (200, 400, 404), (target, answer))
                    self.document.check_answer(target, answer) if answer.status != 404 or "{" in route else None
        self.assertEqual(self.sql("SELECT count(*) FROM core.ticket"), rows)
        self.assertNotIn('"sqlstate":"42', self.program.err())
        self.assertNotIn('"sqlstate":"22', self.program.err())

    def test_every_read_route_wants_its_scope(self):
        reader = self.create_key("only-read", ["dash.read"])
        observer = self.create_key("only-observe", ["dash.observability"])
        for route in ROUTES:
            path = route.replace("{id}", "x")
            wants_read = "/system/" not in route and "/executions" not in route and "/loads" not in route
            good, bad = (reader, observer) if wants_read else (observer, reader)
            self.assertIn(self.get(path, key=good).status, (200, 400, 404), path)
            self.assert_problem(self.get(path, key=bad), 403, "scope_missing")
            self.assert_problem(self.get(path, key=None), 401, "unauthorized")
            known = self.get(path, key=good).headers["ETag"] or "*"
            self.assert_problem(self.get(path, key=bad, headers={"If-None-Match": known}), 403, "scope_missing")

    def test_head_and_options(self):
        for path in ("/v1/tickets", "/v1/tickets/overview", "/docs"):
            full = self.get(path)
            head = self.ask("HEAD", path)
            self.assertEqual((head.status, head.body, head.headers["ETag"]), (200, b"", full.headers["ETag"]))
            self.assertEqual(self.ask("OPTIONS", path, key=None).headers["Allow"], "GET, HEAD, OPTIONS")
            self.assert_problem(self.post(path), 405, "method_not_allowed")


class State(reading.ReadingCase):
    n_tickets = 20

    def health(self):
        """As of now: what the run log says is kept for some seconds, a publish ends that."""
        def asked():
            return self.get("/v1/system/usage").json()["data"]["cache"]["misses"]
        self.read("/v1/tickets/overview")
        before = asked()
        self.sql("SELECT pg_notify('foz_projection', 'x')")
        foz.wait_until(lambda: self.read("/v1/tickets/overview") and asked() > before, "the word is heard", 10)
        return self.data("/v1/system/health")

    def everything_loaded(self):
        self.sql("INSERT INTO ops.projection_version SELECT 'snow', t, 1, now(), now() FROM unnest(ARRAY['incident', 'incident_sla']) t "
                 "ON CONFLICT (source, task) DO UPDATE SET checked_at = now()")

    def test_ok_degraded_and_stale(self):
        self.everything_loaded()
        data = self.health()
        self.assertEqual((data["status"], data["reasons"]), ("ok", []))
        self.assertEqual(data["queue"], {"queued": 0, "running": 0, "oldest_seconds": None})
        self.sql("INSERT INTO ops.dead_letter (execution_id, source, task, record_key, reason) VALUES (1, 'snow', 'incident', 'k', 'bad')")
        data = self.health()
        self.assertEqual((data["status"], data["dead_letters"]), ("degraded", {"open": 1, "by_task": [{"source": "snow", "task": "incident", "open": 1}]}))
        self.assertIn("dead-letters", " ".join(data["reasons"]))
        self.sql("UPDATE ops.dead_letter SET resolved_at = now()")
        self.assertEqual(self.health()["status"], "ok")
        self.sql("INSERT INTO ops.execution_log (load, mode, trigger, queued_at) VALUES ('incidents', 'full', 'api', now() - interval '2 min')")
        data = self.health()
        self.assertEqual((data["status"], data["queue"]["queued"]), ("degraded", 1))
        self.sql("UPDATE ops.execution_log SET status = 'error'; INSERT INTO ops.execution_task (execution_id, source, task, status, error_message) "
                 "VALUES (1, 'snow', 'incident', 'error', 'the source said no')")
        data = self.health()
        self.assertEqual((data["status"], data["reasons"]), ("degraded", ["snow.incident: error"]))
        task = next(t for t in data["tasks"] if t["task"] == "incident")
        self.assertEqual((task["last_status"], task["last_error"], task["fresh"]), ("error", "the source said no", True))
        self.sql("UPDATE ops.projection_version SET checked_at = now() - interval '301 s' WHERE task = 'incident'")
        data = self.health()
        self.assertEqual(data["status"], "stale")
        self.assertIn("snow.incident: older than 300 s", data["reasons"])
        source = next(s for s in data["sources"] if s["source"] == "snow")
        self.assertEqual((source["fresh"], source["lag_seconds"] >= 301), (False, True))
        self.sql("DELETE FROM ops.projection_version WHERE task = 'incident_sla'")
        self.assertIn("snow.incident_sla: was never loaded", self.health()["reasons"])

    def test_lists_of_names_do_not_make_the_answers_old(self):
        self.everything_loaded()
        self.sql("INSERT INTO ops.projection_version VALUES ('snow', 'sys_user', 1, now(), now() - interval '1 d')")
        data = self.health()
        self.assertEqual(data["status"], "ok")
        task = next(t for t in data["tasks"] if t["task"] == "sys_user")
        self.assertEqual((task["feeds_tickets"], task["fresh"]), (False, False))

    def test_asking_for_the_usage_alone_does_not_change_its_etag(self):
        key = self.create_key("watcher", ["dash.observability"])
        tag = self.get("/v1/system/usage", key=key).headers["ETag"]
        self.assertEqual(self.get("/v1/system/usage", key=key, headers={"If-None-Match": tag}).status, 304)
        self.get("/v1/system/health", key=key)
        self.assertEqual(self.get("/v1/system/usage", key=key, headers={"If-None-Match": tag}).status, 200)

    def test_usage_counts_by_route_caller_and_status(self):
        key = self.create_key("grafana", ["dash.read"])
        for _ in range(3):
            self.get("/v1/tickets?limit=2", key=key)
        self.get("/v1/tickets/none", key=key)
        self.get("/v1/system/health", key=key)
        self.get("/v1/tickets", key=None)
        self.get("/nowhere", key=None)
        rows = {(r["route"], r["principal"], r["status"]): r for r in self.data("/v1/system/usage")["requests"]}
        self.assertEqual(rows["/v1/tickets", "key:grafana", 200]["requests"], 3)
        self.assertEqual(rows["/v1/tickets/{id}", "key:grafana", 404]["requests"], 1)
        self.assertEqual(rows["/v1/system/health", "key:grafana", 403]["requests"], 1)
        self.assertGreaterEqual(rows["/v1/tickets", None, 401]["requests"], 1)
        self.assertGreaterEqual(rows[None, None, 404]["requests"], 1)
        self.assertGreater(rows["/v1/tickets", "key:grafana", 200]["bytes"], 100)


class Described(reading.ReadingCase):
    n_tickets = 5

    def test_every_route_is_described_and_nothing_else(self):
        paths = self.document.document["paths"]
        self.assertLessEqual(set(ROUTES), set(paths))
        for path, operations in paths.items():
            for method, operation in operations.items():
                self.assertTrue(operation["summary"], path)
                declared = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
                self.assertEqual(declared, set(re.findall(r"{(\w+)}", path)), path)
                for name in re.findall(r'#/components/schemas/(\w+)', json.dumps(operation)):
                    self.assertIn(name, self.document.document["components"]["schemas"])

    def test_no_schema_is_left_without_use(self):
        text = json.dumps(self.document.document)
        for name in self.document.document["components"]["schemas"]:
            self.assertIn(f'"#/components/schemas/{name}"', text)

    def test_a_public_validator_finds_the_document_valid(self):
        validator = shutil.which("openapi-spec-validator")
        if validator is None:
            self.skipTest("openapi-spec-validator is not installed (Debian has none; pip install openapi-spec-validator)")
        path = os.path.join(self.folder, "openapi.json")
        with open(path, "w", encoding="utf-8") as out:
            json.dump(self.document.document, out)
        done = subprocess.run([validator, path], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_schemas_are_valid_json_schema(self):
        try:
            import jsonschema
        except ImportError:
            self.skipTest("python3-jsonschema is not installed")
        schemas = self.document.document["components"]["schemas"]
        for name, schema in schemas.items():
            jsonschema.Draft202012Validator.check_schema(schema)
        for path, name in (("/v1/tickets", "Tickets"), ("/v1/tickets/overview", "OverviewAnswer"), ("/v1/system/health", "SystemHealthAnswer")):
            whole = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
            jsonschema.Draft202012Validator(whole).validate(self.get(path).json())

    def test_the_page_loads_only_its_own_parts(self):
        page = self.get("/docs", key=None)
        self.assertEqual((page.status, page.headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        policy = page.headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)
        text = page.body.decode()
        self.assertNotIn("//", re.sub(r"<!DOCTYPE html>", "", text))
        parts = re.findall(r'(?:src|href)="([^"]+)"', text)
        for part in parts:
            self.assertTrue(part.startswith("/"), part)
            answer = self.get(part, key=None)
            self.assertEqual(answer.status, 200, part)
            self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
            again = self.get(part, key=None, headers={"If-None-Match": answer.headers["ETag"]})
            self.assertEqual(again.status, 304)
        script = self.get("/docs/docs.js", key=None).body.decode()
        self.assertNotRegex(script, r"innerHTML|document\.write|eval\(|https?:")
        self.assertNotRegex(text, r"<script>|<style>|\bon\w+=")


class Cors(reading.ReadingCase):
    n_tickets = 5
    api_config = {**reading.ReadingCase.api_config, "cors": {"origins": ["https://dash.acme.com"]}}

    def test_answers_from_memory_are_told_apart_by_origin(self):
        for _ in range(2):  # from the database, then from memory
            good = self.read("/v1/tickets", headers={"Origin": "https://dash.acme.com"})
            self.assertEqual(good.headers["Access-Control-Allow-Origin"], "https://dash.acme.com")
            self.assertIn("ETag", good.headers["Access-Control-Expose-Headers"])
            self.assertIn("Link", good.headers["Access-Control-Expose-Headers"])
            self.assertIn("Foz-As-Of", good.headers["Access-Control-Expose-Headers"])
            bad = self.read("/v1/tickets", headers={"Origin": "https://evil.example"})
            self.assertIsNone(bad.headers["Access-Control-Allow-Origin"])
            for answer in (good, bad, self.read("/v1/tickets")):
                self.assertEqual(set(answer.headers.get_all("Vary")), {"Origin", "Accept"})
        again = self.get("/v1/tickets", headers={"Origin": "https://dash.acme.com", "If-None-Match": good.headers["ETag"]})
        self.assertEqual((again.status, again.headers["Access-Control-Allow-Origin"]), (304, "https://dash.acme.com"))
        self.assertIsNone(good.headers["Access-Control-Allow-Credentials"])

    def test_a_preflight_of_a_read_route(self):
        headers = {"Origin": "https://dash.acme.com", "Access-Control-Request-Method": "GET",
                   "Access-Control-Request-Headers": "x-api-key, if-none-match"}
        answer = self.ask("OPTIONS", f"/v1/tickets/{urllib.parse.quote(self.desk.tickets[0].ticket_id)}/timeline", key=None, headers=headers)
        self.assertEqual((answer.status, answer.headers["Access-Control-Allow-Origin"]), (204, "https://dash.acme.com"))
        self.assertIn("GET", answer.headers["Access-Control-Allow-Methods"])
        self.assertIn("X-API-Key", answer.headers["Access-Control-Allow-Headers"])


class Views(reading.ReadingCase):
    """Who reads the views sees what the routes say."""

    def test_views_and_routes_agree(self):
        data = self.data("/v1/tickets/overview")
        self.assertEqual(self.rows("SELECT sum(tickets), sum(tickets) FILTER (WHERE is_open) FROM api.overview"),
                         [(str(data["total"]), str(data["open"]))])
        metrics = {row["key"]: row for row in self.data("/v1/tickets/metrics?group_by=month")}
        for month, tickets, hours in self.rows("SELECT month, count(*), round(avg(resolution_hours), 4) FROM api.ticket_figure GROUP BY month"):
            self.assertEqual(metrics[month]["tickets"], int(tickets))
            if hours is None:
                self.assertIsNone(metrics[month]["mean_resolution_hours"])
            else:
                self.assertAlmostEqual(metrics[month]["mean_resolution_hours"], float(hours), places=3)
        for person in self.desk.technicians[:3]:
            handled = self.data(f"/v1/technicians/{person.technician_id}/productivity?from=2000-01-01&to=2100-01-01")["handled"]
            self.assertEqual(self.rows(f"SELECT coalesce(sum(resolved), 0) FROM api.technician_hour WHERE technician_id = '{person.technician_id}'"),
                             [(str(handled),)])
        self.assertEqual(len(self.walk("/v1/sla/breaches", {"from": "2000-01-01"})),
                         int(self.sql("SELECT count(*) FROM api.sla_breach WHERE breached_at IS NOT NULL AND breached_at < now()")))

    def test_every_view_and_function_is_explained(self):
        self.assertEqual(self.rows("SELECT relname FROM pg_class WHERE relnamespace = 'api'::regnamespace AND relkind = 'v' "
                                   "AND obj_description(oid, 'pg_class') IS NULL"), [])
        self.assertEqual(self.rows("SELECT proname FROM pg_proc WHERE pronamespace = 'api'::regnamespace "
                                   "AND obj_description(oid, 'pg_proc') IS NULL"), [])

    def test_the_reading_role_reads_every_view_and_the_service_needs_no_more_than_its_role(self):
        with open(os.path.join(foz.ROOT, "deploy", "roles.sql"), encoding="utf-8") as file:
            roles = file.read()
        query.script(self.url, roles)
        for role in ("foz_reader", "foz_api"):
            for (view,) in self.rows("SELECT relname FROM pg_class WHERE relnamespace = 'api'::regnamespace AND relkind = 'v'"):
                self.sql(f"SET ROLE {role}; SELECT * FROM api.{view} LIMIT 1")
        for beyond in ("SET ROLE foz_worker; INSERT INTO ops.api_key (name, key_hash, scopes) VALUES ('own', '\\x00', '{dash.admin}')",
                       "SET ROLE foz_worker; DELETE FROM ops.migration", "SET ROLE foz_api; SELECT payload FROM ops.dead_letter"):
            with self.assertRaisesRegex(Exception, "permission denied"):
                self.sql(beyond)
        self.stop_service()
        self.write_config(self.url + ("&" if "?" in self.url else "?") + "options=-crole%3Dfoz_api")
        try:
            self.start_service()
            ordered = self.post("/v1/loads/incidents").json()["execution_id"]
            self.assertEqual(self.post(f"/v1/executions/{ordered}/cancel").status, 200)
            self.assertEqual(self.read(f"/v1/executions/{ordered}").json()["data"]["status"], "cancelled")
            for route in ROUTES:
                path = route.replace("{id}", self.desk.technicians[0].technician_id if "technicians" in route else self.desk.tickets[0].ticket_id)
                self.read(path)
            etag = self.read("/v1/tickets/overview").headers["ETag"]
            with reading.Blocked(self.url):
                self.assertEqual(self.read("/v1/tickets/overview", timeout_s=5).headers["ETag"], etag)
        finally:
            self.stop_service()
            self.write_config()
            self.start_service()


if __name__ == "__main__":
    unittest.main()
