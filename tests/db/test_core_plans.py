#!/usr/bin/env python3
"""How much the common model looks at where the server has no statistics yet."""
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import query  # noqa: E402
from core_case import ROOT, URLS, CoreCase  # noqa: E402

TICKETS, PEOPLE = 3000, 1500

TABLES = f"""
    INSERT INTO glpi.ticket (source, id, name, date, date_mod, status, etl_execution_id)
    SELECT 'desk', n, 'ticket ' || n, now(), now(), 2, 1 FROM generate_series(1, {TICKETS}) n;
    INSERT INTO glpi.ticket_user (source, id, tickets_id, users_id, type, etl_execution_id)
    SELECT 'desk', 2 * n + k, n, 1 + (n * 7 + k) % {PEOPLE}, 1 + k, 1 FROM generate_series(1, {TICKETS}) n, generate_series(0, 1) k;
    INSERT INTO glpi."user" (source, id, name, etl_execution_id) SELECT 'desk', n, 'user ' || n, 1 FROM generate_series(1, {PEOPLE}) n;
    ANALYZE glpi.ticket, glpi.ticket_user, glpi."user";
"""


def publish(task):
    return (f'BEGIN; CREATE TEMPORARY TABLE delta ON COMMIT DROP AS SELECT id, \'i\'::"char" AS kind FROM glpi."{task}";'
            f" SELECT core.refresh('desk', 'glpi', '{URLS['glpi']}', '{task}', 1, 'trace'); COMMIT;")


# Statistics of people, as autovacuum leaves them: all of another source.
STRANGERS = """
    INSERT INTO core.technician (technician_id, name) SELECT md5(n::text)::uuid, 'stranger ' || n FROM generate_series(1, 6000) n;
    INSERT INTO core.technician_identity (source, external_id, technician_id, name)
    SELECT 'snow', n, md5(n::text)::uuid, 'stranger ' || n FROM generate_series(1, 6000) n;
    ANALYZE core.technician_identity;
"""


class Plans(CoreCase):
    def removed_rows(self, *tasks, role="postgres"):
        """The most rows that a join of these publishes looked at in vain."""
        begin = self.cluster.log.stat().st_size
        for task in tasks:
            query.script(self.url, "LOAD 'auto_explain'; SET auto_explain.log_min_duration TO 0; SET auto_explain.log_analyze TO on;"
                                   f"SET auto_explain.log_nested_statements TO on; SET ROLE {role}; {publish(task)} RESET ROLE")
        plans = self.cluster.log.read_text(encoding="utf-8", errors="replace")[begin:]
        self.assertIn("person_change", plans)
        return max((int(n) for n in re.findall(r"Rows Removed by Join Filter: (\d+)", plans)), default=0)

    def test_people_of_a_second_source_are_not_each_compared_with_every_ticket(self):
        for tasks in (("user", "ticket"), ("ticket", "user")):
            for role in ("postgres", "foz_worker"):
                with self.subTest(tasks=tasks, role=role):
                    self.url = query.copy_database(self.cluster, "migrated")
                    query.script(self.url, (ROOT / "deploy" / "roles.sql").read_text("utf-8"))
                    query.script(self.url, STRANGERS + TABLES)
                    self.assertLess(self.removed_rows(*tasks, role=role), 20 * TICKETS)

    def test_people_who_come_late_are_not_each_compared_with_every_ticket(self):
        query.script(self.url, TABLES + publish("ticket"))
        self.assertEqual(str(TICKETS), self.one("SELECT count(*) FROM core.ticket WHERE assignee_id IS NULL"))
        self.assertLess(self.removed_rows("user"), 20 * TICKETS)
        self.assertEqual("0", self.one("SELECT count(*) FROM core.ticket WHERE assignee_id IS NULL"))


if __name__ == "__main__":
    unittest.main()
