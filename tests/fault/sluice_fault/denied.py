"""Worlds in which the controller needs each right of its roles, for rights_test.py."""
import base64
import contextlib
import copy
import dataclasses
import json
import time
import typing

from . import cases, people, scenarios, world

MERGE = "application/merge-patch+json"
KINDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RULES = "/apis/monitoring.coreos.com/v1"
PROMOTIONS = f"/apis/{scenarios.SLUICE}/promotions"
AUTHORITY = f"/api/v1/namespaces/{world.NAMESPACE}/secrets/sluice-ca"
KIND_SECONDS = 60
FINISHED_KEPT = 50  # Promotions of a Site
# As much of the Prometheus Operator as the controller looks for.
RULES_KIND = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "prometheusrules.monitoring.coreos.com"},
    "spec": {"group": "monitoring.coreos.com", "scope": "Namespaced",
             "names": {"kind": "PrometheusRule", "plural": "prometheusrules",
                       "singular": "prometheusrule"},
             "versions": [{"name": "v1", "served": True, "storage": True,
                           "schema": {"openAPIV3Schema": {
                               "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}}


@dataclasses.dataclass(frozen=True)
class World:
    scenario: scenarios.Scenario
    needs: frozenset   # the rights that no world above needs
    around: typing.Callable = lambda lane: contextlib.nullcontext()  # entered before the start state is there


def no_templates(lane):
    """The class no longer has a template: its objectives are taken away."""
    bare = copy.deepcopy(scenarios.CLASS)
    del bare["spec"]["sloTemplates"]
    lane.apply(bare)


def without_objective(objects):
    return not any(thing["metadata"]["name"] == "phoenix-availability" for thing in objects)


def people_seen(objects):
    """Every kind of theirs was looked at."""
    wanted = {thing["kind"] for thing in people.ALL}
    return wanted <= {thing["kind"] for thing in objects if thing.get("status")}


def many_promotions(lane):
    """As many finished ones more as are kept, so that the oldest is forgotten."""
    first = lane.must("GET", PROMOTIONS)["items"][0]
    for at in range(FINISHED_KEPT):
        meta = {"name": f"phoenix-9{at:02d}-crawl",
                "ownerReferences": first["metadata"]["ownerReferences"]}
        lane.must("POST", PROMOTIONS, {**first, "metadata": meta})
        lane.must("PATCH", f"{PROMOTIONS}/{meta['name']}/status",
                  json.dumps({"status": first["status"]}), MERGE)


def oldest_forgotten(objects):
    promotions = [thing for thing in objects if thing["kind"] == "Promotion"]
    return len(promotions) == FINISHED_KEPT and all(thing.get("status") for thing in promotions)


def old_authority(lane):
    """One that ends in two days, as after five years: whoever leads renews it when it sees it."""
    wait(lambda: "fencing epoch raised" in lane.controller.log.read_text(), "the controller to lead")
    texts = [path.read_bytes() for path in lane.new_certificate("aged")]
    lane.must("PATCH", AUTHORITY, json.dumps({"data": {
        key: base64.b64encode(text).decode() for key, text in zip(("ca.crt", "ca.key"), texts)}}), MERGE)


def authority_renewed(objects):
    return scenarios.created(objects) and any(
        thing["metadata"]["name"] == "sluice-ca" and "previous.crt" in thing["data"]
        for thing in objects if thing["kind"] == "Secret")


def _why(objects):
    """Why phoenix is ready, or is not."""
    return next((each["reason"] for thing in objects if thing["kind"] == "Site"
                 for each in thing.get("status", {}).get("conditions", []) if each["type"] == "Ready"), "")


def comes_and_goes(lane):
    """The same is told of the Site twice: the second time by its Event of before."""
    first = _why(cases.reach(lane, lambda objects: scenarios.created(objects) and _why(objects), 0.3))
    for _ in range(2):
        lane.must("DELETE", f"/api/v1/namespaces/{world.NAMESPACE}/secrets/lake-agent")
        cases.reach(lane, lambda objects: _why(objects) != first, 0.3)
        lane.apply(*scenarios.BEFORE)
        cases.reach(lane, lambda objects: _why(objects) == first, 0.3)


def _served(lane):
    """The kind is found, and its objects are."""
    try:
        return "prometheusrules" in json.dumps(lane.look(RULES)) and lane.look(f"{RULES}/prometheusrules")
    except ValueError:  # nobody's path yet: told as text
        return None


@contextlib.contextmanager
def rules_kind(lane):
    """The kind is there meanwhile; it takes its objects along when it goes."""
    lane.must("POST", KINDS, RULES_KIND)
    name = f"{KINDS}/{RULES_KIND['metadata']['name']}"
    try:
        wait(lambda: _served(lane), "the kind to be served")
        yield
    finally:
        lane.must("DELETE", name)
        wait(lambda: not lane.look(name), "the kind to be gone")


def rules_moved(objects):
    return scenarios.created(objects) and not any(
        thing["metadata"]["name"].startswith("sluice-rules-") for thing in objects) and all(
        thing["status"].get("rulesObject", "").startswith("PrometheusRule ")
        for thing in objects if thing["kind"] == "ServiceLevelObjective")


def wait(condition, what):
    deadline = time.monotonic() + KIND_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {KIND_SECONDS} s for {what}")
        time.sleep(0.05)


def _status_of(*plurals):
    return {(f"{plural}/status", "patch") for plural in plurals}


def _world(name, act, done, needs, **more):
    return World(scenarios.Scenario(name, "create", act, done), frozenset(needs), **more)


RELEASE = World(scenarios.SCENARIOS["release"], frozenset(
    {("pods", "list"), ("pods", "delete"), ("controllerrevisions", "list"),
     *_status_of("releases", "rollouts")}))
REPEATS = ("events", "patch")  # half a minute after the Event that repeats
# What a world other than `create` (and its deletion) needs.
WORLDS = (
    RELEASE,
    _world("people", lambda lane: lane.apply(*people.ALL), people_seen, _status_of(
        "approvals", "decisions", "exemptions", "freezewindows", "incidents", "readinessreviews")),
    _world("no-templates", no_templates, without_objective, {("servicelevelobjectives", "delete")}),
    _world("many-promotions", many_promotions, oldest_forgotten, {("promotions", "delete")}),
    _world("old-authority", old_authority, authority_renewed, {("secrets", "update")}),
    _world("comes-and-goes", comes_and_goes, scenarios.created, {REPEATS}),
    _world("rules-kind", lambda lane: None, rules_moved,
           {("prometheusrules", "get"), ("prometheusrules", "create"), ("prometheusrules", "patch"),
            ("configmaps", "delete")}, around=rules_kind))


def world_of(resource, verb):
    """The world that needs this right; None: `create`."""
    return next((each for each in WORLDS if (resource, verb) in each.needs), None)
