"""Everything the main job stands on: cluster, images, chart, origin with its data, Prometheus."""

import hashlib
import json
import pathlib
import re
import socket

from . import dataset
from .kube import Kube
from .monitoring import Prometheus
from .origin import ACCESS_KEY, SECRET_KEY, Origin
from .shell import ROOT, run
from .timeline import StepFailed

NAMESPACE = "sluice-system"
SITE_NAMESPACE = "sluice-site-phoenix"
AGENT_IMAGE = "docker.io/sluice/sluice-agent"
TENANT_KEYS = ("FALCONACCESSKEY00001", "falcon-secret-of-a-run-0123456789abcdef")
SECCOMP = "profiles/sluice-agent.json"  # below the kubelet's folder of them
SHARDS = 32
COLD_SHARDS = 4  # uploaded but not read before the origin fails
MANIFESTS = pathlib.Path(__file__).resolve().parents[1] / "manifests"


def free_port(address):
    with socket.socket() as s:
        s.bind((address, 0))
        return s.getsockname()[1]


class World:
    def __init__(self, state, timeline):
        self.state = pathlib.Path(state)
        self.state.mkdir(parents=True, exist_ok=True)
        self.timeline = timeline
        self.kube = Kube(self.state / "cluster")
        self.origin = None
        self.prometheus = None
        self.manifest = None
        self.warm_manifest = self.state / "warm.json"
        self.cold_manifest = self.state / "cold.json"

    # Images are tagged by what is in them, so that a rebuilt binary is a new image.
    def build_images(self):
        digest = hashlib.sha256()
        for name in ("sluice-controller", "sluice-agent"):
            digest.update((ROOT / "build/release/bin" / name).read_bytes())
        self.tag = "demo-" + digest.hexdigest()[:12]
        marker = ROOT / "build/images" / f"{self.tag}.done"
        if not marker.exists():
            run(ROOT / "deploy/images/build", "--tag", self.tag, timeout=300)
            marker.touch()

    def load_images(self):
        for name in ("sluice-controller", "sluice-agent"):
            self.kube.load_image(ROOT / "build/images" / f"{name}.tar")

    def another_agent_image(self):
        """The agent's image under a second tag, on every node; returns its name."""
        return self._name_agent_image(f"{AGENT_IMAGE}:{self.tag}-next")

    def agent_image_by_digest(self):
        """The agent's image by its digest, as a registry would serve it; returns that name."""
        listed = self.kube.node_exec(self.kube.nodes[0]["name"], "ctr", "-n", "k8s.io", "images", "ls",
                                     f"name=={AGENT_IMAGE}:{self.tag}")
        digest = re.search(r"sha256:[0-9a-f]{64}", listed)
        if digest is None:
            raise StepFailed(f"containerd does not tell the image's digest:\n{listed}")
        return self._name_agent_image(f"{AGENT_IMAGE}@{digest[0]}")

    def _name_agent_image(self, name):
        for node in self.kube.nodes:
            self.kube.node_exec(node["name"], "ctr", "-n", "k8s.io", "images", "tag", "--force",
                                f"{AGENT_IMAGE}:{self.tag}", name)
        return name

    def install_chart(self):
        self.kube.helm(
            "upgrade", "--install", "sluice", ROOT / "charts/sluice", "--namespace", NAMESPACE,
            "--create-namespace", "--set", f"image.controller.tag={self.tag}",
            "--set", f"image.agent.tag={self.tag}", "--set", f"agents.seccompProfile={SECCOMP}",
            "--wait", "--timeout", "150s")

    def prepare_nodes(self):
        """The agents' seccomp profile where the kubelet looks for it; and what a GPU node's device
        plugin and feature discovery would say: these two are simulated and carry a label that says so."""
        profile = (ROOT / "deploy/seccomp/sluice-agent.json").read_text()
        for node in self.kube.nodes:
            self.kube.node_exec(node["name"], "sh", "-c",
                                'mkdir -p "$(dirname "$0")" && printf %s "$1" > "$0"',
                                f"/var/lib/kubelet/seccomp/{SECCOMP}", profile)
            self.kube.kubectl("label", "node", node["name"], "--overwrite",
                              "sluice.dev/site=phoenix", "sluice.dev/simulated=true",
                              "hardware.sluice.dev/nvme-count=1",
                              "hardware.sluice.dev/nvme-size=1Gi")
            self.kube.kubectl(
                "patch", "node", node["name"], "--subresource=status", "--type=json", "-p",
                json.dumps([{"op": "add", "path": "/status/capacity/nvidia.com~1gpu", "value": "8"}]))

    def make_dataset(self):
        self.manifest = dataset.make(ROOT / "build/demo-data/shards", SHARDS + COLD_SHARDS)
        names = sorted(self.manifest)
        self.warm_manifest.write_text(json.dumps({n: self.manifest[n] for n in names[:SHARDS]}))
        self.cold_manifest.write_text(json.dumps({n: self.manifest[n] for n in names[SHARDS:]}))

    def start_origin(self):
        address = self.kube.host_ip
        self.origin = Origin(self.state, address, free_port(address))
        self.origin.process.start()
        self.timeline.wait("the origin", self.origin.ready, 20)
        self.origin.upload("training", "curated/", ROOT / "build/demo-data/shards",
                           sorted(self.manifest))

    def start_prometheus(self):
        address = self.kube.host_ip
        self.prometheus = Prometheus(self.state, address, free_port(address),
                                     self.kube.env["dns"]["ip"], NAMESPACE)
        self.prometheus.process.start()
        self.timeline.wait("Prometheus", self.prometheus.ready, 30)

    def user(self):
        return json.loads(self.kube.kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"]

    def apply_objects(self):
        self.kube.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: falcon}\n")
        self._secret(NAMESPACE, "lake-agent", {"AWS_ACCESS_KEY_ID": ACCESS_KEY,
                                               "AWS_SECRET_ACCESS_KEY": SECRET_KEY})
        self._secret("falcon", "falcon-keys", {"AWS_ACCESS_KEY_ID": TENANT_KEYS[0],
                                               "AWS_SECRET_ACCESS_KEY": TENANT_KEYS[1]},
                     {"sluice.dev/tenant": "falcon"})
        self.kube.apply_file(MANIFESTS / "site.yaml", ORIGIN_URL=self.origin.endpoint,
                             PROMETHEUS_URL=self.prometheus.url, USER_NAME=self.user(),
                             NAMESPACE=NAMESPACE)

    def _secret(self, namespace, name, data, labels=None):
        # By standard input: a secret never stands on a command line.
        self.kube.apply(json.dumps({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
            "stringData": data}))

    def load_rules(self):
        """The rules that the controller wrote for Prometheus, as a sidecar would hand them over."""
        files = {}
        for item in self.kube.get("configmaps", namespace=NAMESPACE):
            if item["metadata"].get("labels", {}).get("sluice.dev/rules") == "true":
                for key, text in item.get("data", {}).items():
                    files[f"{item['metadata']['name']}-{key}".removesuffix(".yaml") + ".yaml"] = text
        if files:
            self.prometheus.load_rules(files)
        return len(files)

    def pause_image(self):
        return self.kube.env["pauseImage"]

    def promotion(self, stage):
        """The latest promotion of the site to a stage, or None."""
        found = [p for p in self.kube.get("promotions")
                 if p["spec"]["siteRef"]["name"] == "phoenix" and p["spec"]["to"] == stage]
        found.sort(key=lambda p: p["metadata"]["creationTimestamp"])
        return found[-1] if found else None

    def close(self):
        for server in (self.prometheus, self.origin):
            if server is not None:
                server.process.stop()
        self.kube.down()


