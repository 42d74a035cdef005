#!/usr/bin/env python3
"""Objects come, change and go for a while: memory, descriptors, threads and series stay flat, and
the end state is as if nothing had been. SLUICE_FAULT_FORM=long churns for an hour."""
import sys
import time
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from rig import LONG, SANITIZED, LaneTest  # noqa: E402
from sluice_fault import pages, scenarios  # noqa: E402

SECONDS = 3600 if LONG else 20
WARM_ROUNDS = 3
TENANTS = 12
# What a round may leave open for a moment.
SLACK = {"resident_bytes": 8 << 20, "descriptors": 6, "threads": 2}
if SANITIZED:
    del SLACK["resident_bytes"]  # what was freed is kept, to find who uses it still
# One series for each code and method that was ever answered: no object makes one.
BY_ANSWER = "rest_client_requests_total{"


class Churn(LaneTest):
    def test_memory_descriptors_threads_and_series_stay_flat(self):
        self.start_from_created()
        started, rounds, base, known = time.monotonic(), 0, None, set()
        while rounds < 2 * WARM_ROUNDS or time.monotonic() - started < SECONDS:
            self.one_round(rounds)
            rounds += 1
            if rounds == WARM_ROUNDS:
                base = pages.usage(self.lane.controller)
                known = pages.series(self.lane.controller)
        now = pages.usage(self.lane.controller)
        print(f"{rounds} rounds in {time.monotonic() - started:.0f} s: {base} -> {now}", flush=True)
        new = {name for name in pages.series(self.lane.controller) - known
               if not name.startswith(BY_ANSWER)}
        grown = {name: now[name] - base[name] for name in SLACK if now[name] - base[name] >
                 SLACK[name]}
        self.assertEqual(grown, {})
        self.assertEqual(new, set())
        self.reaches(self.create.end, "the world after the churn",
                     view=lambda s: {k: v for k, v in s.items() if not k.startswith("Event")})

    def one_round(self, number):
        """Tenants with objectives of their own come, change and are gone again."""
        names = [f"tenant-{number % 3}-{at}" for at in range(TENANTS)]
        made = [scenarios.changed(scenarios.TENANT) for _ in names]
        objectives = [scenarios.changed(scenarios.TENANT_OBJECTIVE) for _ in names]
        for name, tenant, objective in zip(names, made, objectives):
            tenant["metadata"]["name"] = objective["metadata"]["name"] = name
            objective["spec"]["subjectRef"] = {"kind": "Tenant", "name": name}
            self.lane.apply(tenant, objective)
        self.rest("tenants made", rest=0.3)
        for tenant in self.rng.sample(made, TENANTS // 2):
            self.lane.apply(scenarios.changed(tenant, access=[{"mount": "/datasets",
                                                               "verbs": ["List"]}]))
        for name in names:
            for plural in ("servicelevelobjectives", "tenants"):
                self.lane.must("DELETE", f"/apis/sluice.dev/v1alpha1/{plural}/{name}")
        self.rest("tenants gone", rest=0.3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
