#!/usr/bin/env python3
"""The chart on a real API server: installs, upgrades and uninstalls cleanly, and gives everybody
exactly the rights that are written down here. No pod runs; the end-to-end test runs them."""
import contextlib
import json
import subprocess
import sys
import unittest

import apiserver
from apiserver import GROUP, ROOT, wait_until

HELM = ROOT / "build/local/bin/helm"
CHART = ROOT / "charts/sluice"
RELEASE, NAMESPACE = "sluice", "sluice-system"
CONTROLLER = f"system:serviceaccount:{NAMESPACE}:sluice-controller"
SELECTOR = f"app.kubernetes.io/instance={RELEASE}"
MERGE = "application/merge-patch+json"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
KINDS = ("siteclasses", "sites", "tenants", "servicelevelobjectives", "stageplans", "promotions",
         "readinessreviews", "decisions", "approvals", "exemptions", "freezewindows", "incidents",
         "releases", "rollouts")

# (group, resource) -> verbs of the controller in every namespace.
EVERYWHERE = {
    **{("sluice.dev", kind): "list watch" for kind in KINDS},
    ("sluice.dev", "sites"): "get list watch patch",
    ("sluice.dev", "promotions"): "get list watch create delete",
    ("sluice.dev", "servicelevelobjectives"): "list watch create patch delete",
    **{("sluice.dev", kind + "/status"): "patch" for kind in KINDS},
    ("sluice.dev", "sites/finalizers"): "update",
    ("sluice.dev", "servicelevelobjectives/finalizers"): "update",
    ("", "namespaces"): "get list watch create patch delete",
    ("", "nodes"): "list watch",
    ("", "serviceaccounts"): "list watch create patch",
    ("", "services"): "list watch create patch",
    ("", "configmaps"): "list watch create patch",
    ("apps", "daemonsets"): "get list watch create patch delete",
    ("apps", "controllerrevisions"): "list",
    ("", "pods"): "list delete",
    ("authentication.k8s.io", "tokenreviews"): "create",
    ("events.k8s.io", "events"): "create patch",
}
# The same in its own namespace; names in brackets are the only ones the verb is for.
AT_HOME = {
    **EVERYWHERE,
    ("", "configmaps"): "list watch create patch delete",
    ("", "configmaps[sluice-agents-epoch]"): "get list watch create update patch delete",
    ("", "secrets"): "get list watch create",
    ("", "secrets[sluice-ca]"): "get list watch create update",
    ("coordination.k8s.io", "leases"): "create",
    ("coordination.k8s.io", "leases[sluice-controller]"): "get create update",
    ("monitoring.coreos.com", "prometheusrules"): "get create patch",
}
# Nobody asked for these, and each would be a way to more.
NEVER = [("", "pods/exec"), ("", "nodes/proxy"), ("", "serviceaccounts/token"),
         ("", "persistentvolumes"), ("", "events"), ("", "secrets"), ("apps", "deployments"),
         ("batch", "jobs"), ("coordination.k8s.io", "leases"),
         ("rbac.authorization.k8s.io", "roles"), ("rbac.authorization.k8s.io", "clusterroles"),
         ("rbac.authorization.k8s.io", "rolebindings"),
         ("rbac.authorization.k8s.io", "clusterrolebindings"),
         ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
         ("apiextensions.k8s.io", "customresourcedefinitions"),
         ("monitoring.coreos.com", "prometheusrules")]


