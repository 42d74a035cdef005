"""What must hold after every case: the end state is the fault-free run's, down to what agents are configured
with, and the order of their configuration never fell, on record or at a real agent. Pure."""
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


COMMAND = re.compile(r"configuration (applied|refused).*? version=(\S+) epoch=(\d+) revision=(\d+)")


def published(records, site):
    """All that the fencing record ever named for a site, as EPOCH/REVISION/DIGEST."""
    return {data[f"site.{site}"] for data in records.values() if f"site.{site}" in data}


def commands_fell(log, ever):
    """What a real agent's log says against the commands it got: none was taken, one was taken after a higher one, or
    one was offered that is not among `ever`, those published. A former one may be offered by a replica that
    knows no better, and must be refused (docs/adr/0040)."""
    problems, highest, taken = [], (0, 0), 0
    for what, version, epoch, revision in COMMAND.findall(log):
        order = (int(epoch), int(revision))
        if what == "applied" and order < highest:
            problems.append(f"applied {order} {version} after {highest}")
        if f"{epoch}/{revision}/{version}" not in ever:
            problems.append(f"{what} {order} {version}, which was never published")
        taken += what == "applied"
        highest = max(highest, order)
    return problems if taken else [*problems, "no command was taken"]


def out_of_step(objects, site, kept):
    """Why an agent that kept this (order, version) is not in step with record and status; "" if it is. A site that
    is gone asks for nothing."""
    record = next((t["data"] for t in objects if t["metadata"]["name"] == "sluice-agents-epoch"), {})
    published = record.get(f"site.{site}")
    if not published:
        return ""
    thing = next((t for t in objects if t["kind"] == "Site" and t["metadata"]["name"] == site), {"kind": ""})
    (epoch, revision), version = kept
    if f"{epoch}/{revision}/{version}" != published:
        return f"the agent keeps {epoch}/{revision}/{version}, published is {published}"
    if version_of(thing) != version:
        return f"the agent keeps {version}, its Site's status says {version_of(thing)}"
    configured = thing["status"].get("agents", {}).get("configured", 0)
    return "" if configured == 1 else f"the Site's status counts {configured} configured agents, not 1"


def other_content(expected, found):
    """Why (configuration, credentials), as bytes, are not those of the run without a fault; "" if they are."""
    if expected == found:
        return ""
    if not (expected and found) or expected[0] != found[0]:
        return f"the agent's configuration: expected {expected and expected[0]}, found {found and found[0]}"
    return "the agent's credentials are others"
