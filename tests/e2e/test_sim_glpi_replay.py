"""foz-sim behaves like the GLPI of the reference: a real log, replayed."""

import collections
import csv
import gzip
import os
import unittest
from datetime import datetime

from sim_glpi import GlpiTest, HELPDESK, LOG


@unittest.skipUnless(HELPDESK, "no recorded help desk: set FOZ_TEST_DATA")
class Replay(GlpiTest):
    tickets = None
    arguments = ("--data", HELPDESK)

    def log_as_of(self, stamp):
        last = {}
        with gzip.open(os.path.join(HELPDESK, LOG), "rt", encoding="ascii") as file:
            for row in sorted(csv.DictReader(file), key=lambda row: row["Complete Timestamp"]):
                if row["Complete Timestamp"] <= stamp:
                    last[int(row["Case ID"].split()[1])] = row
        return last

    def check(self, stamp):
        self.change({"clock": stamp.replace(" ", "T") + "Z"})
        wanted = self.log_as_of(stamp.replace("-", "/") + ".999")
        tickets = {row["id"]: row for row in self.truth("Ticket")}
        self.assertEqual(set(wanted), set(tickets))
        for number, event in wanted.items():
            self.assertEqual(event["Complete Timestamp"][:19].replace("/", "-"), tickets[number]["date_mod"], number)
            if event["Activity"] == "Closed":
                self.assertEqual(6, tickets[number]["status"])
                self.assertLessEqual(tickets[number]["closedate"], tickets[number]["date_mod"])  # some were closed twice
            elif event["Activity"] == "Wait":
                self.assertEqual(4, tickets[number]["status"])
        self.assertEqual(len(tickets), self.client.total("Ticket"))
        return tickets

    def test_it_holds_what_the_log_says_at_any_time(self):
        self.assertEqual(4580, len(self.truth("Ticket")))
        early = self.check("2011-06-01 12:00:00")
        self.assertTrue(0 < len(early) < 4580)
        self.assertEqual(4580, len(self.check("2014-02-01 00:00:00")))
        closed = [row for row in self.truth("Ticket") if row["status"] == 6]
        for row in closed:
            date, solved = datetime.fromisoformat(row["date"]), datetime.fromisoformat(row["solvedate"])
            self.assertEqual(max(1, (solved - date).total_seconds() - row["waiting_duration"]) > 0, row["solve_delay_stat"] > 0)

    def test_each_event_left_history(self):
        logs = collections.Counter(row["items_id"] for row in self.truth("Log"))
        with gzip.open(os.path.join(HELPDESK, LOG), "rt", encoding="ascii") as file:
            events = collections.Counter(int(row["Case ID"].split()[1]) for row in csv.DictReader(file))
        self.assertEqual(21348, sum(events.values()))
        self.assertTrue(all(logs[number] >= count for number, count in events.items()))


if __name__ == "__main__":
    unittest.main()
