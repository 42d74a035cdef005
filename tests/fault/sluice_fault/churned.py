"""One round of churn: everything that is made, changed and taken away again beside the created world.

Names are partly those of three rounds before, partly new: both what is made anew and what never was before
must leave nothing behind."""
import base64
import json

from . import scenarios, world

TENANTS = 6
NAMES = 3           # a name that comes again comes every third round
MARK = "churned"    # in the name of everything of a round
NOBODY = "https://127.0.0.1:1"  # where no API server listens
SITES = ("home", "climbs", "elsewhere", "unreachable")
RELEASED = "agent@sha256:" + "c" * 64
PODS = ("/api/v1/namespaces/%s/pods", "/apis/apps/v1/namespaces/%s/controllerrevisions")


def is_churned(thing):
    return MARK in thing["metadata"]["name"]


def _condition(thing, kind):
    return next((each["status"] for each in thing.get("status", {}).get("conditions", [])
                 if each["type"] == kind), "")


class Round:
    def __init__(self, lane, rng, number):
        self.lane, self.rng, self.number = lane, rng, number
        self.again = f"{MARK}-{number % NAMES}"  # the stem of what comes again
        self.new = f"{MARK}-new-{number}"
        self.tenants = [f"{self.new if at % 2 else self.again}-{at}" for at in range(TENANTS)]
        # The release goes to a Site of a new name, since pods outlive their namespace here.
        self.sites = {what: f"{self.again if what == 'climbs' else self.new}-{what}" for what in SITES}
        self.objects = []

    # Made.

    def make(self):
        """A plan, a class, Nodes, Sites, Tenants with objectives of their own."""
        self._apply(self._named(scenarios.PLAN, self.again, stages=self._stages()),
                    self._named(scenarios.CLASS, self.again,
                                stagePlanRef={"name": self.again}, sloTemplates=[self._template()]))
        self._apply(*[self._node(f"{self.new}-{what}", name) for what, name in self.sites.items()],
                    self._node(f"{self.again}-phoenix", "phoenix"))
        self._apply(self._kubeconfig("elsewhere", f"https://127.0.0.1:{self.lane.proxy.port}"),
                    self._kubeconfig("unreachable", NOBODY))
        self._apply(*[self._site(what) for what in SITES])
        for name in self.tenants:
            self._apply(self._named(scenarios.TENANT, name),
                        self._named(scenarios.TENANT_OBJECTIVE, name,
                                    subjectRef={"kind": "Tenant", "name": name}))

    def made(self, objects):
        """The Sites that can be reached have climbed as far as they want."""
        sites = self._sites(objects)
        return (len(sites) == len(SITES)
                and all(_condition(sites[what], "StageReached") == "True"
                        for what in SITES if what != "unreachable")
                and _condition(sites["unreachable"], "ClusterServed") == "False")

    # Changed.

    def change(self):
        """Some Tenants, a Site's mounts and its Node, and a Release by a Rollout."""
        for name in self.rng.sample(self.tenants, TENANTS // 2):
            self._apply(self._named(scenarios.TENANT, name,
                                    access=[{"mount": "/datasets", "verbs": ["List"]}]))
        self._apply(self._site("climbs", mounts=[{"path": "/models", "origin": "lake",
                                                  "bucket": "models"}]))
        self._delete(f"/api/v1/nodes/{self.again}-phoenix")
        pods, space = self.lane.actor.pods, f"sluice-site-{self.sites['home']}"
        pods.nodes = [f"{self.new}-home"]
        pods.round(self.lane.must("GET", f"/apis/apps/v1/namespaces/{space}/daemonsets/sluice-agent"))
        self._apply(self._object("Release", self.new, {"version": "3.0.0", "image": RELEASED}),
                    self._object("Rollout", self.new, {
                        "releaseRef": {"name": self.new}, "requestedBy": "somebody", "waves": [
                            {"name": "all", "sites": {"names": [self.sites["home"]]},
                             "soakSeconds": 0}]}))

    def changed(self, objects):
        rollout = next(thing for thing in objects if thing["kind"] == "Rollout" and is_churned(thing))
        return rollout.get("status", {}).get("outcome") == "Completed"

    # Gone.

    def take_away(self):
        """What is owned goes by itself."""
        for kind in ("Rollout", "Release", "ServiceLevelObjective", "Tenant", "Site"):
            for thing in self.objects:
                if thing["kind"] == kind:
                    self._delete(world.path_of(thing))

    def gone(self, objects):
        """Sites first; then what they need, and what played kubelets left."""
        if self._sites(objects):
            return False
        left = [thing for thing in self.objects
                if thing["kind"] in ("SiteClass", "StagePlan", "Secret", "Node")]
        for thing in left:
            self.lane.call("DELETE", world.path_of(thing))
        for path in PODS:
            self.lane.call("DELETE", path % f"sluice-site-{self.sites['home']}",
                           {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0})
        return not any(is_churned(thing) for thing in objects)

    # The parts.

    @staticmethod
    def _object(kind, name, spec):
        return {"apiVersion": scenarios.SLUICE, "kind": kind, "metadata": {"name": name}, "spec": spec}

    @staticmethod
    def _named(thing, name, **spec):
        thing = scenarios.changed(thing, **spec)
        thing["metadata"]["name"] = name
        return thing

    @staticmethod
    def _stages():
        """Two, by a gate that Prometheus has data for."""
        gate = json.loads(json.dumps(scenarios.AGENTS_GATE).replace("$site", "phoenix"))
        return [{"name": "Crawl", "tenancy": "SingleTenant", "maxTenants": 1, "entryGates": [gate]},
                {"name": "Walk", "tenancy": "CustomerTenant", "maxTenants": 2,
                 "entryGates": [scenarios.SOAK_GATE]}]

    @staticmethod
    def _template():
        spec = {**scenarios.OBJECTIVE, "indicator": scenarios.TENANT_OBJECTIVE["spec"]["indicator"]}
        return {"name": "availability", **spec}

    @staticmethod
    def _node(name, site):
        return {"apiVersion": "v1", "kind": "Node",
                "metadata": {"name": name, "labels": {"sluice.dev/site": site}}}

    def _site(self, what, **spec):
        name = self.sites[what]
        spec["classRef"] = {"name": self.again}
        spec["nodeSelector"] = {"sluice.dev/site": name}
        spec["stage"] = "Walk" if what == "climbs" else "Crawl"
        if what in ("elsewhere", "unreachable"):
            spec["cluster"] = {"kubeconfigSecretRef": {"name": f"{self.new}-{what}"}}
            spec["control"] = {"endpoint": "controller:9443"}
        return self._named(scenarios.site(self.lane.prometheus), name, **spec)

    def _kubeconfig(self, what, server):
        """Our own cluster by another way, with the rights that the controller has."""
        user = json.loads(self.lane.kubeconfig.read_text())["users"][0]["user"]
        authority = base64.b64encode((self.lane.folder / "proxy.crt").read_bytes()).decode()
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "there",
                  "clusters": [{"name": "there", "cluster": {
                      "server": server, "certificate-authority-data": authority}}],
                  "users": [{"name": "there", "user": user}],
                  "contexts": [{"name": "there", "context": {"cluster": "there", "user": "there"}}]}
        return {"apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": f"{self.new}-{what}", "namespace": world.NAMESPACE,
                             "labels": {"sluice.dev/cluster": "true"}},
                "stringData": {"kubeconfig": json.dumps(config)}}

    def _apply(self, *objects):
        self.lane.apply(*objects)
        known = {world.path_of(thing) for thing in self.objects}
        self.objects += [thing for thing in objects if world.path_of(thing) not in known]

    def _delete(self, path):
        self.lane.must("DELETE", path)

    def _sites(self, objects):
        """{what: Site} of this round's."""
        found = {thing["metadata"]["name"]: thing for thing in objects if thing["kind"] == "Site"}
        return {what: found[name] for what, name in self.sites.items() if name in found}
