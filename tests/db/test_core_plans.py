#!/usr/bin/env python3
"""How much the common model looks at where the server has no statistics yet."""
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import query  # noqa: E402
from core_case import URLS, CoreCase  # noqa: E402

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


class Plans(CoreCase):
    def test_people_who_come_late_are_not_each_compared_with_every_ticket(self):
        query.script(self.url, TABLES + publish("ticket"))
        self.assertEqual(str(TICKETS), self.one("SELECT count(*) FROM core.ticket WHERE assignee_id IS NULL"))
        begin = self.cluster.log.stat().st_size
        query.script(self.url, "LOAD 'auto_explain'; SET auto_explain.log_min_duration TO 0; SET auto_explain.log_analyze TO on;"
                               "SET auto_explain.log_nested_statements TO on; " + publish("user"))
        self.assertEqual("0", self.one("SELECT count(*) FROM core.ticket WHERE assignee_id IS NULL"))
        plans = self.cluster.log.read_text(encoding="utf-8", errors="replace")[begin:]
        self.assertIn("person_change", plans)
        removed = [int(n) for n in re.findall(r"Rows Removed by Join Filter: (\d+)", plans)]
        self.assertLess(max(removed, default=0), 20 * TICKETS)


if __name__ == "__main__":
    unittest.main()
