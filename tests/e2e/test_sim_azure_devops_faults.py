"""foz-sim behaves like the Azure DevOps of the reference: its faults."""

import http.client
import re
import unittest
from email.utils import parsedate_to_datetime

from sim_azure_devops import LINKS, REVISIONS, SimTest, keys_of


class Faults(SimTest):
    def test_the_feed_breaks_in_the_known_ways(self):
        first = self.sim.batch(None)["continuationToken"]
        calm = self.sim.batch(first)
        for kind, options, holds in (
                ("token_in_nextlink", {}, lambda page: "continuationToken" not in page and "continuationToken=" in page["nextLink"]),
                ("token_missing", {}, lambda page: "continuationToken" not in page and "nextLink" not in page),
                ("token_stuck", {}, lambda page: page["continuationToken"] == first and not page["isLastBatch"]),
                ("feed_never_ends", {}, lambda page: not page["isLastBatch"] and page["continuationToken"] != first),
                ("early_last", {}, lambda page: page["isLastBatch"]),
                ("empty_page", {}, lambda page: page["values"] == [] and not page["isLastBatch"] and page["continuationToken"] != first),
                ("repeat_rows", {"rate": 7}, lambda page: keys_of(page["values"])[-5:] == keys_of(calm["values"])[-5:] and len(page["values"]) > len(calm["values"])),
                ("skip_rows", {"rate": 9}, lambda page: len(page["values"]) < len(calm["values"]) and page["continuationToken"] == calm["continuationToken"]),
                ("null_row", {}, lambda page: None in page["values"]),
                ("missing_key", {"field": "rev", "every": 3}, lambda page: any("rev" not in row for row in page["values"]) and any("rev" in row for row in page["values"])),
                ("missing_key", {"field": "id;rev"}, lambda page: all("rev" not in row and "id" not in row for row in page["values"])),
                ("null_fields", {}, lambda page: any(value is None for value in page["values"][0]["fields"].values())),
                ("acl_rows", {"every": 2}, lambda page: all(row["id"] % 2 for row in page["values"])),
                ("foreign_link_host", {}, lambda page: page["nextLink"].startswith("https://elsewhere.invalid/")),
                ("identity_form", {"mode": "mixed"}, lambda page: len({type(row["fields"]["System.CreatedBy"]) for row in page["values"]}) == 2),
                ("date_digits", {"rate": 7}, lambda page: re.search(r"\.\d{7}Z\Z", page["values"][0]["fields"]["System.CreatedDate"])),
                ("bad_value", {"field": "System.ChangedDate", "mode": "not_date"}, lambda page: page["values"][0]["fields"]["System.ChangedDate"] == "31/12/2025"),
                ("bad_value", {"field": "System.State", "mode": "missing"}, lambda page: "System.State" not in page["values"][0]["fields"])):
            with self.subTest(kind, **options):
                self.sim.fault(kind, **options)
                self.assertTrue(holds(self.sim.batch(first)), kind)
                self.sim.control(clear_faults=True)
        self.sim.fault("repeat_page", after=1, count=1)
        rows, _ = self.sim.walk()
        self.assertGreater(len(rows), len(set(keys_of(rows))))

    def test_answers_break_in_the_known_ways(self):
        for kind, options, status, type_ in (
                ("html_200", {}, 200, "text/html"), ("sso_redirect", {}, 302, "text/html"), ("pat_expired", {"mode": "html"}, 203, "text/html"), ("pat_expired", {"mode": "redirect"}, 302, "text/html"),
                ("pat_expired", {"mode": "json"}, 401, "application/json"), ("unauthorized_401", {}, 401, None), ("forbidden_403", {}, 403, "application/json"), ("error_500", {}, 500, "application/json"),
                ("bad_gateway_502", {}, 502, "text/html"), ("unavailable_503", {}, 503, "text/html"), ("gateway_timeout_504", {}, 504, "text/html"), ("org_stopped_503", {}, 503, "application/json"),
                ("not_found_404", {}, 404, "application/json"), ("query_timeout", {}, 400, "application/json"), ("server_busy", {}, 400, "application/json"), ("rate_429", {}, 429, "application/json"),
                ("rate_429", {"mode": "html"}, 429, "text/html"), ("rate_429", {"mode": "403"}, 403, "application/json"), ("wrong_content_type", {}, 200, "text/plain"), ("refuse_token", {}, 400, "application/json")):
            with self.subTest(kind, **options):
                self.sim.fault(kind, count=1, **options)
                answer = self.sim.api(REVISIONS, {}, continuationToken="0;0;0")
                self.assertEqual((status, type_), (answer.status, (answer.headers["Content-Type"] or "").split(";")[0] or None))
                self.assertEqual(200, self.sim.api(REVISIONS, {}, continuationToken="0;0;0").status)

    def test_throttling(self):
        self.sim.fault("rate_429", count=1, seconds=5)
        answer = self.sim.api("_apis/projects")
        self.assertEqual("5", answer.headers["Retry-After"])
        self.assertTrue({"x-ratelimit-resource", "x-ratelimit-delay", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= {name.lower() for name in answer.headers})
        self.assertTrue(answer.json()["message"].startswith("TF400733: The request has been canceled: Request was blocked due to exceeding usage of resource"))
        self.sim.fault("rate_429", count=1, mode="none")
        bare = self.sim.api("_apis/projects")
        self.assertEqual((429, False), (bare.status, any(name.lower().startswith(("retry", "x-ratelimit")) for name in bare.headers)))
        self.sim.fault("retry_after_200", count=1, seconds=2)
        slow = self.sim.api("_apis/projects")
        self.assertEqual((200, "2", "4.123"), (slow.status, slow.headers["Retry-After"], slow.headers["X-RateLimit-Delay"]))

    def test_bodies_break(self):
        self.sim.fault("bom", count=1)
        self.assertTrue(self.sim.api("_apis/projects").body.startswith(b'\xef\xbb\xbf{"count"'))
        self.sim.fault("partial_array", count=1)
        with self.assertRaises(ValueError):
            self.sim.api("_apis/projects").json()
        self.sim.fault("cut_chunk", count=1)
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            self.sim.api("_apis/projects")
        self.sim.fault("slow_drip", count=1, rate=20000)
        self.assertEqual(200, self.sim.api("_apis/projects").status)
        self.sim.fault("hang", count=1)
        with self.assertRaises(TimeoutError):
            self.sim.api("_apis/projects", timeout=0.3)

    def test_faults_strike_by_route_table_and_match(self):
        self.sim.fault("forbidden_403", route="graph")
        self.assertEqual((200, 403), (self.sim.api("_apis/projects").status, self.sim.api("_graph/_apis/graph/users", version="7.1-preview.1").status))
        self.sim.control(clear_faults=True)
        self.sim.fault("error_500", table="workitemlinks")
        self.assertEqual((500, 200), (self.sim.api(LINKS).status, self.sim.api(REVISIONS).status))
        self.sim.control(clear_faults=True)
        self.sim.fault("not_found_404", match="/Base/")
        self.assertEqual((404, 200), (self.sim.api("Base/_apis/wit/workitemtypes").status, self.sim.api("Operations/_apis/wit/workitemtypes").status))
        self.sim.control(clear_faults=True)
        self.sim.fault("field_refused", field="System.Watermark")
        self.assertEqual((400, 200), (self.sim.api(REVISIONS, {"fields": ["System.Watermark"]}).status, self.sim.api(REVISIONS, {"fields": ["System.Id"]}).status))
        self.assertEqual(400, self.sim.wiql("[System.Watermark] > 5").status)

    def test_rows_go_missing(self):
        self.sim.fault("missing_rows", every=2, route="items")
        self.assertEqual([1, 3], [item["id"] for item in self.sim.get("_apis/wit/workitemsbatch", {"ids": [1, 2, 3, 4]})["value"]])
        self.sim.control(clear_faults=True)
        self.sim.fault("missing_rows", every=2, mode="null", route="items")
        self.assertEqual(2, self.sim.get("_apis/wit/workitemsbatch", {"ids": [1, 2, 3, 4]})["value"].count(None))

    def test_the_clock_may_be_wrong(self):
        self.sim.control(clock={"run": False})
        true = parsedate_to_datetime(self.sim.api("_apis/projects").headers["Date"])
        self.sim.fault("clock_skew", seconds=900)
        self.assertEqual(900, (parsedate_to_datetime(self.sim.api("_apis/projects").headers["Date"]) - true).total_seconds())


if __name__ == "__main__":
    unittest.main()
