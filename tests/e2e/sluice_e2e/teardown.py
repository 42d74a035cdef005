"""Taking it all away again as a user would, and looking for what was left behind."""

import json

from .shell import ROOT
from .timeline import StepFailed
from .trainer import host_mounts
from .world import NAMESPACE, SITE_NAMESPACE

CLEAN = ROOT / "deploy/manifests/clean/nodes.yaml"
# Cluster-scoped kinds the chart and the controller make objects of.
CLUSTER_KINDS = ("clusterroles,clusterrolebindings,validatingadmissionpolicies,"
                 "validatingadmissionpolicybindings,namespaces")

# State of the controller that outlives the chart on purpose, so that agents of a later install neither
# distrust it nor refuse its commands, and the head of the audit log, by which its files are proved; it goes
# with the namespace (docs/operations.md).
KEPT = ("ConfigMap/sluice-agents-epoch", "ConfigMap/sluice-audit-head", "Secret/sluice-ca",
        "Lease/sluice-controller", f"Namespace/{NAMESPACE}")


def _named_like_us(kube, kinds, namespace=None):
    argv = ["get", kinds, "-o", "json"] + (["-n", namespace] if namespace else [])
    items = json.loads(kube.kubectl(*argv))["items"]
    return [f"{i['kind']}/{i['metadata']['name']}" for i in items
            if i["metadata"]["name"].startswith("sluice")]


def _left_on(kube, node):
    """Files of the agent on a node's disks."""
    found = kube.node_exec(node["name"], "find", "/var/lib/sluice", "/run/sluice", "-type", "f",
                           check=False)
    return found.split()


def _erase_nodes(world):
    """As docs/operations.md says, but with the host's own programs in place of the image's."""
    kube = world.kube
    before = {n["name"]: len(_left_on(kube, n)) for n in kube.nodes}
    if not all(before.values()):
        raise StepFailed(f"the agents left no files, so nothing shows that they are erased: {before}")
    text = CLEAN.read_text().replace("NAME", "phoenix")
    kube.apply(text.split("\n---\n")[0])
    body = json.loads(kube.kubectl("create", "--dry-run=client", "-o", "json", "-f", "-",
                                   stdin=text.split("\n---\n")[1]))
    mounts, volumes = host_mounts("/bin")
    pod = body["spec"]["template"]["spec"]
    pod["volumes"] += volumes
    for container in pod["initContainers"] + pod["containers"]:
        container["image"] = world.pause_image()
        container["volumeMounts"] = container.get("volumeMounts", []) + mounts
    kube.apply(json.dumps(body))
    kube.kubectl("-n", "sluice-clean", "rollout", "status", "daemonset/sluice-clean", "--timeout=60s",
                 timeout=70)
    left = {n["name"]: _left_on(kube, n) for n in kube.nodes}
    if any(left.values()):
        raise StepFailed(f"left on the nodes: {left}")
    kube.kubectl("delete", "namespace", "sluice-clean", "--wait=false")


def take_down(world):
    kube, wait = world.kube, world.timeline.wait
    kube.kubectl("delete", "tenant", "falcon", "--timeout=60s", timeout=70)
    kube.kubectl("delete", "site", "phoenix", "--timeout=120s", timeout=130)
    left = _named_like_us(kube, "namespaces")
    if SITE_NAMESPACE in " ".join(left):
        raise StepFailed(f"the site is gone but its namespace is not: {left}")
    _erase_nodes(world)
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
