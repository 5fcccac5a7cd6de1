#!/usr/bin/env python3
"""The whole way from the source to the table against its limits, measured in the same run.

    load_bench.py [--rows 1000000] [--small 100000] [--only first,reread,...] [--repeat 1]

The programs are taken from FOZ_BUILD (default: build in the checkout). The simulated ServiceNow, a
private PostgreSQL with default durability and foz share the machine. Prints JSON lines; `ratio` is
foz's time divided by the limit's, `target` what the ratio or the figure should not exceed:

  first        first full load of the incidents over HTTP, until they are committed in the indexed table, over
               `psql \\copy` of the same rows from a ready CSV file into an empty table with the same indexes;
               beside it with the common model that the execution fills behind it
  reread       full read again with nothing changed, over curl fetching the same pages to /dev/null
               four at a time and the bare anti-join on key and hash; with the run's WAL
  incremental  increments with nothing changed: requests per task, WAL, seconds
  footprint    CPU time of foz-worker per million rows and its peak RSS, at --small and --rows
  trigger      POST to foz-api until the simulator sees the first request of the daemon
"""
import argparse
import http.client
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import foz  # noqa: E402
import postgres  # noqa: E402

TABLE = "servicenow.incident"
BENCHES = ("first", "reread", "incremental", "footprint", "trigger")
PAGES_AT_ONCE = 4


def report(bench: str, **figures) -> None:
    print(json.dumps({"bench": bench, **figures}), flush=True)


def timed(work) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def rounded(values, digits=3):
    return [round(value, digits) for value in values]


class Run:
    """What one foz-worker cost. The peak is read from /proc: the rusage of a child also counts the
    memory of the process it was forked from."""

    def __init__(self, command: list, env: dict):
        start = time.monotonic()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)
            watcher = threading.Thread(target=self._watch, args=(process.pid,))
            self.peak_kib = 0
            self.over = threading.Event()
            watcher.start()
            _, status, usage = os.wait4(process.pid, 0)
            self.seconds = time.monotonic() - start
            self.over.set()
            watcher.join()
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            text = output.read().decode("utf-8", "replace")
        if process.returncode != 0:
            raise SystemExit("%s: exit %d\n%s" % (" ".join(command), process.returncode, text[-3000:]))
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.user_s = usage.ru_utime

    def _watch(self, pid: int) -> None:
        while not self.over.wait(0.02):
            try:
                with open("/proc/%d/status" % pid, encoding="ascii") as status:
                    peak = [line for line in status if line.startswith("VmHWM:")]
            except OSError:
                return
            if peak:
                self.peak_kib = int(peak[0].split()[1])


