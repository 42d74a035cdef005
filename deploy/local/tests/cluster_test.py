"""Tests of the local Kubernetes, on the real thing."""

import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import unittest
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from harness import BIN, CLUSTER, GET, PROBE_IMAGE, Cluster, eventually, id_of, run, traces

WEB = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "volumes": [
                    {
                        "name": "state",
                        "hostPath": {"path": "/run/sluice", "type": "DirectoryOrCreate"},
                    }
                ],
                "containers": [
                    {
                        "name": "web",
                        "image": PROBE_IMAGE,
                        "imagePullPolicy": "Never",
                        "args": [
                            "-c",
                            "busybox mkdir /tmp/web; echo from-$NODE > /tmp/web/index.html; "
                            "echo $NODE >> /run/sluice/seen; echo serving; "
                            "exec busybox httpd -f -p 8080 -h /tmp/web",
                        ],
                        "env": [
                            {
                                "name": "NODE",
                                "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}},
                            }
                        ],
                        "volumeMounts": [{"name": "state", "mountPath": "/run/sluice"}],
                        "readinessProbe": {
                            "httpGet": {"path": "/", "port": 8080},
                            "periodSeconds": 1,
                        },
                    }
                ],
            },
        },
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}


class ApiProfile(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.cluster = cls.enterClassContext(
            Cluster(
                *("--profile", "api", "--token-user", "alice:readers"),
                "--apiserver-flag=--feature-gates=WatchList=false",
            )
        )
        cls.api = cls.cluster.api

    def post(self, path: str, body: dict) -> dict:
        status, answer = self.api.request("POST", path, body)
        self.assertEqual(status, 201, answer)
        return answer

    def test_two_instances_live_side_by_side_and_know_nothing_of_each_other(self) -> None:
        with Cluster("--profile", "api") as other:
            self.post("/api/v1/namespaces", {"metadata": {"name": "here"}})
            self.assertEqual(self.api.request("GET", "/api/v1/namespaces/here")[0], 200)
            self.assertEqual(other.api.request("GET", "/api/v1/namespaces/here")[0], 404)
        self.assertEqual(self.api.request("GET", "/readyz")[0], 200)
        self.assertEqual(traces(other.id, other.state), [])

    def test_service_account_tokens_are_issued_and_reviewed(self) -> None:
        accounts = "/api/v1/namespaces/default/serviceaccounts"
        self.post(accounts, {"metadata": {"name": "agent"}})
        issued = self.post(
            f"{accounts}/agent/token", {"spec": {"audiences": ["sluice"], "expirationSeconds": 600}}
        )
        review = {"spec": {"token": issued["status"]["token"], "audiences": ["sluice"]}}
        status = self.post("/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
        self.assertTrue(status["authenticated"])
        self.assertEqual(status["user"]["username"], "system:serviceaccount:default:agent")
        review["spec"]["audiences"] = ["another"]
        status = self.post("/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
        self.assertFalse(status.get("authenticated", False))

    def test_the_api_server_takes_one_more_flag(self) -> None:
        status, answer = self.api.request(
            "GET",
            "/api/v1/nodes?watch=1&sendInitialEvents=true&allowWatchBookmarks=true"
            "&resourceVersionMatch=NotOlderThan&timeoutSeconds=1",
        )
        self.assertEqual(status, 422, answer)

    def test_a_token_user_may_only_what_a_role_allows(self) -> None:
        token = Path(self.cluster.env["tokens"]["alice"]).read_text()

        def as_alice(path: str) -> int:
            at = self.cluster.env["apiServer"]
            tls = ssl.create_default_context(cafile=self.cluster.env["caFile"])
            connection = HTTPSConnection(at["ip"], at["port"], context=tls, timeout=10)
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            try:
                return connection.getresponse().status
            finally:
                connection.close()

        self.assertEqual(as_alice("/api/v1/namespaces/default/secrets"), 403)
        self.cluster.kubectl("create", "clusterrole", "reader", "--verb=list", "--resource=secrets")
        self.cluster.kubectl(
            "create", "clusterrolebinding", "r", "--clusterrole=reader", "--group=readers"
        )
        eventually(
            "the role is seen", lambda: as_alice("/api/v1/namespaces/default/secrets") == 200
        )

    def test_a_validating_admission_policy_refuses_with_its_message(self) -> None:
        root = "/apis/admissionregistration.k8s.io/v1"
        self.post(
            f"{root}/validatingadmissionpolicies",
            {
                "metadata": {"name": "short"},
                "spec": {
                    "matchConstraints": {
                        "resourceRules": [
                            {
                                "apiGroups": [""],
                                "apiVersions": ["v1"],
                                "operations": ["CREATE"],
                                "resources": ["configmaps"],
                            }
                        ]
                    },
                    "validations": [
                        {
                            "expression": "size(object.metadata.name) < 5",
                            "message": "name is too long",
                        }
                    ],
                },
            },
        )
        self.post(
            f"{root}/validatingadmissionpolicybindings",
            {
                "metadata": {"name": "short"},
                "spec": {"policyName": "short", "validationActions": ["Deny"]},
            },
        )

        def refused() -> bool:
            status, answer = self.api.request(
                "POST",
                "/api/v1/namespaces/default/configmaps?dryRun=All",
                {"metadata": {"name": "lengthy"}},
            )
            return status == 422 and "name is too long" in answer["message"]

        eventually("the policy is enforced", refused)

    def test_a_killed_api_server_comes_back_at_its_address_with_its_data(self) -> None:
        self.post("/api/v1/namespaces", {"metadata": {"name": "kept"}})
        self.cluster.cmd("stop", "--signal", "KILL", "apiserver")
        self.assertEqual(self.api.request("GET", "/readyz")[0], 0)
        self.assertEqual(self.cluster.cmd("status", check=False).returncode, 1)
        self.cluster.cmd("start", "apiserver")
        self.assertEqual(self.api.request("GET", "/api/v1/namespaces/kept")[0], 200)
        self.assertIn('"verb":"create"', Path(self.cluster.env["auditLog"]).read_text())


class FullProfile(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.cluster = cls.enterClassContext(Cluster())
        cls.cluster.load_probe_image()
        cls.cluster.api.apply("/apis/apps/v1/namespaces/default/daemonsets/web", WEB)
        cls.cluster.api.apply("/api/v1/namespaces/default/services/web", SERVICE)
        eventually("a pod running and ready on each node", lambda: len(cls.pods()) == 2)

    @classmethod
    def pods(cls) -> dict[str, str]:
        """Node → name of its ready pod."""
        _, found = cls.cluster.api.request("GET", "/api/v1/namespaces/default/pods")
        return {
            p["spec"]["nodeName"]: p["metadata"]["name"]
            for p in found["items"]
            if p["status"]["phase"] == "Running"
            and any(
                c["type"] == "Ready" and c["status"] == "True" for c in p["status"]["conditions"]
            )
        }

    def get_from_pod(self, pod: str, host: str, port: int) -> str:
        return self.cluster.kubectl("exec", pod, "--", "bash", "-c", GET, "get", host, str(port))

    def get_from_node(self, node: str, host: str, port: int) -> str:
        return self.cluster.cmd(
            "node-exec", node, "bash", "-c", GET, "get", host, str(port)
        ).stdout.strip()

    def service_ip(self) -> str:
        return self.cluster.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")

    def test_both_nodes_are_ready(self) -> None:
        _, found = self.cluster.api.request("GET", "/api/v1/nodes")
        ready = {
            n["metadata"]["name"]
            for n in found["items"]
            for c in n["status"]["conditions"]
            if c["type"] == "Ready" and c["status"] == "True"
        }
        self.assertEqual(ready, {"node-0", "node-1"})

    def test_a_cluster_ip_is_reached_from_pods_nodes_and_the_host(self) -> None:
        answers, ip = {"from-node-0", "from-node-1"}, self.service_ip()
        for pod in self.pods().values():
            seen = set()
            eventually(
                f"both pods answer {pod}, itself among them",
                lambda: seen.add(self.get_from_pod(pod, ip, 80)) or seen == answers,
            )
        for node in ("node-0", "node-1"):
            self.assertIn(self.get_from_node(node, ip, 80), answers)
        self.assertIn(run("bash", "-c", GET, "get", ip, "80").stdout.strip(), answers)

    def test_a_service_is_found_by_its_name(self) -> None:
        for pod in self.pods().values():
            for name in ("web", "web.default.svc.cluster.local"):
                self.assertRegex(self.get_from_pod(pod, name, 80), "^from-node-[01]$")

    def test_pods_and_nodes_reach_a_process_on_the_host(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"from-host")

            def log_message(self, *_) -> None:
                pass

        server = HTTPServer((self.cluster.env["hostIP"], 0), Handler)
        self.addCleanup(server.server_close)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        for node, pod in self.pods().items():
            self.assertEqual(self.get_from_pod(pod, *server.server_address), "from-host")
            self.assertEqual(self.get_from_node(node, *server.server_address), "from-host")

    def test_a_command_in_a_node_gets_arguments_environment_and_exit_code_through(self) -> None:
        os.environ["SLUICE_TEST_WORD"] = "kept"
        self.addCleanup(os.environ.pop, "SLUICE_TEST_WORD")
        script = 'echo "$(hostname) $1 $SLUICE_TEST_WORD"; exit 7'
        done = self.cluster.cmd(
            "node-exec", "node-1", "--", "sh", "-c", script, "sh", "--an-option", check=False
        )
        self.assertEqual((done.returncode, done.stdout.strip()), (7, "node-1 --an-option kept"))

    def test_logs_come_through_the_api_server(self) -> None:
        for pod in self.pods().values():
            self.assertIn("serving", self.cluster.kubectl("logs", pod))

    def test_nodes_share_no_host_path_under_run(self) -> None:
        for node in ("node-0", "node-1"):
            seen = self.cluster.cmd("node-exec", node, "cat", "/run/sluice/seen").stdout.split()
            self.assertEqual(set(seen), {node})
        self.assertFalse(Path("/run/sluice/seen").exists())

    def test_a_node_that_lost_power_comes_back_and_runs_its_pod_again(self) -> None:
        before = self.pods()["node-1"]
        parts = [f"node-1/{p}" for p in ("init", "containerd", "kubelet", "kube-proxy")]
        self.cluster.cmd("stop", "--signal", "KILL", parts[0])
        eventually(
            "all of the node is gone",
            lambda: all(
                f"{part:24} stopped" in self.cluster.cmd("status", check=False).stdout
                for part in parts
            ),
        )
        self.cluster.cmd("start", *parts)

        def restarted() -> bool:
            _, pod = self.cluster.api.request("GET", f"/api/v1/namespaces/default/pods/{before}")
            return (
                pod["status"]["containerStatuses"][0]["restartCount"] > 0
                and "node-1" in self.pods()
            )

        eventually("the pod runs again", restarted, 90)
        self.assertIn(
            self.get_from_node("node-1", self.service_ip(), 80), {"from-node-0", "from-node-1"}
        )


class Leftovers(unittest.TestCase):
    def test_sweep_clears_a_cluster_whose_owner_and_daemons_were_killed_and_spares_the_living(
        self,
    ) -> None:
        owner = subprocess.Popen(["sleep", "600"])
        self.addCleanup(owner.kill)
        neighbour = self.enterContext(Cluster("--profile", "api"))
        dead = Cluster(owner=owner.pid)
        with dead:
            self.assertGreater(
                len(traces(dead.id, dead.state)), 20, "the traces are looked for wrongly"
            )
            run(CLUSTER, "sweep")
            self.assertEqual(
                dead.api.request("GET", "/readyz")[0], 200, "a living cluster was swept"
            )

            for name in (
                "etcd",
                "apiserver",
                "node-0/containerd",
                "node-0/kubelet",
                "node-1/kubelet",
            ):
                dead.cmd("stop", "--signal", "KILL", name)
            owner.kill()
            owner.wait()
            self.assertIn(dead.id, run(CLUSTER, "sweep", "--dry-run").stdout)
            run(CLUSTER, "sweep")
            self.assertEqual(traces(dead.id, dead.state), [])
            self.assertEqual({p.name for p in dead.state.iterdir()}, {"logs"})
        self.assertEqual(neighbour.api.request("GET", "/readyz")[0], 200, "the neighbour was swept")

    def test_an_up_that_was_killed_midway_is_cleared_by_the_next_one(self) -> None:
        half = Cluster()
        up = subprocess.Popen(
            [CLUSTER, "up", "--state", str(half.state)],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        run_dir = half.state / "run"
        eventually("a node exists", lambda: (run_dir / "node-0.init.pid").exists())
        up.send_signal(signal.SIGKILL)
        up.wait()
        with half:  # its `up` clears first, in the same directory
            self.assertEqual(half.api.request("GET", "/readyz")[0], 200)
        self.assertEqual(traces(half.id, half.state), [])

    def test_an_up_that_fails_says_why_and_leaves_nothing(self) -> None:
        failing = Cluster()
        self.addCleanup(shutil.rmtree, failing.state)
        programs = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for program in BIN.iterdir():
            (programs / program.name).symlink_to(program)
        (programs / "kubelet").unlink()
        (programs / "kubelet").write_text("#!/bin/sh\necho no kubelet today\nexit 3\n")
        (programs / "kubelet").chmod(0o755)
        failed = failing.cmd("up", "--bin", str(programs), check=False)
        self.assertEqual(failed.returncode, 1)
        self.assertRegex(failed.stderr, r"node-\d/kubelet (ended|did not start)")
        self.assertIn("no kubelet today", failed.stderr)
        self.assertEqual(traces(id_of(failing.state), failing.state), [])
        self.assertTrue(list((failing.state / "logs").glob("node-*.kubelet.log")))

    def test_up_refuses_a_directory_that_is_not_its_own(self) -> None:
        stranger = Cluster("--profile", "api")
        self.addCleanup(run, "rm", "-rf", str(stranger.state))
        (stranger.state / "precious").write_text("data")
        refused = stranger.cmd("up", *stranger.arguments, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("not empty", refused.stderr)
        stranger.cmd("down")
        self.assertEqual((stranger.state / "precious").read_text(), "data")


if __name__ == "__main__":
    unittest.main()
