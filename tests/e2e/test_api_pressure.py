"""When the database is away, or asked for more than it can give."""

import concurrent.futures
import threading
import time
import unittest

import psycopg2

import foz
import query
import reading
from reading import CACHED, Blocked


class Outage(reading.ReadingCase):
    n_tickets = 50

    def test_last_good_answers_are_served_while_the_database_is_away(self):
        known = {path: self.read(path) for path in CACHED}
        self.cluster.crash()
        try:
            foz.wait_until(lambda: self.get("/readyz", key=None, admin=True).status == 503, "it is noticed", 10)
            for path, answer in known.items():
                again = self.read(path)
                self.assertEqual(again.headers["Cache-Control"], "private, max-age=0")
                if answer.headers["Content-Type"] == "application/json":
                    self.assertEqual(again.json()["data"], answer.json()["data"])
                    self.assertFalse(again.json()["meta"]["fresh"])
                    self.assertEqual(again.json()["meta"]["as_of"], answer.json()["meta"]["as_of"])
                else:
                    self.assertEqual((again.body, again.headers["Foz-Fresh"]), (answer.body, "false"))
                self.assertEqual(self.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status, 304)
            answer = self.get("/v1/tickets?limit=17")
            self.assert_problem(answer, 503, "database_unavailable")
            self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
            self.assert_problem(self.get(f"/v1/tickets/{self.desk.tickets[0].ticket_id}"), 503, "database_unavailable")
            self.assert_problem(self.get("/readyz", key=None, admin=True), 503, "database_unavailable")
            time.sleep(11)  # longer than a key is trusted without asking
            self.assertFalse(self.read("/v1/tickets").json()["meta"]["fresh"])
            self.assert_problem(self.get("/v1/tickets", key=self.key[:-1] + ("A" if self.key[-1] != "A" else "B")), 503, "database_unavailable")
        finally:
            self.cluster.recover()
        foz.wait_until(lambda: self.get("/readyz", key=None, admin=True).status == 200, "it is ready again", 20)
        foz.wait_until(lambda: self.read("/v1/tickets").json()["meta"]["fresh"], "answers are fresh again", 20)


class Pressure(reading.ReadingCase):
    n_tickets = 50

    def test_a_full_queue_is_503_at_once_and_memory_answers_go_on(self):
        etag = self.read("/v1/tickets").headers["ETag"]
        results = []

        def ask(i):
            answer = self.get(f"/v1/tickets?limit={1 + i}", timeout_s=60)
            results.append((answer.status, answer.headers["Retry-After"]))

        with Blocked(self.url):
            threads = [threading.Thread(target=ask, args=(i,)) for i in range(330)]
            for thread in threads:
                thread.start()
            foz.wait_until(lambda: sum(status == 503 for status, _ in results) >= 60, "the queue is full", 30)
            self.assertEqual(self.read("/v1/tickets", timeout_s=5).headers["ETag"], etag)
            self.assertEqual(self.get("/v1/tickets", headers={"If-None-Match": etag}, timeout_s=5).status, 304)
        for thread in threads:
            thread.join(60)
        self.assertTrue(all(status == 200 or (status == 503 and int(retry) >= 1) for status, retry in results), results)
        self.assertGreaterEqual(sum(status == 200 for status, _ in results), 256)

    def test_a_deadlock_with_a_migration_is_tried_again(self):
        holder = psycopg2.connect(self.url)
        try:
            cursor = holder.cursor()
            # It is the reader who looks for deadlocks, and late enough for there to be one.
            name = query.one(self.url, "SELECT quote_ident(current_database())")
            self.sql(f"ALTER DATABASE {name} SET deadlock_timeout TO '3s';"
                     "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'foz-api'")
            cursor.execute("SET deadlock_timeout TO '1min'")
            cursor.execute("LOCK TABLE core.breach IN ACCESS EXCLUSIVE MODE")
            with concurrent.futures.ThreadPoolExecutor() as threads:
                asked = threads.submit(self.get, "/v1/sla/breaches?limit=77", timeout_s=60)
                foz.wait_until(lambda: query.one(self.url, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'foz-api'"
                                                           " AND wait_event_type = 'Lock'") == "1", "the reader waits")
                cursor.execute("LOCK TABLE api.technician IN ACCESS EXCLUSIVE MODE")  # the reader has it, and gives way
                holder.commit()
                self.assertEqual(asked.result().status, 200)
        finally:
            holder.close()

    def test_who_waits_too_long_is_refused_and_the_health_is_told_meanwhile(self):
        codes, slowest_s = [], 0

        def ask(i):
            codes.append(self.get(f"/v1/tickets?limit={1 + i}", timeout_s=60).json().get("code"))

        started = time.monotonic()
        with Blocked(self.url):
            threads = [threading.Thread(target=ask, args=(i,)) for i in range(80)]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                begun = time.monotonic()
                self.assertEqual(self.get("/health", key=None, timeout_s=30).status, 200)
                slowest_s = max(slowest_s, time.monotonic() - begun)
                time.sleep(0.1)
            seconds = time.monotonic() - started
        for thread in threads:
            thread.join()
        self.assertGreater(codes.count("overloaded"), 50, codes)
        self.assertLess(seconds, 40, "four at a time, each until its lock timeout, they would take 100 s")
        self.assertLess(slowest_s, 4, "the health waited behind the others")
        self.assertEqual(self.read("/v1/tickets?limit=99").status, 200)


if __name__ == "__main__":
    unittest.main()
