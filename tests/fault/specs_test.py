#!/usr/bin/env python3
"""Whatever valid specs people write, the controller converges and then writes nothing; and a bad
value leaves no trace once the good one is back.

SLUICE_FAULT_SEED repeats a run (the seed is printed); SLUICE_FAULT_FORM=long takes every field, and
more random worlds.
"""
import collections
import pathlib
import re
import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from rig import LONG, SEED, LaneTest  # noqa: E402
from sluice_fault import oracle, people, scenarios, specs, world  # noqa: E402

FIELDS = None if LONG else 8      # tried in the short form, drawn by the seed
WORLDS = 40 if LONG else 3        # random ones
WRITES_PER_WORLD = 400            # while it converges: more is a storm
PROMOTION = re.compile("^Promotion ")
# Fields whose history stays, by design: a stage asked for makes Promotions and steps down, and only
# the API server answers for who asked.
REMEMBERED = {("Site", "stage"),
              ("Rollout", "action"),     # one that runs moves nodes
              ("Incident", "severity"),  # a severe one is made harmless by a postmortem alone
              ("Incident", "sites")}     # an open one is not taken off a site it was put on
TRIES = 8         # of values for a field, until the API server takes two
MOST_TRIES = 100  # until it takes one, of a field that it should take one of
# Fields of which it takes none, and why; README.md beside this file says what the reasons mean.
UNDRAWN = dict(line.split() for line in (pathlib.Path(__file__).parent / "specs_undrawn.txt").read_text()
               .splitlines() if not line.startswith("#"))
IMMUTABLE = "cannot change; delete the object and make a new one"
NAMED_BY_SPEC = {"ReadinessReview"}  # a random spec is not that of the name
RELEASE = {"apiVersion": scenarios.SLUICE, "kind": "Release", "metadata": {"name": "agent-2"},
           "spec": {"version": "2.0.0", "image": scenarios.RELEASED}}
ROLLOUT = {"apiVersion": scenarios.SLUICE, "kind": "Rollout", "metadata": {"name": "weekly"}, "spec": {
    "releaseRef": {"name": "agent-2"}, "requestedBy": "somebody", "action": "Pause",
    "waves": [{"name": "all", "sites": {"names": ["phoenix"]}, "soakSeconds": 0}]}}


def without_history(state):
    """The state but for generations, and for Promotions, whose names carry the Site's."""
    def strip(value):
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items()
                    if k not in ("generation", "observedGeneration", "promotion")}
        return [strip(v) for v in value] if isinstance(value, list) else value
    return {k: strip(v) for k, v in state.items() if not PROMOTION.match(k)}


def name_of(thing, path):
    return ".".join([thing["kind"], *(step for step in path if isinstance(step, str))])


