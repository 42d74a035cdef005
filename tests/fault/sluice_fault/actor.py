"""Plays, on the API server itself, what Kubernetes' own controllers do: counts of DaemonSets, the
emptying of namespaces, the end of what has no owner. The real ones run in tests/e2e; here their
pace would decide how long a case takes."""
import json

import fleet  # tests/integration's, which world.py puts on the path

GROUP = "/apis/sluice.dev/v1alpha1/"
LISTS = {
    "Site": GROUP + "sites", "Tenant": GROUP + "tenants",
    "SiteClass": GROUP + "siteclasses", "StagePlan": GROUP + "stageplans",
    "ServiceLevelObjective": GROUP + "servicelevelobjectives",
    "Release": GROUP + "releases", "Rollout": GROUP + "rollouts",
    **{kind: GROUP + kind.lower() + "s" for kind in (
        "ReadinessReview", "Decision", "Approval", "Exemption", "FreezeWindow", "Incident")},
    "Promotion": GROUP + "promotions", "Namespace": "/api/v1/namespaces",
    "DaemonSet": "/apis/apps/v1/daemonsets", "Service": "/api/v1/services",
    "ServiceAccount": "/api/v1/serviceaccounts", "ConfigMap": "/api/v1/configmaps",
    "Secret": "/api/v1/secrets",
}
OURS = ("sluice-site-", "sluice-system", "falcon")
# By its name: the shipped policies let nobody else take Promotions away.
COLLECTOR = "system:serviceaccount:kube-system:generic-garbage-collector"
MERGE = "application/merge-patch+json"


def is_ours(thing):
    meta = thing["metadata"]
    place = meta.get("namespace") or (meta["name"] if thing["kind"] == "Namespace" else "")
    return not place or place.startswith(OURS)


def path_of(thing):
    base, meta = LISTS[thing["kind"]], thing["metadata"]
    if "namespace" in meta:
        head, plural = base.rsplit("/", 1)
        base = f"{head}/namespaces/{meta['namespace']}/{plural}"
    return f"{base}/{meta['name']}"


class Actor:
    def __init__(self, lane):
        self._lane = lane
        self.pods = fleet.Pods(lane.call, [])

    def make_pods(self):
        """Pods for every DaemonSet: from then on they are played, too, and it is they that count."""
        for thing in self._lane.must("GET", LISTS["DaemonSet"])["items"]:
            self.pods.nodes = self._nodes_of(thing)
            self.pods.round(thing)

    def objects(self):
        """Every object of the world, with its kind, but what the API server keeps for itself."""
        found = []
        for kind, path in LISTS.items():
            listed = self._lane.must("GET", path)
            for thing in listed["items"]:
                thing = {"apiVersion": listed["apiVersion"], "kind": kind, **thing}
                if is_ours(thing) and thing["metadata"]["name"] != "kube-root-ca.crt":
                    found.append(thing)
        return found

    def step(self):
        """One round of everybody; True when somebody did something."""
        did = False
        for thing in self._lane.must("GET", LISTS["DaemonSet"])["items"]:
            did |= self._daemon_set(thing)
        for thing in self._lane.must("GET", LISTS["Namespace"])["items"]:
            if "deletionTimestamp" in thing["metadata"]:
                did |= self._empty(thing)
        return did

    def collect(self, objects):
        """Deletes what is owned by something that is gone; True when there was any."""
        living = {thing["metadata"]["uid"] for thing in objects}
        did = False
        for thing in objects:
            owners = thing["metadata"].get("ownerReferences", [])
            if owners and all(owner["uid"] not in living for owner in owners):
                did = True
                if "deletionTimestamp" not in thing["metadata"]:
                    self._lane.call("DELETE", path_of(thing), user=COLLECTOR)
        return did

    def _daemon_set(self, thing):
        meta = thing["metadata"]
        path = path_of({"kind": "DaemonSet", **thing})
        if "deletionTimestamp" in meta:
            self._lane.call("PATCH", path, json.dumps({"metadata": {"finalizers": None}}),
                                   MERGE)
            return True
        nodes = self._nodes_of(thing)
        if self.pods.list(f"/apis/apps/v1/namespaces/{meta['namespace']}/controllerrevisions"):
            self.pods.nodes = nodes
            return self.pods.round(thing)
        count = len(nodes)
        now = thing.get("status", {})
        # A roll-out is seen in two steps: the new generation with nothing updated, then all of it.
        updated = count if now.get("observedGeneration") == meta["generation"] else 0
        wanted = {"currentNumberScheduled": count, "desiredNumberScheduled": count,
                  "numberAvailable": count, "numberMisscheduled": 0, "numberReady": count,
                  "observedGeneration": meta["generation"], "updatedNumberScheduled": updated}
        if all(now.get(key, 0) == value for key, value in wanted.items()):
            return False
        self._lane.call("PATCH", path + "/status", json.dumps({"status": wanted}), MERGE)
        return True

    def _nodes_of(self, daemon_set):
        selector = daemon_set["spec"]["template"]["spec"].get("nodeSelector", {})
        nodes = self._lane.must("GET", "/api/v1/nodes")["items"]
        return [n["metadata"]["name"] for n in nodes
                if selector.items() <= n["metadata"].get("labels", {}).items()]

    def _empty(self, namespace):
        name = namespace["metadata"]["name"]
        for kind in ("DaemonSet", "Service", "ServiceAccount", "ConfigMap", "Secret"):
            head, plural = LISTS[kind].rsplit("/", 1)
            path = f"{head}/namespaces/{name}/{plural}"
            for thing in self._lane.must("GET", path)["items"]:
                self._lane.call("DELETE", f"{path}/{thing['metadata']['name']}")
        namespace["spec"]["finalizers"] = []
        self._lane.call("PUT", f"{LISTS['Namespace']}/{name}/finalize", namespace)
        return True
