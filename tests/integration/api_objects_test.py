#!/usr/bin/env python3
"""The real API server judges our objects: what is valid is taken, what breaks a rule is refused with
a message that names the field and the rule. Everything is a dry run unless a rule needs an old
object. Samples: api/testdata/README.md."""
import copy
import json
import os
import pathlib
import subprocess
import sys
import unittest

import apiserver
import mutations
from apiserver import GROUP, ROOT

TESTDATA = ROOT / "api/testdata"
BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD_DIR", ROOT / "build/release"))
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
YAML = "application/yaml"


def samples(prefix):
    return sorted(TESTDATA.glob(f"*/{prefix}*.yaml"))


def kind_of(path):
    """Folder name (the kind's singular) to the resource's plural."""
    singular = path.parent.name
    return singular + ("es" if singular.endswith("s") else "s")


class ApiObjects(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(apiserver.running())

    def create(self, plural, body, **query):
        return self.server.call("POST", GROUP + plural, body, YAML, dryRun="All",
                                fieldValidation="Strict", **query)

    def test_every_valid_sample_is_taken(self):
        for path in samples("valid"):
            with self.subTest(sample=path.relative_to(TESTDATA)):
                answer = self.create(kind_of(path), path.read_text())
                self.assertEqual(answer.code, 201, answer.message)

    def test_every_invalid_sample_is_refused_for_its_reason(self):
        for path in samples("invalid"):
            if path.name.startswith("invalid-update-"):
                continue
            with self.subTest(sample=path.relative_to(TESTDATA)):
                first, _, body = path.read_text().partition("\n")
                answer = self.create(kind_of(path), body)
                self.assertGreaterEqual(answer.code, 400, "was taken")
                self.assertIn(first.removeprefix("# "), answer.message)

    def test_every_refused_change_is_refused_for_its_reason(self):
        for path in samples("invalid-update-"):
            with self.subTest(sample=path.relative_to(TESTDATA)):
                first, _, rest = path.read_text().partition("\n")
                before, _, after = rest.partition("---\n")
                plural = kind_of(path)
                made = self.server.call("POST", GROUP + plural, before, YAML)
                self.assertEqual(made.code, 201, made.message)
                name = made.body["metadata"]["name"]
                try:
                    apply = lambda body: self.server.call(
                        "PATCH", f"{GROUP}{plural}/{name}", body, "application/apply-patch+yaml",
                        fieldManager="test", force="true", dryRun="All")
                    self.assertEqual(apply(before).code, 200, "the same again is no change")
                    answer = apply(after)
                    self.assertGreaterEqual(answer.code, 400, "was taken")
                    self.assertIn(first.removeprefix("# "), answer.message)
                finally:
                    self.server.call("DELETE", f"{GROUP}{plural}/{name}")

    def test_every_word_of_every_schema_refuses_a_wrong_value(self):
        for folder in sorted(p for p in TESTDATA.iterdir() if p.is_dir()):
            paths = sorted(folder.glob("valid*.yaml"))
            plural = kind_of(paths[0])
            crd = self.server.call("GET", f"{CRDS}{plural}.sluice.dev").body
            spec_schema = {"type": "object", "properties": {"spec": crd["spec"]["versions"][0]
                           ["schema"]["openAPIV3Schema"]["properties"]["spec"]}}
            broken = set()
            for path in paths:
                valid = self.create(plural, path.read_text()).body
                for mutation in mutations.mutations(spec_schema, valid):
                    if mutation.rule in broken or mutation.path == "spec":
                        continue
                    broken.add(mutation.rule)
                    with self.subTest(kind=folder.name, field=mutation.path, rule=mutation.rule[1]):
                        answer = self.create(plural, mutation.apply(valid))
                        self.assertGreaterEqual(answer.code, 400, "was taken")
                        self.assertIn(mutation.path, answer.message)
                        self.assertIn(mutation.expected, answer.message)
            missed = {rule for rule in mutations.rules(spec_schema) if rule not in broken}
            missed -= {("", "type"), (".spec", "type")}
            with self.subTest(kind=folder.name):
                self.assertEqual(sorted(missed), [], "no valid sample has the field")

    def test_defaults_are_filled_in(self):
        site = self.create("sites", (TESTDATA / "site/valid-least.yaml").read_text()).body
        self.assertEqual(site["spec"]["updates"], {"maxUnavailable": 3, "drainSeconds": 30})
        bare = copy.deepcopy(site)
        del bare["spec"]["updates"]
        site = self.create("sites", bare).body
        self.assertEqual(site["spec"]["updates"], {"maxUnavailable": 1, "drainSeconds": 30})
        plan = self.create("stageplans", (TESTDATA / "stageplan/valid.yaml").read_text()).body
        gate = plan["spec"]["stages"][1]["entryGates"][0]
        self.assertEqual(
            {k: gate[k] for k in ("onFail", "onNoData", "onError", "validForSeconds", "waivable")},
            {"onFail": "Hold", "onNoData": "Hold", "onError": "Hold", "validForSeconds": 300,
             "waivable": "ByExemption"})

    def test_the_cluster_of_a_site_cannot_change_and_its_other_fields_can(self):
        text = (TESTDATA / "site/valid-remote.yaml").read_text()
        made = self.server.call("POST", GROUP + "sites", text, YAML)
        self.assertEqual(made.code, 201, made.message)
        name = made.body["metadata"]["name"]
        try:
            def patch(spec):
                return self.server.call("PATCH", f"{GROUP}sites/{name}", {"spec": spec},
                                        "application/merge-patch+json")

            for spec in ({"cluster": None},
                         {"cluster": {"kubeconfigSecretRef": {"name": "another"}}}):
                answer = patch(spec)
                self.assertEqual(answer.code, 422, spec)
                self.assertIn("cluster: cannot change", answer.message)
            self.assertEqual(patch({"region": "us-east-1"}).code, 200)
        finally:
            self.server.call("DELETE", f"{GROUP}sites/{name}")

    def test_what_comes_of_open_slo_is_taken(self):
        for path in sorted((ROOT / "reconcilers/openslo/testdata").glob("*.yaml")):
            imported = subprocess.run([BUILD / "bin/kubectl-sluice", "slo", "import", path],
                                      capture_output=True, text=True, timeout=30)
            self.assertEqual(imported.returncode, 0, imported.stderr)
            for item in json.loads(imported.stdout)["items"]:
                with self.subTest(document=path.name, name=item["metadata"]["name"]):
                    answer = self.create("servicelevelobjectives", item)
                    self.assertEqual(answer.code, 201, answer.message)

    def test_the_examples_and_the_shipped_plan_are_taken(self):
        files = sorted((ROOT / "docs/examples").glob("*.yaml"))
        for folder in ("plans", "readiness"):
            files += sorted((ROOT / "deploy/manifests" / folder).glob("*.yaml"))
        judged = 0
        for path in files:
            for document in path.read_text().split("\n---\n"):
                kinds = [line[6:].strip() for line in document.splitlines()
                         if line.startswith("kind: ")]
                if "apiVersion: sluice.dev/v1alpha1" not in document:
                    continue
                plural = {"SiteClass": "siteclasses"}.get(kinds[0], kinds[0].lower() + "s")
                with self.subTest(example=path.name, kind=kinds[0]):
                    answer = self.create(plural, document)
                    self.assertEqual(answer.code, 201, answer.message)
                    judged += 1
        self.assertGreaterEqual(judged, 9)

    def test_objects_stay_small(self):
        for path in samples("valid"):
            answer = self.create(kind_of(path), path.read_text())
            self.assertLess(len(str(answer.body)), 10_000, path)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
