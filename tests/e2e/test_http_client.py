#!/usr/bin/env python3
"""The HTTP client on a real loopback wire, against a server that misbehaves on purpose.

FOZ_BUILD names the build directory whose http_probe is driven (default: build in the checkout).
"""

import base64
import gzip
import json
import os
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("FOZ_BUILD", os.path.join(ROOT, "build")))
PROBE = os.path.join(BUILD, "tests", "unit", "worker", "http", "http_probe")


class Server:
    """A TCP server whose paths are functions (connection, request) -> keep the connection?"""

    def __init__(self, tls=None):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.tls = tls
        self.requests = []
        self.n_connections = 0
        self.released = threading.Event()
        self.lock = threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.released.set()
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.n_connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection:
                while self.serve_one(connection):
                    pass
        except OSError:
            pass  # the client hung up: often the point of the test

    def serve_one(self, connection):
        request = read_request(connection)
        if request is None:
            return False
        with self.lock:
            self.requests.append(request)
            number = len(self.requests)
        handler = getattr(self, "do_" + request["path"].split("?")[0].strip("/").split(".")[0])
        return handler(connection, request, number)

    # -- the paths

    def do_good(self, connection, request, number):
        return answer(connection, 200, b'{"result":[]}',
                      {"Content-Type": "application/json;charset=UTF-8",
                       "Date": "Tue, 14 Jul 2026 00:30:28 GMT"})

    def do_echo(self, connection, request, number):
        return answer(connection, 200, json.dumps(request["headers"]).encode())

    def do_closed(self, connection, request, number):
        return False

    def do_cut_chunk(self, connection, request, number):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                           b"8\r\n{\"result\r\n40\r\n\":[{")
        return False

    def do_cut_length(self, connection, request, number):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"result\":")
        return False

    def do_cut_once(self, connection, request, number):
        return (self.do_cut_chunk if number == 1 else self.do_good)(connection, request, number)

    def do_hang(self, connection, request, number):
        self.released.wait(20)
        return False

    def do_drip(self, connection, request, number):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not self.released.wait(0.1):
            connection.sendall(b" ")
        return False

    def do_elsewhere(self, connection, request, number):
        return answer(connection, 302, b"", {"Location": self.location})

    def do_gzip(self, connection, request, number):
        return answer(connection, 200, gzip.compress(b'{"result":"packed"}'),
                      {"Content-Encoding": "gzip"})

    def do_corrupt_gzip(self, connection, request, number):
        packed = bytearray(gzip.compress(os.urandom(5000)))
        packed[-6] ^= 1  # its checksum
        return answer(connection, 200, bytes(packed), {"Content-Encoding": "gzip"})

    def do_bomb(self, connection, request, number):
        return answer(connection, 200, gzip.compress(b"\0" * 200_000_000, 1),
                      {"Content-Encoding": "gzip"})

    def do_big(self, connection, request, number):
        return answer(connection, 200, b"x" * 2_000_000)

    def do_exact(self, connection, request, number):
        return answer(connection, 200, b"x" * 1_048_576)

    def do_headers(self, connection, request, number):
        return answer(connection, 200, b"", {f"X-{i}": "x" * 1000 for i in range(80)})

    def do_cookie(self, connection, request, number):
        status = 202 if number == 2 else 200
        body = json.dumps(request["headers"].get("cookie")).encode()
        return answer(connection, status, body, {"Set-Cookie": f"JSESSIONID=s{number}; Path=/"})

    def do_garbage(self, connection, request, number):
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        return False

    def do_slowly(self, connection, request, number):
        return answer(connection, 429, b"", {"Retry-After": "1"}) if number == 1 \
            else self.do_good(connection, request, number)

    def do_interim(self, connection, request, number):
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nX-Interim: yes\r\n\r\n")
        return self.do_good(connection, request, number)

    def do_oauth_token(self, connection, request, number):
        form = urllib.parse.parse_qs(request["body"].decode(), strict_parsing=True)
        good = (request["path"] == "/oauth_token.do" and request["method"] == "POST"
                and request["headers"]["content-type"] == "application/x-www-form-urlencoded"
                and form.get("password") == ["p&ss=w\u00f6rd"] and form.get("username") == ["foz"]
                and form.get("client_secret") == ["sec+ret"])
        if not good:
            return answer(connection, 401,
                          b'{"error_description":"access_denied","error":"server_error"}')
        return answer(connection, 200, json.dumps(
            {"access_token": f"token{number}", "expires_in": 1799, "token_type": "Bearer",
             "refresh_token": "again"}).encode())

    def do_guarded(self, connection, request, number):
        if request["headers"].get("authorization") == "Bearer token1":
            return self.do_good(connection, request, number)
        return answer(connection, 401, b"{}")


def read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    method, path, _ = lines[0].split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return {"method": method, "path": path, "headers": headers, "body": body}


def answer(connection, status, body, headers=None):
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    return True


