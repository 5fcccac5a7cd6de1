#!/usr/bin/env python3
"""GLPI tickets with all their children, from the source to the tables.

    glpi_bench.py [--tickets 200000] [--small 20000] [--lanes 4] [--page-size 1000]

The programs are taken from FOZ_BUILD (default: build in the checkout). The simulated GLPI, a private
PostgreSQL with default durability and foz share the machine. Prints a JSON line for each load of
the seven tasks of `tickets`, at both sizes: first (empty tables), reread (full again, nothing
changed), increment (nothing changed) and reconcile; with rows, rows per second, CPU time and peak
memory of foz-worker, CPU time of the simulator, requests; and one line `flat`: the ratio of the
peaks at both sizes.
"""
import argparse
import json
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from load_bench import Run, report  # noqa: E402
import control  # noqa: E402  (load_bench has put the support folder in the path)
import foz  # noqa: E402
import postgres  # noqa: E402


class Stage:
    """A simulator, a migrated database and a configuration that join them."""

    def __init__(self, cluster, tickets, arguments):
        self.folder = tempfile.mkdtemp(prefix="foz-bench-", dir=arguments.scratch)
        self.tickets = tickets
        self.sim = foz.Sim(self.folder, tickets=tickets)
        name = "glpi%d" % tickets
        cluster.createdb(name)
        self.database = foz.Database(cluster, name)
        self.env = dict(os.environ, FOZ_TEST_TOKEN="foz-glpi-token", FOZ_TEST_APP_TOKEN="foz-app-token")
        self.path = os.path.join(self.folder, "foz.yaml")
        source = {"type": "glpi", "url": self.sim.url + "/glpi/apirest.php", "page_size": arguments.page_size, "parallel": arguments.lanes,
                  "auth": {"method": "user_token", "user_token": "env:FOZ_TEST_TOKEN", "app_token": "env:FOZ_TEST_APP_TOKEN"}}
        with open(self.path, "w", encoding="utf-8") as out:
            json.dump({"database": {"url": self.database.url}, "sources": {"desk": source}, "worker": {"parallel": arguments.lanes}}, out)
        self.worker("migrate")

    def worker(self, *arguments):
        return Run([foz.WORKER, *arguments, "-c", self.path], self.env)

    def sim_cpu_s(self):
        with open("/proc/%d/stat" % self.sim.pid, encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def load(self, label, *arguments):
        """One load of all seven tasks, reported; returns the peak in KiB."""
        before, position = self.sim_cpu_s(), self.database.wal_position()
        run = self.worker("load", "tickets", *arguments)
        execution = self.database.last_execution()
        tasks = self.database.tasks(execution["id"]).values()
        if execution["status"] != "success":
            raise SystemExit("%s: %s: %s" % (label, execution["status"], execution["error_message"]))
        rows = execution["records_read"]
        report("glpi_" + label, tickets=self.tickets, rows=rows, seconds=round(run.seconds, 2), rows_per_s=round(rows / run.seconds),
               worker_cpu_s=round(run.cpu_s, 2), worker_cpu_s_per_million_rows=round(run.cpu_s / rows * 1e6, 2) if rows >= 10000 else None,
               peak_mib=round(run.peak_kib / 1024, 1), sim_cpu_s=round(self.sim_cpu_s() - before, 2),
               requests=sum(task["requests"] for task in tasks), wal_mb=round((self.database.wal_position() - position) / 1e6, 2))
        return run.peak_kib

    def measure(self):
        """The peak of the first and the second full load."""
        peak = self.load("first", "--mode", "full")
        peak = max(peak, self.load("reread", "--mode", "full"))
        self.sim.do(control.advance(3600))
        self.load("increment")
        self.load("reconcile", "--mode", "reconcile")
        return peak


def main():
    parser = argparse.ArgumentParser(description="GLPI tickets with their children.")
    parser.add_argument("--tickets", type=int, default=200000)
    parser.add_argument("--small", type=int, default=20000)
    parser.add_argument("--lanes", type=int, default=4)
    parser.add_argument("--page-size", type=int, default=1000)
    parser.add_argument("--scratch", default=None, help="folder for temporary files")
    arguments = parser.parse_args()
    settings = {"full_page_writes": "on", "max_wal_size": "4GB"}
    with postgres.Cluster(fsync=True, settings=settings) as cluster:
        peaks = []
        for tickets in (arguments.small, arguments.tickets):
            stage = Stage(cluster, tickets, arguments)
            try:
                peaks.append(stage.measure())
            finally:
                stage.sim.stop()
        report("glpi_flat", peak_mib=[round(peak / 1024, 1) for peak in peaks], ratio=round(peaks[1] / peaks[0], 2), target=1.1)


if __name__ == "__main__":
    main()
