"""foz-sim for the tests of the simulator itself: one process a test class, spoken to as a client does.

FOZ_TEST_DATA names the folder with recorded logs, fixtures and specifications (default: `shared` beside the checkout).
"""

import http.client
import json
import os
import re
import subprocess
import unittest
import urllib.parse

import foz

SHARED = os.environ.get("FOZ_TEST_DATA") or os.path.join(os.path.dirname(foz.ROOT), "shared")


def data_with(log):
    """The folder of recorded logs that holds this one, or None."""
    return next((folder for folder in (os.path.join(SHARED, "data"), SHARED) if os.path.exists(os.path.join(folder, log))), None)


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self):
        return json.loads(self.body)

    @property
    def rows(self):
        return self.json()["result"]


class Sim:
    """What the simulated systems have in common."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([foz.SIM, "--listen", "127.0.0.1:0", *map(str, arguments)],
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"foz-sim listening on http://(127\.0\.0\.1:(\d+))\n", line)
        if not found:
            self.stop()
            raise AssertionError(f"foz-sim said {line!r}")
        self.address, self.port = found.group(1), int(found.group(2))

    def stop(self):
        self.process.terminate()
        code = self.process.wait(30)
        self.process.stdout.close()
        return code

    def request(self, method, path, headers=None, body=None, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def post_control(self, command):
        answer = self.request("POST", "/_control", {"Content-Type": "application/json"}, json.dumps(command))
        if answer.status != 200:
            raise AssertionError(answer.body)
        return answer.json()

    def state(self):
        return self.request("GET", "/_control/state").json()

    def rows_of(self, **parameters):
        """The truth, by the parameters of the control interface."""
        answer = self.request("GET", "/_control/rows?" + urllib.parse.urlencode(parameters))
        if answer.status != 200:
            raise AssertionError(answer.body)
        return [json.loads(line) for line in answer.body.decode().splitlines()]


class SimTest(unittest.TestCase):
    """Tests share a simulator per class; each class says how it is started."""

    simulator = Sim
    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.sim = cls.simulator(*cls.arguments)

    @classmethod
    def tearDownClass(cls):
        code = cls.sim.stop()
        assert code == 0, f"foz-sim ended with {code} after SIGTERM"
