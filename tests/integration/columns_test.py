#!/usr/bin/env python3
"""What `kubectl get` shows: the columns of every kind, with the stage and the first blocker filled in
from the status, and the names users type."""
import json
import sys
import unittest

import apiserver
from apiserver import GROUP, ROOT

TESTDATA = ROOT / "api/testdata"
MERGE = "application/merge-patch+json"
SINCE = "2026-11-22T05:00:00Z"
READY = {"type": "Ready", "status": "False", "reason": "AgentsMissing", "message": "1 of 2",
         "lastTransitionTime": SINCE}
STATUS = {
    "sites": {"stage": "Crawl", "agents": {"wanted": 2, "ready": 0}, "conditions": [READY],
              "blockedBy": [{"gate": "soak", "cause": "Soaking"}, {"gate": "burn"}]},
    "promotions": {"blockedBy": [{"gate": "nodes", "cause": "GateFailed"}]},
    "servicelevelobjectives": {"budgetRemaining": "0.82", "conditions": [
        {**READY, "type": "RulesReady", "status": "True", "reason": "Applied"},
        {**READY, "type": "Measurable", "reason": "NoData"}]},
    "tenants": {"conditions": [READY], "blockedBy": [{"gate": "TenancyExceeded"}]},
    "stageplans": {"conditions": [{**READY, "status": "True"}]},
    "siteclasses": {"sites": 2, "conditions": [{**READY, "status": "True"}]},
    "readinessreviews": {"missing": ["docs: not verified; owner ana@example.com"],
                         "conditions": [{**READY, "type": "Complete"}]},
    "decisions": {"outcome": "Pending", "missing": ["Decide: 0 of 1 (group council)"]},
    "approvals": {"conditions": [{**READY, "type": "Counted"}]},
    "exemptions": {"hides": ["phoenix-7-walk/availability: GateFailed"],
                   "conditions": [{**READY, "type": "Active", "status": "True"}]},
    "freezewindows": {"reopensAt": SINCE, "conditions": [{**READY, "type": "Closed", "status": "True"}]},
    "incidents": {"conditions": [{**READY, "type": "Closed"}]},
    "releases": {"verifiedIn": [{"site": "phoenix", "rollout": "weekly", "at": SINCE}],
                 "conditions": [{**READY, "type": "Supported", "status": "True"}]},
    "rollouts": {"wave": "canary", "blockedBy": [{"gate": "phoenix/quiet", "cause": "IncidentOpen"}]},
}
SHOWN = {
    "sites": {"Name": "phoenix", "Stage": "Crawl", "Wants": "Run", "Ready": "False", "Agents": 0,
              "Blocked-By": "soak"},
    "promotions": {"Name": "phoenix-7-walk", "Site": "phoenix", "From": "Crawl", "Stage": "Walk",
                   "Outcome": None, "Blocked-By": "nodes"},
    "servicelevelobjectives": {"Name": "phoenix-read-availability", "Subject": "phoenix",
                               "Target": "0.999", "Window": "30d", "Budget": "0.82",
                               "Blocked-By": "NoData"},
    "tenants": {"Name": "falcon", "Sites": '["phoenix"]', "Ready": "False",
                "Blocked-By": "TenancyExceeded"},
    "stageplans": {"Name": "crawl-walk-run", "From": "Crawl", "To": "Run",
                   "Ready": "True"},
    "siteclasses": {"Name": "liquid", "Plan": "crawl-walk-run", "GPUs": 8,
                    "Cooling": "DirectLiquid", "Ready": "True"},
    "readinessreviews": {"Name": "phoenix-walk", "Site": "phoenix", "Stage": "Walk", "Complete": "False",
                         "Missing": "docs: not verified; owner ana@example.com"},
    "decisions": {"Name": "phoenix-walk", "About": "phoenix", "Stage": "Walk", "Outcome": "Pending",
                  "Missing": "Decide: 0 of 1 (group council)"},
    "approvals": {"Name": "phoenix-walk-bo", "Decision": "phoenix-walk", "Approver": "bo@example.com",
                  "Role": "Decide", "Verdict": "Agree"},
    "exemptions": {"Name": "deal-42", "Ticket": "DEAL-42", "Decision": "deal-42", "Active": "True",
                   "Hides": "phoenix-7-walk/availability: GateFailed"},
    "freezewindows": {"Name": "weekends", "Closed": "True", "Reopens": SINCE, "Closes": None,
                      "Reason": "Year's end."},
    "incidents": {"Name": "inc-7", "Severity": "Severity2", "State": "Open", "Owner": "ana@example.com",
                  "Sites": '["phoenix"]', "Summary": "Reads are slow."},
    "releases": {"Name": "agent-1-4-0", "Version": "1.4.0", "Supported": "True",
                 "Supported-Until": "2027-06-30T00:00:00Z", "End-Of-Life": "2027-12-31T00:00:00Z",
                 "Verified-In": "phoenix"},
    "rollouts": {"Name": "weekly", "Release": "agent-1-4-0", "Action": "Run", "Wave": "canary",
                 "Outcome": None, "Blocked-By": "phoenix/quiet"},
}


class Columns(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(apiserver.running())

    def table(self, plural, name):
        self.server.accept = "application/json;as=Table;g=meta.k8s.io;v=v1"
        try:
            body = self.server.call("GET", f"{GROUP}{plural}/{name}").body
        finally:
            self.server.accept = None
        names = [column["name"] for column in body["columnDefinitions"]]
        return dict(zip(names, body["rows"][0]["cells"]))

    def test_every_kind_shows_its_state(self):
        for plural, status in STATUS.items():
            with self.subTest(kind=plural):
                singular = plural[:-2] if plural == "siteclasses" else plural[:-1]
                sample = (TESTDATA / singular / "valid.yaml").read_text()
                made = self.server.call("POST", GROUP + plural, sample, "application/yaml")
                self.assertEqual(made.code, 201, made.message)
                name = made.body["metadata"]["name"]
                try:
                    written = self.server.call("PATCH", f"{GROUP}{plural}/{name}/status",
                                               {"status": status}, MERGE)
                    self.assertEqual(written.code, 200, written.message)
                    shown = self.table(plural, name)
                    self.assertIn("Age", shown)
                    for when in ("Age", "Expires", "Next-Stale"):  # told as time from now
                        shown.pop(when, None)
                    self.assertLessEqual(len(shown), 6, "Name and Age aside, five fit")
                    self.assertEqual(shown, SHOWN[plural])
                finally:
                    self.server.call("DELETE", f"{GROUP}{plural}/{name}")

    def test_users_type_short_names_and_the_category(self):
        body = self.server.call("GET", GROUP.rstrip("/")).body
        kinds = {r["name"]: r for r in body["resources"] if "/" not in r["name"]}
        taken = []
        for name, resource in kinds.items():
            self.assertEqual(resource.get("categories"), ["sluice"], name)
            taken += resource.get("shortNames", [])
        self.assertEqual(len(taken), len(set(taken)), json.dumps(taken))
        self.assertIn("slo", taken)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
