"""Every mode of a load of Azure DevOps leaves an exact copy, and says so truthfully."""

import json
import os
import unittest

import control
from azure import (PROJECTS, SYSTEM, TASKS, WORK_ITEMS, AzureTest, burst, compare, create, delete, fault, instant, op, restore, update)
from foz import COMPLETE, FAILED, HELD, PARTIAL

TITLE = "System.Title"


class Full(AzureTest):
    tickets = 120

    def test_a_full_load_of_both_loads_equals_the_source(self):
        self.load("work-items", "projects", "--mode", "full")
        self.assert_copies()
        for load, expected in (("work-items", WORK_ITEMS), ("projects", PROJECTS)):
            execution = self.database.last_execution(load)
            self.assertEqual(("success", "full"), (execution["status"], execution["mode"]))
            self.assert_ledger(execution)
            tasks = self.database.tasks(execution["id"])
            self.assertEqual(set(expected), set(tasks))
            for name, task in tasks.items():
                self.assertEqual((len(self.truth(name)), 0), (task["records_inserted"], task["records_rejected"]), name)
        self.assert_no_leftovers()
        last = max(self.source_rows("revisions"), key=lambda row: row["System.Watermark"])
        self.assertEqual(f"{last['System.Watermark']};{last['id']};{last['rev']}", self.tokens()["work_item_revision"]["token"])
        for task, cursor in self.tokens().items():
            self.assertEqual(["token"], list(cursor), task)
        self.what_is_compared_is_not_empty_by_chance()

    def what_is_compared_is_not_empty_by_chance(self):
        for what in ("work_item WHERE is_deleted", "work_item WHERE NOT is_deleted", "work_item WHERE assigned_to IS NULL",
                     "work_item_revision WHERE is_deleted", "work_item_revision WHERE fields ? 'Custom.TeamName'",
                     "work_item_revision WHERE fields ? 'Custom.Priority' AND priority <= 4", "work_item_link WHERE NOT is_active",
                     "project WHERE state = 'deleted'", "project WHERE visibility = 'organization'", "work_item_type_state WHERE hidden",
                     "iteration WHERE start_date IS NOT NULL", "iteration WHERE depth > 1", "identity WHERE origin IS NULL",
                     "work_item_revision r JOIN work_item_revision n USING (source, id) WHERE n.rev = r.rev + 1 AND r.assigned_to IS NOT NULL "
                     "AND n.assigned_to IS NULL"):
            self.assertGreater(self.count(what.replace("JOIN ", "JOIN azure_devops.")), 0, what)

    def test_a_second_run_of_each_mode_changes_no_row(self):
        self.load("work-items", "projects")
        before = self.unchanging()
        for mode in ("incremental", "full", "reconcile"):
            with self.subTest(load_mode=mode):
                self.load("work-items", "projects", "--mode", mode)
                self.assertEqual(before, self.unchanging())
                for load in ("work-items", "projects"):
                    self.assert_ledger(self.database.last_execution(load))

    def unchanging(self):
        """Every row of all tables with its stamps; only last_seen moves by itself."""
        rows = self.snapshots(TASKS)
        rows["work_item_type_state"] = [{**json.loads(line), "last_seen": None} for line in rows["work_item_type_state"]]
        return rows

    def test_small_pages_and_many_lanes_lose_nothing(self):
        self.config["worker"]["parallel"] = 4
        self.set_source(page_size=7)
        self.sim.do(fault("page_size", rate=13))
        self.load("work-items", "projects", "--mode", "full")
        self.assert_copies()

    def test_two_organisations_with_equal_ids_stay_apart(self):
        other = self.start_sim(tickets=100, seed=8)
        self.config["sources"]["second"] = {**self.source_config, **self.source_of(other)}
        self.write_config()
        self.load("work-items", "projects", "--mode", "full")
        shared = self.count("work_item a JOIN azure_devops.work_item b USING (id) WHERE a.source < b.source")
        self.assertGreater(shared, 50)
        for mode in ("incremental", "reconcile"):
            other.change(delete([row["id"] for row in other.rows("work_items", system=SYSTEM) if not row["System.IsDeleted"]][4]), update(1, {TITLE: "of the second"}), create())
            self.sim.change(update(1, {TITLE: "of the first"}))
            with self.subTest(load_mode=mode):
                self.load("work-items", "--mode", mode)
                self.assert_copies(*WORK_ITEMS)
                self.assert_copies(*WORK_ITEMS, source="second", sim=other)
                self.assert_ledger()
        other.do(fault("error_500"))
        self.sim.change(update(2))
        self.load("work-items", expect=FAILED)
        self.assert_copies(*WORK_ITEMS)
        other.do(control.clear_faults())
        self.assert_copies(*WORK_ITEMS, source="second", sim=other)

    def test_a_first_run_of_work_items_alone_is_full(self):
        """There is no revision to make them from, nor anything that says so."""
        truth = self.truth("work_item")
        deleted = {key for key, row in truth.items() if row["is_deleted"]}
        self.assertTrue(deleted)
        for arguments in ([], ["--from", "2026-01-01", "--to", "2026-02-01"], ["--mode", "reconcile"]):
            with self.subTest(arguments):
                self.load("work-items", "--task", "work_item", *arguments)
                landed = self.landed("work_item")
                self.assertEqual(truth.keys(), landed.keys())
                # Of what lies in it, this recycle bin says only that it is there.
                self.assertEqual(deleted, {key for key, row in landed.items() if row["is_deleted"]})
                names = [name for name in self.columns("work_item") if name != "source" and not name.startswith("etl_")]
                live = truth.keys() - deleted
                self.assertEqual([], compare("work_item", {key: landed[key] for key in live}, {key: truth[key] for key in live}, names))
                self.assert_ledger()
                self.database.run("TRUNCATE azure_devops.work_item; DELETE FROM ops.watermark")

    def test_one_task_alone(self):
        self.load("work-items", "--task", "work_item_link")
        self.assertEqual({"work_item_link"}, set(self.last_tasks()))
        self.assert_copies("work_item_link")
        self.load("work-items", "--task", "work_item")  # against no revision at all
        self.load("work-items", "--task", "work_item_revision")
        self.load("work-items")
        self.assert_copies(*WORK_ITEMS)


