"""Every mode of a load leaves an exact copy, and says so truthfully."""

import json
import os
import unittest

import control
from foz import (COMPLETE, CONFIGURATION, CONFIGURATIONS, HELD, INCIDENTS, PARTIAL, TASKS, FozTest, differences, parse_utc)

DAY = "2000-01-01"


class Full(FozTest):
    def test_a_full_load_of_all_nine_tasks_equals_the_source(self):
        self.load("incidents", "configurations", "--mode", "full")
        self.assert_copies(*TASKS)
        for load in ("incidents", "configurations"):
            execution = self.database.last_execution(load)
            self.assertEqual(("success", "full", "cli"), (execution["status"], execution["mode"], execution["trigger"]))
            self.assert_ledger(execution)
            tasks = self.database.tasks(execution["id"])
            self.assertEqual(set(INCIDENTS if load == "incidents" else CONFIGURATIONS), set(tasks))
            for name, task in tasks.items():
                count = len(self.truth(name))
                self.assertEqual((count, count), (task["records_read"], task["records_inserted"]), name)
                self.assertIn(task["records_expected"], (count, None), name)
        self.assert_no_leftovers()

    def test_the_first_run_is_full_whatever_was_asked(self):
        self.load("incidents")
        self.assert_copies(*INCIDENTS)

    def test_only_slas_of_incidents_land(self):
        self.load("incidents", "--task", "incident_sla")
        everything = self.sim.rows("task_sla", fields="sys_id")
        of_incidents = self.truth("incident_sla")
        self.assertEqual(len(of_incidents), int(self.database.one("SELECT count(*) FROM servicenow.incident_sla")))
        self.assertGreater(len(everything), len(of_incidents), "the source has no other SLAs: nothing was proven")

    def test_pages_smaller_than_the_table_lose_nothing(self):
        self.set_source(page_size=37, parallel=3)
        self.load("incidents", "configurations")
        self.assert_copies(*TASKS)

    def test_one_task_and_one_source_can_be_asked_for(self):
        self.load("incidents", "--task", "incident_task", "--source", "snow")
        self.assertEqual({"incident_task"}, set(self.database.tasks(self.database.last_execution()["id"])))
        self.assert_copies("incident_task")
        self.assertEqual("0", self.database.one("SELECT count(*) FROM servicenow.incident"))

    def test_two_sources_of_one_type_stay_apart(self):
        other = self.start_sim(tickets=90, seed=8)
        self.config["sources"]["second"] = {**self.source_config, "url": f"{other.url}/servicenow"}
        self.write_config()
        self.load("incidents", "--mode", "full")
        self.assert_copies("incident")
        truth = other.rows("incident")
        self.assertEqual([], differences(self.database, "incident", truth, source="second"))
        self.load("incidents", "--mode", "full", "--source", "second")
        self.assert_copies("incident")

    def test_a_full_load_removes_what_is_gone(self):
        self.load("incidents")
        gone = [row["sys_id"] for row in self.truth("incident")][::10]
        self.sim.change(*(control.delete("incident", identity) for identity in gone))
        self.load("incidents", "--mode", "full", "--task", "incident")
        self.assert_copies("incident")
        self.assertEqual(len(gone), self.database.last_execution()["records_deleted"])


