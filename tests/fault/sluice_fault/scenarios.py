"""The worlds cases start from, what a person then does, and how a fault-free run is known to end.

One site on two plain Nodes, one tenant with an objective of its own, a class with an objective for
each site, a plan whose gates ask a real Prometheus.
"""
import copy
import dataclasses
import json
import typing

SLUICE = "sluice.dev/v1alpha1"


def _ratio(good, total):
    return {"ratio": {"good": good, "total": total}}


AVAILABILITY = _ratio('sum(rate(requests_total{site="$site",outcome="ok"}[$window]))',
                      'sum(rate(requests_total{site="$site"}[$window]))')
ALERTS = [{"severity": "Page", "longWindow": "10s", "shortWindow": "4s", "factor": "2"}]
OBJECTIVE = {"indicator": AVAILABILITY, "window": "20s", "target": "0.95", "minEvents": 10,
             "alertWindows": ALERTS}
AGENTS_GATE = {"name": "agents", "validForSeconds": 600, "metric": {
    "query": 'min(sluice_site_agents_ready{site="$site"})', "op": "gte", "threshold": "1",
    "freshnessSelector": 'sluice_site_agents_ready{site="$site"}'}}
RELEASED = "agent@sha256:" + "b" * 64
SOAK_GATE = {"name": "soak", "soak": {"seconds": 1}}


def _object(kind, name, spec, **metadata):
    return {"apiVersion": SLUICE, "kind": kind, "metadata": {"name": name, **metadata},
            "spec": spec}


def _secret(name, labels=None):
    return {"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": "sluice-system", "labels": labels or {}},
            "stringData": {"AWS_ACCESS_KEY_ID": name, "AWS_SECRET_ACCESS_KEY": name + "-secret"}}


def _node(name):
    return {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"sluice.dev/site": "phoenix"}}}


BEFORE = [_node("node-0"), _node("node-1"), _secret("lake-agent"),
          _secret("falcon-keys", {"sluice.dev/tenant": "falcon"})]
PLAN = _object("StagePlan", "ladder", {"stages": [
    {"name": "Crawl", "tenancy": "SingleTenant", "maxTenants": 1, "entryGates": [AGENTS_GATE]},
    {"name": "Walk", "tenancy": "CustomerTenant", "maxTenants": 2,
     "entryGates": [SOAK_GATE, AGENTS_GATE]},
    {"name": "Run", "tenancy": "ProviderTenant", "entryGates": [
        SOAK_GATE, {"name": "availability", "validForSeconds": 600,
                    "slo": {"template": "availability", "minBudgetRemaining": "0.5"}}]}]})
CLASS = _object("SiteClass", "small", {
    "hardware": {"gpusPerNode": 0}, "agent": {"memory": "256Mi", "protocols": ["S3"]},
    "stagePlanRef": {"name": "ladder"}, "sloTemplates": [{"name": "availability", **OBJECTIVE}]})
SITE = _object("Site", "phoenix", {
    "classRef": {"name": "small"}, "nodeSelector": {"sluice.dev/site": "phoenix"},
    "origins": [{"name": "lake", "s3": {"endpoint": "http://127.0.0.1:1", "region": "us-east-1",
                                        "credentialsRef": {"name": "lake-agent"}}}],
    "mounts": [{"path": "/datasets", "origin": "lake", "bucket": "training"}],
    "prometheus": {"scrapeIntervalSeconds": 1}, "stage": "Crawl", "requestedBy": "somebody"})
TENANT = _object("Tenant", "falcon", {
    "sites": ["phoenix"], "credentialsRef": {"name": "falcon-keys"},
    "access": [{"mount": "/datasets", "verbs": ["Read"]}]})
TENANT_OBJECTIVE = _object("ServiceLevelObjective", "falcon-reads", {
    "subjectRef": {"kind": "Tenant", "name": "falcon"}, **OBJECTIVE,
    "indicator": json.loads(json.dumps(AVAILABILITY).replace("$site", "phoenix"))})


def changed(thing, **spec):
    """The object with other fields of its spec."""
    thing = copy.deepcopy(thing)
    thing["spec"].update(spec)
    return thing


def site(prometheus, **spec):
    spec["prometheus"] = {"url": prometheus, "scrapeIntervalSeconds": 1}
    return changed(SITE, **spec)


