"""What the commands say and return, above all when something is wrong."""

import http.server
import json
import os
import re
import signal
import subprocess
import threading
import time
import unittest

import psycopg2

import control
import query
from foz import (BUSY, COMPLETE, CONFIGURATION, FAILED, HELD, PARTIAL, RIGHTS, SANITIZER, TASKS, TERMINATED, UNREACHABLE, USAGE, WORKER, FozTest,
                 free_port, wait_until)

COMMANDS = ("migrate", "check", "load", "run", "status", "dead-letters")


class Usage(FozTest):
    tickets = 40

    def test_help_and_version_everywhere(self):
        self.assertRegex(self.worker("--version", expect=COMPLETE).out, r"\d+\.\d+\.\d+")
        self.assertRegex(self.api_command("--version", expect=COMPLETE).out, r"\d+\.\d+\.\d+")
        text = self.worker("--help", expect=COMPLETE).out
        for command in COMMANDS:
            self.assertIn(command, text)
            self.assertIn(command, self.worker(command, "--help", expect=COMPLETE).out)

    def test_wrong_usage_is_64_and_names_the_culprit(self):
        for arguments, word in (
                (["lod", "incidents"], "lod"),
                (["load"], "NAME"),
                (["load", "incident"], "incidents"),
                (["load", "incidents", "--task", "incidnt"], "incident"),
                (["load", "incidents", "--source", "snwo"], "snow"),
                (["load", "incidents", "--mode", "fast"], "full"),
                (["load", "incidents", "--from", "yesterday"], "yesterday"),
                (["load", "incidents", "--from", "2026-02-01", "--to", "2026-01-01"], "from"),
                (["load", "incidents", "--from", "2026-02-30"], "2026-02-30"),
                (["load", "incidents", "--mode", "full", "--from", "2026-01-01"], "window"),
                (["load", "incidents", "--mode", "window"], "from"),
                (["load", "incidents", "--colour"], "colour"),
                (["dead-letters"], "list"),
                (["status", "extra"], "extra")):
            with self.subTest(arguments):
                result = self.worker(*arguments, expect=USAGE)
                self.assertIn(word, result.err)
                self.assertEqual("", result.out)
        self.assertEqual("0", self.database.one("SELECT count(*) FROM ops.execution_log"))