class Increments(AzureTest):
    tickets = 120

    def setUp(self):
        super().setUp()
        self.load("work-items")

    def test_a_chain_of_increments_keeps_the_copy_exact(self):
        ids = self.items()
        rounds = (
            (update(ids[0], {TITLE: "changed", "System.AssignedTo": "user010@fabrikam.example"}), update(ids[0], {TITLE: "again"})),
            (op("unassign", id=ids[0]), op("unassign", id=ids[1])),
            (op("move", id=ids[2], project="Contoso Web"), op("move", id=ids[3], project="Fabrikam-Fiber-Git")),
            (delete(ids[4]), delete(ids[5]), burst(3, "delete")),
            (restore(ids[4]), update(ids[6], {"System.ChangedDate": "2020-05-05T05:05:05.5Z"})),
            (burst(30, same_instant=True), burst(5, "create")),
            (op("add_link", source=ids[7], target=ids[8], rel="Related"), op("remove_link", source=ids[7], target=ids[8], rel="Related"),
             op("add_link", source=ids[9], target=ids[10], rel="Dependency")),
        )
        for number, commands in enumerate(rounds):
            with self.subTest(round=number):
                self.sim.change(*commands)
                self.load("work-items", *(("--from", "2026-01-01", "--to", "2026-02-01") if number % 3 == 2 else ()))
                self.assertEqual("window" if number % 3 == 2 else "incremental", self.database.last_execution()["mode"])
                self.assert_copies(*WORK_ITEMS)
                self.assert_ledger()
                self.assertEqual(0, self.last_tasks()["work_item"]["requests"], "work items are made from their revisions")
        self.assertEqual("t", self.value("is_deleted", ids[5]))
        self.assertEqual("f", self.value("is_deleted", ids[4]))
        self.assertEqual("", self.value("assigned_to_id", ids[1]) or "")

    def test_an_increment_without_changes_asks_little_and_writes_nothing(self):
        self.load("projects")
        self.load("work-items")
        before = self.snapshots(WORK_ITEMS)
        tokens = self.tokens()
        self.database.run("CHECKPOINT")
        position = self.database.wal_position()
        self.load("work-items")
        self.assertLess(self.database.wal_position() - position, 3 * 64 * 1024, "bytes of WAL of three tasks")
        self.assertEqual((before, tokens), (self.snapshots(WORK_ITEMS), self.tokens()))
        for name, task in self.last_tasks().items():
            self.assertEqual((0, 0, 0), tuple(task["records_" + part] for part in ("inserted", "updated", "deleted")), name)
            self.assertLessEqual(task["requests"], 3, name)

    def test_only_changed_rows_move_their_stamp(self):
        identity = self.items()[3]
        before = dict(self.database.rows("SELECT id, etl_updated_at FROM azure_devops.work_item"))
        self.sim.change(update(identity))
        self.load("work-items")
        after = dict(self.database.rows("SELECT id, etl_updated_at FROM azure_devops.work_item"))
        self.assertEqual([str(identity)], [key for key in after if after[key] != before[key]])

    def test_what_was_destroyed_is_marked_and_its_history_stays(self):
        revisions = self.count("work_item_revision")
        first, second, third = self.items()[5], self.items()[6], self.items(deleted=True)[0]
        self.sim.change(update(second))
        self.destroy(first, second)
        self.load("work-items")
        self.assertEqual("0", self.database.one("SELECT count(*) FROM azure_devops.work_item WHERE gone_since IS NOT NULL"))
        self.load("work-items", "--mode", "reconcile")
        self.assert_copies(*WORK_ITEMS)
        self.assert_ledger()
        self.assertEqual(2, self.last_tasks()["work_item"]["records_deleted"])
        since = self.value("gone_since", first)
        self.destroy(third)
        self.load("work-items", "--mode", "full")
        self.assert_copies(*WORK_ITEMS)
        self.assertEqual(since, self.value("gone_since", first), "it is gone since then, not since now")
        self.assertEqual(revisions, self.count("work_item_revision"), "history stays")

    def test_reconcile_brings_back_what_was_lost_in_the_target(self):
        identity = self.items()[0]
        self.sim.change(update(identity), update(identity))
        self.load("work-items")
        links = len(self.truth("work_item_link"))
        self.database.run("UPDATE azure_devops.work_item SET rev = 1, title = 'old', changed_date = '2020-01-01' WHERE id = %d" % identity)
        self.database.run("DELETE FROM azure_devops.work_item_revision WHERE id = %d AND rev = 2" % identity)
        self.database.run("DELETE FROM azure_devops.work_item_revision WHERE id = %d" % self.items(deleted=True)[0])
        self.database.run("DELETE FROM azure_devops.work_item_link WHERE ctid IN (SELECT ctid FROM azure_devops.work_item_link LIMIT 2)")
        tokens = self.tokens()
        self.load("work-items", "--mode", "reconcile")
        self.assert_copies(*WORK_ITEMS)
        self.assert_ledger()
        self.assertEqual(tokens, self.tokens())
        task = self.last_tasks()["work_item_link"]
        self.assertEqual((links, 2, links - 2), tuple(task["records_" + part] for part in ("read", "inserted", "unchanged")))

    def test_what_was_hidden_comes_back_when_it_is_shown_again(self):
        self.sim.do(fault("acl_rows", every=40))
        self.load("work-items", "--mode", "reconcile")
        hidden = [row[0] for row in self.database.rows("SELECT id FROM azure_devops.work_item WHERE gone_since IS NOT NULL")]
        self.assertEqual([str(identity) for identity in range(40, 240, 40) if (identity,) in self.truth("work_item")], sorted(hidden, key=int))
        self.sim.do(control.clear_faults())
        self.load("work-items", "--mode", "reconcile")
        self.assert_copies(*WORK_ITEMS)

    def test_a_gone_item_that_changes_again_is_no_longer_gone(self):
        """No census between: the feed alone shows that it is back."""
        self.sim.do(fault("acl_rows", every=40))
        self.load("work-items", "--mode", "reconcile")
        self.sim.do(control.clear_faults())
        self.sim.change(*(update(identity) for identity in range(40, 240, 40) if (identity,) in self.truth("work_item")))
        self.load("work-items")
        self.assert_copies(*WORK_ITEMS)

    def test_a_deleted_project_takes_its_work_items_along_only_with_consent(self):
        count = self.count("work_item WHERE team_project = 'Contoso Web' AND gone_since IS NULL")
        self.assertGreater(count, 0)
        process = "SELECT process_id FROM azure_devops.project WHERE name = 'Contoso Web'"
        self.load("projects")
        known = self.database.one(process)
        self.sim.change(op("delete_project", project="Contoso Web"))
        gone = {row["id"] for row in self.source_rows("work_items") if row["System.TeamProject"] == "Contoso Web"}
        self.load("work-items")
        self.load("work-items", "--mode", "reconcile", expect=(COMPLETE, HELD), env={"FOZ_LOG_LEVEL": "info"})
        self.load("work-items", "--mode", "reconcile", "--allow-mass-delete")
        self.gone |= gone
        self.assert_copies(*WORK_ITEMS)
        self.load("projects")
        self.assertEqual("deleted", self.database.one("SELECT state FROM azure_devops.project WHERE name = 'Contoso Web'"))
        self.assertIsNotNone(known)
        self.assertEqual(known, self.database.one(process), "nobody tells the process of a deleted project any more")

    def test_renames_show_in_new_revisions_and_after_a_full_load_everywhere(self):
        identity = self.items()[0]
        project = self.value("team_project", identity)
        self.sim.change(op("rename_project", project=project, name="Renamed & Söhne"),
                        op("rename_identity", identity="user045@fabrikam.example", display="Somebody Else", unique="else@fabrikam.example"),
                        update(identity, {"System.AssignedTo": "else@fabrikam.example"}))
        self.load("work-items", "projects")
        self.assert_copies(*PROJECTS)
        self.assertEqual("Renamed & Söhne", self.value("team_project", identity))
        self.assertEqual("Somebody Else", self.value("assigned_to_display", identity))
        self.assertGreater(self.count(f"work_item WHERE team_project = '{project}'"), 0)
        self.load("work-items", "--mode", "full")
        self.assert_copies(*WORK_ITEMS)
        self.assertEqual(0, self.count(f"work_item WHERE team_project = '{project}'"))

    def test_what_may_be_in_a_bin_that_nobody_can_read_is_not_gone(self):
        deleted, destroyed = self.items()[3], self.items()[5]
        self.sim.change(delete(deleted))
        self.load("work-items")
        self.destroy(destroyed)
        self.sim.do(fault("not_found_404", route="recyclebin"))
        for mode in ("reconcile", "full"):
            with self.subTest(load_mode=mode):
                result = self.load("work-items", "--mode", mode, env={"FOZ_LOG_LEVEL": "info"})
                self.assertIn("left as they are", result.text)
                self.assertEqual(0, self.count("work_item WHERE gone_since IS NOT NULL"))
                self.assertEqual(0, self.last_tasks()["work_item"]["records_deleted"])
                self.assertEqual("t", self.value("is_deleted", deleted))
        self.sim.do(control.clear_faults())
        self.load("work-items", "--mode", "reconcile")
        self.assertEqual([(str(destroyed),)], self.database.rows("SELECT id FROM azure_devops.work_item WHERE gone_since IS NOT NULL"))
        self.assert_copies(*WORK_ITEMS)


