"""Nodes as kubelets write them: 8 kB each, most of it images."""
import hashlib

IMAGES = 30


def make(i, labels):
    """Node number i, called n<i>, with `labels` beside its own. The same at each call."""
    name, at = f"n{i}", "2026-01-01T00:00:00Z"
    capacity = {"cpu": "128", "ephemeral-storage": "1843269236Ki", "hugepages-1Gi": "0",
                "hugepages-2Mi": "0", "memory": "2113395336Ki", "nvidia.com/gpu": "8", "pods": "110"}
    conditions = [{"type": kind, "status": status, "reason": f"Kubelet{reason}",
                   "message": f"kubelet says {reason}", "lastHeartbeatTime": at,
                   "lastTransitionTime": at}
                  for kind, status, reason in (("MemoryPressure", "False", "HasSufficientMemory"),
                                               ("DiskPressure", "False", "HasNoDiskPressure"),
                                               ("PIDPressure", "False", "HasSufficientPID"),
                                               ("Ready", "True", "Ready"))]
    images = []
    for number in range(IMAGES):
        image = f"registry.example.com/platform/component-{number:02}"
        digest = hashlib.sha256(image.encode()).hexdigest()
        images.append({"names": [f"{image}@sha256:{digest}", f"{image}:v1.{number}.0"],
                       "sizeBytes": 1_000_000_000 - 30_000_000 * number})
    system = {"architecture": "amd64", "bootID": f"{i:08x}-0000-4000-8000-000000000001",
              "containerRuntimeVersion": "containerd://2.0.0", "kernelVersion": "6.8.0-generic",
              "kubeProxyVersion": "", "kubeletVersion": "v1.34.0", "machineID": f"{i:032x}",
              "operatingSystem": "linux", "osImage": "Linux",
              "systemUUID": f"{i:08x}-0000-4000-8000-000000000002"}
    labels = {**labels, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
              "kubernetes.io/hostname": name, "node.kubernetes.io/instance-type": "gpu.8x",
              "topology.kubernetes.io/region": "r1", "topology.kubernetes.io/zone": "r1-a"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels,
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}},
            "status": {"addresses": [{"type": "Hostname", "address": name},
                                     {"type": "InternalIP",
                                      "address": f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}"}],
                       "capacity": capacity, "allocatable": capacity | {"cpu": "127500m"},
                       "conditions": conditions, "images": images, "nodeInfo": system,
                       "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}}}
