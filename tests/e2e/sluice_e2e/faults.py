"""The faults of the main job, one at a time. Each asserts what must be seen while it lasts."""

import os
import signal
import statistics

from .readers import read, read_all
from .timeline import StepFailed, now_rfc3339
from .world import NAMESPACE, TENANT_KEYS

COLD_ERROR_S = 0.1


def _reads_go_on(job, what):
    """Every cached byte is still served on every node, compared with the source."""
    reports = read_all(job.kube.nodes, job.world.warm_manifest, TENANT_KEYS, "--limit", 8)
    if not all(r["bytesVerified"] for r in reports):
        raise StepFailed(f"{what}: nothing was read")


def _stage(job):
    return job.kube.get("site", "phoenix")["status"]["stage"]


def _must_be_at(job, stage, what):
    if _stage(job) != stage:
        raise StepFailed(f"{what}: the site is at {_stage(job)}, not {stage}")


def origin(job):
    w = job.world
    since = now_rfc3339()
    w.origin.process.stop(signal.SIGKILL)
    _reads_go_on(job, "origin down")

    def cold_fails(node, *extra):
        cold = read(node, w.cold_manifest, TENANT_KEYS, *extra)
        if not cold["failed"] or cold["bytesVerified"]:
            raise StepFailed(f"a cold read succeeded without an origin: {cold}")
        # A proper S3 error: botocore read a code out of the answer's XML.
        if not any("ServiceUnavailable" in e or "SlowDown" in e for e in cold["errors"]):
            raise StepFailed(f"cold reads failed without S3's own error: {cold['errors']}")
        return cold["errorSeconds"]

    first = max(cold_fails(job.kube.nodes[0], "--threads", 1, "--limit", 1))

    def budget_burnt():
        for node in job.kube.nodes:
            cold_fails(node, "--threads", 4)
        return job.observer.seen("-run", "Hold", ("BudgetExhausted", "GateFailed"), since) or \
            job.observer.seen("-run", "Fail", ("GateFailed",), since)
    held = job.timeline.wait("the step to Run to be held by the budget", budget_burnt, 120)
    if not any(c.isdigit() for c in held["message"]):
        raise StepFailed(f"the refusal has no numbers: {held}")
    # A dead origin costs its time once and not once a read: its circuit is open, and cold reads fail
    # at once. The median: one of them may be the circuit's own try.
    def at_once():
        medians = [statistics.median(cold_fails(n, "--threads", 1)) for n in job.kube.nodes]
        if max(medians) < COLD_ERROR_S:
            return max(medians)
        raise RuntimeError(f"a cold read takes {max(medians)} s to fail")
    open_circuit = job.timeline.wait("cold reads to fail at once", at_once, 60)
    job.summary["reads"]["coldErrorMs"] = {"first": round(first * 1000),
                                           "circuitOpen": round(open_circuit * 1000)}
    job.why["originDown"] = job.kube.sluice("why", "site/phoenix")
    print(job.why["originDown"])
    _must_be_at(job, "Walk", "origin down")
    w.origin.process.start()
    job.timeline.wait("the origin", w.origin.ready, 20)
    job.timeline.wait("cold reads through the agent", lambda: not read(
        job.kube.nodes[0], w.cold_manifest, TENANT_KEYS)["failed"], 60)
    job.summary["survived"].append("origin")


def prometheus(job):
    w = job.world
    since = now_rfc3339()
    w.prometheus.process.stop()
    job.timeline.wait("Hold(ProviderError)", lambda: job.observer.seen(
        "-run", "Hold", ("ProviderError",), since), 60)
    _must_be_at(job, "Walk", "Prometheus down")
    _reads_go_on(job, "Prometheus down")
    w.prometheus.process.start()
    job.timeline.wait("Prometheus", w.prometheus.ready, 30)
    job.summary["survived"].append("prometheus")


def _deployment(job):
    return f"deployment/{job.kube.get('deployments', namespace=NAMESPACE)[0]['metadata']['name']}"


def control_plane(job):
    name = _deployment(job)
    job.kube.kubectl("-n", NAMESPACE, "scale", name, "--replicas=0")

    def gone():
        pods = [p for p in job.kube.get("pods", namespace=NAMESPACE)
                if p["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "controller"]
        return not pods
    job.timeline.wait("the controllers to end", gone, 60)
    _reads_go_on(job, "controller down")
    job.summary["survived"].append("controller")
    job.kube.stop("apiserver", signal="KILL")
    try:
        _reads_go_on(job, "API server down")
    finally:
        job.kube.start("apiserver")
    job.summary["survived"].append("apiserver")
    job.kube.kubectl("-n", NAMESPACE, "scale", name, "--replicas=2")
    job.kube.kubectl("-n", NAMESPACE, "rollout", "status", name, "--timeout=120s", timeout=130)
    _must_be_at(job, "Walk", "controller and API server back")


def _agent_pid(node):
    """The agent's process in this node's network namespace, as the machine's own process table has it."""
    wanted = os.stat(node["netnsPath"]).st_ino
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as comm:
                if comm.read().strip() != "sluice-agent":
                    continue
            if os.stat(f"/proc/{pid}/ns/net").st_ino == wanted:
                return int(pid)
        except OSError:
            continue
    raise LookupError(f"no sluice-agent runs on {node['name']}")


def agent(job):
    w, node = job.world, job.kube.nodes[0]
    pid = _agent_pid(node)
    os.kill(pid, signal.SIGKILL)

    def back():
        return _agent_pid(node) != pid and not read(
            node, w.warm_manifest, TENANT_KEYS, "--limit", 1)["failed"]
    job.timeline.wait("the agent to come back", back, 60)
    before = w.origin.object_reads()
    report = read_all([node], w.warm_manifest, TENANT_KEYS)[0]
    made = w.origin.object_reads() - before
    if made:
        raise StepFailed(f"the agent came back cold: {made} reads at the origin")
    job.summary["reads"]["bytesVerifiedAfterKill"] = report["bytesVerified"]
    job.summary["survived"].append("agent")
