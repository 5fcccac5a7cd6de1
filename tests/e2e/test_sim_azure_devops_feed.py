"""foz-sim behaves like the Azure DevOps of the reference: the feeds of revisions and links, page by page."""

import os
import re
import time
import unittest
import urllib.parse

from sim_azure_devops import LINKS, REVISIONS, SimTest, keys_of


class Feed(SimTest):
    def setUp(self):
        self.sim.fault("page_size", rate=150)

    def test_a_walk_reads_every_revision_once_in_order(self):
        rows, token = self.sim.walk()
        keys = keys_of(rows)
        self.assertEqual(len(keys), len(set(keys)))
        truth = {(row["id"], row["rev"]): row for row in self.sim.truth("revisions")}
        self.assertEqual(set(truth), set(keys))
        marks = [row["fields"]["System.Watermark"] for row in rows]
        self.assertEqual(sorted(marks), marks)
        for row in rows:
            want = truth[row["id"], row["rev"]]
            for name in ("System.State", "System.TeamProject", "System.AreaPath", "System.IterationPath", "System.ChangedDate", "System.IsDeleted", "System.Title", "System.Tags", "Custom.TeamName"):
                self.assertEqual(want.get(name), row["fields"].get(name))
            assigned = row["fields"].get("System.AssignedTo")
            self.assertEqual(want.get("System.AssignedTo"), assigned and assigned["uniqueName"])
            self.assertEqual(want.get("System.AssignedTo.id"), assigned and assigned["id"])
        again = self.sim.batch(token)
        self.assertEqual(([], True, token), (again["values"], again["isLastBatch"], again["continuationToken"]))

    def test_revisions_of_one_item_come_in_order(self):
        last = {}
        for id_, rev in keys_of(self.sim.walk()[0]):
            self.assertEqual(last.get(id_, 0) + 1, rev)
            last[id_] = rev

    def test_the_token_moves_over_rows_that_a_filter_takes(self):
        body = {"types": ["Incident"], "includeDeleted": True, "fields": ["System.WorkItemType"]}
        page = self.sim.batch(None, body)
        self.assertLess(len(page["values"]), 150)
        self.assertTrue(page["continuationToken"].startswith("150;"))
        rows, token = self.sim.walk(None, body)
        self.assertEqual({"Incident"}, {row["fields"]["System.WorkItemType"] for row in rows})
        self.assertEqual(len(rows), sum(row["System.WorkItemType"] == "Incident" for row in self.sim.truth("revisions")))
        self.assertTrue(token.startswith(str(self.sim.rows()["revisions"])))

    def test_a_filter_makes_empty_pages_that_are_not_the_last(self):
        self.sim.control(clear_faults=True)
        self.sim.fault("page_size", rate=5)
        page = next(page for page in self.pages({"types": ["Epic"], "includeDeleted": True}) if not page["values"])
        self.assertFalse(page["isLastBatch"])

    def pages(self, body):
        token = None
        while True:
            page = self.sim.batch(token, body)
            yield page
            token = page["continuationToken"]
            if page["isLastBatch"]:
                return

    def test_the_next_link_keeps_the_parameters(self):
        page = self.sim.get(REVISIONS, includeIdentityRef="true", **{"top_maxPageSize": 10})
        link = urllib.parse.urlsplit(page["nextLink"])
        query = urllib.parse.parse_qs(link.query)
        self.assertEqual(self.sim.base, f"{link.scheme}://{link.netloc}/azure")
        self.assertEqual(([page["continuationToken"]], ["true"], ["7.1"]), (query["continuationToken"], query["includeIdentityRef"], query["api-version"]))

    def test_deleted_items_come_only_when_asked_for(self):
        deleted = {row["id"] for row in self.sim.truth("work_items") if row["System.IsDeleted"]}
        self.assertTrue(deleted)
        without = self.sim.walk(None, {"includeIdentityRef": True})[0]
        self.assertEqual(set(), deleted & {row["id"] for row in without})
        self.assertNotIn("System.IsDeleted", without[0]["fields"])
        with_ = self.sim.walk()[0]
        self.assertEqual(deleted, {row["id"] for row in with_} - {row["id"] for row in without})

    def test_identities_and_tags_follow_the_options(self):
        plain = self.sim.get(REVISIONS)["values"][0]["fields"]["System.CreatedBy"]
        self.assertRegex(plain, r"\A.+ <.+>\Z")
        reference = self.sim.get(REVISIONS, includeIdentityRef="true")["values"][0]["fields"]["System.CreatedBy"]
        self.assertEqual({"displayName", "url", "_links", "id", "uniqueName", "imageUrl", "descriptor"}, set(reference))
        self.assertEqual(plain, f"{reference['displayName']} <{reference['uniqueName']}>")
        self.sim.control(clear_faults="page_size")
        rows = self.sim.get(REVISIONS, includeTagRef="true", includeDeleted="true")["values"]
        tags = next(row["fields"]["System.Tags"] for row in rows if "System.Tags" in row["fields"])
        self.assertEqual({"id", "name", "url"}, set(tags[0]))

    def test_long_texts_come_only_when_expanded(self):
        self.assertNotIn("System.Description", self.sim.get(REVISIONS)["values"][0]["fields"])
        self.assertIn("<b>", self.sim.get(REVISIONS, **{"top_expand": "fields"})["values"][0]["fields"]["System.Description"])

    def test_the_latest_only(self):
        rows = self.sim.walk(None, {"includeLatestOnly": True, "includeDeleted": True})[0]
        self.assertEqual({(row["id"], row["rev"]) for row in self.sim.truth("work_items")}, set(keys_of(rows)))

    def test_a_start_date(self):
        start = "2025-06-01T00:00:00Z"
        rows = self.sim.get(REVISIONS, {"includeDeleted": True}, startDateTime=start)["values"]
        self.assertTrue(rows)
        self.assertTrue(all(row["fields"]["System.ChangedDate"] >= start[:19] for row in rows))

    def test_project_scope_loses_the_history_of_moved_items(self):
        item = next(row["id"] for row in self.sim.truth("work_items") if row["System.TeamProject"] == "Base" and not row["System.IsDeleted"])
        self.sim.control(move={"id": item, "project": "Operations"})
        scoped = [rev for id_, rev in keys_of(self.sim.walk(project="Base/")[0]) if id_ == item]
        everywhere = [rev for id_, rev in keys_of(self.sim.walk()[0]) if id_ == item]
        self.assertEqual(everywhere[:-1], scoped)

    def test_links_are_read_in_pages(self):
        state, token, pages = {}, None, 0
        while True:
            page = self.sim.get(LINKS, **({"continuationToken": token} if token else {}))
            for link in page["values"]:
                state[link["rel"], link["sourceId"], link["targetId"]] = link["isActive"]
            token, pages = page["continuationToken"], pages + 1
            if page["isLastBatch"]:
                break
        self.assertGreater(pages, 2)
        self.assertEqual({(row["rel"], row["source_id"], row["target_id"]): row["is_active"] for row in self.sim.truth("links")}, state)
        self.assertIn(False, state.values())
        self.sim.control(add_link={"source": 1, "target": 30, "rel": "Related"})
        self.sim.control(remove_link={"source": 1, "target": 30, "rel": "Related"})
        page = self.sim.get(LINKS, continuationToken=token)
        self.assertEqual([True, False], [link["isActive"] for link in page["values"]])


