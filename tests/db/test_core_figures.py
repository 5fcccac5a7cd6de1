#!/usr/bin/env python3
"""The figures kept beside the tickets: whatever happens to tickets and however time passes, they say what a plain
count of all tickets says."""
import pathlib
import random
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import query  # noqa: E402
from core_case import CoreCase, ROOT, at  # noqa: E402

# The definitions, as they would be written if nobody counted a million tickets.
LATE = """CASE WHEN t.sla_met IS NOT NULL THEN NOT t.sla_met
               WHEN t.sla_due_at IS NULL AND t.sla_own_due_at IS NULL THEN NULL
               ELSE NOT t.sla_waits
                    AND (coalesce(CASE WHEN t.sla_done_at IS NULL THEN t.sla_due_at < now() ELSE t.sla_done_at > t.sla_due_at END, false)
                         OR coalesce(t.sla_owned_at > t.sla_own_due_at, false)
                         OR coalesce(t.sla_owned_at IS NULL
                                     AND t.sla_owned_after_s > extract(epoch FROM t.sla_own_due_at - t.opened_at), false)
                         OR coalesce(t.sla_owned_after_s = 0 AND t.sla_own_due_at < now(), false)) END"""
AGE = """CASE WHEN t.status IN ('resolved', 'closed', 'cancelled') THEN NULL
              WHEN t.opened_at IS NULL THEN 'unknown'
              WHEN t.opened_at > now() - interval '1 day' THEN '0-1d' WHEN t.opened_at > now() - interval '3 days' THEN '1-3d'
              WHEN t.opened_at > now() - interval '7 days' THEN '3-7d' WHEN t.opened_at > now() - interval '30 days' THEN '7-30d'
              ELSE '30d+' END"""
OVERVIEW = f"""
    SELECT t.source, t.queue, t.category, t.priority, t.status, t.status NOT IN ('resolved', 'closed', 'cancelled') AS is_open,
           {AGE} AS age, count(*) AS tickets
      FROM core.ticket t WHERE t.deleted_at IS NULL GROUP BY 1, 2, 3, 4, 5, 6, 7"""
BREACHES = f"""
    SELECT t.ticket_id, t.source, t.priority, CASE t.priority WHEN 1 THEN 'critical' WHEN 2 THEN 'high' WHEN 3 THEN 'medium' ELSE 'low' END AS severity,
           coalesce((SELECT min(e.occurred_at) FROM core.ticket_event e WHERE e.ticket_id = t.ticket_id AND e.type = 'TicketSlaBreachedV1'),
                    least(CASE WHEN t.sla_due_at < coalesce(t.sla_done_at, now()) THEN t.sla_due_at END,
                          CASE WHEN t.sla_own_due_at < coalesce(t.sla_owned_at, now()) THEN t.sla_own_due_at END),
                    t.resolved_at, t.closed_at, t.updated_at) AS breached_at
      FROM core.ticket t WHERE t.deleted_at IS NULL AND {LATE}"""
DIFFERENCE = "(SELECT 'lacks' AS what, p.* FROM ({plain} EXCEPT ALL {fast}) p) UNION ALL (SELECT 'has', p.* FROM ({fast} EXCEPT ALL {plain}) p)"
FAST = ("SELECT source, queue, category, priority, status, is_open, age, tickets FROM api.overview",
        "SELECT ticket_id, source, priority, severity, breached_at FROM api.sla_breach")

MOMENT = "now() + interval '1 hour' * ({low} + {span} * random())"
# Moments about now and about the limits of ages, so that some pass while the test runs.
NEAR = ("now() + (ARRAY[interval '0', '-24 hours', '-72 hours', '-168 hours', '-720 hours'])[1 + floor(random() * 5)::int]"
        " + interval '1 second' * (8 * random() - 2)")


def some(expression, share):
    return f"CASE WHEN random() < {share} THEN {expression} END"


def any_of(*values):
    return f"(ARRAY[{', '.join(values)}])[1 + floor(random() * {len(values)})::int]"


def moment(low, high):
    return MOMENT.format(low=low, span=high - low)


