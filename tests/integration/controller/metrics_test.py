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
from apiserver import wait_until  # noqa: E402

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


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        server = cls.enterClassContext(apiserver.running())
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
            page = urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/metrics", timeout=10).read().decode()
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

    def test_the_process_is_told_as_it_is(self):
        value = {name: float(re.search(rf"^{name} (\S+)$", self.page, re.M)[1])
                 for name in GO if name.startswith("process_")}
        self.assertTrue(0 < value["process_cpu_seconds_total"] < 60, value)
        self.assertTrue(1e6 < value["process_resident_memory_bytes"] < 1e9, value)
        self.assertLess(value["process_resident_memory_bytes"], value["process_virtual_memory_bytes"])
        self.assertTrue(5 < value["process_open_fds"] < value["process_max_fds"], value)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
