"""A changed agent image, a release by a Rollout, and edits by hand: what the Site's reconciler does about them, as seen from
outside by a watch and by the readers that never stop."""

import json
import subprocess
import threading
import time

from .timeline import StepFailed
from .world import MANIFESTS, SITE_NAMESPACE

MAX_UNAVAILABLE = 1  # spec.updates.maxUnavailable, by default
CANARY_SOAK_S = 3    # manifests/release.yaml
INSTANT_S = 0.5
# How far apart a watch's event and a read's failure may be told of one and the same moment.
SLACK_S = 1.5


class AgentsWatch:
    """Follows the agents' pods: when, on each node, no agent was ready, and how many nodes at a time."""

    def __init__(self, kube):
        self._nodes = {n["name"] for n in kube.nodes}
        self._pods = {}
        self._lock = threading.Lock()
        self._armed = False
        self._down = {}     # node -> since when
        self.outages = []   # (node, from, to)
        self.first = {}     # (node, image) -> when an agent with that image was first ready there
        self.most_down = 0
        self._kubectl = subprocess.Popen(
            [kube.env["kubectl"], "--kubeconfig", kube.kubeconfig, "get", "pods", "-n",
             SITE_NAMESPACE, "--watch", "--output-watch-events", "-o", "json"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._thread = threading.Thread(target=self._follow, name="agents-watch", daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._kubectl.terminate()
        self._kubectl.wait(10)
        self._thread.join(10)

    def _follow(self):
        for line in self._kubectl.stdout:  # an event a line
            event = json.loads(line)
            self._take(event["type"], event["object"])

    def _take(self, kind, pod):
        with self._lock:
            uid = pod["metadata"]["uid"]
            self._pods.pop(uid, None)
            if kind != "DELETED":
                self._pods[uid] = pod
            now, serving = time.time(), [p for p in self._pods.values() if self._serves(p)]
            for p in serving:
                self.first.setdefault((self._node(p), self._image(p)), now)
            up = {self._node(p) for p in serving}
            self._armed = self._armed or up == self._nodes
            if not self._armed:
                return
            for node in self._nodes - up - self._down.keys():
                self._down[node] = self._since(node, now)
            for node in up & self._down.keys():
                self.outages.append((node, self._down.pop(node), now))
            self.most_down = max(self.most_down, len(self._down))

    def _since(self, node, now):
        """When the node's outage began. A kubelet may call a pod ready for an instant before the first
        answer to its probe: that does not end an outage."""
        last = self.outages[-1] if self.outages else None
        if last is None or last[0] != node or now - last[2] > INSTANT_S:
            return now
        return self.outages.pop()[1]

    @staticmethod
    def _node(pod):
        return pod["spec"].get("nodeName")

    @staticmethod
    def _image(pod):
        return pod["spec"]["containers"][0]["image"]

    @staticmethod
    def _serves(pod):
        ready = any(c["type"] == "Ready" and c["status"] == "True"
                    for c in pod["status"].get("conditions", []))
        return ready and "deletionTimestamp" not in pod["metadata"]

    def images(self):
        """{node: image of the agent that is ready there}."""
        with self._lock:
            return {self._node(p): self._image(p) for p in self._pods.values() if self._serves(p)}

    def check(self):
        if self.most_down > MAX_UNAVAILABLE:
            raise StepFailed(f"{self.most_down} agents were not ready at a time; at most "
                             f"{MAX_UNAVAILABLE} may be")


def roll_out(job):
    """A changed image in the Site: the same program under another name is a new one to Kubernetes and
    the controller."""
    image = job.world.another_agent_image()

    def change():
        job.kube.kubectl("patch", "site", "phoenix", "--type=merge", "-p",
                         json.dumps({"spec": {"release": {"image": image}}}))
    _, job.summary["rollout"] = _each_agent_replaced_once(job, image, change)


def release(job):
    """A Release by a Rollout: the canary node, its soak, the gate asked of what it does, then the rest."""
    kube, image = job.kube, job.world.agent_image_by_digest()
    nodes = {n["name"] for n in kube.nodes}

    def change():
        kube.apply_file(MANIFESTS / "release.yaml", IMAGE=image, USER_NAME=job.world.user())
    watch, told = _each_agent_replaced_once(job, image, change)
    canary, rest = sorted(watch.first[node, image] for node in nodes)
    if rest - canary < CANARY_SOAK_S:
        raise StepFailed(f"the second node had the release {rest - canary:.1f} s after the canary, "
                         f"which had {CANARY_SOAK_S} s to soak")

    def ended():
        status = kube.get("rollout", "demo-release").get("status", {})
        if status.get("outcome") != "Completed":
            raise RuntimeError(kube.sluice("why", "rollout/demo-release"))
        return status
    status = job.timeline.wait("the Rollout to be completed", ended, 60)
    gates = [(g["name"], g["verdict"]) for g in status.get("gates", [])]
    if gates != [("phoenix/agents", "Pass")]:
        raise StepFailed(f"the step after the canary was not gated: {gates}")
    verified = kube.get("release", "demo")["status"].get("verifiedIn", [])
    if [(v["site"], v["rollout"]) for v in verified] != [("phoenix", "demo-release")]:
        raise StepFailed(f"the Release does not say where it runs: {verified}")
    job.summary["release"] = {**told, "canarySeconds": round(rest - canary, 1)}


def _each_agent_replaced_once(job, image, change):
    """What the watch saw while `change` brought the image to every node, and what the summary says."""
    kube = job.kube
    nodes = {n["name"] for n in kube.nodes}
    with AgentsWatch(kube) as watch:
        job.timeline.wait("the watch to show every agent", lambda: watch.images().keys() == nodes, 20)
        began = time.time()
        change()

        def rolled():
            watch.check()
            return watch.images() == dict.fromkeys(nodes, image)
        job.timeline.wait("every node to run the new image", rolled, 120)
        watch.check()
        outages = watch.outages
    seconds = time.time() - began
    if sorted(node for node, _, _ in outages) != sorted(nodes):
        raise StepFailed(f"each agent is replaced once; what was seen: {outages}")

    def told():
        status = kube.get("site", "phoenix")["status"]
        ready = {c["type"]: c["status"] for c in status["conditions"]}["AgentsReady"]
        return ready == "True" and status["agents"].get("updated") == len(nodes)
    job.timeline.wait("the site to say that the new image runs", told, 30)
    return watch, {
        "image": image, "seconds": round(seconds, 1), "mostNotReadyAtATime": watch.most_down,
        "nodes": [{"node": n, "secondsNotReady": round(to - since, 1)} for n, since, to in outages],
        "readsMeanwhile": _reads_went_on(job, outages, began)}


def _reads_went_on(job, outages, began):
    """While one node's agent is replaced every read on the other node succeeds; how many they were."""
    meanwhile = 0
    for node in (n["name"] for n in job.kube.nodes):
        reads = [r for r in job.background.reads(node) if r["at"] >= began]
        own = [(since - SLACK_S, to + SLACK_S) for n, since, to in outages if n == node]
        for read in reads:
            if "error" in read and not any(since <= read["at"] <= to for since, to in own):
                raise StepFailed(f"a read on {node} failed although its agent was there: {read}")
        for other, since, to in outages:
            served = sum("error" not in r and since <= r["at"] <= to for r in reads)
            if other != node and not served:
                raise StepFailed(f"nothing was read on {node} while {other} had no agent")
            meanwhile += served if other != node else 0
    return meanwhile


def repair(job):
    """Somebody deletes a Service of the site and edits its DaemonSet."""
    kube, t = job.kube, job.timeline
    began = time.monotonic()
    before = kube.get("service", "s3", SITE_NAMESPACE)
    kube.kubectl("-n", SITE_NAMESPACE, "delete", "service", "s3", "--wait=false")

    def again():
        now = kube.get("service", "s3", SITE_NAMESPACE)
        return now["metadata"]["uid"] != before["metadata"]["uid"] and \
            now["spec"]["selector"] == before["spec"]["selector"] and \
            now["spec"]["ports"][0]["port"] == before["spec"]["ports"][0]["port"]
    t.wait("the deleted Service to be there again", again, 30)
    service_s = time.monotonic() - began

    began = time.monotonic()
    kube.kubectl("-n", SITE_NAMESPACE, "patch", "daemonset", "sluice-agent", "--type=merge", "-p",
                 json.dumps({"spec": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 2}}}}))
    edited = kube.get("daemonset", "sluice-agent", SITE_NAMESPACE)["metadata"]["generation"]

    def as_before():
        now = kube.get("daemonset", "sluice-agent", SITE_NAMESPACE)
        return now["metadata"]["generation"] >= edited and \
            now["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == MAX_UNAVAILABLE
    t.wait("the edited DaemonSet to be as it was", as_before, 30)
    job.summary["repaired"] = [
        {"object": "Service/s3", "edit": "deleted", "seconds": round(service_s, 1)},
        {"object": "DaemonSet/sluice-agent", "edit": "maxUnavailable: 2",
         "seconds": round(time.monotonic() - began, 1)}]
