"""The control plane on the host: etcd, kube-apiserver, kube-controller-manager, kube-scheduler.

Each listens on an address of the instance's own (loopback 127.77.<slot>.1, or the bridge where nodes
must reach it), on ports that the kernel picked free there once, at `up`; a restarted component keeps
its port.
"""

import http.client
import json
import socket
import ssl
from pathlib import Path
from typing import Any, Optional

from . import limits, pki, procs
from .instance import Instance
from .procs import Component
from .wait import Deadline, LocalClusterError, tail, until

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
    def __init__(self, instance: Instance, bin_dir: Path, with_nodes: bool) -> None:
        self.i = instance
        self.bin = bin_dir
        self.with_nodes = with_nodes
        self.api_ip = instance.bridge_ip if with_nodes else instance.loopback
        self.api_port = free_port(self.api_ip)
        self.etcd_port = free_port(instance.loopback)
        self.state = instance.state_dir

    @property
    def server(self) -> str:
        return f"https://{self.api_ip}:{self.api_port}"

    def make_credentials(self, users: dict[str, list[str]]) -> None:
        keys = self.pki = pki.Pki(self.state / "pki")
        sans = ["DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc",
                "DNS:kubernetes.default.svc.cluster.local", "DNS:localhost",
                f"IP:{self.i.kubernetes_ip}", f"IP:{self.api_ip}"]
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
        pki.kubeconfig(path, self.server, keys.crt("ca"), keys.crt(certificate), keys.key(certificate),
                       certificate)

    def etcd(self) -> Component:
        client = f"http://{self.i.loopback}:{self.etcd_port}"
        peer = f"http://{self.i.loopback}:{free_port(self.i.loopback)}"
        return Component("etcd", [
            str(self.bin / "etcd"), "--name=local", f"--data-dir={self.state}/etcd",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=local={peer}", "--unsafe-no-fsync", "--log-level=warn"])

    def apiserver(self) -> Component:
        keys = self.pki
        (self.state / "audit-policy.yaml").write_text(AUDIT_POLICY)
        argv = [
            str(self.bin / "kube-apiserver"),
            f"--bind-address={self.api_ip}", f"--secure-port={self.api_port}",
            f"--advertise-address={self.api_ip}",
            f"--etcd-servers=http://{self.i.loopback}:{self.etcd_port}",
            f"--client-ca-file={keys.crt('ca')}", f"--token-auth-file={self.state}/tokens/tokens.csv",
            f"--tls-cert-file={keys.crt('apiserver')}", f"--tls-private-key-file={keys.key('apiserver')}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={keys.dir}/service-accounts.pub",
            f"--service-account-signing-key-file={keys.key('service-accounts')}",
            f"--service-cluster-ip-range={self.i.services_cidr}",
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
            f"--kubelet-certificate-authority={keys.crt('ca')}",
            f"--kubelet-client-certificate={keys.crt('apiserver-kubelet')}",
            f"--kubelet-client-key={keys.key('apiserver-kubelet')}",
            "--kubelet-preferred-address-types=InternalIP", "--allow-privileged=true",
            f"--audit-policy-file={self.state}/audit-policy.yaml",
            f"--audit-log-path={self.state}/logs/audit.log",
            f"--audit-log-maxsize={limits.AUDIT_LOG_MB}", "--audit-log-maxbackup=1",
            "--profiling=false"]
        if not self.with_nodes:  # no address of the host may stand in an Endpoints object
            argv.append("--endpoint-reconciler-type=none")
        return Component("apiserver", argv)

    def controller_manager(self) -> Component:
        keys = self.pki
        return Component("controller-manager", [
            str(self.bin / "kube-controller-manager"), f"--bind-address={self.i.loopback}",
            f"--secure-port={free_port(self.i.loopback)}", *self._as_client("controller-manager"),
            f"--root-ca-file={keys.crt('ca')}",
            f"--service-account-private-key-file={keys.key('service-accounts')}",
            f"--cluster-signing-cert-file={keys.crt('ca')}",
            f"--cluster-signing-key-file={keys.key('ca')}",
            "--use-service-account-credentials=true",
            # A killed node is to be seen in seconds by tests, not in the default 40.
            "--node-monitor-period=2s", "--node-monitor-grace-period=16s"])

    def scheduler(self) -> Component:
        return Component("scheduler", [
            str(self.bin / "kube-scheduler"), f"--bind-address={self.i.loopback}",
            f"--secure-port={free_port(self.i.loopback)}", *self._as_client("scheduler")])

    def _as_client(self, name: str) -> list[str]:
        config = f"{self.state}/pki/{name}.kubeconfig"
        return [f"--kubeconfig={config}", f"--authentication-kubeconfig={config}",
                f"--authorization-kubeconfig={config}", "--leader-elect=false", "--profiling=false"]


class Api:
    """The few requests the scripts themselves make, as admin."""

    def __init__(self, state: Path, ip: str, port: int) -> None:
        self._tls = ssl.create_default_context(cafile=str(state / "pki" / "ca.crt"))
        self._tls.load_cert_chain(state / "pki" / "admin.crt", state / "pki" / "admin.key")
        self._at = (ip, port)

    def request(self, method: str, path: str, body: Optional[dict] = None) -> tuple[int, Any]:
        """HTTP status and the decoded JSON body (text when it is no JSON); 0 when unreachable."""
        connection = http.client.HTTPSConnection(*self._at, context=self._tls,
                                                 timeout=limits.REQUEST_TIMEOUT)
        try:
            kind = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
            connection.request(method, path, json.dumps(body) if body is not None else None,
                               {"Content-Type": kind, "Accept": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def apply(self, path: str, body: dict) -> None:
        status, answer = self.request("PATCH", f"{path}?fieldManager=local-cluster&force=true", body)
        if status not in (200, 201):
            raise LocalClusterError(f"applying {path}: {status} {answer}")


def wait_healthy(instance: Instance, name: str, deadline: Deadline, probe) -> None:
    """Until `probe` (→ (healthy, reason)) holds; at once an error when the component's process ends."""
    last = [""]

    def look() -> bool:
        if procs.pid_of(instance, name) is None:
            raise LocalClusterError(f"{name} ended:\n{tail(procs.log_path(instance, name))}")
        healthy, last[0] = probe()
        return healthy

    def why() -> str:
        return f"{last[0]}\n{tail(procs.log_path(instance, name))}"

    until(f"{name} to be healthy", deadline, look, why)


def api_ready(api: Api) -> tuple[bool, str]:
    status, answer = api.request("GET", "/readyz?verbose")
    return status == 200, f"readyz {status}: {answer if status else answer}"


def http_ok(ip: str, port: int, path: str, tls: bool = False) -> tuple[bool, str]:
    """Health by status code alone; TLS identity is not checked (own address, own process)."""
    if tls:
        context = ssl._create_unverified_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            ip, port, context=context, timeout=limits.REQUEST_TIMEOUT)
    else:
        connection = http.client.HTTPConnection(ip, port, timeout=limits.REQUEST_TIMEOUT)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
        return status == 200, f"{path} {status}"
    except (OSError, http.client.HTTPException) as error:
        return False, str(error)
    finally:
        connection.close()