class Configuration(FozTest):
    tickets = 40

    def raw(self, text):
        with open(self.config_path, "w", encoding="utf-8") as out:
            out.write(text)

    def test_all_faults_are_reported_at_once_with_file_and_line(self):
        self.raw("database:\n"
                 f"  urll: {self.database.url}\n"
                 "sources:\n"
                 "  snow:\n"
                 "    type: servicnow\n"
                 "    url: https://example.com\n"
                 "    parallel: many\n"
                 "    auth: {method: basic, username: foz, password: literal}\n"
                 "    timeout: 5 parsecs\n"
                 "worker:\n"
                 "  parallel: 4\n"
                 "  parallel: 5\n"
                 "  max_delete_fraction: 7\n")
        result = self.worker("check", "--offline", expect=CONFIGURATION)
        for line, word in ((2, "url"), (5, "servicenow"), (7, "parallel"), (8, "env:"), (9, "timeout"), (12, "parallel"),
                           (13, "max_delete_fraction")):
            self.assertRegex(result.text, rf"foz\.yaml:{line}:.*{re.escape(word)}")

    def test_every_command_refuses_a_bad_configuration_with_78(self):
        self.raw("nonsense: 1\n")
        for arguments in (["migrate"], ["check"], ["load", "incidents"], ["run"], ["status"], ["dead-letters", "list"]):
            with self.subTest(arguments):
                self.assertIn("nonsense", self.worker(*arguments, expect=CONFIGURATION).err)

    def test_json_has_each_fault_of_the_configuration_as_a_finding(self):
        self.raw("nonsense: 1\nworker: {parallel: many}\n")
        report = self.worker("check", "--json", expect=CONFIGURATION).json()
        self.assertEqual(CONFIGURATION, report["exit_code"])
        self.assertEqual([("error", "configuration")] * 2, [(found["level"], found["subject"]) for found in report["findings"]])
        for found, words in zip(report["findings"], ("foz.yaml:1: unknown key", "foz.yaml:2: worker.parallel")):
            self.assertIn(words, found["text"])
        for text in ("database: [\n", None):
            with self.subTest(text):
                if text is None:
                    os.unlink(self.config_path)
                else:
                    self.raw(text)
                report = self.worker("check", "--json", expect=CONFIGURATION).json()
                self.assertEqual((CONFIGURATION, 1), (report["exit_code"], len(report["findings"])))
                self.assertIn("foz.yaml", report["findings"][0]["text"])
        self.write_config()

    def test_a_missing_file_and_broken_yaml_are_78(self):
        self.raw("database: [\n")
        self.assertIn("foz.yaml", self.worker("check", "--offline", expect=CONFIGURATION).text)
        os.unlink(self.config_path)
        self.assertIn("foz.yaml", self.worker("check", "--offline", expect=CONFIGURATION).text)
        self.write_config()

    def test_a_missing_secret_names_itself_and_not_its_value(self):
        del self.env["FOZ_TEST_PASSWORD"]
        result = self.load("incidents", expect=CONFIGURATION)
        self.assertIn("FOZ_TEST_PASSWORD", result.text)
        self.source_config["auth"]["password"] = "file:" + os.path.join(self.folder, "absent")
        self.write_config()
        self.assertIn("absent", self.load("incidents", expect=CONFIGURATION).text)

    def test_a_missing_secret_is_the_matter_of_its_own_source(self):
        self.config["sources"]["other"] = {**self.source_config, "auth": {**self.source_config["auth"], "password": "env:FOZ_NO_SUCH"}}
        self.write_config()
        self.load("incidents", "--source", "snow")
        result = self.load("incidents", expect=CONFIGURATION)
        self.assertIn("FOZ_NO_SUCH", result.text)
        execution = self.database.last_execution()
        self.assertEqual("error", execution["status"])
        self.assertIn("FOZ_NO_SUCH", execution["error_message"])
        self.assertEqual([("other", "error", "4"), ("snow", "success", "4")],
                         self.database.rows("SELECT source, status, count(*)::text FROM ops.execution_task"
                                            f" WHERE execution_id = {execution['id']} GROUP BY 1, 2 ORDER BY 1"))
        n = len(self.database.executions())
        self.assertIn("FOZ_NO_SUCH", self.load("incidents", "--source", "other", expect=CONFIGURATION).text)
        self.assertEqual(n, len(self.database.executions()))

    def test_a_secret_file_works_and_its_last_newline_is_no_part_of_it(self):
        path = os.path.join(self.folder, "secret")
        with open(path, "w", encoding="utf-8") as out:
            out.write("foz-secret\n")
        os.chmod(path, 0o600)
        self.source_config["auth"]["password"] = "file:" + path
        self.write_config()
        self.load("configurations", "--task", "groups")
        self.assert_copies("groups")

    def test_the_environment_overrides_the_file(self):
        self.config["database"]["url"] = "postgresql:///nowhere?host=/nonexistent"
        self.write_config()
        self.worker("status", expect=UNREACHABLE)
        self.worker("status", expect=COMPLETE, env={"FOZ_DATABASE_URL": self.database.url})


class Migrate(FozTest):
    tickets = 40

    def empty_database(self):
        url = self.cluster.createdb()
        self.config["database"]["url"] = url
        self.write_config()
        return url

    def test_it_is_idempotent_and_a_dry_run_changes_nothing(self):
        url = self.empty_database()
        count = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
        shown = self.worker("migrate", "--dry-run", expect=COMPLETE)
        self.assertIn("incident", shown.text)
        self.assertEqual("0", query.one(url, count))
        self.worker("migrate", expect=COMPLETE)
        objects = query.one(url, count)
        self.worker("migrate", expect=COMPLETE)
        self.assertEqual(objects, query.one(url, count))

    def test_two_at_once_do_not_collide(self):
        self.empty_database()
        programs = [self.start_worker("migrate") for _ in range(3)]
        self.assertEqual([0, 0, 0], [program.wait() for program in programs], [program.err() for program in programs])

    def test_a_changed_migration_is_refused(self):
        self.database.run("UPDATE ops.migration SET checksum = 'something else' WHERE version = (SELECT min(version) FROM ops.migration)")
        result = self.worker("migrate", expect=(FAILED, CONFIGURATION))
        self.assertRegex(result.err, r"(?i)migration.*1|0001")

    def test_a_database_of_a_newer_version_is_refused(self):
        self.database.run("INSERT INTO ops.migration (version, name, checksum) VALUES (9999, '9999_from_the_future', 'x')")
        for arguments in (["migrate"], ["load", "incidents"], ["run"], ["status"]):
            with self.subTest(arguments):
                result = self.worker(*arguments, expect=(FAILED, CONFIGURATION), timeout_s=15)
                self.assertIn("9999", result.err)

    def test_a_load_into_an_empty_database_asks_for_migrate(self):
        self.empty_database()
        for arguments in (["load", "incidents"], ["status"], ["run"], ["dead-letters", "list"]):
            with self.subTest(arguments):
                self.assertIn("foz-worker migrate", self.worker(*arguments, expect=(FAILED, CONFIGURATION), timeout_s=15).err)

    def test_a_database_that_is_down_is_69(self):
        self.config["database"]["url"] = "postgresql:///foz?host=/nonexistent"
        self.write_config()
        for arguments in (["migrate"], ["check"], ["load", "incidents"], ["run"], ["status"], ["dead-letters", "list"]):
            with self.subTest(arguments):
                self.assertIn("/nonexistent", self.worker(*arguments, expect=UNREACHABLE, timeout_s=15).text)

    def test_a_column_whose_type_differs_from_the_catalog_is_named(self):
        self.database.run("ALTER TABLE servicenow.incident ALTER COLUMN urgency TYPE text")
        result = self.worker("migrate", expect=(FAILED, CONFIGURATION))
        self.assertIn("urgency", result.err)


