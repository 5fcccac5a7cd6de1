"""The rules of the lint, as pure functions: (path, text) -> findings.

A finding is (line, rule, cure). Paths are relative to the checkout, with forward slashes.
"""

import os
import re

# --- C text without comments and literals ---------------------------------------------------------

_TOKEN = re.compile(r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)


def strip_c(text):
    """Blanks comments and literals; lines and columns stay where they are."""
    return _TOKEN.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


# --- layers ---------------------------------------------------------------------------------------

# A file includes only what stands before it in its list. `schema` is what the build embeds.
_COMMON = ["common/base", "common/io", "schema", "common/conf", "common/ops"]
_WORKER = ["worker/" + part for part in ("http", "transform", "load", "sources", "run", "cli")]
_API = ["api/http", "api/guard", "api/handlers"]
RANKS = {
    "worker": _COMMON + _WORKER + ["worker"],
    "api": _COMMON + _API + ["api"],
    "common": _COMMON,
    "schema": _COMMON,
}
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.M)


def _place(path, order):
    """Index of the innermost folder of `order` that holds the path, or None."""
    best = None
    for index, folder in enumerate(order):
        if path.startswith(folder + "/") and (best is None or len(folder) > len(order[best])):
            best = index
    return best


def check_layers(path, text):
    order = RANKS.get(path.split("/")[0])
    if order is None:
        return []
    own = _place(path, order)
    if own is None:
        return [(1, "layer", f"this folder has no rank; give it one in tests/lint/rules.py, or use one of: {', '.join(order)}")]
    findings = []
    for match in _INCLUDE.finditer(text):
        included = match.group(1)
        if included is None:
            continue
        line = line_of(text, match.start())
        if "/" not in included:
            findings.append((line, "layer", f'include "{included}" by its path from the root of the project'))
            continue
        there = _place(included, order)
        if there is None:
            findings.append((line, "layer", f"{order[own]} may not include {included}; allowed are: {', '.join(order[:own + 1])}"))
        elif there > own:
            findings.append((line, "layer", f"{order[own]} stands below {order[there]}; pass what is needed down, or move the code up"))
    return findings


# --- one wrapper per foreign library --------------------------------------------------------------

WRAPPERS = [
    (r"libpq-fe\.h|postgres_ext\.h|libpq/", r"common/io/db\w*\.c|common/io/db_private\.h", "common/io/db*.c"),
    (r"cjson/|cJSON\.h", r"common/io/json\.c", "common/io/json.c"),
    (r"yaml\.h", r"common/io/yaml\.c", "common/io/yaml.c"),
    (r"openssl/", r"common/io/crypto\.c", "common/io/crypto.c"),
    (r"cjose/", r"common/io/jose\.c", "common/io/jose.c"),
    (r"xxhash\.h", r"common/io/hash\.c", "common/io/hash.c"),
    (r"glib", r"common/io/zone\.c", "common/io/zone.c"),
    (r"curl/", r"worker/http/transport_curl\.c|api/http/fetch\.c", "worker/http/transport_curl.c and api/http/fetch.c"),
    (r"microhttpd\.h", r"api/http/server\.c|api/http/server_answers\.[ch]", "api/http/server*.c"),
]


def is_product(path):
    return path.split("/")[0] in ("common", "worker", "api", "schema")


def check_wrappers(path, text):
    if not is_product(path):
        return []
    findings = []
    for match in _INCLUDE.finditer(text):
        header = match.group(2) or match.group(1)
        for pattern, owner, name in WRAPPERS:
            if re.match(pattern, header) and not re.fullmatch(owner, path):
                findings.append((line_of(text, match.start()), "wrapper", f"only {name} includes <{header}>; call its functions"))
    return findings


# --- banned calls ---------------------------------------------------------------------------------