def before(lane):
    lane.apply(*BEFORE)


def create(lane):
    lane.apply(PLAN, CLASS, site(lane.prometheus), TENANT, TENANT_OBJECTIVE)


def change(lane):
    """Everything that alters what agents serve, and an objective."""
    mounts = SITE["spec"]["mounts"] + [{"path": "/models", "origin": "lake", "bucket": "models"}]
    lane.apply(site(lane.prometheus, mounts=mounts),
               changed(TENANT, access=[{"mount": "/datasets", "verbs": ["Read", "List"]},
                                       {"mount": "/models", "verbs": ["Read"]}]),
               changed(TENANT_OBJECTIVE, target="0.9"))


def roll_out(lane):
    agent = {**CLASS["spec"]["agent"], "memory": "512Mi"}
    lane.apply(changed(CLASS, agent=agent),
               site(lane.prometheus, release={"image": "agent:2"}))


def release(lane):
    """A Release by a Rollout over the site's two nodes, the canary first."""
    lane.actor.make_pods()
    lane.apply(_object("Release", "agent-2", {"version": "2.0.0", "image": RELEASED}),
               _object("Rollout", "weekly", {
                   "releaseRef": {"name": "agent-2"}, "requestedBy": "somebody",
                   "waves": [{"name": "all", "sites": {"names": ["phoenix"]}, "soakSeconds": 0}]}))


def advance(lane):
    lane.apply(site(lane.prometheus, stage="Run"))


def delete(lane):
    for kind, name in (("servicelevelobjectives", "falcon-reads"), ("tenants", "falcon"),
                       ("sites", "phoenix")):
        lane.must("DELETE", f"/apis/{SLUICE}/{kind}/{name}")


# When a run without faults is over.

def _of(objects, kind, name):
    for thing in objects:
        if thing["kind"] == kind and thing["metadata"]["name"] == name:
            return thing
    return {}


def _condition(thing, kind):
    for each in thing.get("status", {}).get("conditions", []):
        if each["type"] == kind:
            return each["status"]
    return ""


def _stage_is(objects, stage):
    phoenix = _of(objects, "Site", "phoenix")
    return (phoenix.get("status", {}).get("stage") == stage
            and _condition(phoenix, "StageReached") == "True"
            and phoenix["status"].get("observedGeneration") == phoenix["metadata"]["generation"])


def created(objects):
    return (_stage_is(objects, "Crawl")
            and _condition(_of(objects, "Tenant", "falcon"), "Ready") == "True"
            and all(_condition(_of(objects, "ServiceLevelObjective", name), "Measurable") == "True"
                    for name in ("phoenix-availability", "falcon-reads")))


def rolled_out(objects):
    agent = _of(objects, "DaemonSet", "sluice-agent")
    container = agent["spec"]["template"]["spec"]["containers"][0]
    return (created(objects) and container["image"] == "agent:2"
            and _of(objects, "Site", "phoenix")["status"]["agents"].get("updated") == 2)


def released(objects):
    """Completed, and the site let go of: with the release and without the Rollout."""
    phoenix = _of(objects, "Site", "phoenix")
    return (_of(objects, "Rollout", "weekly").get("status", {}).get("outcome") == "Completed"
            and phoenix["spec"]["release"].get("image") == RELEASED
            and "rolloutRef" not in phoenix["spec"]["release"]
            and [v["site"] for v in _of(objects, "Release", "agent-2").get("status", {}).get(
                "verifiedIn", [])] == ["phoenix"]
            and created(objects))


def advanced(objects):
    return _stage_is(objects, "Run")


def deleted(objects):
    return not any(thing["kind"] in ("Site", "Tenant", "DaemonSet", "ServiceLevelObjective")
                   or thing["metadata"]["name"].startswith("sluice-site-") for thing in objects)


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    starts_from: str  # the name of the scenario whose end it starts from; "" for an empty cluster
    act: typing.Callable
    done: typing.Callable


SCENARIOS = {s.name: s for s in (
    Scenario("create", "", create, created),
    Scenario("change", "create", change, created),
    Scenario("rollout", "create", roll_out, rolled_out),
    Scenario("release", "create", release, released),
    Scenario("advance", "create", advance, advanced),
    Scenario("delete", "create", delete, deleted),
)}