COLUMNS = {
    "queue": some(any_of("'Network'", "'Desk'", "repeat('a very long path ', 400)"), .9),
    "category": some(any_of("'Hardware'", "'Software'"), .8),
    "priority": some("1 + floor(random() * 5)::int", .9),
    "status": any_of("'new'", "'in_progress'", "'pending'", "'resolved'", "'closed'", "'cancelled'", "'unmapped'"),
    "opened_at": f"CASE WHEN random() < .3 THEN {NEAR} ELSE {some(moment(-900, 0), .95)} END",
    "updated_at": some(moment(-100, 0), .9),
    "resolved_at": some(moment(-100, 0), .3),
    "closed_at": some(moment(-100, 0), .2),
    "deleted_at": some("now()", .1),
    "sla_met": some("random() < .5", .3),
    "sla_waits": "random() < .2",
    "sla_due_at": f"CASE WHEN random() < .3 THEN {NEAR} ELSE {some(moment(-50, 50), .6)} END",
    "sla_done_at": some(moment(-50, 0), .4),
    "sla_own_due_at": f"CASE WHEN random() < .3 THEN {NEAR} ELSE {some(moment(-50, 50), .4)} END",
    "sla_owned_at": some(moment(-50, 0), .4),
    "sla_owned_after_s": some(any_of("0", "600", "700000"), .7),
}
KIND = any_of("'TicketSlaBreachedV1'", "'TicketSlaBreachedV1'", "'TicketUpdatedV1'")


