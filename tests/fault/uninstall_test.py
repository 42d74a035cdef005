#!/usr/bin/env python3
"""Taken away in any order, with pauses or without, the controller killed in between, or all kinds
at once by their CRDs: nothing is left that waits for anybody."""
import sys
import time
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from rig import LONG, LaneTest, wait_until  # noqa: E402
from sluice_fault import cases, scenarios, world  # noqa: E402

ORDERS = 30 if LONG else 2
PARTS = [("apis/sluice.dev/v1alpha1/sites", "phoenix"),
         ("apis/sluice.dev/v1alpha1/tenants", "falcon"),
         ("apis/sluice.dev/v1alpha1/servicelevelobjectives", "falcon-reads"),
         ("apis/sluice.dev/v1alpha1/siteclasses", "small"),
         ("apis/sluice.dev/v1alpha1/stageplans", "ladder"),
         (f"api/v1/namespaces/{world.NAMESPACE}/secrets", "lake-agent"),
         (f"api/v1/namespaces/{world.NAMESPACE}/secrets", "falcon-keys"),
         (f"api/v1/namespaces/{world.NAMESPACE}/secrets", "sluice-ca"),
         ("api/v1/nodes", "node-0"), ("api/v1/nodes", "node-1"), ("process", "killed")]
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Uninstall(LaneTest):
    def test_in_any_order_nothing_is_left(self):
        for _ in range(ORDERS):
            order = self.rng.sample(PARTS, len(PARTS))
            pause = self.rng.random() < 0.5
            with self.subTest(order=[name for _, name in order], pause=pause):
                self.start_from_created()
                for path, name in order:
                    self.take_away(path, name)
                    if pause:
                        self.rest(f"after {name}", rest=0.3)
                cases.reach(self.lane, self.nothing_left, 1.0)
                self.assertEqual(self.lane.controller.unasked_ends, 0, self.log())
                self.lane.controller.stop()

    def take_away(self, path, name):
        if path == "process":
            self.lane.controller.kill()
            self.lane.controller.wait(30)
            self.lane.tend()
        else:
            self.lane.must("DELETE", f"/{path}/{name}")

    @staticmethod
    def nothing_left(objects):
        """But the records that go with the controller's own namespace, and Promotions."""
        return scenarios.deleted(objects) and not any(
            "sluice-rules" in thing["metadata"]["name"] for thing in objects)

    def test_all_kinds_deleted_at_once_leave_nothing(self):
        self.start_from_created()
        names = [item["metadata"]["name"] for item in self.lane.must("GET", DEFINITIONS)["items"]]
        ours = [name for name in names if name.endswith(".sluice.dev")]
        self.rng.shuffle(ours)
        for name in ours:
            self.lane.must("DELETE", f"{DEFINITIONS}/{name}")

        def gone():
            self.lane.tend()
            self.lane.actor.step()
            listed = self.lane.must("GET", DEFINITIONS)["items"]
            left = {item["metadata"]["name"] for item in listed}
            namespace = self.lane.look("/api/v1/namespaces/sluice-site-phoenix")
            return not left & set(ours) and namespace is None

        wait_until(gone, "kinds and namespace to be gone")
        self.assertEqual(self.lane.controller.unasked_ends, 0, self.log())
        # Installed anew while it runs: it takes up its work without being restarted.
        self.lane.server.apply_files(world.ROOT / "deploy/crds")
        self.lane.server.wait_for_kinds()
        started = time.monotonic()
        scenarios.create(self.lane)
        cases.reach(self.lane, scenarios.created, 0.5)
        print(f"at work {time.monotonic() - started:.1f} s after the kinds came back", flush=True)
        self.assertEqual(self.lane.controller.lives, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
