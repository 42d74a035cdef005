"""What people keep beside a site: one object of each of their kinds, about the worlds of scenarios.py."""
from . import scenarios

FAR = "2099-01-01T00:00:00Z"
SOME = {"uid": "u1", "generation": 1, "planHash": "9f2c0b6d"}


def _object(kind, name, **spec):
    return {"apiVersion": scenarios.SLUICE, "kind": kind, "metadata": {"name": name}, "spec": spec}


DECISION = _object(
    "Decision", "phoenix-run", question="May phoenix enter Run?",
    subject={"kind": "Site", "name": "phoenix", **SOME, "stage": "Run"}, requestedBy="somebody",
    roles=[{"role": "Agree", "users": ["legal@example.com"], "groups": ["security"], "quorum": 1}],
    expiresAt=FAR)
APPROVAL = _object(
    "Approval", "phoenix-run-bo", decisionRef={"name": "phoenix-run", "uid": "d1"}, subject=SOME,
    role="Agree", verdict="Agree", approver={"user": "bo@example.com", "groups": ["security"]},
    expiresAt=FAR)
EXEMPTION = _object(
    "Exemption", "deal-42", sites={"names": ["phoenix"]}, gates=["availability"],
    reason="The deal of March.", ticket="DEAL-42", requestedBy="somebody", decisionRef={"name": "deal-42"},
    expiresAt=FAR)
FREEZE = _object(
    "FreezeWindow", "next-century", reason="Not now.", sites={"names": ["phoenix"]},
    exceptions=["Security"], once={"from": FAR, "to": "2099-02-01T00:00:00Z"})
INCIDENT = _object("Incident", "inc-7", sites=["phoenix"], severity="Severity3",
                   summary="Reads are slow.", owner="ana@example.com", state="Open")
REVIEW = _object(
    "ReadinessReview", "phoenix-run", siteRef={"name": "phoenix"}, stage="Run", items=[
        {"name": "runbooks", "owner": "ana@example.com", "evidence": "https://wiki.example.com/r",
         "verifiedBy": "bo@example.com", "verifiedAt": "2026-01-01T10:00:00Z", "validFor": "90d"}])
# The Decision before who votes on it; all of them may be applied at once.
ALL = [DECISION, APPROVAL, EXEMPTION, FREEZE, INCIDENT, REVIEW]
