#!/usr/bin/env python3
"""What a real replica exports: Go's names, types and labels, so that dashboards made for controller-runtime
work, and the labels that docs/metrics.md tells of."""
import os
import pathlib
import re
import subprocess
import sys
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "tests/integration"))
import apiserver  # noqa: E402
import prometheus_server  # noqa: E402
from apiserver import GROUP, wait_until  # noqa: E402

BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD_DIR", ROOT / "build/release"))
QUEUE = {"controller", "name"}
# Of controller-runtime v0.25.2 as it comes: pkg/internal/controller/metrics, pkg/internal/metrics and
# pkg/metrics, and Prometheus' collector of processes (client_golang v1.24.0). Webhooks and certwatcher:
# controller/webhook/webhook_test.cc. Left out, with their reasons: docs/metrics.md.
GO = {
    "controller_runtime_reconcile_total": ("counter", {"controller", "result"}),
    "controller_runtime_reconcile_errors_total": ("counter", {"controller"}),
    "controller_runtime_terminal_reconcile_errors_total": ("counter", {"controller"}),
    "controller_runtime_reconcile_panics_total": ("counter", {"controller"}),
    "controller_runtime_reconcile_time_seconds": ("histogram", {"controller"}),
    "controller_runtime_max_concurrent_reconciles": ("gauge", {"controller"}),
    "controller_runtime_active_workers": ("gauge", {"controller"}),
    "workqueue_depth": ("gauge", QUEUE | {"priority"}),
    "workqueue_adds_total": ("counter", QUEUE),
    "workqueue_queue_duration_seconds": ("histogram", QUEUE),
    "workqueue_work_duration_seconds": ("histogram", QUEUE),
    "workqueue_unfinished_work_seconds": ("gauge", QUEUE),
    "workqueue_longest_running_processor_seconds": ("gauge", QUEUE),
    "workqueue_retries_total": ("counter", QUEUE),
    "rest_client_requests_total": ("counter", {"code", "method", "host"}),
    "rest_client_request_duration_seconds": ("histogram", {"verb", "host"}),
    "leader_election_master_status": ("gauge", {"name"}),
    "leader_election_slowpath_total": ("counter", {"name"}),
    "process_cpu_seconds_total": ("counter", set()),
    "process_open_fds": ("gauge", set()),
    "process_max_fds": ("gauge", set()),
    "process_virtual_memory_bytes": ("gauge", set()),
    "process_virtual_memory_max_bytes": ("gauge", set()),
    "process_resident_memory_bytes": ("gauge", set()),
    "process_start_time_seconds": ("gauge", set()),
}
OUR_OWN = {"workqueue_refused_total", "rest_client_throttled_total",
           "rest_client_throttled_seconds_total"}
LIKE_GOS = re.compile(r"controller_runtime_|workqueue_|rest_client_|leader_election_|process_|certwatcher_")
RESULTS = {"success", "error", "requeue", "requeue_after"}
# What the two dashboards of kubebuilder's Grafana plugin (grafana/v1-alpha) ask, their variables filled in
# and five minutes cut to what a test can wait for.
HERE = 'job="sluice", namespace="sluice-system"'
POD = HERE + ', pod="sluice-controller-0"'
STOCK = [
    f'sum(rate(controller_runtime_reconcile_total{{{HERE}}}[30s])) by (instance, pod)',
    f'sum(rate(controller_runtime_reconcile_errors_total{{{HERE}}}[30s])) by (instance, pod)',
    f'controller_runtime_active_workers{{{HERE}}}',
    f'workqueue_depth{{{HERE}}}',
    f'sum(rate(workqueue_adds_total{{{HERE}}}[30s])) by (instance, name)',
    f'sum(rate(workqueue_retries_total{{{HERE}}}[30s])) by (instance, name)',
    f'rate(workqueue_unfinished_work_seconds{{{HERE}}}[30s])',
    *(f'histogram_quantile({share}, sum(rate({histogram}_bucket{{{HERE}}}[30s])) by (instance, name, le))'
      for histogram in ("workqueue_queue_duration_seconds", "workqueue_work_duration_seconds")
      for share in (0.5, 0.9, 0.99)),
    f'sum(rate(rest_client_requests_total{{{HERE}}}[30s])) by (method, code)',
    f'rate(process_cpu_seconds_total{{{POD}}}[30s]) * 100',
    f'process_resident_memory_bytes{{{POD}}}',
]
TENANT = {"apiVersion": "sluice.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "falcon"},
          "spec": {"sites": ["phoenix"], "namespaces": ["falcon"],
                   "credentialsRef": {"name": "falcon-keys", "namespace": "falcon"},
                   "access": [{"mount": "/datasets", "verbs": ["Read"]}],
                   "custody": {"operator": "Example Cloud", "holder": "Falcon Research",
                               "supportTier": "Business",
                               "contacts": [{"severity": "Severity1", "to": "+1 555 0100"}]}}}
# What cannot but be above 0 once a Tenant was made: the others may truly be 0.
RISEN = re.compile(r"reconcile_total|adds_total|histogram_quantile|requests_total|process_")


