#!/usr/bin/env python3
"""The oracle tells right from wrong: what it forgives, and what it must not."""
import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from sluice_fault import faults, http1, oracle  # noqa: E402


def site(**status):
    return {"kind": "Site", "metadata": {"name": "phoenix", "uid": "u", "resourceVersion": "7"},
            "status": status}


def record(epoch, revision, **sites):
    return {"epoch": str(epoch), "revision": str(revision),
            **{f"site.{name}": text for name, text in sites.items()}}


class State(unittest.TestCase):
    def differs(self, a, b):
        return oracle.difference(oracle.state([a]), oracle.state([b]))

    def test_times_hashes_and_spans_in_messages_are_forgiven(self):
        one = site(message="since 2026-11-22T08:17:19Z, 3 m 2 s of 1 s, runs c2deb6ec2f6e")
        two = site(message="since 2026-11-22T09:00:00Z, 35 s of 1 s, runs 198d47517cb3")
        self.assertEqual(self.differs(one, two), [])

    def test_a_count_a_stage_and_a_missing_object_are_not(self):
        self.assertEqual(len(self.differs(site(agents={"ready": 2}), site(agents={"ready": 1}))), 1)
        self.assertEqual(len(self.differs(site(stage="Crawl"), site(stage="Walk"))), 1)
        self.assertEqual(len(oracle.difference(oracle.state([site()]), {})), 1)

    def test_the_order_of_conditions_is_forgiven_and_of_other_lists_is_not(self):
        a, b = {"type": "A", "status": "True"}, {"type": "B", "status": "False"}
        self.assertEqual(self.differs(site(conditions=[a, b]), site(conditions=[b, a])), [])
        self.assertNotEqual(self.differs(site(conditions=[a, b]), site(conditions=[a, a])), [])
        self.assertNotEqual(self.differs(site(c=["a", "b"]), site(c=["b", "a"])), [])


    def test_how_many_roll_outs_there_were_is_forgiven_and_an_unseen_one_is_not(self):
        def agent(generation, observed):
            return {"kind": "DaemonSet", "metadata": {"name": "agent", "generation": generation},
                    "status": {"observedGeneration": observed}}
        self.assertEqual(self.differs(agent(2, 2), agent(3, 3)), [])
        self.assertEqual(len(self.differs(agent(2, 2), agent(3, 2))), 1)


class Orders(unittest.TestCase):
    def test_rising_orders_are_right(self):
        self.assertEqual(oracle.orders_fell({
            1: record(1, 0), 2: record(1, 1, phoenix="1/1/aa"), 3: record(2, 1, phoenix="1/1/aa"),
            4: record(2, 2, phoenix="2/2/bb")}), [])

    def test_a_fallen_epoch_revision_or_site_is_told(self):
        self.assertTrue(oracle.orders_fell({1: record(2, 0), 2: record(1, 0)}))
        self.assertTrue(oracle.orders_fell({1: record(2, 3), 2: record(2, 2)}))
        self.assertTrue(oracle.orders_fell({1: record(2, 2, phoenix="2/2/aa"),
                                            2: record(2, 2, phoenix="1/9/bb")}))

    def test_other_content_under_the_same_order_is_told(self):
        self.assertTrue(oracle.orders_fell({1: record(2, 2, phoenix="2/2/aa"),
                                            2: record(2, 2, phoenix="2/2/bb")}))


class Faults(unittest.TestCase):
    def test_only_the_kth_point_of_what_it_counts_is_hit(self):
        fault = faults.Fault("lost", 2)
        hits = [fault.hits(what, n) for what in (faults.EVENTS, faults.WRITES) for n in (1, 2, 3)]
        self.assertEqual(hits, [False, False, False, False, True, False])
        self.assertTrue(fault.fired)

    def test_leases_and_token_reviews_are_never_counted(self):
        for path, counted in (("/apis/coordination.k8s.io/v1/namespaces/a/leases/b", False),
                              ("/apis/authentication.k8s.io/v1/tokenreviews", False),
                              ("/api/v1/namespaces/a/configmaps/b", True)):
            head = http1.Head(f"PUT {path} HTTP/1.1", [])
            self.assertEqual(http1.Request(head, b"").is_counted, counted, path)

    def test_an_older_list_keeps_the_selectors_and_nothing_else(self):
        head = http1.Head("GET /api/v1/nodes?watch=1&sendInitialEvents=true&labelSelector=a%3Db "
                          "HTTP/1.1", [])
        self.assertEqual(http1.Request(head, b"").list_target("5"), "/api/v1/nodes?labelSelector=a"
                         "%3Db&resourceVersion=5&resourceVersionMatch=Exact")


if __name__ == "__main__":
    unittest.main()
