"""The control plane on the host: etcd, kube-apiserver, kube-controller-manager, kube-scheduler.

Each listens on an address of the instance's own (loopback 127.77.<slot>.1, or the bridge where
nodes must reach it), on ports that the kernel picked free there once, at `up`; a restarted
component keeps its port.
"""

import socket
from pathlib import Path

from . import limits, pki
from .instance import Instance
from .procs import Component

AUDIT_POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [get, list, watch]
- level: Metadata
"""


def free_port(address: str) -> int:
    with socket.socket() as s:
        s.bind((address, 0))
        return s.getsockname()[1]


class ControlPlane:
    def __init__(
        self,
        instance: Instance,
        bin_dir: Path,
        with_nodes: bool,
        apiserver_flags: tuple[str, ...] = (),
    ) -> None:
        self.i = instance
        self.bin = bin_dir
        self.with_nodes = with_nodes
        self.apiserver_flags = apiserver_flags
        self.api_ip = instance.bridge_ip if with_nodes else instance.loopback
        self.api_port = free_port(self.api_ip)
        self.etcd_port = free_port(instance.loopback)
        self.state = instance.state_dir

    @property
    def server(self) -> str:
        return f"https://{self.api_ip}:{self.api_port}"

    def make_credentials(self, users: dict[str, list[str]]) -> None:
        keys = self.pki = pki.Pki(self.state / "pki")
        sans = [
            "DNS:kubernetes",
            "DNS:kubernetes.default",
            "DNS:kubernetes.default.svc",
            "DNS:kubernetes.default.svc.cluster.local",
            "DNS:localhost",
            f"IP:{self.i.kubernetes_ip}",
            f"IP:{self.api_ip}",
        ]
        keys.server("apiserver", "/CN=kube-apiserver", sans)
        keys.client("admin", "admin", ["system:masters"])
        keys.client("apiserver-kubelet", "kube-apiserver", ["system:masters"])
        keys.client("controller-manager", "system:kube-controller-manager")
        keys.client("scheduler", "system:kube-scheduler")
        keys.signing_pair("service-accounts")
        pki.tokens(self.state / "tokens", users)
        self.kubeconfig("admin", self.state / "kubeconfig")
        for name in ("controller-manager", "scheduler"):
            self.kubeconfig(name, self.state / "pki" / f"{name}.kubeconfig")

    def kubeconfig(self, certificate: str, path: Path) -> None:
        keys = self.pki
        pki.kubeconfig(
            path,
            self.server,
            keys.crt("ca"),
            keys.crt(certificate),
            keys.key(certificate),
            certificate,
        )

    def etcd(self) -> Component:
        client = f"http://{self.i.loopback}:{self.etcd_port}"
        peer = f"http://{self.i.loopback}:{free_port(self.i.loopback)}"
        return Component(
            "etcd",
            [
                str(self.bin / "etcd"),
                "--name=local",
                f"--data-dir={self.state}/etcd",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=local={peer}",
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
        )

    def apiserver(self) -> Component:
        keys = self.pki
        (self.state / "audit-policy.yaml").write_text(AUDIT_POLICY)
        argv = [
            str(self.bin / "kube-apiserver"),
            f"--bind-address={self.api_ip}",
            f"--secure-port={self.api_port}",
            f"--advertise-address={self.api_ip}",
            f"--etcd-servers=http://{self.i.loopback}:{self.etcd_port}",
            f"--client-ca-file={keys.crt('ca')}",
            f"--token-auth-file={self.state}/tokens/tokens.csv",
            f"--tls-cert-file={keys.crt('apiserver')}",
            f"--tls-private-key-file={keys.key('apiserver')}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={keys.dir}/service-accounts.pub",
            f"--service-account-signing-key-file={keys.key('service-accounts')}",
            f"--service-cluster-ip-range={self.i.services_cidr}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--kubelet-certificate-authority={keys.crt('ca')}",
            f"--kubelet-client-certificate={keys.crt('apiserver-kubelet')}",
            f"--kubelet-client-key={keys.key('apiserver-kubelet')}",
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged=true",
            f"--audit-policy-file={self.state}/audit-policy.yaml",
            f"--audit-log-path={self.state}/logs/audit.log",
            f"--audit-log-maxsize={limits.AUDIT_LOG_MB}",
            "--audit-log-maxbackup=1",
            "--profiling=false",
        ]
        if not self.with_nodes:  # no address of the host may stand in an Endpoints object
            argv.append("--endpoint-reconciler-type=none")
        argv += self.apiserver_flags
        return Component("apiserver", argv)

    def controller_manager(self) -> Component:
        keys = self.pki
        return Component(
            "controller-manager",
            [
                str(self.bin / "kube-controller-manager"),
                f"--bind-address={self.i.loopback}",
                f"--secure-port={free_port(self.i.loopback)}",
                *self._as_client("controller-manager"),
                f"--root-ca-file={keys.crt('ca')}",
                f"--service-account-private-key-file={keys.key('service-accounts')}",
                f"--cluster-signing-cert-file={keys.crt('ca')}",
                f"--cluster-signing-key-file={keys.key('ca')}",
                "--use-service-account-credentials=true",
                # A killed node is to be seen in seconds by tests, not in the default 40.
                "--node-monitor-period=2s",
                "--node-monitor-grace-period=16s",
            ],
        )

    def scheduler(self) -> Component:
        return Component(
            "scheduler",
            [
                str(self.bin / "kube-scheduler"),
                f"--bind-address={self.i.loopback}",
                f"--secure-port={free_port(self.i.loopback)}",
                *self._as_client("scheduler"),
            ],
        )

    def _as_client(self, name: str) -> list[str]:
        config = f"{self.state}/pki/{name}.kubeconfig"
        return [
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--leader-elect=false",
            "--profiling=false",
        ]
