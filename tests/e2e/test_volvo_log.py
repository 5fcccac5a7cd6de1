"""A real log of an incident and problem desk, replayed as Azure DevOps: the copy equals an independent replay, row by row."""

import csv
import gzip
import io
import os
import time
import unittest

import control
from azure import AzureTest, instant
from foz import ROOT, SANITIZER

SHARED = os.environ.get("FOZ_TEST_DATA") or os.path.join(os.path.dirname(ROOT), "shared")
LOG = os.path.join("volvo_bpic13", "bpic13_events.csv.gz")
DATA = next((path for path in (os.path.join(SHARED, "data"), SHARED) if os.path.exists(os.path.join(path, LOG))), None)
PRIORITY = {"Major": 1, "High": 2, "Medium": 3, "Low": 4}
NOBODY = ("Siebel", "-")


class Replay:
    """The log from its description alone: a case is a work item, an event a revision, its rank in time the watermark."""

    def __init__(self, folder):
        with gzip.open(os.path.join(folder, LOG), "rb") as log:
            rows = list(csv.DictReader(io.StringIO(log.read().decode("utf-8-sig"))))
        cases = {}
        for row in rows:
            cases.setdefault((row["log"], row["case"]), []).append(row)
        for events in cases.values():
            events.sort(key=lambda event: int(event["seq"]))
        ranked = sorted(cases.items(), key=lambda item: (min(event["ts_utc"] for event in item[1]), item[0][1]))
        self.revisions = {number: events for number, (_, events) in enumerate(ranked, 1)}  # id -> in order
        self.n_events = len(rows)

    @staticmethod
    def row(event):
        project = "VINST" if event["log"] == "incidents" else "VINST-Problems"
        return {"rev": int(event["seq"]), "title": f"{event['product']} {event['case']}", "state": event["status"], "reason": event["substatus"], "team_project": project,
                "work_item_type": "Issue" if event["log"] == "incidents" else "Bug", "changed_date": instant(event["ts_utc"]),
                "priority": PRIORITY[event["impact"]], "area_path": f"{project}\\{event['org_line']}\\{event['group']}",
                "assigned_to_display": None if event["owner"] in NOBODY else event["owner"], "is_deleted": False, "gone_since": None}

    def at(self, moment):
        """Id -> revisions so far."""
        shown = {identity: [self.row(event) for event in events if event["ts_utc"] <= moment] for identity, events in self.revisions.items()}
        return {identity: rows for identity, rows in shown.items() if rows}


@unittest.skipUnless(DATA, "the real logs are absent; FOZ_TEST_DATA names their folder")
@unittest.skipIf(SANITIZER, "74,544 revisions are replayed without a sanitizer only")
class RealLog(AzureTest):
    replay = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.replay = Replay(DATA)

    def start_sim(self, *arguments, **options):
        return super().start_sim("--data", DATA, *arguments, **{"tickets": None, **options})

    def assert_equals_replay(self, moment):
        wanted = self.replay.at(moment)
        have = {}
        names = list(self.replay.row(next(iter(self.replay.revisions.values()))[0]))
        history = [name for name in names if name != "gone_since"]
        for row in self.database.dicts(f"SELECT id, {', '.join(history)} FROM azure_devops.work_item_revision ORDER BY id, rev"):
            have.setdefault(row["id"], []).append({**{name: row[name] for name in history}, "gone_since": None,
                                                      "changed_date": instant(row["changed_date"].replace("+00:00", "Z"))})
        self.assertEqual(wanted.keys(), have.keys())
        found = [f"{identity}.{name}: landed {have[identity][i][name]!r}, the log says {row[name]!r}" for identity, rows in wanted.items()
                 for i, row in enumerate(rows[:len(have[identity])]) for name in row if have[identity][i][name] != row[name]]
        found += [f"{identity}: {len(have[identity])} revisions, the log has {len(rows)}" for identity, rows in wanted.items() if len(rows) != len(have[identity])]
        self.assertEqual([], found[:10], f"{len(found)} differences")
        latest = {row["id"]: {**{name: row[name] for name in names}, "changed_date": instant(row["changed_date"].replace("+00:00", "Z"))}
                  for row in self.database.dicts(f"SELECT id, {', '.join(names)} FROM azure_devops.work_item")}
        self.assertEqual(wanted.keys(), latest.keys())
        found = [f"{identity}: landed {latest[identity]}, the log says {rows[-1]}" for identity, rows in wanted.items() if latest[identity] != rows[-1]]
        self.assertEqual([], found[:10], f"{len(found)} differences in work_item")
        return sum(map(len, wanted.values()))

    def test_a_full_load_as_of_the_end(self):
        end = "2100-01-01T00:00:00Z"
        started = time.monotonic()
        self.load("work-items", "projects", "--mode", "full")
        seconds = time.monotonic() - started
        self.assertEqual((74544, 74544), (self.replay.n_events, self.assert_equals_replay(end)))
        self.assert_ledger(self.database.last_execution("work-items"))
        task = self.last_tasks("work-items")["work_item_revision"]
        self.assertEqual((74544, 74544), (task["records_read"], task["records_inserted"]))
        print(f"Volvo log, full: {task['records_read']} revisions, {seconds:.1f} s, {task['requests']} requests, "
              f"{task['peak_page_bytes']} bytes in the largest page")
        # Everything else in the rows: against the simulator.
        self.assert_copies("work_item", "work_item_type_state", "project")
        self.assertEqual({("Queued", "Proposed"), ("Unmatched", "Proposed"), ("Accepted", "InProgress"), ("Completed", "Completed")},
                         {(key[2], key[3]) for key, row in self.landed("work_item_type_state").items()
                          if row["process_name"] == "VINST" and key[1] == "Issue"})
        stamps = self.database.one("SELECT md5(string_agg(etl_updated_at::text, ',' ORDER BY id, rev)) FROM azure_devops.work_item_revision")
        self.load("work-items")
        self.assertEqual(stamps, self.database.one("SELECT md5(string_agg(etl_updated_at::text, ',' ORDER BY id, rev)) FROM azure_devops.work_item_revision"))

    def test_a_chain_of_increments(self):
        """Long gaps, the hour of the change to summer time, the densest days, one event at a time."""
        changed = 0
        moments = ("2010-04-01T00:00:00Z", "2012-03-25T00:59:59Z", "2012-03-25T01:00:01Z", "2012-05-01T00:00:00Z", "2012-05-01T12:00:00Z",
                   "2012-05-02T00:00:00Z", "2012-05-11T10:00:00Z", "2012-05-11T10:01:00Z", "2012-05-11T10:02:00Z")
        for number, moment in enumerate(moments):
            self.sim.do(control.set_clock(moment))
            self.load("work-items")
            execution = self.database.last_execution()
            self.assertEqual("incremental", execution["mode"])
            self.assert_ledger(execution)
            changed += self.last_tasks()["work_item_revision"]["records_inserted"]
            if number in (2, len(moments) - 1):
                self.assertEqual(changed, self.assert_equals_replay(moment))
            self.assertEqual(changed, self.count("work_item_revision"), "each revision lands once")


if __name__ == "__main__":
    unittest.main()
