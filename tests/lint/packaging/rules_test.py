"""The alert rules as Prometheus itself reads them (promtool), and that each is tested and documented."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
RULES = ROOT / "deploy/rules/sluice.rules.yaml"
TESTS = ROOT / "deploy/rules/sluice.rules.test.yaml"
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from dashboard_check_test import SHIPPED, check  # noqa: E402


def promtool(*arguments, cwd=None):
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, cwd=cwd)


class Rules(unittest.TestCase):
    def setUp(self):
        self.text = RULES.read_text()
        self.alerts = re.findall(r"^  - alert: (\w+)$", self.text, re.M)

    def test_promtool_takes_the_file(self):
        result = promtool("check", "rules", RULES)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn(f"{len(self.alerts)} rules found", result.stdout)

    def test_alerts_fire_when_they_should_and_only_then(self):
        result = promtool("test", "rules", TESTS.name, cwd=TESTS.parent)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_every_alert_is_seen_firing_by_a_test(self):
        fires = set(re.findall(r"alertname: (\w+)\n +eval_time: \S+\n +exp_alerts:\n", TESTS.read_text()))
        self.assertEqual(fires, set(self.alerts))

    def test_every_alert_has_a_severity_a_summary_and_its_own_runbook(self):
        for block in self.text.split("  - alert: ")[1:]:
            name = block.split("\n", 1)[0]
            self.assertRegex(block, r"labels: \{severity: (page|ticket)\}", name)
            self.assertIn("summary: ", block, name)
            self.assertIn(f"runbook_url: docs/operations.md#{name.lower()}\n", block, name)

    def test_every_query_of_the_dashboard_parses(self):
        dashboard = json.loads(SHIPPED.read_text())
        variables = check.variables_of(dashboard, "1m", {})
        rules = [{"record": "dashboard:query", "labels": {"n": f"{panel['id']}{target['refId']}"},
                  "expr": check.fill_in(target["expr"], variables)}
                 for panel in check.panels(dashboard) for target in panel["targets"]]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)  # JSON is YAML
            file.flush()
            result = promtool("check", "rules", file.name)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn(f"{len(rules)} rules found", result.stdout)


if __name__ == "__main__":
    unittest.main()
