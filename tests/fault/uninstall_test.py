#!/usr/bin/env python3
"""Taken away in any order, with pauses or without, the chart's own parts among them (roles, bindings,
policies, the Deployment), the controller killed in between, or all kinds at once by their CRDs: nothing
is left that waits for anybody but a Site whose controller went first. That one waits visibly, and goes
by either of the ways that docs/operations.md tells."""
import json
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
RBAC = "apis/rbac.authorization.k8s.io/v1"
ADMISSION = "apis/admissionregistration.k8s.io/v1"
# Without these nobody takes a Site's finalizer off.
RIGHTS = [(f"{RBAC}/clusterroles", "sluice-controller"),
          (f"{RBAC}/clusterrolebindings", "sluice-controller"),
          (f"{RBAC}/namespaces/{world.NAMESPACE}/roles", "sluice-controller"),
          (f"{RBAC}/namespaces/{world.NAMESPACE}/rolebindings", "sluice-controller")]
DEPLOYMENT = ("process", "gone for good")
POLICIES = [world.ROOT / "deploy/manifests/policies" / f"{name}.yaml"
            for name in ("controller-only", "people", "requested-by")]
POLICY_KINDS = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
FINALIZERS_OFF = json.dumps({"metadata": {"finalizers": None}})
SITE = "/apis/sluice.dev/v1alpha1/sites/phoenix"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Uninstall(LaneTest):
    def install(self):
        """What the chart brings beside the process; the roles are there."""
        folder = self.lane.folder / "policies"
        folder.mkdir(exist_ok=True)
        for path in POLICIES:  # the controller is another user here
            (folder / path.name).write_text(path.read_text().replace(
                "system:serviceaccount:sluice-system:sluice-controller", world.USER))
        self.lane.server.apply_files(folder)
        found = [(f"{ADMISSION}/{kind}", item["metadata"]["name"]) for kind in POLICY_KINDS
                 for item in self.lane.must("GET", f"/{ADMISSION}/{kind}")["items"]
                 if item["metadata"]["name"].startswith("sluice-")]
        self.assertGreaterEqual(len(found), 2 * len(POLICIES))
        return found

    def test_in_any_order_nothing_is_left(self):
        rights = {part: self.lane.must("GET", f"/{part[0]}/{part[1]}") for part in RIGHTS}
        waited = 0
        for number in range(ORDERS):
            parts = PARTS + RIGHTS + [DEPLOYMENT] + self.install()
            order = self.rng.sample(parts, len(parts))
            pause = self.rng.random() < 0.5
            with self.subTest(order=["/".join(part) for part in order], pause=pause):
                try:
                    waited += self.one_order(order, pause, rights, patch=number % 2 == 0)
                finally:
                    self.give_back(rights)
                    self.lane.__dict__.pop("tend", None)
        for path, name in self.install():
            self.lane.must("DELETE", f"/{path}/{name}")
        print(f"{ORDERS} orders, the Site had to be helped in {waited}", flush=True)

    def one_order(self, order, pause, rights, patch):
        """Whether the Site had to be helped: its controller went before it."""
        self.start_from_created()
        excused = False
        for part in order:
            self.take_away(*part)
            excused |= part in (*RIGHTS, DEPLOYMENT) and self.lane.look(SITE) is not None
            if pause:
                self.rest(f"after {part[1]}", rest=0.3)
        objects = cases.reach(self.lane, lambda objects: self.nothing_left(objects)
                              or excused and self.only_the_site_waits(objects), 1.0)
        helped = not self.nothing_left(objects)
        if helped and patch:
            self.lane.must("PATCH", SITE, FINALIZERS_OFF, "application/merge-patch+json")
        elif helped:  # the chart again
            self.give_back(rights)
            self.lane.__dict__.pop("tend", None)
            self.lane.controller.stop()
            self.lane.controller.start()
        cases.reach(self.lane, self.nothing_left, 1.0)
        # One end where the right to its Lease went while it led.
        self.assertLessEqual(self.lane.controller.unasked_ends, 1, self.log())
        self.lane.controller.stop()
        return helped

    def give_back(self, rights):
        for (path, name), thing in rights.items():
            if self.lane.look(f"/{path}/{name}") is None:
                meta = {k: v for k, v in thing["metadata"].items()
                        if k in ("name", "namespace", "labels")}
                self.lane.must("POST", f"/{path}", {**thing, "metadata": meta})

    def take_away(self, path, name):
        if (path, name) == DEPLOYMENT:
            self.lane.tend = lambda: None  # nobody starts it again
            self.lane.controller.stop()
        elif path == "process":
            if "tend" not in self.lane.__dict__:
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

    @staticmethod
    def only_the_site_waits(objects):
        """With its finalizer, and with what it owns; all that people made beside it is gone."""
        sites = [thing for thing in objects if thing["kind"] == "Site"]
        return (len(sites) == 1 and "deletionTimestamp" in sites[0]["metadata"]
                and [f for f in sites[0]["metadata"]["finalizers"] if not f.startswith("sluice.dev/")] == []
                and not any(thing["kind"] == "Tenant" or thing["metadata"]["name"] == "falcon-reads"
                            for thing in objects))

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
