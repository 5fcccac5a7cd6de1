"""Who may ask foz-api what: every route against every kind of credential, good and bad.

Keys are made at run time; the places that vouch for callers are small services on loopback ports.
"""

import base64
import hmac
import json
import os
import re
import threading
import time
import unittest

import foz
import identity
from api_case import ALL_SCOPES, ApiCase as BaseCase

ISSUER = "https://id.acme.example"
SECRET = "a shared secret of more than thirty-two bytes"
ROUTES = (  # method, path, scope, status when let in
    ("POST", "/load-incidents/", "dash.admin", 200),
    ("POST", "/load-configurations", "dash.admin", 200),
    ("POST", "/v1/loads/incidents", "dash.admin", 202),
    ("POST", "/v1/executions/{id}/cancel", "dash.admin", 200),
    ("GET", "/v1/loads", "dash.observability", 200),
    ("GET", "/v1/executions", "dash.observability", 200),
    ("GET", "/v1/executions/{id}", "dash.observability", 200),
    ("GET", "/v1/system/health", "dash.observability", 200),
    ("GET", "/v1/system/usage", "dash.observability", 200),
    ("GET", "/v1/tickets", "dash.read", 200),
    ("GET", "/v1/tickets/overview", "dash.read", 200),
    ("GET", "/v1/tickets/metrics?group_by=priority", "dash.read", 200),
    ("GET", "/v1/tickets/snow:{id}", "dash.read", 404),
    ("GET", "/v1/tickets/snow:{id}/timeline", "dash.read", 404),
    ("GET", "/v1/technicians/ranking", "dash.read", 200),
    ("GET", "/v1/technicians/{id}/productivity", "dash.read", 404),
    ("GET", "/v1/sla/breaches", "dash.read", 200),
)
OPEN_ROUTES = ("/", "/health", "/healthz", "/openapi.json")
PAT = "p" * 52
JANE, JANE_ID = identity.basic(PAT), "22157d54-1821-6536-a446-928b06348385"
OWN = identity.basic("own-token")


class AuthCase(BaseCase):
    """A service that takes keys, tokens by URL and secret, and Azure DevOps credentials."""

    jwt = {}
    azure = {}

    @classmethod
    def setUpClass(cls):
        os.environ["FOZ_TEST_JWT_SECRET"] = SECRET
        os.environ["FOZ_TEST_PAT"] = "own-token"
        os.environ["FOZ_TEST_PASSWORD"] = "unused"
        super().setUpClass()

    @classmethod
    def write_config(cls, database=None, **api):
        if not hasattr(cls, "rsa"):
            cls.rsa, cls.ec = identity.Key(cls.folder, "r1"), identity.Key(cls.folder, "e1", "EC")
            cls.keys = cls.enterClassContext(identity.KeyService([cls.rsa, cls.ec]))
            cls.organisation = cls.enterClassContext(identity.Organisation())
            cls.organisation.people[OWN] = identity.connection_data("00000000-0000-0000-0000-0000000000f0", "foz@acme.com")
            cls.organisation.people[JANE] = identity.connection_data(JANE_ID, "jane@acme.com")
        config = {
            "database": {"url": database or cls.url},
            "sources": {
                "snow": {"type": "servicenow", "url": "http://127.0.0.1:9",
                         "auth": {"method": "basic", "username": "foz", "password": "env:FOZ_TEST_PASSWORD"}},
                "devops": {"type": "azure_devops", "url": cls.organisation.url + "/acme",
                           "auth": {"method": "pat", "token": "env:FOZ_TEST_PAT"}}},
            "api": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", **cls.api_config, "auth": {
                "jwt": {"issuer": ISSUER, "audience": "foz", "jwks_url": cls.keys.url + "/jwks", "jwks_cooldown": "1s",
                        "hs256_secret": "env:FOZ_TEST_JWT_SECRET", **cls.jwt},
                "azure_devops": {"source": "devops", "scopes": ["dash.read", "dash.observability"], **cls.azure}}, **api},
        }
        with open(cls.config_path, "w", encoding="utf-8") as out:
            json.dump(config, out)

    def claims(self, scope="dash.admin dash.observability dash.read", **more):
        now = int(time.time())
        return {"iss": ISSUER, "aud": "foz", "sub": "alice", "iat": now, "exp": now + 600, "scope": scope, **more}

    def bearer(self, token):
        return {"Authorization": "Bearer " + token}

    def hs256(self, claims, secret=SECRET.encode(), **head):
        text = identity.segment({"alg": "HS256", **head}) + "." + identity.segment(claims)
        return text + "." + identity.b64(hmac.digest(secret, text.encode(), "sha256"))

    def look(self, headers, path="/v1/executions"):
        return self.get(path, key=None, headers=headers)

    def assert_refused(self, headers, description=None):
        answer = self.look(headers)
        self.assert_problem(answer, 401, "invalid_token" if description else "unauthorized")
        challenge = answer.headers["WWW-Authenticate"]
        self.assertRegex(challenge, r'^Bearer realm="foz"')
        self.assertIn("ApiKey", challenge)
        if description:
            self.assertIn(f'error="invalid_token", error_description="{description}"', challenge)
        return answer