def families(page):
    """{name: (type, [labels of each series, by name])}; a histogram's parts count as its family."""
    found = {}
    for line in page.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            found[name] = (kind, [])
        elif not line.startswith("#"):
            series, labels = re.fullmatch(r"(\w+)(?:\{(.*)\})? \S+", line).groups()
            if series not in found:
                series = re.sub(r"_(bucket|sum|count)$", "", series)
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or ""))
            labels.pop("le", None)
            found[series][1].append(labels)
    return found


def told(page):
    """{name: labels} of the tables of a page."""
    found = {}
    for names, labels in re.findall(r"^\| (`.*?`) \| (.*?)\|", page, re.M):
        for name in re.findall(r"`(\w+)`", names):
            found[name] = set(re.findall(r"\w+", labels))
    return found


def shown(url, query):
    """Whether a panel with this query would draw a line, above 0 where it has to be."""
    values = [value for _, value in prometheus_server.query(url, query)]
    if RISEN.search(query):
        return any(value > 0 for value in values)
    return any(value >= 0 for value in values)  # which NaN is not


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        server = cls.server = cls.enterClassContext(apiserver.running())
        log = server.kubeconfig.parent / "controller.log"
        answer = server.call("POST", "/api/v1/namespaces", {"metadata": {"name": "sluice-system"}})
        assert answer.ok, answer.message
        with open(log, "wb") as out:
            process = subprocess.Popen(
                [BUILD / "bin/sluice-controller", f"--kubeconfig={server.kubeconfig}",
                 "--namespace=sluice-system", "--health-address=", "--metrics-address=127.0.0.1:0",
                 "--control-address=127.0.0.1:0", "--enrolment-address=127.0.0.1:0"],
                stdout=out, stderr=out)
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.kill)

        def leading_page():
            port = re.search(r'page="metrics address" port=(\d+)', log.read_text())
            if not port:
                return None
            cls.port = int(port[1])
            page = urllib.request.urlopen(f"http://127.0.0.1:{cls.port}/metrics", timeout=10).read().decode()
            return page if re.search(r"^leader_election_master_status\S* 1$", page, re.M) else None

        wait_until(leading_page, "the controller to lead", 60)
        cls.page = leading_page()
        cls.families = families(cls.page)

    def test_gos_names_types_and_labels(self):
        for name, (kind, labels) in GO.items():
            with self.subTest(metric=name):
                self.assertIn(name, self.families)
                exported, series = self.families[name]
                self.assertEqual(exported, kind)
                self.assertTrue(series)
                for each in series:
                    self.assertEqual(set(each), labels)

    def test_no_names_like_gos_that_go_has_not(self):
        like = {name for name in self.families if LIKE_GOS.match(name)}
        self.assertEqual(like - set(GO) - OUR_OWN, set())

    def test_every_outcome_and_priority_of_every_controller_is_there_from_the_start(self):
        results, priorities = {}, {}
        for each in self.families["controller_runtime_reconcile_total"][1]:
            results.setdefault(each["controller"], set()).add(each["result"])
        for each in self.families["workqueue_depth"][1]:
            self.assertEqual(each["controller"], each["name"])
            priorities.setdefault(each["controller"], set()).add(each["priority"])
        self.assertIn("site", results)
        self.assertEqual(set(map(frozenset, results.values())), {frozenset(RESULTS)})
        self.assertEqual(priorities, {name: {"0", "-100"} for name in results})

    def test_the_page_of_metrics_tells_their_labels(self):
        page = told((ROOT / "docs/metrics.md").read_text())
        seen = {name: set().union(*series) for name, (_, series) in self.families.items() if series}
        self.assertGreater(len(seen), 40)
        self.assertEqual({name: page.get(name) for name in seen}, seen)

    def test_a_stock_dashboard_shows_what_a_replica_did(self):
        labels = {"namespace": "sluice-system", "pod": "sluice-controller-0"}
        with prometheus_server.running(self.port, **labels) as url:
            wait_until(lambda: prometheus_server.query(url, f"workqueue_depth{{{HERE}}}"), "a scrape")
            made = self.server.call("POST", f"{GROUP}tenants", TENANT)
            self.assertTrue(made.ok, made.message)
            unseen = list(STOCK)

            def all_seen():
                unseen[:] = [each for each in unseen if not shown(url, each)]
                return not unseen

            try:
                wait_until(all_seen, "every panel to show something")
            except TimeoutError:
                self.fail(f"empty: {unseen}")

    def test_the_process_is_told_as_it_is(self):
        value = {name: float(re.search(rf"^{name} (\S+)$", self.page, re.M)[1])
                 for name in GO if name.startswith("process_")}
        self.assertTrue(0 < value["process_cpu_seconds_total"] < 60, value)
        self.assertTrue(1e6 < value["process_resident_memory_bytes"] < 1e9, value)
        self.assertLess(value["process_resident_memory_bytes"], value["process_virtual_memory_bytes"])
        self.assertTrue(5 < value["process_open_fds"] < value["process_max_fds"], value)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
