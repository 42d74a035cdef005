#!/usr/bin/env python3
"""Each verb of the shipped roles taken away, one at a time: the controller goes on running, its log
names what it may not do, and once the verb is back everything becomes as it should be. What nothing
needs is told, so that the roles stay as small as they can be.

The short form takes a few verbs by SLUICE_FAULT_SEED, SLUICE_FAULT_FORM=long every one."""
import copy
import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from rig import LONG, LaneTest, wait_until  # noqa: E402
from sluice_fault import cases, scenarios, world  # noqa: E402

BASE = "/apis/rbac.authorization.k8s.io/v1"
ROLES = (f"{BASE}/clusterroles/sluice-controller",
         f"{BASE}/namespaces/{world.NAMESPACE}/roles/sluice-controller")
SAMPLE = 3
DENIED_SECONDS = 20   # within which the log must tell, where the scenario needs the verb
# The fall-back of a watch where the API server cannot stream its lists (tests/integration/controller).
FALL_BACK = "list"
# Needed, but not by these scenarios: no agent connects, no admission plugin asks about owners, the
# Prometheus Operator is not installed, and an authority is renewed after years.
NOT_HERE = {("tokenreviews", "create"), ("sites/finalizers", "update"),
            ("servicelevelobjectives/finalizers", "update"), ("prometheusrules", "get"),
            ("prometheusrules", "create"), ("prometheusrules", "patch"), ("secrets", "update"),
            # A series of Events is patched when one repeats; old Promotions go after fifty.
            ("events", "patch"), ("promotions", "delete"),
            ("servicelevelobjectives", "delete")} | {
                # No scenario has objects of these kinds.
                (f"{kind}/status", "patch") for kind in (
                    "approvals", "decisions", "exemptions", "freezewindows", "incidents",
                    "readinessreviews", "releases", "rollouts")} | {
                # Used only while a Rollout moves a site.
                ("pods", "delete"), ("pods", "list"), ("controllerrevisions", "list")}


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


class Rights(LaneTest):
    def test_each_verb_denied_is_told_and_healed(self):
        roles = {path: self.lane.must("GET", path) for path in ROLES}
        every = [(path, *right) for path, role in roles.items() for right in rights(role)
                 if right[1:] not in NOT_HERE and right[2] != FALL_BACK]
        self.rng.shuffle(every)
        for path, at, resource, verb in every if LONG else every[:SAMPLE]:
            with self.subTest(role=path, resource=resource, verb=verb):
                self.deny(roles[path], path, at, resource, verb)

    def set_rules(self, path, rules):
        role = self.lane.must("GET", path)
        self.lane.must("PUT", path, {**role, "rules": rules})

    def deny(self, role, path, at, resource, verb):
        self.lane.controller.clear()
        self.lane.proxy.reset()
        self.lane.etcd.replace(self.create.start)
        self.set_rules(path, without(role, at, resource, verb))
        try:
            self.lane.controller.start()
            scenarios.create(self.lane)
            told = self.tells(resource, verb)
            if not told:  # it is needed to take things away, or not at all
                scenarios.delete(self.lane)
                told = self.tells(resource, verb)
                scenarios.create(self.lane) if not told else None
            self.assertTrue(told, f"nothing was said of {verb} {resource}: is it needed?")
            self.assertEqual(self.lane.controller.unasked_ends, 0, self.log())
        finally:
            self.set_rules(path, role["rules"])
        if self.lane.look("/apis/sluice.dev/v1alpha1/sites/phoenix") is None or \
                "deletionTimestamp" in self.lane.look(
                    "/apis/sluice.dev/v1alpha1/sites/phoenix")["metadata"]:
            cases.reach(self.lane, scenarios.deleted, 0.5)
            return
        self.reaches(self.create.end, f"{verb} {resource} was given back")

    def tells(self, resource, verb):
        """Whether the log names the denial in time. The others play their parts meanwhile."""
        plain, _, sub = resource.partition("/")
        words = f'cannot {verb} resource \\"{plain}{"/" + sub if sub else ""}\\"'
        other = words.replace("\\", "")

        def said():
            self.lane.tend()
            self.lane.actor.step()
            self.lane.actor.collect(self.lane.actor.objects())
            log = self.lane.controller.log.read_text()
            return words in log or other in log

        try:
            return wait_until(said, words, DENIED_SECONDS)
        except AssertionError:
            return False


if __name__ == "__main__":
    unittest.main(verbosity=2)
