"""foz-sim behaves like the GLPI of the reference: lists of items, pages, sorting, search."""

import collections
import time
import unittest
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import foz
from sim_glpi import CHILDREN, GlpiTest, glpi, kind_of


class Lists(GlpiTest):
    def test_itemtypes_need_their_exact_case(self):
        for name in ("ticket", "Bogus", "TICKET"):
            self.assertEqual((400, "ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM"),
                             (self.client.get(name).status, self.client.get(name).json()[0]))

    def test_ranges_answer_as_recorded(self):
        total = self.client.total("Ticket")
        for start, rows, status, span, count in ((0, 10, 206, f"0-9/{total}", 10), (total - 3, 10, 206, f"{total - 3}-{total - 1}/{total}", 3),
                                                 (total, 5, 206, f"{total}-{total - 1}/{total}", 0), (0, total, 200, f"0-{total - 1}/{total}", total)):
            answer = self.client.page("Ticket", start, rows, only_id="true")
            self.assertEqual((status, span, count), (answer.status, answer.headers["Content-Range"], len(answer.json())))
        self.assertEqual("ERROR_RANGE_EXCEED_TOTAL", self.client.page("Ticket", total + 1, 5).json()[0])
        default = self.client.get("Ticket")
        self.assertEqual((f"0-15/{total}", 15), (default.headers["Content-Range"], len(default.json())))
        self.assertIn("links", default.json()[0])

    def test_text_search_anchors(self):
        truth = [row for row in self.truth("Ticket") if not row["is_deleted"]]
        some = truth[700]
        for column, pattern, wanted in (
                ("id", f"^{some['id']}$", [some["id"]]),
                ("date_mod", "^" + some["date_mod"][:10], [row["id"] for row in truth if row["date_mod"][:10] == some["date_mod"][:10]]),
                ("closedate", "NULL", [row["id"] for row in truth if row["closedate"] is None]),
                ("name", "vpn", [row["id"] for row in truth if "VPN" in row["name"]]),
                ("id", ">5", [])):
            found = [row["id"] for row in self.client.walk("Ticket", **{f"searchText[{column}]": pattern})]
            self.assertEqual(wanted, found, (column, pattern))
        logs = [row["id"] for row in self.truth("Log") if row["itemtype"] == "Ticket"]
        self.assertLess(len(logs), self.client.total("Log"))
        self.assertEqual(len(logs), self.client.total("Log", **{"searchText[itemtype]": "^Ticket$"}))
        feed = self.client.page("Log", 0, 50, sort="id", order="DESC", **{"searchText[itemtype]": "^Ticket$"}).json()
        self.assertEqual(sorted(logs, reverse=True)[:50], [row["id"] for row in feed])

    def test_sorting_by_any_column(self):
        for table, column in (("Ticket", "date_mod"), ("Ticket", "priority"), ("ITILFollowup", "date_mod"), ("User", "name")):
            for order in ("ASC", "DESC"):
                values = [row[column] for row in self.client.walk(table, sort=column, order=order)]
                self.assertEqual(sorted(values, key=lambda v: (v is not None, v if v is not None else 0), reverse=order == "DESC")
                                 if not isinstance(values[-1], str) else sorted(values, key=lambda v: v or "", reverse=order == "DESC"), values)

    def test_children_of_one_ticket(self):
        for table in CHILDREN:
            rows = self.truth(table)
            key = "tickets_id" if "tickets_id" in rows[0] else "items_id"
            by_ticket = collections.defaultdict(list)
            for row in rows:
                if row.get("itemtype", "Ticket") == "Ticket":
                    by_ticket[row[key]].append(row["id"])
            ticket = max(by_ticket, key=lambda t: len(by_ticket[t]))
            self.assertEqual(by_ticket[ticket], [row["id"] for row in self.client.walk(f"Ticket/{ticket}/{table}")], table)
        self.assertEqual(15, len(self.client.get(f"Ticket/{max(by_ticket, key=lambda t: len(by_ticket[t]))}/Log").json()[:15]))

    def test_expanded_keys_are_names_but_0_stays_0(self):
        rows = self.client.page("Ticket", 0, 200, expand_dropdowns="true").json()
        self.assertEqual({"int", "str"}, {kind_of(row["locations_id"]) for row in rows})
        self.assertEqual({"str"}, {kind_of(row["entities_id"]) for row in rows})
        self.assertTrue(any("&#62;" in str(row["itilcategories_id"]) for row in rows))

    def test_text_is_encoded_unless_the_header_asks(self):
        plain = self.client.get("Ticket/2", get_hateoas="false").json()
        self.assertIn("&#60;p&#62;", plain["content"])
        self.assertIn("&#38;amp;", plain["content"])
        decoded = self.client.get("Ticket/2", {"X-GLPI-Sanitized-Content": "false"}, get_hateoas="false").json()
        self.assertIn("<p>", decoded["content"])
        self.assertIn("&amp;", decoded["content"])
        deep = [row for row in self.client.page("Entity", 0, 100).json() if " > " in row["completename"] and "&" in row["name"]]
        self.assertTrue(deep and all("&#38;" in row["completename"] and "&#38;" not in row["name"] for row in deep))
        self.fault("encoding_95")
        self.assertIn("&lt;p&gt;", self.client.get("Ticket/2").json()["content"])

    def test_times_are_those_of_the_users_zone(self):
        utc = self.client.get("Ticket/5").json()["date_mod"]
        self.fault("user_time_zone", seconds=-10800)
        answer = self.client.get("Ticket/5")
        local = answer.json()["date_mod"]
        self.assertEqual(timedelta(hours=3), datetime.fromisoformat(utc) - datetime.fromisoformat(local))
        self.assertEqual(utc, parsedate_to_datetime(answer.headers["Last-Modified"]).strftime("%Y-%m-%d %H:%M:%S"))
        self.assertIn(5, [row["id"] for row in self.client.walk("Ticket", **{"searchText[date_mod]": "^" + local})])
        self.assertEqual(utc, next(row["date_mod"] for row in self.truth("Ticket") if row["id"] == 5))

    def test_version_11_differs(self):
        self.fault("glpi11")
        row = self.client.get("Ticket/2", get_hateoas="false").json()
        self.assertIn("<p>", row["content"])
        self.assertTrue({"externalid", "tickettemplates_id"} <= set(row))
        self.assertFalse({"validation_percent", "olas_id_ttr", "ola_waiting_duration"} & set(row))
        self.assertIn(10, {row["status"] for row in self.truth("Ticket")})
        self.assertTrue(self.client.get("getGlpiConfig").json()["cfg_glpi"]["version"].startswith("11."))
        self.assertEqual(200, foz.http("GET", self.sim.url + "/glpi/api.php/v1/getActiveEntities", None, self.client.headers).status)

    def test_believable_data(self):
        actors = self.truth("Ticket_User")
        self.assertTrue(any(row["users_id"] == 0 and row["alternative_email"] for row in actors))
        same = collections.Counter((row["tickets_id"], row["users_id"], row["type"]) for row in actors)
        self.assertTrue(any(count > 1 for count in same.values()))
        tickets = self.truth("Ticket")
        self.assertTrue({1, 2, 4, 5, 6} <= {row["status"] for row in tickets})
        self.assertIn(6, {row["priority"] for row in tickets})
        for row in tickets:
            self.assertLessEqual(row["date"], row["date_mod"])
            self.assertEqual(row["status"] in (5, 6), row["solvedate"] is not None)
        ids = {row["id"] for row in tickets}
        self.assertLess(len(ids), max(ids), "there are gaps")
        self.assertTrue({row["tickets_id"] for row in actors} <= ids)


