"""What foz-api tells of executions and loads: lists, cursors, formats, cancelling, metrics."""

import csv
import io
import json
import re
import time
import unittest

import openapi
from api_case import ApiCase


class Executions(ApiCase):
    @classmethod
    def write_config(cls, **options):
        super().write_config(**options)
        with open(cls.config_path, encoding="utf-8") as file:
            config = json.load(file)
        config["sources"]["desk"] = {"type": "glpi", "url": "http://127.0.0.1:9/apirest.php",
                                     "auth": {"method": "user_token", "user_token": "env:FOZ_TEST_TOKEN"}}
        with open(cls.config_path, "w", encoding="utf-8") as out:
            json.dump(config, out)

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
        self.assertEqual(self.ids("/v1/executions?status=error,success"), self.ids("/v1/executions?status=success&status=error"))
        self.assertEqual(self.ids("/v1/executions?load=incidents&status=error,success"), [6, 4, 2])
        self.assertEqual(self.ids("/v1/executions?load=incidents&load=configurations"), [7, 6, 5, 4, 3, 2, 1])
        self.sql("INSERT INTO ops.execution_task (execution_id, source, task) SELECT id, 'gone', 'incident' FROM ops.execution_log WHERE id <> 2")
        self.assertEqual(self.ids("/v1/executions?source=snow"), [2])
        self.assertEqual(self.ids("/v1/executions?source=snow&source=nobody"), [2])
        self.assertEqual(self.ids("/v1/executions?since=2026-01-01T06:00:00Z"), [7, 6])
        self.assertEqual(self.ids("/v1/executions?since=2026-01-01T07:00:00%2B01:00&load=incidents"), [6])
        self.assertEqual(self.ids("/v1/executions?load=incidents&status=success"), [4, 2])

    def test_an_execution_without_tasks_is_one_of_the_sources_it_is_for(self):
        for path in ("/load-incidents/", "/load-tickets/", "/load-configurations/?source=snow"):
            self.assertEqual(200, self.post(path).status)
        for source, wanted in (("snow", [3, 1]), ("desk", [2]), ("nobody", []), ("desk&source=snow", [3, 2, 1])):
            self.assertEqual(wanted, self.ids(f"/v1/executions?source={source}"), source)
        self.assertEqual([1], self.ids("/v1/executions?source=snow&load=incidents&status=queued"))
        self.post("/v1/executions/1/cancel")
        self.assertEqual([3, 1], self.ids("/v1/executions?source=snow"))
        self.sql("INSERT INTO ops.execution_task (execution_id, source, task) VALUES (1, 'other', 'incident')")
        self.assertEqual([3], self.ids("/v1/executions?source=snow"))
        self.assertEqual([1], self.ids("/v1/executions?source=other"))

    def test_bad_filters_are_named(self):
        for query, parameter in (("load=incident", "load"), ("load=incidents&load=x", "load"), ("status=done", "status"),
                                 ("status=error,done", "status"), ("since=then", "since"),
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
        openapi.Document(self.get("/openapi.json").json()).check_answer("/v1/executions/2/cancel", answer, "post")
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
        self.assertEqual(body["meta"]["version"], 15)
        self.assertEqual(self.get("/v1/executions").json()["meta"]["version"], 15)
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


if __name__ == "__main__":
    unittest.main()
