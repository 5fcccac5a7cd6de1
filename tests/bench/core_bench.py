#!/usr/bin/env python3
"""Core at size: what a publish adds for tickets, on rows made in the database.

    core_bench.py [--rows 1000000] [--users 20000] [--repeat 5]

foz-worker is taken from FOZ_BUILD (default: build in the checkout) and only migrates. PostgreSQL is
private, with default durability. Prints JSON lines, seconds of core.refresh alone, by the clock and of CPU:

  first        what an execution settles at its end: people, all tickets and their events
  incremental  a publish of 1,000 changed incidents; target 0.5
  sla_change   a publish of 1,000 changed SLAs
  user         a user that comes late
  tick         a look at the clocks that finds nothing
  rebuild      everything again, with nothing to change
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import foz  # noqa: E402
import postgres  # noqa: E402
import query  # noqa: E402

CHANGED = 1000
# Of the server's process that asks: it tells more than the clock where others work too.
CPU = "split_part(pg_read_file('/proc/self/schedstat', 0, 100), ' ', 1)::numeric / 1e9"

FILL = {
    "groups": "INSERT INTO servicenow.groups (source, sys_id, name) SELECT 'snow', md5('g' || n), 'Group ' || n"
              " FROM generate_series(1, 200) n",
    "incident": """
        INSERT INTO servicenow.incident (source, sys_id, number, short_description, state, priority, category, assignment_group,
          assigned_to, caller_id, resolved_by, opened_at, resolved_at, closed_at, made_sla, reopen_count, sys_created_on,
          sys_updated_on, sys_mod_count, etl_execution_id)
        SELECT 'snow', md5('i' || n), 'INC' || lpad(n::text, 7, '0'), 'Laptop number ' || n || ' does not start any more since Monday',
               CASE WHEN n %% 20 = 0 THEN 2 ELSE 7 END, 1 + n %% 5, 'category ' || n %% 30, md5('g' || 1 + n %% 200),
               md5('u' || 1 + n %% 500), md5('u' || 1 + n %% %(users)s), md5('u' || 1 + n %% 500), at, at + '8 hours', at + '3 days',
               n %% 10 > 0, 0, at, at + '3 days', 3, 1
          FROM (SELECT n, timestamptz '2020-01-01' + n * interval '3 minutes' AS at FROM generate_series(1, %(rows)s) n) q""",
    "incident_sla": """
        INSERT INTO servicenow.incident_sla (source, sys_id, task, sla, stage, active, has_breached, start_time, end_time,
          planned_end_time, sys_created_on, sys_updated_on, etl_execution_id)
        SELECT 'snow', md5('s' || n), md5('i' || n), md5('c1'), 'completed', false, n %% 10 = 0, at, at + '8 hours', at + '9 hours',
               at, at + '3 days', 1
          FROM (SELECT n, timestamptz '2020-01-01' + n * interval '3 minutes' AS at FROM generate_series(1, %(rows)s) n) q""",
    "sys_user": """
        INSERT INTO servicenow.sys_user (source, sys_id, user_name, name, email, active, sys_updated_on)
        SELECT 'snow', md5('u' || n), 'user' || n, 'User Number ' || n, 'user' || n || '@example.com', true, now()
          FROM generate_series(1, %(users)s) n""",
}


class Bench:
    def __init__(self, url: str, sizes: dict):
        self.url, self.sizes = url, sizes

    def run(self, sql: str) -> str:
        return postgres.psql(self.url, sql)

    def publish(self, task: str, change: str, delta: str) -> dict:
        """Changes rows, leaves their keys as a merge does and times the refresh; all in one transaction."""
        out = self.run(f"""
            SET TimeZone TO 'UTC';
            BEGIN;
            SET LOCAL work_mem TO '128MB'; SET LOCAL jit TO off;
            {change};
            CREATE TEMPORARY TABLE delta ON COMMIT DROP AS {delta};
            ANALYZE pg_temp.delta;
            CREATE TEMPORARY TABLE watch ON COMMIT DROP AS
              SELECT clock_timestamp() AS start, pg_current_wal_insert_lsn() AS lsn, {CPU} AS cpu;
            DO $$ BEGIN PERFORM core.refresh('snow', 'servicenow', 'https://snow.example.com', '{task}', 1, NULL); END $$;
            SELECT extract(epoch FROM clock_timestamp() - start), pg_current_wal_insert_lsn() - lsn, {CPU} - cpu FROM watch;
            COMMIT""").split("\n")
        seconds, wal, cpu = next(line for line in out if line.count("|") == 2).split("|")
        return {"seconds": float(seconds), "wal_bytes": int(wal), "cpu_seconds": float(cpu)}

    def first(self) -> dict:
        """Publishes as large as these leave core to the end of the execution."""
        for task in ("sys_user", "incident_sla", "incident"):
            ticket = ", task AS etl_ticket" if task == "incident_sla" else ""
            self.publish(task, FILL[task] % self.sizes, f"SELECT sys_id, 'i'::\"char\" AS kind{ticket} FROM servicenow.{task}")
            self.run(f"ANALYZE servicenow.{task}")
        figures = self.timed("core.settle('snow', 'servicenow', 'https://snow.example.com', 1, NULL)")
        self.run("VACUUM ANALYZE")
        return {**figures, "rows": self.sizes["rows"]}

    def changed(self, task: str, update: str, first: int) -> dict:
        ticket = ", task AS etl_ticket" if task == "incident_sla" else ""
        letter = "i" if task == "incident" else "s"
        keys = f"SELECT md5('{letter}' || n * 37) FROM generate_series({first}, {first + CHANGED - 1}) n"
        return self.publish(task, f"UPDATE servicenow.{task} SET {update} WHERE source = 'snow' AND sys_id IN ({keys})",
                            f"SELECT sys_id, 'u'::\"char\" AS kind{ticket} FROM servicenow.{task}"
                            f" WHERE source = 'snow' AND sys_id IN ({keys})")

    def timed(self, sql: str) -> dict:
        out = self.run(f"CREATE TEMPORARY TABLE watch AS SELECT clock_timestamp() AS start, {CPU} AS cpu;"
                       f"DO $$ BEGIN PERFORM {sql}; END $$;"
                       f"SELECT extract(epoch FROM clock_timestamp() - start), {CPU} - cpu FROM watch")
        seconds, cpu = [line for line in out.split("\n") if line][-1].split("|")
        return {"seconds": float(seconds), "cpu_seconds": float(cpu)}


def report(name: str, **figures) -> None:
    print(json.dumps({"bench": name, **{key: round(value, 3) if isinstance(value, float) else value
                                        for key, value in figures.items()}}), flush=True)


def repeat(name: str, times: int, work, **more) -> None:
    runs = [work(number) for number in range(times)]
    report(name, seconds=statistics.median(run["seconds"] for run in runs),
           cpu_seconds=statistics.median(run["cpu_seconds"] for run in runs), runs=[round(run["seconds"], 3) for run in runs],
           wal_bytes=runs[-1]["wal_bytes"], **more)


def main() -> int:
    parser = argparse.ArgumentParser(description="core at size")
    parser.add_argument("--rows", type=int, default=1000000)
    parser.add_argument("--users", type=int, default=20000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="foz-core-", dir="/tmp") as folder, \
            postgres.Cluster(fsync=True, settings={"max_wal_size": "4GB"}) as cluster:
        url = cluster.createdb("core")
        config = os.path.join(folder, "foz.yaml")
        with open(config, "w", encoding="utf-8") as out:
            json.dump({"database": {"url": url}, "sources": {}}, out)
        subprocess.run([foz.WORKER, "migrate", "-c", config], check=True, stdout=subprocess.DEVNULL)
        bench = Bench(url, {"rows": options.rows, "users": options.users})
        bench.run(FILL["groups"])
        report("first", **bench.first())
        repeat("incremental", options.repeat, lambda number: bench.changed(
            "incident", f"state = 6, priority = 1 + (priority + {number}) %% 5, sys_updated_on = now()".replace("%%", "%"),
            1 + number * CHANGED), target=0.5, rows=CHANGED)
        repeat("sla_change", options.repeat, lambda number: bench.changed(
            "incident_sla", "has_breached = NOT has_breached, sys_updated_on = now()", 1 + number * CHANGED), rows=CHANGED)
        repeat("user", options.repeat, lambda number: bench.publish(
            "sys_user", f"INSERT INTO servicenow.sys_user (source, sys_id, name) VALUES ('snow', 'late{number}', 'Late')",
            f"SELECT 'late{number}'::text AS sys_id, 'i'::\"char\" AS kind"))
        report("tick", **bench.timed("core.tick()"))
        report("rebuild", **bench.timed("core.rebuild('[]')"))
        report("size", tickets=int(query.one(url, "SELECT count(*) FROM core.ticket")),
               ticket_bytes=int(query.one(url, "SELECT pg_total_relation_size('core.ticket')")),
               event_bytes=int(query.one(url, "SELECT pg_total_relation_size('core.ticket_event')")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
