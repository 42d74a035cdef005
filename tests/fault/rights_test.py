#!/usr/bin/env python3
"""Each verb of the shipped roles taken away, one at a time: the controller goes on running; a condition
of an object, or an Event about one, names the verb and the resource; and once the verb is back everything
becomes as it should be. A kind that may not be watched is not looked at at all: /readyz names its cache, and
that one alone, and the log the verb; likewise one that may not be listed, where the API server streams no lists.
Where nothing else can tell, the log does: LOG_ONLY says why. What nothing needs is told, so that the roles
stay as small as they can be.

The short form takes a few verbs by SLUICE_FAULT_SEED, SLUICE_FAULT_FORM=long every one."""
import copy
import functools
import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from rig import LONG, LaneTest, shared_lane, wait_until  # noqa: E402
from sluice_fault import agents, cases, denied, pages, scenarios, world  # noqa: E402

BASE = "/apis/rbac.authorization.k8s.io/v1"
ROLES = (f"{BASE}/clusterroles/sluice-controller",
         f"{BASE}/namespaces/{world.NAMESPACE}/roles/sluice-controller")
EVENTS = "/apis/events.k8s.io/v1/events"
SAMPLE = 4
DENIED_SECONDS = 20   # within which it must be told, where the scenario needs the verb
REPEATED_SECONDS = 60
# The fall-back of a watch where the API server cannot stream its lists.
FALL_BACK = "list"
NO_STREAMS = "--feature-gates=WatchList=false"
LOG_ONLY = {
    # Who may not take the Lease is a standby for good, and a standby is ready and writes nothing.
    ("leases", "create"), ("leases", "get"), ("leases", "update"),
    ("events", "create"), ("events", "patch"),  # what would tell is what is refused
    ("tokenreviews", "create"),  # asked when an agent enrols, before anybody knows which
}
# Before it leads, when it may write nothing: who the cluster is, then in its own namespace its authority, its
# epoch and the head of the audit log.
LOG_ONLY_TO_LEAD = {ROLES[0]: {("namespaces", "get"), ("configmaps", "create")},
                    ROLES[1]: {("secrets", "get"), ("secrets", "create"), ("configmaps", "get"),
                               ("configmaps", "update")}}


def rights(role):
    for at, rule in enumerate(role["rules"]):
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                yield at, resource, verb


def without(role, at, resource, verb):
    """The role's rules without this verb on this resource of rule `at`."""
    rules = copy.deepcopy(role["rules"])
    rule = rules[at]
    rest = [r for r in rule["resources"] if r != resource]
    one = {**rule, "resources": [resource], "verbs": [v for v in rule["verbs"] if v != verb]}
    rules[at:at + 1] = ([{**rule, "resources": rest}] if rest else []) + (
        [one] if one["verbs"] else [])
    return rules


def words_of(resource, verb):
    """What the API server says; of finalizers a plugin of its own."""
    if resource.endswith("/finalizers"):
        return "cannot set blockOwnerDeletion"
    return f'cannot {verb} resource "{resource}"'


def log_only(path, resource, verb):
    return (resource, verb) in LOG_ONLY or (resource, verb) in LOG_ONLY_TO_LEAD[path]


