"""The same GLPI in other eyes: time zones, versions, encodings, accounts that see a part."""

import unittest

import control
from foz import COMPLETE, CONFIGURATION
from glpi import ITEMTYPES, TICKETS, GlpiTest, add_actor, burst, fault, insert, purge, silent_update, update

# The hour that comes twice, and the one that never comes.
AUTUMN, SPRING = "2025-10-26", "2025-03-30"


class Zones(GlpiTest):
    tickets = 100

    def show(self, zone=None, **options):
        self.sim.do(control.clear_faults(), *([fault("user_time_zone", **({"value": zone} if zone else {}), **options)]))

    def changes_arrive(self):
        self.sim.change(burst("Ticket", 30, urgency=4, same_second=False), insert("Ticket", name="new"),
                        add_actor(self.ids()[3], users_id=5, type=2), insert("ITILFollowup", itemtype="Ticket", items_id=self.ids()[5], content="x"))
        self.load("tickets")
        self.assert_copies(*TICKETS)

    def test_named_zones_are_learnt(self):
        for zone in ("UTC", "America/Sao_Paulo", "Europe/Berlin"):
            with self.subTest(zone=zone):
                self.show(zone)
                self.load("tickets", "--mode", "full")
                self.assert_copies(*TICKETS)
                self.changes_arrive()

    def test_a_configured_zone_that_the_server_does_not_name(self):
        self.show(seconds=-10800)
        self.set_source(time_zone="America/Sao_Paulo")
        self.load("tickets")
        self.assert_copies(*TICKETS)
        self.changes_arrive()

    def test_two_names_of_one_zone_are_one_zone(self):
        self.show("America/Sao_Paulo")
        self.set_source(time_zone="Brazil/East")
        self.load("tickets")
        self.assert_copies(*TICKETS)

    def test_a_zone_that_contradicts_the_server_is_refused_and_touches_nothing(self):
        self.load("tickets")
        before = self.snapshots()
        for options, configured, words in (({"value": "America/Sao_Paulo"}, "Europe/Berlin", "America/Sao_Paulo"),
                                           ({"value": "America/Sao_Paulo"}, "UTC", "America/Sao_Paulo"),
                                           ({"seconds": -10800}, "UTC", "-03:00"),
                                           ({"seconds": -10800}, None, "-03:00"),
                                           ({"value": "Asia/Tokyo", "mode": "unnamed"}, None, "+09:00"),
                                           ({"value": "UTC", "seconds": 7200}, None, "+02:00")):
            with self.subTest(configured=configured, **options):
                self.source_config.pop("time_zone", None)
                self.set_source(**({"time_zone": configured} if configured else {}))
                self.show(**{"zone": options.pop("value"), **options} if "value" in options else options)
                for mode in ("incremental", "full"):
                    result = self.load("tickets", "--mode", mode, expect=CONFIGURATION)
                    self.assertIn("time_zone", result.text)
                    self.assertIn(words, result.text)
                self.assertIn("time_zone", self.worker("check", expect=CONFIGURATION).text)
                self.assertEqual(before, self.snapshots())
                self.assertEqual(0, self.login_state()["sessions"])

    def test_a_clock_that_is_wrong_is_not_a_zone(self):
        """Date header and GLPI's own clock disagree by minutes: nothing can be trusted; by seconds: nothing happens."""
        self.sim.do(fault("clock_skew", seconds=30))
        self.load("tickets")
        self.assert_copies(*TICKETS)

    def test_increments_lose_nothing_in_the_hour_that_comes_twice(self):
        """In autumn 02:00 to 03:00 is shown twice: order and watermark are not what they seem."""
        self.sim.do(control.set_clock(f"{AUTUMN}T00:10:00Z"), {"run": False})
        self.sim.do(fault("user_time_zone", value="Europe/Berlin"))
        self.set_source(overlap="1m")
        self.load("tickets")
        for number in range(9):
            with self.subTest(number=number):
                self.sim.do(control.advance(900))  # 02:25 CEST ... 02:25 CET and on
                self.sim.do(*(silent_update("Ticket", identity, name=f"step {number}", date_mod=self.now())
                              for identity in self.ids()[number * 3:number * 3 + 5]), burst("Ticket", 7, urgency=number % 5 + 1))
                self.load("tickets")
                found = [line for line in self.differences("ticket") if ".name:" in line or ".urgency:" in line or "missing" in line]
                self.assertEqual([], found)
        self.sim.do(control.clear_faults())
        self.load("tickets", "--mode", "full")
        self.assert_copies(*TICKETS)

    def test_the_spring_change_is_exact(self):
        self.sim.do(control.set_clock(f"{SPRING}T00:40:00Z"), {"run": False}, fault("user_time_zone", value="Europe/Berlin"))
        self.set_source(overlap="1m")
        self.load("tickets")
        for number in range(4):
            self.sim.do(control.advance(900), burst("Ticket", 7, urgency=number % 5 + 1))
            self.load("tickets")
            self.assert_copies(*TICKETS)


