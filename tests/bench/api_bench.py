#!/usr/bin/env python3
"""The read API against nginx serving the same bytes, and against a million tickets.

    FOZ_BUILD=build tests/bench/api_bench.py [--tickets 1000000] [--seconds 4]

Needs wrk and nginx. Cached answers and 304s are asked with a key and a rate limit, interleaved with
nginx, medians of the rounds: of the rate, and of the CPU time of the server's own process a request,
which tells more on a machine that others use. Uncached ones are asked with a publish before each question.
"""

import argparse
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
import foz
import postgres
import query

ROUNDS = 5

TICKETS = """
CREATE TABLE public.indexes AS SELECT indexname AS name, indexdef AS definition FROM pg_indexes
 WHERE schemaname = 'core' AND tablename = 'ticket' AND indexname <> 'ticket_pkey';
SELECT format('DROP INDEX core.%I', name) FROM public.indexes \\gexec
INSERT INTO core.technician (technician_id, name, email, team)
SELECT md5('t' || i)::uuid, 'Person ' || i, 'p' || i || '@acme.example', 'Team ' || i % 20 FROM generate_series(0, 499) i;
INSERT INTO core.ticket (ticket_id, source, source_type, external_id, number, kind, title, status, priority, queue, category,
                         assignee_id, team, opened_at, updated_at, resolved_at, closed_at, resolved_by_id, sla_met, etl_execution_id)
SELECT 'snow:' || md5(i::text), 'snow', 'servicenow', md5(i::text), 'INC' || lpad(i::text, 7, '0'), 'incident',
       'Printer ' || i % 977 || ' on floor ' || i % 13 || ' is out of toner', (ARRAY['closed', 'closed', 'closed', 'closed', 'closed', 'closed',
         'closed', 'resolved', 'in_progress', 'new'])[1 + i % 10], 1 + i % 5, 'Queue ' || i % 40, 'Category ' || i % 25,
       md5('t' || i % 500)::uuid, 'Team ' || i % 20, now() - interval '1 min' * (i % 500000), now() - interval '30 s' * (i % 900000),
       CASE WHEN i % 10 < 8 THEN now() - interval '1 min' * (i % 500000) + interval '1 s' * (i % 90000) END,
       CASE WHEN i % 10 < 7 THEN now() END, CASE WHEN i % 10 < 8 THEN md5('t' || i % 500)::uuid END, i % 7 <> 0, 1
  FROM generate_series(1, N_TICKETS) i;
SELECT definition FROM public.indexes \\gexec
DROP TABLE public.indexes;
VACUUM ANALYZE core.ticket; ANALYZE core.technician;
"""

PUBLISH = """
BEGIN;
INSERT INTO ops.projection_version VALUES ('snow', 'incident', nextval('ops.projection_version_seq'), now(), now())
ON CONFLICT (source, task) DO UPDATE SET version = excluded.version, checked_at = now(), changed_at = now();
SELECT pg_notify('foz_projection', 'snow incident');
COMMIT;
"""


# Every request asks what none has asked before.
ASK = """
local threads = 0
function setup(thread) threads = threads + 1; thread:set("number", threads) end
function delay() return PAUSE_MS end
local count = 0
function request()
  count = count + 1
  local own = count * 2 + number
  return wrk.format("GET", PATH)
end
"""
UNITS = {"us": 0.001, "ms": 1, "s": 1000}


