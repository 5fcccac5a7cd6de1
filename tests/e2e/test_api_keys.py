"""Keys of foz-api: who may do what and how often, and the commands that manage them."""

import json
import os
import re
import subprocess
import time
import unittest

import foz
import postgres
import query
from api_case import ALL_SCOPES, ApiCase


class Keys(ApiCase):
    def test_a_missing_or_wrong_key_is_401_with_a_challenge(self):
        good = self.key
        for headers in ({}, {"X-API-Key": "foz_short"}, {"X-API-Key": good[:-1] + ("A" if good[-1] != "A" else "B")},
                        {"X-API-Key": ""}, {"Authorization": "Bearer abc"}, {"Authorization": "Basic Zm9vOmJhcg=="},
                        {"X-API-Key": good, "Authorization": "Bearer abc"}):
            answer = self.post("/load-incidents/", key=None, headers=headers)
            self.assert_problem(answer, 401, "unauthorized")
            self.assertIn("ApiKey", answer.headers["WWW-Authenticate"])
        self.assertEqual(self.queued(), 0)

    def test_a_key_without_the_scope_is_403_and_names_the_scope(self):
        reader = self.create_key("reader", ["dash.read"])
        observer = self.create_key("observer", ["dash.observability"])
        self.assert_problem(self.post("/load-incidents/", key=reader), 403, "scope_missing", "dash.admin")
        self.assert_problem(self.post("/v1/loads/incidents", key=observer), 403, "scope_missing", "dash.admin")
        self.assert_problem(self.post("/v1/executions/1/cancel", key=observer), 403, "scope_missing", "dash.admin")
        self.assert_problem(self.get("/v1/executions", key=reader), 403, "scope_missing", "dash.observability")
        self.assertEqual(self.get("/v1/executions", key=observer).status, 200)
        self.assertEqual(self.queued(), 0)

    def test_a_key_remembered_through_an_outage_is_good_for_answers_only(self):
        key = self.create_key("remembered", ALL_SCOPES)
        row = query.one(self.url, "SELECT row_to_json(k) FROM ops.api_key k WHERE name = 'remembered'")
        with postgres.Cluster() as other:
            reads = other.createdb("foz")
            self.migrate(reads)
            postgres.psql(reads, f"INSERT INTO ops.api_key OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_record(NULL::ops.api_key, $${row}$$)")
            self.stop_service()
            self.write_config(read_url=reads)
            self.start_service()
            try:
                self.assertEqual(self.get("/v1/tickets", key=key).status, 200)
                self.assertEqual(self.post("/load-incidents/", key=key).status, 200)
                other.crash()
                self.sql("UPDATE ops.api_key SET revoked_at = now() WHERE name = 'remembered'; TRUNCATE ops.execution_log CASCADE")
                time.sleep(5.5)  # longer than a key is trusted without asking
                self.assertFalse(self.get("/v1/tickets", key=key).json()["meta"]["fresh"])
                self.assert_problem(self.post("/load-incidents/", key=key), 503, "database_unavailable")
                self.assert_problem(self.post("/v1/executions/1/cancel", key=key), 503, "database_unavailable")
                self.assertEqual(self.queued(), 0)
            finally:
                self.stop_service()
                self.write_config()
                self.start_service()

    def test_a_key_that_could_not_be_shown_does_not_exist(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([foz.API, "key", "create", "unseen", "--scope", "dash.read", "-c", self.config_path], stdout=full,
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, foz.FAILED, done)
        self.assertIn("cannot write to standard output: No space left on device", done.stderr)
        self.assertEqual(self.sql("SELECT count(*) FROM ops.api_key WHERE name = 'unseen'"), "0")

    def test_only_the_digest_is_stored_and_the_key_is_nowhere_in_the_log(self):
        key = self.create_key("digest", ["dash.read"])
        self.assertRegex(key, r"^foz_[A-Za-z0-9_-]{40}$")
        stored = self.rows("SELECT encode(key_hash, 'hex') = encode(sha256('%s'), 'hex') FROM ops.api_key "
                           "WHERE name = 'digest'" % key)
        self.assertEqual(stored, [("t",)])
        self.assertEqual(self.sql("SELECT count(*) FROM ops.api_key k WHERE k::text LIKE '%" + key[4:] + "%'"), "0")
        self.get("/v1/executions", key=key)
        self.assertNotIn(key[4:], self.program.err())

    def test_a_revoked_key_is_refused_within_ten_seconds(self):
        key = self.create_key("leaver", ALL_SCOPES)
        self.assertEqual(self.get("/v1/executions", key=key).status, 200)
        self.assertEqual(self.command("key", "revoke", "leaver").returncode, 0)
        started = time.monotonic()
        foz.wait_until(lambda: self.get("/v1/executions", key=key).status == 401, "the key is refused", 10)
        self.assertLess(time.monotonic() - started, 10)
        listed = json.loads(self.command("key", "list", "--json").stdout)
        self.assertIsNotNone(next(row for row in listed if row["name"] == "leaver")["revoked_at"])

    def test_the_use_of_a_key_is_noted(self):
        key = self.create_key("used", ["dash.observability"])
        self.get("/v1/executions", key=key)
        self.assertEqual(self.sql("SELECT last_used_at > now() - interval '1 minute' FROM ops.api_key WHERE name = 'used'"), "t")

    def test_key_commands_refuse_bad_arguments(self):
        for arguments, word in ((["key"], "create"), (["key", "frobnicate"], "frobnicate"), (["key", "create", "x"], "--scope"),
                                (["key", "create", "x", "--scope", "dash.everything"], "dash.everything"),
                                (["key", "create", "a b", "--scope", "dash.read"], "a b"),
                                (["key", "create", "anonymous", "--scope", "dash.read"], "anonymous"),
                                (["key", "create", "x", "--scope", "dash.read", "--per-minute", "0"], "per-minute"),
                                (["key", "create", "x", "y", "--scope", "dash.read"], "y"),
                                (["key", "create", "tests", "--scope", "dash.read"], "tests"),
                                (["key", "revoke", "nobody"], "nobody"), (["key", "list", "extra"], "list"),
                                (["serve", "now"], "now"), (["frobnicate"], "frobnicate"), (["--frobnicate"], "frobnicate")):
            done = self.command(*arguments)
            self.assertEqual(done.returncode, foz.USAGE, (arguments, done))
            self.assertIn(word, done.stderr)
            self.assertEqual(done.stdout, "")

    def test_commands_tell_configuration_from_database_faults(self):
        missing = self.command("key", "list", config="/nonexistent/foz.yaml")
        self.assertEqual(missing.returncode, foz.CONFIGURATION, missing)
        away = os.path.join(self.folder, "away.yaml")
        with open(away, "w", encoding="utf-8") as out:
            out.write("database: {url: 'postgresql://127.0.0.1:1/foz'}\nsources: {}\n")
        done = self.command("key", "list", config=away)
        self.assertEqual(done.returncode, foz.UNREACHABLE, done)
        empty = os.path.join(self.folder, "empty.yaml")
        with open(empty, "w", encoding="utf-8") as out:
            json.dump({"database": {"url": self.cluster.createdb()}, "sources": {}}, out)
        done = self.command("key", "list", config=empty)
        self.assertEqual(done.returncode, foz.CONFIGURATION, done)
        self.assertIn("foz-worker migrate", done.stderr)

    def test_help_and_version_need_no_configuration(self):
        for option in ("--help", "--version"):
            done = subprocess.run([foz.API, option], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("foz-api", done.stdout)


class Rates(ApiCase):
    api_config = {"rate_limit": {"per_minute": 60, "burst": 5}}

    def test_each_principal_has_its_own_bucket(self):
        one, two = self.create_key("one", ALL_SCOPES), self.create_key("two", ALL_SCOPES)
        answers = [self.get("/v1/executions", key=one) for _ in range(8)]
        self.assertEqual([answer.status for answer in answers[:5]], [200] * 5)
        refused = [answer for answer in answers if answer.status == 429]
        self.assertGreaterEqual(len(refused), 2)
        self.assert_problem(refused[0], 429, "rate_limited", "one")
        self.assertIn(int(refused[0].headers["Retry-After"]), (1, 2))
        self.assertIn("q=60", refused[0].headers["RateLimit-Policy"])
        self.assertIn("r=0", refused[0].headers["RateLimit"])
        self.assertIn("r=4", answers[0].headers["RateLimit"])
        self.assertEqual(self.get("/v1/executions", key=two).status, 200)
        self.assertEqual(self.get("/health", key=None).status, 200)

    def test_a_key_may_have_its_own_limit(self):
        fast = self.create_key("fast", ALL_SCOPES, "--per-minute", "6000")
        self.assertIn("q=6000", self.get("/v1/executions", key=fast).headers["RateLimit-Policy"])

    def test_a_small_limit_of_its_own_caps_the_burst(self):
        slow = self.create_key("slow", ALL_SCOPES, "--per-minute", "2")
        answers = [self.get("/v1/executions", key=slow) for _ in range(3)]
        self.assertEqual([answer.status for answer in answers], [200, 200, 429])
        self.assertEqual(answers[0].headers["RateLimit-Policy"], '"default";q=2;w=60;b=2')

    def test_the_last_answer_says_how_long_the_next_has_to_wait(self):
        slow = self.create_key("three", ALL_SCOPES, "--per-minute", "3")
        answers = [self.get("/v1/executions", key=slow) for _ in range(4)]
        told = [re.fullmatch(r'"default";r=(\d);t=(\d+)', answer.headers["RateLimit"]) for answer in answers]
        self.assertEqual([(answer.status, int(said[1])) for answer, said in zip(answers, told)], [(200, 2), (200, 1), (200, 0), (429, 0)])
        self.assertEqual([int(said[2]) for said in told[:2]], [0, 0])
        for said in told[2:]:
            self.assertIn(int(said[2]), range(15, 21))  # 20 s less what the requests themselves took
        self.assertEqual(answers[3].headers["Retry-After"], told[3][2])


class Anonymous(ApiCase):
    api_config = {**ApiCase.api_config, "auth": {"enabled": False}}

    def test_local_requests_need_no_key_and_are_logged_as_anonymous(self):
        self.assertEqual(self.post("/load-incidents/", key=None).status, 200)
        self.assertEqual(self.sql("SELECT requested_by FROM ops.execution_log"), "anonymous")

    def test_pages_of_other_origins_and_other_host_names_are_refused(self):
        for headers in ({"Origin": "https://evil.example.com"}, {"Origin": "null"}, {"Host": "evil.example.com:8080"},
                        {"Host": "127.evil.example.com"}):
            self.assert_problem(self.post("/load-incidents/", key=None, headers=headers), 403, "origin_refused")
        own = {"Origin": f"http://127.0.0.1:{self.port}"}
        self.assertEqual(self.post("/load-incidents/", key=None, headers=own).status, 200)

    def test_it_is_refused_on_an_address_others_can_reach(self):
        path = os.path.join(self.folder, "open.yaml")
        with open(self.config_path, encoding="utf-8") as file:
            config = json.load(file)
        config["api"]["listen"] = "0.0.0.0:0"
        with open(path, "w", encoding="utf-8") as out:
            json.dump(config, out)
        done = self.command("serve", config=path)
        self.assertEqual(done.returncode, foz.CONFIGURATION, done)
        self.assertIn("0.0.0.0", done.stderr)


if __name__ == "__main__":
    unittest.main()
