"""Runs Python test files, several at a time, each in a process of its own.

Prints one line a file, and details only of failures. A file that does not end in time is stopped
together with what it started, and counts as one failure.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SUPPORT = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(SUPPORT))
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable  # sees Debian's packages
TAIL_LINES = 60
JOBS = 3  # a file waits more than it computes: for backoff, timeouts, kill and restart
LONG = ("test_faults", "refusals", "uci_log", "crash", "test_load_", "lies", "moving", "test_core_")


@dataclasses.dataclass
class Totals:
    """Counts of one suite or of all."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def say(text):
    print(text, flush=True)


def tail(path, lines=TAIL_LINES):
    with open(path, encoding="utf-8", errors="replace") as log:
        return "".join(log.readlines()[-lines:]).rstrip()


class _Collector(unittest.TestResult):
    """Keeps what the parent needs; subtests count as failures of their own, not as passes."""

    def __init__(self):
        super().__init__()
        self.passed = 0
        self.reasons = []

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.passed += 1

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.reasons.append(f"{test.id().split('.', 1)[-1]}: {reason}")


def run_one(path, result_path):
    """The child: runs the tests of one file and writes the outcome as JSON."""
    result = _Collector()

    def stop(*_):
        """Stopped from outside: the test at hand fails and cleans up, no other begins."""
        result.stop()
        raise InterruptedError("stopped: the file took too long, or the run was ended")

    signal.signal(signal.SIGTERM, stop)
    sys.path.insert(0, SUPPORT)
    sys.path.insert(0, os.path.dirname(path))
    suite = unittest.defaultTestLoader.loadTestsFromName(os.path.basename(path)[:-3])
    suite.run(result)
    problems = [(test.id(), text) for test, text in result.failures + result.errors]
    problems += [(test.id(), "unexpected success") for test in result.unexpectedSuccesses]
    outcome = {"passed": result.passed, "skipped": result.reasons, "problems": problems}
    with open(result_path, "w", encoding="utf-8") as out:
        json.dump(outcome, out)


class _Job:
    def __init__(self, path, env, work):
        self.path = path
        self.label = os.path.relpath(path, ROOT)
        stem = self.label.replace(os.sep, "-")
        self.result_path = os.path.join(work, stem + ".json")
        self.log_path = os.path.join(work, stem + ".log")
        self.started = time.monotonic()
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [PYTHON, "-B", os.path.join(SUPPORT, "runner.py"), "--one", path, self.result_path],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=env,
                start_new_session=True)

    def stop(self):
        """Ends the file's process; it cleans up on SIGTERM, its group goes when it does not."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def report(self, timed_out):
        seconds = time.monotonic() - self.started
        try:
            with open(self.result_path, encoding="utf-8") as data:
                outcome = json.load(data)
        except (OSError, ValueError):
            why = "did not end in time" if timed_out else f"ended with code {self.process.returncode}"
            say(f"  FAIL {self.label}: {why} after {seconds:.1f} s\n{tail(self.log_path)}")
            return Totals(failed=1)
        totals = Totals(outcome["passed"], len(outcome["problems"]), len(outcome["skipped"]))
        say(f"  {'FAIL' if totals.failed else 'ok  '} {self.label}: {totals} ({seconds:.1f} s)")
        for reason in sorted(set(outcome["skipped"])):
            say(f"       skipped {reason}")
        for name, text in outcome["problems"]:
            say(f"    ---- {name}\n{text.rstrip()}")
        if totals.failed:
            output = tail(self.log_path)
            if output:
                say(f"    ---- output of {self.label}\n{output}")
        return totals


def run_files(paths, env=None, jobs=JOBS, timeout_s=720):
    """Runs the files, `jobs` at a time, the long ones first, and returns the sums."""
    totals = Totals()
    environment = dict(os.environ, **(env or {}))
    waiting = sorted(paths, key=lambda path: not any(word in path for word in LONG))
    running = []
    with tempfile.TemporaryDirectory(prefix="foz-tests-") as work:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    running.append(_Job(waiting.pop(0), environment, work))
                for job in list(running):
                    late = time.monotonic() - job.started > timeout_s
                    if late:
                        job.stop()
                    if job.process.poll() is not None:
                        running.remove(job)
                        totals.add(job.report(late))
                time.sleep(0.05)
        finally:
            for job in running:
                job.stop()
    return totals


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--one":
        run_one(os.path.abspath(sys.argv[2]), sys.argv[3])
        sys.exit(0)
    sums = run_files([os.path.abspath(name) for name in sys.argv[1:]])
    say(str(sums))
    sys.exit(1 if sums.failed else 0)
