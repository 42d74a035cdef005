"""Network of an instance: one bridge on the host, one network namespace per node, plain routes.

    host: bridge slk<id> 10.X.0.1/24 ── veth ── node-0 10.X.0.10  pods 10.X.16.0/24
                                     └─ veth ── node-1 10.X.0.11  pods 10.X.17.0/24

The host routes each node's pods to that node and the Service range to node-0, so that processes on
the host reach nodes, pods and ClusterIPs, and all of them reach the host at the bridge's address.
The host forwards nothing: no packet of a run leaves the machine.
"""

import json
import subprocess
from pathlib import Path

from . import limits
from .instance import Instance
from .wait import LocalClusterError

NODE_SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    # Replies between two pods of one node must pass the node's NAT although they only cross its
    # bridge.
    "net.bridge.bridge-nf-call-iptables": "1",
}


def ip(*args: str, check: bool = True) -> str:
    done = subprocess.run(
        ["ip", *args], capture_output=True, text=True, timeout=limits.COMMAND_DEADLINE
    )
    if check and done.returncode != 0:
        raise LocalClusterError(f"ip {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout


def make(instance: Instance, nodes: int) -> None:
    if not Path("/proc/sys/net/bridge").exists():  # a module on Debian's own kernel
        subprocess.run(["modprobe", "br_netfilter"], check=False, timeout=limits.COMMAND_DEADLINE)
    bridge = instance.bridge
    ip("link", "add", bridge, "type", "bridge")
    ip("addr", "add", f"{instance.bridge_ip}/24", "dev", bridge)
    ip("link", "set", bridge, "up")
    for index in range(nodes):
        _make_node(instance, index, nodes)
    ip("route", "add", instance.services_cidr, "via", instance.node_ip(0), "dev", bridge)


def _make_node(instance: Instance, index: int, nodes: int) -> None:
    ns, veth = instance.netns(index), instance.veth(index)
    ip("netns", "add", ns)
    ip("link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", ns)
    ip("link", "set", veth, "master", instance.bridge, "up")
    ip("-n", ns, "link", "set", "lo", "up")
    ip("-n", ns, "addr", "add", f"{instance.node_ip(index)}/24", "dev", "eth0")
    ip("-n", ns, "link", "set", "eth0", "up")
    ip("-n", ns, "route", "add", "default", "via", instance.bridge_ip)
    for other in range(nodes):
        if other != index:
            ip("-n", ns, "route", "add", instance.pod_cidr(other), "via", instance.node_ip(other))
    ip(
        "route",
        "add",
        instance.pod_cidr(index),
        "via",
        instance.node_ip(index),
        "dev",
        instance.bridge,
    )
    settings = [f"{key}={value}" for key, value in NODE_SYSCTLS.items()]
    done = subprocess.run(
        ["nsenter", f"--net=/run/netns/{ns}", "sysctl", "-qw", *settings],
        capture_output=True,
        text=True,
        timeout=limits.COMMAND_DEADLINE,
    )
    if done.returncode != 0:
        raise LocalClusterError(f"sysctl in {ns}: {done.stderr.strip()}")


def links() -> list[str]:
    return [link["ifname"] for link in json.loads(ip("-j", "link", "show"))]


def namespaces() -> list[str]:
    return [line.split()[0] for line in ip("netns", "list").splitlines() if line]
