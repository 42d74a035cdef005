"""Taking it all away again as a user would, and looking for what was left behind."""

import json

from .timeline import StepFailed
from .world import NAMESPACE

SITE_NAMESPACE = "sluice-site-phoenix"
# Cluster-scoped kinds the chart and the controller make objects of.
CLUSTER_KINDS = ("clusterroles,clusterrolebindings,validatingadmissionpolicies,"
                 "validatingadmissionpolicybindings,namespaces")

# State of the controller that outlives the chart on purpose, so that agents of a later install neither
# distrust it nor refuse its commands; it goes with the namespace (docs/operations.md).
KEPT = ("ConfigMap/sluice-agents-epoch", "Secret/sluice-ca", "Lease/sluice-controller",
        f"Namespace/{NAMESPACE}")


def _named_like_us(kube, kinds, namespace=None):
    argv = ["get", kinds, "-o", "json"] + (["-n", namespace] if namespace else [])
    items = json.loads(kube.kubectl(*argv))["items"]
    return [f"{i['kind']}/{i['metadata']['name']}" for i in items
            if i["metadata"]["name"].startswith("sluice")]


def take_down(world):
    kube, wait = world.kube, world.timeline.wait
    kube.kubectl("delete", "tenant", "falcon", "--timeout=60s", timeout=70)
    kube.kubectl("delete", "site", "phoenix", "--timeout=120s", timeout=130)
    left = _named_like_us(kube, "namespaces")
    if SITE_NAMESPACE in " ".join(left):
        raise StepFailed(f"the site is gone but its namespace is not: {left}")
    wait("the garbage collector to take the site's records",
         lambda: not kube.get("promotions") or None, 60)
    kube.kubectl("delete", "servicelevelobjectives,siteclasses,stageplans", "--all",
                 "--timeout=60s", timeout=70)
    kube.helm("uninstall", "sluice", "--namespace", NAMESPACE, "--wait", "--timeout", "120s")

    def only_state():
        left = _named_like_us(kube, CLUSTER_KINDS) + _named_like_us(
            kube, "all,configmaps,secrets,serviceaccounts,roles,rolebindings,leases", NAMESPACE)
        left = sorted(n for n in left if "/sluice-local" not in n)
        if left != sorted(KEPT):
            raise RuntimeError(f"left behind: {left}")
        return True
    wait("nothing but the kept state to be left", only_state, 60)
    kube.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s", timeout=70)
