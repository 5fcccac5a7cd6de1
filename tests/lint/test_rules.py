"""Feeds every rule a sample that breaks it, and one that does not."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lint  # noqa: E402
import rules  # noqa: E402


def names(findings):
    return [rule for _, rule, _ in findings]


class Layers(unittest.TestCase):
    def test_a_lower_layer_may_not_include_a_higher_one(self):
        found = rules.check_layers("common/base/buf.c", '#include "common/base/buf.h"\n#include "common/io/db.h"\n')
        self.assertEqual([(2, "layer")], [finding[:2] for finding in found])

    def test_worker_and_api_never_include_each_other(self):
        self.assertEqual(["layer"], names(rules.check_layers("worker/run/lanes.c", '#include "api/http/router.h"\n')))
        self.assertEqual(["layer"], names(rules.check_layers("api/http/router.c", '#include "worker/run/lanes.h"\n')))

    def test_parts_of_the_worker_keep_their_order(self):
        self.assertEqual(["layer"], names(rules.check_layers("worker/http/client.c", '#include "worker/run/lanes.h"\n')))
        self.assertEqual([], rules.check_layers("worker/run/lanes.c", '#include "worker/http/client.h"\n'))

    def test_includes_are_written_from_the_root(self):
        self.assertEqual(["layer"], names(rules.check_layers("worker/run/lanes.c", '#include "lanes.h"\n')))

    def test_a_folder_without_a_rank_is_found(self):
        self.assertEqual(["layer"], names(rules.check_layers("common/misc/bag.c", "")))

    def test_main_may_include_everything_of_its_program(self):
        self.assertEqual([], rules.check_layers("worker/main.c", '#include "worker/cli/cli.h"\n#include "common/base/log.h"\n'))


class Wrappers(unittest.TestCase):
    def test_a_foreign_library_is_included_by_its_wrapper_only(self):
        samples = {"libpq-fe.h": "common/io/db_copy.c", "cjson/cJSON.h": "common/io/json.c", "yaml.h": "common/io/yaml.c",
                   "openssl/evp.h": "common/io/crypto.c", "cjose/cjose.h": "common/io/jose.c", "xxhash.h": "common/io/hash.c", "glib.h": "common/io/zone.c",
                   "curl/curl.h": "worker/http/transport_curl.c", "microhttpd.h": "api/http/server.c"}
        for header, owner in samples.items():
            with self.subTest(header):
                self.assertEqual([], rules.check_wrappers(owner, f"#include <{header}>\n"))
                self.assertEqual(["wrapper"], names(rules.check_wrappers("common/ops/execution.c", f"#include <{header}>\n")))

    def test_each_program_has_its_own_wrapper_of_libcurl(self):
        self.assertEqual([], rules.check_wrappers("api/http/fetch.c", "#include <curl/curl.h>\n"))
        self.assertEqual(["wrapper"], names(rules.check_wrappers("api/guard/azure.c", "#include <curl/curl.h>\n")))


class Banned(unittest.TestCase):
    def test_every_banned_call_is_found(self):
        for name in rules._BANNED:
            with self.subTest(name):
                self.assertEqual(["banned"], names(rules.check_banned("worker/run/a.c", f"x = {name}(y);\n")))

    def test_goto_is_found(self):
        self.assertEqual(["banned"], names(rules.check_banned("tests/unit/a.c", "    goto out;\n")))

    def test_the_heap_is_reached_through_alloc_only(self):
        self.assertEqual(["banned"], names(rules.check_banned("worker/run/a.c", "p = malloc(3);\n")))
        self.assertEqual([], rules.check_banned("common/base/alloc.c", "p = malloc(3);\n"))

    def test_exit_belongs_to_main(self):
        self.assertEqual(["banned"], names(rules.check_banned("worker/run/a.c", "exit(1);\n")))
        self.assertEqual([], rules.check_banned("worker/main.c", "exit(1);\n"))

    def test_comments_strings_and_longer_names_are_not_calls(self):
        text = '/* strcpy(a, b) */ // system(x)\nputs("goto out; gets(x)"); buf_random(3); t.free(x); my_strcpy(a);\n'
        self.assertEqual([], rules.check_banned("worker/run/a.c", text))


class Sizes(unittest.TestCase):
    def test_a_long_function_is_found_at_its_brace(self):
        body = "int f(void)\n{\n" + "    g();\n" * 81 + "}\n"
        self.assertEqual([(2, "size")], [finding[:2] for finding in rules.check_sizes("worker/a.c", body)])

    def test_a_function_at_the_limit_passes(self):
        self.assertEqual([], rules.check_sizes("worker/a.c", "int f(void)\n{\n" + "    g();\n" * 80 + "}\n"))

    def test_a_long_file_is_found(self):
        self.assertEqual(["size"], names(rules.check_sizes("worker/a.c", "\n" * 801)))

    def test_a_header_begins_with_pragma_once(self):
        self.assertEqual(["header"], names(rules.check_header("common/base/a.h", "struct a;\n")))


class Words(unittest.TestCase):
    def test_places_of_one_machine_are_found(self):
        self.assertEqual(["place"], names(rules.check_words("docs/A.md", "see ." + "./shared/x", "/srv" "/foz")))
        self.assertEqual(["place"], names(rules.check_words("docs/A.md", "see /srv" "/foz/docs", "/srv" "/foz")))

    def test_a_checkout_below_the_root_forbids_no_common_word(self):
        self.assertEqual([], rules.check_words("docs/A.md", "see tasks/shared.go and /foz", "/foz"))

    def test_unfinished_work_is_found_in_the_product(self):
        self.assertEqual(["unfinished"], names(rules.check_words("worker/a.c", "/* TO" "DO later */", "/srv" "/foz")))
        self.assertEqual([], rules.check_words("tests/a.c", "/* a st" "ub server */", "/srv" "/foz"))


class Links(unittest.TestCase):
    def test_a_link_to_nowhere_is_found(self):
        self.assertEqual(["link"], names(rules.check_links("README.md", "[a](docs/NONE.md)", lambda path: None)))

    def test_a_link_to_a_missing_heading_is_found(self):
        self.assertEqual(["link"], names(rules.check_links("README.md", "[a](docs/A.md#two)", lambda path: "# One\n")))
        self.assertEqual([], rules.check_links("README.md", "[a](docs/A.md#one-and-2)", lambda path: "# One and `2`\n"))

    def test_code_blocks_and_other_sites_are_left_alone(self):
        self.assertEqual([], rules.check_links("README.md", "```\n[a](x)\n```\n[b](https://example.com/)\n", lambda path: None))


class Tools(unittest.TestCase):
    def test_broken_python_is_found(self):
        self.assertEqual(["python"], names(lint.check_python("def f(:\n")))

    def test_a_broken_shell_script_is_found(self):
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory(prefix="foz-lint-")), "broken")
        with open(path, "w", encoding="utf-8") as out:
            out.write("#!/usr/bin/env bash\nif true; then\n")
        self.assertEqual(["bash"], names(lint.check_bash(path)))

    @unittest.skipUnless(lint.shutil.which("clang-format"), "clang-format is not installed")
    def test_badly_formatted_code_is_found(self):
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory(prefix="foz-lint-")), "broken.c")
        with open(path, "w", encoding="utf-8") as out:
            out.write("int  f( void ){return 1;}\n")
        self.assertEqual(["format"], [finding[2] for finding in lint.check_format([path])])


if __name__ == "__main__":
    unittest.main()
