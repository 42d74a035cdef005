"""Runs reader.py where a workload would run: on a node's own network."""

import json
import os
import subprocess
import sys

from .shell import ROOT, track
from .timeline import StepFailed

READER = ROOT / "tests/e2e/reader.py"
PYTHON = ROOT / "build/venv/bin/python"


def _argv(node, manifest, extra):
    # The node's network is enough: the program and the data set are the host's.
    return ["nsenter", f"--net={node['netnsPath']}", str(PYTHON), str(READER), "--endpoint",
            f"http://{node['ip']}:9000", "--bucket", "datasets", "--manifest", str(manifest),
            *[str(e) for e in extra]]


def _environment(keys):
    return {**os.environ, "AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]}


def read(node, manifest, keys, *extra, timeout=120):
    """One reader to its end; its JSON report, errors included."""
    done = subprocess.run(_argv(node, manifest, extra), env=_environment(keys), text=True,
                          capture_output=True, timeout=timeout, check=False)
    if not done.stdout.strip():
        raise StepFailed(f"the reader on {node['name']} said nothing: {done.stderr[-1000:]}")
    return json.loads(done.stdout)


def read_all(nodes, manifest, keys, *extra, timeout=180):
    """A reader on every node at once; StepFailed unless each verified every byte it asked for."""
    children = [(n, subprocess.Popen(_argv(n, manifest, extra), env=_environment(keys), text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)) for n in nodes]
    reports = []
    try:
        for node, child in children:
            out, err = child.communicate(timeout=timeout)
            report = json.loads(out) if out.strip() else {"failed": 1, "errors": [err[-1000:]]}
            if report["failed"]:
                raise StepFailed(f"reader on {node['name']}: {report['errors']}")
            reports.append(report)
    finally:
        for _, child in children:
            if child.poll() is None:
                child.kill()
    return reports


class Background:
    """A quiet training run on every node: it keeps reading, so that there is something to measure."""

    def __init__(self, state, nodes, manifest, keys):
        self._logs = {n["name"]: state / f"background-{n['name']}.jsonl" for n in nodes}
        self._children = []
        for node in nodes:
            with self._logs[node["name"]].open("wb") as log:
                child = subprocess.Popen(_argv(node, manifest, ["--loop"]), env=_environment(keys),
                                         stdout=log, stderr=log)
            self._children.append(child)
            track(state, child.pid)

    def reads(self, node):
        """Every read so far on this node: {"at": seconds since the epoch} and, if it failed, "error"."""
        lines = self._logs[node].read_text(errors="replace").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]

    def stop(self):
        for child in self._children:
            child.terminate()
        for child in self._children:
            child.wait(10)


