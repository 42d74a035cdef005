"""The API server's state as bytes: removed, kept and put back between cases, within milliseconds.

Through etcd's JSON gateway. The API server follows etcd's watch, as it does in a cluster with
several API servers, so its caches stay right. Leases are not kept: a dead holder is dealt with by
the runner.
"""
import base64
import http.client
import json

PREFIXES = [f"/registry/{p}/" for p in (
    "sluice.dev/siteclasses", "sluice.dev/sites", "sluice.dev/tenants", "sluice.dev/stageplans",
    "sluice.dev/servicelevelobjectives", "sluice.dev/promotions", "sluice.dev/releases",
    "sluice.dev/rollouts", "sluice.dev/readinessreviews", "sluice.dev/decisions", "sluice.dev/approvals",
    "sluice.dev/exemptions", "sluice.dev/freezewindows", "sluice.dev/incidents", "minions", "daemonsets", "pods/sluice-site-phoenix",
    "controllerrevisions/sluice-site-phoenix",
    "services/specs/sluice-site-phoenix", "services/endpoints/sluice-site-phoenix", "events",
    "serviceaccounts/sluice-site-phoenix", "configmaps/sluice-site-phoenix",
    "configmaps/sluice-system", "secrets/sluice-system", "secrets/falcon", "leases/sluice-system",
    "ipaddresses")] + ["/registry/namespaces/sluice-site-"]
TXN_OPERATIONS = 100  # etcd takes 128


def _b64(text):
    return base64.b64encode(text.encode()).decode()


def holds(content, path):
    """Whether a dump has an object; `path`: as resource/namespace/name."""
    return any(key == _b64(f"/registry/{path}") for key, _ in content)


def _range(prefix):
    return {"key": _b64(prefix), "range_end": _b64(prefix[:-1] + chr(ord(prefix[-1]) + 1))}


class Etcd:
    def __init__(self, url):
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)

    def _call(self, path, body):
        self._connection.request("POST", path, json.dumps(body))
        response = self._connection.getresponse()
        raw = response.read()
        if response.status != 200:
            raise RuntimeError(f"etcd answered {response.status}: {raw[:300]!r}")
        return json.loads(raw)

    def revision(self):
        """What the API server calls the present's resourceVersion."""
        return self._call("/v3/kv/range", {"key": _b64("none")})["header"]["revision"]

    def dump(self):
        """[key, value] in base64 of everything a case may touch, but Leases and Events."""
        found = []
        for prefix in PREFIXES:
            if "leases" not in prefix and "events" not in prefix:
                answer = self._call("/v3/kv/range", _range(prefix))
                found += [[kv["key"], kv["value"]] for kv in answer.get("kvs", [])]
        return found

    def replace(self, content):
        """Removes everything a case may touch and puts `content` there; returns the revision."""
        operations = [{"requestDeleteRange": _range(prefix)} for prefix in PREFIXES]
        answer = self._call("/v3/kv/txn", {"success": operations})
        for at in range(0, len(content), TXN_OPERATIONS):
            puts = [{"requestPut": {"key": key, "value": value}}
                    for key, value in content[at:at + TXN_OPERATIONS]]
            answer = self._call("/v3/kv/txn", {"success": puts})
        return answer["header"]["revision"]
