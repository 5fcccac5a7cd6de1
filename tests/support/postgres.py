#!/usr/bin/env python3
"""A private PostgreSQL cluster: for tests as a context manager, for scripts as a command.

    with Cluster() as cluster:
        url = cluster.createdb("first")

    postgres.py start DIR [--fsync] [--database foz] [-c name=value]...   prints the database's URL
    postgres.py stop DIR [--remove]
    postgres.py url DIR [--database foz]

It listens on a Unix socket in a short temporary directory only, trusts whoever can reach it, and
runs as user postgres when started by root (PostgreSQL refuses root). A cluster used as a context
manager ends with its process, however that ends; one that was started by command lives until
`stop`. Nothing here needs more than Python's standard library.
"""
import argparse
import contextlib
import glob
import itertools
import json
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse

STATE_FILE = "cluster.json"
TEMPLATE_VARIABLE = "FOZ_CLUSTER_TEMPLATE"
MEMORY = "/dev/shm"
MEMORY_WANTED = 6 << 30  # bytes; three clusters of tests at once take some hundred MB


class PostgresError(RuntimeError):
    """A command of the cluster failed; the text is what it said."""


def find_binaries() -> pathlib.Path:
    """The folder that holds initdb: the newest of Debian's, else the one in PATH."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if found:
        def version(path: str) -> float:
            try:
                return float(pathlib.Path(path).parts[-3])
            except ValueError:
                return 0.0
        return pathlib.Path(max(found, key=version)).parent
    initdb = shutil.which("initdb")
    if initdb is None:
        raise PostgresError("no initdb in /usr/lib/postgresql/*/bin or PATH: apt install postgresql")
    return pathlib.Path(initdb).resolve().parent


def as_server_user(*extra: str) -> list:
    """The command prefix under which the server may run."""
    if os.geteuid() != 0:
        return ["setpriv", *extra] if extra else []
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        raise PostgresError("PostgreSQL refuses root and there is no user postgres: apt install postgresql") from None
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *extra]


def run(command: list, **options) -> subprocess.CompletedProcess:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", **options)
    if done.returncode != 0:
        raise PostgresError("%s failed: %s" % (" ".join(command[:6]), (done.stderr or done.stdout).strip()))
    return done


def scratch_folder(durable: bool) -> str:
    """Where temporary clusters lie: in memory if there is plenty and a power cut may take them.

    Files made and deleted by the thousand cost a disk's file system more than the tests themselves.
    """
    if durable:
        return "/tmp"
    try:
        room = os.statvfs(MEMORY)
        free = room.f_bavail * room.f_frsize
        with open("/proc/meminfo", encoding="ascii") as lines:
            free = min(free, *(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")))
    except (OSError, TypeError, ValueError):
        return "/tmp"
    return MEMORY if free >= MEMORY_WANTED and os.access(MEMORY, os.W_OK) else "/tmp"


def sweep(folder: str) -> None:
    """Memory is not for what a killed process left: its clusters have ended with it."""
    for path in glob.glob(os.path.join(folder, "foz-pg-*-*")):
        owner = pathlib.Path(path).name.split("-")[2]
        if owner.isdigit() and not os.path.exists("/proc/" + owner):
            shutil.rmtree(path, ignore_errors=True)


def initialize(binaries: pathlib.Path, data: pathlib.Path) -> None:
    """A new cluster's files: copied where a run of the suites has some ready: 0.04 s instead of 0.7."""
    ready = os.environ.get(TEMPLATE_VARIABLE)
    if ready and os.path.exists(ready):
        run(["cp", "-aT", ready, str(data)])
    else:
        run(as_server_user() + [str(binaries / "initdb"), "-D", str(data), "-U", "postgres",
                                "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"])


