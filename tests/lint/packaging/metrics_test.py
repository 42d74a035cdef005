"""Every metric that the alert rules, the dashboard and the shipped plan name is exported by the code, so
that a metric that is renamed takes its alert along; docs/metrics.md tells of every one."""
import json
import pathlib
import re
import unittest

import dashboard_check_test

ROOT = pathlib.Path(__file__).resolve().parents[3]
NAME = r"(?:sluice|workqueue|rest_client|controller_runtime|leader_election|certwatcher|process)_[a-z_]+"
METRIC = re.compile(rf"\b({NAME})\b")
SUFFIXES = ("_bucket", "_sum", "_count")


def exported():
    """Names that stand as literals in the sources, tests aside."""
    names = set()
    for folder in ("controller", "reconcilers", "datapath"):
        for file in (ROOT / folder).rglob("*.cc"):
            if not file.name.endswith("_test.cc"):
                names |= set(re.findall(rf'"({NAME})"', file.read_text()))
    return names


def told(page):
    """The metrics that a page's tables tell of, one entry each time."""
    rows = "\n".join(line for line in page.splitlines() if line.startswith("| `"))
    names = re.findall(r"`((?:slo:)?[a-z]+_[a-z_]+(?::\w+)?)`", rows)
    return [name for name in names if METRIC.fullmatch(name) or name.startswith("slo:")]


class Metrics(unittest.TestCase):
    def asked(self, text):
        names = set(METRIC.findall(text))
        return {next((n[:-len(s)] for s in SUFFIXES if n.endswith(s)), n) for n in names}

    def check(self, text, least):
        asked = self.asked(text)
        self.assertGreaterEqual(len(asked), least)
        self.assertEqual(sorted(asked - exported()), [])

    def test_of_the_alert_rules(self):
        rules = (ROOT / "deploy/rules/sluice.rules.yaml").read_text()
        self.check("\n".join(re.findall(r"expr: (?:>-\n)?((?:.|\n(?!    for:|    labels:))*)", rules)), 20)

    def test_of_the_dashboard(self):
        dashboard = json.loads(dashboard_check_test.SHIPPED.read_text())
        # Recorded series of objectives (slo:…) are the rules' own; their test is promtool's.
        queries = [re.sub(r"slo:\w+:\w+", "", target["expr"])
                   for panel in dashboard_check_test.check.panels(dashboard)
                   for target in panel["targets"]]
        self.check("\n".join(queries), 30)

    def test_of_the_shipped_plan(self):
        self.check((ROOT / "deploy/manifests/plans/crawl-walk-run.yaml").read_text(), 3)

    def test_of_the_page_of_metrics_and_no_others(self):
        named = told((ROOT / "docs/metrics.md").read_text())
        self.assertEqual(len(named), len(set(named)), "a metric is told of twice")
        recorded = set(re.findall(r'"(slo:\w+:\w+)"',
                                  (ROOT / "reconcilers/gates/slo_series.h").read_text()))
        self.assertEqual(sorted(named), sorted(exported() | recorded))

    def test_the_recorded_series_of_objectives_are_those_of_the_rules(self):
        recorded = set(re.findall(r'"(slo:\w+:\w+)"',
                                  (ROOT / "reconcilers/gates/slo_series.h").read_text()))
        asked = set(re.findall(r"slo:\w+:\w+", dashboard_check_test.SHIPPED.read_text()))
        self.assertTrue(asked)
        self.assertLessEqual(asked, recorded)


if __name__ == "__main__":
    unittest.main()
