"""Cluster DNS: one CoreDNS on the host, behind the Service every pod's resolver is told of.

CoreDNS listens at the bridge's address; a Service without selector (kube-system/kube-dns) and an
EndpointSlice of ours lead there, so that kube-proxy carries the questions of every pod and node. It
answers for cluster.local only: nothing is forwarded off the machine.
"""

from .control import ControlPlane, free_port
from .health import Api, http_ok, wait_healthy
from .instance import Instance
from .procs import Component
from .wait import Deadline, until

COREFILE = """cluster.local:{port} in-addr.arpa:{port} {{
    bind {ip}
    errors
    ready {ip}:{ready}
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
        ttl 5
    }}
    cache 5
}}
"""


class Dns:
    def __init__(self, control: ControlPlane) -> None:
        self.control, self.i = control, control.i
        self.port = free_port(self.i.bridge_ip)
        self.ready_port = free_port(self.i.bridge_ip)

    def component(self) -> Component:
        state = self.i.state_dir
        kubeconfig = state / "pki" / "dns.kubeconfig"
        self.control.pki.client("dns", "sluice-local:dns")
        self.control.kubeconfig("dns", kubeconfig)
        corefile = state / "pki" / "Corefile"
        corefile.write_text(
            COREFILE.format(
                port=self.port, ip=self.i.bridge_ip, ready=self.ready_port, kubeconfig=kubeconfig
            )
        )
        return Component("dns", [str(self.control.bin / "coredns"), "-conf", str(corefile)])

    def publish(self, api: Api, deadline: Deadline) -> None:
        """Writes the Service, its endpoint and CoreDNS's right to look."""

        def exists() -> bool:  # made by the API server itself, soon after it is ready
            return api.request("GET", "/api/v1/namespaces/kube-system")[0] == 200

        until("namespace kube-system", deadline, exists)
        for path, body in self._objects():
            api.apply(path, body)

    def _objects(self) -> list[tuple[str, dict]]:
        rbac, group = "/apis/rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io"
        ports = [{"name": "dns", "protocol": "UDP"}, {"name": "dns-tcp", "protocol": "TCP"}]
        return [
            (
                f"{rbac}/clusterroles/sluice-local:dns",
                {
                    "apiVersion": f"{group}/v1",
                    "kind": "ClusterRole",
                    "metadata": {"name": "sluice-local:dns"},
                    "rules": [
                        {
                            "apiGroups": [""],
                            "resources": ["services", "namespaces", "pods", "endpoints"],
                            "verbs": ["list", "watch"],
                        },
                        {
                            "apiGroups": ["discovery.k8s.io"],
                            "resources": ["endpointslices"],
                            "verbs": ["list", "watch"],
                        },
                    ],
                },
            ),
            (
                f"{rbac}/clusterrolebindings/sluice-local:dns",
                {
                    "apiVersion": f"{group}/v1",
                    "kind": "ClusterRoleBinding",
                    "metadata": {"name": "sluice-local:dns"},
                    "roleRef": {
                        "apiGroup": group,
                        "kind": "ClusterRole",
                        "name": "sluice-local:dns",
                    },
                    "subjects": [{"apiGroup": group, "kind": "User", "name": "sluice-local:dns"}],
                },
            ),
            (
                "/api/v1/namespaces/kube-system/services/kube-dns",
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {
                        "name": "kube-dns",
                        "namespace": "kube-system",
                        "labels": {"k8s-app": "kube-dns"},
                    },
                    "spec": {
                        "clusterIP": self.i.dns_ip,
                        "ports": [p | {"port": 53, "targetPort": self.port} for p in ports],
                    },
                },
            ),
            (
                "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns-host",
                {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "addressType": "IPv4",
                    "metadata": {
                        "name": "kube-dns-host",
                        "namespace": "kube-system",
                        "labels": {
                            "kubernetes.io/service-name": "kube-dns",
                            "endpointslice.kubernetes.io/managed-by": "sluice-local",
                        },
                    },
                    "endpoints": [{"addresses": [self.i.bridge_ip], "conditions": {"ready": True}}],
                    "ports": [p | {"port": self.port} for p in ports],
                },
            ),
        ]


def wait_ready(i: Instance, ready_port: int, deadline: Deadline) -> None:
    wait_healthy(i, "dns", deadline, lambda: http_ok(i.bridge_ip, ready_port, "/ready"))