class Lists(AzureTest):
    tickets = 100

    def test_states_keep_their_history(self):
        self.load("projects")
        first = {key: row["first_seen"] for key, row in self.landed("work_item_type_state").items()}
        process, kind = "Fabrikam Agile", "Bug"
        states = {row["state"]: row for row in self.source_rows("states") if (row["process_name"], row["type"]) == (process, kind)}
        old = dict(states)
        names = [name for name in states if not states[name]["hidden"]]
        self.sim.change(op("add_state", process=process, type=kind, state="Waiting", category="InProgress"), control.advance(3600))
        self.load("projects")
        self.sim.change(op("set_category", process=process, type=kind, state="Waiting", category="Resolved"),
                        op("hide_state", process=process, type=kind, state=names[1], hidden=True),
                        op("remove_state", process=process, type=kind, state=names[2]))
        self.load("projects")
        truth, landed = self.truth("work_item_type_state"), self.landed("work_item_type_state")
        self.assertEqual(set(), truth.keys() - landed.keys())
        for key, row in truth.items():
            self.assertEqual(row, {name: landed[key][name] for name in row}, key)
        now = max(row["last_seen"] for row in landed.values())
        identity = old[names[2]]["process_id"]
        waiting = {key[3]: row for key, row in landed.items() if key[:3] == (identity, kind, "Waiting")}
        self.assertEqual({"InProgress", "Resolved"}, set(waiting), "a changed category is a new row beside the old one")
        self.assertLess(waiting["InProgress"]["last_seen"], waiting["Resolved"]["first_seen"])
        removed = landed[(identity, kind, names[2], old[names[2]]["category"])]
        self.assertLess(removed["last_seen"], now)
        self.assertTrue(all(row["last_seen"] == now for key, row in landed.items() if key in truth), "what is still there is seen now")
        self.assertEqual(first, {key: landed[key]["first_seen"] for key in first}, "first_seen never moves")
        stamps = self.snapshot("work_item_type_state", etl=False)
        self.load("projects", "--mode", "full")
        self.assertEqual(len(stamps), len(self.snapshot("work_item_type_state", etl=False)), "no mode deletes history")

    def test_projects_and_iterations_follow_the_source(self):
        self.load("work-items", "projects")
        self.sim.change(op("add_project", name="New & Better/2", process="Agile"),
                        op("add_iteration", project="Contoso Web", name="Sprint X", start="2026-02-02", finish="2026-02-13"),
                        op("change_process", project="Contoso Web", process="Scrum"),
                        op("add_identity", display="Zoë New", unique="zoe@fabrikam.example"))
        self.load("projects")
        self.assert_copies(*PROJECTS)
        self.sim.do(fault("page_size", rate=3))
        self.sim.change(op("delete_project", project="New & Better/2"))
        self.deleted_projects.add("New & Better/2")
        self.load("projects", "--mode", "reconcile", "--allow-mass-delete")
        self.sim.do(control.clear_faults())
        self.assert_copies(*PROJECTS)

    def test_identities_come_from_whatever_the_account_may_read(self):
        self.load("work-items", "projects")
        everybody = self.landed("identity")
        named = {row[name] for row in self.source_rows("revisions") for name in row if name.endswith(".id")}
        for how, prepare in (("graph", lambda: self.sim.do(fault("forbidden_403", route="entitlements"))),
                             ("teams and revisions", lambda: self.env.update(FOZ_TEST_PAT="foz-narrow-pat"))):
            with self.subTest(how=how):
                self.sim.do(control.clear_faults())
                prepare()
                self.database.run("TRUNCATE azure_devops.identity; DELETE FROM ops.watermark WHERE task = 'identity'")
                self.load("projects", "--task", "identity")
                landed = self.landed("identity")
                for key, row in landed.items():
                    self.assertIn(key, everybody)
                    self.assertEqual((everybody[key]["unique_name"], everybody[key]["display_name"]), (row["unique_name"], row["display_name"]))
                if how == "graph":
                    self.assertEqual({key: row["mail"] for key, row in everybody.items()}, {key: row["mail"] for key, row in landed.items()})
                    self.assertTrue(all(landed[key]["origin_id"] == row["origin_id"] for key, row in everybody.items()))
                self.assertEqual(set(), {(identity,) for identity in named} - landed.keys(), "whom revisions name is there in any case")

    def test_what_only_a_directory_tells_survives_a_run_without_one(self):
        self.load("work-items", "projects")
        mails = dict(self.database.rows("SELECT id, mail FROM azure_devops.identity WHERE mail IS NOT NULL"))
        before = self.snapshot("identity", etl=False)
        self.sim.do(fault("forbidden_403", route="entitlements"))  # Graph knows less
        self.load("projects", "--task", "identity")
        self.assertEqual(before, self.snapshot("identity", etl=False))
        self.sim.do(control.clear_faults())
        self.env["FOZ_TEST_PAT"] = "foz-narrow-pat"
        self.load("projects")
        kept = dict(self.database.rows("SELECT id, mail FROM azure_devops.identity WHERE mail IS NOT NULL"))
        self.assertEqual(mails, kept, "who is in no team is somebody all the same")
        self.assertEqual(len(kept), int(self.database.one("SELECT count(*) FROM azure_devops.identity WHERE mail IS NOT NULL AND origin_id IS NOT NULL")))

    def test_states_of_projects_that_do_not_tell_their_process(self):
        """As a server with XML processes; the two processes disagree about a state, so that only the project decides."""
        projects = {row["name"]: row["id"] for row in self.source_rows("projects") if row["state"] == "wellFormed"}
        self.sim.change(op("set_category", process="Fabrikam Agile", type="Issue", state="Active", category="Resolved"))
        self.sim.do(fault("not_found_404", table="processes"))
        mapped = {}
        for untold in (False, True):
            self.sim.do(*([fault("process_untold")] if untold else []))
            self.database.run("TRUNCATE azure_devops.project, azure_devops.work_item_type_state; DELETE FROM ops.watermark")
            self.load("projects", "work-items", "--mode", "full")
            mapped[untold] = self.database.rows("SELECT ticket_id, status FROM core.ticket ORDER BY 1")
            keys = {row[0] for row in self.database.rows("SELECT DISTINCT process_id FROM azure_devops.work_item_type_state")}
            self.assertEqual(untold, keys == set(projects.values()), keys)
        self.assertEqual(mapped[False], mapped[True])
        self.assertEqual([("in_progress",), ("resolved",)], self.database.rows("SELECT DISTINCT status FROM core.ticket WHERE kind = 'Issue' AND status_raw = 'Active' "
                                                                             "AND status <> 'unmapped' ORDER BY 1"))
        self.assertEqual(0, self.count("project WHERE process_id IS NOT NULL"))


