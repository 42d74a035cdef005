#!/usr/bin/env python3
"""What happens to the process and to its credentials: two holders of the Lease, the Lease deleted
by hand, the leader frozen until another leads, token and CA rotated. Each time the world is kept right
afterwards and the agents' order never falls. (tests/integration/controller kills the leader and
restarts the server.)"""
import json
import re
import signal
import sys
import time
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from rig import LONG, LaneTest, wait_until  # noqa: E402
from sluice_fault import oracle, scenarios, world  # noqa: E402

LEASE_FLAGS = ["--lease-duration-seconds=8", "--renew-deadline-seconds=6",
               "--retry-period-seconds=1"]
# A Lease that another takes after four seconds. Frozen with the default one: half a minute.
FROZEN_FLAGS = ["--lease-duration-seconds=4", "--renew-deadline-seconds=3",
                "--retry-period-seconds=1"]
FROZEN_SECONDS = 30 if LONG else 0
ON_THE_WAY_SECONDS = 0.5
REST_SECONDS = 1.0
# A line of `writes_of`: something was written, and not the Lease alone.
WRITTEN = re.compile(r"^(?!\w+ \S*/leases/).* 20\d$")
SERVICE = "/api/v1/namespaces/sluice-site-phoenix/services/s3"
ACCOUNTS = f"/api/v1/namespaces/{world.NAMESPACE}/serviceaccounts"


