"""The API server that both controllers work against, pinned to one core, with the load that the
measurements need: many objects, mutations at a rate, and a watch that sees what they lead to."""
import contextlib
import http.client
import json
import os
import pathlib
import queue
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time

from . import widgets

ROOT = pathlib.Path(__file__).resolve().parents[4]
CLUSTER = ROOT / "deploy/local/cluster"
CRD = pathlib.Path(__file__).resolve().parents[1] / "widget-crd.yaml"
USER = "bench"  # the controllers; the harness itself is LOAD
LOAD = "load"
SEED_CONNECTIONS = 6
SEED_SECONDS = 900
REQUEST_SECONDS = 60
WIDGETS_PATH = f"{widgets.PATH}/namespaces/{widgets.NAMESPACE}/widgets"


class Api:
    """One kept connection. Not thread-safe."""

    def __init__(self, host, port, context, token):
        self.headers = {"Authorization": "Bearer " + token, "Accept": "application/json"}
        self.connection = http.client.HTTPSConnection(host, port, context=context,
                                                      timeout=REQUEST_SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def call(self, method, path, body=None, content_type="application/json", may_fail=False):
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers = self.headers | ({"Content-Type": content_type} if body else {})
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300 and not may_fail:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text) if answer.status < 300 else None


class World:
    def __init__(self, state):
        environment = json.loads((state / "env.json").read_text())
        server = environment["apiServer"]
        self.url, self._address = server["url"], (server["ip"], server["port"])
        self.ca = environment["caFile"]
        self.audit_log = environment["auditLog"]
        self.kubeconfig = state / "bench.kubeconfig"
        self._tokens = {user: pathlib.Path(path).read_text().strip()
                        for user, path in environment["tokens"].items() if user in (USER, LOAD)}
        self._context = ssl.create_default_context(cafile=self.ca)

    def api(self):
        """A connection of one's own, for a thread."""
        return Api(*self._address, self._context, self._tokens[LOAD])

    def prepare(self):
        """Makes the kind and waits until it is served; writes the controllers' kubeconfig: as the
        protocol says, one cluster, a CA file, a bearer token, as JSON."""
        with self.api() as api:
            api.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                     CRD.read_bytes(), "application/yaml")
            deadline = time.monotonic() + 60
            while api.call("GET", WIDGETS_PATH, may_fail=True) is None:
                if time.monotonic() > deadline:
                    raise TimeoutError("Widgets are not served")
                time.sleep(0.1)
        out = {"apiVersion": "v1", "kind": "Config", "current-context": "bench",
               "clusters": [{"name": "bench", "cluster": {"server": self.url,
                                                          "certificate-authority": self.ca}}],
               "users": [{"name": USER, "user": {"token": self._tokens[USER]}}],
               "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": USER}}]}
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(json.dumps(out))

    def seed(self, count, size_bytes):
        """Creates `count` Widgets, over a few connections at once."""
        todo = iter(range(count))
        lock, failures = threading.Lock(), []

        def work():
            try:
                with self.api() as api:
                    while not failures:
                        with lock:
                            i = next(todo, None)
                        if i is None:
                            return
                        api.call("POST", WIDGETS_PATH, widgets.make(i, size_bytes))
            except (OSError, RuntimeError, http.client.HTTPException) as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(min(SEED_CONNECTIONS, count))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SEED_SECONDS)
        if failures:
            raise RuntimeError(f"seeding failed: {failures[0]}")

    def widget(self, i):
        with self.api() as api:
            return api.call("GET", widgets.path_of(widgets.name_of(i)))

    def applies(self):
        """(seconds, number) of the applies of Widgets so far, by the API server's own clock."""
        with self.api() as api:
            api.connection.request("GET", "/metrics", headers=api.headers)
            page = api.connection.getresponse().read().decode()
        found = {"sum": 0.0, "count": 0.0}
        for part, labels, value in re.findall(
                r"^apiserver_request_duration_seconds_(sum|count)\{(.*)\} (\S+)$", page, re.M):
            if 'resource="widgets"' in labels and 'verb="APPLY"' in labels:
                found[part] += float(value)
        return found["sum"], found["count"]

    def delete_widgets(self):
        with self.api() as api:
            api.call("DELETE", WIDGETS_PATH)

    def writes(self):
        """Writes of the controllers' user so far, its Leases aside, by the API server's audit."""
        count = 0
        with open(self.audit_log, encoding="utf-8") as log:
            for line in log:
                event = json.loads(line)
                resource = event.get("objectRef", {}).get("resource")
                count += event["user"]["username"] == USER and resource != "leases"
        return count


class Reflections(threading.Thread):
    """Watches the Widgets and notes, for each mutation, when the status that answers it was seen.
    A mutation is known by its stamp."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self._api = world.api()
        version = self._api.call("GET", WIDGETS_PATH + "?limit=1")["metadata"]["resourceVersion"]
        connection = self._api.connection
        connection.request("GET", f"{WIDGETS_PATH}?watch=1&resourceVersion={version}",
                           headers=self._api.headers)
        self._socket = connection.sock
        self._socket.settimeout(600)
        self._response = connection.getresponse()
        self.seen = queue.SimpleQueue()
        self.start()

    def run(self):
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            for line in self._response:
                now = time.time_ns()
                widget = json.loads(line)["object"]
                status = widget.get("status", {})
                if status.get("observedGeneration") == widget["metadata"]["generation"]:
                    self.seen.put((widget["spec"]["stamp"], now))

    def close(self):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self.join(10)
        self._api.connection.close()


def mutate_at(world, names, rate, seconds, first=0):
    """Mutates one Widget after the other at `rate` a second; returns the stamps."""
    stamps = []
    with world.api() as api:
        begin = time.monotonic()
        for i in range(max(1, int(rate * seconds))):
            time.sleep(max(0.0, begin + i / rate - time.monotonic()))
            stamp = time.time_ns()
            api.call("PATCH", widgets.path_of(names[(first + i) % len(names)]),
                     {"spec": {"stamp": stamp}}, "application/merge-patch+json")
            stamps.append(stamp)
    return stamps


@contextlib.contextmanager
def running(core):
    """An API server and its etcd on one core, taken down at the end whatever happens."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    state = folder / "cluster"
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        subprocess.run([CLUSTER, "up", "--state", state, "--profile", "api", "--owner-pid",
                        str(os.getpid()), "--token-user", f"{USER}:system:masters",
                        "--token-user", f"{LOAD}:system:masters"],
                       check=True, stdout=subprocess.DEVNULL, timeout=200)
        world = World(state)
        world.prepare()
        yield world
    finally:
        os.sched_setaffinity(0, mine)
        subprocess.run([CLUSTER, "down", "--state", state], timeout=200, check=False,
                       stderr=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)