class Values(AzureTest):
    tickets = 100

    def extend_catalog(self, **fields):
        path = os.path.join(self.folder, "more.yaml")
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"source_type": SYSTEM, "tasks": {"work_item_revision": {"fields": fields}}}, out)
        self.config["catalog"] = [path]
        self.write_config()
        self.worker("migrate", expect=COMPLETE)
        self.forget_columns()

    def test_a_custom_field_by_one_line_fills_old_revisions_too(self):
        self.load("work-items")
        stamps = dict(self.database.rows("SELECT id || ':' || rev, etl_updated_at FROM azure_devops.work_item_revision"))
        token = self.tokens()
        self.extend_catalog(**{"Custom.TeamName": "text"})
        self.load("work-items")  # an increment: the changed list of fields leads to a re-read
        self.assertIn("team_name", self.columns("work_item"))
        self.assertGreater(self.count("work_item_revision WHERE team_name IS NOT NULL"), 0)
        self.assert_copies(*WORK_ITEMS)
        self.assertEqual(token, self.tokens())
        after = dict(self.database.rows("SELECT id || ':' || rev, etl_updated_at FROM azure_devops.work_item_revision"))
        self.assertEqual(stamps.keys(), after.keys())
        self.load("work-items")
        self.assertEqual(0, self.last_tasks()["work_item_revision"]["records_read"], "the list is read again once")

    def test_a_field_for_one_source_only(self):
        self.set_task("work_item_revision", fields={"Custom.TeamName": "text"})
        self.worker("migrate", expect=COMPLETE)
        self.forget_columns()
        self.load("work-items")
        self.assertGreater(self.count("work_item WHERE team_name IS NOT NULL"), 0)
        self.assert_copies(*WORK_ITEMS)

    def test_a_list_of_fields_copies_only_these(self):
        self.set_task("work_item_revision", fields=["System.Title", "System.AssignedTo"])
        self.load("work-items")
        self.assertEqual(0, self.count("work_item_revision WHERE state IS NOT NULL"))
        truth = {key: (row["title"], row["assigned_to_id"], row["changed_date"]) for key, row in self.truth("work_item_revision").items()}
        landed = {key: (row["title"], row["assigned_to_id"], row["changed_date"]) for key, row in self.landed("work_item_revision").items()}
        self.assertEqual(truth, landed)

    def test_persons_in_every_form(self):
        """An object, an older object with "Name <unique>", a text: the names land the same; a text has no id."""
        for mode in ("old", "text", "mixed"):
            with self.subTest(mode=mode):
                self.database.run("TRUNCATE azure_devops.work_item_revision, azure_devops.work_item; DELETE FROM ops.watermark; DELETE FROM ops.owed")
                self.sim.do(control.clear_faults(), fault("identity_form", mode=mode))
                self.load("work-items", "--task", "work_item_revision", "--mode", "full")
                truth = self.truth("work_item_revision")
                ids = 0
                for key, row in self.landed("work_item_revision").items():
                    for name in ("assigned_to", "changed_by", "created_by"):
                        self.assertEqual((truth[key][name], truth[key][name + "_display"]), (row[name], row[name + "_display"]), (key, name))
                        self.assertIn(row[name + "_id"], (truth[key][name + "_id"], None))
                        ids += row[name + "_id"] is not None
                self.assertEqual(mode == "text", ids == 0)

    def test_any_number_of_digits_of_a_second(self):
        for digits in range(0, 8):
            with self.subTest(digits=digits):
                self.sim.do(control.clear_faults(), *([fault("date_digits", rate=digits)] if digits else []))
                self.load("work-items", "--mode", "full", "--task", "work_item_revision")
                served = self.ask("_apis/wit/workitems/1/revisions/1?api-version=7.1")["fields"]["System.ChangedDate"]
                landed = self.landed("work_item_revision")[(1, 1)]["changed_date"]
                self.assertEqual(instant(served), landed)
        self.assertEqual(7, len(served.rstrip("Z").partition(".")[2]))

    def test_never_and_still_current_are_null(self):
        self.sim.do(fault("bad_value", field="Microsoft.VSTS.Scheduling.DueDate", mode="never", every=1))
        self.load("work-items", "--mode", "full")
        self.assertEqual(0, self.count("work_item_revision WHERE due_date IS NOT NULL"))
        self.assertEqual(0, self.count("work_item_revision WHERE fields ? 'System.RevisedDate'"))

    def test_a_value_that_does_not_fit_is_a_dead_letter_and_the_good_version_stays(self):
        self.load("work-items")
        before = self.snapshots()
        self.sim.do(fault("bad_value", table="workitemrevisions", field="Microsoft.VSTS.Common.Priority", mode="not_integer", every=25))
        self.load("work-items", "--mode", "full", expect=PARTIAL)
        letters = self.database.dicts("SELECT * FROM ops.dead_letter WHERE resolved_at IS NULL")
        self.assertEqual(self.last_tasks()["work_item_revision"]["records_rejected"], len(letters))
        self.assertGreater(len(letters), 2)
        for letter in letters:
            self.assertEqual(("work_item_revision", True), (letter["task"], "priority" in letter["reason"].lower()), letter)
        self.assertEqual(before, self.snapshots())
        self.sim.do(control.clear_faults())
        self.worker("dead-letters", "retry", expect=COMPLETE)
        self.assertEqual("0", self.database.one("SELECT count(*) FROM ops.dead_letter WHERE resolved_at IS NULL"))
        self.assertEqual(before, self.snapshots())

    def test_a_revision_that_is_retried_is_the_latest_of_its_item(self):
        self.load("work-items")
        one, other = self.items()[:2]
        self.sim.do(fault("bad_value", table="workitemrevisions", field="Microsoft.VSTS.Common.Priority", mode="not_integer", every=1))
        self.sim.change(update(one, {TITLE: "rejected at first"}))
        self.load("work-items", expect=PARTIAL)
        self.sim.do(control.clear_faults())
        self.sim.change(update(other, {TITLE: "not read yet"}))
        self.assertNotEqual("rejected at first", self.value("title", one))
        self.worker("dead-letters", "retry", expect=COMPLETE)
        self.assertEqual("0", self.database.one("SELECT count(*) FROM ops.dead_letter WHERE resolved_at IS NULL"))
        self.assertEqual("rejected at first", self.value("title", one))
        self.assertEqual("rejected at first", self.database.one(f"SELECT title FROM core.ticket WHERE external_id = '{one}'"))
        self.assertEqual({"work_item_revision", "work_item"}, set(self.last_tasks()))
        self.assertEqual(1, self.last_tasks()["work_item"]["records_updated"])
        self.assertNotEqual("not read yet", self.value("title", other))
        self.worker("dead-letters", "retry", expect=COMPLETE)  # nothing is left to do
        self.load("work-items")
        self.assert_copies(*WORK_ITEMS)

    def test_odd_values_land_whole(self):
        text = "Ünïcödé 🚒 \"quoted\" \\back\\ \ttab 'it''s' <b>& co"
        identity = self.items()[0]
        self.sim.change(update(identity, {TITLE: text, "System.Tags": "a; b; ç", "Microsoft.VSTS.Scheduling.RemainingWork": 0.1}),
                        update(identity, {"Microsoft.VSTS.Scheduling.RemainingWork": 1e15}))
        self.load("work-items")
        self.assertEqual(text, self.value("title", identity))
        self.assert_copies(*WORK_ITEMS)
        self.sim.change(update(identity, {"Microsoft.VSTS.Scheduling.RemainingWork": None, "System.Tags": None}))
        self.load("work-items")
        self.assertEqual("", self.value("remaining_work", identity) or "")
        self.assert_copies(*WORK_ITEMS)


if __name__ == "__main__":
    unittest.main()
