"""The structure check must be able to fail: one broken example for each rule."""

import unittest

from structure import NAMED_FILE, NAMED_PAGE, check_text, endings, include_violation, missing_files


class IncludeRules(unittest.TestCase):
    def test_the_runtime_never_includes_our_kinds(self):
        self.assertTrue(include_violation("controller/cache/a.cc", "api/v1alpha1/site.pb.h"))
        self.assertTrue(include_violation("controller/leader/a.cc", "reconcilers/gates/e.h"))
        self.assertIsNone(include_violation("controller/cmd/x/main.cc", "reconcilers/site/s.h"))

    def test_the_agent_uses_nothing_of_kubernetes(self):
        self.assertTrue(include_violation("datapath/serve/a.cc", "controller/client/client.h"))
        self.assertIsNone(include_violation("datapath/serve/a.cc", "controller/base/status.h"))
        self.assertIsNone(include_violation("datapath/control/a.cc", "api/agent/v1/agent.pb.h"))

    def test_one_kind_never_includes_another(self):
        self.assertTrue(include_violation("reconcilers/site/a.cc", "reconcilers/tenant/plan.h"))
        self.assertIsNone(include_violation("reconcilers/site/a.cc", "reconcilers/gates/gate.h"))

    def test_confined_headers_stay_where_they_are(self):
        self.assertTrue(include_violation("reconcilers/site/a.cc", "grpcpp/grpcpp.h"))
        self.assertTrue(include_violation("datapath/net/a.cc", "liburing.h"))
        self.assertIsNone(include_violation("datapath/ring/uring.cc", "liburing.h"))
        self.assertTrue(include_violation("reconcilers/agents/a.cc", "grpcpp/grpcpp.h"))
        self.assertTrue(include_violation("reconcilers/agents/a.cc", "nghttp2/nghttp2.h"))
        self.assertIsNone(include_violation("controller/rpc/frames.cc", "nghttp2/nghttp2.h"))
        self.assertTrue(include_violation("controller/meta/a.cc", "simdjson.h"))
        self.assertIsNone(include_violation("tests/bench/controller/a.cc", "simdjson.h"))

    def test_headers_stay_light(self):
        self.assertTrue(include_violation("reconcilers/site/a.h", "api/v1alpha1/site.pb.h"))
        self.assertIsNone(include_violation("reconcilers/site/a.cc", "api/v1alpha1/site.pb.h"))
        text = "// Internal to this folder: x.\n#pragma once\n#include <grpcpp/grpcpp.h>\n"
        self.assertEqual(check_text("datapath/control/edge.h", text), [])
        self.assertEqual(len(check_text("datapath/control/edge.h", text.replace("Internal", "Open"))), 1)

    def test_statuses_are_written_one_way(self):
        line = "  const auto a = api_.ApplyStatus(kSites, body, options);\n"
        self.assertEqual(len(check_text("reconcilers/slo/a.cc", line)), 1)
        self.assertEqual(check_text("reconcilers/common/a.cc", line), [])
        self.assertEqual(check_text("reconcilers/slo/a.cc", line.replace("api_", "applier_")), [])

    def test_a_page_that_names_a_file_that_is_gone_is_seen(self):
        text = "`a.h`\n`base/b.h`, `x_test.cc`, `c.h`\n"
        known = endings(["controller/base/a.h", "controller/base/b.h"])
        self.assertEqual(list(missing_files(NAMED_FILE, text, known)), [(2, "c.h")])

    def test_a_comment_that_names_a_page_that_is_gone_is_seen(self):
        text = "// As docs/a.md#rule says (../b.md), https://x/c.md too.\n// Bounds (PLAN.md, 2).\n"
        known = endings(["docs/a.md", "docs/b.md"])
        self.assertEqual(list(missing_files(NAMED_PAGE, text, known)), [(2, "PLAN.md")])

    def test_unfinished_work_and_missing_guards_are_seen(self):
        self.assertEqual(len(check_text("controller/base/a.h", "int x; // TO" "DO later\n")), 2)


if __name__ == "__main__":
    unittest.main()