class Specs(LaneTest):
    def setUp(self):
        super().setUp()
        self.refusals = []  # what the API server said to what it did not take

    def schema(self, kind):
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
        crd = self.lane.must("GET", f"{path}{world.PLURALS[kind]}.sluice.dev")
        return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]

    def taken(self, thing):
        """Whether the API server would take it; nothing is kept but why not."""
        answer = self.lane.call("PATCH", world.path_of(thing), thing, "application/apply-patch+yaml",
                                fieldManager="somebody", force="true", dryRun="All")
        self.refusals += [] if answer.ok else [answer.message]
        return answer.ok

    def converge(self, what, done=lambda objects: True):
        """Waits until the objects are `done` and nothing is written; what is written meanwhile is bounded."""
        before = self.lane.proxy.total_writes
        objects = self.rest(what, done=done)
        self.assertLess(self.lane.proxy.total_writes - before, WRITES_PER_WORLD, what)
        self.assertEqual(self.lane.controller.unasked_ends, 0, what)
        return objects

    def good(self):
        """The world that is spoilt and mended: an object of every kind that people write."""
        site = scenarios.site(self.lane.prometheus, region="west", release={"image": "agent:1"},
                              control={"endpoint": "controller:9443"})
        return [site, scenarios.TENANT, scenarios.TENANT_OBJECTIVE, scenarios.CLASS, scenarios.PLAN,
                *people.ALL, RELEASE, ROLLOUT]

    def test_a_bad_value_leaves_no_trace_once_the_good_one_is_back(self):
        self.start_from_created()
        good, references = self.good(), self.references()
        self.lane.apply(*good)
        expected = without_history(oracle.state(self.converge("the good state")))
        fields = [(thing, path, schema) for thing in good
                  for path, schema in specs.fields(self.schema(thing["kind"]), thing["spec"])
                  if (thing["kind"], *path) not in REMEMBERED]
        self.assertLessEqual(set(UNDRAWN), {name_of(thing, path) for thing, path, _ in fields},
                             "what is listed is a field")
        self.rng.shuffle(fields)
        tried, refused = collections.Counter(), collections.Counter()
        for thing, path, schema in fields:
            if FIELDS is not None and tried.total() == FIELDS:
                break
            bad = self.bad_values(thing, path, schema, references)
            (tried if bad else refused)[thing["kind"]] += 1
            if not bad:  # nothing else can get in
                with self.subTest(field=name_of(thing, path), seed=SEED):
                    self.is_undrawn(name_of(thing, path))
            for spec in bad:
                name = f"{thing['kind']}.spec.{'.'.join(map(str, path))}"
                name += f" = {specs.at(spec, path) if specs.has(spec, path) else 'left out'}"
                with self.subTest(field=name, seed=SEED):
                    self.lane.apply({**thing, "spec": spec})
                    self.converge(name)
            if bad:
                with self.subTest(field=name, seed=SEED):
                    self.lane.apply(thing)
                    self.reaches(expected, name, view=without_history)
        print(f"{tried.total()} of {len(fields)} fields tried: {dict(tried)}; every change refused by the "
              f"API server: {dict(refused)}", flush=True)
        self.assertGreaterEqual(tried.total(), FIELDS or len(fields) - len(UNDRAWN))

    def is_undrawn(self, field):
        """Fails unless the list says so, and the API server the reason."""
        why = UNDRAWN.get(field, "")
        self.assertTrue(why, f"no value of {MOST_TRIES} was taken: draw better (references) or list it with "
                             f"its reason; the last answer: {self.refusals[-1]}")
        if why == "Immutable":
            self.assertTrue(any(IMMUTABLE in each for each in self.refusals), self.refusals[-3:])
        else:
            self.assertFalse(any(IMMUTABLE in each for each in self.refusals), self.refusals[-3:])

    def bad_values(self, thing, path, schema, references):
        """Specs that the API server takes: with a value the good one does not have there, with another one, and
        without the field."""
        spec, whole = thing["spec"], self.schema(thing["kind"])
        found, now = [], specs.at(thing["spec"], path) if specs.has(thing["spec"], path) else None
        self.refusals.clear()
        for number in range(MOST_TRIES):
            if number >= TRIES and (found or name_of(thing, path) in UNDRAWN):
                break
            value = specs.another(self.rng, schema, now, references, str(path[-1]))
            if value is None or any(specs.has(f, path) and specs.at(f, path) == value for f in found):
                continue
            new = specs.put(self.rng, whole, references, spec, path, value)
            taken = next((each for each in specs.instead_of_neighbours(spec, new, path)
                          if self.taken({**thing, "spec": each})), None)
            found += [taken] if taken else []
            if len(found) == 2:
                break
        if specs.has(spec, path) and isinstance(path[-1], str):
            bare = specs.without(spec, path)
            found += [bare] if self.taken({**thing, "spec": bare}) else []
        return found

    def references(self):
        return {
            "classRef": [{"name": "small"}, {"name": "random"}],
            "sites": [["phoenix"], {"names": ["phoenix"]}],
            "releaseRef": [{"name": "random"}],
            "stagePlanRef": [{"name": "ladder"}], "stage": ["Crawl", "Walk"],
            "nodeSelector": [{"sluice.dev/site": "phoenix"}, {"rack": "7"}],
            "credentialsRef": [{"name": "lake-agent"}, {"name": "falcon-keys"}],
            "subjectRef": [{"kind": "Site", "name": "phoenix"},
                           {"kind": "Tenant", "name": "falcon"}],
            "mount": ["/datasets"], "origin": ["lake"],
            "prometheus": [{"url": self.lane.prometheus, "scrapeIntervalSeconds": 1}],
            # What rules beside the schema narrow further than a draw would find.
            "timeZone": ["UTC", "America/Phoenix"], "startTime": ["2026-01-01 00:00:00"],
            "rrule": ["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=FR"], "start": ["2030-12-04T18:00:00"],
            "duration": ["2h", "60h"], "quorum": [1], "freezeBelow": ["0.1"],
            "timeSliceTarget": ["0.9", "0.8"], "timeSliceWindow": ["5s", "1m"],
            "longWindow": ["15s", "12s", "1h"], "shortWindow": ["5s", "3s", "5m"],
            "window": ["30s", "1h", "30d"], "effect": ["NoSchedule", "NoExecute"],
            "chunkBytes": [1 << 20, 1 << 21], "role": ["Decide", "Agree"],
            "roles[]": [{"role": "Decide", "users": ["ana@example.com"], "quorum": 1}],
            "waiverRoles[]": [{"role": "Decide", "users": ["ana@example.com"], "quorum": 1}],
            "tolerations[]": [{"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"}],
            "budgetPolicy": [{"cautionBelow": "0.5", "freezeBelow": "0.2"}],
            "calendar": [{"startTime": "2026-01-01 00:00:00", "timeZone": "UTC"}],
            "burnRate": [{"template": "availability", "below": "2", "longWindow": "1h", "shortWindow": "5m"}],
            "metric": [{"query": "sum(rate(requests_total[$window]))", "op": "gte", "threshold": "1",
                        "freshnessSelector": "requests_total", "longWindow": "1h"}],
            "gpuIdle": [{"query": "sum(rate(idle[$window]))", "freshnessSelector": "idle", "window": "1h",
                         "minReduction": "0.1", "baselineItem": "baseline"}],
            "revertGates[]": [{"name": "ready", "capacity": {"minReadyAgents": 1}}],
            "bad": ['sum(rate(failed_total[$window]))'],
            "good": ['sum(rate(requests_total[$window]))'],
            "total": ['sum(rate(requests_total[$window]))']}

    def test_random_valid_specs_converge_and_then_nothing_is_written(self):
        references = self.references()
        made = collections.Counter()
        for number in range(WORLDS):
            with self.subTest(world=number, seed=SEED):
                self.start_from_created()
                for kind in world.PLURALS:
                    if kind != "Secret":
                        made[kind] += self.make_one(kind, references)
                # An objective over months is read once its first figures are there, which takes a while.
                self.converge(f"world {number}", lambda objects: not self.unread(objects))
                self.lane.controller.stop()
        print(f"random objects taken: {dict(made)}", flush=True)
        wanted = set(world.PLURALS) - {"Secret"} - NAMED_BY_SPEC
        self.assertEqual({kind for kind in wanted if not made[kind]} if LONG else set(), set(),
                         "kinds of which no random object was taken")
        self.assertGreaterEqual(made.total(), WORLDS)

    def test_two_severities_may_look_at_one_pair_of_windows(self):
        self.start_from_created()
        pair = {"longWindow": "20s", "shortWindow": "5s"}
        for name, more in (("short", {"window": "33s"}),  # the usual pairs, scaled to it, meet
                           ("both", {"window": "1h", "alertWindows": [
                               {**pair, "severity": "Page", "factor": "10"},
                               {**pair, "severity": "Ticket", "factor": "2"}]})):
            self.lane.apply({**scenarios.TENANT_OBJECTIVE, "metadata": {"name": name}, "spec": {
                **scenarios.TENANT_OBJECTIVE["spec"], **more}})
        objects = self.converge("pairs that meet", lambda objects: not self.unread(objects))
        both = next(t for t in objects if t["metadata"]["name"] == "both")
        self.assertEqual([b["severity"] for b in both["status"]["burnRates"]], ["Page", "Ticket"])

    def make_one(self, kind, references):
        """A random object of the kind; True when the API server took one within some tries."""
        schema = self.schema(kind)
        for _ in range(30):
            thing = {"apiVersion": scenarios.SLUICE, "kind": kind, "metadata": {"name": "random"},
                     "spec": specs.value(self.rng, schema, references)}
            if self.taken(thing):
                self.lane.apply(thing)
                return True
        return False

    def unread(self, objects):
        """Objects of ours whose status does not tell their generation: nobody looked at them."""
        return [f"{thing['kind']} {thing['metadata']['name']}" for thing in objects
                if thing["apiVersion"] == scenarios.SLUICE and thing["kind"] != "Promotion"
                and thing.get("status", {}).get("observedGeneration")
                != thing["metadata"]["generation"]]


if __name__ == "__main__":
    unittest.main(verbosity=2)
