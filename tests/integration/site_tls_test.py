#!/usr/bin/env python3
"""A Site that asks for TLS, on a real API server with the shipped rights: the controller and one agent
that enrols with a token of the API server. The kubelet is played: this test puts what the Secret holds
where the pod has it mounted. Missing, there, exchanged for a broken one, and taken away again."""
import base64
import http.client
import json
import os
import pathlib
import re
import ssl
import subprocess
import sys
import unittest

import governance_test
from apiserver import GROUP, wait_until
from governance_test import BUILD, NAMESPACE, PATIENCE, plan
from people_test import make
from policies_test import MERGE
from ports import free_port

SPACE = "sluice-site-phoenix"
# The agent's own /etc (with the Secret's place) and /run, as in its pod; $1 is that /etc.
IN_POD = ("mount --bind \"$1\" /etc && mount -t tmpfs none /run && mkdir -p /run/sluice && shift && "
          "exec \"$@\"")


def certificate(folder, name):
    """One that is its own authority, and its key, as text."""
    files = [folder / f"{name}.crt", folder / f"{name}.key"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost", "-out", files[0], "-keyout", files[1]],
                   check=True, capture_output=True, timeout=60)
    return [file.read_text() for file in files]


@unittest.skipUnless(os.geteuid() == 0, "mounts need root")
class SiteTls(governance_test.Governance):
    test_a_site_climbs_from_crawl_to_run_only_as_people_allow = None

    def start(self):
        with open(self.folder / "controller.log", "ab") as log:
            self.process = subprocess.Popen(
                [BUILD / "bin/sluice-controller", f"--kubeconfig={self.kubeconfig}",
                 f"--namespace={NAMESPACE}", "--leader-elect=false", "--metrics-address=127.0.0.1:0",
                 "--health-address=", "--control-address=127.0.0.1:0",
                 "--enrolment-address=127.0.0.1:0", "--agent-image=agent:1"], stdout=log, stderr=log)

        def ports():
            return re.search(r"agents served .*control_port=(\d+) .*enrolment_port=(\d+)",
                             (self.folder / "controller.log").read_text())
        wait_until(ports, "the controller to serve agents", PATIENCE)
        self.control, self.enrolment = (f"127.0.0.1:{port}" for port in ports().groups())

    def get(self, path):
        answer = self.server.call("GET", path)
        return answer.body if answer.ok else None

    def make_site(self):
        self.post("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {
            "name": "n0", "labels": {"sluice.dev/site": "phoenix"}}})
        answer = self.server.call("POST", GROUP + "siteclasses", make("SiteClass", "small", {
            "hardware": {}, "stagePlanRef": {"name": "people"},
            "agent": {"memory": "64Mi", "s3Port": self.plain, "metricsPort": self.metrics}}))
        self.assertEqual(answer.code, 201, answer.message)
        self.create(make("Site", "phoenix", {
            "classRef": {"name": "small"}, "nodeSelector": {"sluice.dev/site": "phoenix"},
            "s3": {"tls": {"secretRef": {"name": "s3-tls"}, "port": self.tls}},
            "stage": "Run", "requestedBy": self.admin}))

    def play_pod(self):
        """What the DaemonSet controller, the kubelet and the agent's image are for."""
        daemon_set = f"/apis/apps/v1/namespaces/{SPACE}/daemonsets/sluice-agent"
        wait_until(lambda: self.get(daemon_set), "the DaemonSet", PATIENCE)
        spec = self.get(daemon_set)["spec"]["template"]["spec"]
        volume = next(v["secret"] for v in spec["volumes"] if v["name"] == "s3-tls")
        self.assertEqual((volume["secretName"], volume["optional"]), ("s3-tls", True))
        mount = next(m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "s3-tls")
        pod = self.post(f"/api/v1/namespaces/{SPACE}/pods", {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "agent-n0"},
            "spec": {"nodeName": "n0", "serviceAccountName": "sluice-agent",
                     "automountServiceAccountToken": False,
                     "containers": [{"name": "agent", "image": "agent:1"}]}})
        token = self.post(f"/api/v1/namespaces/{SPACE}/serviceaccounts/sluice-agent/token", {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {
                "audiences": ["sluice"], "expirationSeconds": 3600, "boundObjectRef": {
                    "kind": "Pod", "apiVersion": "v1", "name": "agent-n0",
                    "uid": pod["metadata"]["uid"]}}})["status"]["token"]
        status = {"desiredNumberScheduled": 1, "currentNumberScheduled": 1, "numberMisscheduled": 0,
                  "numberReady": 1, "updatedNumberScheduled": 1, "observedGeneration": 99}
        answer = self.server.call("PATCH", daemon_set + "/status", {"status": status}, MERGE)
        self.assertEqual(answer.code, 200, answer.message)

        etc = self.folder / "etc"
        self.mounted = etc / mount["mountPath"].removeprefix("/etc/")
        self.mounted.mkdir(parents=True)
        for name in ("hosts", "nsswitch.conf", "ld.so.cache"):
            if pathlib.Path("/etc", name).exists():
                (etc / name).write_bytes(pathlib.Path("/etc", name).read_bytes())
        (self.folder / "token").write_text(token)
        (self.folder / "ca.crt").write_text(
            self.get(f"/api/v1/namespaces/{SPACE}/configmaps/sluice-ca")["data"]["ca.crt"])
        with open(self.folder / "agent.log", "ab") as log:
            agent = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", IN_POD, "sh", etc,
                 BUILD / "bin/sluice-agent", "--site", "phoenix", "--node", "n0", "--control",
                 self.control, "--enrolment", self.enrolment, "--ca-file", self.folder / "ca.crt",
                 "--token-file", self.folder / "token", "--state-dir", self.folder / "state",
                 "--run-dir", "/run/sluice", "--metrics", f"127.0.0.1:{self.metrics}"],
                stdout=log, stderr=log)
        self.addCleanup(self.end, agent)

    def end(self, agent):
        agent.kill()
        agent.wait(30)
        if self._outcome_failed():
            print((self.folder / "agent.log").read_text()[-6000:], file=sys.stderr)

    def kubelet_brings(self, pair):
        for name, text in zip(("tls.crt", "tls.key"), pair or (None, None)):
            if text is None:
                (self.mounted / name).unlink(missing_ok=True)
            else:
                (self.mounted / "next").write_text(text)
                (self.mounted / "next").rename(self.mounted / name)

    def keep_secret(self, pair):
        self.post(f"/api/v1/namespaces/{SPACE}/secrets", {
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": "s3-tls"},
            "data": {name: base64.b64encode(text.encode()).decode()
                     for name, text in zip(("tls.crt", "tls.key"), pair)}})

    def condition(self, kind="TlsServed"):
        status = self.site()
        return next((c for c in status.get("conditions", []) if c["type"] == kind), {})

    def says(self, reason, *words, kind="TlsServed"):
        def holds():
            now = self.condition(kind)
            return now.get("reason") == reason and all(word in now["message"] for word in words)
        try:
            wait_until(holds, f"{kind} to say {reason} {words}", PATIENCE)
        except TimeoutError as error:
            raise AssertionError(f"{error}; status {json.dumps(self.site())}") from None

    def asked(self, port, trusted=None):
        """The status of an unsigned request; None when there is no connection."""
        if trusted is None:
            connection = http.client.HTTPConnection("localhost", port, timeout=30)
        else:
            connection = http.client.HTTPSConnection(
                "localhost", port, timeout=30, context=ssl.create_default_context(cadata=trusted))
        try:
            connection.request("GET", "/")
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def test_a_site_serves_tls_as_soon_as_its_secret_is_there(self):
        self.plain, self.metrics, self.tls = free_port(), free_port(), free_port()
        self.start()
        self.create(plan("127.0.0.1:1", self.admin))
        self.make_site()
        self.play_pod()
        first, second = (certificate(self.folder, name) for name in ("first", "second"))

        self.says("SecretMissing", f"Secret {SPACE}/s3-tls", "node n0", "tls.crt")
        wait_until(lambda: self.asked(self.plain) == 403, "the plain port to serve", PATIENCE)
        self.assertIsNone(self.asked(self.tls, first[0]))
        self.assertIn("TlsServed", [b["gate"] for b in self.site()["blockedBy"]])

        self.keep_secret(first)
        self.kubelet_brings(first)
        self.says("Served", f"port {self.tls}")
        self.assertEqual(self.condition()["status"], "True")
        self.says("Healthy", kind="AgentsHealthy")
        self.assertEqual(self.asked(self.tls, first[0]), 403)  # without a signature
        self.assertIsNone(self.asked(self.tls, second[0]))
        ports = self.get(f"/api/v1/namespaces/{SPACE}/services/s3")["spec"]["ports"]
        self.assertEqual({p["name"]: p["port"] for p in ports},
                         {"s3": self.plain, "s3-tls": self.tls})

        self.kubelet_brings((first[0], second[1]))
        self.says("CertificateUnusable", "tls.key", "does not belong")
        self.says("Degraded", "1 of 1 agents", "node n0", "tls.key", kind="AgentsHealthy")
        self.assertEqual(self.asked(self.tls, first[0]), 403)  # the former is shown

        self.kubelet_brings(second)
        self.says("Served")
        self.says("Healthy", kind="AgentsHealthy")
        wait_until(lambda: self.asked(self.tls, second[0]) == 403, "the renewed one", PATIENCE)

        self.kubelet_brings((second[0], None))
        self.says("SecretMissing", "tls.key")

        secrets = [line for key in (first[1], second[1]) for line in key.splitlines()[1:-1]]
        told = (self.folder / "controller.log").read_text() + (self.folder / "agent.log").read_text()
        self.assertFalse([line for line in secrets if line[:24] in told])
        self.patch("sites/phoenix", {"spec": {"s3": None}})
        wait_until(lambda: not self.condition(), "the condition to go", PATIENCE)


if __name__ == "__main__":
    for program in ("sluice-controller", "sluice-agent"):
        if not (BUILD / "bin" / program).exists():
            sys.exit(f"needs {BUILD}/bin/{program}")
    unittest.main(verbosity=2)