class Stage:
    """A simulator, a migrated database and a configuration that join them."""

    def __init__(self, cluster: postgres.Cluster, rows: int, arguments):
        self.folder = tempfile.mkdtemp(prefix="foz-bench-", dir=arguments.scratch)
        self.rows = rows
        self.sim = foz.Sim(self.folder, tickets=rows)
        name = "bench%d" % rows
        cluster.createdb(name)
        self.database = foz.Database(cluster, name)
        self.env = dict(os.environ, FOZ_TEST_PASSWORD=foz.PASSWORD)
        self.config = {
            "database": {"url": self.database.url},
            "sources": {"snow": {"type": "servicenow", "url": self.sim.url + "/servicenow", "page_size": arguments.page_size,
                                 "parallel": arguments.lanes, "visibility_lag": "0s",
                                 "auth": {"method": "basic", "username": foz.USER, "password": "env:FOZ_TEST_PASSWORD"}}},
            "worker": {"parallel": arguments.lanes},
            "api": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "rate_limit": {"per_minute": 60000, "burst": 1000}},
        }
        self.path = os.path.join(self.folder, "foz.yaml")
        with open(self.path, "w", encoding="utf-8") as out:
            json.dump(self.config, out)
        self.worker("migrate")

    def worker(self, *arguments) -> Run:
        return Run([foz.WORKER, *arguments, "-c", self.path], self.env)

    def load_incidents(self, *arguments) -> Run:
        return self.worker("load", "incidents", "--task", "incident", *arguments)

    def sim_cpu_s(self) -> float:
        with open("/proc/%d/stat" % self.sim.pid, encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def task(self, name: str) -> dict:
        return self.database.tasks(self.database.last_execution()["id"])[name]

    def landed(self) -> int:
        return int(self.database.one("SELECT count(*) FROM " + TABLE))

    def stop(self) -> None:
        self.sim.stop()


# --- first full load ------------------------------------------------------------------------------

def psql(stage: Stage, command: str) -> None:
    subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", stage.database.url, "-c", command], check=True)


def export_csv(stage: Stage, path: str) -> str:
    """Writes the landed rows as psql would be given them; returns their columns."""
    columns = ",".join(postgres.quote_ident(name) for name in stage.database.columns("servicenow", "incident")
                       if not name.startswith("etl_"))
    psql(stage, "\\copy (SELECT %s FROM %s ORDER BY sys_id) TO '%s' (FORMAT csv)" % (columns, TABLE, path))
    return columns


def landed_after(stage: Stage) -> float:
    """Seconds from the start of the last execution until its incidents were committed; what follows is the common model."""
    return float(stage.database.one(
        "SELECT extract(epoch FROM t.finished_at - e.started_at) FROM ops.execution_task t"
        " JOIN ops.execution_log e ON e.id = t.execution_id WHERE t.task = 'incident' ORDER BY e.id DESC LIMIT 1"))


def bench_first(stage: Stage) -> list:
    """Returns the run, whose CPU and memory `footprint` reports."""
    path = os.path.join(stage.folder, "incidents.csv")
    stage.database.run("CHECKPOINT")
    before_s = stage.sim_cpu_s()
    run = stage.load_incidents("--mode", "full")
    sim_s = stage.sim_cpu_s() - before_s
    landed_s = landed_after(stage)
    if stage.landed() != stage.rows:
        raise SystemExit("the load landed %d of %d rows" % (stage.landed(), stage.rows))
    columns = export_csv(stage, path)
    stage.database.run("CREATE TABLE bench_copy (LIKE %s INCLUDING ALL); CHECKPOINT" % TABLE)
    copy_s = timed(lambda: psql(stage, "\\copy bench_copy (%s) FROM '%s' (FORMAT csv)" % (columns, path)))
    report("first", rows=stage.rows, landed_s=round(landed_s, 3), foz_s=round(run.seconds, 3), limit_s=round(copy_s, 3),
           sim_cpu_s=round(sim_s, 3), pages=stage.task("incident")["requests"], csv_mb=os.path.getsize(path) // 1000000,
           ratio=round(landed_s / copy_s, 3), target=1.0, ratio_with_core=round(run.seconds / copy_s, 3))
    os.unlink(path)
    stage.database.run("DROP TABLE bench_copy")
    return [run]


# --- nothing changed ------------------------------------------------------------------------------

def page_urls(stage: Stage) -> list:
    """The pages of incidents asked for since the journal was emptied."""
    state = foz.http("GET", stage.sim.url + "/_control/state?last=4096").json()
    return [stage.sim.url + entry["url"] for entry in state["last"]
            if "/table/incident?" in entry["url"] and entry["status"] == 200]


def fetch_with_curl(stage: Stage, urls: list) -> float:
    """The same pages by four curls, each over one connection."""
    commands = []
    for lane in range(PAGES_AT_ONCE):
        path = os.path.join(stage.folder, "curl%d" % lane)
        with open(path, "w", encoding="utf-8") as out:
            for url in urls[lane::PAGES_AT_ONCE]:
                out.write('url = "%s"\noutput = "/dev/null"\n' % url)
        commands.append(["curl", "-q", "-sS", "-f", "-g", "--noproxy", "*", "-u", foz.USER + ":" + foz.PASSWORD,
                         "-H", "Accept: application/json", "-K", path])

    def fetch():
        curls = [subprocess.Popen(command, stdin=subprocess.DEVNULL) for command in commands]
        if any([curl.wait() != 0 for curl in curls]):
            raise SystemExit("curl could not fetch the pages")
    return timed(fetch)


def bare_anti_join(stage: Stage) -> float:
    """The staging it would be given, made outside the time."""
    stage.database.run("DROP TABLE IF EXISTS bench_staging; CREATE UNLOGGED TABLE bench_staging (LIKE %s);"
                       " INSERT INTO bench_staging SELECT * FROM %s; ANALYZE bench_staging" % (TABLE, TABLE))
    statement = ("SET work_mem = '128MB'; SET jit = off; SELECT count(*) FROM bench_staging s LEFT JOIN %s t"
                 " ON t.source = 'snow' AND t.sys_id = s.sys_id WHERE t.sys_id IS NULL OR s.etl_hash IS DISTINCT FROM t.etl_hash"
                 % TABLE)
    seconds = statistics.median(timed(lambda: stage.database.run(statement)) for _ in range(3))
    stage.database.run("DROP TABLE bench_staging")
    return seconds


def bench_reread(stage: Stage, repeat: int) -> list:
    stage.database.run("VACUUM ANALYZE")  # as autovacuum will have done
    runs, fetches, joins, wal = [], [], [], []
    for _ in range(repeat):
        stage.database.run("CHECKPOINT")
        stage.sim.do({"reset_counters": True})
        before = stage.database.wal_position()
        runs.append(stage.load_incidents("--mode", "full"))
        wal.append(stage.database.wal_position() - before)
        task = stage.task("incident")
        if task["records_unchanged"] != stage.rows:
            raise SystemExit("only %s rows were unchanged" % task["records_unchanged"])
        urls = page_urls(stage)
        fetches.append(fetch_with_curl(stage, urls))
        joins.append(bare_anti_join(stage))
    ratios = [run.seconds / (fetch_s + join_s) for run, fetch_s, join_s in zip(runs, fetches, joins)]
    report("reread", rows=stage.rows, foz_s=rounded(run.seconds for run in runs), curl_s=rounded(fetches),
           anti_join_s=rounded(joins), pages=len(urls), ratio=round(statistics.median(ratios), 3), target=1.5,
           wal_bytes=wal, wal_target=1000000)
    return runs


def bench_incremental(stage: Stage, tasks: list) -> None:
    """The first run settles what came with the load itself."""
    names = [word for task in tasks for word in ("--task", task)]
    stage.worker("load", "incidents", *names)
    wal, seconds, requests = [], [], []
    for _ in range(5):
        before = stage.database.wal_position()
        seconds.append(stage.worker("load", "incidents", *names).seconds)
        wal.append(stage.database.wal_position() - before)
        found = stage.database.tasks(stage.database.last_execution()["id"])
        requests.append(max(task["requests"] for task in found.values()))
        if any(task["records_inserted"] + task["records_updated"] for task in found.values()):
            raise SystemExit("something changed under the increments")
    report("incremental", rows=stage.rows, tasks=len(tasks), requests_per_task=max(requests), requests_target=3,
           wal_bytes=round(statistics.median(wal)), wal_target=65536, seconds=round(statistics.median(seconds), 3), target=1.0)


# --- what foz-worker itself costs -----------------------------------------------------------------

def bench_footprint(runs: dict) -> None:
    for rows, (kind, found) in runs.items():
        cpu_s = statistics.median(run.cpu_s for run in found)
        report("footprint", rows=rows, of=kind, cpu_s=round(cpu_s, 2), user_s=round(statistics.median(run.user_s for run in found), 2),
               cpu_s_per_million=round(cpu_s * 1e6 / rows, 2), target=3.0,
               peak_rss_mib=round(max(run.peak_kib for run in found) / 1024, 1), rss_target_mib=32)


# --- trigger --------------------------------------------------------------------------------------

class Watch:
    """Asks the simulator how many requests it has seen, over one connection."""

    def __init__(self, sim: foz.Sim):
        self.connection = http.client.HTTPConnection(sim.address, timeout=10)

    def requests(self) -> int:
        self.connection.request("GET", "/_control/state?last=0")
        return json.loads(self.connection.getresponse().read())["requests"]


def bench_trigger(stage: Stage, times: int) -> None:
    programs = []
    try:
        api = foz.Program([foz.API, "serve", "-c", stage.path], stage.folder, "foz-api", stage.env)
        programs.append(api)
        url = foz.wait_until(lambda: foz.re.findall(r"http://127\.0\.0\.1:\d+", api.out()), "foz-api listens")[0]
        made = subprocess.run([foz.API, "key", "create", "bench", "--scope", "dash.admin", "-c", stage.path], env=stage.env,
                              capture_output=True, text=True, check=True)
        key = foz.re.search(r"foz_[A-Za-z0-9_-]+", made.stdout).group()
        daemon = foz.Program([foz.WORKER, "run", "-c", stage.path], stage.folder, "foz-worker", stage.env)
        programs.append(daemon)
        watch = Watch(stage.sim)
        latencies_ms = []
        for turn in range(times + 2):  # the first two warm caches and connections
            before = watch.requests()
            start = time.monotonic()
            reply = foz.http("POST", url + "/load-incidents/", {"task": ["incident"]}, {"X-API-Key": key})
            if reply.status != 200:
                raise SystemExit("the trigger was refused: %r" % reply)
            while watch.requests() == before:
                if time.monotonic() - start > 10:
                    raise SystemExit("no request within 10 s: " + daemon.err()[-2000:])
                time.sleep(0.001)
            if turn > 1:
                latencies_ms.append(1000 * (time.monotonic() - start))
            foz.wait_until(lambda: stage.database.last_execution()["status"] == "success", "the execution ends")
        report("trigger", times=times, median_ms=round(statistics.median(latencies_ms), 1), min_ms=round(min(latencies_ms), 1),
               max_ms=round(max(latencies_ms), 1), target=50)
    finally:
        for program in reversed(programs):
            program.stop()


# --- all of it ------------------------------------------------------------------------------------

def run_small(cluster: postgres.Cluster, arguments, footprints: dict) -> None:
    stage = Stage(cluster, arguments.small, arguments)
    try:
        footprints[arguments.small] = ("first load", [stage.load_incidents("--mode", "full")])
        if "incremental" in arguments.only:
            stage.worker("load", "incidents")
            bench_incremental(stage, ["incident", "incident_sla", "incident_task", "task_time_worked"])
        if "trigger" in arguments.only:
            bench_trigger(stage, arguments.triggers)
    finally:
        stage.stop()


def run_large(cluster: postgres.Cluster, arguments, footprints: dict) -> None:
    stage = Stage(cluster, arguments.rows, arguments)
    try:
        if "first" in arguments.only:
            footprints[arguments.rows] = ("first load", bench_first(stage))
        else:
            footprints[arguments.rows] = ("first load", [stage.load_incidents("--mode", "full")])
        if "reread" in arguments.only:
            bench_reread(stage, arguments.repeat)
        if "incremental" in arguments.only:
            bench_incremental(stage, ["incident"])
    finally:
        stage.stop()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000000, help="incidents of the large run")
    parser.add_argument("--small", type=int, default=100000, help="incidents of the small run")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(BENCHES), help="comma-separated: " + ",".join(BENCHES))
    parser.add_argument("--repeat", type=int, default=1, help="rounds of reread; the median ratio counts")
    parser.add_argument("--triggers", type=int, default=20)
    parser.add_argument("--lanes", type=int, default=4)
    parser.add_argument("--page-size", type=int, default=1000)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.only if name not in BENCHES]
    if unknown:
        parser.error("no benchmark is named %s" % ", ".join(unknown))
    if arguments.rows == arguments.small:
        parser.error("--rows and --small must differ")
    return arguments


def main() -> int:
    arguments = parse_arguments()
    footprints = {}
    with tempfile.TemporaryDirectory(prefix="foz-bench-", dir="/tmp") as arguments.scratch, \
            postgres.Cluster(fsync=True) as cluster:
        if {"incremental", "footprint", "trigger"} & set(arguments.only):
            run_small(cluster, arguments, footprints)
        if {"first", "reread", "incremental", "footprint"} & set(arguments.only):
            run_large(cluster, arguments, footprints)
        if "footprint" in arguments.only:
            bench_footprint(footprints)
    return 0


if __name__ == "__main__":
    sys.exit(main())