class Process(LaneTest):
    def setUp(self):
        super().setUp()
        self.lane.proxy.reset()
        self.lane.etcd.replace(self.create.end_content)
        self.replicas = []
        self.addCleanup(lambda: [replica.stop() for replica in self.replicas])

    def start(self, name, kubeconfig=None, flags=()):
        replica = world.Controller(kubeconfig or self.lane.kubeconfig, self.lane.folder, name,
                                   flags)
        replica.log.write_bytes(b"")
        replica.start()
        self.replicas.append(replica)
        return replica

    def holder(self):
        lease = self.lane.look(world.LEASE)
        return lease["spec"].get("holderIdentity", "") if lease else ""

    def leads(self, replica, seconds=120):
        """It holds the Lease and has raised the epoch."""
        wait_until(lambda: self.holder() == replica.identity
                   and "fencing epoch raised" in replica.log.read_text(),
                   f"{replica.identity} to lead", seconds)

    def repairs(self):
        """Whoever leads makes a deleted Service again; the order of configuration never fell."""
        self.lane.must("DELETE", SERVICE)
        wait_until(lambda: self.lane.look(SERVICE), "the Service to be made again")
        self.assertEqual(oracle.orders_fell(self.lane.proxy.records), [])

    def epoch(self):
        return max(int(data["epoch"]) for data in self.lane.proxy.records.values())

    def test_a_leader_that_sees_another_holder_ends_and_the_next_raises_the_epoch(self):
        first = self.start("first", flags=LEASE_FLAGS)
        self.leads(first)
        epoch = self.epoch()
        # The leader renews meanwhile: by hand means until it is taken.
        wait_until(lambda: self.takes_lease("somebody-else"), "the Lease to be taken by hand")
        self.assertEqual(first.wait(60), 1)
        self.lane.must("DELETE", SERVICE)
        second = self.start("second", flags=LEASE_FLAGS)
        wait_until(lambda: "lease holder seen" in second.log.read_text(), "the next to look")
        self.assertNotIn("lease acquired", second.log.read_text(), "the other's hold comes first")
        self.leads(second)
        self.assertGreater(self.epoch(), epoch)
        wait_until(lambda: self.lane.look(SERVICE), "the Service to be made again")
        self.assertEqual(oracle.orders_fell(self.lane.proxy.records), [])

    def takes_lease(self, holder):
        lease = self.lane.must("GET", world.LEASE)
        lease["spec"]["holderIdentity"] = holder
        return self.lane.call("PUT", world.LEASE, lease).ok

    def test_a_lease_deleted_by_hand_leaves_one_leader_and_lowers_no_epoch(self):
        first = self.start("first", flags=LEASE_FLAGS)
        self.leads(first)
        second = self.start("second", flags=LEASE_FLAGS)
        wait_until(lambda: "lease holder seen" in second.log.read_text(), "the standby to look")
        epoch = self.epoch()
        self.lane.must("DELETE", world.LEASE)
        wait_until(self.holder, "the Lease to be made again")
        self.assertGreaterEqual(self.epoch(), epoch)
        self.repairs()
        leading = [r for r in (first, second) if "lease acquired" in r.log.read_text()
                   and "lease lost" not in r.log.read_text()]
        self.assertEqual([r.identity for r in leading], [self.holder()])

    # A frozen leader. It is a user of its own, so that the API server's audit log tells its writes from
    # those of whoever leads after it.

    def writes_of(self, replica):
        """What the API server was asked to write in this replica's name, refused or not."""
        user = f"system:serviceaccount:{world.NAMESPACE}:{replica.account}"
        lines = (self.lane.folder / "cluster/logs/audit.log").read_text().splitlines()
        return [f"{each['verb']} {each['requestURI']} {each['responseStatus']['code']}"
                for each in map(json.loads, lines) if each["user"]["username"] == user]

    def start_as_itself(self, name, flags):
        replica = self.start(name, self.kubeconfig_of(name), flags)
        replica.account = name
        return replica

    def freeze(self, replica):
        """Its writes until then. What it had sent is answered before they are counted."""
        replica.signal(signal.SIGSTOP)
        time.sleep(ON_THE_WAY_SECONDS)
        return len(self.writes_of(replica))

    def queue_work(self, verbs):
        """What a leader writes for: something to repair, and something new to tell agents."""
        self.lane.must("DELETE", SERVICE)
        self.lane.apply(scenarios.changed(
            scenarios.TENANT, access=[{"mount": "/datasets", "verbs": verbs}]))

    def test_a_leader_frozen_until_another_leads_ends_without_a_write(self):
        flags = () if LONG else FROZEN_FLAGS
        first = self.start_as_itself("frozen", flags)
        self.leads(first)
        self.rests()
        # Frozen for a moment it still leads when it wakes: the work it finds is work it writes for.
        before = self.freeze(first)
        self.queue_work(["Read", "List"])
        first.signal(signal.SIGCONT)
        wait_until(lambda: self.lane.look(SERVICE), "the Service to be made again")
        self.assertTrue([line for line in self.writes_of(first)[before:] if WRITTEN.search(line)])
        self.rests()

        second = self.start("second", flags=flags)
        wait_until(lambda: "lease holder seen" in second.log.read_text(), "the standby to look")
        before, frozen_at = self.freeze(first), time.monotonic()
        self.queue_work(["Read", "Write"])
        self.leads(second)
        epoch = self.epoch()
        wait_until(lambda: time.monotonic() - frozen_at >= FROZEN_SECONDS, "it to sleep on", 60)
        first.signal(signal.SIGCONT)
        self.assertNotEqual(first.wait(60), 0)
        # The thread that renews may wake before the one that watches the clock: it asks for the Lease as it
        # was, and is refused.
        asked = self.writes_of(first)[before:]
        self.assertIn(asked, ([], [f"update {world.LEASE} 409"]), "asked for after it was frozen")
        self.assertEqual(self.holder(), second.identity)
        self.assertEqual(self.epoch(), epoch)
        wait_until(lambda: self.lane.look(SERVICE), "the next leader to do the work")
        self.repairs()

    def rests(self):
        """Nothing was written for a moment."""
        wait_until(lambda: time.monotonic() - self.lane.proxy.last_write > REST_SECONDS, "rest")

    def kubeconfig_of(self, account):
        """That of a service account of its own with the controller's rights."""
        self.grant_to_service_account(account)
        token = self.lane.must("POST", f"{ACCOUNTS}/{account}/token",
                               {"spec": {"expirationSeconds": 3600}})["status"]["token"]
        return self.lane.write_kubeconfig(
            account, {"certificate-authority": str(self.lane.folder / "proxy.crt")},
            {"token": token})

    def bound_token(self, name):
        """A token that dies with a Secret of that name."""
        secrets = f"/api/v1/namespaces/{world.NAMESPACE}/secrets"
        made = self.lane.must("POST", secrets, {"metadata": {"name": name}})
        self.addCleanup(self.lane.call, "DELETE", f"{secrets}/{name}")
        body = {"spec": {"expirationSeconds": 600, "boundObjectRef": {
            "kind": "Secret", "apiVersion": "v1", "name": name, "uid": made["metadata"]["uid"]}}}
        return self.lane.must("POST", f"{ACCOUNTS}/controller/token", body)["status"]["token"]

    def grant_to_service_account(self, name):
        """The account, with the rights the controller's user has."""
        self.lane.call("POST", ACCOUNTS, {"metadata": {"name": name}})
        for binding in world.BINDINGS:
            meta = {**binding["metadata"], "name": f"sluice-controller-account-{name}"}
            place = f"/namespaces/{meta['namespace']}" if "namespace" in meta else ""
            self.lane.call(
                "POST", f"/apis/rbac.authorization.k8s.io/v1{place}/"
                f"{'rolebindings' if place else 'clusterrolebindings'}",
                {**binding, "metadata": meta, "subjects": [{
                    "kind": "ServiceAccount", "name": name,
                    "namespace": world.NAMESPACE}]})

    def test_a_rotated_token_is_taken_from_its_file_while_it_runs(self):
        self.grant_to_service_account("controller")
        path = self.lane.folder / "token"
        path.write_text(self.bound_token("token-one"))
        kubeconfig = self.lane.write_kubeconfig(
            "token-file", {"certificate-authority": str(self.lane.folder / "proxy.crt")},
            {"tokenFile": str(path)})
        replica = self.start("rotated", kubeconfig)
        self.leads(replica)
        path.write_text(self.bound_token("token-two"))
        self.lane.must("DELETE", f"/api/v1/namespaces/{world.NAMESPACE}/secrets/token-one")
        self.repairs()
        self.assertNotIn(path.read_text(), replica.log.read_text())
        self.assertEqual(self.holder(), replica.identity, "it led all the time")

    def test_a_rotated_authority_is_taken_from_its_file_while_it_runs(self):
        trust = self.lane.folder / "trust.crt"
        trust.write_bytes((self.lane.folder / "proxy.crt").read_bytes())
        kubeconfig = self.lane.write_kubeconfig(
            "ca-file", {"certificate-authority": str(trust)},
            {"token": (self.lane.folder / "cluster/tokens" / world.USER).read_text()})
        replica = self.start("trusting", kubeconfig)
        self.leads(replica)
        crt, key = self.lane.new_certificate("renewed")
        trust.write_bytes(crt.read_bytes())
        self.lane.proxy.present(crt, key)
        self.addCleanup(self.lane.proxy.present, self.lane.folder / "proxy.crt",
                        self.lane.folder / "proxy.key")
        self.repairs()
        self.assertEqual(self.holder(), replica.identity, "it led all the time")


if __name__ == "__main__":
    unittest.main(verbosity=2)
