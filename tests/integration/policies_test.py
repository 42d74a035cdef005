#!/usr/bin/env python3
"""No way round the gates: what the policies in deploy/manifests/policies refuse, tried with every
right RBAC can give (cluster-admin), and what they must still let through."""
import sys
import unittest

import apiserver
from apiserver import GROUP, ROOT

CONTROLLER = "system:serviceaccount:sluice-system:sluice-controller"
COLLECTOR = "system:serviceaccount:kube-system:generic-garbage-collector"
MERGE = "application/merge-patch+json"
SITE = GROUP + "sites/phoenix"
PROMOTION = GROUP + "promotions/phoenix-1-crawl"


def site(requested_by, name="phoenix"):
    return {"apiVersion": "sluice.dev/v1alpha1", "kind": "Site", "metadata": {"name": name},
            "spec": {"classRef": {"name": "liquid"}, "nodeSelector": {"sluice.dev/site": name},
                     "stage": "Crawl", "requestedBy": requested_by}}


def promotion():
    return {"apiVersion": "sluice.dev/v1alpha1", "kind": "Promotion",
            "metadata": {"name": "phoenix-1-crawl"},
            "spec": {"siteRef": {"name": "phoenix", "uid": "u1"}, "generation": 1, "to": "Crawl",
                     "requestedBy": "admin",
                     "plan": {"name": "crawl-walk-run", "hash": "9f2c0b6d",
                              "stages": [{"name": "Crawl", "tenancy": "ProviderTenant"}]}}}