class Versions(GlpiTest):
    tickets = 80

    def test_glpi_11_has_other_columns_and_raw_text(self):
        self.sim.do(fault("glpi11"))
        self.sim.change(update("Ticket", self.ids()[0], name="a &#60;b&#62; &lt; &amp; c", status=10, externalid="EXT-1"))
        self.load("tickets", "directory")
        self.assert_copies(*ITEMTYPES)
        first = self.ids()[0]
        self.assertEqual("a &#60;b&#62; &lt; &amp; c", self.landed("name", first))
        self.assertEqual(("10", "EXT-1"), (self.landed("status", first), self.landed("externalid", first)))
        self.assertEqual("0", self.database.one("SELECT count(*) FROM glpi.ticket WHERE validation_percent IS NOT NULL"))
        result = self.worker("check", expect=COMPLETE)
        self.assertIn("validation_percent", result.text)
        self.set_source(url=f"{self.sim.url}/glpi/api.php/v1")
        self.sim.change(burst("Ticket", 9, impact=2))
        self.load("tickets")
        self.assert_copies(*TICKETS)

    def test_an_upgrade_between_two_runs(self):
        self.load("tickets")
        self.sim.do(fault("glpi11"))
        self.sim.change(burst("Ticket", 9, impact=2), update("Ticket", self.ids()[4], name="&lt;b&gt;"))
        self.load("tickets")
        self.load("tickets", "--mode", "full")
        self.assert_copies(*TICKETS)

    def test_texts_of_older_data_are_decoded_once(self):
        self.sim.do(fault("encoding_95"))
        self.sim.change(update("Ticket", self.ids()[0], name="<i>x</i> & &amp; &lt;y&gt;"))
        self.load("tickets", "directory")
        self.assert_copies(*ITEMTYPES)
        self.assertEqual("<i>x</i> & &amp; &lt;y&gt;", self.landed("name", self.ids()[0]))

    def test_oddities_that_change_nothing(self):
        for kind, options in (("no_app_token", {}), ("gzip_answers", {}), ("delay", {"seconds": 0.01})):
            with self.subTest(kind=kind):
                self.sim.do(fault(kind, **options))
                self.sim.change(burst("Ticket", 20, urgency=3))
                self.load("tickets", "--mode", "full")
                self.assert_copies(*TICKETS)
                self.sim.do(control.clear_faults())


class Restricted(GlpiTest):
    """An account of one branch of entities: child lists show everything, totals count too much."""

    tickets = 200
    account = "foz-limited"

    def setUp(self):
        super().setUp()
        self.env["FOZ_TEST_TOKEN"] = "foz-glpi-limited"

    def assert_sees(self, *tasks):
        self.assert_copies(*(tasks or TICKETS), account=self.account)

    def test_children_of_tickets_out_of_sight_do_not_land_and_are_counted(self):
        for page_size in (1000, 20):
            with self.subTest(page_size=page_size):
                self.set_source(page_size=page_size)
                self.load("tickets", "--mode", "full")
                self.assert_sees()
                self.assert_ledger()
                tasks = self.last_tasks()
                for task, itemtype in (("ticket_user", "Ticket_User"), ("group_ticket", "Group_Ticket"), ("ticket_task", "TicketTask")):
                    self.assertEqual(len(self.source_rows(itemtype)) - self.count(task), tasks[task]["records_foreign"], task)
                    self.assertGreater(tasks[task]["records_foreign"], 0)
                self.assertEqual("success", self.database.last_execution()["status"])

    def test_increments_and_reconciliation_stay_within_sight(self):
        self.load("tickets")
        seen = [row["id"] for row in self.truth("ticket", account=self.account) if not row["is_deleted"]]
        unseen = [identity for identity in self.ids() if identity not in set(seen)]
        self.sim.change(update("Ticket", seen[0], urgency=5), update("Ticket", unseen[0], urgency=5), add_actor(seen[1], users_id=9),
                        add_actor(unseen[1], users_id=9), purge("Ticket", unseen[3]))
        self.load("tickets")
        self.assert_sees()
        self.sim.change(purge("Ticket", seen[2]))
        self.load("tickets", "--mode", "reconcile")
        self.assert_sees()

    def test_a_ticket_that_moves_out_of_sight_and_back_is_not_lost_on_the_way(self):
        self.load("tickets")
        ticket = next(row for row in self.truth("ticket", account=self.account) if not row["is_deleted"])
        self.sim.change(update("Ticket", ticket["id"], entities_id=1))
        self.load("tickets")
        result = self.load("tickets", "--mode", "reconcile", expect=None)
        self.assertIn(result.code, (0, 3))  # hidden is not gone
        self.assertEqual("1", self.database.one(f"SELECT count(*) FROM glpi.ticket WHERE id = {ticket['id']}"))
        self.sim.change(update("Ticket", ticket["id"], entities_id=ticket["entities_id"]))
        self.load("tickets", "--mode", "reconcile")
        self.assert_sees()


if __name__ == "__main__":
    unittest.main()