def run_wrk(url, connections, seconds, headers):
    command = ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    text = subprocess.run(command + [url], capture_output=True, text=True, check=True).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    if bad:
        raise SystemExit(f"{url}: {bad.group(1)} bad answers\n{text}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)), int(re.search(r"(\d+) requests in", text).group(1))


def cpu_us(pids):
    """Of all threads, user and system."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as stat:
                total += int(stat.read().split()[0])
    return total / 1000


class Rounds:
    """Rates and CPU times of one server, a round each."""

    def __init__(self, name, pids, url, headers):
        self.name, self.pids, self.url, self.headers = name, pids, url, headers
        self.rates, self.costs_us = [], []

    def run(self, connections, seconds):
        before = cpu_us(self.pids)
        rate, count = run_wrk(self.url, connections, seconds, self.headers)
        self.rates.append(rate)
        self.costs_us.append((cpu_us(self.pids) - before) / count)

    @property
    def rate(self):
        return statistics.median(self.rates)

    @property
    def cost_us(self):
        return statistics.median(self.costs_us)


# Fewest words; and what Debian's nginx.conf says, but for room for more connections.
NGINX_LEAN = "access_log off; open_file_cache max=10; keepalive_requests 1000000000;"
NGINX_DEBIAN = "access_log FOLDER/access.log; gzip on; types_hash_max_size 2048;"


class Nginx:
    """Serves one file from memory of the page cache."""

    def __init__(self, folder, body, settings):
        self.port = foz.free_port()
        self.folder = os.path.join(folder, str(self.port))
        os.mkdir(self.folder)
        with open(os.path.join(self.folder, "answer.json"), "wb") as out:
            out.write(body)
        config = os.path.join(self.folder, "nginx.conf")
        paths = " ".join(f"{name}_temp_path {self.folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(config, "w", encoding="utf-8") as out:
            out.write(f"worker_processes 2; daemon off; pid {self.folder}/nginx.pid; error_log {self.folder}/nginx.log;\n"
                      f"{'user root;' if os.geteuid() == 0 else ''} events {{ worker_connections 4096; }}\n"
                      f"http {{ sendfile on; tcp_nopush on; {settings.replace('FOLDER', self.folder)} {paths}\n"
                      f"types {{ application/json json; }}\n"
                      f"server {{ listen 127.0.0.1:{self.port} reuseport; root {self.folder}; }} }}\n")
        self.process = subprocess.Popen(["nginx", "-p", self.folder, "-c", config], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{self.port}/answer.json"
        foz.wait_until(self.is_up, "nginx answers", 10)

    def is_up(self):
        try:
            return foz.http("GET", self.url).status == 200
        except OSError:
            return False

    def workers(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as children:
            return [int(pid) for pid in children.read().split()]

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def resident_mib(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(field + r":\s+(\d+) kB", status.read()).group(1)) / 1024



class Bench:
    def __init__(self, options, folder, cluster):
        self.options = options
        self.folder = folder
        self.url = cluster.createdb("foz")
        config = {"database": {"url": self.url}, "sources": {},
                  "api": {"listen": "127.0.0.1:0", "admin_listen": "", "rate_limit": {"per_minute": 1000000, "burst": 100000}}}
        self.config = os.path.join(folder, "foz.yaml")
        with open(self.config, "w", encoding="utf-8") as out:
            json.dump(config, out)
        subprocess.run([foz.WORKER, "migrate", "-c", self.config], check=True, capture_output=True)
        self.key = subprocess.run([foz.API, "key", "create", "bench", "--scope", "dash.read", "dash.observability", "-c", self.config],
                                  check=True, capture_output=True, text=True).stdout.strip()
        postgres.psql(self.url, "UPDATE ops.api_key SET per_minute = 1000000000")  # counted, never refused
        self.api = foz.Program([foz.API, "-c", self.config], folder, "foz-api")
        found = foz.wait_until(lambda: re.search(r"http://(\S+):(\d+)", self.api.out()), "foz-api listens")
        self.port = int(found[2])
        self.base = f"http://127.0.0.1:{self.port}"

    def get(self, path, connection=None):
        own = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        own.request("GET", path, headers={"X-API-Key": self.key})
        answer = own.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body[:500]}")
        return answer, body

    def cached(self, path):
        body = self.get(path)[1]
        print(f"\ncached {path}: {len(body)} bytes")
        lean, debian = (Nginx(self.folder, body, settings) for settings in (NGINX_LEAN, NGINX_DEBIAN))
        try:
            for connections in (64, 128, 256, 512):
                tag = self.get(path)[0].headers["ETag"]
                key = {"X-API-Key": self.key}
                limits = [Rounds("nginx", lean.workers(), lean.url, {}), Rounds("as Debian configures it", debian.workers(), debian.url, {})]
                ours = [Rounds("200", [self.api.pid], self.base + path, key),
                        Rounds("304", [self.api.pid], self.base + path, {**key, "If-None-Match": tag})]
                for _ in range(ROUNDS):
                    for server in (*limits, *ours):
                        server.run(connections, self.options.seconds)
                print(f"  {connections:4} connections: " + ", ".join(f"{limit.name} {limit.rate:.0f}/s, {limit.cost_us:.1f} us" for limit in limits)
                      + "".join(f"; {server.name} {server.rate:.0f}/s = {server.rate / limits[0].rate:.2f} and "
                                f"{server.rate / limits[1].rate:.2f}, {server.cost_us:.1f} us" for server in ours)
                      + f" (target {1.2 if connections == 64 else 0.8})", flush=True)
        finally:
            lean.stop()
            debian.stop()
        print(f"  resident: {resident_mib(self.api.pid, 'VmRSS'):.1f} MiB, peak {resident_mib(self.api.pid, 'VmHWM'):.1f} MiB")

    def uncached(self, name, lua_path, target_ms, pause_ms, publishes=False):
        """16 connections, each of which asks as soon as it has its answer, or after a pause. Every question is
        new, or publishes make the same one new."""
        script = os.path.join(self.folder, "ask.lua")
        with open(script, "w", encoding="utf-8") as out:
            out.write(ASK.replace("PATH", lua_path).replace("PAUSE_MS", str(pause_ms)))
        seconds = self.options.seconds * 2
        command = ["wrk", "-t2", "-c16", f"-d{seconds}s", "--latency", "-s", script, "-H", f"X-API-Key: {self.key}", self.base]
        query.script(self.url, "SELECT core.tick()")  # as foz-worker run does every minute
        n_publishes = 0
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
            while publishes and asking.poll() is None:
                query.script(self.url, PUBLISH)
                n_publishes += 1
                time.sleep(0.05)
            text = asking.stdout.read()
        if "Non-2xx" in text:
            raise SystemExit(f"{name}: {text}")
        times = {share: float(value) * UNITS[unit] for share, value, unit in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s)", text)}
        answers = re.search(r"(\d+) requests in", text)[1]
        print(f"  {name}: {answers} answers{f', {n_publishes} publishes' if publishes else ''}, median {times['50']:.1f} ms, "
              f"p99 {times['99']:.1f} ms (target {target_ms})")

    def million(self):
        print(f"\n{self.options.tickets} tickets, 16 connections (the client shares the machine)")
        started = time.monotonic()
        postgres.psql(self.url, TICKETS.replace("N_TICKETS", str(self.options.tickets)))
        query.script(self.url, PUBLISH)
        print(f"  filled in {time.monotonic() - started:.1f} s")
        for name, path in (("overview", "/v1/tickets/overview"), ("metrics", "/v1/tickets/metrics?group_by=queue"),
                           ("tickets", "/v1/tickets"), ("search", "/v1/tickets?q=toner+977"), ("ranking", "/v1/technicians/ranking"),
                           ("breaches", "/v1/sla/breaches")):
            alone = []
            for _ in range(5):
                query.script(self.url, PUBLISH)
                time.sleep(0.1)
                begun = time.monotonic()
                self.get(path)
                alone.append((time.monotonic() - begun) * 1000)
            print(f"  {name} alone, uncached: median {statistics.median(alone):.1f} ms")
        page = '"/v1/tickets?updated_since=" .. os.date("!%Y-%m-%dT%H:%M:%SZ", 1577836800 + own)'
        overview = '"/v1/tickets/overview?queue=Queue+" .. own % 40 .. "&queue=none" .. own'
        for pause_ms in (0, 50):
            often = f"a pause of {pause_ms} ms" if pause_ms else "no pause"
            self.uncached(f"first page of tickets, filters of its own each, {often}", page, 10, pause_ms)
            self.uncached(f"overview, filters of its own each, {often}", overview, 25, pause_ms)
        self.uncached("first page of tickets, behind publishes, a pause of 50 ms", '"/v1/tickets"', 10, 50, publishes=True)
        self.uncached("overview, behind publishes, a pause of 50 ms", '"/v1/tickets/overview"', 25, 50, publishes=True)
        print(f"  resident: {resident_mib(self.api.pid, 'VmRSS'):.1f} MiB, peak {resident_mib(self.api.pid, 'VmHWM'):.1f} MiB (target 24)")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tickets", type=int, default=1000000)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", choices=("cached", "million"))
    options = parser.parse_args()
    for program in ("wrk", "nginx"):
        if not shutil.which(program):
            raise SystemExit(f"{program} is not installed: apt install {program}")
    with tempfile.TemporaryDirectory(prefix="foz-bench-", dir="/tmp") as folder, postgres.Cluster(settings={"shared_buffers": "512MB"}) as cluster:
        os.chmod(folder, 0o755)
        bench = Bench(options, folder, cluster)
        try:
            postgres.psql(bench.url, TICKETS.replace("N_TICKETS", "2000"))
            postgres.psql(bench.url, PUBLISH)
            time.sleep(0.5)
            if options.only != "million":
                bench.cached("/v1/tickets/overview")
            postgres.psql(bench.url, "TRUNCATE core.ticket, core.technician CASCADE")
            if options.only != "cached":
                bench.million()
        finally:
            bench.api.stop()


if __name__ == "__main__":
    main()
