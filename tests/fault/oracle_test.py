#!/usr/bin/env python3
"""The oracle tells right from wrong: what it forgives, and what it must not. So does the report; and what the faults
say they did, they did."""
import base64
import collections
import dataclasses
import json
import pathlib
import random
import sys
import tempfile
import unittest
import unittest.mock

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from sluice_fault import agents, cases, faults, http1, oracle, report, watches, world  # noqa: E402


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

    def test_another_configuration_is_not(self):
        """A message names its beginning, too, which alone tells nothing: it is forgiven."""
        one, two = "c2deb6ec2f6e4d0aa3c1c2deb6ec2f6e", "198d47517cb34d0aa3c1198d47517cb3"
        lines = self.differs(site(config={"version": one, "revision": "3"}, message=f"run {one[:12]}"),
                             site(config={"version": two, "revision": "4"}, message=f"run {two[:12]}"))
        self.assertEqual(len(lines), 1)
        self.assertIn("status.config.version: expected", lines[0])
        lines = self.differs(epochs(record(1, 3, phoenix=f"1/3/{one}")), epochs(record(2, 4, phoenix=f"1/4/{two}")))
        self.assertEqual(len(lines), 1)
        self.assertIn("site.phoenix: expected", lines[0])
        self.assertEqual(self.differs(epochs(record(1, 3, phoenix=f"1/3/{one}")),
                                      epochs(record(4, 9, phoenix=f"4/9/{one}"))), [])

    def test_digests_are_compared_but_where_each_case_makes_an_authority(self):
        one, two = (oracle.state([site(config={"version": digit * 32}),
                                  epochs(record(1, 1, phoenix=f"1/1/{digit * 32}"))])
                    for digit in "ab")
        none = oracle.state([site(), epochs(record(1, 1))])
        key = base64.b64encode(b"/registry/secrets/sluice-system/sluice-ca").decode()
        for start, different in (([[key, "AA=="]], 2), ([], 0)):
            expected = cases.Expected(start, one, [], {}, {}, 0)
            lines = oracle.difference(expected.view(one), expected.view(two))
            self.assertEqual(len(lines), different, lines)
            self.assertNotEqual(expected.view(one), expected.view(none))

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


def epochs(data):
    return {"kind": "ConfigMap", "metadata": {"name": "sluice-agents-epoch"}, "data": data}


def said(*commands):
    """An agent's log: (what it did, epoch, revision, version[, why])."""
    return "\n".join(f"2026-11-23T17:00:00.000000Z info  configuration {what} version={version} epoch={epoch} "
                     f"revision={revision}" + (f' error="{why[0]}"' if why else "")
                     for what, epoch, revision, version, *why in commands)


