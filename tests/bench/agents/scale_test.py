#!/usr/bin/env python3
"""What `scale` makes of its figures."""
import importlib.machinery
import importlib.util
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
LOADER = importlib.machinery.SourceFileLoader("scale", str(HERE / "scale"))
scale = importlib.util.module_from_spec(importlib.util.spec_from_loader("scale", LOADER))
LOADER.exec_module(scale)

GOOD = {"resident_bytes": 2**29, "resident_after_changes_bytes": 2**29, "peak_bytes": 2**30,
        "changes": [{"p99_seconds": 0.1}, {"p99_seconds": 5}], "rest_cpu_share": 0.02,
        "restart_seconds": 30, "restart_tries_per_agent": 1.13, "writes_at_rest": 0}
STEADY = {"resident_bytes": 2**30 + 1, "resident_after_changes_bytes": 2**30 + 1,
          "peak_bytes": 2**30 + 1, "writes_at_rest": 1}
NOISY = {"changes": [{"p99_seconds": 5.1}, {"p99_seconds": 0.1}], "rest_cpu_share": 0.021,
         "restart_seconds": 30.1, "restart_tries_per_agent": 1.6}


class Targets(unittest.TestCase):
    def test_at_their_bounds_all_are_met(self):
        for form in scale.FORMS:
            self.assertEqual(scale.missed(GOOD, form), [])

    def test_each_one_beyond_its_bound_fails_a_run(self):
        for key, value in (STEADY | NOISY).items():
            for form in ("short", "full"):
                self.assertEqual(len(scale.missed(GOOD | {key: value}, form)), 1, key)

    def test_the_smoke_form_fails_only_for_what_no_noise_can_miss(self):
        for key, value in STEADY.items():
            self.assertEqual(len(scale.missed(GOOD | {key: value}, "smoke")), 1, key)
        for key, value in NOISY.items():
            self.assertEqual(scale.missed(GOOD | {key: value}, "smoke"), [], key)


if __name__ == "__main__":
    unittest.main()
