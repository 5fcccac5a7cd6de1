"""What tests/run runs: the suites, the builds they need, and the sum of it all."""

import argparse
import contextlib
import glob
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import postgres
from runner import ROOT, Totals, run_files, say

# The end-to-end files that run on sanitized builds: those that exercise threads, errors and
# interruption. The others differ in data, not in code paths. What runs with a sanitizer is
# not repeated without one when everything runs.
ASAN_E2E = ("test_load_servicenow", "test_moving_source", "test_faults_servicenow", "test_faults_passing_servicenow",
            "test_faults_lasting_servicenow", "test_refusals_servicenow", "test_lies_servicenow", "test_crash", "test_daemon",
            "test_faults_glpi", "test_lies_glpi", "test_refusals_glpi", "test_crash_glpi",
            "test_faults_azure_devops", "test_crash_azure_devops")
TSAN_E2E = ("test_moving_source", "test_daemon", "test_api_cache", "test_api_pressure")
# Two compilers and two sanitizers in two builds: gcc makes the one for addresses, clang this one.
CLANG_BUILD = "build-clang"
CLANG_OPTIONS = ("-Db_sanitize=thread", "-Db_lundef=false", "-Doptimization=0")  # compiles in three quarters of the time
FUZZ_SECONDS = int(os.environ.get("FOZ_FUZZ_SECONDS", "5"))

ASAN_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "FOZ_SANITIZER": "address,undefined",
}
TSAN_ENV = {
    "TSAN_OPTIONS": "halt_on_error=1:exitcode=99:second_deadlock_stack=1",
    "FOZ_SANITIZER": "thread",
}


def run(command, env=None):
    """Runs a command quietly; returns (exit code, its whole output)."""
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ, **(env or {})), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def single(name, ok, output="", seconds=None):
    """One check that either holds or does not."""
    took = "" if seconds is None else f" ({seconds:.1f} s)"
    say(f"  {'ok  ' if ok else 'FAIL'} {name}{took}")
    if not ok:
        say("\n".join(output.rstrip().splitlines()[-120:]))
    return Totals(passed=int(ok), failed=int(not ok))


class Builds:
    """Build directories, each made at most once a run."""

    def __init__(self):
        self.results = {}

    def get(self, directory, options=(), env=None):
        """Builds; returns (True when it succeeded, the counts of the build as a test)."""
        if directory not in self.results:
            started = time.monotonic()
            code, output = self._make(directory, ["-Dwerror=true", *options], env)
            totals = single(f"{directory} builds without a warning", code == 0, output, time.monotonic() - started)
            self.results[directory] = code == 0
            return code == 0, totals
        return self.results[directory], Totals()  # counted once, used often

    @staticmethod
    def _make(directory, options, env):
        path = os.path.join(ROOT, directory)
        stamp = os.path.join(path, ".foz-options")
        wanted = "\n".join(options)
        command = None
        if not os.path.exists(os.path.join(path, "build.ninja")):
            command = ["meson", "setup", directory, *options]
        elif not os.path.exists(stamp) or open(stamp, encoding="utf-8").read() != wanted:
            command = ["meson", "configure", directory, *options]
        if command:
            code, output = run(command, env)
            if code != 0:
                return code, output
            with open(stamp, "w", encoding="utf-8") as out:
                out.write(wanted)
        return run(["meson", "compile", "-C", directory])


class Context:
    """What every suite gets."""

    def __init__(self, pattern, suites):
        self.builds = Builds()
        self.suites = suites
        self.pattern = pattern

    def files(self, folder, stems=None, without=()):
        found = sorted(glob.glob(os.path.join(ROOT, "tests", folder, "test_*.py")))
        if stems is not None:
            found = [path for path in found if os.path.basename(path)[:-3] in stems]
        found = [path for path in found if os.path.basename(path)[:-3] not in without]
        return [path for path in found if not self.pattern or self.pattern in path]