class Routes(AuthCase):
    def credentials(self):
        """name -> (headers, the scopes they give; None for "not let in")."""
        now = int(time.time())
        reading = self.create_key(f"r{time.monotonic_ns()}", ["dash.read"])
        good, read = self.rsa.sign(self.claims()), self.rsa.sign(self.claims("dash.read openid"))
        return {
            "none": ({}, None),
            "good key": ({"X-API-Key": self.key}, ALL_SCOPES),
            "wrong key": ({"X-API-Key": "foz_" + "A" * 40}, None),
            "reading key": ({"X-API-Key": reading}, ("dash.read",)),
            "RS256 token": (self.bearer(good), ALL_SCOPES),
            "ES256 token": (self.bearer(self.ec.sign(self.claims())), ALL_SCOPES),
            "HS256 token": (self.bearer(self.hs256(self.claims())), ALL_SCOPES),
            "wrong token": (self.bearer(good[:-4] + "AAAA"), None),
            "expired token": (self.bearer(self.rsa.sign(self.claims(exp=now - 120))), None),
            "future token": (self.bearer(self.rsa.sign(self.claims(nbf=now + 300))), None),
            "reading token": (self.bearer(read), ("dash.read",)),
            "wrong PAT": ({"Authorization": identity.basic("q" * 52)}, None),
            "PAT": ({"Authorization": JANE}, ("dash.read", "dash.observability")),
        }

    def check(self, method, path, scope, expected, headers):
        before = self.queued()
        answer = self.ask(method, path, key=None, headers=headers)
        self.assertEqual(answer.status, expected, answer)
        if expected in (401, 403):
            self.assertEqual(self.queued(), before)
            self.assertIn("WWW-Authenticate", answer.headers)
        if expected == 403:
            self.assert_problem(answer, 403, "scope_missing", scope)
            self.assertIn(f'error="insufficient_scope", scope="{scope}"', answer.headers["WWW-Authenticate"])

    def test_every_route_with_every_credential(self):
        for name, (headers, scopes) in self.credentials().items():
            for method, path, scope, good in ROUTES:
                with self.subTest(credential=name, route=path):
                    number = self.sql("INSERT INTO ops.execution_log (load, mode, trigger, requested_by, status) VALUES "
                                      "('configurations', 'full', 'cli', 'x', 'queued') RETURNING id").split()[0]
                    expected = 401 if scopes is None else good if scope in scopes else 403
                    self.check(method, path.replace("{id}", number), scope, expected, headers)
                    if expected in (401, 403):
                        self.assertEqual(self.sql(f"SELECT status FROM ops.execution_log WHERE id = {number}"), "queued")

    def test_the_table_above_has_every_route_that_asks_for_a_scope(self):
        document = self.get("/openapi.json", key=None).json()
        listed = {(method.upper(), path) for path, operations in document["paths"].items()
                  for method, operation in operations.items() if operation["security"]}
        known = {(method, re.sub(r"/load-\w+/?", "/load-{load}/", path.split("?")[0]).replace("/loads/incidents", "/loads/{load}")
                  .replace("snow:", "")) for method, path, _, _ in ROUTES}
        self.assertEqual(listed, known)

    def test_open_routes_ask_nobody_even_with_a_bad_credential(self):
        for path in OPEN_ROUTES:
            for headers in ({}, self.bearer("x.y.z"), {"X-API-Key": "foz_no"}):
                self.assertEqual(self.look(headers, path).status, 200)

    def test_scopes_do_not_imply_each_other(self):
        for scope in ALL_SCOPES:
            headers = self.bearer(self.hs256(self.claims(scope)))
            for method, path, wanted, _ in ROUTES[:1] + ROUTES[5:6]:
                answer = self.ask(method, path, key=None, headers=headers)
                self.assertEqual(answer.status == 403, wanted != scope, (scope, path, answer))