class Check(FozTest):
    tickets = 40
    sim_arguments = ("--clock", "now")  # or its clock would be a finding of every check

    def findings(self, expect):
        return self.worker("check", expect=expect).text

    def test_all_is_well(self):
        self.worker("check", expect=COMPLETE)
        report = self.worker("check", "--json", expect=COMPLETE).json()
        self.assertIn("snow", json.dumps(report))
        self.assertEqual("0", self.database.one("SELECT count(*) FROM ops.execution_log"))

    def test_offline_asks_nobody(self):
        requests = self.sim.state()["requests"]
        self.worker("check", "--offline", expect=COMPLETE)
        self.assertEqual(requests, self.sim.state()["requests"])

    def test_a_wrong_password_is_77(self):
        self.env["FOZ_TEST_PASSWORD"] = "wrong"
        text = self.findings(RIGHTS)
        self.assertIn("snow", text)
        self.assertRegex(text, "(?i)password|credential")

    def test_an_unreachable_host_is_69(self):
        self.set_source(url=f"http://127.0.0.1:{free_port()}/servicenow", connect_timeout="1s")
        self.assertIn("127.0.0.1", self.findings(UNREACHABLE))

    def test_an_unknown_host_is_69(self):
        self.set_source(url="http://no-such-host.invalid/servicenow", connect_timeout="1s")
        self.assertIn("no-such-host.invalid", self.findings(UNREACHABLE))

    def test_the_first_of_77_and_69_wins(self):
        self.config["sources"]["away"] = {**self.source_config, "url": f"http://127.0.0.1:{free_port()}/servicenow"}
        self.env["FOZ_TEST_PASSWORD"] = "wrong"
        self.write_config()
        self.findings(RIGHTS)

    def test_a_wrong_path_says_so(self):
        self.set_source(url=f"{self.sim.url}/nothing-here")
        text = self.findings({FAILED, CONFIGURATION, UNREACHABLE})
        self.assertIn("404", text)
        self.assertRegex(text, r"\burl\b")

    def test_a_missing_table_is_named(self):
        self.sim.do(control.fault("invalid_table", table="cmdb_ci_network_link"))
        self.assertIn("cmdb_ci_network_link", self.findings({FAILED, CONFIGURATION}))

    def test_an_empty_or_hidden_table_is_named(self):
        self.sim.do(control.deny("task_time_worked"))
        text = self.findings({COMPLETE, FAILED, RIGHTS, PARTIAL})
        self.assertRegex(text, r"task_time_worked")

    def test_unreadable_fields_are_named(self):
        self.sim.do(control.hide_field("incident", "close_notes"), control.hide_field("sys_user", "email"))
        text = self.findings({COMPLETE, PARTIAL})
        self.assertIn("close_notes", text)
        self.assertIn("email", text)

    def test_fields_that_may_not_be_queried_are_named_as_the_loads_will_find_them(self):
        """Reading a field is one right, to query by it another."""
        self.load("incidents", "--task", "incident")
        for field, arguments in (("sys_updated_on", []), ("opened_at", ["--from", "2000-01-01"])):
            with self.subTest(field):
                self.sim.do(control.fault("forbidden_403", table="incident", field=field))
                self.load("incidents", "--task", "incident", *arguments, expect=RIGHTS)
                lines = [line for line in self.findings(RIGHTS).splitlines() if line.startswith("error")]
                self.assertEqual(1, len(lines), lines)
                self.assertRegex(lines[0], rf"snow\.incident: .*\bby {field} .*query_range")
                self.sim.do(control.clear_faults())

    def test_a_range_that_the_source_leaves_out_is_named(self):
        self.sim.do(control.fault("range_ignored", table="incident", field="sys_updated_on"))
        self.assertRegex(self.findings(RIGHTS), r"error +snow\.incident: .*query_range on sys_updated_on")

    def test_a_field_that_no_load_can_do_without_is_a_matter_of_rights(self):
        self.sim.do(control.hide_field("incident", "sys_updated_on"))
        self.assertRegex(self.findings(RIGHTS), r"error +snow\.incident: .*cannot read sys_updated_on")

    def test_it_asks_little(self):
        self.sim.do({"reset_counters": True})
        self.findings(COMPLETE)
        self.assertLessEqual(self.sim.state()["requests"], 2 * len(TASKS) + 1)

    def test_a_clock_skew_is_a_finding_of_check_and_no_failure_of_load(self):
        self.sim.do(control.advance(7200))
        self.assertRegex(self.findings({COMPLETE, PARTIAL}), r"(?i)clock|skew")
        self.load("incidents", "--task", "incident")
        self.assert_copies("incident")

    def test_a_wrong_time_zone_of_the_account_is_named(self):
        self.sim.do(control.fault("user_time_zone", seconds=-3 * 3600))
        self.assertRegex(self.findings({COMPLETE, PARTIAL, FAILED, CONFIGURATION}), r"(?i)time zone")

    def test_a_restricted_basic_login_and_mfa_are_explained(self):
        self.sim.do(control.fault("unauthorized_401", mode="mfa"))
        self.assertRegex(self.findings(RIGHTS), r"MFA")

    def test_an_unmigrated_database_is_a_finding(self):
        self.config["database"]["url"] = self.cluster.createdb()
        self.write_config()
        self.assertIn("foz-worker migrate", self.findings({FAILED, CONFIGURATION}))