class Values(FozTest):
    tickets = 120

    def first(self, table="incident"):
        return self.sim.rows(table)[0]["sys_id"]

    def landed(self, column, identity, table="incident"):
        return self.database.one(f"SELECT {column} FROM servicenow.{table} WHERE sys_id = '{identity}'")

    def test_empty_is_null_and_odd_text_survives(self):
        identity = self.first()
        text = "Ünïcödé 🚒 \"quoted\" \\back\\ \ttab\nline \\N \\. 'it''s' "
        self.sim.change(control.update("incident", identity, short_description=text, category="", assigned_to="glide.maint"))
        self.load("incidents", "--task", "incident")
        row = self.database.dicts(f"SELECT short_description, category, assigned_to FROM servicenow.incident WHERE sys_id = '{identity}'")[0]
        self.assertEqual({"short_description": text, "category": None, "assigned_to": "glide.maint"}, row)

    def test_a_whole_decimal_is_a_good_integer(self):
        identity = self.first()
        self.sim.change(control.update("incident", identity, reassignment_count="2.0"))
        self.load("incidents", "--task", "incident")
        self.assertEqual("2", self.landed("reassignment_count", identity))

    def test_nul_characters_are_removed_and_counted(self):
        self.sim.do(control.fault("bad_value", table="incident", field="short_description", mode="nul", every=5))
        self.load("incidents", "--task", "incident")
        truth = {row["sys_id"]: row["short_description"] for row in self.sim.rows("incident")}
        landed = dict(self.database.rows("SELECT sys_id, short_description FROM servicenow.incident"))
        struck = {key for key in truth if landed[key] == truth[key] + "tail"}
        self.assertEqual({key for key in truth if landed[key] != truth[key]}, struck)
        self.assertGreater(len(struck), 0)
        self.assertEqual(len(struck), self.database.tasks(self.database.last_execution()["id"])["incident"]["nul_removed"])

    def test_durations_beyond_a_day_and_long_texts_land_whole(self):
        identity = self.first("task_sla")
        incident = self.first()
        self.sim.change(control.update("task_sla", identity, business_duration="1970-01-03 14:33:00"),
                    control.update("incident", incident, close_notes="x" * 60000))
        self.load("incidents", "--task", "incident", "--task", "incident_sla")
        self.assertEqual(str(2 * 86400 + 14 * 3600 + 33 * 60),
                         self.database.one(f"SELECT extract(epoch FROM business_duration)::bigint FROM servicenow.incident_sla WHERE sys_id = '{identity}'"))
        self.assertEqual("60000", self.landed("length(close_notes)", incident))

    def test_a_value_that_does_not_fit_is_a_dead_letter_and_the_good_version_stays(self):
        self.load("incidents")
        identity = self.first()
        before = self.landed("reassignment_count", identity)
        self.sim.change(control.update("incident", identity, reassignment_count="banana", short_description="new text"))
        result = self.load("incidents", expect=PARTIAL)
        self.assertIn("dead-letters", result.text)
        execution = self.database.last_execution()
        self.assertEqual(("partial", 1), (execution["status"], execution["records_rejected"]))
        letter = self.database.dicts("SELECT * FROM ops.dead_letter WHERE resolved_at IS NULL")
        self.assertEqual(1, len(letter))
        self.assertEqual(("snow", "incident", identity), (letter[0]["source"], letter[0]["task"], letter[0]["record_key"]))
        self.assertIn("reassignment_count", letter[0]["reason"])
        self.assertIn("banana", letter[0]["reason"])
        self.assertEqual("banana", letter[0]["payload"]["reassignment_count"])
        self.assertEqual(before, self.landed("reassignment_count", identity))
        self.assertNotEqual("new text", self.landed("short_description", identity))
        self.assert_ledger()

        listed = self.worker("dead-letters", "list", "--json", expect=COMPLETE)
        self.assertIn(identity, listed.out)

        self.load("incidents", "--mode", "full", expect=PARTIAL)  # still bad: kept, not deleted, listed once
        self.assertEqual(before, self.landed("reassignment_count", identity))
        self.assertEqual("1", self.database.one("SELECT count(*) FROM ops.dead_letter"))

        self.sim.change(control.update("incident", identity, reassignment_count="3"))
        self.load("incidents")
        self.assertEqual("3", self.landed("reassignment_count", identity))
        self.assertEqual("0", self.database.one("SELECT count(*) FROM ops.dead_letter WHERE resolved_at IS NULL"))
        self.assert_copies(*INCIDENTS)

    def test_retrying_dead_letters_lands_what_has_been_mended(self):
        self.load("incidents")
        identity = self.first()
        self.sim.change(control.update("incident", identity, priority="high"))
        self.load("incidents", expect=PARTIAL)
        self.worker("dead-letters", "retry", expect=PARTIAL)  # nothing mended yet
        self.assertEqual("1", self.database.one("SELECT count(*) FROM ops.dead_letter WHERE resolved_at IS NULL"))
        self.sim.change(control.silent_update("incident", identity, priority="1"))
        self.worker("dead-letters", "retry", expect=COMPLETE)
        self.assertEqual("1", self.landed("priority", identity))
        self.assertEqual("0", self.database.one("SELECT count(*) FROM ops.dead_letter WHERE resolved_at IS NULL"))

    def test_a_record_rejected_by_a_first_load_is_no_reason_to_lose_the_others(self):
        identity = self.first()
        self.sim.change(control.update("incident", identity, opened_at="yesterday"))
        self.load("incidents", expect=PARTIAL)
        truth = [row for row in self.truth("incident") if row["sys_id"] != identity]
        self.assertEqual([], differences(self.database, "incident", truth))
        self.assert_copies("incident_sla", "incident_task", "task_time_worked")