class Chart(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(apiserver.running("--controller-manager", kinds=False))
        cls.helm("upgrade", "--install", RELEASE, CHART, "--create-namespace")
        cls.server.wait_for_kinds()

    @classmethod
    def helm(cls, *arguments, ok=True):
        result = subprocess.run(
            [HELM, "--kubeconfig", cls.server.kubeconfig, "--namespace", NAMESPACE,
             *map(str, arguments)], capture_output=True, text=True, timeout=120)
        assert not ok or result.returncode == 0, result.stderr
        return result.stdout if ok else result

    @classmethod
    def kubectl(cls, *arguments, stdin=None, ok=True):
        result = subprocess.run(
            [apiserver.KUBECTL, "--kubeconfig", cls.server.kubeconfig, "--namespace", NAMESPACE,
             *arguments], input=stdin, capture_output=True, text=True, timeout=120)
        assert not ok or result.returncode == 0, result.stderr
        return result.stdout if ok else result

    # What a user may do, by SubjectAccessReview: the answer of the authorizer itself.
    def may(self, user, verb, group, resource, namespace, groups=("system:authenticated",)):
        resource, _, name = resource.rstrip("]").partition("[")
        resource, _, subresource = resource.partition("/")
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                  "spec": {"user": user, "groups": list(groups), "resourceAttributes": {
                      "verb": verb, "group": group, "resource": resource, "name": name,
                      "subresource": subresource, "namespace": namespace}}}
        answer = self.server.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        self.assertEqual(answer.code, 201, answer.message)
        return answer.body["status"].get("allowed", False)

    def verbs(self, user, group, resource, namespace, **more):
        return " ".join(v for v in VERBS if self.may(user, v, group, resource, namespace, **more))

    def deployment(self):
        answer = self.server.call("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/sluice-controller")
        self.assertTrue(answer.ok, answer.message)
        return answer.body

    def test_everything_of_the_release_is_there(self):
        manifest = self.helm("get", "manifest", RELEASE)
        objects = self.kubectl("get", "-f", "-", "-o", "name", stdin=manifest).split()
        self.assertEqual(len(objects), manifest.count("\nkind: "))
        for name in ("deployment.apps/sluice-controller", "stageplan.sluice.dev/crawl-walk-run",
                     "service/sluice-controller-agents", "networkpolicy.networking.k8s.io/sluice-controller",
                     "poddisruptionbudget.policy/sluice-controller", "configmap/sluice-dashboard"):
            self.assertIn(name, objects)

    def test_the_api_server_takes_every_variant_without_a_warning_of_unknown_fields(self):
        variants = [
            [], ["replicas=1"], ["stagePlan.install=false", "userRoles.create=false"],
            ["agents.endpoint=sluice.example.com", "image.pullSecrets[0].name=regcred"],
            ["tolerations[0].operator=Exists", "nodeSelector.zone=a", "podAnnotations.a=b",
             "priorityClassName=system-cluster-critical", "debug.enabled=false",
             "gates.externalHosts[0]=gates.example.com:8443",
             "gates.externalCaConfigMap=gates-ca"],
            ["podDisruptionBudget.enabled=false", "networkPolicy.enabled=false",
             "monitoring.dashboard=false", "monitoring.rules=never"]]
        for variant in variants:
            with self.subTest(variant):
                sets = [part for value in variant for part in ("--set", value)]
                manifest = self.helm("template", RELEASE, CHART, "--kube-version", "1.36.3", *sets)
                self.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server",
                             "--validate=strict", "-f", "-", stdin=manifest)

    def test_pods_are_allowed_by_the_restricted_pod_security_level(self):
        result = self.kubectl("label", "--dry-run=server", "--overwrite", "namespace", NAMESPACE,
                              "pod-security.kubernetes.io/enforce=restricted", ok=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("violate", result.stderr)
        # The same check does speak up: a pod that asks for more is named.
        wait_until(lambda: self.kubectl("get", "pods", "-l", SELECTOR, "-o", "name").count("\n") >= 2,
                   "the Deployment's pods to exist")
        with self.bad_pod():
            result = self.kubectl("label", "--dry-run=server", "--overwrite", "namespace", NAMESPACE,
                                  "pod-security.kubernetes.io/enforce=restricted", ok=False)
            self.assertIn("violate", result.stderr)
            self.assertNotIn("sluice-controller", result.stderr)

    @contextlib.contextmanager
    def bad_pod(self):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"},
               "spec": {"hostNetwork": True, "containers": [{"name": "c", "image": "none"}]}}
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        made = self.server.call("POST", path, pod)
        self.assertEqual(made.code, 201, made.message)
        try:
            yield
        finally:
            self.server.call("DELETE", path + "/bad", gracePeriodSeconds=0)

    def test_an_upgrade_changes_what_changed_and_nothing_else(self):
        self.helm("upgrade", RELEASE, CHART)
        before = self.deployment()
        self.helm("upgrade", RELEASE, CHART)
        self.assertEqual(self.deployment()["metadata"]["generation"], before["metadata"]["generation"])
        self.helm("upgrade", RELEASE, CHART, "--set", "image.controller.tag=next", "--set", "replicas=1")
        after = self.deployment()
        self.assertEqual(after["spec"]["replicas"], 1)
        image = after["spec"]["template"]["spec"]["containers"][0]["image"]
        self.assertEqual(image, "sluice/sluice-controller:next")
        self.assertEqual(self.kubectl("get", "pdb", "-l", SELECTOR, "-o", "name"), "")
        self.helm("rollback", RELEASE)
        self.assertEqual(self.deployment()["spec"]["replicas"], 2)

    def test_the_controller_may_do_exactly_this_everywhere(self):
        self.compare(EVERYWHERE, "elsewhere")

    def test_the_controller_may_do_exactly_this_in_its_own_namespace(self):
        self.compare(AT_HOME, NAMESPACE)

    def compare(self, wanted, namespace):
        for (group, resource) in sorted({*wanted, *NEVER}):
            with self.subTest(f"{group}/{resource}"):
                given = wanted.get((group, resource), "")
                self.assertEqual(sorted(self.verbs(CONTROLLER, group, resource, namespace).split()),
                                 sorted(given.split()))
        for verb in ("impersonate", "escalate", "bind"):
            for resource in ("users", "serviceaccounts", "clusterroles"):
                self.assertFalse(self.may(CONTROLLER, verb, "", resource, namespace))
                self.assertFalse(self.may(CONTROLLER, verb, "rbac.authorization.k8s.io", resource,
                                          namespace))

    def test_kubectl_says_the_same(self):
        allowed = self.kubectl("auth", "can-i", "list", "nodes", f"--as={CONTROLLER}").strip()
        refused = self.kubectl("auth", "can-i", "get", "secrets", "-n", "default", f"--as={CONTROLLER}",
                               ok=False)
        self.assertEqual((allowed, refused.stdout.strip(), refused.returncode), ("yes", "no", 1))

    def test_a_tenant_opens_its_own_secrets_and_no_others(self):
        for namespace in ("falcon", "eagle"):
            self.kubectl("create", "namespace", namespace)
        self.assertEqual(self.verbs(CONTROLLER, "", "secrets", "falcon"), "")
        self.kubectl("create", "rolebinding", "sluice", "-n", "falcon", "--clusterrole",
                     "sluice-tenant-secrets", "--serviceaccount", f"{NAMESPACE}:sluice-controller")
        wait_until(lambda: self.verbs(CONTROLLER, "", "secrets", "falcon") == "get",
                   "the binding to be in force")
        self.assertEqual(self.verbs(CONTROLLER, "", "secrets", "eagle"), "")

    def test_view_and_edit_reach_our_kinds_and_nobody_but_the_controller_reaches_records(self):
        for role in ("view", "edit"):
            self.kubectl("create", "clusterrolebinding", f"test-{role}", f"--clusterrole={role}",
                         f"--user={role}@example.com")
        wait_until(lambda: self.may("edit@example.com", "create", "sluice.dev", "sites", ""),
                   "the roles to be aggregated")
        reads, all_verbs = "get list watch", " ".join(VERBS)
        for kind in KINDS:
            # Beside the records, what is given by ClusterRoles of its own: sluice-freeze, sluice-rollout.
            record = kind in ("promotions", "freezewindows", "releases", "rollouts")
            with self.subTest(kind):
                self.assertEqual(self.verbs("view@example.com", "sluice.dev", kind, ""), reads)
                self.assertEqual(self.verbs("edit@example.com", "sluice.dev", kind, ""),
                                 reads if record else all_verbs)
                self.assertEqual(self.verbs("edit@example.com", "sluice.dev", kind + "/status", ""), "")

    def test_the_controller_writes_only_in_its_sites_namespaces(self):
        def create(path, kind, name, api="v1"):
            return self.server.call("POST", path, {"apiVersion": api, "kind": kind,
                                                   "metadata": {"name": name}},
                                    user=CONTROLLER, dryRun="All")
        self.kubectl("create", "namespace", "sluice-site-bounds")
        allowed = [("/api/v1/namespaces", "Namespace", "sluice-site-x"),
                   ("/api/v1/namespaces/sluice-site-bounds/configmaps", "ConfigMap", "a"),
                   ("/api/v1/namespaces/sluice-site-bounds/serviceaccounts", "ServiceAccount", "a"),
                   (f"/api/v1/namespaces/{NAMESPACE}/configmaps", "ConfigMap", "a")]
        refused = [("/api/v1/namespaces", "Namespace", "falcon-x"),
                   ("/api/v1/namespaces/default/configmaps", "ConfigMap", "a"),
                   ("/api/v1/namespaces/kube-system/serviceaccounts", "ServiceAccount", "a"),
                   (f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", "ServiceAccount", "a")]
        wait_until(lambda: create(*refused[0]).code == 403, "the policy to be in force")
        for case in allowed:
            self.assertEqual(create(*case).code, 201, case)
        for case in refused:
            answer = create(*case)
            self.assertEqual(answer.code, 403, case)
            self.assertIn("sluice-site-*", answer.message)
        answer = self.server.call("DELETE", "/api/v1/namespaces/kube-public", user=CONTROLLER, dryRun="All")
        self.assertEqual(answer.code, 403, answer.message)

    def test_the_controller_deletes_no_config_maps_but_rules_of_objectives(self):
        path = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
        for name in ("sluice-rules-phoenix-availability", "sluice-agents-epoch-of-old"):
            made = self.server.call("POST", path, {"apiVersion": "v1", "kind": "ConfigMap",
                                                   "metadata": {"name": name}})
            self.assertEqual(made.code, 201, made.message)

        def delete(name):
            return self.server.call("DELETE", f"{path}/{name}", user=CONTROLLER, dryRun="All")
        wait_until(lambda: delete("sluice-agents-epoch-of-old").code == 403, "the policy to be in force")
        self.assertIn("sluice-rules-*", delete("sluice-agents-epoch-of-old").message)
        answer = delete("sluice-rules-phoenix-availability")
        self.assertEqual(answer.code, 200, answer.message)

    def test_the_policies_trust_the_user_that_the_release_runs_under(self):
        site = {"apiVersion": "sluice.dev/v1alpha1", "kind": "Site", "metadata": {"name": "trusted"},
                "spec": {"classRef": {"name": "c"}, "nodeSelector": {"a": "b"}, "stage": "Crawl",
                         "requestedBy": "ana@example.com"}}
        made = self.server.call("POST", GROUP + "sites", site, user="ana@example.com")
        self.assertEqual(made.code, 201, made.message)
        status = {"status": {"stage": "Crawl"}}
        path = GROUP + "sites/trusted/status"
        wait_until(lambda: self.server.call("PATCH", path, status, MERGE, user="ana@example.com",
                                            dryRun="All").code == 403, "the policy to be in force")
        answer = self.server.call("PATCH", path, status, MERGE, user=CONTROLLER, dryRun="All")
        self.assertEqual(answer.code, 200, answer.message)
        self.server.call("DELETE", GROUP + "sites/trusted")

    # By its name the last one.
    def test_zz_an_uninstall_leaves_the_kinds_and_nothing_else(self):
        manifest = self.helm("get", "manifest", RELEASE)
        self.helm("uninstall", RELEASE, "--wait", "--timeout", "60s")
        wait_until(lambda: not self.kubectl("get", "-f", "-", "-o", "name", "--ignore-not-found",
                                            stdin=manifest, ok=False).stdout, "all of it to be gone")
        listed = json.loads(self.kubectl("api-resources", "-o", "json") or "{}")
        names = {f"{r['name']}.{r['group']}".rstrip(".") if r.get("group") else r["name"]
                 for r in listed.get("resources", []) if "list" in r.get("verbs", [])}
        self.assertGreater(len(names), 40)
        # The Deployment's pods go through the garbage collector.
        wait_until(lambda: not self.kubectl("get", ",".join(sorted(names)), "-A", "-l", SELECTOR, "-o",
                                            "name", "--ignore-not-found"),
                   "everything with the release's label to go")
        served = {r["name"] for r in self.server.call("GET", GROUP.rstrip("/")).body["resources"]}
        self.assertLessEqual(set(KINDS), served)


if __name__ == "__main__":
    sys.exit(unittest.main())
