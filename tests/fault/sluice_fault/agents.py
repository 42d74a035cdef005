"""A real sluice-agent on a lane: a pod and its token are made, as the kubelet would, and the agent enrols
by them with a real controller."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time

from . import world
from ports import free_port  # noqa: E402  by the path that world adds

SPACE = "sluice-site-phoenix"
READY_SECONDS = 60
# A /run of its own, as in its pod: the agent's socket stands there. Needs root.
IN_POD = 'mount -t tmpfs none /run && mkdir -p /run/sluice && exec "$@"'


def addresses(controller, seconds=READY_SECONDS):
    """(control, enrolment) of the life that runs, once it serves agents."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = re.findall(r"agents served .*control_port=(\d+) .*enrolment_port=(\d+)",
                           controller.log.read_text())
        if found:
            return tuple(f"127.0.0.1:{port}" for port in found[-1])
        time.sleep(0.05)
    raise RuntimeError("the controller does not serve agents")


def pod_on(lane, node):
    """The agent's pod on this node; made where nobody has yet."""
    base = f"/api/v1/namespaces/{SPACE}/pods"
    for pod in lane.must("GET", base)["items"]:
        if pod["spec"].get("nodeName") == node and "deletionTimestamp" not in pod["metadata"]:
            return pod
    return lane.must("POST", base, {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"agent-{node}"},
        "spec": {"nodeName": node, "serviceAccountName": "sluice-agent",
                 "automountServiceAccountToken": False,
                 "containers": [{"name": "agent", "image": "agent:1"}]}})


def fields(message):
    """{number: value} of a protobuf message whose fields are varints and bytes, each once at most."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte, at = message[at], at + 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = varint()
        value = varint()
        if tag & 7 == 2:
            value, at = message[at:at + value], at + value
        found[tag >> 3] = value
    return found


def unsealed(path):
    """What datapath/control/state_store.h keeps behind a line with its hash."""
    return path.read_bytes().split(b"\n", 1)[1]


class Agent:
    """One on a node of the site; it knows `controllers`, in that order, or those that `network` leads to."""

    def __init__(self, lane, node, controllers=(), network=None):
        self.folder = lane.folder / f"agent-{node}-{time.monotonic_ns()}"
        self.folder.mkdir()
        self.metrics = free_port()
        pod = pod_on(lane, node)
        token = lane.must("POST", f"/api/v1/namespaces/{SPACE}/serviceaccounts/sluice-agent/token", {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {
                "audiences": ["sluice"], "expirationSeconds": 7200, "boundObjectRef": {
                    "kind": "Pod", "apiVersion": "v1", "name": pod["metadata"]["name"],
                    "uid": pod["metadata"]["uid"]}}})["status"]["token"]
        (self.folder / "token").touch(mode=0o600)
        (self.folder / "token").write_text(token)
        (self.folder / "ca.crt").write_text(lane.must(
            "GET", f"/api/v1/namespaces/{SPACE}/configmaps/sluice-ca")["data"]["ca.crt"])
        control, enrolment = zip(*map(addresses, controllers)) if network is None else network.ends
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", IN_POD, "sh",
                world.binary().parent / "sluice-agent", "--site", "phoenix", "--node",
                node, "--control", ",".join(control), "--enrolment", ",".join(enrolment), "--ca-file", self.folder / "ca.crt", "--token-file", self.folder / "token",
                 "--state-dir", self.folder / "state", "--run-dir", "/run/sluice",
                 "--metrics", f"127.0.0.1:{self.metrics}"]
        self.log = self.folder / "log"
        with open(self.log, "wb") as out:
            self._process = subprocess.Popen(argv, stdout=out, stderr=out,
                                             preexec_fn=network.enter if network else world.die_with_us)

    def running(self):
        return self._process.poll() is None

    def applied(self):
        """Orders (epoch, revision) of the configurations it took, in order."""
        return [(int(epoch), int(revision)) for epoch, revision in re.findall(
            r"configuration applied.*epoch=(\d+).*revision=(\d+)", self.log.read_text())]

    def refused(self):
        """How many orders it was offered that come before one it had seen, and refused."""
        return len(re.findall(r"configuration refused.* is below \(", self.log.read_text()))

    def enrolled(self):
        return "agent enrolled" in self.log.read_text()

    def hurry(self):
        """It tries again at once instead of after its backoff. Before it says anything nobody would hear it."""
        if self.log.stat().st_size:
            self._process.send_signal(signal.SIGHUP)

    def kept(self):
        """What it would start from again: order, version and configuration. None before it was configured."""
        path = self.folder / "state/configuration"
        if not path.exists():
            return None
        message = fields(unsealed(path))
        order = fields(message[1])
        return (order[2], order[3]), message[2].decode(), message[3]

    def credentials(self, version):
        """Those of the configuration of that version, which it keeps in its own /run."""
        its_root = pathlib.Path("/proc", str(self._process.pid), "root")
        return unsealed(its_root / "run/sluice" / f"credentials.{version}")

    def tally(self):
        return f"{len(self.applied())} orders taken, none former; {self.refused()} former refused"

    def stop(self):
        self._process.kill()
        self._process.wait()