class Policies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        server = cls.server = cls.enterClassContext(apiserver.running())
        server.apply_files(ROOT / "deploy/manifests/policies")
        review = server.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews",
                             {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
        cls.admin = review.body["status"]["userInfo"]["username"]
        apiserver.wait_until(
            lambda: server.call("POST", GROUP + "sites", site("nobody", "probe"),
                                dryRun="All").code == 403 and
            server.call("POST", GROUP + "promotions", promotion(), dryRun="All").code == 403,
            "the policies to be in force")
        made = server.call("POST", GROUP + "sites", site(cls.admin))
        assert made.code == 201, made.message
        made = server.call("POST", GROUP + "promotions", promotion(), user=CONTROLLER)
        assert made.code == 201, made.message
        status = {"status": {"gates": [{"name": "nodes", "verdict": "Hold", "cause": "Pending",
                                        "evaluatedAt": "2026-11-22T05:00:00Z"}]}}
        made = server.call("PATCH", PROMOTION + "/status", status, MERGE, user=CONTROLLER)
        assert made.code == 200, made.message

    @classmethod
    def tearDownClass(cls):
        cls.server.call("DELETE", PROMOTION, user=CONTROLLER)
        cls.server.call("DELETE", SITE)
        for name in ("sluice-controller-only", "sluice-requested-by"):
            for resource in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
                cls.server.call(
                    "DELETE", f"/apis/admissionregistration.k8s.io/v1/{resource}/{name}")

    def patch(self, path, body, user=None):
        return self.server.call("PATCH", path, body, MERGE, user=user, dryRun="All")

    def refused(self, answer, *parts):
        self.assertEqual(answer.code, 403, answer.message or "was let through")
        for part in parts:
            self.assertIn(part, answer.message)

    def test_a_site_is_asked_for_in_ones_own_name(self):
        answer = self.server.call("POST", GROUP + "sites", site("ana@example.com", "tucson"),
                                  dryRun="All")
        self.refused(answer, "spec.requestedBy: must be the user who asks for the stage",
                     "it says ana@example.com, set it to " + self.admin)
        answer = self.server.call("POST", GROUP + "sites", site("ana@example.com", "tucson"),
                                  user="ana@example.com", dryRun="All")
        self.assertEqual(answer.code, 201, answer.message)

    def test_a_stage_cannot_be_changed_in_anothers_name(self):
        bob = "bob@example.com"
        self.refused(self.patch(SITE, {"spec": {"stage": "Run"}}, user=bob), "set it to " + bob)
        self.refused(self.patch(SITE, {"spec": {"requestedBy": "ana@example.com"}}, user=bob),
                     "set it to " + bob)
        answer = self.patch(SITE, {"spec": {"stage": "Run", "requestedBy": bob}}, user=bob)
        self.assertEqual(answer.code, 200, answer.message)

    def test_everything_else_of_a_site_may_be_changed_by_others(self):
        answer = self.patch(SITE, {"spec": {"region": "us-east-1"}}, user="bob@example.com")
        self.assertEqual(answer.code, 200, answer.message)
        answer = self.patch(SITE, {"metadata": {"finalizers": ["sluice.dev/agents"]}},
                            user=CONTROLLER)
        self.assertEqual(answer.code, 200, answer.message)

    def test_the_release_that_a_rollout_brought_is_changed_by_the_controller_only(self):
        name, image = GROUP + "sites/reno", "agent@sha256:" + "0" * 64
        made = self.server.call("POST", GROUP + "sites", site(self.admin, "reno"))
        self.assertEqual(made.code, 201, made.message)
        try:
            own = {"spec": {"release": {"image": image}}}
            self.assertEqual(self.patch(name, own).code, 200, "nobody's yet")
            taken = {"spec": {"release": {"image": image, "rolloutRef": {"name": "weekly"}}}}
            self.refused(self.patch(name, taken), "spec.release: is set by Rollouts")
            answer = self.server.call("PATCH", name, taken, MERGE, user=CONTROLLER)
            self.assertEqual(answer.code, 200, answer.message)
            for change in ({"image": "agent:1"}, {"rolloutRef": None}, None):
                with self.subTest(change):
                    self.refused(self.patch(name, {"spec": {"release": change}}),
                                 "spec.release: is set by Rollouts", "make a Rollout")
            answer = self.patch(name, {"spec": {"region": "us-east-1"}}, user="bob@example.com")
            self.assertEqual(answer.code, 200, answer.message)
        finally:
            self.server.call("DELETE", name)

    def test_a_rollout_is_asked_for_in_ones_own_name(self):
        bob = "bob@example.com"
        body = {"apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "weekly"},
                "spec": {"releaseRef": {"name": "r1"}, "requestedBy": bob,
                         "waves": [{"name": "all", "sites": {"names": ["phoenix"]}}]}}
        self.refused(self.server.call("POST", GROUP + "rollouts", body, dryRun="All"),
                     "spec.requestedBy: must be the user who asks; it says " + bob)
        made = self.server.call("POST", GROUP + "rollouts", body, user=bob)
        self.assertEqual(made.code, 201, made.message)
        try:
            name = GROUP + "rollouts/weekly"
            self.refused(self.patch(name, {"spec": {"action": "Abort"}}),
                         "spec.actedBy: must be the user who changes the Rollout; it says " + bob,
                         "set it to " + self.admin)
            acted = {"spec": {"action": "Pause", "actedBy": self.admin}}
            answer = self.server.call("PATCH", name, acted, MERGE)
            self.assertEqual(answer.code, 200, answer.message)
            self.refused(self.patch(name, {"spec": {"action": "Run"}}, user=bob), "it says " + self.admin)
            answer = self.patch(name, {"spec": {"action": "Run", "actedBy": None}}, user=bob)
            self.assertEqual(answer.code, 200, answer.message)
            # Who asked stays who asked, and without a voice, whoever acts since.
            answer = self.patch(name, {"spec": {"requestedBy": self.admin, "actedBy": self.admin}})
            self.assertEqual(answer.code, 422, answer.message)
            self.assertIn("requestedBy: cannot change", answer.message)
            self.refused(self.patch(name + "/status", {"status": {"outcome": "Completed"}}),
                         "status: is written only by the controller")
            for status, code in (({"waves": [{"name": "all", "state": "Running"}]}, 403),
                                 ({"outcome": "Aborted"}, 200)):
                self.server.call("PATCH", name + "/status", {"status": status}, MERGE, user=CONTROLLER)
                answer = self.server.call("DELETE", name, dryRun="All")
                self.assertEqual(answer.code, code, answer.message)
                if code == 403:
                    self.assertIn("set spec.action to Abort or Revert", answer.message)
                    self.refused(self.server.call("DELETE", name, user=COLLECTOR, dryRun="All"))
        finally:
            self.server.call("DELETE", GROUP + "rollouts/weekly", user=CONTROLLER)

    def test_status_is_written_by_the_controller_only(self):
        for user in (None, "bob@example.com", COLLECTOR, "system:kube-controller-manager"):
            with self.subTest(user=user):
                self.refused(self.patch(SITE + "/status", {"status": {"stage": "Run"}}, user=user),
                             "status: is written only by the controller (" + CONTROLLER + ")",
                             "you are " + (user or self.admin), "change spec")
        answer = self.patch(SITE + "/status", {"status": {"stage": "Crawl"}}, user=CONTROLLER)
        self.assertEqual(answer.code, 200, answer.message)

    def test_a_status_sent_with_the_spec_is_dropped(self):
        answer = self.patch(SITE, {"status": {"stage": "Run"}})
        self.assertEqual(answer.code, 200, answer.message)
        self.assertNotEqual(answer.body.get("status", {}).get("stage"), "Run")

    def test_a_promotion_is_made_by_the_controller_only(self):
        for user in (None, COLLECTOR):
            with self.subTest(user=user):
                self.refused(self.server.call("POST", GROUP + "promotions", promotion(), user=user,
                                              dryRun="All"),
                             "Promotion: is made only by the controller", "spec.stage of the Site")

    def test_a_promotion_cannot_be_edited_or_its_verdicts_replaced(self):
        self.refused(self.patch(PROMOTION, {"metadata": {"ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "0"}]}}),
            "Promotion: is a record that only the controller")
        self.assertEqual(self.patch(PROMOTION, {"spec": {"plan": {"hash": "00000000"}}}).code, 422)
        self.refused(self.patch(PROMOTION + "/status", {"status": {"gates": []}}),
                     "status: is written only by the controller")

    def test_not_even_the_controller_changes_a_promotions_spec(self):
        answer = self.patch(PROMOTION, {"spec": {"generation": 2}}, user=CONTROLLER)
        self.assertEqual(answer.code, 422)
        self.assertIn("spec: cannot change", answer.message)

    def test_deleting_a_promotion_does_not_reset_its_latch(self):
        self.refused(self.server.call("DELETE", PROMOTION),
                     "Promotion: is a record that only the controller", "deletes",
                     "supersede it, or delete the Site")
        self.refused(self.server.call("DELETE", PROMOTION, {
            "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}))
        self.server.call("DELETE", GROUP + "promotions")  # the whole collection
        kept = self.server.call("GET", PROMOTION)
        self.assertEqual(kept.code, 200)
        self.assertEqual(kept.body["status"]["gates"][0]["verdict"], "Hold")

    def test_the_garbage_collector_may_delete_what_a_site_left(self):
        for user in (COLLECTOR, CONTROLLER):
            with self.subTest(user=user):
                answer = self.server.call("DELETE", PROMOTION, user=user, dryRun="All")
                self.assertEqual(answer.code, 200, answer.message)

    def head(self, namespace="sluice-system", seq="1"):
        return {"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "sluice-audit-head", "namespace": namespace},
                "data": {"seq": seq}}

    def test_the_head_of_the_audit_log_is_written_by_the_controller_only(self):
        maps = "/api/v1/namespaces/sluice-system/configmaps"
        self.server.call("POST", "/api/v1/namespaces",
                         {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sluice-system"}})
        for user in (None, "bob@example.com", COLLECTOR):
            with self.subTest(create_as=user):
                self.refused(self.server.call("POST", maps, self.head(), user=user, dryRun="All"),
                             "ConfigMap sluice-audit-head: is written only by the controller")
        made = self.server.call("POST", maps, self.head(), user=CONTROLLER)
        self.assertEqual(made.code, 201, made.message)
        kept = maps + "/sluice-audit-head"
        self.refused(self.patch(kept, {"data": {"seq": "0"}}), "you are " + self.admin)
        self.refused(self.server.call("PUT", kept, self.head(seq="0")))
        self.refused(self.patch(kept, {"data": {"seq": "0"}}, user=COLLECTOR))
        self.refused(self.server.call("DELETE", kept))
        self.server.call("DELETE", maps)  # the whole collection
        found = self.server.call("GET", kept)
        self.assertEqual((found.code, found.body["data"]["seq"]), (200, "1"))
        answer = self.patch(kept, {"data": {"seq": "2"}}, user=CONTROLLER)
        self.assertEqual(answer.code, 200, answer.message)
        # A namespace that is deleted takes it along.
        answer = self.server.call("DELETE", kept, user=COLLECTOR)
        self.assertEqual(answer.code, 200, answer.message)

    def test_other_config_maps_are_nobodys_affair(self):
        maps = "/api/v1/namespaces/default/configmaps"
        for body in (self.head("default"), {"apiVersion": "v1", "kind": "ConfigMap",
                                            "metadata": {"name": "other", "namespace": "default"}}):
            answer = self.server.call("POST", maps, body, user="bob@example.com", dryRun="All")
            self.assertEqual(answer.code, 201, answer.message)

    def test_the_controllers_name_stands_in_one_place(self):
        text = "".join(p.read_text() for p in (ROOT / "deploy/manifests/policies").glob("*.yaml"))
        self.assertEqual(text.count(CONTROLLER), 1)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