class Search(GlpiTest):
    def count(self, *criteria, **parameters):
        query = {"range": "0-0"}
        for place, (field, kind, value) in criteria:
            query.update({f"criteria{place}[field]": field, f"criteria{place}[searchtype]": kind, f"criteria{place}[value]": value})
        answer = self.client.get("search/Ticket", **query, **parameters)
        self.assertIn(answer.status, (200, 206), answer.body)
        return answer.json()["totalcount"]

    def test_counts(self):
        truth = [row for row in self.truth("Ticket") if not row["is_deleted"]]
        stamp = sorted(row["date_mod"] for row in truth)[-100]
        open_ids = [row for row in truth if row["status"] in (1, 2, 3, 4)]
        self.assertEqual(len(truth), self.count())
        self.assertEqual(sum(row["date_mod"] > stamp for row in truth), self.count(("[0]", (19, "morethan", stamp))))
        self.assertEqual(sum(row["date_mod"] < stamp for row in truth), self.count(("[0]", (19, "lessthan", stamp))))
        self.assertEqual(1, self.count(("[0]", (2, "morethan", 100))), "morethan on numbers means equals")
        self.assertEqual(sum(row["id"] > 100 for row in truth), self.count(("[0]", (2, "contains", ">100"))))
        self.assertEqual(len(open_ids), self.count(("[0]", (12, "equals", "notold"))))
        self.assertEqual(len(self.truth("Ticket")) - len(truth), self.count(is_deleted=1))

    def test_groups_and_links(self):
        truth = [row for row in self.truth("Ticket") if not row["is_deleted"]]
        found = self.count(("[0]", (12, "equals", 4)), ("[1][criteria][0]", (3, "equals", 1)), ("[1][criteria][1]", (3, "equals", 2)),
                           **{"criteria[1][criteria][1][link]": "OR"})
        self.assertEqual(sum(row["status"] == 4 and row["priority"] in (1, 2) for row in truth), found)
        found = self.count(("[0]", (12, "equals", 6)), ("[1]", (3, "equals", 1)), **{"criteria[1][link]": "AND NOT"})
        self.assertEqual(sum(row["status"] == 6 and row["priority"] != 1 for row in truth), found)
        found = self.count(("[0]", (12, "equals", 4)), ("[1]", (12, "equals", 6)), ("[2]", (3, "equals", 1)),
                           **{"criteria[1][link]": "OR", "criteria[2][link]": "AND"})
        self.assertEqual(sum(row["status"] == 4 or (row["status"] == 6 and row["priority"] == 1) for row in truth), found)

    def test_actors_and_lateness(self):
        actor = next(row for row in self.truth("Ticket_User") if row["type"] == 2)
        tickets = {row["id"]: row for row in self.truth("Ticket")}
        theirs = {row["tickets_id"] for row in self.truth("Ticket_User") if row["type"] == 2 and row["users_id"] == actor["users_id"]}
        alive = [ticket for ticket in theirs if not tickets[ticket]["is_deleted"]]
        self.assertEqual(len(alive), self.count(("[0]", (5, "equals", actor["users_id"]))))
        now = self.now()
        late = [row for row in tickets.values() if not row["is_deleted"] and row["time_to_resolve"] and row["status"] != 4
                and (row["solvedate"] > row["time_to_resolve"] if row["solvedate"] else row["time_to_resolve"] < now)]
        self.assertEqual(len(late), self.count(("[0]", (82, "equals", 1))))


class Size(GlpiTest):
    tickets = 200000

    def fastest(self, start, **parameters):
        times = []
        for _ in range(5):
            begun = time.monotonic()
            self.assertEqual(500, len(self.client.page(parameters.get("table", "Ticket"), start, 500,
                                                       **{k: v for k, v in parameters.items() if k != "table"}).json()))
            times.append(time.monotonic() - begun)
        return min(times)

    def test_every_offset_costs_the_same(self):
        orders = ({"sort": "id", "order": "ASC"}, {"sort": "date_mod", "order": "DESC"},
                  {"table": "Log", "sort": "id", "order": "DESC", "searchText[itemtype]": "^Ticket$"})
        self.change(glpi("burst", table="Ticket", n=500))
        for order in orders:
            total = self.client.total(order.get("table", "Ticket"), **{k: v for k, v in order.items() if k.startswith("search")})
            first, last = self.fastest(0, **order), self.fastest(total - 700, **order)
            self.assertLess(last, 8 * first + 0.02, order)
        self.assertGreater(self.client.total("Log"), 1000000)


if __name__ == "__main__":
    unittest.main()