class Tokens(AuthCase):
    def test_algorithms_cannot_be_confused(self):
        good = self.rsa.sign(self.claims())
        head, body, signature = good.split(".")
        pem = self.rsa.public_pem()
        for token, why in (
                (identity.segment({"alg": "none"}) + "." + body + ".", "the token is malformed"),
                (identity.segment({"alg": "none"}) + "." + body + "." + signature, "the token is malformed"),
                (identity.segment({"alg": "NONE", "kid": "r1"}) + "." + body + "." + signature, "the token is malformed"),
                (self.hs256(self.claims(), pem, kid="r1"), "the token is not accepted"),
                (self.hs256(self.claims(), pem.strip(), kid="r1"), "the token is not accepted"),
                (self.hs256(self.claims(), json.dumps(self.rsa.jwk()).encode(), kid="r1"), "the token is not accepted"),
                (self.hs256(self.claims(), b""), "the token is not accepted"),
                (self.rsa.sign(self.claims(), alg="ES256"), "the token is not accepted"),
                (self.rsa.sign(self.claims(), alg="HS256"), "the token is not accepted"),
                (self.ec.sign(self.claims(), alg="RS256"), "the token is not accepted"),
                (self.rsa.sign(self.claims(), alg="RS384"), "the token is malformed"),
                (self.rsa.sign(self.claims(), crit=["exp"]), "the token is malformed"),
                (good + ".", "the token is malformed"), (good + "." + signature, "the token is malformed"),
                (head + "." + body, "the token is malformed"), (head + "=." + body + "." + signature, None)):
            self.assert_refused(self.bearer(token), why)
        self.assertEqual(self.look(self.bearer(good)).status, 200)

    def test_claims_are_checked(self):
        now = int(time.time())
        refused, expired = "the token is not accepted", "the token has expired"
        for more, why in (({"exp": now - 31}, expired), ({"exp": None}, "the token is malformed"), ({"nbf": now + 300}, refused),
                          ({"iat": now + 300}, refused), ({"aud": "other"}, refused), ({"aud": ["a", "b"]}, refused),
                          ({"aud": {"foz": 1}}, "the token is malformed"), ({"iss": ISSUER + "/"}, refused),
                          ({"sub": ""}, "the token is malformed")):
            self.assert_refused(self.bearer(self.hs256(self.claims(**more))), why)
        for more in ({"aud": ["x", "foz"]}, {"exp": now - 5}, {"nbf": now + 5}, {"scope": "", "scp": ["dash.observability"]},
                     {"scope": "", "scp": "openid dash.observability"}):
            self.assertEqual(self.look(self.bearer(self.hs256(self.claims(**more)))).status, 200, more)
        text = json.dumps(self.claims())[:-1] + ', "sub": "root"}'
        signed = identity.segment({"alg": "HS256"}) + "." + identity.b64(text.encode())
        signed += "." + identity.b64(hmac.digest(SECRET.encode(), signed.encode(), "sha256"))
        self.assert_refused(self.bearer(signed), "the token is malformed")

    def test_a_token_needs_no_subject_and_is_recorded_by_the_name_it_has(self):
        for names, shown in (({"client_id": "etl", "azp": "web"}, "jwt:etl"), ({"azp": "web", "appid": "a1"}, "jwt:web"),
                             ({"appid": "a1"}, "jwt:a1"), ({}, f"jwt:{ISSUER}")):
            claims = {name: value for name, value in self.claims(**names).items() if name != "sub"}
            for sign in (self.rsa.sign, self.ec.sign, self.hs256):
                self.assertEqual(self.look(self.bearer(sign(claims))).status, 200, names)
            self.sql("TRUNCATE ops.execution_log RESTART IDENTITY CASCADE")
            self.assertEqual(self.post("/load-incidents/", key=None, headers=self.bearer(self.rsa.sign(claims))).status, 200)
            self.assertEqual(self.sql("SELECT requested_by FROM ops.execution_log"), shown)
            self.assert_refused(self.bearer(self.hs256({**claims, "aud": "other"})), "the token is not accepted")
            self.assert_refused(self.bearer(self.hs256({**claims, "exp": 1})), "the token has expired")

    def test_oversized_and_odd_headers_are_refused(self):
        self.assertEqual(self.look(self.bearer(self.hs256(self.claims(x="y" * 5500)))).status, 200)
        self.assert_refused(self.bearer(self.hs256(self.claims(x="y" * 6500))))
        for value in ("Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Digest x", "Bearer " + "a" * 9000, "Basic !!!",
                      "Basic " + base64.b64encode(b"jane:secret").decode()):
            self.assert_refused({"Authorization": value})
        self.assert_refused({"Authorization": "Bearer " + self.key})
        self.assert_refused({"Authorization": identity.basic(self.key)})
        self.assert_refused({"Authorization": "Bearer " + self.hs256(self.claims()), "X-API-Key": self.key})
        self.assertEqual([path for path, headers in self.organisation.requests if self.key in str(headers)], [])

    def test_a_token_of_our_issuer_never_leaves_for_azure(self):
        before = len(self.organisation.requests)
        for token in (self.rsa.sign(self.claims())[:-4] + "AAAA", self.hs256(self.claims(exp=1)), "a.b.c"):
            self.look(self.bearer(token))
        self.assertEqual(len(self.organisation.requests), before)

    def test_who_asked_is_recorded_and_no_token_is(self):
        token = self.rsa.sign(self.claims(sub="alice"))
        self.assertEqual(self.post("/load-incidents/", key=None, headers=self.bearer(token)).status, 200)
        self.assertEqual(self.post("/load-configurations/").status, 200)
        self.assertEqual(self.rows("SELECT requested_by FROM ops.execution_log ORDER BY id"), [("jwt:alice",), ("key:tests",)])
        bad = self.rsa.sign(self.claims(exp=1))
        answer = self.assert_refused(self.bearer(bad), "the token has expired")
        trace = answer.json()["trace_id"]
        lines = foz.wait_until(lambda: [line for line in self.program.err().splitlines() if trace in line], "it is logged")
        self.assertEqual(len(lines), 1)
        self.assertEqual({name: json.loads(lines[0])[name] for name in ("status", "code", "reason", "path")},
                         {"status": 401, "code": "invalid_token", "reason": "exp has passed; kid r1", "path": "/v1/executions"})
        for secret in (token, bad, token.split(".")[2], bad.split(".")[1], SECRET, self.key):
            self.assertNotIn(secret, self.program.err())

    def test_a_token_is_refused_once_it_has_expired_although_it_was_remembered(self):
        claims = self.claims(exp=int(time.time()) - 27)  # three more seconds of grace
        token = self.bearer(self.hs256(claims))
        self.assertEqual(self.look(token).status, 200)
        foz.wait_until(lambda: self.look(token).status == 401, "it is refused", 10)


