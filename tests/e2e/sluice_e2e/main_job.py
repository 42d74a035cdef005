"""The main job, step by step. Each step asserts what it saw and adds it to the summary."""

import datetime
import json
import pathlib

from . import faults, rollout
from .observer import Observer
from .readers import Background, read_all
from .shell import ROOT, run
from .teardown import take_down
from .timeline import StepFailed
from .trainer import run_trainer
from .world import TENANT_KEYS, World


class MainJob:
    def __init__(self, state, timeline):
        self.world = World(state, timeline)
        self.timeline = timeline
        self.observer = None
        self.background = None
        self.summary = {"stages": [], "verdicts": [], "reads": {}, "survived": []}
        self.why = {}

    @property
    def kube(self):
        return self.world.kube

    def run(self, keep):
        """All of it; returns the summary. With `keep` the cluster outlives this process."""
        t, w = self.timeline, self.world
        with t.step("build the images"):
            w.build_images()
        with t.step("start Kubernetes with two nodes"):
            self.kube.up(own=not keep)
            w.prepare_nodes()
        with t.step("load the images into the nodes"):
            w.load_images()
        with t.step("helm install sluice"):
            w.install_chart()
        with t.step("make the data set and start its object store"):
            w.make_dataset()
            w.start_origin()
        with t.step("start Prometheus"):
            w.start_prometheus()
        self.observer = Observer(self.kube)
        self.observer.start()
        with t.step("apply the class, the site, the tenant, the objectives and the plan"):
            w.apply_objects()
        with t.step("enter Crawl: nodes match, agents run and are ready"):
            self._await_ready()
            self._await_stage("Crawl", 120)
        # At once, so that the soak is not over before on a slow machine; the readers are what it waits for.
        with t.step("ask for Run and be held"):
            self._ask_for_run()
        with t.step("read every shard twice on each node and compare the bytes"):
            self._read_twice()
        with t.step("read from a pod through its node's agent"):
            self.summary["reads"]["podBytesVerified"] = run_trainer(w)
        self.background = Background(w.state, self.kube.nodes, w.warm_manifest, TENANT_KEYS)
        with t.step("reach Walk, with evidence"):
            self._await_walk()
        with t.step("ask Prometheus every query of the dashboard and what the alerts look at"):
            self._check_dashboard()
        with t.step("agents run under the seccomp profile of theirs, and wait by io_uring"):
            self._check_poller()
        with t.step("fault: the origin refuses"):
            faults.origin(self)
        with t.step("fault: Prometheus is stopped"):
            faults.prometheus(self)
        with t.step("fault: controller and API server are stopped"):
            faults.control_plane(self)
        with t.step("fault: an agent is killed with -9"):
            faults.agent(self)
        # All three while the budget recovers from the faults: Run could not be reached meanwhile.
        with t.step("repair what is deleted and edited by hand"):
            rollout.repair(self)
        with t.step("roll out a changed agent image, node by node; reads go on"):
            rollout.roll_out(self)
        with t.step("release by a Rollout: a canary node, a gate, then the rest; reads go on"):
            rollout.release(self)
        with t.step("healed: reach Run"):
            self._await_stage("Run", 300)
            self.why["run"] = self.kube.sluice("why", "site/phoenix")
        summary = self._finish()
        if not keep:
            with t.step("delete the site, erase its nodes, uninstall: nothing is left"):
                take_down(w)
        return summary

    def _await_ready(self):
        def ready():
            self.world.load_rules()
            site = self.kube.get("site", "phoenix")
            conditions = {c["type"]: c for c in site.get("status", {}).get("conditions", [])}
            condition = conditions.get("Ready", {})
            if condition.get("status") == "True":
                return True
            raise RuntimeError(f"Ready is {condition.get('status', 'not told')}: "
                               f"{condition.get('message', '')}")
        self.timeline.wait("the site to be Ready", ready, 120)

    def _await_stage(self, stage, deadline_s):
        def reached():
            self.world.load_rules()
            status = self.kube.get("site", "phoenix").get("status", {})
            if status.get("stage") == stage:
                return status
            held = "; ".join(f"{b['gate']} {b.get('cause', '')}: {b.get('message', '')}"
                             for b in status.get("blockedBy", []))
            raise RuntimeError(f"at {status.get('stage', 'no stage')}, held by {held or 'nothing'}")
        status = self.timeline.wait(f"stage {stage}", reached, deadline_s)
        self.summary["stages"].append({"stage": stage, "reachedAt": status["stageReachedAt"]})

    def _read_twice(self):
        w = self.world
        before = w.origin.object_reads()
        cold = read_all(self.kube.nodes, w.warm_manifest, TENANT_KEYS)
        between = w.origin.object_reads()
        warm = read_all(self.kube.nodes, w.warm_manifest, TENANT_KEYS, "--seed", 1)
        second = w.origin.object_reads() - between
        if between == before:
            raise StepFailed("the first epoch made no read at the origin: its log is no witness")
        if second:
            raise StepFailed(f"the second epoch made {second} reads at the origin")

        def rate(reports):
            return round(sum(r["bytesVerified"] / r["seconds"] for r in reports) / 2**20, 1)
        self.summary["reads"] = {
            "bytesVerified": sum(r["bytesVerified"] for r in cold + warm),
            "coldMiBps": rate(cold), "warmMiBps": rate(warm),
            "originReadsFirstEpoch": between - before, "originReadsSecondEpoch": second}

    def _ask_for_run(self):
        self.kube.kubectl("patch", "site", "phoenix", "--type=merge", "-p", json.dumps(
            {"spec": {"stage": "Run", "requestedBy": self.world.user()}}))
        held = self.timeline.wait(
            "a Hold with its cause",
            lambda: self.observer.seen("-walk", "Hold", ("Soaking", "InsufficientSamples")), 60)
        self.why["held"] = self.kube.sluice("why", "site/phoenix")
        if held["cause"] not in self.why["held"]:
            raise StepFailed(f"why does not name {held['cause']}:\n{self.why['held']}")
        chain = json.loads(self.kube.sluice("why", "site/phoenix", "-o", "json"))
        if not chain:
            raise StepFailed("why -o json is empty")
        print(self.why["held"])

    def _await_walk(self):
        self._await_stage("Walk", 180)
        passed = self.world.promotion("Walk")["status"]["gates"]
        if any(g["verdict"] != "Pass" or not g.get("evidenceHash") for g in passed):
            raise StepFailed(f"Walk was reached without evidence: {passed}")

    def _check_dashboard(self):
        answer = run(ROOT / "deploy/dashboards/check", self.world.prometheus.url, "--wait", 30,
                     timeout=60)
        (self.world.state / "queries.txt").write_text(answer)

    def _check_poller(self):
        """Under the profile that was put on the nodes agents have the ring, where the kernel has it."""
        switch = pathlib.Path("/proc/sys/kernel/io_uring_disabled")
        disabled = switch.exists() and switch.read_text().strip() != "0"
        wanted = "epoll" if disabled else "io_uring"
        polling = self.world.prometheus.query(f'count(sluice_agent_poller{{poller="{wanted}"}} == 1)')
        if [value for _, value in polling] != [len(self.kube.nodes)]:
            raise StepFailed(f"not every agent waits by {wanted}: {polling}")

    def _finish(self):
        self.background.stop()
        self.background = None
        self.observer.stop()
        self.observer, observer = None, self.observer
        self.summary["verdicts"] = [
            {k: v[k] for k in ("promotion", "gate", "verdict", "cause", "at")}
            for v in observer.verdicts]
        self.summary["steps"] = self.timeline.steps
        self.summary["finishedAt"] = datetime.datetime.now(datetime.timezone.utc).isoformat(
            timespec="seconds")
        return self.summary

    def stop_watching(self):
        if self.background is not None:
            self.background.stop()
        if self.observer is not None:
            self.observer.stop()

    def close(self):
        self.stop_watching()
        self.world.close()
