"""foz-sim behaves like the GLPI of the reference: recorded answers held against its own."""

import base64
import collections
import json
import os
import re
import unittest

import foz
from sim_glpi import CHILDREN, Client, DIRECTORY, FIXTURES, GlpiTest, kind_of


def child_has(test, table, column):
    return column in test.truth(table)[0]


class Shapes(GlpiTest):
    """Every recorded answer that applies, held against the simulator's answer to the same request."""

    # Where the recorded request depends on the recorded data.
    def path_for(self, name, path):
        rows = self.truth("Ticket", fields="id,date_mod,is_deleted")
        alive = [row for row in rows if not row["is_deleted"]]
        total = len(alive)
        ids = {"ticket_sub_" + child: child for child in CHILDREN}
        if name in ids:
            key = "tickets_id" if child_has(self, ids[name], "tickets_id") else "items_id"
            parents = collections.Counter(row[key] for row in self.truth(ids[name]) if row.get("itemtype", "Ticket") == "Ticket")
            return re.sub(r"Ticket/\d+", f"Ticket/{min(parents)}", path)
        if name == "ticket_list_by_day":
            day = collections.Counter(row["date_mod"][:10] for row in alive).most_common(1)[0][0]
            return path.replace("2026-11-12", day)
        if name == "search_incremental_datemod":
            return path.replace("2026-11-10+12%3A00%3A00", sorted(row["date_mod"] for row in alive)[-100].replace(" ", "+"))
        return path.replace("126-130", f"{total}-{total + 4}").replace("127-150", f"{total + 1}-{total + 24}").replace(
            "500-510", f"{total + 500}-{total + 510}").replace("Ticket/25?", "Ticket/24?")

    def check_value(self, recorded, ours, where, trimmed):
        self.assertEqual(isinstance(recorded, list), isinstance(ours, list), where)
        if isinstance(recorded, list) and recorded and isinstance(recorded[0], dict):
            self.assertTrue(ours, where)
            self.check_value(recorded[0], ours[0], where, trimmed)
        elif isinstance(recorded, dict):
            keys = set(ours) & set(recorded) if trimmed else set(ours) - ({"links"} if where == "ticket_list_default" else set())
            self.assertEqual(set(recorded), keys, where)
            for key, value in recorded.items():
                expanded = "expanded" in where and {kind_of(value), kind_of(ours[key])} == {"int", "str"}
                if kind_of(value) != "null" and kind_of(ours[key]) != "null" and not trimmed and not expanded:
                    self.assertEqual(kind_of(value), kind_of(ours[key]), f"{where}.{key}")

    def check_span(self, recorded, ours, where):
        self.assertEqual(recorded is None, ours is None, where)
        if recorded:
            then, now = ([int(number) for number in re.fullmatch(r"(\d+)-(\d+)/(\d+)", span).groups()] for span in (recorded, ours))
            self.assertEqual((then[0] == then[2], then[1] + 1 >= then[2]), (now[0] == now[2], now[1] + 1 >= now[2]), where)

    def ask(self, name, request):
        path = request["path"].removeprefix("/apirest.php/")
        headers = dict(self.client.headers)
        wrong = {"err_400_wrong_app_token": {"App-Token": "wrong", "Authorization": "user_token foz-glpi-token"},
                 "err_401_glpi_login_basic": {"Authorization": "Basic " + base64.b64encode(b"foz:no").decode()},
                 "err_401_glpi_login_user_token": {"Authorization": "user_token no"},
                 "err_401_session_token_invalid": {"Session-Token": "no"}, "initSession": {"Authorization": "user_token foz-glpi-token"}}
        if "Session-Token" not in request["headers"]:
            headers.pop("Session-Token")
        if request["headers"].get("X-GLPI-Sanitized-Content"):
            headers["X-GLPI-Sanitized-Content"] = "false"
        headers.update(wrong.get(name, {}))
        return foz.http(request["method"], self.sim.url + "/glpi/apirest.php/" + self.path_for(name, path), request.get("body"), headers)

    def test_recorded_answers_have_the_same_shape(self):
        if not os.path.isdir(FIXTURES):
            self.skipTest(f"no recorded answers in {FIXTURES}")
        names = sorted(name[:-5] for name in os.listdir(FIXTURES) if name.endswith(".json"))
        self.assertGreater(len(names), 50)
        for name in names:
            if name == "search_User":
                continue  # foz searches tickets only, and so does the simulator
            with open(os.path.join(FIXTURES, name + ".json"), encoding="utf-8") as file:
                recorded = json.load(file)
            self.client = Client(self.sim)  # one of the requests ends its session
            with self.subTest(name):
                answer = self.ask(name, recorded["request"])
                wanted = recorded["response"]
                if "Content-Range" in wanted["headers"] and wanted["headers"]["Content-Range"].startswith("0-") and wanted["status"] == 200:
                    self.assertIn(answer.status, (200, 206))  # a small table there need not be small here
                else:
                    self.assertEqual(wanted["status"], answer.status)
                    self.check_span(wanted["headers"].get("Content-Range"), answer.headers["Content-Range"], name)
                for header, value in wanted["headers"].items():
                    if header not in ("Content-Range", "Last-Modified"):
                        self.assertEqual(value, answer.headers[header], header)
                    self.assertIsNotNone(answer.headers[header], header)
                if isinstance(wanted["body"], list) and wanted["body"] and isinstance(wanted["body"][0], str):
                    place = (self.sim.url + "/glpi", "TOTAL")
                    text = [part.replace("https://glpi.example.test/apirest.php/", place[0] + "/") for part in wanted["body"]]
                    ours = answer.json()
                    self.assertEqual([re.sub(r": \d+;", ": N;", part) for part in text],
                                     [re.sub(r": \d+;", ": N;", part) for part in ours])
                else:
                    self.check_value(wanted["body"], answer.json(), name, "trimmed" in recorded.get("note", ""))

    def test_search_options_are_the_recorded_ones(self):
        path = os.path.join(FIXTURES, "listSearchOptions_Ticket.json")
        if not os.path.exists(path):
            self.skipTest(f"no {path}")
        with open(path, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["response"]["body"], self.client.get("listSearchOptions/Ticket").json())

    def test_every_itemtype_is_listed_as_it_is(self):
        for table in ("Ticket", *CHILDREN, *DIRECTORY):
            with self.subTest(table):
                truth = {row["id"]: row for row in self.truth(table)}
                rows = self.client.walk(table)
                if table in ("Ticket", "User"):
                    trashed = self.client.walk(table, is_deleted="true")
                    self.assertTrue(trashed)
                    self.assertTrue(all(row["is_deleted"] for row in trashed) and not any(row["is_deleted"] for row in rows))
                    rows += trashed
                self.assertEqual(len(truth), len(rows))
                for row in rows:
                    if "completename" in row:  # the header decodes no path of several names
                        row["completename"] = row["completename"].replace("&#60;", "<").replace("&#62;", ">").replace("&#38;", "&")
                    self.assertEqual(truth[row["id"]], row)


if __name__ == "__main__":
    unittest.main()