class Commands(unittest.TestCase):
    EVER = oracle.published({7: record(1, 3, phoenix="1/3/aa", mesa="1/2/cc"), 8: record(2, 4, phoenix="2/4/bb"),
                             9: record(2, 4)}, "phoenix")

    def wrong(self, *commands):
        return oracle.commands_fell(said(*commands), self.EVER)

    def test_what_was_published_is_what_the_record_ever_named_for_the_site(self):
        self.assertEqual(self.EVER, {"1/3/aa", "2/4/bb"})

    def test_rising_orders_are_right_and_so_is_a_former_one_that_is_refused(self):
        self.assertEqual(self.wrong(("applied", 1, 3, "aa"), ("applied", 2, 4, "bb")), [])
        stale = "StaleOrder: order (1, 3) is below (2, 4), seen before"
        self.assertEqual(self.wrong(("applied", 2, 4, "bb"), ("refused", 1, 3, "aa", stale)), [])

    def test_a_stale_epoch_that_was_taken_is_told_even_after_a_higher_one_that_was_refused(self):
        for what in ("applied", "refused"):
            problems = self.wrong((what, 2, 4, "bb"), ("applied", 1, 3, "aa"))
            self.assertEqual(problems, ["applied (1, 3) aa after (2, 4)"])

    def test_a_command_that_was_never_published_is_told_whether_it_was_taken_or_refused(self):
        for what, *order in (("applied", 2, 4, "aa"), ("refused", 1, 4, "bb"), ("refused", 1, 2, "cc")):
            problems = self.wrong(("applied", 1, 3, "aa"), (what, *order))
            self.assertEqual(len(problems), 1, problems)
            self.assertIn("never published", problems[0])

    def test_an_agent_that_took_no_command_is_told(self):
        self.assertEqual(oracle.commands_fell("agent enrolled", self.EVER), ["no command was taken"])
        self.assertEqual(self.wrong(("refused", 1, 3, "aa", "INVALID_ARGUMENT: mounts[0]")),
                         ["no command was taken"])

    def test_an_agent_is_in_step_with_the_record_and_its_sites_status(self):
        def why(kept, published="2/4/aa", version="aa", configured=1):
            return oracle.out_of_step([epochs(record(2, 4, phoenix=published)), site(
                config={"version": version}, agents={"configured": configured})], "phoenix", kept)
        self.assertEqual(why(((2, 4), "aa")), "")
        self.assertIn("published is 2/4/aa", why(((2, 3), "aa")))
        self.assertIn("published is 2/4/aa", why(((2, 4), "bb")))
        self.assertIn("status says bb", why(((2, 4), "aa"), version="bb"))
        self.assertIn("0 configured", why(((2, 4), "aa"), configured=0))
        self.assertEqual(oracle.out_of_step([epochs(record(2, 4))], "phoenix", ((1, 1), "aa")), "")

    def test_another_content_than_without_the_fault_is_told_and_no_secret_is(self):
        self.assertEqual(oracle.other_content((b"read", b"key"), (b"read", b"key")), "")
        self.assertEqual(oracle.other_content(None, None), "")
        self.assertIn("b'read', found b'list'", oracle.other_content((b"read", b"key"), (b"list", b"key")))
        self.assertEqual(oracle.other_content((b"read", b"key"), (b"read", b"former")),
                         "the agent's credentials are others")

    def test_what_an_agent_keeps_is_read_as_it_is_written(self):
        self.assertEqual(agents.fields(b"\x0a\x04\x10\x02\x18\x04\x12\x02aa\x1a\x00"),
                         {1: b"\x10\x02\x18\x04", 2: b"aa", 3: b""})
        self.assertEqual(agents.fields(b"\x10\xac\x02"), {2: 300})


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

    def test_a_point_that_something_must_be_shown_or_skipped_at_is_not_reached_by_its_number_alone(self):
        for kind in ("mark", "unmarked", "bookmarks", "stale", "travel"):
            fault = faults.Fault(kind, 1)
            self.assertTrue(fault.hits(faults.KINDS[kind].counts, 1))
            self.assertFalse(fault.fired, kind)

    def test_a_sample_has_each_kind_in_each_scenario_and_is_the_same_for_the_same_seed(self):
        points = {("create", "kill"): 40, ("create", "drop"): 3, ("change", "kill"): 1, ("change", "r410"): 0}

        def drawn(least, seed=7):
            return faults.sample(points, least, random.Random(seed))
        for least, many in ((0, 3), (3, 3), (9, 9), (10**6, 44)):
            self.assertEqual(len(set(drawn(least))), many)
        self.assertEqual({case[:2] for case in drawn(1)}, set(points) - {("change", "r410")})
        self.assertEqual(collections.Counter(case[1] for case in drawn(5))["drop"], 2, "evenly")
        self.assertTrue(all(1 <= k <= points[scenario, kind] for scenario, kind, k in drawn(10**6)))
        self.assertEqual(drawn(9), drawn(9))
        self.assertNotEqual(drawn(9), drawn(9, seed=8))

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


def asked_for(target):
    return http1.Request(http1.Head(f"GET {target} HTTP/1.1", []), b"")


def event(kind, version):
    return json.dumps({"type": kind, "object": {"metadata": {"resourceVersion": str(version)}}}).encode()


class Watches(unittest.TestCase):
    def test_each_thing_watched_is_one_however_often_it_is_asked_for(self):
        watched = watches.Watched()
        numbers = [watched.number(asked_for(target)) for target in (
            "/api/v1/nodes?watch=1&sendInitialEvents=true", "/api/v1/pods?watch=1&labelSelector=a",
            "/api/v1/nodes?watch=1&resourceVersion=7", "/api/v1/pods?watch=1&labelSelector=b",
            "/api/v1/pods?watch=1&labelSelector=a&resourceVersion=9")]
        self.assertEqual((numbers, len(watched)), ([1, 2, 1, 3, 2], 3))

    def test_only_a_resume_from_before_a_skipped_bookmark_has_missed_it(self):
        def missed(skipped, query):
            watched = watches.Watched()
            for version in skipped:
                watched.skip(event("BOOKMARK", version))
            return watched.missed(asked_for("/api/v1/nodes?watch=1" + query))
        self.assertEqual(missed([], "&resourceVersion=7"), 0)
        self.assertEqual(missed([9], "&resourceVersion=7"), 9)
        self.assertEqual(missed([9], "&resourceVersion=9"), 0, "an event brought it as far")
        self.assertEqual(missed([9], "&resourceVersion=7&sendInitialEvents=true"), 0, "that is no resume")
        self.assertEqual(missed([9], ""), 0)

    def test_a_brief_watch_is_the_same_but_for_its_time(self):
        self.assertEqual(asked_for("/api/v1/nodes?watch=1&timeoutSeconds=480&labelSelector=a%3Db").timed_target(3),
                         "/api/v1/nodes?watch=1&timeoutSeconds=3&labelSelector=a%3Db")

    def test_an_older_state_is_shown_from_the_first_who_asks_on(self):
        older = watches.Older(5, 110.0)
        self.assertTrue(older.shows("/api/v1/nodes", 108.0))  # however long the start took
        self.assertTrue(older.shows("/api/v1/pods", 108.9))
        self.assertFalse(older.over(108.9))
        self.assertFalse(older.shows("/api/v1/secrets", 109.0))
        self.assertTrue(older.over(109.0))
        self.assertFalse(watches.Older(5, 110.0).shows("/api/v1/nodes", 110.0), "nobody asked in time")

    def test_of_one_path_an_older_state_is_shown_once(self):
        older = watches.Older(5, 110.0, "/api/v1/nodes")
        self.assertEqual([older.shows(path, 101.0) for path in ("/api/v1/pods", "/api/v1/nodes", "/api/v1/nodes")],
                         [False, True, False])


