"""What tests/run has the compilers do: builds, clang-tidy, fuzzers. Each is made once, and those that come later in the run are
begun early, at a low priority: tests wait more than they compute."""

import concurrent.futures
import contextlib
import os
import signal
import subprocess
import time

from runner import ROOT, Totals, say

LOW_PRIORITY = ("nice", "-n", "10")

# Two compilers and two sanitizers in two builds: gcc makes the one for addresses, clang the one for threads. Without optimization
# they compile in half to three quarters of the time, and what is sanitized is not what takes long.
PLAIN, ASAN, CLANG, FUZZ = "build", "build-asan", "build-clang", "build-fuzz"
RECIPES = {
    PLAIN: ((), {}),
    ASAN: (("-Db_sanitize=address,undefined", "-Doptimization=0", "-Dsim=false"), {}),
    CLANG: (("-Db_sanitize=thread", "-Db_lundef=false", "-Doptimization=0"), {"CC": "clang"}),
}


class Commands:
    """Runs commands quietly, and ends what is under way when the run ends."""

    def __init__(self):
        self.processes = set()
        self.pool = concurrent.futures.ThreadPoolExecutor(1)
        self.early = {}

    def run(self, command, env=None):
        """Returns (exit code, its whole output)."""
        process = subprocess.Popen(list(command), cwd=ROOT, env=dict(os.environ, **(env or {})), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.processes.add(process)
        output, _ = process.communicate()
        self.processes.discard(process)
        return process.returncode, output.decode("utf-8", "replace")

    def begin(self, name, work):
        """Begins `work`, a function of the words to put in front of its commands, behind what was begun before."""
        self.early[name] = self.pool.submit(work, LOW_PRIORITY)

    def result(self, name, work):
        """What the work returned, now if it was not begun before."""
        return self.early[name].result() if name in self.early else work(())

    def close(self):
        """Nothing is left running."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        for process in list(self.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self.pool.shutdown(wait=True)


def single(name, ok, output="", seconds=None):
    """One check that either holds or does not."""
    took = "" if seconds is None else f" ({seconds:.1f} s)"
    say(f"  {'ok  ' if ok else 'FAIL'} {name}{took}")
    if not ok:
        say("\n".join(output.rstrip().splitlines()[-120:]))
    return Totals(passed=int(ok), failed=int(not ok))


class Builds:
    """Build directories."""

    def __init__(self, commands):
        self.commands = commands
        self.results = {}

    def begin(self, directory):
        self.commands.begin(directory, lambda prefix: self._make(directory, prefix))

    def get(self, directory):
        """Returns (True when it builds, the counts of the build as a test: once, however many use it)."""
        if directory in self.results:
            return self.results[directory], Totals()
        code, output, seconds = self.commands.result(directory, lambda prefix: self._make(directory, prefix))
        self.results[directory] = code == 0
        return code == 0, single(f"{directory} builds without a warning", code == 0, output, seconds)

    def _make(self, directory, prefix):
        """Returns (exit code, output, seconds)."""
        started = time.monotonic()
        options, env = RECIPES[directory]
        options = ("-Dwerror=true", *options)
        path = os.path.join(ROOT, directory)
        stamp = os.path.join(path, ".foz-options")
        wanted = "\n".join(options)
        command = None
        if not os.path.exists(os.path.join(path, "build.ninja")):
            command = ["meson", "setup", directory, *options]
        elif not os.path.exists(stamp) or open(stamp, encoding="utf-8").read() != wanted:
            command = ["meson", "configure", directory, *options]
        if command:
            code, output = self.commands.run([*prefix, *command], env)
            if code != 0:
                return code, output, time.monotonic() - started
            with open(stamp, "w", encoding="utf-8") as out:
                out.write(wanted)
        code, output = self.commands.run([*prefix, "meson", "compile", "-C", directory])
        return code, output, time.monotonic() - started