class Rotation(AuthCase):
    def setUp(self):
        super().setUp()
        self.keys.keys, self.keys.broken = [self.rsa, self.ec], None
        self.keys.gate.set()
        foz.wait_until(lambda: self.look(self.bearer(self.rsa.sign(self.claims()))).status == 200, "the keys are these")

    def settle(self):
        """Behind the cooldown."""
        time.sleep(1.1)

    def test_a_new_key_is_fetched_when_a_token_names_it_and_an_old_one_dies(self):
        new = identity.Key(self.folder, "r2")
        old_token, token = self.bearer(self.rsa.sign(self.claims())), self.bearer(new.sign(self.claims()))
        self.assertEqual(self.look(old_token).status, 200)
        self.settle()
        self.keys.keys = [new, self.ec]
        self.assertEqual(self.look(token).status, 200)
        self.assert_refused(old_token, "the token is not accepted")

    def test_many_tokens_with_unknown_keys_cause_few_fetches(self):
        tokens = [self.bearer(self.ec.sign(self.claims(), kid=f"guess{i}")) for i in range(20)]
        self.settle()  # keys that could not be read a moment ago have been by now,
        self.settle()  # and this is behind the cooldown of that
        before, started = len(self.keys.requests), time.monotonic()
        self.keys.gate.clear()
        answers = []
        threads = [threading.Thread(target=lambda t=token: answers.append(self.look(t).status)) for token in tokens]
        for thread in threads:
            thread.start()
        foz.wait_until(lambda: len(self.keys.requests) > before, "keys are asked for")
        time.sleep(0.2)
        self.keys.gate.set()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [401] * 20)
        self.assertLessEqual(len(self.keys.requests) - before, 2 + int(time.monotonic() - started))

    def test_garbage_and_outages_leave_the_last_good_keys(self):
        good = self.bearer(self.rsa.sign(self.claims()))
        for broken in ((200, b"<html>"), (500, b"{}"), (302, b""), (200, b'{"keys":[]}'), (200, b"{" + b" " * 300000 + b"}")):
            self.keys.broken = broken
            self.settle()
            self.assert_refused(self.bearer(self.rsa.sign(self.claims(), kid="other")), "the token is not accepted")
            self.assertEqual(self.look(good).status, 200)

    def test_without_any_keys_ever_the_answer_is_503(self):
        self.keys.broken = (500, b"")
        self.stop_service()
        self.start_service()
        answer = self.look(self.bearer(self.rsa.sign(self.claims())))
        self.assert_problem(answer, 503, "keys_unavailable")
        self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
        self.assertEqual(self.look(self.bearer(self.hs256(self.claims()))).status, 200)
        self.keys.broken = None
        foz.wait_until(lambda: self.look(self.bearer(self.rsa.sign(self.claims()))).status == 200, "keys arrive")


