"""foz-sim behaves like the GLPI of the reference: what its users do, and what a reader of pages then loses."""

import unittest

from sim_glpi import CHILDREN, GlpiTest, glpi


class Changes(GlpiTest):
    def ticket(self, number):
        return next(row for row in self.truth("Ticket") if row["id"] == number)

    def logs(self, number):
        return [row for row in self.truth("Log") if row["itemtype"] == "Ticket" and row["items_id"] == number]

    def test_what_moves_the_ticket_and_what_does_not(self):
        followup = next(row for row in self.truth("ITILFollowup") if row["itemtype"] == "Ticket")
        solution = next(row for row in self.truth("ITILSolution") if row["itemtype"] == "Ticket")
        actor = self.truth("Ticket_User")[0]
        cases = ((glpi("update", table="ITILFollowup", id=followup["id"], set={"content": "outro"}), followup["items_id"], True),
                 (glpi("update", table="ITILSolution", id=solution["id"], set={"content": "outra"}), solution["items_id"], False),
                 (glpi("update", table="Ticket_User", id=actor["id"], set={"use_notification": 0}), actor["tickets_id"], False),
                 (glpi("add_actor", ticket=50, users_id=9, type=2), 50, True),
                 (glpi("remove_actor", ticket=51, type=1), 51, True),
                 (glpi("insert", table="TicketCost", set={"tickets_id": 52}), 52, False),
                 (glpi("insert", table="TicketTask", set={"tickets_id": 53}), 53, True),
                 (glpi("update", table="ITILFollowup", id=followup["id"], set={"content": "x"}, touch=False), followup["items_id"], False),
                 (glpi("trash", id=54), 54, True), (glpi("restore", id=54), 54, True))
        for operation, number, moves in cases:
            with self.subTest(operation):
                before = self.ticket(number)["date_mod"]
                self.change({"advance_s": 60}, operation)
                now = self.now()
                self.assertEqual(now if moves else before, self.ticket(number)["date_mod"])

    def test_a_change_writes_history(self):
        row = next(row for row in self.truth("Ticket") if row["status"] == 2 and not row["is_deleted"])
        count = len(self.logs(row["id"]))
        self.change({"advance_s": 60}, glpi("update", table="Ticket", id=row["id"], set={"status": 5, "priority": 6}))
        fresh = self.logs(row["id"])[count:]
        self.assertEqual({(12, "2", "5"), (3, str(row["priority"]), "6")},
                         {(log["id_search_option"], log["old_value"], log["new_value"]) for log in fresh if log["id_search_option"] in (12, 3)})
        solved = self.ticket(row["id"])
        self.assertEqual(solved["solvedate"], solved["date_mod"])
        self.change({"advance_s": 600}, glpi("update", table="Ticket", id=row["id"], set={"status": 2}))
        again = self.ticket(row["id"])
        self.assertIsNone(again["solvedate"])
        self.assertEqual(solved["waiting_duration"] + 600, again["waiting_duration"])

    def test_a_purge_leaves_no_trace(self):
        number = self.truth("Ticket_User")[700]["tickets_id"]
        self.change(glpi("purge", table="Ticket", id=number))
        self.assertEqual(404, self.client.get(f"Ticket/{number}").status)
        for table in CHILDREN:
            rows = [row for row in self.truth(table) if row.get("tickets_id", row.get("items_id")) == number
                    and row.get("itemtype", "Ticket") == "Ticket"]
            self.assertEqual([], rows, table)

    def test_bursts_and_paging_agree(self):
        self.change({"advance_s": 60}, glpi("burst", table="Ticket", n=200), glpi("burst", table="Ticket", n=50, kind="purge"),
                    glpi("burst", table="Ticket", n=30, kind="insert"), glpi("burst", table="Ticket", n=40, kind="trash"))
        for table in ("Ticket", "Log", "Ticket_User", "ITILFollowup"):
            truth = sorted(row["id"] for row in self.truth(table) if not row.get("is_deleted"))
            for page in (97, 500):
                self.assertEqual(truth, [row["id"] for row in self.client.walk(table, page)])
            self.assertEqual(truth[::-1], [row["id"] for row in self.client.walk(table, 313, sort="id", order="DESC")])
        stamps = [(row["date_mod"]) for row in self.client.walk("Ticket", 211, sort="date_mod", order="DESC")]
        self.assertEqual(sorted(stamps, reverse=True), stamps)

    def test_a_rename_moves_only_the_directory(self):
        before = self.ticket(5)["date_mod"]
        self.change({"advance_s": 60}, glpi("rename", table="ITILCategory", id=2, name="Rede & cabos"), glpi("rename", table="User", id=9, name="Novo"))
        self.assertEqual(before, self.ticket(5)["date_mod"])
        category = next(row for row in self.truth("ITILCategory") if row["id"] == 2)
        now = self.now()
        self.assertEqual(("Rede & cabos", now), (category["name"], category["date_mod"]))
        self.assertTrue(category["completename"].endswith("Rede & cabos"))


class Drift(GlpiTest):
    """The loss patterns that were measured on a real server."""

    def lost(self, change, **parameters):
        before = {row["id"] for row in self.truth("Ticket") if not row["is_deleted"]}
        change = change if isinstance(change, list) else [change]
        self.change({"on_request": 2, "table": "Ticket", "system": "glpi", "do": [{"advance_s": 60}, *change]})
        seen = [row["id"] for row in self.client.walk("Ticket", 100, **parameters)]
        after = {row["id"] for row in self.truth("Ticket") if not row["is_deleted"]}
        return (before & after) - set(seen), len(seen) - len(set(seen))

    def front(self, **parameters):
        return [row["id"] for row in self.client.page("Ticket", 0, 100, **parameters).json()]

    def test_ascending_stamps_lose_rows(self):
        touched = self.front(sort="date_mod", order="ASC")[:2]
        lost, twice = self.lost([glpi("update", table="Ticket", id=i, set={"name": "tocado"}) for i in touched], sort="date_mod", order="ASC")
        self.assertEqual((2, 2), (len(lost), twice))

    def test_descending_stamps_only_repeat_rows(self):
        touched = self.front(sort="date_mod", order="DESC")[:3]
        lost, twice = self.lost([glpi("update", table="Ticket", id=i, set={"name": "tocado"}) for i in touched], sort="date_mod", order="DESC")
        self.assertEqual((set(), 0), (lost, twice))  # they stay in front
        deep = [row["id"] for row in self.client.page("Ticket", 700, 3, sort="date_mod", order="DESC").json()]
        self.sim.do({"clear_requests": True})
        lost, twice = self.lost([glpi("update", table="Ticket", id=i, set={"name": "tocado"}) for i in deep], sort="date_mod", order="DESC")
        self.assertEqual(3, twice)
        self.assertEqual(set(deep), lost)  # read by the next run: they are newer than its watermark

    def test_ids_lose_rows_when_some_go_to_the_trash(self):
        lost, twice = self.lost([glpi("trash", id=i) for i in self.front()[:2]])
        self.assertEqual((2, 0), (len(lost), twice))


if __name__ == "__main__":
    unittest.main()