class Figures(CoreCase):
    def sql(self, text):
        return query.script(self.url, "SET client_min_messages TO warning; " + text)

    def check(self, when):
        for plain, fast in zip((OVERVIEW, BREACHES), FAST):
            found = query.rows(self.url, DIFFERENCE.format(plain=plain, fast=fast))
            self.assertEqual([], found[:6], when)
        self.assertEqual("0", query.one(self.url, "SELECT count(*) FROM core.tally WHERE tickets < 0"), when)

    def insert(self, first, n):
        self.sql(f"INSERT INTO core.ticket (ticket_id, source, source_type, external_id, etl_execution_id, {', '.join(COLUMNS)})"
                 f" SELECT s || ':' || n, s, 'glpi', n, 1, {', '.join(COLUMNS.values())}"
                 f" FROM (SELECT n, 'source' || n % 3 AS s FROM generate_series({first}, {first + n - 1}) n) q")

    def mutate(self, rng, number):
        chosen = f"abs(hashtext(ticket_id || '{number}')) % {rng.choice((3, 10, 50))} = 0"
        columns = rng.sample(sorted(COLUMNS), rng.randint(1, 5))
        what = rng.randrange(8)
        if what < 3:
            self.sql(f"UPDATE core.ticket SET {', '.join(f'{name} = {COLUMNS[name]}' for name in columns)} WHERE {chosen}")
        elif what == 3:
            self.sql(f"DELETE FROM core.ticket WHERE {chosen}")
        elif what == 4:
            self.insert(1000 * number, 60)
        elif what == 5:
            self.sql("INSERT INTO core.ticket_event (event_id, ticket_id, type, occurred_at, payload)"
                     f" SELECT gen_random_uuid(), ticket_id, {KIND}, {moment(-90, 0)}, '{{}}'"
                     f" FROM core.ticket WHERE {chosen}")
        elif what == 6:
            self.sql("SELECT core.tick()")
        else:
            self.sql("BEGIN; UPDATE core.ticket SET status = 'new', sla_met = false; DELETE FROM core.ticket; ROLLBACK")

    def test_random_changes_leave_the_figures_a_plain_count_gives(self):
        seed = random.randrange(1 << 30)
        rng = random.Random(seed)
        self.insert(1, 600)
        self.check("at first")
        for number in range(1, 60):
            self.mutate(rng, number)
            self.check(f"seed {seed}, change {number}")
        self.insert(100000, 600)  # whatever was deleted on the way
        self.check(f"seed {seed}, at last")
        self.assertGreater(len(query.rows(self.url, FAST[0])), 100)
        self.sql("SELECT core.recount()")
        self.check(f"seed {seed}, counted again")

    def test_what_passes_between_two_ticks_is_seen_at_once(self):
        self.sql("SELECT core.tick()")
        self.insert(1, 800)
        for pause in range(5):
            self.sql("SELECT pg_sleep(1)")
            self.check(f"{pause + 1} seconds after")
        self.sql("SELECT core.tick()")
        self.check("after the tick")
        # Nobody looked for more than a month.
        self.sql("UPDATE core.ticket SET opened_at = opened_at - interval '40 days', sla_due_at = sla_due_at - interval '40 days',"
                 " sla_own_due_at = sla_own_due_at - interval '40 days'; UPDATE core.clock SET counted_at = now() - interval '40 days'; "
                 "UPDATE core.clock SET ticked_at = counted_at")
        self.sql("DELETE FROM core.tally; DELETE FROM core.breach; ALTER TABLE core.ticket DISABLE TRIGGER USER;"
                 "CREATE TABLE public.kept AS SELECT * FROM core.ticket; DELETE FROM core.ticket; ALTER TABLE core.ticket ENABLE TRIGGER USER;"
                 "INSERT INTO core.ticket SELECT * FROM public.kept")
        self.check("a month without a tick")
        self.sql("SELECT core.tick()")
        self.check("the tick after it")

    def test_publishes_keep_the_figures(self):
        self.publish("snow", "incident", *[self.incident(f"i{n}", opened_at=at("01 08:00")) for n in range(5)])
        self.publish("snow", "incident_sla", {"sys_id": "s1", "task": "i1", "has_breached": True, "planned_end_time": at("02 08:00")})
        self.publish("desk", "ticket", *[self.glpi_ticket(n, time_to_resolve=at("02 08:00")) for n in range(4)])
        self.publish("devops", "work_item", self.item(1, due_date=at("03 08:00")), self.item(2))
        self.check("after publishes")
        self.assertEqual("6", query.one(self.url, "SELECT count(*) FROM api.sla_breach"))
        self.publish("snow", "incident", self.incident("i1", state=7, priority=1), gone=["i2"])
        self.publish("desk", "ticket", self.glpi_ticket(1, status=4), gone=[2])
        self.check("after changes")
        self.check_rebuild()
        self.check("after a rebuild")
        self.sql("TRUNCATE core.ticket")
        self.check("after everything is gone")

    def test_an_upgrade_counts_the_tickets_that_are_there(self):
        self.insert(1, 300)
        self.publish("snow", "incident", self.incident("i1"))
        self.sql("""
            DROP TRIGGER count_come ON core.ticket; DROP TRIGGER count_changed ON core.ticket; DROP TRIGGER count_gone ON core.ticket;
            DROP TRIGGER count_none ON core.ticket; DROP TRIGGER count_breach ON core.ticket_event;
            DROP TABLE core.tally, core.breach CASCADE; ALTER TABLE core.clock DROP COLUMN counted_at CASCADE;
            DROP INDEX core.ticket_open, core.ticket_unowned;
            CREATE INDEX ticket_unowned ON core.ticket (sla_own_due_at) WHERE sla_owned_after_s = 0 AND sla_own_due_at IS NOT NULL;
            DELETE FROM ops.migration WHERE name = '0004_figures.sql'; DELETE FROM ops.projection WHERE name = 'core_figures.sql'""")
        self.assertTrue(re.search(r"apply migration 0004_figures", self.worker("migrate")))
        self.check("after the upgrade")
        self.assertIn("up to date", self.worker("migrate"))
        self.mutate(random.Random(1), 3)
        self.check("and it goes on")

    def test_who_reads_the_views_needs_no_right_on_core(self):
        self.sql((ROOT / "deploy" / "roles.sql").read_text("utf-8"))
        self.insert(1, 50)
        for view in ("overview", "sla_breach", "ticket", "ticket_figure"):
            for role in ("foz_api", "foz_reader"):
                self.sql(f"SET ROLE {role}; SELECT count(*) FROM (SELECT * FROM api.{view} OFFSET 0) v")
        self.sql("SET ROLE foz_worker; SELECT core.tick(); UPDATE core.ticket SET status = 'new'; SELECT core.recount()")
        self.check("by the worker's role")


if __name__ == "__main__":
    unittest.main()
