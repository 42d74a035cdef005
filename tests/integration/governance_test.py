#!/usr/bin/env python3
"""A site's whole way Crawl -> Walk -> Run through people: the controller itself on a real API server with
the shipped rights and policies, each gate held and healed in turn, and what `kubectl sluice` says about
it. The controller is killed in the middle. SLUICE_TRANSCRIPT=FILE keeps what was printed."""
import datetime
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import apiserver
from apiserver import GROUP, ROOT, wait_until
from people_test import in_days, make
from policies_test import MERGE

BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD_DIR", ROOT / "build/release"))
NAMESPACE = "sluice-system"
BOB, EVE = "bob@example.com", "eve@example.com"
PATIENCE = 90


class Outside:
    """Another system that answers external gates."""

    def __init__(self):
        outer = self
        self.answer = {"verdict": "hold", "reason": "the CMDB has no entry for phoenix"}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(outer.answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def decide(*users, quorum=1):
    return {"roles": [{"role": "Decide", "users": list(users), "quorum": quorum}]}


def plan(outside, admin):
    quiet = {"name": "quiet", "incident": {"atOrAbove": "Severity2"}}
    return make("StagePlan", "people", {"stages": [
        {"name": "Crawl", "tenancy": "SingleTenant", "maxTenants": 1, "entryGates": [
            {"name": "ready", "readiness": {"items": ["test-plan"]}}]},
        {"name": "Walk", "tenancy": "CustomerTenant", "entryGates": [
            {"name": "soak", "soak": {"seconds": 1}}, quiet,
            {"name": "go", "approval": decide(BOB, admin)}]},
        {"name": "Run", "tenancy": "ProviderTenant", "entryGates": [
            {"name": "drill", "drill": {"item": "dr-drill", "maxAgeSeconds": 7776000}}, quiet,
            {"name": "cmdb", "external": {"url": f"http://{outside}/gate?site=$site&stage=$stage"}},
            {"name": "go", "approval": decide(BOB, EVE, quorum=2)}]}],
        "waiverRoles": [{"role": "Decide", "users": [BOB], "quorum": 1}]})


class Governance(unittest.TestCase):
    def setUp(self):
        self.server = self.enterContext(apiserver.running())
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="sluice-gov-")))
        self.outside = Outside()
        self.addCleanup(self.outside.stop)
        self.transcript = []
        self.process = None
        self.addCleanup(self.stop)
        review = self.post("/apis/authentication.k8s.io/v1/selfsubjectreviews",
                           {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
        self.admin = review["status"]["userInfo"]["username"]
        self.install()

    def post(self, path, body, user=None):
        answer = self.server.call("POST", path, body, user=user)
        self.assertLess(answer.code, 300, answer.message)
        return answer.body

    def create(self, body, user=None):
        return self.post(GROUP + body["kind"].lower() + "s", body, user)

    def patch(self, path, body, user=None):
        answer = self.server.call("PATCH", GROUP + path, body, MERGE, user=user)
        self.assertEqual(answer.code, 200, answer.message)

    def install(self):
        """Rights, policies, and a token of the service account the policies know."""
        for kind, path in (("Namespace", "namespaces"), ("ServiceAccount",
                           f"namespaces/{NAMESPACE}/serviceaccounts")):
            name = NAMESPACE if kind == "Namespace" else "sluice-controller"
            self.post("/api/v1/" + path, {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}})
        self.server.apply_files(ROOT / "deploy/manifests/rbac", ROOT / "deploy/manifests/policies")
        subject = {"kind": "ServiceAccount", "name": "sluice-controller", "namespace": NAMESPACE}
        rbac = "rbac.authorization.k8s.io"
        for kind, role, path in (("ClusterRoleBinding", "ClusterRole", "clusterrolebindings"),
                                 ("RoleBinding", "Role", f"namespaces/{NAMESPACE}/rolebindings")):
            self.post(f"/apis/{rbac}/v1/{path}", {
                "apiVersion": rbac + "/v1", "kind": kind, "metadata": {"name": "sluice-controller"},
                "roleRef": {"apiGroup": rbac, "kind": role, "name": "sluice-controller"},
                "subjects": [subject]})
        token = self.post(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/sluice-controller/token",
                          {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                           "spec": {"expirationSeconds": 3600}})["status"]["token"]
        text = subprocess.run(
            [apiserver.KUBECTL, "--kubeconfig", self.server.kubeconfig, "config", "view", "--raw",
             "--flatten", "--minify", "-o", "json"], check=True, capture_output=True, timeout=60).stdout
        config = json.loads(text)
        config["users"][0]["user"] = {"token": token}
        self.kubeconfig = self.folder / "controller.kubeconfig"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(json.dumps(config))

    def start(self):
        with open(self.folder / "controller.log", "ab") as log:
            self.process = subprocess.Popen(
                [BUILD / "bin/sluice-controller", f"--kubeconfig={self.kubeconfig}",
                 f"--namespace={NAMESPACE}", "--leader-elect=false", "--metrics-address=127.0.0.1:0",
                 "--health-address=", "--control-address=127.0.0.1:0",
                 "--enrolment-address=127.0.0.1:0", "--agent-image=agent:1",
                 f"--external-gate-host={self.outside.host}"], stdout=log, stderr=log)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait(30)
        log = self.folder / "controller.log"
        if self._outcome_failed() and log.exists():
            print(log.read_text()[-6000:], file=sys.stderr)

    def _outcome_failed(self):
        return any(error for _, error in getattr(self._outcome, "errors", [])) or bool(
            getattr(getattr(self._outcome, "result", None), "failures", []))

    def sluice(self, *arguments, show=True):
        result = subprocess.run([BUILD / "bin/kubectl-sluice", *arguments], capture_output=True, text=True,
                                timeout=60, env={**os.environ, "KUBECONFIG": str(self.server.kubeconfig)})
        self.assertEqual(result.returncode, 0, result.stderr)
        if show:
            self.transcript.append(f"$ kubectl sluice {' '.join(arguments)}\n{result.stdout}")
        return result.stdout

    def site(self):
        return self.server.call("GET", GROUP + "sites/phoenix").body.get("status", {})

    def gates_held(self):
        """Gates alone: what holds the Site for other reasons is named after conditions."""
        return [b["gate"] for b in self.site().get("blockedBy", []) if b["gate"].islower()]

    def held(self, gate, cause, *parts):
        """Waits until the site is held so, and until `why` says it with these words."""
        def is_held():
            return any(b["gate"] == gate and b["cause"] == cause for b in self.site().get("blockedBy", []))
        wait_until(is_held, f"{gate} to hold with {cause}; it is {self.site().get('blockedBy')}", PATIENCE)
        wait_until(lambda: all(part in self.sluice("why", "site/phoenix", show=False) for part in parts),
                   f"why to say {parts}", PATIENCE)
        text = self.sluice("why", "site/phoenix")
        self.assertRegex(text, rf"(?m)^  (HOLD|FAIL)  {gate} +{cause} ")

    def reached(self, stage):
        wait_until(lambda: self.site().get("stage") == stage, f"{stage}; status {self.site()}", PATIENCE)

    def verify(self, stage, item, ago_days=1):
        at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=ago_days)
        self.server.call("DELETE", f"{GROUP}readinessreviews/phoenix-{stage.lower()}")
        self.create(make("ReadinessReview", f"phoenix-{stage.lower()}", {
            "siteRef": {"name": "phoenix"}, "stage": stage, "items": [
                {"name": item, "owner": EVE, "evidence": f"https://wiki.example.com/{item}",
                 "verifiedBy": BOB, "verifiedAt": at.strftime("%Y-%m-%dT%H:%M:%SZ")}]}), BOB)

    def propose(self):
        return self.create(json.loads(self.sluice("propose", "site/phoenix", show=False)))["metadata"]["name"]

    def vote(self, decision, user, *flags):
        """The manifest the plugin prints, cast by `user`."""
        manifest = json.loads(self.sluice("vote", f"decision/{decision}", *flags, show=False))
        self.assertEqual(manifest["spec"]["approver"]["user"], self.admin)
        manifest["spec"]["approver"]["user"] = user
        return self.create(manifest, None if user == self.admin else user)["metadata"]["name"]

    def counted(self, approval):
        status = self.server.call("GET", f"{GROUP}approvals/{approval}").body.get("status", {})
        return {c["type"]: c for c in status.get("conditions", [])}.get("Counted", {})

    def test_a_site_climbs_from_crawl_to_run_only_as_people_allow(self):
        self.start()
        self.create(plan(self.outside.host, self.admin))
        self.create_class()
        self.create(make("Site", "phoenix", {
            "classRef": {"name": "small"}, "nodeSelector": {"sluice.dev/site": "phoenix"},
            "stage": "Run", "requestedBy": self.admin}))
        self.crawl()
        self.walk()
        self.run_stage()
        if path := os.environ.get("SLUICE_TRANSCRIPT"):
            pathlib.Path(path).write_text("\n".join(self.transcript))

    def create_class(self):
        answer = self.server.call("POST", GROUP + "siteclasses", make("SiteClass", "small", {
            "hardware": {"gpusPerNode": 8, "dram": "1Gi", "disks": [{"kind": "NVMe", "count": 1,
                                                                      "size": "1Gi"}]},
            "facility": {"cooling": "Air", "rackKilowatts": 10},
            "agent": {"memory": "192Mi", "disk": "1Gi", "protocols": ["S3"]},
            "stagePlanRef": {"name": "people"}}))
        self.assertEqual(answer.code, 201, answer.message)

    def crawl(self):
        self.held("ready", "ReadinessMissing", "there is no review phoenix-crawl",
                  "whoever writes ReadinessReview phoenix-crawl")
        self.verify("Crawl", "test-plan", ago_days=91)
        self.held("ready", "ReadinessMissing", "test-plan (stale since", "owners: " + EVE)
        self.verify("Crawl", "test-plan")
        self.reached("Crawl")

    def walk(self):
        self.held("go", "AwaitingApproval", "no decision yet", "approvers: Decide: 0 of 1")
        self.create(make("Incident", "inc-7", {"sites": ["phoenix"], "severity": "Severity1",
                                               "summary": "Reads fail.", "owner": EVE}))
        self.held("quiet", "IncidentOpen", "inc-7 (severity 1", f"{EVE}: close inc-7")
        decision = self.propose()
        own = self.vote(decision, self.admin)
        wait_until(lambda: self.counted(own).get("status") == "False", "the asker's vote to be refused",
                   PATIENCE)
        self.assertEqual(self.counted(own)["message"], "whoever asks cannot answer")
        self.sluice("agenda")
        calendar = self.folder / "calendar.yaml"
        calendar.write_text(self.sluice("agenda", "--print-calendar", show=False)
                            .replace("weekly triage", "our triage"))
        self.assertRegex(self.sluice("agenda", "--calendar", str(calendar), show=False),
                         re.compile(r"^our triage, .*\n  incident/inc-7  Severity1, Open", re.MULTILINE))
        self.vote(decision, BOB, "--disagree")
        self.held("go", "Refused", f"refused by {BOB} (Decide)")
        self.stop()  # what was refused stays refused whoever looks next
        self.start()
        self.patch("incidents/inc-7", {"spec": {"state": "Closed",
                                                "postmortem": "https://wiki.example.com/pm-7"}})
        wait_until(lambda: self.gates_held() == ["go"],
                   "the closed incident to hold no more", PATIENCE)
        self.held("go", "Refused")
        self.create(make("FreezeWindow", "golden-run", {
            "reason": "Golden run of March.", "once": {"from": in_days(-1), "to": in_days(2)}}))
        self.held("freeze", "Frozen", "golden-run: Golden run of March.; reopens at",
                  "unblocks by itself")
        # Of two votes in the same second the disagreement counts.
        cast = int(time.time())
        wait_until(lambda: int(time.time()) > cast, "the next second")
        self.vote(decision, BOB)
        wait_until(lambda: self.gates_held() == ["freeze"],
                   "the later vote to count", PATIENCE)
        self.assertEqual(self.site()["stage"], "Crawl")
        self.server.call("DELETE", GROUP + "freezewindows/golden-run")
        self.reached("Walk")
        outcome = self.server.call("GET", f"{GROUP}decisions/{decision}").body["status"]["outcome"]
        self.assertEqual(outcome, "Approved")

    def run_stage(self):
        self.held("cmdb", "GateFailed", "the CMDB has no entry for phoenix", "whoever runs http://")
        self.outside.answer = {"verdict": "maybe"}
        self.held("cmdb", "GateFailed", "also ProviderError")
        self.outside.answer = {"verdict": "pass", "reason": "entered"}
        self.held("drill", "ReadinessMissing", "there is no review phoenix-run")
        self.verify("Run", "dr-drill")
        decision = self.propose()
        self.vote(decision, BOB)
        self.held("go", "AwaitingApproval", f"lacks Decide: 1 of 2 ({BOB}, {EVE})")
        self.vote(decision, EVE)
        self.reached("Run")
        text = self.sluice("why", "site/phoenix")
        self.assertRegex(text, re.compile("Run is reached"))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