class Load(FozTest):
    tickets = 150

    def test_json_on_stdout_everything_else_on_stderr(self):
        result = self.load("incidents", "--json")
        report = result.json()
        self.assertIn("success", json.dumps(report))

    def test_a_final_table_shows_each_task(self):
        result = self.load("incidents")
        for task in ("incident", "incident_sla", "incident_task", "task_time_worked"):
            self.assertIn(task, result.text)
        self.assertNotIn("\r", result.text)  # no progress line where there is no terminal

    def test_wrong_password_is_77_and_nothing_changes(self):
        self.env["FOZ_TEST_PASSWORD"] = "wrong"
        result = self.load("incidents", expect=RIGHTS)
        self.assertIn("snow", result.text)
        self.assertEqual("error", self.database.last_execution()["status"])
        self.assertEqual("0", self.database.one("SELECT count(*) FROM servicenow.incident"))

    def test_an_unreachable_source_is_69(self):
        self.set_source(url=f"http://127.0.0.1:{free_port()}/servicenow", connect_timeout="1s")
        self.load("incidents", expect=UNREACHABLE, timeout_s=60)
        self.assertEqual("error", self.database.last_execution()["status"])

    def test_a_missing_table_fails_its_task_only(self):
        self.sim.do(control.fault("invalid_table", table="incident_task"))
        result = self.load("incidents", expect=FAILED)
        self.assertIn("incident_task", result.text)
        self.assert_copies("incident", "incident_sla", "task_time_worked")

    def test_credentials_go_before_rejections(self):
        identity = self.sim.rows("incident")[0]["sys_id"]
        self.sim.change(control.update("incident", identity, priority="high"))
        self.config["sources"]["second"] = {**self.source_config, "auth": {**self.source_config["auth"], "password": "env:FOZ_WRONG"}}
        self.env["FOZ_WRONG"] = "wrong"
        self.write_config()
        self.load("incidents", expect=RIGHTS)
        self.assertIn(identity, self.worker("dead-letters", "list", expect=COMPLETE).out)

    def test_the_first_of_failed_held_and_partial_is_the_exit_code(self):
        self.load("incidents")
        rows = [row["sys_id"] for row in self.sim.rows("incident")]
        self.sim.change(*(control.delete("incident", identity) for identity in rows[:100]))
        task = self.sim.rows("incident_task")[0]["sys_id"]
        self.sim.change(control.update("incident_task", task, priority="high"))
        self.load("incidents", "--mode", "full", expect=HELD)  # 77, 69, 1, 4, 3: held goes first
        execution = self.database.last_execution()
        self.assertEqual({"held", "partial"}, {row["status"] for row in self.database.tasks(execution["id"]).values()} - {"success"})
        self.sim.do(control.fault("error_500", table="task_time_worked"))
        self.load("incidents", "--mode", "full", expect=FAILED)

    def test_busy_without_waiting_is_75(self):
        self.sim.do(control.latency(300))
        program = self.start_worker("load", "incidents", "--mode", "full")
        wait_until(lambda: (self.database.last_execution() or {}).get("status") == "running", "a run begins")
        self.worker("load", "incidents", "--no-wait", expect=BUSY)
        self.sim.do(control.clear_faults())
        self.assertEqual(COMPLETE, program.wait())
        self.worker("load", "incidents", "--no-wait", expect=COMPLETE)

    def test_a_second_load_waits_its_turn(self):
        self.sim.do(control.latency(150))
        programs = [self.start_worker("load", "incidents", "--mode", "full") for _ in range(3)]
        self.assertEqual([0, 0, 0], [program.wait(120) for program in programs], [program.err()[-500:] for program in programs])
        self.assertEqual("0", self.database.one(
            "SELECT count(*) FROM ops.execution_log a JOIN ops.execution_log b ON a.id < b.id "
            "AND a.started_at < b.finished_at AND b.started_at < a.finished_at"))

    def test_different_loads_run_side_by_side(self):
        self.sim.do(control.latency(150))
        programs = [self.start_worker("load", name, "--mode", "full") for name in ("incidents", "configurations")]
        self.assertEqual([0, 0], [program.wait(120) for program in programs])
        self.sim.do(control.clear_faults())
        self.assert_copies(*TASKS)


