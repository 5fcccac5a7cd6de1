"""From a source through worker and API: what changes there shows in the next answer, and whole."""

import json
import os
import signal
import threading
import unittest

import control
import foz
import openapi


class Live(foz.FozTest):
    tickets = 300

    def setUp(self):
        super().setUp()
        self.load("configurations")
        self.load("incidents")
        self.start_api()
        self.key = self.create_key()
        self.document = openapi.Document(json.loads(self.api_command("openapi").out))

    def ask(self, path, etag=None):
        headers = {"X-API-Key": self.key, **({"If-None-Match": etag} if etag else {})}
        return foz.http("GET", self.api_url + path, headers=headers)

    def read(self, path):
        reply = self.ask(path)
        self.assertEqual(reply.status, 200, (path, reply))
        self.document.check_answer(path, reply)
        return reply

    def listening_session(self):
        """The process of PostgreSQL that tells the API of publishes."""
        return int(foz.wait_until(lambda: self.database.one(
            "SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l USING (pid) WHERE a.application_name = 'foz-api watch' "
            "AND a.datname = current_database() AND l.locktype = 'advisory'"), "the API watches"))

    def n_published(self):
        return int(self.database.one("SELECT count(*) FROM ops.execution_task WHERE task = 'incident' AND status = 'success'"))

    def test_a_change_at_the_source_shows_in_the_next_answer_with_a_new_etag(self):
        identity = self.sim.rows("incident", fields="sys_id")[0]["sys_id"]
        paths = ("/v1/tickets?limit=1000", f"/v1/tickets/snow%3A{identity}", f"/v1/tickets/snow:{identity}/timeline")
        before = {path: self.read(path) for path in paths}
        for i in range(5):
            self.sim.change(control.update("incident", identity, short_description=f"changed {i}", priority=str(1 + i % 4)))
            self.load("incidents")
            for path in paths:
                reply = self.ask(path, before[path].headers["ETag"])
                self.assertEqual(reply.status, 200, path)
                self.assertNotEqual(reply.headers["ETag"], before[path].headers["ETag"])
                self.assertIn(f"changed {i}".encode(), reply.body if "timeline" not in path else self.read(paths[1]).body)
                self.assertTrue(reply.json()["meta"]["fresh"])
                before[path] = reply
            self.load("incidents")  # nothing changed: what was known is still good
            self.assertEqual(self.ask(paths[0], before[paths[0]].headers["ETag"]).status, 304)

    def test_a_load_ends_when_whoever_asks_next_is_told_what_it_brought(self):
        """However late the API hears of the publish: here its PostgreSQL session stands still."""
        path = "/v1/tickets/overview"
        for row in self.sim.rows("incident", fields="sys_id")[:3]:
            before = self.read(path).headers["ETag"]
            session = self.listening_session()
            n_published = self.n_published()
            self.sim.change(control.update("incident", row["sys_id"], category=f"never seen {row['sys_id']}"))
            os.kill(session, signal.SIGSTOP)
            try:
                program = self.start_worker("load", "incidents")
                foz.wait_until(lambda: self.n_published() > n_published, "the task is published")
                self.assertEqual(self.ask(path, before).status, 304)  # the API cannot know yet
                self.assertEqual(self.database.last_execution("incidents")["status"], "running")
            finally:
                os.kill(session, signal.SIGCONT)
            self.assertEqual(program.wait(), 0)
            self.assertIn(f"never seen {row['sys_id']}", self.read(path).body.decode())

    def test_an_api_that_stands_still_does_not_stop_the_loads(self):
        identity = self.sim.rows("incident", fields="sys_id")[0]["sys_id"]
        self.read("/v1/tickets")
        session = self.listening_session()
        os.kill(session, signal.SIGSTOP)
        try:
            self.sim.change(control.update("incident", identity, short_description="while it stands"))
            self.assertIn("do not take notice", self.load("incidents").err)
            self.assertEqual(self.database.last_execution("incidents")["status"], "success")
            self.assertIn("do not take notice", self.worker("rebuild", expect=foz.COMPLETE).err)
        finally:
            os.kill(session, signal.SIGCONT)
        foz.wait_until(lambda: b"while it stands" in self.read("/v1/tickets?limit=1000").body, "it hears of the publish after all")

    def test_what_is_served_equals_what_was_loaded(self):
        states = {"1": "new", "2": "in_progress", "3": "pending", "4": "pending", "5": "pending", "6": "resolved", "7": "closed", "8": "cancelled"}
        rows = {row["sys_id"]: row for row in self.database.dicts("SELECT sys_id, number, state, priority, short_description FROM servicenow.incident")}
        served = {row["external_id"]: row for row in self.read("/v1/tickets?limit=1000").json()["data"]}
        self.assertEqual(set(served), set(rows))
        for identity, row in rows.items():
            self.assertEqual(served[identity]["status"], states.get(str(row["state"]), "unmapped"))
            self.assertEqual(served[identity]["title"], row["short_description"])
        overview = self.read("/v1/tickets/overview").json()["data"]
        self.assertEqual(overview["total"], len(rows))
        metrics = self.read("/v1/tickets/metrics?group_by=queue").json()["data"]
        self.assertEqual(sum(row["tickets"] for row in metrics), len(rows))
        self.read("/v1/technicians/ranking?period=5000d")
        self.read("/v1/sla/breaches?timeWindow=5000d")
        self.assertIn(self.read("/v1/system/health").json()["data"]["status"], ("ok", "degraded", "stale"))

    def test_loads_and_reads_at_once_never_show_a_half_state(self):
        """Each load moves whole groups of tickets from one priority to another: every answer adds up."""
        identities = [row["sys_id"] for row in self.sim.rows("incident", fields="sys_id")]
        total = len(identities)
        moved = identities[:100]
        self.sim.change(*(control.update("incident", identity, priority="1", category="one") for identity in moved))
        self.load("incidents")
        rest = self.read("/v1/tickets/overview").json()["data"]["by_priority"].get("1", 0) - len(moved)
        others = {p: n for p, n in self.read("/v1/tickets/overview").json()["data"]["by_priority"].items()}
        stop, faults, seen, versions = threading.Event(), [], set(), []

        def examine(path):
            data = self.read(path).json()
            if "overview" in path:
                counts = data["data"]["by_priority"]
                sums = [sum(data["data"]["by_status"].values()), sum(counts.values()), sum(row["total"] for row in data["data"]["by_queue"]),
                        sum(row["total"] for row in data["data"]["by_category"]), data["data"]["total"]]
                if sums != [total] * 5:
                    faults.append((path, sums))
                extra = {p: counts.get(p, 0) - others.get(p, 0) for p in set(counts) | set(others)}
                if sorted(extra.values()) not in ([0] * len(extra), sorted([len(moved), -len(moved)] + [0] * (len(extra) - 2))):
                    faults.append((path, counts, others))
                seen.add(max(extra, key=extra.get) if any(extra.values()) else "1")
                versions.append(data["meta"]["version"])
            else:
                groups = {}
                for row in data["data"]:
                    if row["external_id"] in moved_set:
                        groups[row["priority"]] = groups.get(row["priority"], 0) + 1
                if list(groups.values()) != [len(moved)]:
                    faults.append((path, groups))

        moved_set = set(moved)

        def hammer(path):
            try:
                while not stop.is_set() and not faults:
                    examine(path)
            except Exception as problem:  # pylint: disable=broad-except
                faults.append((path, repr(problem)))

        threads = [threading.Thread(target=hammer, args=(path,)) for path in
                   ("/v1/tickets/overview", "/v1/tickets/overview", "/v1/tickets?limit=1000", "/v1/tickets?limit=1000&source=snow")]
        for thread in threads:
            thread.start()
        try:
            for i in range(8):
                self.sim.change(*(control.update("incident", identity, priority=str(2 + i % 3)) for identity in moved))
                self.load("incidents")
                self.assertEqual(self.read("/v1/tickets/overview").json()["data"]["by_priority"].get(str(2 + i % 3), 0),
                                 others.get(str(2 + i % 3), 0) + len(moved))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(faults, [])
        self.assertGreater(len(versions), 8)
        self.assertGreaterEqual(len(seen), 3)
        self.assertGreaterEqual(rest, 0)


if __name__ == "__main__":
    unittest.main()
