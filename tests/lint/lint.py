"""Checks the tree: one line a finding, `file:line: rule: cure`; exit code 1 when there is one.

    tests/lint/lint.py [FILE...]      default: every file git tracks
"""

import ast
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rules  # noqa: E402  (the folder must be on the path first)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def tracked_files():
    """Files git knows, or all of a source archive."""
    listed = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "ls-files", "-z", "-co", "--exclude-standard"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False) if shutil.which("git") else None
    if listed is not None and listed.returncode == 0:
        names = listed.stdout.decode().split("\0")
        return sorted(name for name in names if name and os.path.isfile(os.path.join(ROOT, name)))
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in (".git", ".quickstart", "__pycache__") and not name.startswith("build")]
        found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names]
    return sorted(found)


def read_text(path):
    full = os.path.join(ROOT, path)
    if os.path.isdir(full):
        return ""
    try:
        with open(full, encoding="utf-8") as data:
            return data.read()
    except (OSError, UnicodeDecodeError):
        return None


def check_bash(path):
    done = subprocess.run(["bash", "-n", path], cwd=ROOT, capture_output=True, text=True, check=False)
    number = re.search(r"line (\d+)", done.stderr)
    if done.returncode == 0:
        return []
    return [(int(number.group(1)) if number else 1, "bash", done.stderr.strip().splitlines()[0])]


def check_python(text):
    try:
        ast.parse(text)
    except SyntaxError as error:
        return [(error.lineno or 1, "python", error.msg)]
    return []


def check_format(paths):
    """clang-format over all C files at once; skipped with a word where it is not installed."""
    if not shutil.which("clang-format"):
        print("clang-format is not installed: the format is not checked", file=sys.stderr)
        return []
    done = subprocess.run(["clang-format", "--dry-run", *paths], cwd=ROOT, capture_output=True, text=True, check=False)
    found = {}
    for match in re.finditer(r"^(\S+?):(\d+):\d+: (?:warning|error):", done.stderr, re.M):
        found.setdefault(match.group(1), int(match.group(2)))  # the first place in each file is enough
    return [(path, line, "format", f"run clang-format -i {path}") for path, line in found.items()]


def check_file(path):
    text = read_text(path)
    if text is None:
        return []
    findings = rules.check_words(path, text, ROOT)
    if path.endswith((".c", ".h")):
        for rule in rules.C_RULES:
            findings += rule(path, text)
    elif path.endswith(".md"):
        findings += rules.check_links(path, text, read_text)
    elif path.endswith(".py") or text.startswith("#!/usr/bin/env python3"):
        findings += check_python(text)
    elif re.match(r"#!.*\b(bash|sh)\b", text):
        findings += check_bash(path)
    return [(path, *finding) for finding in findings]


def main():
    paths = sys.argv[1:] or tracked_files()
    findings = []
    for path in paths:
        findings += check_file(path)
    sources = [path for path in paths if path.endswith((".c", ".h"))]
    if sources:
        findings += check_format(sources)
    for path, line, rule, cure in sorted(findings):
        print(f"{path}:{line}: {rule}: {cure}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
