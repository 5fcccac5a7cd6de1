#!/usr/bin/env python3
"""Loading against its limits, on a private PostgreSQL with default durability.

    merge_bench.py DRIVER [--rows 1000000] [--lanes 4]

Prints JSON lines; `ratio` is foz's time divided by the limit's, measured in the same run:

  first_load   staging by parallel COPY and the merge, over `psql \\copy` of the same rows from a
               ready CSV file into the same table with the same indexes
  no_change    the merge of the same rows again, over the bare anti-join on key and hash; with WAL
  five_percent the merge when one row in twenty differs
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import postgres  # noqa: E402

TABLE = "bench.incident"


class Bench:
    def __init__(self, driver: str, cluster: postgres.Cluster, rows: int, lanes: int):
        self.driver, self.cluster, self.rows, self.lanes = driver, cluster, rows, lanes
        self.url = cluster.createdb("bench")
        self.execution = 0
        subprocess.run([driver, "migrate", self.url], check=True)

    def sql(self, text: str) -> str:
        return postgres.psql(self.url, text)

    def timed(self, text: str) -> float:
        start = time.monotonic()
        self.sql(text)
        return time.monotonic() - start

    def load(self, changed: int = 0) -> dict:
        """One full load; adds the WAL of its merge and the name of its staging table."""
        self.execution += 1
        self.sql("CHECKPOINT")
        before = postgres.one(self.url, "SELECT pg_current_wal_lsn()")
        done = subprocess.run([self.driver, "load", self.url, str(self.execution), str(self.rows), str(self.lanes),
                               str(changed)], check=True, capture_output=True, text=True)
        after = json.loads(done.stdout)
        after["wal_bytes"] = int(postgres.one(self.url, "SELECT (pg_current_wal_lsn() - '%s')::bigint" % before))
        after["staging"] = 'staging."e%d.snow.incident"' % self.execution
        return after

    def drop(self, load: dict) -> None:
        base = load["staging"][:-1]
        self.sql('DROP TABLE %s", %s.k", %s.r"' % (base, base, base))

    def copy_csv(self, path: str) -> float:
        columns = postgres.one(self.url, "SELECT string_agg(quote_ident(attname), ',' ORDER BY attnum) FROM pg_attribute"
                               " WHERE attrelid = '%s'::regclass AND attnum > 0 AND attname !~ '^etl_'" % TABLE)
        self.sql("\\copy (SELECT %s FROM %s ORDER BY sys_id) TO '%s' (FORMAT csv)" % (columns, TABLE, path))
        self.sql("TRUNCATE %s; CHECKPOINT" % TABLE)
        return self.timed("\\copy %s (%s) FROM '%s' (FORMAT csv)" % (TABLE, columns, path))


def report(name: str, foz_s: float, limit_s: float, **more) -> None:
    print(json.dumps({"bench": name, "foz_s": round(foz_s, 2), "limit_s": round(limit_s, 2),
                      "ratio": round(foz_s / limit_s, 3), **more}), flush=True)


def run(bench: Bench, scratch: str) -> None:
    first = bench.load()
    bench.drop(first)
    copy_s = bench.copy_csv(scratch + "/rows.csv")
    bench.sql("TRUNCATE %s" % TABLE)
    again = bench.load()
    best = min((first, again), key=lambda load: load["stage_s"] + load["merge_s"])
    report("first_load", best["stage_s"] + best["merge_s"], copy_s, rows=bench.rows, stage_s=best["stage_s"],
           merge_s=best["merge_s"], wal_mb=round(best["wal_bytes"] / 1e6))
    bench.drop(again)
    bench.sql("VACUUM ANALYZE %s" % TABLE)
    same = bench.load()
    anti_join = ("SET work_mem = '128MB'; SET jit = off; SELECT count(*) FROM %s s LEFT JOIN %s t ON t.source = 'snow'"
                 " AND t.sys_id = s.sys_id WHERE t.sys_id IS NULL OR s.etl_hash IS DISTINCT FROM t.etl_hash"
                 % (same["staging"], TABLE))
    limit_s = min(bench.timed(anti_join) for _ in range(3))
    # All WAL of the load counts: staging's and the delta's catalog rows are most of it.
    report("no_change", same["merge_s"], limit_s, rows=bench.rows, unchanged=same["unchanged"],
           wal_mb=round(same["wal_bytes"] / 1e6, 3))
    bench.drop(same)
    some = bench.load(changed=5)
    report("five_percent", some["merge_s"], limit_s, rows=bench.rows, updated=some["updated"],
           wal_mb=round(some["wal_bytes"] / 1e6))
    bench.drop(some)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("driver")
    parser.add_argument("--rows", type=int, default=1000000)
    parser.add_argument("--lanes", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="foz-bench-") as scratch, postgres.Cluster(fsync=True) as cluster:
        run(Bench(arguments.driver, cluster, arguments.rows, arguments.lanes), scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
