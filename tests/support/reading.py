"""The base of the tests of the read API: a made-up desk in core, answers held against the document."""

import json
import subprocess
import time
import urllib.parse

import api_case
import desk
import foz
import openapi
import postgres

# Questions whose answers are kept.
CACHED = ("/v1/tickets", "/v1/tickets?limit=3&status=new", "/v1/tickets/overview", "/v1/tickets/metrics?group_by=queue",
          "/v1/technicians/ranking", "/v1/sla/breaches?timeWindow=90d", "/v1/tickets?format=csv", "/v1/tickets?format=ndjson")


class Blocked:
    """Nobody can read tickets while this is held: an answer that comes anyway came from memory. To be
    held for less than the five seconds after which the service gives up."""

    def __init__(self, url):
        self.process = subprocess.Popen([str(postgres.find_binaries() / "psql"), "-X", "-q", "-A", "-t", url], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _tell(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def __enter__(self):
        self._tell("BEGIN; LOCK TABLE core.ticket IN ACCESS EXCLUSIVE MODE; SELECT 'locked';\n")
        assert "locked" in self.process.stdout.readline()
        return self

    def __exit__(self, *unused):
        self._tell("ROLLBACK;\n\\q\n")
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(20)


def next_minute(at_least_s=0.0):
    """Waits for the next minute to begin if the present one has less than this left (0: in any case). Answers that depend on the
    clock are as of a moment in the present minute."""
    left = 60 - time.time() % 60
    if not at_least_s or left < at_least_s:
        time.sleep(left + 0.05)


class ReadingCase(api_case.ApiCase):
    n_tickets = 400

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.document = openapi.Document(json.loads(cls.command("openapi").stdout))

    def setUp(self):
        super().setUp()
        self.fill(desk.Desk(self.n_tickets))

    def fill(self, content):
        self.desk = content
        self.publish(content.insert())

    def publish(self, sql="", sources=tuple(desk.SOURCES)):
        """Changes core as a publish does: rows, versions and the word to listeners in one transaction."""
        bumps = "".join(f"""
            INSERT INTO ops.projection_version AS p (source, task, version, changed_at, checked_at)
            VALUES ('{source}', '{desk.TASKS[source]}', nextval('ops.projection_version_seq'), clock_timestamp(), clock_timestamp())
            ON CONFLICT (source, task) DO UPDATE SET version = excluded.version, changed_at = excluded.changed_at,
              checked_at = excluded.checked_at;
            SELECT pg_notify('foz_projection', '{source} {desk.TASKS[source]}');""" for source in sources)
        self.sql(f"BEGIN; {sql}; {bumps} COMMIT;")
        version = int(self.sql("SELECT sum(version) FROM ops.projection_version"))
        foz.wait_until(lambda: self.get("/v1/tickets?limit=1").json()["meta"]["version"] == version, "the publish is seen", 10)
        return version

    def read(self, path, parameters=None, **options):
        """A good answer, held against its schema."""
        target = path if not parameters else path + "?" + urllib.parse.urlencode(parameters, doseq=True)
        answer = self.get(target, **options)
        self.assertEqual(answer.status, 200, (target, answer))
        self.document.check_answer(target, answer)
        return answer

    def data(self, path, parameters=None, **options):
        return self.read(path, parameters, **options).json()["data"]

    def walk(self, path, parameters, **options):
        """All rows of a list, page by page, by its own links."""
        rows = []
        target = path + "?" + urllib.parse.urlencode(parameters, doseq=True)
        while target is not None:
            answer = self.read(target, **options)
            page = answer.json()["page"]
            rows += answer.json()["data"]
            link = answer.headers["Link"]
            self.assertEqual(page["has_more"], link is not None)
            self.assertEqual(page["has_more"], page["next_cursor"] is not None)
            target = link[1:link.index(">")] if link else None
            if target:
                self.assertIn(page["next_cursor"], target)
                self.assertTrue(link.endswith('>; rel="next"'), link)
        return rows