@contextlib.contextmanager
def template():
    """For the tests within, and the processes they start: the files that `initialize` copies."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="foz-pg-%d-" % os.getpid(), dir=scratch_folder(False)))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        initialize(find_binaries(), folder / "data")
        os.environ[TEMPLATE_VARIABLE] = str(folder / "data")
        yield
    finally:
        os.environ.pop(TEMPLATE_VARIABLE, None)
        shutil.rmtree(folder, ignore_errors=True)


class Cluster:
    """One cluster. `directory` keeps the data; without it everything is temporary."""

    def __init__(self, directory=None, fsync=False, settings=None, bound=True):
        self.binaries = find_binaries()
        self.settings = {"listen_addresses": "", "fsync": "on" if fsync else "off"}
        if not fsync:
            self.settings["full_page_writes"] = "off"
            self.settings["max_wal_size"] = "256MB"
        self.settings.update(settings or {})
        self.bound = bound  # ends with this process
        self.directory = pathlib.Path(directory).resolve() if directory else None
        self.scratch = None  # temporary folder of socket and, where needed, data
        self.data = None
        self.process = None
        self.numbers = itertools.count(1)
        self._load_state()

    # -- where things are

    def _load_state(self) -> None:
        if self.directory and (self.directory / STATE_FILE).exists():
            state = json.loads((self.directory / STATE_FILE).read_text(encoding="utf-8"))
            self.data = pathlib.Path(state["data"])
            self.scratch = pathlib.Path(state["scratch"])

    def _save_state(self) -> None:
        if self.directory:
            state = {"data": str(self.data), "scratch": str(self.scratch)}
            (self.directory / STATE_FILE).write_text(json.dumps(state) + "\n", encoding="utf-8")

    def _give(self, path: pathlib.Path) -> None:
        if os.geteuid() == 0:
            shutil.chown(path, "postgres", "postgres")

    def _make_folders(self) -> None:
        if self.scratch is None or not self.scratch.exists():
            durable = self.directory is not None or self.settings["fsync"] == "on"
            folder = scratch_folder(durable)
            if folder == MEMORY:
                sweep(folder)
            prefix = "foz-pg-%d-" % os.getpid() if folder == MEMORY else "foz-pg-"
            self.scratch = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
            self.scratch.chmod(0o755)
            self._give(self.scratch)
        if self.data is not None and self.data.exists():
            return
        self.data = self.scratch / "data"
        if self.directory:
            self.directory.mkdir(parents=True, exist_ok=True)
            wanted = self.directory / "data"
            wanted.mkdir(exist_ok=True)
            self._give(wanted)
            # A checkout under /root is closed to user postgres: the data then goes to the scratch.
            probe = subprocess.run(as_server_user() + ["test", "-w", str(wanted)], check=False)
            if probe.returncode == 0:
                self.data = wanted
            else:
                wanted.rmdir()

    @property
    def log(self) -> pathlib.Path:
        return self.data / "server.log"

    def url(self, database: str = "postgres") -> str:
        return "postgresql:///%s?host=%s&user=postgres" % (
            urllib.parse.quote(database, safe=""), urllib.parse.quote(str(self.scratch), safe="/"))

    # -- life

    def start(self) -> "Cluster":
        self._make_folders()
        if not (self.data / "PG_VERSION").exists():
            initialize(self.binaries, self.data)
        self._save_state()
        if not self.is_ready():
            self._launch()
        return self

    def _launch(self) -> None:
        options = ["-c", "unix_socket_directories=%s" % self.scratch]
        for name, value in self.settings.items():
            options += ["-c", "%s=%s" % (name, value)]
        prefix = as_server_user("--pdeathsig", "INT") if self.bound else as_server_user()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(prefix + [str(self.binaries / "postgres"), "-D", str(self.data), *options],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                            start_new_session=True)
        deadline = time.monotonic() + 60
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise PostgresError("the server did not start: " + self.log.read_text(errors="replace")[-2000:])
            time.sleep(0.02)

    def is_ready(self) -> bool:
        if self.scratch is None or not (self.scratch / ".s.PGSQL.5432").exists():
            return False
        return subprocess.run([str(self.binaries / "pg_isready"), "-q", "-h", str(self.scratch)],
                              check=False).returncode == 0

    def _server_pid(self):
        try:
            pid = int((self.data / "postmaster.pid").read_text(encoding="ascii").split()[0])
            os.kill(pid, 0)
            return pid
        except (OSError, ValueError, IndexError):
            return None

    def _end(self, mode: str) -> None:
        pid = self._server_pid()
        if pid is None:
            return
        if mode == "kill":
            os.kill(pid, signal.SIGKILL)
        else:
            run(as_server_user() + [str(self.binaries / "pg_ctl"), "-D", str(self.data), "-m", mode, "-w", "-t", "60", "stop"])
        if self.process is not None:
            self.process.wait(60)
            self.process = None

    def stop(self, remove: bool = False) -> None:
        """Fast shutdown. Temporary folders go; a given directory's data stays unless `remove`."""
        if self.data is not None and self.data.exists():
            self._end("fast")
        keeps_data = self.directory is not None and not remove and self.data is not None
        if self.scratch is not None and not (keeps_data and self.data.parent == self.scratch):
            shutil.rmtree(self.scratch, ignore_errors=True)
        if remove and self.directory is not None:
            shutil.rmtree(self.directory / "data", ignore_errors=True)
            (self.directory / STATE_FILE).unlink(missing_ok=True)

    def restart(self) -> None:
        self._end("fast")
        self._launch()

    def crash(self) -> None:
        """Immediate stop: sessions are cut, the next start recovers from the WAL."""
        self._end("immediate")

    def recover(self) -> None:
        """Starts again after crash()."""
        self._launch()

    def __enter__(self) -> "Cluster":
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *unused) -> None:
        self.stop()

    # -- work

    def psql(self, sql: str, database: str = "postgres", variables=None) -> str:
        """Runs SQL, stops at the first error, returns what psql prints (unaligned, no headers)."""
        return psql(self.url(database), sql, variables)

    def createdb(self, name=None) -> str:
        """Creates a database and returns its URL."""
        name = name or self.free_name()
        self.psql("CREATE DATABASE %s" % quote_ident(name))
        return self.url(name)

    def free_name(self) -> str:
        return "db%d_%d" % (os.getpid(), next(self.numbers))

    def dropdb(self, name: str) -> None:
        self.psql("DROP DATABASE IF EXISTS %s WITH (FORCE)" % quote_ident(name))

    def has_database(self, name: str) -> bool:
        return bool(self.psql("SELECT 1 FROM pg_database WHERE datname = %s" % quote_literal(name)))