class Stop(FozTest):
    """What only talks to the database ends with a signal, though it waits for somebody's lock."""

    tickets = 40

    def stop_behind(self, lock, number, *arguments):
        holder = psycopg2.connect(self.config["database"]["url"])
        busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle' AND application_name = 'foz-worker'"
        try:
            holder.cursor().execute(lock)
            program = self.start_worker(*arguments)
            wait_until(lambda: query.one(self.config["database"]["url"], busy + " AND wait_event_type = 'Lock'") == "1", "it waits for the lock")
            asked = time.monotonic()
            program.signal(number)
            self.assertEqual(TERMINATED, program.wait(20), program.err())
            self.assertLess(time.monotonic() - asked, 3 * (4 if SANITIZER else 1))
            self.assertEqual("0", query.one(self.config["database"]["url"], busy))  # nor does its statement go on
        finally:
            holder.close()
        self.assertEqual("", program.out())

    def test_a_signal_ends_what_waits_for_a_lock(self):
        self.load("incidents")
        before = self.database.rows("SELECT ticket_id, row_to_json(t) FROM core.ticket t ORDER BY 1")
        for number in (signal.SIGTERM, signal.SIGINT):
            for lock, *arguments in (
                    ("LOCK TABLE ops.execution_log IN ACCESS EXCLUSIVE MODE", "status"),
                    ("LOCK TABLE ops.execution_log IN ACCESS EXCLUSIVE MODE", "status", "--json"),
                    ("LOCK TABLE ops.migration IN ACCESS EXCLUSIVE MODE", "status"),
                    ("LOCK TABLE ops.dead_letter IN ACCESS EXCLUSIVE MODE", "dead-letters", "list"),
                    ("LOCK TABLE core.ticket IN ACCESS EXCLUSIVE MODE", "rebuild"),
                    ("SELECT pg_advisory_xact_lock(1718581764, 0)", "migrate")):
                with self.subTest(number=number, arguments=arguments, lock=lock):
                    self.stop_behind(lock, number, *arguments)
        self.assertEqual(before, self.database.rows("SELECT ticket_id, row_to_json(t) FROM core.ticket t ORDER BY 1"))

    def test_a_migration_that_is_stopped_leaves_nothing(self):
        self.config["database"]["url"] = self.cluster.createdb()
        self.write_config()
        url = self.config["database"]["url"]
        query.script(url, """
            CREATE TABLE public.gate ();
            CREATE FUNCTION public.late() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN LOCK TABLE public.gate; END $$;
            CREATE EVENT TRIGGER late ON ddl_command_start WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION public.late()""")
        self.stop_behind("LOCK TABLE public.gate", signal.SIGTERM, "migrate")
        self.assertEqual("0", query.one(url, "SELECT count(*) FROM pg_namespace WHERE nspname IN ('ops', 'core', 'servicenow')"))
        self.worker("migrate", expect=COMPLETE)


