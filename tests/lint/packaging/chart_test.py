"""What helm renders, without a cluster: golden files of the parts that matter most, the values it
refuses with the field's name, and the schema's cover of every value.

`SLUICE_REWRITE_GOLDEN=1 python3 -m unittest chart_test` rewrites the golden files.
"""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
CHART = ROOT / "charts/sluice"
GOLDEN = pathlib.Path(__file__).parent / "golden"
HELM = ROOT / "build/local/bin/helm"
OPERATOR = ("--api-versions", "monitoring.coreos.com/v1")


def helm(*arguments):
    return subprocess.run([HELM, *map(str, arguments)], capture_output=True, text=True, timeout=60)


def defaults():
    """values.yaml as Helm reads it: its only template prints it as JSON."""
    with tempfile.TemporaryDirectory(prefix="sluice-values-") as folder:
        chart = pathlib.Path(folder)
        (chart / "templates").mkdir()
        (chart / "Chart.yaml").write_text("apiVersion: v2\nname: values\nversion: 0.0.0\n")
        (chart / "values.yaml").write_text((CHART / "values.yaml").read_text())
        (chart / "templates/all.yaml").write_text("all: {{ .Values | toJson }}\n")
        result = helm("template", "values", chart)
        return json.loads(result.stdout.split("all: ", 1)[1])


def template(*arguments, namespace="sluice-system", release="sluice"):
    return helm("template", release, CHART, "--namespace", namespace, "--kube-version", "1.36.3",
                *arguments)