class MillionRevisions(SimTest):
    arguments = ("--tickets", "250000")

    def test_the_last_page_costs_what_the_first_costs(self):
        total = self.sim.rows()["revisions"]
        self.assertGreaterEqual(total, 1_000_000)
        body = {"includeDeleted": True, "includeIdentityRef": True, "fields": ["System.Id", "System.Rev", "System.State", "System.ChangedDate", "System.AssignedTo"]}

        def cost(first):
            took = []
            for i in range(9):
                started = time.monotonic()
                page = self.sim.batch(f"{first + i * 1000};1;1", body)
                took.append(time.monotonic() - started)
                self.assertGreater(len(page["values"]), 900)
            return sorted(took)[1]

        ratios = sorted(cost(total - 12000) / cost(0) for _ in range(3))
        self.assertLess(ratios[0], 3.0)

    def test_memory_is_flat(self):
        def resident():
            with open(f"/proc/{self.sim.process.pid}/status", encoding="ascii") as file:
                return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))
        if not os.path.exists(f"/proc/{self.sim.process.pid}/status") or os.environ.get("FOZ_SANITIZER"):
            self.skipTest("needs /proc and no sanitizer")
        self.sim.batch("1;1;1")
        before = resident()
        for first in range(0, 1_000_000, 25_000):
            self.sim.batch(f"{first};1;1")
        self.assertLess(resident() - before, 32 << 10)


if __name__ == "__main__":
    unittest.main()
