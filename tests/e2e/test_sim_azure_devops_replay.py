"""foz-sim behaves like the Azure DevOps of the reference: a real log, replayed."""

import csv
import gzip
import io
import os
import unittest

from sim_azure_devops import DATA, LOG, SHARED, SimTest


@unittest.skipIf(DATA is None, f"no recorded log below {SHARED}: set FOZ_TEST_DATA")
class Replay(SimTest):
    arguments = ("--data", DATA)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with gzip.open(os.path.join(DATA, LOG), "rb") as file:
            cls.events = list(csv.DictReader(io.StringIO(file.read().decode("utf-8-sig"))))

    def expected(self, moment=None):
        """{(log, case): events} as of a moment."""
        cases = {}
        for event in self.events:
            if moment is None or event["ts_utc"] <= moment:
                cases.setdefault((event["log"], event["case"]), []).append(event)
        return cases

    def test_the_whole_log(self):
        cases = self.expected()
        self.assertEqual({"revisions": 74544, "work_items": 9860, "projects": 2}, {k: v for k, v in self.sim.rows().items() if k in ("revisions", "work_items", "projects")})
        truth = {}
        for row in self.sim.truth("revisions"):
            truth.setdefault(row["id"], []).append(row)
        ranked = sorted(cases.items(), key=lambda item: (min(e["ts_utc"] for e in item[1]), item[0][1]))
        titles = {rows[0]["System.Title"] for rows in truth.values()}
        self.assertEqual({f"{events[0]['product']} {case}" for (_, case), events in cases.items()}, titles)
        self.assertEqual(sorted(len(events) for events in cases.values()), sorted(len(rows) for rows in truth.values()))
        first = truth[1]
        (log, case), events = ranked[0]
        self.assertEqual(f"{events[0]['product']} {case}", first[0]["System.Title"])
        for event, row in zip(sorted(events, key=lambda e: int(e["seq"])), first):
            self.assertEqual((int(event["seq"]), event["ts_utc"], event["status"], event["substatus"]), (row["rev"], row["System.ChangedDate"], row["System.State"], row["System.Reason"]))
            self.assertEqual({"Major": 1, "High": 2, "Medium": 3, "Low": 4}[event["impact"]], row["Microsoft.VSTS.Common.Priority"])
            self.assertEqual(f"{'VINST' if log == 'incidents' else 'VINST-Problems'}\\{event['org_line']}\\{event['group']}", row["System.AreaPath"])
            self.assertEqual(None if event["owner"] in ("Siebel", "-") else event["owner"], row.get("System.AssignedTo.display"))
        by_status = {}
        for event in self.events:
            by_status[event["status"]] = by_status.get(event["status"], 0) + 1
        have = {}
        for rows in truth.values():
            for row in rows:
                have[row["System.State"]] = have.get(row["System.State"], 0) + 1
        self.assertEqual(by_status, have)

    def test_the_feed_replays_it_in_order(self):
        rows, token = self.sim.walk(body={"includeDeleted": True, "fields": ["System.Watermark", "System.ChangedDate"]})
        self.assertEqual(list(range(1, 74545)), [row["fields"]["System.Watermark"] for row in rows])
        dates = [row["fields"]["System.ChangedDate"] for row in rows]
        self.assertEqual(sorted(dates), dates)
        self.assertTrue(token.startswith("74544;"))

    def test_moments_on_the_way_and_back(self):
        for moment in ("2012-04-01T00:00:00Z", "2012-05-11T00:00:00Z", "2010-04-01T00:00:00Z", "2005-01-01T00:00:00Z"):
            with self.subTest(moment):
                self.sim.control(clock=moment)
                cases = self.expected(moment)
                rows = self.sim.rows()
                self.assertEqual((sum(map(len, cases.values())), len(cases)), (rows["revisions"], rows["work_items"]))

    def test_an_increment_is_what_happened_since(self):
        self.sim.control(clock="2012-05-01T00:00:00Z")
        body = {"includeDeleted": True, "fields": ["System.ChangedDate"]}
        token = self.sim.walk(body=body)[1]
        self.sim.control(clock="2012-05-02T00:00:00Z")
        rows, _ = self.sim.walk(token, body)
        day = [event["ts_utc"] for event in self.events if "2012-05-01T00:00:00Z" < event["ts_utc"] <= "2012-05-02T00:00:00Z"]
        self.assertEqual(sorted(day), [row["fields"]["System.ChangedDate"] for row in rows])

    def test_the_process_maps_the_log_s_states(self):
        states = {row["state"]: row["category"] for row in self.sim.truth("states") if row["process_name"] == "VINST" and row["type"] == "Issue"}
        self.assertEqual({"Queued": "Proposed", "Unmatched": "Proposed", "Accepted": "InProgress", "Completed": "Completed"}, states)


if __name__ == "__main__":
    unittest.main()
