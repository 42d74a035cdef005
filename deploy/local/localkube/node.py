"""One node: its namespaces, a containerd, a kubelet and a kube-proxy.

A node is the network namespace net.py made plus mount, process and host-name namespaces of its own
(node_init.sh). Inside, everything stands where it stands on any node (/run/containerd,
/var/lib/kubelet, /var/log/pods); on the host it is under STATE/nodes/NAME: `lib`, `log`. Its first
process ends → the kernel ends all of its processes and mounts: SIGKILL on NAME/init is the node
losing power.
"""

import subprocess
from datetime import datetime
from pathlib import Path

from . import cgroups, images, limits, procs
from .control import ControlPlane
from .health import Api, http_ok, wait_healthy
from .instance import Instance
from .node_config import CNI, CONTAINERD, KUBELET, KUBE_PROXY
from .procs import Component
from .wait import Deadline, LocalClusterError, tail, until

HERE = Path(__file__).resolve().parent


def snapshotter(state: Path) -> str:
    """overlayfs where the state directory's file system can carry it, else plain copies."""
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", str(state)],
        capture_output=True,
        text=True,
        timeout=limits.COMMAND_DEADLINE,
        check=True,
    ).stdout.strip()
    return "native" if kind == "overlayfs" else "overlayfs"


class Node:
    def __init__(self, control: ControlPlane, index: int) -> None:
        self.control, self.i, self.index = control, control.i, index
        self.name = self.i.node(index)
        self.dir = self.i.state_dir / "nodes" / self.name
        self.init = f"{self.name}/init"

    def prepare(self) -> None:
        """Writes every file the node needs; nothing runs yet."""
        seed = self.dir / "seed"
        for folder in (seed / "cni", self.dir / "run", self.dir / "lib", self.dir / "log"):
            folder.mkdir(parents=True, exist_ok=True)
        i, keys = self.i, self.control.pki
        ip = i.node_ip(self.index)
        keys.client(f"{self.name}-kubelet", f"system:node:{self.name}", ["system:nodes"])
        keys.server(f"{self.name}-server", f"/CN={self.name}", [f"DNS:{self.name}", f"IP:{ip}"])
        keys.client(f"{self.name}-kube-proxy", "system:kube-proxy")
        for name in ("kubelet", "kube-proxy"):
            self.control.kubeconfig(f"{self.name}-{name}", seed / f"{name}.kubeconfig")
        for source, target in (
            (keys.crt("ca"), "ca.crt"),
            (keys.crt(f"{self.name}-server"), "kubelet-server.crt"),
            (keys.key(f"{self.name}-server"), "kubelet-server.key"),
        ):
            (seed / target).write_bytes(Path(source).read_bytes())
        (seed / "containerd.toml").write_text(
            CONTAINERD.format(pause=images.PAUSE_IMAGE, snapshotter=snapshotter(self.i.state_dir))
        )
        (seed / "cni" / "10-pods.conflist").write_text(CNI.format(cidr=i.pod_cidr(self.index)))
        (seed / "kubelet.yaml").write_text(
            KUBELET.format(cgroup=i.cgroup(self.index), dns_ip=i.dns_ip)
        )
        (seed / "kube-proxy.yaml").write_text(
            KUBE_PROXY.format(pods_cidr=i.pods_cidr, node=self.name, ip=ip)
        )
        images.write(
            seed / "pause.tar",
            images.PAUSE_IMAGE,
            {"pause": self.control.bin / "pause"},
            ["/pause"],
        )
        cgroups.make(i.cgroup(self.index))
        for component in self.components():
            procs.save(i, component)

    def components(self) -> list[Component]:
        ip = self.i.node_ip(self.index)
        return [
            Component(
                self.init,
                [
                    "nsenter",
                    f"--net=/run/netns/{self.i.netns(self.index)}",
                    "unshare",
                    "--mount",
                    "--uts",
                    "--pid",
                    "--fork",
                    "--kill-child",
                    "--mount-proc",
                    "--propagation",
                    "private",
                    "sh",
                    str(HERE / "node_init.sh"),
                    str(self.dir),
                    self.name,
                    str(self.control.bin),
                    limits.NODE_RUN_BYTES,
                ],
                wraps=True,
            ),
            Component(
                f"{self.name}/containerd",
                ["containerd", "--config", "/run/kube/containerd.toml"],
                inside=self.init,
            ),
            Component(
                f"{self.name}/kubelet",
                [
                    "/run/kube/bin/kubelet",
                    "--config=/run/kube/kubelet.yaml",
                    "--kubeconfig=/run/kube/kubelet.kubeconfig",
                    f"--hostname-override={self.name}",
                    f"--node-ip={ip}",
                    "--root-dir=/var/lib/kubelet",
                    "--cert-dir=/var/lib/kubelet/pki",
                ],
                inside=self.init,
            ),
            Component(
                f"{self.name}/kube-proxy",
                ["/run/kube/bin/kube-proxy", "--config=/run/kube/kube-proxy.yaml"],
                inside=self.init,
            ),
        ]

    def start_runtime(self, deadline: Deadline) -> None:
        """The node's namespaces and its containerd, with the pause image in it."""
        init, containerd, _, _ = self.components()
        start_init(self.i, init, deadline)
        procs.start(self.i, containerd)
        wait_containerd(self.i, self.name, deadline)
        load_image(self.i, self.name, self.dir / "seed" / "pause.tar")

    def start_agents(self) -> None:
        for component in self.components()[2:]:
            procs.start(self.i, component)

    def wait_ready(self, api: Api, deadline: Deadline) -> None:
        wait_node_ready(self.i, self.name, api, deadline)
        wait_healthy(
            self.i,
            f"{self.name}/kube-proxy",
            deadline,
            lambda: http_ok(self.i.node_ip(self.index), 10256, "/healthz"),
        )


