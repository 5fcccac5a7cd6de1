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
import sys
import time

import postgres
from builds import ASAN, CLANG, FUZZ, PLAIN, Builds, Commands, single
from runner import ROOT, Totals, run_files, say

# The end-to-end files that run on sanitized builds: those that exercise threads, errors and
# interruption. The others differ in data, not in code paths. What runs with a sanitizer is
# not repeated without one when everything runs.
ASAN_E2E = ("test_load_servicenow", "test_moving_source", "test_faults_servicenow", "test_faults_passing_servicenow",
            "test_faults_lasting_servicenow", "test_refusals_servicenow", "test_lies_servicenow", "test_crash", "test_daemon",
            "test_faults_glpi", "test_lies_glpi", "test_refusals_glpi", "test_crash_glpi",
            "test_faults_azure_devops", "test_crash_azure_devops")
TSAN_E2E = ("test_moving_source", "test_daemon", "test_api_cache", "test_api_pressure")
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


class Context:
    """What every suite gets."""

    def __init__(self, pattern, suites, commands):
        self.commands = commands
        self.builds = Builds(commands)
        self.suites = suites
        self.pattern = pattern

    def build(self, directory):
        """The first build has the machine for itself; with it done, what later suites need is begun."""
        is_first = not self.builds.results
        ok, totals = self.builds.get(directory)
        if ok and is_first:
            self._begin_others(directory)
        return ok, totals

    def _begin_others(self, done):
        needed = {"asan": ASAN, "tsan": CLANG, "tidy": CLANG}
        for directory in dict.fromkeys(needed[name] for name in self.suites if name in needed):
            if directory != done:
                self.builds.begin(directory)
        if "fuzz" in self.suites and shutil.which("clang"):
            self.commands.begin(FUZZ, lambda prefix: build_fuzzers(self, prefix))
        if "tidy" in self.suites and shutil.which("run-clang-tidy"):
            self.commands.begin("tidy", lambda prefix: tidy(self, prefix))

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


def meson_suite(ctx, directory, suite, env=None, multiplier="1"):
    """Runs one suite of `meson test` and reads its log."""
    log = os.path.join(ROOT, directory, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.unlink(log)
    started = time.monotonic()
    code, output = ctx.commands.run(["meson", "test", "-C", directory, "--no-rebuild", "--suite", suite, "--num-processes", "2",
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
    ok, totals = ctx.build(PLAIN)
    if ok:
        totals.add(python_suite(ctx, "e2e", directory, {**env, "FOZ_SIM": os.path.join(ROOT, PLAIN, "tests", "sim", "foz-sim")}, stems))
    return totals


def suite_lint(ctx):
    """layers, wrappers, banned calls, sizes, format, links, words; and the lint's own tests"""
    code, output = ctx.commands.run([sys.executable, "-B", "tests/lint/lint.py"])
    totals = single("lint", code == 0, output)
    totals.add(run_files(ctx.files("lint")))
    return totals


def suite_unit(ctx):
    """unit tests, gcc"""
    ok, totals = ctx.build(PLAIN)
    if ok:
        totals.add(meson_suite(ctx, PLAIN, "unit"))
    return totals


def suite_db(ctx):
    """tests against a private PostgreSQL"""
    ok, totals = ctx.build(PLAIN)
    if ok:
        totals.add(meson_suite(ctx, PLAIN, "db"))
        totals.add(python_suite(ctx, "db", PLAIN))
    return totals


def suite_e2e(ctx):
    """the real programs against foz-sim and a private PostgreSQL"""
    ok, totals = ctx.build(PLAIN)
    if ok:
        elsewhere = [*(ASAN_E2E if "asan" in ctx.suites else ()), *(TSAN_E2E if "tsan" in ctx.suites else ())]
        totals.add(python_suite(ctx, "e2e", PLAIN, without=elsewhere))
    return totals


def tidy(ctx, prefix):
    """Returns (exit code, findings, seconds)."""
    depth = [] if os.environ.get("FOZ_TIDY") == "deep" else [
        f"-extra-arg={word}" for word in ("-Xclang", "-analyzer-config", "-Xclang", "mode=shallow")]
    started = time.monotonic()
    code, output = ctx.commands.run([*prefix, "run-clang-tidy", "-quiet", "-j", "2", *depth, "-p", CLANG,
                                     f"^{re.escape(ROOT)}/(common|worker|api)/"])
    noise = re.compile(r"^\d+ warnings? (generated|treated)|^clang-tidy|^Suppressed|^Use -header-filter|^$")
    findings = "\n".join(line for line in output.splitlines() if not noise.search(line))
    return code, findings, time.monotonic() - started


def suite_tidy(ctx):
    """clang-tidy on all sources (FOZ_TIDY=deep: its analyzer follows calls, five times as long)"""
    if not shutil.which("run-clang-tidy"):
        say("  skipped clang-tidy: it is not installed")
        return Totals(skipped=1)
    ok, totals = ctx.build(CLANG)
    if ok:
        code, findings, seconds = ctx.commands.result("tidy", lambda prefix: tidy(ctx, prefix))
        totals.add(single("clang-tidy", code == 0, findings, seconds))
    return totals


def suite_asan(ctx):
    """unit and end-to-end under the address and undefined-behaviour sanitizers"""
    ok, totals = ctx.build(ASAN)
    if ok:
        totals.add(meson_suite(ctx, ASAN, "unit", ASAN_ENV, "4"))
        totals.add(sanitized_e2e(ctx, ASAN, ASAN_ENV, ASAN_E2E))
    return totals


def suite_tsan(ctx):
    """clang -Werror; unit and a part of end-to-end under its thread sanitizer"""
    ok, totals = ctx.build(CLANG)
    if ok:
        totals.add(meson_suite(ctx, CLANG, "unit", TSAN_ENV, "8"))
        totals.add(sanitized_e2e(ctx, CLANG, TSAN_ENV, TSAN_E2E))
    return totals


def build_fuzzers(ctx, prefix):
    return ctx.commands.run([*prefix, "tests/fuzz/run", FUZZ, "0"])


def suite_fuzz(ctx):
    """every fuzzer for some seconds (FOZ_FUZZ_SECONDS, default 5)"""
    if not shutil.which("clang"):
        say("  skipped fuzzers: clang is not installed")
        return Totals(skipped=1)
    ctx.commands.result(FUZZ, lambda prefix: build_fuzzers(ctx, prefix))  # what is wrong with it shows below
    started = time.monotonic()
    code, output = ctx.commands.run(["tests/fuzz/run", FUZZ, str(FUZZ_SECONDS)])
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
    commands = Commands()
    ctx = Context(arguments.pattern, names, commands)
    totals = Totals()
    begun = time.monotonic()
    needs_clusters = not {"db", "e2e", "asan", "tsan"}.isdisjoint(names)
    with contextlib.closing(commands), postgres.template() if needs_clusters else contextlib.nullcontext():
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
