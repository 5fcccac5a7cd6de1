"""foz-sim behaves like the GLPI of the reference: its faults."""

import gzip
import json
import unittest
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from sim_glpi import Client, GlpiTest


class Faults(GlpiTest):
    def test_pages_that_are_no_data(self):
        for kind, title in (("maintenance_200", "MAINTENANCE MODE - GLPI"), ("update_needed_200", "Update needed - GLPI"),
                            ("mysql_error_200", "Mysql Error - GLPI"), ("login_page_200", "Authentication")):
            self.fault(kind, count=1)
            answer = self.client.page("Ticket", 0, 5)
            self.assertEqual(200, answer.status)
            self.assertIn("text/html", answer.headers["Content-Type"])
            self.assertIn(title.encode(), answer.body)
            self.assertEqual(206, self.client.page("Ticket", 0, 5).status)

    def test_out_of_memory_strikes_only_large_pages(self):
        self.fault("empty_206", over=100)
        broken = self.client.page("Ticket", 0, 200)
        self.assertEqual((206, b"", "application/json; charset=UTF-8"), (broken.status, broken.body, broken.headers["Content-Type"]))
        self.assertRegex(broken.headers["Content-Range"], r"^0-199/\d+$")
        self.assertEqual(100, len(self.client.page("Ticket", 0, 100).json()))
        self.fault("empty_500", count=1)
        self.assertEqual((500, b""), (self.client.page("Ticket", 0, 5).status, b""))

    def test_statuses(self):
        for kind, status, options in (("unavailable_503", 503, {"seconds": 7}), ("rate_429", 429, {"seconds": 3}), ("error_500", 500, {}),
                                      ("bad_gateway_502", 502, {}), ("gateway_timeout_504", 504, {}), ("forbidden_403", 403, {}),
                                      ("sso_redirect", 302, {})):
            self.fault(kind, count=1, table="Log", **options)
            self.assertEqual(206, self.client.page("Ticket", 0, 5).status)
            answer = self.client.page("Log", 0, 5)
            self.assertEqual(status, answer.status, kind)
            if "seconds" in options:
                self.assertEqual(str(options["seconds"]), answer.headers["Retry-After"])

    def test_the_session_ends_in_the_middle(self):
        self.fault("expire_sessions", after=1, count=1)
        self.assertEqual(206, self.client.page("Ticket", 0, 5).status)
        self.assertEqual(401, self.client.page("Ticket", 5, 5).status)
        self.assertEqual(401, self.client.page("Ticket", 5, 5).status)
        self.assertEqual(206, Client(self.sim).page("Ticket", 5, 5).status)

    def test_pages_that_lie(self):
        plain = self.client.page("Ticket", 0, 5).json()
        total = self.client.total("Ticket")
        self.fault("total_larger", rate=3, count=1)
        self.assertEqual(f"0-4/{total + 3}", self.client.page("Ticket", 0, 5).headers["Content-Range"])
        self.fault("duplicate_rows", count=1)
        self.assertEqual(plain + plain[:1], self.client.page("Ticket", 0, 5).json())
        self.fault("wrong_order", count=1)
        self.assertEqual(plain[1:] + plain[:1], self.client.page("Ticket", 0, 5).json())
        self.fault("empty_list", count=1, table="Ticket")
        empty = self.client.page("Ticket", 0, 5)
        self.assertEqual((200, [], None), (empty.status, empty.json(), empty.headers["Content-Range"]))
        self.fault("empty_page", count=1)
        self.assertEqual([], self.client.page("Ticket", 0, 5).json())
        self.client.page("Ticket", 0, 5)
        self.fault("repeat_page", count=1)
        repeated = self.client.page("Ticket", 5, 5)
        self.assertEqual((plain, f"5-9/{total}"), (repeated.json(), repeated.headers["Content-Range"]))
        self.fault("entities_shrunk", value="1")
        self.assertLess(self.client.total("Ticket"), total)

    def test_bad_values(self):
        for mode, column, wanted in (("string_int", "status", str), ("zero_date", "date_mod", "0000-00-00 00:00:00"),
                                     ("object", "name", {"id": 1, "name": "nested"}), ("nul", "name", "before\0after"), ("null", "id", None)):
            self.sim.do({"clear_faults": True})
            self.fault("bad_value", field=column, mode=mode)
            value = self.client.page("Ticket", 0, 1).json()[0][column]
            self.assertTrue(isinstance(value, str) if wanted is str else value == wanted, (mode, value))
        self.sim.do({"clear_faults": True})
        self.fault("bad_value", field="status", mode="raw", value="99", every=3)
        values = [row["status"] for row in self.client.page("Ticket", 0, 300).json()]
        self.assertTrue(50 < values.count(99) < 150)
        self.sim.do({"clear_faults": True})
        self.fault("bad_value", field="priority", mode="missing")
        self.assertNotIn("priority", self.client.page("Ticket", 0, 1).json()[0])

    def test_transport(self):
        self.fault("cut_chunk", count=1)
        with self.assertRaises(Exception):
            self.client.page("Ticket", 0, 100).json()
        self.fault("wrong_content_type", count=1)
        self.assertEqual("text/html; charset=UTF-8", self.client.page("Ticket", 0, 5).headers["Content-Type"])
        self.fault("gzip_answers", count=1)
        packed = self.client.get("Ticket", {"Accept-Encoding": "gzip"}, range="0-4", get_hateoas="false")
        self.assertEqual(5, len(json.loads(gzip.decompress(packed.body))))
        self.fault("clock_skew", seconds=7200, route="session")
        answer = self.client.get("getFullSession")
        shown = datetime.strptime(answer.json()["session"]["glpi_currenttime"], "%Y-%m-%d %H:%M:%S")
        self.assertEqual(timedelta(hours=2), parsedate_to_datetime(answer.headers["Date"]).replace(tzinfo=None) - shown)

    def test_faults_strike_only_their_system(self):
        self.sim.do({"fault": {"kind": "error_500"}}, {"fault": {"kind": "maintenance_200", "count": 0}})
        self.assertEqual(206, self.client.page("Ticket", 0, 5).status)


if __name__ == "__main__":
    unittest.main()
