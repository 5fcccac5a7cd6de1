"""What an end-to-end test needs: the real programs, a simulated source, a database, the truth.

FOZ_BUILD names the build directory (default: build in the checkout). Each test gets a database and
a simulator of its own; whatever a test starts ends with it.
"""

import atexit
import base64
import contextlib
import functools
import http.client as http_client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation

import control
import postgres
import query

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("FOZ_BUILD", os.path.join(ROOT, "build")))
WORKER = os.path.join(BUILD, "worker", "foz-worker")
API = os.path.join(BUILD, "api", "foz-api")
SIM = os.environ.get("FOZ_SIM") or os.path.join(BUILD, "tests", "sim", "foz-sim")
SANITIZER = os.environ.get("FOZ_SANITIZER", "")
PASSWORD = "foz-secret"
USER = "foz"

# Exit codes of the worker, as documented.
COMPLETE, FAILED, PARTIAL, HELD, USAGE, UNREACHABLE, BUSY, RIGHTS, CONFIGURATION, TERMINATED = 0, 1, 3, 4, 64, 69, 75, 77, 78, 143

# Landed table -> table of the source.
INCIDENTS = {"incident": "incident", "incident_sla": "task_sla", "incident_task": "incident_task",
             "task_time_worked": "task_time_worked"}
CONFIGURATIONS = {"contract_sla": "contract_sla", "groups": "sys_user_group", "sys_company": "core_company",
                  "sys_user": "sys_user", "cmdb_ci_network_link": "cmdb_ci_network_link"}
TASKS = {**INCIDENTS, **CONFIGURATIONS}

_SANITIZER_REPORT = re.compile(r"(ERROR|WARNING): \w*Sanitizer|runtime error:|SUMMARY: \w*Sanitizer")


def test_data():
    """The folder of real logs, or None: FOZ_TEST_DATA, else `shared` beside the checkout."""
    folder = os.environ.get("FOZ_TEST_DATA") or os.path.join(os.path.dirname(ROOT), "shared")
    for candidate in (os.path.join(folder, "data"), folder):
        if os.path.exists(os.path.join(candidate, "servicenow_uci498", "incident_event_log.csv.gz")):
            return candidate
    return None


def wait_until(condition, what, timeout_s=30.0):
    """Waits for a condition to become true and returns its value."""
    deadline = time.monotonic() + timeout_s * (4 if SANITIZER else 1)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s in vain: {what}")
        time.sleep(0.02)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """A program in the background. Its output goes to files, so it never blocks on a pipe."""

    def __init__(self, command, folder, name, env=None):
        self.name = name
        self.out_path = os.path.join(folder, name + ".out")
        self.err_path = os.path.join(folder, name + ".err")
        # The setting below ends the program with this process, whatever happens to it.
        prefix = ["setpriv", "--pdeathsig", "TERM", "--"]
        with open(self.out_path, "ab") as out, open(self.err_path, "ab") as err:
            self.process = subprocess.Popen(prefix + command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            env=dict(os.environ, **(env or {})), cwd=folder)

    @property
    def pid(self):
        return self.process.pid

    def out(self):
        return _read(self.out_path)

    def err(self):
        return _read(self.err_path)

    def is_running(self):
        return self.process.poll() is None

    def wait(self, timeout_s=60):
        return self.process.wait(timeout_s * (4 if SANITIZER else 1))

    def signal(self, number):
        if self.is_running():
            self.process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.process.wait(30)

    def stop(self, timeout_s=30):
        """SIGTERM, and SIGKILL when that does not help; returns the exit code."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {timeout_s} s of SIGTERM:\n{self.err()[-3000:]}") from None


def _read(path):
    with open(path, encoding="utf-8", errors="replace") as data:
        return data.read()


class Result:
    """What a finished command said."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    @property
    def text(self):
        return self.out + self.err

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code} after {self.seconds:.1f} s\n--- stdout\n{self.out[-3000:]}\n--- stderr\n{self.err[-5000:]}"


