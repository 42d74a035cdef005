"""`cluster up`: from nothing to a healthy cluster, or back to nothing with the reason said."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import dns, host, images, instance, limits, net, node, procs, sweep
from .control import ControlPlane
from .health import Api, api_ready, http_ok, wait_healthy
from .instance import Instance
from .wait import Deadline, LocalClusterError

PROGRAMS = {
    "api": ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl"),
    "full": (
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
        "pause",
        "coredns",
    ),
}


@dataclass
class Options:
    state: Path
    bin: Path
    profile: str = "full"
    nodes: int = 2
    controller_manager: bool = False
    owner_pid: int = 0
    deadline: float = limits.UP_DEADLINE
    users: dict[str, list[str]] = None  # type: ignore[assignment]
    apiserver_flags: tuple[str, ...] = ()  # behind ours


def up(options: Options, say) -> dict:
    """Brings a cluster up and returns what env.json holds. On failure everything is taken down
    again.
    """
    missing = [p for p in PROGRAMS[options.profile] if not (options.bin / p).exists()]
    if missing:
        raise LocalClusterError(
            f"{options.bin} lacks {', '.join(missing)}: run deploy/local/install.sh"
        )
    if os.geteuid() != 0 and options.profile == "full":
        raise LocalClusterError("nodes need root (network namespaces, cgroups)")
    for id_, found in sweep.sweep().items():
        say(f"cleared cluster {id_}, whose owner is gone: {found.describe()}")
    i = instance.claim(options.state, options.owner_pid)
    try:
        sweep.empty_state(i.state_dir)
        environment = _bring_up(i, options, Deadline(options.deadline), say)
        instance.set_complete(i)
        return environment
    except BaseException:
        sweep.down(i.state_dir)
        raise


def _bring_up(i: Instance, o: Options, deadline: Deadline, say) -> dict:
    full = o.profile == "full"
    nodes = o.nodes if full else 0
    shutil.rmtree(i.state_dir / "logs", ignore_errors=True)  # of an earlier life
    (i.state_dir / "logs").mkdir()
    if full:
        with instance.registry_lock():
            host.remember()
        net.make(i, nodes)
    control = ControlPlane(i, o.bin, full, o.apiserver_flags)
    control.make_credentials({"admin": ["system:masters"]} | (o.users or {}))
    parts = [control.etcd(), control.apiserver()]
    if full or o.controller_manager:
        parts.append(control.controller_manager())
    if full:
        parts.append(control.scheduler())
        names = dns.Dns(control)
        parts.append(names.component())
    for part in parts:
        procs.save(i, part)
    fleet = [node.Node(control, index) for index in range(nodes)]
    for each in fleet:
        each.prepare()
    environment = _environment(i, o, control, nodes)
    if full:
        environment["dns"] = {
            "ip": i.dns_ip,
            "hostIP": i.bridge_ip,
            "port": names.port,
            "readyPort": names.ready_port,
        }
    (i.state_dir / "env.json").write_text(json.dumps(environment, indent=1) + "\n")

    api = Api(i.state_dir, control.api_ip, control.api_port)
    procs.start(i, parts[0])
    procs.start(i, parts[1])
    for each in fleet:  # while the API server starts
        each.start_runtime(deadline)
    wait_component(i, "etcd", environment, deadline)
    wait_component(i, "apiserver", environment, deadline)
    say("API server ready")
    for each in fleet:
        each.start_agents()
    if full:
        names.publish(api, deadline)
    for part in parts[2:]:
        procs.start(i, part)
    for part in parts[2:]:
        wait_component(i, part.name, environment, deadline)
    for each in fleet:
        each.wait_ready(api, deadline)
        say(f"{each.name} ready")
    return environment


def _environment(i: Instance, o: Options, control: ControlPlane, nodes: int) -> dict:
    """What tests and the demo need to know, as it stands in STATE/env.json."""
    state = i.state_dir
    return {
        "id": i.id,
        "profile": o.profile,
        "state": str(state),
        "bin": str(o.bin),
        "kubectl": str(o.bin / "kubectl"),
        "kubeconfig": str(state / "kubeconfig"),
        "logs": str(state / "logs"),
        "auditLog": str(state / "logs" / "audit.log"),
        "caFile": str(state / "pki" / "ca.crt"),
        "pki": str(state / "pki"),
        "apiServer": {"url": control.server, "ip": control.api_ip, "port": control.api_port},
        "etcd": {
            "url": f"http://{i.loopback}:{control.etcd_port}",
            "ip": i.loopback,
            "port": control.etcd_port,
        },
        "tokens": {user: str(state / "tokens" / user) for user in {"admin"} | set(o.users or {})},
        "pauseImage": images.PAUSE_IMAGE,  # on every node, for pods that bring no image of their own
        "hostIP": control.api_ip,  # where pods and nodes reach processes of the host
        "bridge": i.bridge if nodes else None,
        "podsCIDR": i.pods_cidr,
        "servicesCIDR": i.services_cidr,
        "nodes": [
            {
                "name": i.node(n),
                "ip": i.node_ip(n),
                "netns": i.netns(n),
                "podCIDR": i.pod_cidr(n),
                "netnsPath": f"/run/netns/{i.netns(n)}",
                "cgroup": i.cgroup(n),
                "varLib": str(state / "nodes" / i.node(n) / "lib"),
                "varLog": str(state / "nodes" / i.node(n) / "log"),
            }
            for n in range(nodes)
        ],
    }


def environment_of(i: Instance) -> dict:
    return json.loads((i.state_dir / "env.json").read_text())


def _port_in(i: Instance, name: str) -> int:
    """The port a control-plane component was told to serve on."""
    for word in procs.load(i, name).argv:
        if word.startswith("--secure-port="):
            return int(word.split("=")[1])
    raise LocalClusterError(f"{name} serves no port")


def wait_component(i: Instance, name: str, environment: dict, deadline: Deadline) -> None:
    """Until one component, started by `up` or again by `start`, is healthy."""
    api = Api(i.state_dir, environment["apiServer"]["ip"], environment["apiServer"]["port"])
    if name == "etcd":
        wait_healthy(
            i, name, deadline, lambda: http_ok(i.loopback, environment["etcd"]["port"], "/health")
        )
    elif name == "apiserver":
        wait_healthy(i, name, deadline, lambda: api_ready(api))
    elif name in ("controller-manager", "scheduler"):
        port = _port_in(i, name)
        wait_healthy(i, name, deadline, lambda: http_ok(i.loopback, port, "/healthz", tls=True))
    elif name == "dns":
        dns.wait_ready(i, environment["dns"]["readyPort"], deadline)
    elif name.endswith("/containerd"):
        node.wait_containerd(i, name.split("/")[0], deadline)
    elif name.endswith("/kubelet"):
        node.wait_node_ready(i, name.split("/")[0], api, deadline)
    elif name.endswith("/kube-proxy"):
        ip = next(n["ip"] for n in environment["nodes"] if n["name"] == name.split("/")[0])
        wait_healthy(i, name, deadline, lambda: http_ok(ip, 10256, "/healthz"))
