"""The part of a cluster that a test of rollouts needs and an API server alone has not: the DaemonSet
controller and the kubelets, played in one thread through the API. It keeps what the real ones keep: one
ControllerRevision a template, pods that carry its hash, OnDelete and RollingUpdate, status after the
pods."""
import hashlib
import json
import threading

import apiserver

MERGE = "application/merge-patch+json"


class Pods:
    """The DaemonSet controller and the kubelets of every site, a round at a time. `call` is an
    ApiServer's; every DaemonSet wants one pod on each of `nodes`. A pod whose (namespace, image) is in
    `unready` does not become ready."""

    def __init__(self, call, nodes):
        self._call = call
        self.nodes = nodes
        self.unready = set()
        self.most_down = 0  # nodes of one site without a ready pod, after the first round
        self.made = []  # (namespace, node, image) of every pod, in order
        self._settled = set()
        self._wrote = False

    def call(self, method, *arguments):
        self._wrote = self._wrote or method != "GET"
        return self._call(method, *arguments)

    def list(self, path):
        answer = self.call("GET", path)
        return answer.body["items"] if answer.ok else []

    def round(self, daemon_set):
        """Plays one round; True when something was written."""
        self._wrote = False
        self.tend(daemon_set)
        return self._wrote

    def tend(self, daemon_set):
        space = daemon_set["metadata"]["namespace"]
        revision = self.revision(daemon_set, space)
        base = f"/api/v1/namespaces/{space}/pods"
        pods = {}
        for pod in self.list(base):
            if pod["metadata"].get("deletionTimestamp"):
                self.call("DELETE", f"{base}/{pod['metadata']['name']}", {
                    "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0})
            else:
                pods[pod["spec"]["nodeName"]] = pod
        down = sum(not self.is_ready(pods.get(node)) for node in self.nodes)
        if space in self._settled:
            self.most_down = max(self.most_down, down)
        elif down == 0:
            self._settled.add(space)
        for node in self.nodes:
            if node not in pods:
                pods[node] = self.make(daemon_set, base, node, revision)
        updated = ready = 0
        for pod in pods.values():
            if pod is None:
                continue
            fits = (space, pod["spec"]["containers"][0]["image"]) not in self.unready
            if self.is_ready(pod) != fits:
                self.call("PATCH", f"{base}/{pod['metadata']['name']}/status", {"status": {
                    "conditions": [{"type": "Ready", "status": "True" if fits else "False"}]}}, MERGE)
            ready += fits
            updated += pod["metadata"]["labels"]["controller-revision-hash"] == revision
        if daemon_set["spec"]["updateStrategy"]["type"] == "RollingUpdate":
            stale = [p for p in pods.values() if p and
                     p["metadata"]["labels"]["controller-revision-hash"] != revision]
            for pod in stale[:1]:
                self.call("DELETE", f"{base}/{pod['metadata']['name']}")
        status = {"observedGeneration": daemon_set["metadata"]["generation"],
                  "desiredNumberScheduled": len(self.nodes), "currentNumberScheduled": len(pods),
                  "numberMisscheduled": 0, "numberReady": ready, "updatedNumberScheduled": updated}
        if not status.items() <= daemon_set.get("status", {}).items():
            self.call(
                "PATCH",
                f"/apis/apps/v1/namespaces/{space}/daemonsets/{daemon_set['metadata']['name']}/status",
                {"status": status}, MERGE)

    @staticmethod
    def is_ready(pod):
        conditions = (pod or {}).get("status", {}).get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    @staticmethod
    def owner(daemon_set):
        return [{"apiVersion": "apps/v1", "kind": "DaemonSet", "controller": True,
                 "name": daemon_set["metadata"]["name"], "uid": daemon_set["metadata"]["uid"]}]

    def revision(self, daemon_set, space):
        """The hash of the present template; its revision has the highest number."""
        template = daemon_set["spec"]["template"]
        text = json.dumps(template, sort_keys=True).encode()
        hashed = hashlib.sha256(text).hexdigest()[:10]
        base = f"/apis/apps/v1/namespaces/{space}/controllerrevisions"
        history = {r["metadata"]["labels"]["controller-revision-hash"]: r for r in self.list(base)}
        newest = max((r["revision"] for r in history.values()), default=0)
        mine = history.get(hashed)
        if mine is None:
            self.call("POST", base, {
                "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": newest + 1,
                "metadata": {"name": f"{daemon_set['metadata']['name']}-{hashed}",
                             "labels": {**template["metadata"]["labels"],
                                        "controller-revision-hash": hashed},
                             "ownerReferences": self.owner(daemon_set)},
                # Compared byte by byte when the number is raised, and a patch writes it anew.
                "data": {}})
        elif mine["revision"] < newest:
            answer = self.call("PATCH", f"{base}/{mine['metadata']['name']}",
                                      {"revision": newest + 1}, MERGE)
            if answer.code == 422:
                raise AssertionError(answer.message)
        return hashed

    def make(self, daemon_set, base, node, revision):
        template = daemon_set["spec"]["template"]
        answer = self.call("POST", base, {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"generateName": "sluice-agent-",
                         "labels": {**template["metadata"]["labels"],
                                    "controller-revision-hash": revision},
                         "ownerReferences": self.owner(daemon_set)},
            "spec": {"nodeName": node, "serviceAccountName": "sluice-agent",
                     "automountServiceAccountToken": False,
                     "containers": [{"name": "agent",
                                     "image": template["spec"]["containers"][0]["image"]}]}})
        if not answer.ok:
            return None
        self.made.append((daemon_set["metadata"]["namespace"], node,
                          template["spec"]["containers"][0]["image"]))
        return answer.body


class Fleet(Pods, threading.Thread):
    """Plays round after round until it is closed. Every site has the nodes n0, n1, …"""

    def __init__(self, server, folder, nodes):
        threading.Thread.__init__(self, daemon=True)
        self.server = apiserver.ApiServer(server.kubeconfig, folder)
        Pods.__init__(self, self.server.call, [f"n{i}" for i in range(nodes)])
        self.error = None
        self._end = threading.Event()
        self.start()

    def close(self):
        self._end.set()
        self.join(60)
        self.server.close()

    def run(self):
        try:
            while not self._end.wait(0.1):
                for daemon_set in self.list("/apis/apps/v1/daemonsets"):
                    if not daemon_set["metadata"].get("deletionTimestamp"):
                        self.tend(daemon_set)
        except Exception as error:  # told by the test, which would else wait in vain
            self.error = error