def quote_ident(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def psql(url: str, sql: str, variables=None, options=()) -> str:
    command = [str(find_binaries() / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *options]
    for name, value in (variables or {}).items():
        command += ["-v", "%s=%s" % (name, value)]
    done = subprocess.run(command + [url], input=sql, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PostgresError(done.stderr.strip())
    return done.stdout.rstrip("\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="A private PostgreSQL cluster.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("start", "stop", "url"):
        command = commands.add_parser(name)
        command.add_argument("directory", metavar="DIR")
        command.add_argument("--database", default="foz")
        if name == "start":
            command.add_argument("--fsync", action="store_true", help="survive a power cut")
            command.add_argument("-c", dest="settings", action="append", default=[], metavar="NAME=VALUE")
        if name == "stop":
            command.add_argument("--remove", action="store_true", help="remove the data too")
    arguments = parser.parse_args()
    try:
        settings = dict(item.split("=", 1) for item in getattr(arguments, "settings", []))
        cluster = Cluster(arguments.directory, getattr(arguments, "fsync", False), settings, bound=False)
        if arguments.command == "stop":
            cluster.stop(arguments.remove)
            return 0
        if arguments.command == "start":
            cluster.start()
            if not cluster.has_database(arguments.database):
                cluster.createdb(arguments.database)
        elif not cluster.is_ready():
            raise PostgresError("no server runs in %s" % arguments.directory)
        print(cluster.url(arguments.database))
        return 0
    except (PostgresError, OSError, ValueError) as failure:
        print("postgres.py: %s" % failure, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