def cmocka_counts(test):
    """Counts of one program of `meson test`: its cmocka cases, or itself."""
    output = test.get("stdout", "") + "\n" + test.get("stderr", "")
    passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", output))
    skipped = sum(int(n) for n in re.findall(r"\[  SKIPPED \] (\d+) test", output))
    failed = sum(int(n) for n in re.findall(r"\[  FAILED  \] (\d+) test", output))
    if test["result"] in ("OK", "EXPECTEDFAIL"):
        return Totals(passed or 1, 0, skipped)
    if test["result"] == "SKIP":
        return Totals(skipped=1)
    return Totals(passed, failed or 1, skipped)


def meson_suite(directory, suite, env=None, multiplier="1"):
    """Runs one suite of `meson test` and reads its log."""
    log = os.path.join(ROOT, directory, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.unlink(log)
    started = time.monotonic()
    code, output = run(["meson", "test", "-C", directory, "--no-rebuild", "--suite", suite, "--num-processes", "2",
                        "--timeout-multiplier", multiplier], env)
    totals = Totals()
    if os.path.exists(log):
        with open(log, encoding="utf-8") as lines:
            for test in map(json.loads, lines):
                counts = cmocka_counts(test)
                totals.add(counts)
                if counts.failed:
                    say(f"  FAIL {test['name']}: {test['result']}")
                    text = test.get("stdout", "") + "\n" + test.get("stderr", "")
                    say("\n".join(text.splitlines()[-80:]))
    elif "No tests defined" in output or "No suitable tests" in output:
        return totals
    if code != 0 and totals.failed == 0:
        return single(f"meson test --suite {suite} in {directory}", False, output)
    say(f"  {'FAIL' if totals.failed else 'ok  '} {suite} tests in C, {directory}: {totals} "
        f"({time.monotonic() - started:.1f} s)")
    return totals


def python_suite(ctx, folder, directory, env=None, stems=None, without=()):
    environment = {"FOZ_BUILD": os.path.join(ROOT, directory), **(env or {})}
    return run_files(ctx.files(folder, stems, without), environment)


def sanitized_e2e(ctx, directory, env, stems):
    """The programs are sanitized; the simulator, which takes as long, is not."""
    ok, totals = ctx.builds.get("build")
    if ok:
        totals.add(python_suite(ctx, "e2e", directory, {**env, "FOZ_SIM": os.path.join(ROOT, "build", "tests", "sim", "foz-sim")}, stems))
    return totals


def suite_lint(ctx):
    """layers, wrappers, banned calls, sizes, format, links, words; and the lint's own tests"""
    code, output = run([sys.executable, "-B", "tests/lint/lint.py"])
    totals = single("lint", code == 0, output)
    totals.add(run_files(ctx.files("lint")))
    return totals


def suite_unit(ctx):
    """unit tests, gcc"""
    ok, totals = ctx.builds.get("build")
    if ok:
        totals.add(meson_suite("build", "unit"))
    return totals


def suite_db(ctx):
    """tests against a private PostgreSQL"""
    ok, totals = ctx.builds.get("build")
    if ok:
        totals.add(meson_suite("build", "db"))
        totals.add(python_suite(ctx, "db", "build"))
    return totals


def suite_e2e(ctx):
    """the real programs against foz-sim and a private PostgreSQL"""
    ok, totals = ctx.builds.get("build")
    if ok:
        elsewhere = [*(ASAN_E2E if "asan" in ctx.suites else ()), *(TSAN_E2E if "tsan" in ctx.suites else ())]
        totals.add(python_suite(ctx, "e2e", "build", without=elsewhere))
    return totals


def suite_tidy(ctx):
    """clang-tidy on all sources (FOZ_TIDY=deep: its analyzer follows calls, five times as long)"""
    if not shutil.which("run-clang-tidy"):
        say("  skipped clang-tidy: it is not installed")
        return Totals(skipped=1)
    ok, totals = ctx.builds.get(CLANG_BUILD, CLANG_OPTIONS, {"CC": "clang"})
    if ok:
        depth = [] if os.environ.get("FOZ_TIDY") == "deep" else [
            f"-extra-arg={word}" for word in ("-Xclang", "-analyzer-config", "-Xclang", "mode=shallow")]
        started = time.monotonic()
        code, output = run(["run-clang-tidy", "-quiet", "-j", "2", *depth, "-p", CLANG_BUILD,
                            f"^{re.escape(ROOT)}/(common|worker|api)/"])
        noise = re.compile(r"^\d+ warnings? (generated|treated)|^clang-tidy|^Suppressed|^Use -header-filter|^$")
        lines = [line for line in output.splitlines() if not noise.search(line)]
        totals.add(single("clang-tidy", code == 0, "\n".join(lines), time.monotonic() - started))
    return totals


def suite_asan(ctx):
    """unit and end-to-end under the address and undefined-behaviour sanitizers"""
    directory = "build-asan"
    # Without optimization gcc takes half the time, and what is sanitized is not what takes long.
    ok, totals = ctx.builds.get(directory, ["-Db_sanitize=address,undefined", "-Doptimization=0", "-Dsim=false"])
    if ok:
        totals.add(meson_suite(directory, "unit", ASAN_ENV, "4"))
        totals.add(sanitized_e2e(ctx, directory, ASAN_ENV, ASAN_E2E))
    return totals


def suite_tsan(ctx):
    """clang -Werror; unit and a part of end-to-end under its thread sanitizer"""
    ok, totals = ctx.builds.get(CLANG_BUILD, CLANG_OPTIONS, {"CC": "clang"})
    if ok:
        totals.add(meson_suite(CLANG_BUILD, "unit", TSAN_ENV, "8"))
        totals.add(sanitized_e2e(ctx, CLANG_BUILD, TSAN_ENV, TSAN_E2E))
    return totals


def suite_fuzz(_ctx):
    """every fuzzer for some seconds (FOZ_FUZZ_SECONDS, default 5)"""
    if not shutil.which("clang"):
        say("  skipped fuzzers: clang is not installed")
        return Totals(skipped=1)
    started = time.monotonic()
    code, output = run(["tests/fuzz/run", "build-fuzz", str(FUZZ_SECONDS)])
    done = set(re.findall(r"^(\w+): ok, [1-9]\d* inputs", output, re.MULTILINE))
    totals = Totals()
    for path in sorted(glob.glob(os.path.join(ROOT, "tests", "fuzz", "fuzz_*.c"))):
        name = os.path.basename(path)[len("fuzz_"):-2]
        totals.add(single(f"the fuzzer of {name} finds nothing in {FUZZ_SECONDS} s", name in done, output))
    totals.add(single("tests/fuzz/run", code == 0, output, time.monotonic() - started))
    return totals


SUITES = {
    "lint": suite_lint, "unit": suite_unit, "db": suite_db, "e2e": suite_e2e, "asan": suite_asan,
    "tsan": suite_tsan, "tidy": suite_tidy, "fuzz": suite_fuzz,
}
QUICK = ("lint", "unit", "db", "e2e")


def processor_seconds():
    """What all that was started and has ended took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tests/run", add_help=False)
    parser.add_argument("suites", nargs="*", metavar="SUITE")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("-k", dest="pattern", default="")
    arguments = parser.parse_args()
    for name in arguments.suites:
        if name not in SUITES:
            parser.error(f"there is no suite '{name}'; there are: {', '.join(SUITES)}")
    return arguments


def main():
    arguments = parse_arguments()
    if arguments.list:
        for name, function in SUITES.items():
            say(f"{name:6} {function.__doc__}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    names = arguments.suites or (QUICK if arguments.quick else SUITES)
    ctx = Context(arguments.pattern, names)
    totals = Totals()
    begun = time.monotonic()
    needs_clusters = not {"db", "e2e", "asan", "tsan"}.isdisjoint(names)
    with postgres.template() if needs_clusters else contextlib.nullcontext():
        for name in names:
            say(f"== {name}: {SUITES[name].__doc__}")
            started, used = time.monotonic(), processor_seconds()
            sums = SUITES[name](ctx)
            totals.add(sums)
            say(f"   {sums} ({time.monotonic() - started:.0f} s, {processor_seconds() - used:.0f} s of processor time)")
    say(f"== all in {time.monotonic() - begun:.0f} s")
    say(str(totals))
    return 1 if totals.failed else 0


if __name__ == "__main__":
    sys.exit(main())
