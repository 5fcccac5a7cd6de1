"""What does not pass by itself is an honest error and leaves the target; oddities harm nothing."""

import unittest

from foz import COMPLETE, FAILED, PARTIAL, RIGHTS
from law import BROKEN, LawTest

# What does not pass by itself. (name, options, exit codes)
LASTING = [
    ("html_200", {}, BROKEN),
    ("wrong_content_type", {}, BROKEN),
    ("sso_redirect", {}, BROKEN),
    ("sso_redirect", {"value": "http://127.0.0.1:9/elsewhere"}, BROKEN),
    ("unauthorized_401", {}, {RIGHTS}),
    ("unauthorized_401", {"mode": "mfa"}, {RIGHTS}),
    ("forbidden_403", {}, {FAILED, RIGHTS}),
    ("forbidden_403", {"mode": "api"}, {FAILED, RIGHTS}),
    ("forbidden_403", {"field": "sys_updated_on"}, {COMPLETE, FAILED, RIGHTS}),
    ("not_found_404", {}, {FAILED}),
    ("invalid_table", {}, {FAILED}),
    ("uri_414", {}, {FAILED}),
    ("bad_value", {"field": "short_description", "mode": "lone_surrogate", "every": 50}, {FAILED, PARTIAL}),
    ("bad_value", {"field": "short_description", "mode": "bad_utf8", "every": 50}, {FAILED, PARTIAL}),
]

# Odd, but right: the copy is exact all the same.
HARMLESS = [
    ("negative_prev", {}),
    ("foreign_link_host", {}),
    ("extra_top_level", {}),
    ("delay", {"seconds": 0.05}),
    ("clock_skew", {"seconds": 7200}),
    ("clock_skew", {"seconds": -7200}),
    ("bad_value", {"field": "correlation_display", "mode": "extra", "every": 3}),
    ("semaphores", {"value": "1/1"}),
]


class Refusals(LawTest):
    def test_what_does_not_pass_is_an_honest_error_and_leaves_the_target(self):
        self.load("incidents")
        for kind, options, codes in LASTING:
            for mode in ("full", "incremental", "reconcile"):
                with self.subTest(kind=kind, load_mode=mode, **options):
                    self.strike(kind, options, mode, codes | ({COMPLETE} if mode == "reconcile" and kind == "bad_value" else set()))

    def test_harmless_oddities_change_nothing(self):
        self.load("incidents")
        for kind, options in HARMLESS:
            for mode in ("full", "incremental", "reconcile"):
                with self.subTest(kind=kind, load_mode=mode, **options):
                    self.strike(kind, {"after": 0, **options}, mode, {COMPLETE})


if __name__ == "__main__":
    unittest.main()
