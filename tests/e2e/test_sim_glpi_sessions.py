"""foz-sim behaves like the GLPI of the reference: sessions, accounts, rights."""

import base64
import unittest
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import foz
from sim_glpi import Client, GlpiTest, glpi


class Sessions(GlpiTest):
    def open_sessions(self):
        return self.sim.state()["glpi"]["sessions"]

    def test_sessions_are_counted_and_closed(self):
        before = self.open_sessions()
        other = Client(self.sim)
        self.assertEqual(before + 1, self.open_sessions())
        self.assertRegex(other.headers["Session-Token"], r"^[0-9a-f]{26}$")
        self.assertIs(True, other.get("killSession").json())
        self.assertEqual(before, self.open_sessions())
        self.assertEqual(401, other.get("Ticket").status)

    def test_basic_credentials_log_in(self):
        pair = base64.b64encode(b"foz:foz-secret").decode()
        answer = foz.http("GET", self.sim.url + "/glpi/apirest.php/initSession", None,
                          {"App-Token": "foz-app-token", "Authorization": "Basic " + pair})
        self.assertEqual(200, answer.status)

    def test_the_app_token_is_needed_unless_switched_off(self):
        self.client.headers.pop("App-Token")
        self.assertEqual("ERROR_APP_TOKEN_PARAMETERS_MISSING", self.client.get("Ticket").json()[0])
        self.fault("no_app_token")
        self.assertEqual(206, self.client.get("Ticket").status)

    def test_a_new_session_sees_only_its_default_entity(self):
        fresh = Client(self.sim, whole=False)
        self.assertEqual({0}, {row["entities_id"] for row in fresh.walk("Ticket")})
        self.assertEqual([{"id": 0}], fresh.get("getActiveEntities").json()["active_entity"]["active_entities"])

    def test_changing_entities_has_its_traps(self):
        limited = Client(self.sim, "foz-glpi-limited")
        self.assertIs(False, limited.post("changeActiveEntities", {"entities_id": "all", "is_recursive": True}).json())
        refused = limited.post("changeActiveEntities", {"is_recursive": 1})
        self.assertEqual((400, "ERROR"), (refused.status, refused.json()[0]))
        self.assertIs(True, limited.post("changeActiveEntities", {"entities_id": 9, "is_recursive": False}).json())
        self.assertEqual({9}, {row["entities_id"] for row in limited.walk("Ticket")})
        self.fault("change_entities_false")
        self.assertIs(False, limited.post("changeActiveEntities", {"is_recursive": True}).json())

    def test_full_session_tells_time_and_zone(self):
        self.assertNotIn("glpi_tz", self.client.get("getFullSession").json()["session"])
        self.fault("user_time_zone", value="America/Sao_Paulo")
        answer = self.client.get("getFullSession")
        session = answer.json()["session"]
        self.assertEqual("America/Sao_Paulo", session["glpi_tz"])
        there = datetime.strptime(session["glpi_currenttime"], "%Y-%m-%d %H:%M:%S")
        self.assertEqual(timedelta(hours=-3), there - parsedate_to_datetime(answer.headers["Date"]).replace(tzinfo=None))

    def test_the_health_probe_needs_no_session(self):
        answer = foz.http("GET", self.sim.url + "/glpi/status.php")
        self.assertEqual("OK", answer.json()["glpi"]["status"])

    def test_expired_sessions_answer_401(self):
        self.change(glpi("expire_sessions"))
        self.assertEqual((401, "ERROR_SESSION_TOKEN_INVALID"), (self.client.get("Ticket").status, self.client.get("Ticket").json()[0]))


class Rights(GlpiTest):
    def test_a_limited_account_sees_its_tickets_but_all_children(self):
        limited = Client(self.sim, "foz-glpi-limited")
        tickets = {row["id"] for row in limited.walk("Ticket")} | {row["id"] for row in limited.walk("Ticket", is_deleted="true")}
        visible = {row["id"] for row in self.truth("Ticket", account="foz-limited")}
        self.assertEqual(visible, tickets)
        self.assertTrue(0 < len(tickets) < self.tickets / 2)
        for table in ("Ticket_User", "Group_Ticket", "TicketTask", "ITILSolution", "Log"):
            self.assertEqual(len(self.truth(table)), limited.total(table), table)
        followups = {row["items_id"] for row in limited.walk("ITILFollowup")}
        self.assertTrue(followups and followups <= tickets)

    def test_hidden_is_403_and_purged_is_404(self):
        limited = Client(self.sim, "foz-glpi-limited")
        hidden = next(row["id"] for row in self.truth("Ticket") if row["entities_id"] == 0)
        self.assertEqual((403, "ERROR_RIGHT_MISSING"), (limited.get(f"Ticket/{hidden}").status, limited.get(f"Ticket/{hidden}").json()[0]))
        self.change(glpi("purge", table="Ticket", id=hidden))
        self.assertEqual(404, limited.get(f"Ticket/{hidden}").status)
        self.assertEqual(404, limited.get(f"Ticket/{hidden}/Log").status)

    def test_the_total_of_a_limited_account_counts_a_row_twice(self):
        limited = Client(self.sim, "foz-glpi-limited")
        self.assertEqual(len(limited.walk("Ticket")) + 1, limited.total("Ticket"))

    def test_rights_can_shrink_while_logged_in(self):
        before = self.client.total("Ticket")
        self.change(glpi("rights", account="foz", entity=1, recursive=True))
        self.assertLess(self.client.total("Ticket"), before)
        self.assertEqual(403, Client(self.sim, "foz-glpi-limited").get("TicketValidation").status)


if __name__ == "__main__":
    unittest.main()
