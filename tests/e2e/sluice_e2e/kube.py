"""The local cluster and its clients: kubectl, helm and kubectl-sluice, as a user would call them."""

import json
import os
import pathlib
import string

from .shell import ROOT, run

CLUSTER = ROOT / "deploy/local/cluster"


class Kube:
    def __init__(self, state):
        self.state = pathlib.Path(state)
        self.env = None

    def up(self, own):
        """Starts two nodes; with `own` the cluster is a leftover once this process is gone."""
        flags = ["--owner-pid", os.getpid()] if own else []
        run(CLUSTER, "up", "--state", self.state, *flags, timeout=240)
        self.attach()

    def attach(self):
        self.env = json.loads((self.state / "env.json").read_text())

    def down(self):
        run(CLUSTER, "down", "--state", self.state, timeout=120)

    @property
    def host_ip(self):
        return self.env["hostIP"]

    @property
    def nodes(self):
        return self.env["nodes"]

    @property
    def kubeconfig(self):
        return self.env["kubeconfig"]

    def kubectl(self, *argv, stdin=None, timeout=60, check=True):
        return run(self.env["kubectl"], "--kubeconfig", self.kubeconfig, *argv, stdin=stdin,
                   timeout=timeout, check=check)

    def get(self, kind, name=None, namespace=None):
        """The object, or the list of items when no name is given."""
        argv = ["get", kind, "-o", "json"] + ([name] if name else [])
        argv += ["-n", namespace] if namespace else []
        body = json.loads(self.kubectl(*argv))
        return body if name else body["items"]

    def apply(self, text):
        return self.kubectl("apply", "--server-side", "-f", "-", stdin=text)

    def apply_file(self, path, **values):
        return self.apply(string.Template(pathlib.Path(path).read_text()).safe_substitute(values))

    def helm(self, *argv, timeout=180):
        return run(ROOT / "build/local/bin/helm", "--kubeconfig", self.kubeconfig, *argv,
                   timeout=timeout)

    def sluice(self, *argv):
        return run(ROOT / "build/release/bin/kubectl-sluice", "--kubeconfig", self.kubeconfig, *argv,
                   timeout=30)

    def load_image(self, archive):
        run(CLUSTER, "load-image", "--state", self.state, archive, timeout=120)

    def stop(self, *components, signal="TERM"):
        run(CLUSTER, "stop", "--state", self.state, "--signal", signal, *components, timeout=60)

    def start(self, *components):
        run(CLUSTER, "start", "--state", self.state, *components, timeout=90)

    def node_exec(self, node, *argv, timeout=120, check=True, env=None):
        return run(CLUSTER, "node-exec", "--state", self.state, node, "--", *argv, timeout=timeout,
                   check=check, env=env)