class Denials(LaneTest):
    def roles(self):
        return {path: self.lane.must("GET", path) for path in ROLES}

    def deny_all(self, chosen):
        roles = self.roles()
        for path, at, resource, verb in chosen:
            with self.subTest(role=path, resource=resource, verb=verb):
                where = self.deny(roles[path], path, at, resource, verb)
                print(f"{verb} {resource}: {where}", flush=True)
        print(f"{len(chosen)} rights denied", flush=True)

    def set_rules(self, path, rules):
        role = self.lane.must("GET", path)
        self.lane.must("PUT", path, {**role, "rules": rules})

    @functools.cache
    def expected(self, needed):
        with needed.around(self.lane):
            return cases.fault_free(self.lane, needed.scenario, self.create.end_content, rest=1.0)

    def deny(self, role, path, at, resource, verb):
        """Where it was told."""
        needed = denied.world_of(resource, verb)
        if not needed:
            return self.deny_in(self.create, None, role, path, at, resource, verb)
        expected = self.expected(needed)
        with needed.around(self.lane):
            return self.deny_in(expected, needed.scenario, role, path, at, resource, verb)

    def deny_in(self, expected, scenario, role, path, at, resource, verb):
        self.lane.controller.clear()
        self.lane.proxy.reset()
        self.lane.etcd.replace(expected.start)
        self.set_rules(path, without(role, at, resource, verb))
        quiet = log_only(path, resource, verb)
        try:
            self.lane.controller.start()
            (scenario.act if scenario else scenarios.create)(self.lane)
            agent = self.agent() if resource == "tokenreviews" else None
            where = self.tells(resource, verb, quiet)
            if not where and not scenario:  # it is needed to take things away, or not at all
                scenarios.delete(self.lane)
                where = self.tells(resource, verb, quiet)
                scenarios.create(self.lane) if not where else None
            told = "log" if quiet else "/readyz" if self.by_cache(resource, verb) else "condition or Event"
            self.assertTrue(where, f"no {told} names {verb} {resource}: is it needed?\n{self.log()}")
            self.assertEqual(self.lane.controller.unasked_ends, 0, self.log())
        finally:
            self.set_rules(path, role["rules"])
        if agent:
            wait_until(agent.applied, "the agent to be configured")
            agent.stop()
        self.heals(expected, f"{verb} {resource} was given back")
        return where

    def agent(self):
        cases.reach(self.lane, scenarios.created, 0.5)
        agent = agents.Agent(self.lane, "node-0", [self.lane.controller])
        self.addCleanup(agent.stop)
        return agent

    def heals(self, expected, what):
        site = self.lane.look("/apis/sluice.dev/v1alpha1/sites/phoenix")
        if site is None or "deletionTimestamp" in site["metadata"]:
            cases.reach(self.lane, scenarios.deleted, 0.5)
        else:
            self.reaches(expected.view(expected.end), what, view=expected.view)
        wait_until(lambda: not pages.unready(self.lane.controller), f"/readyz to be ok: {what}")
        self.assertEqual(self.lane.controller.unasked_ends, 0, self.log())

    @staticmethod
    def by_cache(resource, verb):
        """Whether the kind is not looked at at all without this right."""
        return verb == "watch" or verb == FALL_BACK and (resource, verb) not in denied.RELEASE.needs

    def tells(self, resource, verb, quiet):
        """Where the denial is named in time; "" nowhere. The others play their parts meanwhile."""
        words = words_of(resource, verb)

        def said():
            self.lane.tend()
            self.lane.actor.step()
            objects = self.lane.actor.objects()
            self.lane.actor.collect(objects)
            log = self.lane.controller.log.read_text().replace('\\"', '"')
            if quiet:
                return "log" if words in log else ""
            if self.by_cache(resource, verb):
                alone = pages.unsynced(self.lane.controller) == {resource}
                return "/readyz" if alone and words in log else ""
            return self.condition(objects, words) or self.event(words)

        try:
            return wait_until(said, words, REPEATED_SECONDS if (resource, verb) == denied.REPEATS
                              else DENIED_SECONDS)
        except AssertionError:
            return ""

    @staticmethod
    def condition(objects, words):
        return next((f"condition {each['type']}={each['status']} of {thing['kind']} "
                     f"{thing['metadata']['name']}"
                     for thing in objects if thing["apiVersion"] == scenarios.SLUICE
                     for each in thing.get("status", {}).get("conditions", [])
                     if each["status"] != "True" and words in each["message"]), "")

    def event(self, words):
        return next((f"Event {each['reason']} of {each['regarding']['kind']} "
                     f"{each['regarding']['name']}"
                     for each in self.lane.must("GET", EVENTS)["items"]
                     if each["type"] == "Warning" and words in each.get("note", "")), "")


class Rights(Denials):
    def test_each_verb_denied_is_told_and_healed(self):
        every = [(path, *right) for path, role in self.roles().items() for right in rights(role)
                 if not (right[2] == FALL_BACK and self.by_cache(*right[1:]))]
        known = {right[2:] for right in every}
        needed = LOG_ONLY.union(*(each.needs for each in denied.WORLDS))
        self.assertLessEqual(needed, known, "what is excepted or has a world of its own is a right")
        self.rng.shuffle(every)
        if not LONG:  # one of another world among them
            quick = [right for right in every if right[2:] != denied.REPEATS]
            other = next(right for right in quick if denied.world_of(*right[2:]))
            every = [other, *[right for right in quick if right != other][:SAMPLE - 1]]
        self.deny_all(every)


@unittest.skipUnless(LONG, "an API server of its own")
class FallBack(Denials):
    """Where the API server streams no lists, each kind is listed and then watched."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        lane = cls.enterClassContext(world.lane(NO_STREAMS, accompanied=False))
        lane.prometheus = shared_lane()[0].prometheus
        cls.lane, cls.create = lane, cases.prepare(lane, ["create"], rest=1.0, counting=0)["create"]

    def test_each_list_denied_is_told_and_healed(self):
        self.deny_all([(path, *right) for path, role in self.roles().items()
                       for right in rights(role)
                       if right[2] == FALL_BACK and self.by_cache(*right[1:])])


if __name__ == "__main__":
    unittest.main(verbosity=2)
