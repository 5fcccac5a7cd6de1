"""The base of the tests of foz-api: the real program on a real database, and requests to it.

No worker runs here: what the API queues stays queued unless a test plays the worker in SQL.
"""

import glob
import http.client
import json
import os
import re
import subprocess
import tempfile
import time
import unittest

import foz
import postgres
import query

ALL_SCOPES = ("dash.read", "dash.admin", "dash.observability")


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:2000]!r}"


class ApiCase(unittest.TestCase):
    """One cluster and one service a class; the run log is empty at the start of each test."""

    api_config = {"rate_limit": {"per_minute": 60000, "burst": 1000}}
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not os.path.exists(foz.API):
            raise AssertionError(f"{foz.API} is missing: run meson compile -C {foz.BUILD}")
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="foz-api-", dir="/tmp"))
        cls.cluster = cls.enterClassContext(postgres.Cluster())
        cls.url = cls.cluster.createdb("foz")
        cls.migrate(cls.url)
        cls.config_path = os.path.join(cls.folder, "foz.yaml")
        cls.write_config()
        cls.program = None
        cls.addClassCleanup(cls.stop_service)
        cls.start_service()
        cls.key = cls.create_key("tests", ALL_SCOPES)

    @classmethod
    def migrate(cls, url):
        """By the worker where it is built; else what the API needs, as the migrations make it."""
        if os.path.exists(foz.WORKER):
            path = os.path.join(cls.folder, "migrate.yaml")
            with open(path, "w", encoding="utf-8") as out:
                json.dump({"database": {"url": url}, "sources": {}}, out)
            done = subprocess.run([foz.WORKER, "migrate", "-c", path], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=120, check=False)
            assert done.returncode == 0, done
            return
        for path in sorted(glob.glob(os.path.join(foz.ROOT, "schema", "migrations", "*.sql"))):
            name = os.path.basename(path)
            with open(path, encoding="utf-8") as file:
                postgres.psql(url, "BEGIN;\n%s\nINSERT INTO ops.migration (version, name, checksum) VALUES (%d, '%s', 'x');\n"
                              "COMMIT;\n" % (file.read(), int(name.split("_")[0]), name))

    @classmethod
    def write_config(cls, database=None, read_url=None, **api):
        config = {
            "database": {"url": database or cls.url, **({"read_url": read_url} if read_url else {})},
            "sources": {"snow": {"type": "servicenow", "url": "http://127.0.0.1:9",
                                 "auth": {"method": "basic", "username": "foz", "password": "env:FOZ_TEST_PASSWORD"}}},
            "api": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", **cls.api_config, **api},
        }
        with open(cls.config_path, "w", encoding="utf-8") as out:
            json.dump(config, out)

    @classmethod
    def start_service(cls):
        cls.program = foz.Program([foz.API, "serve", "-c", cls.config_path], cls.folder,
                                  f"foz-api-{time.monotonic_ns()}", {"FOZ_LOG_FORMAT": "json", "FOZ_LOG_LEVEL": "info"})

        def address():
            if not cls.program.is_running():
                raise AssertionError(f"foz-api ended: {cls.program.err()}")
            return re.search(r"listening on http://(\S+):(\d+), admin http://(\S+):(\d+)\n", cls.program.out())
        found = foz.wait_until(address, "foz-api says where it listens")
        cls.host, cls.port = found[1], int(found[2])
        cls.admin_port = int(found[4])

    @classmethod
    def stop_service(cls):
        if cls.program is not None:
            code = cls.program.stop()
            report = foz._SANITIZER_REPORT.search(cls.program.err())
            assert report is None, cls.program.err()[report.start():][:6000]
            assert code == foz.TERMINATED, (code, cls.program.err()[-3000:])
            cls.program = None

    @classmethod
    def command(cls, *arguments, config=None):
        return subprocess.run([foz.API, *arguments, "-c", config or cls.config_path], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, check=False, cwd=cls.folder)

    @classmethod
    def create_key(cls, name, scopes, *more):
        done = cls.command("key", "create", name, "--scope", *scopes, *more)
        assert done.returncode == 0, done
        return done.stdout.strip()

    def setUp(self):
        super().setUp()
        self.sql("TRUNCATE ops.execution_log, ops.execution_task, ops.projection_version, ops.watermark, ops.dead_letter "
                 "RESTART IDENTITY CASCADE")

    # -- shorthand

    def sql(self, text):
        return query.script(self.url, text)

    def rows(self, text):
        return query.rows(self.url, text)

    def ask(self, method, path, body=None, key="", headers=None, admin=False, timeout_s=30):
        """One request on a connection of its own. key: "" = the class's, None = none."""
        given = dict(headers or {})
        if key is not None:
            given["X-API-Key"] = key or self.key
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            given.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port if admin else self.port, timeout=timeout_s)
        try:
            connection.request(method, path, body, given)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.ask("POST", path, body, **options)

    def form(self, path, text, **options):
        return self.post(path, text, headers={"Content-Type": "application/x-www-form-urlencoded"}, **options)

    def assert_problem(self, answer, status, code, *words):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json", answer)
        problem = answer.json()
        self.assertEqual(problem["status"], status)
        self.assertEqual(problem["code"], code, answer)
        self.assertRegex(problem["trace_id"], r"^[0-9a-f]{32}$")
        self.assertEqual(problem["trace_id"], answer.headers["traceparent"].split("-")[1])
        for word in words:
            self.assertIn(word, problem["detail"])
        return problem

    def queued(self):
        return int(self.sql("SELECT count(*) FROM ops.execution_log"))
