"""Azure DevOps changes while it is being read, and its feeds mislead: after the next run the copy is exact."""

import unittest

import control
from azure import WORK_ITEMS, AzureTest, burst, create, delete, destroy, fault, on_request, op, restore, update
from foz import COMPLETE, FAILED, HELD

FEED = "workitemrevisions"


class Moving(AzureTest):
    tickets = 120

    def setUp(self):
        super().setUp()
        self.sim.do(fault("page_size", rate=60))  # some eight pages of revisions
        self.set_source(parallel=2)

    def exact(self, *modes):
        self.sim.do(control.clear_requests(), control.clear_faults())
        self.sim.change()
        for mode in modes or ("incremental",):
            self.load("work-items", "--mode", mode)
        self.assert_copies(*WORK_ITEMS)
        self.assert_ledger()
        self.assert_no_leftovers()

    def during(self, table, numbers, *commands):
        for number in numbers:
            self.sim.do(on_request(number, control.advance(1), *commands, table=table))

    def test_revisions_written_between_the_pages_of_the_feed(self):
        ids = self.items()
        for mode in ("full", "incremental", "full"):
            with self.subTest(load_mode=mode):
                self.sim.change(burst(100))
                self.during(FEED, (1, 2, 3), update(ids[0]), update(ids[1], {"System.State": "Active"}), create(),
                            op("add_link", source=ids[2], target=ids[3], rel="Related"))
                self.during(FEED, (2, 4), burst(15, same_instant=True), op("unassign", id=ids[4]))
                self.during("workitemlinks", (1, 2), op("remove_link", source=ids[2], target=ids[3], rel="Related"))
                self.load("work-items", "--mode", mode)
                self.exact()

    def test_what_is_deleted_restored_and_moved_between_pages(self):
        ids = self.items()
        self.during(FEED, (2,), delete(ids[0]), delete(ids[1]), op("move", id=ids[2], project="Contoso Web"))
        self.during(FEED, (3,), restore(ids[1]), delete(ids[3]))
        self.load("work-items")
        self.exact()

    def test_what_is_deleted_and_destroyed_during_the_census(self):
        self.load("work-items")
        ids = self.items()
        binned = self.items(deleted=True)
        self.set_task("work_item", page_size=25)
        for mode in ("reconcile", "full"):
            with self.subTest(load_mode=mode):
                number = 0 if mode == "reconcile" else 10
                mine = ids[number:number + 10]
                self.during("wiql", (2,), destroy(mine[0]), delete(mine[1]), destroy(ids[90 - number]), create())
                self.during("recyclebin", (2,), delete(mine[2]), destroy(mine[3]), restore(mine[1]), destroy(binned[number // 10]))
                self.load("work-items", "--mode", mode)
                self.gone.update((mine[0], mine[3], ids[90 - number], binned[number // 10]))
                self.exact("incremental", "reconcile")
        self.assertEqual(len(self.gone), self.count("work_item WHERE gone_since IS NOT NULL"))

    def test_projects_renamed_added_and_deleted_during_the_walks(self):
        self.load("work-items", "projects")
        self.sim.do(on_request(3, op("rename_project", project="Contoso Web", name="Contoso Renamed"), table="projects"),
                    on_request(1, op("delete_project", project="Contoso Web"), op("add_project", name="Late", process="Agile"), table="iterations"))
        self.load("projects", expect=(COMPLETE, HELD))
        self.sim.do(control.clear_requests(), control.clear_faults())
        self.load("projects", "--allow-mass-delete")
        self.deleted_projects |= {"Contoso Web", "Contoso Renamed"}
        self.assert_copies("project", "iteration", "identity")

    def test_a_project_that_goes_between_the_bins_of_a_census(self):
        self.load("work-items")
        self.sim.do(on_request(2, op("delete_project", project="Contoso Web"), table="recyclebin"))
        self.load("work-items", "--mode", "reconcile", "--allow-mass-delete")
        self.gone |= {row["id"] for row in self.source_rows("work_items") if row["System.TeamProject"] == "Contoso Web"}
        self.sim.do(control.clear_requests())
        self.load("work-items", "--mode", "reconcile", "--allow-mass-delete")
        self.assert_copies(*WORK_ITEMS)

    def test_a_burst_within_one_instant_is_read_whole(self):
        self.load("work-items")
        before = self.count("work_item_revision")
        self.sim.change(burst(110, same_instant=True))
        self.load("work-items")
        self.assertEqual(before + 110, self.count("work_item_revision"))
        self.assert_copies(*WORK_ITEMS)


class MisleadingFeeds(AzureTest):
    """What a correct client survives: each leads to an exact copy, in every mode."""

    tickets = 60

    HARMLESS = [
        ("repeat_rows", {"rate": 10}),
        ("repeat_page", {"count": 2}),
        ("empty_page", {"table": FEED, "count": 1}),
        ("empty_page", {"table": FEED, "after": 1, "count": 1}),
        ("token_in_nextlink", {}),
        ("cut_chunk", {"count": 2}),
        ("partial_array", {"count": 2}),
        ("null_fields", {"every": 3}),
        ("missing_key", {"every": 5, "field": "id;rev"}),
        ("bom", {}),
        ("recyclebin_form", {}),
        ("omit_short", {}),
        ("query_timeout", {"count": 2}),
        ("server_busy", {"count": 1}),
        ("query_limit", {"rate": 50}),
        ("retry_after_200", {"seconds": 0.01, "count": 2}),
    ]

    def test_what_a_feed_may_do_harms_nothing(self):
        self.sim.do(fault("page_size", rate=60))
        self.load("work-items")
        for kind, options in self.HARMLESS:
            for mode in ("full", "incremental", "reconcile"):
                with self.subTest(kind=kind, load_mode=mode, **options):
                    self.strike(kind, options, mode)

    def strike(self, kind, options, mode):
        self.sim.do(control.clear_faults(), fault("page_size", rate=60))
        ids = self.items()
        self.sim.change(*(update(identity) for identity in ids[:40]), delete(ids[-1]), create())
        if mode == "reconcile":
            self.destroy(ids[-2])
        self.sim.do(fault(kind, **options))
        self.load("work-items", "--mode", mode)
        self.sim.do(control.clear_faults(), fault("page_size", rate=60))
        self.assert_copies(*WORK_ITEMS)
        self.assert_ledger()

    def test_the_token_moves_over_rows_that_a_filter_removed(self):
        """Rows of hidden items are left out of pages, down to pages without a row; the token goes on."""
        self.load("work-items")
        self.sim.do(fault("page_size", rate=5), fault("acl_rows", every=2))
        self.sim.change(burst(40))
        self.load("work-items")
        self.sim.do(control.clear_faults())
        # What was hidden then is not sent again by the feed: only a reading from its start brings it.
        self.load("work-items")
        self.assertLess(self.count("work_item_revision"), len(self.truth("work_item_revision")))
        self.load("work-items", "--mode", "reconcile")
        self.assert_copies(*WORK_ITEMS)
        self.assert_ledger()
        revisions = self.last_tasks()["work_item_revision"]
        self.assertEqual(len(self.truth("work_item_revision")), revisions["records_read"])
        self.assertEqual(revisions["records_read"] - revisions["records_inserted"], revisions["records_unchanged"])

    def test_a_link_that_was_removed_stays_so_when_its_making_is_sent_again(self):
        source, target = self.items()[:2]
        self.load("work-items")
        self.sim.change(op("add_link", source=source, target=target, rel="Related"), control.advance(1),
                        op("remove_link", source=source, target=target, rel="Related"))
        self.load("work-items")
        self.sim.do(fault("repeat_rows", table="workitemlinks", rate=2, mode="alone"))
        self.load("work-items")
        links = self.last_tasks()["work_item_link"]
        self.assertEqual((0, 0), (links["records_read"], links["records_updated"]), "a repeated row is a duplicate")
        self.assert_copies("work_item_link")
        self.assert_ledger()

    LIES = [
        ("token_stuck", {}),
        ("token_missing", {}),
        ("feed_never_ends", {}),
        ("foreign_link_host", {}),
        ("null_row", {"every": 10}),
        ("missing_key", {"every": 10, "field": "fields"}),
    ]

    def test_a_feed_that_makes_no_sense_is_an_error_and_nothing_of_it_is_kept(self):
        self.sim.do(fault("page_size", rate=60))
        self.load("work-items")
        for kind, options in self.LIES:
            for mode in ("full", "incremental"):
                with self.subTest(kind=kind, load_mode=mode, **options):
                    self.sim.do(control.clear_faults(), fault("page_size", rate=60))
                    self.sim.change(burst(70))
                    before, tokens = self.snapshots(("work_item_revision", "work_item")), self.tokens()
                    with_token = [fault("token_in_nextlink")] if kind == "foreign_link_host" else []
                    self.sim.do(*with_token, fault(kind, table=FEED, **options))
                    result = self.load("work-items", "--mode", mode, expect=(COMPLETE, FAILED))
                    execution = self.database.last_execution()
                    if result.code == COMPLETE:
                        self.sim.do(control.clear_faults())
                        self.assert_copies(*WORK_ITEMS)
                        continue
                    self.assertIn("work_item_revision", execution["error_message"])
                    self.assertEqual(before["work_item_revision"], self.snapshot("work_item_revision"))
                    self.assertEqual(tokens["work_item_revision"], self.tokens()["work_item_revision"])
        self.sim.do(control.clear_faults())
        self.load("work-items")
        self.assert_copies(*WORK_ITEMS)

    def test_a_feed_that_ends_too_early_loses_nothing_for_ever(self):
        """Nothing can tell an end from an early end; the token is that of the rows that came, so the next run goes on there."""
        for mode in ("full", "incremental"):
            with self.subTest(load_mode=mode):
                self.sim.do(control.clear_faults(), fault("page_size", rate=60))
                self.sim.change(burst(70))
                self.sim.do(fault("early_last", count=1))
                self.load("work-items", "--mode", mode, expect=(COMPLETE, HELD))
                self.sim.do(control.clear_faults())
                self.load("work-items")
                self.assert_copies(*WORK_ITEMS)

    def test_a_refused_token_leads_to_a_full_read(self):
        self.load("work-items")
        for mode in ("", "words", "missing", "gone"):
            with self.subTest(mode=mode):
                self.sim.change(burst(10))
                self.sim.do(fault("refuse_token", mode=mode, count=2))  # of both feeds
                self.load("work-items")
                self.assertEqual([], self.sim.state()["faults"])
                self.assert_copies(*WORK_ITEMS)
                self.assert_ledger()
        before = self.snapshots(("work_item_revision",))
        self.sim.change(burst(10))
        self.sim.do(fault("page_size", rate=60), fault("refuse_token"))  # for good: no page after the first can be had
        self.load("work-items", expect=FAILED)
        self.assertEqual(before, self.snapshots(("work_item_revision",)))
        self.sim.do(control.clear_faults())
        self.load("work-items")
        self.assert_copies(*WORK_ITEMS)


if __name__ == "__main__":
    unittest.main()
