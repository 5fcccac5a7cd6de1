"""foz-sim behaves like the ServiceNow of the reference: accounts, tokens, sessions."""

import time
import unittest
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

from sim_servicenow import BASIC, SimTest


class Accounts(SimTest):
    FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}

    def token(self, **form):
        given = {"client_id": "foz-client", "client_secret": "foz-client-secret", **form}
        return self.sim.request("POST", "/servicenow/oauth_token.do", self.FORM, urllib.parse.urlencode(given))

    def get(self, headers):
        return self.sim.request("GET", "/servicenow/api/now/table/incident?sysparm_limit=1", {"Accept": "application/json", **headers}).status

    def test_basic_and_api_key(self):
        self.assertEqual(200, self.get({"Authorization": BASIC}))
        self.assertEqual(200, self.get({"x-sn-apikey": "foz-api-key"}))
        self.assertEqual(401, self.get({"x-sn-apikey": "wrong"}))
        self.assertEqual(401, self.get({"Authorization": "Basic Zm96OndlYWs="}))

    def test_tokens(self):
        answer = self.token(grant_type="password", username="foz", password="foz-secret").json()
        self.assertEqual({"scope", "token_type", "expires_in", "refresh_token", "access_token"}, set(answer))
        self.assertEqual(200, self.get({"Authorization": "Bearer " + answer["access_token"]}))
        again = self.token(grant_type="password", username="foz", password="foz-secret").json()
        self.assertEqual(answer["access_token"], again["access_token"])
        self.sim.fault("expire_tokens", count=1)
        self.assertEqual(401, self.get({"Authorization": "Bearer " + answer["access_token"]}))
        fresh = self.token(grant_type="refresh_token", refresh_token=answer["refresh_token"]).json()
        self.assertNotEqual(answer["access_token"], fresh["access_token"])
        self.assertEqual(200, self.get({"Authorization": "Bearer " + fresh["access_token"]}))
        self.assertNotIn("refresh_token", self.token(grant_type="client_credentials").json())

    def test_refusals_all_look_the_same(self):
        denied = {"error_description": "access_denied", "error": "server_error"}
        query = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": "foz-client", "client_secret": "foz-client-secret"})
        for answer in (self.token(grant_type="password", username="foz", password="wrong"),
                       self.token(grant_type="client_credentials", client_secret="wrong"),
                       self.token(grant_type="refresh_token", refresh_token="wrong"),
                       self.sim.request("POST", "/servicenow/oauth_token.do?" + query, self.FORM, "")):
            self.assertEqual((401, denied), (answer.status, answer.json()))
        self.sim.fault("oauth_refuse", count=1)
        self.assertEqual(401, self.token(grant_type="client_credentials").status)

    def test_a_short_life(self):
        self.sim.fault("oauth_short_life", seconds=1)
        token = self.token(grant_type="client_credentials").json()
        self.assertLessEqual(token["expires_in"], 1)
        deadline = time.monotonic() + 20
        while self.get({"Authorization": "Bearer " + token["access_token"]}) != 401:
            self.assertLess(time.monotonic(), deadline)

    def test_one_request_at_a_time_in_one_session(self):
        self.sim.fault("delay", seconds=0.1)
        self.sim.fault("semaphores", value="1/2")
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: self.sim.table("task_sla", query="task.sys_class_name=incident^ORDERBYpercentage", limit=1).status, range(8)))
        self.assertLessEqual(set(found), {200, 429})
        self.sim.control({"clear_faults": True})
        with ThreadPoolExecutor(24) as pool:
            found = list(pool.map(lambda _: self.sim.api("v2/table/task_sla", {"Cookie": "JSESSIONID=SHARED"}, limit=1, query="task.sys_class_name=incident^ORDERBYpercentage").status, range(24)))
        self.assertLessEqual(set(found), {200, 202})
        self.assertGreater(self.sim.state()["in_flight_max"], 4)


if __name__ == "__main__":
    unittest.main()
