#!/usr/bin/env python3
"""Objects come, change and go for a while: Nodes, Tenants, objectives, classes, plans, Sites of this and of
other clusters (one of which never answers), their Promotions, Releases by Rollouts. Memory, descriptors,
threads and series stay flat, and the end state is as if nothing had been. SLUICE_FAULT_FORM=long churns for
an hour."""
import json
import sys
import time
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from rig import LONG, SANITIZED, LaneTest, wait_until  # noqa: E402
from sluice_fault import cases, churned, pages  # noqa: E402

SECONDS = 3600 if LONG else 20
WARM_ROUNDS = 3
# What a round may leave open for a moment.
SLACK = {"resident_bytes": 8 << 20, "descriptors": 6, "threads": 2}
if SANITIZED:
    del SLACK["resident_bytes"]  # what was freed is kept, to find who uses it still
# One series for each code and method that was ever answered: no object makes one.
BY_ANSWER = "rest_client_requests_total{"
TELL_SECONDS = 600


class Churn(LaneTest):
    def test_memory_descriptors_threads_and_series_stay_flat(self):
        self.start_from_created()
        started, rounds, base, known, told = time.monotonic(), 0, None, set(), 0
        while rounds < 2 * WARM_ROUNDS or time.monotonic() - started < SECONDS:
            self.one_round(churned.Round(self.lane, self.rng, rounds))
            rounds += 1
            if rounds == WARM_ROUNDS:
                base = pages.usage(self.lane.controller)
                known = pages.series(self.lane.controller)
            if (passed := time.monotonic() - started) // TELL_SECONDS > told:
                told = passed // TELL_SECONDS
                print(f"{rounds} rounds in {passed:.0f} s: {pages.usage(self.lane.controller)}",
                      flush=True)
        now = pages.usage(self.lane.controller)
        print(f"{rounds} rounds in {time.monotonic() - started:.0f} s: {base} -> {now}", flush=True)
        new = {name for name in pages.series(self.lane.controller) - known
               if not name.startswith(BY_ANSWER)}
        grown = {name: now[name] - base[name] for name in SLACK if now[name] - base[name] >
                 SLACK[name]}
        self.assertEqual(grown, {})
        self.assertEqual(new, set())
        self.assertEqual(self.lane.controller.lives, 1, self.log())
        self.reaches(self.create.end, "the world after the churn",
                     view=lambda s: {k: v for k, v in s.items() if not k.startswith("Event")})

    def one_round(self, at):
        at.make()
        self.until(at.made, f"round {at.number}: made")
        at.change()
        self.until(at.changed, f"round {at.number}: changed")
        at.take_away()
        self.until(at.gone, f"round {at.number}: gone")

    def until(self, done, what):
        try:
            cases.reach(self.lane, done, rest=0.3)
        except cases.Failed as failure:
            left = [json.dumps(thing) for thing in failure.args[1] if churned.is_churned(thing)]
            self.fail("\n".join([f"{what}: {failure.args[0]}", *left, self.log()]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