def start_init(i: Instance, init: Component, deadline: Deadline) -> None:
    pid = procs.start(i, init)

    def settled() -> bool:
        if procs.pid_of(i, init.name) is None:
            raise LocalClusterError(f"{init.name} ended:\n{tail(procs.log_path(i, init.name))}")
        return Path(f"/proc/{pid}/comm").read_text().strip() == "pause"

    until(f"{init.name} to set its node up", deadline, settled)


def run_inside(i: Instance, node: str, argv: list[str], **options) -> subprocess.CompletedProcess:
    """Runs a command in a node's namespaces; `options` go to subprocess.run."""
    env = options.pop("env", procs.BASE_ENV) | {procs.ENV_MARKER: i.id}
    return subprocess.run(procs.enter_argv(i, f"{node}/init") + argv, env=env, **options)


def wait_containerd(i: Instance, node: str, deadline: Deadline) -> None:
    def probe() -> tuple[bool, str]:
        done = run_inside(
            i,
            node,
            ["ctr", "version"],
            capture_output=True,
            text=True,
            timeout=limits.COMMAND_DEADLINE,
        )
        return done.returncode == 0, done.stderr.strip()

    wait_healthy(i, f"{node}/containerd", deadline, probe)


def wait_node_ready(i: Instance, node: str, api: Api, deadline: Deadline) -> None:
    """Until the kubelet that runs now (not an earlier one) has reported its node Ready."""
    started = procs.started_at(i, f"{node}/kubelet")

    def probe() -> tuple[bool, str]:
        status, answer = api.request("GET", f"/api/v1/nodes/{node}")
        if status != 200:
            return False, f"node object: {status}"
        for condition in answer["status"].get("conditions", []):
            if condition["type"] == "Ready":
                heartbeat = datetime.fromisoformat(condition["lastHeartbeatTime"]).timestamp()
                if heartbeat < int(started):
                    return False, "no report from this kubelet yet"
                return condition["status"] == "True", condition["message"]
        return False, "no Ready condition yet"

    wait_healthy(i, f"{node}/kubelet", deadline, probe)


def load_image(i: Instance, node: str, archive: Path) -> str:
    """Imports an image archive (docker-archive or OCI) into a node's containerd. ctr's words."""
    with open(archive, "rb") as data:
        done = run_inside(
            i,
            node,
            ["ctr", "-n", "k8s.io", "images", "import", "-"],
            stdin=data,
            capture_output=True,
            text=True,
            timeout=limits.IMAGE_DEADLINE,
        )
    if done.returncode != 0:
        raise LocalClusterError(f"import of {archive} into {node}: {done.stderr.strip()}")
    return done.stdout.strip()