class Status(FozTest):
    tickets = 60

    def test_it_shows_runs_freshness_queue_and_dead_letters(self):
        self.worker("status", expect=COMPLETE)  # before any run, too
        identity = self.sim.rows("incident")[0]["sys_id"]
        self.sim.change(control.update("incident", identity, priority="high"))
        self.load("incidents", expect=PARTIAL)
        text = self.worker("status", expect=COMPLETE).out
        for word in ("incidents", "partial", "incident_task", "dead"):
            self.assertIn(word, text)
        report = json.dumps(self.worker("status", "--json", expect=COMPLETE).json())
        for word in ("incidents", "partial", "task_time_worked"):
            self.assertIn(word, report)

    def test_output_that_does_not_arrive_is_a_failure(self):
        for arguments in (["status"], ["status", "--json"], ["dead-letters", "list"], ["load", "incidents"], ["--help"]):
            with self.subTest(arguments), open("/dev/full", "w", encoding="ascii") as full:
                done = subprocess.run([WORKER, *arguments, *([] if arguments == ["--help"] else ["-c", self.config_path])], stdout=full,
                                      stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, timeout=60, check=False,
                                      env={**os.environ, **self.env})
                self.assertEqual(FAILED, done.returncode)
                self.assertIn("foz-worker: cannot write to standard output", done.stderr)

    def test_dead_letters_say_reason_and_payload(self):
        self.assertEqual(COMPLETE, self.worker("dead-letters", "list").code)
        self.assertEqual({"executions": []}, self.worker("dead-letters", "retry", "--json", expect=COMPLETE).json())
        identity = self.sim.rows("incident")[0]["sys_id"]
        self.sim.change(control.update("incident", identity, opened_at="soon"))
        self.load("incidents", expect=PARTIAL)
        text = self.worker("dead-letters", "list", expect=COMPLETE).out
        for word in (identity, "opened_at", "soon", "incident", "snow"):
            self.assertIn(word, text)

    def test_letters_of_several_loads_are_retried_and_told_together(self):
        letters = [(table, self.sim.rows(table)[0]["sys_id"], field) for table, field in (("incident", "opened_at"), ("sys_user", "sys_created_on"))]
        for table, identity, field in letters:
            self.sim.change(control.update(table, identity, **{field: "soon"}))
        for load in ("incidents", "configurations"):
            self.load(load, expect=PARTIAL)
        for table, identity, field in letters:
            self.sim.change(control.update(table, identity, **{field: "2026-01-01 00:00:00"}))
        executions = self.worker("dead-letters", "retry", "--json", expect=COMPLETE).json()["executions"]
        self.assertEqual({("incidents", "incident"), ("configurations", "sys_user")},
                         {(one["load"], task["task"]) for one in executions for task in one["tasks"]})
        self.assertEqual("0", self.database.one("SELECT count(*) FROM ops.dead_letter WHERE resolved_at IS NULL"))


class Unfriendly(http.server.BaseHTTPRequestHandler):
    """Refuses everything, at length and not in ASCII."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({"error": {"message": "\U0001f600" * 45, "detail": ""}, "status": "failure"}, ensure_ascii=False).encode()
        self.send_response(400)
        self.send_header("Content-Type", "application/json;charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Messages(FozTest):
    def test_the_messages_of_all_failed_tasks_are_joined_however_long(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unfriendly)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        names = [f"snow_{'x' * i}" for i in range(5)]
        source = self.source_config
        self.config["sources"] = {name: {**source, "url": f"http://127.0.0.1:{server.server_port}/servicenow"} for name in names}
        self.write_config()
        self.load("configurations", expect=FAILED)
        execution = self.database.last_execution()
        self.assertEqual("error", execution["status"])
        tasks = self.database.rows(f"SELECT source, task, error_message FROM ops.execution_task WHERE execution_id = {execution['id']}")
        self.assertEqual(5 * len(names), len(tasks))
        for source, task, message in tasks:
            self.assertIn(f"{source}.{task}: {message}", execution["error_message"])


if __name__ == "__main__":
    unittest.main()