def result(case="create/kill/1", ok=True, fired=True, sure=True, seconds=2.0):
    scenario, kind, k = case.split("/")
    return {"case": case, "scenario": scenario, "kind": kind, "k": int(k), "ok": ok, "fired": fired,
            "sure": sure, "seconds": seconds}


class Process(unittest.TestCase):
    def ends(self, words):
        """A controller that says these words and ends with 1."""
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        program = folder / "program"
        program.write_text(f"#!/bin/sh\necho '{words}'\nexit 1\n")
        program.chmod(0o700)
        controller = world.Controller("", folder)
        with unittest.mock.patch.object(world, "binary", return_value=program):
            controller.start()
        return controller

    def test_a_sanitizers_report_is_no_end_that_was_asked_for(self):
        self.assertEqual(self.ends("lease lost").wait(10), 1)
        with self.assertRaisesRegex(RuntimeError, "heap-use-after-free"):
            self.ends("ERROR: AddressSanitizer: heap-use-after-free").wait(10)
        with self.assertRaisesRegex(RuntimeError, "heap-use-after-free"):
            stopped = self.ends("ERROR: AddressSanitizer: heap-use-after-free")
            stopped._process.wait(10)
            stopped.stop()


class Report(unittest.TestCase):
    def test_a_failed_case_fails_the_run(self):
        self.assertEqual(report.failures([result()] * 60, 60), [])
        self.assertEqual(report.failures([result()] * 60 + [result("delete/cut/3", ok=False)], 61),
                         ["failed: delete/cut/3"])

    def test_cases_left_out_fail_the_run_beyond_a_fifth(self):
        self.assertEqual(report.failures([result()] * 48, 60), [])
        self.assertEqual(report.failures([result()] * 47, 60), ["only 47 of 60 cases were run"])
        self.assertEqual(report.failures([], 0), [])

    def test_points_that_stay_unreached_fail_the_run_beyond_a_small_share(self):
        def run(unreached, reached, **what):
            return report.failures([result("create/drop/9", fired=False, **what)] * unreached
                                   + [result()] * reached, unreached + reached)
        self.assertEqual(run(1, 59), [])
        self.assertEqual(len(run(2, 58)), 1)
        self.assertIn("2 of 60 cases never reached their point: create/drop/9", run(2, 58)[0])
        self.assertEqual(run(20, 1980), [])
        self.assertEqual(len(run(21, 1979)), 1)
        # Those that may not exist are no part of it, on either side.
        self.assertEqual(run(30, 1, sure=False), [])
        self.assertEqual(len(report.failures([result(fired=False)] * 2 + [result(sure=False)] * 998, 1000)), 1)

    def test_a_case_that_takes_long_is_told_though_its_end_is_right(self):
        self.assertEqual(report.too_slow(result(seconds=report.SLOW_SECONDS)), "")
        self.assertIn("slow: it came to the right end after 61.1 s", report.too_slow(result(seconds=61.1)))

    def test_the_points_are_the_least_and_the_most_that_runs_without_faults_had(self):
        runs = [{"writes": 42, "events": 45, "watches": 23}, {"writes": 44, "events": 43, "reads": 1, "watches": 23}]
        world = cases.Expected([], {}, [], {"writes": 55}, {"writes": 55}, 55)
        with unittest.mock.patch.object(cases, "fault_free", side_effect=[
                dataclasses.replace(world, counts=each) for each in runs]):
            cases.count(None, None, world, len(runs))
        self.assertEqual([cases.points(world, kind) for kind in ("kill", "drop", "r410", "bookmarks", "mark")],
                         [(42, 44), (43, 45), (0, 1), (23, 23), (0, 0)])

    def test_the_table_and_the_summary_tell_what_was_not_reached(self):
        counts = {("create", kind): (0, 0) for kind in faults.KINDS}
        counts["create", "kill"], counts["create", "bookmarks"] = (41, 44), (1, 1)
        lines = report.table([result(), result("create/kill/2", ok=False)], counts, ["create"])
        self.assertIn("| 1/2 of 41-44 |", next(line for line in lines if line.startswith("| kill:")))
        self.assertIn("| 0/0 of 1 |", next(line for line in lines if line.startswith("| bookmarks:")))
        self.assertIn("| no point |", next(line for line in lines if line.startswith("| mark:")))
        text = report.summary([result(), result(fired=False), result(fired=False, sure=False)], (41, 44), 9)
        self.assertEqual(text, "3 of 3 cases green, in 1 the fault's point was reached, in 1 it was not though "
                         "it surely exists; 41-44 points in all; 9 s")


if __name__ == "__main__":
    unittest.main()
