#!/usr/bin/env python3
"""Revisions, work items and links of Azure DevOps, from the source to the tables.

    azure_bench.py [--revisions 1000000] [--small 100000]

The programs are taken from FOZ_BUILD (default: build in the checkout). The simulated Azure DevOps, a
private PostgreSQL with default durability and foz share the machine. Prints a JSON line for each
run at both sizes: feed (first full load of work_item_revision alone), rest (the other tasks, and
with them the common model), increment (nothing changed) and reconcile; with rows, rows per second,
CPU time and peak memory of foz-worker, CPU time of the simulator, requests; and one line `flat`: the
ratio of the peaks at both sizes.
"""
import argparse
import json
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from load_bench import Run, report  # noqa: E402
import foz  # noqa: E402  (load_bench has put the support folder in the path)
import postgres  # noqa: E402

REVISIONS_PER_ITEM = 4


class Stage:
    """A simulator, a migrated database and a configuration that join them."""

    def __init__(self, cluster, revisions, scratch):
        self.revisions = revisions
        self.folder = tempfile.mkdtemp(prefix="foz-bench-", dir=scratch)
        self.sim = foz.Sim(self.folder, tickets=revisions // REVISIONS_PER_ITEM)
        name = "azure%d" % revisions
        cluster.createdb(name)
        self.database = foz.Database(cluster, name)
        self.env = dict(os.environ, FOZ_TEST_PAT="foz-pat")
        self.path = os.path.join(self.folder, "foz.yaml")
        source = {"type": "azure_devops", "url": self.sim.url + "/azure", "auth": {"method": "pat", "token": "env:FOZ_TEST_PAT"}}
        with open(self.path, "w", encoding="utf-8") as out:
            json.dump({"database": {"url": self.database.url}, "sources": {"ado": source}}, out)
        self.worker("migrate")

    def worker(self, *arguments):
        return Run([foz.WORKER, *arguments, "-c", self.path], self.env)

    def sim_cpu_s(self):
        with open("/proc/%d/stat" % self.sim.pid, encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def load(self, label, *arguments):
        """One load, reported; returns the peak in KiB."""
        before, position = self.sim_cpu_s(), self.database.wal_position()
        run = self.worker("load", "work-items", *arguments)
        execution = self.database.last_execution()
        if execution["status"] != "success":
            raise SystemExit("%s: %s: %s" % (label, execution["status"], execution["error_message"]))
        rows = execution["records_read"]
        report("azure_" + label, revisions=self.revisions, rows=rows, seconds=round(run.seconds, 2), rows_per_s=round(rows / run.seconds),
               worker_cpu_s=round(run.cpu_s, 2), worker_cpu_s_per_million_rows=round(run.cpu_s / rows * 1e6, 2) if rows >= 10000 else None,
               peak_mib=round(run.peak_kib / 1024, 1), sim_cpu_s=round(self.sim_cpu_s() - before, 2),
               requests=sum(task["requests"] for task in self.database.tasks(execution["id"]).values()),
               wal_mb=round((self.database.wal_position() - position) / 1e6, 2))
        return run.peak_kib

    def measure(self):
        peaks = [self.load("feed", "--mode", "full", "--task", "work_item_revision"), self.load("rest"), self.load("increment"),
                 self.load("reconcile", "--mode", "reconcile")]
        return max(peaks)


def main():
    parser = argparse.ArgumentParser(description="Revisions, work items and links of Azure DevOps.")
    parser.add_argument("--revisions", type=int, default=1000000)
    parser.add_argument("--small", type=int, default=100000)
    parser.add_argument("--scratch", default=None, help="folder for temporary files")
    arguments = parser.parse_args()
    settings = {"full_page_writes": "on", "max_wal_size": "4GB"}
    with postgres.Cluster(fsync=True, settings=settings) as cluster:
        peaks = []
        for revisions in (arguments.small, arguments.revisions):
            stage = Stage(cluster, revisions, arguments.scratch)
            try:
                peaks.append(stage.measure())
            finally:
                stage.sim.stop()
        report("azure_flat", peak_mib=[round(peak / 1024, 1) for peak in peaks], ratio=round(peaks[1] / peaks[0], 2), target=1.1)


if __name__ == "__main__":
    main()
