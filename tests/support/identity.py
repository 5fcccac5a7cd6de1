"""The other side of authentication: keys and tokens made at run time, and two small HTTP services, one
that publishes signing keys and one that answers _apis/connectionData as Azure DevOps does."""

import base64
import contextlib
import http.server
import json
import os
import re
import subprocess
import threading
import time


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def segment(value):
    return b64(json.dumps(value, separators=(",", ":")).encode())


def _openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True, timeout=60).stdout


def _der_integers(der):
    """r and s of an ECDSA signature."""
    numbers, rest = [], der[2:]
    while rest:
        numbers.append(int.from_bytes(rest[2:2 + rest[1]], "big"))
        rest = rest[2 + rest[1]:]
    return numbers


class Key:
    """A private key in a temporary file, made by the openssl command. kind: RSA or EC."""

    def __init__(self, folder, kid, kind="RSA"):
        self.kid, self.kind = kid, kind
        self.path = os.path.join(folder, f"key-{kid}-{time.monotonic_ns()}.pem")
        options = ["rsa_keygen_bits:2048"] if kind == "RSA" else ["ec_paramgen_curve:P-256"]
        _openssl("genpkey", "-algorithm", kind, "-pkeyopt", options[0], "-out", self.path)

    @property
    def alg(self):
        return "RS256" if self.kind == "RSA" else "ES256"

    def jwk(self):
        if self.kind == "RSA":
            modulus = _openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip().split("=")[1]
            return {"kty": "RSA", "use": "sig", "kid": self.kid, "n": b64(bytes.fromhex(modulus)), "e": "AQAB"}
        text = _openssl("ec", "-in", self.path, "-noout", "-text").decode()
        point = bytes.fromhex(re.sub(r"[^0-9a-f]", "", re.search(r"pub:(.*?)ASN1", text, re.S)[1]))
        return {"kty": "EC", "crv": "P-256", "kid": self.kid, "x": b64(point[1:33]), "y": b64(point[33:65])}

    def public_pem(self):
        return _openssl("pkey", "-in", self.path, "-pubout")

    def sign(self, claims, **head):
        text = segment({"alg": self.alg, "typ": "JWT", "kid": self.kid, **head}) + "." + segment(claims)
        signature = _openssl("dgst", "-sha256", "-sign", self.path, data=text.encode())
        if self.kind == "EC":
            signature = b"".join(number.to_bytes(32, "big") for number in _der_integers(signature))
        return text + "." + b64(signature)


class _Service:
    """An HTTP service on a free loopback port; `answer(handler)` is the subclass's."""

    def __init__(self):
        self.requests = []
        self.gate = threading.Event()
        self.gate.set()
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                service.requests.append((self.path, dict(self.headers)))
                service.gate.wait(30)
                service.answer(self)

            def reply(self, status, body, content_type="application/json; charset=utf-8", **headers):
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Type", content_type)
                    self.send_header("Content-Length", str(len(data)))
                    for name, value in headers.items():
                        self.send_header(name.replace("_", "-"), value)
                    self.end_headers()
                    self.wfile.write(data)

            def handle(self):
                with contextlib.suppress(OSError):  # a client that gives up may do so
                    super().handle()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.gate.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class KeyService(_Service):
    """Publishes `keys`; `broken` (status, bytes) instead where set."""

    def __init__(self, keys):
        super().__init__()
        self.keys, self.broken = keys, None

    def answer(self, handler):
        if self.broken:
            handler.reply(self.broken[0], self.broken[1], "text/html")
        else:
            handler.reply(200, {"keys": [key.jwk() if isinstance(key, Key) else key for key in self.keys]})


ORGANISATION = "2ad38d1e-3eaf-4769-931c-3a2da67bbb01"
ANONYMOUS = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"


def connection_data(user_id, account, organisation=ORGANISATION, active=True):
    user = {"id": user_id, "descriptor": "x", "providerDisplayName": account, "isActive": active,
            "properties": {"Account": {"$type": "System.String", "$value": account}}}
    return {"authenticatedUser": user, "authorizedUser": user, "instanceId": organisation, "deploymentType": "hosted"}


def basic(token, user=""):
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


class Organisation(_Service):
    """Knows `people`: header value -> connectionData; anybody else gets the sign-in page. `outage`
    (status, headers) answers everybody alike."""

    def __init__(self):
        super().__init__()
        self.people, self.outage = {}, None

    def asked(self, authorization):
        return sum(1 for _, headers in self.requests if headers.get("Authorization") == authorization)

    def answer(self, handler):
        if self.outage:
            handler.reply(self.outage[0], b"<html>", "text/html", **self.outage[1])
            return
        person = self.people.get(handler.headers.get("Authorization"))
        if callable(person):
            person(handler)
        elif person is None:
            handler.reply(203, b"<html>sign in</html>", "text/html; charset=utf-8")
        else:
            # A session that must never be kept: the next caller would ride on it.
            handler.reply(200, person, Set_Cookie="UserAuthentication=" + person["authenticatedUser"]["id"])
