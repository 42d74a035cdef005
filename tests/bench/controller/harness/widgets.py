"""Widgets of a wanted size, and the hash that a controller must write into their status."""
import random

API_VERSION = "bench.example.com/v1"
PATH = f"/apis/{API_VERSION}"
NAMESPACE = "default"
ZONES = ("north", "south", "east", "west")
TIERS = ("Bronze", "Silver", "Gold")
# JSON of a kept object without its spec's free part: names, metadata, status, braces.
FRAME_BYTES = 720


def path_of(name):
    return f"{PATH}/namespaces/{NAMESPACE}/widgets/{name}"


def name_of(i):
    return f"widget-{i:06d}"


def make(i, size_bytes):
    """Widget `i`; about `size_bytes` of JSON as it is cached: managedFields dropped, status set."""
    rng = random.Random(i)
    text = lambda n: "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=n))  # noqa: E731
    free = max(64, size_bytes - FRAME_BYTES)
    entries = min(48, max(4, free // 120))
    each = free // (2 * entries) - 12
    spec = {
        "title": f"Widget number {i}",
        "owner": f"team-{i % 37}@example.com",
        "tier": TIERS[i % 3],
        "zone": ZONES[i % 4],
        "image": f"registry.example.com/widgets/{text(12)}@sha256:{text(64)}",
        "replicas": i % 7,
        "weight": -(i % 11),
        "capacityBytes": (1 << 53) + i,
        "enabled": i % 2 == 0,
        "stamp": 0,
        "tags": [text(each) for _ in range(entries)],
        "params": {f"{text(6)}-{n}": text(each) for n in range(entries)},
    }
    return {"apiVersion": API_VERSION, "kind": "Widget",
            "metadata": {"name": name_of(i), "namespace": NAMESPACE,
                         "labels": {"app.kubernetes.io/name": "widget", "shard": str(i % 16)}},
            "spec": spec}


def observed(salt, spec):
    """FNV-1a 64 over the salt and every field, each followed by one zero byte; 16 hex digits."""
    parts = [salt] + [spec.get(k, "") for k in ("title", "owner", "tier", "zone", "image")]
    parts += [str(spec.get(k, 0)) for k in ("replicas", "weight", "capacityBytes")]
    parts += ["true" if spec.get("enabled") else "false", str(spec.get("stamp", 0))]
    parts += spec.get("tags", [])
    parts += [f"{k}={v}" for k, v in sorted(spec.get("params", {}).items(),
                                            key=lambda item: item[0].encode())]
    value = 14695981039346656037
    for byte in b"".join(part.encode() + b"\0" for part in parts):
        value = (value ^ byte) * 1099511628211 % (1 << 64)
    return f"{value:016x}"