class Reply:
    """An HTTP answer, errors included."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"HTTP {self.status} {dict(self.headers)} {self.body[:2000]!r}"


def http(method, url, body=None, headers=None, timeout_s=30):
    """One request; an answer that comes before the whole body was taken (413) is an answer too."""
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        headers.setdefault("Content-Type", "application/json")
        body = json.dumps(body).encode()
    parts = urllib.parse.urlsplit(url)
    connection = http_client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, parts.path + ("?" + parts.query if parts.query else ""), body, headers)
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


class Sim(Program):
    """foz-sim and its control interface (docs/SIMULATOR.md)."""

    def __init__(self, folder, *arguments, tickets=None, seed=7, name="foz-sim"):
        command = [SIM, "--listen", "127.0.0.1:0", "--seed", str(seed)]
        if tickets is not None:
            command += ["--tickets", str(tickets)]
        super().__init__(command + [str(argument) for argument in arguments], folder, name)
        self.address = self._wait_for_address()
        self.url = f"http://{self.address}"

    def _wait_for_address(self):
        def address():
            found = re.search(r"127\.0\.0\.1:[1-9]\d*", self.out() + self.err())
            if not found and not self.is_running():
                raise AssertionError(f"foz-sim ended with code {self.process.returncode}: {self.err()}")
            return found
        return wait_until(address, "foz-sim prints its address").group()

    def control(self, command):
        reply = http("POST", self.url + "/_control", command)
        if reply.status != 200:
            raise AssertionError(f"the simulator refused {command}: {reply}")
        return json.loads(reply.body) if reply.body else None

    def do(self, *commands):
        """Does commands of control.py in order, in one request; returns their answers."""
        return self.control(list(commands))

    def change(self, *commands):
        """do(), after which a minute passes: the changes are older than any visibility lag."""
        return self.do(*commands, control.advance(60))[:-1]

    def state(self):
        return http("GET", self.url + "/_control/state").json()

    def rows(self, table, **parameters):
        """The truth, as the table API shows it to an all-seeing user."""
        query = urllib.parse.urlencode({"table": table, **parameters})
        reply = http("GET", f"{self.url}/_control/rows?{query}", timeout_s=120)
        if reply.status != 200:
            raise AssertionError(f"no truth for {table}: {reply}")
        return [json.loads(line) for line in reply.body.split(b"\n") if line]

    def shown(self, table):
        """What the loading account can see of a table."""
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        reply = http("GET", f"{self.url}/servicenow/api/now/v2/table/{table}?sysparm_fields=sys_id&sysparm_limit=1000000"
                     "&sysparm_query=ORDERBYsys_id", headers={"Authorization": f"Basic {token}", "Accept": "application/json"})
        return reply.json()["result"]


# --- truth against target -------------------------------------------------------------------------

@functools.lru_cache(maxsize=100000)
def parse_utc(text):
    """YYYY-MM-DD HH:MM:SS; strptime would take most of a comparison's time."""
    if len(text) != 19 or text[10] != " ":
        raise ValueError(f"no time: {text!r}")
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def typed(text, kind):
    """A source value as the landed column must show it."""
    if text is None or text == "":
        return None
    text = str(text).replace("\0", "")
    if kind in ("integer", "bigint"):
        return int(Decimal(text))
    if kind == "numeric":
        return Decimal(text).normalize()
    if kind == "boolean":
        return text.lower() in ("true", "1")
    if kind.startswith("timestamp"):
        return parse_utc(text)
    if kind == "date":
        return text[:10]
    if kind == "interval":
        return (parse_utc(text) - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(seconds=1)
    return text if text != "" else None


def landed_value(value, kind):
    """A value of row_to_json in the same form as typed()."""
    if value is None:
        return None
    if kind == "numeric":
        return Decimal(value).normalize()
    if kind.startswith("timestamp"):
        return parse_utc(value[:10] + " " + value[11:19]) if value.endswith("+00:00") and len(value) == 25 else datetime.fromisoformat(value)
    if kind == "interval":
        return int(value)
    return value


class Database:
    """A database of the private cluster."""

    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self.url = cluster.url(name)

    def rows(self, sql):
        return query.rows(self.url, sql)

    def one(self, sql):
        return query.one(self.url, sql)

    def run(self, sql):
        return query.script(self.url, sql)

    def dicts(self, sql):
        """Rows as dictionaries with JSON's types; numbers with a point are Decimal."""
        return query.dicts(self.url, sql, parse_float=Decimal)

    def columns(self, schema, table):
        """Column name -> type, in order."""
        return dict(self.rows("SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = "
                              f"'{schema}' AND table_name = '{table}' ORDER BY ordinal_position"))

    def executions(self):
        return self.dicts("SELECT * FROM ops.execution_log ORDER BY id")

    def last_execution(self, load=None):
        where = f"WHERE load = '{load}'" if load else ""
        found = self.dicts(f"SELECT * FROM ops.execution_log {where} ORDER BY id DESC LIMIT 1")
        return found[0] if found else None

    def tasks(self, execution_id):
        """Task name -> row of ops.execution_task."""
        found = self.dicts(f"SELECT * FROM ops.execution_task WHERE execution_id = {execution_id}")
        return {row["task"]: row for row in found}

    def wal_position(self):
        return int(self.one("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))

    def snapshot(self, table, schema="servicenow", etl=True, key="sys_id"):
        """Every row as one comparable text, sorted; without the etl_ columns if so asked."""
        names = [name for name in self.columns(schema, table) if etl or not name.startswith("etl_")]
        listed = ", ".join(postgres.quote_ident(name) for name in names)
        found = self.rows(f"SELECT row_to_json(q) FROM (SELECT {listed} FROM {schema}.{postgres.quote_ident(table)} ORDER BY source, {key}) q")
        return [row[0] for row in found]


_agreed = set()  # (columns, landed row as text, source row) that were compared and found to be the same


def _differences_of_row(wanted, landed, kinds):
    """(column, landed, wanted) of each difference."""
    found = []
    for name, kind in kinds:
        field = name[3:] if name.startswith("sn_") and name not in wanted else name
        raw, have = wanted.get(field), landed[name]
        if raw == have and raw != "":
            continue  # most values need no conversion
        try:
            want = typed(raw, kind)
        except (ValueError, InvalidOperation):
            want = f"unreadable {raw!r}"
        have = landed_value(have, kind)
        if want != have:
            found.append((name, have, want))
    return found


def differences(database, task, truth, source="snow", key="sys_id", schema="servicenow"):
    """Compares a landed table with the source's rows; returns the differences as lines of text."""
    kinds = tuple((name, kind) for name, kind in database.columns(schema, task).items()
                  if name != "source" and not name.startswith(("etl_", "dv_")))
    picked = ", ".join(f"extract(epoch FROM {name})::bigint AS {name}" if kind == "interval" else postgres.quote_ident(name)
                       for name, kind in kinds)
    landed = {}
    found = []
    for identity, text in database.rows(f"SELECT {key}, row_to_json(q) FROM (SELECT {picked} FROM"
                                        f" {schema}.{postgres.quote_ident(task)} WHERE source = '{source}') q"):
        if identity in landed:
            found.append(f"{task} {identity}: landed twice")
        landed[identity] = text
    wanted = {str(row[key]): row for row in truth}
    found += [f"{task} {missing}: is missing" for missing in sorted(wanted.keys() - landed.keys())]
    found += [f"{task} {extra}: is not in the source" for extra in sorted(landed.keys() - wanted.keys())]
    for identity in sorted(wanted.keys() & landed.keys()):
        row = wanted[identity]
        comparison = (kinds, landed[identity], tuple(map(str, row.items())))
        if comparison in _agreed:
            continue
        wrong = _differences_of_row(row, json.loads(landed[identity], parse_float=Decimal), kinds)
        if not wrong:
            _agreed.add(comparison)
        found += [f"{task} {identity}.{name}: landed {have!r}, the source says {want!r}" for name, have, want in wrong]
    return found


_clusters = {}  # durable or not -> the process's cluster
_migrated = set()  # those with the database that others are copied from


def shared_cluster(fsync):
    """One cluster for all tests of a file; it ends with the process."""
    if fsync not in _clusters:
        _clusters[fsync] = postgres.Cluster(fsync=fsync).start()
        atexit.register(_clusters[fsync].stop)
    return _clusters[fsync]


# --- the test case --------------------------------------------------------------------------------

class FozTest(unittest.TestCase):
    """Each test has its own simulator, database and configuration."""

    source_name = "snow"
    tickets = 600
    seed = 7
    sim_arguments = ()
    parallel = 2  # each lane costs a database session; what is about lanes has four, as is the default
    fsync = False
    cluster = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for program in (WORKER, API, SIM):
            if not os.path.exists(program):
                raise AssertionError(f"{program} is missing: run meson compile -C {BUILD}")
        cls.cluster = shared_cluster(cls.fsync)

    def setUp(self):
        super().setUp()
        # Under /tmp and short: socket paths and configuration paths stay readable in messages.
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="foz-e2e-", dir="/tmp"))
        self._programs = []
        self._numbers = {}
        self.addCleanup(self._stop_programs)
        self.sim = self.start_sim()
        self.source_config = {**self.source_of(self.sim),
                              # Tests wait for nothing they need not wait for.
                              "visibility_lag": "0s",
                              "retry": {"attempts": 4, "base_delay": "20ms", "max_delay": "200ms", "max_wait": "5s"},
                              "breaker": {"failures": 8, "open_for": "1s"}}
        self.env = {"FOZ_TEST_PASSWORD": PASSWORD, "FOZ_LOG_FORMAT": "json"}
        self.config = {}
        self.database = self._make_database()
        self.reset_config()

    # -- pieces

    def source_of(self, sim):
        """What tells one type of source from the others, for its configuration."""
        return {"type": "servicenow", "url": f"{sim.url}/servicenow",
                "auth": {"method": "basic", "username": USER, "password": "env:FOZ_TEST_PASSWORD"}}

    def start_sim(self, *arguments, **options):
        options.setdefault("tickets", self.tickets)
        options.setdefault("seed", self.seed)
        sim = Sim(self.folder, *self.sim_arguments, *arguments, name=self._name("foz-sim"), **options)
        self._programs.append(sim)
        return sim

    def _name(self, stem):
        self._numbers[stem] = self._numbers.get(stem, 0) + 1
        return f"{stem}-{self._numbers[stem]}"

    def _stop_programs(self):
        problems = []
        for program in reversed(self._programs):
            try:
                program.stop()
            except AssertionError as problem:
                problems.append(str(problem))
            report = _SANITIZER_REPORT.search(program.err())
            if report:
                problems.append(f"{program.name}: {program.err()[report.start():][:6000]}")
        if problems:
            self.fail("\n".join(problems))

    def _make_database(self):
        """A copy of a migrated template, which costs milliseconds."""
        if self.cluster not in _migrated:
            self.cluster.createdb("migrated")
            self.database = Database(self.cluster, "migrated")
            self.reset_config()
            self.worker("migrate", expect=COMPLETE)
            _migrated.add(self.cluster)
        url = query.copy_database(self.cluster, "migrated")
        return Database(self.cluster, urllib.parse.urlsplit(url).path.lstrip("/"))

    def reset_config(self, **overrides):
        """Writes the configuration: the defaults with these top-level keys replaced or added."""
        self.config = {"database": {"url": self.database.url}, "sources": {self.source_name: self.source_config},
                       "worker": {"parallel": self.parallel}, **overrides}
        self.write_config()

    def write_config(self):
        # JSON is YAML, and this way nothing needs quoting rules of its own.
        with open(self.config_path, "w", encoding="utf-8") as out:
            json.dump(self.config, out, indent=2)

    @property
    def config_path(self):
        return os.path.join(self.folder, "foz.yaml")

    def set_source(self, **options):
        self.source_config.update(options)
        self.write_config()

    def set_task(self, task, **options):
        self.source_config.setdefault("tasks", {}).setdefault(task, {}).update(options)
        self.write_config()

    # -- programs

    def worker(self, *arguments, expect=None, env=None, timeout_s=120):
        """Runs foz-worker to its end."""
        return self._run([WORKER, *arguments, "-c", self.config_path], expect, env, timeout_s)

    def api_command(self, *arguments, expect=None):
        return self._run([API, *arguments, "-c", self.config_path], expect, None, 60)

    def _run(self, command, expect, env, timeout_s):
        started = time.monotonic()
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd=self.folder,
                                  env={**os.environ, **self.env, **(env or {})}, timeout=timeout_s * (5 if SANITIZER else 1))
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"{' '.join(command[:-2])} did not end within {late.timeout} s\n"
                                 f"{(late.stderr or b'').decode('utf-8', 'replace')[-3000:]}") from None
        result = Result(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"),
                        time.monotonic() - started)
        self.assertIsNone(_SANITIZER_REPORT.search(result.err), result)
        self.assertGreaterEqual(result.code, 0, result)  # not ended by a signal
        if expect is not None:
            wanted = expect if isinstance(expect, (tuple, list, set)) else (expect,)
            self.assertIn(result.code, wanted, result)
        return result

    def load(self, *arguments, expect=COMPLETE, **options):
        return self.worker("load", *arguments, expect=expect, **options)

    def start_worker(self, *arguments, env=None):
        program = Program([WORKER, *arguments, "-c", self.config_path], self.folder, self._name("foz-worker"),
                          {**self.env, **(env or {})})
        self._programs.append(program)
        return program

    def start_api(self):
        """Starts foz-api on free ports; self.api_url and self.admin_url lead to it."""
        self.config["api"] = {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0",
                              "rate_limit": {"per_minute": 60000, "burst": 1000}}
        self.write_config()
        program = Program([API, "serve", "-c", self.config_path], self.folder, self._name("foz-api"), self.env)
        self._programs.append(program)

        def announced():
            if not program.is_running():
                raise AssertionError(f"foz-api ended with code {program.process.returncode}: {program.err()[-3000:]}")
            return re.findall(r"http://127\.0\.0\.1:\d+", program.out())
        self.api_url, self.admin_url = wait_until(announced, "foz-api says where it listens")[:2]
        return program

    def create_key(self, name="tests", scopes=("dash.read", "dash.admin", "dash.observability")):
        arguments = [word for scope in scopes for word in ("--scope", scope)]
        result = self.api_command("key", "create", name, *arguments, expect=COMPLETE)
        key = re.search(r"foz_[A-Za-z0-9_-]+", result.out)
        self.assertIsNotNone(key, result)
        return key.group()

    # -- assertions

    def truth(self, task):
        rows = self.sim.rows(TASKS[task])
        if task == "incident_sla":  # SLAs of incidents only
            incidents = {row["sys_id"] for row in self.sim.rows("incident", fields="sys_id")}
            rows = [row for row in rows if row["task"] in incidents]
        return rows

    def assert_copies(self, *tasks):
        """The landed tables equal the source, row by row and value by value."""
        for task in tasks or TASKS:
            truth = self.truth(task)
            found = differences(self.database, task, truth)
            self.assertEqual([], found[:20], f"{len(found)} differences in {task}")
            self.assertGreater(len(truth), 0, f"{task} is empty in the source: nothing was compared")

    def assert_ledger(self, execution=None):
        """Whatever says success adds up."""
        execution = execution or self.database.last_execution()
        sums = self.database.dicts(f"SELECT * FROM ops.execution_task WHERE execution_id = {execution['id']}")
        for task in sums:
            if task["status"] not in ("success", "partial"):
                continue
            # Duplicates, and rows that belong to no copied record, are not counted as read.
            parts = sum(task["records_" + part] for part in ("inserted", "updated", "unchanged", "rejected"))
            self.assertEqual(task["records_read"], parts, f"ledger of {task['source']}.{task['task']}: {task}")
            if task["status"] == "success":
                self.assertEqual(0, task["records_rejected"], task)
        for part in ("read", "inserted", "updated", "unchanged", "deleted", "rejected"):
            self.assertEqual(execution["records_" + part], sum(task["records_" + part] for task in sums), part)

    def assert_no_leftovers(self):
        """No staging table and no running execution outlives its run."""
        self.assertEqual([], self.database.rows("SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                                                "WHERE n.nspname = 'staging' AND c.relkind = 'r'"))
        self.assertEqual("0", self.database.one("SELECT count(*) FROM ops.execution_log WHERE status = 'running'"))