class Azure(AuthCase):
    azure = {"cache": "2s"}

    def setUp(self):
        super().setUp()
        self.organisation.outage = None
        self.organisation.gate.set()

    def person(self, token, **more):
        header = identity.basic(token)
        self.organisation.people[header] = identity.connection_data(JANE_ID, "jane@acme.com", **more)
        return {"Authorization": header}

    def test_a_pat_of_the_organisation_is_let_in_with_the_configured_scopes(self):
        headers = self.person("let-in" * 8)
        self.assertEqual(self.look(headers).status, 200)
        self.assert_problem(self.post("/load-incidents/", key=None, headers=headers), 403, "scope_missing",
                            "azure:jane@acme.com", "dash.admin")
        path, sent = self.organisation.requests[-1]
        self.assertEqual(path, "/acme/_apis/connectionData?api-version=7.1-preview.1")
        self.assertEqual(sent["X-TFS-FedAuthRedirect"], "Suppress")
        self.assertEqual([sent for _, sent in self.organisation.requests if "Cookie" in sent], [])

    def test_an_opaque_or_foreign_bearer_is_asked_about(self):
        foreign = self.rsa.sign({"iss": "https://sts.windows.net/x/", "aud": "499b84ac-1321-427f-aa17-267ca6975798", "sub": "s"})
        for token in ("opaque-token-" + "x" * 20, foreign):
            self.assert_refused(self.bearer(token + "no"), "the token is not accepted")
            self.organisation.people["Bearer " + token] = identity.connection_data(JANE_ID, "jane@acme.com")
            self.assertEqual(self.look(self.bearer(token)).status, 200)

    def test_who_is_not_of_the_organisation_is_refused(self):
        cases = {
            "other": identity.connection_data(JANE_ID, "jane@acme.com", organisation="3" + identity.ORGANISATION[1:]),
            "inactive": identity.connection_data(JANE_ID, "jane@acme.com", active=False),
            "anonymous": identity.connection_data(identity.ANONYMOUS, ""),
            "redirect": lambda handler: handler.reply(302, b"", "text/html", Location=self.organisation.url + "/signin"),
            "page": lambda handler: handler.reply(200, b"<html>", "text/html"),
            "page203": lambda handler: handler.reply(203, identity.connection_data(JANE_ID, "x")),
            "denied": lambda handler: handler.reply(401, b"", "text/plain"),
            "forbidden": lambda handler: handler.reply(403, {"message": "no rights"}),
        }
        for name, person in cases.items():
            with self.subTest(name):
                header = identity.basic("token-" + name)
                self.organisation.people[header] = person
                self.assert_refused({"Authorization": header}, "the token is not accepted")

    def test_verdicts_are_kept_for_a_while_and_then_asked_again(self):
        headers = self.person("kept" * 13)
        bad = {"Authorization": identity.basic("bad" * 17)}
        started = time.monotonic()
        for _ in range(5):
            self.assertEqual(self.look(headers).status, 200)
            self.assert_refused(bad, "the token is not accepted")
        rounds = 1 + int((time.monotonic() - started) / 2)
        self.assertLessEqual(self.organisation.asked(headers["Authorization"]), rounds)
        self.assertLessEqual(self.organisation.asked(bad["Authorization"]), rounds)
        del self.organisation.people[headers["Authorization"]]
        foz.wait_until(lambda: self.look(headers).status == 401, "the revoked PAT is refused", 10)

    def test_many_requests_with_one_credential_ask_once(self):
        headers = self.person("single" * 8)
        self.look({"Authorization": JANE})
        self.organisation.gate.clear()
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.look(headers).status)) for _ in range(30)]
        for thread in threads:
            thread.start()
        foz.wait_until(lambda: self.organisation.asked(headers["Authorization"]) > 0, "it is asked")
        time.sleep(0.3)
        self.assertEqual(self.get("/v1/executions").status, 200)  # nobody else is held up
        self.organisation.gate.set()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [200] * 30)
        self.assertEqual(self.organisation.asked(headers["Authorization"]), 1)

    def test_an_outage_is_503_and_never_a_yes(self):
        headers = self.person("outage" * 8)
        self.assertEqual(self.look(headers).status, 200)
        for status, extra, retry in ((500, {}, 1), (503, {"Retry_After": "2"}, 1), (429, {"Retry_After": "7"}, 7)):
            time.sleep(2.2)  # what was known has run out, and so has the silence
            self.organisation.outage = (status, extra)
            answer = foz.wait_until(lambda: (lambda a: a if a.status == 503 else None)(self.look(headers)), "503", 5)
            self.assert_problem(answer, 503, "azure_devops_unavailable")
            self.assertGreaterEqual(int(answer.headers["Retry-After"]), retry)
            self.assertEqual(self.get("/v1/executions").status, 200)
        self.organisation.outage = None
        foz.wait_until(lambda: self.look(headers).status == 200, "it is let in again", 10)

    def test_a_slow_organisation_costs_a_deadline_and_a_flood_is_turned_away(self):
        self.look({"Authorization": JANE})
        self.organisation.gate.clear()
        started = time.monotonic()
        answers = []
        threads = [threading.Thread(target=lambda i=i: answers.append(
            self.look({"Authorization": identity.basic(f"flood-{i}")}).status)) for i in range(100)]
        for thread in threads:
            thread.start()
        self.assertEqual(self.get("/v1/executions").status, 200)
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [503] * 100)
        self.assertLess(time.monotonic() - started, 15)
        self.organisation.gate.set()
        foz.wait_until(lambda: self.look({"Authorization": JANE}).status == 200, "it recovers", 20)

    def test_an_organisation_that_refuses_our_own_credential_is_503(self):
        own = self.organisation.people.pop(OWN)
        self.addCleanup(self.organisation.people.__setitem__, OWN, own)
        self.stop_service()
        self.start_service()
        self.assert_problem(self.look({"Authorization": JANE}), 503, "azure_devops_unavailable")
        self.organisation.people[OWN] = own
        foz.wait_until(lambda: self.look({"Authorization": JANE}).status == 200, "it is learnt", 10)

    def test_stopping_does_not_wait_for_the_organisation(self):
        headers = self.person("stop" * 13)
        self.look({"Authorization": JANE})
        self.organisation.gate.clear()
        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.look(headers).status))
        thread.start()
        foz.wait_until(lambda: self.organisation.asked(headers["Authorization"]) > 0, "it is asked")
        self.stop_service()
        thread.join()
        self.assertEqual(answers, [503])
        self.organisation.gate.set()
        self.start_service()


