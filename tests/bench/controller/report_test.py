#!/usr/bin/env python3
"""The harness's arithmetic, and the hash it expects."""
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import plan, report, widgets  # noqa: E402


class Arithmetic(unittest.TestCase):
    def test_median_and_quartiles_of_five(self):
        got = report.summary([5, 1, 4, 2, 3])
        self.assertEqual((got["median"], got["q1"], got["q3"]), (3, 2, 4))

    def test_one_value_is_its_own_spread(self):
        self.assertEqual(report.quartiles([7]), (7, 7))

    def test_percentiles_are_nearest_ranks(self):
        ordered = list(range(1, 101))
        self.assertEqual(report.percentile(ordered, 50), 50)
        self.assertEqual(report.percentile(ordered, 99), 99)
        self.assertEqual(report.percentile([4], 99), 4)
        self.assertEqual(report.percentile([1, 2, 3], 50), 2)

    def test_latencies_become_percentiles_of_each_repeat(self):
        got = report.with_latencies({"latencies_ms_at_60": [[1, 2, 3], [4, 5, 6]], "x": [1]})
        self.assertEqual(got, {"latency_p50_ms_at_60": [2, 5], "latency_p99_ms_at_60": [3, 6],
                               "x": [1]})


class Verdicts(unittest.TestCase):
    def row(self, target, ours, theirs):
        return report.judge((target,), {target[0]: ours}, {target[0]: theirs})[0]

    def test_a_ratio_at_its_limit_is_met_and_beyond_is_missed(self):
        target = ("cpu", "at most", 0.25)
        self.assertTrue(self.row(target, [1, 1, 9], [4, 4, 4])["met"])
        self.assertFalse(self.row(target, [1.1], [4])["met"])

    def test_at_least_is_the_other_way_round(self):
        target = ("rate", "at least", 4)
        self.assertTrue(self.row(target, [8], [2])["met"])
        self.assertFalse(self.row(target, [7], [2])["met"])

    def test_zero_means_zero_in_every_repeat(self):
        target = ("writes_at_rest", "ours at most", 0)
        self.assertTrue(self.row(target, [0, 0, 0], [9, 9, 9])["met"])
        self.assertFalse(self.row(target, [0, 0, 1], [0, 0, 0])["met"])

    def test_without_the_rival_ratios_are_left_open(self):
        row = report.judge((("cpu", "at most", 0.25),), {"cpu": [1]}, None)[0]
        self.assertIsNone(row["met"])
        self.assertIsNone(row["ratio"])

    def test_what_was_not_measured_has_no_row(self):
        self.assertEqual(report.judge((("cpu", "at most", 1),), {}, {}), [])


class Report(unittest.TestCase):
    def setUp(self):
        base = {"ready_seconds": [0.01], "base_bytes": [10e6], "failover_seconds": [10.0]}
        load = {"sync_seconds": [1.0], "sync_cpu_seconds": [0.1], "bytes_per_object": [1900.0],
                "reconciled_cpu_seconds": [0.2], "noop_per_second": [1e5],
                "write_cpu_seconds_per_10k": [3.0], "writes_at_rest": [0],
                "peak_over_steady": [0.02], "latencies_ms_at_10": [[9.0]],
                "latencies_ms_at_60": [[8.0, 12.0]]}
        slow = {k: [v * 4 for v in values] for k, values in load.items() if "latencies" not in k}
        slow |= {"latencies_ms_at_10": [[9.0]], "latencies_ms_at_60": [[9.0, 12.0]]}
        one = plan.Plan(loads=(plan.Load(10, 1700, 1),))
        self.report = report.build(
            one, "smoke", {report.OURS: base, report.RIVAL: base},
            [{report.OURS: load, report.RIVAL: slow}], {})

    def test_it_holds_the_keys_other_tools_read(self):
        wanted = {"sync_seconds", "sync_cpu_seconds", "bytes_per_object", "base_bytes",
                  "noop_per_second", "write_cpu_seconds_per_10k", "latency_p50_ms",
                  "latency_p99_ms", "ready_seconds", "failover_seconds", "writes_at_rest"}
        self.assertEqual(set(report.KEYS), wanted)
        for name in (report.OURS, report.RIVAL):
            self.assertLessEqual(wanted, set(self.report[name]))
        self.assertEqual(self.report[report.OURS]["latency_p99_ms"], 12.0)

    def test_a_key_that_a_side_lacks_is_missed_where_the_plan_promised_it(self):
        smoke, brief = plan.FORMS["smoke"], plan.FORMS["brief"]
        names = (report.OURS, report.RIVAL)
        self.assertEqual(report.missing(smoke, self.report, names), [])
        del self.report[report.RIVAL]["failover_seconds"]
        self.assertEqual(report.missing(smoke, self.report, names),
                         [(report.RIVAL, "failover_seconds")])
        self.assertEqual(report.missing(brief, self.report, names), [])
        del self.report[report.RIVAL]
        self.assertEqual(len(report.missing(smoke, self.report, names)), len(report.KEYS))

    def test_who_wrote_at_rest_is_named(self):
        self.assertEqual(report.wrote_at_rest(self.report), [])
        self.report["loads"][0]["figures"][report.RIVAL]["writes_at_rest"]["values"] = [0, 1]
        self.assertEqual(report.wrote_at_rest(self.report), [report.RIVAL])

    def test_other_settings_have_tables_of_their_own_and_are_not_counted(self):
        only = report.text(self.report)
        for part in (self.report["base"], *self.report["loads"]):
            part["figures"][report.NO_DEEP_COPY] = dict(part["figures"][report.RIVAL])
        self.report["base"]["figures"][report.NO_DEEP_COPY].pop("failover_seconds")
        also = report.text(self.report)
        self.assertTrue(also.startswith(only), "the comparison's own tables stay as they are")
        self.assertIn(f"The same figures, {report.OURS} beside {report.NO_DEEP_COPY}", also)
        self.assertEqual(also.count("targets met"), 1)

    def test_the_table_marks_misses(self):
        table = report.text(self.report)
        line = next(x for x in table.splitlines() if x.strip().startswith("ready_seconds"))
        self.assertIn("MISSED", line)
        line = next(x for x in table.splitlines() if "reconciled_cpu_seconds" in x)
        self.assertTrue(line.endswith(" met"), line)


class Widgets(unittest.TestCase):
    def test_objects_are_about_as_large_as_asked_and_the_same_each_time(self):
        import json
        for size in (plan.SMALL, plan.LARGE):
            text = json.dumps(widgets.make(7, size), separators=(",", ":"))
            server_adds = 300  # uid, versions, creationTimestamp, status
            self.assertAlmostEqual(len(text) + server_adds, size, delta=size * 0.06)
            self.assertEqual(widgets.make(7, size), widgets.make(7, size))

    def test_the_hash_of_an_empty_spec(self):
        # Also what widget_test.cc expects of the C++ side.
        self.assertEqual(widgets.observed("s", {}), "f5ac7ce15a5336a3")


if __name__ == "__main__":
    unittest.main()