class Increments(FozTest):
    def change(self, round_number):
        """Some inserts and updates in every table of the load."""
        commands = []
        for table in ("incident", "incident_task", "task_time_worked"):
            rows = self.sim.rows(table, fields="sys_id")
            picked = [row["sys_id"] for row in rows][round_number::len(rows) // 7 + 1]
            commands += [control.update(table, identity, sys_updated_by=f"round{round_number}") for identity in picked]
        commands += [control.insert("incident", short_description=f"new {round_number}.{i}", state="1", priority="3")
                     for i in range(5)]
        self.sim.change(*commands)

    def test_a_chain_of_increments_keeps_the_copy_exact(self):
        self.load("incidents")
        for number in range(5):
            self.change(number)
            self.load("incidents")
            self.assert_copies(*INCIDENTS)
            execution = self.database.last_execution()
            self.assertEqual("incremental", execution["mode"])
            self.assertEqual(5, execution["records_inserted"])
            self.assertGreater(execution["records_updated"], 0)
            self.assert_ledger(execution)

    def test_the_watermark_moves_forward_with_the_rows(self):
        self.load("incidents")
        first = self.database.dicts("SELECT task, high FROM ops.watermark ORDER BY task")
        self.assertEqual(sorted(INCIDENTS), [row["task"] for row in first])
        self.change(1)
        self.load("incidents")
        second = self.database.dicts("SELECT task, high FROM ops.watermark ORDER BY task")
        for before, after in zip(first, second):
            self.assertLess(before["high"], after["high"], before["task"])
        log = self.database.tasks(self.database.last_execution()["id"])
        for before, after in zip(first, second):
            told = (log[before["task"]]["watermark_before"], log[before["task"]]["watermark_after"])
            self.assertEqual((before["high"], after["high"]), told)

    def test_a_run_without_changes_writes_next_to_nothing(self):
        self.load("incidents", "configurations")
        self.load("incidents", "configurations")  # the overlap is read again once more
        before = {task: self.database.snapshot(task) for task in TASKS}
        written = []
        for _ in range(3):  # autovacuum may come between
            self.database.run("CHECKPOINT")
            position = self.database.wal_position()
            self.load("incidents")
            written.append(self.database.wal_position() - position)
        self.assertEqual(before, {task: self.database.snapshot(task) for task in TASKS})  # etl_updated_at included
        execution = self.database.last_execution()
        self.assertEqual((0, 0, 0), tuple(execution["records_" + part] for part in ("inserted", "updated", "deleted")))
        self.assertLess(min(written), 4 * 64 * 1024, "bytes of WAL of four tasks")
        for name, task in self.database.tasks(execution["id"]).items():
            self.assertLessEqual(task["requests"], 3, name)

    def test_a_full_reread_without_changes_touches_no_row(self):
        self.load("incidents", "configurations")
        before = {task: self.database.snapshot(task) for task in TASKS}
        self.load("incidents", "configurations", "--mode", "full")
        self.assertEqual(before, {task: self.database.snapshot(task) for task in TASKS})
        self.assert_copies(*TASKS)

    def test_only_changed_rows_move_their_stamp(self):
        self.load("incidents")
        identity = self.sim.rows("incident")[3]["sys_id"]
        before = dict(self.database.rows("SELECT sys_id, etl_updated_at FROM servicenow.incident"))
        self.sim.change(control.update("incident", identity, urgency="1"))
        self.load("incidents")
        after = dict(self.database.rows("SELECT sys_id, etl_updated_at FROM servicenow.incident"))
        self.assertEqual([identity], [key for key in after if after[key] != before[key]])
        created = self.database.one(f"SELECT etl_created_at < etl_updated_at FROM servicenow.incident WHERE sys_id = '{identity}'")
        self.assertEqual("t", created)

    def test_an_increment_does_not_see_deletions_and_says_nothing_else(self):
        self.load("incidents")
        identity = self.sim.rows("incident")[0]["sys_id"]
        self.sim.change(control.delete("incident", identity))
        self.load("incidents")
        self.assertEqual("1", self.database.one(f"SELECT count(*) FROM servicenow.incident WHERE sys_id = '{identity}'"))


class Windows(FozTest):
    def opened(self):
        return sorted((row["opened_at"], row["sys_id"]) for row in self.sim.rows("incident"))

    def test_a_window_equals_the_source_deletions_included_and_leaves_the_rest_alone(self):
        self.load("incidents")
        opened = self.opened()
        low, high = opened[len(opened) // 3][0], opened[2 * len(opened) // 3][0]
        inside = [identity for stamp, identity in opened if low <= stamp < high]
        outside = [identity for stamp, identity in opened if not low <= stamp < high]
        # Changes that no increment could see, inside and outside.
        self.sim.change(control.delete("incident", inside[0]), control.delete("incident", outside[0]),
                    control.silent_update("incident", inside[1], urgency="3", short_description="silent inside"),
                    control.silent_update("incident", outside[1], urgency="3", short_description="silent outside"))
        before = {row["sys_id"]: row for row in self.database.dicts("SELECT * FROM servicenow.incident")}
        self.load("incidents", "--task", "incident", "--from", low.replace(" ", "T") + "Z", "--to", high.replace(" ", "T") + "Z")
        execution = self.database.last_execution()
        self.assertEqual(("window", "success", 1), (execution["mode"], execution["status"], execution["records_deleted"]))
        truth = [row for row in self.truth("incident") if low <= row["opened_at"] < high]
        landed = {row["sys_id"]: row for row in self.database.dicts("SELECT * FROM servicenow.incident")}
        for row in truth:
            self.assertEqual(row["short_description"], landed[row["sys_id"]]["short_description"])
        self.assertNotIn(inside[0], landed)
        for identity in outside:
            self.assertEqual(before[identity], landed[identity])
        self.load("incidents", "--task", "incident", "--mode", "full")
        self.assert_copies("incident")

    def test_a_row_on_the_lower_bound_is_inside_and_on_the_upper_bound_outside(self):
        self.load("incidents")
        opened = self.opened()
        low, high = opened[10][0], opened[50][0]
        at_low = [identity for stamp, identity in opened if stamp == low]
        at_high = [identity for stamp, identity in opened if stamp == high]
        self.sim.change(control.delete("incident", at_low[0]), control.delete("incident", at_high[0]))
        self.load("incidents", "--task", "incident", "--data_inicio", low.replace(" ", "T") + "Z", "--data_fim", high.replace(" ", "T") + "Z")
        left = {row[0] for row in self.database.rows("SELECT sys_id FROM servicenow.incident")}
        self.assertNotIn(at_low[0], left)
        self.assertIn(at_high[0], left)

    def test_a_window_may_begin_and_end_within_a_second(self):
        """The source knows whole seconds: a row of second 15 lies before 15.5, so only the end takes it in."""
        self.load("incidents")
        opened = self.opened()
        low, high = opened[10][0], opened[50][0]
        self.assertLess(low, high)
        at_low = [identity for stamp, identity in opened if stamp == low]
        at_high = [identity for stamp, identity in opened if stamp == high]
        inside = [identity for stamp, identity in opened if low < stamp <= high]
        self.sim.change(*(control.silent_update("incident", identity, short_description="seen again")
                          for identity in (*at_low, *inside)))
        self.load("incidents", "--task", "incident", "--from", low.replace(" ", "T") + ".5Z", "--to", high.replace(" ", "T") + ".5Z")
        self.assertEqual("success", self.database.last_execution()["status"])
        seen = {row[0] for row in self.database.rows("SELECT sys_id FROM servicenow.incident WHERE short_description = 'seen again'")}
        self.assertEqual(set(inside), seen)
        self.assertLessEqual(set(at_high), seen)
        self.sim.change(control.delete("incident", at_low[0]), control.delete("incident", at_high[0]))
        self.load("incidents", "--task", "incident", "--from", low.replace(" ", "T") + ".5Z", "--to", high.replace(" ", "T") + ".5Z")
        left = {row[0] for row in self.database.rows("SELECT sys_id FROM servicenow.incident")}
        self.assertIn(at_low[0], left)
        self.assertNotIn(at_high[0], left)

    def test_a_row_that_moved_out_of_its_window_is_not_lost(self):
        self.load("incidents")
        opened = self.opened()
        stamp, identity = opened[30]
        later = opened[-1][0]
        self.sim.change(control.update("incident", identity, opened_at=later))
        day = stamp[:10]
        self.load("incidents", "--task", "incident", "--from", day, "--to", str((parse_utc(stamp)).date().replace(day=28)))
        self.load("incidents", "--task", "incident")
        self.assert_copies("incident")

    def test_a_bare_date_is_midnight_utc_and_the_portuguese_names_work(self):
        self.load("incidents")
        day = self.opened()[40][0][:10]
        self.load("incidents", "--task", "incident", "--from", day)
        execution = self.database.last_execution()
        self.assertEqual(f"{day}T00:00:00+00:00", execution["window_from"])
        self.assertIsNone(execution["window_to"])


class Reconciliation(FozTest):
    def test_a_reconciliation_repairs_what_increments_cannot_see(self):
        self.load("incidents", "configurations")
        rows = self.sim.rows("incident")
        gone, missed, silent = rows[0]["sys_id"], rows[1]["sys_id"], rows[2]["sys_id"]
        self.sim.change(control.delete("incident", gone),
                    control.delete("sys_user_group", self.sim.rows("sys_user_group")[0]["sys_id"]),
                    control.silent_update("incident", silent, short_description="silent"),
                    control.update("incident", missed, short_description="changed"),
                    control.insert("incident", short_description="new", state="1"))
        # A row that only the target lost.
        lost = rows[3]["sys_id"]
        self.database.run(f"DELETE FROM servicenow.incident WHERE sys_id = '{lost}'")
        self.load("incidents", "configurations", "--mode", "reconcile")
        execution = self.database.last_execution("incidents")
        self.assertEqual(("reconcile", "success"), (execution["mode"], execution["status"]))
        task = self.database.tasks(execution["id"])["incident"]
        self.assertEqual((2, 1, 1), (task["records_inserted"], task["records_updated"], task["records_deleted"]))
        self.assertEqual(len(self.sim.rows("incident", fields="sys_id")), task["records_read"], "keys are counted")
        self.assert_ledger(execution)
        self.assert_copies("groups", "incident_sla", "incident_task", "task_time_worked")
        found = differences(self.database, "incident", self.truth("incident"))
        self.assertEqual(1, len(found), found)  # the silent update, which moved no version
        self.assertIn("silent", found[0])
        self.load("incidents", "--mode", "full")
        self.assert_copies(*INCIDENTS)

    def test_a_reconciliation_reads_much_less_than_a_full_load(self):
        self.load("incidents", "--mode", "full", "--task", "incident")
        full = self.database.tasks(self.database.last_execution()["id"])["incident"]
        self.load("incidents", "--mode", "reconcile", "--task", "incident")
        keys = self.database.tasks(self.database.last_execution()["id"])["incident"]
        self.assertLess(keys["bytes_received"] * 4, full["bytes_received"])


class Deletions(FozTest):
    tickets = 200

    def delete_incidents(self, share):
        rows = [row["sys_id"] for row in self.sim.rows("incident")]
        gone = rows[:int(len(rows) * share)]
        self.sim.change(*(control.delete("incident", identity) for identity in gone))
        return gone

    def test_a_mass_deletion_is_held_and_released_on_request(self):
        self.load("incidents")
        gone = self.delete_incidents(0.4)
        before = self.database.snapshot("incident")
        result = self.load("incidents", "--mode", "full", "--task", "incident", expect=HELD)
        self.assertIn("--allow-mass-delete", result.text)
        execution = self.database.last_execution()
        self.assertEqual("held", execution["status"])
        self.assertIn("incident", execution["error_message"])
        self.assertEqual(before, self.database.snapshot("incident"))
        self.load("incidents", "--mode", "full", "--task", "incident", "--allow-mass-delete")
        self.assertEqual(len(gone), self.database.last_execution()["records_deleted"])
        self.assert_copies("incident")

    def test_a_deletion_below_the_share_passes(self):
        self.load("incidents")
        self.delete_incidents(0.2)
        self.load("incidents", "--mode", "full", "--task", "incident")
        self.assert_copies("incident")

    def test_the_share_is_configurable(self):
        self.load("incidents")
        self.delete_incidents(0.2)
        self.reset_config(worker={"max_delete_fraction": 0.1})
        self.load("incidents", "--mode", "full", "--task", "incident", expect=HELD)

    def test_a_reconciliation_is_held_too(self):
        self.load("incidents")
        before = self.database.snapshot("incident")
        self.delete_incidents(0.5)
        self.load("incidents", "--mode", "reconcile", "--task", "incident", expect=HELD)
        self.assertEqual(before, self.database.snapshot("incident"))

    def test_the_share_of_a_window_is_of_the_window(self):
        self.load("incidents")
        rows = sorted(self.sim.rows("incident"), key=lambda row: (row["opened_at"], row["sys_id"]))
        low, high = rows[0]["opened_at"], rows[100]["opened_at"]
        inside = [row["sys_id"] for row in rows if row["opened_at"] < high]
        self.assertGreaterEqual(len(inside), 50)
        self.sim.change(*(control.delete("incident", identity) for identity in inside[:len(inside) // 2]))
        before = self.database.snapshot("incident")
        self.load("incidents", "--task", "incident", "--from", low.replace(" ", "T") + "Z",
                  "--to", high.replace(" ", "T") + "Z", expect=HELD)
        self.assertEqual(before, self.database.snapshot("incident"))

    def test_an_answer_without_any_row_never_deletes(self):
        self.load("incidents")
        before = self.database.snapshot("incident")
        self.delete_incidents(1)
        for options in ([], ["--allow-mass-delete"]):
            for mode in ("full", "reconcile"):
                with self.subTest(mode=mode, options=options):
                    self.load("incidents", "--mode", mode, "--task", "incident", *options, expect=HELD)
                    self.assertEqual(before, self.database.snapshot("incident"))

    def test_a_held_task_does_not_stop_the_others(self):
        self.load("incidents")
        self.delete_incidents(0.9)
        new = self.sim.change(control.insert("incident_task", short_description="new"))
        self.load("incidents", "--mode", "full", expect=HELD)
        self.assert_copies("incident_task")
        self.assertTrue(new)


class HiddenRows(FozTest):
    tickets = 300

    def hide(self, command=control.hide("incident")):
        """Hides rows; returns the keys of the hidden ones."""
        self.sim.do(command)
        hidden = {row["sys_id"] for row in self.sim.rows("incident")} - {row["sys_id"] for row in self.sim.shown("incident")}
        self.assertGreater(len(hidden), 0)
        return hidden

    def test_hidden_rows_stop_deletions_and_are_counted(self):
        self.load("incidents")
        before = self.database.snapshot("incident")
        hidden = self.hide()
        for mode in ("full", "reconcile"):
            with self.subTest(mode):
                self.load("incidents", "--mode", mode, "--task", "incident", expect=PARTIAL)
                execution = self.database.last_execution()
                task = self.database.tasks(execution["id"])["incident"]
                self.assertEqual(("partial", len(hidden), 0), (task["status"], task["records_hidden"], task["records_deleted"]))
                self.assertEqual(before, self.database.snapshot("incident"))

    def test_a_task_may_declare_them_allowed(self):
        self.load("incidents")
        self.set_task("incident", allow_hidden=True)
        hidden = self.hide()
        self.load("incidents", "--mode", "full", "--task", "incident")
        task = self.database.tasks(self.database.last_execution()["id"])["incident"]
        self.assertEqual(("success", len(hidden)), (task["status"], task["records_hidden"]))

    def test_a_whole_hidden_page_is_not_the_end(self):
        self.set_source(page_size=20, parallel=1)
        hidden = self.hide(control.hide_where("incident", "sys_id<8"))
        self.assertGreater(len(hidden), 100)
        self.load("incidents", "--task", "incident", expect=PARTIAL)
        shown = [row for row in self.truth("incident") if row["sys_id"] not in hidden]
        self.assertEqual([], differences(self.database, "incident", shown))
        self.assertEqual(len(hidden), self.database.tasks(self.database.last_execution()["id"])["incident"]["records_hidden"])

    def test_an_unreadable_field_does_not_erase_what_is_known(self):
        self.load("incidents")
        before = self.database.rows("SELECT sys_id, close_notes FROM servicenow.incident ORDER BY 1")
        self.assertTrue(any(value for _, value in before))
        self.sim.change(control.hide_field("incident", "close_notes"))
        self.load("incidents", "--mode", "full", "--task", "incident", expect=(COMPLETE, PARTIAL))
        self.assertEqual(before, self.database.rows("SELECT sys_id, close_notes FROM servicenow.incident ORDER BY 1"))
        self.assertIn("close_notes", json.dumps(self.database.tasks(self.database.last_execution()["id"])["incident"]["fields_unreadable"]))


class Catalog(FozTest):
    tickets = 120

    def add_catalog(self, text):
        folder = os.path.join(self.folder, "catalog.d")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "ours.yaml"), "w", encoding="utf-8") as out:
            out.write(text)
        self.config["catalog"] = [folder]
        self.write_config()

    def test_a_field_is_one_line_of_yaml_and_migrate(self):
        self.load("incidents")
        self.add_catalog("source_type: servicenow\ntasks:\n  incident:\n    fields:\n      correlation_id: text\n")
        identity = self.sim.rows("incident")[0]["sys_id"]
        self.sim.change(control.update("incident", identity, correlation_id="from-elsewhere"))
        self.worker("migrate", expect=COMPLETE)
        self.assertEqual("text", self.database.columns("servicenow", "incident")["correlation_id"])
        self.load("incidents", "--mode", "full")
        self.assertEqual("from-elsewhere", self.database.one(f"SELECT correlation_id FROM servicenow.incident WHERE sys_id = '{identity}'"))
        self.assert_copies("incident")

    def test_a_field_more_is_filled_by_the_next_reconcile_and_by_the_next_increment(self):
        """The census compares versions, which say nothing of a field that was never read."""
        for mode in ("reconcile", "incremental"):
            with self.subTest(mode):
                field = "correlation_id" if mode == "reconcile" else "correlation_display"
                self.load("incidents", "--task", "incident")
                identity = self.sim.rows("incident")[0]["sys_id"]
                self.sim.change(control.update("incident", identity, **{field: "from-elsewhere"}))
                self.load("incidents", "--task", "incident")
                self.add_catalog(f"source_type: servicenow\ntasks:\n  incident:\n    fields:\n      {field}: text\n")
                self.worker("migrate", expect=COMPLETE)
                self.load("incidents", "--task", "incident", "--mode", mode)
                self.assertEqual(self.database.one("SELECT count(*) FROM servicenow.incident"),
                                 str(self.database.last_execution()["records_read"]))
                self.assertEqual("from-elsewhere",
                                 self.database.one(f"SELECT {field} FROM servicenow.incident WHERE sys_id = '{identity}'"))
                self.assert_copies("incident")
                self.assert_ledger()

    def test_a_task_without_a_version_is_read_whole_by_reconcile(self):
        self.add_catalog("source_type: servicenow\ntasks:\n  company_names:\n    load: configurations\n    table: core_company\n"
                         "    key: [sys_id]\n    fields: {sys_id: text, name: text}\n")
        self.worker("migrate", expect=COMPLETE)
        self.load("configurations", "--task", "company_names")
        first, second = [row["sys_id"] for row in self.sim.rows("core_company")][:2]
        self.sim.change(control.update("core_company", first, name="renamed"), control.delete("core_company", second))
        self.load("configurations", "--task", "company_names", "--mode", "reconcile")
        self.assertEqual([], differences(self.database, "company_names", self.sim.rows("core_company")))
        self.assertEqual("renamed", self.database.one(f"SELECT name FROM servicenow.company_names WHERE sys_id = '{first}'"))

    def test_a_field_marked_display_gets_a_second_column(self):
        self.add_catalog("source_type: servicenow\ntasks:\n  incident:\n    fields:\n"
                         "      assignment_group: {type: text, ref: sys_user_group, display: true}\n")
        self.worker("migrate", expect=COMPLETE)
        self.load("incidents")
        self.assert_copies("incident")
        names = {row["sys_id"]: row["name"] for row in self.sim.rows("sys_user_group")}
        found = self.database.rows("SELECT assignment_group, dv_assignment_group FROM servicenow.incident")
        self.assertTrue(any(group for group, _ in found))
        for group, shown in found:
            self.assertEqual(names.get(group), shown)

    def test_a_load_before_migrate_names_the_cure(self):
        self.add_catalog("source_type: servicenow\ntasks:\n  incident:\n    fields:\n      correlation_id: text\n")
        result = self.load("incidents", expect=(1, 78))
        self.assertIn("migrate", result.text)

    def test_fields_of_a_task_can_be_narrowed(self):
        self.set_task("incident", fields=["number", "state", "sys_updated_on", "opened_at"])
        self.load("incidents", "--task", "incident")
        row = self.database.dicts("SELECT count(*) AS n, count(number) AS numbers, count(short_description) AS texts FROM servicenow.incident")[0]
        self.assertEqual((row["n"], 0), (row["numbers"], row["texts"]))
        self.assertGreater(row["n"], 0)

    def test_a_field_that_takes_the_place_of_another_with_the_same_values_is_filled(self):
        for identity in [row["sys_id"] for row in self.sim.rows("incident")][::3]:
            self.sim.change(control.update("incident", identity, impact="2", priority="2"))
        own = {"impact": "priority", "priority": "impact"}
        for field, other in own.items():
            self.set_task("incident", fields=["number", field, "sys_updated_on", "opened_at"])
            self.load("incidents", "--task", "incident", "--mode", "full")
            self.assertEqual([], [line for line in differences(self.database, "incident", self.truth("incident")) if f".{field}:" in line])
            self.assertIn(other, self.database.columns("servicenow", "incident"))
        self.assertEqual(0, self.database.last_execution()["records_inserted"])

    def test_a_column_that_was_dropped_by_hand_is_filled_again_by_a_full_load(self):
        self.load("incidents", "--task", "incident")
        n = int(self.database.one("SELECT count(*) FROM servicenow.incident WHERE close_notes IS NOT NULL"))
        self.assertGreater(n, 0)
        self.database.run("ALTER TABLE servicenow.incident DROP COLUMN close_notes")
        self.worker("migrate", expect=COMPLETE)
        self.load("incidents", "--task", "incident", "--mode", "full")
        self.assert_copies("incident")
        self.assertEqual(n, self.database.last_execution()["records_updated"])
        self.load("incidents", "--task", "incident", "--mode", "full")
        self.assertEqual(0, self.database.last_execution()["records_updated"])

    def test_a_filter_narrows_the_target_to_the_source_rows_it_names(self):
        self.load("incidents")
        self.set_task("incident", filter="active=true")
        self.load("incidents", "--mode", "full", "--task", "incident", "--allow-mass-delete")
        truth = [row for row in self.truth("incident") if row["active"] == "true"]
        self.assertGreater(len(truth), 0)
        self.assertEqual([], differences(self.database, "incident", truth))

    def test_a_filter_the_source_would_not_understand_is_refused_before_it_is_asked(self):
        """It would answer with the whole table."""
        self.set_task("incident", filter="active=true")
        self.load("incidents", "--task", "incident")
        before = self.database.rows("SELECT sys_id FROM servicenow.incident ORDER BY sys_id")
        self.assertGreater(len(before), 0)
        for term in ("priority is 1", "state IN 1,2", "number STARTSWITH INC", "priorityISONEOF1"):
            with self.subTest(term):
                self.set_task("incident", filter=f"active=true^{term}")
                requests = self.sim.state()["requests"]
                for mode in ("full", "incremental"):
                    result = self.load("incidents", "--task", "incident", "--mode", mode, expect=CONFIGURATION)
                    self.assertIn(f'"{term}"', result.text)
                    self.assertIn("write priority=1", result.text)
                self.assertEqual(requests, self.sim.state()["requests"])
                self.assertIn(f'"{term}"', self.worker("check", expect=CONFIGURATION).text)
        self.assertEqual(before, self.database.rows("SELECT sys_id FROM servicenow.incident ORDER BY sys_id"))


if __name__ == "__main__":
    unittest.main()
