#!/usr/bin/env python3
"""No way round what people say: the policies in deploy/manifests/policies/people.yaml and
controller-only.yaml, tried with every right RBAC can give (cluster-admin), and what they must still
let through."""
import datetime
import sys
import unittest

import apiserver
from apiserver import GROUP, ROOT
from policies_test import COLLECTOR, CONTROLLER, MERGE

ANA, BOB = "ana@example.com", "bob@example.com"
NAMES = ("approvals", "decisions", "exemptions", "readiness", "incidents")
PATHS = ("approvals/walk-bob", "decisions/walk", "incidents/inc-1", "readinessreviews/phoenix-walk")
GONE = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "0"}]


def in_days(days):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def make(kind, name, spec, **metadata):
    return {"apiVersion": "sluice.dev/v1alpha1", "kind": kind, "metadata": {"name": name, **metadata},
            "spec": spec}


def approval(user, name="walk-bob", groups=(), **metadata):
    return make("Approval", name, {
        "decisionRef": {"name": "walk", "uid": "d1"},
        "subject": {"uid": "u1", "generation": 1, "planHash": "9f2c0b6d"}, "role": "Decide",
        "verdict": "Disagree", "approver": {"user": user, "groups": list(groups)},
        "expiresAt": in_days(30)}, **metadata)


def decision(user, name="walk", **metadata):
    return make("Decision", name, {
        "question": "Walk?", "requestedBy": user, "expiresAt": in_days(30),
        "subject": {"kind": "Site", "name": "phoenix", "uid": "u1", "generation": 1, "stage": "Walk",
                    "planHash": "9f2c0b6d"}}, **metadata)


def exemption(user, days, name="deal"):
    return make("Exemption", name, {"gates": ["availability"], "reason": "Deal.", "ticket": "T-1",
                                    "requestedBy": user, "decisionRef": {"name": "deal"},
                                    "expiresAt": in_days(days)})


def review(*items):
    return make("ReadinessReview", "phoenix-walk",
                {"siteRef": {"name": "phoenix"}, "stage": "Walk", "items": list(items)})


def item(by, **more):
    return {"name": "docs", "owner": ANA, "evidence": "https://wiki.example.com/docs",
            "verifiedBy": by, "verifiedAt": "2026-11-01T10:00:00Z", "validFor": "90d", **more}


def incident(state="Open"):
    return make("Incident", "inc-1", {"sites": ["phoenix"], "severity": "Severity2", "summary": "Slow.",
                                      "owner": ANA, "state": state})