class Rendered(unittest.TestCase):
    def render(self, *arguments, **more):
        result = template(*arguments, **more)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_helm_lint_finds_nothing_wrong(self):
        result = helm("lint", "--strict", CHART)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_golden(self):
        cases = {
            "controller": ("-s", "templates/deployment.yaml", "-s", "templates/service.yaml"),
            "rights": ("-s", "templates/rbac.yaml", "-s", "templates/user-roles.yaml",
                       "-s", "templates/policy-bounds.yaml"),
            "monitoring": (*OPERATOR, "-s", "templates/servicemonitor.yaml"),
        }
        for name, arguments in cases.items():
            with self.subTest(name):
                file = GOLDEN / f"{name}.yaml"
                text = self.render(*arguments)
                if os.environ.get("SLUICE_REWRITE_GOLDEN"):
                    GOLDEN.mkdir(exist_ok=True)
                    file.write_text(text)
                self.assertEqual(text, file.read_text(), "see this file's first lines to rewrite")

    def test_everything_carries_the_release_in_its_names(self):
        text = self.render(release="blue", namespace="storage")
        self.assertIn("system:serviceaccount:storage:blue-controller", text)
        self.assertNotIn("sluice-system", text)
        self.assertIn("--lease-name=blue-controller", text)
        self.assertIn("resourceNames:\n    - blue-controller", text)

    def test_a_release_with_a_dot_gets_names_that_services_may_have(self):
        for release, name in (("my.rel", "my-rel"), ("a" * 39 + ".rel", "a" * 39)):
            with self.subTest(release):
                text = self.render(release=release)
                services = re.findall(r"kind: Service\nmetadata:\n  name: (\S+)", text)
                self.assertIn(f"{name}-controller-agents", services)
                for service in services:
                    self.assertRegex(service, r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")
                self.assertIn(f"--agent-service={name}-controller-agents", text)
                self.assertIn(f"system:serviceaccount:sluice-system:{name}-controller", text)

    def test_the_policies_name_the_controller_once_and_are_all_there(self):
        text = self.render()
        names = re.findall(r"kind: ValidatingAdmissionPolicy\nmetadata:\n  name: (\S+)", text)
        self.assertEqual(sorted(names), ["sluice-approvals", "sluice-controller-bounds",
                                         "sluice-controller-only", "sluice-decisions",
                                         "sluice-exemptions", "sluice-incidents",
                                         "sluice-readiness", "sluice-requested-by"])

    def test_a_digest_wins_over_a_tag(self):
        digest = "sha256:" + "a" * 64
        text = self.render("--set", f"image.controller.digest={digest},image.controller.tag=x,"
                                    "image.agent.tag=y")
        self.assertIn(f"image: sluice/sluice-controller@{digest}", text)
        self.assertIn("--agent-image=sluice/sluice-agent:y", text)

    def test_the_receiver_of_alerts_is_off_until_it_has_a_token(self):
        self.assertNotIn("alert", self.render("-s", "templates/deployment.yaml",
                                              "-s", "templates/service.yaml",
                                              "-s", "templates/networkpolicy.yaml"))
        text = self.render("--set", "alertmanager.enabled=true,alertmanager.tokenSecret=am,"
                                    "alertmanager.from[0].podSelector.matchLabels.app=am")
        for part in ("--alertmanager-address=0.0.0.0:8083", "name: sluice-controller-alerts",
                     "--alertmanager-token-file=/etc/sluice/alertmanager/token",
                     "secret: {secretName: am, defaultMode: 0440}", "{port: alerts, protocol: TCP}",
                     "app: am", "name: sluice-controller-alerts\n  labels"):
            self.assertIn(part, text)
        # Without a folder for the log the token is still mounted.
        self.assertIn("mountPath: /etc/sluice/alertmanager", self.render(
            "--set", "alertmanager.enabled=true,alertmanager.tokenSecret=am,audit.files=none"))

    def test_an_endpoint_replaces_the_service_for_agents(self):
        self.assertNotIn("--control-endpoint", self.render())
        text = self.render("--set", "agents.endpoint=sluice.example.com")
        self.assertIn("--control-endpoint=sluice.example.com:9443", text)
        self.assertIn("--enrolment-endpoint=sluice.example.com:9444", text)

    def test_what_the_prometheus_operator_reads_follows_its_kinds(self):
        for want, operator, expected in (("auto", False, 0), ("auto", True, 2), ("always", False, 2),
                                         ("never", True, 0)):
            text = self.render("--set", f"monitoring.serviceMonitor={want}",
                               *(OPERATOR if operator else ()))
            self.assertEqual(text.count("kind: ServiceMonitor"), expected, (want, operator))
        self.assertIn('sluice.dev/rules: "true"', self.render())
        with_operator = self.render(*OPERATOR, "--set", "monitoring.runbookUrl=https://wiki/ops")
        self.assertIn("kind: PrometheusRule", with_operator)
        self.assertNotIn('sluice.dev/rules: "true"', with_operator)
        self.assertIn("runbook_url: https://wiki/ops#sluicenoleader", with_operator)

    def test_switches_take_away_what_they_name(self):
        for value, kind in (("podDisruptionBudget.enabled", "PodDisruptionBudget"),
                            ("networkPolicy.enabled", "NetworkPolicy"),
                            ("stagePlan.install", "StagePlan"),
                            ("monitoring.dashboard", "sluice-dashboard")):
            self.assertIn(kind, self.render(), value)
            self.assertNotIn(kind, self.render("--set", f"{value}=false"), value)
        self.assertNotIn("--agent-seccomp-profile", self.render())
        self.assertIn("--agent-seccomp-profile=profiles/agent.json",
                      self.render("--set", "agents.seccompProfile=profiles/agent.json"))
        none = self.render("--set", "audit.files=none")
        self.assertNotIn("--audit-directory", none)
        self.assertNotIn("volumeMounts", none)
        for part in ("--audit-file-bytes=67108864", "--audit-keep-bytes=805306368", "--audit-keep-days=0"):
            self.assertIn(part, self.render())
        self.assertNotIn("--external-gate-ca-file", self.render())
        trusted = self.render("--set", "gates.externalCaConfigMap=gates-ca,audit.files=none")
        for part in ("--external-gate-ca-file=/etc/sluice/external-gates/ca.crt",
                     "configMap: {name: gates-ca}", "mountPath: /etc/sluice/external-gates"):
            self.assertIn(part, trusted)
        claim = self.render("--set", "audit.files=claim,audit.claim=log")
        self.assertIn("persistentVolumeClaim: {claimName: log}", claim)
        self.assertNotIn("PodDisruptionBudget", self.render("--set", "replicas=1"))
        self.assertNotIn("--debug-address", self.render("--set", "debug.enabled=false"))


class Refused(unittest.TestCase):
    CASES = {
        "replicas=0": "/replicas",
        "replicas=two": "/replicas",
        "replica=2": "'replica' not allowed",
        "image.controller.tag=a b": "/image/controller/tag",
        "image.agent.digest=sha256:12": "/image/agent/digest",
        "image.agent.repository=": "/image/agent/repository",
        "image.pullPolicy=Sometimes": "/image/pullPolicy",
        "image.pullSecrets[0]=regcred": "/image/pullSecrets/0",
        "image.pullSecrets[0].name=A": "/image/pullSecrets/0/name",
        "image.controller.tag=null": "missing property 'tag'",
        "replicas=null": "missing property 'replicas'",
        "leaderElection.leaseDurationSeconds=0": "/leaderElection/leaseDurationSeconds",
        "leaderElection.renewDeadlineSeconds=15": "leaderElection: retryPeriodSeconds",
        "workers=65": "/workers",
        "audit.files=disk": "/audit/files",
        "audit.files=claim": "/audit/claim",
        "audit.files=none,audit.stdout=false": "/audit/stdout",
        "audit.files=claim,audit.claim=A/B": "/audit/claim",
        "audit.sizeLimit=much": "/audit/sizeLimit",
        "audit.sizeLimit=831Mi": "audit.sizeLimit: 831Mi is less than keepMebibytes and one more file (832Mi)",
        "audit.sizeLimit=0.8Gi": "raise it, or lower audit.keepMebibytes",
        "audit.keepMebibytes=null": "missing property 'keepMebibytes'",
        "audit=null": "missing property 'audit'",
        "audit.fileMebibytes=0": "/audit/fileMebibytes",
        "audit.keepMebibytes=127": "audit.keepMebibytes: at least twice audit.fileMebibytes",
        "audit.keepDays=-1": "/audit/keepDays",
        "log.format=xml": "/log/format",
        "log.level=trace": "/log/level",
        "debug.enabled=yes": "/debug/enabled",
        "agents.controlPort=70000": "/agents/controlPort",
        "agents.controlPort=9444": "agents.enrolmentPort: must differ",
        "agents.enrolmentPort=8080": "agents.enrolmentPort: 8080 is taken",
        "agents.endpoint=https://x:9443": "/agents/endpoint",
        "agents.seccompProfile=/agent.json": "/agents/seccompProfile",
        "agents.seccompProfile=a/../b": "/agents/seccompProfile",
        "agents.certificateSeconds=1": "/agents/certificateSeconds",
        "gates.externalHosts[0]=http://x/": "/gates/externalHosts/0",
        "gates.externalCaConfigMap=A B": "/gates/externalCaConfigMap",
        "alertmanager.enabled=true": "alertmanager.tokenSecret: name the Secret",
        "alertmanager.enabled=true,alertmanager.tokenSecret=a,alertmanager.port=9443":
            "alertmanager.port: 9443 is taken",
        "alertmanager.port=0": "/alertmanager/port",
        "alertmanager.tokenSecret=A B": "/alertmanager/tokenSecret",
        "stagePlan.install=maybe": "/stagePlan/install",
        "userRoles.create=1": "/userRoles/create",
        "resources.requests.cpu=lots": "/resources/requests/cpu",
        "podDisruptionBudget.minAvailable=1": "'minAvailable' not allowed",
        "networkPolicy.enabled=on": "/networkPolicy/enabled",
        "monitoring.serviceMonitor=true": "/monitoring/serviceMonitor",
        "monitoring.rules=sometimes": "/monitoring/rules",
        "monitoring.runbookUrl=wiki": "/monitoring/runbookUrl",
        "monitoring.dashboard=1": "/monitoring/dashboard",
        "nodeSelector.gpu=true": "/nodeSelector/gpu",
        "tolerations.key=a": "/tolerations",
        "affinity=none": "/affinity",
        "priorityClassName=7": "/priorityClassName",
        "podAnnotations.a=1": "/podAnnotations/a",
    }

    def test_a_wrong_value_is_refused_with_its_field(self):
        for value, message in self.CASES.items():
            with self.subTest(value):
                result = template("--set", value)
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(message, result.stderr)

    def test_every_value_has_a_wrong_one_above(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        tried = {re.split(r"[.=\[]", case)[0] for case in self.CASES}
        self.assertLessEqual(set(schema["properties"]) - {"global"}, tried)

    def test_bounds_of_the_audit_log_are_compared_in_any_unit(self):
        for value in ("audit.sizeLimit=832Mi", "audit.sizeLimit=1G", "audit.sizeLimit=0.9Gi", "audit.sizeLimit=1e10",
                      "audit.sizeLimit=64Mi,audit.keepMebibytes=0", "audit.sizeLimit=64Mi,audit.files=none"):
            with self.subTest(value):
                result = template("--set", value)
                self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_schema_knows_every_value_and_no_more(self):
        schema = json.loads((CHART / "values.schema.json").read_text())

        def resolved(node):
            return schema["definitions"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node

        def compare(values, node, path):
            node = resolved(node)
            if not isinstance(values, dict) or node.get("additionalProperties") is not False:
                return
            known = set(node["properties"]) - {"global", "claims"}  # Helm's own, and a field few use
            self.assertEqual(sorted(values), sorted(known), path)
            # What is set to null is taken away: nothing here may vanish unsaid.
            free = {"resources", "nodeSelector", "tolerations", "affinity", "priorityClassName",
                    "podAnnotations", "requests", "limits"}
            self.assertEqual(sorted(node.get("required", [])), sorted(known - free), path)
            for key, value in values.items():
                compare(value, node["properties"][key], f"{path}.{key}")

        compare(defaults(), schema, "values")

    def test_every_value_is_described(self):
        for group in (CHART / "values.yaml").read_text().split("\n\n"):
            self.assertIn("#", group)


if __name__ == "__main__":
    unittest.main()
