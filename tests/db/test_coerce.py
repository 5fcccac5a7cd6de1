#!/usr/bin/env python3
"""The row encoder against a real server: what COPY reads back is what the server's own input
functions make of the same text. FOZ_BUILD names the build directory (default: build)."""
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
import postgres  # noqa: E402
import query  # noqa: E402

BUILD = pathlib.Path(os.environ.get("FOZ_BUILD", ROOT / "build"))
ENCODER = BUILD / "tests" / "unit" / "worker" / "transform" / "encode_cells"


def numerics():
    chance = random.Random(20260102)
    for text in ("0", "-0", "0.000", "1", "-1", "10000", "0.0001", "0.00001", "9999.9999", "1e3", "1E-3", "1e999",
                 "1e-999", "-1.5e-7", "00012.30", ".5", "5.", "9007199254740993", "12345678901234567890.123456789"):
        yield text
    for _ in range(3000):
        digits = "".join(chance.choice("0001234567899") for _ in range(chance.randint(1, 40)))
        point = chance.randint(0, len(digits))
        text = digits[:point] + "." + digits[point:] if chance.random() < 0.7 else digits
        exponent = f"e{chance.randint(-60, 60)}" if chance.random() < 0.3 else ""
        yield chance.choice(["", "-", "+"]) + text + exponent


def timestamps():
    chance = random.Random(7)
    yield from ("2000-01-01 00:00:00", "1969-12-31 23:59:59", "0001-01-01 00:00:00", "9999-12-31 23:59:59")
    for _ in range(2000):
        day = f"{chance.randint(1, 9999):04}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
        clock = f"{chance.randint(0, 23):02}:{chance.randint(0, 59):02}:{chance.randint(0, 59):02}"
        yield chance.choice([f"{day} {clock}", f"{day}T{clock}Z", f"{day}T{clock}.{chance.randint(0, 999999):06}Z"])


class CoerceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = postgres.Cluster()
        cls.cluster.__enter__()
        cls.addClassCleanup(cls.cluster.__exit__, None, None, None)
        cls.url = cls.cluster.createdb("coerce")
        postgres.psql(cls.url, "CREATE TABLE reject (record_key text, reason text, payload jsonb)")

    def copy(self, table, path):
        psql = postgres.find_binaries() / "psql"
        with open(path, "rb") as data:
            done = subprocess.run([psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", self.url, "-c",
                                   f"COPY {table} FROM STDIN (FORMAT binary)"],
                                  stdin=data, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def land(self, kind, cells):
        """Encodes (letter, text) cells, copies them and returns the name of the table."""
        table = f"cells_{kind}"
        query.script(self.url, f"DROP TABLE IF EXISTS {table}; TRUNCATE reject; "
                                f"CREATE TABLE {table} (n text, v {kind}, h uuid, a varbit)")
        with tempfile.TemporaryDirectory() as folder:
            rows, rejects = os.path.join(folder, "rows"), os.path.join(folder, "rejects")
            lines = "".join(f"{letter}{text}\n" for letter, text in cells)
            subprocess.run([ENCODER, kind, rows, rejects], input=lines.encode(), check=True)
            self.copy(table, rows)
            self.copy("reject", rejects)
        return table

    def check_against_input_function(self, kind, texts, letter="T"):
        texts = list(texts)
        table = self.land(kind, [(letter, text) for text in texts])
        landed = {int(row[0]): row[1] for row in query.rows(
            self.url, f"SET timezone = 'UTC'; SELECT n, v::text FROM {table}")}
        values = ", ".join(f"({i}, {postgres.quote_literal(text)})" for i, text in enumerate(texts, 1))
        expected = {int(row[0]): row[1] for row in query.rows(
            self.url, f"SET timezone = 'UTC'; SELECT n, t::{kind}::text FROM (VALUES {values}) AS x (n, t)")}
        self.assertEqual(len(expected), len(texts))
        wrong = {texts[n - 1]: (landed.get(n), value) for n, value in expected.items() if landed.get(n) != value}
        self.assertEqual(wrong, {})

    def test_numeric_reads_back_digit_for_digit(self):
        self.check_against_input_function("numeric", numerics())

    def test_timestamptz_reads_back_as_utc(self):
        self.check_against_input_function("timestamptz", timestamps())

    def test_date_reads_back(self):
        self.check_against_input_function("date", [text[:10] for text in timestamps()])

    def test_integers_reach_both_ends(self):
        self.check_against_input_function("integer", ["0", "-1", "+7", "2147483647", "-2147483648"])
        self.check_against_input_function("bigint", ["0", "9223372036854775807", "-9223372036854775808"])

    def test_boolean_reads_back(self):
        self.check_against_input_function("boolean", ["true", "false", "TRUE", "False", "1", "0"])

    def test_interval_is_seconds_whatever_its_form(self):
        cases = {"1970-01-03 14:33:00": 225180, "1969-12-31 23:59:59": -1, "62:33:00": 225180, "-0:00:01": -1,
                 "225180": 225180, "0.000001": 0.000001, "-1.5": -1.5}
        table = self.land("interval", [("T", text) for text in cases])
        landed = [float(row[0]) for row in query.rows(
            self.url, f"SELECT extract(epoch FROM v) FROM {table} ORDER BY n::int")]
        self.assertEqual(landed, list(cases.values()))
        self.assertEqual(query.one(self.url, f"SELECT v::text FROM {table} WHERE n = '3'"), "62:33:00")

    def test_jsonb_documents_and_scalars_read_back(self):
        cells = [("J", '{"a": [1, 2.50, "x\\u0000y", "\\\\u0000"]}'), ("T", 'say "hi" \\ ç'), ("N", "1e308"), ("B", "true")]
        table = self.land("jsonb", cells)
        landed = [row[0] for row in query.rows(self.url, f"SELECT v = e::jsonb FROM {table} JOIN (VALUES "
                  "('1', '{\"a\": [1, 2.50, \"xy\", \"\\\\u0000\"]}'), ('2', '\"say \\\"hi\\\" \\\\ ç\"'), "
                  "('3', '1e308'), ('4', 'true')) AS x (n, e) USING (n)")]
        self.assertEqual(landed, ["t"] * 4)

    def test_rejects_never_break_the_copy(self):
        self.land("integer", [("T", "abc"), ("T", "7"), ("N", "2.5"), ("J", "{}")])
        self.assertEqual(query.rows(self.url, "SELECT record_key, reason, payload FROM reject ORDER BY 1"), [
            ("1", 'v: "abc" is not an integer', '{"evidence": ""}'),
            ("3", "v: 2.5 is not an integer", '{"evidence": ""}'),
            ("4", "v: {} is not an integer", '{"evidence": ""}')])
        self.land("jsonb", [("N", "1e200000")])
        self.assertEqual(query.one(self.url, "SELECT count(*) FROM reject"), "1")

    def test_absent_is_marked_and_null_is_not(self):
        table = self.land("text", [("A", ""), ("T", ""), ("T", "x")])
        self.assertEqual(query.rows(self.url, f"SELECT v IS NULL, a::text FROM {table} ORDER BY n"),
                         [("t", "01"), ("t", None), ("f", None)])
        self.assertEqual(query.one(self.url, f"SELECT count(DISTINCT h) FROM {table}"), "3")


if __name__ == "__main__":
    unittest.main()