class People(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        server = cls.server = cls.enterClassContext(apiserver.running())
        server.apply_files(ROOT / "deploy/manifests/policies")
        probes = [("approvals", approval(ANA, "probe")), ("decisions", decision(ANA, "probe")),
                  ("exemptions", exemption(ANA, 1, "probe")), ("readinessreviews", review(item(ANA)))]
        apiserver.wait_until(
            lambda: all(server.call("POST", GROUP + kind, body, user=BOB, dryRun="All").code == 403
                        for kind, body in probes), "the policies to be in force", 60)
        for kind, body, user in (("approvals", approval(BOB), BOB), ("decisions", decision(ANA), ANA),
                                 ("readinessreviews", review(item(ANA)), ANA),
                                 ("incidents", incident(), ANA)):
            made = server.call("POST", GROUP + kind, body, user=user)
            assert made.code == 201, made.message
        # Each policy comes into force by itself; these two can be asked only about what exists.
        probes = [("DELETE", "incidents/inc-1", None),
                  *(("PATCH", path + "/status", {"status": {"conditions": []}}) for path in PATHS)]
        apiserver.wait_until(
            lambda: all(server.call(verb, GROUP + path, body, MERGE if body else None, user=ANA,
                                    dryRun="All").code == 403 for verb, path, body in probes),
            "the policies on incidents and on statuses to be in force", 60)

    @classmethod
    def tearDownClass(cls):
        for name in NAMES + ("controller-only", "requested-by"):
            for resource in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
                cls.server.call(
                    "DELETE", f"/apis/admissionregistration.k8s.io/v1/{resource}/sluice-{name}")

        def removed():
            return all(cls.server.call("DELETE", GROUP + path).code in (200, 404) for path in PATHS)
        apiserver.wait_until(removed, "the objects to go with the policies")

    def create(self, kind, body, user=None):
        return self.server.call("POST", GROUP + kind, body, user=user, dryRun="All")

    def patch(self, path, body, user=None):
        return self.server.call("PATCH", GROUP + path, body, MERGE, user=user, dryRun="All")

    def refused(self, answer, *parts, code=403):
        self.assertEqual(answer.code, code, answer.message or "was let through")
        for part in parts:
            self.assertIn(part, answer.message)

    def taken(self, answer):
        self.assertLess(answer.code, 300, answer.message)

    def test_a_vote_is_cast_in_ones_own_name_only(self):
        self.refused(self.create("approvals", approval(ANA, "x"), BOB),
                     "spec.approver.user: must be the user who votes", "you are " + BOB)
        self.refused(self.create("approvals", approval(ANA, "x")), "must be the user who votes")
        self.refused(self.create("approvals", approval(ANA, "x"), CONTROLLER),
                     "must be the user who votes")
        self.taken(self.create("approvals", approval(ANA, "x"), ANA))

    def test_a_vote_names_only_groups_of_the_voter(self):
        self.refused(self.create("approvals", approval(BOB, "x", ["council"]), BOB),
                     "spec.approver.groups: name only groups you are in", "system:masters")
        self.taken(self.create("approvals", approval(BOB, "x", ["system:masters"]), BOB))

    def test_a_vote_never_changes_and_is_not_slipped_away(self):
        for user in (None, BOB, CONTROLLER):
            with self.subTest(user=user):
                answer = self.patch("approvals/walk-bob", {"spec": {"verdict": "Agree"}}, user)
                self.refused(answer, "spec: cannot change", code=422)
                self.refused(self.patch("approvals/walk-bob",
                                        {"metadata": {"ownerReferences": GONE}}, user),
                             "belongs to nothing that could take it away")
        self.refused(self.create("approvals", approval(BOB, "x", ownerReferences=GONE), BOB),
                     "belongs to nothing that could take it away")

    def test_records_are_deleted_by_nobody_before_they_expire(self):
        for path, what in (("approvals/walk-bob", "Approval: is a record"),
                           ("decisions/walk", "Decision: is a record")):
            for user in (None, BOB, COLLECTOR, CONTROLLER):
                with self.subTest(path=path, user=user):
                    self.refused(self.server.call("DELETE", GROUP + path, user=user), what)
            self.server.call("DELETE", GROUP + path.split("/")[0])  # the whole collection
            self.assertEqual(self.server.call("GET", GROUP + path).code, 200)

    def test_a_record_that_expired_may_be_tidied_away(self):
        status = {"status": {"outcome": "Expired"}}
        made = self.server.call("POST", GROUP + "decisions", decision(ANA, "old"), user=ANA)
        self.assertEqual(made.code, 201, made.message)
        self.refused(self.server.call("PATCH", GROUP + "decisions/old/status", status, MERGE, user=ANA),
                     "status: is written only by the controller")
        self.taken(self.server.call("PATCH", GROUP + "decisions/old/status", status, MERGE,
                                    user=CONTROLLER))
        self.taken(self.server.call("DELETE", GROUP + "decisions/old", user=ANA))

    def test_a_decision_is_asked_for_in_ones_own_name_and_stays(self):
        self.refused(self.create("decisions", decision(ANA, "x"), BOB),
                     "spec.requestedBy: must be the user who asks", "set it to " + BOB)
        self.refused(self.patch("decisions/walk", {"spec": {"requestedBy": BOB}}, BOB),
                     "spec: cannot change", code=422)
        self.refused(self.create("decisions", decision(ANA, "x", ownerReferences=GONE), ANA),
                     "belongs to nothing")

    def test_an_exemption_is_ones_own_and_ends_within_ninety_days(self):
        self.refused(self.create("exemptions", exemption(ANA, 10), BOB), "set it to " + BOB)
        self.refused(self.create("exemptions", exemption(ANA, 91), ANA), "at most 90 days from now",
                     code=422)
        self.taken(self.create("exemptions", exemption(ANA, 89), ANA))

    def test_nobody_verifies_in_anothers_name_or_changes_what_another_verified(self):
        path = "readinessreviews/phoenix-walk"
        self.refused(self.create("readinessreviews", review(item(ANA)), BOB),
                     "spec.items[docs].verifiedBy: must be the user who verifies", "you are " + BOB)
        for change in ({"evidence": "https://wiki.example.com/other"}, {"value": "0.1"},
                       {"validFor": "900d"}, {"verifiedAt": "2026-11-20T10:00:00Z"}):
            with self.subTest(change):
                self.refused(self.patch(path, {"spec": {"items": [item(ANA, **change)]}}, BOB),
                             "spec.items[docs].verifiedBy")
        self.taken(self.patch(path, {"spec": {"items": [item(BOB)]}}, BOB))
        self.taken(self.patch(path, {"spec": {"items": [item(ANA, owner=BOB)]}}, BOB))
        more = {"name": "runbooks", "owner": BOB}
        self.taken(self.patch(path, {"spec": {"items": [item(ANA), more]}}, BOB))

    def test_an_open_incident_is_closed_before_it_is_deleted(self):
        self.refused(self.server.call("DELETE", GROUP + "incidents/inc-1"), "Incident: close it")
        answer = self.patch("incidents/inc-1", {"spec": {"state": "Closed"}})
        self.refused(answer, "postmortem: required", code=422)
        self.refused(self.patch("incidents/inc-1", {"spec": {"severity": "Severity4"}}),
                     "severity 1 and 2 are lowered only with a postmortem", code=422)

    def test_statuses_of_peoples_kinds_belong_to_the_controller(self):
        status = {"status": {"conditions": []}}
        for path in PATHS:
            with self.subTest(path):
                self.refused(self.patch(path + "/status", status, ANA),
                             "status: is written only by the controller")
                self.taken(self.patch(path + "/status", status, CONTROLLER))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