def probe(server, *paths, env=None, **options):
    """Returns the list of answers and the counters."""
    options.setdefault("url", f"http://127.0.0.1:{server.port}")
    command = [PROBE] + [f"{name}={value}" for name, value in options.items()] + list(paths)
    done = subprocess.run(command, capture_output=True, timeout=60,
                          env={**os.environ, **(env or {})})
    if done.returncode not in (0, 1) or done.stderr:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stderr.decode()}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return (lines[:-1], lines[-1]) if done.returncode == 0 else (lines, None)


class Misbehaviour(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)

    def one(self, path, **options):
        answers, self.counters = probe(self.server, path, **options)
        self.assertEqual(len(answers), 1)
        return answers[0]

    def assert_fails(self, path, code, *words, **options):
        result = self.one(path, **options)
        self.assertFalse(result["ok"], result)
        self.assertEqual(result["code"], code, result)
        for word in words:
            self.assertIn(word, result["msg"])
        return result

    def test_good_answer_arrives_whole(self):
        result = self.one("/good")
        self.assertEqual((result["status"], result["body"]), (200, '{"result":[]}'))
        self.assertEqual(result["type"], "application/json;charset=UTF-8")
        self.assertEqual(result["date_us"], 1783989028_000000)
        self.assertEqual(self.counters["requests"], 1)
        self.assertGreater(self.counters["bytes_received"], 13)

    def test_one_connection_serves_many_requests(self):
        answers, counters = probe(self.server, *["/good"] * 5)
        self.assertTrue(all(a["ok"] for a in answers))
        self.assertEqual((self.server.n_connections, counters["requests"]), (1, 5))

    def test_request_says_what_it_is(self):
        headers = json.loads(self.one("/echo", auth="api_key", key="env:PROBE_KEY",
                                      env={"PROBE_KEY": "k3y"})["body"])
        self.assertEqual(headers["accept"], "application/json")
        self.assertEqual(headers["accept-encoding"], "identity")
        self.assertEqual(headers["x-sn-apikey"], "k3y")
        self.assertTrue(headers["user-agent"].startswith("foz/"))

    def test_basic_credential(self):
        headers = json.loads(self.one("/echo", auth="basic", username="foz",
                                      password="env:PROBE_KEY",
                                      env={"PROBE_KEY": "k\u00e9y"})["body"])
        expected = base64.b64encode("foz:k\u00e9y".encode()).decode()
        self.assertEqual(headers["authorization"], "Basic " + expected)

    def test_proxy_of_the_environment_is_not_asked_for_loopback(self):
        self.assertTrue(self.one("/good", env={"http_proxy": "http://127.0.0.1:1"})["ok"])

    def test_refused_connection_is_transient_and_counts_the_tries(self):
        free = socket.create_server(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        result = self.assert_fails("/good", "transient", "3 tries at 127.0.0.1", str(port),
                                   url=f"http://127.0.0.1:{port}", attempts=3)
        self.assertEqual(result["status"], 0)
        self.assertEqual(self.counters["requests"], 0)

    def test_closed_before_an_answer_is_transient(self):
        self.assert_fails("/closed", "transient", "GET /closed", attempts=2)

    def test_cut_chunk_is_transient(self):
        self.assert_fails("/cut_chunk", "transient")

    def test_cut_length_is_transient(self):
        self.assert_fails("/cut_length", "transient")

    def test_corrupt_gzip_is_no_answer(self):
        self.assert_fails("/corrupt_gzip", "transient")

    def test_cut_answer_is_fetched_again(self):
        result = self.one("/cut_once", attempts=2)
        self.assertEqual(result["body"], '{"result":[]}')
        self.assertEqual(self.counters["retries"], 1)

    def test_port_of_something_else_is_a_configuration_error(self):
        self.assert_fails("/garbage", "transient", "does not speak HTTP")

    def test_hang_ends_by_the_timeout(self):
        began = time.monotonic()
        self.assert_fails("/hang", "transient", "timeout", timeout_ms=700)
        self.assertLess(time.monotonic() - began, 5)

    def test_hang_can_be_a_limit(self):
        self.assert_fails("/hang", "limit", timeout_ms=700, timeout_is_limit=1, attempts=6)
        self.assertEqual(self.counters["requests"], 1)

    def test_slow_drip_ends_long_before_the_timeout(self):
        began = time.monotonic()
        self.assert_fails("/drip", "transient", "bytes a second", timeout_ms=6000)
        self.assertLess(time.monotonic() - began, 5.5)

    def test_stop_ends_a_hanging_transfer(self):
        began = time.monotonic()
        self.assert_fails("/hang", "cancelled", timeout_ms=15000, stop_after_ms=200)
        self.assertLess(time.monotonic() - began, 5)

    def test_redirect_is_not_followed(self):
        other = Server()
        self.addCleanup(other.close)
        self.server.location = f"http://localhost:{other.port}/good?token=hunter2"
        result = self.assert_fails("/elsewhere", "config", "redirects to localhost")
        self.assertNotIn("hunter2", result["msg"])
        self.assertEqual(other.n_connections, 0)

    def test_gzip_is_unpacked(self):
        self.assertEqual(self.one("/gzip")["body"], '{"result":"packed"}')

    def test_gzip_bomb_hits_the_cap(self):
        self.assert_fails("/bomb", "limit", "1048576")

    def test_body_over_the_cap_is_a_limit(self):
        self.assert_fails("/big", "limit", "1048576", attempts=6)
        self.assertEqual(self.counters["requests"], 1)

    def test_body_of_exactly_the_cap_is_taken(self):
        self.assertEqual(len(self.one("/exact")["body"]), 1_048_576)

    def test_endless_headers_are_a_limit(self):
        self.assert_fails("/headers", "limit", "65536")

    def test_202_drops_the_cookies(self):
        answers, _ = probe(self.server, "/cookie", "/cookie", "/cookie", attempts=2)
        seen = [request["headers"].get("cookie") for request in self.server.requests]
        self.assertEqual(seen, [None, "JSESSIONID=s1", None, "JSESSIONID=s3"])
        self.assertTrue(all(a["status"] == 200 for a in answers))

    def test_interim_answer_is_skipped(self):
        self.assertEqual(self.one("/interim")["status"], 200)

    def test_retry_after_is_slept(self):
        began = time.monotonic()
        self.assertTrue(self.one("/slowly", attempts=2)["ok"])
        self.assertGreaterEqual(time.monotonic() - began, 1)
        self.assertGreaterEqual(self.counters["throttled_us"], 900_000)

    def test_unknown_host_is_unreachable(self):
        host = "x" * 64 + ".invalid"  # no resolver asks the network for a label that long
        self.assert_fails("/good", "transient", "unknown host " + host, url="http://" + host)

    def test_oauth_password_grant(self):
        secrets = {"PROBE_PASSWORD": "p&ss=w\u00f6rd", "PROBE_SECRET": "sec+ret"}
        options = dict(auth="oauth_password", username="foz", client_id="cid",
                       password="env:PROBE_PASSWORD", client_secret="env:PROBE_SECRET")
        answers, counters = probe(self.server, "/guarded", "/guarded", env=secrets, **options)
        self.assertEqual([a["ok"] for a in answers], [True, True], answers)
        self.assertEqual(counters["requests"], 3)
        secrets["PROBE_PASSWORD"] = "hunter2"
        answers, _ = probe(self.server, "/guarded", env=secrets, **options)
        self.assertEqual(answers[0]["code"], "denied")
        self.assertNotIn("hunter2", answers[0]["msg"])


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.ca = cls.path("ca.pem")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Test CA",
                "-keyout", cls.path("ca.key"), "-out", cls.ca)
        cls.good = cls.make_server("good", "IP:127.0.0.1,DNS:localhost", 2)
        cls.wrong = cls.make_server("wrong", "DNS:elsewhere.example", 2)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    @classmethod
    def make_server(cls, name, names, days):
        with open(cls.path(name + ".ext"), "w", encoding="ascii") as out:
            out.write(f"subjectAltName={names}\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + name,
                "-keyout", cls.path(name + ".key"), "-out", cls.path(name + ".csr"))
        openssl("x509", "-req", "-in", cls.path(name + ".csr"), "-CA", cls.ca,
                "-CAkey", cls.path("ca.key"), "-CAcreateserial", "-days", str(days),
                "-extfile", cls.path(name + ".ext"), "-out", cls.path(name + ".pem"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cls.path(name + ".pem"), cls.path(name + ".key"))
        server = Server(context)
        cls.addClassCleanup(server.close)
        return server

    def ask(self, server, scheme="https", host="127.0.0.1", **options):
        answers, self.counters = probe(server, "/good", url=f"{scheme}://{host}:{server.port}",
                                       **options)
        return answers[0]

    def assert_untrusted(self, result):
        self.assertEqual(result["code"], "config", result)
        self.assertIn("sources.probe.ca_file", result["msg"])
        self.assertEqual(self.counters["requests"], 0)

    def test_own_authority_is_trusted(self):
        self.assertTrue(self.ask(self.good, ca_file=self.ca)["ok"])

    def test_unknown_authority_is_refused_and_the_cure_named(self):
        self.assert_untrusted(self.ask(self.good, attempts=6))

    def test_certificate_of_another_host_is_refused(self):
        self.assert_untrusted(self.ask(self.wrong, ca_file=self.ca))

    def test_missing_ca_file_is_named(self):
        result = self.ask(self.good, ca_file=self.path("absent.pem"))
        self.assert_untrusted(result)
        self.assertIn("absent.pem", result["msg"])

    def test_https_to_a_plain_port_is_unreachable(self):
        plain = Server()
        self.addCleanup(plain.close)
        plain.serve_one = lambda connection: answer(connection, 400, b"") and False
        result = self.ask(plain, attempts=2)
        self.assertEqual(result["code"], "transient", result)
        self.assertIn("https", result["msg"])


if __name__ == "__main__":
    unittest.main()
