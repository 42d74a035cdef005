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
        "changes": {"Site": [{"p99_seconds": 0.1}, {"p99_seconds": 5}],
                    "Tenant": [{"p99_seconds": 5}, {"p99_seconds": 0.2}]}, "rest_cpu_share": 0.02,
        "restart_seconds": 30, "restart_tries_per_agent": 1.13, "writes_at_rest": 0}
STEADY = {"resident_bytes": 2**30 + 1, "resident_after_changes_bytes": 2**30 + 1,
          "peak_bytes": 2**30 + 1, "writes_at_rest": 1}
SLOW = [{"p99_seconds": 5.1}, {"p99_seconds": 0.1}]
NOISY = {"changes": GOOD["changes"] | {"Site": SLOW}, "rest_cpu_share": 0.021,
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

    def test_each_kind_that_is_changed_is_judged_by_itself(self):
        for kind in scale.PLURALS:
            what, = scale.missed(GOOD | {"changes": GOOD["changes"] | {kind: SLOW}}, "full")
            self.assertIn(f"a changed {kind} ", what)


class Changes(unittest.TestCase):
    def test_each_change_differs_from_the_one_before(self):
        for kind in scale.PLURALS:
            for i in range(1, 6):
                self.assertNotEqual(scale.changed(kind, i), scale.changed(kind, i - 1), kind)

    def test_the_kinds_take_turns_and_each_waits_for_a_version_of_its_own(self):
        asked, waited = [], []

        class Server:
            def call(self, verb, path, value, *_, **__):
                asked.append((verb, path.rsplit("/", 2)[-2], value))
                return type("Answer", (), {"ok": True})

        class Load:
            def await_in_step(self, what, but):
                waited.append((what, but))
                return {"version": f"v{len(waited)}",
                        "times": {"p50": 1e10, "p99": 1e10, "last": 1e10}}

        made = scale.changes(Server(), Load(), "v0", 2)
        self.assertEqual([plural for _, plural, _ in asked], ["sites", "tenants"] * 2)
        self.assertEqual([value["kind"] for _, _, value in asked], ["Site", "Tenant"] * 2)
        self.assertEqual([but for _, but in waited], ["v0", "v1", "v2", "v3"])
        self.assertEqual({kind: len(times) for kind, times in made.items()}, {"Site": 2, "Tenant": 2})
        self.assertEqual(set(made["Tenant"][0]), {"p50_seconds", "p99_seconds", "last_seconds"})


if __name__ == "__main__":
    unittest.main()