class Limits(AuthCase):
    api_config = {"rate_limit": {"per_minute": 1, "burst": 3}}

    def nameless(self):
        return {name: value for name, value in self.claims().items() if name != "sub"}

    def test_each_subject_and_person_has_one_allowance_whatever_the_credential(self):
        for make in (lambda i: self.bearer(self.hs256(self.claims(sub="bob", jti=str(i)))),
                     lambda i: self.bearer(self.hs256(self.claims(sub="carol", jti=str(i)))),
                     lambda i: self.bearer(self.hs256({**self.nameless(), "client_id": "etl", "azp": f"web{i}"})),
                     lambda i: self.bearer(self.hs256({**self.nameless(), "jti": str(i)}))):
            self.assertEqual([self.look(make(i)).status for i in range(4)], [200, 200, 200, 429])
        other = identity.basic("second-pat-of-jane")
        self.organisation.people[other] = identity.connection_data(JANE_ID, "jane.doe@acme.com")
        statuses = [self.look({"Authorization": header}).status for header in (JANE, other, JANE, other)]
        self.assertEqual(statuses, [200, 200, 200, 429])


class Configuration(unittest.TestCase):
    def test_bad_settings_end_the_start_with_78(self):
        import subprocess
        import tempfile
        with tempfile.TemporaryDirectory(prefix="foz-api-", dir="/tmp") as folder:
            path, short = os.path.join(folder, "foz.yaml"), os.path.join(folder, "short")
            with open(short, "w", encoding="utf-8") as out:
                out.write("too short")
            for jwt, word in (({"jwks_file": "/nonexistent"}, "jwks_file"), ({"hs256_secret": "file:" + short}, "HS256 needs 32"),
                              ({"jwks_url": "http://id.acme.example/keys"}, "https://"),
                              ({"jwks_url": "https://id/keys", "jwks_file": "/x"}, "both"), ({}, "no key"),
                              ({"hs256_secret": "literal"}, "hs256_secret")):
                with open(path, "w", encoding="utf-8") as out:
                    json.dump({"database": {"url": "postgresql://127.0.0.1:1/foz"}, "sources": {},
                               "api": {"listen": "127.0.0.1:0", "admin_listen": "", "auth": {
                                   "jwt": {"issuer": "i", "audience": "a", **jwt}}}}, out)
                done = subprocess.run([foz.API, "-c", path], capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, foz.CONFIGURATION, (jwt, done))
                self.assertIn(word, done.stderr)
                self.assertNotIn("too short", done.stderr)


del BaseCase  # or its subclasses' base would be collected here once more

if __name__ == "__main__":
    unittest.main()
