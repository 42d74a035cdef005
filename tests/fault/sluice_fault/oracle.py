"""What must hold after every case: the end state is the fault-free run's, down to what agents are configured
with, and the order of their configuration never fell. Pure."""
import json
import re

# Not compared: who made an object and when, and numbers that go on changing by themselves (those of
# an objective are written when they moved enough, docs/adr/0052-status-writes.md).
VOLATILE_KEYS = {
    "resourceVersion", "uid", "creationTimestamp", "managedFields", "deletionTimestamp",
    "clusterIP", "clusterIPs", "lastTransitionTime", "stageReachedAt", "completedAt", "startedAt",
    "since", "evaluatedAt", "sampleTime", "heldSince", "validUntil", "evidenceHash",
    "revision", "events", "samples", "value", "budgetRemaining", "longBurn", "shortBurn",
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DIGEST = re.compile(r"\b[0-9a-f]{12,64}\b")
SPAN = re.compile(r"\b\d+ (d|h|m|s|ms)\b( \d+ (d|h|m|s|ms)\b)*")
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.S)


def normal(value):
    """The value without what may differ between two right runs."""
    if isinstance(value, dict):
        # Several managers write conditions: their order is the order of the first writes.
        return {k: by_type(normal(v)) if k == "conditions" else normal(v)
                for k, v in value.items() if k not in VOLATILE_KEYS}
    if isinstance(value, list):
        return [normal(v) for v in value]
    if isinstance(value, str):
        for pattern, name in ((PEM, "<pem>"), (TIME, "<time>"), (UUID, "<uid>"), (DIGEST, "<hash>"),
                              (SPAN, "<span>")):
            value = pattern.sub(name, value)
    return value


def by_type(conditions):
    return sorted(conditions, key=lambda condition: condition["type"])


def state(objects):
    """{"kind namespace/name": object} of a list of objects, normalised."""
    result = {}
    for thing in objects:
        meta = thing["metadata"]
        key = f"{thing['kind']} {meta.get('namespace', '')}/{meta['name']}"
        if thing["kind"] == "Secret":
            result[key] = {"keys": sorted(thing.get("data", {}))}
            continue
        if meta["name"] == "sluice-agents-epoch":
            # Epoch and revision are judged by `orders_fell`; here: what is published.
            result[key] = {"sites": {k: digest_of(text) for k, text in thing["data"].items()
                                     if k.startswith("site.")}}
            continue
        if meta["name"].startswith("sluice-audit"):
            # The signed head of the decision log: how many records there are is history.
            result[key] = {"keys": sorted(thing.get("data", {}))}
            continue
        if thing["kind"] == "DaemonSet":
            thing = without_generations(thing)
        result[key] = normal(thing)
        if version := version_of(thing):
            result[key]["status"]["config"]["version"] = version
    return result


def digest_of(order):
    """Of EPOCH/REVISION/DIGEST: of all that a site's agents are configured with, credentials too."""
    return order.split("/")[2]


def version_of(thing):
    """The same of a Site's status; "" where there is none."""
    return thing.get("status", {}).get("config", {}).get("version", "") if thing["kind"] == "Site" else ""


def without_digests(state):
    """The state for a comparison with a world of another authority: digests are made with its key."""
    result = {}
    for key, thing in state.items():
        if key.endswith("/sluice-agents-epoch"):
            thing = {"sites": dict.fromkeys(thing["sites"], "<hash>")}
        result[key] = normal(thing)
    return result


def without_generations(thing):
    """Two changes of its template may come as one: how many there were is no part of the end."""
    meta, status = dict(thing["metadata"]), dict(thing.get("status", {}))
    meta.pop("generation", None)
    meta["annotations"] = {key: text for key, text in meta.get("annotations", {}).items()
                           if key != "deprecated.daemonset.template.generation"}
    status["seen"] = status.pop("observedGeneration", None) == thing["metadata"].get("generation")
    return {**thing, "metadata": meta, "status": status}


def difference(expected, found, limit=40):
    """Lines that tell what is different; empty when nothing is."""
    lines = []

    def walk(path, a, b):
        if a == b or len(lines) >= limit:
            return
        if isinstance(a, dict) and isinstance(b, dict):
            for key in sorted(a.keys() | b.keys()):
                walk(f"{path}.{key}", a.get(key), b.get(key))
        elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
            for at, (x, y) in enumerate(zip(a, b)):
                walk(f"{path}[{at}]", x, y)
        else:
            lines.append(f"{path.lstrip('.')}: expected {json.dumps(a)}, found {json.dumps(b)}")

    walk("", expected, found)
    return lines


def orders_fell(records):
    """What agents would see is (epoch, revision) of their site: it must never fall, and other
    content must come with a higher order. `records`: version -> data of the fencing record."""
    problems = []
    last, epoch, revision = {}, 0, 0
    for version in sorted(records):
        data = records[version]
        if int(data["epoch"]) < epoch or int(data["revision"]) < revision:
            problems.append(f"version {version}: {data['epoch']}/{data['revision']} came after "
                            f"{epoch}/{revision}")
        epoch, revision = int(data["epoch"]), int(data["revision"])
        for key, text in data.items():
            if not key.startswith("site."):
                continue
            site_epoch, site_revision, digest = text.split("/")
            order = (int(site_epoch), int(site_revision))
            before = last.get(key)
            if before and (order < before[0] or (order == before[0] and digest != before[1])):
                problems.append(f"version {version}: {key} {text} came after {before}")
            if order[0] > epoch:
                problems.append(f"version {version}: {key} {text} is above the epoch {epoch}")
            last[key] = (order, digest)
    return problems
