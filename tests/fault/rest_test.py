#!/usr/bin/env python3
"""At rest nothing is written: all kinds are there, a Release has gone out by a Rollout, the site has climbed to
its last stage, an agent is connected, a real Prometheus scrapes steady data. Then nobody does anything:
for an hour with SLUICE_FAULT_FORM=long, for half a minute without. Two things count: requests that
the controller makes (but its Lease's and token reviews), and versions of objects, whoever wrote."""
import sys
import time
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from rig import LONG, LaneTest, wait_until  # noqa: E402
from sluice_fault import agents, cases, people, scenarios, world  # noqa: E402

SECONDS = 3600 if LONG else 30
# Without a write before it counts: windows of objectives fill, the audit log's head follows by seconds, and
# an Event that repeated is written again after half a minute (controller/recorder/limits.h).
SETTLE_SECONDS = 35
LOOK_SECONDS = 5
TELL_SECONDS = 600


class Rest(LaneTest):
    def test_at_rest_nothing_is_written(self):
        self.all_kinds_made()
        agent = agents.Agent(self.lane, "node-0", [self.lane.controller])
        self.addCleanup(agent.stop)
        wait_until(agent.applied, "the agent to be configured")
        self.lane.proxy.last_write = time.monotonic()  # the agent's own traces are still to come
        self.rest("an agent is connected", rest=SETTLE_SECONDS)
        made = {kind for kind in world.PLURALS if kind != "Secret" and self.listed(kind)}
        self.assertEqual(made | {"Secret"}, set(world.PLURALS), "all kinds are there")

        self.lane.proxy.arm(None, self.lane.etcd.revision())  # counts from here on
        self.lane.proxy.journal.clear()
        before, started, told = self.versions(), time.monotonic(), 0
        while (passed := time.monotonic() - started) < SECONDS:
            time.sleep(min(LOOK_SECONDS, SECONDS - passed))
            self.wrote_nothing(before, passed)
            if passed // TELL_SECONDS > told:
                told = passed // TELL_SECONDS
                print(f"at rest for {passed:.0f} s, nothing written", flush=True)
        self.wrote_nothing(before, SECONDS)
        self.assertTrue(agent.running())
        self.assertEqual(self.lane.controller.ended(), None, self.log())
        print(f"at rest for {SECONDS} s: no write", flush=True)

    def all_kinds_made(self):
        self.start_from_created()
        agent = {**scenarios.CLASS["spec"]["agent"], "memory": "64Mi", "s3Port": agents.free_port()}
        self.lane.apply(scenarios.changed(scenarios.CLASS, agent=agent))
        self.rest("the agent's port is set")
        scenarios.release(self.lane)
        cases.reach(self.lane, scenarios.released, 0.5)
        self.lane.apply(*people.ALL)
        scenarios.advance(self.lane)
        cases.reach(self.lane, scenarios.advanced, 0.5)

    def listed(self, kind):
        return self.lane.must("GET", f"/apis/{scenarios.SLUICE}/{world.PLURALS[kind]}")["items"]

    def versions(self):
        """{object: (version, who wrote it last)} of everything of ours and what is made for it."""
        return {f"{thing['kind']} {thing['metadata'].get('namespace', '')}/{thing['metadata']['name']}":
                (thing["metadata"]["resourceVersion"], self.writer(thing))
                for thing in self.lane.actor.objects()}

    @staticmethod
    def writer(thing):
        last = max(thing["metadata"].get("managedFields", []), default={},
                   key=lambda entry: entry.get("time", ""))
        return f"{last.get('manager', 'somebody')} {last.get('subresource', '')} {last.get('time', '')}"

    def wrote_nothing(self, before, passed):
        writes = [line for line in self.lane.proxy.journal if " writes " in line]
        now = self.versions()
        changed = [f"{name}: {before.get(name)} -> {now.get(name)}" for name in sorted(
            before.keys() | now.keys()) if before.get(name) != now.get(name)]
        if self.lane.proxy.total_writes or changed:
            self.fail("\n".join([f"written after {passed:.0f} s at rest:", *writes, *changed, self.log()]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
