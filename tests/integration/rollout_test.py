#!/usr/bin/env python3
"""A release over two sites on a real API server with the shipped rights and policies: canary, steps, a
gate and a freeze between the waves, the controller killed on the way, and all of it reverted; what
`kubectl sluice` and the audit log say about it; and a wave in which the controller is killed at every
turn. The DaemonSet controller and the kubelets are played (fleet.py). SLUICE_TRANSCRIPT=FILE keeps what was
printed."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

import governance_test
from apiserver import GROUP, wait_until
from fleet import Fleet
from governance_test import BUILD, EVE, NAMESPACE, PATIENCE, plan
from people_test import in_days, make
from policies_test import MERGE

OLD = "registry.example.com/agent@sha256:" + "a" * 64
NEW = "registry.example.com/agent@sha256:" + "b" * 64
NODES = 3


class Rollouts(governance_test.Governance):
    test_a_site_climbs_from_crawl_to_run_only_as_people_allow = None

    def start(self):
        with open(self.folder / "controller.log", "ab") as log:
            self.process = subprocess.Popen(
                [BUILD / "bin/sluice-controller", f"--kubeconfig={self.kubeconfig}",
                 f"--namespace={NAMESPACE}", "--leader-elect=false", "--metrics-address=127.0.0.1:0",
                 "--health-address=", "--control-address=127.0.0.1:0",
                 "--enrolment-address=127.0.0.1:0", "--agent-image=agent:1",
                 f"--audit-directory={self.folder / 'audit'}"], stdout=log, stderr=log)

    def release(self, name, version, image, **more):
        self.create(make("Release", name, {"version": version, "image": image, **more}))

    def make_site(self, name):
        self.create(make("Site", name, {
            "classRef": {"name": "small"}, "nodeSelector": {"sluice.dev/site": name},
            "release": {"image": OLD}, "stage": "Run", "requestedBy": self.admin}))

    def pods(self, site):
        answer = self.server.call("GET", f"/api/v1/namespaces/sluice-site-{site}/pods")
        return [p for p in answer.body.get("items", []) if "deletionTimestamp" not in p["metadata"]]

    def on(self, site, image):
        return sum(p["spec"]["containers"][0]["image"] == image for p in self.pods(site))

    def status(self):
        return self.server.call("GET", GROUP + "rollouts/weekly").body.get("status", {})

    def closed(self, window):
        status = self.server.call("GET", GROUP + f"freezewindows/{window}").body.get("status", {})
        return any(c["type"] == "Closed" and c["status"] == "True" for c in status.get("conditions", []))

    def entry(self, site):
        return next((s for s in self.status().get("sites", []) if s["name"] == site), {})

    def until(self, condition, what):
        def checked():
            if self.fleet.error:
                raise self.fleet.error
            return condition()
        try:
            wait_until(checked, what, PATIENCE)
        except TimeoutError as error:
            raise AssertionError(f"{error}; status {json.dumps(self.status())}") from None

    def held_by(self, gate, cause, *words):
        self.until(lambda: any(b["gate"] == gate and b["cause"] == cause
                               for b in self.status().get("blockedBy", [])), f"{gate} {cause}")
        text = self.sluice("why", "rollout/weekly")
        self.assertRegex(text, rf"(?m)^  HOLD  {gate}  {cause}  ")
        for word in words:
            self.assertIn(word, text)

    def goes_on(self):
        """Whether `can-advance` says so, and what it says."""
        command = ["can-advance", "rollout/weekly", "--dry-run"]
        result = subprocess.run([BUILD / "bin/kubectl-sluice", *command], capture_output=True, text=True,
                                timeout=60, env={**os.environ, "KUBECONFIG": str(self.server.kubeconfig)})
        self.transcript.append(f"$ kubectl sluice {' '.join(command)}\n{result.stdout}")
        self.assertIn(result.returncode, (0, 1), result.stderr)
        return result.returncode == 0, result.stdout

    def act(self, action):
        self.patch("rollouts/weekly", {"spec": {"action": action}})

    def begin(self, nodes):
        (self.folder / "audit").mkdir()
        self.fleet = Fleet(self.server, self.folder, nodes)
        self.addCleanup(self.fleet.close)
        self.start()
        self.create(plan("127.0.0.1:1", self.admin))
        self.create_class()
        self.release("agent-1", "1.0.0", OLD)
        for site in ("phoenix", "reno"):
            self.make_site(site)
            self.until(lambda site=site: self.on(site, OLD) == nodes, f"{site} to run")

    def entries(self):
        files = sorted((self.folder / "audit").glob("*.jsonl"))
        self.sluice("audit", "verify", *map(str, files), "--partial", show=False)
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def test_killed_at_every_turn_of_a_wave_no_node_is_moved_twice_or_missed(self):
        nodes, kills, seen = 5, 0, None
        self.begin(nodes)
        self.release("agent-2", "2.0.0", NEW)
        self.create(make("Rollout", "weekly", {
            "releaseRef": {"name": "agent-2"}, "requestedBy": self.admin, "waves": [
                {"name": "all", "sites": {"names": ["phoenix", "reno"]}, "stepPercent": 40,
                 "soakSeconds": 0}]}))

        def turn():
            """What changes whenever a step is made or a node is moved."""
            return [(s["name"], s.get("targetNodes"), s.get("updatedNodes"), s.get("state"))
                    for s in self.status().get("sites", [])]
        while self.status().get("outcome") is None:
            self.until(lambda: turn() != seen or self.status().get("outcome"), "the next turn")
            seen = turn()
            if kills < 10:
                self.stop()
                kills += 1
                self.start()
        self.assertEqual(self.status()["outcome"], "Completed")
        self.assertGreaterEqual(kills, 4, "turns were missed: one a node at least was to be seen")
        for site in ("phoenix", "reno"):
            moved = sorted(node for space, node, image in self.fleet.made
                           if space == f"sluice-site-{site}" and image == NEW)
            self.assertEqual(moved, self.fleet.nodes, site)
        self.assertEqual(self.fleet.most_down, 1, "maxUnavailable")
        self.stop()
        for site in ("phoenix", "reno"):
            steps = [e["data"]["nodes"] for e in self.entries()
                     if e["type"] == "RolloutStep" and e["data"]["site"] == site]
            # A step may be on record twice, where it was killed between the record and the step itself.
            self.assertEqual(list(dict.fromkeys(steps)), ["0 -> 1 of 5", "1 -> 3 of 5", "3 -> 5 of 5"], site)

    def test_a_release_goes_over_two_sites_and_back(self):
        self.begin(NODES)
        self.release("agent-2", "2.0.0", NEW, upgradeFrom=["1.5.0"], endOfLife=in_days(90))
        self.out()
        self.between_the_waves()
        self.back()
        self.recorded()
        if path := os.environ.get("SLUICE_TRANSCRIPT"):
            pathlib.Path(path).write_text("\n".join(self.transcript))

    def rollout(self, release):
        return make("Rollout", "weekly", {
            "releaseRef": {"name": release}, "requestedBy": self.admin, "progressDeadlineSeconds": 3600,
            "waves": [{"name": "canary", "sites": {"names": ["phoenix"]}, "stepPercent": 50,
                       "soakSeconds": 0},
                      {"name": "west", "sites": {"names": ["reno"]}, "soakSeconds": 0,
                       "gates": [{"name": "quiet", "incident": {"atOrAbove": "Severity2"}}]}]})

    def out(self):
        """Not from a version it may not come from; then one node, across a restart; then the site."""
        self.create(self.rollout("agent-2"))
        self.held_by("phoenix/upgrade", "Misconfigured", "spec.upgradeFrom of Release agent-2 names 1.5.0",
                     "site phoenix runs 1.0.0")
        self.assertEqual(self.server.call("DELETE", GROUP + "rollouts/weekly").code, 200)
        self.assertEqual(self.server.call("DELETE", GROUP + "releases/agent-2").code, 200)
        self.release("agent-2", "2.0.0", NEW, upgradeFrom=["1.0.0"], endOfLife=in_days(90))
        self.fleet.unready = {("sluice-site-phoenix", NEW)}
        self.create(self.rollout("agent-2"))
        self.until(lambda: self.entry("phoenix").get("updatedNodes") == 1, "the canary node")
        self.assertIn("phoenix  Moving  1 of 3 nodes may have it, 1 do, 0 ready",
                      self.sluice("why", "rollout/weekly"))
        self.stop()
        self.start()
        self.act("Pause")
        self.held_by("action", "Paused")
        self.assertEqual(self.on("phoenix", NEW), 1)
        refused = self.server.call("PATCH", GROUP + "sites/phoenix",
                                   {"spec": {"release": {"image": OLD}}}, MERGE)
        self.assertEqual(refused.code, 403, refused.message)
        self.fleet.unready = set()
        self.until(lambda: self.entry("phoenix").get("readyNodes") == 1, "the canary to be ready")
        self.create(make("Incident", "inc-7", {"sites": ["phoenix"], "severity": "Severity1",
                                               "summary": "Reads fail.", "owner": EVE}))
        self.act("Run")
        self.until(lambda: self.entry("phoenix").get("state") == "Done", "phoenix to be done")
        self.assertEqual(self.on("phoenix", NEW), NODES)

    def between_the_waves(self):
        self.held_by("phoenix/quiet", "IncidentOpen", "inc-7")
        goes_on, text = self.goes_on()
        self.assertFalse(goes_on)
        self.assertIn("no: weekly takes no step: wave west is held\n  phoenix/quiet  IncidentOpen", text)
        self.assertIn("rollout/weekly  to agent-2, at wave west: held by phoenix/quiet (IncidentOpen)",
                      self.sluice("agenda"))
        refused = self.server.call("DELETE", GROUP + "rollouts/weekly")
        self.assertEqual(refused.code, 403, refused.message)
        self.assertEqual(self.on("reno", NEW), 0)
        self.create(make("FreezeWindow", "golden-run", {
            "reason": "Golden run of March.", "sites": {"names": ["reno"]},
            "once": {"from": in_days(-1), "to": in_days(2)}}))
        # Each kind has a watch of its own: the incident's end must not be seen before the freeze.
        self.until(lambda: self.closed("golden-run"), "the freeze to be known")
        self.patch("incidents/inc-7", {"spec": {"state": "Closed",
                                                "postmortem": "https://wiki.example.com/pm-7"}})
        self.held_by("reno/freeze", "Frozen", "Golden run of March.")
        self.fleet.unready = {("sluice-site-reno", NEW)}
        self.patch("freezewindows/golden-run", {"spec": {"allowReleases": ["agent-2"]}})
        self.until(lambda: self.entry("reno").get("updatedNodes") == 1, "reno's canary node")
        self.assertEqual(self.goes_on(), (True, "yes: weekly goes on with agent-2, at wave west\n"))

    def back(self):
        """Reno's two other nodes never left, so their agents are not touched on the way back."""
        stayed = {p["metadata"]["uid"] for p in self.pods("reno")
                  if p["spec"]["containers"][0]["image"] == OLD}
        self.assertEqual(len(stayed), NODES - 1)
        self.patch("freezewindows/golden-run", {"spec": {"allowReleases": ["agent-3"]}})
        self.act("Revert")
        self.held_by("reno/freeze", "Frozen")
        self.server.call("DELETE", GROUP + "freezewindows/golden-run")
        self.until(lambda: self.status().get("outcome") == "Reverted", "the revert")
        for site in ("phoenix", "reno"):
            self.assertEqual(self.on(site, OLD), NODES, site)

            def release(site=site):
                return self.server.call("GET", GROUP + "sites/" + site).body["spec"]["release"]
            self.until(lambda: "rolloutRef" not in release(), f"{site} to be let go of")
            self.assertEqual(release(), {"image": OLD, "imagePullPolicy": "IfNotPresent"})
        self.assertLessEqual(stayed, {p["metadata"]["uid"] for p in self.pods("reno")})
        self.assertEqual(self.fleet.most_down, 1, "maxUnavailable")
        self.sluice("why", "rollout/weekly")
        verified = self.server.call("GET", GROUP + "releases/agent-2").body["status"]["verifiedIn"]
        self.assertEqual([v["site"] for v in verified], ["phoenix"])

    def recorded(self):
        self.stop()
        entries = self.entries()
        steps = [e["data"]["nodes"] for e in entries
                 if e["type"] == "RolloutStep" and e["data"]["site"] == "phoenix"]
        self.assertEqual(list(dict.fromkeys(steps)), ["0 -> 1 of 3", "1 -> 3 of 3"])
        types = [e["type"] for e in entries if e["type"].startswith("Rollout")]
        for wanted in ("RolloutPaused", "RolloutResumed", "RolloutReverting", "RolloutSiteReverted"):
            self.assertIn(wanted, types)
        self.assertEqual(types[-1], "RolloutEnded")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
