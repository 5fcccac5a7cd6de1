"""What is kept in memory, for whom and how long: ETags, invalidation, single flight."""

import concurrent.futures
import datetime
import http.client
import time
import unittest

import foz
import reading
from reading import CACHED, Blocked, next_minute

TTLS = {"/v1/tickets": 60, "/v1/tickets/overview": 60, "/v1/tickets/metrics": 60, "/v1/technicians/ranking": 300,
        "/v1/sla/breaches": 60, "/v1/system/health": 30, "/v1/system/usage": 30}


def as_of(answer):
    return datetime.datetime.fromisoformat(answer.json()["meta"]["as_of"])  # as text .1Z comes behind .12Z


class Memory(reading.ReadingCase):
    n_tickets = 200

    def all_paths(self):
        ticket = self.desk.live()[0].ticket_id
        person = self.desk.technicians[0].technician_id
        return (*CACHED, f"/v1/tickets/{ticket}", f"/v1/tickets/{ticket}/timeline", f"/v1/technicians/{person}/productivity",
                "/v1/system/health")

    def counters(self):
        return self.get("/v1/system/usage").json()["data"]["cache"]

    def test_every_answer_has_an_etag_that_answers_304(self):
        for path in self.all_paths():
            answer = self.read(path)
            etag = answer.headers["ETag"]
            self.assertRegex(etag, r'^W/"[0-9a-f-]+"$')
            for known in (etag, etag[2:], f'"a", {etag} , W/"b"', "*"):
                again = self.get(path, headers={"If-None-Match": known})
                self.assertEqual((again.status, again.body), (304, b""), (path, known))
                self.assertEqual(again.headers["ETag"], etag)
                # Clients such as wrk wait for a body of any other length, whatever the status.
                self.assertIn(again.headers["Content-Length"], (None, "0"), (path, known))
                self.assertEqual(again.headers["Cache-Control"], answer.headers["Cache-Control"])
                self.assertEqual(again.headers["Vary"], answer.headers["Vary"])
            for unknown in ('W/"0-0-0"', '"x"', etag[:-2] + '0"' if not etag.endswith('0"') else etag[:-2] + '1"', ""):
                self.assertEqual(self.get(path, headers={"If-None-Match": unknown}).status, 200, (path, unknown))

    def ask_in_lines(self, path, *lines):
        """Status and content type; a header may come on several lines."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest("GET", path, skip_accept_encoding=True)
            for name, value in (("X-API-Key", self.key), *lines):
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers["Content-Type"]
        finally:
            connection.close()

    def test_a_list_may_come_on_several_lines(self):
        for path in ("/v1/tickets", "/v1/executions", f"/v1/tickets/{self.desk.live()[0].ticket_id}"):
            etag = self.read(path).headers["ETag"]
            self.assertEqual(self.ask_in_lines(path, ("If-None-Match", '"zzz"'), ("X-A", "b"), ("if-none-match", etag))[0], 304, path)
            self.assertEqual(self.ask_in_lines(path, ("If-None-Match", etag), ("If-None-Match", '"zzz"'))[0], 304, path)
            self.assertEqual(self.ask_in_lines(path, ("If-None-Match", '"zzz"'), ("If-None-Match", '"yyy"'))[0], 200, path)
        for path in ("/v1/tickets?limit=4", "/v1/executions"):
            self.assertEqual(self.ask_in_lines(path, ("Accept", "application/xml"), ("Accept", "application/json")), (200, "application/json"))
            self.assertEqual(self.ask_in_lines(path, ("Accept", "application/json;q=0.5"), ("Accept", "text/csv"))[1], "text/csv; charset=utf-8")
            self.assertEqual(self.ask_in_lines(path, ("Accept", "application/xml"), ("Accept", "text/html"))[0], 406)

    def test_the_time_to_live_of_each_route_is_told(self):
        for path, ttl in TTLS.items():
            self.assertEqual(self.read(path).headers["Cache-Control"], f"private, max-age={ttl}", path)
        for path in self.all_paths()[-4:-2]:
            self.assertEqual(self.read(path).headers["Cache-Control"], "private, max-age=0", path)

    def test_repeated_questions_and_304s_touch_no_table(self):
        next_minute(at_least_s=15)
        known = {path: self.read(path) for path in CACHED}
        with Blocked(self.url):
            for path, answer in known.items():
                again = self.read(path, timeout_s=5)
                self.assertEqual(again.headers["ETag"], answer.headers["ETag"])
                if "json" in answer.headers["Content-Type"] and "nd" not in answer.headers["Content-Type"]:
                    self.assertEqual(again.json()["data"], answer.json()["data"])
                else:
                    self.assertEqual(again.body, answer.body)
                self.assertEqual(self.get(path, headers={"If-None-Match": answer.headers["ETag"]}, timeout_s=5).status, 304)

    def test_a_304_needs_no_kept_answer(self):
        path = "/v1/tickets?limit=7"
        next_minute(at_least_s=30)
        etag = self.read(path).headers["ETag"]
        for limit in range(100, 1000, 9):  # pushes it out: the memory of this service holds few
            self.read(f"/v1/tickets?limit={limit}")
        self.assertGreater(self.counters()["evicted"], 0)
        with Blocked(self.url):
            self.assertEqual(self.get(path, headers={"If-None-Match": etag}, timeout_s=5).status, 304)

    def test_the_same_question_in_other_words_has_one_answer(self):
        one = self.read("/v1/tickets?status=new&status=closed&source=snow")
        two = self.read("/v1/tickets?source=snow&status=closed,new")
        self.assertEqual(one.headers["ETag"], two.headers["ETag"])
        self.assertNotEqual(one.headers["ETag"], self.read("/v1/tickets?status=new&source=snow").headers["ETag"])
        self.assertNotEqual(one.headers["ETag"], self.read("/v1/tickets?status=new,closed&source=snow&format=csv").headers["ETag"])

    def test_a_publish_shows_at_once_and_changes_every_etag(self):
        before = {path: self.read(path) for path in self.all_paths()}
        self.publish("UPDATE core.ticket SET title = 'all new', status = 'pending', sla_met = false, queue = 'New', "
                     "resolved_at = now(), resolved_by_id = '%s', priority = 1" % self.desk.technicians[0].technician_id)
        for path, old in before.items():
            new = self.read(path)
            self.assertNotEqual(new.headers["ETag"], old.headers["ETag"], path)
            self.assertNotEqual(new.body, old.body, path)
            self.assertEqual(self.get(path, headers={"If-None-Match": old.headers["ETag"]}).status, 200, path)
        self.assertEqual(self.data("/v1/tickets/overview")["by_status"], {"pending": len(self.desk.live())})

    def test_a_publish_without_changes_keeps_etags_and_renews_the_age(self):
        before = self.read("/v1/tickets/overview")
        self.sql("UPDATE ops.projection_version SET checked_at = clock_timestamp(); SELECT pg_notify('foz_projection', 'x')")
        foz.wait_until(lambda: as_of(self.read("/v1/tickets/overview")) > as_of(before), "a new age", 10)
        self.assertEqual(self.read("/v1/tickets/overview").headers["ETag"], before.headers["ETag"])

    def test_an_etag_lives_as_long_as_the_answer_is_the_same(self):
        """Minutes pass; what they change has a new ETag, the rest the old one."""
        late = self.desk.live()[0].ticket_id
        next_minute(at_least_s=15)
        self.publish(f"""UPDATE core.ticket SET status = 'new', resolved_at = NULL, closed_at = NULL, sla_met = NULL, sla_done_at = NULL,
                         source_type = 'azure_devops', queue = 'On time', sla_due_at = date_trunc('minute', now()) + interval '1 min'
                         WHERE ticket_id = '{late}'""")
        moved, still = "/v1/tickets?queue=On+time", ("/v1/tickets?queue=Network", "/v1/tickets?queue=Network&format=csv")
        etags = {path: self.read(path).headers["ETag"] for path in (moved, *still)}
        self.assertFalse(self.data(moved)[0]["sla_breached"])
        misses = self.counters()["misses"]
        next_minute()
        for path in still:
            self.assertEqual(self.get(path, headers={"If-None-Match": etags[path]}).status, 304, path)
        self.assertGreaterEqual(self.counters()["misses"], misses + len(still))  # each was asked anew
        answer = self.get(moved, headers={"If-None-Match": etags[moved]})
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.json()["data"][0]["sla_breached"])

    def test_a_lost_listener_keeps_nothing(self):
        self.read("/v1/tickets/overview")
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'foz-api watch'")
        # No word of this change reaches the service.
        self.sql("UPDATE core.ticket SET status = 'cancelled'; UPDATE ops.projection_version SET version = nextval('ops.projection_version_seq')")
        wanted = {"cancelled": len(self.desk.live())}
        foz.wait_until(lambda: self.data("/v1/tickets/overview")["by_status"] == wanted, "the change shows", 10)
        foz.wait_until(lambda: self.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'foz-api watch'") == "1",
                       "somebody listens again", 10)
        self.publish("UPDATE core.ticket SET status = 'new'")
        self.assertEqual(self.data("/v1/tickets/overview")["by_status"], {"new": len(self.desk.live())})

    def test_many_equal_questions_are_one_statement(self):
        self.publish()
        before = self.counters()
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            with Blocked(self.url):
                asked = [pool.submit(self.read, "/v1/tickets/overview?queue=Network") for _ in range(40)]
                foz.wait_until(lambda: self.counters()["joined"] >= before["joined"] + 39, "39 wait for the one", 10)
                waiting = self.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
                self.assertEqual(waiting, "1")
            answers = [one.result() for one in asked]
        self.assertEqual(len({answer.headers["ETag"] for answer in answers}), 1)
        self.assertEqual(len({str(answer.json()["data"]) for answer in answers}), 1)
        self.assertEqual(self.counters()["misses"], before["misses"] + 1)
        self.assertEqual(len({answer.headers["traceparent"] for answer in answers}), 40)

    def test_who_asks_after_a_publish_does_not_get_the_answer_from_before(self):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            with Blocked(self.url):
                first = pool.submit(self.read, "/v1/tickets/overview?category=Hardware")
                foz.wait_until(lambda: self.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "1", "it asks", 10)
                before = self.counters()
                self.sql("SELECT pg_notify('foz_projection', 'x')")
                time.sleep(0.3)
                second = pool.submit(self.read, "/v1/tickets/overview?category=Hardware")
                foz.wait_until(lambda: self.counters()["misses"] == before["misses"] + 1, "the second asks for itself", 10)
            first.result()
            second.result()
        self.assertEqual(self.counters()["joined"], before["joined"])

    def test_a_client_that_leaves_does_not_take_the_answer_of_others_with_it(self):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            with Blocked(self.url):
                leaver = http.client.HTTPConnection("127.0.0.1", self.port)
                leaver.request("GET", "/v1/tickets/overview?category=Software", headers={"X-API-Key": self.key})
                foz.wait_until(lambda: self.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "1", "it asks", 10)
                stayer = pool.submit(self.read, "/v1/tickets/overview?category=Software")
                time.sleep(0.1)
                leaver.close()
            self.assertGreater(stayer.result().json()["data"]["total"], 0)

    def test_age_grows_while_the_answer_is_kept(self):
        self.publish("UPDATE ops.projection_version SET checked_at = now()")
        self.sql("UPDATE ops.projection_version SET checked_at = clock_timestamp() - interval '298 s'; SELECT pg_notify('foz_projection', 'x')")
        foz.wait_until(lambda: self.read("/v1/tickets").json()["meta"]["lag_seconds"] >= 298, "the age is known", 10)
        self.assertTrue(self.read("/v1/tickets").json()["meta"]["fresh"])
        with Blocked(self.url):
            answer = foz.wait_until(lambda: next((a for a in [self.read("/v1/tickets")] if not a.json()["meta"]["fresh"]), None), "it ages", 10)
        self.assertGreater(answer.json()["meta"]["lag_seconds"], 300)

    def test_the_age_is_that_of_the_oldest_source_that_feeds_the_answer(self):
        self.sql("""UPDATE ops.projection_version SET checked_at = clock_timestamp() - interval '1 h' WHERE source = 'desk';
                    INSERT INTO ops.projection_version VALUES ('snow', 'groups', 1, now() - interval '1 d', now() - interval '1 d')""")
        self.publish(sources=("snow",))
        meta = self.read("/v1/tickets").json()["meta"]
        self.assertFalse(meta["fresh"])
        self.assertIn(meta["lag_seconds"], range(3600, 3700))
        self.assertEqual(meta["as_of"], self.read("/v1/tickets?source=desk").json()["meta"]["as_of"])
        self.assertTrue(self.read("/v1/tickets?source=snow").json()["meta"]["fresh"])
        self.assertTrue(self.read("/v1/tickets/overview?source=snow&source=devops").json()["meta"]["fresh"])
        meta = self.read("/v1/tickets?source=nobody").json()["meta"]
        self.assertEqual((meta["as_of"], meta["lag_seconds"], meta["fresh"]), (None, None, False))


class SmallMemory(reading.ReadingCase):
    api_config = {**reading.ReadingCase.api_config, "cache_limit": "256KiB"}

    def test_memory_is_bounded_and_large_answers_are_not_kept(self):
        for limit in range(1, 60):
            self.read(f"/v1/tickets?limit={limit}")
            cache = self.get("/v1/system/usage").json()["data"]["cache"]
            self.assertLessEqual(cache["bytes"], 256 * 1024)
        self.assertGreater(cache["evicted"], 0)
        self.assertGreater(cache["answers"], 3)
        before = cache["misses"]
        for _ in range(3):
            self.assertGreater(len(self.read("/v1/tickets?limit=1000").body), 64 * 1024)
        self.assertEqual(self.get("/v1/system/usage").json()["data"]["cache"]["misses"], before + 3)


class NoMemory(reading.ReadingCase):
    api_config = {**reading.ReadingCase.api_config, "cache_limit": "0"}
    n_tickets = 30

    def test_nothing_is_kept_and_etags_still_answer_304(self):
        etag = self.read("/v1/tickets").headers["ETag"]
        self.assertEqual(self.read("/v1/tickets").headers["ETag"], etag)
        self.assertEqual(self.get("/v1/tickets", headers={"If-None-Match": etag}).status, 304)
        cache = self.get("/v1/system/usage").json()["data"]["cache"]
        self.assertEqual((cache["hits"], cache["answers"], cache["bytes"]), (0, 0, 0))


class Shared(reading.ReadingCase):
    """Who is told the same is sent the same object, with headers of each request's own."""

    n_tickets = 200
    origins = ["https://one.example.com", "https://two.example.com"]
    api_config = {**reading.ReadingCase.api_config, "cors": {"origins": origins}}

    def test_nobody_gets_the_headers_of_another(self):
        paths = ("/v1/tickets/overview", "/v1/tickets?limit=1000", "/v1/tickets?limit=3&format=csv")
        whole = {path: self.read(path) for path in paths}
        faults = []

        def ask(number):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            for i in range(60):
                path, name = paths[(number + i) % 3], f"{number}-{i}"
                headers = {"X-API-Key": self.key, "traceparent": f"00-{number + 1:016x}{i:016x}-{1:016x}-01"}
                if i % 3:
                    headers["X-Request-Id"] = name
                if i % 4:
                    headers["Origin"] = self.origins[i % 2]
                if i % 5 == 0:
                    headers["If-None-Match"] = whole[path].headers["ETag"]
                method = "HEAD" if i % 7 == 0 else "GET"
                connection.request(method, path, headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                told = [answer.headers.get_all(header, []) for header in ("X-Request-Id", "traceparent", "RateLimit", "Access-Control-Allow-Origin")]
                wanted = [[name] if i % 3 else [], 1, 1, [headers["Origin"]] if i % 4 else []]
                is_good = (told[0], len(told[1]), len(told[2]), told[3]) == tuple(wanted)
                is_good = is_good and told[1][0].startswith(headers["traceparent"][:36])
                if answer.status == 200 and method == "GET":
                    is_good = is_good and body.split(b'"meta"')[0] == whole[path].body.split(b'"meta"')[0]
                else:
                    is_good = is_good and body == b""
                if not is_good or answer.status not in (200, 304):
                    faults.append((path, headers, answer.status, answer.headers.items(), body[:200]))
            connection.close()

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(8)))
        self.assertEqual(faults[:2], [])

    def test_many_who_wait_for_one_answer_all_get_it(self):
        with concurrent.futures.ThreadPoolExecutor(40) as pool, Blocked(self.url):
            asked = [pool.submit(self.get, "/v1/tickets?limit=1000&source=snow", timeout_s=60) for _ in range(40)]
            time.sleep(0.5)
            gone = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            gone.request("GET", "/v1/tickets?limit=1000&source=snow", headers={"X-API-Key": self.key})
            time.sleep(0.2)
            gone.close()  # does not wait for its answer
            time.sleep(0.2)
            self.assertFalse(any(answer.done() for answer in asked))
        bodies = {answer.result().body.split(b'"meta"')[0] for answer in asked}
        self.assertEqual((len(bodies), {answer.result().status for answer in asked}), (1, {200}))


if __name__ == "__main__":
    unittest.main()