_BANNED = {
    "strcpy": "use struct buf", "strcat": "use struct buf", "strncpy": "use struct buf or memcpy with a checked length",
    "strncat": "use struct buf", "stpcpy": "use struct buf", "sprintf": "use snprintf or buf_addf", "vsprintf": "use vsnprintf",
    "strtok": "use struct str", "strtok_r": "use struct str", "atoi": "use a checked parser of common/base",
    "atol": "use a checked parser of common/base", "atoll": "use a checked parser of common/base",
    "atof": "use a checked parser of common/base", "localtime": "use common/base/instant.h", "gmtime": "use common/base/instant.h",
    "ctime": "use common/base/instant.h", "asctime": "use common/base/instant.h", "strerror": "use strerror_r",
    "rand": "use common/base/random.h", "srand": "use common/base/random.h", "random": "use common/base/random.h",
    "drand48": "use common/base/random.h", "system": "do not run shells", "popen": "do not run shells",
    "alloca": "use an arena", "gets": "use a bounded read", "sscanf": "use a checked parser of common/base",
    "asprintf": "use struct buf", "open_memstream": "use struct buf", "setjmp": "return errors", "longjmp": "return errors",
    "sigsetjmp": "return errors", "siglongjmp": "return errors", "pthread_exit": "return from the thread's function",
    "pthread_cancel": "set the stop token and join", "tmpnam": "use mkstemp", "mktemp": "use mkstemp",
}
_HEAP = ("malloc", "calloc", "realloc", "reallocarray", "free", "strdup", "strndup")
_BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(_BANNED) + r")\s*\(")
_HEAP_CALL = re.compile(r"(?<!__attribute__\(\()(?<![\w.>])(" + "|".join(_HEAP) + r")\s*\(")
_EXIT_CALL = re.compile(r"(?<![\w.>])(_exit|_Exit|quick_exit|exit)\s*\(")
_GOTO = re.compile(r"(?<![\w.>])goto\s+\w")


def check_banned(path, text):
    code = strip_c(text)
    findings = [(line_of(code, m.start()), "banned", f"{m.group(1)}(): {_BANNED[m.group(1)]}") for m in _BANNED_CALL.finditer(code)]
    findings += [(line_of(code, m.start()), "banned", "goto: use CLEANUP and early returns") for m in _GOTO.finditer(code)]
    if not is_product(path):
        return findings  # tests may end themselves and use the heap
    if path not in ("common/base/alloc.c", "common/base/alloc.h"):
        findings += [(line_of(code, m.start()), "banned", f"{m.group(1)}(): use common/base/alloc.h") for m in _HEAP_CALL.finditer(code)]
    if not path.endswith("main.c"):
        findings += [(line_of(code, m.start()), "banned", f"{m.group(1)}(): return an error; only main.c ends the program") for m in _EXIT_CALL.finditer(code)]
    return findings


# --- sizes ----------------------------------------------------------------------------------------

MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 80


def check_sizes(path, text):
    findings = []
    lines = strip_c(text).split("\n")
    if len(lines) - 1 > MAX_FILE_LINES:
        findings.append((MAX_FILE_LINES, "size", f"{len(lines) - 1} lines, at most {MAX_FILE_LINES}: split the file by object"))
    start = None
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{":  # our brace style: only a function body opens in the first column
            start = number
        elif line.startswith("}") and start is not None:
            length = number - start - 1
            if length > MAX_FUNCTION_LINES:
                findings.append((start, "size", f"function of {length} lines, at most {MAX_FUNCTION_LINES}: split it by what it does"))
            start = None
    return findings


def check_header(path, text):
    if path.endswith(".h") and is_product(path) and not text.lstrip().startswith("#pragma once"):
        return [(1, "header", "begin the header with #pragma once")]
    return []


C_RULES = [check_layers, check_wrappers, check_banned, check_sizes, check_header]

# --- words ----------------------------------------------------------------------------------------


def check_words(path, text, root):
    """Places outside the project, and work that calls itself unfinished."""
    findings = []
    beside = os.path.join(os.path.dirname(root), "shared")
    # A checkout right below / has names that stand in any path.
    places = ["." * 2 + "/shared"] + ([beside, root] if root.count("/") > 1 else [])
    for number, line in enumerate(text.split("\n"), 1):
        for place in places:
            if place in line:
                findings.append((number, "place", f"names {place}, which exists on one machine only; compute it or leave it out"))
        if is_product(path) or path.startswith("deploy/"):
            match = re.search(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|(?-i:not (?:yet )?implemented)|stub)\b", line, re.I)
            if match:
                findings.append((number, "unfinished", f"'{match.group()}': finish it"))
    return findings


# --- documents ------------------------------------------------------------------------------------

_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
_FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.S | re.M)


def heading_anchor(heading):
    kept = re.sub(r"[^\w\- ]", "", re.sub(r"`", "", heading.strip().lower()))
    return kept.replace(" ", "-")


def anchors(text):
    body = _FENCE.sub("", text)
    return {heading_anchor(m.group(1)) for m in re.finditer(r"^#+\s+(.*)$", body, re.M)}


def check_links(path, text, read):
    """`read(path)` returns a file's text, "" for a folder, None where there is nothing."""
    findings = []
    body = _FENCE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    for match in _LINK.finditer(body):
        target = match.group(1)
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        where = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
        content = text if where == path else read(where)
        line = line_of(body, match.start())
        if content is None:
            findings.append((line, "link", f"{target} does not exist"))
        elif anchor and where.endswith(".md") and anchor not in anchors(content):
            findings.append((line, "link", f"{where} has no heading for #{anchor}"))
    return findings
